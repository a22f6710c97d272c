//! The header of one entry.

use super::{Content, Entry, HEADER, NAME};
use crate::format::node::{escape, normalise};
use crate::format::{self, FileType, FormatError, Limits, Metadata, Xattrs};

/// The thirteen numbers of a header.
pub(super) struct Header {
    pub(super) offset: usize,
    checked: bool,
    ino: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u32,
    mtime: u32,
    pub(super) size: u32,
    dev: (u32, u32),
    rdev: (u32, u32),
    pub(super) name_size: u32,
    checksum: u32,
}

impl Header {
    /// Reads the header in `bytes`, which begin `offset` bytes into the input
    /// and are fewer than a header only at its end.
    pub(super) fn read(bytes: &[u8], offset: usize) -> Result<Self, FormatError> {
        if bytes.is_empty() {
            let what = "the archive ends without its TRAILER!!!";
            return Err(FormatError::truncated(NAME, offset as u64, what));
        }
        let end = (offset + bytes.len()) as u64;
        let checked = checked(bytes, offset)?;
        let Some(digits) = bytes.get(6..HEADER) else {
            return Err(FormatError::truncated(NAME, end, "a header does not end"));
        };
        let mut fields = [0u32; 13];
        for (index, (field, text)) in fields.iter_mut().zip(digits.chunks_exact(8)).enumerate() {
            *field = hexadecimal(text).ok_or_else(|| {
                let what = format!("`{}` is not a hexadecimal number", escape(text));
                FormatError::corrupt(NAME, (offset + 6 + 8 * index) as u64, what)
            })?;
        }
        let [
            ino,
            mode,
            uid,
            gid,
            nlink,
            mtime,
            size,
            d0,
            d1,
            r0,
            r1,
            name_size,
            checksum,
        ] = fields;
        Ok(Self {
            offset,
            checked,
            ino,
            mode,
            uid,
            gid,
            nlink,
            mtime,
            size,
            dev: (d0, d1),
            rdev: (r0, r1),
            name_size,
            checksum,
        })
    }

    /// Tells whether the content is the target of a symbolic link.
    pub(super) fn is_link(&self) -> bool {
        FileType::of_mode(self.mode) == FileType::Symlink
    }

    /// Tells whether there is a checksum to compare.
    pub(super) fn is_checked(&self) -> bool {
        self.checked && FileType::of_mode(self.mode) == FileType::File && self.size > 0
    }

    /// Makes the entry of a name and a content.
    ///
    /// Errors where the checksum is another.
    pub(super) fn entry(&self, name: &[u8], content: Content) -> Result<Entry, FormatError> {
        let kind = FileType::of_mode(self.mode);
        if let Some(sum) = content.sum
            && sum != self.checksum
        {
            let what = format!(
                "the checksum of `{}` is {sum:08x}, its header says {:08x}",
                escape(name),
                self.checksum
            );
            return Err(FormatError::corrupt(NAME, self.offset as u64, what));
        }
        let target = content.target.map(|target| escape(until_nul(&target)));
        let device = matches!(kind, FileType::CharDevice | FileType::BlockDevice);
        let device = device.then_some(self.rdev);
        let normalised = normalise(name);
        Ok(Entry {
            raw_name: normalised.changed.then(|| name.to_vec()),
            path: normalised.path,
            escapes: normalised.escapes,
            meta: Metadata {
                kind,
                mode: self.mode,
                uid: self.uid,
                gid: self.gid,
                mtime: i64::from(self.mtime),
                size: u64::from(self.size),
                nlink: self.nlink,
                device,
                target,
                xattrs: Xattrs::default(),
            },
            inode: (self.dev.0, self.dev.1, self.ino),
            offset: self.offset,
            data: content.range,
        })
    }
}

/// Tells from the magic number whether the entry has a checksum.
fn checked(bytes: &[u8], offset: usize) -> Result<bool, FormatError> {
    use format::Content as Kind;
    let content = Kind::detect(bytes);
    if matches!(content, Kind::Cpio | Kind::CpioCrc) {
        return Ok(content == Kind::CpioCrc);
    }
    if matches!(content, Kind::CpioOdc | Kind::CpioBinary) {
        let what = "the kernel does not read this kind of cpio; make it with `cpio -o -H newc`";
        return Err(FormatError::unsupported(NAME, offset as u64, what));
    }
    if bytes.len() < 6 && b"070701".starts_with(bytes) {
        let what = "a header does not end";
        let end = (offset + bytes.len()) as u64;
        return Err(FormatError::truncated(NAME, end, what));
    }
    let start = escape(bytes.get(..6).unwrap_or(bytes));
    let what = format!("a header should begin with 070701, here is `{start}`");
    Err(FormatError::corrupt(NAME, offset as u64, what))
}

pub(super) fn too_long(at: usize, limits: &Limits) -> FormatError {
    FormatError::Limit {
        format: NAME,
        offset: at as u64,
        limit: "max_path",
        value: limits.max_path as u64,
        remedy: "Linux knows no longer path; the kernel would skip this entry",
    }
}

pub(super) fn until_nul(bytes: &[u8]) -> &[u8] {
    bytes.split(|byte| *byte == 0).next().unwrap_or_default()
}

fn hexadecimal(text: &[u8]) -> Option<u32> {
    text.iter().try_fold(0u32, |number, byte| {
        char::from(*byte)
            .to_digit(16)
            .map(|digit| number << 4 | digit)
    })
}
