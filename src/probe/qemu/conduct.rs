//! Beside a running QEMU: starts the machine, watches its time, and ends it.

use super::qmp::Qmp;
use super::watch::{Step, Watch};
use super::{EMULATED, QemuError};
use crate::model::path::printable;
use crate::model::size::show_duration;
use crate::probe::exec::Cancel;
use regex::Regex;
use serde_json::{Value, json};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long QEMU may take until it listens.
const LISTENS: Duration = Duration::from_secs(20);
/// How long QEMU may take to end once it is told to.
const QUITS: Duration = Duration::from_secs(2);
/// How long a machine that is lost may go on, to say why.
const LAST_WORDS: Duration = Duration::from_millis(400);

/// More bytes of packets than this are not kept.
const MOST_PACKETS: u64 = 1 << 30;

/// What is done once all has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The machine is stopped.
    Stop,
    /// Its power button is pressed, and it has to power off.
    PowerButton,
    /// It has to power off by itself.
    Wait,
}

/// How a boot ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// All was seen, and the machine was stopped.
    Seen,
    /// The machine powered off.
    Off,
    /// The machine would have started anew.
    Restart,
    /// What must not come came.
    Fault,
    /// Time was up.
    TimedOut,
}

impl Ending {
    /// The names of all.
    pub const NAMES: [&'static str; 5] = ["seen", "off", "restart", "fault", "timed-out"];

    /// Gives its name in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Off => "off",
            Self::Restart => "restart",
            Self::Fault => "fault",
            Self::TimedOut => "timed-out",
        }
    }
}

/// What the one who reads the console and the one who conducts share.
pub(super) struct Shared {
    watch: Mutex<Watch>,
    over: AtomicBool,
}

impl Shared {
    pub(super) fn new(steps: Vec<Step>, never: Vec<Regex>) -> Self {
        Self {
            watch: Mutex::new(Watch::new(steps, never)),
            over: AtomicBool::new(false),
        }
    }

    pub(super) fn watch(&self) -> MutexGuard<'_, Watch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that QEMU has ended.
    pub(super) fn over(&self) {
        self.over.store(true, Ordering::SeqCst);
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

/// The one who conducts.
pub(super) struct Conductor<'a> {
    pub(super) shared: &'a Shared,
    pub(super) folder: &'a Path,
    pub(super) finish: Finish,
    pub(super) finish_within: Option<Duration>,
    pub(super) deadline: Instant,
    pub(super) picture: Option<&'a Path>,
    /// Where the packets of its network are written down.
    pub(super) packets: Option<&'a Path>,
    pub(super) stop: &'a Cancel,
}

/// What came of it.
pub(super) struct Conducted {
    pub(super) hardware: bool,
    pub(super) version: String,
    pub(super) duration: Duration,
    /// Why there is no picture of a screen that was there to the end.
    pub(super) no_picture: Option<String>,
    /// How the machine ended by itself: it powered off, or would have started anew.
    off: Option<Ending>,
    /// Why nothing more is known of the machine: QEMU ended, or does not answer any more.
    lost: Option<String>,
    /// Whether more packets came than are kept.
    flood: bool,
    late: Option<Late>,
}

/// What did not come in time.
struct Late {
    /// What was waited for; the machine's own end where left out.
    pattern: Option<String>,
    /// How long; where left out, as long as there was time.
    within: Option<Duration>,
}

impl Conductor<'_> {
    /// Starts the machine, waits until it is over or has to be, and ends it.
    pub(super) fn conduct(&self) -> io::Result<Conducted> {
        let conducted = self.begin().map(|(mut qmp, mut conducted)| {
            self.follow(&mut qmp, &mut conducted);
            conducted.duration = self.shared.watch().since_start();
            if conducted.lost.is_some() {
                return conducted;
            }
            if let (Some(path), None) = (self.picture, &conducted.off) {
                conducted.no_picture = picture(&mut qmp, path);
            }
            self.quit(&mut qmp);
            conducted
        });
        // Whatever happened: nothing waits for a machine that nobody looks at.
        self.stop.set();
        conducted
    }

