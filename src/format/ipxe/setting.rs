//! Settings: the variables of a script, those that it sets and those that its machine has.

use std::collections::{BTreeMap, BTreeSet};

use url::Url;

use super::value::{SettingType, numeric};
use super::walk::plain;
use crate::model::Sha256Digest;

/// The names of the one network card that is there for certain.
const CARDS: [&str; 2] = ["net0", "netX"];
/// Bytes that the words of one line may become.
pub(super) const MAX_LINE: usize = 64 << 10;
/// Replacements in one word; a setting may lead to itself.
const MAX_REPLACED: usize = 1000;
/// Bytes of all settings together.
const MAX_HELD: usize = 1 << 20;
/// Bytes of names and values that a walk may look up: writing them out costs more than a copy.
const MAX_LOOKED_UP: usize = 64 << 20;
/// What looking up costs at the least.
const LOOK: usize = 32;
/// Bytes of all names that were asked for and are not set; further ones are left out.
const MAX_UNSET: usize = 64 << 10;

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
    script: BTreeMap<String, Option<Value>>,
    /// What `cwuri` and `cwduri` are made of.
    base: Option<Url>,
    /// What tells all that scripts set from what they set at other times.
    state: [u8; 32],
    /// What was asked for and is not there.
    unset: BTreeSet<String>,
    /// The bytes of those names.
    asked: usize,
    held: usize,
    looked_up: usize,
}

/// A value as it is held, and how it is written.
type Value = (Vec<u8>, SettingType);

