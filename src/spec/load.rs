//! From a spec file on disk to a [`SpecFile`]: includes, variables, matrix, checks.

use super::diagnostic::{Diagnostic, Diagnostics, Sources};
use super::document::{self, Node, NodeKind};
use super::fields;
use super::file::{self, CheckEntry, Defaults, RowChecks, SpecFile, plain_text};
use super::parts::{Part, gather};
use super::vars::{self, Row, Scope, substitute};
use crate::model::value::Value;
use crate::model::{SourceId, Span};
use serde_json::Map;
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// What a run adds to its spec files.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Values that replace those of `vars`.
    pub vars: Map<String, Value>,
    /// Values that rows of a matrix have to agree with where they have the same name.
    pub rows: Vec<(String, Value)>,
    /// The process environment, for `env.NAME`.
    pub env: Map<String, Value>,
    /// The names of all kinds.
    pub kinds: Vec<&'static str>,
}

/// Reads one spec file with all it includes.
///
/// Every mistake goes to `diagnostics`; returns `None` where nothing of the file can be used.
pub fn load(
    path: &Path,
    settings: &Settings,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Option<SpecFile> {
    let mut parts = Vec::new();
    gather(
        path,
        None,
        &mut Vec::new(),
        &mut parts,
        sources,
        diagnostics,
    )?;
    let own = parts.last()?.clone();
    let title = own
        .root
        .get("spec")
        .and_then(|n| plain_text(n, "spec", diagnostics))
        .unwrap_or_else(|| path.display().to_string());
    let mut loader = Loader {
        settings,
        parts: &parts,
        own: &own,
        diagnostics,
        secrets: Vec::new(),
    };
    let rows = loader.rows();
    let declared_vars = loader.declared();
    let secrets = loader.secrets;
    Some(SpecFile {
        path: path.to_owned(),
        title,
        rows,
        declared_vars,
        secrets,
    })
}

struct Loader<'l> {
    settings: &'l Settings,
    parts: &'l [Part],
    own: &'l Part,
    diagnostics: &'l mut Diagnostics,
    secrets: Vec<String>,
}