    fn begin(&self) -> io::Result<(Qmp, Conducted)> {
        let (mut qmp, version) = self.connect()?;
        let seen = qmp.ask("query-kvm", &json!({}))?;
        let hardware = seen["enabled"].as_bool().unwrap_or(false);
        self.shared.watch().starts();
        qmp.ask("cont", &json!({}))?;
        let conducted = Conducted {
            hardware,
            version,
            duration: Duration::ZERO,
            no_picture: None,
            off: None,
            lost: None,
            flood: false,
            late: None,
        };
        Ok((qmp, conducted))
    }

    fn connect(&self) -> io::Result<(Qmp, String)> {
        // The path of a socket has to be short; that of a folder need not be.
        let folder = File::open(self.folder)?;
        let path = PathBuf::from(format!("/proc/self/fd/{}/control", folder.as_raw_fd()));
        let begin = Instant::now();
        loop {
            let error = match Qmp::connect(&path) {
                Ok(connected) => return Ok(connected),
                Err(error) => error,
            };
            let waits = matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            );
            if !waits || self.shared.is_over() || begin.elapsed() > LISTENS {
                return Err(error);
            }
            if self.stop.wait(Duration::from_millis(5)) {
                return Err(io::ErrorKind::Interrupted.into());
            }
        }
    }

    fn follow(&self, qmp: &mut Qmp, conducted: &mut Conducted) {
        let scale = if conducted.hardware { 1 } else { EMULATED };
        let mut pressed = false;
        let mut unanswered: Option<io::Error> = None;
        loop {
            let events = qmp.events();
            if let Some(reason) = events.iter().flatten().find_map(shutdown) {
                match reason.as_str() {
                    "guest-shutdown" => conducted.off = Some(Ending::Off),
                    "guest-reset" => conducted.off = Some(Ending::Restart),
                    other => conducted.lost = Some(format!("not the machine ended it: {other}")),
                }
                return;
            }
            // Where it does not answer because the machine is off, it has said so before.
            if events.as_ref().is_none_or(Vec::is_empty)
                && let Some(error) = &unanswered
            {
                conducted.lost = Some(format!("it does not answer: {error}"));
                return;
            }
            if events.is_none() {
                conducted.lost = Some("it ended, and does not say why".to_owned());
                return;
            }
            if self.stop.is_set() {
                return;
            }
            if unanswered.is_some() {
                continue;
            }
            if self.packets.is_some_and(|path| larger(path, MOST_PACKETS)) {
                conducted.flood = true;
                return;
            }
            let mut watch = self.shared.watch();
            watch.look_at_prompt(scale);
            if let Some(fault) = watch.fault() {
                if watch.since_start().saturating_sub(fault.after) >= LAST_WORDS {
                    return;
                }
                continue;
            }
            let step = watch.step();
            if step.is_none() {
                match self.finish {
                    Finish::Stop => return,
                    Finish::PowerButton if !pressed => {
                        pressed = true;
                        drop(watch);
                        unanswered = qmp.ask("system_powerdown", &json!({})).err();
                        continue;
                    }
                    Finish::PowerButton | Finish::Wait => {}
                }
            }
            let within = step.map_or(self.finish_within, |step| step.within);
            let within = within.map(|within| within.saturating_mul(scale));
            let late = within.is_some_and(|within| watch.since_step() >= within);
            if late || Instant::now() >= self.deadline {
                conducted.late = Some(Late {
                    pattern: step.map(|step| step.pattern.to_string()),
                    within: within.filter(|_| late),
                });
                return;
            }
        }
    }

    /// Ends QEMU in order, so that what it writes is whole.
    fn quit(&self, qmp: &mut Qmp) {
        let begin = Instant::now();
        // Where it is on its way already, it does not answer.
        let _ = qmp.ask("quit", &json!({}));
        while !self.shared.is_over() && begin.elapsed() < QUITS {
            if self.stop.wait(Duration::from_millis(5)) {
                return;
            }
        }
    }
}

/// Has QEMU write down what the screen shows; says why it does not. Where it is gone, so is the screen.
fn picture(qmp: &mut Qmp, path: &Path) -> Option<String> {
    let arguments = json!({ "filename": path.to_string_lossy(), "format": "png" });
    let asked = qmp.ask("screendump", &arguments);
    let error = asked.err()?;
    (error.kind() == io::ErrorKind::Other).then(|| error.to_string())
}

