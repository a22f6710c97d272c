//! One more check at the end of a spec file, everything else left byte for byte
//! as it was.

use thiserror::Error;

use crate::model::SourceId;
use crate::model::value::Value;
use crate::spec::document::parse;
use crate::spec::load::slug;
use crate::spec::{Diagnostics, Node, NodeKind, Sources};

/// Why nothing can be appended to a file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AppendError {
    /// The file is no spec.
    #[error("{0}")]
    Broken(String),
    /// The file is a spec in a form that nothing is appended to.
    #[error("{0}; nothing is appended to such a file, so paste the check where it belongs")]
    Form(&'static str),
}

/// A spec file that a check is to be appended to.
pub struct File<'t> {
    text: &'t str,
    root: Node,
}

impl<'t> File<'t> {
    /// Reads a spec file.
    ///
    /// # Errors
    /// Where it is not one YAML document with a map at its top.
    pub fn read(name: &str, text: &'t str) -> Result<Self, AppendError> {
        let (mut sources, mut wrong) = (Sources::default(), Diagnostics::default());
        let source = sources.add(name, text);
        match parse(source, text, &mut wrong) {
            Some(root) if wrong.is_empty() && matches!(root.kind, NodeKind::Map(_)) => {
                Ok(Self { text, root })
            }
            Some(_) if wrong.is_empty() => Err(AppendError::Form("it is no map")),
            Some(_) | None => Err(AppendError::Broken(wrong.render(&sources, false))),
        }
    }

