//! The demo's story, told without the loop: amd64 first, then a green build
//! without spin, then the remedy, then spin.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use tdg::demo::imager::Profile;
use tdg::demo::{Layout, lay_out};

use crate::peers::{output, peer};

const TALOS: &str = "packages/core/talos";

/// Clones the upstream, applies a variant's series and generates the profiles.
fn build(layout: &Layout, variant: Option<&str>, tree: &Path) -> Profile {
    let Some(git) = peer("git") else {
        panic!("git is needed")
    };
    let (upstream, target) = (layout.upstream.to_str().unwrap(), tree.to_str().unwrap());
    let _ = fs::remove_dir_all(tree);
    output(
        &git,
        &layout.project,
        &["clone", "--quiet", upstream, target],
    );
    if let Some(variant) = variant {
        let series = layout.project.join(format!("patches/{variant}.series"));
        let text = fs::read_to_string(series).unwrap();
        for patch in text.lines().filter(|line| !line.starts_with('#')) {
            let patch = layout.project.join("patches").join(patch);
            let name = ["-c", "user.name=t", "-c", "user.email=t@t.invalid"];
            let am = [&name[..], &["am", "--quiet", patch.to_str().unwrap()]].concat();
            output(&git, tree, &am);
        }
    }
    let folder = tree.join(TALOS);
    output(Path::new("hack/gen-profiles.sh"), &folder, &[]);
    let profile = folder.join("images/talos/profiles/initramfs.yaml");
    Profile::parse(&fs::read_to_string(profile).unwrap()).unwrap()
}

fn extensions(profile: &Profile) -> Vec<&str> {
    profile
        .input
        .system_extensions
        .iter()
        .filter_map(|asset| asset.image_ref.as_deref())
        .filter_map(|reference| reference.rsplit('/').next()?.split(':').next())
        .collect()
}

/// Runs the project's remedy with one failed check; gives what it said.
fn remedy(layout: &Layout, variant: &str, tree: &Path, trial: &str) -> String {
    let report = serde_json::json!({
        "version": 1,
        "recipe": "demo-talos-arm64",
        "variant": variant,
        "attempt": 1,
        "project": layout.project,
        "worktree": tree,
        "series": format!("patches/{variant}.series"),
        "failures": [{
            "trial": format!("{trial}[variant={variant}]"),
            "kind": "extension",
            "verdict": "fail",
            "message": "expected \"true\",\nfound \"false\"",
        }],
        "log_tail": "a \"quoted\" line\n",
    });
    let mut child = Command::new("scripts/remedy")
        .current_dir(&layout.project)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(report.to_string().as_bytes()).unwrap();
    drop(stdin);
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success());
    String::from_utf8(done.stdout).unwrap()
}

#[test]
fn the_story_goes_from_red_to_green() {
    let dir = tempfile::tempdir().unwrap();
    let layout = lay_out(&dir.path().join("demo")).unwrap();
    let tree = dir.path().join("tree");

    let unpatched = build(&layout, None, &tree);
    assert_eq!(unpatched.arch, "amd64");
    assert!(!extensions(&unpatched).contains(&"spin"));

    for (variant, others) in [
        (
            "spin-only",
            vec!["amd-ucode", "i915", "qlogic-firmware", "drbd", "zfs"],
        ),
        (
            "spin-tailscale",
            vec![
                "amd-ucode",
                "i915",
                "qlogic-firmware",
                "drbd",
                "zfs",
                "tailscale",
            ],
        ),
    ] {
        let first = build(&layout, Some(variant), &tree);
        assert_eq!(first.arch, "arm64");
        assert_eq!(first.input.kernel.path, "/usr/install/arm64/vmlinuz");
        assert_eq!(extensions(&first), others, "spin is listed and not written");

        let said = remedy(&layout, variant, &tree, "extensions::spin-is-installed");
        assert!(said.contains("no profile uses ${SPIN_IMAGE}"), "{said}");

        let second = build(&layout, Some(variant), &tree);
        let all = [&others[..], &["spin"]].concat();
        assert_eq!(extensions(&second), all);
    }
}

#[test]
fn the_remedy_leaves_alone_what_it_does_not_know() {
    let dir = tempfile::tempdir().unwrap();
    let layout = lay_out(&dir.path().join("demo")).unwrap();
    let tree = dir.path().join("tree");
    build(&layout, Some("spin-only"), &tree);
    let series = layout.project.join("patches/spin-only.series");
    let before = fs::read_to_string(&series).unwrap();
    for trial in [
        "image::the-kernel-is-for-arm64",
        "extensions::tailscale-is-installed",
    ] {
        assert_eq!(remedy(&layout, "spin-only", &tree, trial), "");
    }
    assert_eq!(fs::read_to_string(&series).unwrap(), before);

    // asked twice about the same tree, it says the same and lists one patch
    for _ in 0..2 {
        remedy(&layout, "spin-only", &tree, "extensions::spin-is-installed");
    }
    let after = fs::read_to_string(&series).unwrap();
    assert_eq!(after, before + "09-write-spin.spin-only.patch\n");
}
