//! The merged view of a layout or archive.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use super::layer::{Opened, Unpacking};
use super::stack::Stack;
use super::{NAME, Oci, Picture};
use crate::format::tree::join;
use crate::format::{FileType, FormatError, Limits, Metadata, Tree};
use crate::image::view::{Content, MergedEntry, Parts, View};

/// Lays the layers of the image over one another. Of several images, each is
/// below its platform, `linux/arm64`, or below its name and its platform where
/// two have the same.
///
/// Errors where a layer cannot be read, and where there is no image at all.
pub(in crate::image) fn merged(
    oci: &Oci,
    subject: &Path,
    limits: &Limits,
) -> Result<View, FormatError> {
    let pictures = oci.pictures();
    let places = places(&pictures)?;
    let mut parts = Parts::default();
    for ((_, picture), place) in pictures.iter().zip(&places) {
        let error = |error: FormatError| match place.is_empty() {
            true => error,
            false => error.inside(place.as_str()),
        };
        add(&mut parts, picture, place, limits).map_err(error)?;
        if !place.is_empty() {
            parts.roots.push(place.clone());
        }
    }
    if pictures.is_empty() {
        let what = "there is no image in it: no manifest that its index leads to is there";
        return Err(FormatError::corrupt(NAME, 0, what));
    }
    Ok(View::of_parts(subject, parts, limits))
}

/// Chooses where each image is.
fn places(pictures: &[(&[String], &Arc<Picture>)]) -> Result<Vec<String>, FormatError> {
    if pictures.len() == 1 {
        return Ok(vec![String::new()]);
    }
    let mut platforms = Vec::new();
    for (_, picture) in pictures {
        let platform = picture.platform()?.map(|platform| platform.to_string());
        platforms.push(clean(&platform.unwrap_or_default()));
    }
    let distinct: HashSet<&String> = platforms.iter().collect();
    if distinct.len() == pictures.len() && !platforms.iter().any(String::is_empty) {
        return Ok(platforms);
    }
    let mut taken = HashSet::new();
    let named = pictures.iter().zip(platforms).enumerate();
    let named = named.map(|(index, ((names, picture), platform))| {
        let digest = picture.descriptor.as_ref().map(|d| &d.digest);
        let digest = digest.or(picture.config_digest.as_ref());
        let short = digest.map_or_else(|| format!("image-{index}"), |d| d.short().to_owned());
        let name = names.first().map(|name| clean(name));
        let name = name
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| short.clone());
        let mut place = join(&name, &platform);
        if platform.is_empty() {
            place.clone_from(&name);
        }
        // One place is below another where a name is the start of a longer one.
        let crosses = |held: &String| {
            let starts = |a: &str, b: &str| a == b || a.starts_with(&format!("{b}/"));
            starts(held, &place) || starts(&place, held)
        };
        if taken.iter().any(crosses) {
            place = format!("{short}-{index}");
        }
        taken.insert(place.clone());
        place
    });
    Ok(named.collect())
}

/// Makes a name a path that leads nowhere else.
fn clean(name: &str) -> String {
    let path = crate::format::node::normalise(name.as_bytes()).path;
    let parts: Vec<&str> = path.split('/').filter(|part| *part != "..").collect();
    parts.join("/")
}

impl Picture {
    /// Lays the layers over one another.
    ///
    /// Errors where one of them cannot be read, and where they cannot be unpacked:
    /// a path leads out of the image, a hard link to nothing.
    pub fn unpacks(&self) -> Result<(), FormatError> {
        add(&mut Parts::default(), self, "", self.limits())
    }
}

fn add(
    parts: &mut Parts,
    picture: &Picture,
    place: &str,
    limits: &Limits,
) -> Result<(), FormatError> {
    let opened = picture.open_layers()?;
    let mut stack = Stack::new(limits);
    for (layer, opened) in picture.layers.iter().zip(opened) {
        let number = parts.names.len();
        let name = match place.is_empty() {
            true => layer.name(),
            false => format!("{place} {}", layer.name()),
        };
        parts.names.push(name);
        let inside = |error: FormatError| error.inside(layer.name());
        let Opened { tar, content, .. } = opened;
        match (&layer.unpacking, tar) {
            (Unpacking::File(path), _) => {
                let meta = Metadata::plain(FileType::File, layer.descriptor.size);
                let content = Content::File(Arc::clone(content));
                stack.add(number, path, meta, content).map_err(inside)?;
            }
            (unpacking, Some(tar)) => {
                let tree = parts.trees.len();
                parts.trees.push(Arc::clone(tar) as Arc<dyn Tree>);
                let stacked = *unpacking == Unpacking::Stack;
                stack
                    .lay(number, tree, tar.members(), stacked)
                    .map_err(inside)?;
            }
            (Unpacking::Stack | Unpacking::Archive | Unpacking::Unsupported(_), None) => {
                return Err(inside(FormatError::corrupt(NAME, 0, "it is no archive")));
            }
        }
    }
    let mut above = String::new();
    for part in place.split('/').filter(|part| !part.is_empty()) {
        above = join(&above, part);
        let directory = MergedEntry {
            path: above.clone(),
            meta: Metadata::plain(FileType::Directory, 0),
            layer: usize::MAX,
            content: Content::Tree(usize::MAX, 0),
        };
        parts.entries.entry(above.clone()).or_insert(directory);
    }
    let entries = stack.into_entries();
    let mut names: HashMap<(usize, u64), u32> = HashMap::new();
    for entry in entries.values() {
        *names.entry(node(entry)).or_default() += 1;
    }
    for (path, mut entry) in entries {
        if entry.meta.kind != FileType::Directory {
            entry.meta.nlink = names.get(&node(&entry)).copied().unwrap_or(1);
        }
        entry.path = join(place, &path);
        parts.entries.insert(entry.path.clone(), entry);
    }
    Ok(())
}

/// Gives what hard links of one file have in common.
fn node(entry: &MergedEntry) -> (usize, u64) {
    match entry.content {
        Content::Tree(tree, node) => (tree, node),
        // The file of one layer, under one name.
        Content::File(_) => (usize::MAX, entry.layer as u64),
    }
}
