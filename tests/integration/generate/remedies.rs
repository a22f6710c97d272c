//! Remedies: what they are told, what they may do, and when the loop gives up.

use super::world::{World, patch, recipe};
use std::fs;

#[test]
fn a_remedy_that_repairs_a_patch_makes_it_green() {
    let world = World::wrong();
    world.remedy(
        "cat >../told.json; sed -i s/armv7/arm64/ patches/01.patch",
        "",
    );
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "green", 2)]);
    assert!(
        told.says("remedy changed [\"patches/01.patch\"]"),
        "{:?}",
        told.lines
    );
    assert_eq!(world.runs(), 2);

    let report: serde_json::Value = serde_json::from_str(&world.read("told.json")).unwrap();
    let project = world.project().display().to_string();
    assert_eq!(report["version"], 2);
    assert_eq!(
        (&report["recipe"], &report["variant"]),
        (&"test".into(), &"default".into())
    );
    assert_eq!(
        (&report["attempt"], &report["series"]),
        (&1.into(), &"patches/series".into())
    );
    assert_eq!(report["project"], project.as_str());
    assert_eq!(report["build_tree"], format!("{project}/.tdg/work/default"));
    assert_eq!(
        report["worktree"],
        format!("{project}/.tdg/remedy/default/tree")
    );
    assert_eq!(report["patches"][0]["path"], "patches/01.patch");
    assert!(report["diff"]["text"].as_str().unwrap().contains("+armv7"));
    assert_eq!(report["source"]["ref"], "v1");
    assert_eq!(report["logs"][0]["command"], "make");
    assert_eq!(report["logs"][0]["exit"], 0);
    let log = report["logs"][0]["path"].as_str().unwrap();
    assert!(
        world
            .read(&format!("project/{log}"))
            .contains("built amd64")
    );
    assert!(report["log_tail"].as_str().unwrap().contains("built amd64"));
    let failure = serde_json::json!({
        "trial": "a::the-image-is-arm64", "check": "the image is arm64", "kind": "file",
        "verdict": "fail", "spec": {"file": "specs/a.spec", "line": 1},
        "mismatches": [{"path": "content", "expected": "arm64", "actual": "armv7"}],
        "evidence": {"value": {"content": "armv7\n"}, "truncated": false},
        "message": "",
    });
    assert_eq!(report["failures"], serde_json::json!([failure]));
    assert_eq!(report["tried"], serde_json::json!([]));
    let did = &told.outcome().variants[0].remedies[0];
    assert_eq!((did.remedy.as_str(), did.attempt), ("./remedy", 1));
    assert_eq!(did.end, tdg::generate::RemedyEnd::Changed);
    assert_eq!(did.looked_at, ["a::the-image-is-arm64"]);
    assert_eq!(did.changed, ["patches/01.patch"]);
}

#[test]
fn a_build_failure_and_a_patch_failure_reach_the_remedy_too() {
    let world = World::wrong();
    world.remedy(
        "cat >../told.json; echo '# tried' >>patches/series",
        "  max-attempts: 2\n",
    );
    world.write("project/patches/01.patch", &patch("riscv64", "armv7"));
    assert_eq!(world.run().ends(), [("default".into(), "stuck", 1)]);
    let report: serde_json::Value = serde_json::from_str(&world.read("told.json")).unwrap();
    assert_eq!(report["failures"][0]["kind"], "patches");

    let world = World::new();
    world.remedy("cat >../told.json", "");
    world.in_recipe("[make]", "[make no-such-target]");
    assert_eq!(world.run().ends(), [("default".into(), "stuck", 1)]);
    let report: serde_json::Value = serde_json::from_str(&world.read("told.json")).unwrap();
    assert_eq!(report["failures"][0]["kind"], "build");
    assert_eq!(report["failures"].as_array().unwrap().len(), 1);
    assert!(
        report["log_tail"]
            .as_str()
            .unwrap()
            .contains("no-such-target")
    );
}

#[test]
fn a_build_that_touches_a_spec_ends_the_run() {
    let world = World::new();
    let spec = world.path("project/specs/a.spec");
    let step = format!("[{{ sh: 'make; echo x > {}' }}]", spec.display());
    world.recipe(&step, "");
    let told = world.run();
    let said = told.error();
    assert!(
        said.starts_with("the build changed what decides: specs/a.spec was changed"),
        "{said}"
    );
    // Undone, the loop goes on.
    world.write(
        "project/specs/a.spec",
        "the image is arm64 | $assets/image | arm64\n",
    );
    world.recipe("[make]", "");
    assert_eq!(world.run().ends()[0].1, "green");
}

