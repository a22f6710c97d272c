//! `contain contain-only every any none unique`: matchers of lists, maps and texts.

use super::parse::{Operator, Reading, parse};
use super::{At, Finding, Judge, Matcher, Reference, finding, name_of, nothing};
use crate::model::Span;
use crate::model::path::normalise;
use crate::model::shape::Shape;
use crate::model::value::{Value, show, type_name};
use crate::spec::diagnostic::{Diagnostic, nearest};
use crate::spec::document::{Entry, Node, NodeKind};
use std::collections::HashSet;

pub(super) static CONTAIN: Operator = Operator {
    name: "contain",
    doc: "has this, or all of these",
    example: "contain: [init, rootfs.sqsh]",
    fits: |s| {
        matches!(
            s,
            Shape::List(_) | Shape::Map(..) | Shape::Text(_) | Shape::Any
        )
    },
    parse: |entry, shape, reading| contain(entry, shape, reading, false),
};

pub(super) static CONTAIN_ONLY: Operator = Operator {
    name: "contain-only",
    doc: "has all of these and nothing else, in any order",
    example: "contain-only: [spin]",
    fits: |s| matches!(s, Shape::List(_) | Shape::Map(..) | Shape::Any),
    parse: |entry, shape, reading| contain(entry, shape, reading, true),
};

pub(super) static EVERY: Operator = Operator {
    name: "every",
    doc: "every element is so (and there is one)",
    example: "every: { machine: aarch64 }",
    fits: collection,
    parse: |entry, shape, reading| each(entry, shape, reading, Quantity::Every),
};

pub(super) static ANY: Operator = Operator {
    name: "any",
    doc: "at least one element is so",
    example: "any: { name: spin }",
    fits: collection,
    parse: |entry, shape, reading| each(entry, shape, reading, Quantity::Any),
};

pub(super) static NONE: Operator = Operator {
    name: "none",
    doc: "no element is so (and there is one to look at)",
    example: "none: { mode: { match: '[2367]$' } }",
    fits: collection,
    parse: |entry, shape, reading| each(entry, shape, reading, Quantity::None),
};

pub(super) static UNIQUE: Operator = Operator {
    name: "unique",
    doc: "no two elements are equal; with a field's name, in that field",
    example: "unique: path",
    fits: |s| matches!(s, Shape::List(_) | Shape::Any),
    parse: unique,
};

fn collection(shape: &Shape) -> bool {
    matches!(shape, Shape::List(_) | Shape::Map(..) | Shape::Any)
}

fn element_shape(shape: &Shape) -> Shape {
    match shape {
        Shape::List(of) | Shape::Map(of, _) => of.as_ref().clone(),
        _ => Shape::Any,
    }
}

fn contain(entry: &Entry, shape: &Shape, reading: &mut Reading<'_>, only: bool) -> Option<Matcher> {
    let items: Vec<&Node> = match &entry.value.kind {
        NodeKind::List(items) => items.iter().collect(),
        _ => vec![&entry.value],
    };
    if items.is_empty() {
        return reading.refuse(
            Diagnostic::new(
                entry.value.span,
                format!("`{}` nothing demands nothing", entry.key),
            )
            .help("to demand that it is empty, write `len: 0`"),
        );
    }
    let of = match shape {
        // Of a map, `contain` asks for keys.
        Shape::Map(_, keys) => Shape::Text(*keys),
        _ => element_shape(shape),
    };
    let wanted: Vec<Option<Wanted>> = items
        .into_iter()
        .map(|node| {
            let text = node.as_text().map(str::to_owned);
            if let (Shape::Text(_), None) = (shape, &text) {
                reading.refuse(
                    Diagnostic::new(node.span, format!("`{}` takes text here", entry.key))
                        .label(format!("this is {}", node.describe())),
                );
                return None;
            }
            let matcher = parse(node, &of, reading)?;
            let text = text.map(|t| match shape {
                Shape::Text(kind) => kind.written(&t),
                _ => t,
            });
            Some(Wanted {
                matcher,
                text,
                span: node.span,
            })
        })
        .collect();
    Some(Box::new(Contain {
        wanted: wanted.into_iter().collect::<Option<_>>()?,
        only,
        span: entry.key_span,
    }))
}

