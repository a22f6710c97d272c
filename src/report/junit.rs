//! JUnit XML, as CI services read it: a test suite a spec file.

use super::Reporter;
use crate::run::event::{Ending, Outcome, Summary};
use crate::run::{Event, text};
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use std::io::{self, Write};

/// Writes the report when the run has ended.
pub struct Junit<W> {
    out: W,
}

impl<W: Write> Junit<W> {
    /// Makes a reporter.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    fn report(&mut self, summary: &Summary) -> io::Result<()> {
        let mut report = Report::new("tdg");
        report.set_time(summary.duration);
        let mut suite: Option<TestSuite> = None;
        for outcome in &summary.outcomes {
            let file = outcome.trial.name.split("::").next().unwrap_or_default();
            if suite.as_ref().is_none_or(|s| s.name.as_str() != file) {
                report.add_test_suites(suite.take());
                suite = Some(TestSuite::new(file));
            }
            if let Some(suite) = &mut suite {
                suite.add_test_case(case(outcome));
            }
        }
        report.add_test_suites(suite);
        report.serialize(&mut self.out).map_err(io::Error::other)?;
        self.out.flush()
    }
}

fn case(outcome: &Outcome) -> TestCase {
    let status = match &outcome.ending {
        Ending::Pass => TestCaseStatus::success(),
        Ending::Skip(reason) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(reason.to_string());
            status
        }
        Ending::Fail(failures) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let message = failures
                .first()
                .map(|f| format!("{}: expected {}", f.path, f.expected));
            status.set_message(message.unwrap_or_default());
            status.set_description(text::ending(outcome));
            status
        }
        Ending::Error(trouble) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_message(trouble.message.clone());
            status.set_description(text::ending(outcome));
            status
        }
    };
    let name = outcome.trial.name.split_once("::").map_or("", |(_, n)| n);
    let mut case = TestCase::new(name, status);
    case.set_classname(outcome.trial.spec.clone());
    case.set_time(outcome.duration);
    case
}

impl<W: Write> Reporter for Junit<W> {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Finished(summary) => self.report(summary),
            Event::Started { .. } | Event::TrialStarted(_) | Event::TrialFinished(_) => Ok(()),
        }
    }
}
