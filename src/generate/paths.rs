//! Where everything is: the fixed layout under the project.

use super::recipe::{self, Variant};
use std::path::{Path, PathBuf};

/// The places the loop writes to.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    project: PathBuf,
    /// The candidate that is worked on: its logs and its lock are its own.
    candidate: Option<(String, String)>,
}

impl Paths {
    pub(super) fn new(project: &Path) -> Self {
        Self {
            project: project.to_owned(),
            candidate: None,
        }
    }

    pub(super) fn project(&self) -> &Path {
        &self.project
    }

    /// The folder of everything that can be made again.
    pub(super) fn own(&self) -> PathBuf {
        self.project.join(".tdg")
    }

    /// The bare clone of the upstream.
    pub(super) fn source(&self) -> PathBuf {
        self.own().join("source.git")
    }

    /// The work tree of a variant.
    pub(super) fn work(&self, variant: &str) -> PathBuf {
        self.own().join("work").join(variant)
    }

    pub(super) fn journal(&self) -> PathBuf {
        self.own().join("journal.jsonl")
    }

    pub(super) fn guard(&self) -> PathBuf {
        self.own().join("loop.lock")
    }

    /// The logs of one loop.
    pub(super) fn logs(&self, number: u32) -> PathBuf {
        let logs = self.own().join("logs").join(format!("{number:04}"));
        match &self.candidate {
            Some((_, name)) => logs.join(format!("candidate-{name}")),
            None => logs,
        }
    }

    /// Gives the same places for a candidate.
    pub(super) fn candidate(&self, variant: &str, name: &str) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        // Two names that differ elsewhere stay apart.
        let digest = crate::model::Sha256Digest::of(name.as_bytes()).to_string();
        let shown: String = name.chars().filter(|c| plain(*c)).take(60).collect();
        let name = match shown == name {
            true => shown,
            false => format!("{shown}-{}", &digest[..8]),
        };
        Self {
            candidate: Some((variant.to_owned(), name)),
            ..self.clone()
        }
    }

    /// The candidates of a variant.
    fn candidates(&self, variant: &str) -> PathBuf {
        self.own().join("candidates").join(variant)
    }

    /// The patches as they were before the first candidate.
    pub(super) fn before_candidates(&self, variant: &str) -> PathBuf {
        self.candidates(variant).join("patches")
    }

    /// The patches as they were before a remedy.
    pub(super) fn before_remedy(&self, variant: &str) -> PathBuf {
        self.project.join(recipe::BEFORE_REMEDY).join(variant)
    }

    /// What a remedy of a variant works in.
    pub(super) fn remedy(&self, variant: &str) -> PathBuf {
        self.own().join("remedy").join(variant)
    }

    /// The folder for a remedy's own files.
    pub(super) fn scratch(&self, variant: &str) -> PathBuf {
        self.remedy(variant).join("scratch")
    }

    /// The output of a remedy: the one after so many others.
    pub(super) fn remedy_log(
        &self,
        number: u32,
        attempt: u32,
        others: usize,
        variant: &str,
    ) -> PathBuf {
        let name = format!("{variant}-attempt-{attempt}-remedy-{}.log", others + 1);
        self.logs(number).join(name)
    }

    /// What was told while a variant's package went to its registry.
    pub(super) fn push_log(&self, number: u32, attempt: u32, variant: &str) -> PathBuf {
        self.logs(number)
            .join(format!("{variant}-attempt-{attempt}-push.log"))
    }

    /// The patches of the best attempt of a variant, a folder for each attempt that was.
    pub(super) fn best(&self, variant: &str) -> PathBuf {
        self.own().join("best").join(variant)
    }

    /// The file that pins the upstream.
    pub(super) fn lock(&self) -> PathBuf {
        match &self.candidate {
            Some((variant, name)) => self.candidates(variant).join(format!("{name}.lock")),
            None => self.project.join("tdg.lock"),
        }
    }

    /// The layout of a variant's package, relative to the project.
    pub(super) fn package(&self, variant: &Variant) -> PathBuf {
        PathBuf::from("_out/package").join(&variant.name)
    }

    /// The collected artifacts of a variant, relative to the project.
    pub(super) fn assets(&self, variant: &Variant) -> PathBuf {
        let all = PathBuf::from("_out/assets");
        if variant.row.is_empty() {
            all
        } else {
            all.join(&variant.name)
        }
    }
}
