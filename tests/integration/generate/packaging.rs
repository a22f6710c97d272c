//! What holds is packaged, and nothing else is.

use super::world::{Told, World, patch, recipe};
use crate::peers::{output, peer};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tdg::generate::{PackageOutcome, Stage, plan_loop};
use tdg::model::Sha256Digest;

const PACKAGE: &str = "\
package:
  oci: r.example/team/image
  tags: [stable, '${{ build.ref }}-${{ build.date }}-${{ build.short }}']
  prefix: assets/arm64
  files: { image: boot/vmlinuz }
";

fn packaged(told: &Told) -> PackageOutcome {
    told.outcome().variants[0].package.clone().unwrap()
}

/// Reads a document of a layout, and holds it to its digest.
fn document(layout: &Path, digest: &str) -> Value {
    let bytes = fs::read(layout.join("blobs").join(digest.replace(':', "/"))).unwrap();
    assert_eq!(format!("sha256:{}", Sha256Digest::of(&bytes)), digest);
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn what_is_green_is_packaged_once() {
    let world = World::new();
    world.recipe("[make]", PACKAGE);
    let told = world.run();
    let package = packaged(&told);
    assert_eq!(package.layout, "_out/package/default");
    assert!(
        told.says(&format!("package true: {}", &package.digest[..19])),
        "{:?}",
        told.lines
    );
    let commit = super::world::git(&world.path("upstream"), &["rev-parse", "v1"]);
    assert_eq!(package.references[0], "r.example/team/image:stable");
    assert!(
        package.references[1].ends_with(&commit[..12]),
        "{package:?}"
    );
    assert!(package.references[1].contains(":v1-20"), "{package:?}");
    assert!(!package.pushed);

    // The statement is about the package, and says what was judged.
    let layout = world.path("project/_out/package/default");
    let attached = document(&layout, &package.attestation);
    assert_eq!(attached["subject"]["digest"], package.digest.as_str());
    let statement = document(&layout, attached["layers"][0]["digest"].as_str().unwrap());
    assert_eq!(
        statement["predicate"]["passedTests"],
        serde_json::json!(["a::the-image-is-arm64"])
    );
    let from = &statement["predicate"]["configuration"];
    let names: Vec<&str> = from
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["tdg", "source", "01.patch", "specs/a.spec", "tdg.yaml"]
    );
    assert_eq!(from[1]["digest"]["gitCommit"], commit.as_str());

    // Nothing changed, so nothing runs.
    let told = world.run();
    assert!(told.outcome().variants[0].unchanged && told.says("package skipped"));
    assert_eq!(packaged(&told), package);
    // What is not as it was is made again, the same.
    fs::remove_file(layout.join("index.json")).unwrap();
    let told = world.run();
    assert!(
        told.says("package: _out/package/default/index.json is gone"),
        "{:?}",
        told.lines
    );
    assert_eq!(packaged(&told), package);
    let mut options = world.options();
    options.from = Some(Stage::Package);
    let told = world.run_with(&options);
    assert!(told.says("verify skipped") && told.says("package: asked for with --from"));
    assert_eq!(packaged(&told), package);

    // A changed spec changes what is said of the package, not the package.
    world.write(
        "project/specs/a.spec",
        "the image is arm64 | $assets/image | arm\n",
    );
    let told = world.run();
    assert!(told.says("collect skipped") && told.says("verify: specs/a.spec changed"));
    let judged = packaged(&told);
    assert_eq!(judged.digest, package.digest);
    assert_ne!(judged.attestation, package.attestation);
    assert_eq!(world.runs(), 1);
}

#[test]
fn what_is_not_green_is_taken_away() {
    let world = World::new();
    world.recipe("[make]", PACKAGE);
    world.run().outcome();
    let layout = world.path("project/_out/package/default");
    assert!(layout.exists());
    // By its spec.
    world.write(
        "project/specs/a.spec",
        "the image is riscv | $assets/image | riscv\n",
    );
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "red", 1)]);
    assert!(!layout.exists());
    assert_eq!(told.outcome().variants[0].package, None);
    // Green again, it is there again.
    world.write(
        "project/specs/a.spec",
        "the image is arm64 | $assets/image | arm64\n",
    );
    packaged(&world.run());
    assert!(layout.exists());
    // By what no longer builds.
    world.recipe("['false']", PACKAGE);
    assert_eq!(world.run().ends(), [("default".into(), "failed", 1)]);
    assert!(!layout.exists());
    // By a recipe that no longer asks for it.
    world.recipe("[make]", PACKAGE);
    packaged(&world.run());
    world.recipe("[make]", "");
    assert_eq!(world.run().ends(), [("default".into(), "green", 1)]);
    assert!(!layout.exists());
}

