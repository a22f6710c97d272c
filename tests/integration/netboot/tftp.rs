//! `tftp`: files of a real server, over ways on which packets are lost, and of servers that lie.

use std::fs;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::program;
use crate::datagrams::{Relay, liar, tftpd};
use crate::images::Random;
use crate::world::World;

fn sha256(bytes: &[u8]) -> String {
    tdg::model::Sha256Digest::of(bytes).to_string()
}

/// Where tftpd-hpa has a file of the world.
fn url(world: &World, port: u16, name: &str) -> String {
    format!(
        "tftp://127.0.0.1:{port}/{}/tftp/{name}",
        world.path().display()
    )
}

#[test]
fn files_of_a_real_server_come_as_firmware_asks_for_them() {
    let world = World::new();
    let boot = program(0xaa64);
    world.write("tftp/ipxe-arm64.efi", &boot);
    world.write("tftp/empty", "");
    world.write("tftp/boot.ipxe", "#!ipxe\nchain ipxe-arm64.efi\n");
    // One block more than numbers there are, and a last one that is empty.
    let many = vec![7_u8; 512 * 65_540];
    world.write("tftp/many", &many);
    let Some((_server, port)) = tftpd(&world.path().join("tftp"), Duration::from_secs(1)) else {
        return;
    };
    let u = |name: &str| url(&world, port, name);
    let report = world.run(&format!(
        "
spec: tftp
checks:
  - name: pass the boot file as EDK2 asks for it
    tftp: {efi}
    expect:
      present: true
      failure: null
      size: 1 KiB
      sha256: {sum}
      content: pe
      arch: arm64
      options: {{ blksize: 1468, tsize: 1 KiB, windowsize: null, timeout: null }}
      blocks: 1
      problems: {{ len: 0 }}
  - name: pass as iPXE asks for it
    tftp: {{ url: '{efi}', like: ipxe, resend: 3 }}
    expect: {{ sha256: {sum}, options: {{ blksize: 1432, timeout: 3s }} }}
  - name: pass with no options
    tftp: {{ url: '{efi}', like: plain }}
    expect: {{ present: true, blocks: 3, sha256: {sum}, options: {{ blksize: null, tsize: null }} }}
  - name: pass block numbers begin again
    tftp: {{ url: '{many}', like: plain }}
    expect: {{ present: true, size: {length}, blocks: 65541, sha256: {many_sum} }}
  - name: pass an empty file
    tftp: {empty}
    expect: {{ present: true, size: 0, blocks: 1, content: empty, arch: null }}
  - name: fail the file is for ARM64
    tftp: {efi}
    expect: {{ arch: amd64 }}
  - name: fail a file is not there
    tftp: {efi}x
    expect: {{ present: true }}
  - name: pass why it is not there
    tftp: {efi}x
    expect: {{ present: false, error-code: 1, failure: {{ contain: File not found }}, sha256: null, content: null }}
  - name: pass a script over TFTP, to its program
    ipxe: {{ url: '{script}', arch: arm64 }}
    expect: {{ outcome: boot, kernel: {{ arch: arm64, size: 1 KiB, url: '{efi}' }} }}
  - name: pass a script that is not there
    ipxe: {{ url: '{script}x', arch: arm64 }}
    expect: {{ outcome: failed, reason: {{ contain: File not found }} }}
  - name: error nobody answers
    tftp: tftp://127.0.0.1:1/x
    timeout: 1s
    expect: {{ present: false }}
",
        efi = u("ipxe-arm64.efi"),
        many = u("many"),
        empty = u("empty"),
        script = u("boot.ipxe"),
        sum = sha256(&boot),
        many_sum = sha256(&many),
        length = many.len(),
    ));
    report.as_named();
    assert!(
        report
            .why("error nobody answers")
            .contains("no answer within")
    );
}

/// The kernel here may have no `netem`; the way that loses packets is a relay of the tests' own.
#[test]
fn a_hundred_megabytes_come_whole_where_one_packet_in_twenty_is_lost() {
    let world = World::new();
    let bytes = Random::new(5).bytes(100_000_000);
    world.write("tftp/large", &bytes);
    let Some((_server, port)) = tftpd(&world.path().join("tftp"), Duration::from_millis(20)) else {
        return;
    };
    let relay = Relay::losing(port, 5);
    let report = world.run(&format!(
        "spec: loss\nchecks:\n  - name: pass it comes whole\n    tftp: {{ url: '{}', blksize: 32768 }}\n    timeout: 120s\n    \
         expect: {{ present: true, size: 100000000, sha256: {}, retransmissions: {{ gt: 0 }} }}\n",
        url(&world, relay.port, "large"),
        sha256(&bytes)
    ));
    report.as_named();
    assert!(relay.lost.load(Ordering::Relaxed) > 100);
    fs::remove_file(world.path().join("tftp/large")).unwrap();
}

