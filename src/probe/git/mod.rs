//! The `git` program: no prompt, no hook, nobody's environment, an identity of its own.
//!
//! Libraries that read git's objects cannot apply a mailbox; the program can, and its words are
//! what people look up.

mod apply;
mod base;
mod beside;
mod cause;
pub mod conflict;
mod hunk;
mod index;
mod kept;
mod mail;
mod moves;
mod rebase;
mod replay;
mod rewrite;
mod series;

pub use apply::{Applied, Change, PatchFailure, apply, changes};
pub use cause::Cause;
pub use hunk::Hunk;
pub use index::{Index, Offset, Tried};
pub use kept::Vanished;
pub use mail::plain;
pub use rebase::{Conflict, Fate, FateEnd, Rebase, Resolve, Target, rebase, remember, resolve};
pub use series::{Patch, Series, SeriesError};

use super::exec::{self, Cancel, End, ExecError, Output, Request, Stream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why git did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// It could not be run.
    #[error(transparent)]
    Exec(#[from] ExecError),
    /// It said no.
    #[error("`{command}` failed ({how}): {words}")]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        how: String,
        /// What it said.
        words: String,
    },
    /// It was interrupted.
    #[error("interrupted")]
    Cancelled,
    /// What is only for now could not be kept on the disk.
    #[error("no temporary file can be made ({0}): check the space and permissions of TMPDIR")]
    Temporary(std::io::Error),
    /// A file of the series or a work tree cannot be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
}

