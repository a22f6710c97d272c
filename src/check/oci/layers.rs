//! The layers of an image, opened only where something is asked that they alone tell.

use super::evidence::{Evidence, Layer};
use crate::check::Context;
use crate::check::entry::ImagePath;
use crate::format::FormatError;
use crate::image::oci::{OciLayer, Picture, whiteouts};

impl Evidence {
    /// Opens the layers where something is asked that only they tell.
    pub(super) fn look_at_layers(
        &mut self,
        picture: &Picture,
        context: &Context<'_>,
    ) -> Result<(), FormatError> {
        let asked = ["layers", "duplicates", "problems"];
        if !asked.iter().any(|field| context.wants(field)) {
            return Ok(());
        }
        picture.open_layers()?;
        for layer in &picture.layers {
            let seen = self.layer(picture, layer)?;
            self.layers.push(seen);
        }
        // All layers were read: what is wrong now is the image.
        if let Err(error) = picture.unpacks() {
            self.problems
                .push(format!("it cannot be unpacked: {error}"));
        }
        Ok(())
    }

    fn layer(&mut self, picture: &Picture, layer: &OciLayer) -> Result<Layer, FormatError> {
        let opened = layer.open(picture.limits())?;
        let members = opened.tar.as_ref().map(|tar| tar.members());
        if let Some(tar) = &opened.tar {
            let twice = tar.duplicates().into_iter();
            self.duplicates
                .extend(twice.map(|path| ImagePath(path.to_owned())));
            if let Some(at) = tar.trailing() {
                let name = layer.name();
                self.problems
                    .push(format!("{name}: data behind its end, at byte {at}"));
            }
        }
        let diff_id_ok = match picture.diff_id(layer)? {
            Some(diff_id) => Some(layer.has_diff_id(diff_id, picture.limits())?),
            None => None,
        };
        if diff_id_ok == Some(false) {
            let name = layer.name();
            self.problems.push(format!(
                "{name}: its digest, uncompressed, is not the config's"
            ));
        }
        let descriptor = &layer.descriptor;
        let title = descriptor.annotations.get("org.opencontainers.image.title");
        Ok(Layer {
            index: layer.index as u64,
            digest: descriptor.digest.to_string(),
            media_type: descriptor.media_type.clone(),
            size: descriptor.size,
            compression: opened.compression.name().to_owned(),
            diff_id_ok,
            entries: members.map(|members| members.len() as u64),
            whiteouts: members.map_or(0, whiteouts),
            title: title.cloned(),
            annotations: descriptor.annotations.clone(),
        })
    }
}
