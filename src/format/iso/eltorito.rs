//! The boot catalogue: what firmware starts from a disc.
//!
//! Sources: "El Torito" Bootable CD-ROM Format Specification 1.0, §2; UEFI 2.10,
//! §13.3.2.1 for its use by UEFI.

use super::{NAME, SECTOR};
use crate::format::field::{le16, le32};
use crate::format::{FormatError, ReadAt};

/// Bytes of an entry.
const ENTRY: usize = 32;
/// Sectors by which catalogues count.
const VIRTUAL: u64 = 512;
/// Entries that are read at most; writers stop at 32.
const MAX_ENTRIES: usize = 1024;

/// What a disc is for the machine that boots from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Emulation {
    /// The image is loaded, or is a file system.
    None,
    /// A floppy disk of this many bytes.
    Floppy(u64),
    /// A hard disk.
    HardDisk,
    /// A value that the specification does not know.
    Unknown(u8),
}

impl Emulation {
    fn of(media: u8) -> Self {
        match media & 0x0f {
            0 => Self::None,
            1 => Self::Floppy(1200 << 10),
            2 => Self::Floppy(1440 << 10),
            3 => Self::Floppy(2880 << 10),
            4 => Self::HardDisk,
            other => Self::Unknown(other),
        }
    }

    /// Gives the stable name that specs use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Floppy(_) => "floppy",
            Self::HardDisk => "hard-disk",
            Self::Unknown(_) => "unknown",
        }
    }
}

/// One boot image of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Whom it is for: 0 is the BIOS of a PC, 0xEF is UEFI.
    pub platform: u8,
    /// Whether it is to be started.
    pub bootable: bool,
    /// What the disc is for it.
    pub emulation: Emulation,
    /// Where it begins, in bytes.
    pub start: u64,
    /// The bytes that are to be loaded. Of an image for UEFI this is often
    /// nothing or one sector, which stands for "to the end".
    pub load: u64,
}

impl Image {
    /// Gives the platform's stable name.
    #[must_use]
    pub fn platform_name(&self) -> String {
        match self.platform {
            0 => "bios".to_owned(),
            1 => "ppc".to_owned(),
            2 => "mac".to_owned(),
            0xef => "efi".to_owned(),
            other => format!("0x{other:02x}"),
        }
    }
}

/// The catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    /// Where it is, in bytes.
    pub at: u64,
    /// Why firmware does not take it; `None` where it is sound.
    pub problem: Option<String>,
    /// The images in their order; those without a place are left out.
    pub images: Vec<Image>,
}

impl Catalogue {
    /// Reads the catalogue in a sector.
    ///
    /// Errors where the image ends before the catalogue does. What firmware
    /// would refuse is told in `problem`.
    pub(super) fn read(source: &dyn ReadAt, sector: u32) -> Result<Self, FormatError> {
        let at = u64::from(sector) * SECTOR;
        let mut entries = Entries {
            source,
            at,
            next: 0,
        };
        let validation = entries.take()?;
        let problem = check(&validation);
        let mut catalogue = Self {
            at,
            problem,
            images: Vec::new(),
        };
        if validation.first() != Some(&1) {
            return Ok(catalogue);
        }
        let platform = validation.get(1).copied().unwrap_or_default();
        let first = entries.take()?;
        catalogue.push(platform, &first);
        loop {
            let header = entries.take()?;
            let last = match header.first() {
                Some(0x90) => false,
                Some(0x91) => true,
                // Without a section, the first entry is all.
                Some(_) | None => return Ok(catalogue),
            };
            let platform = header.get(1).copied().unwrap_or_default();
            for _ in 0..le16(&header, 2).unwrap_or_default() {
                let entry = entries.take()?;
                catalogue.push(platform, &entry);
                let mut extended = entry.get(1).is_some_and(|media| media & 0x20 != 0);
                while extended {
                    let more = entries.take()?;
                    extended = more.first() == Some(&0x44)
                        && more.get(1).is_some_and(|flags| flags & 0x20 != 0);
                }
            }
            if last {
                return Ok(catalogue);
            }
        }
    }

    fn push(&mut self, platform: u8, entry: &[u8]) {
        let fields = || {
            Some((
                *entry.first()?,
                *entry.get(1)?,
                le16(entry, 6)?,
                le32(entry, 8)?,
            ))
        };
        let Some((indicator, media, sectors, block)) = fields() else {
            return;
        };
        if block == 0 {
            return;
        }
        self.images.push(Image {
            platform,
            bootable: indicator == 0x88,
            emulation: Emulation::of(media),
            start: u64::from(block) * SECTOR,
            load: u64::from(sectors) * VIRTUAL,
        });
    }
}

struct Entries<'a> {
    source: &'a dyn ReadAt,
    at: u64,
    next: usize,
}

impl Entries<'_> {
    fn take(&mut self) -> Result<Vec<u8>, FormatError> {
        let at = self.at + (self.next * ENTRY) as u64;
        if self.next >= MAX_ENTRIES {
            let what = format!("a boot catalogue of more than {MAX_ENTRIES} entries");
            return Err(FormatError::corrupt(NAME, at, what));
        }
        self.next += 1;
        let entry = self
            .source
            .fetch(NAME, at, ENTRY as u64, "the boot catalogue")?;
        Ok(entry.to_vec())
    }
}

/// Holds the validation entry against §2.1; says why firmware refuses it.
fn check(entry: &[u8]) -> Option<String> {
    if entry.first() != Some(&1) || entry.get(30..32) != Some(&[0x55, 0xaa]) {
        return Some("the validation entry does not begin with 01 and end with 55 aa".to_owned());
    }
    let words = entry
        .chunks_exact(2)
        .filter_map(|pair| pair.try_into().ok());
    let sum = words.fold(0u16, |sum, pair| sum.wrapping_add(u16::from_le_bytes(pair)));
    (sum != 0).then(|| format!("the validation entry's words add up to {sum:04x}, not to 0"))
}
