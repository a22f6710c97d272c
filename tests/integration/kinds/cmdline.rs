//! The kind `cmdline`: every place where a command line is written, and the faults that it is for.

use std::fs;
use std::path::Path;

use crate::peers::{output, peer};
use crate::uki::{Maker, section};
use crate::world::World;

/// What Talos 1.13 puts on the command line of a machine without anything special.
const TALOS: &str = "talos.platform=metal console=ttyAMA0 console=tty0 init_on_alloc=1 slab_nomerge pti=on consoleblank=0 nvme_core.io_timeout=4294967295 printk.devkmsg=on selinux=1 module.sig_enforce=1 proc_mem.force_override=never";

/// Writes a spec of checks, each `name: …, cmdline: …, in: …, expect: …`, and holds them to the first
/// words of their names.
fn hold(world: &World, checks: &[&str]) -> crate::world::Report {
    let checks: String = checks
        .iter()
        .map(|check| format!("  - {{ {check} }}\n"))
        .collect();
    let report = world.run(&format!("spec: cmdline\nchecks:\n{checks}"));
    report.as_named();
    report
}

#[test]
fn what_people_want_of_a_command_line_can_be_said_as_they_would_say_it() {
    let world = World::new();
    world.write("cmdline-metal-arm64", format!("{TALOS}\n"));
    world.write(
        "odd",
        "a=1 init-on-alloc=1 \"b=x y\" c=\"p q\" a=2 quiet -- single d=\"e f\"",
    );
    hold(
        &world,
        &[
            "name: pass has, cmdline: , in: cmdline-metal-arm64, expect: { args: { contain: [console=ttyAMA0, slab_nomerge] } }",
            "name: pass has not, cmdline: , in: cmdline-metal-arm64, expect: { args: { none: { starts-with: debug } }, values: { debug: null, init: { absent: true } } }",
            "name: pass values, cmdline: , in: cmdline-metal-arm64, expect: { values: { talos.platform: metal, console: tty0, init_on_alloc: 1, slab_nomerge: true, nvme_core.io_timeout: 4294967295, selinux: { one-of: [1, 0] } } }",
            "name: pass all values, cmdline: , in: cmdline-metal-arm64, expect: { all: { console: [ttyAMA0, tty0], pti: { contain-only: [on] } } }",
            "name: pass keys, cmdline: , in: cmdline-metal-arm64, expect: { values: { contain: [talos.platform, pti], len: { ge: 10 } }, format: text, source: '', too-long: false, length: { lt: 2048 } }",
            "name: pass all of Talos, cmdline: { talos: 1.13 }, in: cmdline-metal-arm64, expect: { missing: { len: 0 }, conflicting: { len: 0 }, stops-boot: { len: 0 } }",
            "name: pass of an older Talos, cmdline: { talos: v1.10.9 }, in: cmdline-metal-arm64, expect: { missing: { contain-only: [ima_template, ima_appraise, ima_hash] }, stops-boot: { len: 0 } }",
            "name: pass spellings and quotes, cmdline: , in: odd, expect: { values: { init_on_alloc: 1, init-on-alloc: 1, b: x y, c: p q, a: 2, quiet: { equals: true } }, args: [a=1, init-on-alloc=1, '\"b=x y\"', 'c=\"p q\"', a=2, quiet], quoted: { len: 2 }, open-quote: false }",
            "name: pass init, cmdline: , in: odd, expect: { init-args: [single, d=e f], values: { single: null } }",
            "name: pass duplicates, cmdline: , in: odd, expect: { duplicates: [{ name: a, values: [1, 2], counts: last }] }",
            "name: pass another's value, id: one, cmdline: , in: cmdline-metal-arm64, expect: { values: { talos.platform: { starts-with: met } } }",
            "name: pass the same value, cmdline: , in: cmdline-metal-arm64, expect: { values: { talos.platform: { same-as: one.values.talos.platform } }, all: { console: { same-as: one.all.console } } }",
            "name: fail a value, cmdline: , in: cmdline-metal-arm64, expect: { values: { talos.platform: aws } }",
            "name: fail what is not there, cmdline: , in: cmdline-metal-arm64, expect: { values: { talos.config: { starts-with: http } } }",
            "name: fail what is there, cmdline: , in: cmdline-metal-arm64, expect: { values: { pti: null } }",
            "name: fail another's, cmdline: , in: odd, expect: { values: { a: { same-as: one.values.talos.platform } } }",
            "name: fail nothing was held against Talos, cmdline: , in: cmdline-metal-arm64, expect: { missing: { len: 0 } }",
            "name: error nothing there, cmdline: , in: nowhere, expect: { length: 1 }",
        ],
    );
    let report = world.run_with(
        "
spec: lists
vars: { extra: [slab_nomerge, pti=on], more: [pti=off] }
subject: cmdline-metal-arm64
checks:
  - name: pass a list from elsewhere
    cmdline:
    expect: { args: { contain: '${{ vars.extra }}' } }
  - name: fail a list from elsewhere
    cmdline:
    expect: { args: { contain: '${{ vars.more }}' } }
",
        &[],
    );
    report.as_named();
}

