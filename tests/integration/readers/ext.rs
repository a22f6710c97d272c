//! ext2, ext3 and ext4 file systems made by mke2fs.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tdg::format::ext::{Ext, Superblock, Version};
use tdg::format::{Bytes, FormatError, Limits, Tree};

use crate::images::Random;
use crate::peers::{output, peer};
use crate::trees::{Said, Seed, compare, sow};

/// All of it as it is on disk.
const AS_IT_IS: Said = Said {
    mtime: |time| time,
    all_root: false,
    xattrs: true,
};

/// What this version of mke2fs gives the whole tree.
const OWN: &[&str] = &["lost+found"];

/// Makes a file system of a tree.
pub(super) fn make(tool: &Path, root: &Path, image: &Path, size: &str, options: &[&str]) {
    let made = Command::new(tool)
        .args(["-q", "-F", "-d"])
        .arg(root)
        .args(options)
        .arg(image)
        .arg(size)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "mke2fs {options:?}: {said}");
}

fn open(image: &Path) -> Ext {
    let bytes = fs::read(image).unwrap();
    Ext::open(Arc::new(Bytes::new(bytes)), &Limits::default()).unwrap()
}

fn tools() -> Option<(PathBuf, PathBuf)> {
    Some((peer("mke2fs")?, peer("debugfs")?))
}

#[test]
fn every_set_of_features_gives_the_source_back() {
    let Some((mke2fs, _)) = tools() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ways: [(Version, usize, &[&str]); 16] = [
        (
            Version::Ext2,
            1024,
            &["-t", "ext2", "-b", "1024", "-I", "128"],
        ),
        (
            Version::Ext2,
            4096,
            &["-t", "ext2", "-b", "4096", "-I", "256"],
        ),
        (
            Version::Ext2,
            1024,
            &[
                "-t",
                "ext2",
                "-b",
                "1024",
                "-O",
                "^filetype,^sparse_super,^resize_inode",
            ],
        ),
        (Version::Ext3, 1024, &["-t", "ext3", "-b", "1024"]),
        (
            Version::Ext3,
            2048,
            &["-t", "ext3", "-b", "2048", "-O", "^resize_inode,meta_bg"],
        ),
        (
            Version::Ext4,
            1024,
            &[
                "-t",
                "ext4",
                "-b",
                "1024",
                "-O",
                "extents,64bit,metadata_csum,flex_bg",
            ],
        ),
        (
            Version::Ext4,
            4096,
            &[
                "-t",
                "ext4",
                "-b",
                "4096",
                "-O",
                "extents,64bit,metadata_csum,metadata_csum_seed,flex_bg,dir_index",
            ],
        ),
        (
            Version::Ext4,
            4096,
            &[
                "-t",
                "ext4",
                "-b",
                "4096",
                "-O",
                "extents,inline_data,metadata_csum",
                "-I",
                "256",
            ],
        ),
        (
            Version::Ext4,
            1024,
            &[
                "-t",
                "ext4",
                "-b",
                "1024",
                "-O",
                "inline_data,^metadata_csum,uninit_bg",
                "-I",
                "1024",
            ],
        ),
        (
            Version::Ext4,
            1024,
            &[
                "-t",
                "ext4",
                "-b",
                "1024",
                "-g",
                "1024",
                "-O",
                "extents,^resize_inode,meta_bg,64bit,metadata_csum",
            ],
        ),
        (
            Version::Ext4,
            1024,
            &[
                "-t",
                "ext4",
                "-b",
                "1024",
                "-g",
                "512",
                "-O",
                "extents,^resize_inode,meta_bg,^64bit,uninit_bg",
            ],
        ),
        (
            Version::Ext4,
            4096,
            &[
                "-t",
                "ext4",
                "-b",
                "4096",
                "-C",
                "16384",
                "-O",
                "extents,bigalloc,metadata_csum,huge_file",
            ],
        ),
        (
            Version::Ext4,
            4096,
            &[
                "-t",
                "ext4",
                "-b",
                "4096",
                "-O",
                "extents,ea_inode,metadata_csum,large_dir",
            ],
        ),
        (
            Version::Ext4,
            2048,
            &[
                "-t",
                "ext4",
                "-b",
                "2048",
                "-O",
                "extents,^resize_inode,sparse_super2,project,quota",
                "-I",
                "512",
            ],
        ),
        (
            Version::Ext4,
            16384,
            &[
                "-t",
                "ext4",
                "-b",
                "16384",
                "-O",
                "extents,metadata_csum,mmp",
            ],
        ),
        (
            Version::Ext4,
            65536,
            &[
                "-t",
                "ext4",
                "-b",
                "65536",
                "-O",
                "extents,metadata_csum,^has_journal,64bit",
            ],
        ),
    ];
    for (index, (version, block, options)) in ways.into_iter().enumerate() {
        let root = folder.path().join(format!("root-{index}"));
        let seed = Seed {
            number: 100 + index as u64,
            block,
            many: 160,
            // mke2fs 1.47.0 writes no more than 32 bits of a time, and with `inline_data` it cuts
            // files that end with a hole.
            late: false,
            sparse: !options.iter().any(|option| option.contains("inline_data")),
        };
        sow(&root, seed);
        let image = folder.path().join("image");
        let size = if block > 4096 { "256M" } else { "64M" };
        let _ = fs::remove_file(&image);
        make(
            &mke2fs,
            &root,
            &image,
            size,
            &[options, &["-L", "a label"]].concat(),
        );
        let ext = open(&image);
        assert_eq!(ext.superblock().version, version, "{options:?}");
        assert_eq!(
            (ext.superblock().block, ext.superblock().label.as_str()),
            (block as u64, "a label")
        );
        let count = compare(&ext, &root, OWN, AS_IT_IS);
        assert!(count > 100, "only {count} entries with {options:?}");
        fs::remove_dir_all(&root).unwrap();
    }
}

