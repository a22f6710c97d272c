//! ISO images that boot, seen through `tdg` and by the tools that made them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use tdg::format::iso::Iso;
use tdg::format::{Bytes, Limits};

use crate::images::facts;
use crate::peers::{output, peer};
use crate::readers::isos::{compare, run, xorriso};
use crate::world::World;

/// Bytes of the EFI image.
const EFI: usize = 3 << 20;

/// A PE file for a machine, as small as firmware and readers take it.
fn program(machine: u16) -> Vec<u8> {
    let mut bytes = vec![0; 0x200];
    bytes[..2].copy_from_slice(b"MZ");
    bytes[0x3c] = 0x40;
    bytes[0x40..0x44].copy_from_slice(b"PE\0\0");
    bytes[0x44..0x46].copy_from_slice(&machine.to_le_bytes());
    bytes
}

/// Fills `root` with the files of an image, and makes `efi.img` beside it, a FAT file system with
/// the boot program; `None` where a tool is missing.
fn sources(world: &World) -> Option<()> {
    let (mkfs, mcopy) = (peer("mkfs.vfat")?, peer("mcopy")?);
    world.write("root/boot/vmlinuz", [7; 100_001]);
    world.write("root/boot/initramfs.xz", [9; 5000]);
    world.write("root/EFI/BOOT/BOOTAA64.EFI", program(0xaa64));
    world.write("root/.disk/info", "an image of a test\n");
    std::os::unix::fs::symlink("boot/vmlinuz", world.path().join("root/kernel")).unwrap();
    let isolinux = Path::new("/usr/lib/ISOLINUX/isolinux.bin");
    if isolinux.is_file() {
        world.write("root/isolinux/isolinux.bin", fs::read(isolinux).unwrap());
    } else {
        peer("isolinux.bin")?;
    }
    world.write("parts/EFI/BOOT/BOOTAA64.EFI", program(0xaa64));
    world.write("parts/EFI/Linux/Talos.efi", vec![3; 300_000]);
    let file = fs::File::create(world.path().join("efi.img")).unwrap();
    file.set_len(EFI as u64).unwrap();
    output(&mkfs, world.path(), &["-n", "EFIBOOT", "efi.img"]);
    output(
        &mcopy,
        world.path(),
        &["-s", "-i", "efi.img", "parts/EFI", "::"],
    );
    Some(())
}

/// The ways in which distributions write images that boot, and what makes them different.
const WAYS: [(&str, &[&str]); 5] = [
    // Talos on arm64, GRUB: the EFI image is appended, and a partition of either table.
    (
        "appended-mbr",
        &[
            "-append_partition",
            "2",
            "0xef",
            "efi.img",
            "-e",
            "--interval:appended_partition_2:all::",
            "-no-emul-boot",
        ],
    ),
    (
        "appended-gpt",
        &[
            "-append_partition",
            "2",
            "0xef",
            "efi.img",
            "-appended_part_as_gpt",
            "-e",
            "--interval:appended_partition_2:all::",
            "-no-emul-boot",
            "-J",
        ],
    ),
    // The EFI image is a file.
    ("file", &["-graft", "-e", "efi.img", "-no-emul-boot"]),
    // For a BIOS and for UEFI, from a disc and from a stick.
    (
        "hybrid",
        &[
            "-graft",
            "-b",
            "isolinux/isolinux.bin",
            "-c",
            "isolinux/boot.cat",
            "-no-emul-boot",
            "-boot-load-size",
            "4",
            "-boot-info-table",
            "-eltorito-alt-boot",
            "-e",
            "efi.img",
            "-no-emul-boot",
            "-isohybrid-mbr",
            "/usr/lib/ISOLINUX/isohdpfx.bin",
            "-isohybrid-gpt-basdat",
        ],
    ),
    // The same, appended and in front, with a tree for the partition as well.
    (
        "both",
        &[
            "-b",
            "isolinux/isolinux.bin",
            "-no-emul-boot",
            "-boot-load-size",
            "4",
            "-boot-info-table",
            "-eltorito-alt-boot",
            "-append_partition",
            "2",
            "0xef",
            "efi.img",
            "-e",
            "--interval:appended_partition_2:all::",
            "-no-emul-boot",
            "-isohybrid-mbr",
            "/usr/lib/ISOLINUX/isohdpfx.bin",
            "-partition_offset",
            "16",
        ],
    ),
];

