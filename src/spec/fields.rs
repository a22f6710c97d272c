//! The common fields of specs and checks, typed through the same shapes as arguments.

use super::args::typed;
use super::diagnostic::{Diagnostic, Diagnostics};
use super::document::Node;
use crate::model::shape::Shape;
use crate::model::size::LONGEST;
use jiff::civil::Date;
use schemars::JsonSchema;
use semver::VersionReq;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// Reads a node as a Rust type, by the shape the type derives.
///
/// Returns `None` after reporting what does not fit.
pub fn read<T: DeserializeOwned + JsonSchema>(
    node: &Node,
    diagnostics: &mut Diagnostics,
) -> Option<T> {
    let value = typed(node, &Shape::of::<T>(), diagnostics)?;
    match serde_json::from_value(value) {
        Ok(value) => Some(value),
        Err(error) => {
            // Bounds of numbers are not part of a shape: a negative count ends up here.
            diagnostics.push(out_of_range(node, &error.to_string()));
            None
        }
    }
}

/// Says that a value of the right shape is still none that can be.
pub(crate) fn out_of_range(node: &Node, error: &str) -> Diagnostic {
    let error = ["u8", "u16", "u32", "u64", "usize"]
        .iter()
        .fold(error.to_owned(), |said, name| {
            said.replace(
                &format!("expected {name}"),
                "expected a whole number from 0 on",
            )
        });
    Diagnostic::new(node.span, "not a value this can have").label(error)
}

/// What has to be here for a check to run; without it the check is skipped, which is no pass.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Requires {
    /// Programs, found through `PATH`; with a range where the version matters: `yq >=4.35.1`.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Environment variables that have to be set.
    #[serde(default)]
    pub env: Vec<String>,
    /// Files that have to exist.
    #[serde(default)]
    pub files: Vec<String>,
    /// What the machine has to offer: `root`, `kvm`, `linux`.
    #[serde(default)]
    pub capabilities: Vec<Capability>,
    /// The version of tdg, e.g. `>=0.1`.
    pub tdg: Option<String>,
}

/// Something a machine may offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// The checks run as user 0.
    Root,
    /// `/dev/kvm` can be opened.
    Kvm,
    /// The operating system is Linux.
    Linux,
}

impl Requires {
    /// Adds what another set requires.
    pub fn extend(&mut self, other: Requires) {
        self.tools.extend(other.tools);
        self.env.extend(other.env);
        self.files.extend(other.files);
        self.capabilities.extend(other.capabilities);
        self.tdg = other.tdg.or(self.tdg.take());
    }
}

/// A required program and, where it matters, the range its version has to be in.
#[derive(Clone, Debug, PartialEq)]
pub struct ToolRequirement {
    /// The program's name.
    pub name: String,
    /// The range.
    pub version: Option<VersionReq>,
}

impl ToolRequirement {
    /// Reads `name` or `name >=1.2`.
    ///
    /// # Errors
    /// Says what is wrong with the range.
    pub fn parse(text: &str) -> Result<Self, String> {
        let end = text
            .find(['<', '>', '=', '~', '^', ' '])
            .unwrap_or(text.len());
        let (name, range) = text.split_at(end);
        let range = range.trim();
        let version = if range.is_empty() {
            None
        } else {
            Some(VersionReq::parse(range).map_err(|e| format!("`{range}` is no range: {e}"))?)
        };
        if name.is_empty() {
            return Err(format!("`{text}` names no program"));
        }
        Ok(Self {
            name: name.to_owned(),
            version,
        })
    }
}

/// Reads `requires`: a map, or a list of programs.
pub(super) fn requires(node: &Node, diagnostics: &mut Diagnostics) -> Option<Requires> {
    use super::document::NodeKind;
    let requires = if matches!(node.kind, NodeKind::List(_) | NodeKind::Text(_)) {
        Requires {
            tools: read(node, diagnostics)?,
            ..Requires::default()
        }
    } else {
        read::<Requires>(node, diagnostics)?
    };
    for tool in &requires.tools {
        if let Err(why) = ToolRequirement::parse(tool) {
            diagnostics.push(
                Diagnostic::new(node.span, why).help("write `tools: [git, \"yq >=4.35.1\"]`"),
            );
        }
    }
    if let Some(range) = &requires.tdg
        && let Err(error) = VersionReq::parse(range)
    {
        diagnostics.push(Diagnostic::new(
            node.span,
            format!("`{range}` is no range: {error}"),
        ));
    }
    Some(requires)
}

/// How often a check is tried again when it does not pass.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Retry {
    /// How many times it runs at most, the first time included.
    pub attempts: u32,
    /// How long to wait between two tries.
    #[serde(default)]
    #[schemars(extend("x-unit" = "seconds"))]
    pub delay: f64,
}

/// A known fault: until the date a failure is a skip.
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Quarantine {
    /// Where the fault is tracked.
    pub issue: String,
    /// The last day it is tolerated, as `YYYY-MM-DD`.
    pub until: String,
}

/// Reads `retry`.
pub(super) fn retry(node: &Node, diagnostics: &mut Diagnostics) -> Option<Retry> {
    let retry: Retry = read(node, diagnostics)?;
    if retry.attempts == 0 {
        diagnostics.push(
            Diagnostic::new(node.span, "a check without an attempt never runs")
                .help("give `attempts` 2 or more"),
        );
    }
    if retry.delay < 0.0 {
        diagnostics.push(
            Diagnostic::new(node.span, "no delay is shorter than none")
                .help("write a duration such as `2s`"),
        );
    }
    Some(retry)
}

/// Reads `quarantine`, whose date has to be one.
pub(super) fn quarantine(node: &Node, diagnostics: &mut Diagnostics) -> Option<Quarantine> {
    let quarantine: Quarantine = read(node, diagnostics)?;
    if quarantine.until.parse::<Date>().is_err() {
        diagnostics.push(
            Diagnostic::new(node.span, format!("`{}` is not a date", quarantine.until))
                .help("write `until: 2027-01-31`"),
        );
    }
    Some(quarantine)
}

/// Reads a duration that is more than nothing.
pub(super) fn duration(node: &Node, diagnostics: &mut Diagnostics) -> Option<Duration> {
    let shape = Shape::Number(crate::model::shape::Unit::Seconds);
    let seconds = typed(node, &shape, diagnostics)?.as_f64()?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() && duration <= LONGEST => Some(duration),
        _ => {
            diagnostics.push(
                Diagnostic::new(node.span, "this is no time a check can take")
                    .help("write a duration such as `90s`"),
            );
            None
        }
    }
}
