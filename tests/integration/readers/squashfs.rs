//! squashfs images made by mksquashfs.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use tdg::format::squashfs::Squashfs;
use tdg::format::{Bytes, FileType, Limits, ReadAt};

use crate::images::{Random, facts, populate};
use crate::peers::{output, peer};

pub(super) fn make(tool: &Path, root: &Path, image: &Path, options: &[&str]) {
    let output = Command::new(tool)
        .arg(root)
        .arg(image)
        .args(["-noappend", "-no-progress", "-all-root", "-quiet"])
        .args(options)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "mksquashfs {options:?}: {said}");
}

fn open(image: &Path) -> Squashfs {
    let bytes = std::fs::read(image).unwrap();
    Squashfs::open(std::sync::Arc::new(Bytes::new(bytes)), &Limits::default()).unwrap()
}

fn compare(image: &Squashfs, root: &Path) {
    let wanted = facts(root);
    let mut seen = BTreeMap::new();
    let mut random = Random::new(7);
    for entry in image.walk().unwrap() {
        let entry = entry.unwrap();
        let Some(want) = wanted.get(&entry.path) else {
            panic!("`{}` is not in the source", entry.path)
        };
        assert_eq!(entry.meta.mode, want.mode, "{}", entry.path);
        assert_eq!(entry.meta.mtime, i64::from(want.mtime), "{}", entry.path);
        assert_eq!((entry.meta.uid, entry.meta.gid), (0, 0), "{}", entry.path);
        assert_eq!(entry.meta.target, want.target, "{}", entry.path);
        if let Some(content) = &want.content {
            assert_eq!(Some(entry.meta.size), want.size, "{}", entry.path);
            let file = image.file(entry.inode).unwrap();
            assert!(
                file.read_all().unwrap() == *content,
                "content of {}",
                entry.path
            );
            let at = random.below(content.len() + 1);
            let mut range = vec![0; random.below(9000)];
            let read = file.read_at(at as u64, &mut range).unwrap();
            assert_eq!(read, range.len().min(content.len() - at), "{}", entry.path);
            assert!(
                range[..read] == content[at..at + read],
                "range of {}",
                entry.path
            );
        }
        let found = image.lookup(&entry.path).unwrap();
        assert_eq!(found.as_ref(), Some(&entry), "lookup");
        seen.insert(entry.path.clone(), entry);
    }
    assert_eq!(seen.len(), wanted.len());
    assert!(image.lookup("sizes/none").unwrap().is_none());
    assert!(image.lookup("sizes/1/none").unwrap().is_none());
    let links: Vec<_> = ["sizes/large", "hard-1", "many/hard-2"]
        .iter()
        .map(|path| &seen[*path])
        .collect();
    assert!(
        links
            .iter()
            .all(|link| link.inode == links[0].inode && link.meta.nlink == 3)
    );
}

#[test]
fn every_compressor_gives_the_source_back() {
    let Some(tool) = peer("mksquashfs") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (block, name) in [(4096, "4K"), (131_072, "128K")] {
        let root = folder.path().join(name);
        populate(&root, block, 300);
        for compressor in ["gzip", "lzma", "lzo", "lz4", "xz", "zstd"] {
            let image = folder.path().join(format!("{name}-{compressor}"));
            make(&tool, &root, &image, &["-b", name, "-comp", compressor]);
            let image = open(&image);
            assert_eq!(image.superblock().compressor.name(), compressor);
            assert_eq!(image.superblock().block_size as usize, block);
            compare(&image, &root);
        }
    }
}

#[test]
fn every_way_to_store_gives_the_source_back() {
    let Some(tool) = peer("mksquashfs") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    populate(&root, 4096, 100);
    let ways: [&[&str]; 9] = [
        &["-noI", "-noD", "-noF"],
        &["-no-fragments"],
        &["-always-use-fragments"],
        &["-no-duplicates"],
        &["-no-exports", "-no-xattrs"],
        &["-comp", "xz", "-Xbcj", "x86,arm"],
        &["-comp", "lz4", "-Xhc"],
        &["-comp", "lzo", "-Xalgorithm", "lzo1x_1_15"],
        &["-comp", "lzo", "-Xcompression-level", "9"],
    ];
    for (index, way) in ways.iter().enumerate() {
        let image = folder.path().join(index.to_string());
        make(&tool, &root, &image, &[&["-b", "4K"], *way].concat());
        compare(&open(&image), &root);
    }
}

#[test]
fn thousands_of_files_in_one_directory_are_listed() {
    let Some(tool) = peer("mksquashfs") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    for index in 0..5000 {
        std::fs::write(
            root.join(format!("a-rather-long-name-for-file-number-{index}")),
            index.to_string(),
        )
        .unwrap();
    }
    let image = folder.path().join("image");
    make(&tool, &root, &image, &[]);
    let image = open(&image);
    assert_eq!(image.walk().unwrap().map(Result::unwrap).count(), 5000);
    let entry = image
        .lookup("a-rather-long-name-for-file-number-4711")
        .unwrap()
        .unwrap();
    assert_eq!(
        image.file(entry.inode).unwrap().read_all().unwrap(),
        b"4711"
    );
}

