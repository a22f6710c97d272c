//! `docs/schema/spec.schema.json` is what `tdg schema` prints, takes every good spec and refuses
//! what is misspelt.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use regex::Regex;
use serde_json::Value;
use tdg::spec::{Diagnostics, Sources, document};

use super::{current, root};

fn printed() -> String {
    let tdg = env!("CARGO_BIN_EXE_tdg");
    let output = Command::new(tdg).arg("schema").output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_schema_is_current() {
    current("docs/schema/spec.schema.json", &printed());
}

#[test]
fn the_schema_takes_every_good_spec_and_refuses_what_is_misspelt() {
    let schema: Value = serde_json::from_str(&printed()).unwrap();
    let valid = |path: &Path| {
        let mut diagnostics = Diagnostics::default();
        let text = fs::read_to_string(path).unwrap();
        let source = Sources::default().add(path, text.as_str());
        let node = document::parse(source, &text, &mut diagnostics).unwrap();
        assert!(diagnostics.is_empty(), "{}", path.display());
        takes(&schema, &schema, &node.to_value())
    };
    let folders = ["specs", "fixtures/demo/specs"];
    let walk = folders.map(|f| walkdir::WalkDir::new(root().join(f)));
    let files = walk.into_iter().flatten().map(|e| e.unwrap().into_path());
    let good: Vec<PathBuf> = files
        .filter(|f| f.extension().is_some_and(|e| e == "yaml"))
        .collect();
    assert!(good.len() >= 5, "{good:?}");
    for path in good {
        assert!(valid(&path), "{} is refused", path.display());
    }
    for name in [
        "check-key-misspelt",
        "check-kind-unknown",
        "check-two-kinds",
        "check-without-kind",
        "check-demands-nothing",
        "expect-field-unknown",
        "expect-number-is-text",
        "expect-word-not-of-the-list",
        "file-checks-empty",
        "file-key-unknown",
        "kind-argument-unknown",
        "kind-argument-missing",
        "kind-takes-no-argument",
        "matrix-without-rows",
        "operator-unknown",
        "operator-order-of-text",
        "operator-contain-unknown-field",
    ] {
        let path = root().join(format!("fixtures/specs/bad/{name}.yaml"));
        assert!(!valid(&path), "{name} is taken");
    }
}

/// Validates by the words of JSON Schema that the schema uses; any other is a mistake here.
fn takes(root: &Value, schema: &Value, value: &Value) -> bool {
    let words = match schema {
        Value::Bool(taken) => return *taken,
        Value::Object(words) => words,
        _ => panic!("{schema} is no schema"),
    };
    words.iter().all(|(word, of)| {
        let all = || of.as_array().unwrap().iter();
        let taken = |schema: &Value| takes(root, schema, value);
        match word.as_str() {
            "$schema" | "title" | "description" | "definitions" | "then" => true,
            "$ref" => {
                let path = of.as_str().unwrap().trim_start_matches('#');
                taken(root.pointer(&path.replace("%20", " ")).unwrap())
            }
            "type" => match of {
                Value::String(name) => is(value, name),
                _ => all().any(|name| is(value, name.as_str().unwrap())),
            },
            "enum" => all().any(|v| v == value),
            "anyOf" => all().any(taken),
            "allOf" => all().all(taken),
            "oneOf" => all().filter(|s| taken(s)).count() == 1,
            "not" => !taken(of),
            "if" => !taken(of) || taken(&schema["then"]),
            "pattern" => {
                let pattern = Regex::new(of.as_str().unwrap()).unwrap();
                value.as_str().is_none_or(|text| pattern.is_match(text))
            }
            "required" => {
                let has = |map: &serde_json::Map<_, _>| {
                    all().all(|name| map.contains_key(name.as_str().unwrap()))
                };
                value.as_object().is_none_or(has)
            }
            "properties" => value.as_object().is_none_or(|map| {
                let mut known = map.iter().filter_map(|(k, v)| Some((of.get(k)?, v)));
                known.all(|(schema, v)| takes(root, schema, v))
            }),
            "additionalProperties" => value.as_object().is_none_or(|map| {
                let named = |name: &str| {
                    schema
                        .get("properties")
                        .is_some_and(|p| p.get(name).is_some())
                };
                let mut rest = map.iter().filter(|(name, _)| !named(name));
                rest.all(|(_, v)| takes(root, of, v))
            }),
            "items" => value
                .as_array()
                .is_none_or(|items| items.iter().all(|v| takes(root, of, v))),
            "minItems" => size(value.as_array().map(Vec::len), |n| {
                n >= of.as_u64().unwrap()
            }),
            "maxItems" => size(value.as_array().map(Vec::len), |n| {
                n <= of.as_u64().unwrap()
            }),
            "minProperties" => {
                let len = value.as_object().map(serde_json::Map::len);
                size(len, |n| n >= of.as_u64().unwrap())
            }
            other => panic!("the schema uses `{other}`, which is not looked at here"),
        }
    })
}

fn size(len: Option<usize>, fits: impl Fn(u64) -> bool) -> bool {
    len.is_none_or(|n| fits(n as u64))
}

fn is(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type `{other}`"),
    }
}
