//! The series file: one patch a line, in order; nothing is applied by glob.

use crate::model::Sha256Digest;
use crate::model::path::printable;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// An ordered list of patches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// The series file.
    pub path: PathBuf,
    /// The patches in the order they are applied.
    pub patches: Vec<Patch>,
}

/// One patch of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// Its name as the series has it.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// The line of the series, counted from 1.
    pub line: usize,
    /// The digest of its content.
    pub digest: Sha256Digest,
}

/// What is wrong with a series.
#[derive(Debug, thiserror::Error)]
pub enum SeriesError {
    /// The series file cannot be read.
    #[error("the series {} cannot be read: {source}", path.display())]
    Unreadable {
        /// The series file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A patch cannot be read.
    #[error("{}:{line}: the patch `{name}` cannot be read ({source}): add {}, or remove the line", series.display(), path.display())]
    Missing {
        /// The series file.
        series: PathBuf,
        /// Its line.
        line: usize,
        /// The patch as named.
        name: String,
        /// Where it was looked for.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A line that names no patch inside the project.
    #[error("{}:{line}: `{text}` {why}", series.display())]
    Line {
        /// The series file.
        series: PathBuf,
        /// Its line.
        line: usize,
        /// The line.
        text: String,
        /// What is wrong, and the remedy.
        why: &'static str,
    },
}

/// No patch is larger than this.
const MAX_PATCH: u64 = 64 << 20;

impl Patch {
    /// Reads its bytes, up to 64 MiB.
    ///
    /// # Errors
    /// Passes on what the system reports.
    pub fn read(&self) -> io::Result<Vec<u8>> {
        read_bounded(&self.path)
    }
}

impl Series {
    /// Reads a series and all its patches; `#` starts a comment.
    ///
    /// Patches are named relative to the folder of the series. A series without a patch is an
    /// unpatched build, and fine.
    ///
    /// # Errors
    /// Where a file cannot be read or a line names no patch.
    pub fn read(path: &Path) -> Result<Self, SeriesError> {
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut patches: Vec<Patch> = Vec::new();
        for (line, name) in Self::names(path)? {
            let file = folder.join(&name);
            let missing = |source| SeriesError::Missing {
                series: path.to_owned(),
                line,
                name: printable(&name),
                path: file.clone(),
                source,
            };
            if !inside(folder, &file).map_err(missing)? {
                return Err(SeriesError::Line {
                    series: path.to_owned(),
                    line,
                    text: printable(&name),
                    why: "is a link that leads out of the folder of the series: copy the patch there",
                });
            }
            let bytes = read_bounded(&file).map_err(missing)?;
            patches.push(Patch {
                name,
                path: file,
                line,
                digest: Sha256Digest::of(&bytes),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            patches,
        })
    }

    /// Reads which patches a series names, and on which lines; the patches may be missing.
    ///
    /// # Errors
    /// Where the file cannot be read or a line names no patch.
    pub fn names(path: &Path) -> Result<Vec<(usize, String)>, SeriesError> {
        let unreadable = |source| SeriesError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let text = String::from_utf8(read_bounded(path).map_err(unreadable)?)
            .map_err(|_| unreadable(io::Error::other("it is not UTF-8")))?;
        let mut names: Vec<(usize, String)> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let name = without_comment(line);
            if name.is_empty() {
                continue;
            }
            let wrong = |why| SeriesError::Line {
                series: path.to_owned(),
                line: number,
                text: printable(name),
                why,
            };
            if name.split_whitespace().nth(1).is_some() {
                return Err(wrong(
                    "is more than a name: write one patch a line, no options",
                ));
            }
            if name.starts_with('/') || name.split('/').any(|part| part == "..") {
                return Err(wrong(
                    "leads out of the folder of the series: copy the patch there",
                ));
            }
            if names.iter().any(|(_, n)| same(n, name)) {
                return Err(wrong("is named twice: remove one of the lines"));
            }
            names.push((number, name.to_owned()));
        }
        Ok(names)
    }
}

fn without_comment(line: &str) -> &str {
    let end = line
        .char_indices()
        .find(|(i, c)| {
            *c == '#'
                && line[..*i]
                    .chars()
                    .next_back()
                    .is_none_or(char::is_whitespace)
        })
        .map_or(line.len(), |(i, _)| i);
    line[..end].trim()
}

/// Tells whether two names are of one file.
fn same(a: &str, b: &str) -> bool {
    // A path compares without `.` between its parts.
    Path::new("series").join(a) == Path::new("series").join(b)
}

/// Tells whether a file is below a folder, links followed.
fn inside(folder: &Path, file: &Path) -> io::Result<bool> {
    let folder = match folder.as_os_str().is_empty() {
        true => Path::new("."),
        false => folder,
    };
    Ok(file.canonicalize()?.starts_with(folder.canonicalize()?))
}

pub(super) fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Asked before it is opened: a pipe would be waited for.
    let meta = std::fs::metadata(path)?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)?
        .take(MAX_PATCH + 1)
        .read_to_end(&mut bytes)?;
    if read as u64 > MAX_PATCH {
        return Err(io::Error::other("it is larger than 64 MiB"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.patch", "b#1.patch"] {
            std::fs::write(folder.path().join(name), name).unwrap();
        }
        let path = folder.path().join("x.series");
        std::fs::write(&path, text).unwrap();
        Series::read(&path)
            .map(|s| s.patches.into_iter().map(|p| p.name).collect())
            .map_err(|e| {
                e.to_string()
                    .replace(&folder.path().display().to_string(), "DIR")
            })
    }

    #[test]
    fn one_patch_a_line() {
        let text = "# first\na.patch  # why\n\n  b#1.patch\r\n";
        assert_eq!(read(text).unwrap(), ["a.patch", "b#1.patch"]);
        assert!(read("# nothing\n").unwrap().is_empty());
    }

    #[test]
    fn a_link_leads_to_a_patch_of_the_folder_or_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let (out, patches) = (
            folder.path().join("out.patch"),
            folder.path().join("patches"),
        );
        std::fs::create_dir(&patches).unwrap();
        std::fs::write(&out, "x").unwrap();
        std::fs::write(patches.join("in.patch"), "x").unwrap();
        std::os::unix::fs::symlink(&out, patches.join("b.patch")).unwrap();
        std::os::unix::fs::symlink("in.patch", patches.join("a.patch")).unwrap();
        let path = patches.join("series");
        std::fs::write(&path, "a.patch\nb.patch\n").unwrap();
        let error = Series::read(&path).unwrap_err().to_string();
        assert!(
            error.contains("series:2: `b.patch` is a link that leads out"),
            "{error}"
        );
        std::fs::write(&path, "a.patch\n").unwrap();
        assert_eq!(Series::read(&path).unwrap().patches.len(), 1);
        // A pipe is not waited for.
        let pipe = patches.join("pipe");
        let made = std::process::Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap();
        assert!(made.success());
        let error = Series::names(&pipe).unwrap_err().to_string();
        assert!(error.contains("it is not a file"), "{error}");
        std::fs::write(&path, b"\xff").unwrap();
        assert!(
            Series::read(&path)
                .unwrap_err()
                .to_string()
                .contains("not UTF-8")
        );
    }

    #[test]
    fn a_wrong_line_is_named() {
        assert_eq!(
            read("a.patch -p1").unwrap_err(),
            "DIR/x.series:1: `a.patch -p1` is more than a name: write one patch a line, no options"
        );
        assert!(
            read("\n../a.patch")
                .unwrap_err()
                .contains("x.series:2: `../a.patch` leads out")
        );
        assert!(
            read("a.patch\na.patch")
                .unwrap_err()
                .contains("named twice")
        );
        assert!(
            read("a.patch\n./a.patch")
                .unwrap_err()
                .contains("named twice")
        );
        assert!(
            read("*.patch")
                .unwrap_err()
                .contains("the patch `*.patch` cannot be read")
        );
    }
}
