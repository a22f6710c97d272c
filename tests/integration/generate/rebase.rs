//! The demo's series when its upstream moves: mended with no hand, or left to people with markers.

use super::world::{World, git};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The demo's project, whose specs ask nothing of an image: only the patches matter here.
struct Demo {
    folder: tempfile::TempDir,
}

const TALOS: &str = "packages/core/talos";

impl Demo {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        tdg::demo::upstream::lay_out(folder.path()).unwrap();
        let demo = Self { folder };
        demo.write("specs/only.yaml", "spec: only\nchecks:\n  - name: the file is there\n    file: '${{ vars.worktree }}/README.md'\n    expect: { present: true }\n".replace("spec: only\n", "spec: only\nvars: { worktree: nowhere }\n").as_str());
        demo.write(
            "tdg.yaml",
            "recipe: demo\nsource: { git: ./upstream, ref: v0.1.0 }\nmatrix: { variant: [spin-only, spin-tailscale] }\n\
             patches: 'patches/${{ matrix.variant }}.series'\nbuild: { steps: ['cp README.md made'] }\n\
             artifacts: { from: ., files: [made] }\nverify: [specs/only.yaml]\n\
             iterate: { red-first: false, remedies: [rebase] }\n",
        );
        demo
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Changes the upstream, commits it under a tag, and lets the recipe name that.
    fn upstream(&self, tag: &str, message: &str, change: impl Fn(&Path)) {
        let upstream = self.path("upstream");
        change(&upstream);
        git(&upstream, &["add", "--all"]);
        git(&upstream, &["commit", "--quiet", "-m", message]);
        git(&upstream, &["tag", tag]);
        let recipe = self.read("tdg.yaml");
        let (before, rest) = recipe.split_once("ref: ").unwrap();
        let (_, after) = rest.split_once(" }").unwrap();
        self.write("tdg.yaml", &format!("{before}ref: {tag} }}{after}"));
    }

    fn tdg(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tdg"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .output()
            .unwrap()
    }

    fn generate(&self) -> (i32, String) {
        said(&self.tdg(&["generate"]))
    }

    fn patches(&self) -> Vec<(String, String)> {
        let mut all: Vec<(String, String)> = fs::read_dir(self.path("patches"))
            .unwrap()
            .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
            .map(|name| (name.clone(), self.read(&format!("patches/{name}"))))
            .collect();
        all.sort();
        all
    }
}

