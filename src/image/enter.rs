//! The way through an address: from an image to one inside of it.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::Subtree;
use super::follow::{Unresolved, find};
use super::merged::MergedTree;
use super::{Image, ImageError, Pattern};
use crate::format::{Entry, FileType, FormatError, Limits, Source, Tree};
use crate::model::path::normalise;

/// How many entries an error names, of those that a pattern covers or that are
/// where a path leads.
const NAMED: usize = 8;

/// An entry that a path leads to, and the tree that it is in: that of the image,
/// or its merged view.
#[derive(Debug, Clone)]
pub struct Found {
    entry: Entry,
    tree: Arc<dyn Tree>,
    /// The address by which messages name it.
    address: PathBuf,
    /// Whether it is in the merged view only.
    merged: bool,
}

impl Found {
    /// Opens its bytes.
    ///
    /// Errors where it has none.
    pub fn open(&self) -> Result<Source, ImageError> {
        let opened = self.tree.open(&self.entry);
        opened.map_err(|error| ImageError::format(&self.address, error))
    }

    /// Makes it an image of its own: a file, or a folder.
    fn image(&self, limits: &Limits) -> Result<Arc<Image>, ImageError> {
        let meta = Some(self.entry.meta.clone());
        match self.entry.meta.kind {
            FileType::Directory => {
                let folder = Subtree::new(Arc::clone(&self.tree), &self.entry.path);
                Ok(Image::of_folder(
                    &self.address,
                    Arc::new(folder),
                    meta,
                    limits.clone(),
                ))
            }
            FileType::File => {
                // A file in a folder may have been cut like any other.
                let whole = self.tree.format() != "folder";
                Image::of_part(&self.address, self.open()?, meta, whole, limits.clone())
            }
            FileType::Symlink
            | FileType::CharDevice
            | FileType::BlockDevice
            | FileType::Fifo
            | FileType::Socket
            | FileType::Unknown => Err(ImageError::Special {
                path: self.address.clone(),
                what: self.entry.meta.kind.name(),
            }),
        }
    }
}

impl Deref for Found {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.entry
    }
}

impl Image {
    /// Gives the image at `path` inside of this one: the next part of an
    /// address. The path may be a pattern that covers exactly one entry; links
    /// are followed inside of the tree and never out of it. The empty path is
    /// this image, decompressed where it is compressed.
    ///
    /// What is not in the tree itself is looked up in the merged view, where
    /// there is one: of a Talos initramfs, of an OCI image.
    ///
    /// Errors where nothing can be inside, where nothing is there (with what is
    /// there instead), and where a pattern covers several entries.
    pub fn enter(self: &Arc<Self>, path: &str) -> Result<Arc<Self>, ImageError> {
        if path.is_empty() {
            return Ok(self.decoded()?.unwrap_or(self).clone());
        }
        let found = self.entry(path)?;
        // One path may lead to two entries: a link of the view to what is in the tree as well.
        let place = if found.merged { "view" } else { "tree" };
        let way = format!("{place}/{}", found.path);
        self.inner(&way, || {
            Ok(found.image(self.limits())?.kept_at(self.keep_inside(&way)))
        })
    }

    /// Finds the one entry that a path or pattern leads to, links followed.
    ///
    /// Errors as [`Image::enter`] does.
    pub fn entry(&self, path: &str) -> Result<Found, ImageError> {
        let path = normalise(path);
        if let Some(found) = self.find(&path)? {
            return Ok(found);
        }
        let mut covered = if Pattern::is_pattern(&path) {
            self.covered(&path)?
        } else {
            Vec::new()
        };
        match (covered.pop(), covered.is_empty()) {
            (Some(found), true) => {
                let target = match found.merged {
                    true => self.find_merged(&found.path)?,
                    false => self.find_own(&found.path)?,
                };
                Ok(target.unwrap_or(found))
            }
            (Some(last), false) => {
                covered.push(last);
                Err(ImageError::Ambiguous {
                    path: self.path().to_owned(),
                    inner: path,
                    count: covered.len(),
                    covered: names(covered.iter().map(|found| &found.entry)),
                })
            }
            (None, _) => Err(ImageError::NotThere {
                near: self.near(&path)?,
                path: self.path().to_owned(),
                inner: path,
            }),
        }
    }

