//! The sections of ELF files as a container, against `readelf` and `objcopy`.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use tdg::format::elf::Sections;
use tdg::format::{Bytes, Limits, Tree};

use crate::images::pipe;
use crate::peers::{fetched, fetched_modules, output, peer};
use crate::talos::{Image, Pack, Tools, initramfs};
use crate::world::World;

/// A section as `readelf -SW` shows it.
#[derive(Debug, PartialEq, Eq)]
struct Shown {
    name: String,
    offset: u64,
    size: u64,
    allocated: bool,
}

/// Lists the sections of a file; those without bytes in it have the size 0.
fn readelf(tool: &Path, file: &Path) -> Vec<Shown> {
    let line = Regex::new(
        r"^\s*\[\s*\d+\] (.*?)\s+([A-Z][A-Za-z0-9_+: ]*?)\s+[0-9a-f]{8,16} ([0-9a-f]+) ([0-9a-f]+) [0-9a-f]{2} +([A-Za-z]*) ",
    )
    .unwrap();
    let text = output(tool, Path::new("/"), &["-SW", file.to_str().unwrap()]);
    let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let shown = text.lines().filter_map(|text| line.captures(text));
    shown
        .filter(|found| &found[2] != "NULL")
        .map(|found| Shown {
            name: found[1].to_owned(),
            offset: number(&found[3]),
            size: if &found[2] == "NOBITS" {
                0
            } else {
                number(&found[4])
            },
            allocated: found[5].contains('A'),
        })
        .collect()
}

/// Object files that are hard in one way or another.
fn objects(world: &World) -> Option<Vec<PathBuf>> {
    let (gcc, objcopy) = (peer("gcc")?, peer("objcopy")?);
    world.write(
        "repeated.s",
        "\t.section .same,\"a\",@progbits,unique,1\n\t.ascii \"one\"\n\
         \t.section .same,\"a\",@progbits,unique,2\n\t.ascii \"number two\"\n\
         \t.section .same,\"a\",@progbits,unique,3\n\t.ascii \"3\"\n\
         \t.section \"a/b\",\"a\",@progbits\n\t.ascii \"slash\"\n\
         \t.bss\n\t.skip 5000\n",
    );
    output(
        &gcc,
        world.path(),
        &["-c", "repeated.s", "-o", "repeated.o"],
    );
    world.write("debug.c", "int main(void) { return 0; }\n");
    output(
        &gcc,
        world.path(),
        &["-g", "-gz=zlib", "-c", "debug.c", "-o", "debug.o"],
    );
    world.write("data", "some bytes of no meaning");
    for target in ["elf32-big", "elf32-little", "elf64-big"] {
        let arguments = ["-I", "binary", "-O", target, "data", target];
        output(&objcopy, world.path(), &arguments);
    }
    let names = [
        "repeated.o",
        "debug.o",
        "elf32-big",
        "elf32-little",
        "elf64-big",
    ];
    Some(names.iter().map(|name| world.path().join(name)).collect())
}

#[test]
fn sections_are_those_that_readelf_shows() {
    let (Some(tool), Some(objcopy), Some(peers), Some((directory, _))) = (
        peer("readelf"),
        peer("objcopy"),
        fetched(),
        fetched_modules(),
    ) else {
        return;
    };
    let world = World::new();
    let Some(mut files) = objects(&world) else {
        return;
    };
    files.push("/bin/true".into());
    files.push(std::env::current_exe().unwrap());
    for name in [
        "usr/bin/containerd",
        "bin/busybox",
        "lib/ld-linux-aarch64.so.1",
    ] {
        files.push(peers.join("arm64").join(name));
    }
    for name in ["kernel/drivers/net/virtio_net.ko", "kernel/fs/xfs/xfs.ko"] {
        files.push(directory.join(name));
    }
    let mut copied = 0;
    for file in &files {
        let shown = readelf(&tool, file);
        let bytes = fs::read(file).unwrap();
        let elf = Sections::open(
            std::sync::Arc::new(Bytes::new(bytes.clone())),
            &Limits::default(),
        )
        .unwrap();
        let ours: Vec<Shown> = elf
            .sections()
            .iter()
            .map(|section| Shown {
                name: section.label.clone(),
                offset: section.start,
                size: section.size,
                allocated: section.flags & 2 != 0,
            })
            .collect();
        assert!(shown.len() >= 4, "{}: {shown:?}", file.display());
        assert_eq!(ours, shown, "{}", file.display());
        let entries = elf.entries().unwrap();
        for (entry, section) in entries.iter().zip(&shown) {
            assert_eq!(elf.lookup(&entry.path).unwrap().as_ref(), Some(entry));
            let content = elf.open(entry).unwrap().up_to(0, usize::MAX).unwrap();
            let begin = usize::try_from(section.offset).unwrap();
            let end = begin + usize::try_from(section.size).unwrap();
            let whole = if section.size == 0 {
                &[][..]
            } else {
                &bytes[begin..end]
            };
            assert!(*content == *whole, "{}: {}", file.display(), entry.path);
        }
        // What objcopy takes out, for the sections that it can take out by name.
        let single = |section: &&Shown| {
            let same = shown
                .iter()
                .filter(|other| other.name == section.name)
                .count();
            section.allocated && section.size > 0 && same == 1 && !section.name.contains('/')
        };
        let native = ["/bin/true", "repeated.o", "debug.o"]
            .iter()
            .any(|name| file.ends_with(name));
        for section in shown.iter().filter(single).filter(|_| native) {
            let only = format!("--only-section={}", section.name);
            let to = world.path().join("taken");
            let (from, to) = (file.to_str().unwrap(), to.to_str().unwrap());
            output(&objcopy, Path::new("/"), &["-O", "binary", &only, from, to]);
            let entry = elf.lookup(&section.name).unwrap().unwrap();
            let content = elf.open(&entry).unwrap().up_to(0, usize::MAX).unwrap();
            assert!(
                fs::read(to).unwrap() == *content,
                "{}: {}",
                file.display(),
                section.name
            );
            copied += 1;
        }
    }
    assert!(copied > 10, "{copied} sections were taken out");
}

