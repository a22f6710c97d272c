//! The records that stand in front of a header and say more than it can.
//!
//! Sources: POSIX.1-2017 `pax` ("pax Extended Header"), the GNU tar manual
//! ("Storing Sparse Files"), `star(5)` for `SCHILY.xattr`.

use std::collections::BTreeMap;

use super::header::NAME;
use super::sparse::Map;
use crate::format::FormatError;

/// What extended headers say about one entry, or about all that follow.
#[derive(Debug, Clone, Default)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) mtime: Option<i64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    /// Full names and values.
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
    pub(super) sparse: Option<Map>,
}

impl Records {
    /// Reads the records of one extended header whose content is at `offset`.
    ///
    /// Source: POSIX.1-2017 `pax`: `"%d %s=%s\n", <length>, <keyword>, <value>`.
    pub(super) fn read(&mut self, mut bytes: &[u8], offset: u64) -> Result<(), FormatError> {
        let whole = bytes.len();
        while !bytes.is_empty() {
            let at = offset + (whole - bytes.len()) as u64;
            let broken =
                || FormatError::corrupt(NAME, at, "a record of an extended header is broken");
            let space = bytes.iter().take(8).position(|byte| *byte == b' ');
            let digits = space.and_then(|space| bytes.get(..space));
            let length = digits.and_then(decimal::<usize>).ok_or_else(broken)?;
            let start = digits.map_or(0, <[u8]>::len) + 1;
            let record = bytes.get(start..length).ok_or_else(broken)?;
            let record = record.strip_suffix(b"\n").ok_or_else(broken)?;
            let equals = record.iter().position(|byte| *byte == b'=');
            let (key, value) = record.split_at(equals.ok_or_else(broken)?);
            let value = value.get(1..).unwrap_or_default();
            self.take(key, value, at)?;
            bytes = bytes.get(length..).unwrap_or_default();
        }
        Ok(())
    }

    fn take(&mut self, key: &[u8], value: &[u8], at: u64) -> Result<(), FormatError> {
        let broken = || {
            let key = crate::format::node::escape(key);
            let value = crate::format::node::escape(value.get(..80).unwrap_or(value));
            FormatError::corrupt(NAME, at, format!("`{value}` is no value of `{key}`"))
        };
        let text = || match value.contains(&0) {
            true => Err(broken()),
            // An empty value takes back what was said before.
            false => Ok((!value.is_empty()).then(|| value.to_vec())),
        };
        let small = || match value.is_empty() {
            true => Ok(None),
            false => decimal::<u32>(value).map(Some).ok_or_else(broken),
        };
        match key {
            b"path" => self.path = text()?,
            b"linkpath" => self.link = text()?,
            b"size" if value.is_empty() => self.size = None,
            b"size" => self.size = Some(decimal(value).ok_or_else(broken)?),
            b"mtime" if value.is_empty() => self.mtime = None,
            b"mtime" => self.mtime = Some(seconds(value).ok_or_else(broken)?),
            b"uid" => self.uid = small()?,
            b"gid" => self.gid = small()?,
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    let name = crate::format::node::escape(name);
                    self.xattrs.insert(name, value.to_vec());
                } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    let map = self.sparse.get_or_insert_default();
                    map.take(key, value).ok_or_else(broken)?;
                }
                // Times of access, names of owners and comments say nothing that is asked for.
            }
        }
        Ok(())
    }

    /// Says what a record of all following entries must not change: which bytes
    /// of the archive are headers, and what the entries are called.
    pub(super) fn misplaced(&self) -> Option<&'static str> {
        match self {
            Self { path: Some(_), .. } => Some("path"),
            Self { link: Some(_), .. } => Some("linkpath"),
            Self { size: Some(_), .. } => Some("size"),
            Self {
                sparse: Some(_), ..
            } => Some("GNU.sparse"),
            Self { .. } => None,
        }
    }

    /// Adds what is said of all entries where these records say nothing.
    pub(super) fn or(mut self, all: &Self) -> Self {
        self.mtime = self.mtime.or(all.mtime);
        self.uid = self.uid.or(all.uid);
        self.gid = self.gid.or(all.gid);
        for (name, value) in &all.xattrs {
            let own = self.xattrs.entry(name.clone());
            own.or_insert_with(|| value.clone());
        }
        self
    }
}

/// Reads a decimal number without a sign.
pub(super) fn decimal<N: std::str::FromStr>(digits: &[u8]) -> Option<N> {
    let plain = digits.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(digits).ok().filter(|_| plain)?;
    text.parse().ok()
}

/// Reads a time, `-1.5`, as whole seconds, earlier rather than later.
fn seconds(value: &[u8]) -> Option<i64> {
    let (negative, digits) = match value.strip_prefix(b"-") {
        Some(digits) => (true, digits),
        None => (false, value),
    };
    let mut parts = digits.splitn(2, |byte| *byte == b'.');
    let whole: i64 = decimal(parts.next()?)?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let more = fraction.iter().any(|digit| *digit != b'0');
    Some(match negative {
        true => -whole - i64::from(more),
        false => whole,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Records, FormatError> {
        let mut records = Records::default();
        records.read(bytes, 0).map(|()| records)
    }

    #[test]
    fn records_are_counted_with_their_own_length() {
        let records = read(b"10 path=a\n12 uid=1000\n24 mtime=1700000000.123\n").unwrap();
        assert_eq!(records.path.as_deref(), Some(&b"a"[..]));
        assert_eq!(
            (records.uid, records.mtime),
            (Some(1000), Some(1_700_000_000))
        );
        // A value may hold line breaks and any bytes.
        let records = read(b"32 SCHILY.xattr.user.note=a\n\xff=\0\n").unwrap();
        assert_eq!(
            records.xattrs.into_iter().collect::<Vec<_>>(),
            [("user.note".to_owned(), b"a\n\xff=\0".to_vec())]
        );
        for broken in [
            &b"8 path=a\n"[..],
            b"11 path=a\n",
            b"path=a\n",
            b"10 path a\n",
            b"99999999999 path=a\n",
            b"12 path=a\0b\n",
            b"3 \n",
            b"0 a=b\n",
        ] {
            assert!(
                read(broken).is_err(),
                "{}",
                crate::format::node::escape(broken)
            );
        }
    }

    #[test]
    fn times_before_1970_are_rounded_down() {
        assert_eq!(seconds(b"-1.5"), Some(-2));
        assert_eq!(seconds(b"-1"), Some(-1));
        assert_eq!(seconds(b"1.9"), Some(1));
        assert_eq!(seconds(b"1.x"), None);
        assert_eq!(seconds(b""), None);
    }
}
