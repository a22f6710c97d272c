//! Programs that others wrote, as second opinions.
//!
//! A test that needs one asks [`peer`] for it. Where it is missing the test
//! says so and returns; with `TDG_STRICT=1`, as `.ci/run` sets it, that is
//! a failure.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Finds a program on `PATH`, in the system's `sbin` folders, or among those that
/// `tests/peers/programs` installed.
///
/// # Panics
/// If it is missing and `TDG_STRICT` is `1`.
pub(crate) fn peer(tool: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .chain([Path::new(env!("CARGO_MANIFEST_DIR")).join("target/programs/bin")])
        .map(|folder| folder.join(tool))
        .find(|file| file.is_file());
    if found.is_none() {
        let strict = std::env::var_os("TDG_STRICT").is_some_and(|value| value == "1");
        assert!(!strict, "{tool} is missing and TDG_STRICT is 1");
        // not `eprintln!`: what a passing test prints that way is not shown
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let _ = writeln!(std::io::stderr(), "skipped {test}: {tool} is missing");
    }
    found
}

/// Finds a program that `tests/peers/programs` installed.
///
/// # Panics
/// If it is missing and `TDG_STRICT` is `1`.
pub(crate) fn installed(tool: &str) -> Option<PathBuf> {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/programs/bin");
    let program = programs.join(tool);
    if program.is_file() {
        return Some(program);
    }
    let strict = std::env::var_os("TDG_STRICT").is_some_and(|value| value == "1");
    assert!(
        !strict,
        "{tool} is missing and TDG_STRICT is 1: run tests/peers/programs"
    );
    let said = format!("skipped: {tool} is missing; tests/peers/programs installs it");
    let _ = writeln!(std::io::stderr(), "{said}");
    None
}

/// Finds the program that runs others in a network of their own, and `ip` to furnish it with:
/// `unshare --map-root-user --net PROGRAM`.
///
/// Some machines forbid that, most of all inside of containers; `.ci/run` says at its beginning
/// whether this one does, by `TDG_NO_NAMESPACES=1`.
///
/// # Panics
/// If that cannot be done, `TDG_STRICT` is `1` and `TDG_NO_NAMESPACES` is not.
pub(crate) fn own_network() -> Option<PathBuf> {
    let unshare = peer("unshare").filter(|_| peer("ip").is_some())?;
    let tried = Command::new(&unshare)
        .args(["--map-root-user", "--net", "true"])
        .output()
        .unwrap();
    if tried.status.success() {
        return Some(unshare);
    }
    let set = |name: &str| std::env::var_os(name).is_some_and(|value| value == "1");
    let said = String::from_utf8_lossy(&tried.stderr);
    assert!(
        !set("TDG_STRICT") || set("TDG_NO_NAMESPACES"),
        "this machine makes no networks, and TDG_STRICT is 1: {said}"
    );
    let _ = writeln!(
        std::io::stderr(),
        "skipped: this machine makes no networks: {said}"
    );
    None
}

/// Finds what `tests/peers/fetch` unpacked: `arm64`, `kernel`, `vmlinuz`.
///
/// # Panics
/// If it is missing and `TDG_STRICT` is `1`.
pub(crate) fn fetched() -> Option<PathBuf> {
    let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers");
    if peers.join("complete").exists() {
        return Some(peers);
    }
    let strict = std::env::var_os("TDG_STRICT").is_some_and(|value| value == "1");
    assert!(
        !strict,
        "target/peers is missing and TDG_STRICT is 1: run tests/peers/fetch"
    );
    let said = "skipped: target/peers is missing; tests/peers/fetch makes it";
    let _ = writeln!(std::io::stderr(), "{said}");
    None
}

/// Finds the modules of the kernel that `tests/peers/fetch` unpacked: their
/// directory, and its release.
pub(crate) fn fetched_modules() -> Option<(PathBuf, String)> {
    let modules = fetched()?.join("kernel/lib/modules");
    let mut releases = std::fs::read_dir(modules).unwrap();
    let directory = releases.next().unwrap().unwrap();
    let release = directory.file_name().to_str().unwrap().to_owned();
    Some((directory.path(), release))
}

/// Runs a program in a folder and gives what it wrote to standard output.
///
/// # Panics
/// If it cannot be started or fails.
pub(crate) fn output(program: &Path, folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env_remove("GIT_DIR")
        .env_remove("GIT_WORK_TREE")
        .env_remove("GIT_INDEX_FILE")
        .env("LC_ALL", "C")
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} {arguments:?}: {}\n{stderr}",
        program.display(),
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}
