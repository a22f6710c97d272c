//! The formats the demo's imager writes, as other programs see them.

use std::fs;
use std::path::{Path, PathBuf};

use tdg::demo::extension::CATALOGUE;
use tdg::demo::imager::{Profile, assemble};

use crate::peers::{output, peer};

const PROFILE: &str = include_str!(
    "../../fixtures/upstream/packages/core/talos/images/talos/profiles/initramfs.yaml"
);

/// Makes one artifact of an arm64 image with every extension, in a folder.
fn artifact(kind: &str, options: &str, format: &str, folder: &Path) -> PathBuf {
    let extensions: String = [
        "amd-ucode",
        "qlogic-firmware",
        "drbd",
        "zfs",
        "spin",
        "tailscale",
    ]
    .iter()
    .map(|name| {
        let found = CATALOGUE
            .iter()
            .find(|extension| extension.name == *name)
            .unwrap();
        let (version, digest) = (found.version, found.digest());
        format!("    - imageRef: demo.invalid/siderolabs/{name}:{version}@{digest}\n")
    })
    .collect();
    let head = PROFILE
        .split("    - imageRef")
        .next()
        .unwrap()
        .replace("amd64", "arm64");
    let text = format!(
        "{head}{extensions}output:\n  kind: {kind}\n  imageOptions: {options}\n  outFormat: {format}\n"
    );
    let profile = Profile::parse(&text).unwrap();
    let made = assemble(&profile, &mut Vec::new()).unwrap();
    let again = assemble(&profile, &mut Vec::new()).unwrap();
    assert_eq!(
        made.bytes, again.bytes,
        "{} is not deterministic",
        made.name
    );
    let path = folder.join(&made.name);
    fs::write(&path, made.bytes).unwrap();
    path
}

/// Splits an initramfs into its segments with the `zstd` program alone: a raw
/// archive up to the first frame, then a frame after another.
fn segments(file: &Path, zstd: &Path, folder: &Path) -> Vec<PathBuf> {
    const MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
    let bytes = fs::read(file).unwrap();
    let mut starts: Vec<usize> = (0..bytes.len())
        .filter(|at| bytes[*at..].starts_with(MAGIC))
        .collect();
    let mut out = vec![folder.join("segment0")];
    fs::write(&out[0], &bytes[..starts[0]]).unwrap();
    while !starts.is_empty() {
        // squashfs images have frames inside, so try ends until one is right
        let from = starts.remove(0);
        let raw = folder.join("frame.zst");
        let segment = folder.join(format!("segment{}", out.len()));
        let ends = starts.iter().copied().chain([bytes.len()]);
        let end = ends.into_iter().find(|end| {
            fs::write(&raw, &bytes[from..*end]).unwrap();
            let done = std::process::Command::new(zstd)
                .args(["-dqfo", segment.to_str().unwrap(), raw.to_str().unwrap()])
                .stderr(std::process::Stdio::null())
                .status();
            done.unwrap().success()
        });
        starts.retain(|start| Some(*start) >= end);
        out.push(segment);
    }
    out
}

/// Unpacks an archive with `cpio` and lists what it held.
fn unpack(cpio: &Path, archive: &Path, folder: &Path) -> Vec<String> {
    fs::create_dir_all(folder).unwrap();
    let file = archive.to_str().unwrap();
    output(
        cpio,
        folder,
        &["-idm", "--quiet", "--no-absolute-filenames", "-F", file],
    );
    let list = output(cpio, folder, &["-it", "--quiet", "-F", file]);
    list.lines().map(str::to_owned).collect()
}

