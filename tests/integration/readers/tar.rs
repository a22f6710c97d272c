//! tar archives made by GNU tar, bsdtar and cpio.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use tdg::format::tar::Tar;
use tdg::format::{Bytes, Entry, FileType, Limits, Tree};

use crate::images::{Random, facts, names, pipe, populate};
use crate::peers::{output, peer};

fn open(bytes: Vec<u8>) -> Tar {
    Tar::open(Arc::new(Bytes::new(bytes)), &Limits::default()).unwrap()
}

/// Packs a folder with a program that writes to standard output.
fn pack(tool: &Path, folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = Command::new(tool)
        .args(arguments)
        .current_dir(folder)
        .env("LC_ALL", "C.UTF-8")
        .output();
    let output = output.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} {arguments:?}: {said}",
        tool.display()
    );
    output.stdout
}

/// Holds an archive against the folder that it was made of.
fn compare(tar: &Tar, root: &Path, what: &str) -> BTreeMap<String, Entry> {
    let wanted = facts(root);
    let mut seen = BTreeMap::new();
    let mut random = Random::new(3);
    for entry in tar.entries().unwrap() {
        let at = format!("{what}: {}", entry.path);
        let want = wanted
            .get(&entry.path)
            .unwrap_or_else(|| panic!("{at} is not in the source"));
        assert_eq!(entry.meta.mode, want.mode, "{at}");
        assert_eq!(entry.meta.mtime, i64::from(want.mtime), "{at}");
        assert_eq!(entry.meta.target, want.target, "{at}");
        if let Some(content) = &want.content {
            assert_eq!(Some(entry.meta.size), want.size, "{at}");
            let file = tar.open(&entry).unwrap();
            assert_eq!(file.size(), Ok(content.len() as u64), "{at}");
            assert!(
                *file.up_to(0, content.len() + 1).unwrap() == **content,
                "content of {at}"
            );
            let from = random.below(content.len() + 1);
            let length = random.below(9000);
            let range = file.up_to(from as u64, length).unwrap();
            assert!(
                *range == content[from..(from + length).min(content.len())],
                "range of {at}"
            );
        }
        assert_eq!(
            tar.lookup(&entry.path).unwrap().as_ref(),
            Some(&entry),
            "{at}"
        );
        seen.insert(entry.path.clone(), entry);
    }
    assert_eq!(seen.len(), wanted.len(), "{what}");
    let links: Vec<_> = ["sizes/large", "hard-1", "many/hard-2"]
        .iter()
        .map(|path| &seen[*path])
        .collect();
    assert!(
        links
            .iter()
            .all(|l| l.inode == links[0].inode && l.meta.nlink == 3),
        "{what}"
    );
    for directory in ["", "many", "many/3", "empty/a/b/c"] {
        let children = tar.children(directory).unwrap().unwrap();
        let own = |path: &&String| match path
            .strip_prefix(directory)
            .map(|p| p.trim_start_matches('/'))
        {
            Some(rest) => {
                !rest.is_empty()
                    && !rest.contains('/')
                    && (directory.is_empty() || path.starts_with(&format!("{directory}/")))
            }
            None => false,
        };
        let want: Vec<_> = wanted.keys().filter(own).collect();
        assert_eq!(
            children.iter().map(|c| &c.path).collect::<Vec<_>>(),
            want,
            "{what}: {directory}"
        );
    }
    assert!(tar.children("sizes/1").unwrap().is_none());
    assert!(tar.lookup("sizes/none").unwrap().is_none());
    seen
}

#[test]
fn every_form_of_gnu_tar_gives_the_source_back() {
    let Some(tar) = peer("tar") else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    populate(&root, 4096, 200);
    let long = "long/".repeat(30) + "name";
    fs::create_dir_all(root.join(&long).parent().unwrap()).unwrap();
    fs::write(root.join(&long), "long").unwrap();
    let forms: [&[&str]; 8] = [
        &["--format=gnu"],
        &["--format=oldgnu"],
        &["--format=posix"],
        &["--format=gnu", "--sparse"],
        &["--format=posix", "--sparse", "--sparse-version=0.0"],
        &["--format=posix", "--sparse", "--sparse-version=0.1"],
        &["--format=posix", "--sparse", "--sparse-version=1.0"],
        &["--format=posix", "--sparse", "--hole-detection=raw"],
    ];
    for form in forms {
        let bytes = pack(&tar, &root, &[form, &["-cf", "-", "."]].concat());
        let read = open(bytes);
        assert!(read.marked() && read.trailing().is_none());
        compare(&read, &root, &form.join(" "));
    }
    // What the older forms cannot name.
    fs::remove_dir_all(root.join("long")).unwrap();
    fs::remove_file(root.join("long-link")).unwrap();
    for form in ["--format=ustar", "--format=v7"] {
        let bytes = pack(&tar, &root, &[form, "-cf", "-", "."]);
        assert_eq!(tdg::format::Content::detect(&bytes).name(), "tar", "{form}");
        compare(&open(bytes), &root, form);
    }
}

