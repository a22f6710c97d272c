//! A small world for the loop: an upstream with a Makefile, a project, and specs that a test plays.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tdg::generate::{
    EvidenceReport, GenerateError, LoopEvent, LoopOptions, LoopOutcome, MismatchReport,
    RemedyRecord, TrialReport, TrialVerdict, Verifier, VerifyError, VerifyReport, VerifyRequest,
    run_loop,
};
use tdg::probe::exec::Cancel;

/// The upstream's Makefile: it counts its runs beside the repository, and builds `word`.
const MAKEFILE: &str = "\
WORD = amd64
all:
\techo run >> $(RUNS)
\tmkdir -p out
\t$(SLOW)
\tcp word.txt out/image
\techo built $(WORD)
nothing:
\techo run >> $(RUNS)
";

/// An upstream and a project in a temporary folder.
pub(crate) struct World {
    /// Kept for its end.
    pub(crate) folder: tempfile::TempDir,
}

/// What a loop did and said.
pub(crate) struct Told {
    /// What came of it.
    pub(crate) result: Result<LoopOutcome, GenerateError>,
    /// Every event, a line each.
    pub(crate) lines: Vec<String>,
}

impl Told {
    /// Tells whether an event's line contains a text.
    pub(crate) fn says(&self, text: &str) -> bool {
        self.lines.iter().any(|line| line.contains(text))
    }

    /// Gives the outcome.
    pub(crate) fn outcome(&self) -> &LoopOutcome {
        match &self.result {
            Ok(outcome) => outcome,
            Err(error) => panic!("{error}\n{}", self.lines.join("\n")),
        }
    }

    /// Gives what the first remedy did, where the loop came to its end.
    pub(crate) fn did(&self) -> RemedyRecord {
        self.outcome().variants[0].remedies[0].clone()
    }

    /// Gives the error.
    pub(crate) fn error(&self) -> String {
        match &self.result {
            Ok(outcome) => panic!("{outcome:?}\n{}", self.lines.join("\n")),
            Err(error) => error.to_string(),
        }
    }

    /// Gives each variant's end and attempts.
    pub(crate) fn ends(&self) -> Vec<(String, &'static str, u32)> {
        let of = |v: &tdg::generate::VariantOutcome| (v.variant.clone(), v.end.name(), v.attempts);
        self.outcome().variants.iter().map(of).collect()
    }
}

pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args([
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t",
            "-c",
            "init.defaultBranch=main",
        ])
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        // The same files are the same commit in every world.
        .env("GIT_AUTHOR_DATE", "2024-01-02T03:04:05Z")
        .env("GIT_COMMITTER_DATE", "2024-01-02T03:04:05Z")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Makes a patch that turns one content of `word.txt` into another.
pub(crate) fn patch(from: &str, to: &str) -> String {
    format!(
        "diff --git a/word.txt b/word.txt\n--- a/word.txt\n+++ b/word.txt\n@@ -1 +1 @@\n-{from}\n+{to}\n"
    )
}

/// The recipe of the tests; its steps and its `iterate` differ.
pub(crate) fn recipe(steps: &str, more: &str) -> String {
    format!(
        "recipe: test\nsource: {{ git: ../upstream, ref: v1 }}\npatches: patches/series\n\
         build:\n  steps: {steps}\n  timeout: 60s\n  env: [RUNS, SLOW]\n\
         artifacts: {{ from: out, files: [image] }}\nverify: [specs]\n{more}"
    )
}

impl World {
    /// Lays it out: `word.txt` is `amd64`, the patch makes it `arm64`, the spec wants `arm64`.
    pub(crate) fn new() -> Self {
        Self::laid_out(tempfile::tempdir().unwrap())
    }

    /// Lays it out in memory where there is such a place: what a killed process wrote is there too,
    /// and no disk is waited for.
    pub(crate) fn in_memory() -> Self {
        let memory = Path::new("/dev/shm");
        let folder = match memory.is_dir() {
            true => tempfile::tempdir_in(memory),
            false => tempfile::tempdir(),
        };
        Self::laid_out(folder.unwrap())
    }

