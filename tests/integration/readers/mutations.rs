//! Thousands of damaged images: a reader may refuse them, it must not panic,
//! hang or fill the memory.

use std::time::{Duration, Instant};

use tdg::format::capabilities::Capabilities;
use tdg::format::compatibility::{Range, talos};
use tdg::format::cri::{Config, shim};
use tdg::format::elf::Elf;
use tdg::format::erofs::Erofs;
use tdg::format::ext::Ext;
use tdg::format::initramfs::{Initramfs, Located};
use tdg::format::kernel::Kernel;
use tdg::format::service::Service;
use tdg::format::squashfs::Squashfs;
use tdg::format::{Budget, Bytes, Compression, Limits, ReadAt, Tree, extensions, stream};

use super::squashfs::make;
use super::{erofs, ext};
use crate::images::{Random, cpio, pipe, populate, source};
use crate::peers::peer;

/// Small bounds, so that whatever passes one shows in time or memory.
pub(super) fn limits() -> Limits {
    Limits {
        free_decoded: 16 << 20,
        max_ratio: 1,
        max_entries: 20_000,
        max_listing: 4 << 20,
        max_metadata: 1 << 20,
        max_file: 4 << 20,
        ..Limits::default()
    }
}

/// Damages a copy: flips, overwrites, cuts, repeats.
fn damage(random: &mut Random, good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for _ in 0..=random.below(4) {
        if bytes.is_empty() {
            break;
        }
        // Headers and tables, at both ends, are where damage is interesting.
        let at = match random.below(4) {
            0 => random.below(bytes.len()),
            1 => random.below(bytes.len().min(200)),
            2 => bytes.len() - 1 - random.below(bytes.len().min(2000)),
            _ => random.below(bytes.len().min(4096)),
        };
        match random.below(7) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0, 0xff, 0x7f, 0x80, b'0'][random.below(5)],
            2 => bytes.truncate(at),
            3 => {
                let end = bytes.len().min(at + random.below(16));
                bytes[at..end].fill([0, 0xff][random.below(2)]);
            }
            4 => {
                let number = random.next() >> random.below(64);
                let end = bytes.len().min(at + 8);
                bytes[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
            }
            5 => {
                let from = random.below(bytes.len());
                let part = bytes[from..bytes.len().min(from + random.below(64))].to_vec();
                bytes.splice(at..at, part);
            }
            _ => {
                let end = bytes.len().min(at + random.below(64));
                bytes.drain(at..end);
            }
        }
    }
    bytes
}

pub(super) fn run(name: &str, good: &[u8], rounds: usize, mut read: impl FnMut(Vec<u8>)) {
    let mut random = Random::new(0x7d67);
    read(good.to_vec());
    for round in 0..rounds {
        let bytes = damage(&mut random, good);
        let begin = Instant::now();
        read(bytes);
        let took = begin.elapsed();
        assert!(
            took < Duration::from_secs(5),
            "{name}, round {round}: took {took:?}"
        );
    }
}

fn explore(image: &Squashfs) {
    let Ok(walk) = image.walk() else { return };
    let mut decoded = 0;
    for entry in walk {
        let Ok(entry) = entry else { return };
        let _ = image.lookup(&entry.path);
        let Ok(file) = image.file(entry.inode) else {
            continue;
        };
        let mut piece = [0; 100];
        let _ = file.read_at(file.size().unwrap() / 2, &mut piece);
        if decoded < 16 << 20 {
            decoded += file.read_all().map_or(0, |data| data.len());
        }
    }
}

#[test]
fn damaged_squashfs_images_do_no_harm() {
    let Some(tool) = peer("mksquashfs") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    populate(&root, 4096, 60);
    std::fs::remove_file(root.join("sizes/large")).unwrap();
    for options in [
        &["-comp", "gzip"][..],
        &["-comp", "zstd"],
        &["-comp", "xz"],
        &["-comp", "lz4"],
        &["-comp", "lzo"],
        &["-comp", "lzma"],
        &["-noI", "-noD", "-noF"],
    ] {
        let image = folder.path().join(options.join(""));
        make(&tool, &root, &image, &[&["-b", "4K"], options].concat());
        let good = std::fs::read(&image).unwrap();
        run(&options.join(" "), &good, 200, |bytes| {
            if let Ok(image) = Squashfs::open(std::sync::Arc::new(Bytes::new(bytes)), &limits()) {
                explore(&image);
            }
        });
    }
}

