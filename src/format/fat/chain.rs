//! Chains of clusters in the allocation table.

use super::boot::{Boot, Width};
use super::directory::Short;
use super::{Fat, NAME};
use crate::format::field::{le16, le32};
use crate::format::{Bytes, FormatError, Piece, Source};

/// How much of the table is read at a time.
const PAGE: u64 = 1 << 16;
/// A directory has at most so many bytes (§6.1: 65,536 entries).
const MAX_DIRECTORY: u64 = 65_536 * 32;

/// Walks a chain, keeping the part of the table that it is in.
struct Chain<'a> {
    source: &'a Source,
    boot: &'a Boot,
    page: Option<(u64, Bytes)>,
}

impl<'a> Chain<'a> {
    fn new(fat: &'a Fat) -> Self {
        Self {
            source: &fat.source,
            boot: &fat.boot,
            page: None,
        }
    }

    /// Gives the cluster behind this one; `None` at the end of the chain.
    fn next(&mut self, cluster: u32) -> Result<Option<u32>, FormatError> {
        let wide = u64::from(cluster);
        let offset = match self.boot.width {
            Width::Twelve => wide + wide / 2,
            Width::Sixteen => wide * 2,
            Width::ThirtyTwo => wide * 4,
        };
        let bytes = self.table(offset)?;
        let missing = || {
            let at = self.boot.table.0 + offset;
            FormatError::truncated(NAME, at, "the allocation table ends here")
        };
        let (value, last) = match self.boot.width {
            Width::Twelve => {
                let pair = le16(&bytes, 0).ok_or_else(missing)?;
                let value = if cluster.is_multiple_of(2) {
                    pair & 0xfff
                } else {
                    pair >> 4
                };
                (u32::from(value), 0xff8)
            }
            Width::Sixteen => (u32::from(le16(&bytes, 0).ok_or_else(missing)?), 0xfff8),
            Width::ThirtyTwo => (
                le32(&bytes, 0).ok_or_else(missing)? & 0x0fff_ffff,
                0x0fff_fff8,
            ),
        };
        if value >= last {
            return Ok(None);
        }
        self.check(value).map(Some)
    }

    /// Gives the four bytes of the table at `offset`, fewer at its end.
    fn table(&mut self, offset: u64) -> Result<Bytes, FormatError> {
        let (start, length) = self.boot.table;
        let page = offset / PAGE * PAGE;
        if self.page.as_ref().is_none_or(|(held, _)| *held != page) {
            // An entry of twelve bits may lie across two pages.
            let most = (PAGE + 4).min(length.saturating_sub(page));
            let most = usize::try_from(most).unwrap_or(0);
            self.page = Some((page, self.source.up_to(start + page, most)?));
        }
        let skip = usize::try_from(offset - page).unwrap_or(usize::MAX);
        let bytes = self.page.as_ref().and_then(|(_, bytes)| {
            let end = bytes.len().min(skip.saturating_add(4));
            bytes.slice(skip.min(end)..end)
        });
        Ok(bytes.unwrap_or_default())
    }

    fn check(&self, cluster: u32) -> Result<u32, FormatError> {
        if self.boot.cluster_at(cluster).is_some() {
            return Ok(cluster);
        }
        let what = format!(
            "cluster {cluster} in a chain; there are the clusters 2 to {}",
            u64::from(self.boot.clusters) + 1
        );
        Err(FormatError::corrupt(NAME, self.boot.table.0, what))
    }

    fn piece(&self, cluster: u32, length: u64) -> Piece {
        Piece {
            start: self.boot.cluster_at(cluster),
            length,
        }
    }
}

/// Gives where the content of a file is.
///
/// Errors where its chain ends before its size does, or leaves the volume.
pub(super) fn file(fat: &Fat, short: &Short) -> Result<Vec<Piece>, FormatError> {
    let mut left = u64::from(short.size);
    let mut pieces = Vec::new();
    let mut chain = Chain::new(fat);
    // More than the volume has would be a chain that leads round in a circle.
    if left > u64::from(fat.boot.clusters) * fat.boot.cluster {
        let what = format!("a file of {left} bytes in a volume of {}", fat.boot.size);
        return Err(FormatError::corrupt(NAME, fat.boot.data, what));
    }
    if left == 0 {
        return Ok(pieces);
    }
    let mut cluster = chain.check(short.cluster)?;
    loop {
        let length = left.min(fat.boot.cluster);
        match pieces.last_mut() {
            // Neighbours are one piece: a large file would need a million of them.
            Some(Piece {
                start: Some(start),
                length: held,
            }) if fat.boot.cluster_at(cluster) == Some(*start + *held) => *held += length,
            Some(_) | None => pieces.push(chain.piece(cluster, length)),
        }
        left -= length;
        if left == 0 {
            return Ok(pieces);
        }
        match chain.next(cluster)? {
            Some(next) => cluster = next,
            None => {
                let what = format!("the chain of a file ends {left} bytes before the file does");
                return Err(FormatError::corrupt(NAME, fat.boot.table.0, what));
            }
        }
    }
}

/// Gives where the entries of a directory are.
///
/// Errors where its chain leads round in a circle or leaves the volume.
pub(super) fn directory(fat: &Fat, first: u32) -> Result<Vec<Piece>, FormatError> {
    let mut pieces = Vec::new();
    let mut chain = Chain::new(fat);
    let mut cluster = chain.check(first)?;
    let mut bytes = 0;
    loop {
        pieces.push(chain.piece(cluster, fat.boot.cluster));
        bytes += fat.boot.cluster;
        match chain.next(cluster)? {
            Some(next) if bytes < MAX_DIRECTORY => cluster = next,
            Some(_) => {
                let what = "a directory of more than 65,536 entries, or a circle in its chain";
                return Err(FormatError::corrupt(NAME, fat.boot.table.0, what));
            }
            None => return Ok(pieces),
        }
    }
}
