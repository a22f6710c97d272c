//! `gt ge lt le between`: numbers, sizes and durations in order.

use super::parse::{Operator, Reading};
use super::{At, Finding, Judge, Matcher, finding, nothing};
use crate::model::Span;
use crate::model::shape::{Shape, Unit};
use crate::model::size::{show_duration, show_size};
use crate::model::value::{Value, type_name};
use crate::spec::args::typed;
use crate::spec::diagnostic::Diagnostic;
use crate::spec::document::{Entry, Node, NodeKind};
use std::cmp::Ordering;
use std::time::Duration;

macro_rules! operator {
    ($name:ident, $key:literal, $doc:literal, $example:literal, $bound:expr) => {
        pub(super) static $name: Operator = Operator {
            name: $key,
            doc: $doc,
            example: $example,
            fits: numeric,
            parse: |entry, shape, reading| one(entry, shape, reading, $bound),
        };
    };
}

operator!(GT, "gt", "is more than this", "gt: 0", Bound::Above);
operator!(GE, "ge", "is this or more", "ge: 8 MiB", Bound::AtLeast);
operator!(LT, "lt", "is less than this", "lt: 90s", Bound::Below);
operator!(LE, "le", "is this or less", "le: 200 MiB", Bound::AtMost);

pub(super) static BETWEEN: Operator = Operator {
    name: "between",
    doc: "is between two values, both included",
    example: "between: [8 MiB, 200 MiB]",
    fits: numeric,
    parse: between,
};

fn numeric(shape: &Shape) -> bool {
    matches!(shape, Shape::Number(_) | Shape::Any)
}

/// Compares two numbers by value; `None` where one is not a number.
pub(super) fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    let whole = |v: &Value| match v {
        Value::Number(n) => n.as_i64().map(i128::from).or(n.as_u64().map(i128::from)),
        _ => None,
    };
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn unit(shape: &Shape) -> Unit {
    match shape {
        Shape::Number(unit) => *unit,
        _ => Unit::None,
    }
}

fn operand(node: &Node, shape: &Shape, reading: &mut Reading<'_>) -> Option<Value> {
    // In a document the type is not known; a number is needed all the same.
    let shape = Shape::Number(unit(shape));
    typed(node, &shape, reading.diagnostics)
}

fn one(entry: &Entry, shape: &Shape, reading: &mut Reading<'_>, bound: Bound) -> Option<Matcher> {
    let limit = operand(&entry.value, shape, reading)?;
    Some(Box::new(Ordered {
        bounds: vec![(bound, limit)],
        unit: unit(shape),
        span: entry.value.span,
    }))
}

fn between(entry: &Entry, shape: &Shape, reading: &mut Reading<'_>) -> Option<Matcher> {
    let NodeKind::List(items) = &entry.value.kind else {
        return reading.refuse(
            Diagnostic::new(entry.value.span, "`between` takes two values")
                .help("write `between: [1, 9]`"),
        );
    };
    let [low, high] = items.as_slice() else {
        return reading.refuse(
            Diagnostic::new(entry.value.span, "`between` takes two values")
                .label(format!("{} given", items.len())),
        );
    };
    let (low, high) = (operand(low, shape, reading), operand(high, shape, reading));
    let (low, high) = (low?, high?);
    if compare(&low, &high) == Some(Ordering::Greater) {
        return reading.refuse(
            Diagnostic::new(entry.value.span, "nothing lies between these two")
                .help("write the smaller one first"),
        );
    }
    Some(Box::new(Ordered {
        bounds: vec![(Bound::AtLeast, low), (Bound::AtMost, high)],
        unit: unit(shape),
        span: entry.value.span,
    }))
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    Above,
    AtLeast,
    Below,
    AtMost,
}

impl Bound {
    fn allows(self, order: Ordering) -> bool {
        match self {
            Self::Above => order == Ordering::Greater,
            Self::AtLeast => order != Ordering::Less,
            Self::Below => order == Ordering::Less,
            Self::AtMost => order != Ordering::Greater,
        }
    }

    fn sign(self) -> &'static str {
        match self {
            Self::Above => "more than",
            Self::AtLeast => "at least",
            Self::Below => "less than",
            Self::AtMost => "at most",
        }
    }
}

#[derive(Debug)]
struct Ordered {
    bounds: Vec<(Bound, Value)>,
    unit: Unit,
    span: Span,
}

impl Judge for Ordered {
    fn judge(&self, seen: &Value, at: &At<'_>, findings: &mut Vec<Finding>) {
        if !seen.is_number() {
            let note = format!("{} has no order", type_name(seen));
            findings.push(nothing(self, seen, at, self.span, &note));
        } else if !self.holds(seen, at) {
            findings.push(finding(self, seen, at, self.span));
        }
    }

    fn explain(&self) -> String {
        let show = |value: &Value| match (self.unit, value.as_u64(), value.as_f64()) {
            (Unit::Bytes, Some(bytes), _) => format!("{} ({bytes} bytes)", show_size(bytes)),
            (Unit::Seconds, _, Some(s)) => match Duration::try_from_secs_f64(s) {
                Ok(time) => show_duration(time),
                Err(_) => value.to_string(),
            },
            _ => value.to_string(),
        };
        let bounds: Vec<String> = self
            .bounds
            .iter()
            .map(|(bound, limit)| format!("{} {}", bound.sign(), show(limit)))
            .collect();
        bounds.join(" and ")
    }

    fn holds(&self, seen: &Value, _at: &At<'_>) -> bool {
        self.bounds
            .iter()
            .all(|(bound, limit)| compare(seen, limit).is_some_and(|o| bound.allows(o)))
    }
}