impl Loader<'_> {
    fn declared(&self) -> Vec<String> {
        let keys = |part: &Part| match part.root.get("vars").map(|n| &n.kind) {
            Some(NodeKind::Map(entries)) => entries.iter().map(|e| e.key.clone()).collect(),
            _ => Vec::new(),
        };
        self.parts.iter().flat_map(keys).collect()
    }

    fn rows(&mut self) -> Vec<RowChecks> {
        let checks = self.check_nodes();
        let rows = vars::matrix(self.own.root.get("matrix"), self.diagnostics);
        let chosen: Vec<Row> = rows.into_iter().filter(|row| self.chosen(row)).collect();
        chosen
            .into_iter()
            .map(|row| {
                let checks = self.row(&row, &checks);
                RowChecks { row, checks }
            })
            .collect()
    }

    fn chosen(&self, row: &Row) -> bool {
        let wanted = &self.settings.rows;
        row.0
            .iter()
            .all(|(k, v)| wanted.iter().all(|(name, value)| name != k || value == v))
    }

    /// Collects the checks of all parts; a file of its own has to have one.
    fn check_nodes(&mut self) -> Vec<Node> {
        let mut all = Vec::new();
        for part in self.parts {
            match part.root.get("checks") {
                Some(Node {
                    kind: NodeKind::List(items),
                    ..
                }) => all.extend(items.iter().cloned()),
                Some(node) => self.diagnostics.push(
                    Diagnostic::new(node.span, "`checks` is a list")
                        .label(format!("this is {}", node.describe()))
                        .help("write `- name: …` for each check"),
                ),
                None => {}
            }
        }
        let own = self.own.root.get("checks");
        let malformed = own.is_some_and(|n| !matches!(n.kind, NodeKind::List(_)));
        if all.is_empty() && !malformed {
            let span = own.map_or(self.own.root.span, |n| n.span);
            let span = if own.is_some() {
                span
            } else {
                Span {
                    end: span.start,
                    ..span
                }
            };
            self.diagnostics.push(
                Diagnostic::new(span, "a spec without a check")
                    .help("add a check below `checks:`; nothing is proven by an empty list"),
            );
        }
        all
    }

    fn row(&mut self, row: &Row, checks: &[Node]) -> Vec<CheckEntry> {
        let scope = self.scope(row);
        let defaults = self.defaults(&scope);
        let entries: Vec<CheckEntry> = checks
            .iter()
            .filter_map(|node| {
                let node = self.in_check(node, &scope);
                let mut later = Diagnostics::default();
                let kinds = &self.settings.kinds;
                let entry = file::check(&node, &defaults, kinds, &scope, &mut later);
                self.diagnostics.absorb(later);
                entry
            })
            .collect();
        self.cross_check(&entries);
        entries
    }

    /// Puts values into a check; `if` is left alone, since it may be a bare expression.
    fn in_check(&mut self, node: &Node, scope: &Scope) -> Node {
        let NodeKind::Map(entries) = &node.kind else {
            return node.clone();
        };
        let entries = entries
            .iter()
            .map(|entry| {
                let mut entry = entry.clone();
                if entry.key != "if" {
                    entry.value = substitute(&entry.value, scope, self.diagnostics);
                }
                entry
            })
            .collect();
        Node {
            kind: NodeKind::Map(entries),
            ..node.clone()
        }
    }

    fn scope(&mut self, row: &Row) -> Scope {
        let mut scope = Scope::default();
        scope.set("matrix", row.values());
        scope.set("env", self.settings.env.clone());
        let mut about = Map::new();
        about.insert(
            "dir".into(),
            Value::String(self.own.dir.display().to_string()),
        );
        scope.set("spec", about);
        scope.set("secrets", self.secret_values());
        let mut values = Map::new();
        // Later files win over what they include; each value sees those before it.
        for part in self.parts {
            let Some(node) = part.root.get("vars") else {
                continue;
            };
            let NodeKind::Map(entries) = &node.kind else {
                self.diagnostics.push(
                    Diagnostic::new(node.span, "`vars` is a map of names to values")
                        .label(format!("this is {}", node.describe())),
                );
                continue;
            };
            for entry in entries {
                scope.set("vars", values.clone());
                let declared = substitute(&entry.value, &scope, self.diagnostics).to_value();
                let value = match self.settings.vars.get(&entry.key) {
                    Some(given) => like(given, &declared),
                    None => declared,
                };
                values.insert(entry.key.clone(), value);
            }
        }
        scope.set("vars", values);
        scope
    }

    fn secret_values(&mut self) -> Map<String, Value> {
        let mut values = Map::new();
        if let Some(node) = self.own.root.get("secrets")
            && let Some(names) = fields::read::<Vec<String>>(node, self.diagnostics)
        {
            for name in names {
                // An unset secret stands as an empty text; `requires: { env: [..] }` makes it a skip.
                let value = match self.settings.env.get(&name) {
                    Some(Value::String(value)) => value.clone(),
                    _ => String::new(),
                };
                if !value.is_empty() && !self.secrets.contains(&value) {
                    self.secrets.push(value.clone());
                }
                values.insert(name, Value::String(value));
            }
        }
        values
    }

    fn defaults(&mut self, scope: &Scope) -> Defaults {
        let mut defaults = Defaults::default();
        for part in self.parts {
            if let Some(node) = part.root.get("subjects") {
                let node = substitute(node, scope, self.diagnostics);
                let read = fields::read::<std::collections::BTreeMap<String, String>>;
                let subjects = read(&node, self.diagnostics).unwrap_or_default();
                defaults.subjects.extend(subjects);
            }
            if let Some(node) = part.root.get("tags") {
                let node = substitute(node, scope, self.diagnostics);
                let tags = fields::read::<Vec<String>>(&node, self.diagnostics);
                defaults.tags.extend(tags.unwrap_or_default());
            }
        }
        let root = &self.own.root;
        if let Some(node) = root.get("subject") {
            let node = substitute(node, scope, self.diagnostics);
            let text = plain_text(&node, "subject", self.diagnostics);
            defaults.subject = text.map(|t| (t, node.span));
        }
        if let Some(node) = root.get("requires") {
            let node = substitute(node, scope, self.diagnostics);
            defaults.requires = fields::requires(&node, self.diagnostics).unwrap_or_default();
        }
        if let Some(node) = root.get("if") {
            let condition = file::condition(node, scope, self.diagnostics);
            defaults.conditions.extend(condition);
        }
        defaults
    }

    /// Holds ids and names against each other: each once, and none that is needed missing.
    fn cross_check(&mut self, entries: &[CheckEntry]) {
        // Files of ten thousand checks are written by programs: each is looked up, not searched for.
        let known: HashSet<&str> = entries.iter().filter_map(|e| e.id.as_deref()).collect();
        let mut ids: HashMap<&str, &CheckEntry> = HashMap::new();
        let mut names: HashMap<String, &CheckEntry> = HashMap::new();
        for entry in entries {
            let earlier = entry.id.as_deref().and_then(|id| ids.get(id));
            if let Some(first) = earlier {
                let message = format!(
                    "the id `{}` is given twice",
                    entry.id.as_deref().unwrap_or("")
                );
                let line = first.span.line;
                self.diagnostics.push(
                    Diagnostic::new(entry.span, message)
                        .help(format!("the check on line {line} has it already")),
                );
            }
            if let Some(id) = entry.id.as_deref() {
                ids.entry(id).or_insert(entry);
            }
            let name = slug(&entry.name);
            if let Some(first) = names.get(&name) {
                let message = format!("two checks are named `{}`", entry.name);
                let line = first.span.line;
                self.diagnostics
                    .push(Diagnostic::new(entry.span, message).help(format!(
                        "the check on line {line} has this name; trials need their own"
                    )));
            }
            names.entry(name).or_insert(entry);
            for (need, span) in &entry.needs {
                let ids = entries.iter().filter_map(|e| e.id.as_deref());
                if entry.id.as_deref() == Some(need) {
                    self.diagnostics
                        .push(Diagnostic::new(*span, format!("`{need}` needs itself")));
                } else if !known.contains(need.as_str()) {
                    self.diagnostics.push(
                        Diagnostic::new(*span, format!("no check has the id `{need}`"))
                            .suggest(need, ids),
                    );
                }
            }
        }
    }
}

/// Reads a value given on the command line in the type of the one it replaces.
fn like(given: &Value, declared: &Value) -> Value {
    match (given, declared) {
        (Value::String(_), Value::String(_)) => given.clone(),
        (Value::String(text), _) => {
            let mut quiet = Diagnostics::default();
            document::parse(SourceId::default(), text, &mut quiet)
                .filter(|_| quiet.is_empty())
                .map_or_else(|| given.clone(), |node| node.to_value())
        }
        _ => given.clone(),
    }
}

/// Makes the part of a trial's name that stands for a check: `spin is installed` → `spin-is-installed`.
pub fn slug(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_alphanumeric() || matches!(c, '.' | '_' | '+' | '*') {
            out.extend(c.to_lowercase());
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.trim_end_matches('-').to_owned()
}
