//! `modules`: each fault alone, made of modules of a real kernel, beside its sound twin.

use std::fs;
use std::path::{Path, PathBuf};

use crate::images::{cpio, pipe};
use crate::peers::{fetched, fetched_modules, output, peer};
use crate::talos::{Tools, squashfs};
use crate::world::World;

/// What a check of sound modules demands.
const SOUND: &str = "{ machines: [aarch64], vermagic-mismatches: { len: 0 }, \
missing-dependencies: { len: 0 }, unsigned: { len: 0 }, foreign: { len: 0 }, damaged: { len: 0 }, \
duplicates: { len: 0 }, stray: { len: 0 }, dep-file: true, not-in-dep: { len: 0 }, \
dep-missing: { len: 0 }, kernel-matches: true, releases: { every: { dep-index: agrees } } }";

/// A network driver and what it needs.
const DRIVER: [&str; 5] = [
    "virtio_net",
    "virtio",
    "virtio_ring",
    "net_failover",
    "failover",
];

struct Kitchen {
    world: World,
    depmod: PathBuf,
    /// Where the modules of the real kernel are.
    from: PathBuf,
    release: String,
}

impl Kitchen {
    fn new() -> Option<Self> {
        let ((from, release), depmod) = (fetched_modules()?, peer("depmod")?);
        let world = World::new();
        let kernel = fetched()?.join("vmlinuz");
        std::os::unix::fs::symlink(kernel, world.path().join("kernel")).unwrap();
        Some(Self {
            world,
            depmod,
            from,
            release,
        })
    }

    /// The bytes of a module of the real kernel.
    fn module(&self, name: &str) -> Vec<u8> {
        let file = format!("{name}.ko");
        let walk = walkdir::WalkDir::new(&self.from).into_iter();
        let mut found = walk
            .map(Result::unwrap)
            .filter(|e| e.file_name() == file.as_str());
        fs::read(found.next().unwrap().path()).unwrap()
    }

    fn directory(&self, root: &str) -> PathBuf {
        self.world
            .path()
            .join(root)
            .join("usr/lib/modules")
            .join(&self.release)
    }

    fn put(&self, root: &str, name: &str, bytes: &[u8]) {
        let directory = self.directory(root).join("kernel");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(format!("{name}.ko")), bytes).unwrap();
    }

    /// Makes a root file system of some modules.
    fn root(&self, root: &str, names: &[&str]) {
        for name in names {
            self.put(root, name, &self.module(name));
        }
        let link = self.world.path().join(root).join("lib");
        std::os::unix::fs::symlink("usr/lib", link).unwrap();
        self.index(root);
    }

    fn index(&self, root: &str) {
        let base = self.world.path().join(root);
        let arguments = ["-b", base.to_str().unwrap(), &self.release];
        output(&self.depmod, Path::new("/"), &arguments);
    }

    /// Makes a sound root file system, and changes one thing.
    fn faulty(&self, root: &str, change: impl FnOnce(&Path)) {
        self.root(root, &DRIVER);
        change(&self.directory(root));
    }

    fn change(&self, root: &str, name: &str, change: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        self.root(root, &DRIVER);
        self.put(root, name, &change(self.module(name)));
    }
}