#[test]
fn devices_pipes_and_owners_are_told() {
    let Some(tool) = peer("mksquashfs") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let image = folder.path().join("image");
    let output = Command::new(&tool)
        .args([&root, &image])
        .args(["-noappend", "-no-progress", "-quiet"])
        .args([
            "-p",
            "null c 666 0 0 1 3",
            "-p",
            "big c 600 1000 2000 259 70000",
        ])
        .args([
            "-p",
            "disk b 640 0 6 8 1",
            "-p",
            "pipe i 600 5 5 f",
            "-p",
            "sock i 600 5 5 s",
        ])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let image = open(&image);
    let meta = |path: &str| image.lookup(path).unwrap().unwrap().meta;
    assert_eq!(
        (meta("null").kind, meta("null").device),
        (FileType::CharDevice, Some((1, 3)))
    );
    assert_eq!(
        (meta("null").mode, meta("big").uid, meta("big").gid),
        (0o020_666, 1000, 2000)
    );
    assert_eq!(meta("big").device, Some((259, 70000)));
    assert_eq!(
        (meta("disk").kind, meta("disk").device),
        (FileType::BlockDevice, Some((8, 1)))
    );
    assert_eq!(
        (meta("pipe").kind, meta("sock").kind),
        (FileType::Fifo, FileType::Socket)
    );
}

#[test]
fn a_file_of_holes_does_not_fill_the_memory() {
    let Some(tool) = peer("mksquashfs") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::File::create(root.join("huge"))
        .unwrap()
        .set_len(1 << 30)
        .unwrap();
    let image = folder.path().join("image");
    make(&tool, &root, &image, &["-b", "1M"]);
    let image = open(&image);
    let entry = image.lookup("huge").unwrap().unwrap();
    let file = image.file(entry.inode).unwrap();
    let mut tail = [1; 16];
    assert_eq!(file.read_at((1 << 30) - 8, &mut tail).unwrap(), 8);
    assert_eq!(tail[..8], [0; 8]);
    assert!(
        file.read_all()
            .unwrap_err()
            .to_string()
            .contains("max_file")
    );
}

#[test]
fn extended_attributes_are_read_as_they_were_set() {
    let (Some(mksquashfs), Some(setfattr)) = (peer("mksquashfs"), peer("setfattr")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir_all(root.join("dir")).unwrap();
    // A large value that many share is stored once, out of line.
    let large = "v".repeat(3000);
    let mut wanted = BTreeMap::new();
    for n in 0..40 {
        let path = format!("dir/file-{n}");
        std::fs::write(root.join(&path), path.as_bytes()).unwrap();
        let own = format!("number {n}");
        let pairs = [("user.large", large.as_str()), ("user.own", own.as_str())];
        for (name, value) in pairs {
            let file = root.join(&path);
            let arguments = ["-n", name, "-v", value, file.to_str().unwrap()];
            output(&setfattr, folder.path(), &arguments);
        }
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        wanted.insert(path, pairs.to_vec());
    }
    let arguments = ["-n", "user.on.a.folder", "-v", "yes", "root/dir"];
    output(&setfattr, folder.path(), &arguments);
    wanted.insert(
        "dir".into(),
        vec![("user.on.a.folder".into(), b"yes".to_vec())],
    );
    std::fs::write(root.join("bare"), "").unwrap();
    std::os::unix::fs::symlink("bare", root.join("link")).unwrap();
    let pack = |name: &str, more: &[&str]| {
        let arguments = [&["root", name, "-noappend", "-quiet", "-no-progress"], more].concat();
        output(&mksquashfs, folder.path(), &arguments);
        open(&folder.path().join(name))
    };
    let image = pack("with", &["-xattrs"]);
    let mut seen = 0;
    for entry in image.walk().unwrap() {
        let entry = entry.unwrap();
        let own: Vec<_> = entry
            .meta
            .xattrs
            .iter()
            .filter(|(name, _)| name.starts_with("user."))
            .cloned()
            .collect();
        assert_eq!(
            Some(&own),
            wanted.get(&entry.path).or(Some(&Vec::new())),
            "{}",
            entry.path
        );
        seen += own.len();
    }
    assert_eq!(seen, 81);
    let bare = pack("without", &["-no-xattrs"]);
    assert!(
        bare.walk()
            .unwrap()
            .all(|entry| entry.unwrap().meta.xattrs.is_empty())
    );
    let whole = std::fs::read(folder.path().join("with")).unwrap();
    // Kept once, they are shown with each file: a listing counts them with each.
    let limits = Limits {
        max_listing: 64 << 10,
        ..Limits::default()
    };
    let image = Squashfs::open(std::sync::Arc::new(Bytes::new(whole.clone())), &limits).unwrap();
    let refused = image.walk().unwrap().find_map(Result::err).unwrap();
    assert!(refused.to_string().contains("max_listing"), "{refused}");
    assert!(image.lookup("dir/file-7").unwrap().is_some());
    // Damage to the table is an error or another value, never a panic.
    let mut random = Random::new(11);
    let mut refused = 0;
    for _ in 0..400 {
        let mut bytes = whole.clone();
        let last = 600.min(bytes.len());
        let at = bytes.len() - 1 - random.below(last);
        bytes[at] ^= 1 << random.below(8);
        let at = 56 + random.below(8);
        if random.below(4) == 0 {
            bytes[at] ^= 1 << random.below(8);
        }
        let source = std::sync::Arc::new(Bytes::new(bytes));
        let Ok(image) = Squashfs::open(source, &Limits::default()) else {
            continue;
        };
        refused += usize::from(image.walk().unwrap().any(|entry| entry.is_err()));
    }
    assert!(refused > 20, "only {refused} of 400 were refused");
}
