//! OCI images: what umoci unpacks and skopeo copies must be what the merged view shows.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tdg::format::{FileType, Limits};
use tdg::image::Image;

use crate::images::Random;
use crate::peers::{output, peer};

/// One entry of a layer that is being made.
enum Make<'m> {
    File(&'m [u8]),
    Folder,
    Link(&'m str),
    Hard(&'m str),
}

/// A layer that is being made.
struct Layer(tar::Builder<Vec<u8>>);

impl Layer {
    fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn add(&mut self, path: &str, make: &Make<'_>, mode: u32, owner: u64) {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_uid(owner);
        header.set_gid(owner + 1);
        header.set_mtime(1_600_000_000 + owner);
        header.set_size(0);
        let kind = match make {
            Make::File(_) => tar::EntryType::Regular,
            Make::Folder => tar::EntryType::Directory,
            Make::Link(_) => tar::EntryType::Symlink,
            Make::Hard(_) => tar::EntryType::Link,
        };
        header.set_entry_type(kind);
        match make {
            Make::File(bytes) => {
                header.set_size(bytes.len() as u64);
                self.0.append_data(&mut header, path, *bytes).unwrap();
            }
            Make::Folder => self.0.append_data(&mut header, path, &b""[..]).unwrap(),
            Make::Link(to) | Make::Hard(to) => self.0.append_link(&mut header, path, to).unwrap(),
        }
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// Makes a layout `name` of layers, as they are.
fn layout(umoci: &Path, folder: &Path, name: &str, layers: &[Vec<u8>]) {
    let image = format!("{name}:v1");
    output(umoci, folder, &["init", "--layout", name]);
    output(umoci, folder, &["new", "--image", &image]);
    for layer in layers {
        fs::write(folder.join("layer.tar"), layer).unwrap();
        output(
            umoci,
            folder,
            &["raw", "add-layer", "--image", &image, "layer.tar"],
        );
    }
    let config = [
        "config",
        "--image",
        &image,
        "--architecture",
        "arm64",
        "--os",
        "linux",
    ];
    output(umoci, folder, &config);
}

/// What is at a path, by either side.
#[derive(Debug, PartialEq)]
struct Seen {
    mode: u32,
    owner: (u32, u32),
    /// Not of folders: unpacking changes them.
    mtime: Option<i64>,
    target: Option<String>,
    content: Option<Vec<u8>>,
    names: u32,
}

fn unpacked(root: &Path) -> BTreeMap<String, Seen> {
    let walk = walkdir::WalkDir::new(root).min_depth(1).into_iter();
    walk.map(|entry| {
        let entry = entry.unwrap();
        let meta = entry.path().symlink_metadata().unwrap();
        let path = entry
            .path()
            .strip_prefix(root)
            .unwrap()
            .to_str()
            .unwrap()
            .to_owned();
        let target = meta
            .is_symlink()
            .then(|| fs::read_link(entry.path()).unwrap());
        let seen = Seen {
            mode: meta.mode(),
            owner: (meta.uid(), meta.gid()),
            mtime: (!meta.is_dir()).then(|| meta.mtime()),
            target: target.map(|t| t.to_str().unwrap().to_owned()),
            content: meta.is_file().then(|| fs::read(entry.path()).unwrap()),
            names: if meta.is_dir() {
                0
            } else {
                meta.nlink() as u32
            },
        };
        (path, seen)
    })
    .collect()
}

fn merged(image: &Image) -> Result<BTreeMap<String, Seen>, tdg::image::ImageError> {
    let view = image.merged()?;
    let entries = view.entries().iter().map(|entry| {
        let meta = &entry.meta;
        let directory = meta.kind == FileType::Directory;
        let seen = Seen {
            mode: meta.mode,
            owner: (meta.uid, meta.gid),
            mtime: (!directory).then_some(meta.mtime),
            target: meta.target.clone(),
            content: (meta.kind == FileType::File).then(|| view.read(entry).unwrap().to_vec()),
            names: if directory { 0 } else { meta.nlink },
        };
        (entry.path.clone(), seen)
    });
    Ok(entries.collect())
}

fn open(path: PathBuf) -> Arc<Image> {
    Image::open(path, Limits::default()).unwrap()
}

/// Makes a path. Folders and files have other names, but for one in forty.
fn random_path(random: &mut Random, file: bool) -> String {
    let mut parts: Vec<&str> = (0..random.below(3))
        .map(|_| ["a", "b", "c"][random.below(3)])
        .collect();
    let names = if file != (random.below(40) == 0) {
        ["x", "y", "z"]
    } else {
        ["a", "b", "c"]
    };
    parts.push(names[random.below(3)]);
    parts.join("/")
}

fn random_layers(random: &mut Random, gone: &mut u32) -> Vec<Vec<u8>> {
    let mut layers = Vec::new();
    let mut files: Vec<String> = Vec::new();
    for number in 0..2 + random.below(3) {
        let mut layer = Layer::new();
        for entry in 0..3 + random.below(10) {
            let owner = (number * 100 + entry) as u64;
            let choice = random.below(16);
            let folder = matches!(choice, 6..9 | 11) || choice > 12 && random.below(2) == 0;
            let at = random_path(random, !folder);
            let (parent, name) = at
                .rsplit_once('/')
                .map_or(("", at.as_str()), |(p, n)| (p, n));
            let whiteout = |name: &str| match parent {
                "" => format!(".wh.{name}"),
                parent => format!("{parent}/.wh.{name}"),
            };
            match choice {
                0..6 => {
                    let content = format!("{number} {entry} {at}");
                    layer.add(
                        &at,
                        &Make::File(content.as_bytes()),
                        0o640 + number as u32,
                        owner,
                    );
                    files.push(at);
                }
                6..9 => layer.add(
                    &format!("{at}/"),
                    &Make::Folder,
                    0o750 + entry as u32 % 8,
                    owner,
                ),
                9..11 => {
                    // To a file that was there once, seldom to one that never was.
                    let known = random.below(files.len() + 1);
                    let known = files.get(known).filter(|to| **to != at).cloned();
                    let none = || (random.below(8) == 0).then(|| "none".to_owned());
                    if let Some(to) = known.or_else(none) {
                        layer.add(&at, &Make::Hard(&to), 0o600, owner);
                    }
                }
                11 => {
                    let to = random_path(random, false);
                    let to = if random.below(2) == 0 {
                        format!("/{to}")
                    } else {
                        format!("../{to}")
                    };
                    layer.add(&at, &Make::Link(&to), 0o777, owner);
                }
                12 => {
                    layer.add(&whiteout(".wh..opq"), &Make::File(b""), 0o600, owner);
                    *gone += 1;
                    files.retain(|file| random.below(3) == 0 || !file.starts_with(parent));
                }
                _ => {
                    layer.add(&whiteout(name), &Make::File(b""), 0o600, owner);
                    *gone += 1;
                    files.retain(|file| !file.starts_with(&at));
                }
            }
        }
        layers.push(layer.bytes());
    }
    layers
}

#[test]
fn layers_of_any_order_are_laid_over_one_another_as_umoci_unpacks_them() {
    let Some(umoci) = peer("umoci") else { return };
    // Without root, owners cannot be unpacked.
    let root = nix::unistd::getuid().is_root();
    let (mut agreed, mut refused, mut gone) = (0, 0, 0);
    for seed in 0..60 {
        let folder = tempfile::tempdir().unwrap();
        let mut random = Random::new(seed);
        let layers = random_layers(&mut random, &mut gone);
        layout(&umoci, folder.path(), "layout", &layers);
        let mut arguments = vec!["unpack", "--image", "layout:v1"];
        if !root {
            arguments.push("--rootless");
        }
        arguments.push("bundle");
        let unpack = Command::new(&umoci)
            .args(&arguments)
            .current_dir(folder.path())
            .output()
            .unwrap();
        let ours = merged(&open(folder.path().join("layout")));
        if !unpack.status.success() {
            let said = String::from_utf8_lossy(&unpack.stderr);
            assert!(ours.is_err(), "seed {seed}: umoci refuses it: {said}");
            refused += 1;
            continue;
        }
        let mut ours = ours.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let mut theirs = unpacked(&folder.path().join("bundle/rootfs"));
        for seen in ours
            .values_mut()
            .chain(theirs.values_mut())
            .filter(|_| !root)
        {
            seen.owner = (0, 0);
        }
        assert_eq!(ours, theirs, "seed {seed}");
        agreed += 1;
    }
    assert!(
        agreed > 25 && refused > 3 && gone > 100,
        "{agreed} agreed, {refused} refused, {gone} gone"
    );
}

/// An image whose layers hold what makes whiteouts and links hard.
fn telling() -> Vec<Vec<u8>> {
    let mut base = Layer::new();
    base.add("etc/", &Make::Folder, 0o755, 0);
    base.add("etc/one", &Make::File(b"1"), 0o644, 0);
    base.add("etc/two", &Make::File(b"2"), 0o4755, 5);
    base.add("usr/bin/", &Make::Folder, 0o755, 0);
    base.add("usr/bin/tool", &Make::File(b"tool"), 0o755, 0);
    base.add("bin", &Make::Link("usr/bin"), 0o777, 0);
    base.add("opt/", &Make::Folder, 0o755, 0);
    base.add("opt/old", &Make::File(b"old"), 0o644, 0);
    base.add("opt/deep/old", &Make::File(b"old"), 0o644, 0);
    let mut middle = Layer::new();
    middle.add("etc/.wh.one", &Make::File(b""), 0o600, 0);
    // A whiteout behind what its own layer brings takes only what is below.
    middle.add("opt/new", &Make::File(b"new"), 0o644, 0);
    middle.add("opt/.wh..wh..opq", &Make::File(b""), 0o600, 0);
    // Through a link of the layer below, and a link to a file of it.
    middle.add("bin/more", &Make::File(b"more"), 0o755, 0);
    middle.add("bin/again", &Make::Hard("usr/bin/tool"), 0o755, 0);
    let mut top = Layer::new();
    // The name is another file now; what was linked to it stays.
    top.add("usr/bin/tool", &Make::File(b"newer"), 0o755, 0);
    top.add("etc/one", &Make::File(b"back"), 0o600, 0);
    vec![base.bytes(), middle.bytes(), top.bytes()]
}

#[test]
fn every_way_to_store_an_image_gives_the_same_view() {
    let (Some(umoci), Some(skopeo)) = (peer("umoci"), peer("skopeo")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    layout(&umoci, folder.path(), "layout", &telling());
    let copies = [
        (
            "docker-archive:docker.tar:example.invalid/it:v1",
            "docker.tar",
        ),
        ("oci-archive:oci.tar:v1", "oci.tar"),
        ("oci:copy:v1", "copy"),
    ];
    for (to, _) in copies {
        output(&skopeo, folder.path(), &["copy", "-q", "oci:layout:v1", to]);
    }
    let zstd = [
        "copy",
        "-q",
        "--dest-compress-format",
        "zstd",
        "oci:layout:v1",
        "oci-archive:zstd.tar:v1",
    ];
    output(&skopeo, folder.path(), &zstd);
    if let Some(gzip) = peer("gzip") {
        output(&gzip, folder.path(), &["-k", "docker.tar"]);
    }
    let first = merged(&open(folder.path().join("layout"))).unwrap();
    let paths: Vec<_> = first.keys().map(String::as_str).collect();
    let wanted = [
        "bin",
        "etc",
        "etc/one",
        "etc/two",
        "opt",
        "opt/new",
        "usr",
        "usr/bin",
        "usr/bin/again",
        "usr/bin/more",
        "usr/bin/tool",
    ];
    assert_eq!(paths, wanted);
    let content = |path: &str| first[path].content.as_deref().unwrap();
    assert_eq!(
        (content("usr/bin/again"), content("usr/bin/tool")),
        (&b"tool"[..], &b"newer"[..])
    );
    assert_eq!(
        (content("etc/one"), first["etc/two"].mode),
        (&b"back"[..], 0o104_755)
    );
    for name in ["docker.tar", "docker.tar.gz", "oci.tar", "copy", "zstd.tar"] {
        let image = open(folder.path().join(name));
        assert_eq!(merged(&image).unwrap(), first, "{name}");
        assert!(image.is_layered().unwrap());
        let view = image.merged().unwrap();
        let layer = |path: &str| view.layer(view.get(path).unwrap()).to_owned();
        assert_eq!(layer("etc/two"), "layer 0", "{name}");
        assert_eq!(layer("usr/bin/again"), "layer 1", "{name}");
        assert_eq!(layer("usr/bin/tool"), "layer 2", "{name}");
    }
}

#[test]
fn an_address_leads_into_the_merged_view_and_names_both_where_it_leads_nowhere() {
    let (Some(umoci), Some(skopeo)) = (peer("umoci"), peer("skopeo")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    layout(&umoci, folder.path(), "layout", &telling());
    output(
        &skopeo,
        folder.path(),
        &[
            "copy",
            "-q",
            "oci:layout:v1",
            "docker-archive:it.tar:a/b:v1",
        ],
    );
    for name in ["layout", "it.tar"] {
        let image = open(folder.path().join(name));
        let read = |path: &str| {
            let entered = image.enter(path).unwrap();
            entered.read().unwrap().to_vec()
        };
        // Links of the view are followed in it.
        assert_eq!(read("bin/tool"), b"newer", "{name}");
        assert_eq!(read("/usr/bin/ag*"), b"tool", "{name}");
        let listed = image
            .enter("usr/bin")
            .unwrap()
            .tree()
            .unwrap()
            .entries()
            .unwrap();
        let listed: Vec<_> = listed.iter().map(|e| e.path.as_str()).collect();
        assert_eq!(listed, ["again", "more", "tool"], "{name}");
        let covered = image.covered("usr/bin/*").unwrap();
        assert_eq!(covered.len(), 3, "{name}");
        // What is stored itself comes first.
        let own = if name == "layout" {
            "index.json"
        } else {
            "manifest.json"
        };
        assert!(read(own).starts_with(if name == "layout" { b"{" } else { b"[" }));
        let error = image.enter("usr/bin/none").err().unwrap().to_string();
        assert!(
            error.contains("of its merged view, in `/usr/bin` there is again, more, tool"),
            "{error}"
        );
        assert!(error.contains(own), "{error}");
        let error = image.enter("usr/bin/*").err().unwrap().to_string();
        assert!(error.contains("covers 3 entries"), "{error}");
        let error = image.enter("etc/on").err().unwrap().to_string();
        assert!(error.contains("is not there"), "{error}");
    }
}

#[test]
fn an_index_of_several_platforms_shows_each_below_its_name() {
    let (Some(umoci), Some(skopeo)) = (peer("umoci"), peer("skopeo")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let one = |text: &[u8]| {
        let mut layer = Layer::new();
        layer.add("etc/", &Make::Folder, 0o755, 0);
        layer.add("etc/which", &Make::File(text), 0o644, 0);
        layer.add("link", &Make::Link("/etc/which"), 0o777, 0);
        vec![layer.bytes()]
    };
    layout(&umoci, folder.path(), "arm", &one(b"arm64"));
    layout(&umoci, folder.path(), "amd", &one(b"amd64"));
    let config = ["config", "--image", "amd:v1", "--architecture", "amd64"];
    output(&umoci, folder.path(), &config);
    for name in ["arm", "amd"] {
        output(
            &skopeo,
            folder.path(),
            &[
                "copy",
                "-q",
                &format!("oci:{name}:v1"),
                &format!("oci:both:{name}"),
            ],
        );
    }
    let image = open(folder.path().join("both"));
    let seen = merged(&image).unwrap();
    assert_eq!(
        seen["linux/arm64/etc/which"].content.as_deref(),
        Some(&b"arm64"[..])
    );
    assert_eq!(
        seen["linux/amd64/etc/which"].content.as_deref(),
        Some(&b"amd64"[..])
    );
    let view = image.merged().unwrap();
    let entry = view.get("linux/arm64/etc/which").unwrap();
    assert_eq!(view.layer(entry), "linux/arm64 layer 0");
    // An absolute link begins at the root of its own platform.
    for platform in ["arm64", "amd64"] {
        let entered = image.enter(&format!("linux/{platform}/link")).unwrap();
        assert_eq!(&*entered.read().unwrap(), platform.as_bytes());
    }
    // Two of one platform are told apart by their names.
    output(
        &umoci,
        folder.path(),
        &["config", "--image", "both:amd", "--architecture", "arm64"],
    );
    let seen = merged(&open(folder.path().join("both"))).unwrap();
    assert!(
        seen.contains_key("arm/linux/arm64/etc/which"),
        "{:?}",
        seen.keys()
    );
    assert!(
        seen.contains_key("amd/linux/arm64/etc/which"),
        "{:?}",
        seen.keys()
    );
}
