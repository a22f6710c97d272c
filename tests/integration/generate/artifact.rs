//! An artifact is served from the blobs of its layout, where its verdict holds.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tdg::format::in_toto::{STATEMENT, TEST_RESULT};

use super::world::World;
use crate::layouts::{Layout, archive, with};
use crate::serving::{Serving, refusal};

const OCTETS: &str = "application/octet-stream";
const TITLE: &str = "org.opencontainers.image.title";
const NAME: &str = "org.opencontainers.image.ref.name";

pub(super) fn command(folder: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tdg"));
    command.arg("serve").arg(folder);
    command.args(["--http-port", "0", "--tftp-port", "0", "--format", "json"]);
    command.args(more);
    command
}

/// Gives what a command says that is to refuse, and its exit code.
pub(super) fn refused(layout: &Layout, more: &[&str]) -> (Option<i32>, String) {
    let output = refusal(&mut command(layout.path(), more));
    assert!(output.stdout.is_empty(), "{output:?}");
    (
        output.status.code(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn named(layer: Value, title: &str) -> Value {
    with(layer, "annotations", json!({ TITLE: title }))
}

/// Writes an artifact of files by their titles; gives its descriptor.
pub(super) fn artifact(layout: &Layout, files: &[(&str, &[u8])]) -> Value {
    let layer = |(title, bytes): &(&str, &[u8])| named(layout.blob(OCTETS, bytes), title);
    of_layers(layout, files.iter().map(layer).collect())
}

pub(super) fn of_layers(layout: &Layout, layers: Vec<Value>) -> Value {
    let config = layout.blob("application/vnd.oci.empty.v1+json", b"{}");
    layout.manifest(&json!({
        "schemaVersion": 2, "artifactType": "application/x", "config": config, "layers": layers,
    }))
}

/// Attaches a verdict to one thing that is about another, or the same.
pub(super) fn verdict(layout: &Layout, subject: &Value, about: &Value, predicate: Value) -> Value {
    let sha256 = about["digest"].as_str().unwrap().replace("sha256:", "");
    let statement = layout.document(
        STATEMENT,
        &json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{ "name": "it", "digest": { "sha256": sha256 } }],
            "predicateType": TEST_RESULT,
            "predicate": predicate,
        }),
    );
    let config = layout.blob("application/vnd.oci.empty.v1+json", b"{}");
    layout.manifest(&json!({
        "schemaVersion": 2, "artifactType": STATEMENT, "config": config,
        "layers": [statement], "subject": subject,
    }))
}

pub(super) fn passed() -> Value {
    json!({ "result": "PASSED", "passedTests": ["a::b"] })
}

pub(super) fn green(layout: &Layout, artifact: &Value) {
    let said = verdict(layout, artifact, artifact, passed());
    layout.index(&[artifact.clone(), said]);
}

pub(super) fn world() -> (tempfile::TempDir, Layout) {
    let world = tempfile::tempdir().unwrap();
    let layout = Layout::new(&world.path().join("layout"));
    (world, layout)
}

fn package(format: &str) -> String {
    format!(
        "package:\n  format: {format}\n  platform: linux/arm64\n  prefix: boot/arm64\n  \
         files: {{ image: sub/vmlinuz }}\n"
    )
}

