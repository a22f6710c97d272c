//! Files that more than one layer brings.

use super::super::ProbeError;
use super::scope::{Part, Scope};
use crate::format::{Entry, FileType, Reader};
use crate::model::Sha256Digest;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashMap;

/// A path that an extension and another layer bring. The last of them lies over the others.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "path"))]
pub struct Overlap {
    /// The path, without leading `/`.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// The layers that bring it, the lowest first: `rootfs.sqsh` or an extension.
    pub layers: Vec<String>,
    /// Whether all of them bring the same: files of the same bytes, or links to the same.
    pub same: bool,
}

/// Lists what the extensions looked at bring and another layer as well. Directories that every
/// layer has are no overlap; a file, link or device where another has a directory is one.
///
/// # Errors
/// Where a file cannot be read that has to be compared.
pub(super) fn overlaps(scope: &Scope<'_>) -> Result<Vec<Overlap>, ProbeError> {
    let layers: Vec<Part<'_>> = scope
        .base
        .into_iter()
        .chain(scope.all.iter().copied())
        .collect();
    let mut paths: HashMap<&str, Vec<(usize, &Entry)>> = HashMap::new();
    let brought = |part: &Part<'_>| {
        scope
            .parts
            .iter()
            .any(|p| std::ptr::eq(p.entries, part.entries))
    };
    // What the extensions looked at bring is looked for in every layer.
    for part in &scope.parts {
        for entry in part.entries.iter().filter(|e| !e.path.is_empty()) {
            paths.entry(&entry.path).or_default();
        }
    }
    for (index, part) in layers.iter().enumerate() {
        for entry in part.entries {
            if let Some(found) = paths.get_mut(entry.path.as_str())
                && found.last().is_none_or(|(layer, _)| *layer != index)
            {
                found.push((index, entry));
            }
        }
    }
    let mut overlaps = Vec::new();
    for (path, found) in paths {
        let only_directories = found
            .iter()
            .all(|(_, e)| e.meta.kind == FileType::Directory);
        let own = found
            .iter()
            .any(|(layer, _)| layers.get(*layer).is_some_and(brought));
        if found.len() < 2 || only_directories || !own {
            continue;
        }
        let of = |(layer, entry): &(usize, &Entry)| Some((*layers.get(*layer)?, (*entry).clone()));
        let found: Vec<(Part<'_>, Entry)> = found.iter().filter_map(of).collect();
        overlaps.push(Overlap {
            path: path.to_owned(),
            layers: found.iter().map(|(part, _)| part.name.to_owned()).collect(),
            same: same(&found)?,
        });
    }
    overlaps.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(overlaps)
}

fn same(found: &[(Part<'_>, Entry)]) -> Result<bool, ProbeError> {
    let Some((first, rest)) = found.split_first() else {
        return Ok(true);
    };
    let alike = |(_, entry): &(Part<'_>, Entry)| {
        let (a, b) = (&first.1.meta, &entry.meta);
        a.kind == b.kind && a.target == b.target && a.size == b.size && a.device == b.device
    };
    if !rest.iter().all(alike) {
        return Ok(false);
    }
    if first.1.meta.kind != FileType::File {
        return Ok(true);
    }
    let wanted = digest(first)?;
    for other in rest {
        if digest(other)? != wanted {
            return Ok(false);
        }
    }
    Ok(true)
}

fn digest((part, entry): &(Part<'_>, Entry)) -> Result<Sha256Digest, ProbeError> {
    let failed = |what: String| ProbeError::new(format!("/{} ({}): {what}", entry.path, part.name));
    let source = part
        .tree
        .open(entry)
        .map_err(|error| failed(error.to_string()))?;
    Sha256Digest::of_reader(Reader::new(source)).map_err(|error| failed(error.to_string()))
}
