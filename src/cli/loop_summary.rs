//! The build loop as a Markdown page, for the summary of a run in GitHub Actions.
//!
//! What is wrong stands first; then, a variant each, how its last attempt went, what was tried, and
//! what it made, with digests. Everything that comes from files of strangers is escaped and bounded.

use super::verifier::actual;
use crate::generate::{
    Failure, GenerateError, LoopEvent, LoopOutcome, PackageOutcome, Stage, TrialVerdict,
    VariantEnd, VariantOutcome,
};
use crate::model::digest::Sha256Digest;
use crate::model::path::printable;
use crate::model::size::{show_duration, show_size};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// How many failures of a variant are shown; GitHub takes 1 MiB of summary in all.
const MAX_FAILURES: usize = 40;
/// How many lines of a failure are shown.
const MAX_LINES: usize = 12;
/// How many characters of one text are shown.
const MAX_TEXT: usize = 300;

/// The file that a summary goes to.
pub struct Page {
    file: File,
    path: PathBuf,
    summary: LoopSummary,
}

impl Page {
    /// Makes the file, or empties it.
    ///
    /// # Errors
    /// Says that it cannot be written, and why.
    pub fn create(path: PathBuf) -> Result<Self, String> {
        let file = File::create(&path).map_err(|error| unwritten(&path, &error))?;
        Ok(Self {
            file,
            path,
            summary: LoopSummary::default(),
        })
    }

    /// Takes an event.
    pub fn event(&mut self, event: &LoopEvent<'_>) {
        self.summary.event(event);
    }

    /// Writes what came of the loop of a recipe.
    ///
    /// # Errors
    /// Says that it cannot be written, and why.
    pub fn write(
        mut self,
        result: &Result<LoopOutcome, GenerateError>,
        recipe: &Path,
    ) -> Result<(), String> {
        let page = match result {
            Ok(outcome) => self
                .summary
                .page(outcome, recipe.parent().unwrap_or(recipe)),
            Err(error) => self.summary.refusal(&error.to_string()),
        };
        self.file
            .write_all(page.as_bytes())
            .map_err(|error| unwritten(&self.path, &error))
    }
}

fn unwritten(path: &Path, error: &io::Error) -> String {
    format!("{}: the summary cannot be written: {error}", path.display())
}

/// What is kept of a loop's events until it has ended.
#[derive(Default)]
struct LoopSummary {
    recipe: String,
    variants: BTreeMap<String, Told>,
}

/// What is kept of a variant.
#[derive(Default)]
struct Told {
    /// The stages of the last attempt: name, result, what came of it, time.
    stages: Vec<[String; 4]>,
    /// The remedies of all attempts: name, end, why.
    remedies: Vec<[String; 3]>,
    /// How many trials of the last attempt ended in which way.
    trials: BTreeMap<TrialVerdict, usize>,
    /// The trials that were green before any work.
    green: Vec<String>,
}

impl LoopSummary {
    fn event(&mut self, event: &LoopEvent<'_>) {
        match event {
            LoopEvent::LoopStarted { recipe, .. } => self.recipe = (*recipe).to_owned(),
            LoopEvent::RedFirst { variant, green, .. } => {
                self.told(variant).green = green.to_vec();
            }
            LoopEvent::AttemptStarted { variant, .. } => {
                let told = self.told(variant);
                told.stages.clear();
                told.trials.clear();
            }
            LoopEvent::StageSkipped {
                variant,
                stage,
                why,
            } => self.stage(variant, *stage, "unchanged", why, ""),
            LoopEvent::StageFinished {
                variant,
                stage,
                ok,
                summary,
                duration,
            } => {
                let result = if *ok { "ok" } else { "**RED**" };
                self.stage(variant, *stage, result, summary, &show_duration(*duration));
            }
            LoopEvent::Trials {
                variant, report, ..
            } => {
                let told = self.told(variant);
                told.trials.clear();
                for trial in &report.trials {
                    *told.trials.entry(trial.verdict).or_default() += 1;
                }
            }
            LoopEvent::RemedyFinished {
                variant, record, ..
            } => {
                let what = match record.changed.is_empty() {
                    true => record.why.clone(),
                    false => format!("changed {}", record.changed.join(", ")),
                };
                let row = [code(&record.remedy), record.end.name().into(), words(&what)];
                self.told(variant).remedies.push(row);
            }
            LoopEvent::Note { .. }
            | LoopEvent::StageStarted { .. }
            | LoopEvent::Command { .. }
            | LoopEvent::Line { .. }
            | LoopEvent::Retry { .. }
            | LoopEvent::AttemptFinished { .. }
            | LoopEvent::RemedyStarted { .. }
            | LoopEvent::RolledBack { .. }
            | LoopEvent::Stuck { .. }
            | LoopEvent::VariantFinished { .. } => {}
        }
    }

