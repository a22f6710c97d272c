//! `oci`: an OCI image or artifact, in a layout, an oci-archive, a docker-archive or a registry.

mod evidence;
mod layers;
mod referrers;
mod registry;

use super::{Context, Kind, ProbeError, SubjectUse};
use crate::format::FormatError;
use crate::format::oci::Digest;
use crate::image::oci::{Form, NodeContent, Oci, Picture, Reference};
use crate::model::Address;
pub use evidence::Evidence;
use evidence::{ListedManifest, NO_IMAGE};
use registry::Repository;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeSet;
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
    const DESCRIBES: &'static [&'static str] = &[
        "present",
        "format",
        "type",
        "digest",
        "platforms",
        "config",
        "layers",
        "problems",
    ];
    type Args = Args;
    type Evidence = Evidence;

    fn observe(
        args: Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let subject = subject.ok_or_else(|| ProbeError::new("no image is named"))?;
        let repository = Repository::of(subject, context)?;
        let image = match context.image(subject) {
            Ok(image) => image,
            Err(error) => {
                // That it is not there is something seen, where the registry itself says so.
                let repository = repository.filter(Repository::lacks_it);
                let repository = repository.ok_or(error)?;
                let mut seen = Evidence::absent(Form::Layout);
                seen.ask(&repository, context)?;
                return Ok(seen);
            }
        };
        let oci = image.oci()?.ok_or_else(|| {
            ProbeError::new(format!(
                "{subject} is no OCI image: it holds neither `oci-layout` and `index.json` nor the \
                 `manifest.json` of a docker-archive"
            ))
            .remedy("name the folder or the tar archive of an image")
        })?;
        let said = |error| image.failed(error).into();
        let mut seen = evidence(oci, &args, context, &said)?;
        if let Some(repository) = &repository {
            seen.ask(repository, context)?;
        }
        let digest = seen.digest.as_deref();
        if let Some(digest) = digest.and_then(|digest| Digest::parse(digest).ok())
            && context.wants("referrers")
        {
            let attached = match &repository {
                Some(repository) => repository.attached(&digest, context)?,
                None => referrers::held(oci, &digest),
            };
            seen.look_at_referrers(&digest, &attached)?;
        }
        Ok(seen)
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
    let pictures = if unknown {
        Vec::new()
    } else {
        oci.pictures_of(chosen)
    };
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
    let index = chosen
        .map(|reference| &*reference.node)
        .filter(|node| args.platform.is_none() && matches!(node.content, NodeContent::Index(..)));
    let missing = unknown || args.platform.is_some() && picture.is_none();
    let mut seen = Evidence {
        present: !missing && !pictures.is_empty(),
        format: oci.form.name().to_owned(),
        docker_manifest: oci.docker,
        refs: oci
            .references
            .iter()
            .flat_map(|r| r.names.iter().cloned())
            .collect(),
        platforms: platforms.into_iter().collect(),
        problems: oci.problems.clone(),
        ..Evidence::default()
    };
    if !seen.present {
        seen.problems.push(NO_IMAGE.to_owned());
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
        seen.config = config.map(|config| evidence::facts(config, &mut seen.problems));
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
            let what = format!(
                "`{asked}` is {} images: {}",
                several.len(),
                names.join(", ")
            );
            Err(ProbeError::new(what).remedy("name one of them"))
        }
    }
}
