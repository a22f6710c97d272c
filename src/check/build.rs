//! `build`: the record of the last build: its steps, and whether its artifacts are fresh.

use super::{Context, Kind, ProbeError, SubjectUse};
use crate::model::Address;
use crate::probe::record::BuildRecord;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind.
pub struct TheKind;

/// Which build.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// The variant: the matrix values joined by `-`; `default` for a recipe without a matrix.
    pub variant: Option<String>,
}

/// What `tdg generate` did and found.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// Whether every step exited with 0 and every artifact is fresh.
    pub ok: bool,
    /// The commit of the upstream.
    pub commit: String,
    /// The name the recipe has for it.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The patches, in order.
    pub patches: Vec<Patch>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The artifacts.
    pub artifacts: Vec<Artifact>,
    /// Which attempt it was, counted from 1.
    pub attempt: u64,
}

/// One patch of the series.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "name"))]
pub struct Patch {
    /// Its name in the series.
    pub name: String,
    /// Its digest.
    pub sha256: String,
}

/// One step.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "command"))]
pub struct Step {
    /// The command.
    pub command: String,
    /// Its exit code; absent where a signal or a time-out ended it.
    pub exit_code: Option<i32>,
    /// How long it took.
    #[schemars(extend("x-unit" = "seconds", "x-volatile" = true))]
    pub duration: f64,
}

/// One artifact.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "path"))]
pub struct Artifact {
    /// Its name as the recipe has it.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// Its size; absent where it was not written.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: Option<u64>,
    /// Its digest; absent where it was not written.
    pub sha256: Option<String>,
    /// Whether this build wrote it.
    pub fresh: bool,
}

impl Kind for TheKind {
    const NAME: &'static str = "build";
    const SUMMARY: &'static str = "the last build of `tdg generate`: steps, fresh artifacts";
    const MAIN: Option<&'static str> = Some("variant");
    const SUBJECT: SubjectUse = SubjectUse::None;
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: make succeeded and wrote what it says
  build: spin-only
  expect:
    ok: true
    artifacts: { every: { fresh: true }, contain: [kernel-arm64, initramfs-metal-arm64.xz] }";
    const DESCRIBES: &'static [&'static str] = &["ok", "artifacts"];
    type Args = Args;
    type Evidence = Evidence;

    fn observe(
        args: Args,
        _subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let variant = args.variant.as_deref().unwrap_or("default");
        let path = BuildRecord::place(context.root, variant);
        let record = BuildRecord::read(&path).map_err(|error| {
            let path = path.display();
            ProbeError::new(format!(
                "no record of a build of `{variant}` ({path}): {error}"
            ))
            .remedy("build it first: tdg generate; or name the project with --root")
        })?;
        let collected = [format!("_out/assets/{variant}/"), "_out/assets/".to_owned()];
        let name = |path: &str| {
            let name = collected
                .iter()
                .find_map(|folder| path.strip_prefix(folder));
            name.unwrap_or(path).to_owned()
        };
        let stepped = !record.steps.is_empty() && record.steps.iter().all(|s| s.exit == Some(0));
        let fresh = !record.artifacts.is_empty() && record.artifacts.iter().all(|a| a.fresh);
        Ok(Evidence {
            ok: stepped && fresh,
            commit: record.commit,
            reference: record.reference,
            patches: record
                .series
                .into_iter()
                .map(|p| Patch {
                    name: p.name,
                    sha256: p.sha256,
                })
                .collect(),
            steps: record
                .steps
                .into_iter()
                .map(|s| Step {
                    command: s.command,
                    exit_code: s.exit,
                    duration: s.duration_s,
                })
                .collect(),
            artifacts: record
                .artifacts
                .into_iter()
                .map(|a| Artifact {
                    path: name(&a.path),
                    size: a.bytes,
                    sha256: a.sha256,
                    fresh: a.fresh,
                })
                .collect(),
            attempt: record.attempt.into(),
        })
    }
}
