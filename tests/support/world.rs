//! A folder of a test's own, with specs that the program runs in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A folder with files and specs.
pub(crate) struct World {
    dir: tempfile::TempDir,
}

/// What a run of the program left behind.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    pub(crate) fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file, and the folders it is in.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Sets the permissions of a file.
    pub(crate) fn mode(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path().join(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Prepares the program in this folder, with nothing of the caller's switches.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tdg"));
        command.args(arguments).current_dir(self.path());
        for name in [
            "CI",
            "TDG_STRICT",
            "INSTA_UPDATE",
            "INSTA_FORCE_PASS",
            "RUST_BACKTRACE",
        ] {
            command.env_remove(name);
        }
        command.env_remove("INSTA_SNAPSHOT_REFERENCES_FILE");
        // Nothing of an earlier run, and nobody between the program and a server of the test.
        command.env("TDG_CACHE", "off");
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        command
    }

    /// Runs the program in this folder.
    pub(crate) fn tdg(&self, arguments: &[&str]) -> Ran {
        ran(&mut self.command(arguments))
    }

    /// Writes a spec and runs it; gives the JSON report.
    pub(crate) fn run(&self, spec: &str) -> Report {
        self.run_with(spec, &[])
    }

    /// Writes a spec and runs it with more arguments.
    pub(crate) fn run_with(&self, spec: &str, arguments: &[&str]) -> Report {
        self.write("specs/it.yaml", spec);
        let arguments = [&["run", "specs", "--format", "json"], arguments].concat();
        Report::of(self.tdg(&arguments))
    }

    /// Writes a spec of one check and sees it refused before anything runs, with what is said.
    pub(crate) fn refuses(&self, check: &str, said: &str) {
        self.write(
            "specs/it.yaml",
            format!("spec: x\nchecks:\n  - {{ {check} }}\n"),
        );
        let ran = self.tdg(&["run", "specs"]);
        assert!(
            ran.code == 3 && ran.stderr.contains(said),
            "{check}: {ran:?}"
        );
    }

    /// Takes this folder's path out of a text.
    pub(crate) fn scrub(&self, text: &str) -> String {
        text.replace(&self.path().display().to_string(), "DIR")
    }
}

/// No run that a test begins takes so long. One that hangs is to be a failure, with its name.
const HANGS: Duration = Duration::from_secs(600);

/// Runs a prepared command to its end.
///
/// Panics where it does not end.
pub(crate) fn ran(command: &mut Command) -> Ran {
    ran_while(command, |_| {})
}

/// Runs a prepared command to its end, and does something beside it that may want its number.
///
/// Panics where it does not end.
pub(crate) fn ran_while(command: &mut Command, meanwhile: impl FnOnce(Pid)) -> Ran {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap());
    let (done, ended) = mpsc::channel();
    thread::spawn(move || done.send(child.wait_with_output()));
    meanwhile(pid);
    let Ok(output) = ended.recv_timeout(HANGS) else {
        kill(pid, Signal::SIGKILL).unwrap();
        panic!("{command:?} does not end");
    };
    let output = output.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    }
}

/// A JSON report, and the exit code it came with.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) code: i32,
    pub(crate) json: Value,
}

impl Report {
    pub(crate) fn of(ran: Ran) -> Self {
        let json = serde_json::from_str(&ran.stdout)
            .unwrap_or_else(|error| panic!("{error}: {}{}", ran.stdout, ran.stderr));
        Self {
            code: ran.code,
            json,
        }
    }

    pub(crate) fn trials(&self) -> &[Value] {
        self.json["trials"].as_array().unwrap()
    }

    /// Finds the trial of a check by its name as written, or by the trial's whole name.
    pub(crate) fn trial(&self, check: &str) -> &Value {
        self.trials()
            .iter()
            .find(|t| t["check"] == check || t["name"] == check)
            .unwrap_or_else(|| panic!("no trial `{check}` in {:#}", self.json))
    }

    pub(crate) fn verdict(&self, check: &str) -> &str {
        self.trial(check)["verdict"].as_str().unwrap()
    }

    /// All that is said of a trial, as one text.
    pub(crate) fn why(&self, check: &str) -> String {
        let t = self.trial(check);
        format!(
            "{}{}{}{}",
            t["failures"], t["error"], t["skipped"], t["notes"]
        )
    }

    /// Holds each trial to the first word of its check's name: `pass`, `fail`, `error` or `skip`.
    pub(crate) fn as_named(&self) {
        assert!(!self.trials().is_empty());
        for trial in self.trials() {
            let check = trial["check"].as_str().unwrap();
            let wanted = check.split(' ').next().unwrap();
            assert_eq!(trial["verdict"], wanted, "{check}: {trial:#}");
        }
    }
}
