//! The build loop, with real git and make.

mod best;
mod escapes;
mod failures;
mod interrupted;
mod packaging;
mod parallel;
mod paths;
mod pushing;
mod remedies;
mod retries;
mod world;
