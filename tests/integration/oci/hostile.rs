//! Images that are broken, or meant to do harm: each meets an error that says what is wrong.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::images::pipe;
use crate::layouts::{IMAGE_CONFIG, INDEX, LAYER, Layout, archive, with};
use crate::peers::{output, peer};
use crate::world::World;

/// Looks at an image in every way; none passes, and each says `said`.
fn refused(world: &World, subject: &str, case: &str, said: &str) {
    let begin = Instant::now();
    let ran = world.tdg(&["ls", "--merged", subject]);
    assert_eq!(ran.code, 4, "{case}: {}", ran.stdout);
    assert!(ran.stderr.contains(said), "{case}: {}", ran.stderr);
    assert!(!ran.stderr.contains("panicked"), "{case}: {}", ran.stderr);
    let report = world.run(&format!(
        "
spec: hostile
subject: {subject}
checks:
  - name: not pass the image
    oci:
    expect: {{ problems: [] }}
  - name: error a file that is not there
    file: none
    expect: {{ present: false }}
  - name: error every program
    elf: '**'
    expect: {{ count: 0 }}
"
    ));
    for name in ["error a file that is not there", "error every program"] {
        assert_eq!(
            report.verdict(name),
            "error",
            "{case}: {}",
            report.why(name)
        );
    }
    let image = "not pass the image";
    assert_ne!(report.verdict(image), "pass", "{case}");
    assert!(
        report.why(image).contains(said),
        "{case}: {}",
        report.why(image)
    );
    // Other tests may be at work on the same cores.
    assert!(
        begin.elapsed() < Duration::from_secs(40),
        "{case}: {:?}",
        begin.elapsed()
    );
}

/// Makes a layout of one layer, changed by `change`, and looks at it.
fn with_layer(case: &str, said: &str, change: impl Fn(&Layout, Value) -> Value) {
    let world = World::new();
    let layout = Layout::new(&world.path().join("it"));
    let layer = archive(&[("etc/one", b"1")]);
    let descriptor = change(&layout, layout.blob(LAYER, &layer));
    layout.index(&[layout.image("arm64", &[descriptor], &[&layer])]);
    refused(&world, "it", case, said);
}

#[test]
fn a_blob_that_is_not_what_its_descriptor_says() {
    with_layer("a size of -1", "a size of -1", |_, layer| {
        with(layer, "size", json!(-1))
    });
    with_layer("a size too small", "its descriptor says 5", |_, layer| {
        with(layer, "size", json!(5))
    });
    with_layer(
        "a size too large",
        "its descriptor says 9999999",
        |_, layer| with(layer, "size", json!(9_999_999)),
    );
    with_layer("a changed byte", "has the digest", |layout, layer| {
        let mut bytes = fs::read(layout.file(&layer)).unwrap();
        bytes[520] ^= 1;
        fs::write(layout.file(&layer), bytes).unwrap();
        layer
    });
    with_layer("a path for a digest", "is no digest", |_, layer| {
        with(layer, "digest", json!("sha256:../../../../etc/passwd"))
    });
    with_layer(
        "an unknown digest",
        "sha256 and sha512 are read",
        |_, layer| with(layer, "digest", json!("md5:abc")),
    );
    with_layer("not there", "is not there", |layout, layer| {
        fs::remove_file(layout.file(&layer)).unwrap();
        layer
    });
    with_layer(
        "a link out",
        "which is not in the layout",
        |layout, layer| {
            fs::remove_file(layout.file(&layer)).unwrap();
            symlink("/etc/passwd", layout.file(&layer)).unwrap();
            layer
        },
    );
    with_layer("a folder", "is a directory, not a file", |layout, layer| {
        fs::remove_file(layout.file(&layer)).unwrap();
        fs::create_dir(layout.file(&layer)).unwrap();
        layer
    });
    with_layer("encrypted", "not supported", |_, layer| {
        with(layer, "mediaType", json!(format!("{LAYER}+encrypted")))
    });
    let Some(mkfifo) = peer("mkfifo") else { return };
    with_layer("a pipe", "is a fifo, not a file", |layout, layer| {
        fs::remove_file(layout.file(&layer)).unwrap();
        output(
            &mkfifo,
            layout.path(),
            &[layout.file(&layer).to_str().unwrap()],
        );
        layer
    });
}

