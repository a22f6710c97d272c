//! Which stage is due, and why: the one place that decides, for the loop and for a dry run.

use super::event::Stage;
use super::inputs::Inputs;
use super::journal::Success;
use super::law::Law;
use super::package::Made;
use super::paths::Paths;
use super::recipe::{PackageTemplate, Recipe, Variant};
use super::session::request;
use super::state::State;
use super::verify::{Beyond, Verifier};
use super::{GenerateError, LoopOptions, artifacts, build, lock, package, series, source, tools};
use crate::image::xattrs;
use crate::model::Sha256Digest;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Everything that decides.
#[derive(Clone, Copy)]
pub(super) struct View<'v> {
    pub(super) recipe: &'v Recipe,
    pub(super) options: &'v LoopOptions,
    pub(super) paths: &'v Paths,
    pub(super) state: &'v State,
    pub(super) law: &'v Law,
    pub(super) verifier: &'v dyn Verifier,
    /// The first stage that was asked for whatever its inputs.
    pub(super) forced: Option<Stage>,
}

/// Whether a stage is due.
pub(super) struct Due {
    /// Why it is; nothing where its last success still stands.
    pub(super) why: Option<String>,
    /// What it depends on.
    pub(super) inputs: Inputs,
}

impl View<'_> {
    /// Gives the commit the source is pinned to, if it is.
    pub(super) fn pinned(&self) -> Result<Option<String>, GenerateError> {
        Ok(lock::pinned(&self.paths.lock(), &self.recipe.source)?)
    }

    /// Decides on the source.
    pub(super) fn source(&self, variant: &Variant, pinned: Option<&str>) -> Due {
        let outputs = |success: &Success| match pinned {
            None => Some("tdg.lock does not pin it".to_owned()),
            Some(commit) if commit != success.head => Some("tdg.lock pins another commit".into()),
            Some(commit) if !source::has(self.paths, commit) => Some("the clone is gone".into()),
            Some(_) => None,
        };
        self.due(variant, Stage::Source, source::inputs(self.recipe), outputs)
    }

    /// Decides on the patches, and with them on the build: it needs a tree nobody has built in.
    pub(super) fn patch(&self, variant: &Variant, commit: &str) -> Due {
        let inputs = series::inputs(self.recipe, variant, commit);
        let mut due = self.due(
            variant,
            Stage::Patch,
            inputs,
            |success| match series::standing(self.paths, &variant.name) {
                Some(head) if head == success.head => None,
                Some(_) => Some("the work tree stands elsewhere".into()),
                None => Some("the work tree is gone".into()),
            },
        );
        let used = self.state.success(&variant.name, Stage::Build).is_some()
            || self.state.broke_off(&variant.name, Stage::Build);
        if due.why.is_none()
            && used
            && let Some((_, success)) = self.state.success(&variant.name, Stage::Patch)
            && let Some(why) = self.build(variant, &success.head).why
        {
            due.why = Some(format!("for a clean build: {why}"));
        }
        due
    }

    /// Decides on the build.
    pub(super) fn build(&self, variant: &Variant, head: &str) -> Due {
        let inputs = build::inputs(self.recipe, variant, self.options, head);
        self.due(variant, Stage::Build, inputs, |success| {
            let collected = self.state.success(&variant.name, Stage::Collect);
            let collected =
                collected.map(|(_, collected)| artifacts::touched(self.paths, collected));
            // Asked for with --from, it is collected from the tree again, whatever is collected now.
            let again = self.options.from == Some(Stage::Collect);
            match collected {
                Some(None) if !again => None,
                // What is in the tree can be collected again.
                Some(_) | None => artifacts::touched(self.paths, success),
            }
        })
    }

    /// Decides on collecting what was built.
    pub(super) fn collect(&self, variant: &Variant, built: &Success) -> Due {
        let inputs = artifacts::inputs(built);
        self.due(variant, Stage::Collect, inputs, |success| {
            artifacts::touched(self.paths, success)
        })
    }

    /// Decides on the specs.
    pub(super) fn verify(&self, variant: &Variant, collected: &Success) -> Due {
        let mut inputs = self.specs(variant);
        inputs.add("the patched tree", &collected.head);
        for file in &collected.files {
            inputs.add(file.path.clone(), &file.sha256);
        }
        let request = request(self.recipe, variant, self.paths, self.options);
        let beyond = match self.verifier.beyond(&request) {
            Ok(beyond) => beyond,
            // What is wrong with them is for the run to say.
            Err(error) => Beyond {
                again: Some(error.to_string()),
                ..Beyond::default()
            },
        };
        inputs.add("what the checks ask", &beyond.asks);
        // Two builds of one version may see differently.
        if let Ok(own) = std::env::current_exe() {
            inputs.add("the program tdg", tools::identity(&own));
        }
        for path in &beyond.files {
            let name = self.recipe.shown(path);
            let built = collected.files.iter().any(|f| f.path == name);
            inputs.add(format!("{name}, as checks see it"), seen(path, !built));
        }
        self.due(variant, Stage::Verify, inputs, |success| {
            if success.judged.is_empty() {
                Some("its verdicts were not kept".to_owned())
            } else if success.skipped > 0 {
                Some("what was skipped may run now".to_owned())
            } else {
                beyond.again
            }
        })
    }

    /// Decides on packaging what holds.
    pub(super) fn package(
        &self,
        variant: &Variant,
        template: &PackageTemplate,
        made: Made<'_>,
    ) -> Due {
        let epoch = self.options.source_date_epoch.as_deref();
        let inputs = package::inputs(self.recipe, template, (self.law, made), epoch);
        self.due(variant, Stage::Package, inputs, |success| {
            let pushed = success.package.as_ref().is_some_and(|p| p.pushed);
            match self.pushes(template) && !pushed {
                true => Some("it has not been pushed".to_owned()),
                false => artifacts::touched(self.paths, success),
            }
        })
    }

    /// Tells whether a package is pushed.
    pub(super) fn pushes(&self, template: &PackageTemplate) -> bool {
        self.options.push || template.sample.push
    }

    /// Gives what the verdicts depend on beside what is judged.
    pub(super) fn specs(&self, variant: &Variant) -> Inputs {
        let mut inputs = Inputs::default();
        for (path, digest) in self.law {
            inputs.add(path.clone(), digest);
        }
        let request = request(self.recipe, variant, self.paths, self.options);
        for (name, value) in request.vars {
            inputs.add(
                format!("the variable {name} of the specs"),
                value.to_string(),
            );
        }
        let row = request.row.iter().map(|(k, v)| format!("{k}={v}\n"));
        inputs.add("the row of the matrix", row.collect::<String>());
        inputs.add("tdg", env!("CARGO_PKG_VERSION"));
        inputs
    }

    fn due(
        &self,
        variant: &Variant,
        stage: Stage,
        inputs: Inputs,
        outputs: impl FnOnce(&Success) -> Option<String>,
    ) -> Due {
        let why = if self.forced.is_some_and(|first| stage >= first) {
            Some("asked for with --from".to_owned())
        } else {
            match self.state.success(&variant.name, stage) {
                Some((before, success)) => inputs.difference(before).or_else(|| outputs(success)),
                None if self.state.broke_off(&variant.name, stage) => {
                    Some("it did not succeed before".into())
                }
                None => Some("not done yet".into()),
            }
        };
        Due { why, inputs }
    }
}

/// Says what a check can see of a file: who may use it, where it leads as a link, its attributes, and
/// its content where that is not known.
fn seen(path: &Path, content: bool) -> String {
    let Ok(meta) = path.metadata() else {
        return "it is not there".into();
    };
    let link = path.read_link().ok();
    let own = path.canonicalize().and_then(|path| xattrs(&path));
    let rights = format!(
        "{:o} {} {} {link:?} {own:?}",
        meta.mode(),
        meta.uid(),
        meta.gid()
    );
    if !content || !meta.is_file() {
        return rights;
    }
    match File::open(path).and_then(Sha256Digest::of_reader) {
        Ok(digest) => format!("{rights} {digest}"),
        Err(error) => format!("{rights} {error}"),
    }
}
