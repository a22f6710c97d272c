//! `iterate`: attempts, budget; the remedies are read in a file of their own.

use super::fields::{count, duration, map};
use super::read_remedy::remedies;
use super::{DEFAULT_ATTEMPTS, Iterate, RedFirst};
use crate::spec::{Diagnostic, Diagnostics, Node, NodeKind};
use std::path::Path;

const KEYS: &[&str] = &[
    "max-attempts",
    "parallel",
    "budget",
    "red-first",
    "remedies",
];

/// Reads `iterate`.
pub(super) fn iterate(
    node: &Node,
    project: &Path,
    diagnostics: &mut Diagnostics,
) -> Option<Iterate> {
    map(node, "`iterate`", KEYS, diagnostics)?;
    let max_attempts = match node.get("max-attempts") {
        None => Some(DEFAULT_ATTEMPTS),
        Some(n) => count(n, "max-attempts", diagnostics),
    };
    let parallel = match node.get("parallel") {
        None => Some(1),
        Some(n) => count(n, "parallel", diagnostics),
    };
    let budget = node
        .get("budget")
        .and_then(|n| duration(n, "budget", diagnostics));
    let red_first = match node.get("red-first") {
        None => Some(RedFirst::default()),
        Some(n) => red_first(n, diagnostics),
    };
    let remedies = match node.get("remedies") {
        None => Some(Vec::new()),
        Some(n) => remedies(n, project, diagnostics),
    };
    Some(Iterate {
        max_attempts: max_attempts?,
        parallel: parallel?,
        budget,
        red_first: red_first?,
        remedies: remedies?,
    })
}

fn red_first(node: &Node, diagnostics: &mut Diagnostics) -> Option<RedFirst> {
    match (&node.kind, node.as_text()) {
        (NodeKind::Bool(false), _) => Some(RedFirst::Off),
        (NodeKind::Bool(true), _) | (_, Some("nothing")) => Some(RedFirst::Nothing),
        (_, Some("build")) => Some(RedFirst::Build),
        _ => {
            diagnostics.push(
                Diagnostic::new(node.span, "`red-first` is `nothing`, `build` or `false`")
                    .help("`nothing`: the specs first see no artifact; `build`: those of the unpatched upstream"),
            );
            None
        }
    }
}
