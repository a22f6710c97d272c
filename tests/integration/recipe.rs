//! The specs of the recipe for ARM64 Talos images: nothing passes where nothing was built, all hold
//! of what the demo builds, and each fault that really happened turns the right one red.
//!
//! The demo's upstream is a stand-in of the same layout and with the same traps; what it builds is
//! small, so its sizes are given here.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::peers::peer;
use crate::servers::registry;
use crate::world::{Report, World, ran};

const TALOS: &str = "packages/core/talos";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs the specs of the recipe on what is in a folder, those about programs of this machine aside.
fn judged(world: &World, more: &[&str]) -> Report {
    let specs = ["specs/patches", "specs/image"].map(|s| root().join(s).display().to_string());
    let mut arguments = vec!["run", &specs[0], &specs[1], "--tag", "!tools"];
    arguments.extend(["--format", "json", "--root", "."]);
    arguments.extend(more);
    Report::of(world.tdg(&arguments))
}

/// The sizes of the demo's artifacts are not those of Talos.
const SMALL: &[&str] = &["--var", "at-least=64 KiB"];

/// What the demo leaves, made anew.
fn demo() -> World {
    let world = World::new();
    let demo = ran(&mut world.command(&["demo", "--dir", "."]));
    assert_eq!(demo.code, 0, "{}{}", demo.stdout, demo.stderr);
    world
}

/// Gives the names of trials that ended in a way.
fn ended<'r>(report: &'r Report, verdicts: &[&str]) -> Vec<&'r str> {
    let of = |t: &&Value| verdicts.contains(&t["verdict"].as_str().unwrap());
    let trials = report.trials().iter().filter(of);
    trials.map(|t| t["name"].as_str().unwrap()).collect()
}

#[test]
fn what_is_packaged_holds() {
    let world = demo();
    let recipe = world.path().join("tdg.yaml");
    let package = "package:
  oci: registry.invalid/demo
  tags: ['${{ build.variant }}']
  prefix: assets/talos/arm64
  files:
    kernel-arm64: boot/vmlinuz
    initramfs-metal-arm64.xz: boot/initramfs.xz
    installer-arm64.tar: containers/talos-installer.tar
";
    let text = fs::read_to_string(&recipe).unwrap();
    fs::write(&recipe, format!("{text}{package}")).unwrap();
    let imager = format!("{} imager", env!("CARGO_BIN_EXE_tdg"));
    let made = ran(world.command(&["generate"]).env("IMAGER", imager));
    assert_eq!(made.code, 0, "{}{}", made.stdout, made.stderr);
    let specs = root().join("specs/package").display().to_string();
    let judged = |variant: &str, packaged: &str| {
        let variant = format!("variant={variant}");
        let packaged = format!("package=_out/package/{packaged}");
        let vars = ["--root", ".", "--var", &variant, "--var", &packaged];
        Report::of(world.tdg(&[&["run", &specs, "--format", "json"], &vars[..]].concat()))
    };
    for variant in ["spin-only", "spin-tailscale"] {
        let report = judged(variant, variant);
        let wrong = ended(&report, &["fail", "error", "skip"]);
        assert_eq!(wrong, [""; 0], "{:#}", report.json);
    }

    // The workflow's own way: pushed, pulled back, judged as it came.
    if let (Some(_), Some(registry)) = (peer("jq"), registry(&world.path().join("registry"), false))
    {
        let published = |packaged: &str, variant: &str| {
            let repository = format!("oci://127.0.0.1:{}/demo", registry.port);
            let layout = world.path().join("_out/package").join(packaged);
            let mut publish = Command::new(root().join(".github/publish"));
            publish.arg(env!("CARGO_BIN_EXE_tdg")).arg(layout);
            publish.args([&repository, variant]).current_dir(root());
            ran(publish.env("TDG_CACHE", "off"))
        };
        let there = published("spin-only", "spin-only");
        assert_eq!(there.code, 0, "{}{}", there.stdout, there.stderr);
        assert!(
            there.stdout.ends_with("/demo:spin-only`\n"),
            "{}",
            there.stdout
        );
        let other = published("spin-tailscale", "spin-only");
        assert_eq!(other.code, 1, "{}{}", other.stdout, other.stderr);
        assert!(other.stderr.contains("is not one of"), "{}", other.stderr);
    }

    let wrong = judged("spin-only", "spin-tailscale");
    assert_eq!(
        ended(&wrong, &["fail", "error"]),
        [
            "package/package::the-report-names-variant-and-commit",
            "package/package::the-initramfs-is-that-of-the-variant"
        ]
    );
}

#[test]
fn nothing_passes_where_nothing_was_built() {
    let report = judged(&World::new(), &[]);
    assert!(report.trials().len() > 100, "{}", report.trials().len());
    assert_eq!(ended(&report, &["pass"]), [""; 0]);
    let errors = ended(&report, &["error"]);
    assert!(errors.len() * 2 > report.trials().len(), "{errors:?}");
    assert_ne!(report.code, 0);
}

#[test]
fn the_recipes_specs_are_no_tests_of_a_checkout() {
    let world = World::new();
    let folders = ["specs/patches", "specs/image", "specs/package"];
    let specs = folders.map(|s| root().join(s).display().to_string());
    let all = world.tdg(&["list", &specs[0], &specs[1], &specs[2]]);
    assert_eq!(all.code, 0, "{}", all.stderr);
    let rest = world.tdg(&["list", &specs[0], &specs[1], &specs[2], "--tag", "!recipe"]);
    assert_eq!(
        (rest.code, rest.stdout.as_str()),
        (2, ""),
        "{}",
        rest.stderr
    );
}

