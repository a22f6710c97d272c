//! ISO images made by xorriso and genisoimage.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tdg::format::iso::{Iso, Naming};
use tdg::format::{Bytes, Entry, FileType, FormatError, Limits, Tree};

use crate::images::{Random, facts};
use crate::peers::peer;

/// Runs a tool that converts names by the locale.
pub(crate) fn run(tool: &Path, folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(tool);
    command
        .args(arguments)
        .current_dir(folder)
        .env("LC_ALL", "C.UTF-8");
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} {arguments:?}: {said}",
        tool.display()
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Writes an image of a folder with `xorriso -as mkisofs`.
pub(crate) fn xorriso(folder: &Path, image: &str, options: &[&str], root: &str) -> Option<PathBuf> {
    let tool = peer("xorriso")?;
    let first = ["-as", "mkisofs", "-quiet", "-o", image];
    run(&tool, folder, &[&first, options, &[root]].concat());
    Some(folder.join(image))
}

/// Fills a folder with what is hard for ISO 9660. What genisoimage does not
/// take is left out for it.
fn populate(root: &Path, hard: bool) {
    let mut random = Random::new(9660);
    let mut write = |path: &str, size: usize| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, random.bytes(size)).unwrap();
    };
    for size in [0, 1, 2047, 2048, 2049, 4095, 4096, 6145, 300_000] {
        write(&format!("sizes/{size}"), size);
    }
    // A directory of many sectors, and names that go on behind their records. (xorriso 1.5.4
    // miscounts where both are in one directory.)
    for index in 0..200 {
        let name = "name".repeat(index % 24);
        write(&format!("many/{index}-{name}.text"), index);
    }
    for index in 0..20 {
        let name = "name".repeat(40 + index);
        write(&format!("lengthy/{index}{name}.text"), index);
    }
    for depth in 1..=12 {
        write(&format!("{}file", "d/".repeat(depth)), depth * 100);
    }
    write("a name, with blanks; and $igns", 5);
    write("grüße/größe.txt", 6);
    let link = |name: &str, target: &str| symlink(target, root.join(name)).unwrap();
    link("relative", "sizes/1");
    link("absolute", "/usr/./lib/../bin/x");
    link("up", "../../..");
    link("here", ".");
    link("root", "/");
    link("many/link", &format!("../{}", "part/".repeat(40) + "end"));
    std::fs::hard_link(root.join("sizes/4096"), root.join("hard")).unwrap();
    std::fs::create_dir_all(root.join("empty/a/b")).unwrap();
    let mode = |path: &str, mode| {
        std::fs::set_permissions(root.join(path), PermissionsExt::from_mode(mode)).unwrap();
    };
    mode("sizes/1", 0o4751);
    mode("sizes/2047", 0o600);
    mode("empty", 0o1777);
    let touch = |path: &str, seconds| {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let file = std::fs::File::open(root.join(path)).unwrap();
        file.set_modified(time).unwrap();
    };
    touch("sizes/2048", 946_684_799);
    touch("sizes/2049", 2_145_916_800);
    if hard {
        link("long", &format!("{}{}", "x/".repeat(450), "y".repeat(100)));
        link("component", &"z".repeat(255));
        write(&"n".repeat(255), 3);
        let odd: std::ffi::OsString =
            std::os::unix::ffi::OsStringExt::from_vec(b"odd \xff name".to_vec());
        std::fs::write(root.join(odd), "odd").unwrap();
    }
}

fn open(image: &Path) -> Iso {
    let bytes = std::fs::read(image).unwrap();
    Iso::open(Arc::new(Bytes::new(bytes)), &Limits::default()).unwrap()
}

fn content(iso: &Iso, entry: &Entry) -> Vec<u8> {
    let file = iso.open(entry).unwrap();
    file.up_to(0, usize::try_from(entry.meta.size).unwrap() + 1)
        .unwrap()
        .to_vec()
}

