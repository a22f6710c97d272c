//! From a node under `expect` to a matcher, by the shape of the evidence.

use super::{Matcher, equality, fields, len, list, order, presence, reference, text};
use crate::model::shape::{Shape, TextKind};
use crate::spec::diagnostic::{Diagnostic, Diagnostics};
use crate::spec::document::{Entry, Node, NodeKind};

/// One operator of the matcher language.
pub struct Operator {
    /// Its key in a spec.
    pub name: &'static str,
    /// What it demands, in one line.
    pub doc: &'static str,
    /// An example as it stands in a spec.
    pub example: &'static str,
    /// Tells whether it can judge values of a shape (never `Optional`).
    pub fits: fn(&Shape) -> bool,
    /// Reads its operand.
    pub parse: fn(&Entry, &Shape, &mut Reading<'_>) -> Option<Matcher>,
}

/// Every operator of every family, in the order help shows them.
pub static OPERATORS: &[&Operator] = &[
    &equality::EQUALS,
    &equality::NOT,
    &equality::ONE_OF,
    &list::CONTAIN,
    &list::CONTAIN_ONLY,
    &text::MATCH,
    &text::GLOB,
    &text::STARTS_WITH,
    &text::ENDS_WITH,
    &order::GT,
    &order::GE,
    &order::LT,
    &order::LE,
    &order::BETWEEN,
    &text::SEMVER,
    &len::LEN,
    &list::EVERY,
    &list::ANY,
    &list::NONE,
    &list::UNIQUE,
    &presence::PRESENT,
    &presence::ABSENT,
    &reference::SAME_AS,
    &text::SHA256,
    &text::JSON,
];

/// The key that lets `every`, `none` and `not` hold over nothing.
pub(super) const ALLOW_EMPTY: &str = "allow-empty";

/// What parsing carries along.
pub struct Reading<'d> {
    /// Where mistakes go.
    pub diagnostics: &'d mut Diagnostics,
    /// Whether collections may be empty here.
    pub allow_empty: bool,
}

impl Reading<'_> {
    /// Reports a mistake and gives no matcher.
    pub(super) fn refuse(&mut self, diagnostic: Diagnostic) -> Option<Matcher> {
        self.diagnostics.push(diagnostic);
        None
    }
}

/// Parses a tree of matchers against the shape of what it will judge.
///
/// Every mistake below the node is reported; the result is `None` where there was one.
pub fn parse(node: &Node, shape: &Shape, reading: &mut Reading<'_>) -> Option<Matcher> {
    match &node.kind {
        NodeKind::Map(entries) => map(node, entries, shape, reading),
        NodeKind::List(items) => match shape.required() {
            Shape::List(of) => list::exactly(node, items, of, reading),
            _ => equality::literal(node, shape, reading),
        },
        NodeKind::Null => match shape {
            Shape::Optional(_) | Shape::Any => presence::absent(node.span),
            _ => reading.refuse(Diagnostic::new(node.span, "nothing is demanded here").help(
                format!("write a value or a matcher for {}", shape.describe()),
            )),
        },
        NodeKind::Bool(_) | NodeKind::Int(_) | NodeKind::Float(_) | NodeKind::Text(_) => {
            match shape.required() {
                Shape::Record(record) if record.key.is_some() => {
                    fields::by_key(node, record, reading)
                }
                Shape::List(_) => reading.refuse(
                    Diagnostic::new(node.span, format!("expected {}", shape.describe()))
                        .label(format!("this is {}", node.describe()))
                        .help("to demand that the list has it, write `{ contain: … }`"),
                ),
                _ => equality::literal(node, shape, reading),
            }
        }
    }
}

/// What a key of a map under `expect` means.
enum Meaning<'s> {
    Field(&'s Shape, TextKind),
    Operator(&'static Operator),
    Modifier,
    Unknown,
}

fn operator(name: &str) -> Option<&'static Operator> {
    OPERATORS.iter().find(|o| o.name == name).copied()
}

fn meaning<'s>(key: &str, shape: &'s Shape, all_operators: bool) -> Meaning<'s> {
    static ANY: Shape = Shape::Any;
    if let Shape::Record(record) = shape
        && let Some(field) = record.field(key)
    {
        return Meaning::Field(&field.shape, TextKind::Plain);
    }
    if key == ALLOW_EMPTY {
        return Meaning::Modifier;
    }
    match (shape, operator(key)) {
        // In a document any word may be a key: words are operators only where all of them are.
        (Shape::Any, _) if !all_operators => Meaning::Field(&ANY, TextKind::Plain),
        (_, Some(operator)) => Meaning::Operator(operator),
        (Shape::Map(of, keys), None) => Meaning::Field(of, *keys),
        (_, None) => Meaning::Unknown,
    }
}

