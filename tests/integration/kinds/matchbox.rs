//! The kind `matchbox`, held to the rules that matchbox's documentation and sources state.

use crate::peers::{output, peer};
use crate::world::{Report, World};

const PROFILE: &str = r#"{"id": "node", "name": "Talos", "boot": {
    "kernel": "/assets/talos/vmlinuz", "initrd": ["/assets/talos/initramfs.xz"],
    "args": ["initrd=initramfs.xz", "console=ttyAMA0", "talos.platform=metal"]}}"#;

/// A folder as a bastion has it, without a fault.
fn sound(world: &World) {
    world.write("m/assets/talos/vmlinuz", "a kernel");
    world.write("m/assets/talos/initramfs.xz", "an initramfs");
    world.write("m/profiles/node.json", PROFILE);
    world.write(
        "m/profiles/rescue.json",
        r#"{"id": "rescue", "generic_id": "r.cfg", "boot": {"kernel": "http://elsewhere/vmlinuz", "initrd": ["--name i ${base}/i"], "args": ["initrd=i"]}}"#,
    );
    world.write("m/generic/r.cfg", "hello");
    world.write(
        "m/groups/default.json",
        r#"{"id": "default", "profile": "node", "metadata": {"role": "worker"}}"#,
    );
    world.write(
        "m/groups/one.json",
        r#"{"id": "one", "name": "One", "profile": "rescue", "selector": {"mac": "52-54-00-AB-00-01"}}"#,
    );
}

fn run(world: &World, subject: &str, checks: &[&str]) -> Report {
    let checks: String = checks.iter().map(|c| format!("  - {{ {c} }}\n")).collect();
    let report = world.run(&format!(
        "spec: matchbox\nsubject: {subject}\nchecks:\n{checks}"
    ));
    report.as_named();
    report
}

const HOLDS: &[&str] = &[
    "name: pass without a fault, matchbox: , expect: { problems: { len: 0 }, groups: { len: 2 }, profiles: { len: 2 } }",
    "name: pass the default, matchbox: , expect: { selected: { outcome: boots, groups: [groups/default.json], profile: node, kernel: /assets/talos/vmlinuz, initrds: [/assets/talos/initramfs.xz], arguments: 'initrd=initramfs.xz console=ttyAMA0 talos.platform=metal', script: \"#!ipxe\\nkernel /assets/talos/vmlinuz initrd=initramfs.xz console=ttyAMA0 talos.platform=metal\\ninitrd /assets/talos/initramfs.xz\\nboot\\n\" } }",
    "name: pass by address in any form, matchbox: { labels: { mac: 5254.00ab.0001 } }, expect: { selected: { profile: rescue } }",
    "name: pass another address, matchbox: { labels: { mac: 52-54-00-ab-00-02 } }, expect: { selected: { profile: node } }",
    "name: pass no address at all, matchbox: { labels: { mac: none } }, expect: { selected: { profile: node } }",
    "name: pass groups, matchbox: , expect: { groups: { contain: [{ file: groups/one.json, id: one, name: One, profile: rescue, selector: { mac: '52:54:00:ab:00:01' } }, { id: default, metadata: [role] }] } }",
    "name: pass files, matchbox: , expect: { profiles: { contain: [{ id: node, groups: [groups/default.json], files: [{ url: /assets/talos/vmlinuz, path: assets/talos/vmlinuz, size: 8 }, { size: 12 }] }, { id: rescue, files: [{ url: 'http://elsewhere/vmlinuz', path: null }, { url: '${base}/i', path: null, size: null }] }] } }",
    "name: fail another kernel, matchbox: , expect: { selected: { kernel: /assets/vmlinuz } }",
    "name: fail other assets, 'matchbox': { assets: elsewhere }, expect: { problems: { len: 0 } }",
];

#[test]
fn what_a_machine_gets() {
    let world = World::new();
    sound(&world);
    run(&world, "m", HOLDS);
}