    /// Finds the entry at exactly this path, links followed inside of the tree,
    /// there or else in the merged view; `None` where nothing is there.
    ///
    /// Of the tree, only what lies on the way is looked at.
    pub fn find(&self, path: &str) -> Result<Option<Found>, ImageError> {
        match self.find_own(path)? {
            Some(found) => Ok(Some(found)),
            None if self.is_layered()? => self.find_merged(path),
            None => Ok(None),
        }
    }

    /// Finds the entry at exactly this path of the tree itself, links followed
    /// inside of it; `None` where nothing is there.
    pub fn find_in_tree(&self, path: &str) -> Result<Option<Entry>, ImageError> {
        find(&**self.tree()?, path).map_err(|error| self.failed(error))
    }

    /// Opens the bytes of an entry of the tree itself.
    pub fn open_bytes(&self, entry: &Entry) -> Result<Source, ImageError> {
        self.own(entry.clone())?.open()
    }

    fn find_own(&self, path: &str) -> Result<Option<Found>, ImageError> {
        let found = self.find_in_tree(path)?;
        found.map(|entry| self.own(entry)).transpose()
    }

    fn find_merged(&self, path: &str) -> Result<Option<Found>, ImageError> {
        let merged = self.merged()?;
        match merged.resolve(path) {
            Ok(entry) => {
                let tree = MergedTree(Arc::clone(merged));
                let entry = tree
                    .lookup(&entry.path)
                    .map_err(|error| self.failed(error))?;
                Ok(entry.map(|entry| self.of_view(Arc::new(tree), entry)))
            }
            Err(Unresolved::Missing(_) | Unresolved::NotADirectory(_)) => Ok(None),
            Err(Unresolved::Loop) => {
                let what = format!("`{path}` leads through more than 40 links");
                Err(self.failed(FormatError::corrupt("path", 0, what)))
            }
        }
    }

    fn own(&self, entry: Entry) -> Result<Found, ImageError> {
        Ok(Found {
            address: self.inside(&entry.path),
            tree: Arc::clone(self.tree()?),
            merged: false,
            entry,
        })
    }

    fn of_view(&self, tree: Arc<dyn Tree>, entry: Entry) -> Found {
        Found {
            address: self.inside(&entry.path),
            tree,
            merged: true,
            entry,
        }
    }

    /// Finds the entry at exactly this path of the tree, a link itself rather
    /// than what it leads to.
    pub fn exactly(&self, path: &str) -> Result<Option<Entry>, ImageError> {
        let found = self.tree()?.lookup(path);
        found.map_err(|error| self.failed(error))
    }

    /// Lists the entries that a pattern covers, sorted by path: those of the
    /// tree or, where it covers none there, those of the merged view. Of a
    /// pattern whose last component alone is one, only that directory is read.
    ///
    /// Errors where the pattern is none, or a part cannot be read.
    pub fn covered(&self, pattern: &str) -> Result<Vec<Found>, ImageError> {
        let compile = |text: &str| {
            Pattern::new(text).map_err(|error| ImageError::Pattern {
                path: self.path().to_owned(),
                what: error.to_string(),
            })
        };
        let compiled = compile(pattern)?;
        let (parent, name) = pattern.rsplit_once('/').unwrap_or(("", pattern));
        let shallow = !Pattern::is_pattern(parent) && !name.contains("**") && !name.contains('}');
        let shallow = shallow.then(|| compile(name)).transpose()?;
        let covered = |tree: &dyn Tree, directory: Option<Found>| match &shallow {
            Some(name) => match directory {
                Some(directory) => self.matching(tree, &directory.entry.path, name),
                None if parent.is_empty() => self.matching(tree, "", name),
                None => Ok(Vec::new()),
            },
            None => self.all_matching(tree, &compiled),
        };
        // A pattern is looked up as a path only to find nothing.
        let place = if shallow.is_some() { parent } else { "" };
        let own = covered(&**self.tree()?, self.find_own(place)?)?;
        if !own.is_empty() || !self.is_layered()? {
            return own.into_iter().map(|entry| self.own(entry)).collect();
        }
        let view: Arc<dyn Tree> = Arc::new(MergedTree(Arc::clone(self.merged()?)));
        let seen = covered(&*view, self.find_merged(place)?)?.into_iter();
        Ok(seen
            .map(|entry| self.of_view(Arc::clone(&view), entry))
            .collect())
    }

