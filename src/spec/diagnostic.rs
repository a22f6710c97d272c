//! Diagnostics: what is wrong in a source file, where, and what was probably meant.

use crate::model::path::printable;
use crate::model::{SourceId, Span};
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::path::{Path, PathBuf};

/// The source files of one run, by [`SourceId`].
#[derive(Clone, Debug, Default)]
pub struct Sources {
    files: Vec<File>,
}

#[derive(Clone, Debug)]
struct File {
    path: PathBuf,
    text: String,
    /// Where each line begins: every one of ten thousand checks asks for its own.
    lines: Vec<usize>,
}

impl Sources {
    /// Adds a file and gives its id.
    pub fn add(&mut self, path: impl Into<PathBuf>, text: impl Into<String>) -> SourceId {
        let text = text.into();
        let behind = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(behind).collect();
        let path = path.into();
        self.files.push(File { path, text, lines });
        SourceId(u32::try_from(self.files.len() - 1).unwrap_or(u32::MAX))
    }

    /// Gives the paths of all files.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().map(|file| file.path.as_path())
    }

    /// Gives a file's path as it was named.
    pub fn path(&self, id: SourceId) -> &Path {
        self.files
            .get(id.0 as usize)
            .map_or(Path::new("?"), |file| &file.path)
    }

    /// Gives a file's text.
    pub fn text(&self, id: SourceId) -> &str {
        self.files.get(id.0 as usize).map_or("", |file| &file.text)
    }

    /// Gives the line a span starts on, without its line break.
    pub fn line(&self, span: Span) -> &str {
        let line = (span.line as usize).saturating_sub(1);
        let file = self.files.get(span.source.0 as usize);
        let rest = file.and_then(|file| file.text.get(*file.lines.get(line)?..));
        rest.and_then(|rest| rest.lines().next()).unwrap_or("")
    }

    /// Shows a place as `file:line:column`.
    pub fn place(&self, span: Span) -> String {
        let path = self.path(span.source).display();
        format!("{path}:{}:{}", span.line, span.column)
    }
}

/// One mistake in a source file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Diagnostic {
    /// Where.
    pub span: Span,
    /// What is wrong: a lowercase sentence without a full stop.
    pub message: String,
    /// What stands beside the underline.
    pub label: Option<String>,
    /// What was probably meant, or what to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Makes a diagnostic.
    pub fn new(span: Span, message: impl Into<String>) -> Self {
        Self {
            span,
            message: message.into(),
            label: None,
            help: None,
        }
    }

    /// Adds what stands beside the underline.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Adds the suggestion.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Adds `did you mean …?` where one of the known names is close, else the list of them.
    #[must_use]
    pub fn suggest<'k>(self, wrong: &str, known: impl IntoIterator<Item = &'k str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match nearest(wrong, &known) {
            Some(name) => self.help(format!("did you mean `{name}`?")),
            None if known.is_empty() => self,
            None => self.help(format!("known here: {}", known.join(", "))),
        }
    }

    /// Draws the diagnostic with its source line underlined.
    pub fn render(&self, sources: &Sources, colour: bool) -> String {
        let text = sources.text(self.span.source);
        let path = sources.path(self.span.source).display().to_string();
        let end = self.span.end.clamp(self.span.start, text.len());
        let message = printable(&self.message);
        let label = self.label.as_deref().map(printable).unwrap_or_default();
        let snippet = Snippet::source(text).path(path).annotation(
            AnnotationKind::Primary
                .span(self.span.start.min(text.len())..end)
                .label(label),
        );
        let mut group = Level::ERROR.primary_title(message).element(snippet);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(printable(help)));
        }
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        renderer.render(&[group])
    }
}

/// Collects diagnostics while reading goes on.
#[derive(Clone, Debug, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Adds one, unless the very same is there already (a matrix reads a check once a row).
    pub fn push(&mut self, diagnostic: Diagnostic) {
        if !self.list.contains(&diagnostic) {
            self.list.push(diagnostic);
        }
    }

    /// Adds those of a later reading, but nothing more of a place that is known to be wrong: where
    /// an expression names no value, that its text is no number is no second mistake.
    pub fn absorb(&mut self, later: Diagnostics) {
        let known: Vec<Span> = self.list.iter().map(|d| d.span).collect();
        let news = later.list.into_iter().filter(|d| !known.contains(&d.span));
        news.for_each(|d| self.push(d));
    }

    /// Tells whether nothing was found wrong.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Counts what was found wrong.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Gives them in the order of their places.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut list: Vec<&Diagnostic> = self.list.iter().collect();
        list.sort();
        list
    }

    /// Draws all of them, an empty line between two.
    pub fn render(&self, sources: &Sources, colour: bool) -> String {
        let drawn: Vec<String> = self
            .sorted()
            .iter()
            .map(|d| d.render(sources, colour))
            .collect();
        drawn.join("\n\n")
    }
}

/// Finds the known name closest to a wrong one, where it is close enough to be meant.
pub fn nearest<'k>(wrong: &str, known: &[&'k str]) -> Option<&'k str> {
    let simplified = |s: &str| s.to_lowercase().replace(['_', ' '], "-");
    let wrong = simplified(wrong);
    known
        .iter()
        .map(|name| (distance(&wrong, &simplified(name)), *name))
        .filter(|(d, name)| *d <= name.len().max(wrong.len()) / 3 + usize::from(wrong.len() < 4))
        .min_by_key(|(d, _)| *d)
        .map(|(_, name)| name)
}

/// Counts the single-character edits, swaps of neighbours among them, between two short words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1)
                .min(row[j - 1] + 1)
                .min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_names_are_suggested_and_far_ones_are_not() {
        let known = ["contain", "contain-only", "present", "semver"];
        assert_eq!(nearest("contains", &known), Some("contain"));
        assert_eq!(nearest("contain_only", &known), Some("contain-only"));
        assert_eq!(nearest("presnet", &known), Some("present"));
        assert_eq!(nearest("architecture", &known), None);
    }

    #[test]
    fn a_diagnostic_underlines_its_place() {
        let mut sources = Sources::default();
        let source = sources.add("a.yaml", "spec: x\nchekcs: []\n");
        let span = Span {
            source,
            start: 8,
            end: 14,
            line: 2,
            column: 1,
        };
        let text = Diagnostic::new(span, "unknown key `chekcs`")
            .suggest("chekcs", ["checks", "spec"])
            .render(&sources, false);
        insta::assert_snapshot!(text, @r"
        error: unknown key `chekcs`
         --> a.yaml:2:1
          |
        2 | chekcs: []
          | ^^^^^^
          |
          = help: did you mean `checks`?
        ");
    }
}