fn map(
    node: &Node,
    entries: &[Entry],
    shape: &Shape,
    reading: &mut Reading<'_>,
) -> Option<Matcher> {
    let inner = shape.required();
    let known = |e: &Entry| operator(&e.key).is_some() || e.key == ALLOW_EMPTY;
    let all_operators = entries.iter().all(known);
    let outer = reading.allow_empty;
    if let Some(NodeKind::Bool(allow)) = entries
        .iter()
        .find(|e| e.key == ALLOW_EMPTY)
        .map(|e| &e.value.kind)
    {
        reading.allow_empty = *allow;
    }
    let mut parts: Vec<Option<Matcher>> = Vec::new();
    for entry in entries {
        match meaning(&entry.key, inner, all_operators) {
            Meaning::Field(field, keys) => parts.push(
                parse(&entry.value, field, reading)
                    .map(|m| fields::field(&keys.written(&entry.key), m, entry.key_span)),
            ),
            Meaning::Operator(op) => parts.push(apply(op, entry, shape, reading)),
            Meaning::Modifier => {
                if !matches!(entry.value.kind, NodeKind::Bool(_)) {
                    parts.push(reading.refuse(Diagnostic::new(
                        entry.value.span,
                        "`allow-empty` is true or false",
                    )));
                }
            }
            Meaning::Unknown => parts.push(reading.refuse(unknown(entry, inner))),
        }
    }
    reading.allow_empty = outer;
    if parts.is_empty() {
        return reading.refuse(Diagnostic::new(node.span, "nothing is demanded here").help(
            format!("write a value or a matcher for {}", shape.describe()),
        ));
    }
    let parts: Vec<Matcher> = parts.into_iter().collect::<Option<_>>()?;
    Some(fields::all(parts))
}

fn apply(
    op: &'static Operator,
    entry: &Entry,
    shape: &Shape,
    reading: &mut Reading<'_>,
) -> Option<Matcher> {
    // These can speak of what may be missing; the others judge what is there.
    let absence = ["present", "absent", "equals", "not", "one-of"].contains(&op.name);
    let judged = if absence { shape } else { shape.required() };
    if (op.fits)(judged) {
        return (op.parse)(entry, judged, reading);
    }
    let message = format!("`{}` cannot judge {}", op.name, judged.describe());
    let fitting: Vec<&str> = OPERATORS
        .iter()
        .filter(|o| (o.fits)(judged))
        .map(|o| o.name)
        .collect();
    let mut diagnostic = Diagnostic::new(entry.key_span, message);
    diagnostic = match (op.name, judged) {
        ("gt" | "ge" | "lt" | "le" | "between", Shape::List(_)) => {
            diagnostic.help(format!("to count, write `len: {{ {}: … }}`", op.name))
        }
        ("gt" | "ge" | "lt" | "le" | "between", Shape::Text(_)) => {
            diagnostic.help("to compare versions, write `semver: \">=1.2\"`")
        }
        ("present" | "absent", _) => {
            diagnostic.help("this is always there; demand something of its value")
        }
        _ => diagnostic.help(format!("what can: {}", fitting.join(", "))),
    };
    reading.refuse(diagnostic)
}

fn unknown(entry: &Entry, shape: &Shape) -> Diagnostic {
    let fields: Vec<&str> = match shape {
        Shape::Record(record) => record.fields.iter().map(|f| f.name.as_str()).collect(),
        _ => Vec::new(),
    };
    let fitting = OPERATORS.iter().filter(|o| (o.fits)(shape)).map(|o| o.name);
    let what = if fields.is_empty() {
        format!("unknown matcher `{}` for {}", entry.key, shape.describe())
    } else {
        format!("unknown field or matcher `{}`", entry.key)
    };
    let candidates: Vec<&str> = fields.iter().copied().chain(fitting.clone()).collect();
    let diagnostic = Diagnostic::new(entry.key_span, what);
    match crate::spec::diagnostic::nearest(&entry.key, &candidates) {
        Some(_) => diagnostic.suggest(&entry.key, candidates),
        None if fields.is_empty() => diagnostic.suggest(&entry.key, fitting),
        None => diagnostic.help(format!("its fields: {}", fields.join(", "))),
    }
}
