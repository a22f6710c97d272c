//! Tests of the crate as its users see it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod demo_story;
mod demo_world;
mod diagnostics;
mod docs;
mod extensions;
mod false_greens;
mod front;
mod generate;
mod hostile;
mod inspect;
mod kinds;
mod matchers;
mod mutations;
mod netboot;
mod oci;
mod page;
mod readers;
mod real;
mod recipe;
mod remote;
mod runner;
mod tidy;
mod transfer;
mod workflows;

#[path = "../support/booting.rs"]
mod booting;
#[path = "../support/datagrams.rs"]
mod datagrams;
#[path = "../support/firmware.rs"]
mod firmware;
#[path = "../support/images.rs"]
mod images;
#[path = "../support/installed.rs"]
mod installed;
#[path = "../support/kills.rs"]
mod kills;
#[path = "../support/layouts.rs"]
mod layouts;
#[path = "../support/peers.rs"]
mod peers;
#[path = "../support/proxy.rs"]
mod proxy;
#[path = "../support/servers.rs"]
mod servers;
#[path = "../support/serving.rs"]
mod serving;
#[path = "../support/source.rs"]
mod source;
#[path = "../support/talos.rs"]
mod talos;
#[path = "../support/trees.rs"]
mod trees;
#[path = "../support/uki.rs"]
mod uki;
#[path = "../support/upstream.rs"]
mod upstream;
#[path = "../support/wire.rs"]
mod wire;
#[path = "../support/world.rs"]
mod world;
