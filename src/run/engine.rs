//! Observe, judge, emit: the one way a trial runs, for both fronts.

use super::event::{Ending, Event, Evidence, Outcome, Summary};
use super::memo::Memo;
use super::plan::{Plan, Trial};
use super::secrets::Secrets;
use super::{judge, requirement, snapshot};
use crate::check::{Context, ProbeError, Subjects};
use crate::format::Limits;
use crate::model::excerpt::excerpt;
use crate::model::size::{LONGEST, show_duration};
use crate::model::value::Value;
use crate::model::{SkipReason, Trouble};
use crate::probe::exec::Cancel;
use std::collections::{HashMap, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

/// How a run goes about it.
#[derive(Clone)]
pub struct Options {
    /// How many trials run at a time.
    pub jobs: usize,
    /// Whether the first trial that does not pass ends the run.
    pub fail_fast: bool,
    /// How long one try of a trial may take where its spec says nothing.
    pub timeout: Duration,
    /// The bounds of every reader.
    pub limits: Limits,
    /// Set when the run is to end.
    pub cancel: Cancel,
    /// How much of what a trial that fails has seen is kept, in bytes of JSON; nothing with 0.
    pub evidence: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            jobs: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            fail_fast: false,
            timeout: Duration::from_secs(60),
            limits: Limits::default(),
            cancel: Cancel::default(),
            evidence: 0,
        }
    }
}

/// A plan being carried out: each trial runs once, whoever asks for it first.
pub struct Session<'p> {
    plan: &'p Plan,
    options: Options,
    subjects: Subjects,
    memo: Memo,
    outcomes: Vec<OnceLock<Outcome>>,
    /// Evidence that `same-as` of another trial asks for.
    evidence: Vec<OnceLock<Arc<Value>>>,
    compared: HashSet<usize>,
    secrets: Secrets,
    /// How many trials still need the first part of each address.
    waiting: Mutex<HashMap<String, usize>>,
    stop: AtomicBool,
}

impl<'p> Session<'p> {
    /// Prepares a run; nothing is touched yet.
    pub fn new(plan: &'p Plan, options: Options) -> Self {
        let mut waiting = HashMap::new();
        for subject in plan.trials.iter().filter_map(|t| t.subject.as_ref()) {
            *waiting.entry(subject.source().to_owned()).or_insert(0) += 1;
        }
        let compared = |t: &'p Trial| t.compares.iter().map(|(_, i)| *i);
        Self {
            plan,
            subjects: Subjects::new(options.limits.clone()),
            options,
            memo: Memo::default(),
            outcomes: plan.trials.iter().map(|_| OnceLock::new()).collect(),
            evidence: plan.trials.iter().map(|_| OnceLock::new()).collect(),
            compared: plan.trials.iter().flat_map(compared).collect(),
            secrets: Secrets::new(&plan.secrets),
            waiting: Mutex::new(waiting),
            stop: AtomicBool::new(false),
        }
    }

    /// Gives the outcome of a trial, running it, and first what it needs, unless that has been done.
    ///
    /// `started` is called when the trial itself begins. An index beyond the plan gives an error.
    pub fn outcome(&self, index: usize, started: &dyn Fn(usize)) -> Outcome {
        let cell = &self.outcomes[index];
        cell.get_or_init(|| {
            let trial = &self.plan.trials[index];
            // A plan has no circles, so waiting for another trial here always ends.
            let blocker = trial.needs.iter().find(|needed| {
                let outcome = self.outcome(**needed, started);
                outcome.ending != Ending::Pass
            });
            started(index);
            let begin = Instant::now();
            let (ending, seen, tries, notes) = match self.skip(trial, blocker.copied()) {
                Some(reason) => (Ending::Skip(reason), None, 0, Vec::new()),
                None => self.tries(index, trial),
            };
            let judged = matches!(ending, Ending::Pass | Ending::Fail(_));
            let mut picture = seen
                .as_deref()
                .filter(|_| judged)
                .and_then(|seen| trial.kind.0.picture(&trial.args, seen));
            if let Some(picture) = &mut picture {
                picture.texts(&|text| self.secrets.hide(text));
            }
            let failed = matches!(ending, Ending::Fail(_)) && self.options.evidence > 0;
            // Before it is cut: half a secret is one too.
            let evidence = seen.filter(|_| failed).map(|seen| {
                let (value, truncated) =
                    excerpt(&self.secrets.hide_value(&seen), self.options.evidence);
                Evidence { value, truncated }
            });
            if let (Ending::Skip(_), Some(path)) = (&ending, &trial.snapshot) {
                snapshot::keep(path);
            }
            self.release(trial);
            if self.options.fail_fast && matches!(ending, Ending::Fail(_) | Ending::Error(_)) {
                self.stop.store(true, Ordering::Relaxed);
            }
            Outcome {
                trial: trial.info.clone(),
                ending: judge::redact(ending, &self.secrets),
                duration: begin.elapsed(),
                tries,
                evidence,
                picture,
                notes: notes.iter().map(|n| self.secrets.hide(n)).collect(),
            }
        })
        .clone()
    }