/// Runs git on one repository or work tree.
#[derive(Clone, Debug)]
pub struct Git {
    folder: PathBuf,
    network: bool,
    timeout: Option<Duration>,
    cancel: Cancel,
    /// Where git looks for its things instead of where it would.
    places: Vec<(&'static str, PathBuf)>,
}

/// What keeps a repository's or a user's settings from running programs or changing results.
const SETTINGS: &[&str] = &[
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.autocrlf=false",
    "core.editor=true",
    "core.pager=cat",
    "core.quotePath=false",
    "safe.directory=*",
    "protocol.ext.allow=never",
    "http.lowSpeedLimit=100",
    "http.lowSpeedTime=120",
    "gc.auto=0",
    "maintenance.auto=false",
    "commit.gpgSign=false",
    "tag.gpgSign=false",
    "am.threeWay=false",
    "merge.conflictStyle=zdiff3",
    "merge.renames=true",
    "merge.directoryRenames=true",
    "rerere.enabled=false",
    "apply.whitespace=nowarn",
    "apply.ignoreWhitespace=no",
    "advice.detachedHead=false",
    "user.name=tdg",
    "user.email=tdg@localhost",
];

/// The date of everything tdg commits: the same patches make the same commits.
const DATE: &str = "2000-01-01T00:00:00+0000";

/// How much of each end of an output is kept where every byte counts.
const MOST: usize = 128 << 20;

/// What a fetch may need from the user's environment.
const NETWORK: &[&str] = &[
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "XDG_CONFIG_HOME",
];

impl Git {
    /// Takes a repository or work tree; git runs in that folder.
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            network: false,
            timeout: None,
            cancel: Cancel::global(),
            places: Vec::new(),
        }
    }

    /// Lets git use what the user has set up for fetching: settings, agent, proxies.
    #[must_use]
    pub fn network(mut self) -> Self {
        self.network = true;
        self
    }

    /// Ends a command after a time.
    #[must_use]
    pub fn timeout(mut self, time: Option<Duration>) -> Self {
        self.timeout = time;
        self
    }

    /// Ends a command when the flag is set.
    #[must_use]
    pub fn cancel(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }

    /// Works on a tree that is not this repository's, with an index beside it: the tree's own
    /// repository, and every setting in it, is left alone.
    #[must_use]
    pub fn tree(mut self, tree: &Path, index: &Path) -> Self {
        self.places = vec![
            ("GIT_DIR", self.folder.clone()),
            ("GIT_WORK_TREE", tree.to_owned()),
            ("GIT_INDEX_FILE", index.to_owned()),
        ];
        self
    }

    /// Reads objects of another repository too.
    #[must_use]
    pub fn objects(mut self, folder: &Path) -> Self {
        self.places = vec![
            ("GIT_DIR", self.folder.clone()),
            ("GIT_ALTERNATE_OBJECT_DIRECTORIES", folder.to_owned()),
        ];
        self
    }

    /// Keeps git from looking for a repository above the folder.
    #[must_use]
    pub fn only_here(self) -> Self {
        let above = self.folder.parent().unwrap_or(&self.folder).to_owned();
        self.with("GIT_CEILING_DIRECTORIES", above)
    }

    /// Sets a variable of git's environment to a path.
    #[must_use]
    fn with(mut self, name: &'static str, path: impl Into<PathBuf>) -> Self {
        self.places.retain(|(n, _)| *n != name);
        self.places.push((name, path.into()));
        self
    }

    /// Gives the folder git runs in.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    fn request(&self, arguments: &[&str]) -> Request {
        let mut argv = vec!["git"];
        for setting in SETTINGS {
            argv.extend(["-c", setting]);
        }
        argv.extend(arguments);
        let mut request = Request::new(argv)
            .cwd(&self.folder)
            .cancel(&self.cancel)
            .env("LC_ALL", "C")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_ASKPASS", "true")
            .env("SSH_ASKPASS", "true")
            .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            // A commit is what its name says, and nothing in its place.
            .env("GIT_NO_REPLACE_OBJECTS", "1")
            .env("GIT_COMMITTER_DATE", DATE)
            .env("GIT_OPTIONAL_LOCKS", "0");
        if self.network {
            request = NETWORK.iter().fold(request, |r, name| r.pass(name));
        } else {
            // A user's settings must not change what a patch becomes.
            request = request.env("GIT_CONFIG_GLOBAL", "/dev/null");
        }
        for (name, path) in &self.places {
            request = request.env(name, path);
        }
        match self.timeout {
            Some(time) => request.timeout(time),
            None => request,
        }
    }

    /// Runs git; that it fails is for the caller to judge.
    ///
    /// # Errors
    /// Where it cannot be run, or is interrupted.
    pub fn output(&self, arguments: &[&str]) -> Result<Output, GitError> {
        self.output_with(arguments, &mut |_, _| {})
    }

    /// As [`output`](Self::output), each line handed on as it comes.
    ///
    /// # Errors
    /// Where it cannot be run, or is interrupted.
    pub fn output_with(
        &self,
        arguments: &[&str],
        each_line: &mut dyn FnMut(Stream, &str),
    ) -> Result<Output, GitError> {
        ended(exec::run_with(&self.request(arguments), each_line)?)
    }

    /// As [`output`](Self::output), with bytes for its standard input.
    ///
    /// # Errors
    /// Where it cannot be run, or is interrupted.
    pub fn output_of(
        &self,
        arguments: &[&str],
        stdin: impl Into<Vec<u8>>,
    ) -> Result<Output, GitError> {
        ended(exec::run(&self.request(arguments).stdin(stdin))?)
    }

    /// As [`ok`](Self::ok), with bytes for its standard input.
    ///
    /// # Errors
    /// Where it cannot be run, is interrupted, or fails.
    pub fn ok_of(&self, arguments: &[&str], stdin: impl Into<Vec<u8>>) -> Result<String, GitError> {
        success(arguments, self.output_of(arguments, stdin)?)
    }

    /// As [`ok`](Self::ok), every byte of it: nothing is left out or replaced.
    ///
    /// # Errors
    /// Where it cannot be run, is interrupted, fails, or says more than 128 MiB.
    pub fn all(&self, arguments: &[&str]) -> Result<Vec<u8>, GitError> {
        let request = self.request(arguments).keep(MOST);
        let output = ended(exec::run(&request)?)?;
        if !output.success() || output.stdout.truncated() {
            return Err(failed(arguments, &output));
        }
        Ok(output.stdout.bytes().into_owned())
    }

    /// Runs git, demands success, and gives its standard output without the last line break.
    ///
    /// # Errors
    /// Where it cannot be run, is interrupted, or fails.
    pub fn ok(&self, arguments: &[&str]) -> Result<String, GitError> {
        success(arguments, self.output(arguments)?)
    }

    /// Runs git, demands success, and gives its standard output as it is; nothing where it is longer
    /// than `limit`.
    ///
    /// # Errors
    /// Where it cannot be run, is interrupted, or fails.
    pub fn bytes(&self, arguments: &[&str], limit: usize) -> Result<Option<Vec<u8>>, GitError> {
        let output = self.output(arguments)?;
        if !output.success() {
            return Err(failed(arguments, &output));
        }
        let bytes = output.stdout.bytes();
        let whole = !output.stdout.truncated() && bytes.len() <= limit;
        Ok(whole.then(|| bytes.into_owned()))
    }

    /// Gives the commit that a name stands for in this repository, if it has it.
    ///
    /// # Errors
    /// Where git cannot be run.
    pub fn commit(&self, name: &str) -> Result<Option<String>, GitError> {
        let name = format!("{name}^{{commit}}");
        let output = self.output(&[
            "rev-parse",
            "--quiet",
            "--verify",
            "--end-of-options",
            &name,
        ])?;
        let commit = output.stdout.text().trim().to_owned();
        Ok((output.success() && !commit.is_empty()).then_some(commit))
    }

    /// Removes what a bare repository knows of a work tree in a folder, and of half-made ones.
    ///
    /// A git that was killed while it made a work tree leaves it locked, and `prune` keeps that.
    fn forget_worktree(&self, folder: &Path) {
        let own = folder.join(".git");
        let known = std::fs::read_dir(self.folder.join("worktrees"));
        for entry in known.into_iter().flatten().flatten() {
            let link = std::fs::read_to_string(entry.path().join("gitdir")).unwrap_or_default();
            let link = Path::new(link.trim());
            if link == own || !link.exists() {
                // What cannot be removed here makes git itself say why.
                let _ = super::store::remove(&entry.path());
            }
        }
    }

    /// Checks a commit out, detached, into a folder that is not there yet; gives git in there.
    ///
    /// # Errors
    /// Where git refuses.
    pub fn add_worktree(&self, folder: &Path, commit: &str) -> Result<Self, GitError> {
        self.forget_worktree(folder);
        self.ok(&["worktree", "prune"])?;
        let target = folder.to_string_lossy();
        self.ok(&[
            "worktree", "add", "--quiet", "--force", "--detach", &target, commit,
        ])?;
        Ok(Self {
            folder: folder.to_owned(),
            ..self.clone()
        })
    }
}

