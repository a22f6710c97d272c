//! The objects of the upstream's clone, held to what they were.
//!
//! Each is named by its digest, and git takes it by its name: one that was written over would be
//! built from as if it were the pinned commit's.

use super::changes::{Stamp, stamp};
use crate::model::Sha256Digest;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The objects that were there at a moment; new ones may come.
pub(super) struct Objects(BTreeMap<PathBuf, (Stamp, Sha256Digest)>);

impl Objects {
    /// Digests every object, and every pack with its index; a clone that is not there has none.
    pub(super) fn look(clone: &Path) -> io::Result<Self> {
        let mut all = BTreeMap::new();
        let walk = walkdir::WalkDir::new(clone.join("objects"));
        for entry in walk.min_depth(2).max_depth(2).into_iter().flatten() {
            let path = entry.path();
            let loose = entry.file_name().len() == 38;
            let packed = path.extension().is_some_and(|e| e == "pack" || e == "idx");
            if entry.file_type().is_file() && (loose || packed) {
                let meta = entry.metadata().map_err(io::Error::from)?;
                let digest = Sha256Digest::of_reader(File::open(path)?)?;
                all.insert(path.to_owned(), (stamp(&meta), digest));
            }
        }
        Ok(Self(all))
    }

    /// Tells whether one is gone, or another; that git has only touched it is nothing.
    pub(super) fn are_changed(&self) -> bool {
        let same = |path: &PathBuf, (before, digest): &(Stamp, Sha256Digest)| {
            let Ok(meta) = fs::symlink_metadata(path) else {
                return false;
            };
            stamp(&meta) == *before
                || meta.is_file()
                    && File::open(path)
                        .and_then(Sha256Digest::of_reader)
                        .is_ok_and(|now| now == *digest)
        };
        !self.0.iter().all(|(path, seen)| same(path, seen))
    }
}
