//! Input that means harm, or is broken: a clear error or failure that names the file, within ten
//! seconds and 512 MB; never a pass, never a panic.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::images::{cpio, pipe};
use crate::peers::{output, peer};
use crate::talos::{Image, Pack, Tools, initramfs};
use crate::world::{Report, World, ran};

const MEMORY: u64 = 512 << 20;
const TIME: Duration = Duration::from_secs(10);

/// Every kind that reads an image, asked the easiest question there is.
const SPEC: &str = "
spec: hostile
subject: NAME
checks:
  - { name: initramfs, initramfs: , expect: { segments: { ge: 0 }, duplicates: { len: { ge: 0 } } } }
  - { name: extension, extension: spin, expect: { present: { one-of: [true, false] } } }
  - { name: elf, elf: '**', expect: { count: { ge: 0 } } }
  - { name: modules, modules: , expect: { count: { ge: 0 }, modules: { len: { ge: 0 } } } }
  - { name: tree, tree: '**', expect: { count: { ge: 0 } } }
  - { name: file, file: usr/bin/true, expect: { count: { ge: 0 } } }
  - { name: document, document: { path: $.x, file: extensions.yaml }, expect: { found: { ge: 0 } } }
  - { name: kernel, kernel: , expect: { size: { ge: 0 } } }
";

/// Runs the checks over one subject under a bound of address space, and gives the report.
fn run(world: &World, name: &str) -> Report {
    let prlimit = peer("prlimit");
    world.write("specs/it.yaml", SPEC.replace("NAME", name));
    let arguments = ["run", "specs", "--format", "json", "--jobs", "2"];
    let mut command = match prlimit {
        Some(prlimit) => {
            let mut command = std::process::Command::new(prlimit);
            command
                .arg(format!("--as={}", MEMORY + (256 << 20)))
                .arg(env!("CARGO_BIN_EXE_tdg"))
                .args(arguments)
                .current_dir(world.path());
            command
        }
        None => world.command(&arguments),
    };
    let time = peer("time");
    let peak = world.path().join("peak");
    if let Some(time) = time {
        let mut timed = std::process::Command::new(time);
        timed
            .args(["-f", "%M %U %S", "-o"])
            .arg(&peak)
            .arg(command.get_program());
        timed.args(command.get_args()).current_dir(world.path());
        command = timed;
    }
    let begin = Instant::now();
    let ran = ran(&mut command);
    let took = begin.elapsed();
    assert!(!ran.stderr.contains("panicked"), "{name}: {}", ran.stderr);
    match fs::read_to_string(&peak) {
        Ok(text) => {
            // Where the program failed, `time` says so in a line before.
            let mut words = text.lines().last().unwrap().split_whitespace();
            let mut number = || words.next().unwrap().parse::<f64>().unwrap();
            let (kib, seconds) = (number(), number() + number());
            assert!(kib * 1024.0 < MEMORY as f64, "{name} took {kib} KiB");
            assert!(seconds < TIME.as_secs_f64(), "{name} took {seconds} s");
            // Other programs may be at work: of waiting, more is allowed.
            assert!(took < TIME * 6, "{name} took {took:?}");
        }
        Err(_) => assert!(took < TIME, "{name} took {took:?}"),
    }
    Report::of(ran)
}

/// Holds a report: none of these checks passes, and each names the file.
fn refused(report: &Report, name: &str, checks: &[&str]) {
    assert!(matches!(report.code, 1 | 4), "{name}: {}", report.code);
    for check in checks {
        let verdict = report.verdict(check);
        assert!(
            matches!(verdict, "error" | "fail"),
            "{name}: {check}: {verdict}"
        );
        let trial = report.trial(check);
        let said = format!("{}{}", report.why(check), trial["subject"]);
        assert!(said.contains(name), "{name}: {check}: {said}");
        assert!(!said.contains("panic"), "{name}: {check}: {said}");
    }
}

const ARCHIVE: &[&str] = &["initramfs", "extension", "elf", "tree", "file", "document"];
const ALL: &[&str] = &[
    "initramfs",
    "extension",
    "elf",
    "tree",
    "file",
    "document",
    "kernel",
];

