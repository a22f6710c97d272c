//! From the text of a recipe to a [`Recipe`]: every mistake at once, each with its place.

use super::fields::{inside, map, missing, text, texts};
use super::package::{self, PackageTemplate};
use super::{Iterate, Recipe, RecipeError, Source, Variant, build, iterate};
use crate::model::value::Value;
use crate::spec::vars::{Row, Scope, matrix, substitute};
use crate::spec::{Diagnostic, Diagnostics, Node, NodeKind, Sources, document};
use serde_json::Map;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

const KEYS: &[&str] = &[
    "recipe",
    "source",
    "vars",
    "matrix",
    "patches",
    "build",
    "artifacts",
    "verify",
    "package",
    "iterate",
];

/// Where patches are kept as they were before a remedy, a folder for each variant.
pub(in super::super) const BEFORE_REMEDY: &str = ".tdg/before-remedy";

/// No recipe is larger than this.
const MAX_FILE: u64 = 4 << 20;

/// Reads a recipe; `vars` replace those it declares.
///
/// # Errors
/// Where the file cannot be read, or is wrong: then with every mistake that is in it.
pub fn load(path: &Path, vars: &[(String, Value)]) -> Result<Recipe, RecipeError> {
    let unreadable = |source| RecipeError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let size = std::fs::metadata(path).map_err(unreadable)?.len();
    if size > MAX_FILE {
        return Err(unreadable(std::io::Error::other("it is larger than 4 MiB")));
    }
    let text = std::fs::read_to_string(path).map_err(unreadable)?;
    let absolute = path.canonicalize().map_err(unreadable)?;
    let project = absolute.parent().unwrap_or(Path::new("/")).to_owned();
    let mut sources = Sources::default();
    let mut diagnostics = Diagnostics::default();
    let source = sources.add(path, text.as_str());
    let recipe = document::parse(source, &text, &mut diagnostics)
        .and_then(|root| recipe(&root, absolute, project, vars, &mut diagnostics));
    match recipe {
        Some(recipe) if diagnostics.is_empty() => Ok(recipe),
        Some(_) | None => Err(RecipeError::Wrong {
            diagnostics,
            sources,
        }),
    }
}

fn recipe(
    root: &Node,
    path: PathBuf,
    project: PathBuf,
    given: &[(String, Value)],
    diagnostics: &mut Diagnostics,
) -> Option<Recipe> {
    map(root, "a recipe", KEYS, diagnostics)?;
    for (key, example) in [
        ("recipe", "recipe: my-image"),
        (
            "source",
            "source: { git: https://example.org/upstream, ref: v1.0 }",
        ),
        ("build", "build: { steps: [make] }"),
        ("artifacts", "artifacts: { from: out, files: [kernel] }"),
        ("verify", "verify: [specs]"),
    ] {
        if root.get(key).is_none() {
            missing(root, key, example, diagnostics);
        }
    }
    let scope = scope(root, given, diagnostics);
    let common = |key: &str, diagnostics: &mut Diagnostics| {
        root.get(key).map(|n| substitute(n, &scope, diagnostics))
    };
    let name = common("recipe", diagnostics).and_then(|n| text(&n, "recipe", diagnostics));
    let source = common("source", diagnostics).and_then(|n| self::source(&n, diagnostics));
    let iterate = match common("iterate", diagnostics) {
        None => Some(Iterate::default()),
        Some(n) => iterate::iterate(&n, &project, diagnostics),
    };
    let mut variants = Vec::new();
    let mut names = HashSet::new();
    for row in matrix(root.get("matrix"), diagnostics) {
        let mut scope = scope.clone();
        scope.set("matrix", row.values());
        let reference = source.as_ref().map_or("", |s| s.reference.as_str());
        let variant = self::variant(root, row, &scope, (&project, reference), diagnostics);
        if let Some(variant) = variant {
            if !names.insert(variant.name.clone()) {
                let span = root.get("matrix").unwrap_or(root).span;
                diagnostics.push(
                    Diagnostic::new(span, format!("two rows are named `{}`", variant.name))
                        .help("the values of a row, joined by `-`, name its folder"),
                );
            }
            variants.push(variant);
        }
    }
    if let Some(node) = root.get("package") {
        let packages = variants.iter();
        let packages =
            packages.filter_map(|v| Some((v.name.as_str(), &v.package.as_ref()?.sample)));
        package::shared(packages, node, diagnostics);
    }
    Some(Recipe {
        name: name?,
        path,
        project,
        source: source?,
        variants,
        iterate: iterate?,
    })
}

fn scope(root: &Node, given: &[(String, Value)], diagnostics: &mut Diagnostics) -> Scope {
    let mut scope = Scope::default();
    let environment = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, Value::String(v.into_string().ok()?))));
    scope.set("env", environment.collect());
    let mut vars = Map::new();
    match root.get("vars").map(|n| (&n.kind, n)) {
        None => {}
        Some((NodeKind::Map(entries), _)) => {
            for entry in entries {
                // A variable may use those above it.
                scope.set("vars", vars.clone());
                let value = substitute(&entry.value, &scope, diagnostics).to_value();
                vars.insert(entry.key.clone(), value);
            }
        }
        Some((_, node)) => diagnostics.push(
            Diagnostic::new(node.span, "`vars` is a map of names to values")
                .label(format!("this is {}", node.describe())),
        ),
    }
    for (name, value) in given {
        if vars.contains_key(name) {
            vars.insert(name.clone(), value.clone());
        }
    }
    scope.set("vars", vars);
    scope.set("matrix", Map::new());
    scope
}

