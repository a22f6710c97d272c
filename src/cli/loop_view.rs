//! What a person sees of the build loop.

use super::verifier::actual;
use crate::generate::{
    BestAttempt, Failure, LoopEvent, LoopOutcome, PackageOutcome, Stage, TrialVerdict, VariantEnd,
    VariantOutcome, VerifyReport,
};
use crate::model::path::printable;
use crate::model::size::show_duration;
use anstyle::{AnsiColor, Style};
use std::io::Write;
use std::time::Duration;

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default().bold();
const HEAD: Style = AnsiColor::Cyan.on_default().bold();
const DIM: Style = Style::new().dimmed();

/// What is over sooner needs no word on how long it takes.
const WORTH_TELLING: Duration = Duration::from_secs(10);

/// Shows events as they come.
pub struct LoopView<W> {
    out: W,
    /// Whether the output of the build's commands is shown.
    verbose: bool,
    /// How wide the name before each line is, where variants are worked on at once.
    margin: usize,
    /// Whose the lines are that are shown now.
    of: String,
}

impl<W: Write> LoopView<W> {
    /// Makes a view; `verbose` shows every line the build writes.
    pub fn new(out: W, verbose: bool) -> Self {
        Self {
            out,
            verbose,
            margin: 0,
            of: String::new(),
        }
    }

    fn say(&mut self, text: &str) {
        // A closed pipe ends nothing: the journal and the artifacts are what counts.
        if self.margin == 0 {
            let _ = writeln!(self.out, "{text}");
        } else {
            let (of, width) = (&self.of, self.margin);
            for line in text.lines().filter(|line| !line.is_empty()) {
                let _ = writeln!(self.out, "{DIM}{of:<width$} |{DIM:#} {line}");
            }
        }
        let _ = self.out.flush();
    }

    /// Writes a text as it is, such as a line that will be drawn over.
    pub fn raw(&mut self, text: &str) {
        let _ = write!(self.out, "{text}");
        let _ = self.out.flush();
    }

    /// Says that a stage is still at work.
    pub fn still(&mut self, variant: &str, stage: Stage, text: &str) {
        variant.clone_into(&mut self.of);
        let name = match self.margin {
            0 => format!("{variant}: "),
            _ => String::new(),
        };
        self.say(&format!("  {DIM}{:<8} {name}{text}{DIM:#}", stage.name()));
    }

    /// Gives what is written to.
    #[cfg(test)]
    pub fn into_out(self) -> W {
        self.out
    }