    fn laid_out(folder: tempfile::TempDir) -> Self {
        let world = Self { folder };
        world.write("upstream/Makefile", MAKEFILE);
        world.write("upstream/word.txt", "amd64\n");
        let upstream = world.path("upstream");
        git(&upstream, &["init", "--quiet", "."]);
        git(&upstream, &["add", "."]);
        git(&upstream, &["commit", "--quiet", "-m", "start"]);
        git(&upstream, &["tag", "v1"]);
        world.write("project/tdg.yaml", &recipe("[make]", ""));
        world.write("project/patches/series", "01.patch\n");
        world.write("project/patches/01.patch", &patch("amd64", "arm64"));
        world.write(
            "project/specs/a.spec",
            "the image is arm64 | $assets/image | arm64\n",
        );
        world
    }

    /// Gives a path in the world.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Gives the project's folder.
    pub(crate) fn project(&self) -> PathBuf {
        self.path("project").canonicalize().unwrap()
    }

    /// Writes a file of the world.
    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Reads a file of the world; empty where there is none.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Makes the patch turn the word into another one.
    pub(crate) fn makes(&self, word: &str) {
        self.write("project/patches/01.patch", &patch("amd64", word));
    }

    /// Lays out a project whose patch makes the wrong word.
    pub(crate) fn wrong() -> Self {
        let world = Self::new();
        world.makes("armv7");
        world
    }

    /// Lays out a project whose patch makes the wrong word, with a remedy.
    pub(crate) fn mended_by(script: &str) -> Self {
        let world = Self::wrong();
        world.remedy(script, "");
        world
    }

    /// Writes the recipe, with its steps and its `iterate`.
    pub(crate) fn recipe(&self, steps: &str, more: &str) {
        self.write("project/tdg.yaml", &recipe(steps, more));
    }

    /// Replaces something in the recipe that is there.
    pub(crate) fn in_recipe(&self, what: &str, by: &str) {
        let text = self.read("project/tdg.yaml");
        assert!(text.contains(what), "{what}: {text}");
        self.write("project/tdg.yaml", &text.replace(what, by));
    }

    /// Writes a program of the project and makes it the remedy.
    pub(crate) fn remedy(&self, script: &str, more: &str) {
        self.write("project/remedy", &format!("#!/bin/sh\n{script}\n"));
        let path = self.path("project/remedy");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
        let iterate = format!("iterate:\n  remedies: [{{ run: [./remedy] }}]\n{more}");
        self.recipe("[make]", &iterate);
    }

    /// Counts how often make ran.
    pub(crate) fn runs(&self) -> usize {
        self.read("runs").lines().count()
    }

    /// Gives the options of a usual loop.
    pub(crate) fn options(&self) -> LoopOptions {
        let mut options = LoopOptions::new(self.path("project/tdg.yaml"));
        let runs = self.path("runs").display().to_string();
        options.env = vec![("RUNS".into(), runs), ("SLOW".into(), ":".into())];
        options.retry_delay = Duration::from_millis(10);
        options
    }

    /// Runs the loop.
    pub(crate) fn run(&self) -> Told {
        self.run_with(&self.options())
    }

    /// Runs the loop with options.
    pub(crate) fn run_with(&self, options: &LoopOptions) -> Told {
        told(options, &Cancel::new())
    }
}

/// Runs the loop and keeps what it says.
pub(crate) fn told(options: &LoopOptions, cancel: &Cancel) -> Told {
    let mut lines = Vec::new();
    let result = run_loop(options, &Played::default(), cancel, &mut |event| {
        lines.push(line(event));
    });
    Told { result, lines }
}

