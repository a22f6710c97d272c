//! From what was seen to what a spec demands of it.
//!
//! By the shape of the evidence alone, so that it serves every kind: a plain
//! value is demanded as it is, a short list by what is in it, a long one by its
//! length, by some of its elements and by what all of them have in common.

use std::collections::BTreeSet;

use serde_json::{Map, json};

use crate::model::Sha256Digest;
use crate::model::shape::{Field, Record, Shape, Unit};
use crate::model::value::Value;
use crate::spec::matcher::OPERATORS;

/// How much is left to change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Every value as it is, digests among them.
    Exact,
    /// Versions as ranges, sizes as bounds, no digests.
    Loose,
}

/// A list of up to so many records is written record by record.
const WHOLE: usize = 4;
/// A list of up to so many plain values is written in full: a command line has
/// that many arguments.
const PLAIN: usize = 32;
/// A list of up to so many records is named in full.
const SHORT: usize = 12;
/// Of a longer one, this many elements stand for it.
const SOME: usize = 8;
/// A longer text is demanded by its digest.
const MAX_TEXT: usize = 1000;
/// Records lie no deeper in one another than this.
const MAX_DEPTH: usize = 4;
/// Fields of records in lists that each build or each reader makes anew.
const NOISE: [&str; 6] = ["layer", "uuid", "offset", "index", "position", "created"];

/// Stands for a list that is written as it is, matchers in it.
const EXACTLY: &str = "";
/// Where a program is looked at alone, what it needs is elsewhere; that it is
/// not found is nothing to demand.
const FOUND: [&str; 2] = ["resolves", "libraries-resolve"];

/// Gives the demands on a record, by field; of the fields that are named, or of
/// all. Nothing is demanded of what is absent.
pub fn of_record(
    record: &Record,
    seen: &Value,
    fields: &[&str],
    strictness: Strictness,
) -> Map<String, Value> {
    let all = record.fields.iter().map(|field| field.name.as_str());
    let chosen: Vec<&str> = match fields {
        [] => all.collect(),
        named => named.to_vec(),
    };
    let demand = |name: &str| {
        let field = record.field(name)?;
        let demand = of_field(field, seen.get(name)?, strictness, 0)?;
        Some((name.to_owned(), demand))
    };
    chosen.into_iter().filter_map(demand).collect()
}

fn of_field(field: &Field, seen: &Value, strictness: Strictness, depth: usize) -> Option<Value> {
    let unfound = FOUND.contains(&field.name.as_str()) && *seen == Value::Bool(false);
    if field.volatile || seen.is_null() || unfound {
        return None;
    }
    let shape = field.shape.required();
    if strictness == Strictness::Loose {
        match (shape, seen) {
            (Shape::Text(_), Value::String(text)) if is_version(&field.name) => {
                return Some(
                    range(text).map_or_else(|| seen.clone(), |range| json!({"semver": range})),
                );
            }
            (Shape::Text(_), Value::String(text)) if is_digest(text) => return None,
            _ => {}
        }
    }
    value(shape, seen, strictness, depth)
}