#[test]
fn the_initramfs_is_what_cpio_zstd_and_unsquashfs_say() {
    let (Some(cpio), Some(zstd), Some(unsquashfs)) =
        (peer("cpio"), peer("zstd"), peer("unsquashfs"))
    else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = artifact("initramfs", "{}", "raw", dir.path());
    assert_eq!(file.file_name().unwrap(), "initramfs-metal-arm64.xz");

    let segments = segments(&file, &zstd, dir.path());
    let lists: Vec<Vec<String>> = segments
        .iter()
        .enumerate()
        .map(|(at, segment)| unpack(&cpio, segment, &dir.path().join(format!("tree{at}"))))
        .collect();
    assert_eq!(lists.len(), 3, "{lists:?}");
    assert_eq!(
        lists[0].last().unwrap(),
        "kernel/x86/microcode/AuthenticAMD.bin"
    );
    assert_eq!(lists[1], [".", "init", "rootfs.sqsh"]);
    for name in ["0.sqsh", "5.sqsh", "extensions.yaml", "modules.dep.sqsh"] {
        assert!(
            lists[2].iter().any(|path| path == name),
            "{name}: {:?}",
            lists[2]
        );
    }

    // each squashfs: what unsquashfs lists
    let list = |image: &str| {
        output(
            &unsquashfs,
            &dir.path().join("tree2"),
            &["-l", "-d", "", image],
        )
    };
    assert!(list("4.sqsh").contains("/usr/local/bin/containerd-shim-spin-v2\n"));
    let tailscale = list("5.sqsh");
    let root = "/usr/local/lib/containers/tailscale";
    for path in [
        "usr/local/bin/tailscaled",
        "usr/bin/iptables",
        "usr/lib/ld-musl-aarch64.so.1",
    ] {
        assert!(
            tailscale.contains(&format!("{root}/{path}")),
            "{path}: {tailscale}"
        );
    }
    assert!(list("modules.dep.sqsh").contains("/usr/lib/modules/6.18.38-talos/modules.dep\n"));
    // firmware is moved out of the extension and lies loose
    assert!(!list("1.sqsh").contains("firmware"));
    assert!(
        lists[2]
            .iter()
            .any(|path| path == "usr/lib/firmware/ql2400_fw.bin")
    );
}

#[test]
fn arm64_programs_run() {
    let (Some(qemu), Some(unsquashfs)) = (peer("qemu-aarch64-static"), peer("unsquashfs")) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let tree = tdg::demo::rootfs::tree(tdg::demo::Arch::Arm64);
    let image = tdg::demo::squashfs::image("rootfs", &tree).unwrap();
    fs::write(dir.path().join("rootfs.sqsh"), image).unwrap();
    output(&unsquashfs, dir.path(), &["-q", "-n", "rootfs.sqsh"]);
    // runc is static; lvm needs the interpreter, which lies behind two links
    for name in ["runc", "lvm"] {
        let program = format!("squashfs-root/usr/bin/{name}");
        let said = output(&qemu, dir.path(), &["-L", "squashfs-root", &program]);
        assert_eq!(said, format!("{name}: a stand-in of the tdg demo\n"));
    }
}

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
#[test]
fn amd64_programs_run() {
    use std::os::unix::fs::PermissionsExt as _;
    use tdg::demo::{Arch, elf};
    let dir = tempfile::tempdir().unwrap();
    let loader = dir.path().join("ld.so");
    fs::write(&loader, elf::loader(Arch::Amd64, "libc.so", 0)).unwrap();
    let interpreter = loader.to_str().unwrap();
    for (name, file) in [
        ("static", elf::static_program(Arch::Amd64, "hello", 9000)),
        (
            "dynamic",
            elf::dynamic_program(Arch::Amd64, "hello", interpreter, &["libc.so"], 9000),
        ),
    ] {
        let path = dir.path().join(name);
        fs::write(&path, file).unwrap();
        for file in [&loader, &path] {
            fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        assert_eq!(output(&path, dir.path(), &[]), "hello\n", "{name}");
    }
}

#[test]
fn readelf_reads_the_programs_without_a_complaint() {
    use tdg::demo::{Arch, elf};
    let Some(readelf) = peer("readelf") else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    for (name, file, says) in [
        (
            "static",
            elf::static_program(Arch::Arm64, "x", 0),
            "EXEC (Executable file)",
        ),
        (
            "dynamic",
            elf::dynamic_program(
                Arch::Arm64,
                "x",
                "/lib/ld-musl-aarch64.so.1",
                &["libc.so"],
                0,
            ),
            "Requesting program interpreter: /lib/ld-musl-aarch64.so.1",
        ),
        (
            "library",
            elf::loader(Arch::Arm64, "libc.so", 0),
            "Library soname: [libc.so]",
        ),
        (
            "module",
            elf::kernel_module(Arch::Arm64, "zfs", "6.18.38-talos", "spl", 0),
            ".modinfo",
        ),
    ] {
        fs::write(dir.path().join(name), file).unwrap();
        let run = std::process::Command::new(&readelf)
            .args(["-aW", name])
            .current_dir(dir.path())
            .env("LC_ALL", "C")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&run.stdout);
        assert!(
            text.contains("AArch64") && text.contains(says),
            "{name}: {text}"
        );
        assert_eq!(String::from_utf8_lossy(&run.stderr), "", "{name}");
    }
}