#[derive(Debug)]
struct Wanted {
    matcher: Matcher,
    /// The item as text, for texts and for suggestions.
    text: Option<String>,
    span: Span,
}

#[derive(Debug)]
struct Contain {
    wanted: Vec<Wanted>,
    only: bool,
    span: Span,
}

impl Contain {
    fn missing(&self, wanted: &Wanted, seen: &Value, at: &At<'_>, near: Option<&str>) -> Finding {
        let mut f = finding(self, seen, at, wanted.span);
        f.mismatch.expected = format!("to contain {}", wanted.matcher.explain());
        f.mismatch.note = near.map(|n| format!("nearest: {}", crate::model::path::printable(n)));
        f.mismatch.actual = outline(seen);
        f
    }

    fn judge_elements(
        &self,
        seen: &Value,
        elements: &[&Value],
        at: &At<'_>,
        findings: &mut Vec<Finding>,
    ) {
        let names = || -> Vec<&str> {
            elements
                .iter()
                .filter_map(|v| v.as_str().or_else(|| name_of(v)))
                .collect()
        };
        for wanted in &self.wanted {
            if elements.iter().any(|v| wanted.matcher.holds(v, at)) {
                continue;
            }
            let near = wanted
                .text
                .as_deref()
                .filter(|_| elements.len() <= 20_000)
                .and_then(|text| near_path(text, &names()));
            let mut f = self.missing(wanted, seen, at, near);
            f.vacuous = nothing_judged(&wanted.matcher, elements, at);
            findings.push(f);
        }
        if self.only {
            let stray = |v: &&&Value| !self.wanted.iter().any(|w| w.matcher.holds(v, at));
            for (index, value) in elements.iter().enumerate().filter(|(_, v)| stray(v)) {
                let here = at.element(index, value);
                let mut f = finding(self, value, &here, self.span);
                f.mismatch.note = Some("this is not on the list".into());
                findings.push(f);
            }
        }
    }
}

/// Finds the name a wanted path was probably meant to be: same last component first, then spelling.
fn near_path<'n>(wanted: &str, names: &[&'n str]) -> Option<&'n str> {
    let wanted = normalise(wanted);
    let base = |p: &str| p.rsplit('/').next().unwrap_or(p).to_owned();
    names
        .iter()
        .find(|n| base(n) == base(&wanted))
        .copied()
        .or_else(|| nearest(&wanted, names))
}

/// Shortens a long list to the names in it, so that a report carries what helps and no more.
fn outline(seen: &Value) -> Value {
    const SHOWN: usize = 20;
    let Value::Array(items) = seen else {
        return seen.clone();
    };
    let name = |v: &Value| name_of(v).map_or_else(|| v.clone(), |n| Value::String(n.into()));
    let mut names: Vec<Value> = items.iter().take(SHOWN).map(name).collect();
    if items.len() > SHOWN {
        names.push(Value::String(format!("… and {} more", items.len() - SHOWN)));
    }
    Value::Array(names)
}

impl Judge for Contain {
    fn judge(&self, seen: &Value, at: &At<'_>, findings: &mut Vec<Finding>) {
        match seen {
            Value::String(text) => {
                for wanted in &self.wanted {
                    let there = wanted
                        .text
                        .as_ref()
                        .is_some_and(|w| text.contains(w.as_str()));
                    if !there {
                        let mut f = self.missing(wanted, seen, at, None);
                        f.mismatch.actual = seen.clone();
                        findings.push(f);
                    }
                }
            }
            Value::Array(items) => {
                let elements: Vec<&Value> = items.iter().collect();
                self.judge_elements(seen, &elements, at, findings);
            }
            Value::Object(map) => {
                let keys: Vec<Value> = map.keys().map(|k| Value::String(k.clone())).collect();
                let elements: Vec<&Value> = keys.iter().collect();
                let list = Value::Array(keys.clone());
                self.judge_elements(&list, &elements, at, findings);
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {
                let note = format!("{} contains nothing", type_name(seen));
                findings.push(nothing(self, seen, at, self.span, &note));
            }
        }
    }

    fn explain(&self) -> String {
        let items: Vec<String> = self.wanted.iter().map(|w| w.matcher.explain()).collect();
        let only = if self.only { "only " } else { "" };
        format!("to contain {only}{}", items.join(", "))
    }

    fn references<'s>(&'s self, out: &mut Vec<&'s Reference>) {
        self.wanted.iter().for_each(|w| w.matcher.references(out));
    }
}

