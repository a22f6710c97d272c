//! `cmdline`: the command line that a kernel is started with.

use super::{Context, Kind, ProbeError, RestsOn, SubjectUse};
use crate::format::cmdline::talos::Version;
use crate::format::cmdline::{Argument, Cmdline, Repeat};
use crate::format::menu::Loader;
use crate::image::{CommandLine, CommandLines, Image, Pattern, Written};
use crate::model::Address;
use crate::model::path::printable;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The kind.
pub struct TheKind;

/// Which command line, and what it is held against.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// Which one, where the subject has several: its title (or a glob that covers one title), its
    /// id, or its number, counted from 0. Left out, a UKI gives its first profile, as UEFI would.
    pub entry: Option<String>,
    /// How it is written down: `uki`, `text`, `grub`, `ipxe`, `loader-entry`, `syslinux`. Left out,
    /// the content tells.
    pub format: Option<Format>,
    /// A version of Talos, such as `1.13`, whose arguments have to be there.
    pub talos: Option<String>,
}

/// How a command line is written down.
#[derive(Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// A section of a unified kernel image.
    Uki,
    /// A text that is nothing else.
    Text,
    /// GRUB's configuration.
    Grub,
    /// A script of iPXE.
    Ipxe,
    /// An entry of systemd-boot.
    LoaderEntry,
    /// The configuration of SYSLINUX and its kin.
    Syslinux,
}

/// What the command line says.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// The file inside of the subject that it is in; empty where it is the subject.
    pub source: String,
    /// How it is written there.
    #[schemars(extend("enum" = ["uki", "text", "grub", "ipxe", "loader-entry", "syslinux"]))]
    pub format: String,
    /// What a menu shows for it; empty where nothing says.
    pub title: String,
    /// The whole line.
    pub text: String,
    /// The kernel's arguments in their order, as they are written: `console=tty0`.
    pub args: Vec<String>,
    /// The value of each argument, by name; `true` of one without a value. Where one is given
    /// several times it is the one that counts: the last, but of what Talos reads (`talos.…`) the
    /// first. A name that is written with `-` is there with `_` as well, which the kernel takes for
    /// the same.
    pub values: BTreeMap<String, Option<String>>,
    /// All values of each argument, by name, in their order.
    pub all: BTreeMap<String, Vec<String>>,
    /// Arguments that are given more than once although only one counts. `console` is none of them.
    pub duplicates: Vec<Duplicate>,
    /// What is behind ` -- `: arguments for init, which the kernel does not read.
    pub init_args: Vec<String>,
    /// Its length.
    #[schemars(extend("x-unit" = "bytes"))]
    pub length: u64,
    /// Whether kernels for ARM64 and x86 cut it: they keep 2047 bytes.
    pub too_long: bool,
    /// Whether a quote is not closed, so that the last argument swallows all that follows.
    pub open_quote: bool,
    /// Arguments with white space between quotes. The kernel keeps them together; Talos and other
    /// programs split them.
    pub quoted: Vec<String>,
    /// Variables that stand in it, as `${net0/mac}`: what they hold, and so what else is given, only
    /// the machine knows.
    pub variables: Vec<String>,
    /// Arguments that are not there although that version of Talos puts them on every command line,
    /// or does not boot without them; absent without the argument `talos`.
    pub missing: Option<Vec<Missing>>,
    /// The same, of those that are there with another value.
    pub conflicting: Option<Vec<Conflict>>,
    /// The names of those of both without which that version of Talos stops to boot.
    pub stops_boot: Option<Vec<String>>,
    /// All command lines of the subject.
    pub entries: Vec<Entry>,
    /// Partitions of the subject that were not looked into, because their file system is not read,
    /// as `BOOT (xfs)`.
    pub unread: Vec<String>,
}

/// An argument that is given more than once.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "name"))]
pub struct Duplicate {
    /// Its name.
    pub name: String,
    /// Its values, in their order.
    pub values: Vec<String>,
    /// Which of them counts: `last` or `first`.
    #[schemars(extend("enum" = ["last", "first"]))]
    pub counts: String,
}

/// An argument that is not there.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "name"))]
pub struct Missing {
    /// Its name.
    pub name: String,
    /// The value it would have; absent where it only has to have one.
    pub value: Option<String>,
    /// Whether Talos stops to boot without it.
    pub required: bool,
}

/// An argument that is there with another value.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "name"))]
pub struct Conflict {
    /// Its name.
    pub name: String,
    /// The value it would have; empty of one without a value.
    pub wanted: String,
    /// The values it has.
    pub values: Vec<String>,
    /// Whether Talos stops to boot by it.
    pub required: bool,
}

