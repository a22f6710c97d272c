//! A patch as text: a mailbox of `git format-patch`, or a plain unified diff under a header.
//!
//! Source: git's `Documentation/diff-generate-patch.txt` and `git-apply.txt` (the extended
//! headers), POSIX `diff -u` (the hunks), DEP-3 (headers of a plain diff). Nothing is applied
//! here: this only says what the text says, and refuses what `git apply` would quietly pass over.

mod header;
mod name;
mod read;
#[cfg(test)]
mod tests;

pub use header::{APPLIES_TO, AppliesTo, Header, with_applies_to};
pub use read::MAX_SIZE;

/// One patch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch<'b> {
    /// Who wrote it, what it is called, why it exists and what it was made for.
    pub header: Header,
    /// Where the first file's diff begins, in bytes.
    pub diff_at: usize,
    /// What it does to each file, in order.
    pub files: Vec<FilePatch<'b>>,
}

/// What a patch does to one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilePatch<'b> {
    /// The path before, without the `a/`; nothing where the file is new.
    pub old: Option<String>,
    /// The path after, without the `b/`; nothing where the file is removed.
    pub new: Option<String>,
    /// What happens to it.
    pub change: Change,
    /// Mode before, as git writes it (`100755`), where the patch says so.
    pub old_mode: Option<String>,
    /// Mode after, where the patch says so.
    pub new_mode: Option<String>,
    /// The blob before, as many hexadecimal digits as the `index` line has.
    pub old_blob: Option<String>,
    /// The blob after.
    pub new_blob: Option<String>,
    /// Whether its content is binary.
    pub binary: bool,
    /// The hunks, in order.
    pub hunks: Vec<Hunk<'b>>,
}

/// What a patch does with a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Change {
    /// It makes it.
    Added,
    /// It removes it.
    Deleted,
    /// It changes its content or its mode.
    #[default]
    Modified,
    /// It gives it another name.
    Renamed,
    /// It makes it out of another that stays.
    Copied,
}

/// A hunk: `@@ -OLD,COUNT +NEW,COUNT @@`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hunk<'b> {
    /// Its line in the patch, counted from 1.
    pub line: usize,
    /// The first line it covers before, counted from 1; 0 in an empty file.
    pub old_start: usize,
    /// The first line it covers after.
    pub new_start: usize,
    /// Its lines, without the sign and the line break.
    pub lines: Vec<(Sign, &'b [u8])>,
}

/// What a line of a hunk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It stands there before and after.
    Context,
    /// It is added.
    Added,
    /// It is removed.
    Removed,
}

impl FilePatch<'_> {
    /// Gives the path that names it: after the change, or before where it is removed.
    pub fn path(&self) -> &str {
        self.new.as_deref().or(self.old.as_deref()).unwrap_or("")
    }
}

impl<'b> Hunk<'b> {
    /// Gives what it expects to find: its context and what it removes.
    pub fn expected(&self) -> impl Iterator<Item = &'b [u8]> {
        self.side(Sign::Removed)
    }

    /// Gives what it adds.
    pub fn added(&self) -> impl Iterator<Item = &'b [u8]> {
        self.only(Sign::Added)
    }

    /// Gives what it removes.
    pub fn removed(&self) -> impl Iterator<Item = &'b [u8]> {
        self.only(Sign::Removed)
    }

    fn only(&self, sign: Sign) -> impl Iterator<Item = &'b [u8]> {
        let of = move |(s, line): &(Sign, &'b [u8])| (*s == sign).then_some(*line);
        self.lines.iter().filter_map(of)
    }

    fn side(&self, sign: Sign) -> impl Iterator<Item = &'b [u8]> {
        let of = move |(s, line): &(Sign, &'b [u8])| {
            (*s == sign || *s == Sign::Context).then_some(*line)
        };
        self.lines.iter().filter_map(of)
    }
}
