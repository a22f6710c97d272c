//! ext2, ext3 and ext4 file systems made by mke2fs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tdg::format::ext::{Ext, Version};
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
