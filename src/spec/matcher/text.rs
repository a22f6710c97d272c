//! `match glob starts-with ends-with semver sha256 json`: matchers of text.

use super::parse::{Operator, Reading, parse};
use super::{At, Finding, Judge, Matcher, Reference, finding, nothing};
use crate::model::glob::glob;
use crate::model::path::normalise;
use crate::model::shape::{Shape, TextKind};
use crate::model::value::{Value, type_name};
use crate::model::{Sha256Digest, Span};
use crate::spec::diagnostic::Diagnostic;
use crate::spec::document::{Entry, NodeKind};
use globset::GlobMatcher;
use jsonpath_rust::JsonPath;
use jsonpath_rust::parser::model::{JpQuery, Segment, Selector};
use regex::Regex;
use semver::{Version, VersionReq};

pub(super) static MATCH: Operator = Operator {
    name: "match",
    doc: "a regular expression is found in it (anchor with ^ and $)",
    example: "match: '^v\\d+\\.\\d+'",
    fits: textual,
    parse: |entry, shape, reading| {
        let pattern = operand(entry, reading)?;
        match Regex::new(pattern) {
            Ok(regex) => text(entry, shape, Test::Match(regex)),
            Err(error) => reading.refuse(
                Diagnostic::new(entry.value.span, "not a regular expression")
                    .label(last_line(&error.to_string())),
            ),
        }
    },
};

pub(super) static GLOB: Operator = Operator {
    name: "glob",
    doc: "a glob covers the whole of it (`*` stops at `/`, `**` does not)",
    example: "glob: usr/lib/modules/*/kernel/**",
    fits: textual,
    parse: |entry, shape, reading| {
        let pattern = operand(entry, reading)?;
        let pattern = on_path(shape, pattern);
        match glob(&pattern) {
            Ok(glob) => text(entry, shape, Test::Glob(glob)),
            Err(what) => {
                reading.refuse(Diagnostic::new(entry.value.span, "not a glob").label(what))
            }
        }
    },
};

pub(super) static STARTS_WITH: Operator = Operator {
    name: "starts-with",
    doc: "begins with this",
    example: "starts-with: usr/bin/",
    fits: textual,
    parse: |entry, shape, reading| {
        let prefix = operand(entry, reading)?;
        let prefix = match shape {
            // Not the whole normal form: `usr/bin/` means what is below, so its end stays.
            Shape::Text(TextKind::Path) => prefix.trim_start_matches("./").trim_start_matches('/'),
            _ => prefix,
        };
        text(entry, shape, Test::StartsWith(prefix.to_owned()))
    },
};

pub(super) static ENDS_WITH: Operator = Operator {
    name: "ends-with",
    doc: "ends with this",
    example: "ends-with: .ko",
    fits: textual,
    parse: |entry, shape, reading| {
        let suffix = operand(entry, reading)?;
        text(entry, shape, Test::EndsWith(suffix.to_owned()))
    },
};

pub(super) static SEMVER: Operator = Operator {
    name: "semver",
    doc: "is a version in this range (a leading `v` is no part of it)",
    example: "semver: \">=0.21, <0.26\"",
    fits: textual,
    parse: |entry, shape, reading| {
        let range = operand(entry, reading)?;
        match VersionReq::parse(range) {
            Ok(range) => text(entry, shape, Test::Semver(range)),
            Err(error) => reading.refuse(
                Diagnostic::new(entry.value.span, "not a range of versions")
                    .label(error.to_string())
                    .help("write `\">=1.2\"`, `\"~1.2\"` or `\">=1.2, <2\"`"),
            ),
        }
    },
};

pub(super) static SHA256: Operator = Operator {
    name: "sha256",
    doc: "the text has this SHA-256 digest",
    example: "sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    fits: textual,
    parse: |entry, shape, reading| {
        let digest = operand(entry, reading)?.trim_start_matches("sha256:");
        if digest.len() == 64 && digest.bytes().all(|b| b.is_ascii_hexdigit()) {
            return text(entry, shape, Test::Sha256(digest.to_lowercase()));
        }
        reading.refuse(
            Diagnostic::new(entry.value.span, "not a SHA-256 digest")
                .label(format!("{} characters", digest.len()))
                .help("a digest is 64 hexadecimal digits"),
        )
    },
};

