//! Which root file system an image shows: how its merged view is made.

use std::sync::Arc;

use super::{Image, ImageError, Layer, Merged, oci};
use crate::format::Content;

impl Image {
    /// Makes the merged view; see [`Image::merged`].
    pub(super) fn merge(&self) -> Result<Merged, ImageError> {
        if self.is_initramfs()? {
            return match self.talos()? {
                Some(talos) => Merged::of_layers(self.path(), &talos.layers()?, self.limits()),
                None => Merged::of_initramfs(self.path(), self.segments()?, self.limits()),
            };
        }
        if let Some(oci) = self.oci()? {
            let view = oci::merged(oci, self.path(), self.limits());
            let merged = view.map(|view| Merged::of(view, self.limits()));
            return merged.map_err(|error| self.failed(error));
        }
        if self.is_program()? {
            return Err(ImageError::NoRoot {
                path: self.path().to_owned(),
                content: Content::Elf.name(),
            });
        }
        let tree = self.tree()?;
        let layer = Layer::new(tree.format(), "", Arc::clone(tree));
        Merged::of_layers(self.path(), &[&layer], self.limits())
    }

    /// Tells whether the merged view is another than the tree itself: whether
    /// layers, or an initramfs's links, make the root file system.
    pub fn is_layered(&self) -> Result<bool, ImageError> {
        Ok(self.is_initramfs()? || self.oci()?.is_some())
    }
}
