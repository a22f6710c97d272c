//! matchbox's groups and profiles, read and matched as matchbox does.
//!
//! Sources: matchbox v0.11.0, `storage/storagepb` (what a document has), `storage/filestore.go`
//! (which files are read), `server/server.go` (which group is taken), `http/parse.go` (what a
//! machine says of itself), `http/ipxe.go` (the script). The documents are read by Go's
//! `encoding/json`: names of fields in any case, unknown ones ignored, nothing but text where text
//! belongs.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A group: which machines get which profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Its identity; matching does not look at it.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The file name, without `.json`, of the profile.
    pub profile: String,
    /// What a machine has to say of itself. A MAC address is in its usual form.
    pub selector: BTreeMap<String, String>,
    /// The names of what `/metadata` tells.
    pub metadata: Vec<String>,
}

/// A profile: what a machine starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// Its identity, which it needs; the file's name is what groups call it by.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// The template below `ignition/`, or nothing.
    pub ignition: String,
    /// The template below `cloud/`, or nothing.
    pub cloud: String,
    /// The template below `generic/`, or nothing.
    pub generic: String,
    /// What is started over the network.
    pub boot: Option<Boot>,
}

/// What is started over the network.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Boot {
    /// The kernel's address, mostly relative to matchbox's own.
    pub kernel: String,
    /// The arguments of iPXE's `initrd`: options and an address.
    pub initrd: Vec<String>,
    /// The kernel's arguments.
    pub args: Vec<String>,
}

/// Why a document is not taken. matchbox says so in its log alone.
pub type Refusal = String;

impl Group {
    /// Reads a document.
    ///
    /// # Errors
    /// Where matchbox passes over it: it is not JSON, a field has another type, a MAC address is none.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let fields = Fields::parse(bytes)?;
        let mut group = Self {
            id: fields.text("id")?,
            name: fields.text("name")?,
            profile: fields.text("profile")?,
            selector: fields.texts_by_name("selector")?,
            metadata: match fields.get("metadata") {
                None | Some(Value::Null) => Vec::new(),
                Some(Value::Object(map)) => map.keys().cloned().collect(),
                Some(_) => return Err("`metadata` is no record".into()),
            },
        };
        for (key, value) in &mut group.selector {
            if key.eq_ignore_ascii_case("mac") {
                *value = mac(value).ok_or_else(|| format!("`{value}` is no MAC address"))?;
            }
        }
        Ok(group)
    }

    /// Tells whether a machine says of itself all that is asked.
    pub fn matches(&self, labels: &BTreeMap<String, String>) -> bool {
        let says = |(key, value): (&String, &String)| labels.get(key) == Some(value);
        self.selector.iter().all(says)
    }

    /// Gives what groups are sorted by: the number of selectors, then their text.
    fn rank(&self) -> (usize, String) {
        let mut pairs: Vec<String> = self
            .selector
            .iter()
            .map(|(k, v)| format!("{k}={v}"))
            .collect();
        pairs.sort();
        (self.selector.len(), pairs.join(","))
    }
}

/// Gives the group that a machine gets, by its place in the list: the one with the most selectors,
/// of several the one whose selectors come last in the alphabet. Those beside it that are its equal
/// in that, too, come as well: which of them is taken, nothing says.
pub fn select<'g>(
    groups: impl IntoIterator<Item = &'g Group>,
    labels: &BTreeMap<String, String>,
) -> Vec<usize> {
    let matching = |(_, group): &(usize, &Group)| group.matches(labels);
    let found = groups.into_iter().enumerate().filter(matching);
    let found: Vec<_> = found.map(|(index, group)| (group.rank(), index)).collect();
    let best = found.iter().map(|(rank, _)| rank).max();
    let equal = found.iter().filter(|(rank, _)| Some(rank) == best);
    equal.map(|(_, index)| *index).collect()
}

/// Gives what a machine says of itself as matchbox takes it: a MAC address in its usual form, or,
/// where it is none, not at all.
pub fn labels(said: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let label = |(key, value): (&String, &String)| match key.eq_ignore_ascii_case("mac") {
        true => mac(value).map(|mac| (key.clone(), mac)),
        false => Some((key.clone(), value.clone())),
    };
    said.iter().filter_map(label).collect()
}