    fn told(&mut self, variant: &str) -> &mut Told {
        self.variants.entry(variant.to_owned()).or_default()
    }

    fn stage(&mut self, variant: &str, stage: Stage, result: &str, what: &str, took: &str) {
        let row = [stage.name(), result, &words(what), took].map(str::to_owned);
        self.told(variant).stages.push(row);
    }

    /// Gives the page of a loop that came to an end; artifacts are looked at below the project's
    /// folder.
    fn page(&self, outcome: &LoopOutcome, project: &Path) -> String {
        let (green, red): (Vec<_>, Vec<_>) = outcome
            .variants
            .iter()
            .partition(|v| v.end == VariantEnd::Green);
        let mut page = format!(
            "# {}: {} of {} green\n\nAfter {}, with tdg {}.\n\n",
            words(&self.recipe),
            green.len(),
            outcome.variants.len(),
            show_duration(outcome.duration),
            env!("CARGO_PKG_VERSION")
        );
        for variant in red.into_iter().chain(green) {
            self.variant(&mut page, variant, project);
        }
        page
    }

    /// Gives the page of a loop that could not be carried out.
    fn refusal(&self, error: &str) -> String {
        let name = match self.recipe.is_empty() {
            true => "tdg generate".to_owned(),
            false => words(&self.recipe),
        };
        let error = anstream::adapter::strip_str(error).to_string();
        let mut page = format!("# {name}: not carried out\n\n");
        error
            .lines()
            .take(200)
            .for_each(|line| put(&mut page, &format!("    {}", printable(&cut(line)))));
        page
    }

    fn variant(&self, page: &mut String, outcome: &VariantOutcome, project: &Path) {
        let end = match outcome.end {
            VariantEnd::Green => "green".to_owned(),
            VariantEnd::Red | VariantEnd::Stuck | VariantEnd::Failed | VariantEnd::Interrupted => {
                outcome.end.name().to_uppercase()
            }
        };
        put(page, &format!("## {}: {end}\n", words(&outcome.variant)));
        if outcome.end != VariantEnd::Green {
            put(page, &format!("{}\n", words(&outcome.why)));
            failures(page, &outcome.failures);
        }
        let nothing = Told::default();
        let told = self.variants.get(&outcome.variant).unwrap_or(&nothing);
        put(page, &attempts(outcome, told));
        if !told.green.is_empty() {
            put(
                page,
                &format!(
                    "Green before any work, so no proof of it: {}\n",
                    listed(&told.green)
                ),
            );
        }
        table(page, ["stage", "", "what came of it", "time"], &told.stages);
        table(page, ["remedy", "", "what it did"], &told.remedies);
        let artifacts: Vec<[String; 3]> = outcome
            .artifacts
            .iter()
            .map(|name| artifact(name, &project.join(name)))
            .collect();
        table(page, ["artifact", "size", "sha256"], &artifacts);
        let packages: Vec<[String; 3]> = outcome.package.iter().map(package).collect();
        table(page, ["package", "digest", "pushed as"], &packages);
    }
}

fn put(page: &mut String, line: &str) {
    page.push_str(line);
    page.push('\n');
}

fn attempts(outcome: &VariantOutcome, told: &Told) -> String {
    let attempts = match (outcome.unchanged, outcome.attempts) {
        (true, _) => "Nothing had changed, so nothing ran".to_owned(),
        (false, 1) => "1 attempt".to_owned(),
        (false, n) => format!("{n} attempts"),
    };
    if told.trials.is_empty() {
        return match outcome.end {
            VariantEnd::Green => format!("{attempts}; {} checks hold.\n", outcome.passed),
            VariantEnd::Red | VariantEnd::Stuck | VariantEnd::Failed | VariantEnd::Interrupted => {
                format!("{attempts}; no check was run on the last.\n")
            }
        };
    }
    let counted: Vec<String> = told
        .trials
        .iter()
        .map(|(verdict, count)| format!("{count} {}", verdict.name()))
        .collect();
    format!(
        "{attempts}; the checks of the last: {}.\n",
        counted.join(", ")
    )
}

