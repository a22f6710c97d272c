//! One image or artifact.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::graph::document;
use super::layer::{self, OciLayer, Unpacking};
use super::{Blobs, NAME, Reference, layout};
use crate::format::oci::{Config, Descriptor, Digest, Listed, Manifest, Platform};
use crate::format::{FormatError, Limits, Tree, parallel};
use crate::image::spool::Memory;

/// No image has more layers; overlayfs takes 500.
const MAX_LAYERS: usize = 512;
/// The configurations of images; another media type makes an artifact.
const CONFIGS: [&str; 2] = [
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
];

/// One image or artifact.
#[derive(Debug)]
pub struct Picture {
    /// The manifest's descriptor; `None` in a docker-archive.
    pub descriptor: Option<Descriptor>,
    /// The manifest's media type.
    pub media_type: Option<String>,
    /// What an artifact is; of one that does not say it, the media type of its
    /// configuration.
    pub artifact_type: Option<String>,
    /// What is said about it.
    pub annotations: BTreeMap<String, String>,
    /// What it is about, such as what it signs.
    pub subject: Option<Descriptor>,
    /// The configuration: its media type, size and, where it is known, digest.
    pub config_type: String,
    /// The bytes of the configuration.
    pub config_size: u64,
    /// The digest of the configuration: what Docker calls the image's id.
    pub config_digest: Option<Digest>,
    /// The layers, the lowest first.
    pub layers: Vec<OciLayer>,
    config: OnceLock<Result<Option<Config>, FormatError>>,
    blobs: Option<Arc<dyn Blobs>>,
    limits: Limits,
}

impl Picture {
    pub(super) fn of_manifest(
        descriptor: &Descriptor,
        manifest: Manifest,
        blobs: &Arc<dyn Blobs>,
        limits: &Limits,
    ) -> Result<Self, FormatError> {
        check_layers(manifest.layers.len())?;
        let image = CONFIGS.contains(&manifest.config.media_type.as_str());
        let memory = Arc::new(Memory::default());
        let layers = manifest.layers.iter().enumerate().map(|(index, layer)| {
            let found = blobs.find(layer).and_then(|found| {
                let what = || format!("the blob {} of layer {index} is not there", layer.digest);
                found.ok_or_else(|| FormatError::corrupt(NAME, 0, what()))
            });
            OciLayer::stored(index, layer, image, found, &memory)
        });
        let own_type = (!image).then(|| manifest.config.media_type.clone());
        Ok(Self {
            layers: layers.collect(),
            descriptor: Some(descriptor.clone()),
            media_type: manifest
                .media_type
                .or(Some(descriptor.media_type.clone()))
                .filter(|media_type| !media_type.is_empty()),
            artifact_type: manifest.artifact_type.or(own_type),
            annotations: manifest.annotations,
            subject: manifest.subject,
            config_type: manifest.config.media_type.clone(),
            config_size: manifest.config.size,
            config_digest: Some(manifest.config.digest.clone()),
            config: OnceLock::new(),
            blobs: Some(Arc::clone(blobs)),
            limits: limits.clone(),
        })
    }

    pub(super) fn of_archive(
        tree: &Arc<dyn Tree>,
        listed: &Listed,
        digest: Option<Digest>,
        size: u64,
        config: Config,
        limits: &Limits,
    ) -> Result<Self, FormatError> {
        check_layers(listed.layers.len())?;
        if listed.layers.len() != config.diff_ids.len() {
            let what = format!(
                "`manifest.json` lists {} layers, and the configuration {}",
                listed.layers.len(),
                config.diff_ids.len()
            );
            return Err(FormatError::corrupt(NAME, 0, what));
        }
        let mut found = Vec::new();
        for path in &listed.layers {
            let path = crate::model::path::normalise(path);
            let entry = layout::entry(&**tree, &path)?.ok_or_else(|| {
                let what = format!("the layer `{path}` is not in the archive");
                FormatError::corrupt(NAME, 0, what)
            })?;
            found.push((entry.meta.size, layout::file(&**tree, &entry.path)?));
        }
        let memory = Arc::new(Memory::default());
        let layers = found.into_iter().zip(&config.diff_ids).enumerate();
        let layers = layers.map(|(index, ((size, source), diff_id))| {
            OciLayer::of_archive(
                index,
                diff_id,
                size,
                source.unwrap_or_else(layer::nothing),
                &memory,
            )
        });
        Ok(Self {
            layers: layers.collect(),
            descriptor: None,
            media_type: None,
            artifact_type: None,
            annotations: BTreeMap::new(),
            subject: None,
            config_type: CONFIGS[1].to_owned(),
            config_size: size,
            config_digest: digest,
            config: OnceLock::from(Ok(Some(config))),
            blobs: None,
            limits: limits.clone(),
        })
    }

    /// Gives the bounds that it is read within.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Tells whether it is an image; otherwise it is an artifact.
    #[must_use]
    pub fn is_image(&self) -> bool {
        CONFIGS.contains(&self.config_type.as_str())
    }

    /// Gives the configuration; `None` of an artifact.
    ///
    /// Errors where it is not there, is another than its descriptor says, or
    /// cannot be read.
    pub fn config(&self) -> Result<Option<&Config>, FormatError> {
        let read = || {
            let (Some(blobs), Some(digest), true) =
                (&self.blobs, &self.config_digest, self.is_image())
            else {
                return Ok(None);
            };
            let descriptor = Descriptor {
                media_type: self.config_type.clone(),
                digest: digest.clone(),
                size: self.config_size,
                artifact_type: None,
                annotations: BTreeMap::new(),
                platform: None,
            };
            let bytes = document(&**blobs, &descriptor, &self.limits)?.ok_or_else(|| {
                FormatError::corrupt(NAME, 0, format!("the configuration {digest} is not there"))
            })?;
            let inside = |error: FormatError| error.inside(digest.path());
            Config::read(&bytes).map(Some).map_err(inside)
        };
        let config = self.config.get_or_init(read);
        config.as_ref().map(Option::as_ref).map_err(Clone::clone)
    }

