//! Settings: the variables of a script, those that it sets and those that its machine has.

use std::collections::{BTreeMap, BTreeSet};

use super::value::{SettingType, numeric};

/// Characters that one word may become.
const MAX_WORD: usize = 64 << 10;
/// Replacements in one word; a setting may lead to itself.
const MAX_REPLACED: usize = 1000;
/// Bytes of all settings together.
const MAX_HELD: usize = 1 << 20;

/// The name of a setting, taken apart: `[block/]name[:type]`.
struct Name<'n> {
    block: Option<&'n str>,
    name: &'n str,
    /// `Some(None)` is a type that iPXE does not know.
    of: Option<Option<SettingType>>,
}

impl<'n> Name<'n> {
    fn of(text: &'n str) -> Self {
        let (block, rest) = match text.split_once('/') {
            Some((block, rest)) => (Some(block), rest),
            None => (None, text),
        };
        let (name, of) = match rest.split_once(':') {
            Some((name, of)) => (name, Some(SettingType::named(of))),
            None => (rest, None),
        };
        Self { block, name, of }
    }

    fn key(&self) -> String {
        match self.block {
            Some(block) => format!("{block}/{}", self.name),
            None => self.name.to_owned(),
        }
    }
}

/// The settings of a walk.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// What the machine has; never changed.
    machine: BTreeMap<String, String>,
    /// What scripts set; nothing where they cleared it.
    script: BTreeMap<String, Option<(Vec<u8>, SettingType)>>,
    /// What was asked for and is not there.
    unset: BTreeSet<String>,
    held: usize,
}

/// What a word becomes, or that it would become too long.
pub(super) struct Endless;

impl Settings {
    /// Begins with the settings of a machine: `mac`, `uuid`, `net0/ip`, `buildarch`, ….
    #[must_use]
    pub fn of(machine: BTreeMap<String, String>) -> Self {
        Self {
            machine,
            ..Self::default()
        }
    }

    /// Gives the names that were asked for and are not set.
    #[must_use]
    pub fn unset(&self) -> Vec<String> {
        self.unset.iter().cloned().collect()
    }

    /// Gives what scripts set, as text.
    #[must_use]
    pub fn set_by_scripts(&self) -> BTreeMap<String, String> {
        let held = self.script.iter().filter_map(|(name, held)| {
            let (raw, of) = held.as_ref()?;
            Some((name.clone(), of.format(raw)?))
        });
        held.collect()
    }

    /// Writes all that scripts changed, so that two states can be compared.
    pub(super) fn state(&self) -> Vec<u8> {
        format!("{:?}", self.script).into_bytes()
    }

    /// Gives a setting as text; `None` where it is not set, or not of the type asked for.
    pub(super) fn fetch(&mut self, text: &str) -> Option<String> {
        let name = Name::of(text);
        let found = self.find(&name);
        if found.is_none() && !name.name.is_empty() && self.unset.len() < 1000 {
            self.unset.insert(name.key());
        }
        let (raw, own) = found?;
        match name.of {
            None => own.format(&raw),
            Some(of) => of?.format(&raw),
        }
    }

    /// Gives a setting as a number; `None` where it is not set, or no number.
    pub(super) fn numeric(&self, text: &str) -> Option<Option<i64>> {
        let (raw, of) = self.find(&Name::of(text))?;
        Some(match of {
            SettingType::Integer(_, signed) => numeric(&raw, signed),
            _ => None,
        })
    }

    /// Gives the name of a setting with the type that it has, so that storing keeps that.
    pub(super) fn typed(&self, text: &str) -> String {
        let name = Name::of(text);
        let of = match (name.of, self.find(&name)) {
            (None, Some((_, SettingType::Integer(width, signed)))) => (width, signed),
            _ => return text.to_owned(),
        };
        format!(
            "{}:{}int{}",
            name.key(),
            if of.1 { "" } else { "u" },
            of.0 * 8
        )
    }

