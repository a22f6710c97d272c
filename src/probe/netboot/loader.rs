//! The part of the way that iPXE goes: it asks DHCP again, and follows scripts to a kernel.

use super::course::{Course, End, Place, Told};
use super::fetch::Who;
use super::files::Files;
use super::initramfs;
use super::{Fault, File, NetbootError, Outcome, Program, Stage};
use crate::format::Content;
use crate::format::dhcp::{Boot, Firmware, Machine};
use crate::format::ipxe::walk::plain;
use crate::format::ipxe::{self, Bounds, Picked, Platform, Start, script};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use url::Url;

/// What iPXE looks for where it came from. Source: iPXE's `interface/efi/efi_autoexec.c`.
const AUTOEXEC: &str = "autoexec.ipxe";
/// What may stand in the name of a file of a TFTP address as it is.
const PLAIN: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Course<'_> {
    /// Goes on as iPXE; `first` is what the firmware before it was told, and where that was.
    pub(super) fn ipxe(&mut self, first: Option<(Told, Option<Url>)>) -> Result<Outcome, End> {
        let beside = first
            .as_ref()
            .and_then(|(_, at)| at.as_ref()?.join(AUTOEXEC).ok());
        if let Some(url) = beside.filter(|_| self.asking.machine.arch != 0)
            && let Some(bytes) = self.autoexec(&url)
        {
            let start = Start::Script {
                name: plain(url.as_str()),
                bytes,
                base: Some(url),
            };
            return self.follow(&start, first.as_ref().map(|(told, _)| told));
        }
        let machine = as_ipxe(&self.asking.machine);
        let told = self.told(&machine)?;
        if first.is_some_and(|(before, _)| before.boot == told.boot) {
            return Err(self.again(Stage::Dhcp, &told.boot.file));
        }
        let url = match address(&told.boot) {
            Ok(url) => url,
            Err(why) => {
                return Err(self.stop(Fault::WrongAddress, Stage::Dhcp, Firmware::Ipxe, why));
            }
        };
        self.follow(&Start::Url(url), Some(&told))
    }

    /// Gives the script that lies beside iPXE; most servers have none.
    fn autoexec(&mut self, url: &Url) -> Option<Vec<u8>> {
        let (body, looked) = self.fetch(&Place::Url(url), Who::Ipxe).ok()?;
        let bytes = body.source.up_to(0, script::MAX_SCRIPT + 1).ok();
        bytes
            .filter(|_| looked.content == "script")
            .map(|bytes| bytes.to_vec())
    }

    fn again(&mut self, stage: Stage, file: &str) -> End {
        let file = crate::model::value::clip(&file.escape_debug().to_string(), 200);
        let why = format!(
            "iPXE is told to start iPXE (`{file}`), which is told the same: no rule of the DHCP server \
             is for its user class (option 77, `iPXE`)"
        );
        self.stop(Fault::Loop, stage, Firmware::Ipxe, why)
    }

    fn follow(&mut self, start: &Start, told: Option<&Told>) -> Result<Outcome, End> {
        let machine = ipxe::Machine {
            settings: self.settings(told),
            platform: match self.asking.machine.arch {
                0 => Platform::Bios,
                _ => Platform::Efi,
            },
        };
        let mut files = Files::new(self);
        let walk = ipxe::evaluate(start, &machine, &mut files, &Bounds::default());
        let Files {
            files,
            missed,
            deadly,
            local,
            silent,
            ..
        } = files;
        if let Some(why) = local {
            return Err(End::Error(NetbootError::Local(why)));
        }
        self.found.scripts.clone_from(&walk.scripts);
        let failed = walk.steps.iter().rev().find(|step| step.failed.is_some());
        let stage = failed.map_or(Stage::Script, |step| stage(&step.command));
        let mut stop = |fault, stage, why| Err(self.stop(fault, stage, Firmware::Ipxe, why));
        if let Some((fault, why)) = deadly {
            return stop(fault, stage, why);
        }
        let picked = match walk.outcome {
            ipxe::Outcome::Boot(picked) => picked,
            ipxe::Outcome::SanBoot(disk) => {
                self.found.note = Some(format!("a disk starts: {disk}"));
                return self.no_kernel(Outcome::Disk);
            }
            ipxe::Outcome::Failed(why) if walk.unreachable => {
                return Err(End::Error(NetbootError::Unreachable(why)));
            }
            ipxe::Outcome::Unknown(why) => return Err(End::Error(NetbootError::Unknown(why))),
            ipxe::Outcome::Limit(why) => {
                let why = format!("the script goes on for too long: {why}");
                return Err(End::Error(NetbootError::Limit(why)));
            }
            ipxe::Outcome::Loop(why) => return stop(Fault::Loop, Stage::Script, why),
            ipxe::Outcome::Failed(why) => {
                let known = missed
                    .iter()
                    .rev()
                    .find(|(_, text)| why.contains(text.as_str()));
                let fault = match (known, &walk.not_started) {
                    (Some((fault, _)), _) => *fault,
                    (None, Some(Picked { pe_machine, .. })) => match pe_machine {
                        Some(_) => Fault::WrongArchitecture,
                        None => Fault::NotAProgram,
                    },
                    (None, None) => Fault::ScriptFailed,
                };
                return stop(fault, stage, why);
            }
            ended @ (ipxe::Outcome::Exit
            | ipxe::Outcome::Ended
            | ipxe::Outcome::Shell
            | ipxe::Outcome::Reboot
            | ipxe::Outcome::PowerOff) => {
                let what = nothing_started(&ended);
                // What a script does about a file that it does not get tells why it came to that.
                if let Some(why) = silent {
                    let why = format!("{why}; {what}");
                    return Err(End::Error(NetbootError::Unreachable(why)));
                }
                return match missed.last() {
                    Some((fault, why)) => stop(*fault, stage, format!("{why}; {what}")),
                    None => stop(Fault::NothingStarted, Stage::Script, what.to_owned()),
                };
            }
        };
        let of = |picked: &Picked| match files.get(&picked.url) {
            Some((file, source)) => Ok((
                File {
                    name: picked.name.clone(),
                    arguments: picked.arguments.clone(),
                    ..file.clone()
                },
                source,
            )),
            None => {
                let why = format!("{} is used, and was not seen", picked.url);
                Err(End::Error(NetbootError::Local(why)))
            }
        };
        let (kernel, _) = of(&picked)?;
        for picked in &walk.initrds {
            let (mut file, source) = of(picked)?;
            if file.program.is_none() {
                file.arch = initramfs::arch(source, self.asking.arch);
            }
            self.found.initrds.push(file);
        }
        self.kernel(kernel, walk.steps.is_empty())
    }

    /// Ends at what iPXE starts; `told` says that DHCP itself named it.
    fn kernel(&mut self, kernel: File, told: bool) -> Result<Outcome, End> {
        if let Some(cut) = &kernel.cut {
            let why = format!("{} ends too early: {cut}", kernel.url);
            return Err(self.stop(Fault::CutShort, Stage::Kernel, Firmware::Ipxe, why));
        }
        match kernel.program {
            Some(Program::Ipxe) => {
                let stage = if told { Stage::Dhcp } else { Stage::Script };
                Err(self.again(stage, &kernel.url))
            }
            Some(Program::Kernel | Program::Uki) => {
                if let Some(why) = self.other_machine(&kernel) {
                    let fault = Fault::WrongArchitecture;
                    return Err(self.stop(fault, Stage::Kernel, Firmware::Ipxe, why));
                }
                self.found.kernel = Some(kernel);
                self.initramfs()?;
                self.as_built()?;
                self.console.say("Booting Linux...");
                Ok(Outcome::Boot)
            }
            Some(Program::Grub | Program::Shim | Program::Other) | None => {
                let name = kernel.program.map_or("other", Program::name);
                let why = format!(
                    "{} starts ({name}), and what it loads is not followed",
                    kernel.url
                );
                self.found.note = Some(why);
                self.no_kernel(Outcome::Program)
            }
        }
    }

    /// Says why a kernel is none for this machine.
    fn other_machine(&self, kernel: &File) -> Option<String> {
        let (own, url) = (self.asking.arch, &kernel.url);
        let bzimage = kernel.content == Content::BzImage.name();
        match (self.asking.machine.arch, &kernel.arch) {
            (0, _) if !bzimage => Some(format!(
                "{url} is no kernel that starts on a PC with a BIOS (a bzImage), but {}",
                kernel.content
            )),
            (_, _) if bzimage && !matches!(own, "amd64" | "i386") => {
                Some(format!("{url} is for x86, and the machine is {own}"))
            }
            (0, _) => None,
            (_, Some(arch)) if arch == own => None,
            (_, arch) => {
                let arch = arch.as_deref().unwrap_or("another way to start");
                Some(format!("{url} is for {arch}, and the machine is {own}"))
            }
        }
    }

    /// Stops where the programs of an initramfs are for another machine. What is no initramfs may be
    /// anything.
    fn initramfs(&mut self) -> Result<(), End> {
        let own = self.asking.arch;
        let mut all = self.found.initrds.iter();
        let other = all.find_map(|file| {
            let arch = file
                .arch
                .as_ref()
                .filter(|arch| file.program.is_none() && *arch != own)?;
            Some(format!(
                "the programs in {} are for {arch}, and the machine is {own}",
                file.url
            ))
        });
        match other {
            Some(why) => {
                Err(self.stop(Fault::WrongArchitecture, Stage::Initrd, Firmware::Ipxe, why))
            }
            None => Ok(()),
        }
    }

    /// Gives what scripts know of the machine.
    fn settings(&self, told: Option<&Told>) -> BTreeMap<String, String> {
        let asking = self.asking;
        let mut settings = asking.settings.clone();
        let mac: Vec<String> = asking
            .machine
            .mac
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let mut set = |name: &str, value: Option<String>| {
            if let Some(value) = value {
                settings.entry(name.to_owned()).or_insert(value);
            }
        };
        let (built, platform) = match (asking.arch, asking.machine.arch) {
            ("amd64", 0) => ("i386", "pcbios"),
            (arch, 0) => (arch, "pcbios"),
            ("amd64", _) => ("x86_64", "efi"),
            ("arm", _) => ("arm32", "efi"),
            (arch, _) => (arch, "efi"),
        };
        set("buildarch", Some(built.to_owned()));
        set("platform", Some(platform.to_owned()));
        set("mac", Some(mac.join(":")));
        set("uuid", asking.machine.uuid.map(uuid));
        let Some(told) = told else { return settings };
        set("filename", Some(told.boot.file.clone()));
        set("next-server", told.boot.server.clone());
        let Some(offer) = &told.address else {
            return settings;
        };
        let packet = &offer.packet;
        set("ip", Some(packet.yiaddr.to_string()));
        for (name, code) in [
            ("netmask", 1),
            ("gateway", 3),
            ("dns", 6),
            ("dhcp-server", 54),
        ] {
            // Of several, the first is what text shows.
            let value = packet.option(code).and_then(|value| value.get(..4));
            let value = value.and_then(|value| <[u8; 4]>::try_from(value).ok());
            set(name, value.map(|value| Ipv4Addr::from(value).to_string()));
        }
        set("hostname", packet.text(12));
        set("domain", packet.text(15));
        settings
    }
}

