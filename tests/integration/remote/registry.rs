//! Images in a real registry, put there by a program that others wrote.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use tdg::model::Sha256Digest;

use super::noise;
use crate::peers::{output, peer};
use crate::servers::{PASSWORD, Server, registry};
use crate::world::{World, ran};

/// A layout being written: blobs by digest, and what names lead to.
struct Layout<'w> {
    world: &'w World,
    index: Vec<Value>,
}

impl<'w> Layout<'w> {
    fn new(world: &'w World) -> Self {
        world.write("layout/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
        let index = Vec::new();
        Self { world, index }
    }

    fn blob(&self, bytes: &[u8], media_type: &str) -> Value {
        let digest = Sha256Digest::of(bytes);
        self.world
            .write(&format!("layout/blobs/sha256/{digest}"), bytes);
        json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len() })
    }

    /// Makes an image of one layer with one file that says for which machine it is.
    fn image(&self, architecture: &str) -> Value {
        let folder = format!("rootfs-{architecture}");
        self.world
            .write(&format!("{folder}/etc/machine"), architecture);
        self.world
            .write(&format!("{folder}/usr/bin/tool"), noise(3, 3_000_000));
        let tar = peer("tar").unwrap();
        let name = format!("{architecture}.tar");
        output(
            &tar,
            self.world.path(),
            &["-C", &folder, "-cf", &name, "etc", "usr"],
        );
        let tar = fs::read(self.world.path().join(&name)).unwrap();
        let gzip = crate::images::pipe(&peer("gzip").unwrap(), self.world.path(), &["-nc"], &tar);
        let layer = self.blob(&gzip, "application/vnd.oci.image.layer.v1.tar+gzip");
        let config = json!({
            "architecture": architecture, "os": "linux", "config": {},
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", Sha256Digest::of(&tar))] },
        });
        let config = config.to_string();
        let config = self.blob(
            config.as_bytes(),
            "application/vnd.oci.image.config.v1+json",
        );
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest =
            json!({ "schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer] });
        let mut manifest = self.blob(manifest.to_string().as_bytes(), kind);
        manifest["platform"] = json!({ "os": "linux", "architecture": architecture });
        manifest
    }

    fn index(&self, manifests: &[Value]) -> Value {
        let kind = "application/vnd.oci.image.index.v1+json";
        let index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": manifests });
        self.blob(index.to_string().as_bytes(), kind)
    }

    fn name(&mut self, name: &str, mut descriptor: Value) {
        descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        self.index.push(descriptor);
        let index = json!({ "schemaVersion": 2, "manifests": self.index });
        self.world.write("layout/index.json", index.to_string());
    }
}

/// Puts the layout's images into a registry: `one` is an image, `many` an index of two.
fn fill(world: &World, server: &Server, arguments: &[&str]) -> Option<String> {
    let (skopeo, _, _) = (peer("skopeo")?, peer("tar")?, peer("gzip")?);
    let mut layout = Layout::new(world);
    let (arm64, amd64) = (layout.image("arm64"), layout.image("amd64"));
    let many = layout.index(&[arm64.clone(), amd64]);
    layout.name("one", arm64);
    layout.name("many", many);
    let repository = format!("127.0.0.1:{}/team/image", server.port);
    for tag in ["one", "many"] {
        let (from, to) = (
            format!("oci:layout:{tag}"),
            format!("docker://{repository}:{tag}"),
        );
        let copy = [
            "copy",
            "--quiet",
            "--all",
            "--insecure-policy",
            "--dest-tls-verify=false",
        ];
        output(
            &skopeo,
            world.path(),
            &[&copy, arguments, &[&from, &to]].concat(),
        );
    }
    Some(format!("oci://{repository}"))
}

/// Runs `tdg` and gives what it wrote, which has to come without an error.
fn tdg(world: &World, arguments: &[&str]) -> String {
    let ran = world.tdg(arguments);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
    ran.stdout
}

#[test]
fn an_image_is_a_layout_whose_blobs_are_fetched() {
    let world = World::new();
    let Some(server) = registry(&world.path().join("registry"), false) else {
        return;
    };
    let Some(base) = fill(&world, &server, &[]) else {
        return;
    };
    let one = format!("{base}:one");
    assert_eq!(
        tdg(&world, &["ls", &one]),
        "blobs/\nindex.json\noci-layout\n"
    );
    let blobs = tdg(&world, &["ls", &format!("{one}!/blobs/sha256")]);
    assert_eq!(blobs.lines().count(), 3);
    let all = tdg(&world, &["ls", &format!("{base}:many!/blobs/sha256")]);
    let mut stored: Vec<String> = fs::read_dir(world.path().join("layout/blobs/sha256"))
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    stored.sort();
    assert_eq!(all.lines().collect::<Vec<_>>(), stored);
    for digest in blobs.lines() {
        let path = format!("blobs/sha256/{digest}");
        let cat = world
            .command(&["cat", &format!("{one}!/{path}")])
            .output()
            .unwrap();
        assert!(
            cat.stdout == fs::read(world.path().join("layout").join(&path)).unwrap(),
            "{path}"
        );
    }
    let index = tdg(&world, &["cat", &format!("{one}!/index.json")]);
    let index: Value = serde_json::from_str(&index).unwrap();
    let manifest = index["manifests"][0]["digest"].as_str().unwrap();
    // By digest, with and without a tag, it is the same.
    for name in [
        format!("{base}@{manifest}"),
        format!("{base}:other@{manifest}"),
    ] {
        assert_eq!(
            tdg(&world, &["ls", &format!("{name}!/blobs/sha256")]),
            blobs
        );
    }
}

#[test]
fn the_files_of_an_image_are_seen_as_if_it_were_unpacked() {
    let world = World::new();
    let Some(server) = registry(&world.path().join("registry"), false) else {
        return;
    };
    let Some(base) = fill(&world, &server, &[]) else {
        return;
    };
    let tool = fs::read(world.path().join("rootfs-arm64/usr/bin/tool")).unwrap();
    let one = format!("{base}:one");
    assert!(tdg(&world, &["ls", "--merged", &one]).contains("usr/bin/tool"));
    let cat = world
        .command(&["cat", &format!("{one}!/usr/bin/tool")])
        .output()
        .unwrap();
    assert!(
        cat.stdout == tool,
        "{}",
        String::from_utf8_lossy(&cat.stderr)
    );
    for (platform, machine) in [("linux/arm64", "arm64"), ("linux/amd64", "amd64")] {
        let address = format!("{base}:many?platform={platform}!/etc/machine");
        assert_eq!(tdg(&world, &["cat", &address]), machine);
    }
    // Asked of an image that is no index: only where it is so.
    assert_eq!(
        tdg(
            &world,
            &["cat", &format!("{one}?platform=linux/arm64!/etc/machine")]
        ),
        "arm64"
    );
    let report = world.run(&format!(
        "spec: Remote\nsubject: '{base}:many?platform=linux/arm64'\nchecks:\n\
         - name: pass the file is there\n  file: /etc/machine\n  expect: {{ text: arm64 }}\n\
         - name: fail another is not\n  file: /etc/shadow\n  expect: {{ present: true }}\n\
         - name: error there is no such image\n  file: /etc/machine\n  in: '{base}:none'\n  expect: {{ present: true }}\n"
    ));
    report.as_named();
    for (address, said) in [
        (
            format!("{base}:many?platform=linux/riscv64"),
            "it is for linux/arm64, linux/amd64",
        ),
        (
            format!("{one}?platform=linux/amd64"),
            "is for linux/arm64, not for linux/amd64",
        ),
        (format!("{base}:none"), "MANIFEST_UNKNOWN"),
        (format!("{base}x:one"), "answers 404"),
        (
            format!("{base}@sha256:{}", "0".repeat(64)),
            "MANIFEST_UNKNOWN",
        ),
        ("oci://127.0.0.1:1/image:tag".into(), "no connection"),
        ("oci://UPPER/x y".into(), "names no image"),
    ] {
        let ran = world.tdg(&["ls", &address]);
        assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{address}");
        assert!(ran.stderr.contains(said), "{address}: {}", ran.stderr);
    }
}

#[test]
fn a_registry_with_a_password_is_read_with_the_credentials_that_are_written_down() {
    let world = World::new();
    let Some(server) = registry(&world.path().join("registry"), true) else {
        return;
    };
    let credentials = format!("--dest-creds=builder:{PASSWORD}");
    let Some(base) = fill(&world, &server, &[&credentials]) else {
        return;
    };
    let address = format!("{base}:one!/etc/machine");
    let with = |name: &str, value: &Path| {
        let mut command: Command = world.command(&["cat", &address]);
        for name in ["REGISTRY_AUTH_FILE", "DOCKER_CONFIG", "XDG_RUNTIME_DIR"] {
            command.env_remove(name);
        }
        ran(command.env("HOME", "/nonexistent").env(name, value))
    };
    let none = with("NOTHING", Path::new("x"));
    assert_eq!((none.code, none.stdout.as_str()), (4, ""));
    assert!(none.stderr.contains("log in to it"), "{}", none.stderr);
    // As skopeo and podman write them, and as docker does.
    let skopeo = peer("skopeo").unwrap();
    let file = world.path().join("run/containers/auth.json");
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    let host = format!("127.0.0.1:{}", server.port);
    let login = [
        "login",
        "--tls-verify=false",
        "-u",
        "builder",
        "-p",
        PASSWORD,
        "--authfile",
    ];
    let login = [&login[..], &[file.to_str().unwrap(), &host]].concat();
    output(&skopeo, world.path(), &login);
    for folder in ["docker", "home/.docker"] {
        fs::create_dir_all(world.path().join(folder)).unwrap();
        fs::copy(&file, world.path().join(folder).join("config.json")).unwrap();
    }
    for (name, value) in [
        ("REGISTRY_AUTH_FILE", file.as_path()),
        ("XDG_RUNTIME_DIR", &world.path().join("run")),
        ("DOCKER_CONFIG", &world.path().join("docker")),
        ("HOME", &world.path().join("home")),
    ] {
        let ran = with(name, value);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (0, "arm64"),
            "{name}: {}",
            ran.stderr
        );
    }
    let wrong = fs::read_to_string(&file).unwrap();
    let wrong: Value = serde_json::from_str(&wrong).unwrap();
    let mut wrong = wrong.clone();
    wrong["auths"][&host] = json!({ "username": "builder", "password": "not-this-word" });
    world.write("wrong/config.json", wrong.to_string());
    let ran = with("DOCKER_CONFIG", &world.path().join("wrong"));
    assert_eq!(ran.code, 4);
    assert!(
        ran.stderr.contains("does not take the credentials"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("not-this-word"), "{}", ran.stderr);
}
