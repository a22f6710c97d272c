//! Readers of file formats: bytes in, structure out.
//!
//! Nothing here opens a file. Every reader takes bytes that were handed in (or
//! a [`ReadAt`]), checks each length before it allocates, stops at the bounds
//! of [`Limits`], and answers broken input with a [`FormatError`] that names
//! the format and the byte offset. A reader that panics has a bug.
//!
//! | module | reads |
//! |---|---|
//! | [`detect`] | what some bytes are, from their content |
//! | [`stream`] | gzip, zstd, xz, lz4, bzip2, LZMA, lzop: one compressed member at a time |
//! | [`cpio`] | the `newc` archives of an initramfs |
//! | [`initramfs`] | the segments that the kernel unpacks one after another |
//! | [`squashfs`] | a squashfs 4.0 image, in place |
//! | [`elf`] | the header, interpreter, libraries and sections of an ELF file |
//! | [`kernel`] | arm64 `Image`, EFI zboot, bzImage, PE |
//! | [`kmod`] | kernel modules, and the indexes that `depmod` makes of them |
//! | [`partitions`], [`partition`], [`gpt`], [`mbr`] | the partition table of a disk |
//! | [`fat`] | FAT12, FAT16 and FAT32 file systems |
//! | [`ext`] | ext2, ext3 and ext4 file systems |
//! | [`erofs`] | EROFS images, compressed or not |
//! | [`iso`] | ISO 9660 images with Rock Ridge or Joliet, and what boots from them |
//! | [`pe`], [`uki`] | the sections of PE files; the profiles of a UKI |
//! | [`dhcp`] | DHCP packets, what firmware asks, and what it makes of the answers |
//! | [`cmdline`] | a kernel command line, and what Talos wants of it |
//! | [`ipxe`] | iPXE's scripts, read and carried out |
//! | [`matchbox`] | matchbox's groups and profiles, matched as it does |
//! | [`menu`] | the entries of GRUB, iPXE, systemd-boot and syslinux |
//! | [`oci`] | the documents of OCI images and artifacts |
//! | [`patch`] | patches: their header, files and hunks |
//! | [`tar`] | tar archives, in every form that GNU tar writes |
//! | [`tftp`] | TFTP packets, options, and what to answer |
//! | [`tree`] | what all containers have in common: paths with content |
//! | [`pieces`] | a file made of ranges of another |
//! | [`wasm`] | WebAssembly modules and components |
//! | [`window`] | bytes read from front to back, from memory or out of a decoder |
//! | [`parallel`] | work shared by threads that nobody else's work comes between |
//! | [`keep`] | the way to what was kept of an earlier run |
//! | [`extensions`] | Talos's `extensions.yaml`, an extension's `manifest.yaml` |
//! | [`compatibility`] | the range of Talos versions that an extension is for |
//! | [`service`] | the service of a Talos extension |
//! | [`cri`] | containerd's configuration, and the parts that extensions add |
//! | [`capabilities`] | the capabilities of a file |

pub mod bytes;
pub mod capabilities;
pub mod cmdline;
pub mod compatibility;
pub mod cpio;
pub mod cri;
pub mod detect;
pub mod dhcp;
pub mod elf;
pub mod erofs;
pub mod error;
pub mod ext;
pub mod extensions;
pub mod fat;
pub mod gpt;
pub mod in_toto;
pub mod initramfs;
pub mod ipxe;
pub mod iso;
pub mod keep;
pub mod kernel;
pub mod kmod;
pub mod limits;
pub mod matchbox;
pub mod mbr;
pub mod menu;
pub mod node;
pub mod oci;
pub mod parallel;
pub mod partition;
pub mod partitions;
pub mod patch;
pub mod pe;
pub mod pieces;
pub mod service;
pub mod squashfs;
pub mod stored;
pub mod stream;
pub mod tar;
pub mod tftp;
pub mod tree;
pub mod uki;
pub mod wasm;
pub mod window;

mod crc32c;
pub(crate) mod field;
mod names;
mod yaml;

pub use bytes::{Bytes, ReadAt, Reader, Source, source_error, whole};
pub use detect::{Compression, Content};
pub use error::FormatError;
pub use keep::Keep;
pub use limits::{Budget, Limits};
pub use node::{FileType, Metadata, Xattrs};
pub use pieces::{Piece, Pieces};
pub use tree::{Entry, Tree};
