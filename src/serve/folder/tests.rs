//! What is found in a folder, and what is not.

use super::*;
use crate::serve::beneath::refusal;
use crate::serve::found::Entry;
use crate::serve::judged::{Always, Judged, Stamp};
use crate::serve::refusal::Red;
use nix::errno::Errno;
use nix::sys::stat::Mode;
use std::os::unix::fs::symlink;

fn opened(path: &Path, judged: Judged) -> Folder {
    Folder::open(path, Always::says(judged)).unwrap()
}

#[test]
fn nothing_leads_out_of_the_folder() {
    let world = tempfile::tempdir().unwrap();
    let at = |name: &str| world.path().join(name);
    std::fs::create_dir_all(at("in/sub")).unwrap();
    std::fs::write(at("secret"), "s").unwrap();
    std::fs::write(at("in/file"), "abc").unwrap();
    std::fs::write(at("in/.env"), "s").unwrap();
    symlink("../secret", at("in/out")).unwrap();
    symlink(at("secret"), at("in/absolute")).unwrap();
    symlink("../../..", at("in/sub/up")).unwrap();
    symlink("../file", at("in/sub/good")).unwrap();
    symlink("loop", at("in/loop")).unwrap();
    nix::unistd::mkfifo(&at("in/pipe"), Mode::S_IRWXU).unwrap();
    symlink("gone", at("in/dangling")).unwrap();
    symlink("dangling/x", at("in/twice")).unwrap();
    let folder = opened(&at("in"), Judged::default());
    for (name, why) in [
        ("../secret", Refusal::Outside),
        ("sub/../../secret", Refusal::Outside),
        ("/../in/file", Refusal::Outside),
        ("out", Refusal::Outside),
        ("absolute", Refusal::Outside),
        ("loop", Refusal::Outside),
        ("sub/up/secret", Refusal::Outside),
        (".env", Refusal::Hidden),
        ("sub/.x/y", Refusal::Hidden),
        ("pipe", Refusal::Special),
        ("nothing", Refusal::NotThere),
        ("file/x", Refusal::NotThere),
        ("sub/nothing/x", Refusal::NotThere),
        ("dangling", Refusal::Dangling),
        ("dangling/x", Refusal::Dangling),
        ("twice", Refusal::Dangling),
        ("file\0", Refusal::NotThere),
    ] {
        assert_eq!(folder.file(name).unwrap_err(), why, "{name}");
    }
    for name in ["file", "/file", "//./file", "sub/good"] {
        assert_eq!(folder.small(name, 3).unwrap(), b"abc", "{name}");
    }
    assert_eq!(folder.small("file", 2), Err(Refusal::Large));
    let names = |name: &str| {
        let listed = folder.list(name).unwrap().entries.into_iter();
        let listed = listed.filter(|entry| entry.refused.is_none());
        listed.map(|entry| entry.name).collect::<Vec<_>>()
    };
    assert_eq!(names("/"), ["file", "sub"]);
    assert_eq!(names("sub"), ["good"]);
    let sub = folder.below("sub").unwrap().list("").unwrap().entries;
    assert!(
        sub.iter()
            .all(|entry| entry.refused == Some(Refusal::Outside))
    );
    assert_eq!(sub.len(), 2);
    for (error, why) in [
        (Errno::EMFILE, Refusal::Unreadable),
        (Errno::EIO, Refusal::Unreadable),
        (Errno::ENAMETOOLONG, Refusal::NotThere),
    ] {
        assert_eq!(refusal(error), why, "{error}");
    }
}

fn stamp(path: &Path) -> Stamp {
    Stamp::of(&std::fs::metadata(path).unwrap())
}

fn judged(files: &[(&str, Stamp)], alone: &[&str]) -> Judged {
    let files = files
        .iter()
        .map(|(path, stamp)| ((*path).to_owned(), *stamp));
    Judged {
        files: files.collect(),
        alone: alone.iter().map(|path| (*path).to_owned()).collect(),
    }
}

#[test]
fn beside_what_was_judged_nothing_is_served_where_loops_write() {
    let world = tempfile::tempdir().unwrap();
    let at = |name: &str| world.path().join(name);
    std::fs::create_dir_all(at("out/one")).unwrap();
    for name in ["out/one/kernel", "out/one/later", "outside"] {
        std::fs::write(at(name), "abc").unwrap();
    }
    symlink("out/one/later", at("link")).unwrap();
    let files = [("out/one/kernel", stamp(&at("out/one/kernel")))];
    let why =
        |alone: &[&str], name: &str| opened(world.path(), judged(&files, alone)).file(name).err();
    let unjudged = || Some(Refusal::Unjudged);
    for name in ["out/one/later", "link"] {
        assert_eq!(why(&["out"], name), unjudged(), "{name}");
        assert_eq!(why(&[], name), None, "{name}");
    }
    for name in ["out/one/kernel", "outside"] {
        assert_eq!(why(&["out"], name), None, "{name}");
    }
    assert_eq!(why(&[""], "outside"), unjudged());
    // Also where nothing was judged at all, and from a folder in it.
    let folder = opened(world.path(), judged(&[], &["out"]));
    let one = folder.below("out/one").unwrap();
    for found in [one.file("kernel"), folder.file("out/one/kernel")] {
        assert_eq!(found.unwrap_err(), Refusal::Unjudged);
    }
}

