//! `tdg serve` beside a server that gives addresses, on a wire of the test's own.

use std::net::UdpSocket;
use std::time::Duration;

use tdg::format::dhcp::{Firmware, Machine, Offer, Packet};

use super::beside::with_serve;
use super::program;
use crate::serving::Serving;
use crate::world::World;

#[test]
fn machines_that_get_an_address_elsewhere_are_told_what_to_boot() {
    let world = World::new();
    world.write("boot/ipxe-arm64.efi", program(0xaa64));
    world.write("boot/undionly.kpxe", "a program of a BIOS");
    let spec = "
spec: proxy
checks:
  - name: pass ARM64 by PXE
    dhcp: { arch: arm64, interface: here }
    expect:
      boot: { file: ipxe-arm64.efi, server: 10.77.0.1 }
      problems: { len: 0 }
      offers: { len: 2 }
  - name: pass a BIOS by PXE
    dhcp: { arch: i386, interface: here }
    expect: { boot: { file: undionly.kpxe, server: 10.77.0.1 } }
  - name: pass ARM64 by HTTP
    dhcp: { arch: arm64, firmware: http, interface: here }
    expect: { boot: { file: 'http://10.77.0.1:8080/assets/ipxe-arm64.efi' }, problems: { len: 0 } }
  - name: pass iPXE
    dhcp: { arch: arm64, firmware: ipxe, interface: here }
    expect: { boot: { file: 'http://10.77.0.1:8080/boot.ipxe' }, problems: { len: 0 } }
  - name: fail AMD64, for which nothing is there
    dhcp: { arch: amd64, interface: here }
    expect: { boot: { present: true } }
  - name: pass the file over TFTP
    tftp: tftp://10.77.0.1/ipxe-arm64.efi
    expect: { arch: arm64, size: 1 KiB }
  - name: pass the file over HTTP
    http: 'http://10.77.0.1:8080/assets/ipxe-arm64.efi'
    expect: { status: 200 }
";
    let Some(report) = with_serve(&world, "boot", "10.77.0.9", spec) else {
        return;
    };
    report.as_named();
    let log = std::fs::read_to_string(world.path().join("serve.log")).unwrap();
    let told = "dhcp   02:74:64:67:00:01 pxe, architecture 11: ipxe-arm64.efi";
    assert!(log.contains(told), "{log}");
    assert!(
        log.contains("no boot loader for amd64 is in the folder"),
        "{log}"
    );
}

#[test]
fn a_relay_and_a_boot_server_are_answered_and_strangers_are_not() {
    let world = World::new();
    world.write("boot/ipxe-arm64.efi", program(0xaa64));
    let any = [
        "--http-port",
        "0",
        "--dhcp-port",
        "0",
        "--boot-server-port",
        "0",
    ];
    let more = ["serve", "boot", "--only", "http,dhcp", "--format", "json"];
    let serving = Serving::start(world.command(&[&more[..], &any[..]].concat()));
    let machine = Machine {
        mac: [2, 0, 0, 0, 0, 1],
        uuid: None,
        arch: 19,
        firmware: Firmware::Http,
    };
    let relay = [127, 0, 0, 1].into();
    // Gives the first answer to what is sent.
    let first = |server: &str, packets: &[&[u8]]| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        for bytes in packets {
            socket
                .send_to(bytes, ("127.0.0.1", serving.port(server)))
                .unwrap();
        }
        let mut buffer = [0; 2000];
        let (length, _) = socket.recv_from(&mut buffer).unwrap();
        Packet::read(&buffer[..length]).unwrap()
    };
    let asks = |server: &str, bytes: &[u8]| first(server, &[bytes]);
    let good = machine.discover(80, Some(relay)).write();
    let unanswered = |strange: &[u8]| first("dhcp", &[strange, &good]).xid == 80;
    let discover = machine.discover(77, Some(relay));
    let offer = asks("dhcp", &discover.write());
    assert_eq!(
        (offer.xid, offer.giaddr, offer.option(53)),
        (77, relay, Some(&[2][..]))
    );
    let offer = Offer {
        from: relay,
        packet: offer,
    };
    let port = serving.port("http");
    assert_eq!(
        offer.file().unwrap(),
        format!("http://127.0.0.1:{port}/assets/ipxe-arm64.efi")
    );
    assert!(offer.is_proxy() && offer.speaks("HTTPClient"));
    let ask = machine.ask_boot_server(78, relay, None);
    assert_eq!(asks("boot-server", &ask.write()).option(53), Some(&[5][..]));
    let bytes = discover.write();
    let mut other = bytes.clone();
    other[0] = 2;
    let mut lease = discover.clone();
    lease.options.retain(|(code, _)| *code != 60);
    for strange in [
        &bytes[..100],
        &bytes[..245],
        &other,
        &lease.write(),
        &[0xff; 300],
        b"",
    ] {
        assert!(unanswered(strange), "{strange:?}");
    }
    // Four of them were no packets at all.
    serving.event("broken", |_| {
        let all = serving.events("broken");
        assert!(all.iter().all(|told| told["server"] == "dhcp"));
        let count: u64 = all.iter().map(|told| told["count"].as_u64().unwrap()).sum();
        count == 4
    });
    // No TFTP is served: that is told to the one who serves, and the machine hears nothing.
    let pxe = Machine {
        arch: 11,
        firmware: Firmware::Pxe,
        ..machine
    };
    assert!(unanswered(&pxe.discover(79, Some(relay)).write()));
    let told = serving.event("dhcp", |event| event["arch"] == 11);
    assert!(told["note"].as_str().unwrap().contains("TFTP"), "{told}");
}

#[test]
fn where_all_addresses_are_listened_at_dhcp_is_left_out_and_that_is_said() {
    let world = World::new();
    world.write("boot/ipxe-arm64.efi", program(0xaa64));
    let all = ["serve", "boot", "--listen", "0.0.0.0", "--format", "json"];
    let any = ["--http-port", "0", "--tftp-port", "0"];
    let serving = Serving::start(world.command(&[&all[..], &any[..]].concat()));
    let servers: Vec<_> = serving
        .events("listening")
        .iter()
        .map(|event| event["server"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(servers, ["http", "tftp"]);
    let (code, said) = serving.interrupt();
    assert_eq!(code, Some(0));
    assert!(said.contains("note: dhcp is left out"), "{said}");
    let only = world.tdg(&[&all[..], &["--only", "dhcp"]].concat());
    assert_eq!((only.code, only.stdout.as_str()), (4, ""));
    assert!(only.stderr.contains("--interface CARD"), "{}", only.stderr);
}

#[test]
fn what_is_killed_leaves_nothing() {
    let world = World::new();
    world.write("boot/ipxe-arm64.efi", program(0xaa64));
    let any = [
        "--http-port",
        "0",
        "--tftp-port",
        "0",
        "--dhcp-port",
        "0",
        "--boot-server-port",
        "0",
    ];
    let more = [
        "serve",
        "boot",
        "--only",
        "http,tftp,dhcp",
        "--format",
        "json",
    ];
    let serving = Serving::start(world.command(&[&more[..], &any[..]].concat()));
    let process = format!("/proc/{}", serving.pid());
    // SIGKILL.
    drop(serving);
    assert!(!std::path::Path::new(&process).exists());
    let entries = std::fs::read_dir(world.path().join("boot")).unwrap();
    assert_eq!(entries.count(), 1);
}