/// Lists a file system, looks names up and reads files; gives the bytes that
/// were read.
fn look(tree: &dyn Tree) -> usize {
    let (mut seen, mut read) = (0, 0);
    let _ = tree.list(&mut |entry| {
        seen += 1;
        if seen % 7 == 0 {
            let _ = tree.lookup(&entry.path);
            let _ = tree.children(&entry.path);
        }
        if let Ok(file) = tree.open(&entry) {
            let _ = file.up_to(entry.meta.size / 2, 100);
            if read < 1 << 20 {
                read += file.up_to(0, 1 << 20).map_or(0, |bytes| bytes.len());
            }
        }
        Ok(())
    });
    read
}

/// A place that is not zero: there is much nothing in a file system.
fn sparse_damage(random: &mut Random, used: &[usize], bytes: &mut [u8]) {
    for _ in 0..=random.below(3) {
        let at = used[random.below(used.len())];
        match random.below(3) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = [0, 0xff, 0x7f, 0x80, 1][random.below(5)],
            _ => {
                let number = random.next() >> random.below(64);
                let end = bytes.len().min(at + 4);
                bytes[at..end].copy_from_slice(&number.to_le_bytes()[..end - at]);
            }
        }
    }
}

/// Damages a file system everywhere that something is, and cuts it.
fn run_file_system(name: &str, good: &[u8], rounds: usize, read: impl Fn(Vec<u8>) -> usize) {
    let used: Vec<usize> = (0..good.len()).filter(|at| good[*at] != 0).collect();
    let mut random = Random::new(0x7d67);
    let whole = read(good.to_vec());
    let mut most = 0;
    for round in 0..rounds {
        let mut bytes = good.to_vec();
        if round % 8 == 0 {
            bytes.truncate(random.below(good.len()));
        } else {
            sparse_damage(&mut random, &used, &mut bytes);
        }
        let begin = Instant::now();
        most = most.max(read(bytes));
        let took = begin.elapsed();
        assert!(
            took < Duration::from_secs(5),
            "{name}, round {round}: took {took:?}"
        );
    }
    assert!(
        whole > 100_000 && most > 100_000,
        "{name}: only {whole} and {most} bytes were read"
    );
}

#[test]
fn damaged_ext_file_systems_do_no_harm() {
    let Some(tool) = peer("mke2fs") else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    populate(&root, 1024, 60);
    // Longer than a block, which mke2fs does not write.
    std::fs::remove_file(root.join("long-link")).unwrap();
    for options in [
        &["-t", "ext2", "-b", "1024", "-I", "128"][..],
        &[
            "-t",
            "ext4",
            "-b",
            "1024",
            "-O",
            "^metadata_csum,^has_journal",
        ],
        &[
            "-t",
            "ext4",
            "-b",
            "1024",
            "-O",
            "^metadata_csum,inline_data,^has_journal,meta_bg,^resize_inode",
        ],
        &[
            "-t",
            "ext4",
            "-b",
            "4096",
            "-O",
            "metadata_csum,ea_inode,^has_journal",
        ],
    ] {
        let image = folder.path().join("image");
        let _ = std::fs::remove_file(&image);
        ext::make(&tool, &root, &image, "2M", options);
        let good = std::fs::read(&image).unwrap();
        run_file_system(&options.join(" "), &good, 100, |bytes| {
            let source = std::sync::Arc::new(Bytes::new(bytes));
            Ext::open(source, &limits()).map_or(0, |ext| look(&ext))
        });
    }
}

