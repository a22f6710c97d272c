//! A spec file on disk and the files it includes, read but not yet understood.

use super::diagnostic::{Diagnostic, Diagnostics, Sources};
use super::document::{self, Node, NodeKind};
use super::file::plain_text;
use crate::model::{SourceId, Span};
use std::path::{Path, PathBuf};

/// The keys of a spec file.
pub const FILE_KEYS: &[&str] = &[
    "spec", "tags", "vars", "matrix", "subject", "subjects", "requires", "if", "include",
    "secrets", "checks",
];

/// One file of a spec: itself, or one it includes.
#[derive(Clone)]
pub(super) struct Part {
    pub root: Node,
    pub dir: PathBuf,
    /// The path without links and detours, by which a file is known again.
    real: PathBuf,
}

fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Reads a file and, before it, the files it includes.
pub(super) fn gather(
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
