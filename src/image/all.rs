//! All bytes of an image at once.

use super::{Image, ImageError};
use crate::format::Bytes;

impl Image {
    /// Reads all bytes.
    ///
    /// Errors above `max_input`.
    pub fn read(&self) -> Result<Bytes, ImageError> {
        let (source, size) = (self.source()?, self.size()?);
        if size > self.limits().max_input {
            return Err(ImageError::TooLarge {
                path: self.path().to_owned(),
                size,
                limit: self.limits().max_input,
            });
        }
        source
            .up_to(0, usize::try_from(size).unwrap_or(usize::MAX))
            .map_err(|error| self.failed(error))
    }
}
