//! What servers answer.

use std::net::Ipv4Addr;

use super::packet::for_each;
use super::{Boot, Packet};
use crate::format::field::be16;

/// An answer, with who sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Where it came from.
    pub from: Ipv4Addr,
    /// The answer.
    pub packet: Packet,
}

/// The parts of option 43. Source: PXE 2.1, table 2-1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pxe {
    /// 6: how boot servers are looked for; 8 is not at all, but by the file named here.
    pub discovery_control: Option<u8>,
    /// 7: the group that boot servers are in, which are looked for by multicast.
    pub group: Option<Ipv4Addr>,
    /// 8: the types of boot servers, and their addresses.
    pub servers: Vec<(u16, Vec<Ipv4Addr>)>,
    /// 9: the types that a menu offers, and what it shows for them.
    pub menu: Vec<(u16, String)>,
    /// 10: what is shown before the menu, and for how many seconds it waits.
    pub prompt: Option<(u8, String)>,
    /// The codes of the parts that are there.
    pub codes: Vec<u8>,
    /// Whether a part was cut short.
    pub broken: bool,
}

impl Pxe {
    /// Reads the value of option 43.
    #[must_use]
    pub fn read(value: &[u8]) -> Self {
        let mut pxe = Self::default();
        let text =
            |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
        let mut codes = Vec::new();
        let gone = for_each(value, 0, |code, value| {
            codes.push(code);
            match code {
                6 => pxe.discovery_control = value.first().copied(),
                7 => pxe.group = <[u8; 4]>::try_from(value).ok().map(Ipv4Addr::from),
                8 => {
                    let mut rest = value;
                    while let Some((kind, count)) = be16(rest, 0).zip(rest.get(2)) {
                        let end = 3 + usize::from(*count) * 4;
                        let Some(addresses) = rest.get(3..end) else {
                            break;
                        };
                        let addresses = addresses
                            .chunks_exact(4)
                            .filter_map(|part| <[u8; 4]>::try_from(part).ok());
                        pxe.servers
                            .push((kind, addresses.map(Ipv4Addr::from).collect()));
                        rest = rest.get(end..).unwrap_or_default();
                    }
                }
                9 => {
                    let mut rest = value;
                    while let Some((kind, length)) = be16(rest, 0).zip(rest.get(2)) {
                        let end = 3 + usize::from(*length);
                        let Some(shown) = rest.get(3..end) else { break };
                        pxe.menu.push((kind, text(Some(shown))));
                        rest = rest.get(end..).unwrap_or_default();
                    }
                }
                10 => {
                    pxe.prompt = value
                        .split_first()
                        .map(|(wait, shown)| (*wait, text(Some(shown))))
                }
                _ => {}
            }
        });
        pxe.codes = codes;
        pxe.broken = gone.is_err();
        pxe
    }

    /// Tells whether a part is there, by its code.
    #[must_use]
    pub fn has(&self, code: u8) -> bool {
        self.codes.contains(&code)
    }

    /// Tells whether it says how boot servers are found: parts 6 to 10.
    #[must_use]
    pub fn discovers(&self) -> bool {
        (6..=10).any(|code| self.has(code))
    }

    /// Tells whether it says all that multicast TFTP takes: parts 1 to 5.
    #[must_use]
    pub fn multicasts(&self) -> bool {
        (1..=5).all(|code| self.has(code))
    }

    /// Tells whether no boot server is looked for, and the file that is named is taken.
    #[must_use]
    pub fn skips(&self) -> bool {
        self.discovery_control
            .is_some_and(|control| control & 8 != 0)
    }
}

impl Offer {
    /// Tells whether it offers no address, but only what to boot: ProxyDHCP.
    #[must_use]
    pub fn is_proxy(&self) -> bool {
        self.packet.yiaddr.is_unspecified()
    }

    /// Gives the server that sent it, as it names itself (option 54), or else by its address.
    #[must_use]
    pub fn sender(&self) -> String {
        self.packet.address(54).unwrap_or(self.from).to_string()
    }

    /// Gives the boot file: option 67, or the field of that name.
    #[must_use]
    pub fn file(&self) -> Option<String> {
        let field = String::from_utf8_lossy(&self.packet.file).into_owned();
        let named = self.packet.text(67).unwrap_or(field);
        Some(named).filter(|name| !name.is_empty())
    }

    /// Gives the server that has the boot file: `siaddr`, or else the DHCP server. Firmware looks
    /// neither at option 66 nor at the field `sname`.
    #[must_use]
    pub fn server(&self) -> Ipv4Addr {
        match self.packet.siaddr.is_unspecified() {
            false => self.packet.siaddr,
            true => self.packet.address(54).unwrap_or(self.from),
        }
    }

    /// Gives what is booted by this offer alone, where it names a file.
    #[must_use]
    pub fn boot(&self) -> Option<Boot> {
        let file = self.file()?;
        let server = (!file.contains("://")).then(|| self.server().to_string());
        Some(Boot { server, file })
    }

    /// Gives the parts of option 43.
    #[must_use]
    pub fn pxe(&self) -> Pxe {
        Pxe::read(self.packet.option(43).unwrap_or_default())
    }

    /// Tells whether option 60 begins with a class.
    #[must_use]
    pub fn speaks(&self, class: &str) -> bool {
        let said = self.packet.option(60);
        said.is_some_and(|said| said.starts_with(class.as_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The bytes are those of the example in the PXE specification 2.1, and of a menu of dnsmasq.
    #[test]
    fn the_parts_of_option_43_are_read() {
        let pxe = Pxe::read(&[
            6, 1, 8, 8, 7, 0, 1, 1, 10, 0, 0, 1, 9, 6, 0, 1, 3, b'a', b'b', b'c', 10, 3, 5, b'h',
            b'i', 255,
        ]);
        assert_eq!(pxe.discovery_control, Some(8));
        assert_eq!(pxe.servers, [(1, vec![Ipv4Addr::new(10, 0, 0, 1)])]);
        assert_eq!(pxe.menu, [(1, "abc".to_owned())]);
        assert_eq!(
            (pxe.prompt, pxe.broken),
            (Some((5, "hi".to_owned())), false)
        );
        assert!(Pxe::read(&[6, 9, 8]).broken);
    }
}
