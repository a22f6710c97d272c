//! One plan of trials, one engine, one stream of events.
//!
//! [`plan`] turns spec files into trials without touching a subject; [`engine`] observes, judges
//! and emits [`event`]s; reporters and the libtest front ([`mimic`]) read those.

pub mod engine;
pub mod event;
mod judge;
pub mod memo;
pub mod mimic;
mod names;
pub mod plan;
mod requirement;
mod same_as;
mod secrets;
pub mod select;
mod snapshot;
pub mod text;

pub use engine::{Options, run};
pub use event::{Event, Outcome, Place, Summary, TrialInfo};
pub use plan::{Plan, PlanError, Request, Trial};
