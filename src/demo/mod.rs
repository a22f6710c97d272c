//! The demo's world: a small upstream, a project that patches it, and a
//! stand-in for Talos's imager.
//!
//! The demo shows the whole loop on a machine that has only git, make and a
//! POSIX shell. Nothing is downloaded, so three things are played here:
//!
//! * **The upstream** (`fixtures/upstream`): a repository with cozystack's
//!   layout, targets and traps. [`upstream`] carries its files inside the
//!   program and lays them out as a git repository whose commit ids are the
//!   same everywhere.
//! * **The project** (`fixtures/demo`): recipe, series, specs and remedy.
//! * **The imager** ([`imager`]): reads Talos's imager profile from standard
//!   input and writes a gzipped tar of artifacts to standard output.
//!
//! What the imager writes is small, but the formats are true: [`elf`] makes
//! programs that run, [`kernel`] an EFI zboot image around an arm64 `Image`,
//! [`initramfs`] the segments Talos boots, [`squashfs`] images the kernel
//! mounts, [`disk`] a GPT with a FAT file system and a unified kernel image.
//! What is *not* true is their content: no program does what its name says.
//!
//! The same profile gives the same bytes: no clock, no random number, sorted
//! names, owner 0, time 0.

pub mod arch;
pub mod cpio;
pub mod disk;
pub mod elf;
mod embedded;
pub mod error;
pub mod extension;
pub mod fat;
pub mod imager;
pub mod initramfs;
pub mod installer;
pub mod kernel;
pub mod machine_code;
pub mod pe;
pub mod rootfs;
pub mod squashfs;
pub mod tree;
pub mod uki;
pub mod upstream;

pub use arch::Arch;
pub use error::{DemoError, ImagerError};
pub use upstream::{Layout, lay_out, materialise};