/// What a word becomes, or that it would become too long, or that too much was looked up.
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
            Some((name.clone(), plain(&of.format(raw)?)))
        });
        held.collect()
    }

    /// Gives what tells all that scripts changed from what it was at other times.
    pub(super) fn state(&self) -> [u8; 32] {
        self.state
    }

    /// Says what relative addresses start from now.
    pub(super) fn work_at(&mut self, base: Option<Url>) {
        self.base = base;
    }

    /// Gives a setting that iPXE makes of where it works. Sources: `cwuri_fetch` and `cwduri_fetch`.
    fn place(&self, name: &str) -> Option<Value> {
        let relative = match name {
            "cwuri" => "",
            "cwduri" => ".",
            _ => return None,
        };
        let place = self.base.as_ref()?.join(relative).ok()?;
        Some((String::from(place).into_bytes(), SettingType::String))
    }

    /// Tells whether a network card is there: one is, and those that the machine has settings of.
    pub(super) fn is_card(&self, name: &str) -> bool {
        let of = |key: &String| {
            key.strip_prefix(name)
                .is_some_and(|rest| rest.starts_with('/'))
        };
        CARDS.contains(&name) || name.starts_with("net") && self.machine.keys().any(of)
    }

    /// Gives a setting as text; `None` where it is not set, or not of the type asked for.
    pub(super) fn fetch(&mut self, text: &str) -> Option<String> {
        let name = Name::of(text);
        let found = self.find(&name);
        let key = name.key();
        if found.is_none()
            && !name.name.is_empty()
            && self.asked + key.len() <= MAX_UNSET
            && !self.unset.contains(&key)
        {
            self.asked += key.len();
            self.unset.insert(key);
        }
        let (raw, own) = found?;
        self.looked_up += raw.len();
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

    fn find(&self, name: &Name<'_>) -> Option<Value> {
        let key = name.key();
        if let Some(held) = self.script.get(&key) {
            return held.clone();
        }
        let card = match name.block {
            None => true,
            Some(block) => CARDS.iter().any(|card| {
                block
                    .strip_prefix(card)
                    .is_some_and(|r| r.is_empty() || r.starts_with('.'))
            }),
        };
        if name.block.is_none() || name.block.is_some_and(|block| CARDS.contains(&block)) {
            for card in CARDS {
                if let Some(held) = self.script.get(&format!("{card}/{}", name.name)) {
                    return held.clone();
                }
            }
        }
        if matches!(name.block, None | Some("builtin"))
            && let Some(value) = self.place(name.name)
        {
            return Some(value);
        }
        let text = match self.machine.get(&key) {
            Some(text) => text,
            None if card || matches!(name.block, Some("smbios" | "dhcp" | "builtin")) => {
                let mut names = CARDS
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
        // To store nothing is to clear. Source: `storef_setting`.
        let raw = match value.filter(|value| !value.is_empty()) {
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
        let size =
            |value: &Option<Value>| key.len() + value.as_ref().map_or(0, |(raw, _)| raw.len());
        let old = self.script.get(&key);
        let held = self.held - old.map_or(0, size) + size(&raw);
        if held > MAX_HELD {
            return Err("out of memory".to_owned());
        }
        let (old, new) = (old.map(|old| print(&key, old)), print(&key, &raw));
        self.held = held;
        old.into_iter()
            .chain([new])
            .for_each(|print| self.mix(print));
        self.script.insert(key, raw);
        Ok(())
    }

    /// Puts one setting into the state, or takes it out again.
    fn mix(&mut self, print: Sha256Digest) {
        for (state, byte) in self.state.iter_mut().zip(print.bytes()) {
            *state ^= byte;
        }
    }

    /// Replaces each `${…}` in a word, the innermost first, until none is left: what a setting
    /// becomes is read as if it had stood there. Source: `expand_settings`.
    ///
    /// Goes through the word once, whatever is replaced.
    pub(super) fn expand(&mut self, word: &str) -> Result<String, Endless> {
        let mut done = String::with_capacity(word.len());
        // What is still to be read, the next piece last; its bytes; and where each `${` of `done` is.
        let mut pieces = vec![(word.to_owned(), 0)];
        let (mut left, mut open) = (word.len(), Vec::new());
        let mut replaced = 0;
        while let Some((piece, from)) = pieces.pop() {
            let rest = piece.get(from..).unwrap_or_default();
            let Some(at) = rest.find(['{', '}']) else {
                left -= rest.len();
                done.push_str(rest);
                continue;
            };
            let (before, behind) = rest.split_at(at);
            done.push_str(before);
            let closes = behind.starts_with('}');
            left -= at + 1;
            pieces.push((piece, from + at + 1));
            match open.last().copied() {
                Some(start) if closes => {
                    open.pop();
                    let name = done.split_off(start);
                    let value = self.looked_up(name.get(2..).unwrap_or_default())?;
                    left += value.len();
                    replaced += 1;
                    if replaced > MAX_REPLACED || done.len() + left > MAX_LINE {
                        return Err(Endless);
                    }
                    pieces.push((value, 0));
                }
                _ => {
                    if !closes && done.ends_with('$') {
                        open.push(done.len() - 1);
                    }
                    done.push(if closes { '}' } else { '{' });
                }
            }
        }
        Ok(done)
    }

    /// Gives a setting as text, nothing where it is not set.
    fn looked_up(&mut self, name: &str) -> Result<String, Endless> {
        let value = self.fetch(name).unwrap_or_default();
        self.looked_up += LOOK + name.len() + value.len();
        match self.looked_up > MAX_LOOKED_UP {
            true => Err(Endless),
            false => Ok(value),
        }
    }
}

/// Tells a setting from others, and from itself at other times.
fn print(key: &str, value: &Option<Value>) -> Sha256Digest {
    let mut text = format!("{} {key} ", key.len()).into_bytes();
    if let Some((raw, of)) = value {
        text.extend(format!("{of:?} ").into_bytes());
        text.extend(raw);
    }
    Sha256Digest::of(&text)
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

    /// Replaces as iPXE's own loop does: the first `}` behind a `${`, and the last `${` before that.
    fn replaced_one_by_one(settings: &mut Settings, word: &str) -> String {
        let mut text = word.to_owned();
        loop {
            let innermost = || {
                let first = text.find("${")?;
                let end = first + text[first..].find('}')?;
                Some((text[..end].rfind("${")?, end))
            };
            let Some((start, end)) = innermost() else {
                return text;
            };
            let value = settings.fetch(&text[start + 2..end]).unwrap_or_default();
            text.replace_range(start..=end, &value);
        }
    }

    #[test]
    fn words_are_replaced_as_by_going_through_them_again_and_again() {
        let parts = ["$", "{", "}", "${", "a", "b", "c", ":hex", "-"];
        let mut settings = Settings::default();
        // What these are leads on to others, and never back.
        settings.store("a", Some("x${b}$")).unwrap();
        settings.store("b", Some("c}")).unwrap();
        settings.store("c", Some("y{-}$")).unwrap();
        let mut number: u32 = 1;
        for _ in 0..20_000 {
            let mut word = String::new();
            for _ in 0..(number >> 20) % 12 {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                word.push_str(parts[(number >> 16) as usize % parts.len()]);
            }
            number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let wanted = replaced_one_by_one(&mut settings, &word);
            assert_eq!(settings.expand(&word).ok(), Some(wanted), "{word}");
            settings.looked_up = 0;
        }
    }
}
