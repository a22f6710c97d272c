//! What the kind `oci` says of an image or artifact.

use super::referrers::Referrer;
use crate::check::entry::ImagePath;
use crate::format::oci::{Config, Descriptor};
use crate::image::oci::{Form, Node, NodeContent, Picture};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;

/// What is there. Every blob that is looked at is held against the size and the digest of its
/// descriptor; one that differs cannot be judged, and is an error.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// Whether there is an image of that name and platform, with its manifest.
    pub present: bool,
    /// How it is stored: `oci-layout` (a folder, or a registry), `oci-archive` (that in a tar
    /// archive) or `docker-archive`.
    #[schemars(extend("enum" = ["oci-layout", "oci-archive", "docker-archive"]))]
    pub format: String,
    /// Whether there is a `manifest.json`, by which `docker load` finds the image.
    pub docker_manifest: bool,
    /// All names in the layout or archive, such as tags.
    pub refs: Vec<String>,
    /// The tags of its repository; absent where it is in no registry. Those under which older
    /// registries keep what is attached (`sha256-…`) are left out.
    pub tags: Option<Vec<String>>,
    /// Whether everybody may pull it: its manifests and blobs are asked for without credentials,
    /// whatever `docker login` has written down. Absent where it is in no registry.
    pub anonymous: Option<bool>,
    /// What it is: `index` (several manifests), `image` or `artifact`.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = ["index", "image", "artifact"]))]
    pub kind: Option<String>,
    /// The digest of its manifest or index; a docker-archive has none.
    pub digest: Option<String>,
    /// The media type of its manifest or index.
    pub media_type: Option<String>,
    /// What an artifact is; where it does not say it, the media type of its config.
    pub artifact_type: Option<String>,
    /// The digest of what it is about, such as the image it signs.
    pub subject: Option<String>,
    /// What its manifest or index says about it.
    pub annotations: BTreeMap<String, String>,
    /// The platforms whose manifest is there: `linux/arm64`.
    pub platforms: Vec<String>,
    /// The manifests that the index lists, those of indexes in it as well.
    pub manifests: Vec<ListedManifest>,
    /// The digest of the config: what Docker calls the image's id.
    pub image_id: Option<String>,
    /// What the image says about itself; absent of an artifact, and of an index of several images
    /// where no platform is named.
    pub config: Option<ImageConfig>,
    /// The layers, the lowest first. To see them, all of them are decompressed.
    pub layers: Vec<Layer>,
    /// How many layers there are.
    pub layer_count: u64,
    /// The size of manifest, config and layers, as they are stored.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: Option<u64>,
    /// Files that one layer holds more than once; the last one wins.
    pub duplicates: Vec<ImagePath>,
    /// What is attached to it, in its layout or its registry: signatures, attestations. An attached
    /// statement that cannot be read is told in `problems`.
    pub referrers: Vec<Referrer>,
    /// What is odd and no reason to refuse the image: a platform that index and config name
    /// differently, a digest in the config that is not its layer's, data behind the end of a layer,
    /// layers that cannot be laid over one another.
    pub problems: Vec<String>,
}

/// One manifest of an index.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "digest"))]
pub struct ListedManifest {
    /// Its digest.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// What an artifact is.
    pub artifact_type: Option<String>,
    /// The platform that the index names.
    pub platform: Option<String>,
    /// Its size.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: u64,
    /// Whether it is there.
    pub present: bool,
    /// What the index says about it.
    pub annotations: BTreeMap<String, String>,
}

/// What an image says about itself.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct ImageConfig {
    /// The processor: `arm64`, `amd64`.
    pub architecture: Option<String>,
    /// The variant of the processor.
    pub variant: Option<String>,
    /// The operating system: `linux`.
    pub os: Option<String>,
    /// When it was made.
    pub created: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// The user it runs as.
    pub user: Option<String>,
    /// The directory it runs in.
    pub working_dir: Option<String>,
    /// What it runs.
    pub entrypoint: Option<Vec<String>>,
    /// The arguments of that, or what it runs where there is no entrypoint.
    pub cmd: Option<Vec<String>>,
    /// The environment, by name.
    pub env: BTreeMap<String, String>,
    /// The labels.
    pub labels: BTreeMap<String, String>,
    /// The ports it listens at: `8080/tcp`.
    pub exposed_ports: Vec<String>,
    /// The directories that hold what changes.
    pub volumes: Vec<String>,
    /// The signal that ends it.
    pub stop_signal: Option<String>,
    /// How many steps its history has.
    pub history: u64,
}