#[test]
fn two_variants_that_are_the_same_are_refused() {
    let world = World::new();
    let package = "matrix: { variant: [spin, tail] }\npackage: {}\n";
    let text =
        recipe("[make]", package).replace("patches/series", "patches/${{ matrix.variant }}.series");
    world.write("project/tdg.yaml", &text);
    world.write("project/patches/spin.series", "01.patch\n");
    world.write("project/patches/tail.series", "01.patch\n");
    let told = world.run();
    let mut ends: Vec<&str> = told
        .outcome()
        .variants
        .iter()
        .map(|v| v.end.name())
        .collect();
    ends.sort_unstable();
    assert_eq!(ends, ["failed", "green"]);
    assert_eq!(told.outcome().exit_code(), 1);
    assert!(
        told.says("have the same artifacts, byte for byte"),
        "{:?}",
        told.lines
    );
    // A remedy of the patches is not asked: the loop ended at once.
    assert!(told.outcome().variants.iter().all(|v| v.attempts == 1));
    // The same again, whoever comes first.
    let told = world.run();
    assert!(told.says("have the same artifacts, byte for byte"));
    world.write("project/patches/tail.series", "01.patch\n02.patch\n");
    world.write("project/patches/02.patch", &patch("arm64", "arm64 tail"));
    let told = world.run();
    assert!(
        told.ends().iter().all(|(_, end, _)| *end == "green"),
        "{:?}",
        told.lines
    );
    let digests: Vec<String> = told
        .outcome()
        .variants
        .iter()
        .map(|v| v.package.clone().unwrap().digest)
        .collect();
    assert_ne!(digests[0], digests[1]);
}

#[test]
fn a_dry_run_says_what_would_be_packaged() {
    let world = World::new();
    world.recipe("[make]", PACKAGE);
    let verifier = super::world::Played::default();
    let mut options = world.options();
    options.push = true;
    let plan = plan_loop(&options, &verifier).unwrap();
    let stage = plan.variants[0].stages.last().unwrap();
    assert_eq!(stage.stage, Stage::Package);
    assert_eq!(
        stage.what,
        [
            "_out/package/default",
            "push to r.example/team/image: stable, ${{ build.ref }}-${{ build.date }}-${{ build.short }}",
        ]
    );
    world.run().outcome();
    let plan = plan_loop(&world.options(), &verifier).unwrap();
    assert!(
        plan.variants[0].stages.iter().all(|s| s.why.is_none()),
        "{plan:?}"
    );
    let plan = plan_loop(&options, &verifier).unwrap();
    assert_eq!(
        plan.variants[0].stages[5].why.as_deref(),
        Some("it has not been pushed")
    );
}

/// A project whose upstream is made with fixed dates; its artifacts are written in an order.
pub(crate) fn project(folder: &Path, order: &str) {
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write(
        "upstream/Makefile",
        &format!("all:\n\tmkdir -p out/sub\n{order}"),
    );
    write(
        "specs/a.yaml",
        "spec: a\nchecks:\n  - name: one\n    file: _out/assets/one\n    expect: { present: true }\n",
    );
    write(
        "tdg.yaml",
        "recipe: same\nsource: { git: ./upstream, ref: v1 }\nbuild: { steps: [make] }\n\
         artifacts: { from: out, files: [one, sub/two, tool] }\nverify: [specs]\n\
         package: { prefix: assets/talos/arm64, files: { tool: bin/tool, one: a-b, sub/two: a/b }, platform: linux/arm64 }\n",
    );
    for arguments in [
        &["init", "-q", "."][..],
        &["add", "."],
        &["commit", "-qm", "x"],
        &["tag", "v1"],
    ] {
        let status = Command::new("git")
            .args(["-c", "user.name=t", "-c", "user.email=t@t"])
            .args(arguments)
            .current_dir(folder.join("upstream"))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_DATE", "2025-01-02T03:04:05Z")
            .env("GIT_COMMITTER_DATE", "2025-01-02T03:04:05Z")
            .status();
        assert!(status.unwrap().success());
    }
}

/// Runs the loop as a program, in another world of settings each time.
fn generate(folder: &Path, umask: &str, env: &[(&str, &str)]) -> Value {
    let program = env!("CARGO_BIN_EXE_tdg");
    let mut command = Command::new("sh");
    let script = format!("umask {umask} && exec {program} generate --format json");
    command
        .args(["-c", &script])
        .current_dir(folder)
        .env_remove("SOURCE_DATE_EPOCH");
    let output = command.envs(env.iter().copied()).output().unwrap();
    let outcome: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    assert!(
        output.status.success(),
        "{outcome:#}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    outcome["variants"][0]["package"].clone()
}

const ORDER: [&str; 3] = [
    "\techo one > out/one\n\techo 2 > out/sub/two\n\techo tool > out/tool\n\tchmod u+x out/tool\n",
    "\techo tool > out/tool\n\tchmod 0700 out/tool\n\techo 2 > out/sub/two\n\techo one > out/one\n",
    "",
];

#[test]
fn two_runs_on_two_folders_give_the_same_digest() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let far = two.path().join("elsewhere/with a space");
    // The Makefile, and with it the commit, is the same: only when each file is written differs.
    let steps = format!("ifdef BACK\n{}else\n{}endif\n", ORDER[1], ORDER[0]);
    project(one.path(), &steps);
    project(&far, &steps);
    let recipe = fs::read_to_string(far.join("tdg.yaml")).unwrap();
    for folder in [one.path(), &far] {
        fs::write(
            folder.join("tdg.yaml"),
            recipe.replace("[make] }", "[make], env: [BACK] }"),
        )
        .unwrap();
    }
    let first = generate(one.path(), "022", &[("TZ", "UTC"), ("LC_ALL", "C")]);
    let second = generate(
        &far,
        "077",
        &[
            ("TZ", "Asia/Kathmandu"),
            ("LC_ALL", "de_DE.UTF-8"),
            ("BACK", "1"),
            ("LANG", "tr_TR"),
        ],
    );
    assert!(first["digest"].as_str().unwrap().starts_with("sha256:"));
    assert_eq!(first, second);
    let read = |folder: &Path, name: &str| {
        fs::read(folder.join("_out/package/default").join(name)).unwrap()
    };
    assert!(read(one.path(), "index.json") == read(&far, "index.json"));
    // Another date is another package.
    let dated = generate(&far, "022", &[("SOURCE_DATE_EPOCH", "0")]);
    assert_ne!(dated["digest"], first["digest"]);
    let layout = far.join("_out/package/default");
    let manifest = document(&layout, dated["digest"].as_str().unwrap());
    assert_eq!(
        manifest["annotations"]["org.opencontainers.image.created"],
        "1970-01-01T00:00:00Z"
    );
}

