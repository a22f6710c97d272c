//! 1,000 checks of a web server, held against Hurl 8 and against curl.
//!
//! Run by hand: `cargo bench --bench wire`. Needs nginx and curl, and Hurl on the path or at `HURL`
//! (`cargo install hurl@8.0.1 --locked`). All ask one nginx on this machine, in turn, for the same
//! 1,000 documents. tdg and Hurl hold of each answer the status, the type and two values of its JSON;
//! curl, in one process, holds nothing: it is the floor. Hurl runs its requests one after the other
//! in one file, which is the quickest that it does here, and in 1,000 files in parallel. Medians of 7
//! are printed, and each ratio beside what it is meant to be at most. It fails no test: it tells.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr
)]

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[path = "support/mod.rs"]
#[allow(dead_code)]
mod support;

#[path = "../tests/support/peers.rs"]
#[allow(dead_code)]
mod peers;
#[path = "../tests/support/servers.rs"]
#[allow(dead_code)]
mod servers;

use support::{ROUNDS, median, ratio};

/// How many checks.
const CHECKS: usize = 1000;

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let types = "default_type application/json;";
    let server = servers::nginx(folder, false, types).expect("nginx");
    write(folder, server.port);
    let hurl = std::env::var("HURL").unwrap_or_else(|_| "hurl".into());
    let sides: [(&str, Vec<&str>); 4] = [
        ("tdg", vec![env!("CARGO_BIN_EXE_tdg"), "run", "spec.yaml"]),
        ("hurl", vec![&hurl, "--test", "all.hurl"]),
        ("hurl, files", vec![&hurl, "--test", "--parallel", "each"]),
        ("curl", vec!["curl", "--silent", "--config", "curl.txt"]),
    ];
    let mut times: [Vec<Duration>; 4] = Default::default();
    for _ in 0..ROUNDS {
        for (side, (_, arguments)) in sides.iter().enumerate() {
            times[side].push(run(folder, arguments));
        }
    }
    let asked = server.requests().len();
    assert_eq!(asked, CHECKS * sides.len() * ROUNDS, "each asks for all");
    println!("{CHECKS} HTTP checks, medians of {ROUNDS} (seconds):");
    let times = times.map(|times| median(times).as_secs_f64());
    for ((who, _), took) in sides.iter().zip(times) {
        println!("  {who:<26} {took:>9.3}");
    }
    ratio("of Hurl's time", times[0] / times[1].min(times[2]), 0.8);
}

/// Writes what is served, and what each side is told to hold of it.
fn write(folder: &Path, port: u16) {
    let mut spec = String::from("spec: A web server\nchecks:\n");
    let (mut hurl, mut curl) = (String::new(), String::new());
    fs::create_dir(folder.join("each")).unwrap();
    for number in 0..CHECKS {
        let url = format!("http://127.0.0.1:{port}/{number}.json");
        let body = format!("{{\"number\": {number}, \"kernel\": {{\"arch\": \"arm64\"}}}}\n");
        fs::write(folder.join(format!("files/{number}.json")), body).unwrap();
        write!(
            spec,
            "- name: document {number}\n  http: {url}\n  expect:\n    status: 200\n    \
             content-type: application/json\n    \
             json: {{ number: {number}, kernel: {{ arch: arm64 }} }}\n"
        )
        .unwrap();
        let one = format!(
            "GET {url}\nHTTP 200\n[Asserts]\nheader \"Content-Type\" == \"application/json\"\n\
             jsonpath \"$.number\" == {number}\njsonpath \"$.kernel.arch\" == \"arm64\"\n\n"
        );
        fs::write(folder.join(format!("each/{number}.hurl")), &one).unwrap();
        hurl.push_str(&one);
        writeln!(curl, "url = \"{url}\"\noutput = \"/dev/null\"").unwrap();
    }
    fs::write(folder.join("spec.yaml"), spec).unwrap();
    fs::write(folder.join("all.hurl"), hurl).unwrap();
    fs::write(folder.join("curl.txt"), curl).unwrap();
}

/// Runs one side, which has to be content.
fn run(folder: &Path, arguments: &[&str]) -> Duration {
    let mut command = Command::new(arguments[0]);
    command
        .args(&arguments[1..])
        .env("TDG_CACHE", "off")
        .current_dir(folder)
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let begin = Instant::now();
    let output = command.output().expect("the program starts");
    let took = begin.elapsed();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}");
    took
}
