//! From the node `package` to a [`Package`]: every mistake at once, each with its place.

use super::{BuildValues, CHECKSUMS, Format, MediaTypes, Package, REPORT};
use crate::generate::recipe::Artifacts;
use crate::generate::recipe::fields::{inside, map, missing, text, texts};
use crate::model::Span;
use crate::spec::vars::{Scope, substitute};
use crate::spec::{Diagnostic, Diagnostics, Node, NodeKind};
use oci_client::Reference;
use std::collections::BTreeMap;

const KEYS: &[&str] = &[
    "oci",
    "tags",
    "format",
    "platform",
    "prefix",
    "files",
    "annotations",
    "media-types",
    "push",
];
const EXAMPLE: &str = "package: { oci: ghcr.io/owner/name, tags: [latest] }";

/// Reads it with a build's values put in.
pub(super) fn read(
    node: &Node,
    scope: &Scope,
    artifacts: &Artifacts,
    values: &BuildValues,
    diagnostics: &mut Diagnostics,
) -> Option<Package> {
    let mut scope = scope.clone();
    scope.set("build", values.values());
    let node = &substitute(node, &scope, diagnostics);
    if !matches!(node.kind, NodeKind::Map(_)) {
        diagnostics.push(
            Diagnostic::new(node.span, "`package` is a map")
                .label(format!("this is {}", node.describe()))
                .help(format!("write `{EXAMPLE}`")),
        );
        return None;
    }
    map(node, "`package`", KEYS, diagnostics)?;
    let repository = node.get("oci").and_then(|n| repository(n, diagnostics));
    let tags = node.get("tags").map(|n| tags(n, diagnostics));
    let push = node
        .get("push")
        .is_some_and(|n| truth(n, "push", diagnostics));
    if node.get("oci").is_none() && (tags.is_some() || push) {
        missing(node, "oci", "oci: ghcr.io/owner/name", diagnostics);
    }
    if tags.is_none() && push {
        missing(node, "tags", "tags: [latest]", diagnostics);
    }
    let format = match node.get("format") {
        None => Format::default(),
        Some(n) => format(n, diagnostics).unwrap_or_default(),
    };
    let platform = node.get("platform").and_then(|n| platform(n, diagnostics));
    if format == Format::Image && node.get("platform").is_none() {
        missing(node, "platform", "platform: linux/arm64", diagnostics);
    }
    let prefix = match node.get("prefix") {
        None => String::new(),
        Some(n) => place(n, "prefix", diagnostics).unwrap_or_default(),
    };
    let files = match node.get("files") {
        None => artifacts
            .files
            .iter()
            .map(|f| (f.clone(), f.clone()))
            .collect(),
        Some(n) => files(n, artifacts, diagnostics),
    };
    collisions(node, &files, diagnostics);
    let annotations = match node.get("annotations") {
        None => BTreeMap::new(),
        Some(n) => pairs(n, "annotations", diagnostics),
    };
    Some(Package {
        repository,
        tags: tags.unwrap_or_default(),
        format,
        platform,
        prefix,
        files,
        annotations,
        media_types: media_types(node.get("media-types"), diagnostics),
        push,
    })
}

/// Tells what could not be put in and has been reported from what is wrong by itself.
fn unfinished(text: &str) -> bool {
    text.contains("${{")
}

fn repository(node: &Node, diagnostics: &mut Diagnostics) -> Option<String> {
    let whole = text(node, "oci", diagnostics)?;
    let name = whole.strip_prefix("oci://").unwrap_or(&whole);
    let parsed = name.parse::<Reference>();
    // A digest or tag behind it would be read as part of the reference.
    let tagged = name.contains('@') || name.rsplit('/').next().is_some_and(|n| n.contains(':'));
    let why = match parsed {
        Ok(_) if name.contains('/') && !tagged => return Some(name.to_owned()),
        Ok(_) if tagged => "it names a tag or a digest".to_owned(),
        Ok(_) => "it names no owner".to_owned(),
        Err(error) => error.to_string(),
    };
    if !unfinished(&whole) {
        diagnostics.push(
            Diagnostic::new(node.span, format!("`{whole}` is no repository: {why}"))
                .help(format!("write `{EXAMPLE}`")),
        );
    }
    None
}

fn tags(node: &Node, diagnostics: &mut Diagnostics) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for (tag, span) in texts(node, "tags", diagnostics).unwrap_or_default() {
        let inner = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let is_one = tag.len() <= 128 && !tag.starts_with(['.', '-']) && tag.chars().all(inner);
        if !is_one && !unfinished(&tag) {
            diagnostics.push(
                Diagnostic::new(span, format!("`{tag}` cannot be a tag"))
                    .help("a tag is made of letters, digits, `_`, `.` and `-`, at most 128"),
            );
        }
        if tags.contains(&tag) {
            diagnostics.push(Diagnostic::new(span, format!("`{tag}` is named twice")));
        }
        tags.push(tag);
    }
    tags
}

fn truth(node: &Node, key: &str, diagnostics: &mut Diagnostics) -> bool {
    match node.kind {
        NodeKind::Bool(yes) => return yes,
        _ => diagnostics.push(
            Diagnostic::new(node.span, format!("`{key}` is `true` or `false`"))
                .label(format!("this is {}", node.describe())),
        ),
    }
    false
}

