//! `tdg serve`: what its servers give, to tdg's own clients and to those of others.

use std::fs;
use std::net::UdpSocket;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use super::program;
use crate::datagrams::Relay;
use crate::images::Random;
use crate::peers::peer;
use crate::serving::Serving;
use crate::world::World;

/// Any port that is free, and events for programs.
const ANY: [&str; 6] = ["--http-port", "0", "--tftp-port", "0", "--format", "json"];

pub(super) fn serve(world: &World, folder: &str, more: &[&str]) -> Serving {
    Serving::start(world.command(&[&["serve", folder], &ANY[..], more].concat()))
}

fn sha256(bytes: &[u8]) -> String {
    tdg::model::Sha256Digest::of(bytes).to_string()
}

const XZ: &[u8] = b"\xfd7zXZ\0\0\x04rest of it";

#[test]
fn a_folder_boots_what_it_has() {
    let world = World::new();
    let kernel = program(0xaa64);
    world.write("boot/kernel-arm64", &kernel);
    world.write("boot/kernel-amd64", program(0x8664));
    world.write("boot/initramfs-arm64.xz", XZ);
    world.write("boot/initramfs-amd64.xz", XZ);
    let serving = serve(&world, "boot", &["--cmdline", "console=ttyAMA0"]);
    let at = format!("http://127.0.0.1:{}", serving.port("http"));
    let report = world.run(&format!(
        "
spec: serve
checks:
  - name: pass the walk of an ARM64 machine
    ipxe: {{ url: '{at}/boot.ipxe', arch: arm64, mac: '52:54:00:12:34:56' }}
    expect:
      outcome: boot
      kernel: {{ url: '{at}/assets/kernel-arm64', arch: arm64, size: 1 KiB }}
  - name: fail the kernel is for AMD64
    ipxe: {{ url: '{at}/boot.ipxe', arch: arm64 }}
    expect: {{ kernel: {{ arch: amd64 }} }}
  - name: pass the kernel over HTTP
    http: '{at}/assets/kernel-arm64'
    expect: {{ status: 200 }}
",
    ));
    report.as_named();
    let script = serving.get("/ipxe?arch=x86_64").text();
    assert_eq!(
        script,
        "#!ipxe\nkernel /assets/kernel-amd64 initrd=initramfs console=ttyAMA0\n\
         initrd --name initramfs /assets/initramfs-amd64.xz\nboot\n"
    );
    assert_eq!(serving.get("/ipxe?arch=riscv64").status, 404);
    let why = serving.event("http", |event| event["target"] == "/ipxe?arch=riscv64");
    assert!(
        why["note"]
            .as_str()
            .unwrap()
            .contains("no kernel for riscv64"),
        "{why}"
    );
    assert_eq!(
        (
            serving.get("/").text().as_str(),
            serving.get("/profiles").status
        ),
        ("matchbox\n", 404)
    );
    let head = serving.ask("HEAD", "/assets/kernel-arm64", "");
    assert_eq!(
        (head.status, head.header("content-length"), head.body.len()),
        (200, Some("1024"), 0)
    );
    assert_eq!(head.header("content-type"), Some("application/efi"));
    assert_eq!(
        serving.ask("POST", "/", "Content-Length: 0\r\n").status,
        405
    );
    let page = serving.get("/assets/").text();
    assert!(page.contains(">kernel-arm64</a>"), "{page}");
    assert_eq!(serving.get("/assets").header("location"), Some("/assets/"));
    assert_eq!(serving.interrupt(), (Some(0), String::new()));
}

#[test]
fn parts_are_given_and_what_is_held_is_not_given_again() {
    let world = World::new();
    let bytes = Random::new(3).bytes(300_000);
    world.write("boot/image.img", &bytes);
    let serving = serve(&world, "boot", &[]);
    let part = serving.ask("GET", "/assets/image.img", "Range: bytes=131000-140000\r\n");
    assert_eq!(
        (part.status, part.header("content-range")),
        (206, Some("bytes 131000-140000/300000"))
    );
    assert!(part.body == bytes[131_000..=140_000], "another part came");
    let end = serving.ask("GET", "/assets/image.img", "Range: bytes=-5\r\n");
    assert_eq!(end.body, &bytes[299_995..]);
    let none = serving.ask("GET", "/assets/image.img", "Range: bytes=300000-\r\n");
    assert_eq!(
        (none.status, none.header("content-range")),
        (416, Some("bytes */300000"))
    );
    let whole = serving.get("/assets/image.img");
    assert!(whole.body == bytes, "something else came");
    let tag = whole.header("etag").unwrap().to_owned();
    let held = serving.ask(
        "GET",
        "/assets/image.img",
        &format!("If-None-Match: {tag}\r\n"),
    );
    assert_eq!((held.status, held.body.len()), (304, 0));
    let range = format!("Range: bytes=0-0\r\nIf-Range: {tag}\r\n");
    assert_eq!(serving.ask("GET", "/assets/image.img", &range).status, 206);
    world.write("boot/image.img", b"new");
    let changed = serving.ask("GET", "/assets/image.img", &range);
    assert_eq!((changed.status, changed.text().as_str()), (200, "new"));
}

