//! What was costly to decode, kept for the next process by whoever has a place for it.

use std::sync::Arc;

use super::{Image, ImageError, spool};
use crate::format::{Compression, Keep, Source};

impl Image {
    /// Says where what is costly to make from it is kept.
    #[must_use]
    pub fn kept_at(self: Arc<Self>, keep: Option<Arc<dyn Keep>>) -> Arc<Self> {
        if let Some(keep) = keep {
            // Once; a second place would be the same one.
            let _ = self.keep.set(keep);
        }
        self
    }

    /// Gives the place of what is made from the file at `path` inside of it.
    pub(super) fn keep_inside(&self, path: &str) -> Option<Arc<dyn Keep>> {
        self.keep.get().map(|keep| keep.inside(path))
    }

    /// Gives what the bytes decode to, and puts in front of it what was kept of that.
    pub(super) fn decode(
        &self,
        source: &Source,
        compression: Compression,
    ) -> Result<Arc<Self>, ImageError> {
        let decoded = spool::decoded(source, compression, self.limits());
        let decoded = decoded.map_err(|error| self.failed(error))?;
        let decoded = self.kept(decoded, compression);
        let (meta, limits) = (self.metadata().cloned(), self.limits().clone());
        let image = Self::of_part(self.path(), decoded, meta, true, limits)?;
        Ok(image.kept_at(self.keep_inside("")))
    }

    /// Puts what was kept of what it decodes to in front of that. What lies in memory was quick
    /// to decode.
    fn kept(&self, decoded: Source, compression: Compression) -> Source {
        match self.keep.get() {
            Some(keep) if decoded.slice_at(0, 1).is_none() => {
                let limits = self.limits();
                let decoding = (limits.max_decoded, limits.free_decoded, limits.max_ratio);
                let bounds = (decoding, limits.free_stored);
                // Other bounds end in other places.
                keep.keep(&format!("{} {bounds:?}", compression.name()), decoded)
            }
            Some(_) | None => decoded,
        }
    }
}