#[test]
fn a_remedy_that_changes_nothing_is_stuck() {
    let world = World::wrong();
    world.remedy("true", "");
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "stuck", 1)]);
    assert_eq!(told.outcome().exit_code(), 1);
    assert!(
        told.says("stuck: the remedy `./remedy` changed nothing; look at [\"specs/a.spec:1\""),
        "{:?}",
        told.lines
    );
    assert_eq!(world.runs(), 1);
}

#[test]
fn a_remedy_that_goes_in_circles_is_stuck() {
    let world = World::wrong();
    world.remedy(
        "if grep -q armv7 patches/01.patch; then sed -i s/armv7/armv6/ patches/01.patch; else sed -i s/armv6/armv7/ patches/01.patch; fi",
        "",
    );
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "stuck", 2)]);
    assert!(
        told.says("again what they were in attempt 1"),
        "{:?}",
        told.lines
    );
    assert_eq!(world.runs(), 2);
}

#[test]
fn attempts_and_budget_are_bounds() {
    let world = World::wrong();
    world.remedy(
        "sed -i s/+.*arm.*/+arm-$(date +%N)/ patches/01.patch",
        "  max-attempts: 3\n",
    );
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "red", 3)]);
    assert_eq!(told.outcome().variants[0].why, "all 3 attempts are used up");
    assert_eq!(world.runs(), 3);

    let mut options = world.options();
    options.max_attempts = Some(100);
    options.budget = Some(std::time::Duration::from_millis(1500));
    let told = world.run_with(&options);
    let (_, end, attempts) = told.ends().remove(0);
    assert!(
        attempts < 100 && ["red", "failed"].contains(&end),
        "{end} {attempts}"
    );
    assert!(
        told.outcome().variants[0]
            .why
            .contains("the budget of 1.50 s is used up"),
        "{:?}",
        told.outcome()
    );
}

#[test]
fn a_remedy_that_fails_is_undone() {
    let world = World::wrong();
    world.remedy(
        "sed -i s/armv7/arm64/ patches/01.patch; echo no luck >&2; exit 7",
        "",
    );
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "stuck", 1)]);
    assert!(
        told.says("the remedy `./remedy` failed: exit code 7 (no luck)"),
        "{:?}",
        told.lines
    );
    assert_eq!(
        world.read("project/patches/01.patch"),
        patch("amd64", "armv7")
    );

    world.in_recipe("./remedy", "no-such-program-here");
    let told = world.run();
    assert!(
        told.says("`no-such-program-here` was not found in PATH"),
        "{:?}",
        told.lines
    );
}

#[test]
fn the_second_remedy_is_tried_where_the_first_changes_nothing() {
    let world = World::wrong();
    world.remedy("sed -i s/armv7/arm64/ patches/01.patch", "");
    world.in_recipe(
        "[{ run: [./remedy] }]",
        "[rebase, retry, { run: ['true'] }, { run: ./remedy }]",
    );
    assert_eq!(world.run().ends(), [("default".into(), "green", 2)]);
}

#[test]
fn a_patch_shared_with_a_later_variant_is_proven_again() {
    let world = World::wrong();
    world.makes("arm64");
    world.remedy(
        "sed -i 's/+arm64$/+arm64 late/' patches/01.patch",
        "matrix: { v: [a, b] }\n",
    );
    world.write("project/specs/a.spec", "a word | $assets/image | arm64\n");
    world.write(
        "project/specs/b.spec",
        "b is late | _out/assets/b/image | late\n",
    );
    // Variant a does not see b's spec red: it is the same file for both, so it is given to b alone.
    world.in_recipe("verify: [specs]", "verify: ['specs/${{ matrix.v }}.spec']");
    let told = world.run();
    assert_eq!(told.ends()[0].1, "green");
    assert_eq!(told.ends()[1], ("b".into(), "green", 2));
    assert_eq!(world.read("project/_out/assets/a/image"), "arm64 late\n");
}

