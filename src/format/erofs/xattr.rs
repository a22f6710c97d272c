//! Extended attributes: behind the inode, or shared by many.
//!
//! Source: `struct erofs_xattr_*` in `erofs_fs.h`, `xattr.c` of `fs/erofs`.

use std::sync::Arc;

use super::inode::Inode;
use super::{Erofs, NAME};
use crate::format::field::{le16, le32};
use crate::format::node::escape;
use crate::format::{FormatError, ReadAt, Xattrs};

/// Bytes of the header in front of the entries.
const HEADER: usize = 12;
/// Bytes of an entry in front of its name.
const ENTRY: usize = 4;
/// Bytes of all attributes of one inode at most.
const MAX_TOTAL: usize = 1 << 20;
/// The index is that of a long prefix.
const LONG: u8 = 0x80;

/// A prefix that the image defines: a known one, and what follows it.
#[derive(Debug, Clone)]
pub(super) struct Prefix {
    base: u8,
    infix: Vec<u8>,
}

/// Reads the long prefixes out of the image, or of the file of fragments.
///
/// Errors with [`FormatError::Corrupt`] where they are not there.
pub(super) fn prefixes(
    source: &dyn ReadAt,
    start: u64,
    count: u8,
) -> Result<Vec<Prefix>, FormatError> {
    let mut at = start;
    let mut found = Vec::new();
    for _ in 0..count {
        at = at.next_multiple_of(4);
        let what = "a prefix of extended attributes";
        let length = source.fetch(NAME, at, 2, what)?;
        let length = u64::from(le16(&length, 0).unwrap_or_default());
        if !(1..=256).contains(&length) {
            let what = format!("a prefix of extended attributes of {length} bytes");
            return Err(FormatError::corrupt(NAME, at, what));
        }
        let bytes = source.fetch(NAME, at + 2, length, what)?;
        found.push(Prefix {
            base: bytes.first().copied().unwrap_or_default(),
            infix: bytes.get(1..).unwrap_or_default().to_vec(),
        });
        at += 2 + length;
    }
    Ok(found)
}

/// Gives the extended attributes of an inode.
///
/// Errors with [`FormatError::Corrupt`] for entries that leave their place and
/// for prefixes that are not known, with [`FormatError::Limit`] for more than
/// 1 MiB of them.
pub(super) fn read(erofs: &Erofs, inode: &Inode) -> Result<Xattrs, FormatError> {
    let (at, length) = inode.xattrs;
    if length == 0 {
        return Ok(Xattrs::default());
    }
    let bytes = erofs
        .source()
        .fetch(NAME, at, length, "extended attributes")?;
    let cut = || inode.corrupt("extended attributes are cut");
    let shared = usize::from(*bytes.get(4).ok_or_else(cut)?);
    let mut found = Vec::new();
    let mut total = 0;
    for index in 0..shared {
        let id = le32(&bytes, HEADER + index * 4).ok_or_else(cut)?;
        let at = erofs.superblock().xattrs.saturating_add(u64::from(id) * 4);
        let what = "a shared extended attribute";
        let head = erofs.source().fetch(NAME, at, ENTRY as u64, what)?;
        let length = size(&head).ok_or_else(cut)?;
        total += length;
        bounded(inode, total)?;
        let entry = erofs.source().fetch(NAME, at, length as u64, what)?;
        found.push(attribute(erofs, inode, &entry)?);
    }
    let mut offset = HEADER + shared * 4;
    while offset < bytes.len() {
        let rest = bytes.get(offset..).unwrap_or_default();
        let length = size(rest).ok_or_else(cut)?;
        total += length;
        bounded(inode, total)?;
        found.push(attribute(
            erofs,
            inode,
            rest.get(..length).ok_or_else(cut)?,
        )?);
        offset += length.next_multiple_of(4);
    }
    found.sort();
    Ok(Arc::from(found))
}

/// Gives the bytes of an entry.
fn size(entry: &[u8]) -> Option<usize> {
    Some(ENTRY + usize::from(*entry.first()?) + usize::from(le16(entry, 2)?))
}

fn bounded(inode: &Inode, total: usize) -> Result<(), FormatError> {
    if total <= MAX_TOTAL {
        return Ok(());
    }
    Err(FormatError::Limit {
        format: NAME,
        offset: inode.at,
        limit: "xattrs of a file",
        value: MAX_TOTAL as u64,
        remedy: "no image in use has a file with so many extended attributes",
    })
}

/// Reads one whole entry.
fn attribute(erofs: &Erofs, inode: &Inode, entry: &[u8]) -> Result<(String, Vec<u8>), FormatError> {
    let (Some(length), Some(index)) = (entry.first(), entry.get(1)) else {
        return Err(inode.corrupt("extended attributes are cut"));
    };
    let unknown = || {
        inode.corrupt(format!(
            "an extended attribute with the unknown prefix {index}"
        ))
    };
    let (base, infix) = match index & LONG {
        0 => (*index, &[][..]),
        _ => {
            let prefix = erofs
                .prefixes()
                .get(usize::from(index & !LONG))
                .ok_or_else(unknown)?;
            (prefix.base, prefix.infix.as_slice())
        }
    };
    let base = match base {
        1 => "user.",
        2 => "system.posix_acl_access",
        3 => "system.posix_acl_default",
        4 => "trusted.",
        5 => "lustre.",
        6 => "security.",
        _ => return Err(unknown()),
    };
    let (name, value) = entry
        .get(ENTRY..)
        .and_then(|rest| rest.split_at_checked(usize::from(*length)))
        .ok_or_else(|| inode.corrupt("extended attributes are cut"))?;
    let name = escape(&[infix, name].concat());
    Ok((format!("{base}{name}"), value.to_vec()))
}