#[test]
fn all_hold_of_the_demo_and_each_fault_turns_the_right_one_red() {
    let world = demo();
    let report = judged(&world, SMALL);
    let wrong = ended(&report, &["fail", "error", "skip"]);
    assert_eq!(wrong, [""; 0], "{:#}", report.json);

    let tree = world.path().join(".tdg/work/spin-only").join(TALOS);
    let assets = world.path().join("_out/assets/spin-only");
    let both = world.path().join("_out/assets/spin-tailscale");
    let generator = tree.join("hack/gen-profiles.sh");
    let profile = tree.join("images/talos/profiles/metal.yaml");
    let edited = |path: &Path, from: &str, to: &str| {
        let text = fs::read_to_string(path).unwrap();
        assert!(text.contains(from), "{}: {from}", path.display());
        fs::write(path, text.replace(from, to)).unwrap();
    };
    let swapped = |name: &str| {
        fs::copy(both.join(name), assets.join(name))
            .map(drop)
            .unwrap()
    };
    type Fault<'f> = (&'f Path, &'f dyn Fn(), &'f [&'f str]);
    let initramfs = assets.join("initramfs-metal-arm64.xz");
    let faults: &[Fault<'_>] = &[
        (
            &generator,
            &|| {
                world.mode(
                    &format!(".tdg/work/spin-only/{TALOS}/hack/gen-profiles.sh"),
                    0o644,
                )
            },
            &["patches/content::the-generator-is-still-a-program[variant=spin-only]"],
        ),
        (
            &generator,
            &|| edited(&generator, "    - imageRef: ${SPIN_IMAGE}\n", ""),
            &["patches/content::what-is-looked-up-is-used[variant=spin-only]"],
        ),
        (
            &tree.join("Makefile"),
            &|| edited(&tree.join("Makefile"), "metal-arm64.iso", "metal-amd64.iso"),
            &[
                "patches/content::no-target-looks-for-an-asset-of-another-machine[variant=spin-only]",
            ],
        ),
        (
            &profile,
            &|| edited(&profile, "/spin:", "/spine:"),
            &["patches/profiles::spin-is-among-them[variant=spin-only,profile=metal]"],
        ),
        (
            &profile,
            &|| edited(&profile, "@sha256:", "@"),
            &[
                "patches/profiles::every-extension-is-pinned-to-a-digest[variant=spin-only,profile=metal]",
            ],
        ),
        (
            &initramfs,
            &|| swapped("initramfs-metal-arm64.xz"),
            &[
                "image/initramfs::tailscale-is-on-the-gateway-only[variant=spin-only]",
                "image/initramfs::only-the-gateway-waits-for-a-configuration[variant=spin-only]",
                "image/disk::its-initramfs-carries-the-same-extensions[variant=spin-only]",
            ],
        ),
        (
            &assets.join("kernel-arm64"),
            &|| fs::write(assets.join("kernel-arm64"), b"\x7fELF").unwrap(),
            &[
                "image/kernel::it-is-an-image-or-an-efi-zboot-for-arm64-and-no-elf-file[variant=spin-only]",
                "image/disk::its-kernel-is-the-one-beside-it[variant=spin-only]",
            ],
        ),
    ];
    for (path, fault, red) in faults {
        let kept = (
            fs::read(path).unwrap(),
            fs::metadata(path).unwrap().permissions(),
        );
        fault();
        let report = judged(&world, SMALL);
        let wrong = ended(&report, &["fail", "error"]);
        for name in *red {
            assert!(wrong.contains(name), "{name} is not among {wrong:?}");
        }
        fs::write(path, kept.0).unwrap();
        fs::set_permissions(path, kept.1).unwrap();
    }
    assert_eq!(
        ended(&judged(&world, SMALL), &["fail", "error", "skip"]),
        [""; 0]
    );
}

/// Folders with series: the demo's, and the recipe's where it is there.
fn series() -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for folder in ["fixtures/demo/patches", "patches"] {
        let Ok(entries) = fs::read_dir(root().join(folder)) else {
            continue;
        };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.extension().is_some_and(|e| e == "series") {
                let text = fs::read_to_string(&path).unwrap();
                let names = text
                    .lines()
                    .filter(|l| !l.is_empty() && !l.starts_with('#'));
                let names = names.map(|name| format!("{folder}/{name}"));
                found.push((path.display().to_string(), names.collect()));
            }
        }
    }
    found
}

#[test]
fn a_patch_carries_one_line_of_context_and_says_what_it_is_for() {
    let mut hunks = 0;
    for (series, patches) in series() {
        assert!(patches.len() >= 2, "{series}: {patches:?}");
        for name in patches {
            let text = fs::read_to_string(root().join(&name)).unwrap();
            let (header, diff) = text.split_once("\n---\n").unwrap();
            assert!(header.contains("\nSubject: [PATCH] "), "{name}: {header}");
            assert!(header.contains("\nApplies-to: v"), "{name}: {header}");
            for hunk in diff.split("\n@@ ").skip(1) {
                hunks += 1;
                let lines: Vec<&str> = hunk
                    .lines()
                    .skip(1)
                    .take_while(|l| !l.starts_with("diff "))
                    .collect();
                let runs: Vec<usize> = lines
                    .split(|line| !line.starts_with(' '))
                    .map(<[_]>::len)
                    .collect();
                // between two changes there may be the context of both
                assert!(runs.iter().all(|run| *run <= 3), "{name}: {hunk}");
                let ends = (runs.first().unwrap(), runs.last().unwrap());
                assert!(*ends.0 <= 1 && *ends.1 <= 1, "{name}: {hunk}");
            }
        }
    }
    assert!(hunks > 10, "{hunks}");
}