#[test]
fn what_was_judged_and_is_gone_is_no_free_name() {
    let world = tempfile::tempdir().unwrap();
    let path = world.path().join("initrd");
    std::fs::write(&path, "abc").unwrap();
    let judged = judged(&[("initrd", stamp(&path))], &[]);
    let folder = opened(world.path(), judged);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(folder.file("initrd").unwrap_err(), Refusal::Changed);
    assert_eq!(folder.file("other").unwrap_err(), Refusal::NotThere);
    let gone = Entry {
        name: "initrd".to_owned(),
        folder: false,
        refused: Some(Refusal::Changed),
    };
    assert_eq!(folder.list("/").unwrap().entries, [gone]);
}

#[test]
fn what_was_judged_is_served_only_as_it_was() {
    let world = tempfile::tempdir().unwrap();
    let path = world.path().join("sub");
    std::fs::create_dir(&path).unwrap();
    std::fs::write(path.join("kernel"), "abc").unwrap();
    let files = [("sub/kernel", stamp(&path.join("kernel")))];
    let folder = opened(world.path(), judged(&files, &[]));
    let sub = folder.below("sub").unwrap();
    assert!(folder.file("sub/kernel").is_ok() && sub.file("kernel").is_ok());
    std::fs::write(path.join("kernel"), "abcd").unwrap();
    assert_eq!(folder.file("/sub//kernel").unwrap_err(), Refusal::Changed);
    assert_eq!(sub.file("kernel").unwrap_err(), Refusal::Changed);
}

#[test]
fn a_link_to_what_was_judged_is_no_way_around() {
    let world = tempfile::tempdir().unwrap();
    let at = |name: &str| world.path().join(name);
    std::fs::create_dir(at("sub")).unwrap();
    std::fs::write(at("sub/kernel"), "abc").unwrap();
    std::fs::write(at("other"), "none judged this").unwrap();
    symlink("sub/kernel", at("link")).unwrap();
    symlink("sub", at("latest")).unwrap();
    let before = stamp(&at("sub/kernel"));
    let folder = opened(world.path(), judged(&[("sub/kernel", before)], &[]));
    let latest = folder.below("latest").unwrap();
    let found = || {
        let of = |folder: &Folder, name: &str| folder.file(name).err();
        [
            of(&folder, "link"),
            of(&folder, "latest/kernel"),
            of(&latest, "kernel"),
            of(&folder, "other"),
        ]
    };
    assert_eq!(found(), [const { None }; 4]);
    let changed = || Some(Refusal::Changed);
    // The clock of files is a coarse one.
    for _ in 0..1000 {
        std::fs::write(at("sub/kernel"), "xyz").unwrap();
        if stamp(&at("sub/kernel")) != before {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    assert_eq!(found(), [changed(), changed(), changed(), None]);
    // Another file of that name is none that was judged, whatever it holds.
    std::fs::write(at("new"), "abc").unwrap();
    std::fs::rename(at("new"), at("sub/kernel")).unwrap();
    assert_eq!(found(), [changed(), changed(), changed(), None]);
}

/// Says what a test wants it to.
#[derive(Debug, Default)]
struct Says(std::sync::Mutex<Option<&'static str>>);

impl Judge for Says {
    fn now(&self) -> Result<Arc<Judged>, Red> {
        match *self.0.lock().unwrap() {
            Some(why) => Err(Red::told(why)),
            None => Ok(Arc::default()),
        }
    }
}

#[test]
fn nothing_is_found_while_what_was_judged_is_not_green() {
    let world = tempfile::tempdir().unwrap();
    std::fs::create_dir(world.path().join("sub")).unwrap();
    std::fs::write(world.path().join("sub/file"), "abc").unwrap();
    let says = Arc::new(Says::default());
    let folder = Folder::open(world.path(), Arc::clone(&says) as Arc<dyn Judge>).unwrap();
    let sub = folder.below("sub").unwrap();
    assert!(folder.file("sub/file").is_ok() && sub.file("file").is_ok());
    *says.0.lock().unwrap() = Some("red");
    let red = Refusal::NotGreen(Red::told("red"));
    assert_eq!(folder.file("sub/file").unwrap_err(), red);
    assert_eq!(sub.file("file").unwrap_err(), red);
    assert_eq!(folder.list("").unwrap_err(), red);
    assert_eq!(folder.green().unwrap_err(), red);
    *says.0.lock().unwrap() = None;
    assert!(sub.file("file").is_ok());
}
