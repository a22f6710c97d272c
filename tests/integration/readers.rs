//! The readers against real tools: what mksquashfs, cpio and the compressors
//! write must come back entry by entry and byte by byte.

mod archives;
mod broken;
mod images;
mod menus;
mod mutations;
mod programs;
mod squashfs;