    /// Gives the platform: that of the descriptor, or that of the configuration.
    ///
    /// Errors where the configuration is needed and cannot be read.
    pub fn platform(&self) -> Result<Option<Platform>, FormatError> {
        let said = self.descriptor.as_ref().and_then(|d| d.platform.clone());
        match said {
            Some(platform) => Ok(Some(platform)),
            None => Ok(self.config()?.and_then(|config| config.platform.clone())),
        }
    }

    /// Tells whether it is about the manifest of that digest.
    #[must_use]
    pub fn is_about(&self, digest: &Digest) -> bool {
        let subject = self.subject.as_ref();
        let attests = || {
            let descriptor = self.descriptor.as_ref()?;
            let named = descriptor.annotations.get("vnd.docker.reference.digest")?;
            Some(*named == digest.to_string())
        };
        subject.is_some_and(|subject| subject.digest == *digest) || attests().unwrap_or(false)
    }

    /// Tells whether it is about another manifest: a signature, a bill of
    /// materials, or what BuildKit attests.
    #[must_use]
    pub fn is_about_another(&self) -> bool {
        let attests = self.descriptor.as_ref().is_some_and(|descriptor| {
            let kind = descriptor.annotations.get("vnd.docker.reference.type");
            kind.is_some_and(|kind| kind == "attestation-manifest")
        });
        attests || self.subject.is_some()
    }

    /// Gives what tells it from others: its digest or, in a docker-archive, where
    /// it is.
    pub(super) fn identity(&self) -> (Option<&Digest>, *const Self) {
        match &self.descriptor {
            Some(descriptor) => (Some(&descriptor.digest), std::ptr::null()),
            None => (None, std::ptr::from_ref(self)),
        }
    }

    /// Finds where its documents do not agree.
    ///
    /// Errors where the configuration cannot be read.
    pub fn disagreements(&self) -> Result<Vec<String>, FormatError> {
        let mut found = Vec::new();
        let Some(config) = self.config()? else {
            return Ok(found);
        };
        if let (Some(said), Some(own)) = (self.platform()?, &config.platform)
            && !said.is(&own.to_string())
            && !own.is(&said.to_string())
        {
            found.push(format!("the index says {said}, the config {own}"));
        }
        let (layers, diff_ids) = (self.layers.len(), config.diff_ids.len());
        if layers != diff_ids {
            found.push(format!(
                "the manifest has {layers} layers, the config {diff_ids}"
            ));
        }
        let steps = config
            .history
            .iter()
            .filter(|step| !step.empty_layer)
            .count();
        if !config.history.is_empty() && steps != layers {
            found.push(format!(
                "the history made {steps} layers, and there are {layers}"
            ));
        }
        Ok(found)
    }

    /// Gives the bytes of the manifest, the configuration and the layers, as they
    /// are stored.
    #[must_use]
    pub fn size(&self) -> u64 {
        let manifest = self.descriptor.as_ref().map_or(0, |d| d.size);
        let layers = self.layers.iter().map(|layer| layer.descriptor.size);
        layers.fold(
            manifest.saturating_add(self.config_size),
            u64::saturating_add,
        )
    }

    /// Gives what the configuration says of the digest of a layer, uncompressed.
    pub fn diff_id(&self, layer: &OciLayer) -> Result<Option<&Digest>, FormatError> {
        let stacked = matches!(layer.unpacking, Unpacking::Stack);
        let config = if stacked { self.config()? } else { None };
        Ok(config.and_then(|config| config.diff_ids.get(layer.index)))
    }

    /// Opens all layers at the same time, each once; gives them in their order.
    ///
    /// Errors where one of them cannot be read: a view with a part missing would
    /// let checks pass that saw nothing.
    pub fn open_layers(&self) -> Result<Vec<&layer::Opened>, FormatError> {
        parallel::try_map(&self.layers, 1, |layer| layer.open(&self.limits))
    }
}

fn check_layers(count: usize) -> Result<(), FormatError> {
    match count <= MAX_LAYERS {
        true => Ok(()),
        false => Err(FormatError::Limit {
            format: NAME,
            offset: 0,
            limit: "layers",
            value: MAX_LAYERS as u64,
            remedy: "no system can mount an image of that many",
        }),
    }
}

/// Holds what a layout leads to against the `manifest.json` beside it, and adds
/// the names that only that has.
pub(super) fn compare(references: &mut [Reference], list: &[Listed], problems: &mut Vec<String>) {
    for listed in list {
        let config = listed.config_digest();
        let found = references.iter_mut().find_map(|reference| {
            let pictures = reference.node.pictures();
            let known = |picture: &&&Arc<Picture>| picture.config_digest == config;
            let picture = pictures.iter().find(known).map(|found| Arc::clone(found))?;
            Some((&mut reference.names, picture))
        });
        let Some((names, picture)) = found else {
            let shown = crate::model::value::clip(&listed.config, 100);
            problems.push(format!(
                "`manifest.json` names the configuration `{shown}`, which `index.json` does not lead to"
            ));
            continue;
        };
        names.extend(listed.repo_tags.iter().cloned());
        let layers = picture
            .layers
            .iter()
            .map(|layer| layer.descriptor.digest.path());
        if !layers.eq(listed.layers.iter().cloned()) {
            problems
                .push("`manifest.json` lists other layers than `index.json` leads to".to_owned());
        }
    }
}