#[test]
fn wrong_specs_are_told_before_anything_runs() {
    let world = World::new();
    for (check, said) in [
        ("cmdline: { talos: 1.99 }", "1.0 to 1.14"),
        ("cmdline: { talos: metal }", "no version of Talos"),
        ("cmdline: { format: lilo }", "not a value this can have"),
        ("cmdline: { profile: x }", "unknown key `profile`"),
    ] {
        world.write(
            "specs/it.yaml",
            format!("spec: it\nchecks:\n  - name: it\n    {check}\n    in: x\n    expect: {{ length: 1 }}\n"),
        );
        let ran = world.tdg(&["run"]);
        assert_eq!(ran.code, 3, "{check}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{check}: {}", ran.stderr);
    }
}

const GRUB: &str = "set timeout=3\nmenuentry \"A - Talos v1.13.6\" {\n  set gfxmode=auto\n  linux /A/vmlinuz talos.platform=metal console=ttyS0 \\\n    pti=on\n  initrd /A/initramfs.xz\n}\nmenuentry \"Reset Talos installation and return to maintenance mode\" --id reset {\n  linux /A/vmlinuz talos.platform=metal talos.experimental.wipe=system:EPHEMERAL,STATE root=$root\n}\n";

#[test]
fn files_of_boot_loaders_give_their_entries() {
    let world = World::new();
    world.write("grub.cfg", GRUB);
    world.write("boot.ipxe", "#!ipxe\n\nimgfree\nkernel https://factory/${arch}/kernel-arm64 talos.platform=metal slab_nomerge \\\n  talos.hostname=${hostname} # comment\ninitrd https://factory/initramfs-arm64.xz\nboot\n");
    world.write("loader/entries/talos.conf", "title Talos\nversion 1.13.6\nlinux /vmlinuz\noptions talos.platform=metal\noptions quiet\n");
    world.write("isolinux.cfg", "default a\nappend for=all\nlabel a\n menu label ^Install\n kernel /linux\n append talos.platform=metal --- quiet\nlabel b\n linux /linux\n");
    world.write("lines", "a=1\nb=2\n");
    let report = hold(
        &world,
        &[
            "name: pass grub by title, cmdline: A - Talos v1.13.6, in: grub.cfg, expect: { format: grub, args: [talos.platform=metal, console=ttyS0, pti=on], entries: { len: 2, any: { number: 1, line: 9, kernel: /A/vmlinuz, id: reset } }, variables: { len: 0 } }",
            "name: pass grub by glob, cmdline: 'Reset*', in: grub.cfg, expect: { values: { talos.experimental.wipe: { contain: STATE } }, variables: [$root] }",
            "name: pass grub by id, cmdline: reset, in: grub.cfg, expect: { title: { starts-with: Reset } }",
            "name: pass grub by number, cmdline: 0, in: grub.cfg, expect: { title: { starts-with: A } }",
            "name: pass ipxe, cmdline: , in: boot.ipxe, expect: { format: ipxe, args: [talos.platform=metal, slab_nomerge, 'talos.hostname=${hostname}'], variables: ['${hostname}'] }",
            "name: pass ipxe stops Talos, cmdline: { talos: 1.13 }, in: boot.ipxe, expect: { stops-boot: [pti] }",
            "name: pass loader entry, cmdline: , in: loader/entries/talos.conf, expect: { format: loader-entry, title: Talos, text: talos.platform=metal quiet }",
            "name: pass syslinux, cmdline: Install, in: isolinux.cfg, expect: { format: syslinux, args: { contain: '---' }, values: { quiet: true } }",
            "name: pass syslinux for all, cmdline: b, in: isolinux.cfg, expect: { text: for=all }",
            "name: pass several lines when told so, cmdline: { format: text }, in: lines, expect: { args: [a=1, b=2] }",
            "name: fail a value, cmdline: reset, in: grub.cfg, expect: { values: { talos.platform: aws } }",
            "name: error no choice, cmdline: , in: grub.cfg, expect: { length: { ge: 1 } }",
            "name: error no such entry, cmdline: B, in: grub.cfg, expect: { length: { ge: 1 } }",
            "name: error a glob over two, cmdline: '*', in: grub.cfg, expect: { length: { ge: 1 } }",
            "name: error several lines, cmdline: , in: lines, expect: { length: { ge: 1 } }",
            "name: error another format, cmdline: { format: uki }, in: lines, expect: { length: { ge: 1 } }",
        ],
    );
    for check in ["error no choice", "error no such entry"] {
        let why = report.why(check);
        assert!(why.contains("0 (A - Talos v1.13.6), 1 (Reset"), "{why}");
    }
    assert!(report.why("error several lines").contains("format: text"));
}

