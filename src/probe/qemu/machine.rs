//! A machine that QEMU makes, and what it starts.

use super::Firmware;
use std::path::PathBuf;

/// The processor of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit ARM: the board `virt`.
    Arm64,
    /// 64-bit x86: the board `q35`.
    Amd64,
}

impl Arch {
    /// The names of all.
    pub const NAMES: [&'static str; 2] = ["arm64", "amd64"];

    /// Finds one by its name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "arm64" => Some(Self::Arm64),
            "amd64" => Some(Self::Amd64),
            _ => None,
        }
    }

    /// The program that makes such a machine.
    pub fn program(self) -> &'static str {
        match self {
            Self::Arm64 => "qemu-system-aarch64",
            Self::Amd64 => "qemu-system-x86_64",
        }
    }

    /// The packages that distributions have it in.
    pub fn packages(self) -> &'static str {
        match self {
            Self::Arm64 => "qemu-system-arm (Debian, Ubuntu), qemu-system-aarch64 (Fedora, Arch)",
            Self::Amd64 => "qemu-system-x86 (Debian, Ubuntu, Fedora, Arch)",
        }
    }

    /// The kernel's name of its first serial line.
    pub fn console(self) -> &'static str {
        match self {
            Self::Arm64 => "ttyAMA0",
            Self::Amd64 => "ttyS0",
        }
    }

    /// The packages that distributions have its firmware in.
    pub fn firmware_packages(self) -> &'static str {
        match self {
            Self::Arm64 => "qemu-efi-aarch64 (Debian, Ubuntu), edk2-aarch64 (Fedora, Arch)",
            Self::Amd64 => "ovmf (Debian, Ubuntu), edk2-ovmf (Fedora, Arch)",
        }
    }

    pub(super) fn is_ours(self) -> bool {
        match self {
            Self::Arm64 => cfg!(target_arch = "aarch64"),
            Self::Amd64 => cfg!(target_arch = "x86_64"),
        }
    }
}

/// What a machine has, and what it starts.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Its processor.
    pub arch: Arch,
    /// How many of them.
    pub cpus: u32,
    /// Its memory, in bytes.
    pub memory: u64,
    /// What it starts.
    pub start: Start,
    /// Its network card; none where left out.
    pub network: Option<Network>,
    /// Whether it has a screen.
    pub screen: bool,
    /// Its UUID, which firmware tells (SMBIOS, type 1).
    pub uuid: Option<String>,
    /// Its serial number, which firmware tells (SMBIOS, type 1).
    pub serial: Option<String>,
}

/// What a machine starts.
#[derive(Clone, Debug)]
pub enum Start {
    /// A kernel that QEMU puts into its memory.
    Direct {
        /// The kernel.
        kernel: PathBuf,
        /// The initramfs.
        initrd: Option<PathBuf>,
        /// The kernel's command line.
        cmdline: String,
    },
    /// Firmware, and what that starts first.
    Firmware {
        /// The firmware.
        firmware: Firmware,
        /// Where it looks first.
        from: Medium,
    },
}

/// Where firmware looks first for what it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Medium {
    /// A disk, byte by byte. It stays as it is: what the machine writes is forgotten.
    Disk(PathBuf),
    /// What is in a drive for optical discs.
    Iso(PathBuf),
    /// Its network card.
    Network(Protocol),
}

/// How firmware boots over a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// PXE: DHCP and TFTP.
    Pxe,
    /// HTTP boot, and nothing else before.
    Http,
}

impl Protocol {
    /// The names of all.
    pub const NAMES: [&'static str; 2] = ["pxe", "http"];

    /// Finds one by its name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "pxe" => Some(Self::Pxe),
            "http" => Some(Self::Http),
            _ => None,
        }
    }
}

/// A network card and what it is connected to.
#[derive(Clone, Debug)]
pub struct Network {
    /// The card's address.
    pub mac: String,
    /// Where all packets are written down (pcap).
    pub pcap: Option<PathBuf>,
    /// What it is connected to.
    pub wire: Wire,
}

/// What a network card is connected to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// A network that nothing leaves: QEMU itself answers DHCP there, and nobody else does.
    Inside {
        /// The file that it offers to boot, by TFTP, with all that is in its folder.
        boot_file: Option<PathBuf>,
    },
    /// A tap device of this machine.
    Tap(String),
}
