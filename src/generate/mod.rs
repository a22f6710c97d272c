//! The build loop: clone, patch, make, collect, verify, remedy, until every spec holds.

pub mod recipe;
