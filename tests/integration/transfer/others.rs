//! crane and oras as the other side, and lists that registries keep of what refers to something.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tdg::format::oci::Digest;
use tdg::probe::registry;

use super::{blobs, leads_to, name, quick, sample};
use crate::peers::{output, peer};
use crate::proxy::{Message, Teller};
use crate::servers::registry;
use crate::world::World;

fn good(world: &World, arguments: &[&str]) {
    let ran = world.tdg(arguments);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
}

#[test]
fn oras_reads_what_was_pushed_and_writes_what_is_pulled() {
    let world = World::new();
    let Some(server) = registry(&world.path().join("registry"), false) else {
        return;
    };
    let Some(oras) = peer("oras") else { return };
    let layout = sample(&world, "layout", &[300_000, 20]);
    let base = format!("127.0.0.1:{}/team", server.port);
    good(&world, &["push", "layout", &format!("oci://{base}/a:v1")]);
    let copy = |arguments: &[&str]| {
        let copy = ["cp", "--recursive", "--no-tty"];
        output(&oras, world.path(), &[&copy[..], arguments].concat());
    };
    copy(&[
        "--from-plain-http",
        &format!("{base}/a:v1"),
        "--to-oci-layout",
        "theirs:v1",
    ]);
    assert_eq!(blobs(&world.path().join("theirs")), blobs(layout.path()));
    assert_eq!(
        leads_to(&world.path().join("theirs"), "v1"),
        leads_to(layout.path(), "v1")
    );
    copy(&[
        "--from-oci-layout",
        "theirs:v1",
        "--to-plain-http",
        &format!("{base}/b:v1"),
    ]);
    good(
        &world,
        &["pull", &format!("oci://{base}/b:v1"), "ours", "--referrers"],
    );
    assert_eq!(blobs(&world.path().join("ours")), blobs(layout.path()));
    // Their own artifact, and a list of what refers to ours.
    world.write("notes.txt", "a note\n");
    let pushed = format!("{base}/notes:v1");
    let push = [
        "push",
        "--plain-http",
        "--no-tty",
        &pushed,
        "notes.txt:text/plain",
    ];
    output(&oras, world.path(), &push);
    good(&world, &["pull", &format!("oci://{pushed}"), "notes"]);
    assert!(
        blobs(&world.path().join("notes"))
            .values()
            .any(|size| *size == 7)
    );
    let discover = [
        "discover",
        "--plain-http",
        "--format",
        "json",
        &format!("{base}/a:v1"),
    ];
    let found: Value = serde_json::from_str(&output(&oras, world.path(), &discover)).unwrap();
    assert!(
        found.to_string().contains("application/vnd.in-toto+json"),
        "{found:#}"
    );
}

/// A registry in memory, which is crane's.
struct InMemory {
    child: Child,
    port: u16,
}

