//! GUID partition tables.
//!
//! Source: UEFI specification 2.10, §5.3.2 (header) and §5.3.3 (entries).

use super::field::{array, le32, le64};
use super::partition::{Partition, is_protective};
use super::{FormatError, Limits, ReadAt};

const NAME: &str = "gpt";
const SIGNATURE: &[u8] = b"EFI PART";
/// Sectors that disks have; the header is in the second one.
const SECTORS: [u64; 2] = [512, 4096];
/// Entries that a table has at most; 128 is what tools write.
const MAX_ENTRIES: u32 = 4096;
/// Bytes of one entry at most; 128 is what tools write.
const MAX_ENTRY: u32 = 4096;

/// One of the two headers of a table, with everything about it that was
/// checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Bytes of a sector.
    pub sector: u64,
    /// The disk's GUID.
    pub disk: String,
    /// The sector that this header says it is in.
    pub own: u64,
    /// The sector of the other header.
    pub other: u64,
    /// The first and the last sector that partitions may use.
    pub usable: (u64, u64),
    entries_at: u64,
    entry_count: u32,
    entry_size: u32,
    entries_crc: u32,
}

impl Header {
    /// Finds the primary header. `None` says that there is no GPT here: no
    /// header, and nothing that announces one.
    ///
    /// Errors where the header is broken, and where the first sector announces
    /// a GPT that is not there.
    pub fn find(source: &dyn ReadAt) -> Result<Option<Self>, FormatError> {
        let start = source.up_to(0, 8192)?;
        for sector in SECTORS {
            let at = usize::try_from(sector).unwrap_or(usize::MAX);
            let here = start.get(at..).unwrap_or_default();
            if here.starts_with(SIGNATURE) {
                return Self::read(source, sector, 1).map(Some);
            }
        }
        if is_protective(&start) {
            let what = "the first sector announces a GPT, and its header is not there; \
                        write the table again";
            return Err(FormatError::corrupt(NAME, 512, what));
        }
        Ok(None)
    }

    /// Reads the header in sector `lba`, and checks what it says of itself.
    pub fn read(source: &dyn ReadAt, sector: u64, lba: u64) -> Result<Self, FormatError> {
        let at = lba.saturating_mul(sector);
        let corrupt = |what: String| FormatError::corrupt(NAME, at, what);
        let bytes = source.fetch(NAME, at, 512, "the header")?;
        if !bytes.starts_with(SIGNATURE) {
            return Err(corrupt("no header is here".to_owned()));
        }
        let header =
            Self::fields(&bytes, sector).ok_or_else(|| corrupt("the header is cut".to_owned()))?;
        let size = le32(&bytes, 12).unwrap_or_default();
        if !(92..=512).contains(&size) {
            return Err(corrupt(format!("a header of {size} bytes; 92 is usual")));
        }
        let stored = le32(&bytes, 16).unwrap_or_default();
        let mut counted = bytes.to_vec();
        counted.truncate(size as usize);
        if let Some(field) = counted.get_mut(16..20) {
            field.fill(0);
        }
        let actual = crc32(&counted);
        if actual != stored {
            return Err(corrupt(format!(
                "the header's checksum is {actual:08x}, {stored:08x} is stored"
            )));
        }
        if header.own != lba {
            return Err(corrupt(format!(
                "the header of sector {lba} says that it is in sector {}",
                header.own
            )));
        }
        if header.entry_count > MAX_ENTRIES
            || !(128..=MAX_ENTRY).contains(&header.entry_size)
            || !header.entry_size.is_multiple_of(8)
        {
            return Err(corrupt(format!(
                "{} entries of {} bytes; 128 of 128 are usual",
                header.entry_count, header.entry_size
            )));
        }
        Ok(header)
    }

    fn fields(bytes: &[u8], sector: u64) -> Option<Self> {
        Some(Self {
            sector,
            own: le64(bytes, 24)?,
            other: le64(bytes, 32)?,
            usable: (le64(bytes, 40)?, le64(bytes, 48)?),
            disk: guid(bytes, 56)?,
            entries_at: le64(bytes, 72)?,
            entry_count: le32(bytes, 80)?,
            entry_size: le32(bytes, 84)?,
            entries_crc: le32(bytes, 88)?,
        })
    }