#[test]
fn doubled_packets_stay_two_and_late_ones_are_ignored() {
    let world = World::new();
    let bytes = Random::new(9).bytes(300_000);
    world.write("tftp/file", &bytes);
    let Some((_server, port)) = tftpd(&world.path().join("tftp"), Duration::from_secs(1)) else {
        return;
    };
    let relay = Relay::start(port, |_, _| 2);
    let report = world.run(&format!(
        "spec: twice\nchecks:\n  - name: pass each block twice\n    tftp: {{ url: '{}', blksize: 512 }}\n    \
         expect: {{ present: true, sha256: {}, blocks: 586, duplicates: {{ between: [500, 700] }} }}\n",
        url(&world, relay.port, "file"),
        sha256(&bytes)
    ));
    report.as_named();
}

/// An answer that grants options, as it is on the wire.
fn granted(options: &str) -> Vec<u8> {
    [b"\0\x06", options.replace(' ', "\0").as_bytes(), b"\0"].concat()
}

#[test]
fn what_servers_must_not_do_is_refused() {
    let world = World::new();
    let data = |block: u8, bytes: &[u8]| [&[0, 3, 0, block], bytes].concat();
    let one = |packet: Vec<u8>| liar(move |_| (vec![packet.clone()], vec![]));
    let unasked = one(granted("blksize 1468 multicast 1"));
    let large = one(granted("blksize 9000"));
    let broken = one(b"\0\x09".to_vec());
    let announced = liar(move |packet| match packet[1] {
        1 => (vec![granted("tsize 10")], vec![]),
        4 if packet[3] == 0 => (vec![data(1, b"four")], vec![]),
        _ => (vec![], vec![]),
    });
    // One that knows no options, and one whose answer a stranger joins.
    let old = liar(move |packet| match packet[1] {
        1 if packet.len() > 12 => (vec![b"\0\x05\0\x08no options\0".to_vec()], vec![]),
        1 => (vec![data(1, b"old")], vec![]),
        _ => (vec![], vec![]),
    });
    let joined = liar(move |packet| match packet[1] {
        1 => (
            vec![granted("tsize 5")],
            vec![data(1, b"wrong"), b"\0\x05\0\0gone\0".to_vec()],
        ),
        4 if packet[3] == 0 => {
            std::thread::sleep(Duration::from_millis(50));
            (vec![data(1, b"right")], vec![])
        }
        _ => (vec![], vec![]),
    });
    let endless = one(granted("tsize 99999999999"));
    let report = world.run(&format!(
        "
spec: liars
checks:
  - name: pass an option that was not asked for
    tftp: tftp://127.0.0.1:{unasked}/f
    expect: {{ present: false, failure: {{ contain: '`multicast` is granted and was not asked for' }}, error-code: null }}
  - name: pass a block larger than was asked for
    tftp: tftp://127.0.0.1:{large}/f
    expect: {{ present: false, failure: {{ contain: '`blksize` is granted with `9000`' }} }}
  - name: pass no packet at all
    tftp: tftp://127.0.0.1:{broken}/f
    expect: {{ present: false, failure: {{ contain: opcode 9 }} }}
  - name: pass a size that is not what was announced
    tftp: tftp://127.0.0.1:{announced}/f
    expect: {{ present: true, size: 4, problems: [{{ contain: 'announced 10 bytes, and sent 4' }}] }}
  - name: pass a server that knows no options
    tftp: tftp://127.0.0.1:{old}/f
    expect: {{ present: true, size: 3, without-options: true, sha256: {old_sum} }}
  - name: pass a stranger is none of it
    tftp: tftp://127.0.0.1:{joined}/f
    expect: {{ present: true, sha256: {right}, strangers: 2 }}
  - name: error more than may be
    tftp: tftp://127.0.0.1:{endless}/f
    expect: {{ present: true }}
",
        old_sum = sha256(b"old"),
        right = sha256(b"right"),
    ));
    report.as_named();
    assert!(report.why("error more than may be").contains("max_decoded"));
}

#[test]
fn addresses_that_are_none_are_refused_before_anything_runs() {
    let world = World::new();
    for (args, said) in [
        ("http://h/x", "tftp://HOST/FILE"),
        ("words", "relative URL without a base"),
        ("{ url: tftp://h/x, blksize: 7 }", "from 8 to 65464"),
        ("{ url: tftp://h/x, windowsize: 0 }", "at least 1"),
    ] {
        world.refuses(
            &format!("name: a, tftp: {args}, expect: {{ present: true }}"),
            said,
        );
    }
}