fn said(output: &Output) -> (i32, String) {
    let text = [output.stdout.as_slice(), &output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

fn edit(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{}: {from}", path.display());
    fs::write(path, text.replace(from, to)).unwrap();
}

/// Moves the folder, renames the script, and changes the lines around the patched ones.
fn move_all(demo: &Demo) {
    demo.upstream("v0.2.0", "Move the folder", |upstream| {
        fs::create_dir_all(upstream.join("packages/system")).unwrap();
        fs::rename(upstream.join(TALOS), upstream.join("packages/system/os")).unwrap();
    });
    demo.upstream(
        "v0.3.0",
        "Rename the script and write it anew",
        |upstream| {
            let hack = upstream.join("packages/system/os/hack");
            fs::rename(hack.join("gen-profiles.sh"), hack.join("profiles")).unwrap();
            edit(
                &upstream.join("packages/system/os/Makefile"),
                "hack/gen-profiles.sh",
                "hack/profiles",
            );
            let script = hack.join("profiles");
            edit(
                &script,
                "FIRMWARES=\"amd-ucode",
                "# What the machine needs.\nFIRMWARES=\"intel-ucode amd-ucode",
            );
            edit(&script, "EXTENSIONS=", "# What is installed.\nEXTENSIONS=");
            edit(
                &script,
                "platform: ${platform}",
                "platform: \"${platform}\"",
            );
        },
    );
}

#[test]
fn the_demos_series_survives_a_moved_folder_a_renamed_script_and_other_lines_around() {
    let demo = Demo::new();
    assert_eq!(demo.generate().0, 0, "{}", demo.generate().1);
    let before = demo.patches();
    move_all(&demo);
    let (code, text) = demo.generate();
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains(
            "packages/core/talos/hack/gen-profiles.sh is now packages/system/os/hack/profiles"
        ),
        "{text}"
    );
    for (name, was) in before.iter().filter(|(name, _)| name.ends_with(".patch")) {
        let now = demo.read(&format!("patches/{name}"));
        let changed = |text: &str| -> Vec<String> {
            let body = text.split_once("\ndiff --git ").unwrap().1.to_owned();
            let mut lines: Vec<String> = body
                .lines()
                .filter(|l| {
                    l.starts_with(['+', '-']) && !l.starts_with("+++") && !l.starts_with("---")
                })
                .map(str::to_owned)
                .collect();
            lines.sort();
            lines
        };
        assert_eq!(changed(was), changed(&now), "{name}");
        assert!(now.contains("\nApplies-to: v0.3.0 ("), "{now}");
        assert!(!now.contains(&format!("a/{TALOS}")), "{now}");
        assert_eq!(demo.read(&format!(".tdg/replaced/patches/{name}")), *was);
    }
    // Again there is nothing to do, and another clone needs no remedy.
    assert!(demo.generate().1.contains("nothing had changed"));
    fs::remove_dir_all(demo.path(".tdg")).unwrap();
    let (code, text) = demo.generate();
    assert_eq!((code, text.contains("remedy")), (0, false), "{text}");
}

#[test]
fn without_an_earlier_clone_the_upstreams_history_says_what_a_patch_was_made_for() {
    let demo = Demo::new();
    move_all(&demo);
    let (code, text) = demo.generate();
    assert_eq!(code, 0, "{text}");

    // One variant's series was rebased somewhere else: the other's is made for another commit than
    // what it shares.
    let other = Demo::new();
    move_all(&other);
    for name in ["01-arm64.patch", "02-spin.patch"] {
        other.write(
            &format!("patches/{name}"),
            &demo.read(&format!("patches/{name}")),
        );
    }
    let (code, text) = other.generate();
    assert_eq!(code, 0, "{text}");
    // Both upstreams were made at other times: only the commit differs.
    let without = |demo: &Demo| -> Vec<String> {
        let patches = demo.patches().into_iter();
        patches
            .map(|(_, text)| {
                let lines = text
                    .lines()
                    .filter(|l| !l.starts_with("Applies-to: v0.3.0 ("));
                lines.collect::<Vec<_>>().join("\n")
            })
            .collect()
    };
    assert_eq!(without(&other), without(&demo));
}

#[test]
fn a_change_that_the_upstream_has_goes_out_of_the_series() {
    let demo = Demo::new();
    let script = format!("{TALOS}/hack/gen-profiles.sh");
    demo.upstream("v0.2.0", "Add spin", |upstream| {
        edit(&upstream.join(&script), "\"drbd zfs\"", "\"drbd zfs spin\"");
    });
    let (code, text) = demo.generate();
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("02-spin.patch: v0.2.0 has all of it already; it is out of the series"),
        "{text}"
    );
    assert_eq!(
        demo.read("patches/spin-only.series"),
        "# One patch a line, applied in this order.\n01-arm64.patch\n"
    );
    assert!(
        demo.read("patches/spin-tailscale.series")
            .ends_with("01-arm64.patch\n03-tailscale.patch\n")
    );
    assert!(!demo.path("patches/02-spin.patch").exists());
    assert!(
        demo.read(".tdg/replaced/patches/02-spin.patch")
            .contains("Add the spin extension")
    );
}

