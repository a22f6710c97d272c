//! `ipxe`: a script, carried out as iPXE would, to the kernel that it ends at.

use super::{Context, Kind, ProbeError, SubjectUse};
use crate::format::ipxe::{
    Bounds, Machine, Outcome, Picked, Platform, Start, Walk, evaluate, script,
};
use crate::format::{Limits, pe};
use crate::model::{Address, Origin};
use crate::probe::boot_file::BootFiles;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use url::Url;

/// The kind.
pub struct TheKind;

/// Which script, and on which machine. A script at an address on a web server may be the subject,
/// too; what it chains to and loads is fetched.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// Where it begins: `http://10.0.0.1:8080/boot.ipxe`. Left out, at the subject, a script on
    /// disk or inside of an image.
    pub url: Option<String>,
    /// What relative addresses in the subject start from.
    pub base: Option<String>,
    /// The machine's processor: iPXE's `buildarch`, and what a program has to be built for.
    #[schemars(extend("enum" = ["arm64", "amd64", "i386", "arm", "riscv64"]))]
    pub arch: Option<String>,
    /// What iPXE is built for: `efi`, where nothing is said, or `bios`.
    #[schemars(extend("enum" = ["efi", "bios"]))]
    pub platform: Option<String>,
    /// The machine's MAC address.
    pub mac: Option<String>,
    /// The machine's UUID.
    pub uuid: Option<String>,
    /// More of its settings, by the names that scripts know them by: `ip`, `next-server`, `serial`,
    /// `hostname`. What is not given is not set.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

/// Where the script leads to. A command whose result only a real machine or a person knows is an
/// error where it is come to, not a guess.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// How it ends: `boot` (a kernel or another program starts), `sanboot` (a disk elsewhere),
    /// `exit` (back to the firmware), `ended` (nothing was started), `shell`, `reboot`, `poweroff`,
    /// `failed` (a command failed, and the script has nothing for that), `loop`.
    #[schemars(extend("enum" = ["boot", "sanboot", "exit", "ended", "shell", "reboot", "poweroff", "failed", "loop"]))]
    pub outcome: String,
    /// Why nothing starts, with script and line.
    pub reason: Option<String>,
    /// What starts.
    pub kernel: Option<File>,
    /// The arguments of the kernel, on one line.
    pub arguments: Option<String>,
    /// What is handed to the kernel beside them, in this order.
    pub initrds: Vec<File>,
    /// The scripts that were carried out, in the order in which they began.
    pub scripts: Vec<String>,
    /// All commands, in the order in which they were carried out.
    pub transcript: Vec<Line>,
    /// Commands that failed, those that the script has an answer to as well.
    pub failures: Vec<Line>,
    /// What the scripts set.
    pub settings: BTreeMap<String, String>,
    /// Settings that were asked for and that the machine does not have; they are empty.
    pub unset: Vec<String>,
}

/// A file that is loaded for the start.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "url"))]
pub struct File {
    /// Where it is.
    pub url: String,
    /// What the script calls it.
    pub name: String,
    /// The arguments behind it.
    pub arguments: String,
    /// What it is, told from its content: `zboot`, `pe`, `bzimage`, `gzip`, `cpio`, `zstd`, …
    pub content: String,
    /// The machine that a program is for, by its PE header: `arm64`, `amd64`, ….
    pub arch: Option<String>,
    /// Its size.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: Option<u64>,
}

/// One command.
#[derive(Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "command"))]
pub struct Line {
    /// The script it stands in.
    pub script: String,
    /// The line.
    pub line: u64,
    /// The command, with its settings filled in.
    pub command: String,
    /// Why it failed.
    pub failed: Option<String>,
    /// What is to be said of it: what was taken to succeed, what a menu picks.
    pub note: Option<String>,
}

impl Kind for TheKind {
    const NAME: &'static str = "ipxe";
    const SUMMARY: &'static str = "an iPXE script, carried out to the kernel it ends at";
    const MAIN: Option<&'static str> = Some("url");
    const SUBJECT: SubjectUse = SubjectUse::Optional;
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: a new node gets the ARM64 kernel
  ipxe:
    url: http://10.0.0.1:8080/boot.ipxe
    arch: arm64
    mac: 52:54:00:12:34:56
  expect:
    outcome: boot
    kernel: { url: { ends-with: /kernel-arm64 }, arch: arm64 }
    arguments: { contain: talos.platform=metal }
    initrds: { len: 1 }";
    const DESCRIBES: &'static [&'static str] = &["outcome", "kernel", "arguments", "initrds"];
    type Args = Args;
    type Evidence = Evidence;

    fn validate(args: &Args) -> Result<(), ProbeError> {
        if let Some(mac) = &args.mac
            && !is_mac(mac)
        {
            let what = format!("`{}` is no MAC address", mac.escape_debug());
            return Err(ProbeError::new(what).remedy("write it as 52:54:00:12:34:56"));
        }
        for url in [&args.url, &args.base].into_iter().flatten() {
            parsed(url)?;
        }
        Ok(())
    }

    fn observe(
        args: Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let start = start(&args, subject, context)?;
        let limits = Limits {
            deadline: Some(context.deadline),
            ..Limits::default()
        };
        let mut files = BootFiles::new(limits, context.cancel);
        let walk = evaluate(&start, &machine(args), &mut files, &Bounds::default());
        seen(walk)
    }
}

