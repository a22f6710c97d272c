//! A file of 100 MB over TFTP, held against the client of tftp-hpa and against curl.
//!
//! Run by hand: `cargo bench --bench tftp`. Needs tftp-hpa, tftpd-hpa and curl. All clients ask the
//! same tftpd-hpa on this machine, in turn, for blocks of one size: 512 bytes, the only size that the
//! client of tftp-hpa knows (it asks for no options), and 1,468, which curl can ask for as firmware
//! does. tdg looks at what it got besides (its digest, what it is); the others write it to a disk of
//! memory. Medians of 5 are printed, and each ratio beside what it is meant to be at most. It fails
//! no test: it tells.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use sha2::{Digest, Sha256};

#[path = "support/mod.rs"]
#[allow(dead_code)]
mod support;

#[path = "../tests/support/datagrams.rs"]
#[allow(dead_code)]
mod datagrams;
#[path = "../tests/support/images.rs"]
#[allow(dead_code)]
mod images;
#[path = "../tests/support/layouts.rs"]
#[allow(dead_code)]
mod layouts;
#[path = "../tests/support/peers.rs"]
#[allow(dead_code)]
mod peers;

use support::{median, ratio, time};

/// How often each side runs.
const ROUNDS: usize = 5;
/// The bytes of the file: over 65,535 blocks of either size.
const SIZE: usize = 100_000_000;

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let folder = folder.path();
    fs::create_dir(folder.join("files")).unwrap();
    let bytes = layouts::noise(1, SIZE);
    fs::write(folder.join("files/big"), &bytes).unwrap();
    let digest: String = Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let (_server, port) =
        datagrams::tftpd(&folder.join("files"), Duration::from_secs(1)).expect("tftpd-hpa");
    println!("100 MB over TFTP, medians of {ROUNDS} (seconds, MB/s):");
    for (size, options, other) in [
        (512, "like: plain", "tftp-hpa"),
        (512, "like: plain", "curl"),
        (1468, "like: plain, blksize: 1468", "curl"),
    ] {
        spec(folder, port, &digest, options);
        let mut times: [Vec<Duration>; 2] = Default::default();
        for _ in 0..ROUNDS {
            times[0].push(time(ours(folder)));
            times[1].push(time(theirs(folder, port, other, size)));
            let got = fs::metadata(folder.join("got")).expect("the file came");
            assert_eq!(got.len(), SIZE as u64, "{other}");
            fs::remove_file(folder.join("got")).unwrap();
        }
        let [ours, theirs] = times.map(|times| median(times).as_secs_f64());
        for (who, took) in [("tdg", ours), (other, theirs)] {
            let speed = SIZE as f64 / 1e6 / took;
            println!("  {who:<10} blocks of {size:<5} {took:>9.3} {speed:>9.1}");
        }
        ratio(&format!("of {other}'s time"), ours / theirs, 1.0);
    }
}

/// Writes the spec: the file is there, with this size and digest.
fn spec(folder: &Path, port: u16, digest: &str, options: &str) {
    let big = big(folder);
    let text = format!(
        "spec: A file over TFTP\nchecks:\n- name: it comes whole\n  \
         tftp: {{ url: \"tftp://127.0.0.1:{port}/{big}\", {options} }}\n  \
         expect: {{ present: true, size: {SIZE}, sha256: {digest} }}\n"
    );
    fs::write(folder.join("tftp.yaml"), text).unwrap();
}

fn ours(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tdg"));
    command
        .args(["run", "tftp.yaml"])
        .env("TDG_CACHE", "off")
        .current_dir(folder);
    command
}

fn theirs(folder: &Path, port: u16, who: &str, size: usize) -> Command {
    let mut command = Command::new(if who == "curl" { "curl" } else { "tftp" });
    if who == "curl" {
        command
            .args(["--silent", "--show-error", "--fail", "--output", "got"])
            .args(["--tftp-blksize", &size.to_string()])
            .arg(format!("tftp://127.0.0.1:{port}/{}", big(folder)));
        if size == 512 {
            command.arg("--tftp-no-options");
        }
    } else {
        command
            .args(["-4", "-m", "binary", "127.0.0.1", &port.to_string()])
            .args(["-c", "get", &big(folder), "got"]);
    }
    command.current_dir(folder);
    command
}

/// Gives the file's name as tftpd-hpa takes it: the whole path.
fn big(folder: &Path) -> String {
    folder.join("files/big").display().to_string()
}