/// One command line of the subject.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "title"))]
pub struct Entry {
    /// Its number, counted from 0.
    pub number: u64,
    /// What a menu shows for it; of a UKI, the title of the profile or of the system.
    pub title: String,
    /// The name by which its file refers to it: of a UKI the id of the profile, of a script or menu
    /// its label.
    pub id: Option<String>,
    /// The number of the profile, in a UKI that has any.
    pub profile: Option<u64>,
    /// How it is written down.
    #[schemars(extend("enum" = ["uki", "text", "grub", "ipxe", "loader-entry", "syslinux"]))]
    pub format: String,
    /// The file inside of the subject; empty where it is the subject.
    pub source: String,
    /// The line of that file, counted from 1.
    pub line: Option<u64>,
    /// Where the kernel is, as a boot loader's file says it.
    pub kernel: Option<String>,
    /// The whole command line.
    pub text: String,
}

impl Kind for TheKind {
    const NAME: &'static str = "cmdline";
    const SUMMARY: &'static str =
        "a kernel's command line: of a UKI, a boot loader's file, an iPXE script, a disk or ISO";
    const MAIN: Option<&'static str> = Some("entry");
    const SUBJECT: SubjectUse = SubjectUse::Required;
    const PURE: bool = true;
    const EXAMPLE: &'static str = "\
- name: the machine boots Talos with a serial console and signed modules only
  cmdline: { talos: \"1.13\" }
  in: _out/assets/metal-arm64.raw.xz
  expect:
    values: { talos.platform: metal, module.sig_enforce: 1, debug: null }
    args: { contain: console=ttyAMA0 }
    missing: { len: 0 }
    duplicates: { len: 0 }";
    const DESCRIBES: &'static [&'static str] = &[
        "format",
        "args",
        "duplicates",
        "init-args",
        "too-long",
        "open-quote",
        "quoted",
    ];
    type Args = Args;
    type Evidence = Evidence;

    fn validate(args: &Args) -> Result<(), ProbeError> {
        version(args).map(|_| ())
    }

    fn rests_on(_: &Args, subject: Option<&Address>) -> RestsOn {
        RestsOn::subject(subject)
    }

    fn observe(
        args: Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let subject = subject.ok_or_else(|| ProbeError::new("no command line is named"))?;
        let image = context.image(subject)?;
        let found = CommandLines::of(&image, args.format.map(Written::from))?;
        let chosen = choose(&image, &found, args.entry.as_deref())?;
        let line = Cmdline::parse(&chosen.text).map_err(|error| image.failed(error))?;
        let (missing, conflicting) = version(&args)?.map(|v| held(&line, v)).unzip();
        Ok(Evidence {
            source: chosen.source.clone(),
            format: chosen.written.name().to_owned(),
            title: printable(&chosen.title),
            text: line.text().to_owned(),
            args: line.arguments().iter().map(|a| a.text.clone()).collect(),
            values: (line.values().into_iter())
                .map(|(name, value)| (name.into_owned(), Some(value.shown().to_owned())))
                .collect(),
            all: line
                .by_name()
                .into_iter()
                .map(|(n, a)| (n.into_owned(), texts(&a)))
                .collect(),
            duplicates: duplicates(&line),
            init_args: line.init().to_vec(),
            length: line.length() as u64,
            too_long: line.is_too_long(),
            open_quote: line.has_open_quote(),
            quoted: (line.arguments().iter().filter(|a| a.holds_space()))
                .map(|a| a.text.clone())
                .collect(),
            variables: match chosen.written {
                Written::Menu(loader) => loader.variables(line.text()),
                Written::Uki | Written::Text => Vec::new(),
            },
            stops_boot: (missing.as_ref().zip(conflicting.as_ref())).map(|(missing, wrong)| {
                let missing = missing
                    .iter()
                    .filter(|m| m.required)
                    .map(|m| m.name.clone());
                let wrong = wrong.iter().filter(|c| c.required).map(|c| c.name.clone());
                missing.chain(wrong).collect()
            }),
            missing,
            conflicting,
            entries: (found.lines.iter().enumerate())
                .map(|(number, line)| Entry::of(number, line))
                .collect(),
            unread: found.unread.clone(),
        })
    }
}

impl From<Format> for Written {
    fn from(format: Format) -> Self {
        match format {
            Format::Uki => Self::Uki,
            Format::Text => Self::Text,
            Format::Grub => Self::Menu(Loader::Grub),
            Format::Ipxe => Self::Menu(Loader::Ipxe),
            Format::LoaderEntry => Self::Menu(Loader::Entry),
            Format::Syslinux => Self::Menu(Loader::Syslinux),
        }
    }
}

impl Entry {
    fn of(number: usize, line: &CommandLine) -> Self {
        Self {
            number: number as u64,
            title: printable(&line.title),
            id: line.id.as_deref().map(printable),
            profile: line.profile,
            format: line.written.name().to_owned(),
            source: line.source.clone(),
            line: line.line,
            kernel: line.kernel.as_deref().map(printable),
            text: Cmdline::shown(&line.text),
        }
    }
}