#[test]
fn a_conflict_is_left_with_markers_and_taken_back_when_it_is_decided() {
    let demo = Demo::new();
    assert_eq!(demo.generate().0, 0);
    let script = &format!("{TALOS}/hack/gen-profiles.sh");
    demo.upstream("v0.4.0", "Another extension", |upstream| {
        edit(
            &upstream.join(script),
            "\"drbd zfs\"",
            "\"drbd zfs gvisor\"",
        );
    });
    let before = demo.patches();
    let (code, text) = demo.generate();
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("02-spin.patch and v0.4.0"), "{text}");
    assert!(text.contains("tdg generate --continue-rebase"), "{text}");
    assert!(
        text.contains(&format!("git -C .tdg/conflict/spin-only add -- {script}")),
        "{text}"
    );
    assert_eq!(demo.patches(), before, "no patch was changed");

    let file = demo.path(".tdg/conflict/spin-only").join(script);
    let marked = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = marked
        .lines()
        .skip_while(|l| !l.starts_with("<<<<<<<"))
        .take(7)
        .collect();
    assert!(
        lines[0].starts_with("<<<<<<< ") && lines[2].starts_with("||||||| "),
        "{lines:?}"
    );
    assert_eq!(lines[1], "EXTENSIONS=\"drbd zfs gvisor\"");
    assert_eq!((lines[3], lines[4]), ("EXTENSIONS=\"drbd zfs\"", "======="));
    assert_eq!(lines[5], "EXTENSIONS=\"drbd zfs spin\"");

    // Nothing is taken before it is decided, and no work of people is written over.
    let go_on = || said(&demo.tdg(&["generate", "--continue-rebase"]));
    assert_eq!(
        (go_on().0, go_on().1.contains("not decided yet")),
        (1, true),
        "{}",
        go_on().1
    );
    let tree = demo.path(".tdg/conflict/spin-only");
    git(&tree, &["add", script]);
    assert!(go_on().1.contains("still has a marker"), "{}", go_on().1);
    let start = marked.find("<<<<<<<").unwrap();
    let end = marked.find(">>>>>>>").unwrap();
    let end = end + marked[end..].find('\n').unwrap() + 1;
    let decided = format!(
        "{}EXTENSIONS=\"drbd zfs gvisor spin\"\n{}",
        &marked[..start],
        &marked[end..]
    );
    fs::write(&file, &decided).unwrap();
    assert!(
        go_on().1.contains("was edited after it was added"),
        "{}",
        go_on().1
    );
    let _ = demo.generate();
    assert_eq!(
        fs::read_to_string(&file).unwrap(),
        decided,
        "somebody's work is kept"
    );
    git(&tree, &["add", script]);
    let (code, text) = go_on();
    // What was decided for one variant is decided for the other, which goes on to the next patch.
    assert!(text.contains("spin-only: the series is whole"), "{text}");
    assert!(
        demo.read("patches/02-spin.patch")
            .contains("+EXTENSIONS=\"drbd zfs gvisor spin\"")
    );
    assert!(!tree.exists());
    assert_eq!(code, 1, "{text}");
    let (_, text) = demo.generate();
    assert!(text.contains("green  spin-only"), "{text}");
    let tree = demo.path(".tdg/conflict/spin-tailscale");
    let file = tree.join(script);
    let marked = fs::read_to_string(&file).unwrap();
    assert!(
        marked.contains("EXTENSIONS=\"drbd zfs spin tailscale\""),
        "{marked}"
    );
    let start = marked.find("<<<<<<<").unwrap();
    let end = marked.find(">>>>>>>").unwrap();
    let end = end + marked[end..].find('\n').unwrap() + 1;
    fs::write(
        &file,
        format!(
            "{}EXTENSIONS=\"drbd zfs gvisor spin tailscale\"\n{}",
            &marked[..start],
            &marked[end..]
        ),
    )
    .unwrap();
    git(&tree, &["add", script]);
    let (code, text) = go_on();
    assert_eq!(code, 0, "{text}");
    let (code, text) = demo.generate();
    assert_eq!(code, 0, "{text}");
}

