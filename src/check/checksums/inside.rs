//! A file of digests inside of an image, and the files it names there.

use super::{Evidence, Line, MAX_FILE, lines, plain};
use crate::check::entry::ImagePath;
use crate::check::{Context, ProbeError};
use crate::format::oci::{Algorithm, Digest};
use crate::format::{FileType, Limits};
use crate::image::Merged;
use crate::model::Address;
use crate::model::path::{normalise, printable};
use std::collections::BTreeSet;

/// Looks at a file inside of an image, where nothing is unpacked for it.
pub(super) fn observe(
    subject: &Address,
    dir: Option<&str>,
    context: &Context<'_>,
) -> Result<Evidence, ProbeError> {
    let shown = printable(&subject.to_string());
    let Some((outside, name)) = subject.parent() else {
        return Err(ProbeError::new(format!("{shown} is no file of checksums"))
            .remedy("name the file in it: `in: IMAGE!/path/checksums.sha256`"));
    };
    let image = context.image(&outside)?;
    let view = image.merged()?;
    let Some(entry) = view.get(name).filter(|e| e.meta.kind == FileType::File) else {
        return Err(ProbeError::new(format!(
            "{shown}: there is no such file in the image"
        )));
    };
    if entry.meta.size > MAX_FILE {
        return Err(ProbeError::new(format!(
            "{shown} is longer than a file of checksums"
        )));
    }
    let text = String::from_utf8(view.read(entry)?.to_vec());
    let text = text.map_err(|_| ProbeError::new(format!("{shown} is no text")))?;
    let folder = match dir {
        Some(dir) => normalise(dir),
        None => name
            .rsplit_once('/')
            .map_or("", |(folder, _)| folder)
            .to_owned(),
    };
    let below = |path: &str| match folder.as_str() {
        "" => normalise(path),
        folder => normalise(&format!("{folder}/{path}")),
    };
    let limits = Limits {
        deadline: Some(context.deadline),
        ..Limits::default()
    };
    let mut files = Vec::new();
    for (expected, name) in lines(&text, &shown)? {
        plain(&name)?;
        let actual = digest(view, &below(&name), &limits)?;
        files.push(Line::of(&name, expected, actual));
    }
    let listed: BTreeSet<String> = files.iter().map(|line| below(&line.path)).collect();
    let inside = |path: &str| match folder.as_str() {
        "" => Some(path.to_owned()),
        folder => Some(path.strip_prefix(folder)?.strip_prefix('/')?.to_owned()),
    };
    let entries = view
        .entries()
        .iter()
        .filter(|e| e.meta.kind != FileType::Directory);
    let others = entries.filter(|e| e.path != name && !listed.contains(&e.path));
    let unlisted = others
        .filter_map(|e| inside(&e.path))
        .map(ImagePath)
        .collect();
    Ok(Evidence::of(files, unlisted))
}

/// Digests a file of the image; `None` where there is none.
fn digest(view: &Merged, path: &str, limits: &Limits) -> Result<Option<String>, ProbeError> {
    let Some(entry) = view.get(path).filter(|e| e.meta.kind == FileType::File) else {
        return Ok(None);
    };
    let source = view.open(entry)?;
    let (digest, _) = Digest::of(&*source, Algorithm::Sha256, None, limits)
        .map_err(|error| ProbeError::new(format!("{}: {error}", view.subject().display())))?;
    let digest = digest.to_string();
    Ok(digest.strip_prefix("sha256:").map(str::to_owned))
}
