//! Rock Ridge: names, modes, owners, times, links and devices of Unix.
//!
//! Source: Rock Ridge Interchange Protocol 1.12, §4.1, read as `fs/isofs/rock.c`
//! of Linux does.

use super::record::Record;
use super::susp::Field;
use super::{Iso, NAME, date};
use crate::format::field::array;
use crate::format::{FileType, FormatError};

/// The link or the name goes on in the next entry or component.
const CONTINUES: u8 = 1;

/// What the system use area of a record says.
#[derive(Debug, Default)]
pub(super) struct Rock {
    /// The name (NM), where there is one.
    pub(super) name: Vec<u8>,
    /// Mode, links, owner and group (PX).
    pub(super) attributes: Option<[u32; 4]>,
    /// Major and minor number (PN).
    pub(super) device: Option<(u32, u32)>,
    /// When it was modified (TF).
    pub(super) mtime: Option<i64>,
    /// Where the link points (SL).
    pub(super) target: Vec<u8>,
    /// The block at which the directory really is that stands here (CL).
    pub(super) child: Option<u32>,
    /// Whether this directory stands elsewhere in the tree (RE).
    pub(super) relocated: bool,
    /// How the content is stored, where that is no plain way (SF, ZF).
    pub(super) form: Option<Form>,
}

/// Content that is not stored as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A sparse file.
    Sparse,
    /// A file compressed by `mkzftree`; the bytes of its header, the logarithm
    /// of its blocks' size, and its own size.
    Zisofs {
        /// Bytes of the header.
        header: u32,
        /// Logarithm of the size of a block.
        block: u8,
        /// Bytes of the file once it is decompressed.
        size: u32,
    },
    /// A file compressed in another way.
    Compressed,
}

/// Whether an image says that it follows the protocol, and how many bytes of
/// each area belong to something else.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Announced {
    /// There is an SP entry: areas are to be read, this many bytes in.
    pub(super) skip: Option<usize>,
    /// There is an ER entry: their meaning is told.
    pub(super) named: bool,
}

impl Announced {
    /// Reads what the root directory's record of itself says.
    pub(super) fn read(iso: &Iso, root: &Record) -> Result<Self, FormatError> {
        // Behind 14 bytes on discs in the form of CD-ROM XA.
        for start in [0, 14] {
            let area = root.system.get(start..).unwrap_or_default();
            let mut found = Self::default();
            let read = iso.fields(area, root.at, |field| {
                match &field.signature {
                    b"SP" if field.data.starts_with(&[0xbe, 0xef]) => {
                        found.skip = Some(usize::from(field.byte(2)?));
                    }
                    b"ER" => found.named = true,
                    _ => {}
                }
                Ok(())
            });
            match read {
                Ok(()) if found.skip.is_some() => return Ok(found),
                // What is not announced is not ours, whatever it looks like.
                Ok(()) => {}
                Err(error) if found.skip.is_some() => return Err(error),
                Err(_) => {}
            }
        }
        Ok(Self::default())
    }
}

impl Rock {
    /// Reads the entries of a record's area.
    pub(super) fn read(iso: &Iso, record: &Record, skip: usize) -> Result<Self, FormatError> {
        let area = record.system.get(skip..).unwrap_or_default();
        let mut rock = Self::default();
        let most = iso.limits.max_path;
        iso.fields(area, record.at, |field| {
            rock.take(field)?;
            if rock.name.len() > most || rock.target.len() > most {
                return Err(FormatError::Limit {
                    format: NAME,
                    offset: record.at,
                    limit: "max_path",
                    value: most as u64,
                    remedy: "no path that Linux takes is that long",
                });
            }
            Ok(())
        })?;
        Ok(rock)
    }

    fn take(&mut self, field: &Field<'_>) -> Result<(), FormatError> {
        match &field.signature {
            // The names `.` and `..`, and that of the network's host, are none.
            b"NM" if field.byte(0)? & !CONTINUES == 0 => {
                self.name
                    .extend_from_slice(field.data.get(1..).unwrap_or_default());
            }
            b"PX" => {
                let number = |index: usize| field.number(index * 8);
                self.attributes = Some([number(0)?, number(1)?, number(2)?, number(3)?]);
            }
            b"PN" => self.device = Some(device(field.number(0)?, field.number(8)?)),
            b"TF" => {
                if let Some(time) = modified(field)? {
                    self.mtime = Some(time);
                }
            }
            b"SL" => link(&mut self.target, field)?,
            b"CL" => self.child = Some(field.number(0)?),
            b"RE" => self.relocated = true,
            b"SF" => self.form = Some(Form::Sparse),
            b"ZF" => self.form = Some(compressed(field)?),
            _ => {}
        }
        Ok(())
    }

