//! The loop at work: what is shown between two events, while a step says nothing for an hour.

use super::loop_view::LoopView;
use crate::generate::{LoopEvent, LoopOutcome, Stage};
use crate::model::size::show_duration;
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often the line at the bottom of a terminal is drawn anew.
const TICK: Duration = Duration::from_secs(1);

/// How often a log is told that a stage is still at work.
const TOLD: Duration = Duration::from_secs(60);

/// A wider line would wrap, and could not be taken back.
const WIDTH: usize = 78;

/// Shows events, and between them how long the stages at work have taken.
pub struct Progress<W: Write + Send + 'static> {
    shared: Arc<Shared<W>>,
    thread: Option<JoinHandle<()>>,
}

struct Shared<W> {
    inner: Mutex<Inner<W>>,
    changed: Condvar,
}

struct Inner<W> {
    view: LoopView<W>,
    /// Whether there is a terminal, where a line can be drawn and taken back.
    live: bool,
    drawn: bool,
    running: BTreeMap<String, Running>,
    over: bool,
}

struct Running {
    stage: Stage,
    began: Instant,
    told: Instant,
    expected: Option<Duration>,
}

impl Running {
    fn says(&self, now: Instant) -> String {
        let took = show_duration(round(now.saturating_duration_since(self.began)));
        match self.expected.filter(|expected| *expected >= TICK) {
            Some(expected) => format!("{took} of usually {}", show_duration(round(expected))),
            None => took,
        }
    }
}

/// Leaves out what nobody reads: parts of a second.
fn round(time: Duration) -> Duration {
    match time < TICK {
        true => time,
        false => Duration::from_secs(time.as_secs()),
    }
}

impl<W: Write + Send + 'static> Progress<W> {
    /// Begins; `live` where a line can be drawn and taken back.
    pub fn start(view: LoopView<W>, live: bool) -> Self {
        let shared = Arc::new(Shared {
            inner: Mutex::new(Inner {
                view,
                live,
                drawn: false,
                running: BTreeMap::new(),
                over: false,
            }),
            changed: Condvar::new(),
        });
        let own = Arc::clone(&shared);
        // Without it the events are shown all the same.
        let thread = std::thread::Builder::new()
            .name("progress".into())
            .spawn(move || own.tick());
        Self {
            shared,
            thread: thread.ok(),
        }
    }

    /// Shows an event.
    pub fn event(&self, event: &LoopEvent<'_>) {
        self.shared.lock().event(event, Instant::now());
    }

    /// Takes the line back: nothing is at work any more.
    pub fn quiet(&self) {
        let mut inner = self.shared.lock();
        inner.running.clear();
        inner.clear();
    }

    /// Shows what came of the loop.
    pub fn summary(&self, outcome: &LoopOutcome) {
        self.quiet();
        self.shared.lock().view.summary(outcome);
    }
}

impl<W: Write + Send + 'static> Drop for Progress<W> {
    fn drop(&mut self) {
        {
            let mut inner = self.shared.lock();
            inner.clear();
            inner.over = true;
        }
        self.shared.changed.notify_all();
        if let Some(thread) = self.thread.take() {
            // It waits for nothing but the flag.
            let _ = thread.join();
        }
    }
}

impl<W: Write> Shared<W> {
    fn lock(&self) -> MutexGuard<'_, Inner<W>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&self) {
        let mut inner = self.lock();
        while !inner.over {
            inner = match self.changed.wait_timeout(inner, TICK) {
                Ok((inner, _)) => inner,
                Err(poisoned) => poisoned.into_inner().0,
            };
            if !inner.over {
                inner.show(Instant::now());
            }
        }
    }
}

impl<W: Write> Inner<W> {
    fn event(&mut self, event: &LoopEvent<'_>, now: Instant) {
        self.clear();
        self.view.event(event);
        if let LoopEvent::StageStarted {
            variant,
            stage,
            expected,
            ..
        } = event
        {
            let running = Running {
                stage: *stage,
                began: now,
                told: now,
                expected: *expected,
            };
            self.running.insert((*variant).to_owned(), running);
        }
        if let LoopEvent::StageFinished { variant, .. } = event {
            self.running.remove(*variant);
        }
    }

    /// Says what is at work: in the line at the bottom, or now and then in a line of its own.
    fn show(&mut self, now: Instant) {
        if self.live {
            let says = |(variant, r): (&String, &Running)| {
                format!("{variant}: {} {}", r.stage, r.says(now))
            };
            let line: Vec<String> = self.running.iter().map(says).collect();
            let line: String = line.join(" | ").chars().take(WIDTH).collect();
            if !line.is_empty() {
                self.view.raw(&format!("\r\x1b[K  {line}"));
                self.drawn = true;
            }
            return;
        }
        for (variant, running) in &mut self.running {
            if now.saturating_duration_since(running.told) >= TOLD {
                running.told = now;
                let text = format!("still at work, for {}", running.says(now));
                self.view.still(variant, running.stage, &text);
            }
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            self.view.raw("\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inner(live: bool) -> Inner<Vec<u8>> {
        Inner {
            view: LoopView::new(Vec::new(), false),
            live,
            drawn: false,
            running: BTreeMap::new(),
            over: false,
        }
    }

    fn begin(expected: Option<Duration>) -> LoopEvent<'static> {
        LoopEvent::StageStarted {
            variant: "arm64",
            stage: Stage::Build,
            why: "",
            expected,
        }
    }

    const END: LoopEvent<'static> = LoopEvent::StageFinished {
        variant: "arm64",
        stage: Stage::Build,
        ok: true,
        summary: "1 artifact",
        duration: Duration::from_secs(70),
    };

    fn said(inner: Inner<Vec<u8>>) -> String {
        String::from_utf8(inner.view.into_out()).unwrap()
    }

    #[test]
    fn a_terminal_has_a_line_that_is_taken_back() {
        let (mut inner, began) = (inner(true), Instant::now());
        inner.event(&begin(Some(Duration::from_secs(754))), began);
        inner.show(began + Duration::from_millis(61_500));
        inner.event(&END, began + Duration::from_secs(70));
        inner.show(began + Duration::from_secs(71));
        let said = said(inner);
        let drawn = "\r\x1b[K  arm64: build 1 m 01 s of usually 12 m 34 s\r\x1b[K";
        assert!(said.contains(drawn), "{said:?}");
        assert_eq!(said.matches('\r').count(), 2, "{said:?}");
    }

    #[test]
    fn a_log_is_told_once_a_minute() {
        let (mut inner, began) = (inner(false), Instant::now());
        inner.event(&begin(None), began);
        for second in 1..=125 {
            inner.show(began + Duration::from_secs(second));
        }
        let said = said(inner);
        assert_eq!(said.matches("still at work").count(), 2, "{said}");
        assert!(
            said.contains("build    arm64: still at work, for 2 m 00 s"),
            "{said}"
        );
        assert!(!said.contains('\r'));
    }

    #[test]
    fn it_ends_with_its_thread() {
        let progress = Progress::start(LoopView::new(std::io::sink(), false), true);
        progress.event(&begin(None));
        let began = Instant::now();
        drop(progress);
        assert!(began.elapsed() < Duration::from_secs(10));
    }
}
