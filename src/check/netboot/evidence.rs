//! From a walk to evidence.

use crate::probe::netboot::{self, Outcome, Program, Walk};
use schemars::JsonSchema;
use serde::Serialize;

/// Where the machine gets to. A server that gives no answer at all is an error: nothing is known of
/// what it has.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// How it ends: `boot` (a kernel starts), `program` (another boot loader starts, such as GRUB;
    /// where it leads is not followed), `disk` (a disk or the image of one starts), `stopped`
    /// (something stops the machine).
    #[schemars(extend("enum" = ["boot", "program", "disk", "stopped"]))]
    pub outcome: String,
    /// What stops the machine: `nothing-offered` (no boot file for its architecture), `no-address`,
    /// `no-vendor-class` (option 60), `wrong-address` (a name where a URL has to be, or a URL where
    /// a name has to be), `no-name-server`, `no-boot-server` (port 4011), `dropped-offer` (UEFI drops
    /// an answer without option 54, or with multicast TFTP), `wrong-menu` (option 43 leads nowhere),
    /// `not-found`, `refused`, `redirect` (UEFI follows none), `no-length` (no Content-Length, and no
    /// chunks), `no-head` (HEAD is told no length, and UEFI waits without end), `wrong-length` (HEAD is
    /// told less than what comes), `wrong-type` (neither ending nor type say anything to UEFI),
    /// `cut-short`, `not-a-program`, `wrong-architecture`, `loop`, `script-failed`,
    /// `nothing-started`, `other-file` (not that of the build).
    #[schemars(extend("enum" = [
        "nothing-offered", "no-address", "no-vendor-class", "wrong-address", "no-name-server",
        "no-boot-server", "dropped-offer", "wrong-menu", "not-found", "refused", "redirect",
        "no-length", "no-head", "wrong-length", "wrong-type", "cut-short", "not-a-program",
        "wrong-architecture", "loop", "script-failed", "nothing-started", "other-file", null
    ]))]
    pub fault: Option<String>,
    /// Where it stops: `dhcp`, `boot-file`, `script`, `kernel`, `initrd`.
    #[schemars(extend("enum" = ["dhcp", "boot-file", "script", "kernel", "initrd", null]))]
    pub stage: Option<String>,
    /// Why no kernel starts, in words.
    pub reason: Option<String>,
    /// What was asked, in order, and what came.
    pub steps: Vec<Step>,
    /// What the firmware starts; nothing where iPXE is the firmware.
    pub boot_file: Option<File>,
    /// The kernel that starts.
    pub kernel: Option<File>,
    /// What is handed to it beside its arguments, in this order.
    pub initrds: Vec<File>,
    /// The kernel's arguments, on one line.
    pub arguments: Option<String>,
    /// The scripts that iPXE carried out.
    pub scripts: Vec<String>,
    /// What would stand on the machine's screen.
    pub transcript: Vec<String>,
    /// How long asking and fetching took; the machine itself waits longer where it is stopped.
    #[schemars(extend("x-unit" = "seconds", "x-volatile" = true))]
    pub duration: f64,
}

/// One question.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "what"))]
pub struct Step {
    /// `dhcp`, `tftp`, `http` or `https`.
    pub protocol: String,
    /// What the server is to the machine: as `protocol`, or `proxy-dhcp` (it offers no address) or
    /// `boot-server` (it was asked on port 4011).
    #[schemars(extend("enum" = ["dhcp", "proxy-dhcp", "boot-server", "tftp", "http", "https"]))]
    pub role: String,
    /// Who answered.
    pub from: String,
    /// What was asked for: a message of DHCP, or the address of a file.
    pub what: String,
    /// What came: an offer, what a file is, or why there is none.
    pub came: String,
    /// The bytes of a file.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: Option<u64>,
    /// How long it took.
    #[schemars(extend("x-unit" = "seconds", "x-volatile" = true))]
    pub took: f64,
}

/// A file that was fetched, whole.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "url"))]
pub struct File {
    /// Where it is.
    pub url: String,
    /// Its name, or what the script calls it.
    pub name: String,
    /// What it is, told from its content: `zboot`, `image`, `bzimage`, `pe`, `xz`, `zstd`, …
    pub content: String,
    /// What a program is: `ipxe`, `grub`, `shim`, `kernel`, `uki`, `other`.
    pub program: Option<String>,
    /// The machine that a program is for, by its PE header: `arm64`, `amd64`, …. Of an initramfs, what
    /// programs in it are for, where they can be seen.
    pub arch: Option<String>,
    /// Its size.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: u64,
    /// Its SHA-256 digest.
    pub sha256: String,
}

impl Evidence {
    /// Says what was seen.
    pub(super) fn of(walk: Walk) -> Self {
        let stopped = walk.stopped.as_ref();
        let kernel = walk.kernel.filter(|_| walk.outcome == Outcome::Boot);
        Self {
            outcome: walk.outcome.name().to_owned(),
            fault: stopped.map(|stopped| stopped.fault.name().to_owned()),
            stage: stopped.map(|stopped| stopped.stage.name().to_owned()),
            reason: stopped.map(|stopped| stopped.reason.clone()).or(walk.note),
            steps: walk.steps.into_iter().map(step).collect(),
            boot_file: walk.boot_file.map(file),
            arguments: kernel.as_ref().map(|kernel| kernel.arguments.clone()),
            kernel: kernel.map(file),
            initrds: walk.initrds.into_iter().map(file).collect(),
            scripts: walk.scripts,
            transcript: walk.console,
            duration: walk.took.as_secs_f64(),
        }
    }
}

fn step(step: netboot::Step) -> Step {
    Step {
        protocol: step.protocol,
        role: step.role,
        from: step.from,
        what: step.what,
        came: step.came,
        size: step.size,
        took: step.took.as_secs_f64(),
    }
}

fn file(file: netboot::File) -> File {
    File {
        url: file.url,
        name: file.name,
        content: file.content,
        program: file
            .program
            .map(|program| Program::name(program).to_owned()),
        arch: file.arch,
        size: file.size,
        sha256: file.sha256.to_string(),
    }
}