#[test]
fn damaged_erofs_images_do_no_harm() {
    let Some(tool) = peer("mkfs.erofs") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    populate(&root, 4096, 60);
    for options in [
        &["-Enosbcrc"][..],
        &["-Enosbcrc", "--chunksize=4096"],
        &["-Enosbcrc", "-zlz4hc", "-C65536"],
        &["-Enosbcrc,legacy-compress", "-zlz4"],
        &["-Enosbcrc,ztailpacking,fragments,dedupe", "-zlz4"],
    ] {
        let image = folder.path().join("image");
        erofs::make(&tool, &root, &image, options);
        let good = std::fs::read(&image).unwrap();
        run_file_system(&options.join(" "), &good, 100, |bytes| {
            let source = std::sync::Arc::new(Bytes::new(bytes));
            Erofs::open(source, &limits()).map_or(0, |erofs| look(&erofs))
        });
    }
}

#[test]
fn damaged_archives_and_segments_do_no_harm() {
    let (Some(tool), Some(zstd)) = (peer("cpio"), peer("zstd")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("init"), vec![b'#'; 700]).unwrap();
    std::fs::hard_link(folder.path().join("init"), folder.path().join("twin")).unwrap();
    std::os::unix::fs::symlink("init", folder.path().join("link")).unwrap();
    let archive = |form| cpio(&tool, folder.path(), form, &["init", "link", "twin"]);
    let packed = pipe(&zstd, folder.path(), &["-q", "-c"], &archive("newc"));
    let good = [&archive("crc")[..], &[0; 100], &packed[..], &packed[..]].concat();
    let read = |bytes: Vec<u8>| {
        let input = source(bytes);
        let (read, listed) = (
            Initramfs::read(&input, &limits()),
            Initramfs::list(&input, &limits()),
        );
        if let Some(listed) = listed {
            // What is listed can be read, and is the same.
            let read = read.as_ref().unwrap().entries();
            let same = |(a, b): (&Located, &Located)| a.entry == b.entry;
            assert!(listed.len() == read.len() && listed.iter().zip(read).all(same));
        }
        if let Ok(initramfs) = read {
            for located in initramfs.entries() {
                assert_eq!(initramfs.content(located).len(), located.entry.data.len());
            }
        }
    };
    run("segments", &good, 2000, read);
    run("newc", &archive("newc"), 2000, read);
}

#[test]
fn damaged_streams_do_no_harm() {
    let folder = tempfile::tempdir().unwrap();
    let data = Random::new(3).bytes(20_000);
    let tools: [(&str, &[&str], Compression); 8] = [
        ("gzip", &["-c"], Compression::Gzip),
        ("zstd", &["-q", "-c"], Compression::Zstd),
        ("xz", &["-c"], Compression::Xz),
        ("lz4", &["-c", "-q"], Compression::Lz4),
        ("lz4", &["-l", "-c", "-q"], Compression::Lz4Legacy),
        ("bzip2", &["-c", "-1"], Compression::Bzip2),
        ("xz", &["-c", "--format=lzma"], Compression::Lzma),
        ("lzop", &["-c", "-q"], Compression::Lzo),
    ];
    for (tool, arguments, compression) in tools {
        let Some(tool) = peer(tool) else { continue };
        let good = pipe(&tool, folder.path(), arguments, &data);
        run(compression.name(), &good, 250, |bytes| {
            let bound = 1 << 20;
            if let Ok(member) = stream::decode_member(compression, &bytes, &mut Budget::of(bound)) {
                assert!(member.data.len() as u64 <= bound && member.consumed <= bytes.len());
            }
            let _ = stream::decode_all(compression, &bytes, &mut Budget::of(bound));
            let _ = stream::search(compression, &bytes, bound, |_| false);
        });
    }
}

#[test]
fn damaged_programs_kernels_and_lists_do_no_harm() {
    for path in ["/usr/bin/true", "/bin/ls"] {
        let Ok(good) = std::fs::read(path) else {
            continue;
        };
        run(path, &good, 1500, |bytes| {
            let _ = Elf::read(&bytes[..]);
        });
    }
    let list = b"layers:\n- {image: 0.sqsh, metadata: {name: spin, version: v1, compatibility: {talos: {version: '>= 1'}}}}\n";
    run("extensions.yaml", list, 2000, |bytes| {
        let _ = extensions::read(&bytes, &limits());
    });
    run("kernels", &zboot(), 1500, |bytes| {
        let _ = Kernel::read(&bytes, &limits());
    });
    run("image", &image(), 1500, |bytes| {
        let _ = Kernel::read(&bytes, &limits());
    });
    run("bzimage", &bzimage(), 1500, |bytes| {
        let _ = Kernel::read(&bytes, &limits());
    });
}

