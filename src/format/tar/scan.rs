//! From the blocks of an archive to its members, one after another.

use std::collections::HashMap;

use super::header::{BLOCK, Block, Header, NAME};
use super::member::{Data, Member, kind};
use super::pax::Records;
use super::sparse::{self, Region};
use crate::format::node::{Tally, escape, normalise};
use crate::format::{Bytes, FileType, FormatError, Limits, Metadata, Source};

/// A long name, or an extended header, is not longer.
const MAX_EXTENDED: u64 = 1 << 20;
/// A sparse file has at most this many regions.
const MAX_REGIONS: usize = 1 << 20;
/// How much is fetched at a time, of which the headers are looked at.
const WINDOW: usize = 16 << 10;
/// How much is fetched at a time of what lies behind the end.
const TAIL: usize = 1 << 20;

/// What a walk over an archive gave.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) members: Vec<Member>,
    /// Why the archive cannot be read to its end.
    pub(super) trouble: Option<FormatError>,
    /// Whether the blocks of zeros that end an archive are there.
    pub(super) marked: bool,
    /// Where bytes that are not zeros lie behind the end.
    pub(super) trailing: Option<u64>,
}

/// Walks over an archive from its first block to its last.
pub(super) fn scan(source: &Source, limits: &Limits) -> Scan {
    let mut walk = Walk {
        source,
        limits,
        tally: Tally::default(),
        window: Bytes::default(),
        window_at: 0,
        offset: 0,
        content_end: 0,
        all: Records::default(),
        latest: HashMap::new(),
        found: Scan::default(),
    };
    let end = walk.run();
    walk.found.trouble = end.err();
    walk.found
}

struct Walk<'w> {
    source: &'w Source,
    limits: &'w Limits,
    tally: Tally,
    window: Bytes,
    window_at: u64,
    /// Where the next block is.
    offset: u64,
    /// Where the last content ends, without what fills its block: umoci leaves
    /// that out at the end of an archive.
    content_end: u64,
    /// What is said of all members that follow.
    all: Records,
    /// The last member at each path.
    latest: HashMap<String, usize>,
    found: Scan,
}

/// What stands in front of a header and belongs to it.
#[derive(Default)]
struct Before {
    records: Option<Records>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl Walk<'_> {
    fn run(&mut self) -> Result<(), FormatError> {
        let mut before = Before::default();
        loop {
            let at = self.offset;
            let block = self.block()?;
            let end = block.is_none_or(|block| block.iter().all(|byte| *byte == 0));
            if end && (before.records.is_some() || before.name.is_some() || before.link.is_some()) {
                let what = "the header behind a long name or an extended header";
                return Err(FormatError::truncated(NAME, at, what));
            }
            let Some(block) = block else {
                return Ok(());
            };
            if end {
                return self.end();
            }
            let header = Header::read(&block, at)?;
            match header.flag {
                b'x' | b'X' => {
                    let content = self.extended(&header)?;
                    let records = before.records.get_or_insert_default();
                    records.read(&content, at + BLOCK as u64)?;
                }
                b'g' => {
                    let content = self.extended(&header)?;
                    self.all.read(&content, at + BLOCK as u64)?;
                    if let Some(key) = self.all.misplaced() {
                        let what = format!("`{key}` in a header that speaks of all entries");
                        return Err(FormatError::unsupported(NAME, at, what));
                    }
                }
                b'L' => before.name = Some(self.long(&header)?),
                b'K' => before.link = Some(self.long(&header)?),
                // The archive's own name.
                b'V' => before = Before::default(),
                _ => {
                    let before = std::mem::take(&mut before);
                    self.member(&header, &block, at, before)?;
                }
            }
        }
    }

    /// Gives the next block; `None` says that the file ends before it.
    fn block(&mut self) -> Result<Option<Block>, FormatError> {
        let at = self.offset;
        let held = at
            .checked_sub(self.window_at)
            .and_then(|skip| usize::try_from(skip).ok());
        let mut block = held.and_then(|skip| self.window.get(skip..skip.checked_add(BLOCK)?));
        if block.is_none() {
            self.window = self.source.up_to(at, WINDOW)?;
            self.window_at = at;
            block = self.window.get(..BLOCK);
        }
        match block.and_then(|block| block.try_into().ok()) {
            Some(block) => {
                self.offset = at + BLOCK as u64;
                self.content_end = self.offset;
                Ok(Some(block))
            }
            None if self.window.is_empty() => {
                // The end of the file lies here, or before here and in the middle of content.
                let end = self.content_end;
                if end > 0 && self.source.up_to(end - 1, 1)?.is_empty() {
                    let what = format!("content that goes on until byte {end}");
                    return Err(FormatError::truncated(NAME, self.source.size()?, what));
                }
                Ok(None)
            }
            None => {
                let end = at + self.window.len() as u64;
                Err(FormatError::truncated(NAME, end, "a block of 512 bytes"))
            }
        }
    }

