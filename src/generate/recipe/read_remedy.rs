//! Reading `remedies`, each mistake with its place.

use super::fields::{count, duration, map, missing, text, texts, variable};
use super::{Candidates, Class, Remedy, Retry, Run, Start};
use crate::model::size::parse_size;
use crate::spec::{Diagnostic, Diagnostics, Entry, Node, NodeKind};
use std::path::Path;

const REMEDIES: &[&str] = &["candidates", "rebase", "retry", "run"];

/// Reads `remedies`.
pub(super) fn remedies(
    node: &Node,
    project: &Path,
    diagnostics: &mut Diagnostics,
) -> Option<Vec<Remedy>> {
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
            "retry" => Some(Remedy::Retry(Retry::default())),
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
        "candidates" => candidates(&entry.value, diagnostics),
        "rebase" => Some(Remedy::Rebase),
        "retry" => retry(entry, diagnostics),
        "run" => run(entry, project, diagnostics),
        _ => None,
    }
}

fn candidates(node: &Node, diagnostics: &mut Diagnostics) -> Option<Remedy> {
    map(node, "`candidates`", &["ref", "var", "values"], diagnostics)?;
    let mut list = |key: &str| -> Option<Vec<String>> {
        let listed = texts(node.get(key)?, key, diagnostics)?;
        let mut names: Vec<String> = Vec::new();
        for (name, span) in listed {
            let odd = |c: char| c.is_whitespace() || c.is_control() || ":^~*?[\\".contains(c);
            if key == "ref" && (name.starts_with('-') || name.contains(odd) || name.contains(".."))
            {
                diagnostics.push(
                    Diagnostic::new(span, format!("`{name}` is not a name git can fetch"))
                        .help("name a tag, a branch or a whole commit id"),
                );
            }
            if names.contains(&name) {
                diagnostics.push(Diagnostic::new(span, format!("`{name}` is named twice")));
            }
            names.push(name);
        }
        Some(names)
    };
    let (refs, values) = (list("ref"), list("values"));
    let var = node.get("var").and_then(|n| text(n, "var", diagnostics));
    match (refs, var, values) {
        (Some(refs), None, None) => Some(Remedy::Candidates(Candidates::Ref(refs))),
        (None, Some(var), Some(values)) => {
            Some(Remedy::Candidates(Candidates::Var { var, values }))
        }
        _ => {
            let example = "candidates: { ref: [v1.1, v1.0] }";
            diagnostics.push(
                Diagnostic::new(node.span, "`candidates` are refs, or values of a variable").help(
                    format!(
                        "write `{example}` or `candidates: {{ var: version, values: [a, b] }}`"
                    ),
                ),
            );
            None
        }
    }
}

fn retry(entry: &Entry, diagnostics: &mut Diagnostics) -> Option<Remedy> {
    let node = &entry.value;
    let keys = ["on", "attempts", "delay", "max-delay", "clear"];
    map(node, "`retry`", &keys, diagnostics)?;
    let mut retry = Retry::default();
    if let Some(on) = node.get("on") {
        retry.on.clear();
        for (word, span) in texts(on, "on", diagnostics)? {
            match word.parse::<Class>() {
                Ok(class) => retry.on.push(class),
                Err(()) => diagnostics.push(
                    Diagnostic::new(span, format!("`{word}` is nothing a retry knows"))
                        .suggest(&word, Class::ALL.map(Class::name)),
                ),
            }
        }
    }
    if let Some(n) = node.get("attempts") {
        retry.attempts = count(n, "attempts", diagnostics)?;
    }
    let time = |key: &str, diagnostics: &mut Diagnostics| {
        node.get(key).and_then(|n| duration(n, key, diagnostics))
    };
    retry.delay = time("delay", diagnostics);
    retry.max_delay = time("max-delay", diagnostics);
    if let Some(n) = node.get("clear") {
        match n.kind {
            NodeKind::Bool(clear) => retry.clear = clear,
            _ => diagnostics.push(
                Diagnostic::new(n.span, "`clear` is `true` or `false`")
                    .label(format!("this is {}", n.describe()))
                    .help("`true` lets tdg remove its own cache, old work trees and old logs where the disk is full"),
            ),
        }
    }
    Some(Remedy::Retry(retry))
}

fn run(entry: &Entry, project: &Path, diagnostics: &mut Diagnostics) -> Option<Remedy> {
    let node = &entry.value;
    let mut run = Run::default();
    let argv = if matches!(node.kind, NodeKind::Map(_)) {
        let keys = ["argv", "env", "secrets", "timeout", "output", "in"];
        map(node, "`run`", &keys, diagnostics)?;
        let Some(argv) = node.get("argv") else {
            missing(node, "argv", "argv: [scripts/remedy]", diagnostics);
            return None;
        };
        run.env = names(node, "env", diagnostics);
        run.secrets = names(node, "secrets", diagnostics);
        let timeout = node.get("timeout");
        run.timeout = timeout.and_then(|n| duration(n, "timeout", diagnostics));
        run.output = node.get("output").and_then(|n| size(n, diagnostics));
        if let Some(n) = node.get("in") {
            run.start = start(n, diagnostics)?;
        }
        argv
    } else {
        node
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
    run.argv = words;
    Some(Remedy::Run(run))
}

fn names(node: &Node, key: &str, diagnostics: &mut Diagnostics) -> Vec<String> {
    let names = node.get(key).and_then(|n| texts(n, key, diagnostics));
    let names = names.unwrap_or_default().into_iter();
    names
        .filter_map(|(name, span)| variable(&name, span, diagnostics).then_some(name))
        .collect()
}

fn size(node: &Node, diagnostics: &mut Diagnostics) -> Option<u64> {
    let size = node.as_text().and_then(parse_size).filter(|s| *s > 0);
    if size.is_none() {
        diagnostics.push(
            Diagnostic::new(node.span, "`output` is a size")
                .label("this is none")
                .help("write how much it may write, such as `8 MiB`"),
        );
    }
    size
}

fn start(node: &Node, diagnostics: &mut Diagnostics) -> Option<Start> {
    match node.as_text() {
        Some("project") => Some(Start::Project),
        Some("worktree") => Some(Start::Worktree),
        Some(_) | None => {
            diagnostics.push(
                Diagnostic::new(node.span, "`in` is `project` or `worktree`")
                    .help("`project`: the recipe's folder; `worktree`: the work tree of its own"),
            );
            None
        }
    }
}