#[test]
fn what_other_programs_write_is_read_alike() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    populate(&root, 4096, 100);
    if let Some(bsdtar) = peer("bsdtar") {
        for form in ["pax", "gnutar"] {
            let bytes = pack(&bsdtar, &root, &["--format", form, "-cf", "-", "."]);
            compare(&open(bytes), &root, form);
        }
    }
    fs::remove_file(root.join("long-link")).unwrap();
    if let Some(cpio) = peer("cpio") {
        let bytes = pipe(
            &cpio,
            &root,
            &["-0", "-o", "-H", "ustar", "--quiet"],
            &names(&root),
        );
        compare(&open(bytes), &root, "cpio");
    }
}

#[test]
fn owners_times_attributes_and_devices_are_read_as_they_were_written() {
    let (Some(tar), Some(setfattr)) = (peer("tar"), peer("setfattr")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("file"), "x").unwrap();
    let value = "a value\nwith a line break";
    output(&setfattr, &root, &["-n", "user.note", "-v", value, "file"]);
    // Numbers that do not fit in octal, and a time before 1970.
    let with = |form: &str, owner: &str, time: &str| {
        let owner = format!("--owner=:{owner}");
        let group = format!("--group=:{}", u32::MAX - 1);
        let time = format!("--mtime={time}");
        let arguments = [
            form,
            &owner,
            &group,
            &time,
            "--xattrs",
            "--xattrs-include=user.*",
            "-cf",
            "-",
            "file",
        ];
        open(pack(&tar, &root, &arguments))
            .lookup("file")
            .unwrap()
            .unwrap()
            .meta
    };
    for form in ["--format=gnu", "--format=posix"] {
        let meta = with(form, "3000000000", "@-100");
        assert_eq!(
            (meta.uid, meta.gid, meta.mtime),
            (3_000_000_000, u32::MAX - 1, -100),
            "{form}"
        );
        assert_eq!(
            with(form, "7", "@99999999999").mtime,
            99_999_999_999,
            "{form}"
        );
    }
    // GNU tar takes another form for them, whatever it was asked for.
    assert_eq!(
        with("--format=posix", "1", "@1.9").xattr("user.note"),
        Some(value.as_bytes())
    );
    if let Some(bsdtar) = peer("bsdtar") {
        let bytes = pack(&bsdtar, &root, &["--xattrs", "-cf", "-", "file"]);
        let meta = open(bytes).lookup("file").unwrap().unwrap().meta;
        assert_eq!(meta.xattr("user.note"), Some(value.as_bytes()));
    }
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, mode) in [
        ("null", tar::EntryType::Char, 0o666),
        ("disk", tar::EntryType::Block, 0o660),
        ("pipe", tar::EntryType::Fifo, 0o600),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(0);
        header.set_device_major(259).unwrap();
        header.set_device_minor(70_000).unwrap();
        builder.append_data(&mut header, name, &b""[..]).unwrap();
    }
    let read = open(builder.into_inner().unwrap());
    let meta = |name: &str| read.lookup(name).unwrap().unwrap().meta;
    assert_eq!(
        (meta("null").kind, meta("null").device),
        (FileType::CharDevice, Some((259, 70_000)))
    );
    assert_eq!(
        (meta("disk").kind, meta("disk").mode),
        (FileType::BlockDevice, 0o060_660)
    );
    assert_eq!(
        (meta("pipe").kind, meta("pipe").device),
        (FileType::Fifo, None)
    );
}

/// Makes an archive of files in this order, without folders.
pub(super) fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        builder
            .append_data(&mut header, name, content.as_bytes())
            .unwrap();
    }
    builder.into_inner().unwrap()
}