/// Gives the demand on a value; `None` where there is none to make.
fn value(shape: &Shape, seen: &Value, strictness: Strictness, depth: usize) -> Option<Value> {
    if depth > MAX_DEPTH {
        return None;
    }
    match shape.required() {
        Shape::Bool | Shape::Enum(_) => Some(seen.clone()),
        Shape::Number(Unit::Seconds) => None,
        Shape::Number(Unit::Bytes) => match (strictness, seen.as_u64()) {
            (Strictness::Loose, Some(bytes)) => Some(around(bytes)),
            _ => Some(seen.clone()),
        },
        Shape::Number(Unit::None) => match (strictness, seen.as_u64()) {
            // A count of few is meant; one of many is as it happens to be.
            (Strictness::Loose, Some(count)) if count > SHORT as u64 => {
                Some(json!({"ge": count / 10 * 9}))
            }
            _ => Some(seen.clone()),
        },
        Shape::Text(_) => text(seen.as_str()?, strictness),
        Shape::Any => match seen {
            Value::String(seen) => text(seen, strictness),
            Value::Bool(_) | Value::Number(_) => Some(seen.clone()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        },
        Shape::Record(record) => some(Value::Object(whole(record, seen, strictness, depth))),
        Shape::Map(of, _) => map(of, seen, strictness, depth),
        Shape::List(of) => list(of.required(), seen.as_array()?, strictness, depth),
        Shape::Optional(_) => None,
    }
}

fn text(seen: &str, strictness: Strictness) -> Option<Value> {
    if seen.len() <= MAX_TEXT && !seen.trim_end_matches('\n').contains('\n') {
        return Some(seen.into());
    }
    let digest = Sha256Digest::of(seen.as_bytes()).to_string();
    (strictness == Strictness::Exact).then(|| json!({"sha256": digest}))
}

/// Gives the demands on every field of a record that says something.
fn whole(
    record: &Record,
    seen: &Value,
    strictness: Strictness,
    depth: usize,
) -> Map<String, Value> {
    // The size of a directory is that of its list of names, and each file system has its own.
    let directory = seen.get("type").is_some_and(|kind| kind == "directory");
    let noise = |name: &str| NOISE.contains(&name) || directory && name == "size";
    let demand = |field: &Field| {
        let seen = seen.get(&field.name).filter(|_| !noise(&field.name))?;
        let demand = of_field(field, seen, strictness, depth + 1)?;
        Some((field.name.clone(), demand))
    };
    record.fields.iter().filter_map(demand).collect()
}

/// Free keys are fields where they are no operator's name and hold no
/// expression, which a key must not.
fn map(of: &Shape, seen: &Value, strictness: Strictness, depth: usize) -> Option<Value> {
    let seen = seen.as_object().filter(|map| map.len() <= SHORT)?;
    let plain = |key: &str| {
        OPERATORS.iter().all(|operator| operator.name != key)
            && !key.contains("${{")
            && !key.is_empty()
    };
    let demand = |(key, seen): (&String, &Value)| {
        let demand = value(of, seen, strictness, depth + 1)?;
        plain(key).then(|| (key.clone(), demand))
    };
    some(Value::Object(seen.iter().filter_map(demand).collect()))
}

fn list(of: &Shape, seen: &[Value], strictness: Strictness, depth: usize) -> Option<Value> {
    if seen.is_empty() {
        return Some(json!({"len": 0}));
    }
    let mut demands = Map::new();
    match of {
        Shape::Record(record) => records(record, seen, strictness, depth, &mut demands),
        _ => {
            let plain = |seen: &Value| value(of, seen, Strictness::Exact, depth + 1);
            let plain = |list: &[Value]| list.iter().map(plain).collect::<Option<Vec<_>>>();
            match plain(seen.get(..PLAIN.min(seen.len())).unwrap_or_default()) {
                Some(all) if seen.len() <= PLAIN && strictness == Strictness::Exact => {
                    return Some(Value::Array(all));
                }
                Some(all) if seen.len() <= PLAIN => {
                    demands.insert("contain".to_owned(), Value::Array(all));
                }
                Some(mut some) => {
                    some.truncate(SOME);
                    demands.insert("len".to_owned(), length(seen.len(), strictness));
                    demands.insert("contain".to_owned(), Value::Array(some));
                }
                None => {
                    demands.insert("len".to_owned(), length(seen.len(), strictness));
                }
            }
        }
    }
    match demands.remove(EXACTLY) {
        Some(all) => Some(all),
        None => some(Value::Object(demands)),
    }
}

fn records(
    record: &Record,
    seen: &[Value],
    strictness: Strictness,
    depth: usize,
    demands: &mut Map<String, Value>,
) {
    let key = record.key.as_deref();
    let keys = key.and_then(|key| keys(key, seen)).filter(|keys| {
        let digest = |key: &Value| key.as_str().is_some_and(is_digest);
        strictness == Strictness::Exact || !keys.iter().any(digest)
    });
    if seen.len() <= WHOLE {
        let all = seen
            .iter()
            .map(|seen| whole(record, seen, strictness, depth));
        let all: Vec<Value> = all.map(Value::Object).collect();
        if all.iter().all(|demand| some(demand.clone()).is_some()) {
            // In this order where nothing tells them apart.
            match keys {
                Some(_) => demands.insert("contain-only".to_owned(), Value::Array(all)),
                None => demands.insert(EXACTLY.to_owned(), Value::Array(all)),
            };
            return;
        }
    }
    match keys {
        Some(keys) if keys.len() <= SHORT => {
            demands.insert("contain-only".to_owned(), Value::Array(keys));
        }
        Some(_) => {
            demands.insert("len".to_owned(), length(seen.len(), strictness));
            let key = key.unwrap_or_default();
            demands.insert("contain".to_owned(), Value::Array(notable(key, seen)));
        }
        None => {
            demands.insert("len".to_owned(), length(seen.len(), strictness));
        }
    }
    let common = common(record, seen, 0);
    if !common.is_empty() {
        demands.insert("every".to_owned(), Value::Object(common));
    }
}

/// Gives the keys of records, where each has its own.
fn keys(key: &str, seen: &[Value]) -> Option<Vec<Value>> {
    let keys: Option<Vec<Value>> = seen.iter().map(|seen| seen.get(key).cloned()).collect();
    let keys = keys?;
    let different: BTreeSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    (different.len() == seen.len()).then_some(keys)
}

/// Gives the keys of some records, of files rather than of directories.
fn notable(key: &str, seen: &[Value]) -> Vec<Value> {
    let file = |seen: &&Value| seen.get("type").is_none_or(|kind| kind == "file");
    let files: Vec<&Value> = seen.iter().filter(file).collect();
    let from = if files.is_empty() {
        seen.iter().collect()
    } else {
        files
    };
    let step = from.len().div_ceil(SOME).max(1);
    from.iter()
        .step_by(step)
        .filter_map(|seen| seen.get(key).cloned())
        .collect()
}

/// Gives the plain fields that are the same in all records.
fn common(record: &Record, seen: &[Value], depth: usize) -> Map<String, Value> {
    let own = |field: &&Field| {
        let key = record.key.as_deref() == Some(field.name.as_str());
        let name = field.name.as_str();
        let unfound = FOUND.contains(&name)
            && seen
                .iter()
                .any(|seen| seen.get(name) == Some(&Value::Bool(false)));
        !key && !unfound && !field.volatile && !NOISE.contains(&field.name.as_str())
    };
    let demand = |field: &Field| {
        let mut values = seen.iter().map(|seen| seen.get(&field.name));
        let first = values.next()??;
        let demand = match field.shape.required() {
            Shape::Bool | Shape::Enum(_) | Shape::Text(_) | Shape::Number(Unit::None) => {
                let same = values.all(|value| value == Some(first)) && !first.is_null();
                same.then(|| first.clone())?
            }
            Shape::Record(inner) if depth < MAX_DEPTH => {
                let all = seen.iter().map(|seen| seen.get(&field.name).cloned());
                let all: Vec<Value> = all.collect::<Option<_>>()?;
                some(Value::Object(common(inner, &all, depth + 1)))?
            }
            Shape::Record(_)
            | Shape::Any
            | Shape::Number(_)
            | Shape::List(_)
            | Shape::Map(..)
            | Shape::Optional(_) => return None,
        };
        Some((field.name.clone(), demand))
    };
    record
        .fields
        .iter()
        .filter(own)
        .filter_map(demand)
        .collect()
}

fn length(count: usize, strictness: Strictness) -> Value {
    match strictness {
        Strictness::Exact => count.into(),
        Strictness::Loose => json!({"ge": count / 10 * 9}),
    }
}

/// Gives bounds a quarter below and above a size, as people write them. Sizes
/// of pages and sectors are what they are.
fn around(bytes: u64) -> Value {
    if bytes == 0 || bytes <= 64 << 10 && bytes.is_power_of_two() {
        return bytes.into();
    }
    let unit = [("MiB", 20), ("KiB", 10)];
    let unit = unit.iter().find(|(_, shift)| bytes >> shift >= 4);
    let (low, high) = (bytes - bytes / 4, bytes.saturating_add(bytes / 4));
    match unit {
        Some((name, shift)) => {
            let high = high.div_ceil(1 << shift);
            json!({"between": [format!("{} {name}", low >> shift), format!("{high} {name}")]})
        }
        None => json!({"between": [low, high]}),
    }
}

fn is_version(name: &str) -> bool {
    name == "version" || name.ends_with("-version")
}

/// Tells digests and other long numbers that change with every byte.
fn is_digest(text: &str) -> bool {
    let digits = text.trim_start_matches("sha256:");
    digits.len() >= 40 && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Gives the range of a version: from this minor version up to the next major
/// one. `None` of what is no version, or an early one, which no range covers.
fn range(version: &str) -> Option<String> {
    let bare = version.trim().trim_start_matches('v');
    let (core, rest) = bare.split_at(bare.find(['-', '+']).unwrap_or(bare.len()));
    let numbers: Option<Vec<u64>> = core.split('.').map(|part| part.parse().ok()).collect();
    let early = rest.trim_start_matches('-').to_lowercase();
    let early = [
        "alpha", "beta", "rc", "pre", "dev", "nightly", "snapshot", "canary", "unstable",
    ]
    .iter()
    .any(|word| early.starts_with(word));
    match numbers?.as_slice() {
        [major, minor, ..] if !early => {
            Some(format!(">={major}.{minor}, <{}", major.checked_add(1)?))
        }
        _ => None,
    }
}

/// Drops what demands nothing.
fn some(demand: Value) -> Option<Value> {
    match &demand {
        Value::Object(map) if map.is_empty() => None,
        Value::Null => None,
        Value::Object(_)
        | Value::Array(_)
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_) => Some(demand),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check;

    fn demands(kind: &str, seen: Value, strictness: Strictness) -> Value {
        let kind = check::find(kind).unwrap();
        let Shape::Record(record) = kind.evidence() else {
            panic!("evidence is a record")
        };
        Value::Object(of_record(record, &seen, kind.describes(), strictness))
    }

    #[test]
    fn plain_values_are_demanded_as_they_are_and_loosely() {
        let seen = json!({
            "format": "zboot", "arch": "arm64", "compression": "zstd",
            "version": "6.18.38-talos", "banner": "Linux version …", "pe-machine": null,
            "size": 1, "decoded-size": 2, "page-size": 4096, "big-endian": false,
        });
        let exact = demands("kernel", seen.clone(), Strictness::Exact);
        assert_eq!(exact["version"], "6.18.38-talos");
        assert_eq!(exact["page-size"], 4096);
        assert!(exact.get("pe-machine").is_none());
        let loose = demands("kernel", seen, Strictness::Loose);
        assert_eq!(loose["version"], json!({"semver": ">=6.18, <7"}));
        assert_eq!(loose["page-size"], 4096);
    }

    #[test]
    fn a_long_list_is_demanded_by_what_its_elements_have_in_common() {
        let file = |n: usize| {
            json!({
                "path": format!("usr/bin/{n}"), "layer": "rootfs.sqsh", "machine": "aarch64",
                "class": 64, "type": if n == 0 { "exec" } else { "dyn" }, "linking": "dynamic",
                "static": false, "interpreter": {"path": null, "resolves": true},
                "needed": [], "libraries-resolve": true, "soname": null, "size": n, "mode": "0755",
                "damaged": null,
            })
        };
        let files: Vec<Value> = (0..20).map(file).collect();
        let exact = demands(
            "elf",
            json!({"count": 20, "files": files}),
            Strictness::Exact,
        );
        assert_eq!(exact["count"], 20);
        assert_eq!(exact["files"]["len"], 20);
        assert_eq!(
            exact["files"]["every"],
            json!({
                "machine": "aarch64", "class": 64, "linking": "dynamic", "static": false,
                "interpreter": {"resolves": true}, "libraries-resolve": true, "mode": "0755",
            })
        );
        assert_eq!(exact["files"]["contain"][1], "usr/bin/3");
        let none = demands("elf", json!({"count": 0, "files": []}), Strictness::Exact);
        assert_eq!(none, json!({"count": 0, "files": {"len": 0}}));
    }

    #[test]
    fn bounds_and_ranges_hold_of_what_they_were_made_from() {
        assert_eq!(around(512), json!(512));
        assert_eq!(around(0), json!(0));
        assert_eq!(around(1000), json!({"between": [750, 1250]}));
        assert_eq!(around(10 << 20), json!({"between": ["7 MiB", "13 MiB"]}));
        assert_eq!(range("v0.25.1").as_deref(), Some(">=0.25, <1"));
        assert_eq!(range("1.14.0-rc.1"), None);
        assert_eq!(range("unknown"), None);
    }
}