fn format(node: &Node, diagnostics: &mut Diagnostics) -> Option<Format> {
    match node.as_text() {
        Some("flux") => Some(Format::Flux),
        Some("image") => Some(Format::Image),
        Some("files") => Some(Format::Files),
        other => {
            diagnostics.push(
                Diagnostic::new(node.span, "`format` is `flux`, `image` or `files`")
                    .suggest(other.unwrap_or_default(), ["flux", "image", "files"]),
            );
            None
        }
    }
}

fn platform(node: &Node, diagnostics: &mut Diagnostics) -> Option<String> {
    let platform = text(node, "platform", diagnostics)?;
    let part = |part: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        !part.is_empty() && part.chars().all(plain)
    };
    if matches!(platform.split('/').count(), 2 | 3) && platform.split('/').all(part) {
        return Some(platform);
    }
    if !unfinished(&platform) {
        diagnostics.push(
            Diagnostic::new(node.span, format!("`{platform}` is no platform"))
                .help("write `linux/arm64`"),
        );
    }
    None
}

/// Reads a path of the package: relative, as it is written everywhere.
fn place(node: &Node, key: &str, diagnostics: &mut Diagnostics) -> Option<String> {
    let path = text(node, key, diagnostics)?;
    let path = path.trim_end_matches('/').to_owned();
    check_place(&path, node.span, diagnostics).then_some(path)
}

fn check_place(path: &str, span: Span, diagnostics: &mut Diagnostics) -> bool {
    if !inside(path, "the package", span, diagnostics) {
        return false;
    }
    let odd = |part: &str| part.is_empty() || part == "." || part.contains('\\');
    if path.split('/').any(odd) || path.chars().any(char::is_control) || path.len() > 200 {
        diagnostics.push(
            Diagnostic::new(span, format!("`{path}` is no path of a package"))
                .help("write names joined by `/`, without `.` and empty ones"),
        );
        return false;
    }
    true
}

fn files(
    node: &Node,
    artifacts: &Artifacts,
    diagnostics: &mut Diagnostics,
) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    let NodeKind::Map(entries) = &node.kind else {
        diagnostics.push(
            Diagnostic::new(node.span, "`files` maps artifacts to their places")
                .label(format!("this is {}", node.describe()))
                .help("write `files: { kernel-arm64: boot/vmlinuz }`"),
        );
        return files;
    };
    if entries.is_empty() {
        diagnostics.push(Diagnostic::new(node.span, "`files` is empty"));
    }
    for entry in entries {
        if !artifacts.files.contains(&entry.key) {
            diagnostics.push(
                Diagnostic::new(entry.key_span, format!("`{}` is no artifact", entry.key))
                    .suggest(&entry.key, artifacts.files.iter().map(String::as_str)),
            );
        }
        if let Some(to) = place(&entry.value, &entry.key, diagnostics) {
            files.insert(entry.key.clone(), to);
        }
    }
    files
}

/// Reports two files at one place, and a file where another has a folder.
fn collisions(node: &Node, files: &BTreeMap<String, String>, diagnostics: &mut Diagnostics) {
    let span = node.get("files").unwrap_or(node).span;
    let own = [("the list of checksums", CHECKSUMS), ("the report", REPORT)];
    let named = files.iter().map(|(name, to)| (name.as_str(), to.as_str()));
    let all: Vec<(&str, &str)> = own.into_iter().chain(named).collect();
    for (i, (name, place)) in all.iter().enumerate() {
        for (other, there) in all.iter().take(i) {
            let below = |a: &str, b: &str| a.strip_prefix(b).is_some_and(|r| r.starts_with('/'));
            if place == there || below(place, there) || below(there, place) {
                let what = format!("{name} and {other} are in each other's place: `{place}`");
                diagnostics.push(Diagnostic::new(span, what).help("give each a path of its own"));
            }
        }
    }
}

fn pairs(node: &Node, key: &str, diagnostics: &mut Diagnostics) -> BTreeMap<String, String> {
    let mut pairs = BTreeMap::new();
    let NodeKind::Map(entries) = &node.kind else {
        diagnostics.push(
            Diagnostic::new(node.span, format!("`{key}` is a map of names to texts"))
                .label(format!("this is {}", node.describe())),
        );
        return pairs;
    };
    for entry in entries {
        match entry.value.as_text() {
            Some(value) => {
                pairs.insert(entry.key.clone(), value.to_owned());
            }
            None => diagnostics.push(
                Diagnostic::new(entry.value.span, format!("`{}` is a text", entry.key))
                    .label(format!("this is {}", entry.value.describe())),
            ),
        }
    }
    pairs
}

fn media_types(node: Option<&Node>, diagnostics: &mut Diagnostics) -> MediaTypes {
    let Some(node) = node else {
        return MediaTypes::default();
    };
    if map(
        node,
        "`media-types`",
        &["artifact", "config", "layer"],
        diagnostics,
    )
    .is_none()
    {
        return MediaTypes::default();
    }
    let mut read = |key: &str| {
        let value = node.get(key)?;
        let name = text(value, key, diagnostics)?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "!#$&-^_.+".contains(c);
        let parts: Vec<&str> = name.split('/').collect();
        let is_one = |part: &&str| !part.is_empty() && part.len() <= 127 && part.chars().all(plain);
        if parts.len() == 2 && parts.iter().all(is_one) {
            return Some(name);
        }
        if !unfinished(&name) {
            diagnostics.push(
                Diagnostic::new(value.span, format!("`{name}` is no media type"))
                    .help("write one such as `application/octet-stream`"),
            );
        }
        None
    };
    MediaTypes {
        artifact: read("artifact"),
        config: read("config"),
        layer: read("layer"),
    }
}
