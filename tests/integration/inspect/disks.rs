//! Disks that sfdisk, mkfs.vfat and mcopy made, seen through `tdg`.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::peers::{output, peer};
use crate::talos::{Image, Pack, Tools, initramfs};
use crate::world::World;

/// Where the partition of every disk here begins.
const START: usize = 1 << 20;

/// Makes a disk with a FAT partition `EFI` that holds a folder's files; `None` where a tool is missing.
pub(super) fn disk(world: &World, name: &str, bits: &str, size: u64, files: &Path) -> Option<()> {
    let (sfdisk, mkfs, mcopy) = (peer("sfdisk")?, peer("mkfs.vfat")?, peer("mcopy")?);
    let path = world.write(name, "");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(START as u64 + size + (2 << 20)).unwrap();
    let sectors = size / 512;
    let table = world.write(
        "table",
        format!("label: gpt\nstart=2048,size={sectors},type=U,name=EFI\n"),
    );
    let script = format!("{} -q {name} < {}", sfdisk.display(), table.display());
    output(Path::new("/bin/sh"), world.path(), &["-c", &script]);
    let kib = (size / 1024).to_string();
    output(
        &mkfs,
        world.path(),
        &["-F", bits, "-s", "1", "--offset", "2048", name, &kib],
    );
    let mut names: Vec<_> = fs::read_dir(files)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    names.sort();
    let image = format!("{name}@@1M");
    let mut arguments = vec!["-s", "-m", "-i", &image];
    arguments.extend(names.iter().map(|path| path.to_str().unwrap()));
    arguments.push("::");
    // Names are converted by the locale.
    let status = Command::new(mcopy)
        .args(arguments)
        .current_dir(world.path())
        .env("LC_ALL", "C.UTF-8")
        .status();
    assert!(status.unwrap().success());
    Some(())
}

/// Files whose names and sizes are hard for FAT.
fn files(world: &World) -> std::path::PathBuf {
    let folder = world.path().join("files");
    fs::create_dir_all(folder.join("EFI/Linux/deep/er")).unwrap();
    fs::write(folder.join("EFI/Linux/Talos-v1.13.6.efi"), vec![7; 70_001]).unwrap();
    fs::write(
        folder.join("EFI/Linux/deep/er/grüße, a name of more than thirteen letters.text"),
        "hello\n",
    )
    .unwrap();
    fs::write(folder.join("SHORT.TXT"), "short\n").unwrap();
    fs::write(folder.join("lower.cfg"), "lower\n").unwrap();
    fs::write(folder.join("empty"), "").unwrap();
    for n in 0..300 {
        fs::write(folder.join(format!("EFI/file number {n}")), n.to_string()).unwrap();
    }
    folder
}

#[test]
fn a_fat_file_system_is_read_as_it_was_written() {
    for (bits, size) in [("12", 2 << 20), ("16", 8 << 20), ("32", 40 << 20)] {
        let world = World::new();
        let folder = files(&world);
        let Some(()) = disk(&world, "disk", bits, size, &folder) else {
            return;
        };
        let image = tdg::image::Image::open(world.path().join("disk"), Default::default()).unwrap();
        let mut seen = 0;
        for found in walkdir::WalkDir::new(&folder).min_depth(1) {
            let found = found.unwrap();
            let path = found
                .path()
                .strip_prefix(&folder)
                .unwrap()
                .to_str()
                .unwrap();
            let entry = image.entry(&format!("EFI/{path}")).unwrap();
            assert_eq!(entry.path, format!("EFI/{path}"), "FAT{bits}");
            if found.file_type().is_file() {
                let bytes = fs::read(found.path()).unwrap();
                let read = entry.open().unwrap().up_to(0, 1 << 20).unwrap();
                assert!(*read == *bytes, "FAT{bits}: {path}");
                let mtime = found.metadata().unwrap().modified().unwrap();
                let mtime = mtime
                    .duration_since(std::time::UNIX_EPOCH)
                    .unwrap()
                    .as_secs();
                assert!(
                    entry.meta.mtime.abs_diff(mtime as i64) <= 2,
                    "FAT{bits}: {path}"
                );
            }
            seen += 1;
        }
        let listed = image.tree().unwrap().entries().unwrap();
        assert_eq!(
            listed.len(),
            seen + 1,
            "FAT{bits}: the partition and what is in it"
        );
        // Names differ by more than their case only.
        assert!(
            image.entry("EFI/efi/LINUX/talos-*.efi").is_err(),
            "a pattern is exact"
        );
        assert!(image.entry("EFI/efi/linux/TALOS-V1.13.6.EFI").is_ok());
    }
}

