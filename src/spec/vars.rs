//! `${{ … }}`: expressions inside strings, with typed results, and the matrix.
//!
//! Values go *inside* strings of a document that is already parsed, so a file is valid YAML with
//! positions whatever its variables hold. A string that is one expression becomes the expression's
//! value with its type; inside a longer string the value is written out.

use super::diagnostic::{Diagnostic, Diagnostics};
use super::document::{Entry, Node, NodeKind};
use crate::model::Span;
use crate::model::value::{Value, type_name};
use minijinja::{Environment, UndefinedBehavior};
use serde_json::Map;

/// The names an expression may use: `vars.x`, `matrix.y`, `env.Z` and so on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    roots: Map<String, Value>,
}

impl Scope {
    /// Sets one root name, e.g. `vars`, to its values.
    pub fn set(&mut self, root: &str, values: Map<String, Value>) {
        self.roots.insert(root.to_owned(), Value::Object(values));
    }

    /// Gives the values under a root name.
    pub fn get(&self, root: &str) -> Option<&Map<String, Value>> {
        self.roots.get(root).and_then(Value::as_object)
    }
}

/// Puts values in for every expression below a node; a key that asks for one is a mistake.
///
/// A mistake is reported and leaves the text as it was, so that the rest is still checked.
pub fn substitute(node: &Node, scope: &Scope, diagnostics: &mut Diagnostics) -> Node {
    let kind = match &node.kind {
        NodeKind::Text(text) if text.contains("${{") => {
            return expand(node, text, scope, diagnostics).unwrap_or_else(|| node.clone());
        }
        NodeKind::List(items) => NodeKind::List(
            items
                .iter()
                .map(|n| substitute(n, scope, diagnostics))
                .collect(),
        ),
        NodeKind::Map(entries) => {
            for entry in entries.iter().filter(|e| e.key.contains("${{")) {
                diagnostics.push(
                    Diagnostic::new(entry.key_span, "a key takes no expression")
                        .help("values are put into values; write the key out"),
                );
            }
            NodeKind::Map(
                entries
                    .iter()
                    .map(|e| Entry {
                        value: substitute(&e.value, scope, diagnostics),
                        ..e.clone()
                    })
                    .collect(),
            )
        }
        NodeKind::Null
        | NodeKind::Bool(_)
        | NodeKind::Int(_)
        | NodeKind::Float(_)
        | NodeKind::Text(_) => return node.clone(),
    };
    Node {
        kind,
        ..node.clone()
    }
}

/// Evaluates a bare expression (the value of `if:`, with or without `${{ }}`).
pub fn evaluate(
    expression: &str,
    span: Span,
    scope: &Scope,
    diagnostics: &mut Diagnostics,
) -> Option<Value> {
    let inner = expression
        .trim()
        .strip_prefix("${{")
        .and_then(|e| e.strip_suffix("}}"))
        .unwrap_or(expression);
    match eval(inner.trim(), span, scope) {
        Ok(value) => Some(value),
        Err(diagnostic) => {
            diagnostics.push(*diagnostic);
            None
        }
    }
}

enum Piece<'t> {
    Text(&'t str),
    Expression(&'t str),
}

fn expand(node: &Node, text: &str, scope: &Scope, diagnostics: &mut Diagnostics) -> Option<Node> {
    let Some(pieces) = split(text) else {
        diagnostics.push(
            Diagnostic::new(node.span, "`${{` without its `}}`")
                .help("close the expression: `${{ vars.name }}`"),
        );
        return None;
    };
    if let [Piece::Expression(expression)] = pieces.as_slice() {
        let value = evaluate(expression, node.span, scope, diagnostics)?;
        return Some(Node::from_value(&value, node.span));
    }
    let mut out = String::new();
    let mut whole = true;
    for piece in &pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Expression(expression) => {
                match evaluate(expression, node.span, scope, diagnostics) {
                    Some(Value::String(s)) => out.push_str(&s),
                    Some(v @ (Value::Number(_) | Value::Bool(_))) => out.push_str(&v.to_string()),
                    Some(other) => {
                        let message = format!("{} cannot stand inside a text", type_name(&other));
                        diagnostics.push(
                            Diagnostic::new(node.span, message)
                                .help("make the expression the whole value"),
                        );
                        whole = false;
                    }
                    None => whole = false,
                }
            }
        }
    }
    whole.then(|| Node::from_value(&Value::String(out), node.span))
}

/// Splits a text at its expressions; `None` where one is not closed. A `}}` inside quotes does not close.
fn split(text: &str) -> Option<Vec<Piece<'_>>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find("${{") {
        if start > 0 {
            pieces.push(Piece::Text(&rest[..start]));
        }
        let body = &rest[start + 3..];
        let end = closing(body)?;
        pieces.push(Piece::Expression(body[..end].trim()));
        rest = &body[end + 2..];
    }
    if !rest.is_empty() {
        pieces.push(Piece::Text(rest));
    }
    Some(pieces)
}