/// Tells whether a file has more bytes than it may have.
fn larger(path: &Path, most: u64) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.len() > most)
}

/// Reads why the machine is off, from an event.
fn shutdown(event: &Value) -> Option<String> {
    let reason = || {
        event["data"]["reason"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    };
    (event["event"] == "SHUTDOWN").then(reason)
}

impl Conducted {
    /// Tells that the time of the check was up, not that of a step.
    pub(super) fn is_cut(&self) -> bool {
        self.late.as_ref().is_some_and(|late| late.within.is_none())
    }

    /// Puts together what the console said and what QEMU did.
    ///
    /// # Errors
    /// Where QEMU is lost, so that nothing is known of the machine.
    pub(super) fn judge(
        &self,
        watch: &Watch,
        finish: Finish,
    ) -> Result<(Ending, Option<String>), QemuError> {
        let off = self.off;
        let last = match printable(&watch.last_line()) {
            line if line.is_empty() => "the console said nothing".to_owned(),
            line => format!("the last line is `{line}`"),
        };
        let ran = show_duration(self.duration);
        if let Some(fault) = watch.fault() {
            let (after, line) = (show_duration(fault.after), printable(&fault.line));
            let says = fault.kind.says();
            return Ok((
                Ending::Fault,
                Some(format!("{says} after {after}: `{line}`")),
            ));
        }
        if let Some(why) = &self.lost {
            return Err(QemuError::BrokeDown(format!("after {ran}"), why.clone()));
        }
        if self.flood {
            return Err(QemuError::Packets(MOST_PACKETS));
        }
        let missing = watch.missing();
        let ended = match off {
            Some(Ending::Restart) => "restarted",
            Some(_) | None => "powered off",
        };
        if let (Some(off), Some(pattern)) = (off, missing.first()) {
            let why =
                format!("the machine {ended} after {ran}, before /{pattern}/ was seen; {last}");
            return Ok((off, Some(why)));
        }
        Ok(match (&self.late, off, finish) {
            (_, Some(Ending::Restart), Finish::PowerButton | Finish::Wait) => {
                let why =
                    format!("the machine did not power off but restarted after {ran}; {last}");
                (Ending::Restart, Some(why))
            }
            (_, Some(off), _) => (off, None),
            (Some(late), None, _) => {
                let what = match &late.pattern {
                    Some(pattern) => format!("/{pattern}/ was not seen"),
                    None => "the machine did not power off".to_owned(),
                };
                let time = match (late.within, self.hardware) {
                    (Some(within), true) => format!(" within {}", show_duration(within)),
                    (Some(within), false) => format!(
                        " within {} ({EMULATED} times its time, as the processor is emulated)",
                        show_duration(within)
                    ),
                    (None, _) => format!(" in all the time of the check ({ran})"),
                };
                (Ending::TimedOut, Some(format!("{what}{time}; {last}")))
            }
            (None, None, _) => match missing.first() {
                None => (Ending::Seen, None),
                Some(pattern) => {
                    let why = format!("it was ended before /{pattern}/ was seen; {last}");
                    return Err(QemuError::BrokeDown(format!("after {ran}"), why));
                }
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qemu_that_is_lost_is_no_machine_that_did_what_it_had_to() {
        let conducted = |off, lost: Option<&str>| Conducted {
            hardware: true,
            version: String::new(),
            duration: Duration::ZERO,
            no_picture: None,
            off,
            lost: lost.map(str::to_owned),
            flood: false,
            late: None,
        };
        let watch = Watch::new(Vec::new(), Vec::new());
        for finish in [Finish::Stop, Finish::PowerButton, Finish::Wait] {
            let judged = conducted(None, Some("it does not answer")).judge(&watch, finish);
            assert!(
                matches!(judged, Err(QemuError::BrokeDown(..))),
                "{finish:?}"
            );
            let judged = conducted(Some(Ending::Off), None).judge(&watch, finish);
            assert_eq!(judged.unwrap(), (Ending::Off, None));
        }
    }
}
