//! What two containers say about one entry.

use super::contents::Contents;
use super::{Difference, Options};
use crate::format::capabilities::{self, Capabilities};
use crate::format::node::escape;
use crate::format::{Entry, FileType, Metadata};

/// Formats that keep owners, permissions and extended attributes.
const KEEP_ALL: [&str; 8] = [
    "squashfs", "erofs", "ext2", "ext3", "ext4", "tar", "folder", "merged",
];

/// What a format says about its entries.
#[derive(Debug, Clone, Copy)]
pub(super) struct Says {
    owner: bool,
    xattrs: bool,
}

impl Says {
    /// Everything.
    pub(super) const ALL: Self = Self {
        owner: true,
        xattrs: true,
    };

    /// Gives what both of two formats say. Of two of one format all counts; of
    /// different ones, what both are known to keep: a FAT file system has no
    /// owners, and an initramfs no attributes.
    pub(super) fn of(pair: &[Contents; 2]) -> Self {
        let [a, b] = pair
            .each_ref()
            .map(|contents| contents.format().unwrap_or_default());
        let both = |keeps: &dyn Fn(&str) -> bool| a == b || keeps(a) && keeps(b);
        Self {
            owner: both(&|format| format == "initramfs" || KEEP_ALL.contains(&format)),
            xattrs: both(&|format| KEEP_ALL.contains(&format)),
        }
    }
}

/// Gives what is said differently of an entry; of another type, only that.
pub(super) fn differences(
    a: &Metadata,
    b: &Metadata,
    says: Says,
    options: &Options,
) -> Vec<Difference> {
    let mut found = Vec::new();
    if a.kind != b.kind {
        found.extend(Difference::both("type", a.kind.name(), b.kind.name()));
        return found;
    }
    let mode = |meta: &Metadata| format!("{:04o}", meta.permissions());
    // Nobody reads the permissions of a link.
    if options.mode && says.owner && a.kind != FileType::Symlink {
        found.extend(Difference::both("mode", mode(a), mode(b)));
    }
    if options.owner && says.owner {
        found.extend(Difference::both("uid", a.uid, b.uid));
        found.extend(Difference::both("gid", a.gid, b.gid));
    }
    if options.times {
        found.extend(Difference::both("mtime", time(a.mtime), time(b.mtime)));
    }
    let device = |meta: &Metadata| meta.device.map(|(major, minor)| format!("{major},{minor}"));
    found.extend(Difference::of(
        "target",
        a.target.as_deref(),
        b.target.as_deref(),
    ));
    found.extend(Difference::of("device", device(a), device(b)));
    if options.xattrs && says.xattrs && a.xattrs != b.xattrs {
        xattrs(a, b, &mut found);
    }
    found
}

fn xattrs(a: &Metadata, b: &Metadata, found: &mut Vec<Difference>) {
    let names = a.xattrs.iter().chain(b.xattrs.iter());
    let mut names: Vec<&str> = names.map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let (old, new) = (a.xattr(name), b.xattr(name));
        if old != new {
            found.push(Difference {
                field: name.to_owned(),
                a: old.map(|value| shown(name, value)),
                b: new.map(|value| shown(name, value)),
            });
        }
    }
}

/// Writes the value of an extended attribute for people.
fn shown(name: &str, value: &[u8]) -> String {
    let held = (name == capabilities::ATTRIBUTE).then(|| Capabilities::read(value).ok());
    match held.flatten() {
        Some(held) => {
            let root = held.root.map(|root| format!(" [rootid={root}]"));
            format!("{}{}", held.names().join(","), root.unwrap_or_default())
        }
        None => escape(value.strip_suffix(b"\0").unwrap_or(value)),
    }
}

fn time(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        Err(_) => seconds.to_string(),
    }
}

/// Gives the layers of a merged view that an entry comes from, where they
/// differ.
pub(super) fn layer(pair: &[Contents; 2], entries: [&Entry; 2]) -> Option<Difference> {
    let [a, b] = pair;
    // A directory is of every layer that has it.
    if entries
        .iter()
        .any(|entry| entry.meta.kind == FileType::Directory)
    {
        return None;
    }
    Difference::of("layer", a.layer(entries[0]), b.layer(entries[1]))
}
