//! Layers laid over one another, as whoever unpacks an image does it.
//!
//! Source: OCI image specification, `layer.md` ("Applying Changesets",
//! "Whiteouts"). `.wh.NAME` takes NAME of the layers below away, `.wh..wh..opq`
//! all that the layers below have in its directory; neither takes anything of its
//! own layer away. Where the specification leaves it open, this does as containerd
//! and umoci do: directories are reached through links that are there already and
//! never out of the image, missing ones are made, and a hard link is another name
//! of the file that is at its target then.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;

use super::NAME;
use crate::format::node::Tally;
use crate::format::tar::Member;
use crate::format::tree::join;
use crate::format::{FileType, FormatError, Limits, Metadata};
use crate::image::follow::{Unresolved, follow_to_make};
use crate::image::view::{Content, MergedEntry, Paths, remove_below};

/// Links and directories that are walked through for all entries together; of an
/// image in use, hardly any path leads through a link.
const MAX_STEPS: u64 = 20_000_000;
const WHITEOUT: &str = ".wh.";
const OPAQUE: &str = ".wh..wh..opq";
/// What AUFS kept for itself at the root of a layer.
const AUFS: &str = ".wh..wh.";

/// Counts the whiteouts of a layer.
#[must_use]
pub fn whiteouts(members: &[Member]) -> u64 {
    let is = |member: &&Member| {
        let name = member.path.rsplit('/').next().unwrap_or_default();
        name.starts_with(WHITEOUT) && (name == OPAQUE || !member.path.starts_with(AUFS))
    };
    members.iter().filter(is).count() as u64
}

/// A file system that layers are laid over one by one.
pub(super) struct Stack<'s> {
    limits: &'s Limits,
    tally: Tally,
    entries: Paths,
    /// The number of the layer, and the tree that its files lie in.
    layer: usize,
    tree: usize,
    /// What the layer has taken away; nothing below it is left of others.
    gone: HashSet<String>,
    steps: Cell<u64>,
}

impl<'s> Stack<'s> {
    pub(super) fn new(limits: &'s Limits) -> Self {
        Self {
            limits,
            tally: Tally::default(),
            entries: Paths::new(),
            layer: 0,
            tree: 0,
            gone: HashSet::new(),
            steps: Cell::new(0),
        }
    }

    /// Gives what the layers made.
    pub(super) fn into_entries(self) -> Paths {
        self.entries
    }

    /// Lays the members of an archive over what is there; whiteouts take away
    /// only where `stacked`.
    pub(super) fn lay(
        &mut self,
        layer: usize,
        tree: usize,
        members: &[Member],
        stacked: bool,
    ) -> Result<(), FormatError> {
        (self.layer, self.tree) = (layer, tree);
        self.gone.clear();
        for member in members.iter().filter(|member| !member.path.is_empty()) {
            self.tally.take(self.limits, NAME, 0, member.path.len())?;
            if member.escapes {
                return Err(corrupt(format!("`{}` leads out of the image", member.path)));
            }
            let (parent, name) = split(&member.path);
            if !stacked || !name.starts_with(WHITEOUT) && !member.path.starts_with(AUFS) {
                self.place(member)?;
            } else if name == OPAQUE || !member.path.starts_with(AUFS) {
                // In what is no directory there is nothing to take away.
                if let Some(directory) = self.directory(parent)? {
                    self.whiteout(member, &directory, name)?;
                }
            }
        }
        Ok(())
    }

    /// Adds a file that is no member of an archive.
    pub(super) fn add(
        &mut self,
        layer: usize,
        path: &str,
        meta: Metadata,
        content: Content,
    ) -> Result<(), FormatError> {
        (self.layer, self.tree) = (layer, layer);
        self.tally.take(self.limits, NAME, 0, path.len())?;
        self.insert(path, meta, content)
    }

    fn place(&mut self, member: &Member) -> Result<(), FormatError> {
        let node = member.node.map(|node| node as u64);
        let (meta, content) = match (&member.link, node) {
            // The file may have been replaced since, in this layer or from below.
            (Some(target), _) => self.linked(member, target)?,
            (None, node) => (
                member.meta.clone(),
                Content::Tree(self.tree, node.unwrap_or(u64::MAX)),
            ),
        };
        self.insert(&member.path, meta, content)
    }

    /// Gives the file that a hard link is another name of.
    fn linked(&self, member: &Member, target: &str) -> Result<(Metadata, Content), FormatError> {
        let place = |path: &str| {
            let (parent, name) = split(path);
            Ok::<_, FormatError>(join(&self.reach(parent)?, name))
        };
        let (path, own) = (place(target)?, place(&member.path)?);
        // What is there is removed first, and everything below it.
        let removed = path
            .strip_prefix(&own)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let found = self.entries.get(&path).filter(|_| !removed);
        match found.filter(|found| found.meta.kind != FileType::Directory) {
            Some(found) => Ok((found.meta.clone(), found.content.clone())),
            None => Err(corrupt(format!(
                "`{}` is a hard link to `{target}`, which is no file of its layer or of one below",
                member.path
            ))),
        }
    }