fn texts(arguments: &[&Argument]) -> Vec<String> {
    arguments.iter().map(|a| a.shown().to_owned()).collect()
}

fn duplicates(line: &Cmdline) -> Vec<Duplicate> {
    let repeated = line.repeated().into_iter();
    let duplicate = repeated.map(|(name, arguments)| Duplicate {
        counts: match Repeat::of(&name) {
            Repeat::First => "first",
            Repeat::Last | Repeat::Every => "last",
        }
        .to_owned(),
        name: name.into_owned(),
        values: texts(&arguments),
    });
    duplicate.collect()
}

fn version(args: &Args) -> Result<Option<Version>, ProbeError> {
    let version = args.talos.as_deref().map(Version::parse);
    version.transpose().map_err(ProbeError::new)
}

/// Holds a line against the arguments of a version of Talos.
fn held(line: &Cmdline, version: Version) -> (Vec<Missing>, Vec<Conflict>) {
    let missing = version.rules().filter(|rule| rule.misses(line));
    let missing = missing.map(|rule| Missing {
        name: rule.name.to_owned(),
        value: rule.value.map(str::to_owned),
        required: rule.required,
    });
    let mut conflicting = Vec::new();
    for rule in version.rules() {
        let values = rule.contradicted(line);
        if !values.is_empty() {
            conflicting.push(Conflict {
                name: rule.name.to_owned(),
                wanted: rule.value.unwrap_or_default().to_owned(),
                values: values.into_iter().map(str::to_owned).collect(),
                required: rule.required,
            });
        }
    }
    (missing.collect(), conflicting)
}

/// Finds the one that is asked for; without a choice the only one, or that of
/// the first profile of a UKI.
fn choose<'l>(
    image: &Image,
    found: &'l CommandLines,
    entry: Option<&str>,
) -> Result<&'l CommandLine, ProbeError> {
    let path = printable(&image.path().display().to_string());
    if found.lines.is_empty() {
        let unread = match found.unread.as_slice() {
            [] => String::new(),
            unread => format!(" (not read: {})", unread.join(", ")),
        };
        return Err(
            ProbeError::new(format!("{path} holds no kernel command line{unread}"))
                .remedy("name the file that holds one, with an address that leads to it"),
        );
    }
    let covered: Vec<&CommandLine> = match entry {
        None => found
            .unchosen()
            .and_then(|index| found.lines.get(index))
            .into_iter()
            .collect(),
        Some(entry) => covered(found, entry),
    };
    match (covered.as_slice(), entry) {
        ([one], _) => Ok(one),
        (list, entry) => {
            let what = match (list, entry) {
                ([], Some(entry)) => format!("none of which is `{}`", printable(entry)),
                (list, Some(entry)) => format!("{} of them `{}`", list.len(), printable(entry)),
                (_, None) => "and no `entry` says which".to_owned(),
            };
            let (count, list) = (found.lines.len(), listed(found));
            let lines = if count == 1 { "line" } else { "lines" };
            Err(ProbeError::new(format!(
                "{path} holds {count} kernel command {lines}, {what}"
            ))
            .remedy(format!("choose one with `entry`: {list}")))
        }
    }
}

/// Finds the lines of a title, id or number; of a glob over titles where that
/// is nothing else.
fn covered<'l>(found: &'l CommandLines, entry: &str) -> Vec<&'l CommandLine> {
    let number: Option<usize> = entry.trim_start_matches('@').parse().ok();
    let named = |line: &CommandLine| line.title == entry || line.id.as_deref() == Some(entry);
    let lines: Vec<&CommandLine> = found.lines.iter().filter(|line| named(line)).collect();
    if !lines.is_empty() {
        return lines;
    }
    if let Some(line) = number.and_then(|number| found.lines.get(number)) {
        return vec![line];
    }
    match Pattern::new(entry) {
        Ok(pattern) if Pattern::is_pattern(entry) => {
            let lines = found.lines.iter();
            lines.filter(|line| pattern.matches(&line.title)).collect()
        }
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// Names the lines that there are.
fn listed(found: &CommandLines) -> String {
    const NAMED: usize = 12;
    let name = |(number, line): (usize, &CommandLine)| {
        let title = match (line.title.as_str(), line.id.as_deref()) {
            ("", Some(id)) => id,
            (title, _) => title,
        };
        let source = match line.source.as_str() {
            "" => String::new(),
            source => format!(" in {source}"),
        };
        format!("{number} ({}{source})", printable(title))
    };
    let mut names: Vec<String> = found
        .lines
        .iter()
        .enumerate()
        .take(NAMED)
        .map(name)
        .collect();
    if let more @ 1.. = found.lines.len().saturating_sub(NAMED) {
        names.push(format!("{more} more"));
    }
    names.join(", ")
}