#[test]
fn what_is_in_an_archive_is_read_there() {
    let Some(tar) = peer("tar") else { return };
    let world = World::new();
    sound(&world);
    output(
        &tar,
        world.path(),
        &["-cf", "m.tar", "--transform=s,^m,var/lib/matchbox,", "m"],
    );
    std::fs::remove_dir_all(world.path().join("m")).unwrap();
    run(&world, "m.tar!/var/lib/matchbox", HOLDS);
}

/// Each fault of a folder that was sound: what is written where, and which problem it has to be,
/// at which file, with which words.
const FAULTS: &[(&str, &str, &str, &str, &str)] = &[
    (
        "groups/a.json",
        "{",
        "unreadable",
        "groups/a.json",
        "not JSON",
    ),
    (
        "groups/a.json",
        r#"{"profile": "node", "selector": {"port": 1}}"#,
        "unreadable",
        "groups/a.json",
        "`selector.port` is no text",
    ),
    (
        "groups/one.json",
        r#"{"profile": "rescue", "selector": {"mac": "52:54"}}"#,
        "unreadable",
        "groups/one.json",
        "no MAC address",
    ),
    (
        "groups/a.yaml",
        "id: a",
        "ignored",
        "groups/a.yaml",
        "`.json`",
    ),
    (
        "groups/two.json",
        r#"{"profile": "rescue"}"#,
        "ambiguous",
        "groups/two.json",
        "groups/default.json is its equal: both are for machines that no other group is for",
    ),
    (
        "groups/two.json",
        r#"{"profile": "node", "selector": {"mac": "5254.00ab.0001"}}"#,
        "ambiguous",
        "groups/two.json",
        "groups/one.json is its equal: both have the same selectors",
    ),
    (
        "groups/a.json",
        r#"{"profile": "node", "selector": {"MAC": "52:54:00:ab:00:09"}}"#,
        "never-matches",
        "groups/a.json",
        "`MAC` is not `mac`",
    ),
    (
        "groups/a.json",
        r#"{"profile": "node", "selector": {"uuid": "4C4C4544-0000-1000-8000-000000000001"}}"#,
        "never-matches",
        "groups/a.json",
        "small letters",
    ),
    (
        "groups/a.json",
        r#"{"profile": "node", "selector": {"arch": "aarch64"}}"#,
        "never-matches",
        "groups/a.json",
        "it says one of i386, x86_64, arm32, arm64",
    ),
    (
        "groups/a.json",
        r#"{"profile": "nodes", "selector": {"serial": "1"}}"#,
        "no-profile",
        "groups/a.json",
        "there is no profiles/nodes.json that can be read",
    ),
    (
        "groups/a.json",
        r#"{"selector": {"serial": "1"}}"#,
        "no-profile",
        "groups/a.json",
        "it names no profile",
    ),
    (
        "groups/one.json",
        r#"{"profile": "node", "selector": {"serial": "1"}}"#,
        "unused",
        "profiles/rescue.json",
        "no group names it",
    ),
    (
        "profiles/rescue.json",
        r#"{"boot": {"kernel": "x"}}"#,
        "unreadable",
        "profiles/rescue.json",
        "no `id`",
    ),
    (
        "profiles/node.json",
        r#"{"id": "node", "boot": {"initrd": ["/assets/talos/initramfs.xz"]}}"#,
        "no-kernel",
        "profiles/node.json",
        "no kernel",
    ),
    (
        "profiles/node.json",
        r#"{"id": "node", "boot": {"kernel": "assets/talos/vmlinux"}}"#,
        "no-asset",
        "profiles/node.json",
        "`assets/talos/vmlinux` would be assets/talos/vmlinux",
    ),
    (
        "profiles/node.json",
        r#"{"id": "node", "boot": {"kernel": "/assets/talos"}}"#,
        "no-asset",
        "profiles/node.json",
        "where no file is",
    ),
    (
        "profiles/node.json",
        r#"{"id": "node", "boot": {"kernel": "/assets/../assets/%76mlinuz"}}"#,
        "no-asset",
        "profiles/node.json",
        "would be assets/vmlinuz",
    ),
    (
        "profiles/node.json",
        r#"{"id": "node", "ignition_id": "n.yaml"}"#,
        "no-template",
        "profiles/node.json",
        "ignition/n.yaml",
    ),
    (
        "profiles/node.json",
        r#"{"id": "node", "boot": {"kernel": "/assets/talos/vmlinuz", "initrd": ["/assets/talos/initramfs.xz"], "args": ["initrd=initrd.img"]}}"#,
        "initrd-name",
        "profiles/node.json",
        "`initrd=initrd.img`",
    ),
];