/// Reads a list as a literal: these elements, in this order, and no more.
pub(super) fn exactly(
    node: &Node,
    items: &[Node],
    of: &Shape,
    reading: &mut Reading<'_>,
) -> Option<Matcher> {
    let parts: Vec<Option<Matcher>> = items.iter().map(|n| parse(n, of, reading)).collect();
    Some(Box::new(Exactly {
        parts: parts.into_iter().collect::<Option<_>>()?,
        span: node.span,
    }))
}

#[derive(Debug)]
struct Exactly {
    parts: Vec<Matcher>,
    span: Span,
}

impl Judge for Exactly {
    fn judge(&self, seen: &Value, at: &At<'_>, findings: &mut Vec<Finding>) {
        let Value::Array(items) = seen else {
            let note = format!("{} is not a list", type_name(seen));
            return findings.push(nothing(self, seen, at, self.span, &note));
        };
        if items.len() != self.parts.len() {
            let mut f = finding(self, seen, at, self.span);
            f.mismatch.actual = outline(seen);
            f.mismatch.note = Some(format!(
                "{} elements instead of {}",
                items.len(),
                self.parts.len()
            ));
            return findings.push(f);
        }
        for (index, (item, part)) in items.iter().zip(&self.parts).enumerate() {
            part.judge(item, &at.element(index, item), findings);
        }
    }

    fn explain(&self) -> String {
        let parts: Vec<String> = self.parts.iter().map(|p| p.explain()).collect();
        format!("[{}]", parts.join(", "))
    }