#[test]
fn file_knows_the_kernels() {
    use tdg::demo::{Arch, kernel};
    let Some(file) = peer("file") else { return };
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes, says) in [
        (
            "image",
            kernel::arm64_image(),
            "ARM64 boot executable Image, little-endian, 4K pages",
        ),
        (
            "zboot",
            kernel::vmlinuz(Arch::Arm64).unwrap(),
            "EFI application) Aarch64",
        ),
        (
            "bzimage",
            kernel::vmlinuz(Arch::Amd64).unwrap(),
            "bzImage, version 6.18.38-talos",
        ),
    ] {
        fs::write(dir.path().join(name), bytes).unwrap();
        let said = output(&file, dir.path(), &["-b", name]);
        assert!(said.contains(says), "{name}: {said}");
    }
}

#[test]
fn the_disk_is_what_xz_sfdisk_and_mtools_say() {
    let (Some(xz), Some(sfdisk)) = (peer("xz"), peer("sfdisk")) else {
        return;
    };
    let dir = tempfile::tempdir().unwrap();
    let file = artifact(
        "image",
        "{ diskSize: 16777216, diskFormat: raw }",
        ".xz",
        dir.path(),
    );
    assert_eq!(file.file_name().unwrap(), "metal-arm64.raw.xz");
    output(&xz, dir.path(), &["-dq", "metal-arm64.raw.xz"]);
    let said = output(&sfdisk, dir.path(), &["-V", "metal-arm64.raw"]);
    assert!(said.contains("No errors detected"), "{said}");
    let json = output(&sfdisk, dir.path(), &["-J", "metal-arm64.raw"]);
    let table: serde_json::Value = serde_json::from_str(&json).unwrap();
    let partitions = table["partitiontable"]["partitions"].as_array().unwrap();
    let names: Vec<&str> = partitions
        .iter()
        .map(|part| part["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["EFI", "META"]);

    let at = partitions[0]["start"].as_u64().unwrap() * 512;
    let len = partitions[0]["size"].as_u64().unwrap() * 512;
    let disk = fs::read(dir.path().join("metal-arm64.raw")).unwrap();
    fs::write(
        dir.path().join("efi"),
        &disk[at as usize..(at + len) as usize],
    )
    .unwrap();
    if let Some(fsck) = peer("fsck.fat") {
        output(&fsck, dir.path(), &["-n", "efi"]);
    }
    let (Some(mcopy), Some(file)) = (peer("mcopy"), peer("file")) else {
        return;
    };
    for path in ["EFI/boot/BOOTAA64.EFI", "EFI/Linux/Talos-v1.13.6.efi"] {
        output(
            &mcopy,
            dir.path(),
            &["-n", "-i", "efi", &format!("::/{path}"), "out.efi"],
        );
        let said = output(&file, dir.path(), &["-b", "out.efi"]);
        assert!(said.contains("EFI application) Aarch64"), "{path}: {said}");
        fs::remove_file(dir.path().join("out.efi")).unwrap();
    }
}

#[test]
fn the_installer_is_a_docker_archive() {
    let Some(tar) = peer("tar") else { return };
    let dir = tempfile::tempdir().unwrap();
    artifact("installer", "{}", "raw", dir.path());
    output(&tar, dir.path(), &["-xf", "installer-arm64.tar"]);
    let manifest = fs::read_to_string(dir.path().join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    let layer = manifest[0]["Layers"][0].as_str().unwrap();
    let list = output(&tar, dir.path(), &["-tf", layer]);
    assert_eq!(
        list,
        "usr/install/arm64/systemd-boot.efi\nusr/install/arm64/vmlinuz.efi\n"
    );
}

#[test]
fn a_profile_changed_by_half_gives_a_mixture() {
    // arch: arm64, inputs still amd64: an "arm64" kernel that is not one
    let text = PROFILE
        .replace("arch: amd64", "arch: arm64")
        .replace("kind: initramfs", "kind: kernel");
    let made = assemble(&Profile::parse(&text).unwrap(), &mut Vec::new()).unwrap();
    assert_eq!(made.name, "kernel-arm64");
    assert_eq!(&made.bytes[0x202..0x206], b"HdrS");
}