/// One layer.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "digest"))]
pub struct Layer {
    /// Its place, from 0; `file` names the layer of a file as `layer 0`.
    pub index: u64,
    /// Its digest; in a docker-archive, that of the layer uncompressed.
    pub digest: String,
    /// Its media type.
    pub media_type: String,
    /// Its size as it is stored.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: u64,
    /// How it is compressed, by its content.
    #[schemars(extend("enum" = ["none", "gzip", "zstd", "xz", "lz4"]))]
    pub compression: String,
    /// Whether its digest, uncompressed, is the one in the config; absent of an artifact.
    pub diff_id_ok: Option<bool>,
    /// How many entries it has; absent of a layer that is no archive.
    pub entries: Option<u64>,
    /// How many of them take something of the layers below away.
    pub whiteouts: u64,
    /// The name of the file that it is, in an artifact.
    pub title: Option<String>,
    /// What the manifest says about it.
    pub annotations: BTreeMap<String, String>,
}

impl From<(&Descriptor, bool)> for ListedManifest {
    fn from((descriptor, present): (&Descriptor, bool)) -> Self {
        Self {
            digest: descriptor.digest.to_string(),
            media_type: descriptor.media_type.clone(),
            artifact_type: descriptor.artifact_type.clone(),
            platform: descriptor.platform.as_ref().map(ToString::to_string),
            size: descriptor.size,
            present,
            annotations: descriptor.annotations.clone(),
        }
    }
}

/// The problem of what is not there: nothing was looked at, which is never fine.
pub(super) const NO_IMAGE: &str = "there is no such image";

impl Evidence {
    /// Says that there is nothing.
    pub(super) fn absent(form: Form) -> Self {
        Self {
            format: form.name().to_owned(),
            problems: vec![NO_IMAGE.to_owned()],
            ..Self::default()
        }
    }

    pub(super) fn of_picture(&mut self, picture: &Picture) {
        let kind = if picture.is_image() {
            "image"
        } else {
            "artifact"
        };
        self.kind = Some(kind.to_owned());
        self.digest = picture.descriptor.as_ref().map(|d| d.digest.to_string());
        self.media_type = picture.media_type.clone();
        self.artifact_type = picture.artifact_type.clone();
        self.subject = picture.subject.as_ref().map(|d| d.digest.to_string());
        self.annotations = picture.annotations.clone();
        self.image_id = picture.config_digest.as_ref().map(ToString::to_string);
        self.layer_count = picture.layers.len() as u64;
        self.size = Some(picture.size());
    }

    pub(super) fn of_index(&mut self, node: &Node) {
        let (Some(descriptor), NodeContent::Index(index, _)) = (&node.descriptor, &node.content)
        else {
            return;
        };
        self.kind = Some("index".to_owned());
        self.digest = Some(descriptor.digest.to_string());
        self.media_type = Some(descriptor.media_type.clone()).filter(|said| !said.is_empty());
        self.media_type = self.media_type.take().or(index.media_type.clone());
        self.artifact_type = index.artifact_type.clone();
        self.subject = index.subject.as_ref().map(|d| d.digest.to_string());
        self.annotations = index.annotations.clone();
    }
}

/// Takes over what an image says about itself; what is odd in that goes to `problems`.
pub(super) fn facts(config: &Config, problems: &mut Vec<String>) -> ImageConfig {
    let mut env = BTreeMap::new();
    for variable in &config.env {
        match variable.split_once('=') {
            Some((name, value)) => {
                if env.insert(name.to_owned(), value.to_owned()).is_some() {
                    problems.push(format!("config: `{name}` is set twice; the last one wins"));
                }
            }
            None => problems.push(format!(
                "config: `{variable}` in the environment has no value"
            )),
        }
    }
    ImageConfig {
        architecture: config.architecture.clone(),
        variant: config.variant.clone(),
        os: config.os.clone(),
        created: config.created.clone(),
        author: config.author.clone(),
        user: config.user.clone(),
        working_dir: config.working_dir.clone(),
        entrypoint: config.entrypoint.clone(),
        cmd: config.cmd.clone(),
        env,
        labels: config.labels.clone(),
        exposed_ports: config.exposed_ports.clone(),
        volumes: config.volumes.clone(),
        stop_signal: config.stop_signal.clone(),
        history: config.history.len() as u64,
    }
}
