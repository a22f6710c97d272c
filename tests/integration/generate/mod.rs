//! The build loop, with real git and make.

mod failures;
mod interrupted;
mod paths;
mod remedies;
mod world;
