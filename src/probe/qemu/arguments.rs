//! A machine as arguments of QEMU's program (QEMU 7.2, invocation).

use super::machine::{Arch, Machine, Medium, Network, Protocol, Start, Wire};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// The copy of the firmware's variables that a machine writes to, in its folder.
pub(super) const VARS: &str = "vars.fd";

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
        if self.screen {
            line.add(&[
                "-device",
                match self.arch {
                    Arch::Arm64 => "virtio-gpu-pci",
                    Arch::Amd64 => "VGA",
                },
            ]);
        }
        let mut first = None;
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
            Start::Firmware { firmware, from } => {
                let code = "if=pflash,unit=0,format=raw,readonly=on";
                line.drive(code, &firmware.code);
                line.drive("if=pflash,unit=1,format=raw", Path::new(VARS));
                match from {
                    Medium::Disk(disk) => line.disk(disk),
                    Medium::Iso(iso) => line.iso(self.arch, iso),
                    Medium::Network(protocol) => first = Some(*protocol),
                }
            }
        }
        if let Some(network) = &self.network {
            line.network(network, first);
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

    /// A path as the value of a key, behind other keys and values.
    fn with_path(&mut self, option: &str, before: &str, path: &Path) {
        let mut value = OsString::from(before);
        let bytes = path.as_os_str().as_bytes();
        let mut doubled = Vec::with_capacity(bytes.len());
        for byte in bytes {
            doubled.push(*byte);
            if *byte == b',' {
                doubled.push(*byte);
            }
        }
        value.push(OsString::from_vec(doubled));
        self.0.extend([option.into(), value]);
    }

    fn drive(&mut self, what: &str, path: &Path) {
        self.with_path("-drive", &format!("{what},file="), path);
    }

    fn disk(&mut self, path: &Path) {
        // What is written goes to a file that has no name any more.
        self.drive("if=none,id=disk,format=raw,snapshot=on", path);
        self.add(&["-device", "virtio-blk-pci,drive=disk,bootindex=0"]);
    }

    fn iso(&mut self, arch: Arch, path: &Path) {
        self.drive("if=none,id=iso,format=raw,media=cdrom,readonly=on", path);
        match arch {
            Arch::Arm64 => {
                self.add(&["-device", "virtio-scsi-pci"]);
                self.add(&["-device", "scsi-cd,drive=iso,bootindex=0"]);
            }
            Arch::Amd64 => self.add(&["-device", "ide-cd,drive=iso,bootindex=0"]),
        }
    }

    fn network(&mut self, network: &Network, first: Option<Protocol>) {
        match &network.wire {
            Wire::Inside { boot_file: None } => self.add(&["-netdev", "user,id=net,restrict=on"]),
            Wire::Inside {
                boot_file: Some(file),
            } => {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let before = format!("user,id=net,restrict=on,bootfile={},tftp=", doubled(&name));
                let folder = file.parent().unwrap_or(Path::new("/"));
                self.with_path("-netdev", &before, folder);
            }
            Wire::Tap(name) => {
                let name = doubled(name);
                let tap = format!("tap,id=net,ifname={name},script=no,downscript=no");
                self.add(&["-netdev", &tap]);
            }
        }
        // UEFI firmware has its own driver: no option ROM is needed, and none may be missing.
        let mut card = format!("virtio-net-pci,netdev=net,romfile=,mac={}", network.mac);
        if let Some(protocol) = first {
            card.push_str(",bootindex=0");
            let off = match protocol {
                Protocol::Pxe => ["IPv6PXESupport"].as_slice(),
                Protocol::Http => &["IPv4PXESupport", "IPv6PXESupport"],
            };
            for what in off {
                let off = format!("name=opt/org.tianocore/{what},string=n");
                self.add(&["-fw_cfg", &off]);
            }
        }
        self.add(&["-device", &card]);
        if let Some(pcap) = &network.pcap {
            self.with_path("-object", "filter-dump,id=packets,netdev=net,file=", pcap);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::qemu::Firmware;

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
                wire: Wire::Inside {
                    boot_file: Some("/d,a/e,b".into()),
                },
            }),
            screen: false,
            uuid: None,
            serial: Some("1,uuid=2".into()),
        };
        let words = machine.arguments(false);
        let has = |word: &str| words.iter().any(|w| w == word);
        assert!(has("/a,b") && has("console=ttyS0,115200"), "{words:?}");
        assert!(
            has("user,id=net,restrict=on,bootfile=e,,b,tftp=/d,,a"),
            "{words:?}"
        );
        assert!(has("type=1,serial=1,,uuid=2"), "{words:?}");
        assert!(has(
            "filter-dump,id=packets,netdev=net,file=/c,,file=/etc/x"
        ));
        assert!(!has("kvm") && machine.arguments(true).iter().any(|w| w == "kvm"));
    }

    #[test]
    fn firmware_looks_first_where_it_is_told_to() {
        let from = |from: Medium, network: Option<Network>| {
            let machine = Machine {
                arch: Arch::Arm64,
                cpus: 1,
                memory: 64 << 20,
                start: Start::Firmware {
                    firmware: Firmware {
                        code: "/code".into(),
                        vars: "/vars".into(),
                    },
                    from,
                },
                network,
                screen: true,
                uuid: None,
                serial: None,
            };
            let words = machine.arguments(false);
            let words: Vec<&str> = words.iter().map(|word| word.to_str().unwrap()).collect();
            words.join(" ")
        };
        let card = Network {
            mac: "02:74:64:67:00:01".into(),
            pcap: None,
            wire: Wire::Tap("tap0,script=x".into()),
        };
        let disk = from(Medium::Disk("/d,x".into()), Some(card.clone()));
        assert!(disk.contains("snapshot=on,file=/d,,x "), "{disk}");
        assert!(disk.contains("ifname=tap0,,script=x,script=no"), "{disk}");
        assert!(disk.contains("file=vars.fd") && !disk.contains("/vars"));
        assert_eq!(disk.matches("bootindex=0").count(), 1, "{disk}");
        let iso = from(Medium::Iso("/i".into()), None);
        assert!(iso.contains("readonly=on,file=/i "), "{iso}");
        let http = from(Medium::Network(Protocol::Http), Some(card));
        assert!(http.contains("IPv4PXESupport,string=n"), "{http}");
        assert_eq!(http.matches("bootindex=0").count(), 1, "{http}");
    }
}
