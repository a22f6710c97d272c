//! `ipxe`: scripts on a real web server, and on disk.

use super::program;
use crate::servers::nginx;
use crate::world::World;

#[test]
fn scripts_are_followed_over_a_real_web_server() {
    let world = World::new();
    // What matchbox answers, which tells machines apart by the query.
    let settings = "location = /ipxe {\n\
         if ($arg_mac = 52-54-00-12-34-56) { rewrite .* /groups/node.ipxe last; }\n\
         return 404; }\n\
         location = /loop { return 302 /loop.ipxe; }\n";
    let Some(server) = nginx(world.path(), false, settings) else {
        return;
    };
    let files = [
        (
            "boot.ipxe",
            "#!ipxe\nchain ipxe?uuid=${uuid}&mac=${mac:hexhyp}&hostname=${hostname}&arch=${buildarch:uristring}\n",
        ),
        (
            "groups/node.ipxe",
            "#!ipxe\nkernel assets/kernel-arm64 initrd=initramfs console=ttyAMA0 ip=${ip}\n\
          initrd --name initramfs assets/initramfs-metal-arm64.xz\nboot\n",
        ),
        (
            "menu.ipxe",
            "#!ipxe\ncpuid --ext 29 || goto other\nchain amd64.ipxe\n:other\n\
          menu Which\nitem shell A shell\nitem talos Talos\n\
          choose --default talos --timeout 5000 what && goto ${what} || shell\n:talos\n\
          dhcp\nkernel assets/kernel-arm64\nboot || shell\n",
        ),
        (
            "loop.ipxe",
            "#!ipxe\n:again\nchain nowhere.ipxe || sleep 5\ngoto again\n",
        ),
        ("person.ipxe", "#!ipxe\nprompt Press a key\n"),
        ("wrong.ipxe", "#!ipxe\nkernel assets/kernel-amd64\nboot\n"),
        ("down.ipxe", "#!ipxe\nchain http://127.0.0.1:1/boot.ipxe\n"),
        ("words", "just words\n"),
    ];
    for (name, text) in files {
        world.write(&format!("files/{name}"), text);
    }
    world.write("files/assets/kernel-arm64", program(0xaa64));
    world.write("files/assets/kernel-amd64", program(0x8664));
    world.write("files/assets/initramfs-metal-arm64.xz", b"\xfd7zXZ\0rest");
    world.write(
        "here.ipxe",
        "#!ipxe\nset dir assets\nchain ${dir}/kernel-${buildarch}\n",
    );
    let url = format!("http://127.0.0.1:{}", server.port);
    let report = world.run(&format!(
        "
spec: ipxe
vars: {{ url: '{url}' }}
checks:
  - name: pass the node that is known gets its kernel
    ipxe: {{ url: '${{{{ vars.url }}}}/boot.ipxe', arch: arm64, mac: '52:54:00:12:34:56', uuid: 36d22ed9-b64f-4fdb-941b-a54a0854f991, settings: {{ ip: 10.0.0.7 }} }}
    expect:
      outcome: boot
      reason: null
      kernel: {{ url: '{url}/assets/kernel-arm64', arch: arm64, content: pe, size: 1 KiB }}
      arguments: initrd=initramfs console=ttyAMA0 ip=10.0.0.7
      initrds: [{{ name: initramfs, url: '{url}/assets/initramfs-metal-arm64.xz', content: xz, size: 10 }}]
      scripts: {{ len: 2 }}
      transcript: {{ len: 4, contain: boot }}
      failures: {{ len: 0 }}
      unset: [hostname]
  - name: fail of a node that is not known nothing boots
    ipxe: {{ url: '{url}/boot.ipxe', arch: arm64, mac: '52:54:00:12:34:57' }}
    expect: {{ outcome: boot }}
  - name: pass and why not is told
    ipxe: {{ url: '{url}/boot.ipxe', arch: arm64, mac: '52:54:00:12:34:57' }}
    expect: {{ outcome: failed, reason: {{ contain: [line 2, 'answers 404'] }}, failures: [{{ line: 2 }}], kernel: null }}
  - name: pass the menu takes its default
    ipxe: {{ url: '{url}/menu.ipxe', arch: arm64 }}
    expect: {{ outcome: boot, settings: {{ what: talos }}, failures: {{ contain: cpuid --ext 29 }}, transcript: {{ any: {{ note: {{ contain: taken to succeed }} }} }} }}
  - name: fail an AMD64 machine goes elsewhere
    ipxe: {{ url: '{url}/menu.ipxe', arch: amd64 }}
    expect: {{ outcome: boot }}
  - name: pass a loop is found
    ipxe: {{ url: '{url}/loop', arch: arm64 }}
    expect: {{ outcome: loop, reason: {{ contain: nothing has changed }} }}
  - name: pass the kernel of another machine does not start
    ipxe: {{ url: '{url}/wrong.ipxe', arch: arm64 }}
    expect: {{ outcome: failed, reason: {{ contain: 'for amd64, the machine is arm64' }} }}
  - name: pass where there is no script there is no boot
    ipxe: '{url}/words'
    expect: {{ outcome: failed, reason: {{ contain: exec format error }} }}
  - name: pass a script on disk
    ipxe: {{ base: '{url}/', arch: arm64 }}
    in: here.ipxe
    expect: {{ outcome: boot, kernel: {{ name: kernel-arm64 }}, settings: {{ dir: assets }} }}
  - name: pass a script that is the subject
    ipxe: {{ arch: arm64 }}
    in: '{url}/menu.ipxe'
    expect: {{ outcome: boot }}
  - name: pass without a base relative addresses lead nowhere
    ipxe: {{ arch: arm64 }}
    in: here.ipxe
    expect: {{ outcome: failed, reason: {{ contain: the script has no address }} }}
  - name: error only a person knows
    ipxe: '{url}/person.ipxe'
    expect: {{ outcome: shell }}
  - name: error a server is down
    ipxe: '{url}/down.ipxe'
    expect: {{ outcome: failed }}
  - name: error no script on disk
    ipxe:
    in: files/words
    expect: {{ outcome: failed }}
  - name: error nothing is named
    ipxe:
    expect: {{ outcome: failed }}
"
    ));
    report.as_named();
    assert!(
        report
            .why("error only a person knows")
            .contains("waits for a person")
    );
    assert!(
        report
            .why("error a server is down")
            .contains("no connection")
    );
}

#[test]
fn what_could_not_be_asked_is_said_before_anything_runs() {
    let world = World::new();
    for (args, said) in [
        ("{ url: http://h/x, mac: '52:54' }", "is no MAC address"),
        ("boot.ipxe", "relative URL without a base"),
        ("{ url: http://h/x, arch: sparc }", "arm64"),
    ] {
        world.refuses(
            &format!("name: a, ipxe: {args}, expect: {{ outcome: boot }}"),
            said,
        );
    }
}
