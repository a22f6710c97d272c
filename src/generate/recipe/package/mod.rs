//! `package`: what becomes of artifacts that hold.

mod read;

use super::Artifacts;
use crate::model::value::Value;
use crate::spec::vars::Scope;
use crate::spec::{Diagnostic, Diagnostics, Node, NodeKind};
use read::read;
use serde_json::Map;
use std::collections::BTreeMap;
use std::fmt;

/// The name of the file of checksums, below the prefix.
pub const CHECKSUMS: &str = "checksums.sha256";
/// The name of the report of the build, below the prefix.
pub const REPORT: &str = "validation/build-report.txt";

/// How the artifacts of a variant are packaged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// The repository it is pushed to, as in `ghcr.io/owner/name`.
    pub repository: Option<String>,
    /// Its tags there.
    pub tags: Vec<String>,
    /// Its form.
    pub format: Format,
    /// What it is for: `linux/arm64`.
    pub platform: Option<String>,
    /// The folder that everything lies in; empty for none.
    pub prefix: String,
    /// The artifacts by their names, and their places below the prefix.
    pub files: BTreeMap<String, String>,
    /// What is said about it, beside what is said anyway.
    pub annotations: BTreeMap<String, String>,
    /// Media types that replace those of its form.
    pub media_types: MediaTypes,
    /// Whether it is pushed without being asked for.
    pub push: bool,
}

/// The form of a package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// One archive, as Flux applies it and ORAS unpacks it.
    #[default]
    Flux,
    /// An image of one layer, as engines pull it and builds copy from it.
    Image,
    /// A layer for each file, as ORAS pulls them.
    Files,
}

/// Media types of a package's parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MediaTypes {
    /// What the artifact is.
    pub artifact: Option<String>,
    /// What its config is.
    pub config: Option<String>,
    /// What a layer is.
    pub layer: Option<String>,
}

/// What is known of a build only once it is made: `${{ build.NAME }}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildValues {
    /// The variant.
    pub variant: String,
    /// The name the recipe gives the commit.
    pub reference: String,
    /// The upstream's commit.
    pub commit: String,
    /// When it was made, `20261127`.
    pub date: String,
}

/// `package` as written: read again once the build's values are known.
#[derive(Clone, PartialEq)]
pub struct PackageTemplate {
    node: Node,
    scope: Scope,
    artifacts: Artifacts,
    /// It with sample values of a build: everything else is as it will be.
    pub sample: Package,
}

impl fmt::Debug for PackageTemplate {
    // The scope holds the environment, which is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sample.fmt(f)
    }
}

impl Package {
    /// Gives the path of a file in the package.
    pub fn place(&self, file: &str) -> String {
        match self.prefix.as_str() {
            "" => file.to_owned(),
            prefix => format!("{prefix}/{file}"),
        }
    }

    /// Lists what it is pushed as: `ghcr.io/owner/name:tag`.
    pub fn references(&self) -> Vec<String> {
        let repository = self.repository.iter();
        let tagged = repository.flat_map(|r| self.tags.iter().map(move |t| format!("{r}:{t}")));
        tagged.collect()
    }
}

impl BuildValues {
    /// Gives values of no build, in the form that real ones have.
    fn sample(variant: &str, reference: &str) -> Self {
        Self {
            variant: variant.to_owned(),
            reference: reference.to_owned(),
            commit: "0123456789abcdef0123456789abcdef01234567".into(),
            date: "20000101".into(),
        }
    }

    fn values(&self) -> Map<String, Value> {
        let short = self.commit.get(..12).unwrap_or(&self.commit);
        let pairs = [
            ("variant", self.variant.as_str()),
            ("ref", &self.reference),
            ("commit", &self.commit),
            ("short", short),
            ("date", &self.date),
        ];
        pairs
            .map(|(name, value)| (name.to_owned(), value.into()))
            .into_iter()
            .collect()
    }
}

impl PackageTemplate {
    /// Reads `package` for a variant, with everything in it that a build does not decide.
    pub(super) fn read(
        node: &Node,
        scope: &Scope,
        artifacts: &Artifacts,
        (variant, reference): (&str, &str),
        diagnostics: &mut Diagnostics,
    ) -> Option<Self> {
        let values = BuildValues::sample(variant, reference);
        let sample = read(node, scope, artifacts, &values, diagnostics)?;
        Some(Self {
            node: node.clone(),
            scope: scope.clone(),
            artifacts: artifacts.clone(),
            sample,
        })
    }

    /// Lists the tags as they are written.
    pub fn tags(&self) -> Vec<String> {
        let text = |node: &Node| node.as_text().map(str::to_owned);
        match self.node.get("tags") {
            None => Vec::new(),
            Some(node) => match &node.kind {
                NodeKind::List(tags) => tags.iter().filter_map(text).collect(),
                _ => text(node).into_iter().collect(),
            },
        }
    }

    /// Puts a build's values in.
    ///
    /// # Errors
    /// Says what is wrong with the values that are put in, such as a tag that is none.
    pub fn fill(&self, values: &BuildValues) -> Result<Package, String> {
        let mut diagnostics = Diagnostics::default();
        let package = read(
            &self.node,
            &self.scope,
            &self.artifacts,
            values,
            &mut diagnostics,
        );
        match package.filter(|_| diagnostics.is_empty()) {
            Some(package) => Ok(package),
            None => {
                let said: Vec<String> = diagnostics
                    .sorted()
                    .into_iter()
                    .map(|d| d.message.clone())
                    .collect();
                Err(said.join("; "))
            }
        }
    }
}

/// Reports a reference that two variants would be pushed as: the second would take the place of
/// the first.
pub(super) fn shared<'p>(
    packages: impl Iterator<Item = (&'p str, &'p Package)>,
    node: &Node,
    diagnostics: &mut Diagnostics,
) {
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (variant, package) in packages {
        for reference in package.references() {
            if let Some(other) = seen.insert(reference.clone(), variant) {
                let span = node.get("tags").unwrap_or(node).span;
                diagnostics.push(
                    Diagnostic::new(
                        span,
                        format!("{other} and {variant} would both be {reference}"),
                    )
                    .help("put `${{ build.variant }}` into `oci` or into each of the `tags`"),
                );
            }
        }
    }
}