#[test]
fn the_menus_that_debian_ships_are_read() {
    let folder = Path::new("/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64");
    let arm64 = Path::new(
        "/usr/lib/debian-installer/images/12/arm64/text/debian-installer/arm64/grub/grub.cfg",
    );
    if !folder.exists() || !arm64.exists() {
        let strict = std::env::var_os("TDG_STRICT").is_some_and(|value| value == "1");
        assert!(
            !strict,
            "Debian's installers are missing and TDG_STRICT is 1"
        );
        return;
    }
    let world = World::new();
    for (name, config) in [
        ("grub.cfg", folder.join("grub/grub.cfg")),
        ("arm64.cfg", arm64.to_owned()),
        ("txt.cfg", folder.join("boot-screens/txt.cfg")),
    ] {
        let text = fs::read_to_string(&config).unwrap();
        // As many as a plain search sees; none of these files has a command line of two lines.
        let count = text
            .lines()
            .filter(|line| {
                let mut words = line.split_whitespace();
                matches!(words.next(), Some("linux" | "kernel")) && words.next().is_some()
            })
            .count();
        assert!(count > 0, "{name}");
        world.write(name, text);
        hold(
            &world,
            &[&format!(
                "name: pass {name}, cmdline: 0, in: {name}, expect: {{ entries: {{ len: {count}, every: {{ kernel: {{ contain: linux }} }} }}, args: {{ contain: '---' }}, values: {{ quiet: true }} }}"
            )],
        );
    }
}

