//! `iterate`: attempts, budget, remedies.

use super::fields::{count, duration, map, missing, text, texts, variable};
use super::{DEFAULT_ATTEMPTS, Iterate, RedFirst, Remedy};
use crate::spec::{Diagnostic, Diagnostics, Entry, Node, NodeKind};
use std::path::Path;

const KEYS: &[&str] = &[
    "max-attempts",
    "parallel",
    "budget",
    "red-first",
    "remedies",
];
const REMEDIES: &[&str] = &["rebase", "retry", "run"];

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

fn remedies(node: &Node, project: &Path, diagnostics: &mut Diagnostics) -> Option<Vec<Remedy>> {
    let NodeKind::List(items) = &node.kind else {
        diagnostics.push(
            Diagnostic::new(node.span, "`remedies` is a list")
                .label(format!("this is {}", node.describe()))
                .help("write `remedies: [{ run: [scripts/remedy] }]`"),
        );
        return None;
    };
    let remedies = items.iter().filter_map(|n| remedy(n, project, diagnostics));
    Some(remedies.collect())
}

fn remedy(node: &Node, project: &Path, diagnostics: &mut Diagnostics) -> Option<Remedy> {
    if let Some(word) = node.as_text() {
        return match word {
            "rebase" => Some(Remedy::Rebase),
            "retry" => Some(Remedy::Retry { attempts: 3 }),
            "run" => {
                missing(node, "run", "- run: [scripts/remedy]", diagnostics);
                None
            }
            other => {
                diagnostics.push(
                    Diagnostic::new(node.span, format!("there is no remedy `{other}`"))
                        .suggest(other, REMEDIES.iter().copied()),
                );
                None
            }
        };
    }
    let entries = map(node, "a remedy", REMEDIES, diagnostics)?;
    let [entry] = entries else {
        diagnostics.push(
            Diagnostic::new(node.span, "a remedy has exactly one key")
                .label(format!("this has {}", entries.len()))
                .help("begin each remedy with its own `-`"),
        );
        return None;
    };
    match entry.key.as_str() {
        "rebase" => Some(Remedy::Rebase),
        "retry" => retry(entry, diagnostics),
        "run" => run(entry, project, diagnostics),
        _ => None,
    }
}

fn retry(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<Remedy> {
    let node = &entry.value;
    map(node, "`retry`", &["on", "attempts"], diagnostics)?;
    if let Some(on) = node.get("on") {
        for (word, span) in texts(on, "on", diagnostics)? {
            if word != "network" {
                diagnostics.push(
                    Diagnostic::new(span, format!("`{word}` is nothing a retry knows"))
                        .suggest(&word, ["network"]),
                );
            }
        }
    }
    let attempts = match node.get("attempts") {
        None => 3,
        Some(n) => count(n, "attempts", diagnostics)?,
    };
    Some(Remedy::Retry { attempts })
}

fn run(entry: &Entry, project: &Path, diagnostics: &mut Diagnostics) -> Option<Remedy> {
    let node = &entry.value;
    let (argv, env, timeout) = if matches!(node.kind, NodeKind::Map(_)) {
        map(node, "`run`", &["argv", "env", "timeout"], diagnostics)?;
        let Some(argv) = node.get("argv") else {
            missing(node, "argv", "argv: [scripts/remedy]", diagnostics);
            return None;
        };
        let names = node.get("env").map(|n| texts(n, "env", diagnostics));
        let names = names.flatten().unwrap_or_default();
        let env = names
            .into_iter()
            .filter_map(|(name, span)| variable(&name, span, diagnostics).then_some(name))
            .collect();
        let timeout = node
            .get("timeout")
            .and_then(|n| duration(n, "timeout", diagnostics));
        (argv, env, timeout)
    } else {
        (node, Vec::new(), None)
    };
    let words: Vec<String> = match &argv.kind {
        NodeKind::List(_) => {
            let words = texts(argv, "run", diagnostics)?;
            words.into_iter().map(|(word, _)| word).collect()
        }
        _ => {
            let line = text(argv, "run", diagnostics)?;
            match crate::model::words::split(&line) {
                Ok(words) => words,
                Err(why) => {
                    diagnostics.push(
                        Diagnostic::new(argv.span, why)
                            .help("write a list: `run: [sh, -c, \"…\"]`"),
                    );
                    return None;
                }
            }
        }
    };
    let program = words.first()?;
    if program.contains('/') && !project.join(program).exists() {
        diagnostics.push(
            Diagnostic::new(argv.span, format!("`{program}` is not in the project"))
                .help("name a program relative to the folder of the recipe"),
        );
    }
    Some(Remedy::Run {
        argv: words,
        env,
        timeout,
    })
}