#[test]
fn others_unpack_what_is_packaged_and_find_its_checksums_right() {
    let (Some(tar), Some(sum), Some(skopeo), Some(umoci)) = (
        peer("tar"),
        peer("sha256sum"),
        peer("skopeo"),
        peer("umoci"),
    ) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    project(folder.path(), ORDER[0]);
    let text = fs::read_to_string(folder.path().join("tdg.yaml")).unwrap();
    let package = |format: &str| {
        let text = text.replace("package: {", &format!("package: {{ format: {format}, "));
        fs::write(folder.path().join("tdg.yaml"), text).unwrap();
        let package = generate(folder.path(), "022", &[]);
        let layout = folder.path().join("_out/package/default");
        (
            document(&layout, package["digest"].as_str().unwrap()),
            layout,
        )
    };
    let blob = |layout: &Path, manifest: &Value| -> PathBuf {
        let digest = manifest["layers"][0]["digest"].as_str().unwrap();
        layout.join("blobs").join(digest.replace(':', "/"))
    };
    let (flux, layout) = package("flux");
    let listed = output(
        &tar,
        folder.path(),
        &["-tvzf", &blob(&layout, &flux).display().to_string()],
    );
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines.len(), 11, "{listed}");
    assert!(
        lines
            .iter()
            .all(|l| l.contains(" 0/0 ") && l.contains("1970-01-01 ")),
        "{listed}"
    );
    let mode = |name: &str| {
        let line = lines.iter().find(|l| l.ends_with(name)).unwrap();
        line.split(' ').next().unwrap().to_owned()
    };
    assert_eq!(mode("bin/tool"), "-rwxr-xr-x");
    assert_eq!(mode("/a-b"), "-rw-r--r--");
    assert_eq!(mode("arm64/bin/"), "drwxr-xr-x");
    let unpacked = folder.path().join("unpacked");
    fs::create_dir(&unpacked).unwrap();
    output(
        &tar,
        &unpacked,
        &["-xzf", &blob(&layout, &flux).display().to_string()],
    );
    let assets = unpacked.join("assets/talos/arm64");
    let said = output(&sum, &assets, &["-c", "--strict", "checksums.sha256"]);
    assert_eq!(
        said.lines().filter(|l| l.ends_with(": OK")).count(),
        4,
        "{said}"
    );
    let report = fs::read_to_string(assets.join("validation/build-report.txt")).unwrap();
    let commit = report
        .lines()
        .find_map(|l| l.strip_prefix("commit: "))
        .unwrap();
    assert_eq!(commit.len(), 40);

    // As an image, every blob is read and held to its digest by those who read images.
    let (_, layout) = package("image");
    let from = format!("oci:{}:default", layout.display());
    let config = output(&skopeo, folder.path(), &["inspect", "--config", &from]);
    let config: Value = serde_json::from_str(&config).unwrap();
    assert_eq!(config["architecture"], "arm64");
    output(
        &skopeo,
        folder.path(),
        &["copy", "--insecure-policy", &from, "oci-archive:copy.tar:x"],
    );
    let image = format!("{}:default", layout.display());
    output(
        &umoci,
        folder.path(),
        &["unpack", "--rootless", "--image", &image, "bundle"],
    );
    let assets = folder.path().join("bundle/rootfs/assets/talos/arm64");
    output(
        &sum,
        &assets,
        &["-c", "--strict", "--quiet", "checksums.sha256"],
    );

    // As separate files, each blob is one.
    let (files, layout) = package("files");
    assert_eq!(files["artifactType"], "application/vnd.tdg.files.v1");
    assert_eq!(fs::read_to_string(blob(&layout, &files)).unwrap(), "one\n");
    let from = format!("oci:{}:default", layout.display());
    output(
        &skopeo,
        folder.path(),
        &["copy", "--insecure-policy", &from, "dir:files"],
    );
}
