//! Carrying out a script: lines, the flow of control, bounds and loops.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use url::Url;

use super::boot::Image;
use super::flow::Menu;
use super::script::{Line, MAX_SCRIPT, Script, When};
use super::setting::{Endless, MAX_LINE, Settings};
use super::walk::{Bounds, Fetch, Machine, Outcome, Step, Walk, plain};
use crate::model::Sha256Digest;

/// Lines of one script.
const MAX_LINES: usize = 100_000;
/// What a line costs at the least.
const LINE: usize = 64;

/// Where a walk begins.
#[derive(Debug, Clone)]
pub enum Start {
    /// At an address, as where a DHCP server names one.
    Url(Url),
    /// With a script at hand.
    Script {
        /// What it is called in the transcript.
        name: String,
        /// The script.
        bytes: Vec<u8>,
        /// What relative addresses in it start from.
        base: Option<Url>,
    },
}

/// What iPXE calls the return code: success, or what it says of the failure.
pub(super) type Code = Result<(), String>;

/// What follows a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The next command.
    Next,
    /// The line that was gone to.
    Line,
    /// Nothing more of this script.
    Script,
}

/// What a command did.
pub(super) struct Done {
    pub(super) code: Code,
    pub(super) after: After,
    pub(super) note: Option<String>,
}

impl Done {
    pub(super) fn of(code: Code) -> Self {
        Self {
            code,
            after: After::Next,
            note: None,
        }
    }

    pub(super) fn noted(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }
}

/// A script that is being carried out.
pub(super) struct Frame {
    pub(super) script: Arc<Script>,
    /// What it is called.
    name: String,
    /// The line that comes next.
    pub(super) next: usize,
    /// What is started in its place once it has stopped.
    pub(super) replacement: Option<Image>,
    /// Whether `exit` ended it.
    pub(super) exited: bool,
    /// All that its course depends on, as it was when it began.
    began: Sha256Digest,
}

/// The state of a walk.
pub(super) struct Evaluator<'e> {
    pub(super) machine: &'e Machine,
    pub(super) fetch: &'e mut dyn Fetch,
    pub(super) bounds: &'e Bounds,
    pub(super) settings: Settings,
    pub(super) images: Vec<Image>,
    /// The image that `boot` starts.
    pub(super) selected: Option<usize>,
    pub(super) menus: BTreeMap<String, Menu>,
    pub(super) frames: Vec<Frame>,
    /// What relative addresses start from.
    pub(super) base: Option<Url>,
    pub(super) steps: Vec<Step>,
    pub(super) initrds: Vec<super::Picked>,
    pub(super) fetches: usize,
    pub(super) unreachable: bool,
    pub(super) not_started: Option<super::Picked>,
    scripts: Vec<String>,
    states: HashSet<Sha256Digest>,
    read: usize,
    kept: usize,
}

/// Carries out a script on a machine that is only described, and follows what it chains to.
pub fn evaluate(start: &Start, machine: &Machine, fetch: &mut dyn Fetch, bounds: &Bounds) -> Walk {
    let mut evaluator = Evaluator {
        machine,
        fetch,
        bounds,
        settings: Settings::of(machine.settings.clone()),
        images: Vec::new(),
        selected: None,
        menus: BTreeMap::new(),
        frames: Vec::new(),
        base: None,
        steps: Vec::new(),
        initrds: Vec::new(),
        fetches: 0,
        unreachable: false,
        not_started: None,
        scripts: Vec::new(),
        states: HashSet::new(),
        read: 0,
        kept: 0,
    };
    let outcome = evaluator.all(start).unwrap_or_else(|outcome| outcome);
    Walk {
        outcome,
        steps: evaluator.steps,
        scripts: evaluator.scripts,
        initrds: evaluator.initrds,
        settings: evaluator.settings.set_by_scripts(),
        unset: evaluator.settings.unset(),
        unreachable: evaluator.unreachable,
        not_started: evaluator.not_started,
    }
}