    /// Gives the mode, where it says one that makes sense for what it is.
    pub(super) fn mode(&self) -> Option<u32> {
        let [mode, ..] = self.attributes?;
        (FileType::of_mode(mode) != FileType::Unknown).then_some(mode)
    }
}

/// Writers on Linux put both numbers into the low word, in the form that Linux
/// gives to programs; the kernel reads them back where they are small.
fn device(high: u32, low: u32) -> (u32, u32) {
    if high == 0 && low > 0xff {
        (low >> 8 & 0xfff, low & 0xff | low >> 12 & 0xfff00)
    } else {
        (high, low)
    }
}

/// Gives the second of the times that an entry may hold (§4.1.6).
fn modified(field: &Field<'_>) -> Result<Option<i64>, FormatError> {
    const CREATED: u8 = 1;
    const MODIFIED: u8 = 2;
    const LONG: u8 = 0x80;
    let flags = field.byte(0)?;
    if flags & MODIFIED == 0 {
        return Ok(None);
    }
    let width = if flags & LONG == 0 { 7 } else { 17 };
    let start = 1 + if flags & CREATED == 0 { 0 } else { width };
    let time = if flags & LONG == 0 {
        array(field.data, start).map(|bytes| Some(date::short(bytes)))
    } else {
        array(field.data, start).map(|bytes| date::long(&bytes))
    };
    time.ok_or_else(|| field.broken("a time is missing"))
}

/// Adds the components of an entry to a link's target (§4.1.3.1).
fn link(target: &mut Vec<u8>, field: &Field<'_>) -> Result<(), FormatError> {
    const HERE: u8 = 2;
    const UP: u8 = 4;
    const ROOT: u8 = 8;
    let goes_on = field.byte(0)? & CONTINUES != 0;
    let mut rest = field.data.get(1..).unwrap_or_default();
    while let [flags, length, ..] = *rest {
        let end = 2 + usize::from(length);
        let text = rest.get(2..end);
        let text = text.ok_or_else(|| field.broken("a component does not end"))?;
        match flags & !CONTINUES {
            0 => target.extend_from_slice(text),
            HERE => target.push(b'.'),
            UP => target.extend_from_slice(b".."),
            ROOT => target.push(b'/'),
            _ => return Err(field.broken("a component of an unknown sort")),
        }
        rest = rest.get(end..).unwrap_or_default();
        let last = rest.len() < 2 && !goes_on;
        if !last && flags & (ROOT | CONTINUES) == 0 {
            target.push(b'/');
        }
    }
    Ok(())
}

/// Reads the header of `zisofs` (libisofs, `doc/zisofs_format.txt`).
fn compressed(field: &Field<'_>) -> Result<Form, FormatError> {
    if !field.data.starts_with(b"pz") {
        return Ok(Form::Compressed);
    }
    Ok(Form::Zisofs {
        header: u32::from(field.byte(2)?) * 4,
        block: field.byte(3)?,
        size: field.number(4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(entries: &[&[u8]]) -> Vec<u8> {
        let mut target = Vec::new();
        for data in entries {
            let field = Field {
                signature: *b"SL",
                data,
                at: 0,
            };
            link(&mut target, &field).unwrap();
        }
        target
    }

    #[test]
    fn links_are_put_together_of_their_components() {
        assert_eq!(target(&[b"\0\x08\0\0\x03usr\0\x03bin"]), b"/usr/bin");
        assert_eq!(target(&[b"\0\x04\0\x04\0\0\x01a"]), b"../../a");
        assert_eq!(target(&[b"\x01\0\x03usr", b"\0\0\x03bin"]), b"usr/bin");
        assert_eq!(target(&[b"\x01\x01\x03lon", b"\0\0\x01g"]), b"long");
        assert_eq!(target(&[b"\0\x02\0"]), b".");
        assert_eq!(target(&[b"\0\x08\0"]), b"/");
    }

    #[test]
    fn numbers_of_devices_are_read_in_both_ways() {
        assert_eq!(device(8, 1), (8, 1));
        assert_eq!(device(0, 0x801), (8, 1));
        assert_eq!(device(0, 0x0010_052c), (5, 300));
    }
}
