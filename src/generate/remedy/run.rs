//! `run`: a program gets what is wrong as JSON and may change a work tree of its own, or the
//! patches, nothing else.

use super::super::error::GenerateError;
use super::super::event::{LoopEvent, Stage};
use super::super::recipe::{Run, Start};
use super::super::secrets::Secrets;
use super::super::session::{Session, Stop};
use super::super::words::count;
use super::facts;
use super::fence::Fence;
use super::patch::{self, Origin};
use super::tree::{Found, OwnTree};
use super::unit::{Did, Situation, Touch, Unit};
use crate::model::size::{show_duration, show_size};
use crate::probe::exec::{self, End, ExecError, Output, Request, Stream};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

/// How long a remedy may take where nothing else bounds it.
const LONGEST: Duration = Duration::from_secs(30 * 60);
/// How much it may write where the recipe says nothing, in bytes.
const OUTPUT: u64 = 64 << 20;
/// How many of its last lines may become the text of a patch.
const LAST: usize = 30;

/// The remedy.
pub(super) struct Program<'r>(pub(super) &'r Run);

/// What a program came to.
struct Said {
    /// Why it failed, if it did.
    failed: Option<String>,
    /// The last lines of its standard output.
    last: VecDeque<String>,
    /// How many lines had a secret in them.
    redacted: u64,
    /// Its whole output, relative to the project.
    log: String,
}

impl Unit for Program<'_> {
    fn name(&self) -> String {
        self.0.argv.join(" ")
    }

    fn is_for(&self, _situation: &Situation<'_>) -> bool {
        true
    }

    fn may_touch(&self) -> &'static [Touch] {
        &[Touch::Series]
    }

    fn apply(&self, session: &mut Session<'_>, situation: &Situation<'_>) -> Result<Did, Stop> {
        let variant = situation.variant;
        let secrets = session.hidden(variant);
        let tree = OwnTree::make(session, variant)?;
        let scratch = session.paths.scratch(&variant.name);
        std::fs::create_dir_all(&scratch).map_err(GenerateError::io(&scratch))?;
        let bounds = session.left().into_iter().chain(self.0.timeout);
        let time = bounds.min().unwrap_or(LONGEST);
        let report = facts::report(session, situation, tree.as_ref(), time);
        let failed = |e| GenerateError::io(&session.recipe.path)(std::io::Error::other(e));
        let stdin = serde_json::to_string(&report).map_err(failed)?;
        let stdin = format!("{}\n", secrets.redact(&stdin));

        let fence = Fence::put_up(session, situation)?;
        let said = self.run(session, situation, tree.as_ref(), &secrets, stdin, time)?;
        session.check_cancel()?;
        let mut did = match (fence.look(session, situation, &secrets)?, said.failed) {
            (Some(broken), _) => broken,
            (None, Some(why)) => Did::failed(why),
            (None, None) => match &tree {
                Some(tree) => self.take(session, situation, tree, &secrets, &said.last)?,
                None => Did::done(""),
            },
        };
        // What it broke out to may have the name of a secret.
        did.why = secrets.redact(&did.why);
        if said.redacted > 0 {
            let lines = usize::try_from(said.redacted).unwrap_or(usize::MAX);
            let text = format!(
                "its output had a secret in {}, replaced by ***",
                count(lines, "line")
            );
            session.note(
                variant,
                &format!("the remedy `{}`: {text}", secrets.redact(&self.name())),
            );
            did = did.also(&text);
        }
        did.looked_at = situation.failures.iter().map(|f| f.trial.clone()).collect();
        did.log = Some(said.log);
        Ok(did)
    }
}

