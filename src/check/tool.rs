//! `tool`: a program is on PATH, at a version.

use super::{Context, Kind, ProbeError, SubjectUse};
use crate::model::Address;
use crate::probe::exec::{self, Cancel, Request};
use regex::Regex;
use schemars::JsonSchema;
use semver::Version;
use serde::{Deserialize, Serialize};
use std::sync::LazyLock;
use std::time::Duration;

/// The kind.
pub struct TheKind;

/// Which program.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// The program's name.
    pub name: String,
    /// What makes it tell its version; where left out, `--version`, `-V`, `version` and `-v` are tried.
    pub version_args: Option<Vec<String>>,
}

/// What is there.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// Whether it is on PATH.
    pub present: bool,
    /// Where it is.
    pub path: Option<String>,
    /// The first version in what it says of itself; absent where it says none.
    pub version: Option<String>,
}

impl Kind for TheKind {
    const NAME: &'static str = "tool";
    const SUMMARY: &'static str = "a program on PATH, and its version";
    const MAIN: Option<&'static str> = Some("name");
    const SUBJECT: SubjectUse = SubjectUse::None;
    const PURE: bool = true;
    const EXAMPLE: &'static str = "\
- name: make is new enough
  tool: make
  expect: { present: true, version: { semver: \">=4.0\" } }";
    const DESCRIBES: &'static [&'static str] = &["present", "version"];
    type Args = Args;
    type Evidence = Evidence;

    fn observe(
        args: Args,
        _subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let Some(path) = exec::which(&args.name) else {
            return Ok(Evidence {
                present: false,
                path: None,
                version: None,
            });
        };
        let asked = args.version_args.as_deref();
        Ok(Evidence {
            present: true,
            path: Some(path.display().to_string()),
            version: version_text(&args.name, asked, context.cancel),
        })
    }
}

/// How long a program may take to tell its version.
const PATIENCE: Duration = Duration::from_secs(10);

/// Asks a program for its version; `None` where it tells none that looks like one.
pub(crate) fn version(name: &str, cancel: &Cancel) -> Option<Version> {
    let text = version_text(name, None, cancel)?;
    let dots = text.split(['-', '+']).next()?.matches('.').count();
    let full = if dots == 1 {
        text.replacen('.', ".0.", 0) + ".0"
    } else {
        text
    };
    Version::parse(&full).ok()
}

fn version_text(name: &str, asked: Option<&[String]>, cancel: &Cancel) -> Option<String> {
    static VERSION: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"\bv?(\d+\.\d+(?:\.\d+)?(?:-[0-9A-Za-z][0-9A-Za-z.-]*)?)").ok()
    });
    let usual = ["--version", "-V", "version", "-v"].map(|a| vec![a.to_owned()]);
    let ways = match asked {
        Some(args) => vec![args.to_vec()],
        None => usual.to_vec(),
    };
    for args in ways {
        let argv = std::iter::once(name.to_owned()).chain(args);
        let request = Request::new(argv).timeout(PATIENCE).cancel(cancel);
        let Ok(output) = exec::run(&request) else {
            continue;
        };
        // Some programs (7z, java) tell their version on standard error.
        let said = [output.stdout.text(), output.stderr.text()].join("\n");
        let found = VERSION.as_ref().and_then(|v| v.captures(&said));
        if let (true, Some(found)) = (output.success(), found) {
            return found.get(1).map(|m| m.as_str().to_owned());
        }
    }
    None
}
