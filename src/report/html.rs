//! One page for people, of any run: nothing to be fetched, and no program in it.
//!
//! The page is no larger than its bounds let it be; what is left out is counted on it.

mod escape;
mod style;
mod svg;
mod trial;
mod walk;

use super::Reporter;
use crate::model::size::show_duration;
use crate::run::Event;
use crate::run::event::{Counts, Ending, Outcome, Summary};
use escape::text;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use trial::Links;

/// What passed has this many bytes on a page, its pictures among them.
const PASSES: usize = 3 << 20;
/// What is told of what did not pass has this many.
const DETAILS: usize = 4 << 20;
/// The lines of what did not pass and has no room for more have this many.
const LINES: usize = 1 << 20;
/// The list at the beginning names this many.
const NAMED: usize = 50;

/// How much of what a failed trial has seen a page shows, in bytes of JSON.
pub const EVIDENCE: usize = 8 << 10;

/// Writes the page when the run has ended.
pub struct Html<W> {
    out: W,
    links: Links,
}

/// What is left of the bounds of a page.
struct Room {
    passes: usize,
    details: usize,
    lines: usize,
}

impl<W: Write> Html<W> {
    /// Makes a reporter.
    pub fn new(out: W) -> Self {
        Self {
            out,
            links: Links::default(),
        }
    }

    /// Says in which folder the page lies, and where paths that checks name begin: files in that
    /// folder are linked to.
    #[must_use]
    pub fn in_folder(self, folder: &Path, root: &Path) -> Self {
        let links = Links {
            folder: folder.canonicalize().ok(),
            root: PathBuf::from(root),
        };
        Self { links, ..self }
    }

    fn page(&mut self, summary: &Summary) -> io::Result<()> {
        let out = &mut self.out;
        out.write_all(head(summary).as_bytes())?;
        let mut room = Room {
            passes: PASSES,
            details: DETAILS,
            lines: LINES,
        };
        let outcomes: Vec<(usize, &Outcome)> = summary.outcomes.iter().enumerate().collect();
        let sections = outcomes.chunk_by(|(_, a), (_, b)| file(a) == file(b));
        for (number, section) in sections.enumerate() {
            write_section(out, number, section, &mut room, &self.links)?;
        }
        out.write_all(foot(summary).as_bytes())?;
        out.flush()
    }
}

/// The spec file of a trial, as its name has it.
fn file(outcome: &Outcome) -> &str {
    outcome.trial.name.split("::").next().unwrap_or_default()
}

/// The name of a trial within its file.
fn own_name(outcome: &Outcome) -> &str {
    let name = &outcome.trial.name;
    name.split_once("::").map_or(name.as_str(), |(_, own)| own)
}

fn write_section(
    out: &mut impl Write,
    number: usize,
    section: &[(usize, &Outcome)],
    room: &mut Room,
    links: &Links,
) -> io::Result<()> {
    let Some((_, first)) = section.first() else {
        return Ok(());
    };
    let mut counts = Counts::default();
    section
        .iter()
        .for_each(|(_, outcome)| counts.add(&outcome.ending));
    let id = format!("spec-{number}");
    write!(
        out,
        "<section class=\"spec\" aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{}</h2>\n\
         <p class=\"about\"><code>{}</code> · {}</p>\n",
        text(&first.trial.spec),
        text(file(first)),
        in_words(counts)
    )?;
    let passed = |outcome: &Outcome| outcome.ending == Ending::Pass;
    for group in section.chunk_by(|(_, a), (_, b)| passed(a) && passed(b)) {
        if let [(index, outcome)] = group
            && !passed(outcome)
        {
            out.write_all(one(*index, outcome, room, links).as_bytes())?;
        } else {
            write_passes(out, group, room, links)?;
        }
    }
    out.write_all(b"</section>\n")
}

/// Gives one that did not pass, in as many words as there is room for.
fn one(index: usize, outcome: &Outcome, room: &mut Room, links: &Links) -> String {
    // What is skipped leaves room for what is wrong.
    let (details, lines) = match outcome.ending {
        Ending::Skip(_) => (DETAILS / 2, LINES / 2),
        Ending::Pass | Ending::Fail(_) | Ending::Error(_) => (0, 0),
    };
    if room.details > details {
        let whole = trial::whole(index, outcome, links);
        // What does not fit ends it: nothing is written out only to be measured.
        room.details = room.details.saturating_sub(whole.len());
        if room.details > 0 {
            return whole;
        }
    }
    if room.lines == 0 || room.lines <= lines {
        return String::new();
    }
    let line = trial::line(index, outcome);
    room.lines = room.lines.saturating_sub(line.len());
    match room.lines {
        0 => "<p class=\"left-out\">There is no room on this page for more that did not pass; \
              the summary counts it.</p>\n"
            .to_owned(),
        _ => line,
    }
}

