//! Runs programs; the only place in the crate that starts a process.
//!
//! A command gets a scrubbed environment, bounded capture, a time-out, and an end that leaves
//! nothing behind: [`run`] returns only when everything the command started is gone, also what
//! called `setsid`, forked twice or closed its outputs. The interface is synchronous and may be
//! used from any thread, many at a time.

mod cancel;
mod capture;
mod locate;
mod pump;
mod request;
mod tree;

pub use cancel::{Cancel, INTERRUPTED, watch_signals};
pub use capture::Captured;
pub use locate::which;
pub use request::{End, Exit, Output, Request, Stream};
pub use tree::{MarkAll, end_marked, mark_all};

use capture::{Keeper, Lines, Log};
use locate::resolve;
use pump::{Pump, TICK, listen};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Why a command could not be run at all.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// No program was named.
    #[error("no program to run: name one as the first word")]
    Empty,
    /// The program is nowhere in `PATH`, or not at its path.
    #[error("`{program}` was not found{place}: install it, or name its path")]
    NotFound {
        /// The program as it was named.
        program: String,
        /// Where it was looked for, e.g. ` in PATH (/usr/bin:/bin)`.
        place: String,
    },
    /// The program is there and may not be run.
    #[error("`{}` may not be run: make it executable (chmod +x)", path.display())]
    NotExecutable {
        /// Where it is.
        path: PathBuf,
    },
    /// The program is for another machine, or names an interpreter that is not here.
    #[error("`{}` cannot run on this machine ({source}): check what it is built for, and its `#!` line", path.display())]
    NotForThisMachine {
        /// Where it is.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The working directory is not there.
    #[error("the working directory {} is not there: create it, or name another", path.display())]
    NoDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// The log cannot be written.
    #[error("the log {} cannot be written ({source}): free space, or check its folder", path.display())]
    Log {
        /// The log file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The system refused for another reason.
    #[error("`{program}` could not be started: {source}")]
    Io {
        /// The program as it was named.
        program: String,
        /// What the system says.
        source: io::Error,
    },
}

/// How long outputs may stay open after the first process has ended: a `tee` still writes.
const LINGER: Duration = Duration::from_millis(300);
/// How long killing may take before what is left is reported as surviving.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Runs a command to its end.
///
/// # Errors
/// Where the command could not be started. A command that fails, is killed or times out is an
/// [`Output`] like any other.
pub fn run(request: &Request) -> Result<Output, ExecError> {
    run_with(request, &mut |_, _| {})
}

/// Runs a command to its end and hands on each line as it comes, without its line break.
///
/// # Errors
/// As [`run`].
pub fn run_with(
    request: &Request,
    each_line: &mut dyn FnMut(Stream, &str),
) -> Result<Output, ExecError> {
    follow(request, each_line, &mut |_, _| {})
}

/// How long a wait for what releases an input takes at a time.
const RELEASE: Duration = Duration::from_secs(3600);

/// Runs a command to its end and hands on its output as it comes, in pieces of any length and with
/// everything in it.
///
/// # Errors
/// As [`run`].
pub fn run_raw(
    request: &Request,
    each_piece: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Output, ExecError> {
    follow(request, &mut |_, _| {}, each_piece)
}

fn follow(
    request: &Request,
    each_line: &mut dyn FnMut(Stream, &str),
    each_piece: &mut dyn FnMut(Stream, &[u8]),
) -> Result<Output, ExecError> {
    let mut log = match &request.log {
        Some((path, limit)) => Some(Log::open(path, *limit).map_err(|source| ExecError::Log {
            path: path.clone(),
            source,
        })?),
        None => None,
    };
    let begin = Instant::now();
    let (mut child, mut tree) = start(request)?;
    let mut held = child.stdin.take_if(|_| request.hold);
    if let (Some(release), true) = (request.release.clone(), held.is_some()) {
        let input = held.take();
        std::thread::spawn(move || {
            while !release.wait(RELEASE) {}
            drop(input);
        });
    }
    let events = listen(&mut child, &request.stdin).map_err(|source| ExecError::Io {
        program: program_name(request),
        source,
    });
    let events = match events {
        Ok(events) => events,
        Err(error) => {
            tree.end(Duration::ZERO, KILL_LIMIT);
            let _ = child.wait();
            return Err(error);
        }
    };
    let mut pump = Pump {
        request,
        log: log.as_mut(),
        log_error: None,
        each_line,
        each_piece,
        kept: [Keeper::new(request.keep), Keeper::new(request.keep)],
        lines: [Lines::default(), Lines::default()],
        open: 2,
        taken: 0,
        redacted: 0,
    };
    let end = pump.follow(&events, &mut tree, begin);
    let mut left_running = 0;
    let mut grace = request.grace;
    if end == End::Exited {
        pump.drain(&events, LINGER);
        left_running = settled(&mut tree);
        // Nobody waits for these any more.
        grace = grace.min(LINGER);
    }
    // Ending goes on beside reading: a process that writes its last words must not block.
    let survivors = std::thread::scope(|scope| {
        let ending = scope.spawn(|| tree.end(grace, KILL_LIMIT));
        while !ending.is_finished() && pump.open > 0 {
            pump.drain(&events, TICK);
        }
        ending.join().unwrap_or_default()
    });
    pump.drain_rest(&events, survivors.is_empty());
    let status = reap(&mut child, &survivors);
    drop(tree);
    drop(held);
    pump.finish();
    if let Some(source) = pump.log_error {
        let path = request.log.as_ref().map(|(path, _)| path.clone());
        return Err(ExecError::Log {
            path: path.unwrap_or_default(),
            source,
        });
    }
    let redacted = pump.redacted;
    let [stdout, stderr] = pump.kept;
    Ok(Output {
        exit: status,
        end,
        stdout: stdout.finish(&request.redact),
        stderr: stderr.finish(&request.redact),
        duration: begin.elapsed(),
        left_running,
        survivors,
        redacted,
    })
}

/// Counts what still runs; a process that has closed its outputs may be about to end by itself.
fn settled(tree: &mut tree::Tree) -> usize {
    let mut living = tree.observe().len();
    for _ in 0..5 {
        if living == 0 {
            break;
        }
        std::thread::sleep(Duration::from_millis(4));
        living = tree.observe().len();
    }
    living
}

fn reap(child: &mut Child, survivors: &[u32]) -> Exit {
    let status = if survivors.contains(&child.id()) {
        // The kernel holds it: waiting would hold us too.
        child.try_wait().ok().flatten()
    } else {
        child.wait().ok()
    };
    exit_of(status)
}

fn exit_of(status: Option<ExitStatus>) -> Exit {
    match status.map(|s| (s.code(), s.signal())) {
        Some((Some(code), _)) => Exit::Code(code),
        Some((None, Some(signal))) => Exit::Signal(signal),
        Some((None, None)) | None => Exit::Signal(nix::libc::SIGKILL),
    }
}

fn start(request: &Request) -> Result<(Child, tree::Tree), ExecError> {
    let name = request.argv.first().ok_or(ExecError::Empty)?;
    if let Some(folder) = &request.cwd
        && !folder.is_dir()
    {
        return Err(ExecError::NoDirectory {
            path: folder.clone(),
        });
    }
    let environment = environment(request);
    let search = environment
        .iter()
        .rev()
        .find(|(name, _)| name == "PATH")
        .map(|(_, value)| value.clone());
    let program = resolve(name, search.as_deref(), request.cwd.as_deref())?;
    let own = own_mark();
    let all = tree::marks().clone();
    let mut marks: Vec<&str> = all.iter().map(String::as_str).collect();
    marks.push(&own);
    let mut command = Command::new(&program);
    command
        .arg0(name)
        .args(&request.argv[1..])
        .env_clear()
        .envs(environment)
        .env(tree::MARKER, tree::marker_value(&marks))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .stdin(if request.stdin.is_empty() && !request.hold {
            Stdio::null()
        } else {
            Stdio::piped()
        });
    if let Some(folder) = &request.cwd {
        command.current_dir(folder);
    }
    tree::Tree::start(&own, request.outlives, || {
        let child = spawn(&mut command)?;
        let pid = child.id();
        Ok((child, pid))
    })
    .map_err(|source: io::Error| match source.raw_os_error() {
        Some(nix::libc::EACCES) => ExecError::NotExecutable { path: program },
        // The file is there: it is its interpreter, or its loader, that is not.
        Some(nix::libc::ENOEXEC | nix::libc::ENOENT) => ExecError::NotForThisMachine {
            path: program,
            source,
        },
        _ => ExecError::Io {
            program: program_name(request),
            source,
        },
    })
}

/// Starts a process; waits while another thread of ours still has the program open for writing.
fn spawn(command: &mut Command) -> io::Result<Child> {
    let mut pause = Duration::from_millis(1);
    loop {
        match command.spawn() {
            Err(e) if e.raw_os_error() == Some(nix::libc::ETXTBSY) && pause < LINGER => {
                std::thread::sleep(pause);
                pause *= 2;
            }
            other => return other,
        }
    }
}

fn program_name(request: &Request) -> String {
    let name = request.argv.first();
    name.map_or_else(String::new, |n| n.to_string_lossy().into_owned())
}

/// Gives a command's environment: what every program needs, then what the request names.
fn environment(request: &Request) -> Vec<(OsString, OsString)> {
    let mut environment: Vec<(OsString, OsString)> = ["PATH", "HOME", "TMPDIR"]
        .into_iter()
        .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)))
        .collect();
    environment.push(("LANG".into(), "C.UTF-8".into()));
    environment.extend(request.env.iter().cloned());
    environment
}

/// Makes a mark: a word that nothing else on this machine carries while it is up.
pub fn own_mark() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{}-{count}", std::process::id(), tree::own_start())
}

#[cfg(test)]
mod tests;