    fn skip(&self, trial: &Trial, blocker: Option<usize>) -> Option<SkipReason> {
        if let Some(condition) = trial.conditions.iter().find(|c| !c.holds) {
            return Some(SkipReason::Condition(condition.expression.clone()));
        }
        if let Some(index) = blocker {
            let name = self.plan.trials[index].info.name.clone();
            return Some(SkipReason::Blocked(name));
        }
        if self.options.cancel.is_set() {
            return Some(SkipReason::NotRun("the run was interrupted".into()));
        }
        if self.stop.load(Ordering::Relaxed) {
            return Some(SkipReason::NotRun("an earlier check failed".into()));
        }
        requirement::missing(&trial.requires, &self.plan.root, &self.options.cancel)
            .map(SkipReason::Requirement)
    }

    /// Tries a trial as often as it says.
    fn tries(&self, index: usize, trial: &Trial) -> (Ending, Option<Arc<Value>>, u32, Vec<String>) {
        let begin = Instant::now();
        let attempts = trial.retry.as_ref().map_or(1, |r| r.attempts);
        let mut tries = 0;
        let (ending, seen) = loop {
            tries += 1;
            let (ending, seen) = self.once(index, trial);
            let again = match (&ending, trial.eventually) {
                (Ending::Pass | Ending::Skip(_), _) => None,
                (Ending::Fail(_) | Ending::Error(_), Some(patience)) => {
                    let pause = POLL.min(patience / 10).max(Duration::from_millis(20));
                    (begin.elapsed() + pause < patience).then_some(pause)
                }
                (Ending::Fail(_) | Ending::Error(_), None) => {
                    let delay = trial.retry.as_ref().map_or(0.0, |r| r.delay.max(0.0));
                    (tries < attempts).then(|| {
                        Duration::try_from_secs_f64(delay)
                            .unwrap_or_default()
                            .min(LONGEST)
                    })
                }
            };
            match again {
                Some(pause) if !self.options.cancel.wait(pause) => {}
                Some(_) | None => break (ending, seen),
            }
        };
        let (ending, tries, notes) = judge::quarantine(trial, ending, tries);
        (ending, seen, tries, notes)
    }

    /// Tries a trial once; gives with it what was seen.
    fn once(&self, index: usize, trial: &Trial) -> (Ending, Option<Arc<Value>>) {
        let evidence = match self.observe(trial) {
            Ok(evidence) => evidence,
            Err(error) => return (Ending::Error(Trouble::from(error)), None),
        };
        let lookup = judge::Others {
            trial,
            evidence: &self.evidence,
        };
        let ending = judge::judge(trial, &evidence, &lookup, &self.plan.sources, &self.secrets);
        let ending = match (&trial.snapshot, ending) {
            (Some(path), Ending::Pass) => {
                snapshot::compare(path, trial, &self.secrets.hide_value(&evidence))
            }
            (_, ending) => ending,
        };
        if ending == Ending::Pass && self.compared.contains(&index) {
            // Only what passed is compared with; an earlier try may have seen something else.
            let _ = self.evidence[index].set(Arc::clone(&evidence));
        }
        (ending, Some(evidence))
    }