    /// Tells whether a check of this name, or of one that makes the same
    /// trial's name, is there.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        let wanted = slug(name);
        let named = |check: &Node| {
            let text = check.get("name").and_then(Node::as_text);
            text.is_some_and(|text| slug(text) == wanted)
        };
        self.checks().iter().any(named)
    }

    /// Gives what the file names as the subject of its checks.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.root.get("subject").and_then(Node::as_text)
    }

    fn checks(&self) -> &[Node] {
        match self.root.get("checks").map(|node| &node.kind) {
            Some(NodeKind::List(items)) => items,
            Some(_) | None => &[],
        }
    }

    /// Gives the text with one more check. `write` gives its lines, with the
    /// dash at an indentation.
    ///
    /// # Errors
    /// Where the list of checks is not in the form of lines with a dash each.
    pub fn with(&self, write: impl Fn(usize) -> String) -> Result<String, AppendError> {
        let Some(list) = self.root.get("checks") else {
            return Err(AppendError::Form("it has no `checks`"));
        };
        let Some(last) = self.checks().last() else {
            return Err(AppendError::Form("its list of checks is empty"));
        };
        if self
            .text
            .get(list.span.start..)
            .is_some_and(|rest| rest.starts_with('['))
        {
            return Err(AppendError::Form("its checks stand in `[…]`"));
        }
        let (line, indent) = self.dash(last)?;
        let end = self.end(line, indent);
        let (before, after) = self.text.split_at(end);
        let mut out = before.to_owned();
        if !out.ends_with('\n') {
            out.push('\n');
        }
        if self.spaced(line) {
            out.push('\n');
        }
        out.push_str(&write(indent));
        out.push_str(after);
        self.holds(&out)
            .then_some(out)
            .ok_or(AppendError::Form("its layout is unusual"))
    }

    /// Finds the dash of a check: where its line begins, and its indentation.
    fn dash(&self, check: &Node) -> Result<(usize, usize), AppendError> {
        let odd = AppendError::Form("its last check does not stand behind a dash");
        let before = self.text.get(..check.span.start).ok_or(odd.clone())?;
        let before = before.trim_end();
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        match before
            .get(line..)
            .map(|text| (text.trim_start(), text.len()))
        {
            Some(("-", length)) => Ok((line, length - 1)),
            Some(_) | None => Err(odd),
        }
    }

    /// Finds the end of the check whose dash is on the line at `start`: behind
    /// its last line that is further in than the dash.
    fn end(&self, start: usize, indent: usize) -> usize {
        let mut end = start;
        let mut at = start;
        for (number, line) in self
            .text
            .get(start..)
            .unwrap_or_default()
            .split_inclusive('\n')
            .enumerate()
        {
            let depth = line.len() - line.trim_start_matches(' ').len();
            let blank = line.trim().is_empty();
            if number > 0 && !blank && depth <= indent {
                break;
            }
            at += line.len();
            if !blank {
                end = at;
            }
        }
        end
    }

    /// Tells whether the file leaves a line between two checks.
    fn spaced(&self, last: usize) -> bool {
        let before = self.text.get(..last).unwrap_or_default();
        let mut lines = before.lines().rev();
        let line = lines.find(|line| !line.trim_start().starts_with('#'));
        self.checks().len() > 1 && line.is_some_and(|line| line.trim().is_empty())
    }

    /// Holds what was written against what was there: one check more, nothing
    /// else changed.
    fn holds(&self, text: &str) -> bool {
        let mut wrong = Diagnostics::default();
        let Some(root) = parse(SourceId::default(), text, &mut wrong) else {
            return false;
        };
        let (Value::Object(mut old), Value::Object(mut new)) =
            (self.root.to_value(), root.to_value())
        else {
            return false;
        };
        let (Some(Value::Array(was)), Some(Value::Array(is))) =
            (old.remove("checks"), new.remove("checks"))
        else {
            return false;
        };
        wrong.is_empty() && old == new && is.len() == was.len() + 1 && is.starts_with(&was)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn appended(text: &str) -> Result<String, AppendError> {
        let write = |indent: usize| {
            let margin = " ".repeat(indent);
            format!("{margin}- name: new\n{margin}  kernel:\n")
        };
        File::read("spec.yaml", text)?.with(write)
    }

    #[test]
    fn the_lines_come_behind_the_last_check_and_nothing_else_changes() {
        for (text, wanted) in [
            (
                "checks:\n  - name: a\n    x: 1\n",
                "checks:\n  - name: a\n    x: 1\n  - name: new\n    kernel:\n",
            ),
            // No line break at the end.
            (
                "checks:\n- a: 1",
                "checks:\n- a: 1\n- name: new\n  kernel:\n",
            ),
            // Comments: those further in belong to the check, the others do not.
            (
                "# one\nchecks: # two\n  - a: 1 # three\n    # four\n\n# five\ntags: [x]\n",
                "# one\nchecks: # two\n  - a: 1 # three\n    # four\n  - name: new\n    kernel:\n\n# five\ntags: [x]\n",
            ),
            // A block of text at the end, and blank lines in it.
            (
                "checks:\n  - a: |\n      one\n\n      two\n\n",
                "checks:\n  - a: |\n      one\n\n      two\n  - name: new\n    kernel:\n\n",
            ),
            // Checks that are apart stay apart.
            (
                "checks:\n  - a: 1\n\n  # about b\n  - b: 2\n",
                "checks:\n  - a: 1\n\n  # about b\n  - b: 2\n\n  - name: new\n    kernel:\n",
            ),
            // The dash on a line of its own.
            (
                "checks:\n  -\n    a: 1\n",
                "checks:\n  -\n    a: 1\n  - name: new\n    kernel:\n",
            ),
        ] {
            assert_eq!(appended(text).as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_has_another_form_is_left_alone() {
        for text in [
            "checks: [{a: 1}]\n",
            "checks: []\n",
            "checks:\n",
            "spec: x\n",
            "- a\n",
            "{checks: [{a: 1}]}\n",
            "checks:\n  - a: 1\n  - a: [\n",
            "checks: &c\n  - a: 1\nother: *c\n",
        ] {
            assert!(appended(text).is_err(), "{text}: {:?}", appended(text));
        }
    }

    #[test]
    fn names_count_as_trials_are_named() {
        let file = File::read("x", "checks:\n  - name: Spin is installed\n").unwrap();
        assert!(file.has("spin, is installed!") && !file.has("spin"));
    }
}
