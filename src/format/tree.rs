//! What archives, file systems and other containers have in common: paths with
//! content.

use std::fmt::Debug;

use super::node::{Tally, escape};
use super::{FileType, FormatError, Limits, Metadata, Source};

/// One entry of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path in tdg's form, without leading `/`; empty for the root.
    pub path: String,
    /// Mode, owner, size and so on.
    pub meta: Metadata,
    /// The number by which the tree opens the entry. Two files of one number
    /// are hard links.
    pub inode: u64,
}

/// Takes the entries of a listing one by one; its error ends the listing.
pub type Visit<'v> = dyn FnMut(Entry) -> Result<(), FormatError> + 'v;

/// A container: what is in it, and the bytes of each file.
///
/// Nothing is unpacked; an open tree holds its source and decodes what is asked
/// for. Symbolic links are never followed here.
pub trait Tree: Send + Sync + Debug {
    /// Gives the format's stable name.
    fn format(&self) -> &'static str;

    /// Shows every entry, each directory before what is in it, the root left
    /// out.
    ///
    /// Errors where a part cannot be read; what was shown until then was there.
    fn list(&self, visit: &mut Visit<'_>) -> Result<(), FormatError>;

    /// Finds one path (in tdg's form). `None` says that nothing is there.
    /// A file system looks only at the directories on the way.
    fn lookup(&self, path: &str) -> Result<Option<Entry>, FormatError> {
        let mut found = None;
        self.list(&mut |entry| {
            if entry.path == path {
                found = Some(entry);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Lists one directory (the root is the empty path), sorted by name;
    /// `None` says that no directory is there. A file system reads nothing
    /// else for it.
    fn children(&self, path: &str) -> Result<Option<Vec<Entry>>, FormatError> {
        let mut children = Vec::new();
        let mut directory = path.is_empty();
        self.list(&mut |entry| {
            directory |= entry.path == path && entry.meta.kind == FileType::Directory;
            let parent = entry.path.rsplit_once('/').map_or("", |(parent, _)| parent);
            if parent == path {
                children.push(entry);
            }
            Ok(())
        })?;
        children.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(directory.then_some(children))
    }

    /// Opens the bytes of an entry that this tree gave; nothing is decoded yet.
    ///
    /// Errors with [`FormatError::Corrupt`] where it has none.
    fn open(&self, entry: &Entry) -> Result<Source, FormatError>;

    /// Says that what is listed will be read as well, so that nothing has to be
    /// decoded a second time for it.
    fn expect_reads(&self) {}

    /// Gives all entries at once.
    ///
    /// Errors where a part cannot be read: an incomplete list proves nothing.
    fn entries(&self) -> Result<Vec<Entry>, FormatError> {
        let mut entries = Vec::new();
        self.list(&mut |entry| {
            entries.push(entry);
            Ok(())
        })?;
        Ok(entries)
    }
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Child {
    /// The name as it is stored.
    pub(crate) name: Vec<u8>,
    /// The number of its node.
    pub(crate) node: u64,
}

/// A file system of numbered nodes, for which [`list`] and [`lookup`] do the
/// walking and keep the bounds.
pub(crate) trait Directories {
    /// The format's name, for errors.
    const NAME: &'static str;
    /// The bounds.
    fn limits(&self) -> &Limits;
    /// Gives the number of the root.
    fn root(&self) -> u64;
    /// Reads what a node says about itself.
    fn meta(&self, node: u64) -> Result<Metadata, FormatError>;
    /// Lists a directory without `.` and `..`. A directory with more than
    /// `max_entries` names is the reader's to refuse.
    fn children(&self, node: u64) -> Result<Vec<Child>, FormatError>;
    /// Tells whether a stored name is the one that is asked for.
    fn same(&self, stored: &[u8], asked: &str) -> bool {
        // An escaped name is looked for in the form in which it was shown.
        stored == asked.as_bytes() || asked.contains('\\') && escape(stored) == asked
    }
}

/// Walks the whole tree, each directory before what is in it.
///
/// Errors with [`FormatError::Limit`] beyond `max_entries`, `max_listing`,
/// `max_depth` and `max_path`, with [`FormatError::Corrupt`] for a directory
/// inside of itself and for names that are none.
pub(crate) fn list<D: Directories>(tree: &D, visit: &mut Visit<'_>) -> Result<(), FormatError> {
    let mut tally = Tally::default();
    let mut open: Vec<Open> = Vec::new();
    enter(tree, &mut open, tree.root(), String::new())?;
    while let Some(Open {
        path: parent,
        children,
        ..
    }) = open.last_mut()
    {
        let Some(child) = children.next() else {
            open.pop();
            continue;
        };
        check_name::<D>(&child)?;
        let path = join(parent, &escape(&child.name));
        let meta = tree.meta(child.node)?;
        tally.take(tree.limits(), D::NAME, 0, held(&path, &meta))?;
        let directory = (meta.kind == FileType::Directory).then(|| path.clone());
        visit(Entry {
            path,
            meta,
            inode: child.node,
        })?;
        if let Some(path) = directory {
            if open.iter().any(|open| open.node == child.node) {
                let what = format!("`{path}` is a directory inside of itself");
                return Err(FormatError::corrupt(D::NAME, 0, what));
            }
            let limits = tree.limits();
            if open.len() >= limits.max_depth as usize || path.len() > limits.max_path {
                return Err(FormatError::Limit {
                    format: D::NAME,
                    offset: 0,
                    limit: "max_depth",
                    value: u64::from(limits.max_depth),
                    remedy: "no image in use is that deep; look at how this one was made",
                });
            }
            enter(tree, &mut open, child.node, path)?;
        }
    }
    Ok(())
}

/// A directory that is being listed.
struct Open {
    node: u64,
    path: String,
    children: std::vec::IntoIter<Child>,
    /// Bytes that its names take.
    held: u64,
}

/// Opens a directory below those that are open.
///
/// Errors where the names of all of them take more than `max_listing`: in a
/// hostile image, many directories share the blocks of one large one.
fn enter<D: Directories>(
    tree: &D,
    open: &mut Vec<Open>,
    node: u64,
    path: String,
) -> Result<(), FormatError> {
    let children = tree.children(node)?;
    let size = |child: &Child| (size_of::<Child>() + child.name.len()) as u64;
    let held = children.iter().map(size).sum();
    let limits = tree.limits();
    // The names of one directory alone are bounded by their number.
    if !open.is_empty()
        && open.iter().map(|open| open.held).sum::<u64>() + held > limits.max_listing
    {
        return Err(FormatError::Limit {
            format: D::NAME,
            offset: 0,
            limit: "max_listing",
            value: limits.max_listing,
            remedy: "no image in use has directories that large below one another",
        });
    }
    open.push(Open {
        node,
        path,
        children: children.into_iter(),
        held,
    });
    Ok(())
}

/// Finds one path by looking only into the directories on the way.
pub(crate) fn lookup<D: Directories>(tree: &D, path: &str) -> Result<Option<Entry>, FormatError> {
    let mut entry = Entry {
        path: String::new(),
        meta: tree.meta(tree.root())?,
        inode: tree.root(),
    };
    for component in path.split('/').filter(|component| !component.is_empty()) {
        if entry.meta.kind != FileType::Directory {
            return Ok(None);
        }
        let children = tree.children(entry.inode)?;
        let Some(child) = children
            .into_iter()
            .find(|child| tree.same(&child.name, component))
        else {
            return Ok(None);
        };
        entry = Entry {
            path: join(&entry.path, &escape(&child.name)),
            meta: tree.meta(child.node)?,
            inode: child.node,
        };
    }
    Ok(Some(entry))
}

/// Lists one directory; see [`Tree::children`].
pub(crate) fn children<D: Directories>(
    tree: &D,
    path: &str,
) -> Result<Option<Vec<Entry>>, FormatError> {
    let Some(directory) = lookup(tree, path)? else {
        return Ok(None);
    };
    if directory.meta.kind != FileType::Directory {
        return Ok(None);
    }
    let mut tally = Tally::default();
    let mut entries = Vec::new();
    for child in tree.children(directory.inode)? {
        check_name::<D>(&child)?;
        let path = join(&directory.path, &escape(&child.name));
        let meta = tree.meta(child.node)?;
        tally.take(tree.limits(), D::NAME, 0, held(&path, &meta))?;
        entries.push(Entry {
            path,
            meta,
            inode: child.node,
        });
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Some(entries))
}

/// Gives the bytes of an entry's texts: a link may be as long as a path, and
/// extended attributes that many files share are shown with each.
pub(crate) fn held(path: &str, meta: &Metadata) -> usize {
    let attributes = meta.xattrs.iter();
    let attributes = attributes.map(|(name, value)| name.len() + value.len());
    path.len() + meta.target.as_ref().map_or(0, String::len) + attributes.sum::<usize>()
}

fn check_name<D: Directories>(child: &Child) -> Result<(), FormatError> {
    let name = child.name.as_slice();
    if name.is_empty() || name.contains(&b'/') || name == b"." || name == b".." {
        let what = format!("`{}` is no name of a file", escape(name));
        return Err(FormatError::corrupt(D::NAME, 0, what));
    }
    Ok(())
}

/// Joins a directory's path and a name.
pub(crate) fn join(parent: &str, name: &str) -> String {
    if parent.is_empty() {
        name.to_owned()
    } else {
        format!("{parent}/{name}")
    }
}
