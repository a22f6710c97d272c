//! A spec and its checks as text.

use std::fmt::Write as _;

use super::{Check, yaml};
use crate::model::Address;
use crate::model::path::printable;
use crate::model::value::Value;

/// A spec that is about to be written.
pub struct Spec<'s> {
    /// Its title.
    pub title: String,
    /// What stands before it as comments, a line each.
    pub notes: Vec<String>,
    /// What is described.
    pub address: &'s Address,
    /// What is written in the place of that address, expressions among it; see
    /// [`literal`](super::literal).
    pub subject: String,
    /// The checks.
    pub checks: &'s [Check],
}

impl Spec<'_> {
    /// Writes the whole file.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        for note in &self.notes {
            let _ = writeln!(out, "# {}", printable(note));
        }
        title(&mut out, &self.title);
        yaml::expression(&mut out, "subject", &self.subject, 0);
        out.push_str("checks:\n");
        for (index, check) in self.checks.iter().enumerate() {
            if index > 0 {
                out.push('\n');
            }
            out.push_str(&check_lines(check, 2, self.place(check).as_deref()));
        }
        out
    }

    /// Gives what a check names as its subject; `None` where that is the
    /// file's.
    fn place(&self, check: &Check) -> Option<String> {
        let at = check.asked.at.as_ref()?.to_string();
        match at.strip_prefix(&self.address.to_string()) {
            Some("") => None,
            Some(rest) if rest.starts_with("!/") => {
                Some(format!("{}{}", self.subject, yaml::literal(rest)))
            }
            Some(_) | None => Some(yaml::literal(&at)),
        }
    }
}

/// Writes a check as an element of the list `checks`, the dash at `indent`. In
/// the subject expressions are meant.
#[must_use]
pub fn check_lines(check: &Check, indent: usize, subject: Option<&str>) -> String {
    let margin = " ".repeat(indent);
    let kind = check.asked.kind;
    let mut out = format!("{margin}# {}\n", kind.summary());
    let mut lines = String::new();
    yaml::entry(
        &mut lines,
        "name",
        &check.asked.name.as_str().into(),
        indent + 2,
    );
    match &check.asked.args {
        Value::Null => {
            let _ = writeln!(lines, "{margin}  {}:", kind.name());
        }
        args => yaml::entry(&mut lines, kind.name(), args, indent + 2),
    }
    if let Some(subject) = subject {
        yaml::expression(&mut lines, "in", subject, indent + 2);
    }
    let _ = writeln!(lines, "{margin}  expect:");
    yaml::map(&mut lines, &check.expect, indent + 4);
    // The dash stands in the margin of the first line.
    out.push_str(&lines.replacen(&format!("{margin}  "), &format!("{margin}- "), 1));
    out
}

/// Writes a spec file of one check, whose lines are given.
#[must_use]
pub fn new_file(title: &str, lines: &str) -> String {
    let mut out = String::new();
    self::title(&mut out, title);
    out.push_str("checks:\n");
    out.push_str(lines);
    out
}

/// A title takes no expression, and no way to write what looks like one.
fn title(out: &mut String, text: &str) {
    let text = text.replace("${{", "$ {{");
    yaml::entry(out, "spec", &text.into(), 0);
}
