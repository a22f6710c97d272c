//! The manifest of a package, in the form its readers want.
//!
//! Sources: OCI image specification 1.1, `manifest.md`, `config.md`, `annotations.md`; for Flux
//! the media types of `fluxcd/pkg/oci`; for ORAS the annotations of `oras-go`.

use super::contents::{Contents, top};
use super::facts::Facts;
use super::layout::{Blob, Layout};
use crate::generate::recipe::{Format, Package};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io;

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The media type of nothing, which is `{}`.
pub(super) const EMPTY: &str = "application/vnd.oci.empty.v1+json";
const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const IMAGE_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const FLUX_CONFIG: &str = "application/vnd.cncf.flux.config.v1+json";
const FLUX_LAYER: &str = "application/vnd.cncf.flux.content.v1.tar+gzip";
/// What an artifact of separate files is.
const FILES: &str = "application/vnd.tdg.files.v1";
const OCTETS: &str = "application/octet-stream";

/// The name of a file, by which ORAS writes it.
const TITLE: &str = "org.opencontainers.image.title";
/// Says to ORAS that a layer is a folder in an archive.
const UNPACK: &str = "io.deis.oras.content.unpack";
/// The digest of that archive, uncompressed.
const UNPACKED: &str = "io.deis.oras.content.digest";

/// Writes layers, config and manifest; gives the manifest's blob.
pub(super) fn write(
    layout: &Layout,
    package: &Package,
    contents: &Contents,
    facts: &Facts,
) -> io::Result<Blob> {
    let annotations = annotations(package, facts);
    let (config, layers) = match package.format {
        Format::Flux => flux(layout, package, contents, facts)?,
        Format::Image => image(layout, package, contents, facts, &annotations)?,
        Format::Files => files(layout, package, contents)?,
    };
    let artifact = package.media_types.artifact.as_deref();
    let artifact = artifact.or((package.format == Format::Files).then_some(FILES));
    manifest(layout, artifact, &config, &layers, None, &annotations)
}

/// Writes a manifest.
pub(super) fn manifest(
    layout: &Layout,
    artifact: Option<&str>,
    config: &Blob,
    layers: &[Blob],
    subject: Option<&Blob>,
    annotations: &BTreeMap<String, String>,
) -> io::Result<Blob> {
    let mut fields = Map::new();
    fields.insert("schemaVersion".into(), json!(2));
    fields.insert("mediaType".into(), json!(MANIFEST));
    if let Some(artifact) = artifact {
        fields.insert("artifactType".into(), json!(artifact));
    }
    fields.insert("config".into(), config.descriptor().into());
    let layers = layers.iter().map(|layer| Value::from(layer.descriptor()));
    fields.insert("layers".into(), layers.collect());
    if let Some(subject) = subject {
        fields.insert("subject".into(), subject.descriptor().into());
    }
    if !annotations.is_empty() {
        fields.insert("annotations".into(), json!(annotations));
    }
    layout.document(MANIFEST, &fields.into())
}

type Parts = (Blob, Vec<Blob>);

/// One archive, as Flux applies it and ORAS unpacks it.
fn flux(
    layout: &Layout,
    package: &Package,
    contents: &Contents,
    facts: &Facts,
) -> io::Result<Parts> {
    let types = &package.media_types;
    let layer = types.layer.as_deref().unwrap_or(FLUX_LAYER);
    let (layer, diff_id) = layout.stream(layer, |to| contents.archive(to))?;
    let top = top(&contents.files).unwrap_or_else(|| ".".to_owned());
    let layer = layer
        .with(TITLE, top)
        .with(UNPACK, "true")
        .with(UNPACKED, format!("sha256:{diff_id}"));
    let config = image_config(package, facts, &diff_id.to_string(), &BTreeMap::new());
    let media_type = types.config.as_deref().unwrap_or(FLUX_CONFIG);
    Ok((layout.document(media_type, &config)?, vec![layer]))
}

/// One archive, as the layer of an image.
fn image(
    layout: &Layout,
    package: &Package,
    contents: &Contents,
    facts: &Facts,
    labels: &BTreeMap<String, String>,
) -> io::Result<Parts> {
    let types = &package.media_types;
    let layer = types.layer.as_deref().unwrap_or(IMAGE_LAYER);
    let (layer, diff_id) = layout.stream(layer, |to| contents.archive(to))?;
    let config = image_config(package, facts, &diff_id.to_string(), labels);
    let media_type = types.config.as_deref().unwrap_or(IMAGE_CONFIG);
    Ok((layout.document(media_type, &config)?, vec![layer]))
}

/// Each file as a layer of its own, under its name.
fn files(layout: &Layout, package: &Package, contents: &Contents) -> io::Result<Parts> {
    let types = &package.media_types;
    let media_type = types.layer.as_deref().unwrap_or(OCTETS);
    let mut layers = Vec::new();
    for path in contents.files.keys() {
        let (blob, _) = layout.stream(media_type, |to| io::copy(&mut contents.open(path)?, to))?;
        layers.push(blob.with(TITLE, path));
    }
    let media_type = types.config.as_deref().unwrap_or(EMPTY);
    Ok((layout.bytes(media_type, b"{}")?, layers))
}

/// Says what an image is for and what its layer is; of an artifact, the same, where it is known.
fn image_config(
    package: &Package,
    facts: &Facts,
    diff_id: &str,
    labels: &BTreeMap<String, String>,
) -> Value {
    let mut fields = Map::new();
    fields.insert("created".into(), json!(facts.created()));
    let parts = package.platform.as_deref().unwrap_or_default();
    for (name, part) in ["os", "architecture", "variant"]
        .into_iter()
        .zip(parts.split('/'))
    {
        if !part.is_empty() {
            fields.insert(name.into(), json!(part));
        }
    }
    if !labels.is_empty() {
        fields.insert("config".into(), json!({ "Labels": labels }));
    }
    let rootfs = json!({ "type": "layers", "diff_ids": [format!("sha256:{diff_id}")] });
    fields.insert("rootfs".into(), rootfs);
    let step = json!({ "created": facts.created(), "created_by": "tdg generate" });
    fields.insert("history".into(), json!([step]));
    fields.into()
}

/// Says where it is from; what the recipe says counts more.
fn annotations(package: &Package, facts: &Facts) -> BTreeMap<String, String> {
    let mut said = BTreeMap::new();
    let mut say = |name: &str, value: String| {
        said.insert(format!("org.opencontainers.image.{name}"), value);
    };
    let title = match facts.row.is_empty() {
        true => facts.recipe.clone(),
        false => format!("{} {}", facts.recipe, facts.variant),
    };
    say("title", title);
    say("created", facts.created());
    if let Some(source) = &facts.source {
        say("source", source.clone());
    }
    let named = facts.reference != facts.commit;
    let revision = match package.format {
        // As Flux reads and shows it.
        Format::Flux if named => format!("{}@sha1:{}", facts.reference, facts.commit),
        Format::Flux => format!("sha1:{}", facts.commit),
        Format::Image | Format::Files => facts.commit.clone(),
    };
    say("revision", revision);
    if named {
        say("version", facts.reference.clone());
    }
    said.extend(package.annotations.clone());
    // What is said to be nothing is left out.
    said.retain(|_, value| !value.is_empty());
    said
}
