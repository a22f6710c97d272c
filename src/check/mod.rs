//! The kinds of check, one file each.
//!
//! A kind *observes*: it asks files or the world and returns evidence, a typed record. It never
//! judges; matchers do, for all kinds alike. What a kind's arguments and evidence are called, and
//! what they mean, stands once, in the doc comments of its types: help, schema, diagnostics and
//! documentation are made of them.

mod attributes;
mod context;
mod entry;
mod error;
mod kind;
mod local;
mod tls;

pub use context::{Context, Subjects};
pub use error::ProbeError;
pub use kind::{AnyKind, Kind, RestsOn, SubjectUse};

macro_rules! kinds {
    ($($module:ident),* $(,)?) => {
        $(pub mod $module;)*

        /// Every kind, by name.
        pub static KINDS: &[&dyn AnyKind] = &[$({
            static KIND: kind::Erased<$module::TheKind> = kind::Erased::NEW;
            &KIND
        }),*];
    };
}

kinds!(
    boot, build, checksums, cmdline, command, dhcp, disk, dns, document, elf, extension, file,
    http, initramfs, ipxe, iso, kernel, matchbox, modules, netboot, oci, patches, port, tftp, tool,
    tree, uki, wasm
);

/// Finds a kind by its name.
pub fn find(name: &str) -> Option<&'static dyn AnyKind> {
    KINDS.iter().find(|k| k.name() == name).copied()
}
