//! What the kind `extension` tells of an initramfs, in full; and what it cannot judge.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::installed::{Installed, Sound, mode, write};
use crate::peers::{output, peer};
use crate::talos::squashfs_with;

fn report(image: &Installed<'_>, checks: &str) -> crate::world::Report {
    image.pack();
    let spec = format!("spec: extensions\nsubject: initramfs\nchecks:\n{checks}");
    image.world.run(&spec)
}

#[test]
fn everything_is_told_of_extensions_that_are_whole() {
    let Some(sound) = Sound::get() else { return };
    let image = sound.installed();
    report(
        &image,
        "
  - name: pass spin
    extension: spin
    expect:
      form: installed
      compatible: true
      unexpected: null
      machine: aarch64
      cri:
        containerd: 2
        parts: [{ path: etc/cri/conf.d/10-spin.part, layer: spin, version: null, plugins: [io.containerd.cri.v1.runtime] }]
        runtimes: [{ name: spin, path: etc/cri/conf.d/10-spin.part, shim: containerd-shim-spin-v2, program: usr/local/bin/containerd-shim-spin-v2, resolves: true }]
        misfits: { len: 0 }
        missing: { len: 0 }
      services: { len: 0 }
      modules: { kernels: [6.18.38-talos], releases: { len: 0 }, foreign: { len: 0 } }
      overlaps: { len: 0 }
      repeated: { len: 0 }
      problems: { len: 0 }
  - name: pass tailscale
    extension: tailscale
    expect:
      needs-configuration: [tailscale]
      services:
        - name: tailscale
          path: usr/local/etc/containers/tailscale.yaml
          configuration: true
          depends: { services: [cri], paths: { len: 0 }, network: [addresses, connectivity, etcfiles], time: false, configuration: true }
          restart: always
          root: usr/local/lib/containers/tailscale
          program: usr/local/lib/containers/tailscale/usr/local/bin/containerboot
          machine: aarch64
          linking: static
          startable: true
  - name: pass zfs
    extension: zfs
    expect:
      services: [{ name: zfs-service, linking: dynamic, startable: true, depends: { services: [udevd], paths: [/dev/zfs] } }]
      modules: { releases: [{ release: 6.18.38-talos, files: 2, modules: 2, layers: [zfs], dependencies: true }] }
  - name: pass all of them, without what the imager adds
    extension:
    expect:
      all: [spin, tailscale, drbd, zfs, i915, modules.dep]
      modules: { releases: [{ modules: 4, layers: [drbd, zfs, i915] }] }
      services: { len: 2 }
      overlaps: { len: 0 }
  - name: pass what the imager adds, by its name
    extension: modules.dep
    expect: { present: true, overlaps: { contain: usr/lib/modules/6.18.38-talos/modules.dep } }
  - name: pass an extension that is not there is not looked into
    extension: nowhere
    expect: { present: false, disallowed: null, cri: null, services: null, modules: null, problems: null }
  - name: fail nothing to look into is not fine
    extension: nowhere
    expect: { disallowed: { len: 0 } }
  - name: fail for another machine
    extension: { name: spin, machine: x86_64 }
    expect: { foreign: { len: 0 } }
  - name: fail for another Talos
    extension: { name: spin, talos: v0.14.0 }
    expect: { compatible: true }
  - name: fail for another kernel
    extension: { name: drbd, kernel: 6.18.39-talos }
    expect: { modules: { foreign: { len: 0 } } }
",
    )
    .as_named();
}

/// The real containerd of Debian 12 is 1.6: where no file tells, the program does.
#[test]
fn the_containerd_of_the_image_is_told_by_its_program_where_no_file_tells() {
    let Some(sound) = Sound::get() else { return };
    let image = sound.installed();
    let root = image.tree("root");
    fs::remove_file(root.join("etc/cri/containerd.toml")).unwrap();
    sound.program("usr/bin/containerd", &root, "usr/bin/containerd");
    report(
        &image,
        "
  - name: pass it is of the first generation
    extension: spin
    expect: { cri: { containerd: 1, misfits: [{ plugin: io.containerd.cri.v1.runtime, containerd: 2 }] } }
",
    )
    .as_named();
    write(&root, "etc/cri/containerd.toml", "version = 2\n");
    let checks = "
  - name: pass the file says the same
    extension: spin
    expect: { cri: { containerd: 1, misfits: { len: 1 } } }
";
    report(&image, checks).as_named();
    // Neither a file nor a program that tells.
    fs::remove_file(root.join("etc/cri/containerd.toml")).unwrap();
    fs::remove_file(root.join("usr/bin/containerd")).unwrap();
    sound.program("bin/busybox", &root, "usr/bin/containerd");
    let checks = "
  - name: fail nobody knows
    extension: spin
    expect: { cri: { misfits: { len: 0 } } }
  - name: pass it is told that nobody knows
    extension: spin
    expect: { cri: { containerd: null, misfits: null } }
";
    report(&image, checks).as_named();
}

