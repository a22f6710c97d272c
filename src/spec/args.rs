//! Typing: a node read as a value of a known shape, every mistake of it at once.

use super::diagnostic::{Diagnostic, Diagnostics};
use super::document::{Node, NodeKind};
use crate::model::shape::{Record, Shape, Unit};
use crate::model::size::{parse_duration, parse_size};
use crate::model::value::Value;
use serde_json::Map;

/// Reads a node as a value of a shape.
///
/// Sizes become bytes, durations seconds, paths inside an image their normal form, and a plain
/// scalar becomes text as it was written where text is meant. Returns `None` after reporting what
/// does not fit.
pub fn typed(node: &Node, shape: &Shape, diagnostics: &mut Diagnostics) -> Option<Value> {
    let misfit = || {
        Diagnostic::new(node.span, format!("expected {}", shape.describe()))
            .label(format!("this is {}", node.describe()))
    };
    match shape {
        Shape::Any => Some(node.to_value()),
        Shape::Optional(_) if node.kind == NodeKind::Null => Some(Value::Null),
        Shape::Optional(inner) => typed(node, inner, diagnostics),
        Shape::Bool => match &node.kind {
            NodeKind::Bool(b) => Some(Value::Bool(*b)),
            NodeKind::Text(word) if matches!(word.as_str(), "yes" | "no" | "on" | "off") => {
                diagnostics.push(misfit().help("YAML 1.2 knows only `true` and `false`"));
                None
            }
            _ => refuse(misfit(), diagnostics),
        },
        Shape::Number(unit) => number(node, *unit).or_else(|| {
            let help = match unit {
                Unit::None => "write a number, without quotes or unit",
                Unit::Bytes => "write a number of bytes or a size such as `8 MiB`",
                Unit::Seconds => "write a duration such as `90s` or `1m30s`",
            };
            refuse(misfit().help(help), diagnostics)
        }),
        Shape::Text(kind) => match (node.as_text(), kind) {
            (Some(text), kind) => Some(Value::String(kind.written(text))),
            (None, _) => refuse(misfit(), diagnostics),
        },
        Shape::Enum(words) => match node.as_text() {
            Some(text) if words.iter().any(|w| w == text) => Some(Value::String(text.to_owned())),
            Some(text) => {
                let words = words.iter().map(String::as_str);
                let message = format!("`{text}` is not a value this can have");
                refuse(
                    Diagnostic::new(node.span, message).suggest(text, words),
                    diagnostics,
                )
            }
            None => refuse(misfit(), diagnostics),
        },
        Shape::List(of) => match &node.kind {
            NodeKind::List(items) => {
                let values: Vec<Option<Value>> =
                    items.iter().map(|n| typed(n, of, diagnostics)).collect();
                values
                    .into_iter()
                    .collect::<Option<Vec<_>>>()
                    .map(Value::Array)
            }
            // One item may stand for a list of one.
            NodeKind::Bool(_) | NodeKind::Int(_) | NodeKind::Float(_) | NodeKind::Text(_) => {
                typed(node, of, diagnostics).map(|v| Value::Array(vec![v]))
            }
            NodeKind::Null | NodeKind::Map(_) => refuse(misfit(), diagnostics),
        },
        Shape::Record(record) => match &node.kind {
            NodeKind::Map(_) => fields(node, record, diagnostics),
            _ => match record.key.as_ref().and_then(|key| record.field(key)) {
                Some(key) if node.as_text().is_some() => {
                    let value = typed(node, &key.shape, diagnostics)?;
                    Some(Value::Object(Map::from_iter([(key.name.clone(), value)])))
                }
                _ => {
                    let names: Vec<&str> = record.fields.iter().map(|f| f.name.as_str()).collect();
                    let help = format!("write a map; its keys: {}", names.join(", "));
                    refuse(misfit().help(help), diagnostics)
                }
            },
        },
        Shape::Map(of, keys) => match &node.kind {
            NodeKind::Map(entries) => {
                let values: Vec<Option<(String, Value)>> = entries
                    .iter()
                    .map(|e| Some((keys.written(&e.key), typed(&e.value, of, diagnostics)?)))
                    .collect();
                values
                    .into_iter()
                    .collect::<Option<Map<_, _>>>()
                    .map(Value::Object)
            }
            _ => refuse(misfit(), diagnostics),
        },
    }
}

fn refuse(diagnostic: Diagnostic, diagnostics: &mut Diagnostics) -> Option<Value> {
    diagnostics.push(diagnostic);
    None
}

fn number(node: &Node, unit: Unit) -> Option<Value> {
    match (&node.kind, unit) {
        (NodeKind::Int(i), _) => Some(Value::from(*i)),
        (NodeKind::Float(f), _) if f.is_finite() => Some(Value::from(*f)),
        (NodeKind::Text(text), Unit::Bytes) => parse_size(text).map(Value::from),
        (NodeKind::Text(text), Unit::Seconds) => {
            parse_duration(text).map(|d| Value::from(d.as_secs_f64()))
        }
        _ => None,
    }
}

fn fields(node: &Node, record: &Record, diagnostics: &mut Diagnostics) -> Option<Value> {
    let NodeKind::Map(entries) = &node.kind else {
        return None;
    };
    let mut values = Map::new();
    let mut whole = true;
    for entry in entries {
        match record.field(&entry.key) {
            Some(field) => match typed(&entry.value, &field.shape, diagnostics) {
                Some(value) => {
                    values.insert(entry.key.clone(), value);
                }
                None => whole = false,
            },
            None => {
                let known = record.fields.iter().map(|f| f.name.as_str());
                diagnostics.push(
                    Diagnostic::new(entry.key_span, format!("unknown key `{}`", entry.key))
                        .suggest(&entry.key, known),
                );
                whole = false;
            }
        }
    }
    for field in record.fields.iter().filter(|f| f.required) {
        if node.get(&field.name).is_none() {
            diagnostics.push(
                Diagnostic::new(node.span, format!("`{}` is missing", field.name)).help(format!(
                    "{}: {}",
                    field.name,
                    field.shape.describe()
                )),
            );
            whole = false;
        }
    }
    whole.then_some(Value::Object(values))
}

/// Reads the value of a kind key: a map of arguments, the main argument alone, or nothing.
///
/// `main` names the argument that a scalar or a list stands for.
pub fn arguments(
    node: &Node,
    shape: &Shape,
    main: Option<&str>,
    diagnostics: &mut Diagnostics,
) -> Option<Value> {
    let wrap = |key: &str| Node {
        span: node.span,
        raw: None,
        kind: NodeKind::Map(vec![super::document::Entry {
            key: key.to_owned(),
            key_span: node.span,
            value: node.clone(),
        }]),
    };
    match (&node.kind, main) {
        (NodeKind::Map(_), _) => typed(node, shape, diagnostics),
        (NodeKind::Null, _) => {
            let empty = Node {
                kind: NodeKind::Map(Vec::new()),
                ..node.clone()
            };
            typed(&empty, shape, diagnostics)
        }
        (_, Some(main)) => typed(&wrap(main), shape, diagnostics),
        (_, None) => {
            diagnostics.push(
                Diagnostic::new(node.span, "this kind takes no argument of its own")
                    .label(format!("this is {}", node.describe()))
                    .help("leave it empty, or write a map of its arguments"),
            );
            None
        }
    }
}
