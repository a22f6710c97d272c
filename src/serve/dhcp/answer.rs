//! What a machine is told to boot. Sources: PXE 2.1 §2.2 (ProxyDHCP, and boot servers on port 4011);
//! RFC 4578; UEFI 2.10 §24.7.3.

use crate::format::dhcp::{Firmware, Packet};
use crate::serve::event::Event;
use crate::serve::kernels::{Kernels, encoded};
use std::fmt::Write;
use std::net::Ipv4Addr;

/// What there is to tell.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// This server's address.
    pub own: Ipv4Addr,
    /// The port of HTTP, where it is served.
    pub http: Option<u16>,
    /// Whether TFTP is served, at the port that firmware knows.
    pub tftp: bool,
}

/// The port that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// That of DHCP servers, by everybody in the network.
    Everybody,
    /// That of boot servers, by a machine that was sent here.
    BootServer,
}

/// Answers a packet; `None` where it is none of a machine that boots, or is for another server. Only a
/// machine that boots is worth a look at what there is; `kernels` says why nothing may be given.
pub fn answer(
    asked: &Packet,
    at: Asked,
    told: Told,
    kernels: impl FnOnce() -> Result<Kernels, String>,
) -> Option<(Option<Packet>, Event)> {
    let (question, kind) = match at {
        Asked::Everybody => (1, 2),
        Asked::BootServer => (3, 5),
    };
    if asked.reply || asked.option(53) != Some(&[question]) {
        return None;
    }
    let class = asked.text(60)?;
    let firmware = if asked.option(77) == Some(b"iPXE") {
        Firmware::Ipxe
    } else if class.starts_with("PXEClient") {
        Firmware::Pxe
    } else if class.starts_with("HTTPClient") {
        Firmware::Http
    } else {
        return None;
    };
    let arch = *asked.architectures().first()?;
    let file = kernels().and_then(|kernels| file(firmware, arch, told, &kernels));
    let event = Event::Dhcp {
        mac: mac(asked.mac),
        arch,
        firmware: match firmware {
            Firmware::Pxe => "pxe",
            Firmware::Http => "http",
            Firmware::Ipxe => "ipxe",
        },
        file: file.as_ref().ok().cloned(),
        note: file.as_ref().err().cloned(),
    };
    let reply = file
        .ok()
        .map(|file| reply(asked, kind, firmware, told.own, &file));
    Some((reply, event))
}

/// Names the file, or says why there is none.
fn file(firmware: Firmware, arch: u16, told: Told, kernels: &Kernels) -> Result<String, String> {
    let url = |path: &str| match told.http {
        Some(80) => Ok(format!("http://{}/{path}", told.own)),
        Some(port) => Ok(format!("http://{}:{port}/{path}", told.own)),
        None => Err("it boots over HTTP, which is not served".to_owned()),
    };
    let name = match arch {
        0 => Some("bios"),
        7 | 9 | 16 => Some("amd64"),
        11 | 19 => Some("arm64"),
        27 | 28 => Some("riscv64"),
        _ => None,
    };
    kernels.complete(name)?;
    let loader = || {
        let found = name.and_then(|name| kernels.loader(name));
        let found = found.map(|loader| loader.name.clone());
        found.ok_or_else(|| {
            let name = name.unwrap_or("it");
            format!("no boot loader for {name} is in the folder, such as iPXE")
        })
    };
    match firmware {
        Firmware::Ipxe => url("boot.ipxe"),
        Firmware::Http => url(&format!("assets/{}", encoded(&loader()?))),
        Firmware::Pxe if told.tftp => loader(),
        Firmware::Pxe => Err("it boots over TFTP, which is not served at port 69".to_owned()),
    }
}

fn reply(asked: &Packet, kind: u8, firmware: Firmware, own: Ipv4Addr, file: &str) -> Packet {
    let class: &[u8] = match firmware {
        Firmware::Pxe | Firmware::Ipxe => b"PXEClient",
        Firmware::Http => b"HTTPClient",
    };
    let mut options = vec![
        (53, vec![kind]),
        (54, own.octets().to_vec()),
        (60, class.to_vec()),
    ];
    if let Some(uuid) = asked.option(97) {
        options.push((97, uuid.to_vec()));
    }
    let uefi = firmware == Firmware::Pxe && asked.architectures().first() != Some(&0);
    if firmware != Firmware::Http && !uefi {
        // No other boot server is looked for: the file is that of this answer. UEFI firmware (EDK2,
        // PxeBcCacheDhcp4Offer) drops an answer that says so beside a DHCP server's, and asks the boot
        // server by one that does not.
        options.push((43, vec![6, 1, 8, 255]));
    }
    // The field holds 127 bytes; an address on the web goes where it is always whole.
    let option = firmware == Firmware::Http || file.len() > 127;
    if option {
        options.push((67, file.as_bytes().to_vec()));
    }
    Packet {
        reply: true,
        secs: 0,
        hops: 0,
        yiaddr: Ipv4Addr::UNSPECIFIED,
        siaddr: own,
        sname: Vec::new(),
        file: if option {
            Vec::new()
        } else {
            file.as_bytes().to_vec()
        },
        options,
        ..asked.clone()
    }
}

