//! Volume descriptors: what the image says about itself, and where its trees
//! and its boot catalogue are.

use super::{NAME, SECTOR, date};
use crate::format::field::{array, le16, le32};
use crate::format::node::escape;
use crate::format::{FormatError, ReadAt};

/// The first descriptor's sector.
const FIRST: u64 = 16;
/// Linux looks no further for descriptors.
const LAST: u64 = 100;
/// What a boot record of El Torito begins with, behind the standard header.
const EL_TORITO: &[u8] = b"EL TORITO SPECIFICATION\0";

/// What a volume descriptor says. Texts are without the blanks at their end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// The system that may use the first 32 KiB.
    pub system_id: String,
    /// The volume's name.
    pub volume_id: String,
    /// The name of the set that it belongs to.
    pub volume_set_id: String,
    /// Who published it.
    pub publisher_id: String,
    /// Who or what prepared it: the program that wrote it.
    pub preparer_id: String,
    /// How the data are laid out, or what made them.
    pub application_id: String,
    /// When it was made, in seconds since 1970; `None` where it does not say.
    pub created: Option<i64>,
    /// Bytes of a logical block, by which extents count.
    pub block: u64,
    /// Bytes of the volume. An appended partition lies behind it.
    pub size: u64,
    /// Where the root directory begins.
    pub(super) root: u64,
}

/// The descriptors that are of use here.
#[derive(Debug, Clone)]
pub(super) struct Volumes {
    pub(super) primary: Volume,
    pub(super) joliet: Option<Volume>,
    /// The sector of the boot catalogue.
    pub(super) catalogue: Option<u32>,
}

impl Volumes {
    /// Reads the descriptors (ECMA-119 §8).
    pub(super) fn read(source: &dyn ReadAt) -> Result<Self, FormatError> {
        let (mut primary, mut joliet, mut catalogue) = (None, None, None);
        for sector in FIRST..LAST {
            let at = sector * SECTOR;
            let bytes = source.fetch(NAME, at, SECTOR, "a volume descriptor")?;
            if bytes.get(1..6) != Some(b"CD001") {
                // Without its end the list may still have had all that counts.
                break;
            }
            match bytes.first() {
                Some(0) if bytes.get(7..).is_some_and(|b| b.starts_with(EL_TORITO)) => {
                    // The first one counts, as for the firmware.
                    catalogue = catalogue.or(le32(&bytes, 71));
                }
                Some(1) if primary.is_none() => primary = Some(Volume::read(&bytes, at, false)?),
                Some(2) if joliet.is_none() && is_joliet(&bytes) => {
                    joliet = Some(Volume::read(&bytes, at, true)?);
                }
                Some(255) => break,
                Some(_) | None => {}
            }
        }
        let primary = primary.ok_or_else(|| {
            let what = "there is no primary volume descriptor";
            FormatError::corrupt(NAME, FIRST * SECTOR, what)
        })?;
        Ok(Self {
            primary,
            joliet,
            catalogue,
        })
    }
}

/// Tells the three levels of Joliet by their escape sequences (Joliet
/// specification, "SVD Escape Sequences").
fn is_joliet(bytes: &[u8]) -> bool {
    matches!(bytes.get(88..91), Some([0x25, 0x2f, 0x40 | 0x43 | 0x45]))
}

impl Volume {
    /// Reads the fields (ECMA-119 §8.4, §8.5).
    fn read(bytes: &[u8], at: u64, wide: bool) -> Result<Self, FormatError> {
        let cut = || FormatError::corrupt(NAME, at, "a volume descriptor is cut");
        let block = u64::from(le16(bytes, 128).ok_or_else(cut)?);
        if !matches!(block, 512 | 1024 | 2048) {
            let what = format!("logical blocks of {block} bytes; 2048 are usual");
            return Err(FormatError::corrupt(NAME, at + 128, what));
        }
        let text = |start: usize, end: usize| text(bytes.get(start..end).unwrap_or_default(), wide);
        // The record of the root directory is a part of the descriptor.
        let attributes = u64::from(*bytes.get(157).ok_or_else(cut)?);
        let extent = u64::from(le32(bytes, 158).ok_or_else(cut)?);
        Ok(Self {
            system_id: text(8, 40),
            volume_id: text(40, 72),
            volume_set_id: text(190, 318),
            publisher_id: text(318, 446),
            preparer_id: text(446, 574),
            application_id: text(574, 702),
            created: array(bytes, 813).and_then(|digits| date::long(&digits)),
            block,
            // Two 32-bit numbers and a small one: nothing overflows 64 bits.
            size: u64::from(le32(bytes, 80).ok_or_else(cut)?) * block,
            root: (extent + attributes) * block,
        })
    }
}

fn text(bytes: &[u8], wide: bool) -> String {
    let text = if wide {
        utf16(bytes).into_bytes()
    } else {
        bytes.to_vec()
    };
    // Some writers fill up with NUL.
    let end = text.iter().rposition(|byte| !matches!(byte, b' ' | 0));
    escape(text.get(..end.map_or(0, |end| end + 1)).unwrap_or_default())
}

/// Reads big-endian UTF-16, in which Joliet writes.
pub(super) fn utf16(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2);
    let units: Vec<u16> = units
        .filter_map(|pair| pair.try_into().ok().map(u16::from_be_bytes))
        .take_while(|unit| *unit != 0)
        .collect();
    String::from_utf16_lossy(&units)
}
