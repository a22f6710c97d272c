//! Which entry of one side stands for which of the other, where their names
//! differ.

use std::collections::BTreeMap;

use super::contents::Contents;
use crate::format::{Content, Entry, FileType, extensions};
use crate::image::Image;

/// Directories in which more entries than this are there on one side only are
/// not searched for pairs: none would be the only candidate.
const MAX_CANDIDATES: usize = 32;
/// A longer list of extensions is refused by its reader as well.
const MAX_LIST: usize = 2 << 20;

/// The names by which the files at the top of an initramfs are found: its
/// squashfs images are numbered, and say nothing about which extension they
/// are.
#[derive(Debug, Default)]
pub(super) struct Roles {
    names: [BTreeMap<String, String>; 2],
}

impl Roles {
    /// Reads the lists of extensions; no list, or one that cannot be read,
    /// gives no names.
    pub(super) fn of(pair: &[Contents; 2]) -> Self {
        let names = pair.each_ref().map(|contents| match contents.merged {
            true => BTreeMap::new(),
            false => listed(&contents.image).unwrap_or_default(),
        });
        // One list alone would part what belongs together.
        match names.iter().any(BTreeMap::is_empty) {
            true => Self::default(),
            false => Self { names },
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.iter().all(BTreeMap::is_empty)
    }

    /// Gives the extension that a file is the image of.
    pub(super) fn name(&self, side: super::Side, path: &str) -> Option<&str> {
        let names = super::contents::of(&self.names, side);
        names.get(path).map(String::as_str)
    }
}

fn listed(image: &Image) -> Option<BTreeMap<String, String>> {
    let entry = image.exactly("extensions.yaml").ok()??;
    let bytes = image.open_bytes(&entry).ok()?.up_to(0, MAX_LIST).ok()?;
    let listed = extensions::read(&bytes, image.limits()).ok()?;
    let place = |listed: extensions::Listed| {
        let image = crate::format::node::normalise(listed.image.as_bytes());
        (image.path, listed.name)
    };
    Some(listed.into_iter().map(place).collect())
}

/// Finds which of the entries of one directory that are there on one side only
/// belong together: the only two containers or kernels of a sort, and the only
/// two directories whose names differ in their version alone. Gives positions.
pub(super) fn pairs(contents: &[Contents; 2], only: [&[Option<&Entry>]; 2]) -> Vec<(usize, usize)> {
    let [a, b] = only;
    let few = |list: &[_]| !list.is_empty() && list.len() <= MAX_CANDIDATES;
    if !few(a) || !few(b) {
        return Vec::new();
    }
    let mut kinds: BTreeMap<String, [Vec<usize>; 2]> = BTreeMap::new();
    for (side, list) in [a, b].into_iter().enumerate() {
        for (position, entry) in list.iter().enumerate() {
            let role = entry.and_then(|entry| role(&contents[side], entry));
            if let Some(role) = role {
                kinds.entry(role).or_default()[side].push(position);
            }
        }
    }
    let alone = |sides: [Vec<usize>; 2]| match sides.each_ref().map(Vec::as_slice) {
        [[a], [b]] => Some((*a, *b)),
        _ => None,
    };
    kinds.into_values().filter_map(alone).collect()
}

/// Names what an entry is there for, where that can be told.
fn role(contents: &Contents, entry: &Entry) -> Option<String> {
    match entry.meta.kind {
        FileType::Directory => {
            let name = entry.path.rsplit('/').next().unwrap_or_default();
            skeleton(name).map(|name| format!("directory {name}"))
        }
        FileType::File => {
            let image = contents.open(entry).ok()??;
            let decoded = image.decoded().ok()?.unwrap_or(&image);
            if is_kernel(decoded) {
                return Some("kernel".to_owned());
            }
            if image.is_program().ok()? {
                return None;
            }
            // Not decoded for this: it is decoded again when it is gone into.
            if image.is_initramfs().ok()? {
                return Some("initramfs".to_owned());
            }
            let tree = image.tree().ok()?;
            Some(format!("container {}", tree.format()))
        }
        FileType::Symlink
        | FileType::CharDevice
        | FileType::BlockDevice
        | FileType::Fifo
        | FileType::Socket
        | FileType::Unknown => None,
    }
}

/// Tells whether a file is a kernel, which is compared as one and not section
/// by section.
pub(super) fn is_kernel(image: &Image) -> bool {
    matches!(
        image.content(),
        Some(Content::Zboot | Content::Arm64Image | Content::RiscvImage | Content::BzImage)
    )
}

/// Takes the version out of a name: `6.18.38-talos` is `#-talos`. `None` where
/// there is none: a single number, as in `rc3.d`, is no version.
fn skeleton(name: &str) -> Option<String> {
    let mut out = String::new();
    let mut version = false;
    let mut rest = name;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let (before, from) = rest.split_at(start);
        let number = |c: char| c.is_ascii_digit() || c == '.';
        let end = from.find(|c| !number(c)).unwrap_or(from.len());
        let (digits, after) = from.split_at(end);
        version |= digits.trim_end_matches('.').contains('.');
        out.push_str(before);
        out.push('#');
        rest = after;
    }
    out.push_str(rest);
    version.then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_differ_in_their_version_alone_have_one_skeleton() {
        assert_eq!(skeleton("6.18.38-talos").as_deref(), Some("#-talos"));
        assert_eq!(skeleton("python3.11"), skeleton("python3.12"));
        assert_ne!(skeleton("python3.11"), skeleton("perl5.36"));
        assert_eq!(skeleton("rc3.d"), None);
        assert_eq!(skeleton("plain"), None);
    }
}
