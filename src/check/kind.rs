//! What a kind is.

use super::{Context, ProbeError};
use crate::model::value::Value;
use crate::model::{Address, Picture, Shape};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::marker::PhantomData;
use std::sync::OnceLock;

/// Whether a check of a kind looks at a subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubjectUse {
    /// It has to have one.
    Required,
    /// It looks at one where there is one.
    Optional,
    /// It has none.
    None,
}

/// What the evidence of a check rests on, beside its arguments and tdg itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RestsOn {
    /// On what these addresses begin at and nothing else: while those files are the same, byte for
    /// byte and with the same owner, mode and attributes, so is the evidence.
    Only(Vec<Address>),
    /// On more: a program, the network, the clock, the environment, or files found elsewhere.
    World,
}

impl RestsOn {
    /// Makes it of a subject alone; where there is none, nobody knows.
    pub fn subject(subject: Option<&Address>) -> Self {
        subject.map_or(Self::World, |subject| Self::Only(vec![subject.clone()]))
    }
}

/// A kind of check, as its file declares it.
pub trait Kind: Send + Sync + 'static {
    /// Its key in a spec, which is also its file's name.
    const NAME: &'static str;
    /// What it looks at, in one line.
    const SUMMARY: &'static str;
    /// The argument that a plain value stands for: `elf: "**"`.
    const MAIN: Option<&'static str> = None;
    /// Whether it has a subject.
    const SUBJECT: SubjectUse;
    /// Whether the same arguments on the same subject always give the same evidence, so that one
    /// observation serves many checks.
    const PURE: bool;
    /// A check as it stands in a spec; a test parses it.
    const EXAMPLE: &'static str;
    /// The fields of its evidence that `tdg describe` and `tdg add` pin, in the order in which they
    /// are written; where none is named, every field that is plain or a list. What each build or
    /// each machine makes anew, such as a date or a path on disk, is not worth pinning.
    const DESCRIBES: &'static [&'static str] = &[];
    /// The value of the kind's key.
    type Args: DeserializeOwned + JsonSchema;
    /// What it saw.
    type Evidence: Serialize + JsonSchema;

    /// Holds arguments of the right shape against each other, before anything runs.
    ///
    /// # Errors
    /// Says what is wrong with them.
    fn validate(_args: &Self::Args) -> Result<(), ProbeError> {
        Ok(())
    }

    /// Says what the evidence of a check rests on. The build loop leaves a check out where that is as
    /// it was: a kind that says less than it looks at makes a green that is none.
    fn rests_on(_args: &Self::Args, _subject: Option<&Address>) -> RestsOn {
        RestsOn::World
    }

    /// Looks, and says what is there.
    ///
    /// # Errors
    /// Where nothing could be seen. What is *wrong* is evidence, not an error.
    fn observe(
        args: Self::Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Self::Evidence, ProbeError>;

    /// Gives what was seen as something that reports draw; most kinds have nothing like that.
    fn picture(_args: &Value, _evidence: &Value) -> Option<Picture> {
        None
    }
}

/// A kind with its types hidden behind values and shapes.
pub trait AnyKind: Send + Sync {
    /// Its key in a spec.
    fn name(&self) -> &'static str;
    /// What it looks at, in one line.
    fn summary(&self) -> &'static str;
    /// The argument that a plain value stands for.
    fn main(&self) -> Option<&'static str>;
    /// Whether it has a subject.
    fn subject(&self) -> SubjectUse;
    /// Whether one observation serves many checks.
    fn pure(&self) -> bool;
    /// A check as it stands in a spec.
    fn example(&self) -> &'static str;
    /// The fields of its evidence that are worth pinning; none where that is all of them.
    fn describes(&self) -> &'static [&'static str];
    /// The shape of its arguments.
    fn args(&self) -> &Shape;
    /// The shape of its evidence.
    fn evidence(&self) -> &Shape;
    /// Says what is wrong with arguments that have the right shape.
    ///
    /// # Errors
    /// Where the kind could not look by them.
    fn validate(&self, args: &Value) -> Result<(), ProbeError>;
    /// Says what the evidence of a check rests on.
    fn rests_on(&self, args: &Value, subject: Option<&Address>) -> RestsOn;
    /// Looks, and says what is there.
    ///
    /// # Errors
    /// Where nothing could be seen.
    fn observe(
        &self,
        args: &Value,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Value, ProbeError>;
    /// Gives what was seen as something that reports draw; nothing where a kind has no picture.
    fn picture(&self, args: &Value, evidence: &Value) -> Option<Picture>;
}

/// Hides the types of a kind.
pub struct Erased<K> {
    args: OnceLock<Shape>,
    evidence: OnceLock<Shape>,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Erased<K> {
    /// The kind.
    #[allow(clippy::declare_interior_mutable_const)]
    pub const NEW: Self = Self {
        args: OnceLock::new(),
        evidence: OnceLock::new(),
        kind: PhantomData,
    };
}

impl<K: Kind> AnyKind for Erased<K> {
    fn name(&self) -> &'static str {
        K::NAME
    }

    fn summary(&self) -> &'static str {
        K::SUMMARY
    }

    fn main(&self) -> Option<&'static str> {
        K::MAIN
    }

    fn subject(&self) -> SubjectUse {
        K::SUBJECT
    }

    fn pure(&self) -> bool {
        K::PURE
    }

    fn example(&self) -> &'static str {
        K::EXAMPLE
    }

    fn describes(&self) -> &'static [&'static str] {
        K::DESCRIBES
    }

    fn args(&self) -> &Shape {
        self.args.get_or_init(Shape::of::<K::Args>)
    }

    fn evidence(&self) -> &Shape {
        self.evidence.get_or_init(Shape::of::<K::Evidence>)
    }

    fn validate(&self, args: &Value) -> Result<(), ProbeError> {
        let args = serde_json::from_value(args.clone());
        K::validate(&args.map_err(|e| ProbeError::new(e.to_string()))?)
    }

    fn rests_on(&self, args: &Value, subject: Option<&Address>) -> RestsOn {
        serde_json::from_value(args.clone())
            .map_or(RestsOn::World, |args| K::rests_on(&args, subject))
    }

    fn observe(
        &self,
        args: &Value,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Value, ProbeError> {
        let args = serde_json::from_value(args.clone())
            .map_err(|e| ProbeError::new(format!("the arguments of `{}`: {e}", K::NAME)))?;
        let evidence = K::observe(args, subject, context)?;
        serde_json::to_value(evidence)
            .map_err(|e| ProbeError::new(format!("the evidence of `{}`: {e}", K::NAME)))
    }

    fn picture(&self, args: &Value, evidence: &Value) -> Option<Picture> {
        K::picture(args, evidence)
    }
}
