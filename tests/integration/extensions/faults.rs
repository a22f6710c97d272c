//! Extensions in an initramfs, one fault at a time.

use std::fs;
use std::path::Path;

use crate::installed::{Installed, KERNEL, Sound, TAILSCALE, link, mode, write};
use crate::talos::{Pack, segment, squashfs};
use crate::world::Report;

type Change = fn(&mut Installed<'_>);

/// A fault: what it is, how it is made, the checks it turns red, and what the first of them says.
struct Fault {
    name: &'static str,
    make: Change,
    red: &'static [&'static str],
    says: &'static str,
}

fn run(image: &Path, installed: &Installed<'_>) -> Report {
    let specs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/specs/talos-extensions.yaml");
    let var = format!("image={}", image.display());
    let arguments = [
        "run",
        specs.to_str().unwrap(),
        "--var",
        &var,
        "--format",
        "json",
    ];
    Report::of(installed.world.tdg(&arguments))
}

const SERVICE: &str = "usr/local/etc/containers/";

/// Replaces text in a file.
fn edit(root: &Path, name: &str, from: &str, to: &str) {
    let path = root.join(name);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replace(from, to)).unwrap();
}

/// Makes a program for another machine of one for ARM64: the number in its header.
fn for_amd64(root: &Path, name: &str) {
    let path = root.join(name);
    let mut bytes = fs::read(&path).unwrap();
    bytes[18..20].copy_from_slice(&62u16.to_le_bytes());
    fs::write(path, bytes).unwrap();
}