#[test]
fn what_was_packaged_is_served_from_its_blobs() {
    for format in ["files", "flux", "image"] {
        let world = World::new();
        world.recipe("[make]", &package(format));
        assert_eq!(world.run().ends()[0].1, "green", "{format}");
        let layout = world.path("project/_out/package/default");
        let serving = Serving::start(command(&layout, &[]));
        let notes = serving.events("note");
        let said: Vec<&str> = notes
            .iter()
            .filter_map(|note| note["text"].as_str())
            .collect();
        assert!(
            said[0].starts_with("sha256:") && said[0].ends_with(": 3 files"),
            "{said:?}"
        );
        assert_eq!(said[1], "1 check holds, says a statement, unsigned");
        let at = "/assets/boot/arm64";
        assert_eq!(serving.get(&format!("{at}/sub/vmlinuz")).text(), "arm64\n");
        let sums = serving.get(&format!("{at}/checksums.sha256")).text();
        let sum = tdg::model::Sha256Digest::of(b"arm64\n");
        assert!(sums.contains(&format!("{sum}  sub/vmlinuz\n")), "{sums}");
        let page = serving.get(&format!("{at}/")).text();
        for name in ["checksums%2Esha256", "sub/", "validation/"] {
            assert!(page.contains(&format!("\"{name}\"")), "{format}: {page}");
        }
        assert_eq!(page.matches("<a ").count(), 3, "{page}");
        let part = serving.ask("GET", &format!("{at}/sub/vmlinuz"), "Range: bytes=1-2\r\n");
        assert_eq!((part.status, part.text().as_str()), (206, "rm"));
        for other in [
            "",
            "/sub",
            "/sub/",
            "/sub/vmlinuz/x",
            "/nothing",
            "/../../secret",
        ] {
            assert_ne!(
                serving.get(&format!("{at}{other}")).text(),
                "arm64\n",
                "{other}"
            );
        }
        assert_eq!(serving.get("/assets/blobs/").status, 404);
        assert_eq!(serving.get("/assets/index.json").status, 404);
        let got = world.path("got");
        let client = Command::new(env!("CARGO_BIN_EXE_tdg"))
            .args([
                "cat",
                &format!("http://127.0.0.1:{}{at}/sub/vmlinuz", serving.port("http")),
            ])
            .output()
            .unwrap();
        assert_eq!(client.stdout, b"arm64\n", "{client:?}");
        assert!(!got.exists());
        assert_eq!(serving.interrupt(), (Some(0), String::new()));
    }
}

#[test]
fn a_package_is_served_anew_once_it_is_green_again() {
    let world = World::new();
    world.recipe("[make]", &package("flux"));
    world.run().outcome();
    let layout = world.path("project/_out/package/default");
    let serving = Serving::start(command(&layout, &[]));
    let file = "/assets/boot/arm64/sub/vmlinuz";
    assert_eq!(serving.get(file).text(), "arm64\n");
    // What is not green is taken away, and what was given from it is given no more.
    world.write(
        "project/specs/a.spec",
        "it is riscv | $assets/image | riscv\n",
    );
    assert_eq!(world.run().ends()[0].1, "red");
    let answer = serving.until(file, 503);
    assert!(
        answer.text().starts_with("not served now: "),
        "{}",
        answer.text()
    );
    assert_eq!(serving.get("/ipxe").status, 503);
    serving.event("verdict", |event| event["green"] == false);
    world.write("project/specs/a.spec", "it is arm | $assets/image | arm\n");
    assert_eq!(world.run().ends()[0].1, "green");
    assert_eq!(serving.until(file, 200).text(), "arm64\n");
    serving.event("verdict", |event| event["green"] == true);
}

#[test]
fn only_a_verdict_that_holds_is_one() {
    let (_world, layout) = world();
    let it = artifact(&layout, &[("vmlinuz", b"kernel")]);
    let other = artifact(&layout, &[("vmlinuz", b"another")]);
    let forced = |says: &str| {
        let serving = Serving::start(command(layout.path(), &["--force"]));
        assert_eq!(serving.get("/assets/vmlinuz").text(), "kernel");
        let note = serving.event("note", |event| {
            event["text"].as_str().unwrap().starts_with("warning: ")
        });
        assert!(note["text"].as_str().unwrap().contains(says), "{note}");
    };
    layout.index(std::slice::from_ref(&it));
    let (code, said) = refused(&layout, &[]);
    assert_eq!(code, Some(1));
    for says in [
        "is not green: no verdict is attached",
        "--referrers",
        "--force",
    ] {
        assert!(said.contains(says), "{said}");
    }
    forced("no verdict is attached");
    let failed = json!({ "result": "FAILED", "passedTests": ["a"], "failedTests": ["b::c"] });
    let nothing = json!({ "result": "PASSED" });
    let torn = json!({ "result": "PASSED", "passedTests": ["a"], "failedTests": ["b"] });
    let skipped = json!({ "result": "WARNED", "warnedTests": ["a"] });
    for (about, predicate, says) in [
        (&other, passed(), "is about another"),
        (&it, failed, "is FAILED (b::c)"),
        (&it, torn, "is PASSED (b)"),
        (&it, nothing, "names no check that holds"),
        (&it, skipped, "names no check that holds"),
        (&it, json!({ "result": "GREAT" }), "cannot be read"),
    ] {
        let said = verdict(&layout, &it, about, predicate);
        // One that holds does not make up for one that does not.
        let good = verdict(&layout, &it, &it, passed());
        layout.index(&[it.clone(), good, said]);
        let (code, said) = refused(&layout, &[]);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(says), "{said}");
        forced(says);
    }
    let some = json!({ "result": "WARNED", "passedTests": ["a"], "warnedTests": ["b\n::c"] });
    let said = verdict(&layout, &it, &it, some);
    layout.index(&[it.clone(), said]);
    let serving = Serving::start(command(layout.path(), &[]));
    serving.event("note", |event| {
        let text = event["text"].as_str().unwrap();
        text.ends_with("; these did not run, or passed with a warning: b\\n::c")
    });
}

