//! The report of a build: a text that is part of the package.
//!
//! It says what the files were made from. How they were judged is no part of it: that a check
//! could not run on one machine must not make it another artifact.

use super::contents::Item;
use super::facts::Facts;
use crate::generate::recipe::Package;
use std::collections::BTreeMap;
use std::fmt::Write;

/// Writes the report, a fact a line.
pub(super) fn text(package: &Package, files: &BTreeMap<String, Item>, facts: &Facts) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "{name}: {value}");
    };
    line("recipe", &facts.recipe);
    line("variant", &facts.variant);
    for (name, value) in &facts.row {
        let value = value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
        line(&format!("matrix.{name}"), &value);
    }
    if let Some(source) = &facts.source {
        line("source", source);
    }
    line("ref", &facts.reference);
    line("commit", &facts.commit);
    line("date", &facts.created());
    if let Some(platform) = &package.platform {
        line("platform", platform);
    }
    for patch in &facts.patches {
        line("patch", &format!("{}  {}", patch.sha256, patch.name));
    }
    for (path, item) in files {
        line(
            "file",
            &format!("{}  {} bytes  {path}", item.sha256, item.size),
        );
    }
    text
}
