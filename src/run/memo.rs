//! One observation for all checks that ask the same of the same subject.

use super::plan::Trial;
use crate::check::ProbeError;
use crate::model::Address;
use crate::model::value::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

type Seen = Result<Arc<Value>, ProbeError>;

#[derive(PartialEq, Eq, Hash)]
struct Question {
    subject: Option<Address>,
    kind: &'static str,
    args: String,
}

/// What pure kinds have seen in a run.
#[derive(Default)]
pub struct Memo {
    seen: Mutex<HashMap<Question, Arc<OnceLock<Seen>>>>,
}

impl Memo {
    /// Gives what was seen, looking only where no check has asked the same before.
    pub fn get(&self, trial: &Trial, look: impl FnOnce() -> Seen) -> Seen {
        let question = Question {
            subject: trial.subject.clone(),
            kind: trial.info.kind,
            args: trial.args.to_string(),
        };
        let cell = match self.seen.lock() {
            Ok(mut seen) => seen.entry(question).or_default().clone(),
            Err(_) => return look(),
        };
        cell.get_or_init(look).clone()
    }

    /// Forgets what was seen in a subject whose last check has run.
    pub fn release(&self, source: &str) {
        if let Ok(mut seen) = self.seen.lock() {
            seen.retain(|question, _| {
                question.subject.as_ref().map(Address::source) != Some(source)
            });
        }
    }
}