fn line(event: &LoopEvent<'_>) -> String {
    match event {
        LoopEvent::StageStarted { stage, why, .. } => format!("{stage}: {why}"),
        LoopEvent::StageSkipped { stage, .. } => format!("{stage} skipped"),
        LoopEvent::StageFinished {
            stage, ok, summary, ..
        } => format!("{stage} {ok}: {summary}"),
        LoopEvent::Note { text, .. } => format!("note: {text}"),
        LoopEvent::RedFirst { on, red, green, .. } => {
            format!("red first on {on}: {red} red, green {green:?}")
        }
        LoopEvent::Line { line, .. } => format!("> {line}"),
        LoopEvent::Retry {
            class,
            why,
            attempt,
            of,
            ..
        } => format!("retry {attempt}/{of}: {class}: {why}"),
        LoopEvent::RemedyFinished { record, .. } => format!(
            "remedy changed {:?} ({}: {})",
            record.changed,
            record.end.name(),
            record.why
        ),
        LoopEvent::RolledBack { attempt, to, .. } => format!("rolled back {attempt} to {to}"),
        LoopEvent::Stuck { why, look_at, .. } => format!("stuck: {why}; look at {look_at:?}"),
        LoopEvent::AttemptFinished {
            attempt, failures, ..
        } => {
            let said: Vec<&str> = failures.iter().map(|f| f.message.as_str()).collect();
            format!("attempt {attempt}: {}", said.join("\n"))
        }
        other => format!("{other:?}"),
    }
}

/// Plays the engine: each line of a spec is `name | file | what it contains`, or `name | skip`.
#[derive(Default)]
pub(crate) struct Played {
    /// How often it ran.
    pub(crate) count: AtomicUsize,
    seen: Mutex<Vec<VerifyRequest>>,
}

impl Verifier for Played {
    fn prepare(&self, request: &VerifyRequest) -> Result<Vec<PathBuf>, VerifyError> {
        for path in &request.paths {
            let text = texts(path).concat();
            if text.contains("WRONG") {
                return Err(VerifyError::Specs("a.spec:1: WRONG".into()));
            }
        }
        Ok(vec![request.project.join("extra.txt")]
            .into_iter()
            .filter(|p| p.exists())
            .collect())
    }

    fn verify(&self, request: &VerifyRequest, _: &Cancel) -> Result<VerifyReport, VerifyError> {
        self.count.fetch_add(1, Ordering::SeqCst);
        self.seen.lock().unwrap().push(request.clone());
        let mut report = VerifyReport::default();
        for text in request.paths.iter().flat_map(|p| texts(p)) {
            for (number, line) in (1..).zip(text.lines()) {
                report.trials.push(trial(request, number, line));
            }
        }
        Ok(report)
    }
}

fn texts(path: &Path) -> Vec<String> {
    let mut names: Vec<PathBuf> = match path.is_dir() {
        true => fs::read_dir(path)
            .unwrap()
            .map(|e| e.unwrap().path())
            .collect(),
        false => vec![path.to_owned()],
    };
    names.sort();
    names
        .iter()
        .map(|p| fs::read_to_string(p).unwrap())
        .collect()
}

fn trial(request: &VerifyRequest, number: u32, line: &str) -> TrialReport {
    let parts: Vec<&str> = line.split('|').map(str::trim).collect();
    let value = |name: &str| {
        let found = request.vars.iter().find(|(n, _)| n == name);
        found.map_or("unset", |f| f.1.as_str().unwrap()).to_owned()
    };
    let mut trial = TrialReport {
        name: format!("a::{}", parts[0].replace(' ', "-")),
        check: parts[0].to_owned(),
        kind: "file".into(),
        verdict: TrialVerdict::Pass,
        spec_file: "specs/a.spec".into(),
        line: number,
        mismatches: Vec::new(),
        evidence: None,
        message: String::new(),
    };
    if parts[1] == "skip" {
        trial.verdict = TrialVerdict::Skip;
        return trial;
    }
    let path = parts[1]
        .replace("$assets", &value("assets"))
        .replace("$worktree", &value("worktree"))
        .replace("$source", &value("source"))
        .replace("$commit", &value("commit"));
    match fs::read_to_string(request.project.join(&path)) {
        Err(error) => {
            trial.verdict = TrialVerdict::Error;
            trial.message = format!("{path}: {error}");
        }
        Ok(text) if text.contains(parts[2]) => {}
        Ok(text) => {
            trial.verdict = TrialVerdict::Fail;
            trial.mismatches = vec![MismatchReport {
                path: "content".into(),
                expected: parts[2].into(),
                actual: text.trim().into(),
            }];
            trial.evidence = Some(EvidenceReport {
                value: serde_json::json!({ "content": text }),
                truncated: false,
            });
        }
    }
    trial
}
