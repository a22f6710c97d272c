//! Why a loop could not go on; what a variant comes to is no error.

use super::journal::JournalError;
use super::lock::LockError;
use super::recipe::RecipeError;
use crate::probe::exec::ExecError;
use crate::probe::git::GitError;
use std::io;
use std::path::PathBuf;

/// Why a loop could not go on.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// There is no usable recipe.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The specs are wrong; the text is every diagnostic, drawn.
    #[error("{0}")]
    Specs(String),
    /// The specs could not be run.
    #[error("the specs could not be run: {0}")]
    Verify(String),
    /// A variant was named that the recipe does not have.
    #[error("there is no variant `{name}`; variants: {known}")]
    NoVariant {
        /// The name given.
        name: String,
        /// The names there are.
        known: String,
    },
    /// Something is to be pushed, and it is not said where to.
    #[error(
        "the recipe does not say what {variant} is pushed as: write `package: {{ oci: ghcr.io/owner/name, tags: [latest] }}`"
    )]
    NowhereToPush {
        /// The variant.
        variant: String,
    },
    /// The upstream has no such name.
    #[error(
        "{upstream} has no tag or branch `{name}`: name a tag, a branch, a pattern such as `v1.*`, or a range of tags, `v1.0..v1.6`"
    )]
    NoRef {
        /// Where it was looked for.
        upstream: String,
        /// What was asked for.
        name: String,
    },
    /// More of the upstream's refs are meant than are looked at.
    #[error("{count} refs are meant, and no more than {most} are looked at in one go: name fewer")]
    TooManyRefs {
        /// How many.
        count: usize,
        /// How many at most.
        most: usize,
    },
    /// There is no patch that could apply or not.
    #[error(
        "no variant has a patch: there is nothing that could apply or not; name a series with `patches:`"
    )]
    NoPatch,
    /// The upstream's names could not be had.
    #[error("{upstream} could not be asked for its tags: {words}")]
    NoUpstream {
        /// Where it was looked for.
        upstream: String,
        /// What git said.
        words: String,
    },
    /// Another loop works here.
    #[error("another `tdg generate` works in {} (process {pid}): wait for it, or end it", project.display())]
    Locked {
        /// The project.
        project: PathBuf,
        /// Its process, as it said.
        pid: String,
    },
    /// What an interrupted loop left running could not be ended.
    #[error("processes of an interrupted loop still run and could not be ended ({pids}): end them")]
    Leftovers {
        /// Their ids.
        pids: String,
    },
    /// A file that is law was changed while the loop ran.
    #[error(
        "{by} changed what decides: {changes}; specs are law: undo that, or start again with --accept-specs if it is meant"
    )]
    LawBroken {
        /// Who, as far as is known: the remedy, or `the build`.
        by: String,
        /// Which files, and how.
        changes: String,
    },
    /// A remedy changed what is not its own.
    #[error(
        "{by} went out of its bounds: {changes}; a remedy may change its work tree and the series, and nothing else"
    )]
    OutOfBounds {
        /// Who.
        by: String,
        /// What, and what became of it.
        changes: String,
    },
    /// A file that is law was changed under an earlier loop and still is.
    #[error(
        "{changes} under an earlier loop, and still so: undo that, or start with --accept-specs if it is meant"
    )]
    StillBroken {
        /// Which files, and how.
        changes: String,
    },
    /// The specs are not those the interrupted loop began with.
    #[error("{changes} since the interrupted loop began: start a new loop, without --resume")]
    LawMoved {
        /// Which files, and how.
        changes: String,
    },
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The lock file cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// git could not do its work.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A program could not be run.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// A file could not be read or written.
    #[error("{} cannot be read or written ({source}): check its permissions and the free space", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl GenerateError {
    /// Gives the stable name of what is wrong.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Recipe(_) => "recipe",
            Self::Specs(_) => "specs",
            Self::Verify(_) => "verify",
            Self::NoVariant { .. } => "no-variant",
            Self::NowhereToPush { .. } => "nowhere-to-push",
            Self::NoRef { .. } => "no-ref",
            Self::TooManyRefs { .. } => "too-many-refs",
            Self::NoPatch => "no-patch",
            Self::NoUpstream { .. } => "no-upstream",
            Self::Locked { .. } => "locked",
            Self::Leftovers { .. } => "leftovers",
            Self::LawBroken { .. } => "law-broken",
            Self::OutOfBounds { .. } => "out-of-bounds",
            Self::StillBroken { .. } => "still-broken",
            Self::LawMoved { .. } => "law-moved",
            Self::Journal(_) => "journal",
            Self::Lock(_) => "lock",
            Self::Git(GitError::Cancelled) => "interrupted",
            Self::Git(_) => "git",
            Self::Exec(_) => "exec",
            Self::Io { .. } => "io",
        }
    }

    /// Gives the exit code: 3 where recipe or specs are wrong, 2 where the command line is, 4 for
    /// all that could not be judged, 130 interrupted.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Recipe(_) | Self::Specs(_) => 3,
            Self::NoVariant { .. }
            | Self::NowhereToPush { .. }
            | Self::NoRef { .. }
            | Self::TooManyRefs { .. } => 2,
            Self::Git(GitError::Cancelled) => 130,
            Self::Verify(_)
            | Self::NoPatch
            | Self::NoUpstream { .. }
            | Self::Locked { .. }
            | Self::Leftovers { .. }
            | Self::LawBroken { .. }
            | Self::OutOfBounds { .. }
            | Self::StillBroken { .. }
            | Self::LawMoved { .. }
            | Self::Journal(_)
            | Self::Lock(_)
            | Self::Git(_)
            | Self::Exec(_)
            | Self::Io { .. } => 4,
        }
    }

    /// Makes an [`Io`](Self::Io) error for a path.
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}
