//! One file of the cache: chunks of a source, a table of them, and a seal.
//!
//! ```text
//! the chunks, one behind the other     only those that are not all zeros
//! the table, 48 bytes a chunk          number, length, kind, digest
//! the seal, 128 bytes                  magic, key, size of the source, rows, digest of all that
//! ```
//!
//! Numbers are little-endian. A file that is cut, is another's or has a changed table does not
//! have the seal that its table asks for. A changed chunk does not have its digest.

use super::Key;
use crate::format::field::{array, le32, le64};
use crate::model::Sha256Digest;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The bytes of one chunk, but for the last of a source.
pub const CHUNK: u64 = 256 << 10;

const MAGIC: &[u8; 16] = b"tdg-segment-0001";
const SEAL: usize = 128;
const ROW: usize = 48;
/// A source of 4 TiB has that many chunks.
const MAX_ROWS: u64 = 1 << 24;
/// Says that the size of a source is not known.
const UNKNOWN: u64 = u64::MAX;

/// One chunk of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its number in the source.
    pub chunk: u64,
    /// Its bytes; fewer than [`CHUNK`] only at the end of the source.
    pub length: u32,
    /// What it holds; `None` where all of it is zeros, which take no space.
    pub digest: Option<Sha256Digest>,
}

impl Row {
    /// Describes a chunk.
    pub fn of(chunk: u64, bytes: &[u8]) -> Self {
        let zeros = bytes.iter().all(|byte| *byte == 0);
        Self {
            chunk,
            length: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
            digest: (!zeros).then(|| Sha256Digest::of(bytes)),
        }
    }

    /// Gives the bytes that it takes in the segment.
    pub fn stored(&self) -> u64 {
        match self.digest {
            Some(_) => u64::from(self.length),
            None => 0,
        }
    }
}

/// What the end of a segment says.
#[derive(Debug, PartialEq, Eq)]
pub struct Table {
    /// The chunks, in the order in which they lie in the file.
    pub rows: Vec<Row>,
    /// The bytes of the whole source, where they are known.
    pub size: Option<u64>,
}

impl Table {
    /// Writes the end of a segment behind its chunks.
    pub fn encode(&self, key: &Key) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.rows.len() * ROW + SEAL);
        for row in &self.rows {
            bytes.extend_from_slice(&row.chunk.to_le_bytes());
            bytes.extend_from_slice(&row.length.to_le_bytes());
            bytes.extend_from_slice(&u32::from(row.digest.is_some()).to_le_bytes());
            let digest = row.digest.map_or([0; 32], Sha256Digest::bytes);
            bytes.extend_from_slice(&digest);
        }
        let rows = self.rows.len() as u64;
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&key.0.bytes());
        bytes.extend_from_slice(&self.size.unwrap_or(UNKNOWN).to_le_bytes());
        bytes.extend_from_slice(&rows.to_le_bytes());
        bytes.extend_from_slice(&[0; SEAL - 32 - 64]);
        let digest = Sha256Digest::of(&bytes);
        bytes.extend_from_slice(&digest.bytes());
        bytes
    }

    /// Reads the end of a segment.
    ///
    /// # Errors
    /// Where the file is not a whole segment of this key.
    pub fn read(file: &File, key: &Key) -> io::Result<Self> {
        let not = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_owned());
        let end = file.metadata()?.len();
        let at = end.checked_sub(SEAL as u64).ok_or_else(|| not("short"))?;
        let mut seal = [0; SEAL];
        file.read_exact_at(&mut seal, at)?;
        let rows = le64(&seal, 56).unwrap_or(u64::MAX);
        let own = seal.get(..16) == Some(MAGIC) && seal.get(16..48) == Some(&key.0.bytes());
        if !own || rows > MAX_ROWS {
            return Err(not("another's"));
        }
        let length = rows * ROW as u64;
        let begin = at.checked_sub(length).ok_or_else(|| not("cut"))?;
        let mut table = vec![0; usize::try_from(length).unwrap_or(0) + SEAL - 32];
        file.read_exact_at(&mut table, begin)?;
        if seal.get(SEAL - 32..) != Some(&Sha256Digest::of(&table).bytes()) {
            return Err(not("changed"));
        }
        let rows: Vec<Row> = table
            .chunks_exact(ROW)
            .take(usize::try_from(rows).unwrap_or(0))
            .map(|row| Row {
                chunk: le64(row, 0).unwrap_or_default(),
                length: le32(row, 8).unwrap_or_default(),
                digest: (row.get(12) == Some(&1))
                    .then(|| Sha256Digest::from(array(row, 16).unwrap_or_default())),
            })
            .collect();
        // The front may be missing: then the chunks do not fill what is before the table.
        let stored: u64 = rows.iter().map(Row::stored).sum();
        if stored != begin {
            return Err(not("cut"));
        }
        let size = le64(&seal, 48).filter(|size| *size != UNKNOWN);
        Ok(Self { rows, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_read_back_and_never_believed_when_it_is_cut_changed_or_anothers() {
        let key = Key(Sha256Digest::of(b"key"));
        let zeros = vec![0; 1000];
        let data = vec![7; 5000];
        let table = Table {
            rows: vec![Row::of(0, &data), Row::of(3, &zeros), Row::of(9, &data)],
            size: Some(9 * CHUNK + 5000),
        };
        let bytes = [&data[..], &data, &table.encode(&key)].concat();
        let read = |bytes: &[u8], key: &Key| {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(bytes, 0).unwrap();
            Table::read(&file, key)
        };
        assert_eq!(read(&bytes, &key).unwrap(), table);
        assert!(read(&bytes, &Key(Sha256Digest::of(b"other"))).is_err());
        for cut in [0, 1, 100, SEAL, 5000, bytes.len() - 1] {
            assert!(read(&bytes[..cut], &key).is_err(), "{cut}");
            assert!(cut == 0 || read(&bytes[cut..], &key).is_err(), "from {cut}");
        }
        for at in 10_000..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert!(read(&changed, &key).is_err(), "byte {at}");
        }
        let unsized_table = Table {
            rows: vec![],
            size: None,
        };
        assert_eq!(
            read(&unsized_table.encode(&key), &key).unwrap(),
            unsized_table
        );
    }
}