#[test]
fn an_address_reaches_a_program_five_layers_down() {
    let Some(tools) = Tools::find() else { return };
    let world = World::new();
    let root = world.path().join("root");
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    fs::copy("/bin/true", root.join("usr/bin/true")).unwrap();
    let made = initramfs(
        &tools,
        world.path(),
        &root,
        &[("spin", "v1", Image::Full)],
        Pack::Zstd,
    );
    let folder = world.path().join("files");
    fs::create_dir_all(folder.join("EFI/Linux")).unwrap();
    fs::rename(made, folder.join("EFI/Linux/initramfs-arm64.xz")).unwrap();
    let Some(()) = disk(&world, "metal.raw", "32", 40 << 20, &folder) else {
        return;
    };
    let Some(xz) = peer("xz") else { return };
    output(&xz, world.path(), &["-0", "metal.raw"]);
    let address = "metal.raw.xz!/EFI/EFI/Linux/*.xz!/rootfs.sqsh!/usr/bin/true";
    let cat = world.command(&["cat", address]).output().unwrap();
    assert!(
        cat.stdout == fs::read("/bin/true").unwrap(),
        "{}",
        String::from_utf8_lossy(&cat.stderr)
    );
    let tree = world.tdg(&["tree", "metal.raw.xz"]);
    assert_eq!((tree.code, tree.stderr.as_str()), (0, ""));
    assert!(
        tree.stdout.contains("      usr/bin/true  elf ("),
        "{}",
        tree.stdout
    );
    let report = world.run(&format!(
        "spec: Deep\nsubject: '{address}'\nchecks:\n  - name: it is there\n    file:\n    expect: {{ present: true, mode: \"0755\" }}\n"
    ));
    assert_eq!(
        report.verdict("it is there"),
        "pass",
        "{}",
        report.why("it is there")
    );
}

#[test]
fn a_broken_table_or_file_system_is_an_error_and_never_the_backup_in_silence() {
    let world = World::new();
    let folder = files(&world);
    let Some(()) = disk(&world, "disk", "16", 8 << 20, &folder) else {
        return;
    };
    let whole = fs::read(world.path().join("disk")).unwrap();
    let boot = START;
    // FAT16: two tables of the sectors that the boot sector tells behind its reserved ones.
    let field =
        |at: usize| usize::from(u16::from_le_bytes([whole[boot + at], whole[boot + at + 1]]));
    let table = boot + field(14) * 512;
    let cases: [(&str, usize, &[u8], &str); 5] = [
        ("header checksum", 512 + 24, &[9], "checksum"),
        ("entries", 1024, &[1, 2, 3], "checksum"),
        ("no header", 512, &[0; 8], "its header is not there"),
        (
            "a table too small",
            boot + 22,
            &[1, 0],
            "clusters, which take",
        ),
        (
            "a chain out of the volume",
            table + 4,
            &[0xf0, 0xef],
            "in a chain",
        ),
    ];
    for (name, at, bytes, said) in cases {
        let mut broken = whole.clone();
        broken[at..at + bytes.len()].copy_from_slice(bytes);
        world.write("broken", broken);
        let ran = world.tdg(&["tree", "broken"]);
        let all = format!("{}{}", ran.stdout, ran.stderr);
        assert_eq!(ran.code, 4, "{name}: {all}");
        assert!(all.contains(said), "{name}: {all}");
    }
    // A boot sector that makes no sense is no FAT any more: the partition is a plain file.
    for (name, at, bytes) in [
        ("no cluster size", boot + 13, &[0][..]),
        ("no reserved sectors", boot + 14, &[0, 0]),
    ] {
        let mut broken = whole.clone();
        broken[at..at + bytes.len()].copy_from_slice(bytes);
        world.write("broken", broken);
        let ran = world.tdg(&["cat", "broken!/EFI/SHORT.TXT"]);
        assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{name}");
        assert!(
            ran.stderr.contains("is not there"),
            "{name}: {}",
            ran.stderr
        );
        assert_eq!(world.tdg(&["ls", "broken!/"]).stdout, "EFI\n", "{name}");
    }
}