/// Says how a script ended that started nothing.
fn nothing_started(ended: &ipxe::Outcome) -> &'static str {
    match ended {
        ipxe::Outcome::Exit => "the script leaves iPXE",
        ipxe::Outcome::Shell => "a shell is opened",
        ipxe::Outcome::Reboot => "the machine starts again",
        ipxe::Outcome::PowerOff => "the machine is switched off",
        ipxe::Outcome::Ended
        | ipxe::Outcome::Boot(_)
        | ipxe::Outcome::SanBoot(_)
        | ipxe::Outcome::Failed(_)
        | ipxe::Outcome::Loop(_)
        | ipxe::Outcome::Unknown(_)
        | ipxe::Outcome::Limit(_) => "the script ends, and has started nothing",
    }
}

/// Tells what a command was about.
fn stage(command: &str) -> Stage {
    match command.split(' ').next() {
        Some("kernel" | "imgselect" | "imgload" | "boot" | "imgexec") => Stage::Kernel,
        Some("initrd" | "module" | "imgfetch") => Stage::Initrd,
        Some(_) | None => Stage::Script,
    }
}

/// Makes the machine that asks once iPXE runs: its architecture is that of PXE, also after HTTP boot.
fn as_ipxe(machine: &Machine) -> Machine {
    Machine {
        arch: match machine.arch {
            15 => 6,
            16 => 7,
            18 => 10,
            19 => 11,
            other => other,
        },
        firmware: Firmware::Ipxe,
        ..machine.clone()
    }
}