#[test]
fn folders_that_no_entry_names_are_there_and_the_last_of_several_entries_counts() {
    let tar = open(archive(&[
        ("a/b/c", "first"),
        ("a-b/d", "d"),
        ("a/b/c", "last"),
        ("x", "x"),
    ]));
    let shown: Vec<_> = tar.entries().unwrap();
    let paths: Vec<_> = shown.iter().map(|e| e.path.as_str()).collect();
    assert_eq!(paths, ["a", "a-b", "a-b/d", "a/b", "a/b/c", "x"]);
    assert!(shown[0].meta.kind == FileType::Directory && shown[0].meta.mode == 0o040_755);
    let read = |path: &str| {
        let entry = tar.lookup(path).unwrap().unwrap();
        tar.open(&entry).unwrap().up_to(0, 100).unwrap().to_vec()
    };
    assert_eq!(read("a/b/c"), b"last");
    assert_eq!(tar.members().len(), 4);
    assert_eq!(tar.duplicates(), ["a/b/c"]);
}

#[test]
fn a_cut_archive_gives_what_is_before_the_cut_and_then_an_error() {
    let whole = archive(&[("one", "1"), ("two", &"2".repeat(600)), ("three", "3")]);
    let end = whole.len() - 1024;
    let mut complete = 0;
    for length in (0..whole.len()).step_by(64) {
        let tar = open(whole[..length].to_vec());
        let mut seen = 0;
        let listed = tar.list(&mut |_| {
            seen += 1;
            Ok(())
        });
        // A second block of zeros is not missed.
        let marked = length >= end + 512 && length % 512 == 0 && length > end;
        assert_eq!(listed.is_ok(), marked, "cut at {length}: {listed:?}");
        assert_eq!(tar.lookup("one").is_ok(), marked, "cut at {length}");
        complete += usize::from(marked);
        assert!(
            seen <= 3 && (length < 1024 || seen > 0),
            "cut at {length}: {seen}"
        );
    }
    assert!(complete > 0);
    // Of bytes that are known to be whole, the end blocks may be missing; content may not.
    let sure = |bytes: &[u8]| open(bytes.to_vec()).known_whole(true).entries();
    assert_eq!(sure(&whole[..end]).unwrap().len(), 3);
    assert_eq!(sure(&whole[..end - 511]).unwrap().len(), 3);
    assert!(sure(&whole[..end - 512]).is_err());
}

#[test]
fn what_is_behind_the_end_is_told() {
    let mut bytes = archive(&[("one", "1")]);
    bytes.extend([0; 4096]);
    assert!(open(bytes.clone()).entries().is_ok());
    let end = bytes.len() as u64;
    bytes.extend(archive(&[("two", "2")]));
    let tar = open(bytes);
    assert_eq!(tar.trailing(), Some(end));
    let error = tar.entries().unwrap_err().to_string();
    assert!(error.contains("behind the end"), "{error}");
    assert!(tar.lookup("one").unwrap().is_some());
}

#[test]
fn every_changed_bit_of_a_header_is_noticed() {
    let whole = archive(&[("file", "content")]);
    for at in 0..512 {
        let mut bytes = whole.clone();
        bytes[at] ^= 4;
        assert!(open(bytes).entries().is_err(), "byte {at}");
    }
}

