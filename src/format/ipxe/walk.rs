//! What carrying out a script takes and gives.

use std::collections::BTreeMap;

use url::Url;

/// A machine that is only described.
#[derive(Debug, Clone, Default)]
pub struct Machine {
    /// Its settings, by name: `mac`, `uuid`, `ip`, `next-server`, `buildarch`, …. A setting that is
    /// not here is not set.
    pub settings: BTreeMap<String, String>,
    /// What iPXE itself is built for.
    pub platform: Platform,
}

/// What iPXE is built for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Platform {
    /// UEFI: what it starts is a PE file of the machine.
    #[default]
    Efi,
    /// A PC's BIOS.
    Bios,
}

/// How far a walk may go.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Commands.
    pub steps: usize,
    /// Scripts inside of one another.
    pub depth: usize,
    /// Files that are fetched.
    pub fetches: usize,
    /// Bytes of scripts that are gone through, those that are come through again counted again.
    pub read: usize,
    /// Bytes of what is kept for the transcript and for menus.
    pub kept: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            steps: 10_000,
            depth: 16,
            fetches: 200,
            read: 64 << 20,
            kept: 16 << 20,
        }
    }
}

/// What was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loaded {
    /// A script, whole.
    Script(Vec<u8>),
    /// Anything else.
    Other {
        /// What it is, as [`crate::format::Content::name`] says it.
        content: String,
        /// The machine of its PE header.
        pe_machine: Option<u16>,
        /// Its size, where the server says it.
        size: Option<u64>,
    },
}

/// Why nothing was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failed {
    /// The server answered, and has no such file.
    Refused(String),
    /// No answer came: what is there is not known.
    Unreachable(String),
}

/// Gets what a script loads.
pub trait Fetch {
    /// Fetches a file: a script whole, of anything else what it is.
    ///
    /// # Errors
    /// Where it is not there, or nothing is known of it.
    fn fetch(&mut self, url: &Url) -> Result<Loaded, Failed>;

    /// Tells where the file that was fetched last is in the end, where its server led elsewhere: what
    /// is relative in a script starts from there. Source: `downloader_vredirect`.
    fn led_to(&self) -> Option<Url> {
        None
    }

    /// Tells that no time is left, so that the walk ends at the next command.
    fn over(&self) -> bool {
        false
    }
}

/// One command that was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The script, as its address says it.
    pub script: String,
    /// The line, counted from 1.
    pub line: u64,
    /// The command with its settings filled in.
    pub command: String,
    /// Why it failed; nothing where it succeeded.
    pub failed: Option<String>,
    /// What is to be said of it: what was taken to succeed, what a person would be asked.
    pub note: Option<String>,
}

/// A file that was picked for booting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picked {
    /// The name that the script knows it by.
    pub name: String,
    /// Where it came from.
    pub url: String,
    /// The arguments behind it.
    pub arguments: String,
    /// What it is.
    pub content: String,
    /// The machine of its PE header.
    pub pe_machine: Option<u16>,
    /// Its size, where the server says it.
    pub size: Option<u64>,
}

/// How a walk ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A kernel, or another program, starts.
    Boot(Box<Picked>),
    /// A disk elsewhere starts.
    SanBoot(String),
    /// The script leaves iPXE: the firmware tries the next thing.
    Exit,
    /// The script is over, and nothing was started.
    Ended,
    /// A shell is opened.
    Shell,
    /// The machine starts again.
    Reboot,
    /// The machine is switched off.
    PowerOff,
    /// A command failed and nothing was to be done about it.
    Failed(String),
    /// The same commands come again and again.
    Loop(String),
    /// Goes on as only a real machine or a person knows.
    Unknown(String),
    /// A bound was met.
    Limit(String),
}

impl Outcome {
    /// Gives the stable name that specs use.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Boot(_) => "boot",
            Self::SanBoot(_) => "sanboot",
            Self::Exit => "exit",
            Self::Ended => "ended",
            Self::Shell => "shell",
            Self::Reboot => "reboot",
            Self::PowerOff => "poweroff",
            Self::Failed(_) => "failed",
            Self::Loop(_) => "loop",
            Self::Unknown(_) => "unknown",
            Self::Limit(_) => "limit",
        }
    }
}

/// A walk from a script to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Walk {
    /// How it ends.
    pub outcome: Outcome,
    /// The commands, in the order in which they were carried out.
    pub steps: Vec<Step>,
    /// The addresses of the scripts, in the order in which they began.
    pub scripts: Vec<String>,
    /// What is handed to the kernel beside its arguments.
    pub initrds: Vec<Picked>,
    /// What scripts set.
    pub settings: BTreeMap<String, String>,
    /// Settings that were asked for and that the machine does not have.
    pub unset: Vec<String>,
    /// Whether a file could not be looked for: no answer came.
    pub unreachable: bool,
    /// What was to be started last and could not be: no program, or one for another machine.
    pub not_started: Option<Picked>,
}

/// Takes the name and the password out of an address, or of an address in a word. The query stays:
/// it is what a server tells machines apart by.
#[must_use]
pub fn plain(word: &str) -> String {
    let Some((before, rest)) = word.split_once("://") else {
        return word.to_owned();
    };
    let host = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let from = rest.get(..host).and_then(|host| host.rfind('@'));
    let rest = rest.get(from.map_or(0, |at| at + 1)..).unwrap_or_default();
    format!("{before}://{rest}")
}
