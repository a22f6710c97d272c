//! What firmware sends to learn what to boot. Sources: RFC 4578; UEFI 2.10 §24.7; EDK2's `PxeBcDhcp4.c`
//! and `HttpBootDhcp4.c`; iPXE's `net/udp/dhcp.c`.

use std::net::Ipv4Addr;

use super::Packet;

/// The options that are asked for, as EDK2 does, and iPXE's own.
const WANTED: [u8; 36] = [
    1, 2, 3, 4, 5, 6, 12, 13, 15, 17, 18, 22, 23, 28, 40, 41, 42, 43, 50, 51, 54, 58, 59, 60, 66,
    67, 97, 128, 129, 130, 131, 132, 133, 134, 135, 175,
];

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    /// Firmware that boots by PXE: a file by TFTP.
    Pxe,
    /// UEFI that boots by HTTP: a file at a URL.
    Http,
    /// iPXE, once it runs.
    Ipxe,
}

/// The machine that asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its MAC address.
    pub mac: [u8; 6],
    /// Its UUID.
    pub uuid: Option<[u8; 16]>,
    /// Its architecture, as option 93 counts them: 0 BIOS, 7 x64, 11 ARM64, 16 and 19 those by HTTP.
    pub arch: u16,
    /// Who asks.
    pub firmware: Firmware,
}

impl Machine {
    /// Gives what option 60 says.
    #[must_use]
    pub fn class(&self) -> String {
        let (name, undi) = match self.firmware {
            Firmware::Pxe => ("PXEClient", "003000"),
            Firmware::Http => ("HTTPClient", "003000"),
            Firmware::Ipxe => ("PXEClient", "003010"),
        };
        format!("{name}:Arch:{:05}:UNDI:{undi}", self.arch)
    }

    /// Makes a DISCOVER. `relay` is the address of the relay that it comes through.
    #[must_use]
    pub fn discover(&self, xid: u32, relay: Option<Ipv4Addr>) -> Packet {
        let mut packet = Packet::of(self.mac, xid);
        packet.broadcast = true;
        if let Some(relay) = relay {
            packet.giaddr = relay;
            packet.hops = 1;
        }
        packet.options = self.options(1);
        packet
    }

    /// Makes the REQUEST that takes an offered address of a server, in the offer's transaction. Source:
    /// RFC 2131 §4.3.2, the state SELECTING.
    #[must_use]
    pub fn request(
        &self,
        xid: u32,
        relay: Option<Ipv4Addr>,
        address: Ipv4Addr,
        server: Ipv4Addr,
    ) -> Packet {
        let mut packet = self.discover(xid, relay);
        packet.options = self.options(3);
        packet.options.push((50, address.octets().to_vec()));
        packet.options.push((54, server.octets().to_vec()));
        packet
    }

    /// Makes the RELEASE that gives an address back to its server. Source: RFC 2131 §4.4.6.
    #[must_use]
    pub fn release(&self, xid: u32, address: Ipv4Addr, server: Ipv4Addr) -> Packet {
        let mut packet = Packet::of(self.mac, xid);
        packet.ciaddr = address;
        packet.options = self.options(7);
        // The server knows the lease by the identifier, where there is one; the rest is of no use.
        packet.options.retain(|(code, _)| [53, 61].contains(code));
        packet.options.push((54, server.octets().to_vec()));
        packet
    }

    /// Makes what a boot server is asked on port 4011; `own` is where it answers to, and `item` the
    /// type of boot server where a menu led to it. Source: PXE 2.1 §2.2.3 and table 2-1, tag 71.
    #[must_use]
    pub fn ask_boot_server(&self, xid: u32, own: Ipv4Addr, item: Option<u16>) -> Packet {
        let mut packet = Packet::of(self.mac, xid);
        packet.ciaddr = own;
        packet.options = self.options(3);
        if let Some(item) = item {
            let [high, low] = item.to_be_bytes();
            packet.options.push((43, vec![71, 4, high, low, 0, 0, 255]));
        }
        packet
    }

    fn options(&self, message: u8) -> Vec<(u8, Vec<u8>)> {
        let minor = match self.firmware {
            Firmware::Pxe | Firmware::Http => 0,
            Firmware::Ipxe => 0x10,
        };
        let mut options = vec![
            (53, vec![message]),
            // The largest answer that is taken: one packet.
            (57, vec![5, 192]),
            (55, WANTED.to_vec()),
        ];
        if let Some(uuid) = self.uuid {
            options.push((97, [&[0], uuid.as_slice()].concat()));
        }
        options.push((94, vec![1, 3, minor]));
        options.push((93, self.arch.to_be_bytes().to_vec()));
        options.push((60, self.class().into_bytes()));
        if self.firmware == Firmware::Ipxe {
            options.push((77, b"iPXE".to_vec()));
            options.push((61, [&[1], self.mac.as_slice()].concat()));
            // What it was built with: HTTP, menus, EFI or BIOS.
            let efi = if self.arch == 0 { 0x21 } else { 0x24 };
            options.push((175, vec![0x13, 1, 1, 0x27, 1, 1, efi, 1, 1]));
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn firmware_says_who_it_is() {
        let machine = |firmware, arch| Machine {
            mac: [2; 6],
            uuid: Some([9; 16]),
            arch,
            firmware,
        };
        let packet = machine(Firmware::Pxe, 11).discover(5, None);
        assert_eq!(packet.text(60).unwrap(), "PXEClient:Arch:00011:UNDI:003000");
        assert_eq!(packet.option(97).unwrap().len(), 17);
        assert_eq!(
            (packet.architectures(), packet.option(77)),
            (vec![11], None)
        );
        let packet = machine(Firmware::Http, 19).discover(5, Some([10, 0, 0, 9].into()));
        assert_eq!(
            packet.text(60).unwrap(),
            "HTTPClient:Arch:00019:UNDI:003000"
        );
        assert_eq!(packet.giaddr, Ipv4Addr::new(10, 0, 0, 9));
        let packet = machine(Firmware::Ipxe, 11).discover(5, None);
        assert_eq!(
            (packet.text(77).as_deref(), packet.option(94)),
            (Some("iPXE"), Some(&[1, 3, 16][..]))
        );
        let packet = machine(Firmware::Pxe, 0).ask_boot_server(5, [10, 0, 0, 9].into(), Some(258));
        assert_eq!(
            (packet.option(53), packet.option(43)),
            (Some(&[3][..]), Some(&[71, 4, 1, 2, 0, 0, 255][..]))
        );
        assert!(!packet.broadcast && packet.ciaddr == Ipv4Addr::new(10, 0, 0, 9));
    }

    #[test]
    fn an_address_is_taken_and_given_back() {
        let machine = Machine {
            mac: [2; 6],
            uuid: None,
            arch: 11,
            firmware: Firmware::Ipxe,
        };
        let (address, server) = ([10, 0, 0, 50].into(), [10, 0, 0, 1].into());
        let packet = machine.request(5, None, address, server);
        assert_eq!(packet.option(53), Some(&[3][..]));
        assert_eq!(packet.address(50), Some(address));
        assert_eq!(packet.address(54), Some(server));
        assert!(packet.broadcast && packet.ciaddr.is_unspecified());
        let packet = machine.release(6, address, server);
        let codes: Vec<u8> = packet.options.iter().map(|(code, _)| *code).collect();
        assert_eq!(codes, [53, 61, 54]);
        assert_eq!(packet.option(53), Some(&[7][..]));
        assert!(!packet.broadcast && packet.ciaddr == address);
    }
}
