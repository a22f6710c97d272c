//! Push and pull of 500 MB that do not compress, held against skopeo.
//!
//! Run by hand: `cargo bench --bench registry`. Needs docker-registry, skopeo and GNU time. Both
//! sides carry the same layout to and from one registry on this machine, in turn; what a push brought
//! is taken away before the next. Medians of 5 are printed, and each ratio beside what it is meant
//! to be at most. It fails no test: it tells.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tdg::model::Sha256Digest;

#[path = "support/mod.rs"]
#[allow(dead_code)]
mod support;

use support::{median, ratio};

/// How often each side runs.
const ROUNDS: usize = 5;
/// The layers: five of 100 MB.
const LAYERS: u64 = 5;
const LAYER: usize = 100_000_000;

struct Registry(Child);

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    layout(&folder.join("layout"));
    let port = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = port.local_addr().expect("an address").port();
    let config = format!(
        "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {}/data }} }}\n\
         http: {{ addr: '127.0.0.1:{port}' }}\n",
        folder.display()
    );
    fs::write(folder.join("config.yml"), config).expect("a file");
    let child = Command::new("docker-registry")
        .arg("serve")
        .arg(folder.join("config.yml"))
        .env("OTEL_TRACES_EXPORTER", "none")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("docker-registry starts");
    let _registry = Registry(child);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        std::thread::sleep(Duration::from_millis(20));
    }
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
            let _ = fs::remove_dir_all(folder.join("data"));
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
    fs::create_dir_all(folder.join("blobs/sha256")).expect("a folder");
    let blob = |media_type: &str, bytes: &[u8]| {
        let digest = Sha256Digest::of(bytes);
        fs::write(folder.join(format!("blobs/sha256/{digest}")), bytes).expect("a file");
        json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len() })
    };
    let layers: Vec<_> = (0..LAYERS)
        .map(|seed| blob("application/vnd.oci.image.layer.v1.tar", &noise(seed)))
        .collect();
    let ids: Vec<_> = layers.iter().map(|layer| layer["digest"].clone()).collect();
    let config = json!({ "architecture": "arm64", "os": "linux", "rootfs": { "type": "layers", "diff_ids": ids } });
    let config = blob(
        "application/vnd.oci.image.config.v1+json",
        config.to_string().as_bytes(),
    );
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": layers });
    let mut manifest = blob(kind, manifest.to_string().as_bytes());
    manifest["annotations"] = json!({ "org.opencontainers.image.ref.name": "v1" });
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    fs::write(folder.join("index.json"), index.to_string()).expect("a file");
    fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .expect("a file");
}

/// Bytes that do not compress.
fn noise(seed: u64) -> Vec<u8> {
    let mut state = seed << 20 | 0x2545_f491;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(next)
        .take(LAYER / 8)
        .flatten()
        .collect();
    bytes.truncate(LAYER);
    bytes
}