impl Program<'_> {
    fn request(
        &self,
        session: &Session<'_>,
        situation: &Situation<'_>,
        tree: Option<&OwnTree>,
        secrets: &Secrets,
    ) -> Request {
        let (variant, project) = (situation.variant, session.paths.project());
        let mut argv: Vec<PathBuf> = self.0.argv.iter().map(PathBuf::from).collect();
        // A program is named from the project, wherever it starts.
        if let Some(program) = argv.first_mut().filter(|p| p.components().count() > 1) {
            *program = project.join(&program);
        }
        let folder = match (self.0.start, tree) {
            (Start::Worktree, Some(tree)) => tree.path.as_path(),
            (Start::Worktree, None) | (Start::Project, _) => project,
        };
        let mut request = Request::new(argv).cwd(folder).keep(256 << 10);
        let (environment, _) = session.environment(variant);
        for (name, value) in environment {
            request = request.env(name, value);
        }
        for name in self.0.env.iter().chain(&self.0.secrets) {
            request = request.pass(name);
        }
        let places: BTreeMap<&str, PathBuf> = [
            ("TDG_PROJECT", Some(project.to_owned())),
            ("TDG_WORKTREE", tree.map(|t| t.path.clone())),
            ("TDG_SCRATCH", Some(session.paths.scratch(&variant.name))),
            (
                "TDG_SERIES",
                variant.series.as_ref().map(|s| project.join(s)),
            ),
        ]
        .into_iter()
        .filter_map(|(name, path)| Some((name, path?)))
        .collect();
        for (name, path) in places {
            request = request.env(name, path);
        }
        secrets.texts().fold(request, Request::redact)
    }

    /// Runs the program to its end, or to that of its time or of what it may write.
    fn run(
        &self,
        session: &mut Session<'_>,
        situation: &Situation<'_>,
        tree: Option<&OwnTree>,
        secrets: &Secrets,
        stdin: String,
        time: Duration,
    ) -> Result<Said, Stop> {
        let variant = situation.variant;
        let limit = self.0.output.unwrap_or(OUTPUT);
        let log = session.paths.remedy_log(
            session.number,
            situation.attempt,
            situation.tried.len(),
            &variant.name,
        );
        let enough = session.cancel.child();
        let request = self
            .request(session, situation, tree, secrets)
            .cancel(&enough)
            .log(&log, limit)
            .stdin(stdin)
            .timeout(time);
        let on_event = &mut *session.on_event;
        let mut last = VecDeque::new();
        let mut final_line = String::new();
        let mut written = 0u64;
        let output = exec::run_with(&request, &mut |stream, line| {
            written = written.saturating_add(line.len() as u64 + 1);
            if written > limit {
                enough.set();
                return;
            }
            if !line.trim().is_empty() {
                line.clone_into(&mut final_line);
            }
            if stream == Stream::Stdout {
                last.push_back(line.to_owned());
                if last.len() > LAST {
                    last.pop_front();
                }
            }
            on_event(&LoopEvent::Line {
                variant: &variant.name,
                stream,
                line,
            });
        });
        let (failed, redacted) = match output {
            Ok(output) => {
                let over = written > limit;
                (
                    why(&output, &final_line, over.then_some(limit), time),
                    output.redacted,
                )
            }
            // A program that is not there has not remedied anything either.
            Err(
                error @ (ExecError::NotFound { .. }
                | ExecError::NotExecutable { .. }
                | ExecError::NotForThisMachine { .. }
                | ExecError::Empty),
            ) => (Some(error.to_string()), 0),
            Err(
                error @ (ExecError::NoDirectory { .. }
                | ExecError::Log { .. }
                | ExecError::Io { .. }),
            ) => return Err(error.into()),
        };
        Ok(Said {
            failed,
            last,
            redacted,
            log: session.recipe.shown(&log),
        })
    }

    /// Takes over what was changed in the tree, as a patch at the end of the series.
    fn take(
        &self,
        session: &Session<'_>,
        situation: &Situation<'_>,
        tree: &OwnTree,
        secrets: &Secrets,
        last: &VecDeque<String>,
    ) -> Result<Did, Stop> {
        let (text, paths, message) = match tree.found(session, secrets)? {
            Found::Nothing => return Ok(Did::done("")),
            Found::Refused(why) => return Ok(Did::refused(format!("its work tree: {why}"))),
            Found::Patch {
                text,
                paths,
                message,
            } => (text, paths, message),
        };
        if situation
            .failures
            .iter()
            .any(|f| f.trial == Stage::Patch.name())
        {
            return Ok(Did::failed(
                "it changed its work tree, and the series does not apply: a patch at its end would not either; mend the patches themselves",
            ));
        }
        let before = session.paths.before_remedy(&situation.variant.name);
        if super::keep::differs(session, situation.variant, &before) {
            return Ok(Did::failed(
                "it changed both its work tree and the patches: change one of them",
            ));
        }
        let says = message.unwrap_or_else(|| paragraph(last));
        let name = secrets.redact(&self.name());
        let origin = Origin {
            remedy: &name,
            says: &says,
            paths: &paths,
        };
        let (subject, patch) = patch::mailbox(session, situation, &origin, secrets, &text);
        Ok(
            match patch::append(session, situation.variant, &subject, &patch) {
                Ok(name) => Did::done(format!("its change of {} is {name}", paths.join(", "))),
                Err(error) => Did::failed(error.to_string()),
            },
        )
    }
}

/// Says why a program failed, if it did.
fn why(output: &Output, last: &str, over: Option<u64>, time: Duration) -> Option<String> {
    let how = match (output.end, over) {
        (_, Some(limit)) => format!("ended: it wrote more than {}", show_size(limit)),
        (End::TimedOut, None) => format!("ended: its time of {} was up", show_duration(time)),
        (End::Exited, None) if output.success() => return None,
        (End::Exited | End::Cancelled, None) => output.how(),
    };
    Some(match last {
        "" => how,
        last => format!("{how} ({})", crate::model::value::clip(last, 300)),
    })
}

/// Gives the last lines that belong together.
fn paragraph(last: &VecDeque<String>) -> String {
    let blank = |line: &&String| line.trim().is_empty();
    let end = last.iter().rev().skip_while(blank);
    let mut lines: Vec<&str> = end.take_while(|l| !blank(l)).map(String::as_str).collect();
    lines.reverse();
    lines.join("\n")
}