    fn find(&self, name: &Name<'_>) -> Option<(Vec<u8>, SettingType)> {
        let key = name.key();
        if let Some(held) = self.script.get(&key) {
            return held.clone();
        }
        // One network card is there: `netX` is `net0`.
        let cards = ["net0", "netX"];
        let card = match name.block {
            None => true,
            Some(block) => cards.iter().any(|card| {
                block
                    .strip_prefix(card)
                    .is_some_and(|r| r.is_empty() || r.starts_with('.'))
            }),
        };
        if name.block.is_none() || name.block.is_some_and(|block| cards.contains(&block)) {
            for card in cards {
                if let Some(held) = self.script.get(&format!("{card}/{}", name.name)) {
                    return held.clone();
                }
            }
        }
        let text = match self.machine.get(&key) {
            Some(text) => text,
            None if card || matches!(name.block, Some("smbios" | "dhcp" | "builtin")) => {
                let mut names = cards
                    .iter()
                    .filter_map(|c| self.machine.get(&format!("{c}/{}", name.name)));
                match self.machine.get(name.name) {
                    Some(text) => text,
                    None => names.next()?,
                }
            }
            None => return None,
        };
        let of = SettingType::of(name.name).unwrap_or(SettingType::String);
        match of.parse(text) {
            Some(raw) => Some((raw, of)),
            None => Some((text.as_bytes().to_vec(), SettingType::String)),
        }
    }

    /// Sets a setting, or clears it; says why it cannot be.
    pub(super) fn store(&mut self, text: &str, value: Option<&str>) -> Result<(), String> {
        let name = Name::of(text);
        let of = match name.of {
            Some(None) => return Err(format!("`{text}`: invalid setting")),
            Some(Some(of)) => of,
            None => SettingType::of(name.name).unwrap_or(SettingType::String),
        };
        let raw = match value {
            None => None,
            Some(value) => {
                let raw = of.parse(value);
                Some((
                    raw.ok_or_else(|| format!("could not store `{text}`: `{value}` is none"))?,
                    of,
                ))
            }
        };
        let key = name.key();
        self.held += key.len() + raw.as_ref().map_or(0, |(raw, _)| raw.len());
        if self.held > MAX_HELD {
            return Err("out of memory".to_owned());
        }
        self.script.insert(key, raw);
        Ok(())
    }

    /// Replaces each `${…}` in a word, the innermost first, until none is left.
    pub(super) fn expand(&mut self, word: &str) -> Result<String, Endless> {
        let mut text = word.to_owned();
        for _ in 0..MAX_REPLACED {
            let Some((start, end)) = innermost(&text) else {
                return Ok(text);
            };
            let name = text.get(start + 2..end).unwrap_or_default().to_owned();
            let value = self.fetch(&name).unwrap_or_default();
            text.replace_range(start..=end, &value);
            if text.len() > MAX_WORD {
                return Err(Endless);
            }
        }
        Err(Endless)
    }
}

/// Finds the first `}` behind a `${`, and the last `${` before that.
fn innermost(text: &str) -> Option<(usize, usize)> {
    let first = text.find("${")?;
    let end = first + text.get(first..)?.find('}')?;
    let start = text.get(..end)?.rfind("${")?;
    Some((start, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_replaced_from_the_inside() {
        let machine = [
            ("mac", "52:54:00:12:34:56"),
            ("serial", "a b/c"),
            ("net0/ip", "10.0.0.7"),
        ];
        let machine = machine
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect();
        let mut settings = Settings::of(machine);
        let mut expand = |word: &str| settings.expand(word).ok().unwrap();
        assert_eq!(
            expand("m=${mac:hexhyp}&n=${net0/mac:hexraw}"),
            "m=52-54-00-12-34-56&n=525400123456"
        );
        assert_eq!(
            expand("${netX/mac}.${ip}.${net0.dhcp/ip}.${net1/mac}"),
            "52:54:00:12:34:56.10.0.0.7.10.0.0.7."
        );
        assert_eq!(expand("${serial:uristring}"), "a%20b%2Fc");
        assert_eq!(expand("$ {a} ${b ${} } ${"), "$ {a}  ${");
        settings.store("n", Some("serial")).unwrap();
        settings.store("x:int8", Some("300")).unwrap();
        settings
            .store("self:hexraw", Some("247b73656c663a737472696e677d"))
            .unwrap();
        assert_eq!(settings.expand("${${n}}${x}").ok().unwrap(), "a b/c44");
        assert!(settings.expand("${self:string}").is_err());
        assert!(settings.store("x:float", Some("1")).is_err());
        settings.store("serial", None).unwrap();
        assert_eq!(settings.expand("${serial}").ok().unwrap(), "");
        assert_eq!(settings.unset(), ["b  ", "net1/mac", "serial"]);
    }
}