#[test]
fn manifests_that_lead_nowhere_or_round() {
    let case = |case: &str, said: &str, index: &dyn Fn(&Layout) -> Vec<Value>| {
        let world = World::new();
        let layout = Layout::new(&world.path().join("it"));
        let manifests = index(&layout);
        layout.index(&manifests);
        refused(&world, "it", case, said);
    };
    let list = |layout: &Layout, of: &Value| {
        layout.document(INDEX, &json!({ "schemaVersion": 2, "manifests": [of] }))
    };
    case(
        "a chain of indexes",
        "indexes below one another",
        &|layout| {
            let mut node = layout.image("arm64", &[], &[]);
            for _ in 0..100 {
                node = list(layout, &node);
            }
            vec![node]
        },
    );
    case(
        "an index that is not what its descriptor says",
        "has the digest",
        &|layout| {
            let node = list(layout, &layout.image("arm64", &[], &[]));
            let itself = json!({ "schemaVersion": 2, "manifests": [node] });
            fs::write(layout.file(&node), format!("{itself:1000}")).unwrap();
            let size = fs::metadata(layout.file(&node)).unwrap().len();
            vec![with(node, "size", json!(size))]
        },
    );
    case(
        "a manifest of a gigabyte",
        "bytes of a manifest",
        &|layout| {
            let image = layout.image("arm64", &[], &[]);
            fs::File::create(layout.file(&image))
                .unwrap()
                .set_len(1 << 30)
                .unwrap();
            vec![with(image, "size", json!(1 << 30))]
        },
    );
    case(
        "a manifest longer than it says",
        "has more than",
        &|layout| {
            let image = layout.image("arm64", &[], &[]);
            fs::File::options()
                .write(true)
                .open(layout.file(&image))
                .unwrap()
                .set_len(1 << 30)
                .unwrap();
            vec![image]
        },
    );
    case("ten thousand manifests", "manifests", &|layout| {
        let image = layout.image("arm64", &[], &[]);
        (0..10_000)
            .map(|n| {
                with(
                    layout.image(&n.to_string(), &[], &[]),
                    "annotations",
                    json!({ "n": image["digest"] }),
                )
            })
            .collect()
    });
    case("ten thousand layers", "layers", &|layout| {
        let layer = layout.blob(LAYER, &archive(&[]));
        vec![layout.image("arm64", &vec![layer; 10_000], &[])]
    });
    case(
        "an index as well",
        "readers choose differently",
        &|layout| {
            let config = layout.document(IMAGE_CONFIG, &json!({}));
            vec![layout.manifest(
                &json!({ "schemaVersion": 2, "config": config, "layers": [], "manifests": [] }),
            )]
        },
    );
}

#[test]
fn where_no_image_is_nothing_passes() {
    let world = World::new();
    let layout = Layout::new(&world.path().join("it"));
    let image = layout.image("arm64", &[], &[]);
    fs::remove_file(layout.file(&image)).unwrap();
    for manifests in [Vec::new(), vec![image]] {
        layout.index(&manifests);
        let ran = world.tdg(&["ls", "--merged", "it"]);
        assert_eq!(ran.code, 4, "{}", ran.stdout);
        assert!(
            ran.stderr.contains("there is no image in it"),
            "{}",
            ran.stderr
        );
        let report = world.run(
            "
spec: nothing
subject: it
checks:
  - name: pass it is not there
    oci:
    expect: { present: false, type: null, config: null }
  - name: fail nothing is no reason to be content
    oci:
    expect: { problems: { len: 0 } }
  - name: error a file that is not there
    file: none
    expect: { present: false }
",
        );
        report.as_named();
    }
}

#[test]
fn an_index_that_takes_too_much_to_read() {
    let world = World::new();
    let layout = Layout::new(&world.path().join("it"));
    layout.index(&[]);
    let file = fs::File::options()
        .write(true)
        .open(layout.path().join("index.json"))
        .unwrap();
    file.set_len(1 << 30).unwrap();
    refused(&world, "it", "a gigabyte", "bytes of a manifest");
    fs::write(layout.path().join("index.json"), "[".repeat(1 << 20)).unwrap();
    refused(&world, "it", "a million brackets", "oci");
    fs::write(layout.path().join("index.json"), "").unwrap();
    refused(&world, "it", "empty", "index.json");
    layout.index(&[]);
    fs::write(
        layout.path().join("oci-layout"),
        r#"{"imageLayoutVersion": "7"}"#,
    )
    .unwrap();
    refused(&world, "it", "another version", "a layout of the version");
}