fn ended(output: Output) -> Result<Output, GitError> {
    match output.end {
        End::Cancelled => Err(GitError::Cancelled),
        End::Exited | End::TimedOut => Ok(output),
    }
}

fn success(arguments: &[&str], output: Output) -> Result<String, GitError> {
    if output.success() {
        Ok(output.stdout.text().trim_end().to_owned())
    } else {
        Err(failed(arguments, &output))
    }
}

fn failed(arguments: &[&str], output: &Output) -> GitError {
    let words = words(output);
    GitError::Failed {
        command: format!("git {}", arguments.join(" ")),
        how: output.how(),
        words: if words.is_empty() {
            "it said nothing".into()
        } else {
            words
        },
    }
}

/// How lines begin that are about commands the user did not type; before git 2.43 `am` did not
/// mark them.
const HINTS: &[&str] = &[
    "hint:",
    "When you have resolved this problem, run",
    "If you prefer to skip this patch, run",
    "To restore the original branch and stop patching, run",
];

/// Gives what git said, its hints left out.
fn words(output: &Output) -> String {
    let both = format!("{}\n{}", output.stdout.text(), output.stderr.text());
    let lines: Vec<&str> = both
        .lines()
        .map(str::trim_end)
        .filter(|l| !l.is_empty() && !HINTS.iter().any(|hint| l.starts_with(hint)))
        .collect();
    let from = lines.len().saturating_sub(20);
    lines[from..].join("\n")
}

/// Gives as much of a commit's name as people use.
pub fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}
