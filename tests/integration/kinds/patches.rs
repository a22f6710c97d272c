//! The kind `patches`: what each patch says of itself, and what it does to modes and files.

use std::process::Command;

use crate::world::World;

#[test]
fn hygiene_headers_and_places_are_evidence() {
    let world = World::new();
    let git = |args: &[&str]| {
        let mut command = Command::new("git");
        command
            .args(["-c", "user.name=t", "-c", "user.email=t@t"])
            .args(args);
        let output = command
            .current_dir(world.path().join("upstream"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{args:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let lines = |from: usize| {
        (from..12)
            .map(|n| format!("line {n}\n"))
            .collect::<String>()
    };
    world.write("upstream/run.sh", lines(0));
    world.write("upstream/old name", "x\n");
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["update-index", "--chmod=+x", "run.sh"]);
    git(&["commit", "--quiet", "-m", "start"]);
    git(&["checkout", "--quiet", "-f"]);
    git(&["update-index", "--chmod=-x", "run.sh"]);
    world.write("upstream/run.sh", lines(0).replace("line 8", "eight"));
    world.write("upstream/run.sh.tmp", "left\n");
    git(&["add", "run.sh.tmp", "run.sh"]);
    git(&["update-index", "--chmod=-x", "run.sh"]);
    git(&["mv", "old name", "new name"]);
    git(&[
        "commit",
        "--quiet",
        "-m",
        "[x] Say eight\n\nThe board counts so.\n\nApplies-to: v1, v2 (0123456789ab)",
    ]);
    let mail = git(&["format-patch", "-1", "-M", "--stdout"]);
    git(&["reset", "--quiet", "--hard", "HEAD~"]);
    world.write("upstream/run.sh", format!("zero\n{}", lines(0)));
    git(&["commit", "--quiet", "-am", "one more line above"]);
    world.write("patches/01.patch", mail);
    world.write(
        "patches/02.patch",
        "--- a/run.sh\n+++ b/run.sh\n@@ -1 +1,2 @@\n zero\n+one\n+lost\n",
    );
    world.write("patches/series", "01.patch\n02.patch\n");
    world.write("patches/good.series", "01.patch\n");
    let report = world.run(
        "
spec: patches
subject: upstream
checks:
  - name: pass what the patch says of itself
    patches: patches/good.series
    expect:
      applies: true
      patches:
        - subject: Say eight
          author: { starts-with: t }
          why: The board counts so.
          applies-to: [v1, v2]
          hunks: 2
          moved-hunks: 1
          largest-offset: 1
  - name: pass what it does to files
    patches: patches/good.series
    expect:
      patches:
        - files:
            contain:
              - { path: run.sh, change: modified, exec-lost: true, exec-gained: false }
              - { path: run.sh.tmp, change: added, stray: true }
              - { path: new name, change: renamed, from: old name }
  - name: pass lines that the counts leave out are no patch
    patches: patches/series
    expect: { applies: false, patches: { any: { name: 02.patch, problem: { contain: has more } } } }
  - name: fail nothing stray, no exec bit lost, a reason for each
    patches: patches/series
    expect: { patches: { every: { why: { present: true }, files: { none: { stray: true } } } } }
",
    );
    report.as_named();
}
