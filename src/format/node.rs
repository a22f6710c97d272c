//! What every file system says about a node, and how its names are written.

use std::sync::Arc;

use super::Limits;

/// The type of a node, from the type bits of a Unix mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FileType {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// Type bits that Linux does not know.
    Unknown,
}

impl FileType {
    /// Reads the type bits (`S_IFMT`) of a mode. Source: `inode(7)`.
    #[must_use]
    pub fn of_mode(mode: u32) -> Self {
        match mode & 0o170_000 {
            0o100_000 => Self::File,
            0o040_000 => Self::Directory,
            0o120_000 => Self::Symlink,
            0o020_000 => Self::CharDevice,
            0o060_000 => Self::BlockDevice,
            0o010_000 => Self::Fifo,
            0o140_000 => Self::Socket,
            _ => Self::Unknown,
        }
    }

    /// Gives the type bits of a mode for this type.
    #[must_use]
    pub fn mode_bits(self) -> u32 {
        match self {
            Self::File => 0o100_000,
            Self::Directory => 0o040_000,
            Self::Symlink => 0o120_000,
            Self::CharDevice => 0o020_000,
            Self::BlockDevice => 0o060_000,
            Self::Fifo => 0o010_000,
            Self::Socket => 0o140_000,
            Self::Unknown => 0,
        }
    }

    /// Gives the stable name that specs use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symlink",
            Self::CharDevice => "char-device",
            Self::BlockDevice => "block-device",
            Self::Fifo => "fifo",
            Self::Socket => "socket",
            Self::Unknown => "unknown",
        }
    }
}

/// What a node says about itself, whatever file system it is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// The node's type.
    pub kind: FileType,
    /// The whole mode: type bits and the twelve permission bits.
    pub mode: u32,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Bytes of content; of a link, the length of its target.
    pub size: u64,
    /// Names that this node has.
    pub nlink: u32,
    /// Major and minor number of a device.
    pub device: Option<(u32, u32)>,
    /// Where a symbolic link points, escaped like a path.
    pub target: Option<String>,
    /// Extended attributes, sorted by name.
    pub xattrs: Xattrs,
}

/// The extended attributes of a node: the full name (`security.selinux`), and
/// the value as it is stored. Nodes of one set share it.
pub type Xattrs = Arc<[(String, Vec<u8>)]>;

impl Metadata {
    /// Gives what is said of a node in a container that knows only sizes, such
    /// as the sections of a UKI: a file that everybody reads.
    #[must_use]
    pub fn plain(kind: FileType, size: u64) -> Self {
        let permissions = if kind == FileType::Directory {
            0o755
        } else {
            0o644
        };
        Self {
            kind,
            mode: kind.mode_bits() | permissions,
            uid: 0,
            gid: 0,
            mtime: 0,
            size,
            nlink: 1,
            device: None,
            target: None,
            xattrs: Xattrs::default(),
        }
    }

    /// Gives the value of one extended attribute.
    #[must_use]
    pub fn xattr(&self, name: &str) -> Option<&[u8]> {
        let found = self.xattrs.iter().find(|(held, _)| held == name);
        found.map(|(_, value)| value.as_slice())
    }

    /// Gives the twelve permission bits (rwx three times, set-id, sticky).
    #[must_use]
    pub fn permissions(&self) -> u32 {
        self.mode & 0o7777
    }
}

/// A path as archives hold it, brought into the one form that tdg uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Normalised {
    /// Without leading `/`, `.` components and doubled `/`; empty for the root.
    pub path: String,
    /// Whether a component is `..`, which an unpacker must not follow.
    pub escapes: bool,
    /// Whether the path says something else than the raw name did.
    pub changed: bool,
}

/// Brings a raw name into the form `usr/bin/env`: no leading `/`, no `.`
/// component, no doubled or trailing `/`. Bytes that are not UTF-8 become
/// `\xNN`. A `..` is kept, never resolved, and flagged.
#[must_use]
pub fn normalise(raw: &[u8]) -> Normalised {
    let mut path = String::with_capacity(raw.len());
    let mut escapes = false;
    for component in raw.split(|byte| *byte == b'/') {
        if component.is_empty() || component == b"." {
            continue;
        }
        escapes |= component == b"..";
        if !path.is_empty() {
            path.push('/');
        }
        push_escaped(&mut path, component);
    }
    let changed = path.as_bytes() != raw;
    Normalised {
        path,
        escapes,
        changed,
    }
}

/// Writes bytes as text: UTF-8 as it is, any other byte and NUL as `\xNN`.
#[must_use]
pub fn escape(raw: &[u8]) -> String {
    let mut text = String::with_capacity(raw.len());
    push_escaped(&mut text, raw);
    text
}

fn push_escaped(text: &mut String, raw: &[u8]) {
    for chunk in raw.utf8_chunks() {
        for character in chunk.valid().chars() {
            // Control characters would garble a terminal and hide in a report.
            if character.is_control() {
                text.extend(character.escape_default());
            } else {
                text.push(character);
            }
        }
        for byte in chunk.invalid() {
            text.push_str("\\x");
            for digit in [byte >> 4, byte & 15] {
                text.extend(char::from_digit(u32::from(digit), 16));
            }
        }
    }
}

/// Counts entries and bytes of their texts of one listing and stops it at its
/// bounds.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    entries: u64,
    bytes: u64,
}

impl Tally {
    /// Books one entry whose texts are `text` bytes long.
    pub(crate) fn take(
        &mut self,
        limits: &Limits,
        format: &'static str,
        offset: u64,
        text: usize,
    ) -> Result<(), super::FormatError> {
        self.entries += 1;
        if self.entries > limits.max_entries {
            return Err(exceeded(format, offset, "max_entries", limits.max_entries));
        }
        self.book(limits, format, offset, text)?;
        // A clock is not asked for each of a million entries.
        if self.entries.is_multiple_of(1024) {
            limits.check_deadline(format, offset)?;
        }
        Ok(())
    }

    /// Books bytes that are held beside a path, such as extended attributes.
    pub(crate) fn book(
        &mut self,
        limits: &Limits,
        format: &'static str,
        offset: u64,
        bytes: usize,
    ) -> Result<(), super::FormatError> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        if self.bytes > limits.max_listing {
            return Err(exceeded(format, offset, "max_listing", limits.max_listing));
        }
        Ok(())
    }
}

fn exceeded(
    format: &'static str,
    offset: u64,
    limit: &'static str,
    value: u64,
) -> super::FormatError {
    super::FormatError::Limit {
        format,
        offset,
        limit,
        value,
        remedy: "no image in use is that large; look at how this one was made",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_take_one_form() {
        assert_eq!(normalise(b"./usr//bin/./env/").path, "usr/bin/env");
        assert_eq!(normalise(b"/init").path, "init");
        assert_eq!(normalise(b".").path, "");
        assert!(!normalise(b"usr/bin").changed);
        assert!(normalise(b"../etc/passwd").escapes);
        assert_eq!(normalise(b"a\xffb\nc").path, "a\\xffb\\nc");
    }

    #[test]
    fn type_bits_go_both_ways() {
        for kind in [
            FileType::File,
            FileType::Directory,
            FileType::Symlink,
            FileType::Socket,
        ] {
            assert_eq!(FileType::of_mode(kind.mode_bits() | 0o755), kind);
        }
    }
}