/// Writes an image in one of the ways.
fn write(world: &World, name: &str) -> Option<Vec<u8>> {
    let (_, way) = WAYS.iter().find(|(known, _)| *known == name).unwrap();
    let file = world.path().join("root/efi.img");
    let _ = fs::remove_file(&file);
    if way.contains(&"-graft") {
        fs::copy(world.path().join("efi.img"), file).unwrap();
    }
    let way: Vec<_> = way.iter().filter(|o| **o != "-graft").copied().collect();
    let options = [
        &["-R", "-V", "TALOS", "-sysid", "LINUX", "-A", "IT"],
        &way[..],
    ]
    .concat();
    let image = xorriso(world.path(), &format!("{name}.iso"), &options, "root")?;
    Some(fs::read(image).unwrap())
}

/// What xorriso says of an image, the rows of its tables by their first words.
fn reports(world: &World, name: &str) -> Option<Vec<String>> {
    let options = [
        "-indev",
        name,
        "-report_el_torito",
        "plain",
        "-report_system_area",
        "plain",
    ];
    let said = run(&peer("xorriso")?, world.path(), &options);
    Some(said.lines().map(str::to_owned).collect())
}

fn rows<'a>(report: &'a [String], title: &str) -> Vec<Vec<&'a str>> {
    let rows = report.iter().filter_map(|line| {
        let (start, rest) = line.split_once(':')?;
        let numbers = rest.split_whitespace().next()?.parse::<u32>().is_ok();
        (start.trim() == title && numbers).then(|| rest.split_whitespace().collect())
    });
    rows.collect()
}

