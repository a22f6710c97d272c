//! The readers against real tools: what mksquashfs, cpio and the compressors
//! write must come back entry by entry and byte by byte.

mod archives;
mod broken;
mod broken_isos;
mod capabilities;
mod images;
pub(crate) mod isos;
mod mutations;
mod squashfs;
mod streams;
