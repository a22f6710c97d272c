//! Initramfs images laid out like those of Talos, made by `cpio`, `mksquashfs` and compressors.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use crate::images::{cpio, pipe};
use crate::peers::{output, peer};

/// The tools that make such images.
pub(crate) struct Tools {
    cpio: PathBuf,
    mksquashfs: PathBuf,
    zstd: PathBuf,
    xz: PathBuf,
}

impl Tools {
    /// Finds them; `None` where one is missing, which has been said.
    pub(crate) fn find() -> Option<Self> {
        Some(Self {
            cpio: peer("cpio")?,
            mksquashfs: peer("mksquashfs")?,
            zstd: peer("zstd")?,
            xz: peer("xz")?,
        })
    }
}

/// What becomes of an extension's squashfs image.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Image {
    /// It holds its program.
    Full,
    /// It is there and holds nothing but folders.
    Empty,
    /// It is listed and not there.
    Missing,
    /// It is there and not listed.
    Unlisted,
    /// It is there and no squashfs.
    Broken,
}

/// How a segment is packed.
#[derive(Clone, Copy)]
pub(crate) enum Pack {
    Zstd,
    Xz,
}

/// Makes an initramfs of three segments in `folder`: a bare archive with early firmware, a
/// compressed one with `init` and the root file system, another with the extensions, which are
/// numbered in the order given: `0.sqsh`, `1.sqsh`, … `10.sqsh`.
pub(crate) fn initramfs(
    tools: &Tools,
    folder: &Path,
    root: &Path,
    extensions: &[(&str, &str, Image)],
    pack: Pack,
) -> PathBuf {
    let work = folder.join("work");
    let _ = fs::remove_dir_all(&work);
    let [early, base, layers] = ["early", "base", "layers"].map(|name| work.join(name));
    for stage in [&early.join("kernel"), &base, &layers] {
        fs::create_dir_all(stage).unwrap();
    }
    fs::write(early.join("kernel/microcode.bin"), [7u8; 600]).unwrap();
    fs::write(base.join("init"), "#!/bin/sh\n").unwrap();
    squashfs(tools, root, &base.join("rootfs.sqsh"));
    let mut list = String::from("layers:\n");
    let mut files = vec!["extensions.yaml".to_owned()];
    for (number, (name, version, image)) in extensions.iter().enumerate() {
        let file = format!("{number}.sqsh");
        if *image != Image::Unlisted {
            write!(
                list,
                "  - image: {file}\n    metadata:\n      name: {name}\n      version: {version}\n      \
                 author: someone\n      compatibility:\n        talos:\n          version: \">= v1.13.0\"\n"
            )
            .unwrap();
        }
        if *image == Image::Missing {
            continue;
        }
        let tree = work.join(format!("tree-{number}"));
        let bin = tree.join("rootfs/usr/local/bin");
        let bin = if *image == Image::Empty {
            bin
        } else {
            tree.join("usr/local/bin")
        };
        fs::create_dir_all(&bin).unwrap();
        if *image != Image::Empty {
            fs::write(
                bin.join(format!("{name}-program")),
                format!("{name} {version}"),
            )
            .unwrap();
        }
        match image {
            Image::Broken => fs::write(layers.join(&file), "hsqs and no more").unwrap(),
            _ => squashfs(tools, &tree, &layers.join(&file)),
        }
        files.push(file);
    }
    fs::write(layers.join("extensions.yaml"), list).unwrap();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let segment = |stage: &Path, names: &[&str]| segment(tools, stage, names, pack);
    let mut bytes = cpio(
        &tools.cpio,
        &early,
        "newc",
        &["kernel", "kernel/microcode.bin"],
    );
    bytes.extend(segment(&base, &["init", "rootfs.sqsh"]));
    bytes.extend(segment(&layers, &files));
    let path = folder.join("initramfs");
    fs::write(&path, bytes).unwrap();
    path
}

/// Makes one segment of the files `names` of a folder.
pub(crate) fn segment(tools: &Tools, stage: &Path, names: &[&str], pack: Pack) -> Vec<u8> {
    let archive = cpio(&tools.cpio, stage, "newc", names);
    match pack {
        Pack::Zstd => pipe(&tools.zstd, stage, &["-q", "-c"], &archive),
        // As the kernel wants it: `--check=crc32`.
        Pack::Xz => pipe(&tools.xz, stage, &["-c", "--check=crc32"], &archive),
    }
}

/// Packs a folder.
pub(crate) fn squashfs(tools: &Tools, tree: &Path, to: &Path) {
    squashfs_with(tools, tree, to, &[]);
}

/// Packs a folder with more arguments.
pub(crate) fn squashfs_with(tools: &Tools, tree: &Path, to: &Path, more: &[&str]) {
    let (from, to) = (tree.to_str().unwrap(), to.to_str().unwrap());
    let arguments = [
        from,
        to,
        "-comp",
        "zstd",
        "-Xcompression-level",
        "1",
        "-noappend",
        "-quiet",
        "-no-progress",
        "-all-root",
    ];
    let arguments = [&arguments[..], more].concat();
    output(&tools.mksquashfs, Path::new("/"), &arguments);
}