fn failures(page: &mut String, failures: &[Failure]) {
    for failure in failures.iter().take(MAX_FAILURES) {
        let place = format!("{}:{}", failure.spec.file, failure.spec.line);
        let name = [failure.verdict, &code(&failure.trial), &code(&place)].join(" ");
        put(page, &format!("- {name}"));
        let mismatches = failure.mismatches.iter().map(|m| {
            let (path, seen) = (code(&m.path), code(&actual(&m.actual)));
            format!("{path}: expected {}, is {seen}", words(&m.expected))
        });
        let messages = failure.message.lines().map(words);
        let lines: Vec<String> = mismatches.chain(messages).collect();
        for line in lines.iter().take(MAX_LINES) {
            put(page, &format!("  - {line}"));
        }
        more(page, "  - ", lines.len(), MAX_LINES);
    }
    more(page, "- ", failures.len(), MAX_FAILURES);
    if !failures.is_empty() {
        page.push('\n');
    }
}

fn more(page: &mut String, mark: &str, count: usize, shown: usize) {
    if let Some(rest) = count.checked_sub(shown).filter(|rest| *rest > 0) {
        put(page, &format!("{mark}… and {rest} more"));
    }
}

fn listed(names: &[String]) -> String {
    let mut shown: Vec<String> = names.iter().take(MAX_FAILURES).map(|n| code(n)).collect();
    if names.len() > MAX_FAILURES {
        shown.push(format!("{} more", names.len() - MAX_FAILURES));
    }
    shown.join(", ")
}

fn table<const N: usize>(page: &mut String, head: [&str; N], rows: &[[String; N]]) {
    if rows.is_empty() {
        return;
    }
    let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
    put(page, &line(head.map(str::to_owned).to_vec()));
    put(page, &line(vec!["---".to_owned(); N]));
    for row in rows {
        put(
            page,
            &line(row.iter().map(|c| c.replace('|', "\\|")).collect()),
        );
    }
    page.push('\n');
}

/// Gives an artifact's row; what cannot be read has no digest, and says why.
fn artifact(name: &str, path: &Path) -> [String; 3] {
    let looked = File::open(path).and_then(|file| {
        let size = file.metadata()?.len();
        Ok((size, Sha256Digest::of_reader(file)?))
    });
    let (size, digest) = match looked {
        Ok((size, digest)) => (show_size(size), code(&digest.to_string())),
        Err(error) => (String::new(), words(&error.to_string())),
    };
    [code(name), size, digest]
}

/// Gives a package's row.
fn package(package: &PackageOutcome) -> [String; 3] {
    let pushed = match package.pushed {
        true => listed(&package.references),
        false => "not pushed".to_owned(),
    };
    [code(&package.layout), code(&package.digest), pushed]
}

/// Cuts a text that is too long for a page.
fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Gives a text as Markdown shows it word for word, in running text.
fn words(text: &str) -> String {
    let mut out = String::new();
    for c in printable(&cut(text)).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '&' => out.push_str("&amp;"),
            // What could begin a link, an image, emphasis, code, a mention or a reference.
            '\\' | '`' | '*' | '_' | '[' | ']' | '!' | '~' | '#' | '@' => {
                out.push_str(&format!("&#{};", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out
}

/// Gives a text as code, fenced by more backticks than it has.
fn code(text: &str) -> String {
    let text = printable(&cut(text));
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if text.starts_with('`') || text.ends_with('`') || text.is_empty() {
        " "
    } else {
        ""
    };
    format!("{fence}{space}{text}{space}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_wrote_stays_text() {
        assert_eq!(words("a *b* <c> [d](e) ![f]"), {
            "a &#42;b&#42; &lt;c> &#91;d&#93;(e) &#33;&#91;f&#93;"
        });
        assert_eq!(words("a\nb"), "a&#92;nb");
        assert_eq!(code("a`b``c"), "```a`b``c```");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!(code(""), "`  `");
        let long = "ä".repeat(MAX_TEXT + 1);
        assert_eq!(words(&long).chars().count(), MAX_TEXT + 1);
        let mut page = String::new();
        table(&mut page, ["a"], &[[code("b | c")]]);
        assert_eq!(page, "| a |\n| --- |\n| `b \\| c` |\n\n");
    }

    #[test]
    fn a_refusal_has_no_colour_and_no_structure() {
        let page = LoopSummary::default().refusal("\u{1b}[31merror\u{1b}[0m: no\n# head");
        assert_eq!(
            page,
            "# tdg generate: not carried out\n\n    error: no\n    # head\n"
        );
    }
}