/// Writes a header with a right checksum.
fn block(name: &str, flag: u8, size: &[u8]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(b"0000644");
    block[124..124 + size.len()].copy_from_slice(size);
    block[156] = flag;
    block[257..263].copy_from_slice(b"ustar\0");
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

#[test]
fn hostile_headers_meet_an_error_that_says_what_is_wrong() {
    let padded = |mut content: Vec<u8>| {
        content.resize(content.len().next_multiple_of(512), 0);
        content
    };
    let pax = |records: &str| {
        let size = format!("{:011o}", records.len());
        [
            block("x", b'x', size.as_bytes()),
            padded(records.as_bytes().to_vec()),
        ]
        .concat()
    };
    let long = |name: &str| {
        let size = format!("{:011o}", name.len());
        [
            block("L", b'L', size.as_bytes()),
            padded(name.as_bytes().to_vec()),
        ]
        .concat()
    };
    let deep = "d/".repeat(500);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("a size of 8 EiB", block("f", b'0', &[0x80, 0, 0, 0, 0x7f, 255, 255, 255, 255, 255, 255, 255]), "content that goes on"),
        ("a size below zero", block("f", b'0', &[255; 12]), "the size is -1"),
        ("a size that is not there", block("f", b'0', b"77777777777"), "content that goes on"),
        ("a size that is no number", block("f", b'0', b"9"), "no octal number"),
        ("a long name of a gigabyte", block("L", b'L', b"10000000000"), "extended header"),
        ("an extended header at the end", pax("10 path=a\n"), "the header behind"),
        ("a broken record", [pax("99 path=a\n"), block("f", b'0', b"0")].concat(), "a record"),
        ("two names", [pax("10 path=a\n"), long("b"), block("f", b'0', b"0")].concat(), "two long names"),
        ("a size in a record", [pax("29 size=18446744073709551615\n"), block("f", b'0', b"0")].concat(), "a size of"),
        ("too deep", [long(&deep), block("f", b'0', b"0")].concat(), "max_depth"),
        ("too long", [long(&"d".repeat(5000)), block("f", b'0', b"0")].concat(), "max_path"),
        ("all names at once", [block("g", b'g', b"12"), padded(b"10 path=a\n".to_vec()), block("f", b'0', b"0")].concat(), "speaks of all"),
        ("an unknown type", block("f", b'Z', b"0"), "an entry of the type `Z`"),
        ("a part of many volumes", block("f", b'M', b"0"), "divided archive"),
        ("a hole of an exabyte", [pax("22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n40 GNU.sparse.realsize=1000000000000000\n"), block("f", b'0', b"1000"), padded(b"0\n".to_vec())].concat(), "max_decoded"),
        ("regions without an end", [pax("22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n26 GNU.sparse.realsize=10\n"), block("f", b'0', b"1000"), padded(b"99999999\n0\n0\n".to_vec())].concat(), "regions"),
        ("regions that overlap", [pax("21 GNU.sparse.size=9\n26 GNU.sparse.map=0,5,3,2\n"), block("f", b'0', b"7"), vec![0; 512]].concat(), "out of order"),
    ];
    for (name, bytes, said) in cases {
        let whole = [bytes, vec![0; 1024]].concat();
        let source: tdg::format::Source = Arc::new(Bytes::new(whole));
        let error = match Tar::open(source, &Limits::default()) {
            Err(error) => error,
            Ok(tar) => tar.entries().map(|list| list.len()).expect_err(name),
        };
        assert!(error.to_string().contains(said), "{name}: {error}");
    }
    // A header full of small attributes is read in one go.
    let many: String = (0..50_000)
        .map(|n| format!("25 SCHILY.xattr.a{n:05}=v\n"))
        .collect();
    let size = format!("{:011o}", many.len());
    let begin = std::time::Instant::now();
    let full = [block("x", b'x', size.as_bytes()), padded(many.into_bytes())].concat();
    let _ = open([full, block("f", b'0', b"0"), vec![0; 1024]].concat()).entries();
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
    // A link to nothing is no file, and opening it says why.
    let mut link = block("link", b'1', b"0");
    link[157..161].copy_from_slice(b"none");
    link[148..156].fill(b' ');
    let sum: u32 = link.iter().map(|b| u32::from(*b)).sum();
    link[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let tar = open([link, vec![0; 1024]].concat());
    let entry = tar.lookup("link").unwrap().unwrap();
    assert_eq!(
        (entry.meta.kind, entry.meta.target.as_deref()),
        (FileType::Unknown, Some("none"))
    );
    assert!(
        tar.open(&entry)
            .unwrap_err()
            .to_string()
            .contains("not in the archive before it")
    );
}

#[test]
fn no_change_of_an_archive_makes_the_reader_panic_or_hang() {
    let Some(tool) = peer("tar") else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    populate(&root, 512, 20);
    fs::remove_file(root.join("sizes/large")).unwrap();
    let mut random = Random::new(17);
    let mut refused = 0;
    for form in ["--format=gnu", "--format=posix"] {
        let whole = pack(&tool, &root, &[form, "--sparse", "-cf", "-", "."]);
        for _ in 0..1500 {
            let mut bytes = whole.clone();
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len());
                bytes[at] = random.next() as u8;
            }
            // A header that was changed is refused by its checksum: put that right now and then.
            if random.below(2) == 0 {
                let at = random.below(bytes.len() / 512) * 512;
                let field = at + [124, 136, 157, 386, 398, 482, 483][random.below(7)];
                bytes[field] = random.next() as u8;
                bytes[at + 148..at + 156].fill(b' ');
                let sum: u32 = bytes[at..at + 512].iter().map(|b| u32::from(*b)).sum();
                bytes[at + 148..at + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            }
            let limits = Limits::default();
            let Ok(tar) = Tar::open(Arc::new(Bytes::new(bytes)), &limits) else {
                continue;
            };
            refused += usize::from(tar.entries().is_err());
            for place in 0..tar.members().len() {
                if let Ok(file) = tar.content(place) {
                    let _ = file.up_to(0, 4096);
                }
            }
        }
    }
    assert!(refused > 300, "only {refused} were refused");
}