impl Drop for InMemory {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl InMemory {
    fn start(crane: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = port.local_addr().unwrap().port();
        let child = Command::new(crane)
            .args([
                "registry",
                "serve",
                "--address",
                &format!("127.0.0.1:{port}"),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begin.elapsed() < Duration::from_secs(20), "no registry");
            std::thread::sleep(Duration::from_millis(20));
        }
        Self { child, port }
    }
}

#[test]
fn crane_and_its_registry_read_what_was_pushed_and_write_what_is_pulled() {
    let world = World::new();
    let Some(crane) = peer("crane") else { return };
    let server = InMemory::start(&crane);
    let layout = sample(&world, "layout", &[300_000, 20]);
    let base = format!("127.0.0.1:{}/team", server.port);
    for (repository, more) in [("a", &[][..]), ("parts", &["--chunk", "100 KiB"])] {
        let name = format!("oci://{base}/{repository}:v1");
        good(&world, &[&["push", "layout", &name][..], more].concat());
        let pulled = [
            "pull",
            "--format",
            "oci",
            &format!("{base}/{repository}:v1"),
            repository,
        ];
        output(&crane, world.path(), &pulled);
        let theirs = blobs(&world.path().join(repository));
        // What refers to it they leave behind: a manifest and two blobs.
        assert_eq!(theirs.len() + 3, blobs(layout.path()).len());
        assert!(
            theirs
                .iter()
                .all(|blob| blobs(layout.path()).get(blob.0) == Some(blob.1))
        );
    }
    good(
        &world,
        &["pull", &format!("oci://{base}/a:v1"), "ours", "--referrers"],
    );
    assert_eq!(blobs(&world.path().join("ours")), blobs(layout.path()));
    // It has no list of what refers to something: that stands under a tag.
    let root = leads_to(layout.path(), "v1").unwrap();
    let tags = output(&crane, world.path(), &["ls", &format!("{base}/a")]);
    assert_eq!(tags, format!("{}\nv1\n", root.replace(':', "-")));
    // And what they push.
    fs::remove_dir_all(world.path().join("ours")).unwrap();
    output(
        &crane,
        world.path(),
        &["push", "--index", "a", &format!("{base}/theirs:v1")],
    );
    good(
        &world,
        &["pull", &format!("oci://{base}/theirs:v1"), "ours"],
    );
    let root = leads_to(&world.path().join("ours"), "v1").unwrap();
    let digest = output(
        &crane,
        world.path(),
        &["digest", &format!("{base}/theirs:v1")],
    );
    assert_eq!(digest.trim(), root);
}

#[test]
fn lists_are_read_page_by_page_and_what_was_not_asked_for_is_left_out() {
    let digest = |n: u32| format!("sha256:{n:064x}");
    let server = Teller::start(move |request: &Message| {
        let target = request.first.split(' ').nth(1).unwrap().to_owned();
        let page = |kinds: &[(u32, &str)]| {
            let list: Vec<Value> = kinds
                .iter()
                .map(|(n, kind)| json!({ "mediaType": "a/b", "digest": digest(*n), "size": 1, "artifactType": kind }))
                .collect();
            let index = json!({ "schemaVersion": 2, "mediaType": crate::layouts::INDEX, "manifests": list });
            index.to_string().into_bytes()
        };
        let next = |to: &str| format!("200 OK\r\nLink: <{to}>; rel=\"next\"\r\n");
        let ok = || "200 OK\r\n".to_owned();
        Some(match target.as_str() {
            "/v2/a/tags/list?n=1000" => (
                next("/v2/a/tags/list?last=b"),
                br#"{"tags":["b","a"]}"#.to_vec(),
            ),
            "/v2/a/tags/list?last=b" => (ok(), br#"{"tags":["c"]}"#.to_vec()),
            "/v2/away/tags/list?n=1000" => {
                (next("http://localhost:1/"), br#"{"tags":[]}"#.to_vec())
            }
            "/v2/round/tags/list?n=1000" => (next("?n=1000"), br#"{"tags":[]}"#.to_vec()),
            "/v2/odd/tags/list?n=1000" => (ok(), br#"{"tags":["../x"]}"#.to_vec()),
            target if target.ends_with("more") => (ok(), page(&[(2, "x/y"), (3, "z")])),
            target if target.contains("/referrers/") => (next("?more"), page(&[(1, "x/y")])),
            _ => ("404 Not Found\r\n".into(), Vec::new()),
        })
    });
    let options = quick(1);
    let tags = |repository: &str| registry::tags(&name(server.port, repository), &options);
    assert_eq!(tags("a").unwrap(), ["a", "b", "c"]);
    for (wrong, said) in [
        ("away", "another place"),
        ("round", "another place"),
        ("odd", "no tag"),
    ] {
        let error = tags(wrong).unwrap_err().to_string();
        assert!(error.contains(said), "{error}");
    }
    assert!(tags("none").unwrap_err().is_absent());
    let subject = Digest::parse(&digest(9)).unwrap();
    let list = |kind| {
        let list = registry::referrers(&name(server.port, "a"), &subject, kind, &options).unwrap();
        list.len()
    };
    assert_eq!((list(None), list(Some("x/y")), list(Some("z"))), (3, 2, 1));
}
