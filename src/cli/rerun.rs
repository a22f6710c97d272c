//! `tdg generate --watch`: the loop again whenever what it rests on changes.

use super::exit;
use crate::generate::{Changes, LoopOptions, LoopOutcome, VariantEnd};
use crate::probe::exec::{Cancel, watch_signals};
use std::time::{Duration, Instant};

/// How often files are looked at.
const POLL: Duration = Duration::from_millis(300);

/// How long nothing may change before the loop begins: an editor writes several files.
const QUIET: Duration = Duration::from_millis(400);

/// How long changes without an end are waited out.
const PATIENCE: Duration = Duration::from_secs(5);

/// A loop that could not go on; the error has been told.
pub struct Refused {
    /// The exit code.
    pub code: u8,
    /// Whether what decides was changed under it.
    pub law_broken: bool,
}

impl Refused {
    /// Makes that of an error which is tdg's own.
    pub fn error() -> Self {
        Self {
            code: exit::ERROR,
            law_broken: false,
        }
    }
}

/// Works, and again at every change, until it is interrupted; gives the exit code of the last time.
pub fn watch(
    options: &LoopOptions,
    mut work: impl FnMut(&LoopOptions) -> Result<LoopOutcome, Refused>,
) -> u8 {
    let cancel = match watch_signals() {
        Ok(cancel) => cancel,
        Err(error) => {
            eprintln!("error: Ctrl-C cannot be watched: {error}");
            return exit::ERROR;
        }
    };
    let mut options = options.clone();
    loop {
        let before = Changes::look(&options, &Changes::default());
        let result = work(&options);
        // What is said once is said once: a later loop is a new one.
        options.resume = false;
        options.from = None;
        options.accept_specs = false;
        let code = match &result {
            Ok(outcome) => outcome.exit_code(),
            // Whether that was meant is for a person to say, not for the next loop.
            Err(refused) if refused.law_broken => return refused.code,
            Err(refused) => refused.code,
        };
        if interrupted(&result, &cancel) {
            return code;
        }
        // What remedies changed, and what was put back, is no person's change.
        let now = Changes::look(&options, &before);
        let mut expected = before;
        if worked(&result) {
            expected.take_patches(&now, &options);
        }
        eprintln!("\nwatching the recipe, its patches and its specs; Ctrl-C ends this");
        let Some(changes) = wait(&options, expected, &cancel) else {
            return code;
        };
        eprintln!("{}: again\n", shown(&changes));
    }
}

type Ended = Result<LoopOutcome, Refused>;

fn interrupted(result: &Ended, cancel: &Cancel) -> bool {
    let ended = |outcome: &LoopOutcome| {
        let mut ends = outcome.variants.iter().map(|v| v.end);
        ends.any(|end| end == VariantEnd::Interrupted)
    };
    cancel.is_set() || result.as_ref().is_ok_and(ended)
}

/// Tells whether a remedy may have changed patches.
fn worked(result: &Ended) -> bool {
    let remedied = |outcome: &LoopOutcome| {
        let mut variants = outcome.variants.iter();
        variants.any(|v| !v.remedies.is_empty() || v.best.is_some())
    };
    result.as_ref().map_or(true, remedied)
}

/// Waits for a change, and until there are no more; nothing where it is interrupted.
fn wait(options: &LoopOptions, before: Changes, cancel: &Cancel) -> Option<Vec<String>> {
    let mut last = before.clone();
    let mut since: Option<(Instant, Instant)> = None;
    loop {
        let now = Changes::look(options, &last);
        if !now.since(&last).is_empty() || since.is_none() && !now.since(&before).is_empty() {
            let moment = Instant::now();
            since = Some((since.map_or(moment, |(first, _)| first), moment));
        }
        last = now;
        if let Some((first, latest)) = since
            && (latest.elapsed() >= QUIET || first.elapsed() >= PATIENCE)
        {
            let changes = last.since(&before);
            if !changes.is_empty() {
                return Some(changes);
            }
            // It is as it was again.
            since = None;
        }
        if cancel.wait(POLL) {
            return None;
        }
    }
}

fn shown(changes: &[String]) -> String {
    let printable = |change: &String| crate::model::path::printable(change);
    let shown: Vec<String> = changes.iter().take(3).map(printable).collect();
    match changes.len() {
        0..=3 => shown.join(", "),
        n => format!("{}, and {} more", shown.join(", "), n - 3),
    }
}
