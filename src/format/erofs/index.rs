//! The index of a compressed file: what each of its logical clusters (blocks of
//! what it decodes to) begins or belongs to.
//!
//! Source: `struct z_erofs_map_header`, `struct z_erofs_lcluster_index` and
//! `zmap.c` of `fs/erofs`.

use std::sync::{Mutex, PoisonError};

use super::inode::{Inode, Layout};
use super::{Erofs, NAME};
use crate::format::field::{le16, le32};
use crate::format::{Bytes, FormatError};

/// The first cluster behind a head says how many blocks the compressed data
/// take, rather than how far away their head is.
const BLOCK_COUNT: u32 = 1 << 11;
/// How much of an index is kept.
const PAGE: u64 = 1 << 13;

/// What a logical cluster is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// An extent that is stored as it is begins in it.
    Plain,
    /// A compressed extent begins in it; of the first algorithm, or the second.
    Head(usize),
    /// It belongs to an extent that began before.
    Body,
}

/// What the index says of a logical cluster.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cluster {
    pub(super) role: Role,
    /// Of a head: where in the cluster its extent begins.
    pub(super) offset: u64,
    /// Of a head: the block in which its data begin.
    pub(super) block: u64,
    /// Of a head: its data decode to more than the file has of them.
    pub(super) partial: bool,
    /// Of a body: how many clusters before it its head is, or a body nearer to it.
    pub(super) back: u64,
    /// Of a body right behind its head: the blocks that the data take.
    pub(super) blocks: Option<u64>,
    /// Where the index goes on behind what was read for this cluster.
    pub(super) end: u64,
}

/// The index of one file.
#[derive(Debug)]
pub(super) struct Index {
    erofs: Erofs,
    compact: bool,
    /// Where its first entry is.
    start: u64,
    /// A logical cluster has so many bytes, as a power of two.
    pub(super) bits: u32,
    /// Logical clusters of the file.
    pub(super) count: u64,
    /// Whether data take several blocks: those of the first algorithm, and all
    /// others.
    pub(super) big: [bool; 2],
    /// Whether a part of the entries takes two bytes.
    packed: bool,
    page: Mutex<Option<(u64, Bytes)>>,
}

impl Index {
    /// Prepares the index that begins `start` bytes into the image.
    pub(super) fn new(erofs: &Erofs, inode: &Inode, start: u64, bits: u32, advise: u16) -> Self {
        Self {
            compact: inode.layout == Layout::Compact,
            start,
            bits,
            count: inode.size.div_ceil(erofs.superblock().block),
            big: [advise & 2 != 0, advise & 4 != 0],
            packed: advise & 1 != 0,
            erofs: erofs.clone(),
            page: Mutex::default(),
        }
    }

    /// Reads what it says of a logical cluster.
    ///
    /// Errors with [`FormatError::Corrupt`] for what no index can say.
    pub(super) fn cluster(&self, number: u64) -> Result<Cluster, FormatError> {
        let cluster = match self.compact {
            true => self.compact(number)?,
            false => self.full(number)?,
        };
        if cluster.offset >> self.bits != 0 {
            return Err(self.broken(number));
        }
        Ok(cluster)
    }

    fn full(&self, number: u64) -> Result<Cluster, FormatError> {
        // Eight bytes of the older form lie between the header and the entries.
        let at = self
            .start
            .saturating_add(8)
            .saturating_add(number.saturating_mul(8));
        let bytes = self.bytes(at, 8)?;
        let field = |offset| u32::from(le16(&bytes, offset).unwrap_or_default());
        let (advise, low) = (field(0), field(4));
        let role = role(advise);
        let count = role == Role::Body && low & BLOCK_COUNT != 0;
        if count && self.big == [false, false] {
            return Err(self.broken(number));
        }
        let body = role == Role::Body;
        Ok(Cluster {
            role,
            offset: if body { 0 } else { u64::from(field(2)) },
            block: u64::from(le32(&bytes, 4).unwrap_or_default()),
            partial: !body && advise & 0x8000 != 0,
            back: if count { 1 } else { u64::from(low) },
            blocks: count.then_some(u64::from(low & !BLOCK_COUNT)),
            end: at.saturating_add(8),
        })
    }

