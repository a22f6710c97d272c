//! A spec file once it is read: rows of the matrix, each with its checks. Kinds are still names.

use super::diagnostic::{Diagnostic, Diagnostics};
use super::document::{Entry, Node, NodeKind};
use super::fields::{self, Quarantine, Requires, Retry};
use super::vars::{Row, Scope, evaluate};
use crate::model::Span;
use crate::model::address::without_credentials;
use crate::model::value::Value;
use std::path::PathBuf;
use std::time::Duration;

/// A spec file, its matrix multiplied out.
#[derive(Debug)]
pub struct SpecFile {
    /// The file's path as it was named.
    pub path: PathBuf,
    /// Its title: the value of `spec`.
    pub title: String,
    /// The checks of each row.
    pub rows: Vec<RowChecks>,
    /// Names that `vars` declares, included files among them.
    pub declared_vars: Vec<String>,
    /// Values that must not be shown.
    pub secrets: Vec<String>,
}

/// The checks of one row of the matrix.
#[derive(Debug)]
pub struct RowChecks {
    /// The row.
    pub row: Row,
    /// The checks, in the order of the file; those of included files first.
    pub checks: Vec<CheckEntry>,
}

/// A condition that was evaluated while reading.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The expression as written.
    pub expression: String,
    /// Its value.
    pub holds: bool,
}

/// One check of one row, everything typed but its kind.
#[derive(Debug)]
pub struct CheckEntry {
    /// The whole check.
    pub span: Span,
    /// Its name, as written.
    pub name: String,
    /// What other checks call it.
    pub id: Option<String>,
    /// The kind's name.
    pub kind: String,
    /// Where the kind is named.
    pub kind_span: Span,
    /// The kind's arguments.
    pub args: Node,
    /// The subject: `in`, else the file's `subject`.
    pub subject: Option<(String, Span)>,
    /// What is demanded.
    pub expect: Option<Node>,
    /// Whether the evidence is compared with a stored snapshot.
    pub snapshot: bool,
    /// Conditions of the file and the check.
    pub conditions: Vec<Condition>,
    /// Ids of the checks that have to pass first.
    pub needs: Vec<(String, Span)>,
    /// What has to be here.
    pub requires: Requires,
    /// Tags of the file and the check.
    pub tags: Vec<String>,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// How often it is tried.
    pub retry: Option<Retry>,
    /// How long it is tried until it holds.
    pub eventually: Option<Duration>,
    /// Whether its failure is known.
    pub quarantine: Option<Quarantine>,
    /// Whether collections may be empty.
    pub allow_empty: bool,
}

/// What a file says for all of its checks.
#[derive(Clone, Debug, Default)]
pub(super) struct Defaults {
    pub subject: Option<(String, Span)>,
    pub subjects: Vec<(String, String)>,
    pub conditions: Vec<Condition>,
    pub requires: Requires,
    pub tags: Vec<String>,
}

/// The keys of a check beside its kind.
pub const CHECK_KEYS: &[&str] = &[
    "name",
    "id",
    "in",
    "expect",
    "snapshot",
    "if",
    "needs",
    "requires",
    "tags",
    "timeout",
    "retry",
    "eventually",
    "quarantine",
    "allow-empty",
];

