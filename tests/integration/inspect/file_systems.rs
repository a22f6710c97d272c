//! Disks with ext4 and EROFS in their partitions, seen through `tdg`.

use std::fs;
use std::path::Path;

use crate::peers::{output, peer};
use crate::world::World;

const MIB: usize = 1 << 20;

/// Makes a disk: `BOOT` with ext3, `STATE` with ext4 whose journal has to be
/// replayed, `ROOT` with EROFS; `None` where a tool is missing.
fn disk(world: &World) -> Option<()> {
    let (sfdisk, mke2fs) = (peer("sfdisk")?, peer("mke2fs")?);
    let (mkfs, debugfs) = (peer("mkfs.erofs")?, peer("debugfs")?);
    let root = world.path().join("root");
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    fs::copy("/bin/true", root.join("usr/bin/true")).unwrap();
    fs::write(root.join("hello"), "hello\n").unwrap();
    std::os::unix::fs::symlink("usr/bin", root.join("bin")).unwrap();
    fs::create_dir_all(root.join("loader/entries")).unwrap();
    let entry = "title Linux\nlinux /vmlinuz\noptions console=ttyAMA0\n";
    fs::write(root.join("loader/entries/linux.conf"), entry).unwrap();
    let run = |tool: &Path, line: &str| {
        let arguments: Vec<&str> = line.split(' ').collect();
        output(tool, world.path(), &arguments);
    };
    run(&mke2fs, "-q -F -t ext3 -b 1024 -L boot -d root boot 6M");
    run(&mke2fs, "-q -F -t ext4 -b 1024 -L state -d root state 8M");
    output(
        &debugfs,
        world.path(),
        &["-w", "-R", "feature needs_recovery", "state"],
    );
    run(&mkfs, "--quiet -zlz4 rootfs root");
    let mut bytes = vec![0; 24 * MIB];
    let parts = [("boot", 1), ("state", 8), ("rootfs", 18)];
    for (name, at) in parts {
        let part = fs::read(world.path().join(name)).unwrap();
        bytes[at * MIB..at * MIB + part.len()].copy_from_slice(&part);
    }
    world.write("disk", bytes);
    let table = "label: gpt\nstart=2048,size=12288,name=BOOT\nstart=16384,size=16384,name=STATE\nstart=36864,size=8192,name=ROOT\n";
    let table = world.write("table", table);
    let script = format!("{} -q disk < {}", sfdisk.display(), table.display());
    output(Path::new("/bin/sh"), world.path(), &["-c", &script]);
    Some(())
}

#[test]
fn an_address_reaches_into_ext_and_erofs_and_what_cannot_be_read_is_told() {
    let world = World::new();
    let Some(()) = disk(&world) else { return };
    for partition in ["BOOT", "ROOT"] {
        let cat = world.command(&["cat", &format!("disk!/{partition}/bin/true")]);
        let cat = { cat }.output().unwrap();
        assert!(cat.stdout == fs::read("/bin/true").unwrap(), "{partition}");
    }
    let ls = world.tdg(&["ls", "disk!/ROOT"]);
    assert_eq!(ls.stdout, "bin\nhello\nloader/\nusr/\n");
    assert_eq!(
        world.tdg(&["ls", "disk!/"]).stdout,
        "BOOT/\nROOT/\nSTATE/\n"
    );
    // A partition that cannot be read hides neither itself nor what is behind it.
    let tree = world.tdg(&["tree", "disk"]);
    assert_eq!(tree.code, 4, "{}", tree.stdout);
    for line in [
        "BOOT/usr/bin/true  elf",
        "ROOT/usr/bin/true  elf",
        "STATE",
        "e2fsck -fy",
    ] {
        assert!(tree.stdout.contains(line), "{line}: {}", tree.stdout);
    }
    let cat = world.tdg(&["cat", "disk!/STATE/hello"]);
    assert_eq!((cat.code, cat.stdout.as_str()), (4, ""));
    assert!(cat.stderr.contains("e2fsck -fy"), "{}", cat.stderr);
    // The images themselves are containers as well.
    for (image, what) in [("boot", "boot  ext (ext3)"), ("rootfs", "rootfs  erofs")] {
        let tree = world.tdg(&["tree", image]);
        assert!(
            tree.code == 0 && tree.stdout.starts_with(what),
            "{}",
            tree.stdout
        );
        assert_eq!(
            world.tdg(&["cat", &format!("{image}!/hello")]).stdout,
            "hello\n"
        );
    }
}

#[test]
fn the_kind_disk_tells_ext_and_erofs_and_their_labels() {
    let world = World::new();
    let Some(()) = disk(&world) else { return };
    let spec = |expect: &str| {
        format!(
            "spec: Disks\nchecks:\n  - name: it\n    disk:\n    in: disk\n    expect: {{ partitions: {expect} }}\n"
        )
    };
    for holds in [
        "{ any: { name: BOOT, file-system: ext3, file-system-label: boot } }",
        // What it is, is told whether or not its journal has to be replayed.
        "{ any: { name: STATE, file-system: ext4, file-system-label: state } }",
        "{ any: { name: ROOT, file-system: erofs, file-system-label: { absent: true } } }",
    ] {
        let report = world.run(&spec(holds));
        assert_eq!(
            report.verdict("it"),
            "pass",
            "{holds}: {}",
            report.why("it")
        );
    }
    let report = world.run(&spec("{ any: { name: BOOT, file-system: ext4 } }"));
    assert_eq!(report.verdict("it"), "fail", "{}", report.why("it"));
    let mut bytes = fs::read(world.path().join("disk")).unwrap();
    // EROFS images carry a checksum of their superblock.
    bytes[18 * MIB + 1024 + 70] ^= 1;
    world.write("disk", &bytes);
    let report = world.run(&spec("{ any: { name: ROOT, file-system: erofs } }"));
    assert_eq!(report.verdict("it"), "error", "{}", report.why("it"));
    assert!(
        report.why("it").contains("checksum is wrong"),
        "{}",
        report.why("it")
    );
}

#[test]
fn command_lines_are_found_in_ext_and_erofs_and_a_partition_that_is_not_read_is_named() {
    let world = World::new();
    let Some(()) = disk(&world) else { return };
    let report = world.run(
        "spec: Disks\nchecks:\n  - name: it\n    cmdline: { entry: 0 }\n    in: disk\n    expect: { source: BOOT/loader/entries/linux.conf, args: [console=ttyAMA0], entries: { len: 2 }, unread: [STATE (ext)] }\n",
    );
    assert_eq!(report.verdict("it"), "pass", "{}", report.why("it"));
    let mut bytes = fs::read(world.path().join("disk")).unwrap();
    // A broken file system is never passed over.
    bytes[18 * MIB + 1024 + 70] ^= 1;
    world.write("disk", &bytes);
    let report = world.run(
        "spec: Disks\nchecks:\n  - name: it\n    cmdline: { entry: 0 }\n    in: disk\n    expect: { length: { ge: 1 } }\n",
    );
    assert_eq!(report.verdict("it"), "error", "{}", report.why("it"));
}