/// Makes a small file system with a few files; gives it and the tree.
fn small(folder: &Path, options: &[&str]) -> Option<(PathBuf, PathBuf)> {
    let (mke2fs, _) = tools()?;
    let root = folder.join("root");
    fs::create_dir_all(root.join("folder")).unwrap();
    for n in 0..300 {
        fs::write(
            root.join(format!("folder/a file with a longer name {n}")),
            n.to_string(),
        )
        .unwrap();
    }
    fs::write(root.join("large"), Random::new(1).bytes(200_000)).unwrap();
    std::os::unix::fs::symlink("folder/".repeat(30), root.join("link")).unwrap();
    let image = folder.join("image");
    make(&mke2fs, &root, &image, "16M", options);
    Some((root, image))
}

/// Has debugfs change a file system.
fn debugfs(image: &Path, requests: &[&str]) {
    let Some((_, debugfs)) = tools() else { return };
    for request in requests {
        let folder = image.parent().unwrap();
        output(
            &debugfs,
            folder,
            &["-w", "-R", request, image.to_str().unwrap()],
        );
    }
}

#[test]
fn directories_with_trees_of_hashes_are_read_and_their_checksums_verified() {
    let Some(e2fsck) = peer("e2fsck") else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = ["-t", "ext4", "-b", "1024", "-O", "metadata_csum,dir_index"];
    let Some((root, image)) = small(folder.path(), &options) else {
        return;
    };
    // It ends with 1 where it changed something.
    let status = Command::new(e2fsck)
        .args(["-fyD"])
        .arg(&image)
        .output()
        .unwrap()
        .status;
    assert!(matches!(status.code(), Some(0 | 1)), "{status}");
    assert_eq!(compare(&open(&image), &root, OWN, AS_IT_IS), 303);
    let bytes = fs::read(&image).unwrap();
    // What the root of a tree of hashes says of itself, behind `..`.
    let place = bytes
        .windows(8)
        .position(|w| w[1..] == [0, 0, 0, 1, 8, 0, 0] || w == [0, 0, 0, 0, 1, 8, 0, 0]);
    let place = place.expect("a directory with a tree of hashes");
    let mut broken = bytes.clone();
    broken[place + 12] ^= 1;
    fs::write(&image, broken).unwrap();
    let error = open(&image).entries().unwrap_err().to_string();
    assert!(error.contains("block 0 of a directory is wrong"), "{error}");
}

