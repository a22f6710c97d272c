//! EROFS images made by mkfs.erofs: by whichever version is here, with all that
//! it can make.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tdg::format::erofs::Erofs;
use tdg::format::{Bytes, FormatError, Limits};

use crate::peers::peer;
use crate::trees::{Said, Seed, compare, sow};

/// All of it as it is on disk.
const AS_IT_IS: Said = Said {
    mtime: |time| time,
    all_root: false,
    xattrs: true,
};

/// Ways to store, with the word that says in the tool's help that it can.
const WAYS: &[(&str, &[&str])] = &[
    ("", &[]),
    ("", &["-Enoinline_data", "-x-1"]),
    ("", &["-x1"]),
    ("", &["-x10000"]),
    ("", &["-Eforce-inode-extended"]),
    ("", &["-Eforce-inode-compact", "-T1000000000", "--all-root"]),
    ("", &["-Enosbcrc"]),
    ("chunksize", &["--chunksize=4096"]),
    ("chunksize", &["--chunksize=65536", "-Eforce-chunk-indexes"]),
    ("lz4", &["-zlz4"]),
    (
        "lz4",
        &[
            "-zlz4",
            "-Eforce-inode-compact",
            "-T1000000000",
            "--all-root",
        ],
    ),
    ("lz4", &["-zlz4", "-Elegacy-compress"]),
    ("lz4hc", &["-zlz4hc,12", "-C16384"]),
    ("lz4hc", &["-zlz4hc", "-C1048576"]),
    ("lz4hc", &["-zlz4hc", "-C65536", "-Elegacy-compress"]),
    ("lz4", &["-zlz4", "-Eztailpacking"]),
    ("lz4", &["-zlz4", "-Eztailpacking", "-C65536"]),
    ("lz4", &["-zlz4", "-Eztailpacking,legacy-compress"]),
    ("lz4", &["-zlz4", "-Efragments"]),
    ("lz4", &["-zlz4", "-Efragments=32768", "-C32768"]),
    ("lz4", &["-zlz4", "-Eall-fragments"]),
    ("lz4", &["-zlz4", "-Eall-fragments,legacy-compress"]),
    ("lz4", &["-zlz4", "-Efragments,ztailpacking"]),
    ("lz4", &["-zlz4", "-Ededupe"]),
    (
        "lz4",
        &["-zlz4", "-Ededupe,all-fragments,ztailpacking", "-C65536"],
    ),
    ("lz4", &["-zlz4", "--max-extent-bytes=8192"]),
    (" lzma", &["-zlzma"]),
    (" lzma", &["-zlzma", "-C131072", "-Eztailpacking"]),
    (" lzma", &["-zlzma", "-C131072", "-Eall-fragments,dedupe"]),
    (" deflate", &["-zdeflate"]),
    (
        " deflate",
        &["-zdeflate", "-C65536", "-Efragments,ztailpacking,dedupe"],
    ),
    (" zstd", &["-zzstd"]),
    (" zstd", &["-zzstd", "-C524288", "-Eall-fragments"]),
    (" zstd", &["-zzstd", "-C65536", "-Ededupe,ztailpacking"]),
    ("-b#", &["-b512"]),
    ("-b#", &["-b1024", "-zlz4", "-Eztailpacking"]),
    ("-b#", &["-b1024", "-zlz4", "-Efragments"]),
    ("-b#", &["-b16384", "-zlz4hc", "-C65536"]),
    (
        "xattr-prefix",
        &["--xattr-prefix=user.tdg.", "--xattr-prefix=security.se"],
    ),
    (
        "xattr-prefix",
        &["--xattr-prefix=user.tdg.", "-zlz4", "-Efragments"],
    ),
    ("--MZ", &["-E48bit", "-T1000000000"]),
    ("--MZ", &["-E48bit", "-T1000000000", "-zlz4hc", "-C65536"]),
    (
        "--MZ",
        &[
            "-E48bit",
            "-T1000000000",
            "-zzstd",
            "-C65536",
            "-Efragments,dedupe",
            "--max-extent-bytes=50000",
        ],
    ),
    ("--MZ", &["-E48bit", "-T1000000000", "--chunksize=4096"]),
    ("--zD", &["-zlz4", "--zD=1"]),
];