fn write_passes(
    out: &mut impl Write,
    group: &[(usize, &Outcome)],
    room: &mut Room,
    links: &Links,
) -> io::Result<()> {
    let took = group.iter().map(|(_, outcome)| outcome.duration).sum();
    write!(
        out,
        "<details class=\"passes\"><summary>{} {} passed <span class=\"time\">{}</span></summary>\n<ul>\n",
        trial::badge("pass"),
        group.len(),
        show_duration(took)
    )?;
    let mut left_out = 0;
    for (index, outcome) in group {
        if room.passes > 0 {
            let line = trial::pass(*index, outcome, links);
            room.passes = room.passes.saturating_sub(line.len());
            if room.passes > 0 {
                out.write_all(line.as_bytes())?;
                continue;
            }
        }
        left_out += 1;
    }
    if left_out > 0 {
        writeln!(
            out,
            "<li class=\"left-out\">… and {left_out} more, which this page has no room for</li>"
        )?;
    }
    out.write_all(b"</ul></details>\n")
}

/// Counts in words, without what there is none of.
fn in_words(counts: Counts) -> String {
    let errors = if counts.error == 1 { "error" } else { "errors" };
    let parts = [
        (counts.pass, "passed"),
        (counts.fail, "failed"),
        (counts.error, errors),
        (counts.skip, "skipped"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    parts.join(", ")
}

/// Says what came of a run.
fn verdict(summary: &Summary) -> (&'static str, String) {
    let Counts {
        pass,
        fail,
        error,
        skip,
    } = summary.counts;
    match summary.counts {
        _ if summary.interrupted => ("error", "Interrupted before its end".to_owned()),
        Counts { fail: 1.., .. } => ("fail", format!("{fail} failed")),
        Counts { error: 1.., .. } => ("error", format!("{error} could not be judged")),
        Counts { pass: 0, .. } => (
            "skip",
            "Nothing was judged, so nothing is proven".to_owned(),
        ),
        Counts { skip: 1.., .. } => ("skip", format!("{pass} passed, {skip} skipped")),
        Counts { .. } => ("pass", format!("All {pass} passed")),
    }
}

fn head(summary: &Summary) -> String {
    let counts = summary.counts;
    let (class, said) = verdict(summary);
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src &#39;none&#39;; style-src &#39;unsafe-inline&#39;\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n<meta name=\"referrer\" content=\"no-referrer\"/>\n\
         <meta name=\"generator\" content=\"tdg {version}\"/>\n<title>tdg: {said}</title>\n<style>\n{style}</style>\n</head>\n<body>\n\
         <header class=\"{class}\">\n<p class=\"program\">tdg run</p>\n<h1>{said}</h1>\n<ul class=\"counts\">\n",
        version = env!("CARGO_PKG_VERSION"),
        style = style::STYLE,
    );
    let errors = if counts.error == 1 { "error" } else { "errors" };
    let all = [
        ("pass", counts.pass, "passed"),
        ("fail", counts.fail, "failed"),
        ("error", counts.error, errors),
        ("skip", counts.skip, "skipped"),
    ];
    for (class, count, what) in all {
        let none = if count == 0 { " none" } else { "" };
        out.push_str(&format!(
            "<li class=\"{class}{none}\"><span class=\"sign\" aria-hidden=\"true\">{}</span> <b>{count}</b> {what}</li>\n",
            trial::sign(class)
        ));
    }
    out.push_str("</ul>\n<div class=\"bar\" aria-hidden=\"true\">");
    for (class, count, _) in all.into_iter().filter(|(_, count, _)| *count > 0) {
        out.push_str(&format!(
            "<i class=\"{class}\" style=\"flex-grow:{count}\"></i>"
        ));
    }
    out.push_str("</div>\n</header>\n<main>\n");
    out.push_str(&list(summary));
    out
}

/// Names what did not pass, with links to it.
fn list(summary: &Summary) -> String {
    let bad = |outcome: &Outcome| matches!(outcome.ending, Ending::Fail(_) | Ending::Error(_));
    let outcomes = summary.outcomes.iter().enumerate();
    let all: Vec<(usize, &Outcome)> = outcomes.filter(|(_, outcome)| bad(outcome)).collect();
    if all.len() < 2 {
        return String::new();
    }
    let mut out =
        "<nav aria-labelledby=\"bad\">\n<h2 id=\"bad\">What did not pass</h2>\n<ul>\n".to_owned();
    for (index, outcome) in all.iter().take(NAMED) {
        out.push_str(&format!(
            "<li>{} <a href=\"#trial-{index}\">{}</a></li>\n",
            trial::badge(outcome.ending.name()),
            text(&outcome.trial.name)
        ));
    }
    if all.len() > NAMED {
        out.push_str(&format!(
            "<li>… and {} more below</li>\n",
            all.len() - NAMED
        ));
    }
    out.push_str("</ul>\n</nav>\n");
    out
}

fn foot(summary: &Summary) -> String {
    let total = summary.counts.total();
    let trials = if total == 1 { "trial" } else { "trials" };
    format!(
        "</main>\n<footer><p>{total} {trials} in {} · tdg {}</p></footer>\n</body>\n</html>\n",
        show_duration(summary.duration),
        env!("CARGO_PKG_VERSION")
    )
}

impl<W: Write> Reporter for Html<W> {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Finished(summary) => self.page(summary),
            Event::Started { .. } | Event::TrialStarted(_) | Event::TrialFinished(_) => Ok(()),
        }
    }
}
