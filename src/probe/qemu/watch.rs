//! What is waited for on a console, in order, and what must not come.

use super::console::Lines;
use super::fault::{FaultKind, fault_in};
use regex::Regex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a line that is not complete has to stand still until it is looked at: a prompt.
const STILL: Duration = Duration::from_millis(250);

/// What is waited for.
#[derive(Clone, Debug)]
pub struct Step {
    /// What has to be seen.
    pub pattern: Regex,
    /// How long after the step before, or the start; where left out, as long as there is time.
    pub within: Option<Duration>,
}

/// What was seen of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// The pattern.
    pub pattern: String,
    /// What it matched.
    pub text: String,
    /// The line it stands in.
    pub line: String,
    /// How long after the start.
    pub after: Duration,
}

/// What must not come, and came.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    /// What it is.
    pub kind: FaultKind,
    /// The line that says so.
    pub line: String,
    /// How long after the start.
    pub after: Duration,
}

/// Reads a console as it comes.
#[derive(Debug)]
pub struct Watch {
    steps: Arc<[Step]>,
    never: Vec<Regex>,
    lines: Lines,
    /// How much of the line that is not complete has been matched.
    matched: usize,
    last_line: String,
    last_bytes: Instant,
    start: Instant,
    step_start: Instant,
    seen: Vec<Seen>,
    fault: Option<Fault>,
}

impl Watch {
    /// Begins now. Steps may be shared: each copy of a pattern would make its tables anew.
    pub fn new(steps: impl Into<Arc<[Step]>>, never: Vec<Regex>) -> Self {
        let now = Instant::now();
        Self {
            steps: steps.into(),
            never,
            lines: Lines::default(),
            matched: 0,
            last_line: String::new(),
            last_bytes: now,
            start: now,
            step_start: now,
            seen: Vec::new(),
            fault: None,
        }
    }

    /// Says that the machine starts now.
    pub fn starts(&mut self) {
        self.start = Instant::now();
        self.step_start = self.start;
    }

    /// Takes what came.
    pub fn add(&mut self, bytes: &[u8]) {
        self.last_bytes = Instant::now();
        let mut complete = Vec::new();
        self.lines.add(bytes, &mut |line| complete.push(line));
        for line in complete {
            self.complete(line);
        }
    }

    /// Looks at the line that is not complete, where nothing has come for a while, which is `scale`
    /// times as long on a machine that is so much slower.
    pub fn look_at_prompt(&mut self, scale: u32) {
        if self.last_bytes.elapsed() >= STILL.saturating_mul(scale) {
            let line = self.lines.open();
            self.look(&line);
        }
    }

    /// Takes the end of the console.
    pub fn finish(&mut self) {
        let mut complete = Vec::new();
        self.lines.finish(&mut |line| complete.push(line));
        for line in complete {
            self.complete(line);
        }
    }

    fn complete(&mut self, line: String) {
        self.look(&line);
        self.matched = 0;
        if !line.is_empty() {
            self.last_line = line;
        }
    }

    fn look(&mut self, line: &str) {
        if self.fault.is_some() {
            return;
        }
        while let Some(step) = self.steps.get(self.seen.len()) {
            // A line may have lost white space at its end since it was last looked at.
            let from = self.matched.min(line.len());
            if !line.is_char_boundary(from) {
                break;
            }
            let Some(found) = step.pattern.find_at(line, from) else {
                break;
            };
            self.matched = found.end();
            self.seen.push(Seen {
                pattern: step.pattern.to_string(),
                text: found.as_str().to_owned(),
                line: line.to_owned(),
                after: self.start.elapsed(),
            });
            self.step_start = Instant::now();
        }
        let forbidden = || self.never.iter().any(|never| never.is_match(line));
        let kind = fault_in(line).or_else(|| forbidden().then_some(FaultKind::Never));
        self.fault = kind.map(|kind| Fault {
            kind,
            line: line.to_owned(),
            after: self.start.elapsed(),
        });
    }

    /// Gives the step that is waited for; `None` once all have been seen.
    pub fn step(&self) -> Option<&Step> {
        self.steps.get(self.seen.len())
    }

    /// Gives the patterns that have not been seen.
    pub fn missing(&self) -> Vec<String> {
        let missing = self.steps.iter().skip(self.seen.len());
        missing.map(|step| step.pattern.to_string()).collect()
    }

    /// Gives what was seen, in order.
    pub fn seen(&self) -> &[Seen] {
        &self.seen
    }

    /// Gives what must not come, and came.
    pub fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Gives how long it has been since the start.
    pub fn since_start(&self) -> Duration {
        self.start.elapsed()
    }

    /// Gives how long it has been since the last step was seen, or the start.
    pub fn since_step(&self) -> Duration {
        self.step_start.elapsed()
    }

    /// Gives the last line with something in it.
    pub fn last_line(&self) -> String {
        let open = self.lines.open();
        match open.trim().is_empty() {
            true => self.last_line.clone(),
            false => open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(steps: &[&str], never: &[&str]) -> Watch {
        let read = |text: &&str| Regex::new(text).unwrap();
        let step = |text: &&str| Step {
            pattern: read(text),
            within: None,
        };
        Watch::new(
            steps.iter().map(step).collect::<Vec<_>>(),
            never.iter().map(read).collect(),
        )
    }

    #[test]
    fn patterns_are_seen_in_order_and_only_once() {
        let mut watch = watch(&["b", "a", "a"], &[]);
        watch.add(b"a\nb a\n");
        let seen: Vec<&str> = watch.seen().iter().map(|s| s.line.as_str()).collect();
        assert_eq!(seen, ["b a", "b a"], "the first `a` is before the `b`");
        assert_eq!(watch.missing(), ["a"]);
        watch.add(b"x\nand a last one");
        assert_eq!(watch.missing(), ["a"], "the line is not complete");
        watch.finish();
        assert!(watch.missing().is_empty() && watch.step().is_none());
    }

    #[test]
    fn a_prompt_is_seen_without_a_line_break_and_not_twice() {
        let mut watch = watch(&["login:", "login:"], &[]);
        watch.add(b"host login: ");
        watch.look_at_prompt(1000);
        std::thread::sleep(STILL);
        watch.look_at_prompt(1000);
        assert_eq!(watch.seen().len(), 0, "more may come");
        watch.look_at_prompt(1);
        watch.look_at_prompt(1);
        assert_eq!(watch.seen().len(), 1);
        watch.add(b"root\n");
        assert_eq!(watch.seen().len(), 1);
        assert_eq!(watch.last_line(), "host login: root");
    }

    #[test]
    fn what_must_not_come_stays_and_nothing_is_seen_after_it() {
        let mut watch = watch(&["a", "b"], &["^worse"]);
        watch.add(b"a\nKernel panic - not syncing: x\nb\nworse\n");
        assert_eq!(watch.fault().unwrap().kind, FaultKind::Panic);
        assert_eq!(watch.missing(), ["b"]);
        let mut watch = super::tests::watch(&[], &["^worse"]);
        watch.add(b"not worse\nworse\n");
        assert_eq!(watch.fault().unwrap().kind, FaultKind::Never);
    }
}
