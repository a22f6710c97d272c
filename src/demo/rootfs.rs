//! A root file system in the shape of Talos's, without its substance.
//!
//! `/bin`, `/lib` and `/sbin` are links into `/usr`, programs are a mixture of
//! static and dynamic ones, the C library is its own interpreter: what a check
//! must get right to say that "every interpreter resolves".

use super::arch::Arch;
use super::elf;
use super::kernel::RELEASE;
use super::tree::Tree;

/// The version of Talos that the stand-in plays.
pub const TALOS_VERSION: &str = "v1.13.6";

/// Programs without an interpreter, as Go makes them: name and KiB.
const STATIC: &[(&str, usize)] = &[
    ("containerd", 192),
    ("containerd-shim-runc-v2", 48),
    ("init", 160),
    ("runc", 64),
];

/// Programs that need the C library and one more: name, KiB, the other one.
const DYNAMIC: &[(&str, usize, &str)] = &[
    ("cryptsetup", 24, "libcrypto.so.3"),
    ("dmsetup", 16, "libdevmapper.so.1.02"),
    ("lvm", 64, "libdevmapper.so.1.02"),
    ("mkfs.ext4", 16, "libuuid.so.1"),
    ("mkfs.vfat", 12, "libblkid.so.1"),
    ("mkfs.xfs", 24, "libuuid.so.1"),
    ("modprobe", 16, "libkmod.so.2"),
    ("swtpm", 12, "libcrypto.so.3"),
    ("udevadm", 24, "libkmod.so.2"),
    ("wipefs", 12, "libblkid.so.1"),
    ("xfs_growfs", 12, "libuuid.so.1"),
    ("xfs_repair", 32, "libuuid.so.1"),
];

/// Libraries beside the C library: soname and KiB.
const LIBRARIES: &[(&str, usize)] = &[
    ("libblkid.so.1", 32),
    ("libcrypto.so.3", 128),
    ("libdevmapper.so.1.02", 24),
    ("libkmod.so.2", 16),
    ("libuuid.so.1", 8),
];

/// Modules that come with the kernel: path below the release's folder.
const MODULES: &[&str] = &[
    "kernel/drivers/net/ethernet/intel/e1000e/e1000e.ko",
    "kernel/drivers/nvme/host/nvme.ko",
    "kernel/lib/lru_cache.ko",
];

/// Names the folder of the kernel's modules, without a leading slash.
pub fn modules_folder() -> String {
    format!("usr/lib/modules/{RELEASE}")
}

/// Names the program interpreter of dynamic programs, as their headers do.
pub fn interpreter(arch: Arch) -> String {
    format!("/lib/ld-musl-{}.so.1", arch.uname())
}

/// Makes the tree of `rootfs.sqsh`.
pub fn tree(arch: Arch) -> Tree {
    let mut tree = Tree::new();
    for folder in [
        "dev", "etc", "opt", "proc", "run", "sys", "system", "tmp", "var",
    ] {
        tree.directory(folder, 0o755);
    }
    tree.link("bin", "usr/bin")
        .link("lib", "usr/lib")
        .link("sbin", "usr/bin")
        .link("usr/sbin", "bin")
        .file("etc/hostname", 0o644, "talos\n")
        .file("etc/os-release", 0o644, os_release())
        .file(
            "etc/cri/containerd.toml",
            0o644,
            "version = 3\nimports = [\"/etc/cri/conf.d/*.part\"]\n",
        );
    for (name, kib) in STATIC {
        let file = elf::static_program(arch, &says(name), kib * 1024);
        tree.file(&format!("usr/bin/{name}"), 0o755, file);
    }
    let interpreter = interpreter(arch);
    for (name, kib, library) in DYNAMIC {
        let needed = [*library, "libc.so"];
        let file = elf::dynamic_program(arch, &says(name), &interpreter, &needed, kib * 1024);
        tree.file(&format!("usr/bin/{name}"), 0o755, file);
    }
    c_library(&mut tree, "", arch);
    for (soname, kib) in LIBRARIES {
        let file = elf::shared_library(arch, soname, &["libc.so"], kib * 1024);
        tree.file(&format!("usr/lib/{soname}"), 0o755, file);
    }
    for path in MODULES {
        let name = module_name(path);
        let file = elf::kernel_module(arch, name, RELEASE, "", 8 * 1024);
        tree.file(&format!("{}/{path}", modules_folder()), 0o644, file);
    }
    tree.file(
        &format!("{}/modules.dep", modules_folder()),
        0o644,
        dependencies(MODULES.iter().map(|path| (*path, ""))),
    );
    tree
}

/// Adds the C library and its second name, the interpreter, below `root`.
pub fn c_library(tree: &mut Tree, root: &str, arch: Arch) {
    let file = elf::loader(arch, "libc.so", 64 * 1024);
    let name = format!("ld-musl-{}.so.1", arch.uname());
    tree.file(&format!("{root}usr/lib/libc.so"), 0o755, file)
        .link(&format!("{root}usr/lib/{name}"), "libc.so");
}

/// Makes the `init` of the initramfs, which is not the one of the root.
pub fn init(arch: Arch) -> Vec<u8> {
    elf::static_program(
        arch,
        "[talos] [initramfs] a stand-in boots nothing",
        96 * 1024,
    )
}

/// Writes `modules.dep`: one line a module, with what it needs.
pub fn dependencies<'a>(modules: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut lines: Vec<String> = modules
        .map(|(path, needs)| format!("{path}: {needs}").trim_end().to_owned() + "\n")
        .collect();
    lines.sort();
    lines.concat()
}

/// The paths of the kernel's own modules, for [`dependencies`].
pub fn base_modules() -> &'static [&'static str] {
    MODULES
}

/// Takes a module's name out of its path.
pub fn module_name(path: &str) -> &str {
    let file = path.rsplit('/').next().unwrap_or(path);
    file.strip_suffix(".ko").unwrap_or(file)
}

/// What a stand-in program writes when it is run.
pub fn says(name: &str) -> String {
    format!("{name}: a stand-in of the tdg demo")
}

/// Makes `/etc/os-release`, which is also the `.osrel` of a unified kernel image.
pub fn os_release() -> String {
    format!(
        "NAME=\"Talos\"\nID=talos\nVERSION_ID={TALOS_VERSION}\nPRETTY_NAME=\"Talos ({TALOS_VERSION}, a stand-in of the tdg demo)\"\n"
    )
}