impl Profile {
    /// Reads a document.
    ///
    /// # Errors
    /// Where matchbox cannot use it: it is not JSON, a field has another type, it has no `id`.
    pub fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        let fields = Fields::parse(bytes)?;
        let boot = match fields.get("boot") {
            None | Some(Value::Null) => None,
            Some(Value::Object(map)) => {
                let fields = Fields(map.clone());
                Some(Boot {
                    kernel: fields.text("kernel")?,
                    initrd: fields.texts("initrd")?,
                    args: fields.texts("args")?,
                })
            }
            Some(_) => return Err("`boot` is no record".into()),
        };
        let profile = Self {
            id: fields.text("id")?,
            name: fields.text("name")?,
            ignition: fields.text("ignition_id")?,
            cloud: fields.text("cloud_id")?,
            generic: fields.text("generic_id")?,
            boot,
        };
        match profile.id.is_empty() {
            true => Err("it has no `id`".into()),
            false => Ok(profile),
        }
    }

    /// Gives the script that `/ipxe` answers; `None` where it answers that nothing is there.
    pub fn script(&self) -> Option<String> {
        let boot = self.boot.as_ref()?;
        let mut script = format!("#!ipxe\nkernel {}", boot.kernel);
        for argument in &boot.args {
            script.extend([" ", argument]);
        }
        for initrd in &boot.initrd {
            script.extend(["\ninitrd ", initrd]);
        }
        script.push_str("\nboot\n");
        Some(script)
    }
}

/// Gives the address in the arguments of iPXE's `initrd` or `kernel`: the first that is no option.
pub fn location(arguments: &str) -> Option<&str> {
    let mut words = arguments.split_ascii_whitespace();
    while let Some(word) = words.next() {
        match word {
            "--name" | "-n" | "--timeout" | "-t" => _ = words.next(),
            _ if word.starts_with('-') => {}
            _ => return Some(word),
        }
    }
    None
}

/// Gives a MAC address in its usual form, lowercase with colons; `None` where Go's `net.ParseMAC`
/// takes it for none. It takes 6, 8 or 20 bytes, with colons, hyphens, or dots after each four
/// digits.
pub fn mac(text: &str) -> Option<String> {
    let sign = text.chars().find(|c| !c.is_ascii_hexdigit())?;
    let width = match sign {
        ':' | '-' => 2,
        '.' => 4,
        _ => return None,
    };
    let parts: Vec<&str> = text.split(sign).collect();
    let whole = |part: &&str| part.len() == width && part.bytes().all(|b| b.is_ascii_hexdigit());
    if !parts.iter().all(whole) || !matches!(parts.len() * width / 2, 6 | 8 | 20) {
        return None;
    }
    let digits = parts.concat().to_ascii_lowercase();
    let mut out = String::with_capacity(digits.len() * 3 / 2);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && index % 2 == 0 {
            out.push(':');
        }
        out.push(digit);
    }
    Some(out)
}

/// The fields of a document.
struct Fields(Map<String, Value>);

impl Fields {
    fn parse(bytes: &[u8]) -> Result<Self, Refusal> {
        // Go takes what is no UTF-8 for a replacement character.
        let text = String::from_utf8_lossy(bytes);
        match serde_json::from_str(&text) {
            Ok(Value::Object(map)) => Ok(Self(map)),
            Ok(Value::Null) => Ok(Self(Map::new())),
            Ok(_) => Err("it is no record".into()),
            Err(error) => Err(format!("it is not JSON: {error}")),
        }
    }