/// Holds an image with Rock Ridge against a folder, entry by entry. Entries
/// that only the image has are given back.
pub(crate) fn compare(iso: &Iso, root: &Path) -> Vec<String> {
    let wanted = facts(root);
    let mut seen = BTreeMap::new();
    let mut extra = Vec::new();
    for entry in iso.entries().unwrap() {
        let Some(want) = wanted.get(&entry.path) else {
            extra.push(entry.path);
            continue;
        };
        let source = root.join(&entry.path).symlink_metadata();
        assert_eq!(entry.meta.mode, want.mode, "{}", entry.path);
        assert_eq!(entry.meta.mtime, i64::from(want.mtime), "{}", entry.path);
        if let Ok(source) = source {
            let owner = (source.uid(), source.gid());
            assert_eq!((entry.meta.uid, entry.meta.gid), owner, "{}", entry.path);
        }
        assert_eq!(entry.meta.target, want.target, "{}", entry.path);
        if let Some(bytes) = &want.content {
            assert_eq!(Some(entry.meta.size), want.size, "{}", entry.path);
            assert!(content(iso, &entry) == *bytes, "content of {}", entry.path);
        }
        assert_eq!(iso.lookup(&entry.path).unwrap().as_ref(), Some(&entry));
        let parent = entry.path.rsplit_once('/').map_or("", |(parent, _)| parent);
        let beside = Tree::children(iso, parent).unwrap().unwrap();
        assert!(beside.contains(&entry), "{}", entry.path);
        seen.insert(entry.path.clone(), entry);
    }
    let missing: Vec<_> = wanted.keys().filter(|p| !seen.contains_key(*p)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(iso.lookup("sizes/none").unwrap().is_none());
    assert!(iso.lookup("sizes/1/none").unwrap().is_none());
    extra
}

#[test]
fn rock_ridge_gives_the_source_back() {
    let folder = tempfile::tempdir().unwrap();
    populate(&folder.path().join("root"), true);
    let ways: [&[&str]; 5] = [
        &["-R"],
        &["-R", "-J", "-joliet-long"],
        &["-R", "-iso-level", "1"],
        &["-R", "-iso-level", "4", "-U"],
        // Directories deeper than eight levels stand elsewhere, each with a sign where it belongs.
        &["-R", "-rr_reloc_dir", "/rr_moved"],
    ];
    for way in ways {
        let Some(image) = xorriso(folder.path(), "iso", way, "root") else {
            return;
        };
        let iso = open(&image);
        assert_eq!(iso.naming(), Naming::RockRidge, "{way:?}");
        assert_eq!(iso.has_joliet(), way.contains(&"-J"));
        let extra = compare(&iso, &folder.path().join("root"));
        let moved = iso.lookup("rr_moved").unwrap().is_some();
        assert_eq!(extra.len(), usize::from(moved), "{way:?}: {extra:?}");
        // What the writer itself reads of it is the same.
        let peer = peer("xorriso").unwrap();
        let name = image.to_str().unwrap();
        let options = ["-indev", name, "-find", "/", "-exec", "echo", "--"];
        let listed = run(&peer, folder.path(), &options);
        let count = listed.lines().filter(|l| l.starts_with("'/")).count() as u64;
        assert_eq!(
            iso.count().unwrap() + 1 - u64::from(moved),
            count,
            "{way:?}"
        );
    }
}

#[test]
fn another_writer_s_images_give_the_source_back() {
    let Some(tool) = peer("genisoimage") else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    populate(&folder.path().join("root"), false);
    for way in [&["-R"][..], &["-R", "-J", "-joliet-long"], &["-R", "-D"]] {
        let fixed = [
            "-quiet",
            "-cache-inodes",
            "-input-charset",
            "utf-8",
            "-o",
            "iso",
        ];
        run(&tool, folder.path(), &[&fixed, way, &["root"]].concat());
        let iso = open(&folder.path().join("iso"));
        assert_eq!(iso.naming(), Naming::RockRidge, "{way:?}");
        let extra = compare(&iso, &folder.path().join("root"));
        let moved: &[&str] = if way.contains(&"-D") {
            &[]
        } else {
            &["rr_moved"]
        };
        assert_eq!(extra, moved, "{way:?}");
        // A reader of the same authors lists the same paths; it does not put back what stands elsewhere.
        if way.contains(&"-D") {
            let listed = run(
                &peer("isoinfo").unwrap(),
                folder.path(),
                &["-R", "-f", "-i", "iso"],
            );
            let mut listed: Vec<_> = listed.lines().map(|l| l[1..].to_owned()).collect();
            let mut seen: Vec<_> = iso.entries().unwrap().into_iter().map(|e| e.path).collect();
            listed.sort();
            seen.sort();
            assert_eq!(listed, seen);
        }
        let links = |path: &str| iso.lookup(path).unwrap().unwrap().meta.nlink;
        assert_eq!(
            (links("hard"), links("sizes/4096"), links("sizes/1")),
            (2, 2, 1)
        );
    }
}

#[test]
fn files_that_are_compressed_in_the_image_are_read_as_they_were() {
    let Some(tool) = peer("xorriso") else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    populate(&root, true);
    std::fs::write(root.join("sizes/zeros"), vec![0; 200_000]).unwrap();
    let options = [
        "-outdev",
        "iso",
        "-map",
        "root",
        "/",
        "-set_filter_r",
        "--zisofs",
        "/",
        "--",
        "-commit",
    ];
    run(&tool, folder.path(), &options);
    let iso = open(&folder.path().join("iso"));
    assert!(compare(&iso, &root).is_empty());
    // The file is larger than the whole image: it must have been compressed.
    let zeros = iso.lookup("sizes/zeros").unwrap().unwrap();
    let file = iso.open(&zeros).unwrap();
    assert_eq!(&*file.up_to(199_990, 100).unwrap(), &[0; 10]);
    // What its header says has to be what the directory says.
    let mut bytes = std::fs::read(folder.path().join("iso")).unwrap();
    let magic = b"\x37\xe4\x53\x96\xc9\xdb\xd6\x07";
    let places: Vec<_> = (0..bytes.len() - 8).step_by(2048).collect();
    let places: Vec<_> = places
        .into_iter()
        .filter(|at| bytes[*at..].starts_with(magic))
        .collect();
    assert!(places.len() > 2, "hardly anything is compressed");
    for at in places {
        bytes[at + 8] ^= 1;
    }
    let broken = Iso::open(Arc::new(Bytes::new(bytes)), &Limits::default()).unwrap();
    assert!(
        broken
            .open(&zeros)
            .unwrap_err()
            .to_string()
            .contains("differ")
    );
}

#[test]
fn joliet_is_read_where_there_is_no_rock_ridge() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    populate(&root, false);
    let options = ["-J", "-joliet-long", "--norock"];
    let Some(image) = xorriso(folder.path(), "iso", &options, "root") else {
        return;
    };
    let iso = open(&image);
    assert_eq!(
        (iso.naming(), iso.has_rock_ridge()),
        (Naming::Joliet, false)
    );
    let mut seen = 0;
    let mut short = 0;
    for (path, want) in facts(&root) {
        // Names are cut after 103 characters, `;` and others are replaced, and there are no links.
        if want.target.is_some() || path.contains(';') || path.len() > 100 {
            short += 1;
            continue;
        }
        let entry = iso
            .lookup(&path)
            .unwrap()
            .unwrap_or_else(|| panic!("{path} is missing"));
        assert_eq!(
            (&entry.path, entry.meta.mtime),
            (&path, i64::from(want.mtime))
        );
        assert_eq!(entry.meta.permissions(), 0o555, "{path}");
        if let Some(bytes) = want.content {
            assert!(content(&iso, &entry) == bytes, "content of {path}");
        }
        seen += 1;
    }
    assert!(seen > 100 && short > 20, "{seen}, {short}");
    // Names differ by more than case only.
    let found = iso.lookup("GRÜSSE/grösse.TXT").unwrap();
    assert!(found.is_none(), "ß is not ss");
    let found = iso.lookup("GRÜßE/GRÖßE.TXT").unwrap().unwrap();
    assert_eq!(found.path, "grüße/größe.txt");
}

