//! tar archives: POSIX `ustar` and `pax`, GNU tar's own form, and the one before
//! both.
//!
//! The headers are read once, from the first to the last, with the content
//! between them stepped over; content is read where it lies. Long names, numbers
//! that do not fit, extended attributes and files with holes are understood in
//! every form that GNU tar writes. Of several entries at one path the last one
//! counts, as for whoever unpacks them; directories that no entry names are
//! there all the same.
//!
//! An archive that cannot be read to its end, or whose end blocks are missing,
//! gives its list up to there and then the error; nothing is looked up in it. See
//! [`Tar::known_whole`] for those that are sure to have been written like that.
//! Data behind the end blocks, which no unpacker sees, end a listing with an
//! error as well.

mod header;
mod member;
mod pax;
mod scan;
mod sparse;

use std::collections::HashMap;
use std::sync::Arc;

use member::Data;
use scan::Scan;

pub use member::Member;

pub(super) use header::is_header;

use super::node::Tally;
use super::tree::Visit;
use super::{Bytes, Entry, FileType, FormatError, Limits, Metadata, Pieces, Source, Tree};

const NAME: &str = header::NAME;

/// An opened archive.
#[derive(Debug)]
pub struct Tar {
    source: Source,
    scan: Scan,
    /// What is shown, sorted by path: of several members at one path the last.
    shown: Vec<Shown>,
    /// How many names each member that has content has.
    names: HashMap<usize, u32>,
    /// Whether nothing can be cut off, whatever the archive itself says.
    sure: bool,
}

/// A path that is shown.
#[derive(Debug)]
enum Shown {
    /// That of the member at this place.
    Member(usize),
    /// A directory that no member names.
    Implied(String),
}

impl Tar {
    /// Reads the headers of an archive.
    ///
    /// What is wrong with it further in does not fail here; see [`Tar::whole`].
    /// Errors where implied directories exceed the bounds.
    pub fn open(source: Source, limits: &Limits) -> Result<Self, FormatError> {
        let scan = scan::scan(&source, limits);
        let shown = shown(&scan, limits)?;
        let mut names = HashMap::new();
        for place in &shown {
            if let Shown::Member(place) = place
                && let Some(node) = scan.members.get(*place).and_then(|member| member.node)
            {
                *names.entry(node).or_insert(0) += 1;
            }
        }
        Ok(Self {
            source,
            scan,
            shown,
            names,
            sure: false,
        })
    }

    /// Takes an archive for whole although its end blocks are missing, which some
    /// writers of layers leave out: for bytes that are known to be whole, because
    /// a container or a compressed stream says where they end.
    #[must_use]
    pub fn known_whole(mut self, sure: bool) -> Self {
        self.sure = sure;
        self
    }

    /// Tells whether bytes begin with the header of an entry.
    #[must_use]
    pub fn begins(bytes: &[u8]) -> bool {
        is_header(bytes)
    }