#[test]
fn groups_and_profiles_decide_where_there_are_any() {
    let world = World::new();
    world.write(
        "mb/groups/worker.json",
        r#"{"profile": "talos", "selector": {"mac": "52-54-00-12-34-56"}, "metadata": {"role": "worker"}}"#,
    );
    world.write(
        "mb/profiles/talos.json",
        r#"{"id": "talos", "boot": {"kernel": "/assets/k", "initrd": ["/assets/i"], "args": ["a=b"]}}"#,
    );
    world.write("mb/assets/k", program(0xaa64));
    world.write("mb/assets/i", XZ);
    world.write("mb/kernel-arm64", program(0xaa64));
    let serving = serve(&world, "mb", &[]);
    let script = serving.get("/ipxe?mac=52:54:00:12:34:56&uuid=x").text();
    assert_eq!(
        script,
        "#!ipxe\nkernel /assets/k a=b\ninitrd /assets/i\nboot\n"
    );
    assert_eq!(serving.get("/ipxe?mac=52:54:00:12:34:57").status, 404);
    assert_eq!(serving.get("/ipxe?MAC=52:54:00:12:34:56").status, 404);
    let told = serving.get("/metadata?mac=52-54-00-12-34-56");
    assert_eq!(told.header("content-type"), Some("plain/text"));
    assert_eq!(
        told.text(),
        "MAC=52:54:00:12:34:56\nREQUEST_QUERY_MAC=52:54:00:12:34:56\n\
         REQUEST_RAW_QUERY=mac=52-54-00-12-34-56\nROLE=worker\n"
    );
    // Beside its assets nothing of it is given away.
    for hidden in [
        "/assets/groups/worker.json",
        "/assets/kernel-arm64",
        "/groups/worker.json",
    ] {
        assert_eq!(serving.get(hidden).status, 404, "{hidden}");
    }
}

#[test]
fn nothing_outside_of_the_folder_is_given() {
    let world = World::new();
    world.write("secret", "s");
    world.write("boot/file", "f");
    world.write("boot/.hidden", "s");
    symlink("../secret", world.path().join("boot/link")).unwrap();
    symlink("/etc", world.path().join("boot/etc")).unwrap();
    symlink("file", world.path().join("boot/inside")).unwrap();
    symlink("gone", world.path().join("boot/dangling")).unwrap();
    // What has a name in the folder is not taken from beside it.
    world.write("beside/dangling", "another");
    world.write("beside/own", "o");
    let serving = serve(&world, "boot", &["--boot", "beside"]);
    assert_eq!(serving.get("/assets/own").text(), "o");
    for target in [
        "/assets/../secret",
        "/assets/%2e%2e/secret",
        "/assets/..%2fsecret",
        "/assets//../../secret",
        "/assets/link",
        "/assets/dangling",
        "/assets/dangling/x",
        "/assets/etc/passwd",
        "/assets/.hidden",
        "/assets/file/",
        "/assets/file%00",
        "/assets/%ff",
        "/../secret",
    ] {
        assert_eq!(serving.get(target).status, 404, "{target}");
    }
    assert_eq!(serving.get("/assets/inside").text(), "f");
    assert_eq!(serving.get("/assets/").text().matches("<a ").count(), 2);
    for file in [
        "../secret",
        "/../secret",
        "link",
        "dangling",
        "etc/passwd",
        ".hidden",
        "",
        "/",
    ] {
        let answer = asks(serving.port("tftp"), &request(1, file, "octet"));
        assert_eq!(answer[..4], [0, 5, 0, 1], "{file}");
    }
    assert_eq!(
        asks(serving.port("tftp"), &request(1, "//file", "OCTET")),
        b"\0\x03\0\x01f"
    );
}

pub(super) fn request(opcode: u8, file: &str, mode: &str) -> Vec<u8> {
    let mut bytes = vec![0, opcode];
    for text in [file, mode] {
        bytes.extend(text.as_bytes());
        bytes.push(0);
    }
    bytes
}

/// Sends packets and gives the first answer that comes.
pub(super) fn first(port: u16, packets: &[&[u8]]) -> Vec<u8> {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    for packet in packets {
        socket.send_to(packet, ("127.0.0.1", port)).unwrap();
    }
    let mut buffer = [0; 2000];
    let (length, _) = socket.recv_from(&mut buffer).unwrap();
    buffer[..length].to_vec()
}