#[test]
fn a_table_of_the_older_form_gives_its_logical_partitions() {
    let Some(sfdisk) = peer("sfdisk") else { return };
    let world = World::new();
    let mut bytes = vec![0; 8 << 20];
    for (sector, text) in [(64, "first"), (2112, "fifth"), (6208, "sixth")] {
        bytes[sector * 512..sector * 512 + 5].copy_from_slice(text.as_bytes());
    }
    world.write("disk", &bytes);
    let table = "label: dos\nstart=64,size=128,type=83\nstart=2048,size=8192,type=5\nstart=2112,size=2048,type=c\nstart=6208,size=64\n";
    let table = world.write("table", table);
    let script = format!("{} -q disk < {}", sfdisk.display(), table.display());
    output(Path::new("/bin/sh"), world.path(), &["-c", &script]);
    for (part, text) in [("part1", "first"), ("part5", "fifth"), ("part6", "sixth")] {
        let cat = world
            .command(&["cat", &format!("disk!/{part}")])
            .output()
            .unwrap();
        assert!(
            cat.stdout.starts_with(text.as_bytes()),
            "{part}: {}",
            String::from_utf8_lossy(&cat.stderr)
        );
    }
    assert_eq!(world.tdg(&["ls", "disk!/"]).stdout, "part1\npart5\npart6\n");
    let report = world.run(
        "spec: Older\nchecks:\n  - name: it\n    disk:\n    in: disk\n    expect: { table: mbr, backup: none, count: 3, partitions: { any: { number: 6, start: 3178496, size: 32 KiB } } }\n",
    );
    assert_eq!(report.verdict("it"), "pass", "{}", report.why("it"));
    // A chain that leads back to itself.
    let mut bytes = fs::read(world.path().join("disk")).unwrap();
    let record = 2048 * 512 + 446 + 16;
    bytes[record + 8..record + 12].fill(0);
    world.write("disk", &bytes);
    let ran = world.tdg(&["ls", "disk!/"]);
    assert_eq!(ran.code, 4, "{}", ran.stdout);
    assert!(ran.stderr.contains("does not end"), "{}", ran.stderr);
}

#[test]
fn no_change_of_a_disk_makes_a_reader_panic_or_hang() {
    let world = World::new();
    let folder = files(&world);
    let Some(()) = disk(&world, "disk", "12", 2 << 20, &folder) else {
        return;
    };
    let whole = fs::read(world.path().join("disk")).unwrap();
    let begin = std::time::Instant::now();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let mut read = 0;
    for round in 0..2000 {
        let mut bytes = whole.clone();
        // Mostly where the structures are: headers, entries, boot sector, tables, root.
        let from = [512, 1024, START, START + 512][round % 4];
        for _ in 0..=random(4) {
            let at = from + random(6000);
            bytes[at] = random(256) as u8;
        }
        if round % 10 == 0 {
            bytes.truncate(random(whole.len()).max(1));
        }
        let source: tdg::format::Source = std::sync::Arc::new(tdg::format::Bytes::new(bytes));
        let Ok(image) =
            tdg::image::Image::of_source(Path::new("it"), source, None, Default::default())
        else {
            continue;
        };
        let Ok(tree) = image.tree() else { continue };
        for entry in tree.entries().unwrap_or_default() {
            if let Ok(file) = tree.open(&entry) {
                read += file.up_to(0, 4096).map_or(0, |bytes| bytes.len());
            }
        }
    }
    assert!(read > 1 << 20, "hardly anything was read: {read}");
    assert!(begin.elapsed().as_secs() < 120, "{:?}", begin.elapsed());
}