#[test]
fn damaged_documents_of_extensions_do_no_harm() {
    let capability = [
        1, 0, 0, 3, 0, 48, 0, 0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0,
    ];
    run("capabilities", &capability, 5000, |bytes| {
        if let Ok(read) = Capabilities::read(&bytes) {
            assert!(read.names().len() <= 64);
        }
    });
    let manifest =
        b"version: v1alpha1\nmetadata: {name: spin, compatibility: {talos: {version: '>= 1'}}}\n";
    run("manifest.yaml", manifest, 2000, |bytes| {
        let _ = extensions::read_manifest(&bytes, &limits());
    });
    let service = b"name: a\ndepends:\n- network: [addresses]\n- configuration: true\ncontainer:\n  entrypoint: /a\n  mounts: [{source: /lib, destination: /lib, type: bind}]\nrestart: always\n";
    run("service", service, 2000, |bytes| {
        if let Ok(service) = Service::read(&bytes, &limits()) {
            assert!(service.faults().len() < 1000 && service.mounts().count() < 1000);
        }
    });
    let part = b"version = 3\n[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.spin]\n  runtime_type = \"io.containerd.spin.v2\"\n  options.ConfigPath = \"/a\"\n";
    run("part", part, 3000, |bytes| {
        if let Ok(config) = Config::read(&bytes, &limits()) {
            let kinds = config.runtimes.iter().filter_map(|r| r.kind.as_deref());
            assert!(kinds.filter_map(shim).all(|name| !name.is_empty()));
        }
    });
    run(
        "range",
        b">= v1.5.0 < 1.x || 2.3.x !=2.3.1",
        5000,
        |bytes| {
            let text = String::from_utf8_lossy(&bytes);
            if let (Ok(range), Ok(version)) = (Range::read(&text), talos("v1.13.6")) {
                let _ = range.holds(&version);
            }
        },
    );
}

fn image() -> Vec<u8> {
    let mut image = vec![0; 0x400];
    image[..2].copy_from_slice(b"MZ");
    image[0x38..0x3c].copy_from_slice(b"ARM\x64");
    image[0x3c] = 0x40;
    image[0x40..0x46].copy_from_slice(b"PE\0\0\x64\xaa");
    image[0x46] = 2;
    image[0x54] = 0xa0;
    image.extend_from_slice(b"Linux version 6.1.0 (x) #1\n");
    image
}

fn zboot() -> Vec<u8> {
    let payload = zstd::encode_all(&image()[..], 3).unwrap();
    let mut zboot = vec![0; 0x100];
    zboot[..2].copy_from_slice(b"MZ");
    zboot[4..8].copy_from_slice(b"zimg");
    zboot[9] = 1;
    zboot[12..16].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
    zboot[0x18..0x1c].copy_from_slice(b"zstd");
    zboot[0x3c] = 0x40;
    zboot[0x40..0x46].copy_from_slice(b"PE\0\0\x64\xaa");
    zboot.extend_from_slice(&payload);
    zboot
}

fn bzimage() -> Vec<u8> {
    let payload = zstd::encode_all(&image()[..], 3).unwrap();
    let mut bzimage = vec![0; 0x400];
    bzimage[0x1f1] = 1;
    let paragraphs = u32::try_from(payload.len().div_ceil(16)).unwrap();
    bzimage[0x1f4..0x1f8].copy_from_slice(&paragraphs.to_le_bytes());
    bzimage[0x1fe..0x200].copy_from_slice(b"\x55\xaa");
    bzimage[0x202..0x206].copy_from_slice(b"HdrS");
    bzimage[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
    bzimage[0x20e] = 0x80;
    bzimage[0x236] = 1;
    bzimage[0x24c..0x250].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
    bzimage[0x280..0x28e].copy_from_slice(b"6.1.0-x86 (x)\0");
    bzimage.extend_from_slice(&payload);
    bzimage.resize(0x400 + paragraphs as usize * 16, 0);
    bzimage
}