fn is_mac(text: &str) -> bool {
    let parts: Vec<&str> = text.split([':', '-']).collect();
    let byte = |part: &&str| part.len() == 2 && u8::from_str_radix(part, 16).is_ok();
    parts.len() == 6 && parts.iter().all(byte)
}

fn parsed(url: &str) -> Result<Url, ProbeError> {
    Url::parse(url).map_err(|error| {
        let url = crate::model::address::shown(url);
        let said = ProbeError::new(format!("`{}`: {error}", url.escape_debug()));
        said.remedy("write a whole address: http://HOST/boot.ipxe")
    })
}

fn start(
    args: &Args,
    subject: Option<&Address>,
    context: &Context<'_>,
) -> Result<Start, ProbeError> {
    match (&args.url, subject) {
        (Some(url), _) => Ok(Start::Url(parsed(url)?)),
        (None, None) => Err(ProbeError::new("no script is named")
            .remedy("give `url`, or name a script as the subject with `in`")),
        (None, Some(subject)) => {
            if subject.origin() == Origin::Http && subject.inner().is_empty() {
                return Ok(Start::Url(parsed(subject.source())?));
            }
            let image = context.image(subject)?;
            let bytes = image.source()?.up_to(0, script::MAX_SCRIPT + 1);
            let bytes = bytes.map_err(|error| ProbeError::new(format!("{subject}: {error}")))?;
            if !script::is_script(&bytes) {
                let what = format!("{subject} is no iPXE script: it does not begin with `#!ipxe`");
                return Err(ProbeError::new(what).remedy("name a script, or a `url`"));
            }
            Ok(Start::Script {
                name: subject.to_string(),
                bytes: bytes.to_vec(),
                base: args.base.as_deref().map(parsed).transpose()?,
            })
        }
    }
}

fn machine(args: Args) -> Machine {
    let mut settings = args.settings;
    let built = args.arch.map(|arch| match arch.as_str() {
        "amd64" => "x86_64".to_owned(),
        "arm" => "arm32".to_owned(),
        _ => arch,
    });
    let platform = match args.platform.as_deref() {
        Some("bios") => Platform::Bios,
        _ => Platform::Efi,
    };
    let name = match platform {
        Platform::Bios => "pcbios",
        Platform::Efi => "efi",
    };
    let more = [
        ("buildarch", built),
        ("platform", Some(name.to_owned())),
        ("mac", args.mac.map(|mac| mac.replace('-', ":"))),
        ("uuid", args.uuid),
    ];
    for (name, value) in more {
        if let Some(value) = value {
            settings.entry(name.to_owned()).or_insert(value);
        }
    }
    Machine { settings, platform }
}

fn seen(walk: Walk) -> Result<Evidence, ProbeError> {
    let name = walk.outcome.name().to_owned();
    let (kernel, reason) = match walk.outcome {
        Outcome::Boot(kernel) => (Some(*kernel), None),
        Outcome::SanBoot(disk) => (None, Some(format!("a disk starts: {disk}"))),
        Outcome::Exit => (None, Some("the script leaves iPXE".to_owned())),
        Outcome::Ended => (
            None,
            Some("the script ends, and has started nothing".to_owned()),
        ),
        Outcome::Shell => (None, Some("a shell is opened".to_owned())),
        Outcome::Reboot => (None, Some("the machine starts again".to_owned())),
        Outcome::PowerOff => (None, Some("the machine is switched off".to_owned())),
        Outcome::Failed(why) if walk.unreachable => {
            let why = ProbeError::new(format!("a server gave no answer: {why}"));
            return Err(why
                .remedy("see whether the server runs, and what is between")
                .transient());
        }
        Outcome::Failed(why) | Outcome::Loop(why) => (None, Some(why)),
        Outcome::Unknown(why) => {
            let why = ProbeError::new(format!("it cannot be told where the script leads: {why}"));
            return Err(why.remedy(
                "describe the machine by more `settings`, so that the script does not come there",
            ));
        }
        Outcome::Limit(why) => {
            return Err(ProbeError::new(format!(
                "the script goes on for too long: {why}"
            )));
        }
    };
    let transcript: Vec<Line> = walk
        .steps
        .into_iter()
        .map(|step| Line {
            script: step.script,
            line: step.line,
            command: step.command,
            failed: step.failed,
            note: step.note,
        })
        .collect();
    Ok(Evidence {
        outcome: name,
        reason,
        arguments: kernel.as_ref().map(|kernel| kernel.arguments.clone()),
        kernel: kernel.map(file),
        initrds: walk.initrds.into_iter().map(file).collect(),
        scripts: walk.scripts,
        failures: transcript
            .iter()
            .filter(|line| line.failed.is_some())
            .cloned()
            .collect(),
        transcript,
        settings: walk.settings,
        unset: walk.unset,
    })
}

fn file(picked: Picked) -> File {
    File {
        url: picked.url,
        name: picked.name,
        arguments: picked.arguments,
        content: picked.content,
        arch: picked
            .pe_machine
            .map(|machine| pe::arch(machine).to_owned()),
        size: picked.size,
    }
}
