//! The parts of a recipe that differ by row: `build` and `artifacts`.

use super::fields::{duration, inside, map, missing, size, text, texts, variable};
use super::{Artifacts, Build, Setting, Step, Tool};
use crate::model::words;
use crate::spec::{Diagnostic, Diagnostics, Node, NodeKind};

/// Reads `build`.
pub(super) fn build(node: &Node, diagnostics: &mut Diagnostics) -> Option<Build> {
    map(
        node,
        "`build`",
        &["dir", "steps", "tools", "timeout", "space", "env"],
        diagnostics,
    )?;
    let dir = match node.get("dir") {
        None => String::new(),
        Some(n) => {
            let dir = text(n, "dir", diagnostics)?;
            inside(&dir, "the work tree", n.span, diagnostics);
            dir
        }
    };
    let timeout = node
        .get("timeout")
        .and_then(|n| duration(n, "timeout", diagnostics));
    let space = node
        .get("space")
        .and_then(|n| size(n, "space", diagnostics));
    let env = match node.get("env") {
        None => Vec::new(),
        Some(n) => environment(n, diagnostics),
    };
    let tools = match node.get("tools") {
        None => Vec::new(),
        Some(n) => self::tools(n, diagnostics)?,
    };
    let Some(steps) = node.get("steps") else {
        missing(node, "steps", "steps: [make]", diagnostics);
        return None;
    };
    Some(Build {
        dir,
        steps: self::steps(steps, diagnostics)?,
        tools,
        timeout,
        space,
        env,
    })
}

/// Reads `tools`: commands, each asking a program for its version.
fn tools(node: &Node, diagnostics: &mut Diagnostics) -> Option<Vec<Tool>> {
    let NodeKind::List(items) = &node.kind else {
        diagnostics.push(
            Diagnostic::new(node.span, "`tools` is a list of commands")
                .label(format!("this is {}", node.describe()))
                .help("write `tools: [make --version]`"),
        );
        return None;
    };
    let tool = |item| {
        let step = command(item, diagnostics)?;
        Some(Tool {
            text: step.text,
            argv: step.argv,
            said: String::new(),
        })
    };
    Some(items.iter().filter_map(tool).collect())
}

fn steps(node: &Node, diagnostics: &mut Diagnostics) -> Option<Vec<Step>> {
    let NodeKind::List(items) = &node.kind else {
        diagnostics.push(
            Diagnostic::new(node.span, "`steps` is a list of commands")
                .label(format!("this is {}", node.describe()))
                .help("write `steps: [make update, make image]`"),
        );
        return None;
    };
    if items.is_empty() {
        diagnostics.push(
            Diagnostic::new(node.span, "a build without a step builds nothing")
                .help("name at least one command"),
        );
    }
    let steps = items.iter().filter_map(|item| step(item, diagnostics));
    Some(steps.collect())
}

fn step(node: &Node, diagnostics: &mut Diagnostics) -> Option<Step> {
    if !matches!(node.kind, NodeKind::Map(_)) {
        return command(node, diagnostics);
    }
    map(node, "a step", &["run", "sh", "timeout"], diagnostics)?;
    let timeout = node
        .get("timeout")
        .and_then(|n| duration(n, "timeout", diagnostics));
    let step = match (node.get("run"), node.get("sh")) {
        (Some(run), None) => command(run, diagnostics)?,
        (None, Some(script)) => {
            let script = text(script, "sh", diagnostics)?;
            Step {
                argv: vec!["sh".into(), "-eu".into(), "-c".into(), script.clone()],
                text: format!("sh: {script}"),
                timeout: None,
                line: node.span.line,
            }
        }
        (Some(_), Some(sh)) => {
            diagnostics.push(
                Diagnostic::new(sh.span, "a step has `run` or `sh`, not both")
                    .help("begin each step with its own `-`"),
            );
            return None;
        }
        (None, None) => {
            missing(node, "sh", "- sh: a | b", diagnostics);
            return None;
        }
    };
    Some(Step { timeout, ..step })
}

/// Reads a command line, split into words.
fn command(node: &Node, diagnostics: &mut Diagnostics) -> Option<Step> {
    let line = text(node, "a step", diagnostics)?;
    let wrong = |message: String, help: String| Diagnostic::new(node.span, message).help(help);
    let shell = format!(
        "write `- sh: {}`",
        crate::model::value::show(&line.as_str().into(), 120)
    );
    match words::split(&line) {
        Err(why) => {
            diagnostics.push(wrong(why, shell));
            None
        }
        Ok(argv) if argv.first().is_some_and(|word| word.contains('=')) => {
            let message = format!("`{}` is no program", argv[0]);
            diagnostics.push(wrong(message, format!("set it under `env`, or {shell}")));
            None
        }
        Ok(argv) => Some(Step {
            text: line,
            argv,
            timeout: None,
            line: node.span.line,
        }),
    }
}

/// Reads `env`: a map of names to values, or a list of names to pass on.
pub(super) fn environment(node: &Node, diagnostics: &mut Diagnostics) -> Vec<(String, Setting)> {
    match &node.kind {
        NodeKind::Map(entries) => {
            let mut settings = Vec::new();
            for e in entries {
                if !variable(&e.key, e.key_span, diagnostics) {
                    continue;
                }
                match e.value.as_text() {
                    Some(value) => {
                        settings.push((e.key.clone(), Setting::Value(value.to_owned())));
                    }
                    None => diagnostics.push(
                        Diagnostic::new(e.value.span, format!("`{}` is a text", e.key))
                            .label(format!("this is {}", e.value.describe())),
                    ),
                }
            }
            settings
        }
        NodeKind::List(items) if items.is_empty() => Vec::new(),
        _ => texts(node, "env", diagnostics)
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(name, span)| {
                if name.contains('=') {
                    diagnostics.push(
                        Diagnostic::new(span, "a list of `env` names what is passed on")
                            .help("write a map, `env: { NAME: value }`, to set a value"),
                    );
                    return None;
                }
                variable(&name, span, diagnostics).then_some((name, Setting::Passed))
            })
            .collect(),
    }
}

/// Reads `artifacts`.
pub(super) fn artifacts(node: &Node, diagnostics: &mut Diagnostics) -> Option<Artifacts> {
    map(node, "`artifacts`", &["from", "files"], diagnostics)?;
    let from = match node.get("from") {
        None => String::new(),
        Some(n) => {
            let from = text(n, "from", diagnostics)?;
            inside(&from, "the work tree", n.span, diagnostics);
            from
        }
    };
    let Some(files) = node.get("files") else {
        missing(node, "files", "files: [kernel-arm64]", diagnostics);
        return None;
    };
    let mut names: Vec<String> = Vec::new();
    for (name, span) in texts(files, "files", diagnostics)? {
        inside(&name, "`from`", span, diagnostics);
        if name.contains(['*', '?']) {
            diagnostics.push(
                Diagnostic::new(span, format!("`{name}` is a pattern"))
                    .help("name each file: what is not named is not missed when it is not written"),
            );
        }
        if names.contains(&name) {
            diagnostics.push(Diagnostic::new(span, format!("`{name}` is named twice")));
        }
        names.push(name);
    }
    Some(Artifacts { from, files: names })
}