fn mac(bytes: [u8; 6]) -> String {
    let mut text = String::new();
    for (index, byte) in bytes.iter().enumerate() {
        let colon = if index > 0 { ":" } else { "" };
        // Writing to a text cannot fail.
        let _ = write!(text, "{colon}{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::dhcp::{Boot, Choice, Machine, Offer, answered, choose};
    use crate::serve::kernels::Loader;

    const OWN: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 5);

    fn there() -> Kernels {
        let loader = |name: &str, arch: &str| Loader {
            name: name.to_owned(),
            arch: arch.to_owned(),
        };
        let mut kernels = Kernels::default();
        kernels.loaders = vec![
            loader("ipxe-arm64.efi", "arm64"),
            loader("undionly.kpxe", "bios"),
        ];
        kernels
    }

    fn kernels() -> Result<Kernels, String> {
        Ok(there())
    }

    /// For packets that are not worth a look.
    fn unseen() -> Result<Kernels, String> {
        panic!("the folder was looked at")
    }

    fn machine(firmware: Firmware, arch: u16) -> Machine {
        Machine {
            mac: [0x52, 0x54, 0, 0, 0, 1],
            uuid: Some([7; 16]),
            arch,
            firmware,
        }
    }

    /// What a machine boots that gets an address elsewhere, or why it boots nothing.
    fn boots(firmware: Firmware, arch: u16, told: Told) -> Result<Boot, String> {
        let asked = machine(firmware, arch).discover(9, None);
        let (reply, event) = answer(&asked, Asked::Everybody, told, kernels).unwrap();
        let Some(reply) = reply else {
            let Event::Dhcp { note, .. } = event else {
                panic!()
            };
            return Err(note.unwrap());
        };
        let proxy = Offer {
            from: OWN,
            packet: Packet::read(&reply.write()).unwrap(),
        };
        assert_eq!(
            (proxy.packet.xid, proxy.packet.option(97).unwrap().len()),
            (9, 17)
        );
        let mut address = proxy.clone();
        address.packet = Packet::of([1; 6], 9);
        address.packet.yiaddr = [10, 0, 0, 9].into();
        address.packet.options.push((54, vec![10, 0, 0, 1]));
        match choose(&[address, proxy], firmware) {
            Choice::Boot(_, boot) => Ok(boot),
            // As EDK2 does: the file that is named beside it does not count.
            Choice::Ask(questions) => {
                assert_eq!((questions[0].server, firmware), (OWN, Firmware::Pxe));
                let asked = machine(firmware, arch).ask_boot_server(3, [10, 0, 0, 9].into(), None);
                let (reply, _) = answer(&asked, Asked::BootServer, told, kernels).unwrap();
                let packet = Packet::read(&reply.unwrap().write()).unwrap();
                let said = answered(&questions[0], &Offer { from: OWN, packet }, firmware);
                let Choice::Boot(_, boot) = said else {
                    panic!("{said:?}")
                };
                Ok(boot)
            }
            other @ (Choice::Nothing(_) | Choice::Unseen(_)) => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_firmware_boots_what_it_is_told() {
        let all = Told {
            own: OWN,
            http: Some(8080),
            tftp: true,
        };
        let tftp = |file: &str| Boot {
            server: Some("10.0.0.5".to_owned()),
            file: file.to_owned(),
        };
        let url = |file: &str| Boot {
            server: None,
            file: file.to_owned(),
        };
        assert_eq!(
            boots(Firmware::Pxe, 11, all).unwrap(),
            tftp("ipxe-arm64.efi")
        );
        assert_eq!(boots(Firmware::Pxe, 0, all).unwrap(), tftp("undionly.kpxe"));
        let web = url("http://10.0.0.5:8080/assets/ipxe-arm64.efi");
        assert_eq!(boots(Firmware::Http, 19, all).unwrap(), web);
        let script = url("http://10.0.0.5:8080/boot.ipxe");
        assert_eq!(boots(Firmware::Ipxe, 11, all).unwrap(), script);
        assert!(
            boots(Firmware::Pxe, 7, all)
                .unwrap_err()
                .contains("no boot loader for amd64")
        );
        let none = Told {
            http: None,
            tftp: false,
            ..all
        };
        assert!(
            boots(Firmware::Http, 19, none)
                .unwrap_err()
                .contains("HTTP")
        );
        assert!(boots(Firmware::Pxe, 11, none).unwrap_err().contains("TFTP"));
        let asked = machine(Firmware::Pxe, 11).ask_boot_server(3, [10, 0, 0, 9].into(), None);
        assert!(answer(&asked, Asked::Everybody, all, kernels).is_none());
        let (reply, _) = answer(&asked, Asked::BootServer, all, kernels).unwrap();
        let reply = reply.unwrap();
        assert_eq!(
            (reply.option(53), reply.file.as_slice()),
            (Some(&[5][..]), &b"ipxe-arm64.efi"[..])
        );
    }

    #[test]
    fn what_does_not_boot_is_left_to_others() {
        let told = Told {
            own: OWN,
            http: Some(80),
            tftp: true,
        };
        let good = machine(Firmware::Pxe, 11).discover(9, None);
        for without in [53, 60, 93] {
            let mut asked = good.clone();
            asked.options.retain(|(code, _)| *code != without);
            assert!(
                answer(&asked, Asked::Everybody, told, unseen).is_none(),
                "{without}"
            );
        }
        let reply = Packet {
            reply: true,
            ..good
        };
        assert!(answer(&reply, Asked::Everybody, told, unseen).is_none());
    }

    #[test]
    fn a_name_in_an_address_is_encoded() {
        let told = Told {
            own: OWN,
            http: Some(80),
            tftp: true,
        };
        let loaders = || {
            let mut kernels = there();
            kernels.loaders[0].name = "my ipxe#1?.efi".to_owned();
            Ok(kernels)
        };
        let asked = machine(Firmware::Http, 19).discover(9, None);
        let (reply, _) = answer(&asked, Asked::Everybody, told, loaders).unwrap();
        assert_eq!(
            reply.unwrap().text(67).unwrap(),
            "http://10.0.0.5/assets/my%20ipxe%231%3F.efi"
        );
    }
}
