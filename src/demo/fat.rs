//! A FAT16 file system with long names.
//!
//! Source: Microsoft "FAT: General Overview of On-Disk Format", 1.03. One
//! sector is 512 bytes; times are the format's first day; the volume's serial
//! number is fixed.

use super::error::ImagerError;

const SECTOR: usize = 512;
const ROOT_ENTRIES: usize = 512;

/// A file or folder to be written; folders before what they hold.
pub struct Item<'a> {
    /// The path, with `/` between the parts and none in front.
    pub path: &'a str,
    /// A file's bytes; none for a folder.
    pub data: Option<&'a [u8]>,
}

/// Writes a volume of exactly `size` bytes (a multiple of 512, 4 MiB at least)
/// labelled `label` (at most eleven bytes).
///
/// # Errors
/// [`ImagerError::DiskSize`] if the files do not fit.
pub fn volume(size: usize, label: &str, items: &[Item<'_>]) -> Result<Vec<u8>, ImagerError> {
    Writer::new(size, label).write(items)
}

struct Writer {
    size: usize,
    label: [u8; 11],
    /// Sectors in a cluster.
    cluster: usize,
    /// Sectors in one allocation table.
    table: usize,
    /// The allocation table; entry n is cluster n.
    chain: Vec<u16>,
    /// The contents of clusters 2 and up.
    data: Vec<u8>,
}

impl Writer {
    fn new(size: usize, label: &str) -> Self {
        let sectors = size / SECTOR;
        let mut cluster = 1;
        while sectors / cluster > 65_000 {
            cluster *= 2;
        }
        let table = (sectors / cluster + 2).div_ceil(SECTOR / 2);
        Self {
            size,
            label: short_name(label),
            cluster,
            table,
            chain: vec![0xfff8, 0xffff],
            data: Vec::new(),
        }
    }

    /// Sectors before the first cluster: boot sector, two tables, root folder.
    fn before(&self) -> usize {
        1 + 2 * self.table + ROOT_ENTRIES * 32 / SECTOR
    }

    /// Puts bytes into clusters of their own; gives the first one, 0 for none.
    fn store(&mut self, bytes: &[u8]) -> u16 {
        let unit = self.cluster * SECTOR;
        let count = bytes.len().div_ceil(unit);
        let first = self.chain.len();
        for at in 1..count {
            self.chain.push((first + at) as u16);
        }
        if count == 0 {
            return 0;
        }
        self.chain.push(0xffff);
        self.data.extend(bytes);
        self.data.resize(self.data.len().next_multiple_of(unit), 0);
        first as u16
    }

    fn write(mut self, items: &[Item<'_>]) -> Result<Vec<u8>, ImagerError> {
        let mut root = directory_entry(&self.label, 0x08, 0, 0);
        root.extend(self.folder(items, "", 0));
        let used = (self.before() * SECTOR) + self.data.len();
        if used > self.size || root.len() > ROOT_ENTRIES * 32 {
            return Err(ImagerError::DiskSize {
                size: self.size as u64,
                needed: used.saturating_sub(self.size) as u64,
            });
        }
        let mut out = self.boot_sector();
        let mut table: Vec<u8> = self
            .chain
            .iter()
            .flat_map(|entry| entry.to_le_bytes())
            .collect();
        table.resize(self.table * SECTOR, 0);
        out.extend(&table);
        out.extend(&table);
        root.resize(ROOT_ENTRIES * 32, 0);
        out.extend(root);
        out.extend(&self.data);
        out.resize(self.size, 0);
        Ok(out)
    }

    /// Makes the entries of a folder and stores what is below it. A folder's
    /// own cluster is taken before its children's, for their `..` needs it.
    fn folder(&mut self, items: &[Item<'_>], parent: &str, own: u16) -> Vec<u8> {
        let mut out = Vec::new();
        for item in items {
            let (above, name) = item.path.rsplit_once('/').unwrap_or(("", item.path));
            if above != parent {
                continue;
            }
            let (attribute, first, size) = match item.data {
                Some(bytes) => (0x20, self.store(bytes), bytes.len()),
                None => (0x10, self.child(items, item.path, own), 0),
            };
            out.extend(long_name(name));
            out.extend(directory_entry(&short_name(name), attribute, first, size));
        }
        out
    }

    /// Stores a folder with its `.` and `..`; one cluster holds any the demo makes.
    fn child(&mut self, items: &[Item<'_>], path: &str, parent: u16) -> u16 {
        let unit = self.cluster * SECTOR;
        let first = self.store(&vec![0; unit]);
        let at = self.data.len() - unit;
        let mut entries = directory_entry(b".          ", 0x10, first, 0);
        entries.extend(directory_entry(b"..         ", 0x10, parent, 0));
        entries.extend(self.folder(items, path, first));
        entries.truncate(unit);
        self.data[at..at + entries.len()].copy_from_slice(&entries);
        first
    }

    fn boot_sector(&self) -> Vec<u8> {
        let sectors = self.size / SECTOR;
        let mut out = vec![0xeb, 0x3c, 0x90];
        out.extend(b"MSWIN4.1");
        out.extend((SECTOR as u16).to_le_bytes());
        out.push(self.cluster as u8);
        out.extend(1_u16.to_le_bytes()); // reserved sectors
        out.push(2); // tables
        out.extend((ROOT_ENTRIES as u16).to_le_bytes());
        let small = u16::try_from(sectors).unwrap_or(0);
        out.extend(small.to_le_bytes());
        out.push(0xf8);
        out.extend((self.table as u16).to_le_bytes());
        out.extend(63_u16.to_le_bytes());
        out.extend(255_u16.to_le_bytes());
        out.extend(0_u32.to_le_bytes());
        let large = if small == 0 { sectors as u32 } else { 0 };
        out.extend(large.to_le_bytes());
        out.extend([0x80, 0, 0x29]);
        out.extend(0x7464_6721_u32.to_le_bytes());
        out.extend(self.label);
        out.extend(b"FAT16   ");
        out.resize(SECTOR - 2, 0);
        out.extend([0x55, 0xaa]);
        out
    }
}

/// Makes one 32-byte entry; its dates are 1980-01-01.
fn directory_entry(name: &[u8; 11], attribute: u8, first: u16, size: usize) -> Vec<u8> {
    const FIRST_DAY: [u8; 2] = 0x0021_u16.to_le_bytes();
    let mut out = name.to_vec();
    out.extend([attribute, 0, 0, 0, 0]);
    out.extend(FIRST_DAY);
    out.extend(FIRST_DAY);
    out.extend([0; 4]);
    out.extend(FIRST_DAY);
    out.extend(first.to_le_bytes());
    out.extend((size as u32).to_le_bytes());
    out
}

/// Makes the short name: the name itself where it is one, else `STEM~1.EXT`.
fn short_name(name: &str) -> [u8; 11] {
    let upper = name.to_ascii_uppercase();
    let (stem, extension) = upper.rsplit_once('.').unwrap_or((&upper, ""));
    let clean = |text: &str| -> Vec<u8> {
        text.bytes()
            .filter(|byte| byte.is_ascii_alphanumeric() || *byte == b'-')
            .collect()
    };
    let mut stem_bytes = clean(stem);
    if stem_bytes.len() > 8 || stem_bytes.len() != stem.len() {
        stem_bytes.truncate(6);
        stem_bytes.extend(b"~1");
    }
    let mut out = [b' '; 11];
    for (place, byte) in out[..8].iter_mut().zip(stem_bytes) {
        *place = byte;
    }
    for (place, byte) in out[8..].iter_mut().zip(clean(extension)) {
        *place = byte;
    }
    out
}

/// Makes the long-name entries of a name that is not an upper-case short one.
fn long_name(name: &str) -> Vec<u8> {
    let short = short_name(name);
    let spelled = String::from_utf8_lossy(&short).into_owned();
    let (stem, extension) = (spelled[..8].trim_end(), spelled[8..].trim_end());
    let plain = if extension.is_empty() {
        stem.to_owned()
    } else {
        format!("{stem}.{extension}")
    };
    if plain == name {
        return Vec::new();
    }
    let sum = short
        .iter()
        .fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let mut units: Vec<u16> = name.encode_utf16().collect();
    if !units.len().is_multiple_of(13) {
        units.push(0);
        units.resize(units.len().next_multiple_of(13), 0xffff);
    }
    let count = units.len() / 13;
    let mut out = Vec::new();
    for (index, part) in units.chunks(13).enumerate().rev() {
        let last = if index + 1 == count { 0x40 } else { 0 };
        let bytes: Vec<u8> = part.iter().flat_map(|unit| unit.to_le_bytes()).collect();
        out.push(last | (index as u8 + 1));
        out.extend(&bytes[..10]);
        out.extend([0x0f, 0, sum]);
        out.extend(&bytes[10..22]);
        out.extend([0, 0]);
        out.extend(&bytes[22..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_where_they_can_be() {
        assert_eq!(&short_name("BOOTAA64.EFI"), b"BOOTAA64EFI");
        assert!(long_name("BOOTAA64.EFI").is_empty());
        assert_eq!(&short_name("Talos-v1.13.6.efi"), b"TALOS-~1EFI");
        assert_eq!(long_name("Talos-v1.13.6.efi").len(), 64);
    }

    #[test]
    fn a_volume_that_is_too_small_says_so() {
        let big = vec![1; 5 << 20];
        let items = [Item {
            path: "A",
            data: Some(&big),
        }];
        let error = volume(4 << 20, "EFI", &items).err().unwrap().to_string();
        assert!(error.contains("too small"), "{error}");
    }
}
