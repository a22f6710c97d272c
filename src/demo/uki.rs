//! A unified kernel image: stub, command line, kernel and initramfs in one.
//!
//! Source: UAPI.5 (Unified Kernel Image). The section names are Talos's; a
//! further profile brings a second `.profile` and a second `.cmdline`, so
//! names repeat. The stub is not systemd's: it returns to the firmware.

use super::arch::Arch;
use super::kernel::RELEASE;
use super::machine_code;
use super::pe::{self, Section};
use super::rootfs;

/// Makes the image from a kernel, an initramfs and a kernel command line.
pub fn image(arch: Arch, version: &str, kernel: &[u8], initramfs: &[u8], cmdline: &str) -> Vec<u8> {
    let stub = machine_code::efi_unsupported(arch);
    let wipe = format!("{cmdline} talos.experimental.wipe=system");
    let main_profile = format!("ID=main\nTITLE=Talos Linux {version}\n");
    let osrel = rootfs::os_release();
    let data: [(&str, &[u8]); 9] = [
        (
            ".sbat",
            b"sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n",
        ),
        (".osrel", osrel.as_bytes()),
        (".cmdline", cmdline.as_bytes()),
        (".uname", RELEASE.as_bytes()),
        (".linux", kernel),
        (".initrd", initramfs),
        (".profile", main_profile.as_bytes()),
        (".profile", b"ID=reset\nTITLE=Reset system disk\n"),
        (".cmdline", wipe.as_bytes()),
    ];
    let mut sections = vec![Section {
        name: ".text",
        data: &stub,
        code: true,
    }];
    sections.extend(data.iter().map(|(name, data)| Section {
        name,
        data,
        code: false,
    }));
    pe::image(arch, b"MZ", &sections).bytes
}

/// Makes a boot manager's place-holder: an EFI program that returns at once.
pub fn boot_manager(arch: Arch) -> Vec<u8> {
    let stub = machine_code::efi_unsupported(arch);
    let sections = [Section {
        name: ".text",
        data: &stub,
        code: true,
    }];
    pe::image(arch, b"MZ", &sections).bytes
}

/// Gives Talos's default kernel command line for a platform.
pub fn command_line(arch: Arch, platform: &str) -> String {
    let console = match arch {
        Arch::Arm64 => "console=ttyAMA0 console=tty0",
        Arch::Amd64 => "console=tty0",
    };
    format!(
        "talos.platform={platform} {console} init_on_alloc=1 slab_nomerge pti=on consoleblank=0 nvme_core.io_timeout=4294967295 printk.devkmsg=on selinux=1 module.sig_enforce=1 proc_mem.force_override=never"
    )
}