#[test]
fn an_address_leads_to_a_section_and_a_walk_does_not() {
    let (Some(tools), Some((directory, _)), Some(zstd)) =
        (Tools::find(), fetched_modules(), peer("zstd"))
    else {
        return;
    };
    let world = World::new();
    let Some(_) = objects(&world) else { return };
    let root = world.path().join("root");
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    fs::copy("/bin/true", root.join("usr/bin/true")).unwrap();
    let module = fs::read(directory.join("kernel/drivers/net/virtio_net.ko")).unwrap();
    fs::write(
        root.join("usr/m.ko.zst"),
        pipe(&zstd, world.path(), &["-q", "-c"], &module),
    )
    .unwrap();
    initramfs(
        &tools,
        world.path(),
        &root,
        &[("spin", "v1", Image::Full)],
        Pack::Zstd,
    );

    let cat = |address: &str| world.tdg(&["cat", address]);
    let ran = cat("initramfs!/rootfs.sqsh!/usr/bin/true!/.interp");
    assert!(
        ran.code == 0 && ran.stdout.starts_with("/lib"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    let ran = cat("initramfs!/rootfs.sqsh!/usr/m.ko.zst!/.modinfo");
    assert!(
        ran.stdout.split('\0').any(|text| text == "license=GPL"),
        "{}",
        ran.stdout
    );
    assert_eq!(cat("repeated.o!/.same#2").stdout, "number two");
    assert_eq!(cat("repeated.o!/a_b").stdout, "slash");
    let ran = cat("repeated.o!/.bss");
    assert_eq!((ran.code, ran.stdout.as_str()), (0, ""));
    let ran = cat("repeated.o!/.nowhere");
    assert!(
        ran.code == 4 && ran.stderr.contains(".same#3"),
        "{}",
        ran.stderr
    );

    for tree in [
        ["tree", "initramfs"],
        ["tree", "repeated.o"],
        ["tree", "root"],
    ] {
        let ran = world.tdg(&tree);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
        assert!(
            !ran.stdout.contains(".same") && !ran.stdout.contains(".interp"),
            "{}",
            ran.stdout
        );
    }
    // A program is listed as what it is, its sections where they are asked for.
    let list = |arguments: &[&str]| world.tdg(&[&["ls"], arguments].concat()).stdout;
    assert_eq!(
        list(&["initramfs!/rootfs.sqsh!/usr/bin/true"])
            .lines()
            .count(),
        1
    );
    for arguments in [&["repeated.o!/*"][..], &["-R", "repeated.o"]] {
        let lines = list(arguments);
        assert!(lines.lines().any(|line| line == ".same#3"), "{lines}");
    }
    // Nor is a program an image whose files could be looked at.
    let report = world.run(
        "
spec: sections
checks:
  - name: error a program holds no programs
    elf: '**'
    in: repeated.o
    expect: { count: 0 }
  - name: pass a section is a file of its own
    file: .same
    in: repeated.o
    expect: { present: true, text: one }
",
    );
    report.as_named();
}