#[test]
fn large_files_of_every_kind_of_map_are_read() {
    let Some((mke2fs, _)) = tools() else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    let file = fs::File::create(root.join("far")).unwrap();
    let mut random = Random::new(5);
    // Blocks that are reached through no, one, two and three blocks of a map of 1 KiB.
    for at in [
        0u64,
        11 << 10,
        12 << 10,
        300 << 10,
        20 << 20,
        66 << 20,
        90 << 20,
    ] {
        file.write_all_at(&random.bytes(5000), at).unwrap();
    }
    file.set_len(100 << 20).unwrap();
    // More runs than fit into an inode, and than into a block.
    let file = fs::File::create(root.join("pieces")).unwrap();
    for n in 0..700 {
        file.write_all_at(&random.bytes(900), n * 2048).unwrap();
    }
    for options in [["-t", "ext2"], ["-t", "ext3"], ["-t", "ext4"]] {
        let image = folder.path().join("image");
        let _ = fs::remove_file(&image);
        make(
            &mke2fs,
            &root,
            &image,
            "32M",
            &[&options[..], &["-b", "1024"]].concat(),
        );
        assert_eq!(compare(&open(&image), &root, OWN, AS_IT_IS), 2);
    }
}

#[test]
fn what_was_reserved_and_never_written_reads_as_zeros() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["-t", "ext4", "-b", "1024"];
    let Some((_, image)) = small(folder.path(), &options) else {
        return;
    };
    debugfs(
        &image,
        &[
            "fallocate /folder 300 310",
            "fallocate /large 190 260",
            "set_inode_field /large size 260000",
        ],
    );
    let ext = open(&image);
    let entry = ext.lookup("large").unwrap().unwrap();
    let bytes = ext.open(&entry).unwrap().up_to(0, 300_000).unwrap();
    assert_eq!(bytes.len(), 260_000);
    assert!(bytes[..200_000] == Random::new(1).bytes(200_000));
    assert!(bytes[200_704..].iter().all(|byte| *byte == 0));
}

#[test]
fn times_beyond_32_bits_large_attributes_and_access_control_lists_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let options = [
        "-t",
        "ext4",
        "-b",
        "4096",
        "-O",
        "metadata_csum,ea_inode",
        "-I",
        "256",
    ];
    let Some((_, image)) = small(folder.path(), &options) else {
        return;
    };
    // Too large for a block that has a header as well.
    let value = Random::new(2).bytes(4090);
    fs::write(folder.path().join("value"), &value).unwrap();
    // As programs see it: the owner, user 1000, the group, the mask, others.
    let list: Vec<u8> = [
        (1u16, 6u16, u32::MAX),
        (2, 7, 1000),
        (4, 4, u32::MAX),
        (16, 7, u32::MAX),
        (32, 0, u32::MAX),
    ]
    .iter()
    .flat_map(|(tag, bits, id)| {
        [
            &tag.to_le_bytes()[..],
            &bits.to_le_bytes(),
            &id.to_le_bytes(),
        ]
        .concat()
    })
    .collect();
    let list = [&2u32.to_le_bytes()[..], &list].concat();
    fs::write(folder.path().join("list"), &list).unwrap();
    debugfs(
        &image,
        &[
            "ea_set -f value /large user.large",
            "ea_set /large user.small yes",
            "ea_set -f list /large system.posix_acl_access",
            "set_inode_field /large mtime 0x10",
            "set_inode_field /large mtime_extra 2",
        ],
    );
    let meta = open(&image).lookup("large").unwrap().unwrap().meta;
    assert_eq!(meta.mtime, (2 << 32) + 16);
    assert!(meta.xattr("user.large") == Some(&value[..]));
    assert_eq!(meta.xattr("user.small"), Some(&b"yes"[..]));
    assert_eq!(meta.xattr("system.posix_acl_access"), Some(&list[..]));
    assert_eq!(meta.xattrs.len(), 3);
}