/// Gives the address of what iPXE is told to boot.
fn address(boot: &Boot) -> Result<Url, String> {
    let text = match &boot.server {
        None => boot.file.clone(),
        Some(server) => {
            let file = percent_encoding::utf8_percent_encode(&boot.file, PLAIN);
            let slash = if boot.file.starts_with('/') { "" } else { "/" };
            format!("tftp://{server}{slash}{file}")
        }
    };
    Url::parse(&text)
        .map_err(|error| format!("`{}` is no address: {error}", plain(&text).escape_debug()))
}

fn uuid(bytes: [u8; 16]) -> String {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default().to_owned();
    [
        part(0, 8),
        part(8, 12),
        part(12, 16),
        part(16, 20),
        part(20, 32),
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dhcp_names_has_an_address() {
        let of = |server: Option<&str>, file: &str| {
            let boot = Boot {
                server: server.map(str::to_owned),
                file: file.to_owned(),
            };
            address(&boot).map(|url| url.to_string())
        };
        let server = Some("10.0.0.1");
        assert_eq!(
            of(server, "a b/x.efi").unwrap(),
            "tftp://10.0.0.1/a%20b/x.efi"
        );
        assert_eq!(of(server, "/x").unwrap(), "tftp://10.0.0.1/x");
        assert_eq!(of(None, "http://h/x").unwrap(), "http://h/x");
        assert!(of(None, "http://[/").is_err());
        let at = Url::parse("tftp://10.0.0.1/boot/ipxe.efi").unwrap();
        assert_eq!(
            at.join(AUTOEXEC).unwrap().as_str(),
            "tftp://10.0.0.1/boot/autoexec.ipxe"
        );
        assert_eq!(uuid([0x36; 16]), "36363636-3636-3636-3636-363636363636");
    }

    #[test]
    fn after_http_boot_ipxe_says_what_it_says_after_pxe() {
        let machine = Machine {
            mac: [2; 6],
            uuid: None,
            arch: 19,
            firmware: Firmware::Http,
        };
        assert_eq!(
            as_ipxe(&machine).class(),
            "PXEClient:Arch:00011:UNDI:003010"
        );
    }
}
