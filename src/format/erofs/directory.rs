//! Directories: blocks of entries of equal size, with their names behind them.

use super::inode::Inode;
use super::{Erofs, NAME};
use crate::format::field::{le16, le64};
use crate::format::tree::Child;
use crate::format::{FileType, FormatError};

/// Bytes of an entry.
const ENTRY: usize = 12;

/// Lists a directory without `.` and `..`. Source: `struct erofs_dirent`.
///
/// Errors with [`FormatError::Corrupt`] for names that leave their block.
pub(super) fn children(erofs: &Erofs, inode: &Inode) -> Result<Vec<Child>, FormatError> {
    if inode.kind() != FileType::Directory {
        return Err(inode.corrupt("no directory"));
    }
    let content = erofs.content(inode)?;
    let block = erofs.superblock().block;
    let mut children = Vec::new();
    let mut offset = 0;
    while offset < inode.size {
        erofs.limits().check_deadline(NAME, inode.at)?;
        let length = block.min(inode.size - offset);
        let bytes = content.fetch(NAME, offset, length, "a directory")?;
        take(erofs, inode, &bytes, &mut children)?;
        offset += length;
    }
    Ok(children)
}

/// Takes the entries of one block.
fn take(
    erofs: &Erofs,
    inode: &Inode,
    bytes: &[u8],
    children: &mut Vec<Child>,
) -> Result<(), FormatError> {
    let broken = || inode.corrupt("a directory whose names are not where its entries say");
    let place = |index: usize| le16(bytes, index * ENTRY + 8).map(usize::from);
    // The first name lies behind the last entry.
    let first = place(0).ok_or_else(broken)?;
    if first < ENTRY || first % ENTRY != 0 || first > bytes.len() {
        return Err(broken());
    }
    let count = first / ENTRY;
    for index in 0..count {
        let start = place(index).ok_or_else(broken)?;
        let name = if index + 1 < count {
            let end = place(index + 1).ok_or_else(broken)?;
            bytes.get(start..end)
        } else {
            // The last one ends with the block, or with a zero byte.
            let rest = bytes.get(start..).unwrap_or_default();
            rest.split(|byte| *byte == 0).next()
        };
        let name = name.ok_or_else(broken)?;
        if start < first || name.is_empty() || name.len() > 255 || name.contains(&0) {
            return Err(broken());
        }
        if name == b"." || name == b".." {
            continue;
        }
        let most = erofs.limits().max_entries;
        if children.len() as u64 >= most {
            return Err(FormatError::Limit {
                format: NAME,
                offset: inode.at,
                limit: "max_entries",
                value: most,
                remedy: "no image in use has a directory that large",
            });
        }
        children.push(Child {
            name: name.to_vec(),
            node: le64(bytes, index * ENTRY).ok_or_else(broken)?,
        });
    }
    Ok(())
}
