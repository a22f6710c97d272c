//! UEFI firmware for machines, where distributions put it.

use super::Arch;
use std::path::{Path, PathBuf};

/// What a machine starts first: UEFI firmware, and what it begins to remember with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// Its program.
    pub code: PathBuf,
    /// Its variables, of which each machine gets a copy.
    pub vars: PathBuf,
}

/// Program and variables of firmware without Secure Boot: of Debian and Ubuntu, of Fedora, of Arch, and
/// what QEMU brings itself.
const ARM64: &[(&str, &str)] = &[
    ("AAVMF/AAVMF_CODE.fd", "AAVMF/AAVMF_VARS.fd"),
    ("AAVMF/AAVMF_CODE.no-secboot.fd", "AAVMF/AAVMF_VARS.fd"),
    (
        "edk2/aarch64/QEMU_EFI-pflash.raw",
        "edk2/aarch64/vars-template-pflash.raw",
    ),
    ("edk2/aarch64/QEMU_CODE.fd", "edk2/aarch64/QEMU_VARS.fd"),
    ("qemu/edk2-aarch64-code.fd", "qemu/edk2-arm-vars.fd"),
];
const AMD64: &[(&str, &str)] = &[
    ("OVMF/OVMF_CODE_4M.fd", "OVMF/OVMF_VARS_4M.fd"),
    ("OVMF/OVMF_CODE.fd", "OVMF/OVMF_VARS.fd"),
    ("edk2/ovmf/OVMF_CODE.fd", "edk2/ovmf/OVMF_VARS.fd"),
    ("edk2/x64/OVMF_CODE.4m.fd", "edk2/x64/OVMF_VARS.4m.fd"),
    ("qemu/edk2-x86_64-code.fd", "qemu/edk2-i386-vars.fd"),
];

impl Firmware {
    /// Finds what is there for a machine.
    pub fn find(arch: Arch) -> Option<Self> {
        Self::find_in(Path::new("/usr/share"), arch)
    }

    fn find_in(folder: &Path, arch: Arch) -> Option<Self> {
        let known = match arch {
            Arch::Arm64 => ARM64,
            Arch::Amd64 => AMD64,
        };
        let mut all = known.iter().map(|(code, vars)| Self {
            code: folder.join(code),
            vars: folder.join(vars),
        });
        all.find(|firmware| firmware.code.is_file() && firmware.vars.is_file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_is_found_where_both_of_its_files_are() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        assert_eq!(Firmware::find_in(folder.path(), Arch::Amd64), None);
        write("OVMF/OVMF_CODE_4M.fd");
        write("OVMF/OVMF_VARS.fd");
        assert_eq!(Firmware::find_in(folder.path(), Arch::Amd64), None);
        write("OVMF/OVMF_CODE.fd");
        let found = Firmware::find_in(folder.path(), Arch::Amd64).unwrap();
        assert_eq!(found.code, folder.path().join("OVMF/OVMF_CODE.fd"));
        assert_eq!(Firmware::find_in(folder.path(), Arch::Arm64), None);
    }
}