    /// Shows an event.
    pub fn event(&mut self, event: &LoopEvent<'_>) {
        event.variant().unwrap_or_default().clone_into(&mut self.of);
        match event {
            LoopEvent::LoopStarted {
                recipe,
                variants,
                max_attempts,
                jobs,
                resumed,
            } => {
                let names = variants.join(", ");
                let again = if *resumed { ", resumed" } else { "" };
                let at_once = match jobs {
                    0 | 1 => String::new(),
                    n => format!(", {n} at once"),
                };
                self.say(&format!(
                    "{HEAD}{recipe}{HEAD:#}: {names}; at most {max_attempts} attempts each{at_once}{again}"
                ));
                if *jobs > 1 {
                    self.margin = variants.iter().map(String::len).max().unwrap_or(0);
                }
            }
            LoopEvent::Note { variant, text } => {
                // Where lines have a margin, the name stands there.
                let variant = variant.filter(|_| self.margin == 0);
                let variant = variant.map(|v| format!("{v}: ")).unwrap_or_default();
                self.say(&format!("  note: {variant}{}", printable(text)));
            }
            LoopEvent::RedFirst {
                variant,
                on,
                red,
                green,
            } => self.red_first(variant, on, *red, green),
            LoopEvent::AttemptStarted {
                variant,
                attempt,
                of,
            } => self.say(&format!(
                "\n{HEAD}{variant}, attempt {attempt} of at most {of}{HEAD:#}"
            )),
            LoopEvent::StageSkipped { stage, why, .. } => {
                self.say(&format!("  {:<8} {DIM}{why}{DIM:#}", stage.name()));
            }
            LoopEvent::StageStarted {
                stage,
                why,
                expected,
                ..
            } => {
                if self.verbose {
                    self.say(&format!("  {:<8} {DIM}due: {why}{DIM:#}", stage.name()));
                }
                if let Some(expected) = expected.filter(|time| *time >= WORTH_TELLING) {
                    let time = show_duration(expected);
                    let stage = stage.name();
                    self.say(&format!("  {stage:<8} {DIM}usually takes {time}{DIM:#}"));
                }
            }
            LoopEvent::Command { command, log, .. } => {
                let log = match log.is_empty() {
                    true => String::new(),
                    false => format!("  (log: {log})"),
                };
                self.say(&format!("  {DIM}$ {}{log}{DIM:#}", printable(command)));
            }
            LoopEvent::Line { line, .. } => {
                if self.verbose {
                    self.say(&format!("    {DIM}| {}{DIM:#}", printable(line)));
                }
            }
            LoopEvent::Retry {
                command,
                class,
                why,
                attempt,
                of,
                delay,
                ..
            } => self.say(&format!(
                "  retry {attempt} of {of} of `{}` in {}, {class}: {}",
                printable(command),
                show_duration(*delay),
                printable(why)
            )),
            LoopEvent::StageFinished {
                stage,
                ok,
                summary,
                duration,
                ..
            } => {
                let (mark, style) = if *ok { ("ok", GOOD) } else { ("RED", BAD) };
                self.say(&format!(
                    "  {:<8} {style}{mark}{style:#} {} {DIM}({}){DIM:#}",
                    stage.name(),
                    printable(summary),
                    show_duration(*duration)
                ));
            }
            LoopEvent::Trials { report, .. } => self.trials(report),
            LoopEvent::AttemptFinished { failures, .. } => {
                failures.iter().for_each(|f| self.failure(f));
            }
            LoopEvent::RemedyStarted { remedy, .. } => {
                self.say(&format!("  remedy   {} …", printable(remedy)));
            }
            LoopEvent::RemedyFinished {
                record, duration, ..
            } => {
                let what = match (record.changed.is_empty(), record.why.as_str()) {
                    (true, "") => "changed nothing".to_owned(),
                    (true, why) => why.to_owned(),
                    (false, _) => format!("changed {}", record.changed.join(", ")),
                };
                let took = show_duration(*duration);
                self.say(&format!(
                    "           {} {DIM}({took}){DIM:#}",
                    printable(&what)
                ));
            }
            LoopEvent::RolledBack {
                attempt,
                to,
                replaced,
                ..
            } => self.say(&format!(
                "  attempt {attempt} is worse than attempt {to}: its patches are in {}, and those of attempt {to} back in place",
                printable(replaced)
            )),
            LoopEvent::Stuck { why, look_at, .. } => {
                self.say(&format!("  {BAD}stuck{BAD:#}: {}", printable(why)));
                look_at
                    .iter()
                    .for_each(|l| self.say(&format!("    look at {}", printable(l))));
            }
            LoopEvent::VariantFinished { .. } => {}
        }
    }

    fn red_first(&mut self, variant: &str, on: &str, red: usize, green: &[String]) {
        self.say(&format!(
            "\n{HEAD}{variant}, before any work{HEAD:#}: on {on}, {red} checks are red, as they should be"
        ));
        if !green.is_empty() {
            self.say(&format!(
                "  {} green already, so they prove nothing about the work:",
                match green.len() {
                    1 => "1 is".to_owned(),
                    n => format!("{n} are"),
                }
            ));
            green
                .iter()
                .for_each(|name| self.say(&format!("    {DIM}{name}{DIM:#}")));
        }
    }

    fn trials(&mut self, report: &VerifyReport) {
        if self.verbose {
            for trial in &report.trials {
                let style = match trial.verdict {
                    TrialVerdict::Pass => GOOD,
                    TrialVerdict::Fail | TrialVerdict::Error => BAD,
                    TrialVerdict::Skip => DIM,
                };
                let verdict = trial.verdict.name();
                self.say(&format!("    {style}{verdict:<5}{style:#} {}", trial.name));
            }
        }
    }