#[test]
fn an_image_that_boots_is_seen_as_the_tools_that_made_it_see_it() {
    let world = World::new();
    let Some(()) = sources(&world) else { return };
    for (way, _) in WAYS {
        let Some(bytes) = write(&world, way) else {
            return;
        };
        let file = format!("{way}.iso");
        let report = reports(&world, &file).unwrap();
        let iso = Iso::open(Arc::new(Bytes::new(bytes.clone())), &Limits::default()).unwrap();

        // The catalogue, number by number.
        let images = &iso.catalogue().unwrap().unwrap().images;
        let catalogue = iso.catalogue().unwrap().unwrap();
        assert_eq!(catalogue.problem, None, "{way}");
        let wanted = rows(&report, "El Torito boot img");
        assert_eq!(images.len(), wanted.len(), "{way}: {report:#?}");
        for (image, row) in images.iter().zip(wanted) {
            let [_, platform, bootable, emulation, .., sectors, block] = row[..] else {
                panic!("{row:?}")
            };
            let platform = if platform == "UEFI" { "efi" } else { "bios" };
            assert_eq!(image.platform_name(), platform, "{way}");
            assert_eq!(image.bootable, bootable == "y", "{way}");
            assert_eq!(image.emulation.name(), emulation, "{way}");
            assert_eq!(image.load, sectors.parse::<u64>().unwrap() * 512, "{way}");
            assert_eq!(image.start, block.parse::<u64>().unwrap() * 2048, "{way}");
        }
        let files: BTreeMap<_, _> = rows(&report, "El Torito img path")
            .into_iter()
            .map(|row| (row[0].parse::<usize>().unwrap() - 1, row[1].to_owned()))
            .collect();
        for part in iso.parts().unwrap() {
            let Some(image) = part.image else { continue };
            let path = files.get(&image).map(|path| path.trim_start_matches('/'));
            let own = format!(".boot/{}", part.name);
            assert_eq!(part.path, path.unwrap_or(&own), "{way}");
        }

        // The partitions, sector by sector.
        let gpt = rows(&report, "GPT start and size");
        let mbr = rows(&report, "MBR partition");
        let (kind, wanted) = if gpt.is_empty() {
            ("mbr", mbr)
        } else {
            ("gpt", gpt)
        };
        let table = iso.table().unwrap();
        assert_eq!(
            table.map_or("mbr", |table| table.kind.name()),
            kind,
            "{way}"
        );
        let listed = table.map_or(&[][..], |table| &table.partitions);
        assert_eq!(listed.len(), wanted.len(), "{way}");
        for (partition, row) in listed.iter().zip(wanted) {
            let numbers: Vec<u64> = row
                .iter()
                .rev()
                .take(2)
                .map(|n| n.parse().unwrap())
                .collect();
            assert_eq!(partition.number.to_string(), row[0], "{way}");
            assert_eq!(
                [partition.size, partition.start],
                [numbers[0] * 512, numbers[1] * 512],
                "{way}"
            );
        }

        // The files, against the source and against what xorriso takes out. It writes a table
        // into the BIOS's boot program, so that one differs from its source.
        let root = world.path().join("root");
        let options = ["-osirrox", "on", "-indev", &file, "-extract", "/", way];
        run(&peer("xorriso").unwrap(), world.path(), &options);
        let taken = world.path().join(way);
        let patched = "isolinux/isolinux.bin";
        let program = fs::File::options()
            .write(true)
            .open(root.join(patched))
            .unwrap();
        let time = program.metadata().unwrap().modified().unwrap();
        fs::copy(taken.join(patched), root.join(patched)).unwrap();
        program.set_modified(time).unwrap();
        let extra = compare(&iso, &root);
        let own = |path: &String| {
            path.starts_with(".boot") || path.ends_with(".cat") || path == "boot.catalog"
        };
        assert!(extra.iter().all(own), "{way}: {extra:?}");
        for (path, fact) in facts(&root) {
            let Some(content) = fact.content else {
                continue;
            };
            assert!(
                fs::read(taken.join(&path)).unwrap() == content,
                "{way}: {path}"
            );
        }

        // The EFI image, byte by byte, and what is in it.
        let cat = |path: &str| {
            let address = format!("{file}!/{path}");
            let cat = world.command(&["cat", &address]).output().unwrap();
            assert!(
                cat.status.success(),
                "{address}: {}",
                String::from_utf8_lossy(&cat.stderr)
            );
            cat.stdout
        };
        assert!(
            cat(".boot/efi.img") == fs::read(world.path().join("efi.img")).unwrap(),
            "{way}"
        );
        for path in ["EFI/BOOT/BOOTAA64.EFI", "EFI/Linux/Talos.efi"] {
            let source = fs::read(world.path().join("parts").join(path)).unwrap();
            assert!(
                cat(&format!(".boot/efi.img!/{path}")) == source,
                "{way}: {path}"
            );
        }
        let tree = world.tdg(&["tree", &file]);
        assert_eq!(
            (tree.code, tree.stderr.as_str()),
            (0, ""),
            "{way}: {}",
            tree.stdout
        );
        let once = tree.stdout.matches("    EFI/Linux/Talos.efi").count();
        assert_eq!(once, 1, "{way}: {}", tree.stdout);
    }
}

#[test]
fn the_kind_iso_sees_who_can_boot() {
    let world = World::new();
    let Some(()) = sources(&world) else { return };
    let efi = "platform: efi, bootable: true, emulation: none, size: 3 MiB, file-system: fat12, boots: [arm64]";
    let bios = "platform: bios, bootable: true, path: isolinux/isolinux.bin, load-size: 2048, boots: { len: 0 }";
    let expected = [
        (
            "appended-mbr",
            format!(
                "table: mbr, boot: {{ len: 1, every: {{ {efi}, path: '.boot/efi.img' }} }}, hybrid: true, boots-usb: [arm64], joliet: false"
            ),
        ),
        (
            "appended-gpt",
            format!(
                "table: gpt, boot: {{ every: {{ {efi}, load-size: 3 MiB }} }}, hybrid: true, boots-usb: [arm64], partitions: {{ any: {{ name: Appended2, type: efi-system, file-system: fat12, file-system-label: EFIBOOT }} }}, joliet: true"
            ),
        ),
        (
            "file",
            format!(
                "table: none, boot: {{ every: {{ {efi}, path: efi.img }} }}, hybrid: false, boots-usb: {{ len: 0 }}, partitions: {{ len: 0 }}"
            ),
        ),
        (
            "hybrid",
            format!(
                "table: gpt, boot: {{ len: 2, any: {{ {bios} }} }}, hybrid: true, boots-usb: [arm64]"
            ),
        ),
        (
            "both",
            format!(
                "table: mbr, boot: {{ len: 2, any: {{ {efi} }} }}, hybrid: true, boots-usb: [arm64]"
            ),
        ),
    ];
    let common = "volume-id: TALOS, system-id: LINUX, application-id: IT, preparer-id: { starts-with: XORRISO }, created: { starts-with: '20' }, names: rock-ridge, rock-ridge: true, catalogue: sound, boots: [arm64], boots-cd: [arm64], count: { ge: 12 }";
    for (way, own) in expected {
        let Some(_) = write(&world, way) else { return };
        let report = world.run(&format!(
            "spec: Images\nsubject: {way}.iso\nchecks:\n  - name: pass\n    iso:\n    expect: {{ {common}, {own} }}\n  - name: fail\n    iso:\n    expect: {{ boots: {{ contain: amd64 }} }}\n  - name: fail again\n    iso:\n    expect: {{ volume-id: OTHER }}\n"
        ));
        report.as_named();
    }
}

