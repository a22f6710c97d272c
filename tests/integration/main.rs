//! Tests of the crate as its users see it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod demo_story;
mod demo_world;

#[path = "../support/peers.rs"]
mod peers;
