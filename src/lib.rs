//! Test-driven generation for bootable machine images.
//!
//! A *spec* says what must be true of an image; [`run`] proves it by looking
//! inside the files; [`generate`] clones an upstream, applies a patch series,
//! runs its make targets and iterates until every spec holds.
//!
//! # The floor map
//!
//! Data goes one way: spec file → parsed spec → plan of trials → evidence →
//! verdict → report. A module imports only modules of a lower floor; the test
//! `tests/integration/tidy.rs` holds that.
//!
//! | floor | modules | subject |
//! |---|---|---|
//! | 0 | [`model`] | the vocabulary: no I/O |
//! | 1 | [`spec`], [`format`] | the language; the readers of file formats |
//! | 2 | [`image`], [`probe`] | formats as one tree; the world outside |
//! | 3 | [`check`] | the kinds of check, one file each |
//! | 4 | [`run`] | plan, engine, events, the libtest front |
//! | 5 | [`report`], [`inspect`], [`generate`], [`demo`], [`serve`] | reporters; looking without a spec; the build loop; the demo's world; the netboot server |
//! | 6 | `cli` | the commands |
//!
//! [`format`]: mod@crate::format

pub mod check;
pub mod cli;
pub mod demo;
pub mod format;
pub mod generate;
pub mod image;
pub mod inspect;
pub mod model;
pub mod probe;
pub mod report;
pub mod run;
pub mod serve;
pub mod spec;
