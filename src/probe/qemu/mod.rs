//! Boots machines in QEMU.
//!
//! [`boot`] starts one, reads its console until all that is waited for was seen, or what must not come
//! came, or time is up, and ends it. It returns when nothing of it runs any more. Where this process is
//! killed on the way, a guard beside QEMU ends it and removes its folder.

mod arguments;
mod conduct;
mod console;
mod fault;
mod firmware;
mod folder;
mod guard;
mod log;
mod machine;
mod qmp;
mod watch;

pub use conduct::{Ending, Finish};
pub use console::Lines;
pub use fault::FaultKind;
pub use firmware::Firmware;
pub use folder::Folder;
pub use machine::{Arch, Machine, Medium, Network, Protocol, Start, Wire};
pub use watch::{Fault, Seen, Step, Watch};

use crate::model::size::show_duration;
use crate::probe::exec::{self, Cancel, End, ExecError, Exit, Output, Request, Stream};
use conduct::{Conducted, Conductor, Shared};
use log::Log;
use regex::Regex;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How much of each end of a console is kept as text.
const KEEP: usize = 512 << 10;
/// What is left of an observation's time for the end of the machine.
const ENDING: Duration = Duration::from_millis(1500);
/// How long after that QEMU is taken for lost.
const HANGS: Duration = Duration::from_secs(5);

/// Why nothing could be seen of a machine.
#[derive(Debug, thiserror::Error)]
pub enum QemuError {
    /// QEMU is not there.
    #[error("`{0}` is not here, so that nothing can be booted")]
    NotHere(&'static str, &'static str),
    /// QEMU does not make such a machine.
    #[error("QEMU does not start: {0}")]
    DoesNotStart(String),
    /// QEMU itself broke down.
    #[error("QEMU broke down ({0}): {1}")]
    BrokeDown(String, String),
    /// QEMU itself broke down before the machine said anything.
    #[error("QEMU broke down ({0}), before the console said anything: {1}")]
    BrokeDownAtOnce(String, String),
    /// The run is to end.
    #[error("the boot was interrupted")]
    Interrupted,
    /// What its screen shows could not be kept.
    #[error("QEMU makes no picture of the screen: {0}")]
    NoPicture(String),
    /// More came over its network than is kept.
    #[error("more than {} of packets came over its network, which are not kept", crate::model::size::show_size(*.0))]
    Packets(u64),
    /// A file cannot be made or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// QEMU could not be run.
    #[error(transparent)]
    Exec(#[from] ExecError),
}

fn file(path: &Path, source: io::Error) -> QemuError {
    let path = path.to_owned();
    QemuError::File { path, source }
}

/// A boot: the machine, and what is waited for.
#[derive(Debug)]
pub struct Boot<'a> {
    /// The machine.
    pub machine: Machine,
    /// What has to be seen, in order.
    pub steps: Vec<Step>,
    /// What must not be seen, beside what [`FaultKind`] names.
    pub never: Vec<Regex>,
    /// What is done once all has been seen.
    pub finish: Finish,
    /// How long the machine may take to power off then; where left out, as long as there is time.
    pub finish_within: Option<Duration>,
    /// When it has to be over.
    pub deadline: Instant,
    /// Ends it before.
    pub cancel: &'a Cancel,
    /// Where all that the console says is written down.
    pub log: Option<PathBuf>,
    /// Where the last picture of its screen is kept (PNG), if it has one.
    pub picture: Option<PathBuf>,
    /// What belongs to it.
    pub folder: &'a Folder,
}

/// How much longer a step may take where the processor is emulated.
pub const EMULATED: u32 = 8;

/// What came of a boot.
#[derive(Clone, Debug)]
pub struct Booted {
    /// What was seen of what was waited for.
    pub seen: Vec<Seen>,
    /// The patterns that were not seen.
    pub missing: Vec<String>,
    /// What must not come, and came.
    pub fault: Option<Fault>,
    /// How it ended.
    pub ending: Ending,
    /// Whether the time of the whole boot was up, and not that of a step.
    pub cut: bool,
    /// What is wrong; nothing where all was seen.
    pub problem: Option<String>,
    /// All that the console said, as lines.
    pub console: String,
    /// Whether the processor's own means were used (KVM), not emulation.
    pub hardware: bool,
    /// What QEMU said where it broke down with them, so that the boot is one without.
    pub refused: Option<String>,
    /// The firmware's file, if it has one.
    pub firmware: Option<String>,
    /// QEMU's version.
    pub version: String,
    /// How long the machine ran.
    pub duration: Duration,
}

/// Boots a machine and ends it. Where QEMU breaks down with KVM before the machine said anything, as
/// it does where that is half there (in a machine inside of a machine), it is booted once more, without.
///
/// # Errors
/// Where there is no QEMU, it does not make this machine, or breaks down. What is wrong with what the
/// machine does is no error.
pub fn boot(boot: &Boot<'_>) -> Result<Booted, QemuError> {
    let arch = boot.machine.arch;
    if exec::which(arch.program()).is_none() {
        return Err(QemuError::NotHere(arch.program(), arch.packages()));
    }
    if !boot.machine.may_use_hardware() {
        return attempt(boot, false);
    }
    let refused = match attempt(boot, true) {
        Err(error @ (QemuError::DoesNotStart(_) | QemuError::BrokeDownAtOnce(..))) => error,
        done => return done,
    };
    let mut booted = attempt(boot, false)?;
    booted.refused = Some(refused.to_string());
    Ok(booted)
}