#[test]
fn what_no_firmware_would_start_boots_nobody() {
    let world = World::new();
    let Some(()) = sources(&world) else { return };
    let Some(whole) = write(&world, "appended-mbr") else {
        return;
    };
    let iso = Iso::open(Arc::new(Bytes::new(whole.clone())), &Limits::default()).unwrap();
    let catalogue = usize::try_from(iso.catalogue().unwrap().unwrap().at).unwrap();
    let efi = usize::try_from(iso.parts().unwrap()[0].start).unwrap();
    let check = |name: &str, bytes: &[u8], expect: &str, verdict: &str| {
        world.write("it.iso", bytes);
        let spec = format!(
            "spec: It\nchecks:\n  - name: it\n    iso:\n    in: it.iso\n    expect: {{ {expect} }}\n"
        );
        let report = world.run(&spec);
        assert_eq!(
            report.verdict("it"),
            verdict,
            "{name}: {}",
            report.why("it")
        );
        report.why("it")
    };
    let with = |at: usize, bytes: &[u8]| {
        let mut changed = whole.clone();
        changed[at..at + bytes.len()].copy_from_slice(bytes);
        changed
    };
    let nobody = "boots-cd: { len: 0 }, boots-usb: [arm64]";
    // The sum of the validation entry, its key, the platform, the sign that it is bootable.
    check(
        "sum",
        &with(catalogue + 28, &[1]),
        &format!("catalogue: broken, catalogue-problem: {{ contain: add up }}, {nobody}"),
        "pass",
    );
    check(
        "key",
        &with(catalogue + 30, &[0]),
        &format!("catalogue: broken, catalogue-problem: {{ contain: 55 aa }}, {nobody}"),
        "pass",
    );
    check(
        "sign",
        &with(catalogue + 32, &[0]),
        &format!("catalogue: sound, boot: {{ every: {{ bootable: false }} }}, {nobody}"),
        "pass",
    );
    check(
        "emulation",
        &with(catalogue + 33, &[2]),
        &format!("boot: {{ every: {{ emulation: floppy }} }}, {nobody}"),
        "pass",
    );
    check(
        "platform",
        &with(catalogue + 1, &[1]),
        "catalogue: broken, boot: { every: { platform: ppc } }, boots-cd: { len: 0 }",
        "pass",
    );
    // A size of nothing or of one sector stands for everything.
    for sectors in [[0, 0], [1, 0]] {
        check(
            "sectors",
            &with(catalogue + 38, &sectors),
            "boot: { every: { size: 3 MiB, load-size: { le: 512 }, boots: [arm64] } }, boots-cd: [arm64]",
            "pass",
        );
    }
    // No partition: what is on the disc is the same, a stick does not start.
    check(
        "no table",
        &with(446, &[0; 66]),
        "table: none, hybrid: false, boots-usb: { len: 0 }, boots-cd: [arm64], boot: { every: { size: 3 MiB, path: '.boot/efi.img' } }",
        "pass",
    );
    // No file system in the image.
    let nothing = with(efi, &vec![0; EFI]);
    check(
        "no FAT",
        &nothing,
        "boots: { len: 0 }, boot: { every: { file-system: { absent: true } } }",
        "pass",
    );
    check("no FAT", &nothing, "boots: [arm64]", "fail");
    // What cannot be seen is an error, never a finding.
    let said = check(
        "no catalogue",
        &with(17 * 2048 + 71, &[0xff; 4]),
        "volume-id: TALOS",
        "error",
    );
    assert!(said.contains("boot catalogue"), "{said}");
    let said = check("cut", &whole[..efi + 1000], "volume-id: TALOS", "error");
    assert!(said.contains("cut short"), "{said}");
    let said = check("volume", &whole[..100_000], "volume-id: TALOS", "error");
    assert!(said.contains("the volume has"), "{said}");
    check(
        "no root",
        &with(16 * 2048 + 158, &[0xff, 0xff, 0, 0]),
        "volume-id: TALOS",
        "error",
    );
    check("no ISO", &whole[..32768], "volume-id: TALOS", "error");
    check(
        "a broken FAT",
        &with(efi + 22, &[1, 0]),
        "boots: [arm64]",
        "error",
    );
}

