//! Reads a patch line by line.

use super::name::{both, leads_out, plain, prefixed};
use super::{Change, FilePatch, Header, Hunk, Patch, Sign};
use crate::format::FormatError;

const FORMAT: &str = "patch";
/// No patch is larger, in bytes.
pub const MAX_SIZE: usize = 64 << 20;
/// No patch changes more files, and none has more hunks than ten times that.
const MAX_FILES: usize = 100_000;

/// The lines of a text, with their places.
struct Lines<'b> {
    bytes: &'b [u8],
    at: usize,
    number: usize,
}

impl<'b> Lines<'b> {
    fn peek(&self) -> Option<&'b [u8]> {
        let rest = self.bytes.get(self.at..).filter(|r| !r.is_empty())?;
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        rest.get(..end)
    }

    fn next(&mut self) -> Option<&'b [u8]> {
        let line = self.peek()?;
        self.at = (self.at + line.len() + 1).min(self.bytes.len());
        self.number += 1;
        Some(line)
    }

    /// Gives the line after the next one, and the one after that.
    fn ahead(&self) -> [Option<&'b [u8]>; 2] {
        let mut look = Lines { ..*self };
        look.next();
        let first = look.next();
        [first, look.peek()]
    }

    fn wrong(&self, what: impl std::fmt::Display) -> FormatError {
        let what = format!("line {}: {what}", self.number);
        FormatError::corrupt(FORMAT, self.at as u64, what)
    }
}

impl<'b> Patch<'b> {
    /// Reads a patch.
    ///
    /// # Errors
    /// Where it names no file, a path that leads out of the tree, a hunk whose lines are not as
    /// many as it says, or where it is larger than 64 MiB.
    pub fn read(bytes: &'b [u8]) -> Result<Self, FormatError> {
        if bytes.len() > MAX_SIZE {
            return Err(FormatError::Limit {
                format: FORMAT,
                offset: 0,
                limit: "size",
                value: MAX_SIZE as u64,
                remedy: "split the patch, or fetch what is large in a step of the build",
            });
        }
        let mut lines = Lines {
            bytes,
            at: 0,
            number: 0,
        };
        while lines.peek().is_some() && !begins_file(&lines) {
            let line = lines.next().unwrap_or_default();
            if line.starts_with(b"@@ -") {
                return Err(lines.wrong("a hunk of no file: a `--- a/PATH` line is missing"));
            }
        }
        let diff_at = lines.at;
        let header = Header::read(bytes.get(..diff_at).unwrap_or_default());
        let mut files = Vec::new();
        while lines.peek().is_some() {
            if !begins_file(&lines) {
                let line = lines.next().unwrap_or_default();
                if line.starts_with(b"@@ -") {
                    return Err(lines.wrong("a hunk of no file: a `--- a/PATH` line is missing"));
                }
                continue;
            }
            if files.len() == MAX_FILES {
                return Err(lines.wrong(format!("more than {MAX_FILES} files")));
            }
            files.push(file(&mut lines)?);
        }
        if files.is_empty() {
            let what = "it changes no file: no line `diff --git a/PATH b/PATH` or `--- a/PATH`";
            return Err(FormatError::corrupt(FORMAT, 0, what));
        }
        Ok(Self {
            header,
            diff_at,
            files,
        })
    }
}

fn begins_file(lines: &Lines<'_>) -> bool {
    let Some(line) = lines.peek() else {
        return false;
    };
    if line.starts_with(b"diff --git ") {
        return true;
    }
    let [second, third] = lines.ahead();
    line.starts_with(b"--- ")
        && second.is_some_and(|l| l.starts_with(b"+++ "))
        && third.is_some_and(|l| l.starts_with(b"@@ -"))
}

/// Reads the diff of one file: extended headers, names, hunks or a binary patch.
fn file<'b>(lines: &mut Lines<'b>) -> Result<FilePatch<'b>, FormatError> {
    let mut file = FilePatch::default();
    if let Some(rest) = lines.peek().and_then(|l| l.strip_prefix(b"diff --git ")) {
        let names = both(&String::from_utf8_lossy(rest));
        (file.old, file.new) = names.unzip();
        lines.next();
        while let Some(line) = lines.peek() {
            if line.starts_with(b"diff --git ") {
                break;
            }
            if begins_file(lines) || line.starts_with(b"@@ -") {
                break;
            }
            let text = String::from_utf8_lossy(line);
            if !extended(&mut file, text.trim_end_matches('\r')) {
                break;
            }
            lines.next();
        }
    }
    if lines.peek().is_some_and(|l| l.starts_with(b"--- ")) && begins_file(lines) {
        let name = |line: Option<&[u8]>| {
            let line = String::from_utf8_lossy(line.unwrap_or_default()).into_owned();
            prefixed(line.get(4..).unwrap_or(""))
        };
        let (old, new) = (name(lines.next()), name(lines.next()));
        file.change = match (&old, &new, file.change) {
            (None, _, _) => Change::Added,
            (_, None, _) => Change::Deleted,
            (_, _, change) => change,
        };
        (file.old, file.new) = (old, new);
    }
    match file.change {
        Change::Added => file.old = None,
        Change::Deleted => file.new = None,
        Change::Modified | Change::Renamed | Change::Copied => {}
    }
    if file.old.is_none() && file.new.is_none() {
        return Err(lines.wrong("it cannot be told which file this changes"));
    }
    for path in [&file.old, &file.new].into_iter().flatten() {
        if leads_out(path) {
            let path = crate::model::path::printable(path);
            return Err(lines.wrong(format!(
                "`{path}` leads out of the tree or into `.git`: a patch changes what is in the tree"
            )));
        }
    }
    while let Some(line) = lines.peek() {
        if !line.starts_with(b"@@ -") {
            break;
        }
        if file.hunks.len() == MAX_FILES * 10 {
            return Err(lines.wrong("it has too many hunks"));
        }
        let hunk = hunk(lines, &file)?;
        file.hunks.push(hunk);
    }
    Ok(file)
}

