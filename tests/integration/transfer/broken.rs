//! What breaks off is gone on with, and what cannot be is said; nothing half is at its place.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use serde_json::{Value, json};
use tdg::model::Sha256Digest;
use tdg::probe::registry::{self, Event, How, Progress, Which};

use super::{blobs, leads_to, name, quick, sample};
use crate::layouts::noise;
use crate::proxy::{Message, Teller};
use crate::servers::registry as real;
use crate::wire::{Then, Wire};
use crate::world::{World, ran_while};

/// The size of the blob that breaks off.
const SIZE: usize = 8_000_000;
/// What else goes over: manifests, small blobs, heads.
const BESIDE: u64 = 60_000;

/// Gives the sizes of the blobs that have come in part.
fn in_part(world: &World, layout: &str) -> u64 {
    let list = fs::read_dir(world.path().join(layout).join(".tdg-partial"));
    let sizes = list.into_iter().flatten().flatten();
    sizes.map(|entry| entry.metadata().unwrap().len()).sum()
}

/// Pulls to the end what came in part before; nothing of that goes over again.
fn goes_on(world: &World, registry: u16, layout: &str) {
    let before = in_part(world, layout);
    assert!(before > 1_000_000, "{before}");
    assert_eq!(leads_to(&world.path().join(layout), "v1"), None);
    let came = blobs(&world.path().join(layout));
    assert!(!came.values().any(|size| *size == SIZE as u64), "{came:?}");
    let wire = Wire::lay(registry, u64::MAX, Then::Ends);
    let from = format!("oci://127.0.0.1:{}/team/image:v1", wire.port);
    let ran = world.tdg(&["pull", &from, layout, "--referrers", "--format", "json"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    let missing = SIZE as u64 - before;
    let over = wire.over();
    assert!(
        (missing..missing + BESIDE).contains(&over),
        "{over}, {missing}"
    );
    let told: Value = serde_json::from_str(&ran.stdout).unwrap();
    let carried = told["carried"].as_u64().unwrap();
    assert!((missing..missing + BESIDE).contains(&carried), "{told:#}");
    assert_eq!(
        blobs(&world.path().join(layout)),
        blobs(&world.path().join("layout"))
    );
    assert!(!world.path().join(layout).join(".tdg-partial").exists());
}

#[test]
fn what_came_of_a_blob_does_not_go_over_again() {
    let world = World::new();
    let Some(server) = real(&world.path().join("registry"), false) else {
        return;
    };
    sample(&world, "layout", &[SIZE]);
    let there = format!("oci://127.0.0.1:{}/team/image:v1", server.port);
    assert_eq!(world.tdg(&["push", "layout", &there]).code, 0);
    // The connection breaks.
    let wire = Wire::lay(server.port, 5_000_000, Then::Ends);
    let from = format!("oci://127.0.0.1:{}/team/image:v1", wire.port);
    let ran = world.tdg(&["pull", &from, "broken", "--tries", "1", "--referrers"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{}", ran.stderr);
    goes_on(&world, server.port, "broken");
    // The user ends it.
    let wire = Wire::lay(server.port, 5_000_000, Then::Stalls);
    let from = format!("oci://127.0.0.1:{}/team/image:v1", wire.port);
    let begin = Instant::now();
    let ran = ran_while(&mut world.command(&["pull", &from, "ended"]), |pid| {
        wire.wait();
        kill(pid, Signal::SIGINT).unwrap();
    });
    let said = "error: interrupted; the same again goes on with it\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (130, said));
    assert!(begin.elapsed() < Duration::from_secs(30));
    goes_on(&world, server.port, "ended");
    // No room is left.
    let limited = "trap '' XFSZ; ulimit -f 6000; exec \"$0\" \"$@\"";
    let mut command = std::process::Command::new("sh");
    command.args(["-c", limited, env!("CARGO_BIN_EXE_tdg")]);
    command.args(["pull", &there, "full", "--referrers"]);
    let ran = crate::world::ran(command.current_dir(world.path()));
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{}", ran.stderr);
    assert!(
        ran.stderr.starts_with("error: full/.tdg-partial/sha256-"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("File too large"), "{}", ran.stderr);
    goes_on(&world, server.port, "full");
}

#[test]
fn a_push_that_is_ended_leaves_no_tag_and_goes_well_the_next_time() {
    let world = World::new();
    let Some(server) = real(&world.path().join("registry"), false) else {
        return;
    };
    let layout = sample(&world, "layout", &[SIZE]);
    let wire = Wire::lay(server.port, 3_000_000, Then::Stalls);
    let to = format!("oci://127.0.0.1:{}/team/image:v1", wire.port);
    let ran = ran_while(&mut world.command(&["push", "layout", &to]), |pid| {
        wire.wait();
        kill(pid, Signal::SIGINT).unwrap();
    });
    let said = "error: interrupted; the same again goes on with it\n";
    assert_eq!((ran.code, ran.stderr.as_str()), (130, said));
    let there = format!("oci://127.0.0.1:{}/team/image:v1", server.port);
    let ran = world.tdg(&["pull", &there, "none"]);
    assert_eq!(ran.code, 4);
    assert!(
        ran.stderr.contains("correct the repository, the tag"),
        "{}",
        ran.stderr
    );
    assert!(!world.path().join("none").exists(), "nothing is left of it");
    assert_eq!(world.tdg(&["push", "layout", &there]).code, 0);
    assert_eq!(world.tdg(&["pull", &there, "out", "--referrers"]).code, 0);
    assert_eq!(blobs(&world.path().join("out")), blobs(layout.path()));
}

#[test]
fn nothing_is_tried_again_once_its_time_is_up() {
    let world = World::new();
    let begin = Instant::now();
    let one = "oci://127.0.0.1:1/a:v1";
    let ran = world.tdg(&["pull", one, "out", "--timeout", "1s", "--tries", "50"]);
    assert_eq!(ran.code, 4);
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    assert!(
        ran.stderr.contains("correct the host and the port"),
        "{}",
        ran.stderr
    );
}

#[test]
fn no_link_in_a_layout_is_written_through() {
    let world = World::new();
    let Some(server) = real(&world.path().join("registry"), false) else {
        return;
    };
    let layout = sample(&world, "layout", &[5000]);
    let there = format!("oci://127.0.0.1:{}/team/image:v1", server.port);
    assert_eq!(world.tdg(&["push", "layout", &there]).code, 0);
    let victim = world.write("victim", "mine");
    let root = leads_to(layout.path(), "v1").unwrap().replace(':', "-");
    for (place, code) in [("lock", 4), (root.as_str(), 0)] {
        let folder = world.path().join(format!("by-{code}/.tdg-partial"));
        fs::create_dir_all(&folder).unwrap();
        symlink(&victim, folder.join(place)).unwrap();
        let ran = world.tdg(&["pull", &there, &format!("by-{code}")]);
        assert_eq!(ran.code, code, "{place}: {}", ran.stderr);
        assert_eq!(fs::read(&victim).unwrap(), b"mine", "{place}");
    }
    fs::create_dir_all(world.path().join("elsewhere")).unwrap();
    fs::create_dir_all(world.path().join("led")).unwrap();
    symlink("../elsewhere", world.path().join("led/.tdg-partial")).unwrap();
    let ran = world.tdg(&["pull", &there, "led"]);
    assert_eq!(ran.code, 4);
    assert!(
        ran.stderr.contains("is no folder; take it away"),
        "{}",
        ran.stderr
    );
    assert_eq!(
        fs::read_dir(world.path().join("elsewhere"))
            .unwrap()
            .count(),
        0
    );
}

#[test]
fn sizes_that_nobody_has_are_an_error() {
    let digest = |n: u8| format!("sha256:{}", Sha256Digest::of(&[n]));
    let layer = |n: u8| json!({ "mediaType": "x/y", "digest": digest(n), "size": i64::MAX });
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": kind, "config": layer(0), "layers": [layer(1), layer(2)],
    });
    let teller = Teller::start(move |_| {
        let head = format!("200 OK\r\nContent-Type: {kind}\r\n");
        Some((head, manifest.to_string().into_bytes()))
    });
    let world = World::new();
    let from = format!("oci://127.0.0.1:{}/a:v1", teller.port);
    let ran = world.tdg(&["pull", &from, "out", "--tries", "1"]);
    assert_eq!(ran.code, 4);
    assert!(ran.stderr.contains("max_decoded"), "{}", ran.stderr);
    assert_eq!(teller.asked().len(), 1);
}

/// A registry that keeps half of what is first sent of the large blob, and ends the connection.
#[derive(Default)]
struct Half {
    /// Whether that was done.
    done: bool,
    /// Whether it knows afterwards what it kept.
    forgets: bool,
    uploads: Vec<Vec<u8>>,
    blobs: BTreeMap<String, usize>,
    manifests: BTreeMap<String, (String, Vec<u8>)>,
}

impl Half {
    fn answer(&mut self, asked: &Message) -> Option<(String, Vec<u8>)> {
        let mut words = asked.first.split(' ');
        let (method, path) = (words.next()?, words.next()?);
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let last = path.rsplit('/').next()?;
        let at = |n: usize| format!("Location: /v2/a/blobs/uploads/{n}\r\n");
        let text = |head: &str| Some((head.to_owned(), Vec::new()));
        if path.contains("/uploads/") {
            if method == "POST" {
                self.uploads.push(Vec::new());
                let at = at(self.uploads.len() - 1);
                return text(&format!("202 Accepted\r\n{at}"));
            }
            let number: usize = last.parse().unwrap();
            let upload = &mut self.uploads[number];
            if method == "GET" && self.forgets {
                return text("404 Not Found\r\n");
            }
            if !self.done && asked.body.len() > 10_000 {
                self.done = true;
                upload.extend(&asked.body[..asked.body.len() / 2]);
                return None;
            }
            if let Some(range) = asked.header("content-range") {
                assert_eq!(range.split('-').next().unwrap(), upload.len().to_string());
            }
            upload.extend(&asked.body);
            let range = format!("Range: 0-{}\r\n", upload.len().saturating_sub(1));
            return match method {
                "GET" => text(&format!("204 No Content\r\n{range}{}", at(number))),
                "PATCH" => text(&format!("202 Accepted\r\n{range}{}", at(number))),
                _ => {
                    let digest = format!("sha256:{}", Sha256Digest::of(upload));
                    assert_eq!(query, format!("digest={digest}"));
                    self.blobs.insert(digest, upload.len());
                    text("201 Created\r\n")
                }
            };
        }
        if path.contains("/blobs/") {
            return match self.blobs.get(last) {
                Some(size) => text(&format!("200 OK\r\nContent-Length: {size}\r\n")),
                None => text("404 Not Found\r\n"),
            };
        }
        if method == "PUT" {
            let kind = asked.header("content-type").unwrap().to_owned();
            let stored = (kind, asked.body.clone());
            self.manifests.insert(last.to_owned(), stored);
            return text("201 Created\r\n");
        }
        match self.manifests.get(last) {
            Some((kind, bytes)) => {
                Some((format!("200 OK\r\nContent-Type: {kind}\r\n"), bytes.clone()))
            }
            None => text("404 Not Found\r\n"),
        }
    }
}

#[test]
fn an_upload_goes_on_in_the_middle_of_a_part() {
    let size = 100_000;
    let world = World::new();
    let layout = sample(&world, "layout", &[size]);
    let large = format!("sha256:{}", Sha256Digest::of(&noise(size as u64, size)));
    for (chunk, forgets, wanted) in [
        (None, false, vec!["PUT ", "PATCH 50000-99999"]),
        (
            Some(40_000),
            false,
            vec!["PATCH 0-39999", "PATCH 20000-59999", "PATCH 60000-99999"],
        ),
        (None, true, vec!["PUT ", "PUT "]),
        (
            Some(70_000),
            true,
            vec!["PATCH 0-69999", "PATCH 0-69999", "PATCH 70000-99999"],
        ),
    ] {
        let half = Arc::new(Mutex::new(Half {
            forgets,
            ..Half::default()
        }));
        let held = Arc::clone(&half);
        let teller = Teller::start(move |asked| held.lock().unwrap().answer(asked));
        let how: Arc<Mutex<BTreeMap<String, How>>> = Arc::default();
        let seen = Arc::clone(&how);
        let progress: Progress = Arc::new(move |event: &Event<'_>| {
            if let Event::Blob { digest, how, .. } = event {
                seen.lock().unwrap().insert(digest.to_string(), *how);
            }
        });
        let mut options = quick(3);
        options.chunk = chunk;
        options.jobs = 1;
        let to = name(teller.port, "a:v1");
        let tags = ["v1".to_owned()];
        registry::push(layout.path(), &Which::Only, &to, &tags, &options, &progress).unwrap();
        let sent: Vec<String> = teller
            .asked()
            .iter()
            .filter(|asked| asked.body.len() > 10_000)
            .map(|asked| {
                let method = asked.first.split(' ').next().unwrap();
                format!(
                    "{method} {}",
                    asked.header("content-range").unwrap_or_default()
                )
            })
            .collect();
        assert_eq!(sent, wanted);
        let from = match (forgets, chunk) {
            (true, _) => How::Carried,
            (false, None) => How::Resumed { from: 50_000 },
            (false, Some(_)) => How::Resumed { from: 20_000 },
        };
        assert_eq!(how.lock().unwrap()[&large], from);
        assert_eq!(half.lock().unwrap().blobs[&large], size);
    }
}