/// A true initramfs to do harm to.
fn sound(world: &World) -> Option<Vec<u8>> {
    let tools = Tools::find()?;
    let root = world.path().join("root");
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    fs::copy("/bin/true", root.join("usr/bin/true")).unwrap();
    let extensions = [("spin", "v1.0.0", Image::Full)];
    let path = initramfs(&tools, world.path(), &root, &extensions, Pack::Zstd);
    Some(fs::read(path).unwrap())
}

#[test]
fn what_is_no_file_is_refused() {
    let world = World::new();
    world.write("empty", "");
    fs::create_dir(world.path().join("folder")).unwrap();
    std::os::unix::fs::symlink("loop", world.path().join("loop")).unwrap();
    let names: &[&str] = match peer("mkfifo") {
        Some(mkfifo) => {
            output(&mkfifo, world.path(), &["fifo"]);
            &["empty", "missing", "fifo", "loop"]
        }
        None => &["empty", "missing", "loop"],
    };
    for name in names {
        let report = run(&world, name);
        refused(&report, name, ALL);
        for check in ALL {
            assert_eq!(report.verdict(check), "error", "{name}: {check}");
        }
    }
    // A folder is a tree that may hold programs, and none of the others.
    refused(
        &run(&world, "folder"),
        "folder",
        &["initramfs", "extension", "kernel"],
    );
}

#[test]
fn a_truncated_initramfs_is_refused_wherever_it_ends() {
    let world = World::new();
    let Some(whole) = sound(&world) else { return };
    world.write("whole", &whole);
    let report = run(&world, "whole");
    for check in ["initramfs", "extension", "elf", "tree", "file"] {
        assert_eq!(report.verdict(check), "pass", "{:#}", report.json);
    }
    for part in [
        1,
        7,
        100,
        whole.len() / 3,
        whole.len() / 2,
        whole.len() - 200,
        whole.len() - 1,
    ] {
        let name = format!("cut-{part}");
        world.write(&name, &whole[..part]);
        let report = run(&world, &name);
        refused(&report, &name, &["initramfs", "elf", "extension", "kernel"]);
    }
    let said = run(&world, "cut-100").why("initramfs");
    assert!(said.contains("offset") || said.contains("byte"), "{said}");
}

#[test]
fn absurd_sizes_in_an_archive_are_refused() {
    let Some(tool) = peer("cpio") else { return };
    let world = World::new();
    world.write("stage/init", "hello");
    let archive = cpio(&tool, &world.path().join("stage"), "newc", &["init"]);
    // newc: magic, then 13 fields of eight digits; the file's size is the seventh, the name's the twelfth.
    for (field, what) in [(6, "size"), (11, "name")] {
        for value in ["ffffffff", "7fffffff", "zzzzzzzz", "00000000"] {
            if (what, value) == ("size", "00000000") {
                continue;
            }
            let mut bytes = archive.clone();
            let at = 6 + field * 8;
            bytes[at..at + 8].copy_from_slice(value.as_bytes());
            let name = format!("absurd-{what}-{value}");
            world.write(&name, bytes);
            let report = run(&world, &name);
            refused(&report, &name, ARCHIVE);
            let said = report.why("initramfs");
            assert!(said.contains("offset") || said.contains("byte"), "{said}");
        }
    }
}

#[test]
fn bombs_are_refused() {
    let world = World::new();
    let zeros = vec![0u8; 64 << 20];
    for (tool, arguments) in [
        ("zstd", &["-q", "-c", "-3", "--long=27"][..]),
        ("gzip", &["-c"]),
        ("xz", &["-c", "-0", "--check=crc32"]),
        ("lz4", &["-l", "-c", "-q"]),
    ] {
        let Some(path) = peer(tool) else { continue };
        let part = pipe(&path, world.path(), arguments, &zeros);
        // 64 MiB a part; a hundred of them one after another.
        let bomb = part.repeat(100);
        let name = format!("bomb.{tool}");
        world.write(&name, &bomb);
        let report = run(&world, &name);
        refused(&report, &name, &["initramfs", "extension", "elf"]);
    }
}

