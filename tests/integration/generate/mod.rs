//! The build loop, with real git and make.

mod interrupted;
mod paths;
mod remedies;
mod world;
