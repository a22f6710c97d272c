//! Archives made by GNU cpio, and segments made by the compressors.

use std::path::Path;

use tdg::format::initramfs::Initramfs;
use tdg::format::{Compression, FileType, Limits};

use crate::images::{cpio, facts, names, pipe, populate, source};
use crate::peers::peer;

fn read(input: Vec<u8>) -> Initramfs {
    let input = source(input);
    let read = Initramfs::read(&input, &Limits::default()).unwrap();
    // What cannot be listed piece by piece is not listed otherwise than it is read.
    if let Some(listed) = Initramfs::list(&input, &Limits::default()) {
        let entries = read.entries();
        assert_eq!(listed.len(), entries.len());
        for (a, b) in listed.iter().zip(entries) {
            assert_eq!((a.segment, &a.entry), (b.segment, &b.entry));
        }
    }
    read
}

fn compare(initramfs: &Initramfs, root: &Path) {
    let wanted = facts(root);
    let mut seen = 0;
    for located in initramfs
        .entries()
        .iter()
        .filter(|located| !located.entry.path.is_empty())
    {
        let entry = &located.entry;
        let want = &wanted[&entry.path];
        assert_eq!(
            (entry.meta.mode, entry.meta.mtime),
            (want.mode, i64::from(want.mtime)),
            "{}",
            entry.path
        );
        assert_eq!(entry.meta.target, want.target, "{}", entry.path);
        if let Some(content) = &want.content {
            assert_eq!(Some(entry.meta.size), want.size, "{}", entry.path);
            assert!(
                *initramfs.content(located) == content[..],
                "content of {}",
                entry.path
            );
        }
        seen += 1;
    }
    assert_eq!(seen, wanted.len());
}

#[test]
fn both_forms_of_cpio_give_the_source_back() {
    let Some(tool) = peer("cpio") else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    populate(&root, 4096, 500);
    for form in ["newc", "crc"] {
        let archive = pipe(
            &tool,
            &root,
            &["-o", "-0", "-H", form, "--quiet"],
            &names(&root),
        );
        let initramfs = read(archive.clone());
        compare(&initramfs, &root);
        assert_eq!(initramfs.segments()[0].archives, 1);
        if form == "crc" {
            let mut flipped = archive;
            let at = flipped
                .windows(4)
                .position(|window| window == [0xa5; 4])
                .unwrap();
            flipped[at] ^= 1;
            let error = Initramfs::read(&source(flipped), &Limits::default()).unwrap_err();
            assert!(error.to_string().contains("checksum"), "{error}");
        }
    }
}

#[test]
fn older_forms_of_cpio_are_refused_with_the_remedy() {
    let Some(tool) = peer("cpio") else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("init"), "x").unwrap();
    for form in ["odc", "bin"] {
        let archive = cpio(&tool, folder.path(), form, &["init"]);
        let error = Initramfs::read(&source(archive), &Limits::default()).unwrap_err();
        assert!(
            error.to_string().contains("cpio -o -H newc"),
            "{form}: {error}"
        );
    }
}

#[test]
fn segments_of_every_compression_are_read_to_the_end() {
    let Some(tool) = peer("cpio") else { return };
    let compressors: [(&str, &[&str], Compression); 10] = [
        ("cat", &[], Compression::None),
        ("gzip", &["-9", "-c"], Compression::Gzip),
        ("zstd", &["-q", "-c"], Compression::Zstd),
        (
            "zstd",
            &["-q", "-c", "--no-check", "-19"],
            Compression::Zstd,
        ),
        ("xz", &["--check=crc32", "-c"], Compression::Xz),
        ("lz4", &["-l", "-c", "-q"], Compression::Lz4Legacy),
        ("bzip2", &["-c"], Compression::Bzip2),
        ("xz", &["--format=lzma", "-c"], Compression::Lzma),
        ("lzop", &["-9", "-c", "-q"], Compression::Lzo),
        ("lz4", &["-c", "-q"], Compression::Lz4),
    ];
    let folder = tempfile::tempdir().unwrap();
    let mut input = Vec::new();
    let mut wanted = Vec::new();
    for (index, (program, arguments, compression)) in compressors.iter().enumerate() {
        let Some(program) = peer(program) else {
            continue;
        };
        let name = format!("file-{index}");
        std::fs::write(folder.path().join(&name), name.repeat(5000)).unwrap();
        std::fs::write(folder.path().join("init"), &name).unwrap();
        let archive = cpio(&tool, folder.path(), "newc", &[&name, "init"]);
        let segment = pipe(&program, folder.path(), arguments, &archive);
        wanted.push((input.len() as u64, *compression, name));
        input.extend_from_slice(&segment);
        // The padding that concatenation leaves: none, little, much.
        let padded = input
            .len()
            .next_multiple_of(if index == 0 { 512 } else { 4 });
        input.resize(padded, 0);
    }
    let initramfs = read(input);
    let segments: Vec<_> = initramfs
        .segments()
        .iter()
        .map(|s| (s.offset, s.compression))
        .collect();
    let want: Vec<_> = wanted
        .iter()
        .map(|(offset, compression, _)| (*offset, *compression))
        .collect();
    assert_eq!(segments, want);
    for (index, (_, _, name)) in wanted.iter().enumerate() {
        let located = initramfs.find(name).unwrap();
        assert_eq!(
            (located.segment, located.entry.meta.kind),
            (index, FileType::File)
        );
        assert!(*initramfs.content(located) == *name.repeat(5000).as_bytes());
    }
    let init = initramfs.find("init").unwrap();
    assert_eq!(
        &*initramfs.content(init),
        wanted.last().unwrap().2.as_bytes(),
        "the last wins"
    );
}

#[test]
fn a_segment_cut_anywhere_is_an_error() {
    let (Some(tool), Some(zstd)) = (peer("cpio"), peer("zstd")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("init"), vec![7; 3000]).unwrap();
    let archive = cpio(&tool, folder.path(), "newc", &["init"]);
    let first = pipe(&zstd, folder.path(), &["-q", "-c"], &archive);
    let both = [&first[..], &first[..]].concat();
    for cut in 1..both.len() {
        let result = Initramfs::read(&source(both[..cut].to_vec()), &Limits::default());
        assert_eq!(result.is_ok(), cut == first.len(), "cut at {cut}");
    }
}