    /// Reads the partitions; those of an unused entry are left out.
    ///
    /// Errors where the entries' checksum is wrong, and where a partition ends
    /// before it begins.
    pub fn partitions(
        &self,
        source: &dyn ReadAt,
        limits: &Limits,
    ) -> Result<Vec<Partition>, FormatError> {
        let at = self.entries_at.saturating_mul(self.sector);
        let length = u64::from(self.entry_count) * u64::from(self.entry_size);
        let bytes = source.fetch(NAME, at, length, "the partition entries")?;
        let actual = crc32(&bytes);
        if actual != self.entries_crc {
            let what = format!(
                "the entries' checksum is {actual:08x}, {:08x} is stored",
                self.entries_crc
            );
            return Err(FormatError::corrupt(NAME, at, what));
        }
        let mut partitions = Vec::new();
        for (index, entry) in bytes.chunks_exact(self.entry_size as usize).enumerate() {
            limits.check_deadline(NAME, at)?;
            let number = u32::try_from(index + 1).unwrap_or(u32::MAX);
            if let Some(partition) = self.partition(number, entry, at)? {
                partitions.push(partition);
            }
        }
        Ok(partitions)
    }

    fn partition(
        &self,
        number: u32,
        entry: &[u8],
        at: u64,
    ) -> Result<Option<Partition>, FormatError> {
        let cut = || FormatError::corrupt(NAME, at, "an entry is cut");
        if entry.iter().take(16).all(|byte| *byte == 0) {
            return Ok(None);
        }
        let (first, last) = (
            le64(entry, 32).ok_or_else(cut)?,
            le64(entry, 40).ok_or_else(cut)?,
        );
        let sectors = last.checked_sub(first).and_then(|n| n.checked_add(1));
        let bounds = sectors.and_then(|n| {
            let size = n.checked_mul(self.sector)?;
            let start = first.checked_mul(self.sector)?;
            start.checked_add(size).map(|_| (start, size))
        });
        let Some((start, size)) = bounds else {
            let what = format!("partition {number} is in the sectors {first} to {last}");
            return Err(FormatError::corrupt(NAME, at, what));
        };
        let units = entry.get(56..128).unwrap_or_default().chunks_exact(2);
        let units: Vec<u16> = units
            .filter_map(|pair| pair.try_into().ok().map(u16::from_le_bytes))
            .take_while(|unit| *unit != 0)
            .collect();
        Ok(Some(Partition {
            name: String::new(),
            number,
            label: String::from_utf16_lossy(&units),
            kind: guid(entry, 0).ok_or_else(cut)?,
            uuid: guid(entry, 16),
            start,
            size,
            attributes: le64(entry, 48).ok_or_else(cut)?,
        }))
    }
}

/// What the backup of a table says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backup {
    /// It is sound and has the same partitions.
    Agrees,
    /// It is sound and says something else.
    Differs,
    /// It is not where the primary header says, or broken: why.
    Broken(String),
}

/// Holds the backup of a table against its primary header.
pub fn backup(source: &dyn ReadAt, primary: &Header, limits: &Limits) -> Backup {
    let read = || {
        let header = Header::read(source, primary.sector, primary.other)?;
        let both = (
            header.partitions(source, limits)?,
            primary.partitions(source, limits)?,
        );
        let agrees = both.0 == both.1
            && (header.other, &header.disk, header.usable)
                == (primary.own, &primary.disk, primary.usable);
        Ok::<_, FormatError>(agrees)
    };
    match read() {
        Ok(true) => Backup::Agrees,
        Ok(false) => Backup::Differs,
        Err(error) => Backup::Broken(error.to_string()),
    }
}

/// Writes a GUID as people do; its first three fields are little-endian
/// (UEFI 2.10, appendix A).
fn guid(bytes: &[u8], at: usize) -> Option<String> {
    let b: [u8; 16] = array(bytes, at)?;
    let a = u32::from_le_bytes(array(&b, 0)?);
    let c = u16::from_le_bytes(array(&b, 4)?);
    let d = u16::from_le_bytes(array(&b, 6)?);
    let e = u16::from_be_bytes(array(&b, 8)?);
    let rest: String = b
        .iter()
        .skip(10)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Some(format!("{a:08x}-{c:04x}-{d:04x}-{e:04x}-{rest}"))
}

/// The CRC-32 of IEEE 802.3, which gzip uses as well.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