#[test]
fn layers_that_lead_out_or_are_broken() {
    let case = |case: &str, said: &str, layer: &[u8], media_type: &str| {
        let world = World::new();
        let layout = Layout::new(&world.path().join("it"));
        let descriptor = layout.blob(media_type, layer);
        layout.index(&[layout.image("arm64", &[descriptor], &[layer])]);
        refused(&world, "it", case, said);
        assert!(!world.path().join("out").exists());
    };
    case(
        "a path that leads out",
        "leads out of the image",
        &archive(&[("a/../../out", b"x")]),
        LAYER,
    );
    case(
        "a whiteout of everything above",
        "takes nothing away",
        &archive(&[("a/.wh...", b"")]),
        LAYER,
    );
    case(
        "a file below a file",
        "is no directory",
        &archive(&[("a", b"x"), ("a/b", b"y")]),
        LAYER,
    );
    let whole = archive(&[("one", b"1"), ("two", &[7; 2000])]);
    case("cut", "cut short", &whole[..1600], LAYER);
    case(
        "no archive",
        "the checksum is no octal number",
        &[b'x'; 2000],
        LAYER,
    );
    // A chain of links, each of which goes to and fro, walked once for each entry below it.
    let mut links = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(0);
    header.set_mode(0o755);
    header.set_entry_type(tar::EntryType::Directory);
    links.append_data(&mut header, "x", &b""[..]).unwrap();
    header.set_entry_type(tar::EntryType::Symlink);
    for link in 0..39 {
        let next = if link == 38 {
            "x".to_owned()
        } else {
            format!("l{}", link + 1)
        };
        let target = "x/../".repeat(800) + &next;
        links
            .append_link(&mut header, format!("l{link}"), target)
            .unwrap();
    }
    header.set_entry_type(tar::EntryType::Regular);
    for file in 0..5000 {
        links
            .append_data(&mut header, format!("l0/d{file}/f"), &b""[..])
            .unwrap();
    }
    case(
        "links to and fro",
        "steps through links",
        &links.into_inner().unwrap(),
        LAYER,
    );
    let Some(gzip) = peer("gzip") else { return };
    let world = World::new();
    let packed = pipe(&gzip, world.path(), &["-c"], &whole);
    let gzipped = format!("{LAYER}+gzip");
    case(
        "a stream that is cut",
        "cut short",
        &packed[..packed.len() - 9],
        &gzipped,
    );
    // Twenty layers, each below what one may decode to, are together above what the image may.
    let layout = Layout::new(&world.path().join("bombs"));
    let layers: Vec<Value> = (0..20)
        .map(|n| {
            let bomb = archive(&[("bomb", &vec![b'a' + n; 30 << 20])]);
            layout.blob(&gzipped, &pipe(&gzip, world.path(), &["-1", "-c"], &bomb))
        })
        .collect();
    layout.index(&[layout.image("arm64", &layers, &[])]);
    refused(&world, "bombs", "bombs", "free_stored");
}

#[test]
fn docker_archives_that_are_not_what_they_say() {
    let Some(tar) = peer("tar") else { return };
    let layer = archive(&[("f", b"1")]);
    let digest = tdg::model::Sha256Digest::of(&layer);
    let case = |case: &str, said: &str, config: Value, name: Option<&str>, layers: &[&str]| {
        let world = World::new();
        let config = config.to_string();
        let own = format!("{}.json", tdg::model::Sha256Digest::of(config.as_bytes()));
        let name = name.unwrap_or(&own);
        world.write(&format!("it/{name}"), &config);
        world.write("it/layer.tar", &layer);
        let list = json!([{ "Config": name, "RepoTags": null, "Layers": layers }]);
        world.write("it/manifest.json", list.to_string());
        output(&tar, world.path(), &["-C", "it", "-cf", "it.tar", "."]);
        if said.is_empty() {
            assert_eq!(
                world.tdg(&["ls", "--merged", "it.tar"]).stdout,
                "f\n",
                "{case}"
            );
        } else {
            refused(&world, "it.tar", case, said);
        }
    };
    let config = |ids: &[String]| json!({ "os": "linux", "architecture": "arm64", "rootfs": { "type": "layers", "diff_ids": ids } });
    let right = format!("sha256:{digest}");
    case(
        "whole",
        "",
        config(std::slice::from_ref(&right)),
        None,
        &["layer.tar"],
    );
    let wrong = format!("sha256:{}", tdg::model::Sha256Digest::of(b"another"));
    case(
        "another layer",
        "has the digest",
        config(&[wrong]),
        None,
        &["layer.tar"],
    );
    case(
        "too few layers",
        "lists 1 layers",
        config(&[]),
        None,
        &["layer.tar"],
    );
    case(
        "a layer that is not there",
        "is not in the archive",
        config(std::slice::from_ref(&right)),
        None,
        &["../../etc/passwd"],
    );
    let other = format!("{}.json", "0".repeat(64));
    case(
        "another config",
        "has the digest",
        config(std::slice::from_ref(&right)),
        Some(&other),
        &["layer.tar"],
    );
    case(
        "no digest for a layer",
        "is no digest",
        config(&["../x".to_owned()]),
        None,
        &["layer.tar"],
    );
}

#[test]
fn an_archive_around_an_image_that_is_cut_is_no_image_to_judge() {
    let Some(tar) = peer("tar") else { return };
    let world = World::new();
    let layout = Layout::new(&world.path().join("it"));
    let layer = archive(&[("etc/one", b"1")]);
    let descriptor = layout.blob(LAYER, &layer);
    layout.index(&[layout.image("arm64", &[descriptor], &[&layer])]);
    output(
        &tar,
        world.path(),
        &["-C", "it", "--blocking-factor=1", "-cf", "it.tar", "."],
    );
    let whole = fs::read(world.path().join("it.tar")).unwrap();
    assert_eq!(
        world.tdg(&["ls", "--merged", "it.tar"]).stdout,
        "etc/\netc/one\n"
    );
    for length in [512, whole.len() / 2, whole.len() - 2048, whole.len() - 1024] {
        world.write("cut.tar", &whole[..length]);
        refused(&world, "cut.tar", &format!("cut at {length}"), "cut short");
    }
}