pub(super) static JSON: Operator = Operator {
    name: "json",
    doc: "the text is JSON, and at each JSONPath (RFC 9535) stands this; a path with `*`, `..` or a filter gives a list",
    example: "json: { $.items[0].name: web }",
    fits: textual,
    parse: json,
};

fn textual(shape: &Shape) -> bool {
    matches!(shape, Shape::Text(_) | Shape::Enum(_) | Shape::Any)
}

fn on_path(shape: &Shape, text: &str) -> String {
    match shape {
        Shape::Text(kind) => kind.written(text),
        _ => text.to_owned(),
    }
}

fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or(text).trim();
    line.trim_start_matches("error: ").to_owned()
}

fn operand<'e>(entry: &'e Entry, reading: &mut Reading<'_>) -> Option<&'e str> {
    let text = entry.value.as_text();
    if text.is_some_and(|t| t.trim_matches('/').is_empty()) {
        reading.refuse(
            Diagnostic::new(
                entry.value.span,
                format!("`{}` nothing holds of every text", entry.key),
            )
            .help("write what has to be there"),
        );
        return None;
    }
    if text.is_none() {
        reading.refuse(
            Diagnostic::new(entry.value.span, format!("`{}` takes text", entry.key))
                .label(format!("this is {}", entry.value.describe())),
        );
    }
    text
}

fn text(entry: &Entry, shape: &Shape, test: Test) -> Option<Matcher> {
    Some(Box::new(TextIs {
        test,
        path: shape == &Shape::Text(TextKind::Path),
        span: entry.value.span,
    }))
}

#[derive(Debug)]
enum Test {
    Match(Regex),
    Glob(GlobMatcher),
    StartsWith(String),
    EndsWith(String),
    Semver(VersionReq),
    Sha256(String),
}

#[derive(Debug)]
struct TextIs {
    test: Test,
    path: bool,
    span: Span,
}

impl TextIs {
    /// Tests a text; an `Err` says why it could not be judged.
    fn test(&self, seen: &str) -> Result<bool, String> {
        let path = self.path.then(|| normalise(seen));
        let seen = path.as_deref().unwrap_or(seen);
        Ok(match &self.test {
            // People write a path with its leading `/`, evidence has it without: both are meant.
            Test::Match(regex) => {
                regex.is_match(seen) || self.path && regex.is_match(&format!("/{seen}"))
            }
            Test::Glob(glob) => glob.is_match(seen),
            Test::StartsWith(prefix) => seen.starts_with(prefix.as_str()),
            Test::EndsWith(suffix) => seen.ends_with(suffix.as_str()),
            Test::Semver(range) => range.matches(&lenient_version(seen, range)?),
            Test::Sha256(digest) => Sha256Digest::of(seen.as_bytes()).to_string() == *digest,
        })
    }
}

/// Reads a version as projects write them: `v1.13.6`, `1.98.5`, `4.35`, `6.1.0-43-arm64`.
///
/// What follows a `-` makes a pre-release, which a plain range leaves out, only where it says so
/// (`alpha`, `beta`, `rc`, `pre`, `dev`) or where the range itself names one; the `-43-arm64` of a
/// kernel says which build it is, not that it comes before 6.1.0.
fn lenient_version(text: &str, range: &VersionReq) -> Result<Version, String> {
    let bare = text.trim().trim_start_matches(['v', 'V']);
    let (core, rest) = match bare.find(['-', '+']) {
        Some(i) => bare.split_at(i),
        None => (bare, ""),
    };
    let dots = core.matches('.').count();
    let core = match dots {
        0 => format!("{core}.0.0"),
        1 => format!("{core}.0"),
        _ => core.to_owned(),
    };
    let early = [
        "alpha", "beta", "rc", "pre", "dev", "nightly", "snapshot", "canary", "unstable",
    ];
    let suffix = rest.trim_start_matches('-').to_lowercase();
    let meant = early.iter().any(|word| suffix.starts_with(word))
        || range.comparators.iter().any(|c| !c.pre.is_empty());
    let rest = if meant { rest } else { "" };
    Version::parse(&format!("{core}{rest}")).map_err(|e| format!("not a version: {e}"))
}

impl Judge for TextIs {
    fn judge(&self, seen: &Value, at: &At<'_>, findings: &mut Vec<Finding>) {
        let Some(text) = seen.as_str() else {
            let note = format!("{} is not text", type_name(seen));
            return findings.push(nothing(self, seen, at, self.span, &note));
        };
        match self.test(text) {
            Ok(true) => {}
            Ok(false) => findings.push(finding(self, seen, at, self.span)),
            Err(why) => findings.push(nothing(self, seen, at, self.span, &why)),
        }
    }

