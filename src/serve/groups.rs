//! What matchbox's groups and profiles say, read anew for each machine that asks, as matchbox does.

use super::folder::Folder;
use super::found::{Found, MAX_ENTRIES};
use super::refusal::Refusal;
use crate::format::matchbox::{Boot, Group, Profile, labels, select};
use crate::model::path::printable;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Bytes of one document.
const MAX_DOCUMENT: usize = 1 << 20;

/// The group that a machine gets.
#[derive(Clone, Debug, PartialEq)]
pub struct Matched {
    /// Its file.
    pub file: String,
    /// What it says.
    pub group: Group,
    /// Its metadata, as it is written.
    metadata: Map<String, Value>,
    /// That another group is its equal, and nothing says which is taken.
    pub ambiguous: Option<String>,
}

/// Tells whether groups decide what a machine gets.
pub fn decide(folder: &Folder) -> bool {
    // One that cannot be read decides too: without it, what is in it would be an asset.
    let there = |name| match folder.find(name) {
        Ok(Found::Folder) => true,
        Ok(Found::File(_)) => false,
        Err(why) => why != Refusal::NotThere,
    };
    there("groups") || there("profiles")
}

/// Finds the group of a machine by what it says of itself.
///
/// # Errors
/// Names a group that cannot be had: it may be the machine's own.
pub fn group(folder: &Folder, said: &BTreeMap<String, String>) -> Result<Option<Matched>, Refusal> {
    let mut files = Vec::new();
    let mut groups = Vec::new();
    let found = match folder.list("groups") {
        Err(Refusal::NotThere) => return Ok(None),
        found => found.map_err(|why| without("groups".to_owned(), &why))?,
    };
    if found.cut {
        // The machine's own may be among those that were not looked at.
        let what = format!("groups: there are more than {MAX_ENTRIES}, too many to look at");
        return Err(Refusal::Unsaid(what));
    }
    let named = found
        .entries
        .iter()
        .filter(|e| !e.folder && e.name.ends_with(".json"));
    for entry in named {
        let file = format!("groups/{}", entry.name);
        let bytes = folder.small(&file, MAX_DOCUMENT);
        let bytes = bytes.map_err(|why| without(printable(&file), &why))?;
        // matchbox passes over what is no group; `tdg run` with the kind `matchbox` tells it.
        if let Ok(group) = Group::parse(&bytes) {
            files.push((file, bytes));
            groups.push(group);
        }
    }
    let found = select(&groups, &labels(said));
    let first = found.first().copied();
    let first = first.and_then(|first| Some((files.get(first)?, groups.get(first)?)));
    let Some(((file, bytes), group)) = first else {
        return Ok(None);
    };
    let others: Vec<String> = found
        .iter()
        .filter_map(|index| Some(printable(&files.get(*index)?.0)))
        .collect();
    Ok(Some(Matched {
        file: file.clone(),
        group: group.clone(),
        metadata: metadata(bytes),
        ambiguous: (others.len() > 1)
            .then(|| format!("{} match equally; the first is taken", others.join(", "))),
    }))
}

fn metadata(bytes: &[u8]) -> Map<String, Value> {
    let document = serde_json::from_slice(bytes).unwrap_or_default();
    let Value::Object(document) = document else {
        return Map::new();
    };
    let named = |(name, _): &(&String, &Value)| name.eq_ignore_ascii_case("metadata");
    match document.iter().rfind(named) {
        Some((_, Value::Object(map))) => map.clone(),
        Some(_) | None => Map::new(),
    }
}

/// Says that something cannot be had.
fn without(what: String, why: &Refusal) -> Refusal {
    Refusal::Without {
        what: format!("{what}: {}", why.told()),
        passes: why.passes(),
    }
}

/// Gives the script of a group's profile; `asset` tells whether an asset can be had.
///
/// # Errors
/// Says why there is none.
pub fn script(
    folder: &Folder,
    matched: &Matched,
    asset: impl Fn(&str) -> Result<(), Refusal>,
) -> Result<String, Refusal> {
    let name = &matched.group.profile;
    let from = printable(&matched.file);
    if name.is_empty() || name.contains('/') {
        return Err(Refusal::Unsaid(format!("{from} names no profile")));
    }
    let file = format!("profiles/{name}.json");
    let shown = printable(&file);
    let bytes = folder.small(&file, MAX_DOCUMENT);
    let bytes = bytes.map_err(|why| {
        let what = format!("{from} names {shown}, which cannot be read");
        without(what, &why)
    })?;
    let profile = Profile::parse(&bytes);
    let profile = profile.map_err(|why| Refusal::Unsaid(format!("{shown}: {why}")))?;
    let nothing = || Refusal::Unsaid(format!("{shown} has no `boot`"));
    let script = profile.script().ok_or_else(nothing)?;
    for name in profile.boot.iter().flat_map(assets) {
        match asset(&name) {
            Err(why) if why.passes() || why == Refusal::Unreadable => {
                return Err(without(printable(&format!("assets/{name}")), &why));
            }
            // What never was there may be meant for another server's place; the machine sees it.
            Ok(()) | Err(_) => {}
        }
    }
    Ok(script)
}