    /// Looks at what follows the first block of zeros.
    fn end(&mut self) -> Result<(), FormatError> {
        let at = self.offset;
        if let Some(block) = self.block()?
            && block.iter().any(|byte| *byte != 0)
        {
            let what = "one block of zeros alone, which is no end of an archive";
            return Err(FormatError::corrupt(NAME, at - BLOCK as u64, what));
        }
        self.found.marked = true;
        let begin = self.offset;
        loop {
            self.limits.check_deadline(NAME, self.offset)?;
            if self.offset - begin > self.limits.max_decoded {
                return Err(FormatError::Limit {
                    format: NAME,
                    offset: self.offset,
                    limit: "max_decoded",
                    value: self.limits.max_decoded,
                    remedy: "nothing but zeros is behind the end of the archive; cut them off",
                });
            }
            let tail = self.source.up_to(self.offset, TAIL)?;
            if tail.is_empty() {
                return Ok(());
            }
            if let Some(skip) = tail.iter().position(|byte| *byte != 0) {
                self.found.trailing = Some(self.offset + skip as u64);
                return Ok(());
            }
            self.offset += tail.len() as u64;
        }
    }

    /// Reads the content of a header that belongs to the next one.
    fn extended(&mut self, header: &Header) -> Result<Bytes, FormatError> {
        if header.size > MAX_EXTENDED {
            return Err(FormatError::Limit {
                format: NAME,
                offset: self.offset,
                limit: "extended header",
                value: MAX_EXTENDED,
                remedy: "no name and no attribute is that long; look at how this archive was made",
            });
        }
        self.tally.take(self.limits, NAME, self.offset, 0)?;
        let content = self
            .source
            .fetch(NAME, self.offset, header.size, "an extended header")?;
        self.skip(header.size)?;
        Ok(content)
    }

    fn long(&mut self, header: &Header) -> Result<Vec<u8>, FormatError> {
        let content = self.extended(header)?;
        let name = content.strip_suffix(b"\0").unwrap_or(&content);
        match name.contains(&0) {
            true => {
                let what = "a long name with a NUL in it";
                Err(FormatError::corrupt(NAME, self.offset, what))
            }
            false => Ok(name.to_vec()),
        }
    }

    fn member(
        &mut self,
        header: &Header,
        block: &Block,
        at: u64,
        before: Before,
    ) -> Result<(), FormatError> {
        let records = before.records.unwrap_or_default().or(&self.all);
        let twice =
            |one: &Option<Vec<u8>>, other: &Option<Vec<u8>>| one.is_some() && other.is_some();
        if twice(&records.path, &before.name) || twice(&records.link, &before.link) {
            let what = "an entry with two long names, of which readers choose differently";
            return Err(FormatError::corrupt(NAME, at, what));
        }
        let own = records.sparse.as_ref().and_then(|map| map.name.clone());
        let name = own.or(records.path.clone()).or(before.name);
        let name = name.unwrap_or_else(|| header.name.clone());
        let raw_link = records.link.clone().or(before.link);
        let raw_link = raw_link.unwrap_or_else(|| header.link.clone());
        if raw_link.len() > self.limits.max_path {
            return Err(exceeded(at, "max_path", self.limits.max_path as u64));
        }
        let kind = kind(header.flag, &name, at)?;
        let path = normalise(&name);
        self.check_path(&path.path, at)?;
        let mut member = Member {
            escapes: path.escapes,
            path: path.path,
            meta: Metadata {
                mode: kind.mode_bits() | header.mode,
                uid: records.uid.unwrap_or(header.uid),
                gid: records.gid.unwrap_or(header.gid),
                mtime: records.mtime.unwrap_or(header.mtime),
                device: matches!(kind, FileType::CharDevice | FileType::BlockDevice)
                    .then_some(header.device),
                xattrs: records.xattrs.clone().into_iter().collect(),
                ..Metadata::plain(kind, 0)
            },
            link: None,
            node: Some(self.found.members.len()),
            data: Data::None,
        };
        let held: usize = records.xattrs.iter().map(|(n, v)| n.len() + v.len()).sum();
        let booked = member.path.len() + raw_link.len() + held;
        self.tally.take(self.limits, NAME, at, booked)?;
        if header.flag == b'1' {
            self.hard_link(&mut member, &raw_link, at)?;
        } else if kind == FileType::Symlink {
            member.meta.size = raw_link.len() as u64;
            member.meta.target = Some(escape(&raw_link));
        } else if kind == FileType::File {
            self.content(&mut member, header, &records, block, at)?;
        }
        self.latest
            .insert(member.path.clone(), self.found.members.len());
        self.found.members.push(member);
        Ok(())
    }

    fn check_path(&self, path: &str, at: u64) -> Result<(), FormatError> {
        if path.len() > self.limits.max_path {
            return Err(exceeded(at, "max_path", self.limits.max_path as u64));
        }
        let depth = path.bytes().filter(|byte| *byte == b'/').count();
        if depth >= self.limits.max_depth as usize {
            return Err(exceeded(at, "max_depth", u64::from(self.limits.max_depth)));
        }
        Ok(())
    }