#[test]
fn each_fault_is_named_at_its_file() {
    for (place, content, what, file, words) in FAULTS {
        let world = World::new();
        sound(&world);
        world.write(&format!("m/{place}"), content);
        let text = words.replace('\'', "''");
        let named = format!(
            "name: pass {place} is named, matchbox: , expect: {{ problems: {{ any: {{ file: {file}, what: {what}, text: {{ contain: '{text}' }} }} }} }}"
        );
        let fault = "name: fail a fault, matchbox: , expect: { problems: { len: 0 } }";
        run(&world, "m", &[&named, fault]);
    }
}

#[test]
fn what_cannot_be_chosen_is_said_so() {
    let world = World::new();
    sound(&world);
    world.write("m/groups/two.json", r#"{"profile": "rescue"}"#);
    world.write(
        "m/groups/three.json",
        r#"{"profile": "none", "selector": {"serial": "3"}}"#,
    );
    world.write(
        "m/groups/four.json",
        r#"{"profile": "plain", "selector": {"serial": "4"}}"#,
    );
    world.write("m/profiles/plain.json", r#"{"id": "plain"}"#);
    run(
        &world,
        "m",
        &[
            "name: pass two defaults, matchbox: , expect: { selected: { outcome: ambiguous, profile: null, kernel: null, groups: { contain: [groups/default.json, groups/two.json], len: 2 } } }",
            "name: pass no profile, matchbox: { labels: { serial: '3' } }, expect: { selected: { outcome: no-profile, profile: none, script: null } }",
            "name: pass nothing to start, matchbox: { labels: { serial: '4' } }, expect: { selected: { outcome: nothing, profile: plain, script: null } }",
        ],
    );
    let bare = World::new();
    bare.write(
        "m/groups/one.json",
        r#"{"profile": "x", "selector": {"serial": "1"}}"#,
    );
    bare.write(
        "m/profiles/x.json",
        r#"{"id": "x", "boot": {"kernel": "k"}}"#,
    );
    run(
        &bare,
        "m",
        &[
            "name: pass none for others, matchbox: , expect: { selected: { outcome: no-group, groups: { len: 0 } } }",
        ],
    );
}

#[test]
fn what_is_no_folder_of_matchbox_is_an_error() {
    let world = World::new();
    world.write("m/groups/one.json", "{}");
    world.write("big/groups/one.json", vec![b' '; (1 << 20) + 1]);
    world.write("big/profiles/x.json", "{}");
    world.write("out/profiles/x.json", "{}");
    world.write("out/groups/.keep", "");
    std::os::unix::fs::symlink("/etc/hostname", world.path().join("out/groups/led.json")).unwrap();
    run(
        &world,
        "m",
        &["name: error no profiles, matchbox: , expect: { problems: { len: 0 } }"],
    );
    run(
        &world,
        "big",
        &["name: error too large, matchbox: , expect: { groups: { len: 1 } }"],
    );
    run(
        &world,
        "out",
        &[
            "name: pass a link that leads out, matchbox: , expect: { groups: { len: 0 }, problems: { any: { file: groups/led.json, what: unreadable, text: { contain: leads to nothing } } } }",
        ],
    );
}