fn closing(body: &str) -> Option<usize> {
    let mut quote = None;
    let bytes = body.as_bytes();
    for (i, b) in bytes.iter().enumerate() {
        match (quote, b) {
            (Some(q), b) if q == *b => quote = None,
            (None, b'\'' | b'"') => quote = Some(*b),
            (None, b'}') if bytes.get(i + 1) == Some(&b'}') => return Some(i),
            _ => {}
        }
    }
    None
}

/// An expression may not run longer than this many steps.
const FUEL: u64 = 50_000;

fn eval(expression: &str, span: Span, scope: &Scope) -> Result<Value, Box<Diagnostic>> {
    let fault = |message: String| Box::new(Diagnostic::new(span, message));
    if expression.is_empty() {
        return Err(Box::new(
            Diagnostic::new(span, "an empty expression").help("name a value: `${{ vars.name }}`"),
        ));
    }
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    let compiled = environment.compile_expression(expression).map_err(|e| {
        let detail = e.detail().unwrap_or("not an expression");
        fault(format!("`{expression}` is not an expression: {detail}"))
    })?;
    unknown_name(
        expression,
        &compiled.undeclared_variables(true),
        span,
        scope,
    )?;
    let value = compiled
        .eval(minijinja::value::Serde(&scope.roots))
        .map_err(|e| {
            let detail = e.detail().unwrap_or("it cannot be evaluated");
            fault(format!("`{expression}`: {detail}"))
        })?;
    if value.is_undefined() {
        return Err(fault(format!("`{expression}` names nothing")));
    }
    serde_json::to_value(&value).map_err(|e| fault(format!("`{expression}`: {e}")))
}

/// Refuses a name that is not in scope before evaluation, where a suggestion can still be made.
fn unknown_name(
    expression: &str,
    used: &std::collections::HashSet<String>,
    span: Span,
    scope: &Scope,
) -> Result<(), Box<Diagnostic>> {
    let forgiving = expression.contains("is defined") || expression.contains("default");
    let mut used: Vec<&String> = used.iter().collect();
    // A name with a field first: in `vars.a-b` the fault is at `vars.a`, not at `b`.
    used.sort_by_key(|name| (!name.contains('.'), *name));
    for name in used {
        let (root, field) = match name.split_once('.') {
            Some((root, rest)) => (root, rest.split('.').next()),
            None => (name.as_str(), None),
        };
        let roots = scope.roots.keys().map(String::as_str);
        let Some(values) = scope.get(root) else {
            return Err(Box::new(
                Diagnostic::new(span, format!("unknown name `{root}` in an expression"))
                    .suggest(root, roots),
            ));
        };
        let Some(field) = field else { continue };
        if values.contains_key(field) || forgiving {
            continue;
        }
        let diagnostic = Diagnostic::new(span, format!("`{root}.{field}` is not set"));
        let dashed = values
            .keys()
            .find(|k| k.contains('-') && k.starts_with(field));
        return Err(Box::new(match dashed {
            Some(key) => diagnostic.help(format!("write `{root}['{key}']`: `-` is a minus")),
            None if root == "vars" && values.is_empty() => {
                diagnostic.help("a variable is set above the one that uses it")
            }
            None if values.is_empty() => diagnostic.help(format!("this file sets no `{root}`")),
            None => diagnostic.suggest(field, values.keys().map(String::as_str)),
        }));
    }
    Ok(())
}

/// One row of a matrix: a value for each of its names, in the order they are declared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row(pub Vec<(String, Value)>);

impl Row {
    /// Gives the suffix of a trial's name: `[variant=spin-only,arch=arm64]`, or nothing.
    pub fn label(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let show = |v: &Value| match v {
            Value::String(s) => s.clone(),
            other => other.to_string(),
        };
        let pairs: Vec<String> = self
            .0
            .iter()
            .map(|(k, v)| format!("{k}={}", show(v)))
            .collect();
        format!("[{}]", pairs.join(","))
    }

    /// Gives the row as the values under `matrix`.
    pub fn values(&self) -> Map<String, Value> {
        self.0.iter().cloned().collect()
    }
}

/// No matrix may make more rows than this.
const MAX_ROWS: usize = 4096;