fn source(node: &Node, diagnostics: &mut Diagnostics) -> Option<Source> {
    map(node, "`source`", &["git", "ref"], diagnostics)?;
    let example = "source: { git: https://example.org/upstream, ref: v1.0 }";
    let mut field = |key: &str| match node.get(key) {
        None => {
            missing(node, key, example, diagnostics);
            None
        }
        Some(n) => {
            let value = text(n, key, diagnostics)?;
            let odd = |c: char| c.is_whitespace() || c.is_control();
            if value.starts_with('-') || value.contains(odd) {
                diagnostics.push(
                    Diagnostic::new(n.span, format!("`{value}` cannot be a `{key}`"))
                        .help(format!("write `{example}`")),
                );
                return None;
            }
            Some(value)
        }
    };
    let (git, reference) = (field("git"), field("ref"));
    if let Some(reference) = &reference
        && let Some(n) = node.get("ref")
        && (reference.contains([':', '^', '~', '*', '?', '[', '\\']) || reference.contains(".."))
    {
        diagnostics.push(
            Diagnostic::new(n.span, format!("`{reference}` is not a name git can fetch"))
                .help("name a tag, a branch or a whole commit id"),
        );
    }
    Some(Source {
        git: git?,
        reference: reference?,
    })
}

fn variant(
    root: &Node,
    row: Row,
    scope: &Scope,
    (project, reference): (&Path, &str),
    diagnostics: &mut Diagnostics,
) -> Option<Variant> {
    let field = |key: &str, diagnostics: &mut Diagnostics| {
        root.get(key).map(|n| substitute(n, scope, diagnostics))
    };
    let name = variant_name(root, &row, diagnostics);
    let series = match field("patches", diagnostics) {
        None => None,
        Some(n) => {
            let series = text(&n, "patches", diagnostics)?;
            if inside(&series, "the project", n.span, diagnostics)
                && !project.join(&series).is_file()
                && !kept_before_a_remedy(project, &series)
            {
                let help = match series.contains('*') {
                    true => "name a series file: nothing is applied by a pattern",
                    false => "make it: one patch a line, in the order they are applied",
                };
                diagnostics.push(
                    Diagnostic::new(n.span, format!("there is no series file `{series}`"))
                        .help(help),
                );
            }
            Some(series)
        }
    };
    let build = field("build", diagnostics).and_then(|n| build::build(&n, diagnostics));
    let artifacts = field("artifacts", diagnostics).and_then(|n| build::artifacts(&n, diagnostics));
    let verify = field("verify", diagnostics).and_then(|n| verify(&n, project, diagnostics));
    let artifacts = artifacts?;
    let package = root.get("package").and_then(|node| {
        let values = (name.as_str(), reference);
        PackageTemplate::read(node, scope, &artifacts, values, diagnostics)
    });
    Some(Variant {
        name,
        row: row.0,
        series,
        build: build?,
        artifacts,
        verify: verify?,
        package,
    })
}

/// Joins a row's values by `-`: they name folders.
fn variant_name(root: &Node, row: &Row, diagnostics: &mut Diagnostics) -> String {
    if row.0.is_empty() {
        return "default".into();
    }
    let values = row.0.iter().map(|(_, value)| match value {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    });
    let name = values.collect::<Vec<String>>().join("-");
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    if name.starts_with(['.', '-']) || !name.chars().all(plain) || name.len() > 100 {
        let span = root.get("matrix").unwrap_or(root).span;
        diagnostics.push(
            Diagnostic::new(span, format!("`{name}` cannot name a folder"))
                .help("values of the matrix are made of letters, digits, `-`, `_`, `.` and `+`"),
        );
    }
    name
}

/// Tells whether a file of the project was kept before a remedy: where a loop was killed while it put
/// that back, it is missing until the next one goes on.
fn kept_before_a_remedy(project: &Path, file: &str) -> bool {
    let kept = std::fs::read_dir(project.join(BEFORE_REMEDY));
    let mut kept = kept.into_iter().flatten().flatten();
    kept.any(|variant| variant.path().join("files").join(file).is_file())
}

fn verify(node: &Node, project: &Path, diagnostics: &mut Diagnostics) -> Option<Vec<String>> {
    let paths = texts(node, "verify", diagnostics)?;
    for (path, span) in &paths {
        if inside(path, "the project", *span, diagnostics) && !project.join(path).exists() {
            diagnostics.push(
                Diagnostic::new(*span, format!("there is no `{path}` in the project"))
                    .help("name spec files, or folders of them"),
            );
        }
    }
    Some(paths.into_iter().map(|(path, _)| path).collect())
}

#[cfg(test)]
mod tests;
