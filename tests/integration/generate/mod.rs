//! The build loop, with real git and make.

mod failures;
mod interrupted;
mod parallel;
mod paths;
mod remedies;
mod retries;
mod world;