/// Takes in an extended header; tells whether the line was one.
fn extended(file: &mut FilePatch<'_>, line: &str) -> bool {
    let word = |rest: &str| Some(rest.trim().to_owned());
    if let Some(mode) = line.strip_prefix("old mode ") {
        file.old_mode = word(mode);
    } else if let Some(mode) = line.strip_prefix("new mode ") {
        file.new_mode = word(mode);
    } else if let Some(mode) = line.strip_prefix("new file mode ") {
        file.new_mode = word(mode);
        file.change = Change::Added;
    } else if let Some(mode) = line.strip_prefix("deleted file mode ") {
        file.old_mode = word(mode);
        file.change = Change::Deleted;
    } else if let Some(name) = line.strip_prefix("rename from ") {
        file.old = Some(plain(name));
        file.change = Change::Renamed;
    } else if let Some(name) = line.strip_prefix("copy from ") {
        file.old = Some(plain(name));
        file.change = Change::Copied;
    } else if let Some(name) = line
        .strip_prefix("rename to ")
        .or_else(|| line.strip_prefix("copy to "))
    {
        file.new = Some(plain(name));
    } else if let Some(rest) = line.strip_prefix("index ") {
        let mut words = rest.split(' ');
        let blobs = words.next().and_then(|w| w.split_once(".."));
        let known = |blob: &str| {
            let hex = blob.len() >= 4 && blob.bytes().all(|b| b.is_ascii_hexdigit());
            (hex && !blob.bytes().all(|b| b == b'0')).then(|| blob.to_ascii_lowercase())
        };
        if let Some((old, new)) = blobs {
            (file.old_blob, file.new_blob) = (known(old), known(new));
        }
        if let Some(mode) = words.next() {
            file.old_mode.get_or_insert_with(|| mode.to_owned());
            file.new_mode.get_or_insert_with(|| mode.to_owned());
        }
    } else if line.starts_with("Binary files ") || line == "GIT binary patch" {
        file.binary = true;
    } else {
        return line.starts_with("similarity index ") || line.starts_with("dissimilarity index ");
    }
    true
}

/// Reads `START[,COUNT]`.
fn range(text: &str) -> Option<(usize, usize)> {
    let (start, count) = text.split_once(',').unwrap_or((text, "1"));
    let number = |t: &str| t.parse::<u32>().ok().and_then(|n| usize::try_from(n).ok());
    Some((number(start)?, number(count)?))
}

/// Reads a hunk, and demands that it has as many lines as it says.
fn hunk<'b>(lines: &mut Lines<'b>, file: &FilePatch<'_>) -> Result<Hunk<'b>, FormatError> {
    let head = String::from_utf8_lossy(lines.next().unwrap_or_default()).into_owned();
    let ranges = head.strip_prefix("@@ -").and_then(|rest| {
        let (old, rest) = rest.split_once(" +")?;
        let (new, _) = rest.split_once(" @@")?;
        Some((range(old)?, range(new)?))
    });
    let Some(((old_start, olds), (new_start, news))) = ranges else {
        return Err(lines.wrong("no hunk begins so: write `@@ -LINE,COUNT +LINE,COUNT @@`"));
    };
    let mut hunk = Hunk {
        line: lines.number,
        old_start,
        new_start,
        lines: Vec::new(),
    };
    let says = |is: String| {
        let path = crate::model::path::printable(file.path());
        format!(
            "the hunk of `{path}` at line {} says {olds} lines before and {news} after, and {is}: \
             make the patch anew with git, or correct the counts",
            hunk.line
        )
    };
    let (mut old, mut new) = (0, 0);
    while old < olds || new < news {
        let (sign, text) = match lines.peek().map(|l| (l.first(), l)) {
            Some((Some(b' '), line)) => (Sign::Context, line.get(1..)),
            Some((Some(b'+'), line)) => (Sign::Added, line.get(1..)),
            Some((Some(b'-'), line)) => (Sign::Removed, line.get(1..)),
            // Mailers drop the blank of an empty line; git takes that for context.
            Some((None, line)) => (Sign::Context, Some(line)),
            Some((Some(b'\r'), line)) if line.len() == 1 => (Sign::Context, Some(line)),
            Some((Some(b'\\'), _)) => {
                lines.next();
                continue;
            }
            Some((Some(_), _)) | None => {
                return Err(lines.wrong(says(format!("ends after {old} and {new}"))));
            }
        };
        lines.next();
        old += usize::from(sign != Sign::Added);
        new += usize::from(sign != Sign::Removed);
        if old > olds || new > news {
            return Err(lines.wrong(says("has more".into())));
        }
        hunk.lines.push((sign, text.unwrap_or_default()));
    }
    while lines.peek().is_some_and(|l| l.starts_with(b"\\")) {
        lines.next();
    }
    // git would take what is left for a comment, and lose it without a word.
    let more = lines.peek().is_some_and(|l| {
        let signature = l.trim_ascii_end() == b"--";
        matches!(l.first(), Some(b' ' | b'+' | b'-')) && !signature && !begins_file(lines)
    });
    if more {
        return Err(lines.wrong(says("has more".into())));
    }
    Ok(hunk)
}
