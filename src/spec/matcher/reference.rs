//! `same-as`: equal to what another check of the file saw.

use super::parse::{Operator, Reading};
use super::{At, Finding, Judge, Matcher, equality, finding, nothing};
use crate::model::Span;
use crate::model::value::Value;
use crate::spec::diagnostic::Diagnostic;
use crate::spec::document::Entry;

pub(super) static SAME_AS: Operator = Operator {
    name: "same-as",
    doc: "equals what another check saw: `id.field`, or `id[variant=x].field` of another row",
    example: "same-as: kernel.sha256",
    fits: |_| true,
    parse: read,
};

/// Names a value in the evidence of another check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The other check's `id`.
    pub check: String,
    /// Matrix values its row must have; empty for the row of the check that asks.
    pub row: Vec<(String, String)>,
    /// The path into its evidence; empty for the whole.
    pub path: String,
    /// Where the reference stands.
    pub span: Span,
}

fn read(entry: &Entry, _: &crate::model::Shape, reading: &mut Reading<'_>) -> Option<Matcher> {
    let parsed = entry
        .value
        .as_text()
        .and_then(|text| parse_reference(text, entry.value.span));
    match parsed {
        Some(reference) => Some(Box::new(SameAs { reference })),
        None => reading.refuse(
            Diagnostic::new(
                entry.value.span,
                "`same-as` names another check and its field",
            )
            .help("write `same-as: id.field`, or `same-as: id[variant=x].field`"),
        ),
    }
}

fn parse_reference(text: &str, span: Span) -> Option<Reference> {
    let head = text.find(['.', '[']).unwrap_or(text.len());
    let (check, rest) = text.split_at(head);
    let (row, path) = match rest.strip_prefix('[') {
        Some(rest) => {
            let (row, path) = rest.split_once(']')?;
            let pairs: Option<Vec<(String, String)>> = row
                .split(',')
                .map(|pair| {
                    let (k, v) = pair.split_once('=')?;
                    Some((k.trim().to_owned(), v.trim().to_owned()))
                })
                .collect();
            (pairs?, path)
        }
        None => (Vec::new(), rest),
    };
    (!check.is_empty()).then(|| Reference {
        check: check.to_owned(),
        row,
        path: path.trim_start_matches('.').to_owned(),
        span,
    })
}

#[derive(Debug)]
struct SameAs {
    reference: Reference,
}

impl Judge for SameAs {
    fn judge(&self, seen: &Value, at: &At<'_>, findings: &mut Vec<Finding>) {
        match at.lookup.find(&self.reference) {
            Ok(Value::Null) if seen.is_null() => {
                let note = "there is nothing on either side";
                findings.push(nothing(self, seen, at, self.reference.span, note));
            }
            Ok(other) if equality::same(seen, &other) => {}
            Ok(other) => {
                let mut finding = finding(self, seen, at, self.reference.span);
                finding.mismatch.expected = format!(
                    "{}: {}",
                    self.explain(),
                    crate::model::value::show(&other, 400)
                );
                findings.push(finding);
            }
            Err(why) => findings.push(nothing(self, seen, at, self.reference.span, &why)),
        }
    }

    fn explain(&self) -> String {
        let Reference {
            check, row, path, ..
        } = &self.reference;
        let row: Vec<String> = row.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let row = if row.is_empty() {
            String::new()
        } else {
            format!("[{}]", row.join(","))
        };
        let dot = if path.is_empty() { "" } else { "." };
        format!("the same as {check}{row}{dot}{path}")
    }

    fn references<'s>(&'s self, out: &mut Vec<&'s Reference>) {
        out.push(&self.reference);
    }
}
