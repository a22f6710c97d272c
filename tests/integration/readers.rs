//! The readers against real tools: what mksquashfs, cpio and the compressors
//! write must come back entry by entry and byte by byte.

mod archives;
mod broken;
mod broken_isos;
mod capabilities;
mod erofs;
mod ext;
mod identity;
mod images;
pub(crate) mod isos;
mod kmod;
mod menus;
mod mutations;
mod oci;
mod programs;
mod squashfs;
mod streams;
mod tar;
mod wasm;