#[test]
fn each_profile_of_a_uki_has_its_line_and_the_first_is_the_one_without_a_choice() {
    let Some(maker) = Maker::find() else { return };
    let world = World::new();
    let reset = format!("{TALOS} talos.experimental.wipe=system");
    maker.make(
        &world,
        "metal.efi",
        &[
            section(".linux", "k"),
            section(".osrel", "PRETTY_NAME=Talos\n"),
            section(".cmdline", TALOS),
            section(".profile", "ID=main"),
            section(".profile", "ID=reset\nTITLE=Reset it"),
            section(".cmdline", &reset),
            section(".profile", "ID=bare"),
        ],
    );
    maker.make(&world, "none.efi", &[section(".linux", "k")]);
    maker.make(
        &world,
        "second.efi",
        &[
            section(".linux", "k"),
            section(".profile", "ID=main"),
            section(".profile", "ID=reset"),
            section(".cmdline", TALOS),
        ],
    );
    maker.make(
        &world,
        "nul.efi",
        &[
            section(".linux", "k"),
            section(".cmdline", " a=1\n b=2 \n\0\0junk"),
        ],
    );
    let report = hold(
        &world,
        &[
            "name: pass the first, cmdline: { talos: 1.13.6 }, in: metal.efi, expect: { format: uki, title: Talos, missing: { len: 0 }, values: { talos.experimental.wipe: null }, entries: { len: 3 } }",
            "name: pass by id, cmdline: reset, in: metal.efi, expect: { values: { talos.experimental.wipe: system }, title: Reset it }",
            "name: pass by number, cmdline: '@1', in: metal.efi, expect: { title: Reset it }",
            "name: pass the base's for a profile without one, cmdline: bare, in: metal.efi, expect: { args: { contain: pti=on }, entries: { any: { id: bare, profile: 2 } } }",
            "name: pass as the stub reads it, cmdline: , in: nul.efi, expect: { text: 'a=1  b=2', args: [a=1, b=2] }",
            "name: pass a section alone, cmdline: , in: 'metal.efi!/.cmdline#2', expect: { format: text, values: { talos.experimental.wipe: system } }",
            "name: fail, cmdline: reset, in: metal.efi, expect: { values: { talos.experimental.wipe: null } }",
            "name: error no such profile, cmdline: maintenance, in: metal.efi, expect: { length: 1 }",
            "name: pass the second has one, cmdline: reset, in: second.efi, expect: { values: { pti: on } }",
            "name: error the first has none, cmdline: , in: second.efi, expect: { length: { ge: 1 } }",
            "name: error none at all, cmdline: , in: none.efi, expect: { length: 1 }",
        ],
    );
    assert!(
        report
            .why("error none at all")
            .contains("no kernel command line")
    );
}

/// Each fault shipped once, as an image that a build left behind.
#[test]
fn arguments_that_are_lost_split_overridden_or_out_of_reach_are_seen() {
    let Some(maker) = Maker::find() else { return };
    let world = World::new();
    let uki = |name: &str, line: &str| {
        maker.make(
            &world,
            name,
            &[section(".linux", "k"), section(".cmdline", line)],
        );
    };
    // What the profile's `extraKernelArgs` asked for, in an image that has them.
    let extra = "talos.dashboard.disabled=1 dyndbg=\"file drivers/base/* +p\" console=ttyS2,115200";
    uki("good.efi", &format!("{TALOS} {extra}"));
    // image-factory #357, #376: an image with an overlay has none of them.
    uki("lost.efi", TALOS);
    // The quotes were eaten on the way through a shell or a template.
    uki("split.efi", &format!("{TALOS} {}", extra.replace('"', "")));
    // One quote was: all that follows is a part of the value.
    uki(
        "swallowed.efi",
        &format!("{} {TALOS}", extra.replacen("+p\"", "+p", 1)),
    );
    // A default that comes later overrides them, or, of Talos, earlier.
    uki("overridden.efi", &format!("pti=on {TALOS} {extra} pti=off"));
    uki("first.efi", &format!("talos.platform=aws {TALOS} {extra}"));
    // A boot loader's own ` -- ` stands before them.
    uki("behind.efi", &format!("{TALOS} -- {extra}"));
    // The line is longer than the kernel keeps.
    uki(
        "long.efi",
        &format!("{TALOS} talos.environment={} {extra}", "x".repeat(2000)),
    );
    let wanted = "values: { talos.dashboard.disabled: 1, dyndbg: 'file drivers/base/* +p' }, all: { console: { contain: 'ttyS2,115200' } }";
    let clean = "duplicates: { len: 0 }, init-args: { len: 0 }, too-long: false, open-quote: false, missing: { len: 0 }, conflicting: { len: 0 }";
    let check = |verdict: &str, file: &str, expect: &str| {
        format!(
            "name: {verdict} {file}, cmdline: {{ talos: 1.13 }}, in: {file}, expect: {{ {expect} }}"
        )
    };
    let checks = [
        check("pass", "good.efi", &format!("{wanted}, {clean}")),
        check("fail", "lost.efi", wanted),
        check("fail", "split.efi", wanted),
        check("fail", "swallowed.efi", clean),
        check("fail", "overridden.efi", clean),
        check("fail", "first.efi", clean),
        check("fail", "behind.efi", wanted),
        check("fail", "long.efi", clean),
        "name: pass and the evidence says what it is, cmdline: { talos: 1.13 }, in: overridden.efi, expect: { values: { pti: off }, duplicates: [{ name: pti, values: [on, on, off], counts: last }], conflicting: [{ name: pti, wanted: on, required: true }], stops-boot: [pti] }".to_owned(),
        "name: pass Talos takes the first, cmdline: , in: first.efi, expect: { values: { talos.platform: aws }, duplicates: [{ name: talos.platform, counts: first }] }".to_owned(),
        "name: pass one quote, cmdline: , in: swallowed.efi, expect: { open-quote: true, values: { pti: null } }".to_owned(),
    ];
    let checks: Vec<&str> = checks.iter().map(String::as_str).collect();
    hold(&world, &checks);
}

