//! What a stage before the specs has to say when it fails.

use super::world::{World, git, patch, recipe};
use tdg::probe::record::BuildRecord;

#[test]
fn a_green_make_that_writes_nothing_is_a_failure() {
    let world = World::new();
    world.write("project/tdg.yaml", &recipe("[make nothing]", ""));
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "failed", 1)]);
    assert_eq!(told.outcome().exit_code(), 1);
    let failure = &told.outcome().variants[0].failures[0];
    assert_eq!(
        (failure.kind.as_str(), failure.spec.file.as_str()),
        ("build", "tdg.yaml")
    );
    assert!(
        failure
            .message
            .contains("every step succeeded, and out/image was not written"),
        "{failure:?}"
    );
    let record = BuildRecord::read(&BuildRecord::place(&world.project(), "default")).unwrap();
    assert_eq!(
        (record.steps[0].exit, record.artifacts[0].fresh),
        (Some(0), false)
    );
    assert_eq!(record.artifacts[0].bytes, None);

    // Another name is what stands there: the guard of a Makefile that knows only amd64.
    world.write(
        "project/tdg.yaml",
        &recipe("[mkdir out, touch out/kernel-amd64]", ""),
    );
    let told = world.run();
    let failure = &told.outcome().variants[0].failures[0];
    assert!(
        failure.message.contains("out has kernel-amd64"),
        "{failure:?}"
    );
}

#[test]
fn a_stale_artifact_does_not_count() {
    let world = World::new();
    // The upstream has an artifact of old among its files, and `make` keeps what is there.
    world.write("upstream/out/image", "arm64, of old\n");
    git(&world.path("upstream"), &["add", "-f", "."]);
    git(
        &world.path("upstream"),
        &["commit", "--quiet", "-m", "stale"],
    );
    git(&world.path("upstream"), &["tag", "-f", "v1"]);
    world.write(
        "project/tdg.yaml",
        &recipe("[sh: 'test -f out/image || exit 0']", "")
            .replace("[sh:", "[{ sh:")
            .replace("0']", "0' }]"),
    );
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "failed", 1)]);
    assert!(!world.path("project/_out/assets/image").exists());

    // tar sets times back: what it has just written is fresh all the same.
    let steps = "[{ sh: 'mkdir -p out; cp word.txt image; touch -d 1970-01-01 image; tar c image | tar x -C out' }]";
    world.write("project/tdg.yaml", &recipe(steps, ""));
    assert_eq!(world.run().ends()[0].1, "green");

    // A failing build leaves nothing of the last green one to be mistaken for its own.
    world.write("project/tdg.yaml", &recipe("[make nothing]", ""));
    assert_eq!(world.run().ends()[0].1, "failed");
    assert!(!world.path("project/_out/assets/image").exists());
}

#[test]
fn an_artifact_outside_the_tree_is_refused() {
    let world = World::new();
    world.write("secret", "arm64\n");
    let steps = format!(
        "[{{ sh: 'mkdir -p out; ln -s {} out/image' }}]",
        world.path("secret").display()
    );
    world.write("project/tdg.yaml", &recipe(&steps, ""));
    let told = world.run();
    assert!(
        told.says("it leads out of the work tree"),
        "{:?}",
        told.lines
    );
    assert_eq!(world.read("secret"), "arm64\n");
}

#[test]
fn a_patch_that_does_not_apply_says_where() {
    let world = World::new();
    world.write("project/patches/series", "01.patch\n02.patch # again\n");
    world.write("project/patches/02.patch", &patch("amd64", "riscv64"));
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "failed", 1)]);
    let failure = &told.outcome().variants[0].failures[0];
    assert_eq!((failure.kind.as_str(), failure.spec.line), ("patches", 2));
    let message = &failure.message;
    assert!(
        message.starts_with("02.patch does not apply\n  at word.txt:1"),
        "{message}"
    );
    assert!(
        message.contains("the patch expects:\n      amd64\n    there is:\n      arm64"),
        "{message}"
    );
    assert_eq!(world.runs(), 0);

    let rebase = "iterate: { remedies: [rebase] }\n";
    world.write("project/tdg.yaml", &recipe("[make]", rebase));
    let told = world.run();
    assert!(told.says("remedy changed [] (nothing: rebase: 02.patch: no commit of the upstream"));
    assert!(
        told.outcome().variants[0]
            .why
            .contains("say in its header what it was made for: `Applies-to: TAG`")
    );

    world.write("project/patches/series", "01.patch\n03.patch\n");
    let told = world.run();
    assert!(
        told.says("patches/series:2: the patch `03.patch` cannot be read"),
        "{:?}",
        told.lines
    );
}

#[test]
fn a_failing_step_shows_its_last_words_and_its_log() {
    let world = World::new();
    world.write(
        "project/tdg.yaml",
        &recipe(
            "[{ sh: 'echo first; echo it broke >&2; exit 3' }, make]",
            "",
        ),
    );
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "failed", 1)]);
    let failure = &told.outcome().variants[0].failures[0];
    assert!(failure.message.contains("exit code 3"), "{failure:?}");
    assert!(failure.message.contains("it broke"), "{failure:?}");
    assert!(
        failure
            .message
            .contains("whole log: .tdg/logs/0001/default-attempt-1-build-1.log"),
        "{failure:?}"
    );
    assert_eq!(world.runs(), 0);
    let look_at = &told.outcome().variants[0].look_at;
    assert_eq!(look_at[0], "tdg.yaml:5");
    assert!(
        look_at.contains(&".tdg/work/default".to_owned()),
        "{look_at:?}"
    );

    let slow = recipe("[sleep 60]", "").replace("60s", "300ms");
    world.write("project/tdg.yaml", &slow);
    let told = world.run();
    assert!(
        told.says("ended: the build's timeout of 300 ms is up"),
        "{:?}",
        told.lines
    );
}