const FAULTS: &[Fault] = &[
    Fault {
        name: "talos #12145, #12764, #14373: a service waits for a configuration nobody gives it",
        make: |image| {
            let tree = image.add("cloudflared");
            let root = "usr/local/lib/containers/cloudflared";
            image
                .from()
                .program("bin/busybox", &tree, &format!("{root}/cloudflared"));
            write(
                &tree,
                &format!("{SERVICE}cloudflared.yaml"),
                "name: cloudflared\ndepends: [{configuration: true}]\ncontainer: {entrypoint: /cloudflared}\nrestart: always\n",
            );
        },
        red: &["only services that the machine configuration configures wait for that"],
        says: "cloudflared",
    },
    Fault {
        name: "extensions #1061: tailscale without iptables",
        make: |image| {
            let own = image.tree("tailscale").join(TAILSCALE);
            fs::remove_dir_all(own.join("usr/sbin")).unwrap();
        },
        red: &["tailscale has iptables, and needs nothing of the machine"],
        says: "iptables",
    },
    Fault {
        name: "extensions #1061, by halves: iptables is a link to what is not there",
        make: |image| {
            let own = image.tree("tailscale").join(TAILSCALE);
            fs::remove_file(own.join("usr/sbin/xtables-nft-multi")).unwrap();
        },
        red: &["no link leads nowhere"],
        says: "usr/sbin/iptables",
    },
    Fault {
        name: "extensions 21b44b1: tailscale is no longer static, and nothing loads it",
        make: |image| {
            let tree = image.tree("tailscale");
            let own = tree.join(TAILSCALE);
            fs::remove_file(own.join("usr/lib/ld-linux-aarch64.so.1")).unwrap();
            fs::remove_dir_all(own.join("usr/sbin")).unwrap();
            image
                .from()
                .program("bin/busybox", &own, "usr/sbin/iptables");
            image
                .from()
                .program("bin/true", &own, "usr/local/bin/containerboot");
        },
        red: &[
            "every program finds its loader and its libraries",
            "every service can start",
            "tailscale has iptables, and needs nothing of the machine",
        ],
        says: "containers/tailscale/usr/local/bin/containerboot",
    },
    Fault {
        name: "extensions #450: the plugin of another containerd",
        make: |image| {
            let part = "etc/cri/conf.d/10-spin.part";
            edit(
                &image.tree("spin"),
                part,
                "io.containerd.cri.v1.runtime",
                "io.containerd.grpc.v1.cri",
            );
        },
        red: &["runtimes are written for the containerd of the image"],
        says: "io.containerd.grpc.v1.cri",
    },
    Fault {
        name: "extensions #159: drbd in the directory of another kernel",
        make: |image| {
            let modules = image.tree("drbd").join("usr/lib/modules");
            fs::rename(modules.join(KERNEL), modules.join("6.18.37-talos")).unwrap();
        },
        red: &["modules are for the kernel of the image"],
        says: "usr/lib/modules/6.18.37-talos",
    },
    Fault {
        name: "talos #6681, #6751: modules.dep was not made anew",
        make: |image| image.depmod = false,
        red: &["modules.dep names every module"],
        says: "extras/drbd.ko",
    },
    Fault {
        name: "extensions #255, talos #7924: zfs without its programs",
        make: |image| fs::remove_dir_all(image.tree("zfs").join("usr/local/sbin")).unwrap(),
        red: &["zfs has its tools beside its modules"],
        says: "usr/local/sbin/zpool",
    },
    Fault {
        name: "image-factory #240: i915 is installed and empty",
        make: |image| fs::remove_dir_all(image.tree("i915").join("usr/lib")).unwrap(),
        red: &["no extension is empty", "i915 has its module"],
        says: "i915",
    },
    Fault {
        name: "cozystack PR #1186: an extension is left out in silence",
        make: |image| image.extensions.retain(|e| e.name != "i915"),
        red: &[
            "every extension that was asked for is listed",
            "i915 has its module",
        ],
        says: "i915",
    },
    Fault {
        name: "extensions #611: a program for another machine",
        make: |image| for_amd64(&image.tree("spin"), "usr/local/bin/containerd-shim-spin-v2"),
        red: &["every program is for this machine"],
        says: "x86_64",
    },
    Fault {
        name: "a service for another machine",
        make: |image| {
            let tree = image.tree("tailscale");
            for_amd64(&tree, &format!("{TAILSCALE}/usr/local/bin/containerboot"));
        },
        red: &[
            "every program is for this machine",
            "every service can start",
        ],
        says: "containerboot",
    },
    Fault {
        name: "a folder whose name only begins like one that is allowed",
        make: |image| write(&image.tree("spin"), "usr/local-evil/file", "x"),
        red: &["files lie only where Talos lets extensions put them"],
        says: "usr/local-evil/file",
    },
    Fault {
        name: "a device that removes a file of Talos",
        make: |image| {
            let more = &mut image.listed("spin").more;
            more.extend(["-p", "usr/local/gone c 0644 0 0 0 0"].map(str::to_owned));
        },
        red: &["files lie only where Talos lets extensions put them"],
        says: "usr/local/gone",
    },
    Fault {
        name: "a file that everybody may write",
        make: |image| {
            mode(
                &image.tree("spin"),
                "usr/local/bin/containerd-shim-spin-v2",
                0o777,
            )
        },
        red: &["nobody but root can change what an extension brings"],
        says: "containerd-shim-spin-v2",
    },
    Fault {
        name: "a folder that everybody may write",
        make: |image| mode(&image.tree("spin"), "usr/local/bin", 0o777),
        red: &["nobody but root can change what an extension brings"],
        says: "usr/local/bin",
    },
    Fault {
        name: "two extensions bring one path",
        make: |image| {
            for (name, text) in [("drbd", "1"), ("zfs", "2")] {
                write(&image.tree(name), "usr/local/etc/shared.conf", text);
            }
        },
        red: &["no extension replaces a file of another, nor of Talos"],
        says: "usr/local/etc/shared.conf",
    },
    Fault {
        name: "the archive has the image of an extension twice",
        make: |image| {
            let tree = image.tree("spin");
            let stage = image.world.path().join("behind");
            fs::create_dir_all(&stage).unwrap();
            squashfs(&image.from().tools, &tree, &stage.join("0.sqsh"));
            image.behind = segment(&image.from().tools, &stage, &["0.sqsh"], Pack::Zstd);
        },
        red: &["nothing is there twice"],
        says: "0.sqsh",
    },
    Fault {
        name: "a part of containerd's configuration that is no TOML",
        make: |image| {
            write(
                &image.tree("drbd"),
                "etc/cri/conf.d/20-drbd.part",
                "[plugins.\n",
            )
        },
        red: &["Talos can read what extensions configure"],
        says: "20-drbd.part",
    },
    Fault {
        name: "a part of a version that containerd does not take",
        make: |image| {
            write(
                &image.tree("drbd"),
                "etc/cri/conf.d/20-drbd.part",
                "version = 4\n",
            )
        },
        red: &["Talos can read what extensions configure"],
        says: "its version is 4",
    },
    Fault {
        name: "a service that Talos cannot read",
        make: |image| {
            let file = format!("{SERVICE}drbd.yaml");
            write(&image.tree("drbd"), &file, "name: drbd\nname: drbd\n");
        },
        red: &["Talos can read what extensions configure"],
        says: "drbd.yaml",
    },
    Fault {
        name: "a service of a name that is taken",
        make: |image| {
            let text = fs::read(image.tree("zfs").join(SERVICE).join("zfs-service.yaml")).unwrap();
            write(
                &image.tree("zfs"),
                &format!("{SERVICE}zfs-service2.yaml"),
                text,
            );
        },
        red: &["Talos can read what extensions configure"],
        says: "there is another service",
    },
    Fault {
        name: "a runtime without its shim",
        make: |image| fs::remove_dir_all(image.tree("spin").join("usr/local/bin")).unwrap(),
        red: &[
            "runtimes have their shims",
            "spin is there, and pods can ask for it",
        ],
        says: "containerd-shim-spin-v2",
    },
    Fault {
        name: "a runtime without the file that its options name",
        make: |image| {
            let part = "etc/cri/conf.d/20-gvisor.part";
            let plugin = "plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.runsc";
            let text = format!(
                "[{plugin}]\nruntime_type = \"io.containerd.runc.v2\"\n[{plugin}.options]\nConfigPath = \"/etc/cri/conf.d/runsc.toml\"\n"
            );
            write(&image.tree("drbd"), part, text);
        },
        red: &["runtimes have their shims"],
        says: "/etc/cri/conf.d/runsc.toml",
    },
    Fault {
        name: "a service without its program",
        make: |image| {
            let tree = image.tree("zfs");
            fs::remove_file(tree.join("usr/local/lib/containers/zfs-service/zfs-service")).unwrap();
            fs::create_dir_all(tree.join("usr/local/lib/containers/zfs-service/dev")).unwrap();
        },
        red: &["every service can start"],
        says: "./zfs-service",
    },
    Fault {
        name: "a service whose program may not be run",
        make: |image| {
            let program = "usr/local/lib/containers/zfs-service/zfs-service";
            mode(&image.tree("zfs"), program, 0o644);
        },
        red: &["every service can start"],
        says: "may not be run",
    },
    Fault {
        name: "a service that is loaded by what the machine does not show it",
        make: |image| {
            let file = format!("{SERVICE}zfs-service.yaml");
            edit(
                &image.tree("zfs"),
                &file,
                "destination: /lib,",
                "destination: /library,",
            );
        },
        red: &[
            "every program finds its loader and its libraries",
            "every service can start",
        ],
        says: "zfs-service",
    },
    Fault {
        name: "a link that leads nowhere",
        make: |image| {
            link(
                &image.tree("spin"),
                "usr/local/bin/spin",
                "containerd-shim-spin-v3",
            )
        },
        red: &["no link leads nowhere"],
        says: "usr/local/bin/spin",
    },
    Fault {
        name: "an extension for another Talos",
        make: |image| image.listed("spin").talos = ">= v1.14.0".to_owned(),
        red: &["every extension is for this version of Talos"],
        says: "false",
    },
];

