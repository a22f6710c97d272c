//! The two architectures Talos is built for.

/// A machine architecture, under the names Talos's profiles use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arch {
    /// 64-bit x86: `amd64` in profiles, `x86_64` in ELF and in musl's names.
    Amd64,
    /// 64-bit ARM: `arm64` in profiles, `aarch64` in ELF and in musl's names.
    Arm64,
}

impl Arch {
    /// Reads a profile's `arch`; nothing but `amd64` and `arm64` is one.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "amd64" => Some(Self::Amd64),
            "arm64" => Some(Self::Arm64),
            _ => None,
        }
    }

    /// Names the architecture as profiles, artifact names and OCI do.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Names the architecture as `uname -m` and musl's loader do.
    pub fn uname(self) -> &'static str {
        match self {
            Self::Amd64 => "x86_64",
            Self::Arm64 => "aarch64",
        }
    }

    /// Gives ELF's `e_machine`: 62 (`EM_X86_64`) or 183 (`EM_AARCH64`).
    pub fn elf_machine(self) -> u16 {
        match self {
            Self::Amd64 => 62,
            Self::Arm64 => 183,
        }
    }

    /// Gives PE's `Machine`: 0x8664 or 0xAA64 (PE format, "Machine Types").
    pub fn pe_machine(self) -> u16 {
        match self {
            Self::Amd64 => 0x8664,
            Self::Arm64 => 0xaa64,
        }
    }

    /// Names the file UEFI starts from a removable medium (UEFI 2.10, 3.5.1.1).
    pub fn efi_boot_file(self) -> &'static str {
        match self {
            Self::Amd64 => "BOOTX64.EFI",
            Self::Arm64 => "BOOTAA64.EFI",
        }
    }
}