    fn explain(&self) -> String {
        match &self.test {
            Test::Match(regex) => format!("text that matches /{regex}/"),
            Test::Glob(glob) => format!("text like {}", glob.glob()),
            Test::StartsWith(prefix) => format!("text that starts with \"{prefix}\""),
            Test::EndsWith(suffix) => format!("text that ends with \"{suffix}\""),
            Test::Semver(range) => format!("a version {range}"),
            Test::Sha256(digest) => format!("text with SHA-256 {digest}"),
        }
    }

    fn holds(&self, seen: &Value, _at: &At<'_>) -> bool {
        seen.as_str().is_some_and(|s| self.test(s) == Ok(true))
    }
}

fn json(entry: &Entry, _: &Shape, reading: &mut Reading<'_>) -> Option<Matcher> {
    let NodeKind::Map(entries) = &entry.value.kind else {
        return reading.refuse(
            Diagnostic::new(
                entry.value.span,
                "`json` takes a map of JSONPaths to matchers",
            )
            .help("write `json: { $.name: web }`"),
        );
    };
    if entries.is_empty() {
        return reading.refuse(Diagnostic::new(
            entry.value.span,
            "nothing is demanded here",
        ));
    }
    let mut parts = Vec::new();
    for part in entries {
        let path = jsonpath_rust::parser::parse_json_path(&part.key);
        let single = path.as_ref().is_ok_and(is_single);
        if let Err(error) = path {
            let last = last_line(&error.to_string());
            let last = last.trim_start_matches("= ").to_owned();
            reading.refuse(
                Diagnostic::new(part.key_span, format!("`{}` is not a JSONPath", part.key))
                    .label(last)
                    .help("a path starts at the root: `$.field[0]`"),
            );
            parts.push(None);
            continue;
        }
        let matcher = parse(&part.value, &Shape::Any, reading);
        parts.push(matcher.map(|matcher| Asked {
            path: part.key.clone(),
            single,
            matcher,
        }));
    }
    Some(Box::new(Json {
        parts: parts.into_iter().collect::<Option<_>>()?,
        span: entry.key_span,
    }))
}

/// Tells whether a path leads to one value at most, whatever the document: RFC 9535, section 2.3.5.1.
fn is_single(path: &JpQuery) -> bool {
    path.segments.iter().all(|segment| match segment {
        Segment::Selector(Selector::Name(_) | Selector::Index(_)) => true,
        Segment::Selector(Selector::Wildcard | Selector::Slice(..) | Selector::Filter(_))
        | Segment::Selectors(_)
        | Segment::Descendant(_) => false,
    })
}

/// What is demanded at one path.
#[derive(Debug)]
struct Asked {
    path: String,
    single: bool,
    matcher: Matcher,
}

#[derive(Debug)]
struct Json {
    parts: Vec<Asked>,
    span: Span,
}

impl Judge for Json {
    fn judge(&self, seen: &Value, at: &At<'_>, findings: &mut Vec<Finding>) {
        let parsed = match seen.as_str().map(serde_json::from_str::<Value>) {
            Some(Ok(value)) => value,
            Some(Err(error)) => {
                let note = format!("not JSON: {error}");
                return findings.push(nothing(self, seen, at, self.span, &note));
            }
            None => {
                let note = format!("{} is not text", type_name(seen));
                return findings.push(nothing(self, seen, at, self.span, &note));
            }
        };
        for part in &self.parts {
            let found = parsed.query(&part.path).unwrap_or_default();
            let here = at.field(&part.path);
            if part.single {
                let one = found.first().copied().unwrap_or(&Value::Null);
                part.matcher.judge(one, &here, findings);
            } else {
                // Of one element as of many: what a list holds does not change what it is.
                let list = Value::Array(found.into_iter().cloned().collect());
                part.matcher.judge(&list, &here, findings);
            }
        }
    }

    fn explain(&self) -> String {
        let parts: Vec<String> = self
            .parts
            .iter()
            .map(|part| format!("{} {}", part.path, part.matcher.explain()))
            .collect();
        format!("JSON with {}", parts.join(" and "))
    }

    fn references<'s>(&'s self, out: &mut Vec<&'s Reference>) {
        self.parts
            .iter()
            .for_each(|part| part.matcher.references(out));
    }
}
