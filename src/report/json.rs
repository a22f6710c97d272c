//! For machines: one JSON document, versioned.
//!
//! `version` is 1. A field may be added within a version; none is removed or changes its meaning.

use super::Reporter;
use crate::model::Picture;
use crate::model::picture::Walk;
use crate::model::value::Value;
use crate::run::Event;
use crate::run::event::{Counts, Ending, Failure, Outcome, Place, Summary};
use serde::Serialize;
use std::io::{self, Write};

/// The version of the format.
pub const VERSION: u32 = 1;

/// A whole run.
#[derive(Serialize)]
struct Document<'r> {
    version: u32,
    tdg: &'static str,
    summary: Totals,
    trials: Vec<Trial<'r>>,
}

#[derive(Serialize)]
struct Totals {
    #[serde(rename = "pass")]
    pass: usize,
    fail: usize,
    error: usize,
    skip: usize,
    duration_s: f64,
    interrupted: bool,
}

/// One trial and how it ended.
#[derive(Serialize)]
pub struct Trial<'r> {
    name: &'r str,
    spec: &'r str,
    check: &'r str,
    kind: &'r str,
    subject: Option<&'r str>,
    tags: &'r [String],
    matrix: serde_json::Map<String, Value>,
    place: &'r Place,
    verdict: &'static str,
    duration_s: f64,
    tries: u32,
    failures: &'r [Failure],
    error: Option<Error<'r>>,
    skipped: Option<String>,
    notes: &'r [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    picture: Option<Drawn<'r>>,
}

/// What was seen, drawn.
#[derive(Serialize)]
struct Drawn<'r> {
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    walk: Option<&'r Walk>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<&'r [String]>,
}

fn drawn(picture: &Picture) -> Drawn<'_> {
    let (walk, files) = match picture {
        Picture::Walk(walk) => (Some(walk), None),
        Picture::Files(files) => (None, Some(files.as_slice())),
    };
    Drawn {
        text: picture.lines().join("\n"),
        walk,
        files,
    }
}

#[derive(Serialize)]
struct Error<'r> {
    message: &'r str,
    remedy: Option<&'r str>,
    transient: bool,
}

/// Gives the record of an ended trial, as it stands in the document.
pub fn trial(outcome: &Outcome) -> Trial<'_> {
    let info = &outcome.trial;
    let (failures, error, skipped): (&[Failure], _, _) = match &outcome.ending {
        Ending::Pass => (&[], None, None),
        Ending::Fail(failures) => (failures, None, None),
        Ending::Skip(reason) => (&[], None, Some(reason.to_string())),
        Ending::Error(trouble) => {
            let error = Error {
                message: &trouble.message,
                remedy: trouble.remedy.as_deref(),
                transient: trouble.transient,
            };
            (&[], Some(error), None)
        }
    };
    Trial {
        name: &info.name,
        spec: &info.spec,
        check: &info.check,
        kind: info.kind,
        subject: info.subject.as_deref(),
        tags: &info.tags,
        matrix: info.matrix.iter().cloned().collect(),
        place: &info.place,
        verdict: outcome.ending.name(),
        duration_s: outcome.duration.as_secs_f64(),
        tries: outcome.tries,
        failures,
        error,
        skipped,
        notes: &outcome.notes,
        picture: outcome.picture.as_ref().map(drawn),
    }
}

/// Writes the document when the run has ended.
pub struct Json<W> {
    out: W,
}

impl<W: Write> Json<W> {
    /// Makes a reporter.
    pub fn new(out: W) -> Self {
        Self { out }
    }

    fn document(&mut self, summary: &Summary) -> io::Result<()> {
        let Counts {
            pass,
            fail,
            error,
            skip,
        } = summary.counts;
        let document = Document {
            version: VERSION,
            tdg: env!("CARGO_PKG_VERSION"),
            summary: Totals {
                pass,
                fail,
                error,
                skip,
                duration_s: summary.duration.as_secs_f64(),
                interrupted: summary.interrupted,
            },
            trials: summary.outcomes.iter().map(trial).collect(),
        };
        serde_json::to_writer_pretty(&mut self.out, &document)?;
        self.out.write_all(b"\n")?;
        self.out.flush()
    }
}

impl<W: Write> Reporter for Json<W> {
    fn event(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Finished(summary) => self.document(summary),
            Event::Started { .. } | Event::TrialStarted(_) | Event::TrialFinished(_) => Ok(()),
        }
    }
}
