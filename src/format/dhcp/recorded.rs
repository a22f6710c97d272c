//! Packets as machines have sent them, and what published test suites read in them: the bytes are
//! typed here as facts. Sources: the tests of dhcproto (Rust: two offers), of LH.Dhcp (.NET: Hyper-V's
//! firmware by PXE, and what it is offered), and of a netboot server in Python (a Raspberry Pi by PXE,
//! UEFI by HTTP, U-Boot on ARM64, NetworkManager).

use super::{Machine, Offer, Packet, Pxe};
use crate::format::dhcp::Firmware;
use std::net::Ipv4Addr;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .collect();
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).unwrap())
        .collect()
}

/// A datagram of its head, up to the MAC address, and its options; `padded` zeros follow.
fn datagram(head: &str, options: &str, padded: usize) -> Vec<u8> {
    let mut bytes = hex(head);
    assert_eq!(bytes.len(), 34);
    bytes.resize(236, 0);
    bytes.extend(hex("63825363"));
    bytes.extend(hex(options));
    bytes.resize(bytes.len() + padded, 0);
    bytes
}

fn codes(packet: &Packet) -> Vec<u8> {
    packet.options.iter().map(|(code, _)| *code).collect()
}

/// What is written again is read the same.
fn read(bytes: &[u8]) -> Packet {
    let packet = Packet::read(bytes).unwrap();
    assert_eq!(Packet::read(&packet.write()).unwrap(), packet);
    for end in 0..240 {
        assert!(Packet::read(&bytes[..end]).is_err(), "{end} bytes");
    }
    packet
}

#[test]
fn firmware_of_a_virtual_pc_asks_by_pxe() {
    let packet = read(&datagram(
        "01010602 5e005030 0004 8000 00000000 00000000 00000000 00000000 00155d005030",
        "350101 3718 01020305060b0c0d0f1011122b363c438081828384858687 390204ec
         6111 0086257cde4edc8a4e8940a4847f362d09 5d020000 5e03010201
         3c20 505845436c69656e743a417263683a30303030303a554e44493a303032303031 ff",
        190,
    ));
    assert_eq!((packet.xid, packet.secs, packet.hops), (0x5e00_5030, 4, 2));
    assert!(packet.broadcast && !packet.reply);
    assert_eq!(packet.mac, [0, 0x15, 0x5d, 0, 0x50, 0x30]);
    assert_eq!(codes(&packet), [53, 55, 57, 97, 93, 94, 60]);
    assert_eq!(packet.architectures(), [0]);
    let class = "PXEClient:Arch:00000:UNDI:002001";
    assert_eq!(packet.text(60).as_deref(), Some(class));
}

#[test]
fn a_raspberry_pi_asks_as_a_pc() {
    let packet = read(&datagram(
        "01010600 26f30339 0000 0000 00000000 00000000 00000000 00000000 b827eb9b65d4",
        "350101 370e 2b3c43808182838485868742 0103 5d020000 5e03010201
         6111 00d4659bbdd4659bbdd4659bbdd4659bbd
         3c20 505845436c69656e743a417263683a30303030303a554e44493a303032303031 ff",
        0,
    ));
    assert_eq!((packet.xid, packet.broadcast), (0x26f3_0339, false));
    assert_eq!(packet.mac, [0xb8, 0x27, 0xeb, 0x9b, 0x65, 0xd4]);
    assert_eq!(packet.architectures(), [0]);
    assert_eq!(packet.option(55).map(<[u8]>::len), Some(14));
}

#[test]
fn uefi_asks_by_http_boot_as_this_program_does() {
    let packet = read(&datagram(
        "01010600 9d9ff879 0004 8000 00000000 00000000 00000000 00000000 60beb4061337",
        "350101 390205c0 371b 0102030405060c0d0f111216171c28292a2b3233363a3b3ccc4361
         6111 0000020003000400050006000700080009 5e03010310 5d020010
         3c21 48545450436c69656e743a417263683a30303031363a554e44493a303033303136 ff",
        0,
    ));
    assert_eq!((packet.secs, packet.broadcast), (4, true));
    assert_eq!(packet.architectures(), [16]);
    let class = "HTTPClient:Arch:00016:UNDI:003016";
    assert_eq!(packet.text(60).as_deref(), Some(class));
    let machine = Machine {
        mac: packet.mac,
        uuid: Some(*b"\x00\x02\x00\x03\x00\x04\x00\x05\x00\x06\x00\x07\x00\x08\x00\x09"),
        arch: 16,
        firmware: Firmware::Http,
    };
    let own = machine.discover(packet.xid, None);
    for code in [53, 57, 93, 97] {
        assert_eq!(own.option(code), packet.option(code), "option {code}");
    }
    let start = |packet: &Packet| packet.text(60).map(|class| class[..21].to_owned());
    assert_eq!(start(&own), start(&packet));
}

