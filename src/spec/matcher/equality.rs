//! Literals, `equals`, `not` and `one-of`.

use super::parse::{Operator, Reading, parse};
use super::{At, Finding, Judge, Matcher, Reference, finding, nothing};
use crate::model::Span;
use crate::model::path::normalise;
use crate::model::shape::{Shape, TextKind};
use crate::model::value::{Value, show};
use crate::spec::args::typed;
use crate::spec::diagnostic::Diagnostic;
use crate::spec::document::{Entry, Node, NodeKind};

pub(super) static EQUALS: Operator = Operator {
    name: "equals",
    doc: "is exactly this",
    example: "equals: arm64",
    fits: |_| true,
    parse: |entry, shape, reading| literal(&entry.value, shape, reading),
};

pub(super) static NOT: Operator = Operator {
    name: "not",
    doc: "the matcher does not hold",
    example: "not: { contain: amd64 }",
    fits: |_| true,
    parse: |entry, shape, reading| {
        let inner = parse(&entry.value, shape, reading)?;
        Some(Box::new(Not {
            inner,
            allow_empty: reading.allow_empty,
            span: entry.key_span,
        }))
    },
};

pub(super) static ONE_OF: Operator = Operator {
    name: "one-of",
    doc: "is one of these",
    example: "one-of: [zboot, image]",
    fits: |_| true,
    parse: one_of,
};

/// Reads a literal: the value itself is demanded.
pub(super) fn literal(node: &Node, shape: &Shape, reading: &mut Reading<'_>) -> Option<Matcher> {
    let value = typed(node, shape, reading.diagnostics)?;
    // A record may be written in part: what is written has to be there.
    Some(Box::new(Equals {
        path: shape.required() == &Shape::Text(TextKind::Path),
        value,
        span: node.span,
    }))
}

fn one_of(entry: &Entry, shape: &Shape, reading: &mut Reading<'_>) -> Option<Matcher> {
    let NodeKind::List(items) = &entry.value.kind else {
        return reading.refuse(
            Diagnostic::new(entry.value.span, "`one-of` takes a list")
                .label(format!("this is {}", entry.value.describe()))
                .help("write `one-of: [a, b]`"),
        );
    };
    if items.is_empty() {
        return reading.refuse(Diagnostic::new(
            entry.value.span,
            "`one-of` nothing can never hold",
        ));
    }
    let choices: Vec<Option<Matcher>> = items.iter().map(|n| parse(n, shape, reading)).collect();
    Some(Box::new(OneOf {
        choices: choices.into_iter().collect::<Option<_>>()?,
        span: entry.key_span,
    }))
}

/// Tells whether two evidence values are equal; numbers by value, whatever their type.
pub(super) fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(_), Value::Number(_)) => {
            super::order::compare(a, b) == Some(std::cmp::Ordering::Equal)
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(k, v)| b.get(k).is_some_and(|w| same(v, w)))
        }
        _ => a == b,
    }
}

#[derive(Debug)]
struct Equals {
    value: Value,
    path: bool,
    span: Span,
}

impl Judge for Equals {
    fn judge(&self, seen: &Value, at: &At<'_>, findings: &mut Vec<Finding>) {
        if !self.holds(seen, at) {
            let mut f = finding(self, seen, at, self.span);
            // Of what is not there, "is not so" is no proof: `not` must not pass over it.
            f.vacuous = seen.is_null();
            findings.push(f);
        }
    }

    fn explain(&self) -> String {
        show(&self.value, 400)
    }

    fn holds(&self, seen: &Value, _at: &At<'_>) -> bool {
        match (seen, &self.value) {
            (Value::String(seen), Value::String(wanted)) if self.path => {
                seen == wanted || normalise(seen) == *wanted
            }
            _ => same(seen, &self.value),
        }
    }
}

#[derive(Debug)]
struct Not {
    inner: Matcher,
    allow_empty: bool,
    span: Span,
}

impl Judge for Not {
    fn judge(&self, seen: &Value, at: &At<'_>, findings: &mut Vec<Finding>) {
        let mut inner = Vec::new();
        self.inner.judge(seen, at, &mut inner);
        if inner.is_empty() {
            findings.push(finding(self, seen, at, self.span));
        } else if !self.allow_empty && inner.iter().all(|f| f.vacuous) {
            let why = inner.first().and_then(|f| f.mismatch.note.as_deref());
            // What the inner matcher advises stands at the end of its note.
            let why = why.and_then(|w| w.split("; where that is right").next());
            let why = why.unwrap_or("there is nothing to judge");
            let note = format!("{why}; where that is right, add `allow-empty: true`");
            findings.push(nothing(self, seen, at, self.span, &note));
        }
    }

    fn explain(&self) -> String {
        format!("not {}", self.inner.explain())
    }

    fn references<'s>(&'s self, out: &mut Vec<&'s Reference>) {
        self.inner.references(out);
    }
}

#[derive(Debug)]
struct OneOf {
    choices: Vec<Matcher>,
    span: Span,
}

impl Judge for OneOf {
    fn judge(&self, seen: &Value, at: &At<'_>, findings: &mut Vec<Finding>) {
        if !self.choices.iter().any(|c| c.holds(seen, at)) {
            let mut f = finding(self, seen, at, self.span);
            f.vacuous = seen.is_null();
            findings.push(f);
        }
    }

    fn explain(&self) -> String {
        let choices: Vec<String> = self.choices.iter().map(|c| c.explain()).collect();
        format!("one of {}", choices.join(", "))
    }

    fn references<'s>(&'s self, out: &mut Vec<&'s Reference>) {
        self.choices.iter().for_each(|c| c.references(out));
    }
}