#[test]
fn where_it_applies_and_since_when_not_is_told_and_nothing_is_touched() {
    let demo = Demo::new();
    move_all(&demo);
    demo.upstream("v0.4.0", "Another extension", |upstream| {
        edit(
            &upstream.join("packages/system/os/hack/profiles"),
            "\"drbd zfs\"",
            "\"drbd zfs gvisor\"",
        );
    });
    let before = demo.patches();
    let output = demo.tdg(&[
        "generate",
        "--format",
        "json",
        "--check-upstream",
        "v0.1.0..v0.4.0",
    ]);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{e}: {:?}", said(&output)));
    assert_eq!(
        (
            output.status.code(),
            &report["version"],
            &report["all_apply"]
        ),
        (Some(1), &1.into(), &false.into())
    );
    let rows = report["rows"].as_array().unwrap();
    assert_eq!(rows.len(), 8);
    let row = |variant: &str, name: &str| {
        rows.iter()
            .find(|r| r["variant"] == variant && r["ref"] == name)
            .unwrap()
    };
    assert_eq!(row("spin-only", "v0.1.0")["applies"], true);
    assert_eq!(row("spin-only", "v0.1.0")["patches"], 2);
    let moved = row("spin-tailscale", "v0.3.0");
    assert_eq!(
        (&moved["applies"], &moved["patch"]),
        (&false.into(), &"01-arm64.patch".into())
    );
    assert_eq!(moved["since"]["subject"], "Move the folder");
    assert_eq!(moved["rebase"]["mends"], true);
    let conflict = &row("spin-only", "v0.4.0")["rebase"];
    assert_eq!(conflict["mends"], false);
    assert!(
        conflict["says"][0]
            .as_str()
            .unwrap()
            .contains("02-spin.patch is in conflict"),
        "{conflict}"
    );
    assert_eq!(demo.patches(), before);
    assert!(!demo.path(".tdg/work").exists() && !demo.path(".tdg/conflict").exists());
    assert!(!demo.path("tdg.lock").exists());

    let (code, text) = said(&demo.tdg(&[
        "generate",
        "--check-upstream",
        "v0.1*",
        "v0.2.0",
        "--variant",
        "spin-only",
    ]));
    assert_eq!(code, 1);
    assert!(
        text.contains("  v0.1.0  applies\n")
            && text.contains("1 of 2 do not apply; `rebase` would mend 1"),
        "{text}"
    );
    let (code, text) = said(&demo.tdg(&["generate", "--check-upstream", "v0.1.0"]));
    assert_eq!(code, 0, "{text}");
    let (code, text) = said(&demo.tdg(&["generate", "--check-upstream", "v9"]));
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("no tag or branch `v9`"), "{text}");
    // Where nothing could fail, nothing applies.
    for name in ["spin-only", "spin-tailscale"] {
        fs::write(demo.path(&format!("patches/{name}.series")), "# none\n").unwrap();
    }
    let (code, text) = said(&demo.tdg(&["generate", "--check-upstream", "v0.1.0"]));
    assert_eq!(code, 4, "{text}");
    assert!(text.contains("no variant has a patch"), "{text}");
}

#[test]
fn the_steps_of_a_conflict_can_be_typed_as_they_stand() {
    let world = World::new();
    let upstream = world.path("upstream");
    let name = "it's a file.txt";
    let commit = |text: &str, tag: &str| {
        world.write(&format!("upstream/{name}"), text);
        git(&upstream, &["add", "--all"]);
        git(&upstream, &["commit", "--quiet", "-m", tag]);
        git(&upstream, &["tag", "--force", tag]);
    };
    commit("of the upstream\n", "v1");
    world.write(&format!("upstream/{name}"), "of the patch\n");
    let change = git(&upstream, &["diff"]);
    world.write(
        "project/patches/02.patch",
        &format!("Applies-to: v1\n\n{change}\n"),
    );
    world.write("project/patches/series", "01.patch\n02.patch\n");
    commit("of another\n", "v2");
    world.recipe("[make]", "iterate: { remedies: [rebase] }\n");
    world.in_recipe("ref: v1", "ref: v2");
    let told = world.run();
    let step = told
        .lines
        .iter()
        .find_map(|line| line.split_once("note: 2. "));
    let (_, step) = step.unwrap_or_else(|| panic!("{:?}", told.lines));
    assert!(step.ends_with(r"add -- 'it'\''s a file.txt'"), "{step}");
    world.write(
        &format!("project/.tdg/conflict/default/{name}"),
        "of both\n",
    );
    let typed = Command::new("sh")
        .args(["-c", step])
        .current_dir(world.project())
        .status();
    assert!(typed.unwrap().success(), "{step}");
    let tree = world.path("project/.tdg/conflict/default");
    assert_eq!(git(&tree, &["ls-files", "--unmerged"]), "");
}
