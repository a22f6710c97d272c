//! `checksums`: a file of digests, each held against the file it names.

mod inside;

use super::entry::ImagePath;
use super::{Context, Kind, ProbeError, SubjectUse};
use crate::model::Address;
use crate::model::Sha256Digest;
use crate::model::path::normalise;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::path::{Component, Path};

/// The kind.
pub struct TheKind;

/// Which file.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// The file of digests, as `sha256sum` writes it; the subject where left out, which may lie
    /// inside of an image: `in: IMAGE!/path/checksums.sha256`.
    pub file: Option<String>,
    /// The folder its names are relative to; the file's own where left out.
    pub dir: Option<String>,
}

/// What became of each line.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// Whether there is at least one line and every file has its digest.
    pub ok: bool,
    /// How many files are listed.
    pub count: u64,
    /// The lines.
    pub files: Vec<Line>,
    /// Files of the folder that no line names, the file of digests aside.
    pub unlisted: Vec<ImagePath>,
}

/// One line.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "path"))]
pub struct Line {
    /// The file it names.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// What is there.
    pub state: State,
    /// The digest in the line.
    pub expected: String,
    /// The digest of the file; absent where it is missing.
    pub actual: Option<String>,
}

/// What is there.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The file has the digest.
    Ok,
    /// The file has another.
    Mismatch,
    /// There is no such file.
    Missing,
}

impl Kind for TheKind {
    const NAME: &'static str = "checksums";
    const SUMMARY: &'static str = "a file of SHA-256 digests against the files it names";
    const MAIN: Option<&'static str> = Some("file");
    const SUBJECT: SubjectUse = SubjectUse::Optional;
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: the checksums verify
  checksums: _out/assets/checksums.sha256
  expect: { ok: true, files: { contain: kernel-arm64 }, unlisted: { len: 0 } }";
    const DESCRIBES: &'static [&'static str] = &["ok", "count", "files", "unlisted"];
    type Args = Args;
    type Evidence = Evidence;

    fn observe(
        args: Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let file = match (&args.file, subject) {
            (Some(file), _) => context.resolve(file),
            (None, Some(subject)) => match subject.disk_path() {
                Some(path) => path.to_owned(),
                None => return inside::observe(subject, args.dir.as_deref(), context),
            },
            (None, None) => {
                return Err(ProbeError::new("no file of checksums is named")
                    .remedy("write `checksums: path/to/checksums.sha256`"));
            }
        };
        let said = |e: std::io::Error| ProbeError::new(format!("{}: {e}", file.display()));
        let text = super::local::read_text(&file, MAX_FILE)?;
        let dir = match &args.dir {
            Some(dir) => context.resolve(dir),
            None => file.parent().unwrap_or(Path::new("")).to_owned(),
        };
        let mut files = Vec::new();
        for (digest, name) in lines(&text, &file.display().to_string())? {
            files.push(verify(&dir, digest, name)?);
        }
        let listed: BTreeSet<String> = files.iter().map(|l| l.path.clone()).collect();
        let own = file.file_name().map(|n| n.to_string_lossy().into_owned());
        let mut unlisted = Vec::new();
        for entry in walkdir::WalkDir::new(&dir).sort_by_file_name() {
            let entry = entry.map_err(|e| ProbeError::new(e.to_string()))?;
            let relative = entry.path().strip_prefix(&dir).unwrap_or(entry.path());
            let path = normalise(&relative.to_string_lossy());
            let known = listed.contains(&path) || Some(&path) == own.as_ref();
            if !known && !entry.file_type().is_dir() {
                unlisted.push(ImagePath(path));
            }
        }
        std::fs::metadata(&dir).map_err(said)?;
        Ok(Evidence::of(files, unlisted))
    }
}

impl Evidence {
    fn of(files: Vec<Line>, unlisted: Vec<ImagePath>) -> Self {
        Self {
            ok: !files.is_empty() && files.iter().all(|l| l.state == State::Ok),
            count: files.len() as u64,
            files,
            unlisted,
        }
    }
}

impl Line {
    fn of(name: &str, expected: String, actual: Option<String>) -> Self {
        let state = match &actual {
            Some(actual) if *actual == expected => State::Ok,
            Some(_) => State::Mismatch,
            None => State::Missing,
        };
        Self {
            path: normalise(name),
            state,
            expected,
            actual,
        }
    }
}

const MAX_FILE: u64 = 16 << 20;

/// Reads a line of `sha256sum` (digest, blank, blank or `*`, name) or its BSD form.
fn parse(line: &str) -> Option<(String, String)> {
    let is_digest = |d: &str| d.len() == 64 && d.bytes().all(|b| b.is_ascii_hexdigit());
    if let Some(rest) = line.strip_prefix("SHA256 (") {
        let (name, digest) = rest.rsplit_once(") = ")?;
        return is_digest(digest).then(|| (digest.to_lowercase(), name.to_owned()));
    }
    let (digest, rest) = line.split_once(' ')?;
    let name = rest.strip_prefix(['*', ' ']).unwrap_or(rest);
    (is_digest(digest) && !name.is_empty()).then(|| (digest.to_lowercase(), name.to_owned()))
}

/// Reads all lines: digests and names.
fn lines(text: &str, shown: &str) -> Result<Vec<(String, String)>, ProbeError> {
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if !line.trim().is_empty() {
            lines.push(parse(line).ok_or_else(|| {
                let place = format!("{shown}:{}", number + 1);
                ProbeError::new(format!("{place}: not a line of `sha256sum`"))
                    .remedy("a line is 64 hexadecimal digits, two blanks and a name")
            })?);
        }
    }
    Ok(lines)
}

/// Refuses a name that leads out of the folder of the checksums.
fn plain(name: &str) -> Result<(), ProbeError> {
    let inside = |c: Component<'_>| matches!(c, Component::Normal(_) | Component::CurDir);
    match Path::new(name).components().all(inside) {
        true => Ok(()),
        false => Err(ProbeError::new(format!(
            "the checksums name `{}`, which is outside of their folder",
            crate::model::path::printable(name)
        ))),
    }
}

fn verify(dir: &Path, expected: String, name: String) -> Result<Line, ProbeError> {
    plain(&name)?;
    let path = dir.join(&name);
    let actual = match std::fs::symlink_metadata(&path) {
        Ok(meta) if meta.is_file() => {
            let digest = std::fs::File::open(&path).and_then(Sha256Digest::of_reader);
            let digest = digest.map_err(|e| ProbeError::new(format!("{}: {e}", path.display())))?;
            Some(digest.to_string())
        }
        _ => None,
    };
    Ok(Line::of(&name, expected, actual))
}
