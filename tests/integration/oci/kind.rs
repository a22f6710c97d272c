//! The kind `oci` on what umoci and skopeo made, and on artifacts made by hand.

use std::fs;

use serde_json::json;

use crate::images::pipe;
use crate::layouts::{INDEX, LAYER, Layout, archive, with};
use crate::peers::{output, peer};
use crate::world::World;

#[test]
fn an_image_in_each_form_says_what_it_is() {
    let (Some(umoci), Some(skopeo)) = (peer("umoci"), peer("skopeo")) else {
        return;
    };
    let world = World::new();
    let run =
        |program: &std::path::Path, arguments: &[&str]| output(program, world.path(), arguments);
    world.write("files/etc/one", "1");
    world.write("files/etc/two", "2");
    run(&umoci, &["init", "--layout", "layout"]);
    run(&umoci, &["new", "--image", "layout:v1.2"]);
    run(
        &umoci,
        &[
            "insert",
            "--rootless",
            "--image",
            "layout:v1.2",
            "files",
            "/",
        ],
    );
    run(
        &umoci,
        &[
            "insert",
            "--rootless",
            "--image",
            "layout:v1.2",
            "--whiteout",
            "/etc/two",
        ],
    );
    run(
        &umoci,
        &[
            "config",
            "--image",
            "layout:v1.2",
            "--architecture",
            "arm64",
            "--os",
            "linux",
            "--config.user",
            "1000:1000",
            "--config.env",
            "PATH=/usr/bin:/bin",
            "--config.env",
            "EMPTY=",
            "--config.entrypoint",
            "/init",
            "--config.cmd",
            "--verbose",
            "--config.cmd",
            "serve",
            "--config.label",
            "org.opencontainers.image.revision=abc",
            "--config.workingdir",
            "/srv",
            "--config.exposedports",
            "8080/tcp",
            "--config.volume",
            "/data",
            "--manifest.annotation",
            "note=yes",
        ],
    );
    run(
        &skopeo,
        &[
            "copy",
            "-q",
            "oci:layout:v1.2",
            "docker-archive:docker.tar:example.invalid/it:v1.2",
        ],
    );
    run(
        &skopeo,
        &["copy", "-q", "oci:layout:v1.2", "oci-archive:oci.tar:v1.2"],
    );
    let digest = run(
        &skopeo,
        &["inspect", "--format", "{{.Digest}}", "oci:layout:v1.2"],
    );
    let digest = digest.trim();
    let config = "config: { architecture: arm64, os: linux, user: \"1000:1000\", env: { PATH: { contain: /usr/bin }, EMPTY: \"\" }, \
                  entrypoint: [/init], cmd: [--verbose, serve], labels: { org.opencontainers.image.revision: abc }, \
                  working-dir: /srv, exposed-ports: [8080/tcp], volumes: [/data], history: { ge: 2 } }";
    let report = world.run(&format!(
        "
spec: images
checks:
  - name: pass a layout
    oci: v1.2
    in: layout
    expect:
      present: true
      format: oci-layout
      docker-manifest: false
      type: image
      digest: {digest}
      media-type: application/vnd.oci.image.manifest.v1+json
      refs: [v1.2]
      platforms: [linux/arm64]
      annotations: {{ note: \"yes\" }}
      {config}
      layers: {{ every: {{ compression: gzip, diff-id-ok: true, size: {{ between: [1, 1 MiB] }} }}, any: {{ index: 1, whiteouts: 1, entries: 1 }} }}
      layer-count: 2
      duplicates: {{ len: 0 }}
      problems: {{ len: 0 }}
  - name: pass the same in a tar archive
    oci:
    in: oci.tar
    expect: {{ format: oci-archive, digest: {digest}, layer-count: 2, {config} }}
  - name: pass a docker-archive by its tag
    oci: v1.2
    in: docker.tar
    expect: {{ present: true, format: docker-archive, docker-manifest: true, digest: null, image-id: {{ starts-with: 'sha256:' }},
      refs: ['example.invalid/it:v1.2'], {config}, layers: {{ every: {{ compression: none, diff-id-ok: true }} }}, problems: {{ len: 0 }} }}
  - name: pass a platform
    oci: {{ ref: 'example.invalid/it:v1.2', platform: linux/arm64 }}
    in: docker.tar
    expect: {{ present: true }}
  - name: pass another name is not there
    oci: v9
    in: layout
    expect: {{ present: false, refs: [v1.2], config: null, layers: {{ len: 0 }}, manifests: {{ len: 0 }} }}
  - name: pass a file of the merged view
    file: etc/one
    in: docker.tar
    expect: {{ present: true, text: \"1\", layer: layer 0 }}
  - name: pass what a layer took away
    file: etc/two
    in: layout
    expect: {{ present: false }}
  - name: pass the tree of a layout is its layers
    tree:
    in: layout
    expect: {{ entries: {{ contain-only: [etc, etc/one] }} }}
  - name: fail another processor
    oci:
    in: oci.tar
    expect: {{ config: {{ architecture: amd64 }} }}
  - name: fail another platform
    oci: {{ platform: linux/amd64 }}
    in: oci.tar
    expect: {{ present: true }}
  - name: fail nothing to look at
    oci: v9
    in: oci.tar
    expect: {{ layers: {{ every: {{ diff-id-ok: true }} }} }}
  - name: error no image
    oci:
    in: files
    expect: {{ present: false }}
  - name: error no file
    oci:
    in: nowhere.tar
    expect: {{ present: false }}
"
    ));
    report.as_named();
    assert!(report.why("error no image").contains("no OCI image"));
    let why = report.why("fail another platform");
    assert!(why.contains("present"), "{why}");
}

/// A layout with an image for two platforms, an attestation, and a third platform that is not there.
fn several(world: &World) -> Layout {
    let layout = Layout::new(&world.path().join("several"));
    let mut manifests = Vec::new();
    for architecture in ["arm64", "amd64"] {
        let layer = archive(&[("etc/which", architecture.as_bytes())]);
        let descriptor = layout.blob(LAYER, &layer);
        let image = layout.image(architecture, &[descriptor], &[&layer]);
        manifests.push(with(
            image,
            "platform",
            json!({ "os": "linux", "architecture": architecture }),
        ));
    }
    let attested = layout.image("unknown", &[], &[]);
    let attested = with(
        attested,
        "platform",
        json!({ "os": "unknown", "architecture": "unknown" }),
    );
    manifests.push(with(
        attested,
        "annotations",
        json!({ "vnd.docker.reference.type": "attestation-manifest" }),
    ));
    let absent = with(
        layout.image("s390x", &[], &[]),
        "platform",
        json!({ "os": "linux", "architecture": "s390x" }),
    );
    fs::remove_file(layout.file(&absent)).unwrap();
    manifests.push(absent);
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests, "annotations": { "of": "all" } });
    let index = layout.document(INDEX, &index);
    layout.index(&[with(
        index,
        "annotations",
        json!({ "org.opencontainers.image.ref.name": "v1" }),
    )]);
    layout
}

#[test]
fn an_index_says_its_platforms_and_each_of_them_its_own() {
    let world = World::new();
    several(&world);
    let report = world.run(
        "
spec: indexes
subject: several
checks:
  - name: pass the index
    oci: v1
    expect: { type: index, platforms: [linux/amd64, linux/arm64], annotations: { of: all }, config: null, layers: { len: 0 },
      media-type: application/vnd.oci.image.index.v1+json,
      manifests: { len: 4, any: { platform: linux/s390x, present: false }, contain: [{ platform: linux/arm64, present: true }] } }
  - name: pass one platform
    oci: { ref: v1, platform: linux/arm64 }
    expect: { type: image, config: { architecture: arm64 }, layers: { every: { diff-id-ok: true } }, problems: { len: 0 } }
  - name: pass a platform that is not there although the index lists it
    oci: { platform: linux/s390x }
    expect: { present: false, config: null }
  - name: pass files below their platform
    file: linux/arm64/etc/which
    expect: { text: arm64, layer: linux/arm64 layer 0 }
  - name: fail a platform that is not there
    oci:
    expect: { platforms: { contain: linux/s390x } }
  - name: fail no config without a platform
    oci:
    expect: { config: { architecture: arm64 } }
",
    );
    report.as_named();
}

#[test]
fn an_artifact_shows_its_files_by_their_titles() {
    let Some(gzip) = peer("gzip") else { return };
    let world = World::new();
    let layout = Layout::new(&world.path().join("artifact"));
    let empty = layout.blob("application/vnd.oci.empty.v1+json", b"{}");
    let title = |name: &str| json!({ "org.opencontainers.image.title": name });
    let kernel = with(
        layout.blob("application/octet-stream", b"a kernel"),
        "annotations",
        title("assets/boot/vmlinuz"),
    );
    let packed = pipe(
        &gzip,
        world.path(),
        &["-c"],
        &archive(&[("manifests/app.yaml", b"kind: App\n")]),
    );
    let packed = layout.blob("application/vnd.cncf.flux.content.v1.tar+gzip", &packed);
    let wasm = layout.blob(
        "application/vnd.wasm.content.layer.v1+wasm",
        b"\0asm\x01\0\0\0",
    );
    let hex = wasm["digest"].as_str().unwrap().replace(':', "/");
    let manifest = json!({
        "schemaVersion": 2, "artifactType": "application/vnd.example.assets.v1", "config": empty,
        "layers": [kernel, packed, wasm], "annotations": { "org.opencontainers.image.revision": "main@sha1:abc" },
    });
    layout.index(&[layout.manifest(&manifest)]);
    if let Some(tar) = peer("tar") {
        output(
            &tar,
            world.path(),
            &["-C", "artifact", "-cf", "artifact.tar", "."],
        );
    }
    let report = world.run(&format!(
        "
spec: artifacts
matrix: {{ subject: [artifact, artifact.tar] }}
subject: ${{{{ matrix.subject }}}}
checks:
  - name: pass what it is
    oci:
    expect: {{ type: artifact, artifact-type: application/vnd.example.assets.v1, config: null, platforms: {{ len: 0 }}, layer-count: 3,
      annotations: {{ org.opencontainers.image.revision: {{ starts-with: main@ }} }},
      layers: {{ any: {{ title: assets/boot/vmlinuz, diff-id-ok: null, entries: null }}, contain: [{{ index: 1, compression: gzip, entries: 1 }}] }} }}
  - name: pass a file by its title
    file: assets/boot/vmlinuz
    expect: {{ text: a kernel, size: 8, layer: layer 0 }}
  - name: pass a packed file
    file: manifests/app.yaml
    expect: {{ text: \"kind: App\\n\", layer: layer 1 }}
  - name: pass a blob without a title
    file: blobs/{hex}
    expect: {{ present: true, size: 8 }}
  - name: fail it is no image
    oci:
    expect: {{ type: image }}
"
    ));
    for trial in report.trials() {
        let check = trial["check"].as_str().unwrap();
        assert_eq!(
            trial["verdict"],
            check.split(' ').next().unwrap(),
            "{check}: {trial:#}"
        );
    }
}

#[test]
fn what_is_odd_is_a_problem_and_no_error() {
    let world = World::new();
    let layout = Layout::new(&world.path().join("odd"));
    let mut layer = archive(&[("f", b"1"), ("f", b"2")]);
    layer.extend(b"behind the end");
    let other = archive(&[("g", b"")]);
    let descriptor = layout.blob(LAYER, &layer);
    let image = layout.image("arm64", &[descriptor], &[&other]);
    layout.index(&[with(
        image,
        "platform",
        json!({ "os": "linux", "architecture": "amd64" }),
    )]);
    let report = world.run(
        "
spec: odd
subject: odd
checks:
  - name: pass each is told
    oci:
    expect:
      duplicates: [f]
      layers: { every: { diff-id-ok: false } }
      problems: { len: 3, contain: ['layer 0: its digest, uncompressed, is not the config''s', 'the index says linux/amd64, the config linux/arm64'] }
  - name: pass the last of two files counts
    file: f
    expect: { text: \"2\" }
  - name: fail it is not fine
    oci:
    expect: { problems: { len: 0 } }
",
    );
    report.as_named();
}

#[test]
fn an_archive_for_both_docker_and_oci_is_read_once_and_compared() {
    let Some(tar) = peer("tar") else { return };
    let world = World::new();
    let layout = Layout::new(&world.path().join("saved"));
    let layer = archive(&[("f", b"1")]);
    let descriptor = layout.blob(LAYER, &layer);
    let image = layout.image("arm64", std::slice::from_ref(&descriptor), &[&layer]);
    let manifest = fs::read_to_string(layout.file(&image)).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let path = |descriptor: &serde_json::Value| {
        format!(
            "blobs/{}",
            descriptor["digest"].as_str().unwrap().replace(':', "/")
        )
    };
    layout.index(&[with(
        image,
        "annotations",
        json!({ "io.containerd.image.name": "docker.io/library/it:v1" }),
    )]);
    let save = |layers: &[String]| {
        let list = json!([{ "Config": path(&manifest["config"]), "RepoTags": ["it:v1"], "Layers": layers }]);
        fs::write(layout.path().join("manifest.json"), list.to_string()).unwrap();
    };
    save(&[path(&descriptor)]);
    output(
        &tar,
        world.path(),
        &["-C", "saved", "-cf", "saved.tar", "."],
    );
    save(&[]);
    output(
        &tar,
        world.path(),
        &["-C", "saved", "-cf", "other.tar", "."],
    );
    let report = world.run(
        "
spec: saved
checks:
  - name: pass one image with all its names
    oci: v1
    in: saved.tar
    expect: { format: oci-archive, docker-manifest: true, refs: ['docker.io/library/it:v1', 'it:v1'], problems: { len: 0 } }
  - name: pass what does not agree is told
    oci:
    in: other.tar
    expect: { problems: ['`manifest.json` lists other layers than `index.json` leads to'] }
  - name: fail there is a problem
    oci:
    in: other.tar
    expect: { problems: { len: 0 } }
",
    );
    report.as_named();
}
