//! Fields of records, the key of a record, and several demands at once.

use super::parse::Reading;
use super::{At, Finding, Judge, Matcher, Reference, equality, nothing};
use crate::model::Span;
use crate::model::shape::Record;
use crate::model::value::{Value, type_name};
use crate::spec::document::Node;

/// Demands something of one field.
pub(super) fn field(name: &str, inner: Matcher, span: Span) -> Matcher {
    Box::new(FieldIs {
        name: name.to_owned(),
        inner,
        span,
    })
}

/// Reads a plain text as a demand on the field that stands for the record: its path or its name.
pub(super) fn by_key(node: &Node, record: &Record, reading: &mut Reading<'_>) -> Option<Matcher> {
    let key = record.key.as_ref().and_then(|k| record.field(k))?;
    let inner = equality::literal(node, &key.shape, reading)?;
    Some(field(&key.name, inner, node.span))
}

/// Demands all of several things.
pub(super) fn all(mut parts: Vec<Matcher>) -> Matcher {
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => Box::new(All { parts }),
    }
}

#[derive(Debug)]
struct FieldIs {
    name: String,
    inner: Matcher,
    span: Span,
}

impl Judge for FieldIs {
    fn judge(&self, seen: &Value, at: &At<'_>, findings: &mut Vec<Finding>) {
        match seen {
            // A key a document does not have is nothing: `absent` holds of it.
            Value::Object(map) => {
                let before = findings.len();
                let value = map.get(&self.name);
                let here = at.field(&self.name);
                self.inner
                    .judge(value.unwrap_or(&Value::Null), &here, findings);
                // A key that is not there may be misspelt: what follows from its absence is
                // nothing that `not` or `none` could turn into a pass.
                if value.is_none() && !self.inner.asks_presence() {
                    for f in findings.iter_mut().skip(before) {
                        f.vacuous = true;
                    }
                }
            }
            Value::Null => {
                let note = format!("there is nothing here, so no `{}`", self.name);
                findings.push(nothing(self, seen, at, self.span, &note));
            }
            other => {
                let note = format!("{} has no field `{}`", type_name(other), self.name);
                findings.push(nothing(self, seen, at, self.span, &note));
            }
        }
    }

    fn explain(&self) -> String {
        // The key of a record needs no name: "contain init", not "contain path init".
        if matches!(self.name.as_str(), "path" | "name") {
            self.inner.explain()
        } else {
            format!("{} {}", self.name, self.inner.explain())
        }
    }

    fn holds(&self, seen: &Value, at: &At<'_>) -> bool {
        match seen {
            Value::Object(map) => {
                let value = map.get(&self.name).unwrap_or(&Value::Null);
                self.inner.holds(value, &at.field(&self.name))
            }
            _ => false,
        }
    }

    fn fields(&self, fields: &mut Vec<String>) -> bool {
        fields.push(self.name.clone());
        true
    }

    fn references<'s>(&'s self, out: &mut Vec<&'s Reference>) {
        self.inner.references(out);
    }
}

#[derive(Debug)]
struct All {
    parts: Vec<Matcher>,
}

impl Judge for All {
    fn asks_presence(&self) -> bool {
        self.parts.iter().any(|p| p.asks_presence())
    }

    fn judge(&self, seen: &Value, at: &At<'_>, findings: &mut Vec<Finding>) {
        self.parts.iter().for_each(|p| p.judge(seen, at, findings));
    }

    fn explain(&self) -> String {
        let parts: Vec<String> = self.parts.iter().map(|p| p.explain()).collect();
        parts.join(" and ")
    }

    fn holds(&self, seen: &Value, at: &At<'_>) -> bool {
        self.parts.iter().all(|p| p.holds(seen, at))
    }

    fn fields(&self, fields: &mut Vec<String>) -> bool {
        self.parts.iter().all(|p| p.fields(fields))
    }

    fn references<'s>(&'s self, out: &mut Vec<&'s Reference>) {
        self.parts.iter().for_each(|p| p.references(out));
    }
}