    /// Gives a field by its name in any case; of several, the last.
    fn get(&self, name: &str) -> Option<&Value> {
        let named = |(key, _): &(&String, &Value)| key.eq_ignore_ascii_case(name);
        self.0.iter().rfind(named).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Result<String, Refusal> {
        text(name, self.get(name).unwrap_or(&Value::Null))
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, Refusal> {
        match self.get(name) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => items.iter().map(|item| text(name, item)).collect(),
            Some(_) => Err(format!("`{name}` is no list")),
        }
    }

    fn texts_by_name(&self, name: &str) -> Result<BTreeMap<String, String>, Refusal> {
        match self.get(name) {
            None | Some(Value::Null) => Ok(BTreeMap::new()),
            Some(Value::Object(map)) => map
                .iter()
                .map(|(key, value)| Ok((key.clone(), text(&format!("{name}.{key}"), value)?)))
                .collect(),
            Some(_) => Err(format!("`{name}` is no record")),
        }
    }
}

fn text(name: &str, value: &Value) -> Result<String, Refusal> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Null => Ok(String::new()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(format!("`{name}` is no text"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(document: &str) -> Group {
        Group::parse(document.as_bytes()).unwrap()
    }

    fn said(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let owned = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        labels(&owned.collect())
    }

    #[test]
    fn addresses_have_one_form() {
        for form in ["52-54-00-AB-00-01", "52:54:00:ab:00:01", "5254.00aB.0001"] {
            assert_eq!(mac(form).unwrap(), "52:54:00:ab:00:01");
        }
        assert!(mac("00:00:00:00:fe:80:00:00").is_some());
        for none in [
            "",
            "525400ab0001",
            "52:54:00:ab:00",
            "52:54-00:ab:00:01",
            "52:54:00:ab:00:0g",
            "5:54:00:ab:00:01",
            "5254.00ab",
            "52 54 00 ab 00 01",
            "52:54:00:ab:00:01:",
        ] {
            assert_eq!(mac(none), None, "{none}");
        }
    }

    #[test]
    fn the_most_selectors_win_and_then_the_last_of_the_alphabet() {
        let groups = [
            group(r#"{"profile": "default"}"#),
            group(r#"{"selector": {"mac": "52-54-00-AB-00-01"}}"#),
            group(r#"{"selector": {"uuid": "1"}}"#),
            group(r#"{"selector": {"uuid": "1", "arch": "arm64"}}"#),
            group(r#"{"Selector": {"uuid": "2"}}"#),
            group(r#"{"selector": {"uuid": "2"}}"#),
        ];
        let of = |pairs: &[(&str, &str)]| select(&groups, &said(pairs));
        assert_eq!(of(&[]), [0]);
        assert_eq!(of(&[("mac", "5254.00ab.0001"), ("x", "y")]), [1]);
        assert_eq!(of(&[("mac", "52:54:00:ab:00:01"), ("uuid", "1")]), [2]);
        assert_eq!(of(&[("uuid", "1"), ("arch", "arm64")]), [3]);
        assert_eq!(of(&[("uuid", "2")]), [4, 5]);
        assert_eq!(of(&[("UUID", "1")]), [0]);
        assert_eq!(of(&[("mac", "no address")]), [0]);
        assert!(select(&groups[1..], &said(&[])).is_empty());
    }

    #[test]
    fn documents_are_read_as_go_reads_them() {
        let read = group(
            r#"{"ID": "a", "id": "b", "else": 1, "name": null, "selector": {"x": null}, "metadata": {"k": [1]}}"#,
        );
        assert_eq!((read.id.as_str(), read.name.as_str()), ("b", ""));
        assert_eq!(read.selector["x"], "");
        assert_eq!(read.metadata, ["k"]);
        assert_eq!(group("null"), Group::default());
        for (refused, why) in [
            ("", "not JSON"),
            ("[]", "no record"),
            ("{} {}", "not JSON"),
            ("\u{feff}{}", "not JSON"),
            (r#"{"id": 1}"#, "`id` is no text"),
            (r#"{"selector": {"port": 1}}"#, "`selector.port` is no text"),
            (r#"{"selector": {"MAC": "x"}}"#, "`x` is no MAC address"),
            (r#"{"metadata": []}"#, "`metadata` is no record"),
        ] {
            let said = Group::parse(refused.as_bytes()).unwrap_err();
            assert!(said.contains(why), "{refused}: {said}");
        }
        assert!(Profile::parse(b"{}").unwrap_err().contains("no `id`"));
        assert!(Profile::parse(br#"{"id": "a", "boot": []}"#).is_err());
        assert!(Profile::parse(br#"{"id": "a", "boot": {"initrd": "x"}}"#).is_err());
    }

    #[test]
    fn the_script_is_that_of_matchbox() {
        let profile = Profile::parse(
            br#"{"id": "a", "boot": {"kernel": "/assets/k", "initrd": ["--name i /assets/i", "/assets/j"], "args": ["initrd=i", "console=ttyAMA0"]}}"#,
        )
        .unwrap();
        let script = "#!ipxe\nkernel /assets/k initrd=i console=ttyAMA0\ninitrd --name i /assets/i\ninitrd /assets/j\nboot\n";
        assert_eq!(profile.script().unwrap(), script);
        assert_eq!(Profile::parse(br#"{"id": "a"}"#).unwrap().script(), None);
        assert_eq!(location("--name main /assets/i"), Some("/assets/i"));
        assert_eq!(location("/assets/i mode=755"), Some("/assets/i"));
        assert_eq!(location("--name x"), None);
    }
}
