//! `tdg serve` beside a server that gives addresses, on a wire of the test's own.

use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use tdg::format::dhcp::{Firmware, Machine, Offer, Packet};

use super::program;
use crate::peers::{own_network, peer};
use crate::serving::Serving;
use crate::world::{Report, World, ran};

/// Two network cards with a wire between them. At the other end is dnsmasq, which gives addresses and
/// says nothing of booting, and the program, which is all there is to say of it. Nothing outlives the
/// script: it is the first process of a namespace.
const WIRE: &str = r#"
set -eu
ip link set lo up
unshare -n sh -c '
  : >there
  for turn in $(seq 500); do ip link show there >/dev/null 2>&1 && break; sleep 0.02; done
  ip link set lo up; ip addr add 10.77.0.1/24 dev there; ip addr add 10.77.0.2/24 dev there; ip link set there up
  "$DNSMASQ" --no-daemon --conf-file=/dev/null --pid-file= --port=0 --interface=there --bind-interfaces \
    --dhcp-range=10.77.0.50,10.77.0.99,10m --no-ping --leasefile-ro --log-facility="$PWD/dnsmasq.log" 2>/dev/null &
  "$TDG" serve boot --interface there >serve.log 2>&1 &
  sleep 60' &
other=$!
for turn in $(seq 500); do [ ! -e there ] || break; sleep 0.02; done
ip link add name here type veth peer name there netns $other
ip link set here up; ip addr add 10.77.0.9/24 dev here
for turn in $(seq 500); do grep -q "boot-server listens" serve.log && grep -q started dnsmasq.log 2>/dev/null && break; sleep 0.02; done
[ "$turn" != 500 ] || { cat serve.log dnsmasq.log >&2; exit 99; }
"$@"
"#;

#[test]
fn machines_that_get_an_address_elsewhere_are_told_what_to_boot() {
    let (Some(dnsmasq), Some(unshare)) = (peer("dnsmasq"), own_network()) else {
        return;
    };
    let world = World::new();
    world.write("boot/ipxe-arm64.efi", program(0xaa64));
    world.write("boot/undionly.kpxe", "a program of a BIOS");
    world.write(
        "specs/it.yaml",
        "
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
",
    );
    let tdg = world.command(&["run", "specs", "--format", "json", "--jobs", "1"]);
    let mut command = Command::new(unshare);
    command
        .args(["-rn", "--pid", "--fork", "--kill-child"])
        .args(["sh", "-c", WIRE, "sh"])
        .arg(tdg.get_program())
        .args(tdg.get_args())
        .current_dir(world.path())
        .env("DNSMASQ", dnsmasq)
        .env("TDG", tdg.get_program());
    for (name, value) in tdg.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
    let report = Report::of(ran(&mut command));
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
    let asks = |server: &str, bytes: &[u8]| {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket
            .set_read_timeout(Some(Duration::from_millis(500)))
            .unwrap();
        socket
            .send_to(bytes, ("127.0.0.1", serving.port(server)))
            .unwrap();
        let mut buffer = [0; 2000];
        let (length, _) = socket.recv_from(&mut buffer).ok()?;
        Some(Packet::read(&buffer[..length]).unwrap())
    };
    let discover = machine.discover(77, Some(relay));
    let offer = asks("dhcp", &discover.write()).unwrap();
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
    assert_eq!(
        asks("boot-server", &ask.write()).unwrap().option(53),
        Some(&[5][..])
    );
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
        assert!(asks("dhcp", strange).is_none(), "{strange:?}");
    }
    // No TFTP is served: that is told to the one who serves, and the machine hears nothing.
    let pxe = Machine {
        arch: 11,
        firmware: Firmware::Pxe,
        ..machine
    };
    assert!(asks("dhcp", &pxe.discover(79, Some(relay)).write()).is_none());
    let told = serving.event("dhcp", |event| event["arch"] == 11);
    assert!(told["note"].as_str().unwrap().contains("TFTP"), "{told}");
}