#[test]
fn a_blob_that_is_another_is_never_served() {
    let (_world, layout) = world();
    let it = artifact(&layout, &[("vmlinuz", b"kernel"), ("notes", b"notes")]);
    green(&layout, &it);
    let manifest: Value = serde_json::from_slice(&fs::read(layout.file(&it)).unwrap()).unwrap();
    let blob = layout.file(&manifest["layers"][0]);
    let serving = Serving::start(command(layout.path(), &[]));
    assert_eq!(serving.get("/assets/vmlinuz").text(), "kernel");
    fs::write(&blob, "kerne1").unwrap();
    let answer = serving.get("/assets/vmlinuz");
    assert_eq!(answer.status, 503, "{}", answer.text());
    assert_eq!(serving.get("/assets/notes").text(), "notes");
    // What is what its digest says is served, whenever it was written.
    fs::write(&blob, "kernel").unwrap();
    assert_eq!(serving.get("/assets/vmlinuz").text(), "kernel");
    drop(serving);
    let gone = layout.path().join("aside");
    for (wrong, says) in [
        ("kerne1", "has the digest"),
        ("kernels", "more than 6 bytes"),
        ("", "only 0 bytes"),
    ] {
        fs::write(&blob, wrong).unwrap();
        for more in [&[][..], &["--force"]] {
            let (code, said) = refused(&layout, more);
            assert_eq!(code, Some(4), "{said}");
            assert!(said.contains(says), "{said}");
        }
    }
    fs::write(&blob, "kernel").unwrap();
    fs::rename(&blob, &gone).unwrap();
    let (_, said) = refused(&layout, &["--force"]);
    assert!(
        said.contains("is not there") && said.contains("pull it again"),
        "{said}"
    );
    std::os::unix::fs::symlink(&gone, &blob).unwrap();
    let (_, said) = refused(&layout, &["--force"]);
    assert!(said.contains("link"), "{said}");
}

#[test]
fn titles_that_lead_elsewhere_are_refused() {
    let (_world, layout) = world();
    for (files, says) in [
        (&[("../up", &b"x"[..])][..], "`../up`, which leads out"),
        (&[("a/../../up", b"x")], "which leads out"),
        (&[("/etc/passwd", b"x")], "`/etc/passwd`, which leads out"),
        (&[("nul\0", b"x")], "which leads out of it, or nowhere"),
        (&[("", b"x")], "or nowhere"),
        (&[("./", b"x")], "or nowhere"),
        (&[("a", b"x"), ("./a", b"y")], "two files `./a`"),
        (
            &[("a/b", b"x"), ("a", b"y")],
            "a file `a` and files in a folder",
        ),
        (&[(".hidden", b"x")], "no file that has a name"),
    ] {
        let it = artifact(&layout, files);
        green(&layout, &it);
        for more in [&[][..], &["--force"]] {
            let (code, said) = refused(&layout, more);
            assert_eq!(code, Some(4), "{said}");
            assert!(said.contains(says), "{files:?}: {said}");
        }
    }
    let tar = |files: &[(&str, &[u8])]| archive(files);
    let packed = "application/vnd.oci.image.layer.v1.tar";
    let gzip = |bytes: &[u8], level| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
        std::io::Write::write_all(&mut encoder, bytes).unwrap();
        encoder.finish().unwrap()
    };
    let good = tar(&[("a/b", b"x")]);
    for (bytes, says) in [
        (tar(&[("../up", b"x")]), "which leads out"),
        (
            gzip(&good, flate2::Compression::best()),
            "a compressed archive",
        ),
        (good[..600].to_vec(), "a broken archive"),
    ] {
        let it = of_layers(&layout, vec![layout.blob(packed, &bytes)]);
        green(&layout, &it);
        let (code, said) = refused(&layout, &["--force"]);
        assert_eq!(code, Some(4), "{said}");
        assert!(said.contains(says), "{said}");
    }
    let said = json!({ TITLE: "a", "io.deis.oras.content.unpack": "true" });
    let other = with(layout.blob("application/x", &good), "annotations", said);
    for layer in [
        layout.blob(packed, &good),
        layout.blob(packed, &gzip(&good, flate2::Compression::none())),
        other,
    ] {
        let it = of_layers(&layout, vec![layer]);
        green(&layout, &it);
        let serving = Serving::start(command(layout.path(), &[]));
        assert_eq!(serving.get("/assets/a/b").text(), "x");
    }
}