fn attempt(boot: &Boot<'_>, hardware: bool) -> Result<Booted, QemuError> {
    let folder = boot.folder.path();
    let stop = boot.cancel.child();
    let command = guard::guarded(boot.machine.arguments(hardware), boot.folder);
    let request = Request::new(command)
        .cwd(folder)
        .pass("QEMU_MODULE_DIR")
        // What the machine writes to a disk that has to stay as it is.
        .env("TMPDIR", folder)
        .hold_input()
        .keep(KEEP)
        // Where QEMU itself hangs.
        .timeout(boot.deadline.saturating_duration_since(Instant::now()) + HANGS)
        .cancel(&stop);
    if let Start::Firmware { firmware, .. } = &boot.machine.start {
        let copied = std::fs::read(&firmware.vars)
            .and_then(|vars| std::fs::write(folder.join(arguments::VARS), vars));
        copied.map_err(|source| file(&firmware.vars, source))?;
    }
    let mut log = match &boot.log {
        Some(path) => Some(Log::new(path)?),
        None => None,
    };
    let shared = Shared::new(boot.steps.clone(), boot.never.clone());
    let conductor = Conductor {
        shared: &shared,
        folder,
        finish: boot.finish,
        finish_within: boot.finish_within,
        deadline: boot.deadline.checked_sub(ENDING).unwrap_or(boot.deadline),
        picture: boot.picture.as_deref(),
        packets: boot
            .machine
            .network
            .as_ref()
            .and_then(|network| network.pcap.as_deref()),
        stop: &stop,
    };
    let (ran, conducted) = std::thread::scope(|scope| {
        let conducting = scope.spawn(|| conductor.conduct());
        let ran = exec::run_raw(&request, &mut |stream, bytes| match stream {
            Stream::Stdout => {
                shared.watch().add(bytes);
                if let Some(log) = &mut log {
                    log.add(bytes);
                }
            }
            Stream::Stderr => {}
        });
        shared.over();
        (ran, conducting.join())
    });
    let output = ran?;
    if boot.cancel.is_set() || Cancel::global().is_set() {
        return Err(QemuError::Interrupted);
    }
    let conducted =
        conducted.unwrap_or_else(|_| Err(io::Error::other("what speaks with it failed")));
    let conducted = judge_end(conducted, &output)?;
    if let Some(why) = conducted.no_picture {
        return Err(QemuError::NoPicture(why));
    }
    if let Some(log) = log {
        log.finish()?;
    }
    let mut watch = shared.watch();
    watch.finish();
    let (ending, problem) = conducted.judge(&watch, boot.finish)?;
    Ok(Booted {
        seen: watch.seen().to_vec(),
        missing: watch.missing(),
        fault: watch.fault().cloned(),
        ending,
        cut: conducted.is_cut(),
        problem,
        console: text(&output),
        hardware: conducted.hardware,
        refused: None,
        firmware: match &boot.machine.start {
            Start::Firmware { firmware, .. } => Some(firmware.code.display().to_string()),
            Start::Direct { .. } => None,
        },
        version: conducted.version,
        duration: conducted.duration,
    })
}

/// Tells a machine that ended from a QEMU that did.
fn judge_end(conducted: io::Result<Conducted>, output: &Output) -> Result<Conducted, QemuError> {
    match (conducted, output.end) {
        (Ok(conducted), End::Exited) if output.exit != Exit::Code(0) => {
            let ran = conducted.duration;
            let how = format!("{} after {}", output.how(), show_duration(ran));
            match output.stdout.text().is_empty() {
                true => Err(QemuError::BrokeDownAtOnce(how, said(output))),
                false => Err(QemuError::BrokeDown(how, said(output))),
            }
        }
        (Ok(conducted), End::Exited | End::Cancelled | End::TimedOut) => Ok(conducted),
        (Err(error), _) => {
            let said = said(output);
            Err(QemuError::DoesNotStart(match said.is_empty() {
                true => error.to_string(),
                false => said,
            }))
        }
    }
}

/// Gives what QEMU itself said, without what is no more than a warning where there is more.
fn said(output: &Output) -> String {
    let all = output.stderr.text();
    let lines: Vec<&str> = all.lines().filter(|line| !line.trim().is_empty()).collect();
    let errors = lines.iter().filter(|line| !line.contains(": warning: "));
    let mut shown: Vec<&str> = errors.copied().collect();
    if shown.is_empty() {
        shown = lines;
    }
    let from = shown.len().saturating_sub(3);
    shown.get(from..).unwrap_or_default().join("; ")
}

fn text(output: &Output) -> String {
    let mut lines = Lines::default();
    let mut text = String::new();
    let mut each = |line: String| {
        text.push_str(&line);
        text.push('\n');
    };
    lines.add(output.stdout.text().as_bytes(), &mut each);
    lines.finish(&mut each);
    text
}
