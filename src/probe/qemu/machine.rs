//! A machine that QEMU makes, as arguments of its program (QEMU 7.2, invocation).

use super::Folder;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

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

    fn is_ours(self) -> bool {
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
}

/// A network that nothing leaves: QEMU itself answers DHCP there, and nobody else does.
#[derive(Clone, Debug)]
pub struct Network {
    /// The card's address.
    pub mac: String,
    /// Where all packets are written down (pcap).
    pub pcap: Option<PathBuf>,
}

impl Machine {
    /// Gives the program and its arguments. The machine stands still until it is told to go on.
    pub(super) fn arguments(&self, hardware: bool) -> Vec<OsString> {
        let mut line = Line(vec![self.arch.program().into()]);
        line.add(&["-nodefaults", "-no-user-config", "-display", "none"]);
        line.add(&["-no-reboot", "-S"]);
        line.add(&[
            "-machine",
            match self.arch {
                Arch::Arm64 => "virt,gic-version=max",
                Arch::Amd64 => "q35",
            },
        ]);
        if hardware {
            line.add(&["-accel", "kvm"]);
        }
        line.add(&["-accel", "tcg", "-cpu", self.cpu(hardware)]);
        line.add(&["-smp", &self.cpus.to_string()]);
        line.add(&["-m", &format!("{}k", self.memory >> 10)]);
        line.add(&[
            "-chardev",
            "socket,id=control,path=control,server=on,wait=off",
        ]);
        line.add(&["-mon", "chardev=control,mode=control"]);
        line.add(&["-chardev", "file,id=console,path=/dev/stdout"]);
        line.add(&["-serial", "chardev:console"]);
        if let Some(uuid) = &self.uuid {
            line.add(&["-uuid", uuid]);
        }
        if let Some(serial) = &self.serial {
            line.add(&["-smbios", &format!("type=1,serial={}", doubled(serial))]);
        }
        if let Some(network) = &self.network {
            line.add(&["-netdev", "user,id=net,restrict=on"]);
            // Nothing to boot from: no option ROM is needed, and none may be missing.
            let card = format!("virtio-net-pci,netdev=net,romfile=,mac={}", network.mac);
            line.add(&["-device", &card]);
            if let Some(pcap) = &network.pcap {
                let mut dump = OsString::from("filter-dump,id=packets,netdev=net,file=");
                dump.push(doubled(&pcap.to_string_lossy()));
                line.0.extend(["-object".into(), dump]);
            }
        }
        match &self.start {
            Start::Direct {
                kernel,
                initrd,
                cmdline,
            } => {
                line.file("-kernel", kernel);
                if let Some(initrd) = initrd {
                    line.file("-initrd", initrd);
                }
                line.add(&["-append", cmdline]);
            }
        }
        line.0
    }

    fn cpu(&self, hardware: bool) -> &'static str {
        match (self.arch, hardware) {
            // All of what is there, be it the processor's or QEMU's own.
            (_, true) | (Arch::Amd64, false) => "max",
            // The checks of pointers that `max` has cost half of the time when emulated.
            (Arch::Arm64, false) => "cortex-a72",
        }
    }

    /// Tells whether this machine's processor can run it by itself, and this user may use that.
    pub(super) fn may_use_hardware(&self) -> bool {
        let device = std::fs::File::options();
        let open = device.clone().read(true).write(true).open("/dev/kvm");
        self.arch.is_ours() && open.is_ok()
    }
}

/// Doubles the commas of a value, which end it otherwise.
fn doubled(value: &str) -> String {
    value.replace(',', ",,")
}

struct Line(Vec<OsString>);

impl Line {
    fn add(&mut self, words: &[&str]) {
        self.0.extend(words.iter().map(OsString::from));
    }

    fn file(&mut self, option: &str, path: &Path) {
        self.0.extend([option.into(), path.into()]);
    }
}

/// Runs a program that ends with the one who reads its output and holds its input, and takes a
/// folder with it: `sh -c SCRIPT FOLDER PROGRAM ARGUMENT…`.
///
/// Whoever is killed by SIGKILL can clean nothing up. But the pipe whose end it held closes, and the
/// second process here, which waits for that and nothing else, sees it.
const GUARD: &str = r#"
exec 3<&0 </dev/null
"$@" 3<&- & machine=$!
{ read -r _ <&3; trap '' TERM; kill -KILL "$machine"; rm -rf -- "$0"; } >/dev/null 2>&1 & guard=$!
exec 3<&-
wait "$machine"; code=$?
kill "$guard"
exit "$code"
"#;

/// Puts a guard around a program.
pub(super) fn guarded(program: Vec<OsString>, folder: &Folder) -> Vec<OsString> {
    let mut all: Vec<OsString> = vec!["sh".into(), "-c".into(), GUARD.into()];
    all.push(folder.path().into());
    all.extend(program);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_cannot_bring_options_of_its_own() {
        let machine = Machine {
            arch: Arch::Amd64,
            cpus: 1,
            memory: 64 << 20,
            start: Start::Direct {
                kernel: "/a,b".into(),
                initrd: None,
                cmdline: "console=ttyS0,115200".into(),
            },
            network: Some(Network {
                mac: "02:74:64:67:00:01".into(),
                pcap: Some("/c,file=/etc/x".into()),
            }),
            uuid: None,
            serial: Some("1,uuid=2".into()),
        };
        let words = machine.arguments(false);
        let has = |word: &str| words.iter().any(|w| w == word);
        assert!(has("/a,b") && has("console=ttyS0,115200"), "{words:?}");
        assert!(has("type=1,serial=1,,uuid=2"), "{words:?}");
        assert!(has(
            "filter-dump,id=packets,netdev=net,file=/c,,file=/etc/x"
        ));
        assert!(!has("kvm") && machine.arguments(true).iter().any(|w| w == "kvm"));
    }
}
