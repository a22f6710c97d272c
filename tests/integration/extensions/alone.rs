//! An extension by itself, as it is published: a folder with a manifest and a root.

use std::fs;
use std::path::Path;

use crate::installed::{KERNEL, Sound, mode, write};
use crate::peers::{output, peer};
use crate::world::{Report, World};

const MANIFEST: &str = "version: v1alpha1\nmetadata:\n  name: spin\n  version: v0.25.1\n  author: someone\n  compatibility:\n    talos:\n      version: \">= v1.8.0\"\n";
const PART: &str = "[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.spin]\n  runtime_type = \"io.containerd.spin.v2\"\n";
const SHIM: &str = "rootfs/usr/local/bin/containerd-shim-spin-v2";

fn run(folder: &Path, world: &World) -> Report {
    let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/specs/talos-extension-image.yaml");
    let var = format!("extension={}", folder.display());
    let arguments = [
        "run",
        specs.to_str().unwrap(),
        "--var",
        &var,
        "--format",
        "json",
    ];
    Report::of(world.tdg(&arguments))
}

/// Makes an extension without a fault.
fn extension(sound: &Sound, folder: &Path) {
    write(folder, "manifest.yaml", MANIFEST);
    write(folder, "rootfs/etc/cri/conf.d/10-spin.part", PART);
    sound.program("bin/busybox", folder, SHIM);
    let root = "usr/local/lib/containers/agent";
    sound.program("bin/true", folder, &format!("rootfs/{root}/agent"));
    write(
        folder,
        "rootfs/usr/local/etc/containers/agent.yaml",
        "name: agent\ncontainer: {entrypoint: /agent}\nrestart: always\n",
    );
    let module = format!("rootfs/usr/lib/modules/{KERNEL}/extras/a.ko");
    sound.module("netfilter/xt_hl.ko", folder, &module);
}

type Make = fn(&Sound, &Path);

/// What is wrong, how it is made, the one check it turns red, and what that says.
const FAULTS: &[(&str, Make, &str, &str)] = &[
    (
        "extensions #611: a file beside the root",
        |_, folder| write(folder, "bin", "x"),
        "it has a manifest, content, and nothing beside",
        "there is bin",
    ),
    (
        "extensions #611: a stub for another machine",
        |_, folder| {
            let mut bytes = fs::read(folder.join(SHIM)).unwrap();
            bytes[18..20].copy_from_slice(&62u16.to_le_bytes());
            write(folder, SHIM, bytes);
        },
        "every program is for this machine",
        "x86_64",
    ),
    (
        "for another Talos",
        |_, folder| write(folder, "manifest.yaml", MANIFEST.replace("1.8.0", "1.14.0")),
        "it is for this version of Talos",
        "false",
    ),
    (
        "a range that Talos cannot read",
        |_, folder| {
            write(
                folder,
                "manifest.yaml",
                MANIFEST.replace(">= v1.8.0", "1.8"),
            )
        },
        "it is for this version of Talos",
        "false",
    ),
    (
        "the plugin of containerd 1",
        |_, folder| {
            let part = PART.replace("cri.v1.runtime", "grpc.v1.cri");
            write(folder, "rootfs/etc/cri/conf.d/10-spin.part", part);
        },
        "runtimes are written for the containerd of that Talos",
        "io.containerd.grpc.v1.cri",
    ),
    (
        "the root in the root",
        |_, folder| write(folder, "rootfs/rootfs/usr/local/bin/x", "x"),
        "files lie only where Talos lets extensions put them",
        "rootfs/usr/local/bin/x",
    ),
    (
        "a file that everybody may write",
        |_, folder| mode(folder, SHIM, 0o757),
        "nobody but root can change what it brings",
        "containerd-shim-spin-v2",
    ),
    (
        "a service that Talos leaves out",
        |_, folder| {
            let file = "rootfs/usr/local/etc/containers/b.yaml";
            write(
                folder,
                file,
                "name: b\ncontainer: {entrypoint: /b}\nrestart: often\n",
            );
        },
        "Talos can read what it configures",
        "`restart` is `often`",
    ),
    (
        "a service without its program",
        |_, folder| {
            fs::remove_file(folder.join("rootfs/usr/local/lib/containers/agent/agent")).unwrap();
        },
        "every service has its program",
        "/agent",
    ),
    (
        "modules for another kernel",
        |_, folder| {
            let modules = folder.join("rootfs/usr/lib/modules");
            fs::rename(modules.join(KERNEL), modules.join("6.1.0")).unwrap();
        },
        "modules are for that kernel",
        "usr/lib/modules/6.1.0",
    ),
];

