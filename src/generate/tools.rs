//! The programs that steps start, and what they say of themselves, as inputs of the build: another
//! compiler makes another image.

use super::LoopOptions;
use super::inputs::Inputs;
use super::recipe::{Recipe, Variant};
use super::session::environment;
use crate::model::Sha256Digest;
use crate::probe::exec::{self, Request};
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A program that is larger is told by its place, size and time: an unchanged run reads little.
const READ: u64 = 4 << 20;

/// How long a program may take to say which it is.
const ASKED: Duration = Duration::from_secs(20);

/// How much of what it says counts, in bytes of each end of each output.
const SAID: usize = 32 << 10;

/// A command, and the environment it is asked in.
type Asked = (Vec<String>, Vec<(String, String)>);

/// Asks every program of `build.tools` which it is; one that cannot say is told by why.
pub(super) fn ask(recipe: &mut Recipe, options: &LoopOptions) {
    let mut known: HashMap<Asked, String> = HashMap::new();
    let project = recipe.project.clone();
    for variant in &mut recipe.variants {
        let (environment, secrets) = environment(variant, options);
        for tool in &mut variant.build.tools {
            let key = (tool.argv.clone(), environment.clone());
            let said = known.entry(key).or_insert_with(|| {
                let mut request = Request::new(&tool.argv)
                    .cwd(&project)
                    .keep(SAID)
                    .timeout(ASKED);
                for (name, value) in &environment {
                    request = request.env(name, value);
                }
                for secret in &secrets {
                    request = request.redact(secret);
                }
                match exec::run(&request) {
                    Ok(output) => format!(
                        "{}\n{}{}",
                        output.how(),
                        output.stdout.text(),
                        output.stderr.text()
                    ),
                    Err(error) => error.to_string(),
                }
            });
            tool.said.clone_from(said);
        }
    }
}

/// Adds each program that a step names and `PATH` leads to; one of the tree comes with the tree.
pub(super) fn add(variant: &Variant, options: &LoopOptions, inputs: &mut Inputs) {
    let given = environment(variant, options).0;
    let given = given.into_iter().rfind(|(name, _)| name == "PATH");
    let search = match given {
        Some((_, path)) => path.into(),
        None => std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into()),
    };
    for tool in &variant.build.tools {
        inputs.add(format!("what `{}` says", tool.text), &tool.said);
    }
    for step in &variant.build.steps {
        let Some(name) = step.argv.first() else {
            continue;
        };
        let place = match name.contains('/') {
            true if name.starts_with('/') => Some(PathBuf::from(name)),
            true => continue,
            false => std::env::split_paths(&search)
                .map(|folder| folder.join(name))
                .find(|path| runs(path)),
        };
        let said = place
            .as_deref()
            .map_or_else(|| "not found".into(), identity);
        inputs.add(format!("the program {name}"), said);
    }
}

/// Tells whether a path is a program, as a search of `PATH` would.
fn runs(path: &Path) -> bool {
    let meta = path.metadata();
    meta.is_ok_and(|meta| meta.is_file() && meta.mode() & 0o111 != 0)
}

/// Says which program is at a path: by its content, or where it is large by its place, size and time.
pub(super) fn identity(path: &Path) -> String {
    let Ok(meta) = path.metadata() else {
        return "not found".into();
    };
    let digest = match meta.len() {
        0..=READ if meta.is_file() => File::open(path).and_then(Sha256Digest::of_reader).ok(),
        _ => None,
    };
    match digest {
        Some(digest) => digest.to_string(),
        None => format!(
            "{} {} {}.{}",
            path.display(),
            meta.len(),
            meta.mtime(),
            meta.mtime_nsec()
        ),
    }
}