    /// Reads an entry out of its pack: two entries of four bytes or sixteen of
    /// two, the last four bytes of a pack being the block of its first head.
    fn compact(&self, number: u64) -> Result<Cluster, FormatError> {
        if number >= self.count {
            return Err(self.broken(number));
        }
        // Packs of two-byte entries begin at multiples of 32 bytes.
        let before = (32 - self.start % 32) / 4 % 8;
        let twos = match self.count.checked_sub(before) {
            Some(rest) if self.packed => rest / 16 * 16,
            Some(_) | None => 0,
        };
        let (at, unit) = if number < before {
            (self.start.saturating_add(number * 4), 4)
        } else if number - before < twos {
            (
                self.start
                    .saturating_add(before * 4 + (number - before) * 2),
                2,
            )
        } else {
            (self.start.saturating_add(number * 4 - twos * 2), 4)
        };
        let length = if unit == 4 { 8 } else { 32 };
        if unit == 2 && self.bits > 12 {
            let what = "an index of two-byte entries for clusters of more than 4 KiB";
            return Err(FormatError::unsupported(NAME, at, what));
        }
        let start = at / length * length;
        let pack = Pack {
            bytes: self.bytes(start, length)?,
            low: self.bits.max(12),
            width: if unit == 4 { 16 } else { 14 },
            count: if unit == 4 { 2 } else { 16 },
        };
        let index = u32::try_from((at - start) / unit).unwrap_or_default();
        pack.cluster(
            index,
            self.big.contains(&true),
            start.saturating_add(length),
        )
        .ok_or_else(|| self.broken(number))
    }

    /// Gives bytes of the index, out of the page that is held where they are.
    fn bytes(&self, at: u64, length: u64) -> Result<Bytes, FormatError> {
        let mut page = self.page.lock().unwrap_or_else(PoisonError::into_inner);
        let held = |page: &Option<(u64, Bytes)>| {
            let (start, bytes) = page.as_ref()?;
            let skip = usize::try_from(at.checked_sub(*start)?).ok()?;
            bytes.slice(skip..skip.checked_add(usize::try_from(length).ok()?)?)
        };
        if let Some(bytes) = held(&page) {
            return Ok(bytes);
        }
        let start = at / PAGE * PAGE;
        let most = usize::try_from(PAGE + length).unwrap_or_default();
        *page = Some((start, self.erofs.source().up_to(start, most)?));
        held(&page).ok_or_else(|| FormatError::truncated(NAME, at, "an index of clusters"))
    }

    pub(super) fn broken(&self, number: u64) -> FormatError {
        let what = format!(
            "cluster {number} of {} in an index that contradicts itself",
            self.count
        );
        FormatError::corrupt(NAME, self.start, what)
    }
}

fn role(value: u32) -> Role {
    match value & 3 {
        0 => Role::Plain,
        1 => Role::Head(0),
        2 => Role::Body,
        _ => Role::Head(1),
    }
}

/// Entries that are packed together.
struct Pack {
    bytes: Bytes,
    /// Bits of an entry below its type.
    low: u32,
    /// Bits of an entry.
    width: u32,
    count: u32,
}

impl Pack {
    /// Gives the bits of an entry, and what the cluster is.
    fn entry(&self, index: u32) -> Option<(u32, Role)> {
        let place = index * self.width;
        let value = le32(&self.bytes, (place / 8) as usize)? >> (place % 8);
        Some((value & ((1 << self.low) - 1), role(value >> self.low)))
    }

    /// Reads an entry; `None` where the pack contradicts itself.
    fn cluster(&self, index: u32, big: bool, end: u64) -> Option<Cluster> {
        let (bits, role) = self.entry(index)?;
        let mut cluster = Cluster {
            role,
            offset: 0,
            block: 0,
            partial: false,
            back: 0,
            blocks: None,
            end,
        };
        if role != Role::Body {
            let first = le32(&self.bytes, self.bytes.len() - 4)?;
            cluster.offset = u64::from(bits);
            cluster.block = u64::from(first.wrapping_add(self.blocks_before(index, big)?));
            return Some(cluster);
        }
        if bits & BLOCK_COUNT != 0 {
            cluster.blocks = big.then_some(u64::from(bits & !BLOCK_COUNT));
            cluster.back = 1;
            return cluster.blocks.map(|_| cluster);
        }
        cluster.back = u64::from(bits);
        if index + 1 == self.count {
            // The last one tells how far the next head is; the one before it tells of their own.
            let (bits, role) = self.entry(index.checked_sub(1)?)?;
            cluster.back = match role {
                Role::Body if bits & BLOCK_COUNT != 0 => 2,
                Role::Body => u64::from(bits) + 1,
                Role::Plain | Role::Head(_) => 1,
            };
        }
        Some(cluster)
    }

    /// Counts the blocks of data between the first head of the pack and the one
    /// at `index`.
    fn blocks_before(&self, index: u32, big: bool) -> Option<u32> {
        let mut at = i64::from(index);
        // Of single blocks, the block that is stored is the one before the first head.
        let mut blocks = u32::from(!big);
        while at > 0 {
            at -= 1;
            let (bits, role) = self.entry(u32::try_from(at).ok()?)?;
            match (role, big) {
                (Role::Body, false) => {
                    at -= i64::from(bits);
                    blocks += u32::from(at >= 0);
                }
                (Role::Body, true) if bits & BLOCK_COUNT != 0 => {
                    at -= 1;
                    blocks += bits & !BLOCK_COUNT;
                }
                (Role::Body, true) => {
                    // The count of blocks stands in the body right behind the head.
                    at -= i64::from(bits.checked_sub(2)?);
                }
                (Role::Plain | Role::Head(_), _) => blocks += 1,
            }
        }
        Some(blocks)
    }
}