#[test]
fn plain_names_are_lower_case_and_without_version() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    populate(&root, false);
    for path in ["EFI/BOOT/BOOTAA64.EFI", "README", "boot/grub.cfg"] {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, path.to_str().unwrap()).unwrap();
    }
    for level in ["1", "2", "3"] {
        let options = ["--norock", "-iso-level", level];
        let Some(image) = xorriso(folder.path(), "iso", &options, "root") else {
            return;
        };
        let iso = open(&image);
        assert_eq!(iso.naming(), Naming::Plain);
        for path in ["EFI/BOOT/BOOTAA64.EFI", "README", "boot/grub.cfg"] {
            let shown = path.to_lowercase();
            let entry = iso.lookup(&shown).unwrap().unwrap();
            assert!(content(&iso, &entry) == std::fs::read(root.join(path)).unwrap());
        }
        assert!(
            iso.lookup("README").unwrap().is_none(),
            "Linux tells case apart here"
        );
        // Names are replaced, contents are not.
        let contents = |list: &mut dyn Iterator<Item = Vec<u8>>| {
            let mut all: Vec<_> = list.collect();
            all.sort();
            all
        };
        let entries = iso.entries().unwrap();
        let files = entries.iter().filter(|e| e.meta.kind == FileType::File);
        let read = contents(&mut files.map(|entry| content(&iso, entry)));
        let source = facts(&root).into_values().filter_map(|fact| fact.content);
        assert!(read == contents(&mut { source }), "level {level}");
    }
}