/// What looks like a fault and is none.
const SOUND: &[(&str, Change)] = &[
    ("nothing is changed", |_| {}),
    ("a sticky folder is told apart", |image| {
        let tree = image.tree("spin");
        fs::create_dir_all(tree.join("usr/local/tmp")).unwrap();
        mode(&tree, "usr/local/tmp", 0o1777);
    }),
    ("firmware for the processor of a device", |image| {
        let tree = image.tree("i915");
        let firmware = "usr/lib/firmware/a.elf";
        image.from().program("bin/busybox", &tree, firmware);
        for_amd64(&tree, firmware);
    }),
    (
        "a part that says nothing of the container runtime",
        |image| {
            write(
                &image.tree("drbd"),
                "etc/cri/conf.d/20.part",
                "[debug]\nlevel = \"debug\"\n",
            );
        },
    ),
    ("a folder is no part, and no service", |image| {
        let tree = image.tree("drbd");
        fs::create_dir_all(tree.join("etc/cri/conf.d/20.part")).unwrap();
        write(&tree, "usr/local/etc/containers/readme.txt", "{");
    }),
    (
        "a script runs by what is in the root of its service",
        |image| {
            let tree = image.tree("zfs");
            let own = tree.join("usr/local/lib/containers/zfs-service");
            image.from().program("bin/busybox", &own, "bin/sh");
            write(&own, "zfs-service", "#! /bin/sh -e\n");
        },
    ),
    (
        "a program of the machine that its service is shown",
        |image| {
            let tree = image.tree("zfs");
            fs::remove_file(tree.join("usr/local/lib/containers/zfs-service/zfs-service")).unwrap();
            fs::create_dir_all(tree.join("usr/local/lib/containers/zfs-service/dev")).unwrap();
            let file = format!("{SERVICE}zfs-service.yaml");
            edit(&tree, &file, "./zfs-service", "/usr/local/sbin/zfs");
            edit(
                &tree,
                &file,
                "mounts:\n",
                "mounts:\n    - {source: /usr/local/sbin, destination: /usr/local/sbin, type: bind}\n",
            );
        },
    ),
];

#[test]
fn each_fault_turns_its_own_check_red_and_no_other() {
    let Some(sound) = Sound::get() else { return };
    let mut wrong = Vec::new();
    for (name, change) in SOUND {
        let mut image = sound.installed();
        change(&mut image);
        let report = run(&image.pack(), &image);
        assert!(report.trials().len() > 20);
        for trial in report.trials().iter().filter(|t| t["verdict"] != "pass") {
            wrong.push(format!("{name}: {trial:#}"));
        }
    }
    for fault in FAULTS {
        let mut image = sound.installed();
        (fault.make)(&mut image);
        let report = run(&image.pack(), &image);
        for trial in report.trials() {
            let check = trial["check"].as_str().unwrap();
            let wanted = if fault.red.contains(&check) {
                "fail"
            } else {
                "pass"
            };
            if trial["verdict"] != wanted {
                wrong.push(format!("{}: {trial:#}", fault.name));
            }
        }
        let said = report.why(fault.red[0]);
        if !said.contains(fault.says) {
            wrong.push(format!(
                "{}: does not say `{}`: {said}",
                fault.name, fault.says
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
