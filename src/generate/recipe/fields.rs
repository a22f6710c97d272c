//! Reading typed fields out of nodes, each mistake with its place.

use crate::model::Span;
use crate::model::size::{parse_duration, parse_size};
use crate::spec::{Diagnostic, Diagnostics, Entry, Node, NodeKind};
use std::time::Duration;

/// Reads a map and reports the keys it does not know.
pub(super) fn map<'n>(
    node: &'n Node,
    what: &str,
    known: &[&str],
    diagnostics: &mut Diagnostics,
) -> Option<&'n [Entry]> {
    let NodeKind::Map(entries) = &node.kind else {
        diagnostics.push(
            Diagnostic::new(node.span, format!("{what} is a map"))
                .label(format!("this is {}", node.describe()))
                .help(format!("its keys: {}", known.join(", "))),
        );
        return None;
    };
    for entry in entries {
        if !known.contains(&entry.key.as_str()) {
            diagnostics.push(
                Diagnostic::new(entry.key_span, format!("unknown key `{}`", entry.key))
                    .suggest(&entry.key, known.iter().copied()),
            );
        }
    }
    Some(entries)
}

/// Reports a key that has to be there.
pub(super) fn missing(node: &Node, key: &str, example: &str, diagnostics: &mut Diagnostics) {
    // The first character stands for the map: underlining all of it would hide the place.
    let span = Span {
        end: (node.span.start + 1).min(node.span.end),
        ..node.span
    };
    diagnostics.push(
        Diagnostic::new(span, format!("`{key}` is missing")).help(format!("write `{example}`")),
    );
}

/// Reads a text that is not empty; numbers count as they are written.
pub(super) fn text(node: &Node, key: &str, diagnostics: &mut Diagnostics) -> Option<String> {
    match node.as_text() {
        Some(text) if !text.trim().is_empty() => Some(text.to_owned()),
        Some(_) | None => {
            diagnostics.push(
                Diagnostic::new(node.span, format!("`{key}` is a text"))
                    .label(format!("this is {}", describe(node))),
            );
            None
        }
    }
}

fn describe(node: &Node) -> &'static str {
    match node.as_text() {
        Some(_) => "empty",
        None => node.describe(),
    }
}

/// Reads a list of texts, each with its place; a single text counts as a list of one.
pub(super) fn texts(
    node: &Node,
    key: &str,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<(String, Span)>> {
    match &node.kind {
        NodeKind::List(items) if items.is_empty() => {
            diagnostics.push(Diagnostic::new(node.span, format!("`{key}` is empty")));
            None
        }
        NodeKind::List(items) => Some(
            items
                .iter()
                .filter_map(|item| Some((text(item, key, diagnostics)?, item.span)))
                .collect(),
        ),
        _ if node.as_text().is_some() => Some(vec![(text(node, key, diagnostics)?, node.span)]),
        _ => {
            diagnostics.push(
                Diagnostic::new(node.span, format!("`{key}` is a list of texts"))
                    .label(format!("this is {}", node.describe())),
            );
            None
        }
    }
}

/// Reads a time that is more than nothing.
pub(super) fn duration(node: &Node, key: &str, diagnostics: &mut Diagnostics) -> Option<Duration> {
    let time = node.as_text().and_then(parse_duration);
    let time = time.filter(|t| !t.is_zero());
    if time.is_none() {
        diagnostics.push(
            Diagnostic::new(node.span, format!("`{key}` is a duration"))
                .label("this is none")
                .help("write a number with a unit, such as `90s`, `60m` or `2h`"),
        );
    }
    time
}

/// Reads a size above zero.
pub(super) fn size(node: &Node, key: &str, diagnostics: &mut Diagnostics) -> Option<u64> {
    let size = match &node.kind {
        NodeKind::Int(n) => u64::try_from(*n).ok(),
        _ => node.as_text().and_then(parse_size),
    };
    let size = size.filter(|size| *size > 0);
    if size.is_none() {
        diagnostics.push(
            Diagnostic::new(node.span, format!("`{key}` is a size"))
                .label("this is none")
                .help("write a number with a unit, such as `20 GiB`"),
        );
    }
    size
}

/// Reads a count of 1 or more.
pub(super) fn count(node: &Node, key: &str, diagnostics: &mut Diagnostics) -> Option<u32> {
    let count = match &node.kind {
        NodeKind::Int(n) => u32::try_from(*n).ok().filter(|n| *n > 0),
        _ => None,
    };
    if count.is_none() {
        diagnostics.push(
            Diagnostic::new(node.span, format!("`{key}` is a number of 1 or more"))
                .label(format!("this is {}", node.describe())),
        );
    }
    count
}

/// Checks that a path stays inside the folder it is relative to; `true` where it does.
pub(super) fn inside(path: &str, of: &str, span: Span, diagnostics: &mut Diagnostics) -> bool {
    if path.contains("${{") {
        // What could not be put in has been reported.
        return false;
    }
    let leads_out = path.starts_with('/') || path.split('/').any(|part| part == "..");
    if leads_out {
        diagnostics.push(
            Diagnostic::new(span, format!("`{path}` leads out of {of}"))
                .help(format!("name it relative to {of}")),
        );
    }
    !leads_out
}

/// Checks that a name can be a variable's.
pub(super) fn variable(name: &str, span: Span, diagnostics: &mut Diagnostics) -> bool {
    let ok = !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !ok {
        diagnostics.push(
            Diagnostic::new(
                span,
                format!("`{name}` cannot name an environment variable"),
            )
            .help("use letters, digits and `_`"),
        );
    }
    ok
}
