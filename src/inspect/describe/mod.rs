//! A spec that holds of what is there: what `tdg describe` writes, and each
//! check that `tdg add` appends.
//!
//! Kinds look, as they do for a spec; [`demand`] makes matchers of what they
//! saw; the spec is written, read back, planned and run before anybody sees it.

mod choose;
pub mod demand;
mod verify;
mod write;
mod yaml;

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Map;

use crate::check::{AnyKind, Context, ProbeError, Subjects};
use crate::format::Limits;
use crate::model::value::Value;
use crate::model::{Address, Shape, Span};
use crate::probe::exec::Cancel;
use crate::spec::args::arguments;
use crate::spec::{Diagnostics, Node};

pub use choose::{Choice, choose, of_kinds};
pub use demand::Strictness;
pub use verify::{Failed, verify};
pub use write::{Spec, check_lines, new_file};
pub use yaml::literal;

/// What a kind is asked.
#[derive(Clone)]
pub struct Asked {
    /// The name of the check.
    pub name: String,
    /// The kind.
    pub kind: &'static dyn AnyKind,
    /// Its arguments as a spec writes them: nothing, the main argument, or a map.
    pub args: Value,
    /// What it looks at.
    pub at: Option<Address>,
    /// The fields that are pinned; where none is named, those that the kind
    /// says.
    pub fields: Vec<String>,
}

/// A check that is filled in from what was seen.
#[derive(Clone)]
pub struct Check {
    /// What was asked.
    pub asked: Asked,
    /// What is demanded, by field.
    pub expect: Map<String, Value>,
}

/// What looking takes.
pub struct Looking<'l> {
    /// The subjects, each opened once.
    pub subjects: &'l Subjects,
    /// What relative paths of arguments are relative to.
    pub root: &'l Path,
    /// The bounds of every reader.
    pub limits: &'l Limits,
    /// How much is left to change.
    pub strictness: Strictness,
    /// Set when looking is to end.
    pub cancel: &'l Cancel,
}

impl Looking<'_> {
    /// Lets a kind look, and makes demands of what it sees.
    ///
    /// # Errors
    /// Where the arguments are wrong, where nothing could be seen, and where
    /// nothing that was seen can be demanded.
    pub fn look(&self, asked: Asked) -> Result<Check, ProbeError> {
        let kind = asked.kind;
        let args = typed(kind, &asked.args)?;
        let Shape::Record(record) = kind.evidence() else {
            return Err(ProbeError::new(format!("`{}` sees no fields", kind.name())));
        };
        if let Some(unknown) = asked
            .fields
            .iter()
            .find(|name| record.field(name).is_none())
        {
            let message = format!("`{}` sees no `{unknown}`", kind.name());
            let known: Vec<&str> = record.fields.iter().map(|f| f.name.as_str()).collect();
            return Err(ProbeError::new(message).remedy(format!("it sees {}", known.join(", "))));
        }
        let named: Vec<&str> = match asked.fields.as_slice() {
            [] => kind.describes().to_vec(),
            named => named.iter().map(String::as_str).collect(),
        };
        let wanted: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
        let hour = Duration::from_secs(3600);
        let context = Context {
            root: self.root,
            subjects: self.subjects,
            deadline: self
                .limits
                .deadline
                .unwrap_or_else(|| Instant::now() + hour),
            cancel: self.cancel,
            wanted: (!wanted.is_empty()).then_some(&wanted),
        };
        let seen = kind.observe(&args, asked.at.as_ref(), &context)?;
        let expect = demand::of_record(record, &seen, &named, self.strictness);
        if expect.is_empty() {
            let message = format!("`{}` saw nothing that a spec could demand", kind.name());
            return Err(ProbeError::new(message));
        }
        Ok(Check { asked, expect })
    }
}

/// Types arguments against the kind, as a plan does.
fn typed(kind: &dyn AnyKind, args: &Value) -> Result<Value, ProbeError> {
    let mut wrong = Diagnostics::default();
    let node = Node::from_value(args, Span::default());
    let typed = arguments(&node, kind.args(), kind.main(), &mut wrong);
    match (typed, wrong.sorted().first()) {
        (Some(typed), None) => {
            kind.validate(&typed)?;
            Ok(typed)
        }
        (_, first) => {
            let what = first.map_or("they do not fit", |wrong| wrong.message.as_str());
            let error = ProbeError::new(format!("the arguments of `{}`: {what}", kind.name()));
            Err(match first.and_then(|wrong| wrong.help.clone()) {
                Some(help) => error.remedy(help),
                None => error,
            })
        }
    }
}
