//! Matchers: what a spec demands of evidence.
//!
//! A matcher is parsed against the [`Shape`](crate::model::Shape) of the evidence before anything runs, judges a value
//! without any I/O, and explains itself in the words of a report. One file a family; the operators
//! of all families are in [`OPERATORS`].

mod equality;
mod fields;
mod len;
mod list;
mod order;
mod parse;
mod presence;
mod reference;
mod text;

pub use parse::{OPERATORS, Operator, Reading, parse};
pub use reference::Reference;

use crate::model::value::Value;
use crate::model::{Mismatch, Span};
use std::fmt::{self, Debug};

/// A parsed matcher.
pub type Matcher = Box<dyn Judge>;

/// Judges values; pure.
pub trait Judge: Debug + Send + Sync {
    /// Adds a finding for each place where the value is not as demanded.
    fn judge(&self, seen: &Value, at: &At<'_>, findings: &mut Vec<Finding>);

    /// Says what is demanded, to follow the word "expected".
    fn explain(&self) -> String;

    /// Tells whether the value is as demanded, without saying why not.
    fn holds(&self, seen: &Value, at: &At<'_>) -> bool {
        let mut findings = Vec::new();
        self.judge(seen, at, &mut findings);
        findings.is_empty()
    }

    /// Tells whether it asks whether something is there: absence is then an answer.
    fn asks_presence(&self) -> bool {
        false
    }

    /// Adds the fields of the evidence it looks at, to `fields`; gives `false` where it looks at
    /// the evidence as a whole.
    fn fields(&self, _fields: &mut Vec<String>) -> bool {
        false
    }

    /// Adds the other checks whose evidence this matcher compares with.
    fn references<'s>(&'s self, _out: &mut Vec<&'s Reference>) {}
}

/// One thing a matcher found wrong.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What is reported.
    pub mismatch: Mismatch,
    /// Whether nothing was there to be judged. `not` does not turn such a finding into a pass.
    pub vacuous: bool,
}

/// Gives the evidence of other checks to `same-as`.
pub trait Lookup: Sync {
    /// Finds the value a reference names.
    ///
    /// # Errors
    /// Says why there is none, in words for the report.
    fn find(&self, reference: &Reference) -> Result<Value, String>;
}

/// A [`Lookup`] that knows no other check.
pub struct NoLookup;

impl Lookup for NoLookup {
    fn find(&self, reference: &Reference) -> Result<Value, String> {
        Err(format!("there is no evidence of `{}`", reference.check))
    }
}

/// Where in the evidence a matcher stands: a chain of steps, written out only when it is shown.
#[derive(Clone, Copy)]
pub struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
    /// The evidence of other checks.
    pub lookup: &'a dyn Lookup,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Element(usize, &'a Value),
}

impl<'a> At<'a> {
    /// Stands at the whole evidence.
    pub fn root(lookup: &'a dyn Lookup) -> Self {
        Self {
            parent: None,
            step: Step::Root,
            lookup,
        }
    }

    fn field(&'a self, name: &'a str) -> At<'a> {
        At {
            parent: Some(self),
            step: Step::Field(name),
            lookup: self.lookup,
        }
    }

    fn element(&'a self, index: usize, value: &'a Value) -> At<'a> {
        At {
            parent: Some(self),
            step: Step::Element(index, value),
            lookup: self.lookup,
        }
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = match self.parent {
            Some(parent) => {
                write!(f, "{parent}")?;
                matches!(parent.step, Step::Root)
            }
            None => true,
        };
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) if first => write!(f, "{name}"),
            Step::Field(name) => write!(f, ".{name}"),
            Step::Element(index, value) => match name_of(value) {
                Some(name) => write!(f, "[{}]", crate::model::path::printable(name)),
                None => write!(f, "[{index}]"),
            },
        }
    }
}

/// Gives the name a record goes by in reports: its path or its name.
fn name_of(value: &Value) -> Option<&str> {
    ["path", "name"]
        .iter()
        .find_map(|key| value.get(key).and_then(Value::as_str))
}

/// Makes the finding of a judged value.
fn finding(judge: &dyn Judge, seen: &Value, at: &At<'_>, span: Span) -> Finding {
    Finding {
        mismatch: Mismatch {
            path: at.to_string(),
            expected: judge.explain(),
            actual: seen.clone(),
            span,
            note: None,
        },
        vacuous: false,
    }
}

/// Makes the finding of a value that could not be judged because nothing, or the wrong thing, is there.
fn nothing(judge: &dyn Judge, seen: &Value, at: &At<'_>, span: Span, note: &str) -> Finding {
    let mut finding = finding(judge, seen, at, span);
    finding.mismatch.note = Some(note.to_owned());
    finding.vacuous = true;
    finding
}
