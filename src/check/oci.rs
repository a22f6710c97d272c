//! `oci`: an OCI image or artifact, in a layout, an oci-archive or a docker-archive.

use super::entry::ImagePath;
use super::{Context, Kind, ProbeError, SubjectUse};
use crate::format::FormatError;
use crate::format::oci::{Config, Descriptor};
use crate::image::oci::{Node, NodeContent, Oci, OciLayer, Picture, Reference, whiteouts};
use crate::model::Address;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The kind.
pub struct TheKind;

/// Which image.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// The name that leads to it: a whole name, or only its tag. Left out, the only one there is.
    #[serde(rename = "ref")]
    pub reference: Option<String>,
    /// The platform of an index: `linux/arm64`, `linux/arm/v7`. Left out, the evidence is about the
    /// index; config and layers are those of its image where there is only one.
    pub platform: Option<String>,
}

/// What is there. Every blob that is looked at is held against the size and the digest of its
/// descriptor; one that differs cannot be judged, and is an error.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// Whether there is an image of that name and platform, with its manifest.
    pub present: bool,
    /// How it is stored: `oci-layout` (a folder), `oci-archive` (that in a tar archive) or
    /// `docker-archive`.
    #[schemars(extend("enum" = ["oci-layout", "oci-archive", "docker-archive"]))]
    pub format: String,
    /// Whether there is a `manifest.json`, by which `docker load` finds the image.
    pub docker_manifest: bool,
    /// All names in the layout or archive, such as tags.
    pub refs: Vec<String>,
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

impl Kind for TheKind {
    const NAME: &'static str = "oci";
    const SUMMARY: &'static str = "an OCI image or artifact: manifest, config, platforms, layers";
    const MAIN: Option<&'static str> = Some("ref");
    const SUBJECT: SubjectUse = SubjectUse::Required;
    // What is costly is seen only where it is asked for.
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: the installer is an ARM64 image of the right version
  oci: v1.13.6
  in: _out/assets/installer-arm64.tar
  expect:
    present: true
    config: { os: linux, architecture: arm64 }
    layers: { every: { diff-id-ok: true } }
    problems: { len: 0 }";
    const DESCRIBES: &'static [&'static str] =
        &["present", "format", "type", "digest", "platforms", "config", "layers", "problems"];
    type Args = Args;
    type Evidence = Evidence;

    fn observe(
        args: Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let subject = subject.ok_or_else(|| ProbeError::new("no image is named"))?;
        let image = context.image(subject)?;
        let oci = image.oci()?.ok_or_else(|| {
            ProbeError::new(format!(
                "{subject} is no OCI image: it holds neither `oci-layout` and `index.json` nor the \
                 `manifest.json` of a docker-archive"
            ))
            .remedy("name the folder or the tar archive of an image")
        })?;
        evidence(oci, &args, context, &|error| image.failed(error).into())
    }
}

/// Says how an error names where it happened.
type Said<'s> = dyn Fn(FormatError) -> ProbeError + 's;

/// Gathers what is asked for, wherever the blobs are.
fn evidence(
    oci: &Oci,
    args: &Args,
    context: &Context<'_>,
    said: &Said<'_>,
) -> Result<Evidence, ProbeError> {
    let chosen = choose(oci, args.reference.as_deref())?;
    let unknown = args.reference.is_some() && chosen.is_none();
    let pictures = if unknown { Vec::new() } else { oci.pictures_of(chosen) };
    let mut platforms = BTreeSet::new();
    for picture in &pictures {
        platforms.extend(picture.platform().map_err(said)?.map(|p| p.to_string()));
    }
    let picture = match args.platform.as_deref() {
        Some(asked) => on(asked, &pictures, said)?,
        None if pictures.len() == 1 => pictures.first().copied(),
        None => None,
    };
    // Of an index, what is said is about the index until a platform is named.
    let index = chosen.map(|reference| &*reference.node).filter(|node| {
        args.platform.is_none() && matches!(node.content, NodeContent::Index(..))
    });
    let missing = unknown || args.platform.is_some() && picture.is_none();
    let mut seen = Evidence {
        present: !missing && !pictures.is_empty(),
        format: oci.form.name().to_owned(),
        docker_manifest: oci.docker,
        refs: oci.references.iter().flat_map(|r| r.names.iter().cloned()).collect(),
        platforms: platforms.into_iter().collect(),
        problems: oci.problems.clone(),
        ..Evidence::default()
    };
    if !seen.present {
        // Nothing was looked at, which is never fine.
        seen.problems.push("there is no such image".to_owned());
    }
    if !missing {
        let listed = oci.listed(chosen).into_iter();
        seen.manifests = listed.map(ListedManifest::from).collect();
    }
    if let Some(picture) = picture {
        for layer in &picture.layers {
            // Cheap, and a layer that is not there is never fine.
            layer.check_size().map_err(said)?;
        }
        let config = picture.config().map_err(said)?;
        seen.of_picture(picture);
        seen.config = config.map(|config| facts(config, &mut seen.problems));
        seen.look_at_layers(picture, context).map_err(said)?;
        seen.problems.extend(picture.disagreements().map_err(said)?);
    }
    if let Some(node) = index {
        seen.of_index(node);
    }
    Ok(seen)
}

