//! One member of an archive.

use super::header::NAME;
use crate::format::node::escape;
use crate::format::{FileType, FormatError, Metadata, Piece};

/// Where the bytes of a member lie.
#[derive(Debug, Clone)]
pub(super) enum Data {
    /// It has none.
    None,
    /// In one run: its start and its length.
    Plain(u64, u64),
    /// In several, with holes between.
    Sparse(Box<[Piece]>),
}

/// One member of an archive, in the order of the archive.
#[derive(Debug, Clone)]
pub struct Member {
    /// The path in tdg's form; empty for the root.
    pub path: String,
    /// Whether a component of the path or of a hard link's target is `..`.
    pub escapes: bool,
    /// Mode, owner, size and so on: of a hard link, those of the file it is
    /// another name of.
    pub meta: Metadata,
    /// The path that a hard link is another name of.
    pub link: Option<String>,
    /// The place of the member that has the content: its own, or, of a hard
    /// link, that of the file. `None` of a hard link to what is not in the
    /// archive before it.
    pub node: Option<usize>,
    pub(super) data: Data,
}

/// Tells what a member is. Sources: POSIX.1-2017 `pax`, the GNU tar manual
/// ("Basic Tar Format").
pub(super) fn kind(flag: u8, name: &[u8], at: u64) -> Result<FileType, FormatError> {
    Ok(match flag {
        // Before `ustar`, a directory was a file whose name ends in a slash.
        b'0' | 0 if name.ends_with(b"/") => FileType::Directory,
        b'0' | 0 | b'7' | b'S' | b'1' => FileType::File,
        b'2' => FileType::Symlink,
        b'3' => FileType::CharDevice,
        b'4' => FileType::BlockDevice,
        b'5' => FileType::Directory,
        b'6' => FileType::Fifo,
        b'D' | b'M' | b'N' => {
            let what = "a part of an incremental or divided archive; make a plain one";
            return Err(FormatError::unsupported(NAME, at, what));
        }
        other => {
            let what = format!("an entry of the type `{}`", escape(&[other]));
            return Err(FormatError::unsupported(NAME, at, what));
        }
    })
}
