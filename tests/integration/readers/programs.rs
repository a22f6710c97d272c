//! Kernels and programs for UEFI as others see them: objdump, file, strings.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tdg::format::kernel::{Kernel, KernelFormat};
use tdg::format::pe::{Pe, arch};
use tdg::format::{Bytes, Limits, Tree};

use crate::images::pipe;
use crate::peers::{fetched, output, peer};
use crate::uki::{Maker, section};
use crate::world::World;

/// Debian's kernels, as its installers for the network have them.
fn kernels() -> Option<[PathBuf; 2]> {
    let folder = Path::new("/usr/lib/debian-installer/images/12");
    let kernel = |arch: &str| folder.join(format!("{arch}/text/debian-installer/{arch}/linux"));
    let kernels = [kernel("arm64"), kernel("amd64")];
    let there = kernels.iter().all(|kernel| kernel.exists());
    let strict = std::env::var_os("TDG_STRICT").is_some_and(|value| value == "1");
    assert!(
        there || !strict,
        "Debian's kernels are missing and TDG_STRICT is 1"
    );
    there.then_some(kernels)
}

/// What `objdump -h` says of the sections that a file holds: name, size, address, offset.
fn listed(objdump: &Path, file: &Path) -> Vec<(String, u64, u64, u64)> {
    let text = output(
        objdump,
        Path::new("/"),
        &["-h", "-w", file.to_str().unwrap()],
    );
    let hex = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let mut found = Vec::new();
    for line in text.lines().filter(|line| line.contains("CONTENTS")) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, name, size, vma, _, offset, ..] = fields[..] else {
            panic!("{line}")
        };
        found.push((name.to_owned(), hex(size), hex(vma), hex(offset)));
    }
    found
}

/// Holds the section table of a file against objdump's; gives how many sections there are.
fn compare(objdump: &Path, file: &Path) -> usize {
    let pe = Pe::open(Arc::new(Bytes::new(fs::read(file).unwrap()))).unwrap();
    let theirs = listed(objdump, file);
    let ours: Vec<_> = pe.sections().iter().filter(|s| s.stored > 0).collect();
    assert_eq!(ours.len(), theirs.len(), "{}: {theirs:?}", file.display());
    for (own, (name, size, vma, offset)) in ours.iter().zip(&theirs) {
        let seen = (&own.label, own.size, own.start);
        assert_eq!(seen, (name, *size, *offset), "{}", file.display());
        // objdump counts from the address that the image wants to have.
        let base = theirs[0].2 - ours[0].address;
        assert_eq!(own.address + base, *vma, "{}: {name}", file.display());
    }
    ours.len()
}

#[test]
fn sections_lie_where_objdump_sees_them() {
    let (Some(x86), Some(arm), Some(peers)) = (
        peer("objdump"),
        peer("aarch64-linux-gnu-objdump"),
        fetched(),
    ) else {
        return;
    };
    let Some([arm64, amd64]) = kernels() else {
        return;
    };
    assert!(compare(&x86, &amd64) >= 3);
    let boot = peers.join("arm64/usr/lib/systemd/boot/efi");
    for file in [
        arm64,
        peers.join("vmlinuz"),
        boot.join("linuxaa64.efi.stub"),
        boot.join("systemd-bootaa64.efi"),
    ] {
        assert!(compare(&arm, &file) >= 2);
    }
}