    fn failure(&mut self, failure: &Failure) {
        let place = format!("{}:{}", failure.spec.file, failure.spec.line);
        self.say(&format!(
            "  {BAD}{:<5}{BAD:#} {}  {DIM}{place}{DIM:#}",
            failure.verdict,
            printable(&failure.trial)
        ));
        for mismatch in failure.mismatches.iter().take(3) {
            self.say(&format!(
                "          {}: expected {}, is {}",
                printable(&mismatch.path),
                printable(&mismatch.expected),
                actual(&mismatch.actual)
            ));
        }
        if failure.mismatches.len() > 3 {
            self.say(&format!(
                "          … and {} more",
                failure.mismatches.len() - 3
            ));
        }
        for line in failure.message.lines().take(12) {
            self.say(&format!("          {}", printable(line)));
        }
    }

    /// Shows what came of the loop.
    pub fn summary(&mut self, outcome: &LoopOutcome) {
        self.margin = 0;
        self.say(&format!(
            "\n{HEAD}After {}{HEAD:#}",
            show_duration(outcome.duration)
        ));
        outcome.variants.iter().for_each(|v| self.variant(v));
    }

    /// Says which attempt's patches are in place, where there was more than one.
    fn best(&mut self, best: &BestAttempt, attempts: u32) {
        let replaced = match &best.replaced {
            Some(place) => format!("; what was there is in {}", printable(place)),
            None if attempts == 1 => return,
            None => String::new(),
        };
        self.say(&format!(
            "         the patches in place are those of attempt {}, the best{replaced}",
            best.attempt
        ));
    }

    fn variant(&mut self, outcome: &VariantOutcome) {
        let style = match outcome.end {
            VariantEnd::Green => GOOD,
            VariantEnd::Red | VariantEnd::Stuck | VariantEnd::Failed | VariantEnd::Interrupted => {
                BAD
            }
        };
        let attempts = match (outcome.unchanged, outcome.attempts) {
            (true, _) => "nothing had changed, so nothing ran".to_owned(),
            (false, 1) => "after 1 attempt".to_owned(),
            (false, n) => format!("after {n} attempts"),
        };
        let attempts = match &outcome.candidate {
            Some(candidate) => format!("candidate {candidate}, {attempts}"),
            None => attempts,
        };
        // Of what is not green the failures are told below, not what happens to hold.
        let holding = match (outcome.end, outcome.passed) {
            (VariantEnd::Green, 1) => "; 1 check holds".to_owned(),
            (VariantEnd::Green, n) => format!("; {n} checks hold"),
            (
                VariantEnd::Red | VariantEnd::Stuck | VariantEnd::Failed | VariantEnd::Interrupted,
                _,
            ) => String::new(),
        };
        let skipped = match outcome.skipped {
            0 => String::new(),
            n => format!(", {n} skipped"),
        };
        self.say(&format!(
            "  {style}{:<6}{style:#} {}: {attempts}{holding}{skipped}",
            outcome.end.name(),
            outcome.variant,
        ));
        if outcome.end != VariantEnd::Green {
            self.say(&format!("         {}", printable(&outcome.why)));
            if let Some(best) = &outcome.best {
                self.best(best, outcome.attempts);
            }
            outcome.failures.iter().for_each(|f| self.failure(f));
            outcome
                .look_at
                .iter()
                .for_each(|l| self.say(&format!("         look at {}", printable(l))));
        }
        outcome
            .artifacts
            .iter()
            .for_each(|a| self.say(&format!("         {}", printable(a))));
        if let Some(package) = &outcome.package {
            self.package(package);
        }
    }

    fn package(&mut self, package: &PackageOutcome) {
        self.say(&format!(
            "         {}  {DIM}{}{DIM:#}",
            printable(&package.layout),
            package.digest
        ));
        let verb = if package.pushed {
            "pushed"
        } else {
            "not pushed"
        };
        for reference in &package.references {
            self.say(&format!("         {verb}: {}", printable(reference)));
        }
    }
}