/// Makes an image of a tree.
pub(super) fn make(tool: &Path, root: &Path, image: &Path, options: &[&str]) {
    let _ = fs::remove_file(image);
    let made = Command::new(tool)
        .args(options)
        .arg("--quiet")
        .args([image, root])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "mkfs.erofs {options:?}: {said}");
}

fn open(image: &Path) -> Erofs {
    let bytes = fs::read(image).unwrap();
    Erofs::open(Arc::new(Bytes::new(bytes)), &Limits::default()).unwrap()
}

/// Gives the tool, and what it says of itself.
fn tool() -> Option<(PathBuf, String)> {
    let tool = peer("mkfs.erofs")?;
    let mut said = Vec::new();
    for option in ["--help", "--version"] {
        let asked = Command::new(&tool).arg(option).output().unwrap();
        said.extend(asked.stdout);
        said.extend(asked.stderr);
    }
    Some((tool, String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn every_way_to_store_gives_the_source_back() {
    let Some((mkfs, help)) = tool() else { return };
    let folder = tempfile::tempdir().unwrap();
    let seed = Seed {
        number: 3,
        block: 4096,
        many: 200,
        late: true,
        sparse: true,
    };
    let [holes, dense] = ["holes", "dense"].map(|name| folder.path().join(name));
    sow(&holes, seed);
    // Looking for what is there twice in long runs of zeros takes minutes.
    sow(
        &dense,
        Seed {
            sparse: false,
            ..seed
        },
    );
    let (mut made, mut compressed) = (0, 0);
    for (_, options) in WAYS.iter().filter(|(word, _)| help.contains(word)) {
        let dedupe = options.iter().any(|option| option.contains("dedupe"));
        let root = if dedupe { &dense } else { &holes };
        let image = folder.path().join("image");
        make(&mkfs, root, &image, options);
        let erofs = open(&image);
        let has = |option: &str| options.contains(&option);
        let said = Said {
            mtime: if has("-T1000000000") {
                |_| 1_000_000_000
            } else {
                AS_IT_IS.mtime
            },
            all_root: has("--all-root"),
            xattrs: !has("-x-1"),
        };
        let count = compare(&erofs, root, &[], said);
        assert!(count > 150, "only {count} entries with {options:?}");
        made += 1;
        compressed += usize::from(options.iter().any(|option| option.starts_with("-z")));
    }
    assert!(
        made > 20 && compressed > 12,
        "only {made} ways, {compressed} of them compressed"
    );
}

#[test]
fn what_is_not_read_is_told() {
    let Some((mkfs, help)) = tool() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (root, image) = (folder.path().join("root"), folder.path().join("image"));
    fs::create_dir(&root).unwrap();
    fs::write(root.join("file"), vec![b'x'; 50_000]).unwrap();
    let open = |bytes: Vec<u8>| Erofs::open(Arc::new(Bytes::new(bytes)), &Limits::default());
    let blob = format!("--blobdev={}", folder.path().join("blob").display());
    make(&mkfs, &root, &image, &["--chunksize=4096", &blob]);
    let error = open(fs::read(&image).unwrap()).unwrap_err();
    assert!(matches!(error, FormatError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("1 further devices"), "{error}");
    if help.contains("--MZ") {
        make(&mkfs, &root, &image, &["-zlz4", "-m4096"]);
        let error = open(fs::read(&image).unwrap()).unwrap_err();
        assert!(error.to_string().contains("compressed metadata"), "{error}");
    }
    make(&mkfs, &root, &image, &[]);
    let good = fs::read(&image).unwrap();
    let erofs = open(good.clone()).unwrap();
    assert_eq!(
        (erofs.superblock().label.as_str(), erofs.superblock().block),
        ("", 4096)
    );
    let error = open(good[..good.len() - 4096].to_vec()).unwrap_err();
    assert!(matches!(error, FormatError::Truncated { .. }), "{error}");
    let mut labelled = good.clone();
    labelled[1024 + 64..1024 + 69].copy_from_slice(b"label");
    let error = open(labelled.clone()).unwrap_err();
    assert!(error.to_string().contains("checksum is wrong"), "{error}");
    // Without the feature, nobody looks at the checksum.
    labelled[1024 + 8] &= !1;
    assert_eq!(open(labelled).unwrap().superblock().label, "label");
    let mut unknown = good;
    unknown[1024 + 8] &= !1;
    unknown[1024 + 80 + 3] |= 0x80;
    let error = open(unknown).unwrap_err();
    assert!(matches!(error, FormatError::Unsupported { .. }), "{error}");
}
