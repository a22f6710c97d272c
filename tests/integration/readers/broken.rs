//! Broken subjects: each is an error that names the file and the place, in
//! little time and memory.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tdg::format::Limits;
use tdg::image::{Image, ImageError};

use super::squashfs::make;
use crate::images::{cpio, pipe};
use crate::peers::peer;

/// Looks at everything there is; gives the first error.
fn look(path: &Path) -> Result<(), ImageError> {
    let image = Image::open(path, Limits::default())?;
    image.initramfs()?;
    for entry in image.merged()?.entries() {
        image.merged()?.read(entry).map(drop).or_else(|error| {
            // Only regular files have content.
            if entry.meta.kind == tdg::format::FileType::File {
                Err(error)
            } else {
                Ok(())
            }
        })?;
    }
    Ok(())
}

fn refused(path: &Path, says: &[&str]) {
    let begin = Instant::now();
    let error = look(path).unwrap_err().to_string();
    assert!(
        begin.elapsed() < Duration::from_secs(10),
        "{error}: took {:?}",
        begin.elapsed()
    );
    for part in says {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
    let name = path.display().to_string();
    assert!(error.contains(&name), "{name} is not in: {error}");
}

struct Kitchen {
    folder: tempfile::TempDir,
}

impl Kitchen {
    fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

#[test]
fn what_is_no_file_is_told_from_a_file() {
    let kitchen = Kitchen::new();
    refused(&kitchen.folder.path().join("missing"), &["no such file"]);
    refused(kitchen.folder.path(), &["is a directory"]);
    refused(&kitchen.write("empty", b""), &["is empty"]);
    refused(
        &kitchen.write("text", b"hello, world"),
        &["at byte 0", "unknown data"],
    );
    refused(Path::new("/dev/zero"), &["is a device"]);
    if let Some(mkfifo) = peer("mkfifo") {
        let path = kitchen.folder.path().join("pipe");
        assert!(
            std::process::Command::new(mkfifo)
                .arg(&path)
                .status()
                .unwrap()
                .success()
        );
        refused(&path, &["named pipe"]);
    }
}

#[test]
fn a_cut_or_lying_archive_is_an_error_at_a_byte() {
    let (Some(tool), Some(zstd)) = (peer("cpio"), peer("zstd")) else {
        return;
    };
    let kitchen = Kitchen::new();
    kitchen.write("init", &[b'#'; 5000]);
    let archive = cpio(&tool, kitchen.folder.path(), "newc", &["init"]);
    let mut lying = archive.clone();
    lying[54..62].copy_from_slice(b"fffffff0");
    refused(
        &kitchen.write("lying", &lying),
        &["cpio: cut short at byte 0", "4294967280"],
    );
    lying[94..102].copy_from_slice(b"ffffffff");
    refused(&kitchen.write("long-name", &lying), &["max_path"]);
    let packed = pipe(&zstd, kitchen.folder.path(), &["-q", "-c"], &archive);
    let cut = kitchen.write("cut", &packed[..packed.len() - 9]);
    refused(
        &cut,
        &[&format!("zstd: cut short at byte {}", packed.len() - 9)],
    );
    let trailing = [&packed[..], b"junk"].concat();
    refused(
        &kitchen.write("junk", &trailing),
        &[&format!("initramfs: broken at byte {}", packed.len())],
    );
    let mut flipped = packed.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    refused(&kitchen.write("flipped", &flipped), &["zstd"]);
}

/// Writes `mebibytes` of zeros into a compressor, piece by piece.
fn fill(to: &mut impl std::io::Write, mebibytes: usize) {
    let zeros = vec![0; 1 << 20];
    for _ in 0..mebibytes {
        to.write_all(&zeros).unwrap();
    }
}

#[test]
fn a_bomb_is_stopped_by_the_bounds_that_every_run_has() {
    let kitchen = Kitchen::new();
    // 2 GiB in one frame that says no size.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    fill(&mut encoder, 1 << 11);
    let bomb = encoder.finish().unwrap();
    refused(
        &kitchen.write("one", &bomb),
        &["zstd: over the limit `max_decoded`"],
    );
    // The same in many frames, each of which would pass.
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    fill(&mut encoder, 300);
    let part = encoder.finish().unwrap();
    refused(
        &kitchen.write("many", &part.repeat(50)),
        &["over the limit `max_decoded`"],
    );
}

#[test]
fn a_bomb_of_any_compressor_is_stopped() {
    let kitchen = Kitchen::new();
    let limits = Limits {
        free_decoded: 8 << 20,
        ..Limits::default()
    };
    let zeros = vec![0; 16 << 20];
    let tools: [(&str, &[&str]); 4] = [
        ("gzip", &["-c"]),
        ("xz", &["-0", "-c"]),
        ("lz4", &["-c"]),
        ("lz4", &["-c", "-l"]),
    ];
    for (name, arguments) in tools {
        let Some(tool) = peer(name) else { continue };
        let path = kitchen.write(name, &pipe(&tool, kitchen.folder.path(), arguments, &zeros));
        let image = Image::open(path, limits.clone()).unwrap();
        let error = image.initramfs().unwrap_err().to_string();
        assert!(
            error.contains(&format!("{name}: over the limit `max_decoded`")),
            "{error}"
        );
    }
}

#[test]
fn a_squashfs_with_a_broken_table_is_an_error_in_its_name() {
    let (Some(tool), Some(mksquashfs)) = (peer("cpio"), peer("mksquashfs")) else {
        return;
    };
    let kitchen = Kitchen::new();
    let root = kitchen.folder.path().join("root");
    crate::images::populate(&root, 4096, 50);
    let image = kitchen.folder.path().join("rootfs.sqsh");
    make(&mksquashfs, &root, &image, &["-b", "4K"]);
    let good = std::fs::read(&image).unwrap();
    let table = |at: usize| {
        usize::try_from(u64::from_le_bytes(good[at..at + 8].try_into().unwrap())).unwrap()
    };
    let put = |name: &str, change: &dyn Fn(&mut Vec<u8>), says: &[&str]| {
        let mut bytes = good.clone();
        change(&mut bytes);
        std::fs::write(&image, bytes).unwrap();
        let archive = cpio(&tool, kitchen.folder.path(), "newc", &["rootfs.sqsh"]);
        refused(
            &kitchen.write(name, &archive),
            &[&["in rootfs.sqsh", "squashfs"][..], says].concat(),
        );
    };
    put(
        "far",
        &|bytes| bytes[64..72].fill(0x7f),
        &["the inode table should begin at byte"],
    );
    put(
        "inodes",
        &|bytes| bytes[table(64) + 2..][..64].fill(0xee),
        &["a metadata block"],
    );
    put(
        "directories",
        &|bytes| bytes[table(72) + 2..][..64].fill(0xee),
        &["a metadata block"],
    );
    put(
        "ids",
        &|bytes| bytes[table(48)..][..8].fill(0xee),
        &["the id table"],
    );
    put(
        "cut",
        &|bytes| bytes.truncate(bytes.len() / 2),
        &["cut short"],
    );
}

#[test]
fn a_directory_inside_of_itself_is_an_error() {
    let Some(mksquashfs) = peer("mksquashfs") else {
        return;
    };
    let kitchen = Kitchen::new();
    let root = kitchen.folder.path().join("root");
    std::fs::create_dir_all(root.join("a/round-and-round")).unwrap();
    std::fs::write(root.join("a/round-and-round/file"), "x").unwrap();
    let image = kitchen.folder.path().join("image");
    // Tables as they are, so that one number can be changed.
    make(&mksquashfs, &root, &image, &["-noI", "-noD"]);
    let mut bytes = std::fs::read(&image).unwrap();
    let name = b"round-and-round";
    let at = bytes
        .windows(name.len())
        .position(|window| window == name)
        .unwrap();
    // The place of the root's inode in its block, into the entry's first field.
    bytes.copy_within(32..34, at - 8);
    std::fs::write(&image, bytes).unwrap();
    let error = Image::open(&image, Limits::default())
        .unwrap()
        .merged()
        .unwrap_err();
    assert!(
        error.to_string().contains("a directory inside of itself"),
        "{error}"
    );
}