impl Evaluator<'_> {
    fn all(&mut self, start: &Start) -> Result<Outcome, Outcome> {
        let image = match start {
            Start::Url(url) => match self.download(url.as_str())? {
                Ok(image) => image,
                Err(why) => return Ok(Outcome::Failed(why)),
            },
            Start::Script { name, bytes, base } => Image::script(name, bytes.clone(), base.clone()),
        };
        if let Err(why) = self.executable(&image) {
            return Ok(Outcome::Failed(why));
        }
        Ok(match self.execute(image)? {
            Ok(true) => Outcome::Exit,
            Ok(false) => Outcome::Ended,
            Err(why) => Outcome::Failed(why),
        })
    }

    /// Carries out a script, and whatever it puts in its place; tells whether `exit` ended it.
    /// Errors are the end of the walk.
    pub(super) fn script(
        &mut self,
        name: &str,
        bytes: &[u8],
        digest: Sha256Digest,
    ) -> Result<(Result<bool, String>, Option<Image>), Outcome> {
        if self.frames.len() >= self.bounds.depth {
            let depth = self.bounds.depth;
            return Err(Outcome::Limit(format!(
                "more than {depth} scripts inside of one another"
            )));
        }
        if bytes.len() > MAX_SCRIPT {
            return Err(Outcome::Limit(format!(
                "{name}: a script of more than {MAX_SCRIPT} bytes"
            )));
        }
        self.reads(bytes.len())?;
        self.keeps(name.len())?;
        let began = self.state(&format!("{name} {digest}"), false);
        // The same script in the same state takes the same course again.
        let inside = self.frames.iter().any(|frame| frame.began == began);
        if inside
            || !self
                .states
                .insert(self.state(&format!("{name} {digest}"), true))
        {
            return Err(Outcome::Loop(format!("{name} leads to itself")));
        }
        let script = Script::parse(bytes);
        if script.lines().len() > MAX_LINES {
            return Err(Outcome::Limit(format!(
                "{name}: more than {MAX_LINES} lines"
            )));
        }
        self.scripts.push(name.to_owned());
        self.frames.push(Frame {
            script: Arc::new(script),
            name: name.to_owned(),
            next: 0,
            replacement: None,
            exited: false,
            began,
        });
        let code = self.lines();
        let frame = self.frames.pop();
        let exited = frame.as_ref().is_some_and(|frame| frame.exited);
        let code = code?;
        let replacement = frame.and_then(|frame| frame.replacement);
        Ok((code.map(|()| exited), replacement))
    }

    fn lines(&mut self) -> Result<Code, Outcome> {
        let mut code = Ok(());
        loop {
            let Some(frame) = self.frames.last_mut() else {
                return Ok(code);
            };
            let (script, index) = (Arc::clone(&frame.script), frame.next);
            let Some(line) = script.lines().get(index) else {
                return Ok(code);
            };
            frame.next += 1;
            if script.is_unfinished(index) {
                return Ok(Err("the script ends with a backslash".to_owned()));
            }
            let after;
            (code, after) = self.line(line)?;
            if after == After::Script || code.is_err() {
                return Ok(code);
            }
        }
    }

    fn line(&mut self, line: &Line) -> Result<(Code, After), Outcome> {
        let mut code: Code = Ok(());
        self.reads(LINE + line.text.len())?;
        if line.text.len() > MAX_LINE {
            let place = self.place(line);
            return Err(Outcome::Limit(format!(
                "{place}: more than {MAX_LINE} bytes"
            )));
        }
        for command in line.commands() {
            let carried_out = match command.when {
                When::Always => true,
                When::Succeeded => code.is_ok(),
                When::Failed => code.is_err(),
            };
            if !carried_out {
                continue;
            }
            let words = self.expanded(line, &command.words)?;
            let after;
            (code, after) = self.step(line, &words)?;
            if after != After::Next {
                return Ok((code, after));
            }
        }
        Ok((code, After::Next))
    }

    /// Fills settings into the words of a command.
    fn expanded(&mut self, line: &Line, words: &[&str]) -> Result<Vec<String>, Outcome> {
        let mut expanded = Vec::with_capacity(words.len());
        let mut length = 0;
        for word in words {
            match self.settings.expand(word) {
                Ok(word) if length + word.len() < MAX_LINE => {
                    length += word.len() + 1;
                    expanded.push(word);
                }
                Ok(_) | Err(Endless) => {
                    let word = crate::model::value::clip(word, 100);
                    let place = self.place(line);
                    return Err(Outcome::Limit(format!("{place}: `{word}` becomes endless")));
                }
            }
        }
        Ok(expanded)
    }

    fn step(&mut self, line: &Line, words: &[String]) -> Result<(Code, After), Outcome> {
        let Some((name, rest)) = words.split_first() else {
            return Ok((Ok(()), After::Next));
        };
        if self.steps.len() >= self.bounds.steps {
            let steps = self.bounds.steps;
            let place = self.place(line);
            return Err(Outcome::Limit(format!(
                "{place}: more than {steps} commands"
            )));
        }
        if self.fetch.over() {
            let place = self.place(line);
            return Err(Outcome::Limit(format!("{place}: no time is left")));
        }
        let index = self.steps.len();
        let command: Vec<String> = words.iter().map(|word| plain(word)).collect();
        let command = command.join(" ");
        let script = self.frames.last().map(|frame| frame.name.clone());
        let script = script.unwrap_or_default();
        self.keeps(script.len() + command.len())?;
        self.steps.push(Step {
            script,
            line: line.number,
            command,
            failed: None,
            note: None,
        });
        let done = self.command(name, rest);
        let done = done.map_err(|outcome| match outcome {
            Outcome::Unknown(why) => Outcome::Unknown(format!("{}: {why}", self.place(line))),
            Outcome::Loop(why) => Outcome::Loop(format!("{}: {why}", self.place(line))),
            other => other,
        })?;
        let said = done.code.as_ref().err().map_or(0, String::len);
        self.keeps(said + done.note.as_ref().map_or(0, String::len))?;
        if let Some(step) = self.steps.get_mut(index) {
            step.failed = done.code.as_ref().err().cloned();
            step.note = done.note;
        }
        let code = done.code.map_err(|why| match why.starts_with("line ") {
            // Where a script inside failed it has been said already.
            true => why,
            false => format!("{}: {}: {why}", self.place(line), plain(name)),
        });
        Ok((code, done.after))
    }

    /// Goes to a label of the script.
    pub(super) fn go_to(&mut self, label: &str) -> Result<Done, Outcome> {
        let Some(frame) = self.frames.last_mut() else {
            return Ok(Done::of(Err("not in a script".to_owned())));
        };
        let found = frame.script.find(label);
        let back = found.is_some_and(|index| index < frame.next);
        frame.next = found.unwrap_or(frame.next);
        let searched = found.unwrap_or(frame.script.lines().len());
        self.reads(searched)?;
        if found.is_none() {
            return Ok(Done::of(Err(format!("no label `{label}`"))));
        }
        if back && !self.states.insert(self.state("goto", true)) {
            return Err(Outcome::Loop(format!(
                "`{label}` is come to again, and nothing has changed"
            )));
        }
        Ok(Done {
            code: Ok(()),
            after: After::Line,
            note: None,
        })
    }

    /// Counts what is read of scripts, so that the time of a walk has a bound.
    fn reads(&mut self, bytes: usize) -> Result<(), Outcome> {
        self.read += bytes;
        let most = self.bounds.read;
        let what = "of scripts are gone through";
        (self.read <= most)
            .then_some(())
            .ok_or_else(|| too_much(most, what))
    }

    /// Counts what is kept to the end of the walk, so that its memory has a bound.
    pub(super) fn keeps(&mut self, bytes: usize) -> Result<(), Outcome> {
        self.kept += bytes;
        let most = self.bounds.kept;
        let what = "of commands and of what became of them";
        (self.kept <= most)
            .then_some(())
            .ok_or_else(|| too_much(most, what))
    }

    /// Gives all that the further course depends on; with or without the scripts around.
    fn state(&self, what: &str, around: bool) -> Sha256Digest {
        let mut state = format!("{what}\n{:?}\n", self.selected).into_bytes();
        state.extend(self.settings.state());
        state.extend((self.images.len() as u64).to_be_bytes());
        state.extend(self.images.iter().flat_map(Image::state));
        state.extend((self.menus.len() as u64).to_be_bytes());
        state.extend(self.menus.values().flat_map(Menu::state));
        if around {
            for frame in &self.frames {
                state.extend(frame.began.bytes());
                state.extend((frame.next as u64).to_be_bytes());
            }
        }
        Sha256Digest::of(&state)
    }

    fn place(&self, line: &Line) -> String {
        let name = self.frames.last().map(|frame| frame.name.as_str());
        format!("line {} of {}", line.number, name.unwrap_or("the script"))
    }
}

fn too_much(most: usize, what: &str) -> Outcome {
    Outcome::Limit(format!("more than {most} bytes {what}"))
}

#[cfg(test)]
mod tests;