/// Names the assets of this server that are started: those whose addresses are relative to it.
fn assets(boot: &Boot) -> Vec<String> {
    let addresses = std::iter::once(&boot.kernel).chain(&boot.initrd);
    let words = addresses.flat_map(|address| address.split_whitespace());
    let words = words.filter_map(|word| {
        let name = word.trim_start_matches('/').strip_prefix("assets/")?;
        let name = name.split(['?', '#']).next()?;
        let name = percent_encoding::percent_decode_str(name).decode_utf8();
        Some(name.ok()?.into_owned())
    });
    words.collect()
}

/// Writes what `/metadata` tells: the group's metadata, its selectors, and what was asked, a line
/// each. Source: matchbox v0.11.0, `http/metadata.go` and `http/render.go`.
pub fn told(matched: &Matched, said: &BTreeMap<String, String>, query: &str) -> String {
    let mut lines = BTreeMap::new();
    let text = |value: &String| Value::String(value.clone());
    let mut all = matched.metadata.clone();
    for (key, value) in &matched.group.selector {
        all.insert(key.clone(), text(value));
    }
    let asked: Map<String, Value> = labels(said)
        .iter()
        .map(|(k, v)| (k.clone(), text(v)))
        .collect();
    let mut request = Map::new();
    request.insert("query".to_owned(), asked.into());
    request.insert("raw_query".to_owned(), query.into());
    all.insert("request".to_owned(), request.into());
    flatten_into(&mut lines, "", &all, 0);
    let mut out = String::new();
    for (name, value) in lines {
        // Writing to a text cannot fail.
        let _ = writeln!(out, "{name}={value}");
    }
    out
}

fn flatten_into(
    lines: &mut BTreeMap<String, String>,
    prefix: &str,
    map: &Map<String, Value>,
    depth: usize,
) {
    for (key, value) in map {
        let name = format!("{prefix}{key}");
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Bool(value) => value.to_string(),
            Value::Number(number) => number.to_string(),
            Value::Object(inner) if depth < 32 => {
                flatten_into(lines, &format!("{name}_"), inner, depth + 1);
                continue;
            }
            Value::Object(_) | Value::Array(_) | Value::Null => continue,
        };
        lines.insert(name.to_uppercase(), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> (tempfile::TempDir, Folder) {
        let world = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = world.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let folder = Folder::open(world.path(), crate::serve::judged::Always::nothing()).unwrap();
        (world, folder)
    }

    fn said(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        let pairs = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        pairs.collect()
    }

    #[test]
    fn a_machine_gets_the_script_of_its_group() {
        let (_world, folder) = folder(&[
            (
                "groups/a.json",
                r#"{"profile": "worker", "selector": {"mac": "52:54:00:00:00:01"}}"#,
            ),
            (
                "groups/b.json",
                r#"{"profile": "nowhere", "selector": {"os": "x"}}"#,
            ),
            (
                "groups/c.json",
                r#"{"profile": "../groups/a", "selector": {"os": "y"}}"#,
            ),
            ("groups/broken.json", "{"),
            (
                "profiles/worker.json",
                r#"{"id": "w", "boot": {"kernel": "/assets/k", "args": ["a"]}}"#,
            ),
        ]);
        assert!(decide(&folder));
        let script = |pairs: &[(&str, &str)]| {
            group(&folder, &said(pairs))
                .unwrap()
                .map(|matched| script(&folder, &matched, |_| Ok(())))
        };
        assert_eq!(
            script(&[("mac", "52-54-00-00-00-01")]).unwrap().unwrap(),
            "#!ipxe\nkernel /assets/k a\nboot\n"
        );
        assert_eq!(script(&[]), None);
        assert!(
            script(&[("os", "x")])
                .unwrap()
                .unwrap_err()
                .shown()
                .contains("cannot be read")
        );
        assert!(
            script(&[("os", "y")])
                .unwrap()
                .unwrap_err()
                .shown()
                .contains("names no profile")
        );
        // A group that cannot be had may be the one of this machine.
        let place = folder.path().join("groups/d.json");
        std::os::unix::fs::symlink("/nowhere", place).unwrap();
        let why = group(&folder, &said(&[("mac", "52-54-00-00-00-01")])).unwrap_err();
        let why = why.shown();
        assert!(why.contains("groups/d.json: it leads out"), "{why}");
    }

    #[test]
    fn metadata_is_told_a_line_each() {
        let (_world, folder) = folder(&[(
            "groups/a.json",
            r#"{"profile": "p", "selector": {"os": "x"}, "metadata": {"b": {"c": 1, "d": true}, "l": [1], "n": "t"}}"#,
        )]);
        let asked = said(&[("os", "x"), ("mac", "52-54-00-00-00-01")]);
        let matched = group(&folder, &asked).unwrap().unwrap();
        assert_eq!(
            told(&matched, &asked, "os=x"),
            "B_C=1\nB_D=true\nN=t\nOS=x\nREQUEST_QUERY_MAC=52:54:00:00:00:01\nREQUEST_QUERY_OS=x\nREQUEST_RAW_QUERY=os=x\n"
        );
    }
}
