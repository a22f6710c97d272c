//! `tdg explain`: what a kind looks at, its arguments and its evidence.

use super::exit;
use crate::check::{self, AnyKind, SubjectUse};
use crate::model::shape::{Record, Shape};
use crate::spec::diagnostic::nearest;
use crate::spec::matcher::OPERATORS;
use std::fmt::Write as _;

/// Explain a kind: its arguments, the fields of its evidence, an example; or the matchers
#[derive(clap::Args)]
#[command(after_help = "Example:\n  tdg explain extension\n  tdg explain matchers")]
pub struct Args {
    /// A kind, or `matchers`; all kinds where left out
    topic: Option<String>,
}

/// Carries the command out and gives the exit code.
pub fn run(args: Args) -> u8 {
    let Some(topic) = args.topic else {
        put!("{}", overview());
        return 0;
    };
    if topic == "matchers" {
        put!("{}", matchers());
        return 0;
    }
    match kind(&topic) {
        Ok(kind) => {
            put!("{}", explain(kind));
            0
        }
        Err(message) => {
            let more = if message.contains("known: ") {
                ", matchers"
            } else {
                ""
            };
            eprintln!("error: {message}{more}");
            exit::USAGE
        }
    }
}

/// Finds a kind by its name, or says which one was probably meant.
pub(super) fn kind(name: &str) -> Result<&'static dyn AnyKind, String> {
    check::find(name).ok_or_else(|| {
        let known: Vec<&str> = check::KINDS.iter().map(|k| k.name()).collect();
        let hint = match nearest(name, &known) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("known: {}", known.join(", ")),
        };
        format!("there is no kind `{name}`; {hint}")
    })
}

fn overview() -> String {
    let mut out = String::from("Kinds of check (tdg explain KIND):\n");
    for kind in check::KINDS {
        let _ = writeln!(out, "  {:<11} {}", kind.name(), kind.summary());
    }
    out.push_str("\nMatchers: tdg explain matchers\n");
    out
}

fn matchers() -> String {
    let mut out = String::from("Matchers, as they stand under `expect`:\n");
    for operator in OPERATORS {
        let _ = writeln!(out, "  {:<13} {}", operator.name, operator.doc);
        let _ = writeln!(out, "  {:<13}   {}", "", operator.example);
    }
    out.push_str(
        "\nA plain value is equality; `null` is absence. `every`, `none`, `unique` and `not` over\n\
         nothing fail unless `allow-empty: true` stands beside them or in the check.\n",
    );
    out
}

/// Explains one kind.
pub(crate) fn explain(kind: &dyn AnyKind) -> String {
    let mut out = format!("{}: {}\n\n", kind.name(), kind.summary());
    let subject = match kind.subject() {
        SubjectUse::Required => "has to be named (`in:` or `subject:`)",
        SubjectUse::Optional => "may be named (`in:` or `subject:`)",
        SubjectUse::None => "none",
    };
    let _ = writeln!(out, "Subject: {subject}\n");
    out.push_str("Arguments:\n");
    match kind.args() {
        Shape::Record(record) if !record.fields.is_empty() => {
            fields(record, 1, kind.main(), &mut out);
        }
        _ => out.push_str("  none\n"),
    }
    out.push_str("\nEvidence (what `expect` may name):\n");
    if let Shape::Record(record) = kind.evidence() {
        fields(record, 1, None, &mut out);
    }
    out.push_str("\nExample:\n");
    for line in kind.example().lines() {
        let _ = writeln!(out, "  {line}");
    }
    out
}

fn fields(record: &Record, depth: usize, main: Option<&str>, out: &mut String) {
    let indent = "  ".repeat(depth);
    for field in &record.fields {
        let main = if main == Some(field.name.as_str()) {
            " (main)"
        } else {
            ""
        };
        let doc = field.doc.replace('\n', " ");
        let shape = field.shape.describe();
        let _ = writeln!(out, "{indent}{}{main}: {shape}. {doc}", field.name);
        if let Some(inner) = nested(&field.shape) {
            fields(inner, depth + 1, None, out);
        }
    }
}

fn nested(shape: &Shape) -> Option<&Record> {
    match shape {
        Shape::Record(record) => Some(record),
        Shape::List(inner) | Shape::Map(inner, _) | Shape::Optional(inner) => nested(inner),
        Shape::Any | Shape::Bool | Shape::Number(_) | Shape::Text(_) | Shape::Enum(_) => None,
    }
}
