//! What Talos cannot read of an extension, or does not take.

use schemars::JsonSchema;
use serde::Serialize;

/// A file that Talos cannot read, or does not take.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "path"))]
pub struct Problem {
    /// The path of the file, without leading `/`.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// The extension it comes from.
    pub layer: String,
    /// What is wrong with it.
    pub problem: String,
}

impl Problem {
    pub(super) fn new(path: &str, layer: &str, problem: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            layer: layer.to_owned(),
            problem: problem.into(),
        }
    }
}
