//! `dhcp`: real servers in a network namespace of the test's own.

use std::path::Path;

use tdg::format::dhcp::{Firmware, Machine, Packet};

use super::beside::beside;
use crate::peers::{output, peer};
use crate::world::World;

/// A block that works: each machine gets what it can start.
const WORKS: &str = "
dhcp-range=10.77.0.50,10.77.0.99,10m
dhcp-match=set:arm64,option:client-arch,11
dhcp-boot=tag:arm64,ipxe-arm64.efi
dhcp-match=set:arm64http,option:client-arch,19
dhcp-boot=tag:arm64http,http://10.77.0.1/ipxe-arm64.efi
dhcp-option-force=tag:arm64http,60,HTTPClient
dhcp-userclass=set:ipxe,iPXE
dhcp-boot=tag:ipxe,http://10.77.0.1:8080/boot.ipxe
";

#[test]
fn each_firmware_is_offered_what_it_can_start() {
    let spec = "
spec: dhcp
checks:
  - name: pass ARM64 by PXE
    dhcp: { arch: arm64, interface: here, mac: '52:54:00:12:34:56', uuid: 36d22ed9-b64f-4fdb-941b-a54a0854f991 }
    expect:
      boot: { file: ipxe-arm64.efi, server: 10.77.0.1, from: 10.77.0.1 }
      reason: null
      problems: { len: 0 }
      boot-server: null
      offers: { len: 1, every: { proxy: false, from: 10.77.0.1, address: { starts-with: '10.77.0.' }, next-server: 10.77.0.1, lease: 10m, options: { '53': '02' } } }
  - name: pass ARM64 by HTTP
    dhcp: { arch: arm64, firmware: http, interface: here }
    expect: { boot: { file: 'http://10.77.0.1/ipxe-arm64.efi', server: null }, offers: [{ vendor-class: HTTPClient }] }
  - name: pass iPXE
    dhcp: { arch: arm64, firmware: ipxe, interface: here }
    expect: { boot: { file: 'http://10.77.0.1:8080/boot.ipxe' }, problems: { len: 0 } }
  - name: fail AMD64 gets no file
    dhcp: { arch: amd64, interface: here }
    expect: { boot: { present: true } }
  - name: pass and why is told
    dhcp: { arch: amd64, interface: here }
    expect: { boot: null, reason: { contain: no server names a boot file }, offers: { len: 1 } }
  - name: error there is no such card
    dhcp: { arch: arm64, interface: nowhere0 }
    expect: { boot: null }
  - name: error the card is down
    dhcp: { arch: arm64, interface: down0 }
    expect: { boot: null }
  - name: error the walk does not begin
    netboot: { arch: arm64, interface: down0 }
    expect: { fault: null }
  - name: error nothing is at the other end
    dhcp: { arch: arm64, interface: loose0, wait: 1 }
    expect: { boot: null }
";
    let world = World::new();
    let Some(report) = beside(&world, [WORKS, ""], "", spec) else {
        return;
    };
    report.as_named();
    assert!(
        report
            .why("error there is no such card")
            .contains("the network card `nowhere0`")
    );
    for down in ["error the card is down", "error the walk does not begin"] {
        let why = report.why(down);
        assert!(why.contains("the network card `down0` is down"), "{why}");
        assert!(why.contains("ip link set down0 up"), "{why}");
    }
    let loose = report.why("error nothing is at the other end");
    assert!(
        loose.contains("the network card `loose0` has no link"),
        "{loose}"
    );
}

/// A dnsmasq that looks whether an address is free answers nobody else for three seconds, and a relay's
/// port has one user: who asks at once waits for the others, and is no error.
#[test]
fn machines_that_ask_at_once_wait_for_each_other() {
    let looks = "# looks first\n";
    let ways = [
        (looks, "interface: here"),
        ("", "server: 10.77.0.1, relay: 10.77.0.9"),
    ];
    for (looks, way) in ways {
        let conf = format!("{looks}dhcp-range=10.77.0.50,10.77.0.99,10m\ndhcp-boot=arm64.efi\n");
        let spec = format!(
            "
spec: at once
checks:
  - name: pass the first
    dhcp: {{ arch: arm64, {way}, mac: '52:54:00:00:00:01' }}
    expect: {{ boot: {{ file: arm64.efi }} }}
  - name: pass the second
    dhcp: {{ arch: arm64, {way}, mac: '52:54:00:00:00:02' }}
    expect: {{ boot: {{ file: arm64.efi }} }}
"
        );
        let world = World::new();
        if let Some(report) = beside(&world, [&conf, ""], "10.77.0.9", &spec) {
            report.as_named();
        }
    }
}