#[test]
fn a_large_disk_is_decompressed_as_far_as_it_is_read_and_no_cut_is_missed() {
    let world = World::new();
    let folder = files(&world);
    // Larger than what is decoded into memory, most of it zeros, the end of it not.
    let noise: Vec<u8> = (0..12_000_000u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    fs::write(folder.join("noise"), &noise).unwrap();
    let Some(()) = disk(&world, "disk", "32", 160 << 20, &folder) else {
        return;
    };
    for (tool, arguments, file) in [
        (
            "xz",
            &["-k", "-0", "-T2", "--block-size=8MiB", "disk"][..],
            "disk.xz",
        ),
        ("zstd", &["-q", "-k", "disk"], "disk.zst"),
        ("gzip", &["-k", "-1", "disk"], "disk.gz"),
    ] {
        let Some(tool) = peer(tool) else { return };
        output(&tool, world.path(), arguments);
        let cat = |address: &str| {
            world
                .command(&["cat", address, "--timeout", "60s"])
                .output()
                .unwrap()
        };
        let whole = cat(&format!("{file}!/"));
        assert!(
            whole.stdout == fs::read(world.path().join("disk")).unwrap(),
            "{file}"
        );
        assert!(cat(&format!("{file}!/EFI/noise")).stdout == noise, "{file}");
        assert_eq!(
            cat(&format!("{file}!/EFI/SHORT.TXT")).stdout,
            b"short\n",
            "{file}"
        );
        let bytes = fs::read(world.path().join(file)).unwrap();
        world.write("cut", &bytes[..bytes.len() - bytes.len() / 3]);
        let cut = cat("cut!/EFI/noise");
        assert_eq!(cut.status.code(), Some(4), "{file}");
        assert!(
            cut.stdout.len() < noise.len() && noise.starts_with(&cut.stdout),
            "{file}"
        );
        world.write("junk", [&bytes[..], b"and more"].concat());
        assert_eq!(
            cat("junk!/").status.code(),
            Some(4),
            "{file} with junk behind it"
        );
    }
}

#[test]
fn the_kind_disk_sees_table_partitions_and_who_can_boot() {
    let world = World::new();
    let folder = files(&world);
    fs::create_dir_all(folder.join("EFI/Boot")).unwrap();
    fs::write(folder.join("EFI/Boot/bootaa64.efi"), "MZ").unwrap();
    let Some(()) = disk(&world, "disk", "32", 40 << 20, &folder) else {
        return;
    };
    let mut bytes = fs::read(world.path().join("disk")).unwrap();
    let spec = |expect: &str| {
        format!(
            "spec: Disks\nchecks:\n  - name: it\n    disk:\n    in: disk\n    expect: {expect}\n"
        )
    };
    let holds = spec(
        "{ table: gpt, sector: 512, size: 43 MiB, count: 1, backup: agrees, overlaps: { len: 0 }, boots: [arm64], partitions: { every: { name: EFI, type: efi-system, file-system: fat32, start: 1 MiB, size: 40 MiB } } }",
    );
    let report = world.run(&holds);
    assert_eq!(report.verdict("it"), "pass", "{}", report.why("it"));
    let report = world.run(&spec("{ boots: { contain: amd64 } }"));
    assert_eq!(report.verdict("it"), "fail", "{}", report.why("it"));
    // The second header is at the end of the disk, and its damage is evidence, no error.
    let end = bytes.len();
    bytes[end - 512 + 20] ^= 1;
    bytes[end - 512 + 60] ^= 1;
    world.write("disk", &bytes);
    let report = world.run(&spec(
        "{ backup: broken, backup-problem: { contain: checksum } }",
    ));
    assert_eq!(report.verdict("it"), "pass", "{}", report.why("it"));
    // The first one's damage is an error: nobody can say what the firmware would see.
    bytes[512 + 60] ^= 1;
    world.write("disk", &bytes);
    let report = world.run(&spec("{ table: gpt }"));
    assert_eq!(report.verdict("it"), "error", "{}", report.why("it"));
    world.write("disk", [1; 4096]);
    assert_eq!(world.run(&spec("{ table: gpt }")).verdict("it"), "error");
}
