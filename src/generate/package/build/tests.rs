use super::*;
use crate::generate::journal::Judged;
use crate::generate::recipe::{Format, MediaTypes};
use crate::generate::verify::TrialVerdict;
use crate::probe::record::PatchRecord;
use jiff::Timestamp;
use serde_json::Value;
use std::fs;

fn package(format: Format) -> Package {
    let files = [
        ("kernel", "boot/vmlinuz"),
        ("initramfs", "boot/initramfs.xz"),
    ];
    Package {
        repository: Some("r.example/team/image".into()),
        tags: vec!["stable".into(), "v1".into()],
        format,
        platform: Some("linux/arm64".into()),
        prefix: "assets/talos/arm64".into(),
        files: files.map(|(a, b)| (a.to_owned(), b.to_owned())).into(),
        annotations: [(
            "org.opencontainers.image.licenses".to_owned(),
            "MPL-2.0".to_owned(),
        )]
        .into(),
        media_types: MediaTypes::default(),
        push: false,
    }
}

fn facts() -> Facts {
    let judged = [("a::b", TrialVerdict::Pass), ("a::c", TrialVerdict::Skip)];
    Facts {
        recipe: "talos".into(),
        variant: "spin-only".into(),
        row: vec![("variant".into(), "spin-only".into())],
        source: Some("https://host.example/up".into()),
        reference: "v1.6.2".into(),
        commit: "0123456789abcdef0123456789abcdef01234567".into(),
        created: Timestamp::from_second(1_700_000_000).unwrap(),
        patches: vec![PatchRecord {
            name: "01.patch".into(),
            sha256: "ab".repeat(32),
        }],
        law: [("specs/a.yaml".to_owned(), "cd".repeat(32))].into(),
        judged: judged
            .map(|(trial, verdict)| Judged {
                trial: trial.into(),
                verdict,
            })
            .into(),
    }
}

fn artifacts(folder: &Path) -> BTreeMap<String, Artifact> {
    let write = |(name, bytes): (&str, Vec<u8>)| {
        let path = folder.join(name);
        fs::write(&path, &bytes).unwrap();
        let sha256 = Sha256Digest::of(&bytes).to_string();
        let bytes = bytes.len() as u64;
        (
            name.to_owned(),
            Artifact {
                path,
                bytes,
                sha256,
            },
        )
    };
    let large = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    [("kernel", b"a kernel".to_vec()), ("initramfs", large)]
        .map(write)
        .into()
}

fn blob(folder: &Path, descriptor: &Value) -> Vec<u8> {
    let digest = descriptor["digest"].as_str().unwrap();
    let bytes = fs::read(folder.join("blobs").join(digest.replace(':', "/"))).unwrap();
    assert_eq!(bytes.len() as u64, descriptor["size"].as_u64().unwrap());
    assert_eq!(format!("sha256:{}", Sha256Digest::of(&bytes)), digest);
    bytes
}

fn document(folder: &Path, descriptor: &Value) -> Value {
    serde_json::from_slice(&blob(folder, descriptor)).unwrap()
}

fn index(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("index.json")).unwrap()).unwrap()
}

#[test]
fn what_is_built_depends_on_what_goes_in_and_on_nothing_else() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for format in [Format::Flux, Format::Image, Format::Files] {
        let build = |folder: &Path, package: &Package, facts: &Facts| {
            let layout = folder.join(format!("{format:?}"));
            let _ = fs::remove_dir_all(&layout);
            let built = build(&layout, package, &artifacts(folder), facts).unwrap();
            let files = walkdir::WalkDir::new(&layout)
                .sort_by_file_name()
                .into_iter();
            let files = files
                .map(Result::unwrap)
                .filter(|e| e.file_type().is_file());
            let read = |e: walkdir::DirEntry| {
                let name = e.path().strip_prefix(&layout).unwrap().to_owned();
                (name, fs::read(e.path()).unwrap())
            };
            (built, files.map(read).collect::<Vec<_>>())
        };
        let first = build(one.path(), &package(format), &facts());
        assert!(first == build(two.path(), &package(format), &facts()));
        // A verdict is said of the package and is no part of it.
        let mut other = facts();
        other.judged.pop();
        let judged = build(two.path(), &package(format), &other).0;
        assert_eq!(judged.digest, first.0.digest);
        assert_ne!(judged.attestation, first.0.attestation);
        // Neither is what it is called.
        let mut renamed = package(format);
        renamed.tags.clear();
        assert_eq!(
            build(two.path(), &renamed, &facts()).0.digest,
            first.0.digest
        );
        // What it was made from is.
        other.commit = "f".repeat(40);
        assert_ne!(
            build(two.path(), &package(format), &other).0.digest,
            first.0.digest
        );
    }
}