/// Mistakes that stop firmware for a minute each, or lead it in a circle.
#[test]
fn what_would_stop_firmware_is_caught() {
    // The first is taken for ARM64, but 7 is x64; `dnsmasq --test` has nothing against it.
    let conf = "
dhcp-range=10.77.0.50,10.77.0.99,10m
dhcp-match=set:efi-arm64,option:client-arch,7 # ARM64
dhcp-boot=tag:efi-arm64,ipxe-arm64.efi
dhcp-match=set:arm64http,option:client-arch,19
dhcp-boot=tag:arm64http,http://10.77.0.1/ipxe-arm64.efi
dhcp-match=set:x64http,option:client-arch,16
dhcp-boot=tag:x64http,http://boot/ipxe.efi
dhcp-option-force=tag:x64http,60,HTTPClient
dhcp-match=set:arm,option:client-arch,10
dhcp-option-force=tag:arm,60,PXEClient
dhcp-boot=undionly.kpxe
";
    let spec = "
spec: wrong
checks:
  - name: fail ARM64 gets its own boot file
    dhcp: { arch: arm64, interface: here }
    expect: { boot: { file: ipxe-arm64.efi } }
  - name: pass it gets that of a PC's BIOS
    dhcp: { arch: arm64, interface: here }
    expect: { boot: { file: undionly.kpxe }, problems: { contain: { contain: \"named like a program for a PC's BIOS\" } } }
  - name: pass and a PC gets that of ARM64
    dhcp: { arch: amd64, interface: here }
    expect: { boot: { file: ipxe-arm64.efi } }
  - name: pass option 60 is missing
    dhcp: { arch: arm64, firmware: http, interface: here }
    expect: { boot: null, reason: { contain: 'is offered without option 60 `HTTPClient`' } }
  - name: pass a name and no name server
    dhcp: { arch: amd64, firmware: http, interface: here }
    expect: { boot: null, reason: { contain: no name server is offered } }
  - name: pass a class that promises a boot server, and there is none
    dhcp: { arch: arm, interface: here, wait: 1 }
    expect: { boot: null, reason: { contain: does not answer on port 4011 }, boot-server: null }
  - name: pass iPXE loads itself without end
    dhcp: { arch: amd64, firmware: ipxe, interface: here }
    expect: { problems: [{ contain: loads it again without end }] }
";
    let world = World::new();
    if let Some(report) = beside(&world, [conf, ""], "10.77.0.9", spec) {
        report.as_named();
    }
}

/// One server gives addresses, and another says what to boot: on port 67 that it is there, and on
/// port 4011 the file.
#[test]
fn proxy_dhcp_is_asked_on_its_own_port() {
    let addresses = "dhcp-range=10.77.0.50,10.77.0.99,10m\n";
    let proxy = "
dhcp-range=10.77.0.0,proxy
pxe-service=ARM64_EFI,ARM64,ipxe-arm64.efi
pxe-service=x86PC,PC,undionly
";
    let spec = "
spec: proxy
checks:
  - name: pass ARM64 is led to the other server
    dhcp: { arch: arm64, interface: here, uuid: 36d22ed9-b64f-4fdb-941b-a54a0854f991 }
    expect:
      boot: { file: ipxe-arm64.efi, server: { starts-with: 10.77.0. } }
      reason: null
      boot-server: { proxy: true, file: ipxe-arm64.efi, uuid-echoed: true, options: { '53': '05' } }
      offers: { len: 2, any: { proxy: true, address: null, file: null, vendor-class: PXEClient, uuid-echoed: true } }
  - name: pass a PC is led through a menu
    dhcp: { arch: i386, interface: here }
    expect: { boot: { file: undionly.0 }, boot-server: { file: undionly.0, options: { '53': '05' } } }
  - name: pass no line for AMD64
    dhcp: { arch: amd64, interface: here }
    expect: { boot: null }
";
    let world = World::new();
    if let Some(report) = beside(&world, [addresses, proxy], "10.77.0.9", spec) {
        report.as_named();
    }
}

/// The server has one address. The second machine is given it only where the first gave it back.
#[test]
fn a_lease_that_is_taken_is_given_back() {
    let conf = "
dhcp-range=10.77.0.50,10.77.0.50,10m
dhcp-authoritative
dhcp-boot=ipxe-arm64.efi
";
    let take = |name: &str, mac: &str, more: &str| {
        format!(
            "  - name: pass {name}
    dhcp: {{ arch: arm64, {more}, mac: '{mac}', lease: true }}
    expect:
      lease: {{ given: true, reason: null, address: 10.77.0.50, from: 10.77.0.1, differences: {{ len: 0 }}, answer: {{ file: ipxe-arm64.efi, lease: 10m, options: {{ '53': '05' }} }} }}
"
        )
    };
    let broadcast = "interface: here";
    let relay = "server: 10.77.0.1, relay: 10.77.0.9";
    let spec = format!(
        "
spec: lease
checks:
{}{}{}{}  - name: pass nothing is taken where nobody says so
    dhcp: {{ arch: arm64, interface: here }}
    expect: {{ lease: null, offers: {{ len: 1 }} }}
",
        take("the first", "02:00:00:00:00:01", broadcast),
        take("the second", "02:00:00:00:00:02", broadcast),
        take("the third, by a relay", "02:00:00:00:00:03", relay),
        take("the fourth", "02:00:00:00:00:04", broadcast),
    );
    let world = World::new();
    let Some(report) = beside(&world, [conf, ""], "10.77.0.9", &spec) else {
        return;
    };
    report.as_named();
    let log = std::fs::read_to_string(world.path().join("first.log")).unwrap();
    let of = |what: &str| log.matches(what).count();
    assert_eq!((of("DHCPACK"), of("DHCPNAK")), (4, 0), "{log}");
    assert!(of("DHCPRELEASE") >= 4, "{log}");
}

#[test]
fn a_relay_is_answered_at_its_address() {
    let spec = "
spec: relay
checks:
  - name: pass by unicast
    dhcp: { arch: arm64, server: 10.77.0.1, relay: 10.77.0.9 }
    expect: { boot: { file: ipxe-arm64.efi, from: 10.77.0.1 }, offers: { len: 1 } }
  - name: error nobody is there
    dhcp: { arch: arm64, server: 10.77.0.3, relay: 10.77.0.9, wait: 1 }
    expect: { boot: null }
";
    let world = World::new();
    if let Some(report) = beside(&world, [WORKS, ""], "10.77.0.9", spec) {
        report.as_named();
        assert!(
            report
                .why("error nobody is there")
                .contains("no offer within")
        );
    }
}

/// The UDP datagrams of a capture of raw IP packets.
fn datagrams(capture: &[u8]) -> Vec<Vec<u8>> {
    let word = |at: usize| u32::from_le_bytes(capture[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!((word(0), word(20)), (0xa1b2_c3d4, 101));
    let (mut at, mut found) = (24, Vec::new());
    while at < capture.len() {
        let end = at + 16 + word(at + 8);
        found.push(capture[at + 16 + 28..end].to_vec());
        at = end;
    }
    found
}

const FIELDS: [&str; 10] = [
    "dhcp.option.dhcp",
    "dhcp.hw.mac_addr",
    "dhcp.ip.your",
    "dhcp.ip.server",
    "dhcp.id",
    "dhcp.file",
    "dhcp.option.vendor_class_id",
    "dhcp.option.client_system_architecture",
    "dhcp.option.dhcp_server_id",
    "dhcp.option.type",
];

/// What tshark reads of the packets of a capture: the message's type, MAC address, addresses, the
/// transaction, boot file, options 60, 93 and 54, and the numbers of all options.
fn tshark(program: &Path, world: &World, capture: &str) -> Vec<Vec<String>> {
    let mut arguments = vec![
        "-n",
        "-r",
        capture,
        "-Y",
        "!_ws.malformed",
        "-T",
        "fields",
        "-E",
        "separator=|",
    ];
    FIELDS
        .iter()
        .for_each(|field| arguments.extend(["-e", field]));
    let said = output(program, world.path(), &arguments);
    said.lines()
        .map(|line| line.split('|').map(str::to_owned).collect())
        .collect()
}

fn ours(packet: &Packet) -> Vec<String> {
    let mac: Vec<String> = packet
        .mac
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let codes: Vec<String> = packet
        .options
        .iter()
        .map(|(code, _)| code.to_string())
        .collect();
    let architectures: Vec<String> = packet.architectures().iter().map(u16::to_string).collect();
    vec![
        packet.option(53).unwrap()[0].to_string(),
        mac.join(":"),
        packet.yiaddr.to_string(),
        packet.siaddr.to_string(),
        format!("0x{:08x}", packet.xid),
        String::from_utf8(packet.file.clone()).unwrap(),
        packet.text(60).unwrap_or_default(),
        architectures.join(","),
        packet
            .address(54)
            .map(|address| address.to_string())
            .unwrap_or_default(),
        codes.join(","),
    ]
}

/// dnsmasq writes down what it gets and what it sends.
#[test]
fn packets_of_firmware_and_of_a_real_server_are_read_as_tshark_reads_them() {
    let Some(program) = peer("tshark") else {
        return;
    };
    let world = World::new();
    let file = world.path().join("it.pcap");
    let conf = format!("{WORKS}dumpfile={}\ndumpmask=0x1000\n", file.display());
    let ask = |firmware| {
        format!(
            "  - name: pass {firmware}\n    dhcp: {{ arch: arm64, firmware: {firmware}, interface: here, uuid: 36d22ed9-b64f-4fdb-941b-a54a0854f991 }}\n    expect: {{ boot: {{ present: true }} }}\n"
        )
    };
    let spec = format!(
        "spec: packets\nchecks:\n{}{}{}",
        ask("pxe"),
        ask("http"),
        ask("ipxe")
    );
    let Some(report) = beside(&world, [&conf, ""], "", &spec) else {
        return;
    };
    report.as_named();
    let capture = std::fs::read(&file).unwrap();
    let packets: Vec<Packet> = datagrams(&capture)
        .iter()
        .map(|bytes| Packet::read(bytes).unwrap())
        .collect();
    let read: Vec<Vec<String>> = packets.iter().map(ours).collect();
    let theirs = tshark(&program, &world, "it.pcap");
    assert!(
        read.len() >= 6 && read.len() == theirs.len(),
        "{read:?} {theirs:?}"
    );
    for (own, other) in read.iter().zip(&theirs) {
        // tshark counts the end as an option, and the padding behind it.
        let codes = other[9]
            .split(',')
            .filter(|code| !["0", "255"].contains(code));
        let mut other = other.clone();
        other[9] = codes.collect::<Vec<_>>().join(",");
        // And that of iPXE's option 61 as one more MAC address.
        other[1].truncate(17);
        assert_eq!(own, &other);
    }
    let machine = |firmware, arch| Machine {
        mac: [2, 0x74, 0x64, 0x67, 0, 1],
        uuid: Some(*b"\x36\xd2\x2e\xd9\xb6\x4f\x4f\xdb\x94\x1b\xa5\x4a\x08\x54\xf9\x91"),
        arch,
        firmware,
    };
    for machine in [
        machine(Firmware::Pxe, 11),
        machine(Firmware::Http, 19),
        machine(Firmware::Ipxe, 11),
    ] {
        let sent = |packet: &&Packet| !packet.reply && packet.text(60) == Some(machine.class());
        let packet = packets.iter().find(sent).unwrap();
        assert_eq!(packet, &machine.discover(packet.xid, None));
    }
}