#[test]
fn secrets_of_the_environment_stay_inside() {
    let world = World::new();
    let text = recipe("[{ sh: 'echo $API_TOKEN' }, make]", "")
        .replace("[RUNS, SLOW]", "{ API_TOKEN: hunter2222 }");
    world.write("project/tdg.yaml", &text);
    let told = world.run();
    assert_eq!(told.ends()[0].1, "green");
    assert!(told.says("> ***"));
    let project = world.project();
    for entry in walkdir::WalkDir::new(project.join(".tdg"))
        .into_iter()
        .flatten()
    {
        if entry.file_type().is_file() {
            let text = String::from_utf8_lossy(&fs::read(entry.path()).unwrap()).into_owned();
            assert!(!text.contains("hunter2222"), "{}", entry.path().display());
        }
    }
}

#[test]
fn a_change_in_the_work_tree_becomes_a_patch() {
    let script = "cat >/dev/null; cd $TDG_WORKTREE; echo arm64 >word.txt; printf '\\000\\001' >blob; \
        echo 'echo hi' >run.sh; chmod 755 run.sh; echo looking around; echo; \
        echo 'Say arm64 where it said armv7'; echo 'The image is for ARM64.'";
    let made: Vec<String> = (0..2)
        .map(|_| {
            let world = World::wrong();
            world.remedy(script, "");
            let told = world.run();
            assert_eq!(told.ends(), [("default".into(), "green", 2)]);
            let name = "02-say-arm64-where-it-said-armv7.patch";
            assert_eq!(
                world.read("project/patches/series"),
                format!("01.patch\n{name}\n")
            );
            let did = &told.outcome().variants[0].remedies[0];
            assert_eq!(
                did.why,
                format!("its change of blob, run.sh, word.txt is {name}")
            );
            assert!(
                world
                    .read(&format!("project/{}", did.log.as_ref().unwrap()))
                    .contains("looking")
            );
            let tree = world.project().join(".tdg/work/default");
            assert_eq!(fs::read(tree.join("blob")).unwrap(), [0, 1]);
            let mode = fs::metadata(tree.join("run.sh")).unwrap().permissions();
            assert_eq!(
                std::os::unix::fs::PermissionsExt::mode(&mode) & 0o111,
                0o111
            );
            world.read(&format!("project/patches/{name}"))
        })
        .collect();
    assert_eq!(made[0], made[1], "the same change makes the same patch");
    for line in [
        "From: tdg <tdg@localhost>",
        "Date: Sat, 1 Jan 2000 00:00:00 +0000",
        "Subject: [PATCH] Say arm64 where it said armv7",
        "The image is for ARM64.",
        "- a::the-image-is-arm64: content: arm64 expected",
        "Remedy: ./remedy (attempt 1, default)",
        "Made-for: v1",
        "---",
        " word.txt |",
        "GIT binary patch",
        "new file mode 100755",
    ] {
        assert!(
            made[0].lines().any(|l| l.starts_with(line)),
            "{line}: {}",
            made[0]
        );
    }
}

#[test]
fn a_commit_in_the_work_tree_gives_the_patch_its_words() {
    let world = World::wrong();
    let text = "cat >/dev/null; echo arm64 >word.txt; \
        git -c user.name=x -c user.email=x@x commit -qam 'Name the machine' -m 'It was armv7.'; echo done";
    world.remedy(text, "");
    let recipe = world.read("project/tdg.yaml").replace(
        "{ run: [./remedy] }",
        "{ run: { argv: [./remedy], in: worktree, timeout: 1m, output: 1 MiB } }",
    );
    world.write("project/tdg.yaml", &recipe);
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "green", 2)]);
    let patch = world.read("project/patches/02-name-the-machine.patch");
    assert!(
        patch.contains("Subject: [PATCH] Name the machine\n\nIt was armv7.\n\nWhy:\n"),
        "{patch}"
    );
}

#[test]
fn a_work_tree_and_the_patches_are_not_both_changed() {
    let world = World::wrong();
    world.remedy(
        "echo arm64 >$TDG_WORKTREE/word.txt; sed -i s/armv7/arm64/ patches/01.patch",
        "",
    );
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "stuck", 1)]);
    assert!(told.says("it changed both its work tree and the patches"));
    assert_eq!(
        world.read("project/patches/01.patch"),
        patch("amd64", "armv7")
    );
    assert_eq!(world.read("project/patches/series"), "01.patch\n");

    // Where the series does not apply, nothing at its end can mend it.
    let world = World::wrong();
    world.write("project/patches/01.patch", &patch("riscv64", "armv7"));
    world.remedy("echo arm64 >$TDG_WORKTREE/word.txt", "");
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "stuck", 1)]);
    assert!(told.says("mend the patches themselves"), "{:?}", told.lines);
}
