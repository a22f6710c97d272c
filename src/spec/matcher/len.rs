//! `len`: how many elements a list has, or characters a text.

use super::parse::{Operator, parse};
use super::{At, Finding, Judge, Matcher, Reference, nothing};
use crate::model::Span;
use crate::model::path::printable;
use crate::model::shape::{Shape, Unit};
use crate::model::value::{Value, clip, type_name};

pub(super) static LEN: Operator = Operator {
    name: "len",
    doc: "has this many elements, or characters",
    example: "len: { ge: 2 }",
    fits: |s| {
        matches!(
            s,
            Shape::List(_) | Shape::Map(..) | Shape::Text(_) | Shape::Any
        )
    },
    parse: |entry, _, reading| {
        let inner = parse(&entry.value, &Shape::Number(Unit::None), reading)?;
        Some(Box::new(Len {
            inner,
            span: entry.key_span,
        }))
    },
};

#[derive(Debug)]
struct Len {
    inner: Matcher,
    span: Span,
}

impl Judge for Len {
    fn judge(&self, seen: &Value, at: &At<'_>, findings: &mut Vec<Finding>) {
        let len = match seen {
            Value::Array(items) => items.len(),
            Value::Object(map) => map.len(),
            Value::String(text) => text.chars().count(),
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                let note = format!("{} has no length", type_name(seen));
                return findings.push(nothing(self, seen, at, self.span, &note));
            }
        };
        let before = findings.len();
        self.inner
            .judge(&Value::from(len), &at.field("len"), findings);
        // A number alone says nothing of what is there and should not be.
        if let Value::Array(items) = seen
            && let Some(note) = named(items)
        {
            for finding in findings.iter_mut().skip(before) {
                finding.mismatch.note.get_or_insert_with(|| note.clone());
            }
        }
    }

    fn explain(&self) -> String {
        format!("length {}", self.inner.explain())
    }

    fn references<'s>(&'s self, out: &mut Vec<&'s Reference>) {
        self.inner.references(out);
    }
}

/// Says what some elements are, the first few of them; nothing where there is none.
fn named(items: &[Value]) -> Option<String> {
    const SHOWN: usize = 5;
    const LONG: usize = 240;
    let shown = items
        .iter()
        .take(SHOWN)
        .map(|item| clip(&described(item), LONG));
    let shown: Vec<String> = shown.collect();
    let more = match items.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    (!shown.is_empty()).then(|| format!("there is {}{more}", shown.join(", ")))
}

/// Writes an element: a text as it is, a record with the fields that say something.
fn described(item: &Value) -> String {
    let Value::Object(map) = item else {
        return match item {
            Value::String(text) => printable(text),
            other => other.to_string(),
        };
    };
    let says = |value: &Value| match value {
        Value::Null => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(map) => !map.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    };
    let fields = map.iter().filter(|(_, value)| says(value));
    let fields = fields.map(|(name, value)| format!("{name}: {}", described(value)));
    format!("{{ {} }}", fields.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_there_is_named_and_long_lists_are_cut() {
        assert_eq!(named(&[]), None);
        let files = [json!({"path": "a\u{1b}", "target": null, "mode": "0644", "of": []})];
        assert_eq!(
            named(&files).unwrap(),
            "there is { path: a\\u{1b}, mode: 0644 }"
        );
        let many: Vec<Value> = (0..9).map(|n| json!(format!("n{n}"))).collect();
        assert_eq!(
            named(&many).unwrap(),
            "there is n0, n1, n2, n3, n4, and 4 more"
        );
        assert!(named(&[json!("x".repeat(5000))]).unwrap().len() < 300);
    }
}