    /// Gives the members in the order of the archive, earlier ones at one path
    /// included, as far as it can be read.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.scan.members
    }

    /// Errors where the archive cannot be read to its end. That its end blocks
    /// are missing is none: whoever knows the digest knows that nothing is cut.
    pub fn whole(&self) -> Result<(), FormatError> {
        self.scan.trouble.clone().map_or(Ok(()), Err)
    }

    /// Tells whether the blocks of zeros that end an archive are there.
    #[must_use]
    pub fn marked(&self) -> bool {
        self.scan.marked
    }

    /// Gives where data lie behind the end blocks, which no unpacker sees.
    #[must_use]
    pub fn trailing(&self) -> Option<u64> {
        self.scan.trailing
    }

    /// Gives the paths at which there are several members, not all of them
    /// directories, sorted; a directory may well be named again.
    #[must_use]
    pub fn duplicates(&self) -> Vec<&str> {
        let mut seen: HashMap<&str, bool> = HashMap::new();
        let mut found = Vec::new();
        for member in &self.scan.members {
            let directory = member.meta.kind == FileType::Directory;
            let before = seen.insert(&member.path, directory);
            if before.is_some_and(|before| !(before && directory)) {
                found.push(member.path.as_str());
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Opens the bytes of the member at a place in [`Tar::members`].
    ///
    /// Errors where it has none.
    pub fn content(&self, place: usize) -> Result<Source, FormatError> {
        let member = self.scan.members.get(place);
        let file = member.and_then(|member| self.scan.members.get(member.node?));
        let Some(file) = file.filter(|file| file.meta.kind == FileType::File) else {
            let what = match member {
                Some(Member {
                    path,
                    link: Some(link),
                    ..
                }) => {
                    format!(
                        "`{path}` is a hard link to `{link}`, which is not in the archive before it"
                    )
                }
                Some(member) => format!("`{}` is no file", member.path),
                None => "no such entry".to_owned(),
            };
            return Err(FormatError::corrupt(NAME, 0, what));
        };
        Ok(match &file.data {
            Data::None => Arc::new(Bytes::default()),
            Data::Plain(start, length) => Pieces::range(&self.source, *start, *length),
            Data::Sparse(pieces) => Arc::new(Pieces::new(
                Arc::clone(&self.source),
                pieces.iter().copied(),
            )),
        })
    }

    fn complete(&self) -> Result<(), FormatError> {
        self.whole()?;
        if !self.scan.marked && !self.sure {
            let what = "the two blocks of zeros that end an archive";
            return Err(FormatError::truncated(NAME, self.source.size()?, what));
        }
        Ok(())
    }

    fn path<'a>(&'a self, shown: &'a Shown) -> &'a str {
        match shown {
            Shown::Implied(path) => path,
            Shown::Member(place) => self.scan.members.get(*place).map_or("", |m| &m.path),
        }
    }

    fn entry(&self, shown: &Shown, index: usize) -> Entry {
        let member = match shown {
            Shown::Member(place) => self.scan.members.get(*place),
            Shown::Implied(_) => None,
        };
        let mut entry = Entry {
            path: self.path(shown).to_owned(),
            meta: Metadata::plain(FileType::Directory, 0),
            // Numbers behind those of the members are nobody else's.
            inode: (self.scan.members.len() + index) as u64,
        };
        if let Some(member) = member {
            entry.meta = member.meta.clone();
            if let Some(node) = member.node {
                entry.inode = node as u64;
                entry.meta.nlink = self.names.get(&node).copied().unwrap_or(1);
            }
        }
        entry
    }

    fn find(&self, path: &str) -> Option<usize> {
        let found = self
            .shown
            .binary_search_by(|shown| self.path(shown).cmp(path));
        found.ok()
    }
}

/// Chooses what is shown, and finds the directories that no member names.
fn shown(scan: &Scan, limits: &Limits) -> Result<Vec<Shown>, FormatError> {
    let path = |place: &usize| scan.members.get(*place).map_or("", |m| m.path.as_str());
    let mut lasting: Vec<usize> = (0..scan.members.len()).collect();
    lasting.sort_by(|a, b| path(a).cmp(path(b)).then(b.cmp(a)));
    lasting.dedup_by(|later, kept| path(later) == path(kept));
    let mut tally = Tally::default();
    let mut implied: Vec<String> = Vec::new();
    let known = |wanted: &str| {
        let found = lasting.binary_search_by(|place| path(place).cmp(wanted));
        found.is_ok()
    };
    let mut previous = "";
    for place in &lasting {
        let mut parent = path(place);
        while let Some((above, _)) = parent.rsplit_once('/') {
            // Neighbours share their directories.
            let shared = previous
                .strip_prefix(above)
                .is_some_and(|rest| rest.starts_with('/'));
            if shared || known(above) {
                break;
            }
            tally.take(limits, NAME, 0, above.len())?;
            implied.push(above.to_owned());
            parent = above;
        }
        previous = path(place);
    }
    let mut shown: Vec<Shown> = lasting
        .iter()
        .filter(|place| !path(place).is_empty())
        .map(|place| Shown::Member(*place))
        .chain(implied.into_iter().map(Shown::Implied))
        .collect();
    let name = |shown: &Shown| match shown {
        Shown::Member(place) => path(place).to_owned(),
        Shown::Implied(path) => path.clone(),
    };
    shown.sort_by_cached_key(name);
    shown.dedup_by(|later, kept| name(later) == name(kept));
    Ok(shown)
}

impl Tree for Tar {
    fn format(&self) -> &'static str {
        NAME
    }

    fn list(&self, visit: &mut Visit<'_>) -> Result<(), FormatError> {
        for (index, shown) in self.shown.iter().enumerate() {
            visit(self.entry(shown, index))?;
        }
        self.complete()?;
        match self.scan.trailing {
            None => Ok(()),
            Some(at) => {
                let what = "data behind the end of the archive, which no unpacker sees";
                Err(FormatError::corrupt(NAME, at, what))
            }
        }
    }

    fn lookup(&self, path: &str) -> Result<Option<Entry>, FormatError> {
        // What follows a cut may be what is asked for, or another file of that name.
        self.complete()?;
        let index = self.find(path);
        let shown = index.and_then(|index| Some((index, self.shown.get(index)?)));
        Ok(shown.map(|(index, shown)| self.entry(shown, index)))
    }

    fn children(&self, path: &str) -> Result<Option<Vec<Entry>>, FormatError> {
        self.complete()?;
        let (prefix, start) = if path.is_empty() {
            (String::new(), 0)
        } else {
            let Some(index) = self.find(path) else {
                return Ok(None);
            };
            let shown = self.shown.get(index);
            if shown.is_none_or(|s| self.entry(s, index).meta.kind != FileType::Directory) {
                return Ok(None);
            }
            let prefix = format!("{path}/");
            let start = self
                .shown
                .partition_point(|shown| self.path(shown) < prefix.as_str());
            (prefix, start)
        };
        let below = self.shown.iter().enumerate().skip(start);
        let below = below.take_while(|(_, shown)| self.path(shown).starts_with(&prefix));
        let own = below.filter(|(_, shown)| {
            let rest = self.path(shown).get(prefix.len()..).unwrap_or_default();
            !rest.is_empty() && !rest.contains('/')
        });
        Ok(Some(
            own.map(|(index, shown)| self.entry(shown, index)).collect(),
        ))
    }

    fn open(&self, entry: &Entry) -> Result<Source, FormatError> {
        let place = usize::try_from(entry.inode).unwrap_or(usize::MAX);
        let found = self.scan.members.get(place).is_some();
        if !found || entry.meta.kind != FileType::File {
            let what = match &entry.meta.target {
                Some(target) if entry.meta.kind == FileType::Unknown => {
                    format!(
                        "`{}` is a hard link to `{target}`, which is not in the archive before it",
                        entry.path
                    )
                }
                Some(_) | None => format!("`{}` is no file", entry.path),
            };
            return Err(FormatError::corrupt(NAME, 0, what));
        }
        self.content(place)
    }
}
