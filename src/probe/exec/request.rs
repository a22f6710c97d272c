//! What to run, and what came of it.

use super::cancel::Cancel;
use super::capture::Captured;
use crate::model::words::quote;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// A command to run: an argument vector, never a shell line.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) argv: Vec<OsString>,
    pub(super) cwd: Option<PathBuf>,
    pub(super) env: Vec<(OsString, OsString)>,
    pub(super) stdin: Vec<u8>,
    pub(super) hold: bool,
    pub(super) release: Option<Cancel>,
    pub(super) outlives: bool,
    pub(super) timeout: Option<Duration>,
    pub(super) grace: Duration,
    pub(super) keep: usize,
    pub(super) log: Option<(PathBuf, u64)>,
    pub(super) redact: Vec<String>,
    pub(super) cancel: Cancel,
}

/// How much of each end of an output is kept unless asked otherwise, in bytes.
const KEEP: usize = 8 << 20;
/// How long a process that was asked to end may take, unless asked otherwise.
const GRACE: Duration = Duration::from_secs(1);

impl Request {
    /// Makes a request to run a program with arguments: no time-out, no input, scrubbed environment.
    ///
    /// The program is looked up in the `PATH` the command itself gets; a name with a `/` is taken
    /// from the command's working directory.
    pub fn new<S: Into<OsString>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            cwd: None,
            env: Vec::new(),
            stdin: Vec::new(),
            hold: false,
            release: None,
            outlives: false,
            timeout: None,
            grace: GRACE,
            keep: KEEP,
            log: None,
            redact: Vec::new(),
            cancel: Cancel::global(),
        }
    }

    /// Sets the working directory.
    #[must_use]
    pub fn cwd(mut self, folder: impl Into<PathBuf>) -> Self {
        self.cwd = Some(folder.into());
        self
    }

    /// Sets an environment variable; beside these there are only `PATH HOME LANG TMPDIR`.
    #[must_use]
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Passes a variable of this process on, where it is set.
    #[must_use]
    pub fn pass(self, name: &str) -> Self {
        match std::env::var_os(name) {
            Some(value) => self.env(name, value),
            None => self,
        }
    }

    /// Sets what the command reads from its standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Keeps the standard input open, and says nothing on it, while the command runs. It closes when
    /// this process ends, whatever ends it: a command that waits for that can end itself.
    #[must_use]
    pub fn hold_input(mut self) -> Self {
        self.hold = true;
        self
    }

    /// Closes an input that is held once this flag is set, on which the command can end in peace.
    #[must_use]
    pub fn release(mut self, release: &Cancel) -> Self {
        self.release = Some(release.clone());
        self
    }

    /// Leaves the command alone where this process is told to end: for what cleans up behind it, and
    /// ends when its standard input closes or its own flag is set.
    #[must_use]
    pub fn outlives(mut self) -> Self {
        self.outlives = true;
        self.cancel = Cancel::new();
        self
    }

    /// Ends the command, and all it started, after a time.
    #[must_use]
    pub fn timeout(mut self, time: Duration) -> Self {
        self.timeout = Some(time);
        self
    }

    /// Sets how long a process may take to end once asked; then it is killed.
    #[must_use]
    pub fn grace(mut self, time: Duration) -> Self {
        self.grace = time;
        self
    }

    /// Keeps so many bytes of the head of each output, and as many of its tail.
    #[must_use]
    pub fn keep(mut self, bytes: usize) -> Self {
        self.keep = bytes;
        self
    }

    /// Appends both outputs to a log file, line by line, up to `limit` bytes.
    #[must_use]
    pub fn log(mut self, path: impl Into<PathBuf>, limit: u64) -> Self {
        self.log = Some((path.into(), limit));
        self
    }

    /// Names a value that must not show in lines, logs or captured output.
    #[must_use]
    pub fn redact(mut self, value: impl Into<String>) -> Self {
        self.redact.push(value.into());
        self
    }

    /// Ends the command when this flag is set too; the process-wide one ends every command but those
    /// that [outlive](Self::outlives) it.
    #[must_use]
    pub fn cancel(mut self, cancel: &Cancel) -> Self {
        self.cancel = cancel.clone();
        self
    }

    /// Shows the command as one line a person could type.
    pub fn show(&self) -> String {
        let words: Vec<String> = self
            .argv
            .iter()
            .map(|word| quote(&word.to_string_lossy()))
            .collect();
        super::capture::redacted(&words.join(" "), &self.redact)
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It exited with a code.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match nix::sys::signal::Signal::try_from(*number) {
                Ok(signal) => write!(f, "signal {number} ({signal})"),
                Err(_) => write!(f, "signal {number}"),
            },
        }
    }
}

/// Why a command is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It ended by itself.
    Exited,
    /// Its time was up, and it was killed.
    TimedOut,
    /// It was cancelled, and killed.
    Cancelled,
}

/// What came of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How its first process ended.
    pub exit: Exit,
    /// Why it is over.
    pub end: End,
    /// Its standard output.
    pub stdout: Captured,
    /// Its standard error.
    pub stderr: Captured,
    /// How long it ran.
    pub duration: Duration,
    /// How many processes it left running; they have been ended.
    pub left_running: usize,
    /// Processes it started that could not be ended, by pid.
    pub survivors: Vec<u32>,
    /// How many lines had a value in them that must not show; it was replaced.
    pub redacted: u64,
}

impl Output {
    /// Tells whether it ended by itself with exit code 0.
    pub fn success(&self) -> bool {
        self.exit == Exit::Code(0) && self.end == End::Exited
    }

    /// Tells whether its time was up.
    pub fn timed_out(&self) -> bool {
        self.end == End::TimedOut
    }

    /// Says how it ended, in words: `exit code 2`, `timed out after 3.00 s`.
    pub fn how(&self) -> String {
        match self.end {
            End::Exited => self.exit.to_string(),
            End::TimedOut => format!(
                "timed out after {}",
                crate::model::size::show_duration(self.duration)
            ),
            End::Cancelled => "interrupted".to_owned(),
        }
    }
}

/// Which output a line came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_shows_as_typed() {
        let request = Request::new(["make", "A=1", "it's", ""]);
        assert_eq!(request.show(), r"make A=1 'it'\''s' ''");
        let hidden = Request::new(["login", "hunter22"]).redact("hunter22");
        assert_eq!(hidden.show(), "login ***");
    }
}