/// Puts another text of the same length in the place of each occurrence.
fn replaced(mut bytes: Vec<u8>, old: &str, new: &str) -> Vec<u8> {
    assert_eq!(old.len(), new.len());
    let at: Vec<usize> = bytes
        .windows(old.len())
        .enumerate()
        .filter(|(_, window)| *window == old.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(!at.is_empty(), "`{old}` is not there");
    at.iter()
        .for_each(|at| bytes[*at..*at + new.len()].copy_from_slice(new.as_bytes()));
    bytes
}

/// Takes the signature off, as `strip` does.
fn stripped(bytes: Vec<u8>) -> Vec<u8> {
    let end = bytes.len() - 28;
    let length: [u8; 4] = bytes[end - 4..end].try_into().unwrap();
    let length = u32::from_be_bytes(length) as usize;
    bytes[..end - 12 - length].to_vec()
}

#[test]
fn each_fault_is_seen_and_its_sound_twin_passes() {
    let Some(kitchen) = Kitchen::new() else {
        return;
    };
    let other = kitchen.release.replacen("6.", "5.", 1);
    kitchen.root("sound", &DRIVER);
    kitchen.change("vermagic", "virtio_net", |module| {
        replaced(
            module,
            &format!("vermagic={}", kitchen.release),
            &format!("vermagic={other}"),
        )
    });
    kitchen.root("dependency", &DRIVER[..4]);
    kitchen.change("unsigned", "virtio", stripped);
    kitchen.change("signature", "virtio", |mut module| {
        module.truncate(module.len() - 3);
        module
    });
    kitchen.change("foreign", "virtio", |mut module| {
        module[18] = 62;
        module
    });
    kitchen.change("damaged", "virtio", |mut module| {
        module.truncate(5000);
        module
    });
    // A module that came after `depmod` had run.
    kitchen.faulty("stale", |_| {
        kitchen.put("stale", "dummy", &kitchen.module("dummy"))
    });
    kitchen.faulty("gone", |directory| {
        fs::remove_file(directory.join("kernel/virtio_net.ko")).unwrap()
    });
    kitchen.faulty("twice", |directory| {
        fs::create_dir(directory.join("updates")).unwrap();
        let module = directory.join("kernel/failover.ko");
        fs::copy(module, directory.join("updates/failover.ko")).unwrap();
        kitchen.index("twice");
    });
    kitchen.faulty("stray", |_| {
        let world = &kitchen.world;
        world.write("stray/opt/dummy.ko", kitchen.module("dummy"));
    });
    kitchen.faulty("no-dep", |directory| {
        for name in ["modules.dep", "modules.dep.bin"] {
            fs::remove_file(directory.join(name)).unwrap();
        }
    });
    // The text is new and what `modprobe` reads is not.
    kitchen.faulty("binary", |directory| {
        let binary = fs::read(directory.join("modules.dep.bin")).unwrap();
        kitchen.put("binary", "dummy", &kitchen.module("dummy"));
        kitchen.index("binary");
        fs::write(directory.join("modules.dep.bin"), binary).unwrap();
    });
    // What is in the kernel does not have to be there as a module.
    kitchen.root("builtin", &DRIVER[..4]);
    let builtin = kitchen.directory("builtin").join("modules.builtin");
    fs::write(builtin, "kernel/net/core/failover.ko\n").unwrap();

    let k = "usr/lib/modules/RELEASE/kernel";
    let faults = [
        (
            "vermagic",
            "vermagic-mismatches: [{ name: virtio_net, release: RELEASE, built-for: OTHER }], kernel-matches: false, not-for-kernel: [K/virtio_net.ko]",
        ),
        (
            "dependency",
            "missing-dependencies: [{ name: net_failover, needs: [failover] }]",
        ),
        (
            "unsigned",
            "unsigned: [K/virtio.ko], modules: { any: { name: virtio, signature: { state: absent, problem: null } } }",
        ),
        (
            "signature",
            "unsigned: [K/virtio.ko], modules: { any: { name: virtio, signed: false, signature: { state: broken, problem: { contain: bytes behind } } } }",
        ),
        (
            "foreign",
            "foreign: [K/virtio.ko], machines: [aarch64, x86_64], kernel-matches: false",
        ),
        (
            "damaged",
            "damaged: [K/virtio.ko], foreign: [K/virtio.ko], unsigned: [K/virtio.ko], vermagic-mismatches: [virtio], missing-dependencies: [virtio], kernel-matches: false",
        ),
        ("stale", "not-in-dep: [K/dummy.ko], dep-missing: { len: 0 }"),
        (
            "gone",
            "dep-missing: [K/virtio_net.ko], not-in-dep: { len: 0 }",
        ),
        (
            "twice",
            "duplicates: [{ name: failover, paths: { len: 2 } }]",
        ),
        (
            "stray",
            "stray: [opt/dummy.ko], not-in-dep: [opt/dummy.ko], kernel-matches: false",
        ),
        (
            "no-dep",
            "dep-file: false, dep-missing: null, not-in-dep: { len: 5 }",
        ),
        (
            "binary",
            "releases: [{ dep-index: differs, listed: 6 }], not-in-dep: [K/dummy.ko]",
        ),
    ];
    let mut spec = format!(
        "
spec: modules
checks:
  - name: pass the sound twin
    modules: {{ kernel: kernel }}
    in: sound
    expect: {SOUND}
  - name: pass what is built in is there
    modules: {{ kernel: kernel }}
    in: builtin
    expect: {{ missing-dependencies: {{ len: 0 }}, releases: [{{ builtin: 1 }}] }}
"
    );
    for (name, evidence) in faults {
        let evidence = evidence.replace("K/", &format!("{k}/"));
        let evidence = evidence
            .replace("RELEASE", &kitchen.release)
            .replace("OTHER", &other);
        spec += &format!(
            "
  - name: fail {name} is not sound
    modules: {{ kernel: kernel }}
    in: {name}
    expect: {SOUND}
  - name: pass {name} is told as it is
    modules: {{ kernel: kernel }}
    in: {name}
    expect: {{ {evidence} }}
"
        );
    }
    let report = kitchen.world.run(&spec);
    report.as_named();
    // Each fault is the only one: everything else of a sound image holds.
    let failures = |name: &str| -> Vec<String> {
        let trial = report.trial(&format!("fail {name} is not sound")).clone();
        let failures = trial["failures"].as_array().unwrap().clone();
        failures
            .iter()
            .map(|f| f["path"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(failures("dependency"), ["missing-dependencies.len"]);
    assert_eq!(failures("unsigned"), ["unsigned.len"]);
    assert_eq!(failures("signature"), ["unsigned.len"]);
    assert_eq!(failures("stale"), ["not-in-dep.len"]);
    assert_eq!(failures("gone"), ["dep-missing.len"]);
    // `depmod` lists the one that it prefers.
    assert_eq!(failures("twice"), ["duplicates.len", "not-in-dep.len"]);
    assert_eq!(
        failures("vermagic"),
        ["vermagic-mismatches.len", "kernel-matches"]
    );
}

#[test]
fn what_is_asked_for_is_what_is_looked_at() {
    let Some(kitchen) = Kitchen::new() else {
        return;
    };
    kitchen.root("root", &DRIVER);
    kitchen.world.write("empty/etc/hostname", "x");
    kitchen
        .world
        .write("broken/lib/modules/6.1/modules.dep", "no colon here\n");
    kitchen.world.write("broken/lib/modules/6.1/a.ko", "x");
    kitchen.world.write("words", "just words\n");
    let much = [kitchen.module("virtio"), vec![b'a'; 300 << 20]].concat();
    let bomb = pipe(
        &peer("zstd").unwrap(),
        kitchen.world.path(),
        &["-q", "-c", "-1"],
        &much,
    );
    kitchen.world.write("bomb/lib/modules/6.1/a.ko.zst", bomb);
    let report = kitchen.world.run(
        "
spec: modules
subject: root
checks:
  - name: pass by name, with either sign
    modules: virtio-*
    expect: { count: 2, modules: [virtio_net, virtio_ring] }
  - name: pass several by name
    modules: '{failover,virtio}'
    expect: { count: 2, modules: { every: { signed: true, compression: none, intree: true, license: GPL* } } }
  - name: pass by path
    modules: '**/kernel/net*'
    expect: { count: 1, modules: [{ name: net_failover, depends: [failover] }] }
  - name: pass by release
    modules: { release: 6.* }
    expect: { count: 5, releases: { len: 1 } }
  - name: pass another release
    modules: { release: '7.*' }
    expect: { count: 0, releases: { len: 0 } }
  - name: pass signer and hash
    modules: virtio
    expect: { modules: [{ signature: { state: present, hash: sha256, signer: { contain: kernel key }, key: { match: '^([0-9A-F]{2}:)+[0-9A-F]{2}$' } } }] }
  - name: fail nothing of that name
    modules: drbd
    expect: { modules: { contain: drbd } }
  - name: fail nothing was looked at
    modules: drbd
    expect: { unsigned: { len: 0 } }
  - name: fail nor was the index
    modules:
    in: empty
    expect: { not-in-dep: { len: 0 } }
  - name: fail nor are there releases
    modules:
    in: empty
    expect: { vermagic-mismatches: { len: 0 } }
  - name: error an index that is none
    modules:
    in: broken
    expect: { count: 1 }
  - name: error a bomb cannot be judged
    modules:
    in: bomb
    expect: { unsigned: { len: 1 } }
  - name: error a kernel that is none
    modules: { kernel: words }
    expect: { count: 5 }
  - name: error no kernel there
    modules: { kernel: nowhere }
    expect: { count: 5 }
  - name: error no image
    modules:
    in: words
    expect: { count: 0 }
  - name: error nothing there
    modules:
    in: nowhere
    expect: { count: 0 }
  - name: error the sections of a program are no image
    modules:
    in: root!/usr/lib/modules/RELEASE/kernel/virtio.ko
    expect: { count: 0 }
"
        .replace("GPL*", "{ starts-with: GPL }")
        .replace("RELEASE", &kitchen.release)
        .as_str(),
    );
    report.as_named();
    assert!(
        report
            .why("error an index that is none")
            .contains("modules.dep")
    );
    let said = report.why("error a bomb cannot be judged");
    assert!(
        said.contains("a.ko.zst") && said.contains("over the limit"),
        "{said}"
    );
}

/// Makes an initramfs as Talos's imager does: a root file system, one extension, and the index that
/// was made for both.
fn talos(kitchen: &Kitchen, tools: &Tools, name: &str, indexed: bool, extension_of: &str) {
    let world = kitchen.world.path();
    let part = |part: &str| format!("work-{name}/{part}");
    let base = [&DRIVER[..], &["libcrc32c"]].concat();
    kitchen.root(&part("rootfs"), &base);
    // The extension: drbd and what it needs, for one release or another.
    let directory = world
        .join(part("drbd"))
        .join("usr/lib/modules")
        .join(extension_of)
        .join("extras");
    fs::create_dir_all(&directory).unwrap();
    for module in ["drbd", "lru_cache"] {
        let bytes = replaced(kitchen.module(module), &kitchen.release, extension_of);
        fs::write(directory.join(format!("{module}.ko")), bytes).unwrap();
    }
    // What depmod makes of both, where it has run.
    let both = world.join(part("both"));
    let cp = peer("cp").unwrap();
    for from in [part("rootfs"), part("drbd")] {
        fs::create_dir_all(&both).unwrap();
        let from = world.join(from).join(".");
        output(
            &cp,
            world,
            &["-a", from.to_str().unwrap(), both.to_str().unwrap()],
        );
    }
    kitchen.index(&part("both"));
    let stage = world.join(part("stage"));
    fs::create_dir_all(&stage).unwrap();
    let pack = |tree: &str, to: &str| squashfs(tools, &world.join(part(tree)), &stage.join(to));
    fs::write(stage.join("init"), "#!/bin/sh\n").unwrap();
    fs::write(
        stage.join("extensions.yaml"),
        "layers:\n  - image: 0.sqsh\n    metadata:\n      name: drbd\n      version: 9.2.0\n",
    )
    .unwrap();
    pack("rootfs", "rootfs.sqsh");
    pack("drbd", "0.sqsh");
    let mut names = vec!["init", "rootfs.sqsh", "0.sqsh", "extensions.yaml"];
    if indexed {
        let top = part("dep/usr/lib/modules");
        let to = world.join(top).join(&kitchen.release);
        fs::create_dir_all(&to).unwrap();
        for file in fs::read_dir(both.join("usr/lib/modules").join(&kitchen.release)).unwrap() {
            let path = file.unwrap().path();
            if path.is_file() {
                fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
            }
        }
        pack("dep", "modules.dep.sqsh");
        names.push("modules.dep.sqsh");
    }
    let archive = cpio(&peer("cpio").unwrap(), &stage, "newc", &names);
    let zstd = peer("zstd").unwrap();
    fs::write(
        world.join(name),
        pipe(&zstd, world, &["-q", "-c"], &archive),
    )
    .unwrap();
}

#[test]
fn the_faults_that_shipped_with_talos_extensions() {
    let (Some(kitchen), Some(tools)) = (Kitchen::new(), Tools::find()) else {
        return;
    };
    let other = kitchen.release.replacen("6.", "5.", 1);
    talos(&kitchen, &tools, "sound", true, &kitchen.release);
    // An extension built for the release before (extensions #159).
    talos(&kitchen, &tools, "older", true, &other);
    // An index that was not made again for the extension (talos #6681, #6751).
    talos(&kitchen, &tools, "stale", false, &kitchen.release);
    let report = kitchen.world.run(
        &"
spec: what shipped
checks:
  - name: pass the sound twin
    modules: { kernel: kernel }
    in: sound
    expect: SOUND
  - name: pass where the modules come from
    modules: drbd
    in: sound
    expect: { modules: [{ layer: drbd, release: RELEASE, depends: { contain: lru_cache } }] }
  - name: fail the drbd of another release
    modules: { kernel: kernel }
    in: older
    expect: { kernel-matches: true }
  - name: fail there are modules of two releases
    modules:
    in: older
    expect: { releases: { len: 1 } }
  - name: pass which they are
    modules: { kernel: kernel }
    in: older
    expect: { kernel: RELEASE, not-for-kernel: { len: 2, every: { ends-with: .ko, contain: OTHER } }, releases: { contain: [RELEASE, OTHER] } }
  - name: fail modprobe does not find what depmod did not see
    modules:
    in: stale
    expect: { not-in-dep: { len: 0 } }
  - name: pass that alone is wrong with it
    modules: { kernel: kernel }
    in: stale
    expect: { not-in-dep: [usr/lib/modules/RELEASE/extras/drbd.ko, usr/lib/modules/RELEASE/extras/lru_cache.ko], kernel-matches: true, missing-dependencies: { len: 0 }, unsigned: { len: 0 } }
"
        .replace("SOUND", SOUND)
        .replace("RELEASE", &kitchen.release)
        .replace("OTHER", &other),
    );
    report.as_named();
}

#[test]
fn the_modules_of_debian_s_installer_are_those_of_its_kernel() {
    let Some(cpio) = peer("cpio") else { return };
    for arch in ["arm64", "amd64"] {
        let folder =
            format!("/usr/lib/debian-installer/images/12/{arch}/text/debian-installer/{arch}");
        let folder = Path::new(&folder);
        let (Some(initrd), Some(gzip)) = (
            peer(folder.join("initrd.gz").to_str().unwrap()),
            peer("gzip"),
        ) else {
            return;
        };
        let archive = pipe(&gzip, folder, &["-dc", "initrd.gz"], b"");
        let list = pipe(&cpio, folder, &["-it", "--quiet"], &archive);
        let list = String::from_utf8(list).unwrap();
        let count = list.lines().filter(|line| line.ends_with(".ko")).count();
        assert!(count > 500);
        let machine = if arch == "arm64" { "aarch64" } else { "x86_64" };
        let world = World::new();
        world
            .run(&format!(
                "
spec: netboot
subject: {}
checks:
  - name: pass the installer of {arch}
    modules: {{ kernel: {} }}
    expect:
      count: {count}
      releases: [{{ count: {count}, listed: {count}, dep-index: alone }}]
      machines: [{machine}]
      modules: {{ every: {{ signed: true }} }}
      kernel-matches: true
      vermagic-mismatches: {{ len: 0 }}
      missing-dependencies: {{ len: 0 }}
      unsigned: {{ len: 0 }}
      not-in-dep: {{ len: 0 }}
      dep-missing: {{ len: 0 }}
",
                initrd.display(),
                folder.join("linux").display(),
            ))
            .as_named();
    }
}