    fn references<'s>(&'s self, out: &mut Vec<&'s Reference>) {
        self.parts.iter().for_each(|p| p.references(out));
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Quantity {
    Every,
    Any,
    None,
}

fn each(
    entry: &Entry,
    shape: &Shape,
    reading: &mut Reading<'_>,
    quantity: Quantity,
) -> Option<Matcher> {
    let inner = parse(&entry.value, &element_shape(shape), reading)?;
    Some(Box::new(Each {
        quantity,
        inner,
        allow_empty: reading.allow_empty,
        span: entry.key_span,
    }))
}

const UNJUDGED: &str = "in no element was there anything to judge (is a name misspelt?); where that is right, add `allow-empty: true`";

/// Tells whether a matcher that holds of no element found nothing to judge in any of them.
fn nothing_judged(inner: &Matcher, elements: &[&Value], at: &At<'_>) -> bool {
    elements.iter().all(|value| {
        let mut findings = Vec::new();
        inner.judge(value, at, &mut findings);
        !findings.is_empty() && findings.iter().all(|f| f.vacuous)
    })
}

const EMPTY: &str = "there is nothing to look at; where that is right, add `allow-empty: true`";

#[derive(Debug)]
struct Each {
    quantity: Quantity,
    inner: Matcher,
    allow_empty: bool,
    span: Span,
}

impl Each {
    fn elements(seen: &Value) -> Option<Vec<&Value>> {
        match seen {
            Value::Array(items) => Some(items.iter().collect()),
            Value::Object(map) => Some(map.values().collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
    }
}

impl Judge for Each {
    fn judge(&self, seen: &Value, at: &At<'_>, findings: &mut Vec<Finding>) {
        let Some(elements) = Self::elements(seen) else {
            let note = format!("{} has no elements", type_name(seen));
            return findings.push(nothing(self, seen, at, self.span, &note));
        };
        if elements.is_empty() {
            if self.quantity == Quantity::Any {
                let note = "there is nothing to look at";
                findings.push(nothing(self, seen, at, self.span, note));
            } else if !self.allow_empty {
                findings.push(nothing(self, seen, at, self.span, EMPTY));
            }
            return;
        }
        match self.quantity {
            Quantity::Every => {
                for (index, value) in elements.iter().enumerate() {
                    // The cheap question first: of a thousand files most are right.
                    let here = at.element(index, value);
                    if !self.inner.holds(value, &here) {
                        self.inner.judge(value, &here, findings);
                    }
                }
            }
            Quantity::Any => {
                if !elements.iter().any(|v| self.inner.holds(v, at)) {
                    let mut f = finding(self, seen, at, self.span);
                    f.mismatch.actual = outline(seen);
                    f.vacuous = nothing_judged(&self.inner, &elements, at);
                    findings.push(f);
                }
            }
            Quantity::None => {
                let before = findings.len();
                for (index, value) in elements.iter().enumerate() {
                    let here = at.element(index, value);
                    if self.inner.holds(value, &here) {
                        findings.push(finding(self, value, &here, self.span));
                    }
                }
                let silent = findings.len() == before && !self.allow_empty;
                if silent && nothing_judged(&self.inner, &elements, at) {
                    findings.push(nothing(self, &outline(seen), at, self.span, UNJUDGED));
                }
            }
        }
    }

    fn explain(&self) -> String {
        let word = match self.quantity {
            Quantity::Every => "every element",
            Quantity::Any => "an element",
            Quantity::None => "no element",
        };
        format!("{word} {}", self.inner.explain())
    }

    fn references<'s>(&'s self, out: &mut Vec<&'s Reference>) {
        self.inner.references(out);
    }
}

fn unique(entry: &Entry, shape: &Shape, reading: &mut Reading<'_>) -> Option<Matcher> {
    let field = match (&entry.value.kind, entry.value.as_text()) {
        (NodeKind::Bool(true), _) => None,
        (NodeKind::Text(_), Some(name)) => Some(name.to_owned()),
        _ => {
            return reading.refuse(
                Diagnostic::new(entry.value.span, "`unique` is true, or the name of a field")
                    .label(format!("this is {}", entry.value.describe())),
            );
        }
    };
    if let (Some(name), Shape::Record(record)) = (&field, element_shape(shape))
        && record.field(name).is_none()
    {
        let known = record.fields.iter().map(|f| f.name.as_str());
        return reading.refuse(
            Diagnostic::new(
                entry.value.span,
                format!("the elements have no field `{name}`"),
            )
            .suggest(name, known),
        );
    }
    Some(Box::new(Unique {
        allow_empty: reading.allow_empty,
        field,
        span: entry.key_span,
    }))
}

#[derive(Debug)]
struct Unique {
    allow_empty: bool,
    field: Option<String>,
    span: Span,
}

impl Judge for Unique {
    fn judge(&self, seen: &Value, at: &At<'_>, findings: &mut Vec<Finding>) {
        let Value::Array(items) = seen else {
            let note = format!("{} is not a list", type_name(seen));
            return findings.push(nothing(self, seen, at, self.span, &note));
        };
        if items.is_empty() && !self.allow_empty {
            return findings.push(nothing(self, seen, at, self.span, EMPTY));
        }
        let mut met = HashSet::new();
        for (index, item) in items.iter().enumerate() {
            let value = match &self.field {
                Some(field) => item.get(field).unwrap_or(&Value::Null),
                None => item,
            };
            if !met.insert(value.to_string()) {
                let mut f = finding(self, value, &at.element(index, item), self.span);
                f.mismatch.note = Some(format!("{} is there more than once", show(value, 80)));
                findings.push(f);
            }
        }
    }

    fn explain(&self) -> String {
        match &self.field {
            Some(field) => format!("no {field} twice"),
            None => "no element twice".to_owned(),
        }
    }
}
