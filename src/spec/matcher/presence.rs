//! `present` and `absent`.

use super::parse::{Operator, Reading};
use super::{At, Finding, Judge, Matcher, finding};
use crate::model::Span;
use crate::model::shape::Shape;
use crate::model::value::Value;
use crate::spec::diagnostic::Diagnostic;
use crate::spec::document::{Entry, NodeKind};

pub(super) static PRESENT: Operator = Operator {
    name: "present",
    doc: "is there at all (`false`: is not)",
    example: "present: true",
    fits: may_be_missing,
    parse: |entry, _, reading| read(entry, true, reading),
};

pub(super) static ABSENT: Operator = Operator {
    name: "absent",
    doc: "is not there (`false`: is)",
    example: "absent: true",
    fits: may_be_missing,
    parse: |entry, _, reading| read(entry, false, reading),
};

fn may_be_missing(shape: &Shape) -> bool {
    matches!(shape, Shape::Optional(_) | Shape::Any)
}

fn read(entry: &Entry, yes: bool, reading: &mut Reading<'_>) -> Option<Matcher> {
    match entry.value.kind {
        NodeKind::Bool(wanted) => Some(Box::new(Presence {
            wanted: wanted == yes,
            span: entry.value.span,
        })),
        _ => reading.refuse(
            Diagnostic::new(
                entry.value.span,
                format!("`{}` is true or false", entry.key),
            )
            .label(format!("this is {}", entry.value.describe())),
        ),
    }
}

/// Demands that nothing is there, as `null` in a spec does.
pub(super) fn absent(span: Span) -> Option<Matcher> {
    Some(Box::new(Presence {
        wanted: false,
        span,
    }))
}

#[derive(Debug)]
struct Presence {
    wanted: bool,
    span: Span,
}

impl Judge for Presence {
    fn asks_presence(&self) -> bool {
        true
    }

    fn judge(&self, seen: &Value, at: &At<'_>, findings: &mut Vec<Finding>) {
        if seen.is_null() == self.wanted {
            findings.push(finding(self, seen, at, self.span));
        }
    }

    fn explain(&self) -> String {
        if self.wanted { "present" } else { "absent" }.to_owned()
    }
}