#[test]
fn u_boot_on_arm64_has_an_architecture_of_its_own() {
    let packet = read(&datagram(
        "01010600 01d045a7 0003 0000 00000000 00000000 00000000 00000000 e45f01d02af3",
        "350103 39020240 36040a000001 32040a000013 5d020016 5e03010000
         3c0c 552d426f6f742e61726d7638 3705 0103060c11 ff",
        10,
    ));
    assert_eq!(packet.option(53), Some(&[3][..]));
    assert_eq!(packet.architectures(), [22]);
    assert_eq!(packet.address(50), Some(Ipv4Addr::new(10, 0, 0, 19)));
    assert_eq!(packet.address(54), Some(Ipv4Addr::new(10, 0, 0, 1)));
    assert_eq!(packet.text(60).as_deref(), Some("U-Boot.armv8"));
}

#[test]
fn padding_before_the_options_is_none_of_them() {
    let packet = read(&datagram(
        "01010600 31fb9b36 0001 0000 00000000 00000000 00000000 00000000 1c61b463ba2c",
        "00 350103 3d07 011c61b463ba2c 3711 0102060c0f1a1c79032128292a77f9fc11 39020240
         3204 c0a80021 0c0a 6d757075663539353078 ff",
        0,
    ));
    assert_eq!(codes(&packet), [53, 61, 55, 57, 50, 12]);
    assert_eq!(packet.text(12).as_deref(), Some("mupuf5950x"));
    assert!(packet.architectures().is_empty());
}

#[test]
fn offers_that_name_nothing_to_boot() {
    for (head, options, address, next, lease) in [
        (
            "02010600 0000155c 0000 8000 00000000 c0a80003 00000000 00000000 cc000ac40000",
            "350102 3604c0a80001 33040000003c 3a040000001e 3b0400000034 0104ffffff00
             0304c0a80001 0608c0a80001c0a80101 ff",
            [192, 168, 0, 3],
            [192, 168, 0, 1],
            60,
        ),
        (
            "02010600 a6805674 0000 8000 00000000 c0a80095 c0a80001 00000000 deadc0decafe",
            "350102 3604c0a80001 330400000078 3a040000003c 3b0400000069 0104ffffff00
             1c04c0a800ff 0604c0a80001 0304c0a80001 ff",
            [192, 168, 0, 149],
            [192, 168, 0, 1],
            120,
        ),
    ] {
        let packet = read(&datagram(head, options, 10));
        assert!(packet.reply && packet.broadcast);
        let seconds: u32 = lease;
        assert_eq!(packet.option(51), Some(&seconds.to_be_bytes()[..]));
        let offer = Offer {
            from: Ipv4Addr::from(next),
            packet,
        };
        assert_eq!(offer.packet.yiaddr, Ipv4Addr::from(address));
        assert_eq!(offer.server(), Ipv4Addr::from(next));
        assert!(!offer.is_proxy() && offer.file().is_none() && offer.boot().is_none());
        assert_eq!(offer.pxe(), Pxe::default());
    }
}

#[test]
fn an_offer_names_the_file_in_its_field() {
    let mut bytes = datagram(
        "02010600 5e005030 0004 8000 00000000 c0a80164 c0a8010d 00000000 00155d005030",
        "350102 3604c0a80102 330400000258 0104ffffff00 0304c0a80101 060408080808 ff",
        26,
    );
    bytes[108..121].copy_from_slice(b"undionly.kpxe");
    let offer = Offer {
        from: Ipv4Addr::new(192, 168, 1, 2),
        packet: read(&bytes),
    };
    assert_eq!(offer.packet.yiaddr, Ipv4Addr::new(192, 168, 1, 100));
    assert_eq!(offer.sender(), "192.168.1.2");
    let boot = offer.boot().unwrap();
    assert_eq!(boot.file, "undionly.kpxe");
    assert_eq!(boot.server.as_deref(), Some("192.168.1.13"));
}