/// Reads a matrix: a map of names to lists; gives every combination, the last name turning fastest.
///
/// No matrix at all gives one empty row; a matrix without rows is a mistake.
pub fn matrix(node: Option<&Node>, diagnostics: &mut Diagnostics) -> Vec<Row> {
    let Some(node) = node else {
        return vec![Row::default()];
    };
    let NodeKind::Map(entries) = &node.kind else {
        diagnostics.push(
            Diagnostic::new(node.span, "a matrix is a map of names to lists")
                .label(format!("this is {}", node.describe()))
                .help("write `matrix: { variant: [a, b] }`"),
        );
        return Vec::new();
    };
    let mut rows = vec![Row::default()];
    if entries.is_empty() {
        diagnostics.push(Diagnostic::new(node.span, "a matrix without rows").help("remove it"));
        return Vec::new();
    }
    for entry in entries {
        let NodeKind::List(values) = &entry.value.kind else {
            diagnostics.push(
                Diagnostic::new(entry.value.span, "a matrix value is a list")
                    .label(format!("this is {}", entry.value.describe())),
            );
            continue;
        };
        if values.is_empty() {
            diagnostics.push(
                Diagnostic::new(entry.value.span, "a matrix without rows")
                    .help(format!("give `{}` at least one value", entry.key)),
            );
        }
        if rows.len() * values.len() > MAX_ROWS {
            diagnostics.push(
                Diagnostic::new(node.span, "a matrix with too many rows")
                    .help(format!("a matrix makes {MAX_ROWS} rows at most")),
            );
            return Vec::new();
        }
        rows = rows
            .iter()
            .flat_map(|row| {
                values.iter().map(|v| {
                    let mut row = row.clone();
                    row.0.push((entry.key.clone(), v.to_value()));
                    row
                })
            })
            .collect();
    }
    let mut labels = std::collections::HashSet::new();
    if !rows.iter().all(|row| labels.insert(row.label())) {
        diagnostics.push(Diagnostic::new(
            node.span,
            "a matrix with the same row twice",
        ));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::document;
    use serde_json::json;

    fn scope() -> Scope {
        let mut scope = Scope::default();
        let values = |v: Value| v.as_object().unwrap().clone();
        scope.set("vars", values(json!({"assets": "_out", "n": 3, "a-b": 1})));
        scope.set("matrix", values(json!({"variant": "spin-only"})));
        scope
    }

    fn run(text: &str) -> (Value, Vec<String>) {
        let mut d = Diagnostics::default();
        let node = document::parse(crate::model::SourceId(0), text, &mut d).unwrap();
        let out = substitute(&node, &scope(), &mut d).to_value();
        let said = d
            .sorted()
            .iter()
            .map(|d| match &d.help {
                Some(help) => format!("{}; {help}", d.message),
                None => d.message.clone(),
            })
            .collect();
        (out, said)
    }

    #[test]
    fn a_whole_expression_keeps_its_type() {
        let (v, wrong) = run(
            "a: ${{ matrix.variant == 'spin-only' }}\nb: ${{ vars.n + 1 }}\nc: x/${{ vars.assets }}/${{ vars.n }}\nd: ${{ '}}' }}\ne: ${{ vars['a-b'] }}\nf: $5 {{ x }}",
        );
        assert!(wrong.is_empty(), "{wrong:?}");
        assert_eq!(
            v,
            json!({"a": true, "b": 4, "c": "x/_out/3", "d": "}}", "e": 1, "f": "$5 {{ x }}"})
        );
    }

    #[test]
    fn mistakes_say_what_was_meant() {
        for (text, said) in [
            (
                "${{ vars.asets }}",
                "`vars.asets` is not set; did you mean `assets`?",
            ),
            (
                "${{ var.assets }}",
                "unknown name `var` in an expression; did you mean `vars`?",
            ),
            (
                "${{ vars.a-b }}",
                "`vars.a` is not set; write `vars['a-b']`: `-` is a minus",
            ),
            (
                "${{ vars.n",
                "`${{` without its `}}`; close the expression: `${{ vars.name }}`",
            ),
            (
                "${{ }}",
                "an empty expression; name a value: `${{ vars.name }}`",
            ),
            (
                "x${{ vars }}",
                "a record cannot stand inside a text; make the expression the whole value",
            ),
        ] {
            let (_, wrong) = run(&format!("a: \"{text}\""));
            assert_eq!(wrong, [said], "{text}");
        }
        assert!(run("a: ${{ 1 + }}").1[0].contains("is not an expression"));
    }

    #[test]
    fn an_expression_that_does_not_end_is_stopped() {
        let (_, wrong) = run("a: ${{ range(100000)|map('upper')|list|length }}");
        assert_eq!(wrong.len(), 1, "{wrong:?}");
    }

    #[test]
    fn a_matrix_makes_every_combination() {
        let mut d = Diagnostics::default();
        let source = crate::model::SourceId(0);
        let node = document::parse(source, "v: [a, b]\nn: [1, 2]", &mut d).unwrap();
        let labels: Vec<String> = matrix(Some(&node), &mut d).iter().map(Row::label).collect();
        assert_eq!(labels, ["[v=a,n=1]", "[v=a,n=2]", "[v=b,n=1]", "[v=b,n=2]"]);
        assert_eq!(matrix(None, &mut d), vec![Row::default()]);
        assert!(d.is_empty());
        for text in ["{}", "v: []", "v: a", "[a]", "v: [a, a]"] {
            let mut d = Diagnostics::default();
            let node = document::parse(source, text, &mut d).unwrap();
            matrix(Some(&node), &mut d);
            assert_eq!(d.len(), 1, "{text}");
        }
    }
}