pub(super) fn asks(port: u16, packet: &[u8]) -> Vec<u8> {
    first(port, &[packet])
}

#[test]
fn files_come_over_tftp_as_they_are() {
    let world = World::new();
    let boot = program(0xaa64);
    // One block more than numbers there are, and a last one that is empty.
    let many = vec![7_u8; 512 * 65_540];
    world.write("boot/ipxe-arm64.efi", &boot);
    world.write("boot/many", &many);
    world.write("boot/empty", "");
    let serving = serve(&world, "boot", &[]);
    let port = serving.port("tftp");
    let report = world.run(&format!(
        "
spec: tftp
checks:
  - name: pass as EDK2 asks
    tftp: tftp://127.0.0.1:{port}/ipxe-arm64.efi
    expect:
      sha256: {sum}
      arch: arm64
      options: {{ blksize: 1468, tsize: 1 KiB, windowsize: 4, timeout: null }}
      problems: {{ len: 0 }}
  - name: pass as iPXE asks, and again after some seconds
    tftp: {{ url: 'tftp://127.0.0.1:{port}/ipxe-arm64.efi', like: ipxe, resend: 3 }}
    expect: {{ sha256: {sum}, options: {{ blksize: 1432, timeout: 3s }} }}
  - name: pass numbers begin again
    tftp: {{ url: 'tftp://127.0.0.1:{port}/many', like: plain }}
    expect: {{ size: {length}, blocks: 65541, sha256: {many_sum}, problems: {{ len: 0 }} }}
  - name: pass in windows
    tftp: 'tftp://127.0.0.1:{port}/many'
    expect: {{ size: {length}, sha256: {many_sum}, problems: {{ len: 0 }} }}
  - name: pass an empty file
    tftp: tftp://127.0.0.1:{port}/empty
    expect: {{ present: true, size: 0, blocks: 1 }}
  - name: fail a file is not there
    tftp: tftp://127.0.0.1:{port}/nothing
    expect: {{ present: true }}
",
        sum = sha256(&boot),
        length = many.len(),
        many_sum = sha256(&many),
    ));
    report.as_named();
    let Some(client) = peer("tftp") else { return };
    let got = Command::new(client)
        .current_dir(world.path())
        .args([
            "-m",
            "binary",
            "127.0.0.1",
            &port.to_string(),
            "-c",
            "get",
            "many",
            "got",
        ])
        .output()
        .unwrap();
    assert!(got.status.success(), "{got:?}");
    assert!(
        fs::read(world.path().join("got")).unwrap() == many,
        "something else came"
    );
    let told = serving.event("tftp", |event| event["file"] == "nothing");
    assert_eq!(told["failure"], "nothing is there");
}

#[test]
fn what_is_lost_on_the_way_is_sent_again() {
    let world = World::new();
    let bytes = Random::new(11).bytes(3_000_000);
    world.write("boot/image", &bytes);
    let serving = serve(&world, "boot", &[]);
    let relay = Relay::losing(serving.port("tftp"), 3);
    let report = world.run_with(
        &format!(
            "
spec: loss
checks:
  - name: pass in windows
    tftp: tftp://127.0.0.1:{port}/image
    expect: {{ sha256: {sum} }}
  - name: pass block by block
    tftp: {{ url: 'tftp://127.0.0.1:{port}/image', like: ipxe }}
    expect: {{ sha256: {sum} }}
",
            port = relay.port,
            sum = sha256(&bytes),
        ),
        &["--jobs", "1"],
    );
    report.as_named();
    assert!(relay.lost.load(std::sync::atomic::Ordering::Relaxed) > 50);
    let told = serving.event("tftp", |event| event["sent"] == 3_000_000);
    assert!(told["retransmissions"].as_u64().unwrap() > 0, "{told}");
}

#[test]
fn a_port_that_cannot_be_had_is_told_with_what_to_do() {
    let world = World::new();
    world.write("boot/file", "f");
    let serving = serve(&world, "boot", &[]);
    let port = serving.port("http").to_string();
    let taken = world.tdg(&["serve", "boot", "--http-port", &port, "--only", "http"]);
    assert_eq!(taken.code, 4);
    for says in ["another program does", "--http-port"] {
        assert!(taken.stderr.contains(says), "{}", taken.stderr);
    }
    assert!(taken.stdout.is_empty(), "{}", taken.stdout);
    let elsewhere = world.tdg(&["serve", "boot", "--listen", "192.0.2.1", "--only", "http"]);
    assert!(
        elsewhere.stderr.contains("does not have that address"),
        "{}",
        elsewhere.stderr
    );
    let nothing = world.tdg(&["serve", "nowhere"]);
    assert!(
        nothing.stderr.contains("cannot be served"),
        "{}",
        nothing.stderr
    );
    assert_eq!((elsewhere.code, nothing.code), (4, 4));
}
