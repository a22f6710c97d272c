//! The readers against real tools: what mksquashfs, cpio and the compressors
//! write must come back entry by entry and byte by byte.

mod archives;
mod broken;
mod identity;
mod images;
mod kmod;
mod mutations;
mod squashfs;
mod wasm;