/// Reads one check whose expressions have been replaced.
pub(super) fn check(
    node: &Node,
    defaults: &Defaults,
    kinds: &[&str],
    scope: &Scope,
    diagnostics: &mut Diagnostics,
) -> Option<CheckEntry> {
    let NodeKind::Map(entries) = &node.kind else {
        diagnostics.push(
            Diagnostic::new(node.span, "a check is a map")
                .label(format!("this is {}", node.describe()))
                .help("write `- name: …` with a kind and `expect` below it"),
        );
        return None;
    };
    let kind = kind_of(node, entries, kinds, diagnostics);
    let text = |key: &str, d: &mut Diagnostics| node.get(key).and_then(|n| plain_text(n, key, d));
    let flag = |key: &str, d: &mut Diagnostics| {
        node.get(key)
            .and_then(|n| fields::read::<bool>(n, d))
            .unwrap_or(false)
    };
    let name = text("name", diagnostics);
    if let (Some(name), Some(node)) = (&name, node.get("name"))
        && !name.chars().any(char::is_alphanumeric)
    {
        diagnostics.push(
            Diagnostic::new(node.span, "a name without a letter or digit")
                .help("a trial is called by its check's name"),
        );
    }
    let id = text("id", diagnostics);
    let list = |key: &str, d: &mut Diagnostics| {
        node.get(key)
            .and_then(|n| fields::read::<Vec<String>>(n, d))
            .unwrap_or_default()
    };
    let mut conditions = defaults.conditions.clone();
    conditions.extend(
        node.get("if")
            .and_then(|n| condition(n, scope, diagnostics)),
    );
    let mut requires = defaults.requires.clone();
    if let Some(own) = node
        .get("requires")
        .and_then(|n| fields::requires(n, diagnostics))
    {
        requires.extend(own);
    }
    let mut tags = defaults.tags.clone();
    tags.extend(list("tags", diagnostics));
    let needs_span = node.get("needs").map_or(node.span, |n| n.span);
    let needs = list("needs", diagnostics);
    let mut duration = |key: &str| node.get(key).and_then(|n| fields::duration(n, diagnostics));
    let (timeout, eventually) = (duration("timeout"), duration("eventually"));
    let retry = node
        .get("retry")
        .and_then(|n| fields::retry(n, diagnostics));
    if let (Some(both), true) = (node.get("eventually"), retry.is_some()) {
        diagnostics.push(
            Diagnostic::new(both.span, "`retry` and `eventually` exclude each other")
                .help("`retry` counts tries, `eventually` polls for a time; keep one"),
        );
    }
    let quarantine = node
        .get("quarantine")
        .and_then(|n| fields::quarantine(n, diagnostics));
    let snapshot = flag("snapshot", diagnostics);
    let allow_empty = flag("allow-empty", diagnostics);
    let subject = match node.get("in") {
        Some(n) => plain_text(n, "in", diagnostics).map(|t| (named(&t, defaults), n.span)),
        None => defaults.subject.clone(),
    };
    let expect = node.get("expect").cloned();
    let (kind, kind_span, args) = kind?;
    let known = |e: &Entry| CHECK_KEYS.contains(&e.key.as_str()) || kinds.contains(&e.key.as_str());
    if expect.is_none() && !entries.iter().all(known) {
        // It has been reported; most likely it is the `expect` that is missing.
        return None;
    }
    if expect.is_none() && !snapshot {
        diagnostics.push(
            Diagnostic::new(kind_span, "this check demands nothing")
                .help("add `expect:`; a check that cannot fail proves nothing"),
        );
        return None;
    }
    let name = name.unwrap_or_else(|| match args.as_text() {
        Some(arg) => format!("{kind} {}", without_credentials(arg)),
        None => kind.clone(),
    });
    Some(CheckEntry {
        span: node.span,
        name,
        id,
        kind,
        kind_span,
        args,
        subject,
        expect,
        snapshot,
        conditions,
        needs: needs.into_iter().map(|n| (n, needs_span)).collect(),
        requires,
        tags,
        timeout,
        retry,
        eventually,
        quarantine,
        allow_empty,
    })
}

/// Finds the one key that is a kind; every other unknown key is reported.
fn kind_of(
    node: &Node,
    entries: &[Entry],
    kinds: &[&str],
    diagnostics: &mut Diagnostics,
) -> Option<(String, Span, Node)> {
    let common = |e: &&Entry| CHECK_KEYS.contains(&e.key.as_str());
    let mut found: Option<&Entry> = None;
    let mut unknown = false;
    for entry in entries.iter().filter(|e| !common(e)) {
        if !kinds.contains(&entry.key.as_str()) {
            let known = CHECK_KEYS.iter().chain(kinds).copied();
            diagnostics.push(
                Diagnostic::new(
                    entry.key_span,
                    format!("unknown kind or key `{}` in a check", entry.key),
                )
                .suggest(&entry.key, known),
            );
            unknown = true;
        } else if let Some(first) = found {
            let line = first.key_span.line;
            diagnostics.push(
                Diagnostic::new(entry.key_span, "a check has one kind")
                    .label("a second kind")
                    .help(format!(
                        "`{}` on line {line} is the first; write two checks",
                        first.key
                    )),
            );
        } else {
            found = Some(entry);
        }
    }
    if found.is_none() && !unknown {
        diagnostics.push(
            Diagnostic::new(node.span, "a check without a kind")
                .help(format!("add one of: {}", kinds.join(", "))),
        );
    }
    found.map(|e| (e.key.clone(), e.key_span, e.value.clone()))
}

/// Reads text that says something.
pub(super) fn plain_text(node: &Node, key: &str, diagnostics: &mut Diagnostics) -> Option<String> {
    match node.as_text() {
        Some(text) if !text.trim().is_empty() => Some(text.to_owned()),
        _ => {
            diagnostics.push(
                Diagnostic::new(node.span, format!("`{key}` takes text")).label(format!(
                    "this is {}",
                    match node.as_text() {
                        Some(_) => "empty",
                        None => node.describe(),
                    }
                )),
            );
            None
        }
    }
}

fn named(text: &str, defaults: &Defaults) -> String {
    defaults
        .subjects
        .iter()
        .find(|(name, _)| name == text)
        .map_or_else(|| text.to_owned(), |(_, address)| address.clone())
}

/// Reads `if`: a boolean, or an expression that gives one.
pub(super) fn condition(
    node: &Node,
    scope: &Scope,
    diagnostics: &mut Diagnostics,
) -> Option<Condition> {
    let (expression, value) = match (&node.kind, node.as_text()) {
        (NodeKind::Bool(b), _) => (b.to_string(), Value::Bool(*b)),
        (_, Some(text)) => (
            text.to_owned(),
            evaluate(text, node.span, scope, diagnostics)?,
        ),
        (_, None) => (String::new(), node.to_value()),
    };
    match value {
        Value::Bool(holds) => Some(Condition { expression, holds }),
        other => {
            let is = crate::model::value::type_name(&other);
            diagnostics.push(
                Diagnostic::new(node.span, "a condition is true or false")
                    .label(format!("this is {is}"))
                    .help("compare: `if: matrix.variant == 'spin-only'`"),
            );
            None
        }
    }
}
