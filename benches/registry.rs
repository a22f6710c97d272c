//! Push and pull of 500 MB that do not compress, held against skopeo.
//!
//! Run by hand: `cargo bench --bench registry`. Needs docker-registry, skopeo and GNU time. Both
//! sides carry the same layout to and from one registry on this machine, in turn; what a push brought
//! is taken away before the next. Medians of 5 are printed, and each ratio beside what it is meant
//! to be at most. It fails no test: it tells.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

#[path = "support/mod.rs"]
#[allow(dead_code)]
mod support;

#[path = "../tests/support/layouts.rs"]
#[allow(dead_code)]
mod layouts;
#[path = "../tests/support/peers.rs"]
#[allow(dead_code)]
mod peers;
#[path = "../tests/support/servers.rs"]
#[allow(dead_code)]
mod servers;

use layouts::{LAYER, Layout, noise};
use support::{median, ratio};

/// How often each side runs.
const ROUNDS: usize = 5;
/// The layers: five of 100 MB.
const LAYERS: u64 = 5;
const SIZE: usize = 100_000_000;

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    layout(&folder.join("layout"));
    let registry = servers::registry(&folder.join("registry"), false).expect("docker-registry");
    let port = registry.port;
    let name = format!("127.0.0.1:{port}/bench/image:v1");
    let ours = env!("CARGO_BIN_EXE_tdg");
    let (oci, docker) = (format!("oci://{name}"), format!("docker://{name}"));
    let copy = ["copy", "--quiet", "--insecure-policy"];
    let sides: [(&str, [Vec<&str>; 2]); 2] = [
        (
            "tdg",
            [
                vec![ours, "push", "layout", &oci],
                vec![ours, "pull", &oci, "out"],
            ],
        ),
        (
            "skopeo",
            [
                [
                    &["skopeo"],
                    &copy[..],
                    &["--dest-tls-verify=false", "oci:layout:v1", &docker],
                ]
                .concat(),
                [
                    &["skopeo"],
                    &copy[..],
                    &["--src-tls-verify=false", &docker, "oci:out:v1"],
                ]
                .concat(),
            ],
        ),
    ];
    let mut times: [[Vec<Duration>; 2]; 2] = Default::default();
    let mut memory = [[0u64; 2]; 2];
    for _ in 0..ROUNDS {
        for (side, (_, ways)) in sides.iter().enumerate() {
            let _ = fs::remove_dir_all(folder.join("registry/data"));
            for (way, arguments) in ways.iter().enumerate() {
                let _ = fs::remove_dir_all(folder.join("out"));
                let (took, most) = timed(folder, arguments);
                times[side][way].push(took);
                memory[side][way] = memory[side][way].max(most);
            }
        }
    }
    println!("500 MB in {LAYERS} layers, medians of {ROUNDS} (tdg, skopeo; seconds, peak MiB):");
    for (way, what) in ["push", "pull"].iter().enumerate() {
        let [ours, theirs] =
            [0, 1].map(|side: usize| median(times[side][way].clone()).as_secs_f64());
        let [our_most, their_most] = [0, 1].map(|side: usize| memory[side][way] / 1024);
        println!("  {what:<26} {ours:>9.3} {theirs:>9.3}   {our_most:>5} {their_most:>5}");
        ratio(&format!("{what}, of skopeo's time"), ours / theirs, 1.0);
    }
}

/// Runs a command under GNU time; gives how long it took, and the most KiB of memory it had.
fn timed(folder: &Path, arguments: &[&str]) -> (Duration, u64) {
    let begin = Instant::now();
    let output = Command::new("/usr/bin/time")
        .args(["-f", "%M"])
        .args(arguments)
        .current_dir(folder)
        .stdout(Stdio::null())
        .output()
        .expect("GNU time starts");
    let took = begin.elapsed();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {text}");
    let last = text.lines().last().unwrap_or_default();
    (took, last.trim().parse().expect("a number of KiB"))
}

/// Makes the layout of one image.
fn layout(folder: &Path) {
    let layout = Layout::new(folder);
    let layers: Vec<Vec<u8>> = (0..LAYERS).map(|seed| noise(seed, SIZE)).collect();
    let blobs: Vec<_> = layers
        .iter()
        .map(|bytes| layout.blob(LAYER, bytes))
        .collect();
    let ids: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let mut image = layout.image("arm64", &blobs, &ids);
    image["annotations"] = json!({ "org.opencontainers.image.ref.name": "v1" });
    layout.index(&[image]);
}