#[test]
fn what_lies_over_what_is_told_with_both_names() {
    let Some(sound) = Sound::get() else { return };
    let image = sound.installed();
    for (name, text) in [("spin", "1"), ("drbd", "1"), ("zfs", "2")] {
        write(&image.tree(name), "usr/local/etc/shared", text);
    }
    write(&image.tree("drbd"), "usr/local/etc/same", "1");
    write(&image.tree("spin"), "usr/local/etc/same", "1");
    write(&image.tree("i915"), "etc/os-release", "ID=other\n");
    // The root file system has a link there: with a folder over it, nothing finds its library.
    fs::create_dir_all(image.tree("i915").join("lib")).unwrap();
    report(
        &image,
        "
  - name: pass one of them
    extension: spin
    expect: { overlaps: [{ path: usr/local/etc/same, layers: [spin, drbd], same: true }, { path: usr/local/etc/shared, layers: [spin, drbd, zfs], same: false }] }
  - name: pass with the root file system
    extension: i915
    expect: { overlaps: [{ path: etc/os-release, layers: [rootfs.sqsh, i915], same: false }, { path: lib, layers: [rootfs.sqsh, i915], same: false }], disallowed: [etc/os-release] }
  - name: pass all of them
    extension:
    expect: { overlaps: [etc/os-release, lib, usr/local/etc/same, usr/local/etc/shared] }
  - name: pass exceptions are written as a list
    extension: spin
    expect: { overlaps: { every: { path: { starts-with: usr/local/etc/ } } } }
",
    )
    .as_named();
}

/// Two entries of one name in one directory: `mksquashfs` writes none, so a name is changed in what
/// it wrote without compression.
#[test]
fn a_path_that_is_twice_in_an_image_is_told() {
    let Some(sound) = Sound::get() else { return };
    let mut image = sound.installed();
    let tree = image.tree("i915");
    write(&tree, "usr/local/twice-a", "1");
    write(&tree, "usr/local/twice-b", "2");
    let packed = image.world.path().join("packed");
    squashfs_with(&sound.tools, &tree, &packed, &["-noI"]);
    let mut bytes = fs::read(&packed).unwrap();
    let at = bytes.windows(7).position(|w| w == b"twice-b").unwrap();
    bytes[at + 6] = b'a';
    let stage = image.world.path().join("behind");
    write(&stage, "4.sqsh", bytes);
    image.behind =
        crate::talos::segment(&sound.tools, &stage, &["4.sqsh"], crate::talos::Pack::Zstd);
    report(
        &image,
        "
  - name: pass both are told
    extension: i915
    expect: { repeated: [{ path: 4.sqsh, layer: initramfs, count: 2 }, { path: usr/local/twice-a, layer: i915, count: 2 }] }
  - name: pass the others are not
    extension: spin
    expect: { repeated: { len: 0 } }
",
    )
    .as_named();
}

#[test]
fn an_image_that_cannot_be_read_is_an_error_of_what_would_look_into_it() {
    let Some(sound) = Sound::get() else { return };
    let mut image = sound.installed();
    let stage = image.world.path().join("behind");
    write(&stage, "0.sqsh", "hsqs and no more");
    image.behind =
        crate::talos::segment(&sound.tools, &stage, &["0.sqsh"], crate::talos::Pack::Zstd);
    report(
        &image,
        "
  - name: error its own paths
    extension: spin
    expect: { disallowed: { len: 0 } }
  - name: error those of all
    extension:
    expect: { disallowed: { len: 0 } }
  - name: error the merged view
    extension: zfs
    expect: { unresolved: { len: 0 } }
",
    )
    .as_named();
}

