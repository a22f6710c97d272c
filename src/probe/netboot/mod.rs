//! A machine's way over the network to its kernel, gone as its firmware would.
//!
//! [`walk()`] asks DHCP as the firmware, fetches the boot file and looks at it; where that is iPXE it
//! asks again as iPXE, and follows the script. What would stop a machine ends the walk by a
//! [`Fault`]; a server that gives no answer is an error, because nothing is known of what it has.
//!
//! `course` is the way itself, `firmware` its part to the boot file, `loader` that from iPXE on; `fetch`
//! gets one file as firmware or iPXE does, `files` those of scripts, `look` tells what it is, and `initramfs` for which machine;
//! [`fault`] names what stops a machine, and `console` writes down what would stand on its screen.
//! Where iPXE has a script built in, that is not seen: the walk asks DHCP as iPXE without one does.

mod console;
mod course;
pub mod fault;
mod fetch;
mod files;
mod firmware;
pub mod initramfs;
mod loader;
pub mod look;

pub use course::walk;
pub use fault::{Fault, Stage};
pub use look::Program;

use crate::format::Limits;
use crate::format::dhcp::Machine;
use crate::model::Sha256Digest;
use crate::probe::dhcp::{DhcpError, Way};
use crate::probe::exec::Cancel;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use thiserror::Error;

/// The machine that boots, and what is known of it beforehand.
pub struct Asking<'a> {
    /// Who asks DHCP servers.
    pub machine: Machine,
    /// Its processor, as programs name it: `arm64`, `amd64`, `i386`, `arm`.
    pub arch: &'a str,
    /// More of its settings, by the names that scripts of iPXE know them by.
    pub settings: BTreeMap<String, String>,
    /// How DHCP servers are asked.
    pub way: Way,
    /// How long an address is waited for.
    pub wait: Duration,
    /// Whether the boot file is iPXE; where nothing is said, it is looked for in the file.
    pub boots_ipxe: Option<bool>,
    /// The kernel that is to be booted.
    pub kernel: Option<Expected>,
    /// What is to be handed to it.
    pub initrds: Option<Vec<Expected>>,
    /// The bounds of what is fetched.
    pub limits: Limits,
    /// When it has to be over.
    pub deadline: Instant,
    /// Set when the run is to end.
    pub cancel: &'a Cancel,
}

/// A file of a build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    /// What it is called.
    pub name: String,
    /// Its digest.
    pub sha256: Sha256Digest,
}

/// How a walk ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A kernel starts.
    Boot,
    /// Another program starts: GRUB, shim, a shell. Where it leads is not followed.
    Program,
    /// A disk starts, or the image of one.
    Disk,
    /// Something stops the machine.
    Stopped,
}

impl Outcome {
    /// Gives the stable name that specs use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Boot => "boot",
            Self::Program => "program",
            Self::Disk => "disk",
            Self::Stopped => "stopped",
        }
    }
}

/// One question, and what came of it.
#[derive(Clone, Debug)]
pub struct Step {
    /// `dhcp`, `tftp`, `http`, `https`.
    pub protocol: String,
    /// What the server is to the machine: as the protocol, or `proxy-dhcp` or `boot-server`.
    pub role: String,
    /// Who answered.
    pub from: String,
    /// What was asked for.
    pub what: String,
    /// What came.
    pub came: String,
    /// Its bytes, of a file that came.
    pub size: Option<u64>,
    /// How long it took.
    pub took: Duration,
}

/// A file that was fetched.
#[derive(Clone, Debug)]
pub struct File {
    /// Where it is, without what may be secret in it.
    pub url: String,
    /// What a script calls it; of a boot file, its name.
    pub name: String,
    /// The arguments behind it.
    pub arguments: String,
    /// What it is, told from its content.
    pub content: String,
    /// What a program is.
    pub program: Option<Program>,
    /// The machine that a program is for; of an initramfs, one that programs in it are for.
    pub arch: Option<String>,
    /// Its bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Sha256Digest,
    /// Where it ends too early, and what is missing.
    pub cut: Option<String>,
}

/// Why a machine does not go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// By what.
    pub fault: Fault,
    /// Where.
    pub stage: Stage,
    /// In words.
    pub reason: String,
}

/// The whole way.
#[derive(Clone, Debug)]
pub struct Walk {
    /// How it ends.
    pub outcome: Outcome,
    /// What stops the machine.
    pub stopped: Option<Stopped>,
    /// Why it ends where no kernel starts and nothing stops it.
    pub note: Option<String>,
    /// What was asked, in order.
    pub steps: Vec<Step>,
    /// What the firmware starts.
    pub boot_file: Option<File>,
    /// What starts in the end.
    pub kernel: Option<File>,
    /// What is handed to it beside its arguments.
    pub initrds: Vec<File>,
    /// The scripts that were carried out.
    pub scripts: Vec<String>,
    /// What would stand on the machine's screen.
    pub console: Vec<String>,
    /// How long all of it took.
    pub took: Duration,
}

/// Says why it is not known where a machine gets to.
#[derive(Debug, Error)]
pub enum NetbootError {
    /// Nobody answers as a DHCP server, or it cannot be asked.
    #[error(transparent)]
    Dhcp(#[from] DhcpError),
    /// A server gives no answer.
    #[error("a server gives no answer: {0}")]
    Unreachable(String),
    /// Only a real machine or a person knows how a script goes on.
    #[error("it cannot be told where the script leads: {0}")]
    Unknown(String),
    /// A bound was met.
    #[error("{0}")]
    Limit(String),
    /// What came cannot be read or put away here.
    #[error("{0}")]
    Local(String),
}
