//! The workflows, as those who look for holes in workflows see them: zizmor and actionlint.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::peers::peer;

/// A workflow with a hole (a title that is run as shell), an unknown key, and bad shell.
const BROKEN: &str = "\
name: broken
on: pull_request_target
jobs:
  greet:
    runs-on: ubuntu-24.04
    timeout-minute: 5
    steps:
      - uses: actions/checkout@v7
      - run: echo '${{ github.event.pull_request.title }}'
      - run: cat $1
";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Runs a linter offline in a folder that has `.github`; `None` where it is missing.
fn linter(name: &str, arguments: &[&str], folder: &Path) -> Option<Output> {
    // actionlint passes shell over in silence where shellcheck is missing
    let shellcheck = peer("shellcheck")?;
    let mut command = Command::new(peer(name)?);
    command.args(arguments).current_dir(folder);
    command
        .env("PATH", shellcheck.parent()?)
        .env("NO_COLOR", "1");
    Some(command.output().unwrap())
}

fn zizmor(folder: &Path) -> Option<Output> {
    let arguments = [
        "--offline",
        "--no-progress",
        "--persona=pedantic",
        ".github",
    ];
    linter("zizmor", &arguments, folder)
}

fn actionlint(folder: &Path) -> Option<Output> {
    let workflows = fs::read_dir(folder.join(".github/workflows")).unwrap();
    let files: Vec<String> = workflows
        .map(|entry| format!(".github/workflows/{}", entry.unwrap().file_name().display()))
        .collect();
    let mut arguments = vec!["-no-color", "-verbose"];
    arguments.extend(files.iter().map(String::as_str));
    linter("actionlint", &arguments, folder)
}

fn said(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8_lossy(&text).into_owned()
}

fn broken() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let workflows = folder.path().join(".github/workflows");
    fs::create_dir_all(&workflows).unwrap();
    fs::write(workflows.join("broken.yml"), BROKEN).unwrap();
    folder
}

#[test]
fn zizmor_finds_nothing_in_the_workflows() {
    let Some(output) = zizmor(root()) else {
        return;
    };
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    for name in ["build.yml", "ci.yml"] {
        let looked = format!("completed .github/workflows/{name}");
        assert!(said.contains(&looked), "{name} was not looked at:\n{said}");
    }
    let output = zizmor(broken().path()).unwrap();
    let said = self::said(&output);
    assert!(!output.status.success(), "{said}");
    for hole in ["template-injection", "unpinned-uses", "dangerous-triggers"] {
        assert!(said.contains(hole), "{hole}:\n{said}");
    }
}

#[test]
fn actionlint_finds_nothing_in_the_workflows() {
    let Some(output) = actionlint(root()) else {
        return;
    };
    let said = said(&output);
    assert!(output.status.success(), "{said}");
    let output = actionlint(broken().path()).unwrap();
    let said = self::said(&output);
    assert!(!output.status.success(), "{said}");
    for script in [
        ".github/publish",
        ".ci/run",
        "tests/peers/fetch",
        "tests/peers/programs",
    ] {
        let output = linter("shellcheck", &[script], root()).unwrap();
        assert!(output.status.success(), "{}", self::said(&output));
    }
    for mistake in ["timeout-minute", "potentially untrusted", "SC2086"] {
        assert!(said.contains(mistake), "{mistake}:\n{said}");
    }
}
