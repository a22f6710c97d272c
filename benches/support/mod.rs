//! What the benchmarks have in common: commands, timed in turn.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How often each side runs.
pub const ROUNDS: usize = 7;

/// Runs a command to its end, its output thrown away.
pub fn time(command: Command) -> Duration {
    time_of(command, 0)
}

/// The same of a command that ends with another exit code.
pub fn time_of(mut command: Command, code: i32) -> Duration {
    let begin = Instant::now();
    let status = command
        .stdout(Stdio::null())
        .status()
        .expect("the command starts");
    let took = begin.elapsed();
    assert!(status.code() == Some(code), "{command:?} failed");
    took
}

/// Gives the middle one.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Prepares a script whose first argument is `$1`.
pub fn shell(script: &str, arguments: &[&Path]) -> Command {
    let mut command = Command::new("bash");
    command
        .args(["-euo", "pipefail", "-c", script, "bash"])
        .args(arguments);
    command
}

/// Gives the most memory that the program took, in bytes.
pub fn peak_memory(arguments: &[&str]) -> u64 {
    peak_memory_of(arguments, 0)
}

/// The same of a run that ends with another exit code.
pub fn peak_memory_of(arguments: &[&str], code: i32) -> u64 {
    let output = Command::new("/usr/bin/time")
        .args(["-f", "%M", env!("CARGO_BIN_EXE_tdg")])
        .args(arguments)
        .env("TDG_CACHE", "off")
        .stdout(Stdio::null())
        .output()
        .expect("GNU time starts");
    let text = String::from_utf8_lossy(&output.stderr);
    let ended = output.status.code() == Some(code);
    assert!(ended, "tdg {arguments:?}: {text}");
    let last = text.lines().last().unwrap_or_default();
    last.trim().parse::<u64>().expect("a number of KiB") * 1024
}

/// Prints a ratio beside what it is meant to be at most.
pub fn ratio(what: &str, is: f64, at_most: f64) {
    let verdict = if is <= at_most { "holds" } else { "MISSED" };
    println!("  {what:<26} {is:>9.3}  (at most {at_most}: {verdict})");
}