#[test]
fn an_archive_of_zeros_behind_a_true_head_is_refused_or_read_within_bounds() {
    let (Some(tool), Some(zstd)) = (peer("cpio"), peer("zstd")) else {
        return;
    };
    let world = World::new();
    // One file of 3 GiB, all holes: 100 KiB once compressed.
    let stage = world.path().join("stage");
    fs::create_dir(&stage).unwrap();
    fs::File::create(stage.join("large"))
        .unwrap()
        .set_len(3 << 30)
        .unwrap();
    let packed = world.path().join("large.zst");
    let sh = peer("sh").unwrap();
    let script = format!(
        "printf 'large\\n' | {} -o -H newc --quiet | {} -q -1 -c > ../large.zst",
        tool.display(),
        zstd.display()
    );
    output(&sh, &stage, &["-c", &script]);
    fs::remove_file(stage.join("large")).unwrap();
    assert!(fs::metadata(&packed).unwrap().len() < 1 << 20);
    let report = run(&world, "large.zst");
    refused(&report, "large.zst", &["initramfs", "elf"]);
}

#[test]
fn a_squashfs_with_a_broken_table_is_refused() {
    let Some(tools) = Tools::find() else { return };
    let world = World::new();
    let tree = world.path().join("tree");
    fs::create_dir_all(tree.join("usr/bin")).unwrap();
    fs::copy("/bin/true", tree.join("usr/bin/true")).unwrap();
    crate::talos::squashfs(&tools, &tree, &world.path().join("sound.sqsh"));
    let sound = fs::read(world.path().join("sound.sqsh")).unwrap();
    let whole = run(&world, "sound.sqsh");
    assert_eq!(whole.verdict("tree"), "pass", "{:#}", whole.json);
    // The superblock: inode table at 64, directory table at 72, fragment table at 80.
    for (at, what) in [
        (64, "inodes"),
        (72, "directories"),
        (80, "fragments"),
        (4, "count"),
        (12, "block"),
    ] {
        for value in [u64::MAX, 0, sound.len() as u64 - 3] {
            let mut bytes = sound.clone();
            let width = if at < 64 { 4 } else { 8 };
            bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
            if what == "count" && value == 0 || bytes == sound {
                continue;
            }
            let name = format!("broken-{what}-{value}");
            world.write(&name, bytes);
            let report = run(&world, &name);
            let passed = |check: &&&str| report.verdict(check) == "pass";
            let checks = ["elf", "tree", "initramfs"];
            // A table that no file here needs may be broken unseen; the others may not.
            if matches!(what, "inodes" | "directories") {
                refused(&report, &name, &checks);
            } else if checks.iter().filter(passed).count() == 0 {
                refused(&report, &name, &["tree"]);
            }
        }
    }
    for part in [50, 96, 97, sound.len() / 2] {
        let name = format!("cut-{part}.sqsh");
        world.write(&name, &sound[..part]);
        refused(&run(&world, &name), &name, &["elf", "tree", "initramfs"]);
    }
}

#[test]
fn names_from_an_image_do_not_drive_the_terminal() {
    let Some(tool) = peer("cpio") else { return };
    let world = World::new();
    let name = "evil\u{1b}[2J\u{202e}name";
    world.write(&format!("stage/{name}"), "x");
    let archive = cpio(&tool, &world.path().join("stage"), "newc", &[name]);
    world.write("evil", archive);
    world.write(
        "specs/it.yaml",
        "spec: evil\nchecks:\n  - { name: n, tree: , in: evil, expect: { entries: { every: { type: directory } } } }\n",
    );
    for format in ["human", "junit", "html"] {
        let ran = world.tdg(&["run", "specs", "--format", format]);
        assert_eq!(ran.code, 1);
        assert!(ran.stdout.contains("evil"), "{}", ran.stdout);
        assert!(!ran.stdout.contains('\u{1b}'), "{:?}", ran.stdout);
        assert!(!ran.stdout.contains('\u{202e}'), "{:?}", ran.stdout);
    }
    assert!(Path::new(env!("CARGO_BIN_EXE_tdg")).is_file());
}