#[test]
fn of_several_artifacts_one_is_chosen() {
    let (_world, layout) = world();
    let one = artifact(&layout, &[("file", b"one")]);
    let two = artifact(&layout, &[("file", b"two")]);
    let tagged = |it: &Value, tag: &str| with(it.clone(), "annotations", json!({ NAME: tag }));
    layout.index(&[
        tagged(&one, "v1"),
        tagged(&one, "stable"),
        tagged(&two, "v2"),
        verdict(&layout, &one, &one, passed()),
        verdict(&layout, &two, &two, passed()),
    ]);
    let (code, said) = refused(&layout, &[]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("leads to stable, v2: say which (--ref NAME)"),
        "{said}"
    );
    let (code, said) = refused(&layout, &["--ref", "v3"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("has no `v3`; it has stable, v2"), "{said}");
    for (name, content) in [
        ("v1", "one"),
        ("stable", "one"),
        ("v2", "two"),
        (two["digest"].as_str().unwrap(), "two"),
    ] {
        let serving = Serving::start(command(layout.path(), &["--ref", name]));
        assert_eq!(serving.get("/assets/file").text(), content, "{name}");
    }
    let folder = layout.path().join("blobs");
    let output = refusal(&mut command(&folder, &["--ref", "v1"]));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}

#[test]
fn an_artifact_boots_as_a_folder_does() {
    let (world, layout) = world();
    let kernel = crate::netboot::program(0xaa64);
    let it = artifact(
        &layout,
        &[
            ("talos/boot/vmlinuz-arm64", &kernel),
            (
                "talos/boot/initramfs-arm64.xz",
                b"\xfd7zXZ\0\0\x04rest of it",
            ),
            ("talos/notes", b""),
        ],
    );
    green(&layout, &it);
    let serving = Serving::start(command(layout.path(), &[]));
    assert_eq!(
        serving.get("/ipxe?arch=arm64").text(),
        "#!ipxe\nkernel /assets/talos/boot/vmlinuz-arm64 initrd=initramfs\n\
         initrd --name initramfs /assets/talos/boot/initramfs-arm64.xz\nboot\n"
    );
    assert!(serving.get("/assets/talos/boot/vmlinuz-arm64").body == kernel);
    drop(serving);
    // Matchbox's documents may be in it as well, and boot loaders in another artifact.
    let group = br#"{"profile": "p", "selector": {}}"#;
    let profile = br#"{"id": "p", "boot": {"kernel": "/assets/k"}}"#;
    let it = artifact(
        &layout,
        &[
            ("groups/g.json", group),
            ("profiles/p.json", profile),
            ("assets/k", &kernel),
        ],
    );
    green(&layout, &it);
    let loaders = Layout::new(&world.path().join("loaders"));
    green(
        &loaders,
        &artifact(&loaders, &[("ipxe-arm64.efi", &kernel)]),
    );
    let beside = loaders.path().to_str().unwrap();
    let serving = Serving::start(command(layout.path(), &["--boot", beside]));
    assert_eq!(
        serving.get("/ipxe").text(),
        "#!ipxe\nkernel /assets/k\nboot\n"
    );
    assert!(serving.get("/assets/k").body == kernel);
    assert_eq!(serving.get("/assets/groups/g.json").status, 404);
    assert!(serving.get("/assets/ipxe-arm64.efi").body == kernel);
}
