//! Specs as text: YAML that reads back as what it was made from.

use std::fmt::Write as _;

use serde_json::Map;

use crate::model::value::Value;
use crate::spec::Diagnostics;
use crate::spec::document::{self, NodeKind};

/// A value is written on one line up to so many characters.
const WIDTH: usize = 88;

/// Writes a map below a line that ends with its key, at an indentation.
pub(super) fn map(out: &mut String, map: &Map<String, Value>, indent: usize) {
    for (key, value) in map {
        entry(out, key, value, indent);
    }
}

/// Writes a key and a text whose expressions are meant.
pub(super) fn expression(out: &mut String, key: &str, text: &str, indent: usize) {
    let text = if is_plain(text) {
        text.to_owned()
    } else {
        quoted(text)
    };
    let _ = writeln!(out, "{}{key}: {text}", " ".repeat(indent));
}

/// Writes a key and its value.
pub(super) fn entry(out: &mut String, key: &str, value: &Value, indent: usize) {
    let margin = " ".repeat(indent);
    let key = scalar(&Value::String(key.to_owned()));
    let line = flow(value);
    let short = indent + key.len() + line.len() + 2 <= WIDTH;
    match value {
        Value::Object(inner) if !short && !inner.is_empty() => {
            let _ = writeln!(out, "{margin}{key}:");
            map(out, inner, indent + 2);
        }
        Value::Array(items) if !short && !items.is_empty() => {
            let _ = writeln!(out, "{margin}{key}:");
            items.iter().for_each(|item| element(out, item, indent + 2));
        }
        _ => {
            let _ = writeln!(out, "{margin}{key}: {line}");
        }
    }
}

/// Writes an element of a list, the dash at an indentation.
fn element(out: &mut String, item: &Value, indent: usize) {
    let margin = " ".repeat(indent);
    let line = flow(item);
    match item {
        Value::Object(inner) if indent + line.len() + 2 > WIDTH && !inner.is_empty() => {
            let mut lines = String::new();
            map(&mut lines, inner, indent + 2);
            let dashed = lines.replacen(&format!("{margin}  "), &format!("{margin}- "), 1);
            out.push_str(&dashed);
        }
        _ => {
            let _ = writeln!(out, "{margin}- {line}");
        }
    }
}

/// Writes a value on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(flow).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(map) if map.is_empty() => "{}".to_owned(),
        Value::Object(map) => {
            let entry = |(key, value): (&String, &Value)| {
                format!("{}: {}", scalar(&Value::String(key.clone())), flow(value))
            };
            let entries: Vec<String> = map.iter().map(entry).collect();
            format!("{{ {} }}", entries.join(", "))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => scalar(value),
    }
}

/// Writes a plain value, in quotes wherever it could be read as something else.
pub(super) fn scalar(value: &Value) -> String {
    let Value::String(text) = value else {
        return value.to_string();
    };
    let text = literal(text);
    if is_plain(&text) { text } else { quoted(&text) }
}

/// Gives a text in which nothing is an expression, and which stands for the
/// text itself: what a stranger's image says must not become a part of the spec.
#[must_use]
pub fn literal(text: &str) -> String {
    text.replace("${{", "${{ '$' }}{{")
}

/// Tells whether a text may stand without quotes, here and in `[…]`.
fn is_plain(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "_./+ -".contains(c);
    let first = |c: char| c.is_ascii_alphanumeric() || "_./".contains(c);
    if text.len() > WIDTH
        || !text.starts_with(first)
        || text.ends_with(' ')
        || !text.chars().all(inner)
    {
        return false;
    }
    let mut quiet = Diagnostics::default();
    let read = document::parse(crate::model::SourceId::default(), text, &mut quiet);
    let same = |node: document::Node| node.kind == NodeKind::Text(text.to_owned());
    quiet.is_empty() && read.is_some_and(same)
}

/// Writes a text in double quotes (YAML 1.2.2, section 5.7).
fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for c in text.chars() {
        let number = u32::from(c);
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            ' '..='~' => out.push(c),
            // Letters of any script; what could hide or reorder others is written as a number.
            _ if c.is_alphanumeric() => out.push(c),
            _ if number > 0xffff => {
                let _ = write!(out, "\\U{number:08x}");
            }
            _ => {
                let _ = write!(out, "\\u{number:04x}");
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(text: &str) -> Value {
        let mut wrong = Diagnostics::default();
        let node = document::parse(crate::model::SourceId::default(), text, &mut wrong);
        assert!(wrong.is_empty(), "{text}: {:?}", wrong.sorted());
        node.unwrap().to_value()
    }

    #[test]
    fn what_is_written_is_read_as_it_was() {
        let long = "x".repeat(200);
        let value = json!({
            "plain": "usr/bin/env", "number": "0755", "true": true, "yes": "yes", "null": "null",
            "float": "1.10", "colon": "a: b", "hash": "a #b", "dash": "- a", "quote": "\"'\\",
            "lines": "a\nb\n", "escape": "\u{1b}[31m", "turned": "a\u{202e}b", "umlaut": "grüße 日本",
            "mark": "\u{feff}\u{2028}\u{85}", "far": "😀", "empty": "", "space": " a ", "star": "*",
            "list": [1, "two", [], {}, { "three": null }],
            "long": { "a": long, "b": [long, "c, d", "{e}"], "f": { "g": "h" } },
            "at": "@x", "percent": "%x", "tilde": "~", "merge": "<<", "document": "---",
        });
        let mut out = String::new();
        map(&mut out, value.as_object().unwrap(), 0);
        assert_eq!(read(&out), value, "{out}");
        assert!(out.contains("plain: usr/bin/env\n"), "{out}");
    }

    #[test]
    fn an_expression_stays_a_text() {
        use crate::spec::vars::{Scope, substitute};
        let text = "a ${{ env.HOME }} ${{";
        let mut out = String::new();
        entry(&mut out, "key", &json!(text), 0);
        let mut wrong = Diagnostics::default();
        let node = document::parse(crate::model::SourceId::default(), &out, &mut wrong).unwrap();
        let node = substitute(&node, &Scope::default(), &mut wrong);
        assert!(wrong.is_empty(), "{out}: {:?}", wrong.sorted());
        assert_eq!(node.to_value(), json!({ "key": text }));
    }
}