    fn insert(&mut self, path: &str, meta: Metadata, content: Content) -> Result<(), FormatError> {
        let (parent, name) = split(path);
        let parent = self.reach(parent)?;
        self.make(&parent)?;
        let path = join(&parent, name);
        if meta.kind != FileType::Directory {
            remove_below(&mut self.entries, &path);
        }
        let entry = MergedEntry {
            path: path.clone(),
            meta,
            layer: self.layer,
            content,
        };
        self.entries.insert(path, entry);
        Ok(())
    }

    fn whiteout(
        &mut self,
        member: &Member,
        directory: &str,
        name: &str,
    ) -> Result<(), FormatError> {
        if name == OPAQUE {
            return self.take_away(directory, false);
        }
        let name = name.get(WHITEOUT.len()..).unwrap_or_default();
        if matches!(name, "" | "." | "..") {
            return Err(corrupt(format!("`{}` takes nothing away", member.path)));
        }
        self.take_away(&join(directory, name), true)
    }

    fn reach(&self, directory: &str) -> Result<String, FormatError> {
        self.directory(directory)?.ok_or_else(|| {
            corrupt(format!(
                "`{directory}` is no directory, and has entries below it"
            ))
        })
    }

    /// Finds where a directory is when links on the way are followed; it need not
    /// be there. `None` says that something else is.
    fn directory(&self, directory: &str) -> Result<Option<String>, FormatError> {
        let is_directory = |path: &str| {
            let found = self.entries.get(path);
            found.is_some_and(|entry| entry.meta.kind == FileType::Directory)
        };
        if directory.is_empty() || is_directory(directory) {
            return Ok(Some(directory.to_owned()));
        }
        let kind = |path: &str| {
            let entry = self.entries.get(path)?;
            let target = entry.meta.target.as_deref();
            let length = target.map_or(0, str::len) as u64;
            self.steps.set(self.steps.get() + 1 + length / 2);
            Some((entry.meta.kind, target.map(Cow::Borrowed)))
        };
        let found = follow_to_make(kind, directory);
        if self.steps.get() > MAX_STEPS {
            return Err(FormatError::Limit {
                format: NAME,
                offset: 0,
                limit: "steps through links",
                value: MAX_STEPS,
                remedy: "no image in use has that many; look at how this one was made",
            });
        }
        match found {
            Ok(found) if self.entries.contains_key(&found) && !is_directory(&found) => Ok(None),
            Ok(found) => Ok(Some(found)),
            Err(Unresolved::Missing(_) | Unresolved::NotADirectory(_)) => Ok(None),
            Err(Unresolved::Loop) => Err(corrupt(format!(
                "`{directory}` leads through more than 40 links"
            ))),
        }
    }

    /// Makes a directory and those above it, where they are not there.
    fn make(&mut self, directory: &str) -> Result<(), FormatError> {
        let mut missing = Vec::new();
        let mut at = directory;
        while !at.is_empty() && !self.entries.contains_key(at) {
            missing.push(at);
            at = split(at).0;
        }
        for path in missing {
            self.tally.take(self.limits, NAME, 0, path.len())?;
            let entry = MergedEntry {
                path: path.to_owned(),
                meta: Metadata::plain(FileType::Directory, 0),
                layer: self.layer,
                content: Content::Tree(self.tree, u64::MAX),
            };
            self.entries.insert(path.to_owned(), entry);
        }
        Ok(())
    }

    /// Takes away what layers below have at and below a path; what this layer
    /// brought stays, and with it the directories that it is in.
    fn take_away(&mut self, path: &str, itself: bool) -> Result<(), FormatError> {
        self.limits.check_deadline(NAME, 0)?;
        // Once for each path: what this layer has there would be looked at again each time.
        if !self.gone.insert(format!("{itself}{path}")) {
            return Ok(());
        }
        let prefix = if path.is_empty() {
            String::new()
        } else {
            format!("{path}/")
        };
        let below = self.entries.range(prefix.clone()..);
        let below = below.take_while(|(held, _)| held.starts_with(&prefix));
        let mut lower = Vec::new();
        let mut kept = HashSet::new();
        for (held, entry) in below {
            if entry.layer == self.layer {
                let mut at = held.as_str();
                while at.len() > path.len() && kept.insert(at) {
                    at = split(at).0;
                }
            } else {
                lower.push(held.as_str());
            }
        }
        let keep_itself = !itself
            || !kept.is_empty()
            || self
                .entries
                .get(path)
                .is_none_or(|entry| entry.layer == self.layer);
        let gone: Vec<String> = lower
            .into_iter()
            .filter(|held| !kept.contains(held))
            .chain((!keep_itself).then_some(path))
            .map(str::to_owned)
            .collect();
        for path in gone {
            self.entries.remove(&path);
        }
        Ok(())
    }
}

fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

fn corrupt(what: String) -> FormatError {
    FormatError::corrupt(NAME, 0, what)
}