/// Makes a FAT image of a folder's files.
fn fat(world: &World, name: &str, size: u64, files: &Path) -> Option<()> {
    let (mkfs, mcopy) = (peer("mkfs.vfat")?, peer("mcopy")?);
    fs::File::create(world.path().join(name))
        .unwrap()
        .set_len(size)
        .unwrap();
    output(&mkfs, world.path(), &[name]);
    for entry in fs::read_dir(files).unwrap() {
        let entry = entry.unwrap().path();
        output(
            &mcopy,
            world.path(),
            &["-s", "-i", name, entry.to_str().unwrap(), "::"],
        );
    }
    Some(())
}

#[test]
fn disks_and_folders_are_searched_where_such_files_usually_are() {
    let (Some(maker), Some(sfdisk), Some(mkfs)) =
        (Maker::find(), peer("sfdisk"), peer("mkfs.ext4"))
    else {
        return;
    };
    let world = World::new();
    let esp = world.path().join("esp");
    fs::create_dir_all(esp.join("EFI/Linux")).unwrap();
    fs::create_dir_all(esp.join("EFI/boot")).unwrap();
    let made = maker.make(
        &world,
        "made.efi",
        &[section(".linux", "k"), section(".cmdline", TALOS)],
    );
    fs::rename(made, esp.join("EFI/Linux/Talos-v1.13.6.EFI")).unwrap();
    // A boot manager is no UKI.
    fs::copy(maker.stub(), esp.join("EFI/boot/BOOTAA64.efi")).unwrap();
    let Some(()) = fat(&world, "fat", 8 << 20, &esp) else {
        return;
    };
    let mut disk = vec![0; 16 << 20];
    let bytes = fs::read(world.path().join("fat")).unwrap();
    disk[1 << 20..9 << 20].copy_from_slice(&bytes);
    fs::File::create(world.path().join("ext4"))
        .unwrap()
        .set_len(4 << 20)
        .unwrap();
    output(&mkfs, world.path(), &["-q", "ext4"]);
    disk[10 << 20..14 << 20].copy_from_slice(&fs::read(world.path().join("ext4")).unwrap());
    world.write("metal.raw", disk);
    let table = world.write(
        "table",
        "label: gpt\nstart=2048,size=16384,type=U,name=EFI\nstart=20480,size=8192,name=BOOT\n",
    );
    let script = format!("{} -q metal.raw < {}", sfdisk.display(), table.display());
    output(Path::new("/bin/sh"), world.path(), &["-c", &script]);
    // The same, with a second way to start it.
    let both = world.path().join("both");
    fs::create_dir_all(both.join("boot/grub")).unwrap();
    fs::rename(esp.join("EFI"), both.join("EFI")).unwrap();
    fs::write(both.join("boot/grub/grub.cfg"), GRUB).unwrap();
    std::os::unix::fs::symlink("grub", both.join("boot/grub2")).unwrap();
    fs::create_dir_all(world.path().join("nothing")).unwrap();
    let report = hold(
        &world,
        &[
            "name: pass the only one, cmdline: { talos: 1.13 }, in: metal.raw, expect: { source: EFI/EFI/Linux/Talos-v1.13.6.EFI, missing: { len: 0 }, entries: { len: 1 } }",
            "name: pass a FAT image, cmdline: , in: fat, expect: { values: { talos.platform: metal } }",
            "name: pass a folder, cmdline: reset, in: both, expect: { source: boot/grub/grub.cfg, entries: { len: 3 } }",
            "name: pass by number, cmdline: 0, in: both, expect: { format: uki }",
            "name: fail, cmdline: , in: metal.raw, expect: { values: { talos.platform: aws } }",
            "name: error which, cmdline: , in: both, expect: { length: { ge: 1 } }",
            "name: error nothing, cmdline: , in: nothing, expect: { length: { ge: 1 } }",
        ],
    );
    let why = report.why("error which");
    assert!(
        why.contains("3 kernel command lines") && why.contains("in boot/grub/grub.cfg"),
        "{why}"
    );
    // A file that holds one and cannot be read is never passed over.
    fs::write(both.join("EFI/Linux/broken.efi"), "MZ and no more").unwrap();
    hold(
        &world,
        &["name: error broken, cmdline: reset, in: both, expect: { length: { ge: 1 } }"],
    );
}