    /// Lists the entries of one directory whose name matches.
    fn matching(
        &self,
        tree: &dyn Tree,
        directory: &str,
        name: &Pattern,
    ) -> Result<Vec<Entry>, ImageError> {
        let children = tree
            .children(directory)
            .map_err(|error| self.failed(error))?;
        let mut children = children.unwrap_or_default();
        children.retain(|entry| name.matches(last(&entry.path)));
        Ok(children)
    }

    /// Lists the entries of a tree that match, sorted by path.
    fn all_matching(&self, tree: &dyn Tree, pattern: &Pattern) -> Result<Vec<Entry>, ImageError> {
        let mut found = Vec::new();
        let listed = tree.list(&mut |entry| {
            if pattern.matches(&entry.path) {
                found.push(entry);
            }
            Ok(())
        });
        listed.map_err(|error| self.failed(error))?;
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// Opens an entry of this image's tree: a file, or a folder.
    pub fn open_entry(&self, entry: &Entry) -> Result<Arc<Self>, ImageError> {
        self.own(entry.clone())?.image(self.limits())
    }

    /// Gives the address of a path inside, for messages.
    #[must_use]
    pub fn inside(&self, path: &str) -> PathBuf {
        PathBuf::from(format!("{}!/{path}", self.path().display()))
    }

    /// Names what is in the deepest directory of a path that is there: in the
    /// tree, and in the merged view where it is another.
    fn near(&self, path: &str) -> Result<String, ImageError> {
        let own = |parent: &str| {
            let found = self.find_in_tree(parent)?;
            let directory = found.map_or_else(String::new, |entry| entry.path);
            let children = self.tree()?.children(&directory);
            Ok((directory, children.map_err(|error| self.failed(error))?))
        };
        let mut near = near(path, own)?;
        if self.is_layered()? {
            let view = MergedTree(Arc::clone(self.merged()?));
            let seen = |parent: &str| {
                let found = self.find_merged(parent)?;
                let directory = found.map_or_else(String::new, |found| found.entry.path);
                let children = view.children(&directory);
                Ok((directory, children.map_err(|error| self.failed(error))?))
            };
            let seen = self::near(path, seen)?;
            if seen != near {
                near = format!("{near}; of its merged view, {seen}");
            }
        }
        Ok(near)
    }
}

type Children = (String, Option<Vec<Entry>>);

/// Goes up a path until something is there, and names it.
fn near(
    path: &str,
    children: impl Fn(&str) -> Result<Children, ImageError>,
) -> Result<String, ImageError> {
    let mut parent = path;
    loop {
        parent = parent.rsplit_once('/').map_or("", |(parent, _)| parent);
        match children(parent)? {
            (directory, Some(children)) if children.is_empty() => {
                return Ok(format!("`/{directory}` is empty"));
            }
            (directory, Some(children)) => {
                return Ok(format!("in `/{directory}` there is {}", names(&children)));
            }
            (_, None) if parent.is_empty() => return Ok("it is empty".to_owned()),
            (_, None) => {}
        }
    }
}

/// Gives the last component of a path.
fn last(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// Names some entries.
fn names<'e>(entries: impl IntoIterator<Item = &'e Entry>) -> String {
    let mut entries = entries.into_iter();
    let shown: Vec<&str> = entries
        .by_ref()
        .take(NAMED)
        .map(|e| last(&e.path))
        .collect();
    match entries.count() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Finds the one file that a pattern on disk covers.
///
/// Errors where it covers none or several.
pub fn one_on_disk(pattern: &Path, limits: &Limits) -> Result<PathBuf, ImageError> {
    let text = pattern.to_string_lossy().into_owned();
    if pattern.symlink_metadata().is_ok() || !Pattern::is_pattern(&text) {
        return Ok(pattern.to_owned());
    }
    let mut folder = pattern;
    while Pattern::is_pattern(&folder.to_string_lossy()) {
        folder = folder.parent().unwrap_or(Path::new(""));
    }
    let below = pattern.strip_prefix(folder).unwrap_or(pattern);
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let image = Image::open(folder, limits.clone())?;
    let found = image.entry(&below.to_string_lossy())?;
    Ok(folder.join(&found.entry.path))
}