    /// Makes a member another name of one before it.
    fn hard_link(&self, member: &mut Member, target: &[u8], at: u64) -> Result<(), FormatError> {
        let target = normalise(target);
        self.check_path(&target.path, at)?;
        member.escapes |= target.escapes;
        let node = self.latest.get(&target.path);
        let node = node.and_then(|place| self.found.members.get(*place)?.node);
        let file = node.and_then(|place| self.found.members.get(place));
        match file.filter(|file| file.meta.kind != FileType::Directory) {
            // Whatever the link's header says: there is one file, and it has one owner.
            Some(file) => member.meta = file.meta.clone(),
            None => {
                member.meta.kind = FileType::Unknown;
                member.meta.mode &= 0o7777;
                member.meta.target = Some(target.path.clone());
            }
        }
        member.node = node.filter(|_| member.meta.kind != FileType::Unknown);
        member.link = Some(target.path);
        Ok(())
    }

    /// Finds the content of a file, and steps over it.
    fn content(
        &mut self,
        member: &mut Member,
        header: &Header,
        records: &Records,
        block: &Block,
        at: u64,
    ) -> Result<(), FormatError> {
        let stored = records.size.unwrap_or(header.size);
        let (regions, size) = match (&records.sparse, header.flag) {
            (Some(map), _) if map.in_content() => {
                let (none, size) = map.regions(at)?;
                let start = self.offset;
                let regions = self.regions_as_text(stored)?;
                if !none.is_empty() {
                    let what = "a sparse file with two lists of regions";
                    return Err(FormatError::corrupt(NAME, at, what));
                }
                let stored = stored - (self.offset - start);
                return self.sparse(member, &regions, size, stored);
            }
            (Some(map), _) => map.regions(at)?,
            (None, b'S') => (
                self.regions_in_headers(block, at)?,
                sparse::size_of_block(block, at)?,
            ),
            (None, _) => {
                member.meta.size = stored;
                member.data = Data::Plain(self.offset, stored);
                return self.skip(stored);
            }
        };
        self.sparse(member, &regions, size, stored)
    }

    fn sparse(
        &mut self,
        member: &mut Member,
        regions: &[Region],
        size: u64,
        stored: u64,
    ) -> Result<(), FormatError> {
        self.tally.book(
            self.limits,
            NAME,
            self.offset,
            regions.len().saturating_mul(48),
        )?;
        // Reading such a file costs its size, not what is stored of it.
        if size > self.limits.max_decoded {
            return Err(FormatError::Limit {
                format: NAME,
                offset: self.offset,
                limit: "max_decoded",
                value: self.limits.max_decoded,
                remedy: "a file of the archive is hardly anything but one hole; look at how it was made",
            });
        }
        member.meta.size = size;
        member.data = Data::Sparse(sparse::lay_out(regions, size, self.offset, stored)?);
        self.skip(stored)
    }

    /// Steps over content.
    fn skip(&mut self, stored: u64) -> Result<(), FormatError> {
        let padded = sparse::padded(stored, self.offset)?;
        self.content_end = self.offset + stored;
        self.offset += padded;
        Ok(())
    }

    fn regions_in_headers(&mut self, block: &Block, at: u64) -> Result<Vec<Region>, FormatError> {
        let mut regions = Vec::new();
        let mut more = sparse::of_block(block, true, at, &mut regions)?;
        while more {
            let at = self.offset;
            let block = self.block()?;
            let block = block
                .ok_or_else(|| FormatError::truncated(NAME, at, "regions of a sparse file"))?;
            more = sparse::of_block(&block, false, at, &mut regions)?;
            self.check_regions(regions.len() as u64)?;
        }
        Ok(regions)
    }

    fn regions_as_text(&mut self, stored: u64) -> Result<Vec<Region>, FormatError> {
        let start = self.offset;
        let mut text = sparse::Text::default();
        loop {
            let at = self.offset;
            let inside = at - start < stored;
            let block = if inside { self.block()? } else { None };
            let block = block
                .ok_or_else(|| FormatError::truncated(NAME, at, "regions of a sparse file"))?;
            if text.take(&block, at)? {
                break;
            }
            self.check_regions(text.count())?;
        }
        if self.offset - start > stored {
            let what = "a list of regions that is longer than what is stored";
            return Err(FormatError::corrupt(NAME, start, what));
        }
        text.regions(start)
    }

    fn check_regions(&self, count: u64) -> Result<(), FormatError> {
        if count > MAX_REGIONS as u64 {
            return Err(FormatError::Limit {
                format: NAME,
                offset: self.offset,
                limit: "regions of a sparse file",
                value: MAX_REGIONS as u64,
                remedy: "look at how this archive was made",
            });
        }
        Ok(())
    }
}

fn exceeded(offset: u64, limit: &'static str, value: u64) -> FormatError {
    FormatError::Limit {
        format: NAME,
        offset,
        limit,
        value,
        remedy: "no image in use is that deep; look at how this one was made",
    }
}
