//! The documents of OCI images and artifacts: descriptors, manifests, indexes,
//! configurations, and the `manifest.json` of a docker-archive.
//!
//! Sources: OCI image specification 1.1 (`descriptor.md`, `manifest.md`,
//! `image-index.md`, `config.md`, `image-layout.md`), Docker image specification
//! 1.2 ("Combined Image JSON + Filesystem Changeset Format").
//!
//! Documents are small and read as a whole; what a descriptor says of a blob, its
//! size and its digest, is held against the blob before anything in it is looked
//! at.

mod archive;
mod config;
mod descriptor;
mod digest;
mod document;

pub use archive::{Listed, listed};
pub use config::{Config, History};
pub use descriptor::{Descriptor, Platform};
pub use digest::{Algorithm, Digest, verify};
pub use document::{Document, Index, MAX_DOCUMENT, Manifest, layout_version, read};

/// The format's name in errors.
const NAME: &str = "oci";
