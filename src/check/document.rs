//! `document`: YAML, JSON or TOML, asked by path.

use super::{Context, Kind, ProbeError, RestsOn, SubjectUse};
use crate::model::Address;
use crate::model::value::Value;
use jsonpath_rust::JsonPath;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The kind.
pub struct TheKind;

/// What to read, and which part of it.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// A JSONPath (RFC 9535) such as `$.input.systemExtensions[*].imageRef`; the whole document
    /// where left out.
    pub path: Option<String>,
    /// The document inside the subject (an image or a folder); the subject itself where left out.
    pub file: Option<String>,
    /// Its format; by the name's ending where left out.
    pub format: Option<Format>,
    /// Which document of a YAML stream, counted from 0.
    pub index: Option<u32>,
}

/// A document's format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// YAML 1.2, one or several documents.
    Yaml,
    /// JSON.
    Json,
    /// TOML 1.0.
    Toml,
}

/// What the path leads to.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// The format it was read as.
    pub format: Format,
    /// How many documents the file holds.
    pub documents: u64,
    /// How many values the path leads to.
    pub found: u64,
    /// The first of them; absent where there is none.
    pub value: Value,
    /// All of them.
    pub values: Vec<Value>,
}

impl Kind for TheKind {
    const NAME: &'static str = "document";
    const SUMMARY: &'static str = "YAML, JSON or TOML by JSONPath";
    const MAIN: Option<&'static str> = Some("path");
    const SUBJECT: SubjectUse = SubjectUse::Required;
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: the profile is for ARM64
  document: $.arch
  in: images/talos/profiles/initramfs.yaml
  expect: { value: arm64 }";
    type Args = Args;
    type Evidence = Evidence;

    fn validate(args: &Args) -> Result<(), ProbeError> {
        let path = args.path.as_deref().unwrap_or("$");
        let parsed = jsonpath_rust::parser::parse_json_path(path);
        parsed
            .map(drop)
            .map_err(|e| ProbeError::new(format!("`{path}` is not a JSONPath: {}", last_line(&e))))
    }

    fn rests_on(_: &Args, subject: Option<&Address>) -> RestsOn {
        RestsOn::subject(subject)
    }

    fn observe(
        args: Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let subject = subject.ok_or_else(|| ProbeError::new("no document is named"))?;
        let (name, text) = match &args.file {
            Some(file) => (
                file.clone(),
                super::file::text_inside(context, subject, file)?,
            ),
            None => (
                subject.to_string(),
                super::file::text_of(context, subject, MAX_DOCUMENT)?,
            ),
        };
        let format = args.format.unwrap_or_else(|| by_name(&name));
        let documents = read(&text, format).map_err(|e| {
            ProbeError::new(format!("{name} is not {}: {e}", show(format)))
                .remedy("where it is another format, say so with `format:`")
        })?;
        let count = documents.len() as u64;
        let index = args.index.unwrap_or(0) as usize;
        let root = documents.into_iter().nth(index).ok_or_else(|| {
            ProbeError::new(format!(
                "{name} holds {count} documents; there is no number {index}"
            ))
        })?;
        let path = args.path.as_deref().unwrap_or("$");
        let found = root.query(path).map_err(|e| {
            ProbeError::new(format!("`{path}` is not a JSONPath: {}", last_line(&e)))
        })?;
        let values: Vec<Value> = found.into_iter().cloned().collect();
        Ok(Evidence {
            format,
            documents: count,
            found: values.len() as u64,
            value: values.first().cloned().unwrap_or(Value::Null),
            values,
        })
    }
}

/// A document is read up to this size; larger ones are no configuration.
const MAX_DOCUMENT: u64 = 32 << 20;

/// The last line of what a parser says is the one that names the fault.
fn last_line(error: &impl std::fmt::Display) -> String {
    let text = error.to_string();
    let line = text.lines().last().unwrap_or_default();
    line.trim_start_matches([' ', '=']).to_owned()
}

fn show(format: Format) -> &'static str {
    match format {
        Format::Yaml => "YAML",
        Format::Json => "JSON",
        Format::Toml => "TOML",
    }
}

fn by_name(name: &str) -> Format {
    match Path::new(name).extension().and_then(|e| e.to_str()) {
        Some("json") => Format::Json,
        Some("toml") => Format::Toml,
        _ => Format::Yaml,
    }
}

fn read(text: &str, format: Format) -> Result<Vec<Value>, String> {
    match format {
        Format::Json => serde_json::from_str(text)
            .map(|v| vec![v])
            .map_err(|e| e.to_string()),
        Format::Toml => toml::from_str(text)
            .map(|v| vec![v])
            .map_err(|e| e.to_string()),
        Format::Yaml => {
            let options = serde_saphyr::options! { strict_booleans: true };
            serde_saphyr::from_multiple_with_options(text, options).map_err(|e| e.to_string())
        }
    }
}
