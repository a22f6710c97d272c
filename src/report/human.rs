//! For people: a live line on a terminal, a line a trial elsewhere, everything about what failed.

use super::Reporter;
use crate::model::path::printable;
use crate::model::size::show_duration;
use crate::run::event::{Counts, Ending, Outcome, Summary};
use crate::run::{Event, text};
use anstyle::{AnsiColor, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::Duration;

/// Writes for people.
pub struct Human<W> {
    out: W,
    bar: Option<ProgressBar>,
    running: BTreeSet<String>,
    counts: Counts,
    quiet: bool,
}

const PASS: Style = AnsiColor::Green.on_default();
const FAIL: Style = AnsiColor::Red.on_default().bold();
const ERROR: Style = AnsiColor::Magenta.on_default().bold();
const SKIP: Style = AnsiColor::Yellow.on_default();

impl<W: Write> Human<W> {
    /// Makes a reporter; `live` draws a progress line on standard error, `quiet` leaves passes out.
    pub fn new(out: W, live: bool, quiet: bool) -> Self {
        let bar = live.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            let style = "{spinner} {pos}/{len} [{elapsed}] {wide_msg}";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar.enable_steady_tick(Duration::from_millis(120));
            bar
        });
        Self {
            out,
            bar,
            running: BTreeSet::new(),
            counts: Counts::default(),
            quiet,
        }
    }

    /// Writes without tearing the progress line.
    fn print(&mut self, text: &str) -> io::Result<()> {
        let out = &mut self.out;
        let write = || out.write_all(text.as_bytes()).and_then(|()| out.flush());
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => {
                let mut write = write;
                write()
            }
        }
    }

    fn progress(&self) {
        if let Some(bar) = &self.bar {
            let running: Vec<&str> = self.running.iter().map(String::as_str).collect();
            bar.set_position(self.counts.total() as u64);
            bar.set_message(running.join(", "));
        }
    }

    fn finished(&mut self, outcome: &Outcome) -> io::Result<()> {
        self.running.remove(&outcome.trial.name);
        self.counts.add(&outcome.ending);
        if !(self.quiet && outcome.ending == Ending::Pass) {
            let line = line(outcome);
            self.print(&line)?;
        }
        self.progress();
        Ok(())
    }

    fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let counts = summary.counts;
        let part = |count: usize, what: &str, style: Style| {
            if count == 0 {
                format!("{count} {what}")
            } else {
                format!("{style}{count} {what}{style:#}")
            }
        };
        let mut text = format!(
            "\n{} {} in {}: {}, {}, {}, {}\n",
            counts.total(),
            if counts.total() == 1 {
                "trial"
            } else {
                "trials"
            },
            show_duration(summary.duration),
            part(counts.pass, "passed", PASS),
            part(counts.fail, "failed", FAIL),
            part(
                counts.error,
                if counts.error == 1 { "error" } else { "errors" },
                ERROR
            ),
            part(counts.skip, "skipped", SKIP),
        );
        if summary.interrupted {
            text.push_str("interrupted: what had not begun was not run\n");
        } else if counts.pass == 0 && counts.fail == 0 && counts.error == 0 {
            text.push_str("nothing was judged, so nothing is proven\n");
        }
        self.print(&text)
    }
}

/// Draws one ended trial: a line, and below it what is wrong.
fn line(outcome: &Outcome) -> String {
    let (word, style) = match &outcome.ending {
        Ending::Pass => ("PASS ", PASS),
        Ending::Fail(_) => ("FAIL ", FAIL),
        Ending::Error(_) => ("ERROR", ERROR),
        Ending::Skip(_) => ("SKIP ", SKIP),
    };
    let name = printable(&outcome.trial.name);
    let time = show_duration(outcome.duration);
    let mut line = format!("{style}{word}{style:#} {time:>8}  {name}");
    if outcome.tries > 1 {
        line.push_str(&format!("  ({} tries)", outcome.tries));
    }
    line.push('\n');
    let details = text::ending(outcome);
    for detail in details.lines() {
        line.push_str(&format!("                {detail}\n"));
    }
    if matches!(outcome.ending, Ending::Pass) {
        for note in &outcome.notes {
            line.push_str(&format!("                note: {}\n", printable(note)));
        }
    }
    line
}

impl<W: Write> Reporter for Human<W> {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Started { trials, .. } => {
                if let Some(bar) = &self.bar {
                    bar.set_length(*trials as u64);
                }
                Ok(())
            }
            Event::TrialStarted(trial) => {
                self.running.insert(trial.name.clone());
                self.progress();
                Ok(())
            }
            Event::TrialFinished(outcome) => self.finished(outcome),
            Event::Finished(summary) => self.summary(summary),
        }
    }
}
