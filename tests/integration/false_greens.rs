//! Ways in which a check once passed although what it says did not hold. Each is red now.

use crate::world::{World, ran};
use std::process::Command;

/// Gives the verdict of one check over a folder with a few files, links and documents.
fn verdict(check: &str) -> String {
    let world = World::new();
    world.write("d/usr/lib/foo.so", "x");
    world.write("d/root/.ssh/id", "x");
    std::os::unix::fs::symlink("usr/lib", world.path().join("d/lib")).unwrap();
    world.write("doc.yaml", "items: [{imageRef: amd64/evil}]\n");
    let lines: String = check.lines().map(|l| format!("    {l}\n")).collect();
    let report = world.run(&format!("spec: s\nchecks:\n  - name: it\n{lines}"));
    report.verdict("it").to_owned()
}

#[test]
fn a_misspelt_key_of_a_document_is_not_an_absence() {
    for expect in [
        "{ none: { imagRef: { contain: amd64 } } }",
        "{ not: { any: { imagRef: { contain: amd64 } } } }",
        "{ not: { contain: { imagRef: amd64/evil } } }",
    ] {
        let check = format!("document: $.items\nin: doc.yaml\nexpect: {{ value: {expect} }}");
        assert_eq!(verdict(&check), "fail", "{expect}");
        let right = check.replace("imagRef", "imageRef");
        assert_eq!(verdict(&right), "fail", "it is there: {expect}");
        let other = right.replace("amd64", "riscv64");
        assert_eq!(verdict(&other), "pass", "it is not: {expect}");
    }
    let asks = "document: $.items[0]\nin: doc.yaml\nexpect: { value: { not: { digest: { present: true } } } }";
    assert_eq!(verdict(asks), "pass");
}

#[test]
fn every_spelling_of_a_path_finds_the_file() {
    for path in [
        "usr//lib/foo.so",
        "/usr/lib/foo.so",
        "usr/lib/",
        "lib/foo.so",
        "./usr/lib/*.so",
    ] {
        let check = format!("file: {path}\nin: d\nexpect: {{ present: false }}");
        assert_eq!(verdict(&check), "fail", "{path}");
    }
    assert_eq!(
        verdict("file: d/usr/lib/*.so\nexpect: { present: false }"),
        "fail"
    );
    assert_eq!(
        verdict("file: d/usr/lib/*.ko\nexpect: { present: false }"),
        "pass"
    );
    assert_eq!(
        verdict("file: ../doc.yaml\nin: d\nexpect: { present: false }"),
        "error"
    );
}

#[test]
fn a_path_may_be_matched_with_its_first_slash() {
    let check =
        "tree: \"**\"\nin: d\nexpect: { entries: { none: { path: { match: '^/root/.ssh' } } } }";
    assert_eq!(verdict(check), "fail");
}

#[test]
fn a_linked_spec_runs() {
    let world = World::new();
    world.write(
        "other/bad.yaml",
        "spec: s\nchecks: [{ name: it, file: nowhere, expect: { present: true } }]",
    );
    world.write(
        "specs/ok.yaml",
        "spec: s\nchecks: [{ name: it, file: nowhere, expect: { present: false } }]",
    );
    std::os::unix::fs::symlink("../other", world.path().join("specs/linked")).unwrap();
    let ran = world.tdg(&["run", "specs"]);
    assert_eq!(ran.code, 1, "{}", ran.stdout);
}

#[test]
fn patches_need_a_repository_not_a_folder_inside_of_one() {
    let world = World::new();
    world.write("repo/top.txt", "one\n");
    world.write("repo/plain/x", "x\n");
    let git = |arguments: &[&str]| {
        let mut command = Command::new("git");
        command
            .current_dir(world.path().join("repo"))
            .args(arguments);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null");
        let ran = ran(&mut command);
        assert_eq!(ran.code, 0, "{}", ran.stderr);
    };
    git(&["init", "-q"]);
    git(&["add", "."]);
    git(&[
        "-c",
        "user.name=t",
        "-c",
        "user.email=t@t.invalid",
        "commit",
        "-qm",
        "t",
    ]);
    world.write(
        "p/one.patch",
        "diff --git a/top.txt b/top.txt\n--- a/top.txt\n+++ b/top.txt\n@@ -1 +1 @@\n-not there\n+two\n",
    );
    world.write("p/series", "one.patch\n");
    for (folder, wanted) in [("repo", "fail"), ("repo/plain", "error")] {
        let spec = format!(
            "spec: s\nchecks: [{{ name: it, patches: p/series, in: {folder}, expect: {{ applies: true }} }}]"
        );
        assert_eq!(world.run(&spec).verdict("it"), wanted, "{folder}");
    }
}

#[test]
fn numbers_beyond_all_clocks_are_no_panic() {
    for check in [
        "command: \"true\"\nexpect: { duration: { gt: 1e30 } }",
        "command: \"true\"\nretry: { attempts: 2, delay: 1e19 }\nexpect: { exit-code: 0 }",
    ] {
        verdict(check);
    }
}

#[test]
fn a_long_chain_of_needs_ends() {
    let world = World::new();
    let mut spec = String::from("spec: s\nchecks:\n");
    for n in 0..1500 {
        let needs = if n < 1499 {
            format!(", needs: [c{}]", n + 1)
        } else {
            String::new()
        };
        spec += &format!(
            "  - {{ name: n{n}, id: c{n}{needs}, file: x, expect: {{ present: false }} }}\n"
        );
    }
    assert_eq!(world.run_with(&spec, &["-j1"]).code, 0);
}

#[test]
fn a_late_observation_is_an_error() {
    let check = "command: { sh: \"sleep 0.3\" }\ntimeout: 100ms\nexpect: { exit-code: 0 }";
    assert_eq!(verdict(check), "error");
}