/// Makes an image whose file `AAAA` has its sections in the records of three
/// files.
fn sections() -> Option<(Vec<u8>, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    std::fs::create_dir(&root).unwrap();
    let whole = Random::new(1).bytes(2048 * 5 + 100);
    let parts = [&whole[..4096], &whole[4096..10240], &whole[10240..]];
    for (name, part) in ["AAAA", "AAAB", "AAAC"].iter().zip(parts) {
        std::fs::write(root.join(name), part).unwrap();
    }
    std::fs::write(root.join("AAAD"), "behind").unwrap();
    let image = xorriso(folder.path(), "iso", &["--norock"], "root")?;
    let mut bytes = std::fs::read(image).unwrap();
    for (name, last) in [(b"AAAA.;1", false), (b"AAAB.;1", false), (b"AAAC.;1", true)] {
        let at = bytes.windows(7).position(|window| window == name).unwrap();
        bytes[at + 3] = b'A';
        if !last {
            bytes[at - 33 + 25] |= 0x80;
        }
    }
    Some((bytes, whole))
}

#[test]
fn a_file_of_several_sections_is_one_file() {
    let Some((bytes, whole)) = sections() else {
        return;
    };
    let read = |bytes: Vec<u8>| Iso::open(Arc::new(Bytes::new(bytes)), &Limits::default()).unwrap();
    let iso = read(bytes.clone());
    let names: Vec<_> = iso.entries().unwrap().into_iter().map(|e| e.path).collect();
    assert_eq!(names, ["aaaa", "aaad"]);
    let entry = iso.lookup("aaaa").unwrap().unwrap();
    assert_eq!(entry.meta.size, whole.len() as u64);
    assert!(content(&iso, &entry) == whole);
    // The last section is not there: the record behind is another file's.
    let mut broken = bytes;
    let places: Vec<_> = (0..broken.len() - 7)
        .filter(|at| &broken[*at..at + 7] == b"AAAA.;1")
        .collect();
    broken[places[2] - 33 + 25] |= 0x80;
    let error = read(broken).entries().unwrap_err();
    assert!(error.to_string().contains("sections"), "{error}");
}

#[test]
fn an_image_that_ends_before_its_volume_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    populate(&folder.path().join("root"), false);
    let Some(image) = xorriso(folder.path(), "iso", &["-R"], "root") else {
        return;
    };
    let bytes = std::fs::read(image).unwrap();
    for length in [
        bytes.len() - 1,
        bytes.len() / 2,
        40_000,
        34_000,
        32_800,
        100,
    ] {
        let cut = Arc::new(Bytes::new(bytes[..length].to_vec()));
        let error = Iso::open(cut, &Limits::default()).unwrap_err();
        assert!(
            matches!(error, FormatError::Truncated { .. }),
            "{length}: {error}"
        );
    }
}