/// Finds what a name leads to; without a name, the only thing there is.
fn choose<'o>(oci: &'o Oci, name: Option<&str>) -> Result<Option<&'o Reference>, ProbeError> {
    let found = match name {
        Some(name) => oci.named(name),
        None if oci.references.len() == 1 => oci.references.iter().collect(),
        None => return Ok(None),
    };
    match found.as_slice() {
        [] => Ok(None),
        [only] => Ok(Some(only)),
        several => Err(ProbeError::new(format!(
            "the tag `{}` leads to {} different images",
            name.unwrap_or_default(),
            several.len()
        ))
        .remedy("write the whole name")),
    }
}

/// Finds the image for a platform.
fn on<'p>(
    asked: &str,
    pictures: &[&'p Arc<Picture>],
    said: &Said<'_>,
) -> Result<Option<&'p Arc<Picture>>, ProbeError> {
    let mut found = Vec::new();
    for picture in pictures {
        if let Some(platform) = picture.platform().map_err(said)? {
            if platform.to_string() == asked {
                return Ok(Some(picture));
            }
            if platform.is(asked) {
                found.push((*picture, platform.to_string()));
            }
        }
    }
    match found.as_slice() {
        [] => Ok(None),
        [(only, _)] => Ok(Some(only)),
        several => {
            let names: Vec<&str> = several.iter().map(|(_, name)| name.as_str()).collect();
            let what = format!("`{asked}` is {} images: {}", several.len(), names.join(", "));
            Err(ProbeError::new(what).remedy("name one of them"))
        }
    }
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

impl Evidence {
    fn of_picture(&mut self, picture: &Picture) {
        let kind = if picture.is_image() { "image" } else { "artifact" };
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

    fn of_index(&mut self, node: &Node) {
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

    /// Opens the layers where something is asked that only they tell.
    fn look_at_layers(
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
            self.problems.push(format!("it cannot be unpacked: {error}"));
        }
        Ok(())
    }

    fn layer(&mut self, picture: &Picture, layer: &OciLayer) -> Result<Layer, FormatError> {
        let opened = layer.open(picture.limits())?;
        let members = opened.tar.as_ref().map(|tar| tar.members());
        if let Some(tar) = &opened.tar {
            let twice = tar.duplicates().into_iter();
            self.duplicates.extend(twice.map(|path| ImagePath(path.to_owned())));
            if let Some(at) = tar.trailing() {
                let name = layer.name();
                self.problems.push(format!("{name}: data behind its end, at byte {at}"));
            }
        }
        let diff_id_ok = match picture.diff_id(layer)? {
            Some(diff_id) => Some(layer.has_diff_id(diff_id, picture.limits())?),
            None => None,
        };
        if diff_id_ok == Some(false) {
            let name = layer.name();
            self.problems.push(format!("{name}: its digest, uncompressed, is not the config's"));
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

fn facts(config: &Config, problems: &mut Vec<String>) -> ImageConfig {
    let mut env = BTreeMap::new();
    for variable in &config.env {
        match variable.split_once('=') {
            Some((name, value)) => {
                if env.insert(name.to_owned(), value.to_owned()).is_some() {
                    problems.push(format!("config: `{name}` is set twice; the last one wins"));
                }
            }
            None => problems.push(format!("config: `{variable}` in the environment has no value")),
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
