//! `command`: a program is run; its exit code and output are the evidence.

use super::{Context, Kind, ProbeError, SubjectUse};
use crate::model::Address;
use crate::model::value::Value;
use crate::model::words;
use crate::probe::exec::{self, Exit, Request};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The kind.
pub struct TheKind;

/// What to run.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// The program and its arguments; one text is split into words, without a shell.
    pub argv: Option<Vec<String>>,
    /// A script for `sh -eu -c`, instead of `argv`.
    pub sh: Option<String>,
    /// Environment variables; beside them only PATH, HOME, LANG and TMPDIR are set.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Environment variables passed on from tdg's own environment.
    #[serde(default)]
    pub pass: Vec<String>,
    /// The working directory.
    pub dir: Option<String>,
    /// What the program reads; nothing where this is left out.
    pub stdin: Option<String>,
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// The exit code; absent where a signal ended the program.
    pub exit_code: Option<i32>,
    /// The signal that ended the program.
    pub signal: Option<i32>,
    /// Standard output, as text.
    pub stdout: String,
    /// Standard error, as text.
    pub stderr: String,
    /// Standard output read as JSON; absent where it is not JSON.
    pub json: Value,
    /// How many processes it left running; they have been ended.
    pub left_running: u64,
    /// How long it took.
    #[schemars(extend("x-unit" = "seconds", "x-volatile" = true))]
    pub duration: f64,
}

impl Kind for TheKind {
    const NAME: &'static str = "command";
    const SUMMARY: &'static str = "run a program: exit code, output, JSON";
    const MAIN: Option<&'static str> = Some("argv");
    const SUBJECT: SubjectUse = SubjectUse::None;
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: git tells its version as one line
  command: [git, --version]
  expect:
    exit-code: 0
    stdout: { match: '^git version \\d+' }
    stderr: \"\"";
    const DESCRIBES: &'static [&'static str] = &["exit-code", "stdout", "stderr"];
    type Args = Args;
    type Evidence = Evidence;

    fn validate(args: &Args) -> Result<(), ProbeError> {
        argv(args).map(drop)
    }

    fn observe(
        args: Args,
        _subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let argv = argv(&args)?;
        let dir = args.dir.as_deref().unwrap_or(".");
        let mut request = Request::new(argv)
            .cwd(context.resolve(dir))
            .timeout(context.time_left())
            .cancel(context.cancel)
            .stdin(args.stdin.unwrap_or_default());
        for name in &args.pass {
            request = request.pass(name);
        }
        for (name, value) in args.env {
            request = request.env(name, value);
        }
        let shown = request.show();
        let output = exec::run(&request).map_err(|e| ProbeError::new(e.to_string()))?;
        if output.timed_out() {
            let error = format!("`{shown}` {}; its processes were ended", output.how());
            return Err(ProbeError::new(error)
                .remedy("give the check a longer `timeout`")
                .transient());
        }
        if output.end == exec::End::Cancelled {
            return Err(ProbeError::new(format!("`{shown}` was interrupted")));
        }
        let cut = output.stdout.truncated() || output.stderr.truncated();
        if cut {
            return Err(ProbeError::new(format!(
                "`{shown}` wrote more than can be kept, so its output was not judged"
            ))
            .remedy("let it write less, or to a file that a `file` check looks at"));
        }
        let stdout = output.stdout.text();
        let (exit_code, signal) = match output.exit {
            Exit::Code(code) => (Some(code), None),
            Exit::Signal(number) => (None, Some(number)),
        };
        Ok(Evidence {
            exit_code,
            signal,
            json: serde_json::from_str(&stdout).unwrap_or(Value::Null),
            stdout,
            stderr: output.stderr.text(),
            left_running: output.left_running as u64,
            duration: output.duration.as_secs_f64(),
        })
    }
}

fn argv(args: &Args) -> Result<Vec<String>, ProbeError> {
    match (&args.argv, &args.sh) {
        (Some(argv), None) => match argv.as_slice() {
            [one] => words::split(one).map_err(ProbeError::new),
            _ => Ok(argv.clone()),
        },
        (None, Some(script)) => Ok(vec!["sh".into(), "-eu".into(), "-c".into(), script.clone()]),
        (Some(_), Some(_)) => Err(ProbeError::new("`argv` and `sh` exclude each other")),
        (None, None) => Err(ProbeError::new("no program is named")
            .remedy("write `command: [program, argument]` or `command: { sh: … }`")),
    }
}
