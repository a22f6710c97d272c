//! There and back again, with a real registry, and programs that others wrote.

use std::fs;
use std::sync::Arc;

use serde_json::Value;
use tdg::format::oci::Digest;
use tdg::probe::registry::{self, Options};

use super::{blobs, leads_to, name, sample};
use crate::layouts::noise;
use crate::peers::{output, peer};
use crate::servers::registry;
use crate::world::World;

/// Runs `tdg` and gives its JSON document.
fn tdg(world: &World, arguments: &[&str]) -> Value {
    let ran = world.tdg(&[arguments, &["--format", "json"]].concat());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
    let document: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["version"], 1);
    document
}

#[test]
fn what_is_pushed_is_pulled_byte_for_byte() {
    let world = World::new();
    let Some(server) = registry(&world.path().join("registry"), false) else {
        return;
    };
    let layout = sample(&world, "layout", &[3_000_000, 70_000, 0, 1]);
    let base = format!("oci://127.0.0.1:{}/team/image", server.port);
    let one = format!("{base}:v1");
    let pushed = tdg(&world, &["push", "layout", &one, "--tag", "latest"]);
    let root = leads_to(layout.path(), "v1").unwrap();
    assert_eq!(pushed["root"]["digest"], *root);
    assert_eq!(pushed["tags"], serde_json::json!(["v1", "latest"]));
    assert_eq!(
        (&pushed["there"], &pushed["manifests"]),
        (&0.into(), &4.into())
    );
    assert_eq!(pushed["referrers"].as_array().unwrap().len(), 1);
    let pulled = tdg(&world, &["pull", &one, "out", "--referrers"]);
    assert_eq!(pulled["root"]["digest"], *root);
    assert_eq!(pulled["bytes"], pushed["bytes"]);
    assert_eq!(blobs(&world.path().join("out")), blobs(layout.path()));
    assert_eq!(
        leads_to(&world.path().join("out"), "v1"),
        Some(root.clone())
    );
    let left = fs::read_dir(world.path().join("out")).unwrap().count();
    assert_eq!(left, 3, "nothing but the layout is left");
    // The same again: nothing goes over but the manifests.
    let again = tdg(&world, &["push", "layout", &one, "--verify", "bytes"]);
    assert_eq!(
        (&again["carried"], &again["there"]),
        (&0.into(), &pushed["blobs"])
    );
    let again = tdg(&world, &["pull", &one, "out", "--referrers"]);
    assert!(again["carried"].as_u64().unwrap() < 10_000, "{again:#}");
    // A blob that is not what it should be is fetched anew; another tag stands beside the first.
    let large = format!("out/blobs/sha256/{}", tdg_digest(3_000_000));
    world.write(&large, noise(1, 3_000_000));
    let again = tdg(&world, &["pull", &format!("{base}:latest"), "out"]);
    assert!(again["carried"].as_u64().unwrap() >= 3_000_000);
    assert_eq!(blobs(&world.path().join("out")), blobs(layout.path()));
    for tag in ["v1", "latest"] {
        assert_eq!(leads_to(&world.path().join("out"), tag), Some(root.clone()));
    }
    // One platform of it, in parts, and out of another repository.
    tdg(
        &world,
        &["pull", &one, "arm64", "--platform", "linux/arm64"],
    );
    assert!(blobs(&world.path().join("arm64")).len() < blobs(layout.path()).len());
    let parts = format!("oci://127.0.0.1:{}/parts:v1", server.port);
    tdg(&world, &["push", "layout", &parts, "--chunk", "700 KiB"]);
    let mounted = format!("oci://127.0.0.1:{}/mounted:v1", server.port);
    let mounted = tdg(
        &world,
        &["push", "layout", &mounted, "--mount-from", "team/image"],
    );
    assert_eq!(
        (&mounted["carried"], &mounted["there"]),
        (&0.into(), &pushed["blobs"])
    );
    // As the library has it.
    let options = Options::default();
    let tags = registry::tags(&name(server.port, "team/image"), &options).unwrap();
    let digest = Digest::parse(&root).unwrap();
    let fallback = root.replace(':', "-");
    assert_eq!(tags, ["latest", &fallback, "v1"]);
    let list = |kind| {
        let name = name(server.port, "team/image");
        registry::referrers(&name, &digest, kind, &options).unwrap()
    };
    assert_eq!(list(None).len(), 1);
    assert_eq!(list(Some("application/vnd.in-toto+json")), list(None));
    assert_eq!(list(None)[0].annotations["a"], "b");
    assert!(list(Some("another/kind")).is_empty());
}

fn tdg_digest(size: usize) -> tdg::model::Sha256Digest {
    tdg::model::Sha256Digest::of(&noise(size as u64, size))
}