#[test]
fn each_form_has_the_types_its_readers_want() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = |package: &Package| {
        let layout = folder.path().join("layout");
        let _ = fs::remove_dir_all(&layout);
        build(&layout, package, &artifacts(folder.path()), &facts()).unwrap();
        let index = index(&layout);
        let names = index["manifests"].as_array().unwrap();
        assert_eq!(names.len(), 3);
        assert_eq!(names[0]["digest"], names[1]["digest"]);
        assert_eq!(names[1]["annotations"][NAME], "v1");
        let manifest = document(&layout, &names[0]);
        let config = document(&layout, &manifest["config"]);
        for layer in manifest["layers"].as_array().unwrap() {
            blob(&layout, layer);
        }
        (manifest, config)
    };
    let (flux, config) = manifest(&package(Format::Flux));
    assert_eq!(
        flux["config"]["mediaType"],
        "application/vnd.cncf.flux.config.v1+json"
    );
    let layer = &flux["layers"][0];
    assert_eq!(
        layer["mediaType"],
        "application/vnd.cncf.flux.content.v1.tar+gzip"
    );
    assert_eq!(
        layer["annotations"]["org.opencontainers.image.title"],
        "assets"
    );
    assert_eq!(
        layer["annotations"]["io.deis.oras.content.digest"],
        config["rootfs"]["diff_ids"][0]
    );
    let said = &flux["annotations"];
    assert_eq!(
        said["org.opencontainers.image.revision"],
        "v1.6.2@sha1:0123456789abcdef0123456789abcdef01234567"
    );
    assert_eq!(
        said["org.opencontainers.image.created"],
        "2023-11-14T22:13:20Z"
    );
    assert_eq!(said["org.opencontainers.image.licenses"], "MPL-2.0");
    assert_eq!(said["org.opencontainers.image.title"], "talos spin-only");

    let (image, config) = manifest(&package(Format::Image));
    assert_eq!(
        image["config"]["mediaType"],
        "application/vnd.oci.image.config.v1+json"
    );
    assert_eq!(
        (&config["os"], &config["architecture"]),
        (&"linux".into(), &"arm64".into())
    );
    assert_eq!(
        config["config"]["Labels"]["org.opencontainers.image.source"],
        "https://host.example/up"
    );
    assert_eq!(
        image["annotations"]["org.opencontainers.image.revision"],
        facts().commit.as_str()
    );

    let mut typed = package(Format::Files);
    typed.media_types.artifact = Some("application/vnd.example".into());
    typed
        .annotations
        .insert("org.opencontainers.image.version".into(), String::new());
    let (files, _) = manifest(&typed);
    assert_eq!(files["artifactType"], "application/vnd.example");
    let titles = files["layers"].as_array().unwrap().iter();
    let titles: Vec<&str> = titles
        .map(|l| {
            l["annotations"]["org.opencontainers.image.title"]
                .as_str()
                .unwrap()
        })
        .collect();
    assert_eq!(
        titles,
        [
            "assets/talos/arm64/boot/initramfs.xz",
            "assets/talos/arm64/boot/vmlinuz",
            "assets/talos/arm64/checksums.sha256",
            "assets/talos/arm64/validation/build-report.txt",
        ]
    );
    assert!(
        files["annotations"]
            .get("org.opencontainers.image.version")
            .is_none()
    );
}

#[test]
fn the_verdicts_are_stated_of_the_package_and_of_each_file() {
    let folder = tempfile::tempdir().unwrap();
    let layout = folder.path().join("layout");
    let built = build(
        &layout,
        &package(Format::Flux),
        &artifacts(folder.path()),
        &facts(),
    )
    .unwrap();
    let index = index(&layout);
    let entry = &index["manifests"][2];
    assert_eq!(entry["digest"], format!("sha256:{}", built.attestation));
    let attached = document(&layout, entry);
    assert_eq!(attached["artifactType"], "application/vnd.in-toto+json");
    assert_eq!(
        attached["subject"]["digest"],
        format!("sha256:{}", built.digest)
    );
    let mut statement = document(&layout, &attached["layers"][0]);
    let digest = statement["subject"][0]["digest"]["sha256"].take();
    assert_eq!(digest, built.digest.to_string());
    let program = statement["predicate"]["configuration"][0]["uri"].take();
    assert_eq!(
        program,
        concat!("pkg:cargo/tdg@", env!("CARGO_PKG_VERSION"))
    );
    insta::assert_json_snapshot!(statement);
}

#[test]
fn an_artifact_that_changed_since_it_was_collected_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let artifacts = artifacts(folder.path());
    for (name, bytes) in [
        ("kernel", "another"),
        ("kernel", "a kerneL"),
        ("initramfs", ""),
    ] {
        let path = folder.path().join(name);
        let before = fs::read(&path).unwrap();
        fs::write(&path, bytes).unwrap();
        for format in [Format::Flux, Format::Files] {
            let layout = folder.path().join(format!("{format:?}"));
            let error = build(&layout, &package(format), &artifacts, &facts()).unwrap_err();
            assert!(
                error.to_string().contains("changed after it was collected"),
                "{error}"
            );
        }
        fs::write(&path, before).unwrap();
    }
}
