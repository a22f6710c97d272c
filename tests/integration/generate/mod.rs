//! The build loop, with real git and make.

mod artifact;
mod artifact_told;
mod best;
mod candidates;
mod escapes;
mod failures;
mod history;
mod inputs;
mod interrupted;
mod kills;
mod outcome;
mod packaging;
mod parallel;
mod paths;
mod pushing;
mod rebase;
mod remedies;
mod retries;
mod secrets;
mod series;
mod serving;
mod serving_red;
mod watching;
mod world;

pub(crate) use packaging::project;