#[test]
fn sections_of_a_uki_that_objcopy_made_are_what_went_in() {
    let (Some(maker), Some(objdump)) = (Maker::find(), peer("aarch64-linux-gnu-objdump")) else {
        return;
    };
    let world = World::new();
    let noise: Vec<u8> = (0..700_001u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    let names = [
        ".sbat", ".osrel", ".cmdline", ".uname", ".splash", ".dtb", ".dtb", ".ucode", ".linux",
        ".initrd", ".hwids", ".pcrsig", ".pcrpkey", ".sbom", ".profile", ".cmdline", ".profile",
        ".cmdline",
    ];
    // Sizes at, and around, what objcopy and firmware round up to.
    let sizes = [1, 511, 512, 513, 4095, 4096, 4097, 700_001];
    let content =
        |index: usize| &noise[index..index + sizes[index % sizes.len()].min(noise.len() - index)];
    let sections: Vec<_> = names
        .iter()
        .enumerate()
        .map(|(index, name)| section(name, content(index)))
        .collect();
    let file = maker.make(&world, "uki.efi", &sections);
    assert_eq!(compare(&objdump, &file), names.len() + 2);
    let pe = Pe::open(Arc::new(Bytes::new(fs::read(&file).unwrap()))).unwrap();
    assert_eq!((pe.format(), arch(pe.headers().machine)), ("uki", "arm64"));
    assert_eq!(pe.headers().subsystem, Some(10));
    for (index, section) in pe.sections().iter().skip(2).enumerate() {
        assert_eq!(section.label, names[index]);
        let bytes = pe.content(section).up_to(0, 1 << 20).unwrap();
        assert!(*bytes == *content(index), "{}", section.name);
        let found = pe.lookup(&section.name).unwrap().unwrap();
        assert_eq!(found.meta.size, content(index).len() as u64);
    }
    assert!(pe.lookup(".cmdline#3").unwrap().is_some());
    assert!(pe.lookup(".cmdline#4").unwrap().is_none());
}

#[test]
fn a_signature_is_found_and_a_cut_in_it_is_an_error() {
    let (Some(maker), Some(sbsign), Some(openssl), Some(sbverify)) = (
        Maker::find(),
        peer("sbsign"),
        peer("openssl"),
        peer("sbverify"),
    ) else {
        return;
    };
    let world = World::new();
    output(
        &openssl,
        world.path(),
        &[
            "req",
            "-new",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-subj",
            "/CN=test/",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
            "-days",
            "2",
        ],
    );
    maker.make(&world, "it.efi", &[section(".linux", "kernel")]);
    let open = |bytes: Vec<u8>| Pe::open(Arc::new(Bytes::new(bytes))).unwrap();
    let plain = open(fs::read(world.path().join("it.efi")).unwrap());
    assert!(plain.certificates().unwrap().is_empty());
    // Signed twice, as for two owners of keys.
    for count in 1..3 {
        let arguments = [
            "--key", "key.pem", "--cert", "cert.pem", "--output", "it.efi", "it.efi",
        ];
        output(&sbsign, world.path(), &arguments);
        let bytes = fs::read(world.path().join("it.efi")).unwrap();
        let theirs = output(&sbverify, world.path(), &["--list", "it.efi"]);
        let listed = theirs.lines().filter(|line| line.starts_with("signature "));
        assert_eq!(listed.count(), count, "{theirs}");
        let signed = open(bytes.clone());
        let certificates = signed.certificates().unwrap();
        assert_eq!(certificates.len(), count);
        assert!(certificates.iter().all(|c| c.is_signature()));
        let last = certificates.last().unwrap();
        let end = (last.start + last.size).next_multiple_of(8);
        assert_eq!(end, bytes.len() as u64, "nothing is behind the last one");
        let cut = open(bytes[..bytes.len() - 9].to_vec());
        assert!(
            cut.certificates()
                .unwrap_err()
                .to_string()
                .contains("cut short")
        );
    }
}

/// Finds the line that every kernel carries, as `strings` shows it.
fn banner(strings: &Path, file: &Path) -> String {
    let text = output(
        strings,
        Path::new("/"),
        &["-a", "-n", "20", file.to_str().unwrap()],
    );
    let line = |line: &&str| {
        let release = line.strip_prefix("Linux version ");
        release.is_some_and(|release| release.starts_with(|c: char| c.is_ascii_digit()))
    };
    text.lines().find(line).unwrap().to_owned()
}

#[test]
fn kernels_are_what_file_and_strings_say() {
    let (Some(tool), Some(strings), Some(xz)) = (peer("file"), peer("strings"), peer("xz")) else {
        return;
    };
    let (Some([arm64, amd64]), Some(peers)) = (kernels(), fetched()) else {
        return;
    };
    let file = |path: &Path| output(&tool, Path::new("/"), &["-b", "-L", path.to_str().unwrap()]);
    for path in [arm64, peers.join("vmlinuz")] {
        let bytes = fs::read(&path).unwrap();
        let kernel = Kernel::read(&bytes, &Limits::default()).unwrap();
        let banner = banner(&strings, &path);
        assert_eq!(kernel.banner.as_deref(), Some(banner.as_str()));
        assert_eq!(kernel.version.as_deref(), banner.split(' ').nth(2));
        let theirs = file(&path);
        assert!(theirs.contains("ARM64 boot executable Image"), "{theirs}");
        assert_eq!(
            (kernel.format, kernel.arch.as_str()),
            (KernelFormat::Image, "arm64")
        );
        let pages = match kernel.page_size {
            Some(size) => format!("{}K pages", size / 1024),
            None => String::new(),
        };
        assert!(theirs.contains(&pages) && !pages.is_empty(), "{theirs}");
        assert_eq!(theirs.contains("little-endian"), !kernel.big_endian);
    }
    let bytes = fs::read(&amd64).unwrap();
    let kernel = Kernel::read(&bytes, &Limits::default()).unwrap();
    assert_eq!(
        (kernel.format, kernel.arch.as_str()),
        (KernelFormat::BzImage, "amd64")
    );
    let version = kernel.version.clone().unwrap();
    let theirs = file(&amd64);
    assert!(
        theirs.contains(&format!("x86 boot executable bzImage, version {version} ")),
        "{theirs}"
    );
    // The payload lies where the header says (Documentation/arch/x86/boot.rst), and is xz data, with
    // its size as decoded behind it.
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!(&bytes[0x202..0x206], b"HdrS");
    let start = (usize::from(bytes[0x1f1]) + 1) * 512 + word(0x248);
    let payload = &bytes[start..start + word(0x24c) - 4];
    assert_eq!(kernel.compression.name(), "xz");
    let world = World::new();
    let decoded = pipe(&xz, world.path(), &["-dc"], payload);
    let vmlinux = world.write("vmlinux", decoded);
    let banner = banner(&strings, &vmlinux);
    assert_eq!(kernel.banner.as_deref(), Some(banner.as_str()));
    assert_eq!(banner.split(' ').nth(2), Some(version.as_str()));
}
