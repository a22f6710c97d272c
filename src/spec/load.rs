//! From a spec file on disk to a [`SpecFile`]: includes, variables, matrix, checks.

use super::diagnostic::{Diagnostic, Diagnostics, Sources};
use super::document::{self, Node, NodeKind};
use super::fields;
use super::file::{self, CheckEntry, Defaults, RowChecks, SpecFile, plain_text};
use super::vars::{self, Row, Scope, substitute};
use crate::model::value::Value;
use crate::model::{SourceId, Span};
use serde_json::Map;
use std::path::{Path, PathBuf};

/// The keys of a spec file.
pub const FILE_KEYS: &[&str] = &[
    "spec", "tags", "vars", "matrix", "subject", "subjects", "requires", "if", "include",
    "secrets", "checks",
];

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

/// One file of a spec: itself, or one it includes.
#[derive(Clone)]
struct Part {
    root: Node,
    dir: PathBuf,
    /// The path without links and detours, by which a file is known again.
    real: PathBuf,
}

fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Reads a file and, before it, the files it includes.
fn gather(
    path: &Path,
    named_at: Option<Span>,
    open: &mut Vec<PathBuf>,
    parts: &mut Vec<Part>,
    sources: &mut Sources,
    diagnostics: &mut Diagnostics,
) -> Option<()> {
    let text = match read_bounded(path) {
        Ok(text) => text,
        Err(error) => {
            let span = named_at.unwrap_or_else(|| Span {
                source: sources.add(path, ""),
                line: 1,
                column: 1,
                ..Span::default()
            });
            let message = format!("cannot read {}: {error}", path.display());
            diagnostics.push(Diagnostic::new(span, message));
            return None;
        }
    };
    let source = sources.add(path, text.as_str());
    let root = document::parse(source, &text, diagnostics)?;
    keys(&root, source, named_at.is_some(), diagnostics)?;
    let dir = path.parent().unwrap_or(Path::new("")).to_owned();
    open.push(real(path));
    for (include, span) in includes(&root, diagnostics) {
        let target = dir.join(&include);
        let same = real(&target);
        if open.contains(&same) {
            diagnostics.push(
                Diagnostic::new(span, format!("`{include}` includes itself"))
                    .help("remove one of the two includes"),
            );
            continue;
        }
        // Two ways to one file: its checks are there already.
        if parts.iter().any(|part| part.real == same) {
            continue;
        }
        gather(&target, Some(span), open, parts, sources, diagnostics);
    }
    let real = open.pop()?;
    parts.push(Part { root, dir, real });
    Some(())
}

/// No spec file is larger than this.
const MAX_FILE: u64 = 16 << 20;

fn read_bounded(path: &Path) -> std::io::Result<String> {
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        return Err(std::io::Error::other("it is not a file"));
    }
    if meta.len() > MAX_FILE {
        return Err(std::io::Error::other("it is larger than 16 MiB"));
    }
    String::from_utf8(std::fs::read(path)?).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        std::io::Error::other(format!("it is not text: byte {offset} is not UTF-8"))
    })
}

/// Reports the keys no spec file has.
fn keys(
    root: &Node,
    source: SourceId,
    included: bool,
    diagnostics: &mut Diagnostics,
) -> Option<()> {
    let NodeKind::Map(entries) = &root.kind else {
        let span = Span {
            source,
            line: 1,
            column: 1,
            ..root.span
        };
        diagnostics.push(
            Diagnostic::new(span, "a spec file is a map")
                .label(format!("this is {}", root.describe()))
                .help("begin with `spec: what must be true`"),
        );
        return None;
    };
    for entry in entries {
        if !FILE_KEYS.contains(&entry.key.as_str()) {
            diagnostics.push(
                Diagnostic::new(entry.key_span, format!("unknown key `{}`", entry.key))
                    .suggest(&entry.key, FILE_KEYS.iter().copied()),
            );
        }
        if LITERAL_KEYS.contains(&entry.key.as_str())
            && let Some(span) = expression_in(&entry.value)
        {
            diagnostics.push(
                Diagnostic::new(span, format!("`{}` takes no expression", entry.key))
                    .help("it is read before any value is known; write it out"),
            );
        }
        let own_only = ["matrix", "subject", "requires", "if", "secrets"];
        if included && own_only.contains(&entry.key.as_str()) {
            diagnostics.push(
                Diagnostic::new(
                    entry.key_span,
                    format!("an included file has no `{}` of its own", entry.key),
                )
                .help("an included file gives `vars`, `subjects`, `tags` and `checks`"),
            );
        }
    }
    if !included && root.get("spec").is_none() {
        diagnostics.push(
            Diagnostic::new(
                Span {
                    end: root.span.start,
                    ..root.span
                },
                "`spec` is missing",
            )
            .help("begin with `spec: what must be true`"),
        );
    }
    Some(())
}

/// The keys of a spec file that are read before there are values to put in.
const LITERAL_KEYS: &[&str] = &["spec", "matrix", "include", "secrets"];

/// Finds the first text below a node that asks for a value.
fn expression_in(node: &Node) -> Option<Span> {
    match &node.kind {
        NodeKind::Text(text) => text.contains("${{").then_some(node.span),
        NodeKind::List(items) => items.iter().find_map(expression_in),
        NodeKind::Map(entries) => entries.iter().find_map(|e| expression_in(&e.value)),
        NodeKind::Null | NodeKind::Bool(_) | NodeKind::Int(_) | NodeKind::Float(_) => None,
    }
}

fn includes(root: &Node, diagnostics: &mut Diagnostics) -> Vec<(String, Span)> {
    let Some(node) = root.get("include") else {
        return Vec::new();
    };
    let items = match &node.kind {
        NodeKind::List(items) => items.iter().collect(),
        _ => vec![node],
    };
    items
        .into_iter()
        .filter_map(|n| Some((plain_text(n, "include", diagnostics)?, n.span)))
        .collect()
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
                file::check(
                    &node,
                    &defaults,
                    &self.settings.kinds,
                    &scope,
                    self.diagnostics,
                )
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
        for (index, entry) in entries.iter().enumerate() {
            let before = &entries[..index];
            if let Some(first) = before.iter().find(|e| e.id.is_some() && e.id == entry.id) {
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
            if let Some(first) = before.iter().find(|e| slug(&e.name) == slug(&entry.name)) {
                let message = format!("two checks are named `{}`", entry.name);
                let line = first.span.line;
                self.diagnostics
                    .push(Diagnostic::new(entry.span, message).help(format!(
                        "the check on line {line} has this name; trials need their own"
                    )));
            }
            for (need, span) in &entry.needs {
                let ids = entries.iter().filter_map(|e| e.id.as_deref());
                if entry.id.as_deref() == Some(need) {
                    self.diagnostics
                        .push(Diagnostic::new(*span, format!("`{need}` needs itself")));
                } else if !entries.iter().any(|e| e.id.as_deref() == Some(need)) {
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