#[test]
fn skopeo_reads_what_was_pushed_and_writes_what_is_pulled() {
    let world = World::new();
    let Some(server) = registry(&world.path().join("registry"), false) else {
        return;
    };
    let Some(skopeo) = peer("skopeo") else { return };
    let layout = sample(&world, "layout", &[500_000, 20]);
    let base = format!("127.0.0.1:{}/team", server.port);
    tdg(&world, &["push", "layout", &format!("oci://{base}/a:v1")]);
    let copy = |from: &str, to: &str| {
        let copy = [
            "copy",
            "--quiet",
            "--all",
            "--insecure-policy",
            "--preserve-digests",
        ];
        let plain = ["--src-tls-verify=false", "--dest-tls-verify=false"];
        output(
            &skopeo,
            world.path(),
            &[&copy[..], &plain, &[from, to]].concat(),
        );
    };
    copy(&format!("docker://{base}/a:v1"), "oci:theirs:v1");
    let root = leads_to(layout.path(), "v1");
    assert_eq!(leads_to(&world.path().join("theirs"), "v1"), root);
    copy("oci:theirs:v1", &format!("docker://{base}/b:v1"));
    tdg(&world, &["pull", &format!("oci://{base}/b:v1"), "ours"]);
    assert_eq!(leads_to(&world.path().join("ours"), "v1"), root);
    assert_eq!(
        blobs(&world.path().join("ours")),
        blobs(&world.path().join("theirs"))
    );
}

#[test]
fn what_cannot_be_pushed_or_pulled_says_why() {
    let world = World::new();
    let Some(server) = registry(&world.path().join("registry"), false) else {
        return;
    };
    let layout = sample(&world, "layout", &[5000]);
    let base = format!("oci://127.0.0.1:{}/team/image", server.port);
    let one = format!("{base}:v1");
    let refused = |arguments: &[&str], code: i32, said: &str| {
        let ran = world.tdg(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (code, ""), "{arguments:?}");
        assert!(ran.stderr.contains(said), "{arguments:?}: {}", ran.stderr);
    };
    refused(&["pull", &one, "out"], 4, "answers 404");
    assert!(!world.path().join("out").exists());
    refused(
        &["pull", "oci://127.0.0.1:1/a:v1", "out", "--tries", "1"],
        4,
        "no connection",
    );
    refused(&["pull", "registry/a:v1", "out"], 2, "oci://");
    refused(
        &[
            "push",
            "layout",
            &format!("{base}@sha256:{}", "0".repeat(64)),
        ],
        2,
        "a push makes a tag",
    );
    refused(&["push", "layout", &one, "--tag", "a/b"], 2, "is no tag");
    refused(
        &["push", "layout", &one, "--ref", "v2"],
        4,
        "name one with --ref",
    );
    refused(&["push", "nothing", &one], 4, "is no folder");
    refused(&["push", "registry", &one], 4, "is no OCI layout");
    world.write("full/notes", "mine");
    refused(&["pull", &one, "full"], 4, "name another folder");
    assert_eq!(fs::read_dir(world.path().join("full")).unwrap().count(), 1);
    // A blob that is another, shorter, gone, or a link to one that is somebody else's.
    let path = world
        .path()
        .join(format!("layout/blobs/sha256/{}", tdg_digest(5000)));
    let good = fs::read(&path).unwrap();
    let mut other = good.clone();
    other[77] ^= 1;
    fs::write(&path, &other).unwrap();
    refused(
        &["push", "layout", &one, "--tries", "2"],
        4,
        "has the digest",
    );
    fs::write(&path, &good[1..]).unwrap();
    refused(&["push", "layout", &one], 4, "has 4999 bytes");
    fs::remove_file(&path).unwrap();
    refused(&["push", "layout", &one], 4, "is missing");
    world.write("elsewhere", &good);
    std::os::unix::fs::symlink(world.path().join("elsewhere"), &path).unwrap();
    refused(&["push", "layout", &one], 4, "is a link");
    let options = super::quick(2);
    assert!(registry::tags(&name(server.port, "team/image"), &options).is_err());
    // Another one that pulls into it.
    fs::create_dir_all(world.path().join("held/.tdg-partial")).unwrap();
    let lock = fs::File::create(world.path().join("held/.tdg-partial/lock")).unwrap();
    lock.lock().unwrap();
    refused(&["pull", &one, "held"], 4, "another one is pulling");
    fs::remove_file(&path).unwrap();
    fs::write(&path, &good).unwrap();
    let progress: registry::Progress = Arc::new(|_| {});
    let to = name(server.port, "team/image");
    let which = registry::Which::Only;
    registry::push(
        layout.path(),
        &which,
        &to,
        &["v1".into()],
        &options,
        &progress,
    )
    .unwrap();
}