    fn observe(&self, trial: &Trial) -> Result<Arc<Value>, ProbeError> {
        let polls = trial.retry.is_some() || trial.eventually.is_some();
        let look = |subjects: &Subjects| {
            let begin = Instant::now();
            let context = Context {
                root: &self.plan.root,
                subjects,
                deadline: Instant::now() + trial.timeout.unwrap_or(self.options.timeout),
                cancel: &self.options.cancel,
                wanted: trial.wanted.as_deref(),
            };
            // A panic in a reader is our fault, not the image's; it must not pass for either.
            catch_unwind(AssertUnwindSafe(|| {
                trial
                    .kind
                    .0
                    .observe(&trial.args, trial.subject.as_ref(), &context)
            }))
            .unwrap_or_else(|_| {
                Err(ProbeError::new("tdg itself failed here (a panic)")
                    .remedy("please report this with the file it looked at"))
            })
            .map(Arc::new)
            .and_then(|seen| match (trial.timeout, begin.elapsed()) {
                (Some(limit), took) if took > limit => {
                    let (took, limit) = (show_duration(took), show_duration(limit));
                    Err(
                        ProbeError::new(format!("it took {took}, its time is {limit}"))
                            .remedy("give the check a longer `timeout`"),
                    )
                }
                (Some(_) | None, _) => Ok(seen),
            })
        };
        if polls {
            // Something seen before may have changed: look with fresh eyes.
            return look(&Subjects::new(self.options.limits.clone()));
        }
        if trial.kind.0.pure() {
            return self.memo.get(trial, || look(&self.subjects));
        }
        look(&self.subjects)
    }

    fn release(&self, trial: &Trial) {
        let Some(subject) = &trial.subject else {
            return;
        };
        let Ok(mut waiting) = self.waiting.lock() else {
            return;
        };
        let source = subject.source();
        if let Some(count) = waiting.get_mut(source) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.subjects.release(source);
                self.memo.release(source);
            }
        }
    }
}

/// How long `eventually` waits between two looks, at most.
const POLL: Duration = Duration::from_millis(500);

/// Gives the trials in an order in which each comes after those it needs, as close to that of the
/// plan as may be, so that no long chain of them has to be followed when it runs.
fn order(plan: &Plan) -> Vec<usize> {
    let mut order = Vec::with_capacity(plan.trials.len());
    let mut placed = vec![false; plan.trials.len()];
    let mut open: Vec<usize> = (0..plan.trials.len()).rev().collect();
    while let Some(index) = open.pop() {
        let waiting = |needed: &&usize| !placed[**needed];
        let first: Vec<usize> = plan.trials[index]
            .needs
            .iter()
            .filter(waiting)
            .copied()
            .collect();
        if placed[index] {
            continue;
        }
        if first.is_empty() {
            placed[index] = true;
            order.push(index);
        } else {
            open.push(index);
            open.extend(first);
        }
    }
    order
}

enum Step {
    Started(usize),
    Finished(Box<Outcome>, usize),
}

/// Carries out a plan; events come in the order things happen, from one thread.
pub fn run(plan: &Plan, options: &Options, on_event: &mut dyn FnMut(&Event<'_>)) -> Summary {
    let begin = Instant::now();
    let session = Session::new(plan, options.clone());
    let total = plan.trials.len();
    let jobs = options.jobs.clamp(1, total.max(1));
    on_event(&Event::Started {
        trials: total,
        jobs,
    });
    let next = AtomicUsize::new(0);
    let order = order(plan);
    let (sender, receiver) = mpsc::channel();
    let mut outcomes: Vec<Option<Outcome>> = vec![None; total];
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            let sender = sender.clone();
            let (session, next) = (&session, &next);
            let order = &order;
            scope.spawn(move || {
                while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let started = |i: usize| {
                        let _ = sender.send(Step::Started(i));
                    };
                    let outcome = session.outcome(index, &started);
                    let _ = sender.send(Step::Finished(Box::new(outcome), index));
                }
            });
        }
        drop(sender);
        for step in receiver {
            match step {
                Step::Started(index) => {
                    on_event(&Event::TrialStarted(&plan.trials[index].info));
                }
                Step::Finished(outcome, index) => {
                    on_event(&Event::TrialFinished(&outcome));
                    outcomes[index] = Some(*outcome);
                }
            }
        }
    });
    let outcomes: Vec<Outcome> = outcomes.into_iter().flatten().collect();
    let mut summary = Summary {
        counts: super::event::Counts::default(),
        duration: begin.elapsed(),
        interrupted: options.cancel.is_set(),
        outcomes,
    };
    for outcome in &summary.outcomes {
        summary.counts.add(&outcome.ending);
    }
    on_event(&Event::Finished(&summary));
    summary
}