#[test]
fn a_compressed_image_on_a_disk_is_entered_by_address() {
    let world = World::new();
    let Some(()) = sources(&world) else { return };
    let (Some(_), Some(zstd)) = (write(&world, "appended-gpt"), peer("zstd")) else {
        return;
    };
    output(&zstd, world.path(), &["-q", "appended-gpt.iso"]);
    let address = "appended-gpt.iso.zst!/.boot/efi.img!/EFI/BOOT/BOOTAA64.EFI";
    let cat = world.command(&["cat", address]).output().unwrap();
    assert!(
        cat.stdout == program(0xaa64),
        "{}",
        String::from_utf8_lossy(&cat.stderr)
    );
    let ran = world.tdg(&["ls", "appended-gpt.iso!/.boot"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "Gap1\nefi.img\n"));
    // A folder of that name in the image itself keeps it.
    world.write("root/.boot/own", "own");
    let Some(_) = write(&world, "appended-mbr") else {
        return;
    };
    let ran = world.tdg(&["cat", "appended-mbr.iso!/.boot/own"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (0, "own"));
    let address = "appended-mbr.iso!/.boot#2/efi.img!/EFI/BOOT/BOOTAA64.EFI";
    let cat = world.command(&["cat", address]).output().unwrap();
    assert!(
        cat.stdout == program(0xaa64),
        "{}",
        String::from_utf8_lossy(&cat.stderr)
    );
}

#[test]
fn an_image_made_hybrid_afterwards_is_one() {
    let world = World::new();
    let Some(()) = sources(&world) else { return };
    let Some(isohybrid) = peer("isohybrid") else {
        return;
    };
    fs::copy(
        world.path().join("efi.img"),
        world.path().join("root/efi.img"),
    )
    .unwrap();
    let options = [
        "-R",
        "-V",
        "TALOS",
        "-b",
        "isolinux/isolinux.bin",
        "-no-emul-boot",
        "-boot-load-size",
        "4",
        "-boot-info-table",
        "-eltorito-alt-boot",
        "-e",
        "efi.img",
        "-no-emul-boot",
    ];
    let Some(_) = xorriso(world.path(), "it.iso", &options, "root") else {
        return;
    };
    let spec = |expect: &str| {
        format!(
            "spec: It\nchecks:\n  - name: it\n    iso:\n    in: it.iso\n    expect: {{ {expect} }}\n"
        )
    };
    let report = world.run(&spec("table: none, hybrid: false, boots-cd: [arm64]"));
    assert_eq!(report.verdict("it"), "pass", "{}", report.why("it"));
    output(&isohybrid, world.path(), &["--uefi", "it.iso"]);
    let report = world.run(&spec(
        "table: { one-of: [gpt, mbr] }, hybrid: true, boots-cd: [arm64], boots-usb: [arm64]",
    ));
    assert_eq!(report.verdict("it"), "pass", "{}", report.why("it"));
}