#[test]
fn hostile_documents_end_soon_and_are_problems() {
    let Some(sound) = Sound::get() else { return };
    let image = sound.installed();
    let tree = image.tree("drbd");
    let services = "usr/local/etc/containers";
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nname: *e\n";
    write(&tree, &format!("{services}/bomb.yaml"), bomb);
    write(&tree, &format!("{services}/deep.yaml"), "[".repeat(200_000));
    write(
        &tree,
        &format!("{services}/large.yaml"),
        " ".repeat(3 << 20),
    );
    write(&tree, &format!("{services}/bytes.yaml"), b"name: \xff\n");
    write(&tree, &format!("{services}/empty.yaml"), "");
    fs::create_dir_all(tree.join(services).join("folder.yaml")).unwrap();
    crate::installed::link(&tree, &format!("{services}/link.yaml"), "nowhere.yaml");
    let part = |name: &str| format!("etc/cri/conf.d/{name}.part");
    write(
        &tree,
        &part("deep"),
        format!("[{}]\n", ["a"; 200_000].join(".")),
    );
    write(
        &tree,
        &part("open"),
        "a = ".to_owned() + &"[".repeat(200_000),
    );
    write(&tree, &part("large"), "#".repeat(3 << 20));
    write(&tree, &part("bytes"), b"a = '\xff'\n");
    let begin = std::time::Instant::now();
    let report = report(
        &image,
        "
  - name: pass each of them is told
    extension: drbd
    expect:
      problems:
        contain-only: [usr/local/etc/containers/bomb.yaml, usr/local/etc/containers/deep.yaml, usr/local/etc/containers/large.yaml, usr/local/etc/containers/bytes.yaml, usr/local/etc/containers/empty.yaml, usr/local/etc/containers/folder.yaml, usr/local/etc/containers/link.yaml, etc/cri/conf.d/deep.part, etc/cri/conf.d/open.part, etc/cri/conf.d/large.part, etc/cri/conf.d/bytes.part]
      services: { len: 0 }
      cri: { parts: { len: 0 } }
",
    );
    report.as_named();
    assert!(begin.elapsed().as_secs() < 20, "{:?}", begin.elapsed());
}

#[test]
fn megabytes_of_documents_are_refused() {
    let Some(sound) = Sound::get() else { return };
    let image = sound.installed();
    let tree = image.tree("drbd");
    for number in 0..9 {
        let text = "#".repeat(1 << 20);
        write(
            &tree,
            &format!("usr/local/etc/containers/{number}.yaml"),
            &text,
        );
        write(&tree, &format!("etc/cri/conf.d/{number}.part"), &text);
    }
    let report = report(
        &image,
        "
  - name: error services
    extension: spin
    expect: { services: { len: 0 } }
  - name: error parts
    extension: spin
    expect: { cri: { misfits: { len: 0 } } }
  - name: pass what needs neither
    extension: spin
    expect: { disallowed: { len: 0 } }
",
    );
    report.as_named();
    assert!(
        report
            .why("error services")
            .contains("services of one image")
    );
    assert!(
        report
            .why("error parts")
            .contains("more than 8388608 bytes")
    );
}

/// Labels and capabilities are part of what an image is. Only root can set them on disk; where the
/// tests are not root, that is said.
#[test]
fn labels_and_capabilities_are_those_that_were_set() {
    let Some(sound) = Sound::get() else { return };
    let Some(setfattr) = peer("setfattr") else {
        return;
    };
    let mut image = sound.installed();
    let tree = image.tree("spin");
    let shim = tree.join("usr/local/bin/containerd-shim-spin-v2");
    // VFS_CAP_REVISION_2 with the effective bit: net_admin (12) and net_raw (13), permitted.
    let capability = "0x0100000200300000000000000000000000000000";
    let pairs = BTreeMap::from([
        ("security.selinux", "system_u:object_r:containerd_exec_t:s0"),
        ("security.capability", capability),
    ]);
    for (name, value) in pairs {
        let arguments = ["-n", name, "-v", value, shim.to_str().unwrap()];
        let set = Command::new(&setfattr).args(arguments).output().unwrap();
        if !set.status.success() {
            let root = output(&peer("id").unwrap(), &tree, &["-u"]);
            assert_ne!(root.trim(), "0", "{}", String::from_utf8_lossy(&set.stderr));
            return;
        }
    }
    mode(&tree, "usr/local/bin/containerd-shim-spin-v2", 0o755);
    image.listed("spin").more.push("-xattrs".to_owned());
    let shown = "{ label: 'system_u:object_r:containerd_exec_t:s0', capabilities: [cap_net_admin+ep, cap_net_raw+ep] }";
    let checks = format!(
        "
  - name: pass a file of the merged view
    file: usr/local/bin/containerd-shim-spin-v2
    expect: {shown}
  - name: pass an entry of its tree
    tree: usr/local/bin/*
    expect: {{ entries: [{shown}] }}
  - name: pass a file of the extension
    extension: spin
    expect: {{ files: {{ any: {{ path: usr/local/bin/containerd-shim-spin-v2, label: {{ contain: containerd_exec_t }}, capabilities: {{ contain: cap_net_raw+ep }} }} }} }}
  - name: pass on disk as well
    file: {}
    in: /
    expect: {shown}
  - name: fail nothing may have capabilities
    tree: usr/local/bin/*
    expect: {{ entries: {{ every: {{ capabilities: {{ len: 0 }} }} }} }}
  - name: fail another label
    file: usr/local/bin/containerd-shim-spin-v2
    expect: {{ label: system_u:object_r:init_exec_t:s0 }}
  - name: pass a program without any
    file: usr/bin/init
    expect: {{ capabilities: {{ len: 0 }} }}
",
        shim.display()
    );
    report(&image, &checks).as_named();
}