#[test]
fn what_is_not_what_a_mounted_file_system_would_show_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let options = ["-t", "ext4", "-b", "1024", "-O", "metadata_csum,encrypt"];
    let Some((_, image)) = small(folder.path(), &options) else {
        return;
    };
    // The flags of an inode with extents, and with what is encrypted.
    debugfs(
        &image,
        &[
            "set_inode_field /large flags 0x80800",
            "set_inode_field /folder flags 0x80800",
        ],
    );
    let ext = open(&image);
    let entry = ext.lookup("large").unwrap().unwrap();
    let error = ext.open(&entry).unwrap_err();
    assert!(
        error.to_string().contains("is encrypted; without its key"),
        "{error}"
    );
    for error in [
        ext.entries().unwrap_err(),
        ext.children("folder").unwrap_err(),
        ext.lookup("folder/x").unwrap_err(),
    ] {
        assert!(matches!(error, FormatError::Unsupported { .. }), "{error}");
    }
    debugfs(&image, &["feature needs_recovery"]);
    let bytes = || Arc::new(Bytes::new(fs::read(&image).unwrap()));
    let error = Ext::open(bytes(), &Limits::default()).unwrap_err();
    assert!(error.to_string().contains("e2fsck -fy"), "{error}");
    // What it is can be told all the same.
    assert_eq!(Superblock::read(&*bytes()).unwrap().version, Version::Ext4);
}

#[test]
fn no_change_of_metadata_with_checksums_goes_unnoticed() {
    let folder = tempfile::tempdir().unwrap();
    let options = [
        "-t",
        "ext4",
        "-b",
        "1024",
        "-N",
        "400",
        "-O",
        "metadata_csum,64bit,^has_journal",
    ];
    let Some((_, image)) = small(folder.path(), &options) else {
        return;
    };
    let value = folder.path().join("value");
    fs::write(&value, [b'v'; 700]).unwrap();
    debugfs(&image, &["ea_set -f value /large user.in.a.block"]);
    let good = fs::read(&image).unwrap();
    let whole = open(&image);
    let wanted = whole.entries().unwrap();
    let large = wanted.iter().find(|entry| entry.path == "large").unwrap();
    let content = whole.open(large).unwrap().up_to(0, 1 << 20).unwrap();
    // Data carry no checksum, nor does the link's target: what is changed is everything else that is not zero.
    let mut padded = content.to_vec();
    padded.resize(content.len().next_multiple_of(1024), 0);
    padded.extend("folder/".repeat(30).bytes());
    padded.resize(padded.len().next_multiple_of(1024), 0);
    let chunks: std::collections::HashSet<&[u8]> = padded.chunks(1024).collect();
    let data: Vec<bool> = good
        .chunks(1024)
        .map(|block| chunks.contains(block))
        .collect();
    let used: Vec<usize> = (0..good.len())
        .filter(|at| good[*at] != 0 && !data[at / 1024])
        .collect();
    let mut random = Random::new(9);
    let (mut refused, mut equal) = (0, 0);
    for _ in 0..700 {
        let at = used[random.below(used.len())];
        let mut bytes = good.clone();
        bytes[at] ^= 1 << random.below(8);
        let opened = Ext::open(Arc::new(Bytes::new(bytes)), &Limits::default());
        let entries = opened
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|ext| ext.entries());
        match (opened, entries) {
            (Ok(ext), Ok(entries)) => {
                assert!(entries == wanted, "a change of byte {at} went unnoticed");
                let read = ext.open(large).map(|file| file.up_to(0, 1 << 20));
                if let Ok(Ok(read)) = read {
                    // The ends of files and directories are not looked at.
                    assert!(*read == *content, "a change of byte {at} went unnoticed");
                    equal += 1;
                }
            }
            (_, Err(_)) => refused += 1,
            (Err(error), Ok(_)) => panic!("{error}"),
        }
    }
    assert!(
        refused > 150 && equal > 10,
        "{refused} refused, {equal} equal"
    );
}
