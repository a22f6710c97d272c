//! The programs that steps start, as inputs of the build: another compiler makes another image.

use super::LoopOptions;
use super::inputs::Inputs;
use super::recipe::Variant;
use super::session::environment;
use crate::model::Sha256Digest;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A program that is larger is told by its place, size and time: an unchanged run reads little.
const READ: u64 = 4 << 20;

/// Adds each program that a step names and `PATH` leads to; one of the tree comes with the tree.
pub(super) fn add(variant: &Variant, options: &LoopOptions, inputs: &mut Inputs) {
    let given = environment(variant, options).0;
    let given = given.into_iter().rfind(|(name, _)| name == "PATH");
    let search = match given {
        Some((_, path)) => path.into(),
        None => std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()),
    };
    for step in &variant.build.steps {
        let Some(name) = step.argv.first() else {
            continue;
        };
        let place = match name.contains('/') {
            true if name.starts_with('/') => Some(PathBuf::from(name)),
            true => continue,
            false => std::env::split_paths(&search)
                .map(|folder| folder.join(name))
                .find(|path| runs(path)),
        };
        let said = place
            .as_deref()
            .map_or_else(|| "not found".into(), identity);
        inputs.add(format!("the program {name}"), said);
    }
}

/// Tells whether a path is a program, as a search of `PATH` would.
fn runs(path: &Path) -> bool {
    let meta = path.metadata();
    meta.is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0)
}

/// Says which program is at a path: by its content, or where it is large by its place, size and time.
pub(super) fn identity(path: &Path) -> String {
    let Ok(meta) = path.metadata() else {
        return "not found".into();
    };
    let digest = match meta.len() {
        0..=READ if meta.is_file() => File::open(path).and_then(Sha256Digest::of_reader).ok(),
        _ => None,
    };
    match digest {
        Some(digest) => digest.to_string(),
        None => format!(
            "{} {} {}.{}",
            path.display(),
            meta.len(),
            meta.mtime(),
            meta.mtime_nsec()
        ),
    }
}