#[test]
fn an_iso_is_searched_and_what_firmware_starts_from_it() {
    let (Some(maker), Some(xorriso)) = (Maker::find(), peer("xorriso")) else {
        return;
    };
    let world = World::new();
    let esp = world.path().join("esp");
    fs::create_dir_all(esp.join("EFI/Linux")).unwrap();
    let line = format!("{TALOS} talos.halt_if_installed=1");
    let made = maker.make(
        &world,
        "made.efi",
        &[section(".linux", "k"), section(".cmdline", &line)],
    );
    fs::rename(made, esp.join("EFI/Linux/talos.efi")).unwrap();
    let Some(()) = fat(&world, "efi.img", 4 << 20, &esp) else {
        return;
    };
    world.write("tree/note", "for people");
    // As Talos makes them for ARM64: the image is no file of the tree.
    let arguments = [
        "-as",
        "mkisofs",
        "-quiet",
        "-R",
        "-o",
        "uefi.iso",
        "-append_partition",
        "2",
        "0xef",
        "efi.img",
        "-e",
        "--interval:appended_partition_2:all::",
        "-no-emul-boot",
        "tree",
    ];
    output(&xorriso, world.path(), &arguments);
    // And with GRUB beside it, the image in the tree.
    world.write("tree/boot/grub/grub.cfg", GRUB);
    fs::copy(
        world.path().join("efi.img"),
        world.path().join("tree/boot/grub/efi.img"),
    )
    .unwrap();
    let arguments = [
        "-as",
        "mkisofs",
        "-quiet",
        "-R",
        "-o",
        "both.iso",
        "-e",
        "boot/grub/efi.img",
        "-no-emul-boot",
        "tree",
    ];
    output(&xorriso, world.path(), &arguments);
    hold(
        &world,
        &[
            "name: pass the only one, cmdline: { talos: 1.13 }, in: uefi.iso, expect: { source: { ends-with: '!/EFI/Linux/talos.efi' }, format: uki, entries: { len: 1 }, values: { talos.halt_if_installed: 1 }, missing: { len: 0 } }",
            "name: pass one of three, cmdline: reset, in: both.iso, expect: { source: boot/grub/grub.cfg, entries: { len: 3 } }",
            "name: fail, cmdline: , in: uefi.iso, expect: { values: { talos.halt_if_installed: null } }",
            "name: error which, cmdline: , in: both.iso, expect: { length: { ge: 1 } }",
        ],
    );
}