#[test]
fn each_fault_of_an_extension_by_itself_turns_its_own_check_red() {
    let Some(sound) = Sound::get() else { return };
    let world = World::new();
    let mut wrong = Vec::new();
    let good = world.path().join("good");
    extension(&sound, &good);
    let report = run(&good, &world);
    for trial in report.trials().iter().filter(|t| t["verdict"] != "pass") {
        wrong.push(format!("nothing is changed: {trial:#}"));
    }
    for (index, (name, make, red, says)) in FAULTS.iter().enumerate() {
        let folder = world.path().join(format!("fault-{index}"));
        extension(&sound, &folder);
        make(&sound, &folder);
        let report = run(&folder, &world);
        for trial in report.trials() {
            let wanted = if trial["check"] == *red {
                "fail"
            } else {
                "pass"
            };
            if trial["verdict"] != wanted {
                wrong.push(format!("{name}: {trial:#}"));
            }
        }
        let said = report.why(red);
        if !said.contains(says) {
            wrong.push(format!("{name}: does not say `{says}`: {said}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_is_missing_of_an_extension_is_told_and_never_looks_fine() {
    let Some(sound) = Sound::get() else { return };
    let world = World::new();
    let folder = |name: &str| {
        let folder = world.path().join(name);
        extension(&sound, &folder);
        folder
    };
    folder("whole");
    let rootless = folder("rootless");
    fs::remove_dir_all(rootless.join("rootfs")).unwrap();
    let bare = folder("bare");
    fs::remove_file(bare.join("manifest.yaml")).unwrap();
    let broken = folder("broken");
    write(&broken, "manifest.yaml", "version: v1alpha1\nmetadata: 3\n");
    let old = folder("old");
    write(
        &old,
        "manifest.yaml",
        MANIFEST.replace("v1alpha1", "v1alpha2"),
    );
    let hollow = folder("hollow");
    fs::remove_dir_all(hollow.join("rootfs")).unwrap();
    write(&hollow, "rootfs/usr/local/share/spdx/spin.spdx.json", "{}");
    fs::create_dir(world.path().join("nothing")).unwrap();
    // The same in a squashfs image, as any container shows it.
    crate::talos::squashfs(
        &sound.tools,
        &world.path().join("whole"),
        &world.path().join("packed"),
    );
    let report = world.run(
        "
spec: by itself
checks:
  - name: pass what it says of itself
    extension: spin
    in: whole
    expect: { form: image, present: true, listed: true, version: v0.25.1, talos: '>= v1.8.0', author: someone, all: [spin], hollow: { len: 0 }, image: null, position: null, files: { contain: usr/local/bin/containerd-shim-spin-v2 }, machine: aarch64, foreign: { len: 0 }, sticky: { len: 0 } }
  - name: pass in a container
    extension: spin
    in: packed
    expect: { form: image, present: true, cri: { containerd: null, misfits: null, missing: null, runtimes: [{ name: spin, resolves: true, program: usr/local/bin/containerd-shim-spin-v2 }] }, services: [{ name: agent, startable: true, linking: dynamic }] }
  - name: pass what needs a root file system is not judged
    extension:
    in: whole
    expect: { dangling: null, unresolved: null, compatible: null, modules: { kernels: { len: 0 }, foreign: null } }
  - name: fail what is not judged is not fine
    extension:
    in: whole
    expect: { unresolved: { len: 0 } }
  - name: fail nor is the containerd that nobody knows
    extension:
    in: whole
    expect: { cri: { misfits: { len: 0 } } }
  - name: pass it is known by the version of Talos
    extension: { talos: '1.7' }
    in: whole
    expect: { cri: { containerd: 1, misfits: [{ path: etc/cri/conf.d/10-spin.part, layer: spin, plugin: io.containerd.cri.v1.runtime, containerd: 2 }] }, compatible: false }
  - name: pass another name is not there
    extension: tailscale
    in: whole
    expect: { present: false, listed: false, disallowed: null, problems: null, all: [spin] }
  - name: pass without its root
    extension: spin
    in: rootless
    expect: { present: false, listed: true, image-present: false, problems: [{ path: rootfs }], disallowed: null, hollow: [spin] }
  - name: pass without its manifest
    extension:
    in: bare
    expect: { present: false, listed: false, image-present: true, problems: [{ path: manifest.yaml }] }
  - name: pass with a manifest that cannot be read
    extension: spin
    in: broken
    expect: { present: false, problems: [{ path: manifest.yaml, problem: { contain: line 2 } }] }
  - name: pass with a manifest of another version
    extension: spin
    in: old
    expect: { present: false, problems: [{ problem: { contain: v1alpha2 } }] }
  - name: pass with documents about itself alone
    extension: spin
    in: hollow
    expect: { present: false, empty: true, hollow: [spin], disallowed: { len: 0 } }
  - name: error a folder that is none
    extension: spin
    in: nothing
    expect: { present: false }
  - name: error no such folder
    extension: spin
    in: nowhere
    expect: { present: false }
",
    );
    report.as_named();
}

#[test]
fn arguments_that_are_none_are_said_before_anything_runs() {
    let world = World::new();
    world.write(
        "specs/it.yaml",
        "spec: s\nchecks: [{ name: it, extension: { talos: latest }, in: x, expect: { present: true } }]\n",
    );
    let ran = world.tdg(&["run", "specs"]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(
        ran.stderr.contains("`latest` is not a version of Talos"),
        "{}",
        ran.stderr
    );
}

/// The attributes of files on disk are those that the system's own tools tell.
#[test]
fn attributes_on_disk_are_those_that_getfattr_tells() {
    let Some(setfattr) = peer("setfattr") else {
        return;
    };
    let world = World::new();
    world.write("d/file", "x");
    let file = world.path().join("d/file");
    std::os::unix::fs::symlink("file", world.path().join("d/link")).unwrap();
    let arguments = ["-n", "user.note", "-v", "yes", file.to_str().unwrap()];
    output(&setfattr, world.path(), &arguments);
    let report = world.run(
        "
spec: attributes
checks:
  - name: pass on disk
    file: d/file
    expect: { xattrs: { contain: user.note }, label: null, capabilities: { len: 0 } }
  - name: pass through a link
    file: d/link
    expect: { xattrs: { user.note: 'yes' } }
  - name: pass in a folder, where a link has its own
    tree: '*'
    in: d
    expect: { entries: [{ path: file, xattrs: { user.note: 'yes' } }, { path: link, xattrs: { len: 0 } }] }
  - name: fail another value
    file: d/file
    expect: { xattrs: { user.note: 'no' } }
  - name: fail none of that name
    file: d/file
    expect: { xattrs: { contain: user.other } }
",
    );
    report.as_named();
}

/// As it is published: an OCI image; and as `tarballPath` and `ociPath` of the imager take it.
#[test]
fn an_extension_in_an_archive_or_an_image_is_the_same() {
    let (Some(sound), Some(tar), Some(umoci), Some(skopeo)) =
        (Sound::get(), peer("tar"), peer("umoci"), peer("skopeo"))
    else {
        return;
    };
    let world = World::new();
    let here = world.path();
    extension(&sound, &here.join("whole"));
    output(&tar, here, &["-C", "whole", "-cf", "whole.tar", "."]);
    output(&tar, here, &["-C", "whole", "-czf", "whole.tar.gz", "."]);
    output(&umoci, here, &["init", "--layout", "layout"]);
    output(&umoci, here, &["new", "--image", "layout:v1"]);
    output(
        &umoci,
        here,
        &["insert", "--rootless", "--image", "layout:v1", "whole", "/"],
    );
    output(&tar, here, &["-C", "layout", "-cf", "layout.tar", "."]);
    let (from, to) = ("oci:layout:v1", "docker-archive:docker.tar:spin:v1");
    output(&skopeo, here, &["--insecure-policy", "copy", from, to]);
    for subject in [
        "whole.tar",
        "whole.tar.gz",
        "layout",
        "layout.tar",
        "docker.tar",
    ] {
        let report = run(&here.join(subject), &world);
        for trial in report.trials() {
            assert_eq!(trial["verdict"], "pass", "{subject}: {trial:#}");
        }
        let spec = format!(
            "
spec: by itself
subject: {subject}
checks:
  - name: pass it is that one
    extension: spin
    expect: {{ present: true, version: v0.25.1, files: {{ contain: usr/local/bin/containerd-shim-spin-v2 }}, cri: {{ runtimes: [{{ name: spin, resolves: true }}] }}, services: [{{ name: agent, startable: true }}] }}
  - name: fail it is no other
    extension: tailscale
    expect: {{ present: true }}
  - name: fail for another machine
    extension: {{ name: spin, machine: x86_64 }}
    expect: {{ foreign: {{ len: 0 }} }}
"
        );
        world.run(&spec).as_named();
    }
    // Of a second file of one name, an archive shows only the last: nobody says there is one alone.
    for (subject, told) in [("whole", "[]"), ("whole.tar", "null"), ("layout", "null")] {
        let spec = format!(
            "spec: s\nchecks: [{{ name: it, extension: spin, in: {subject}, expect: {{ repeated: {told} }} }}]"
        );
        assert_eq!(world.run(&spec).verdict("it"), "pass", "{subject}");
    }
}
