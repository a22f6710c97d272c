//! `boot`: a machine is started in QEMU, and its console is the evidence.

mod evidence;
mod files;
mod plan;
mod wire;

use super::{Context, Kind, ProbeError, SubjectUse};
use crate::model::size::show_duration;
use crate::model::value::Value;
use crate::model::{Address, Picture};
use crate::probe::qemu::{
    self, Arch, Boot, Booted, Ending, FaultKind, Finish, Firmware, Folder, Medium, Protocol,
    QemuError, Start, Wire,
};
use files::{LOG, PCAP, PICTURE, address, bare, clear, files, kept_at, local};
use plan::{First, cmdline, duration, finish, first, machine, never, steps};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::{Duration, Instant};
use wire::{held, there_is, wire};

/// The kind.
pub struct TheKind;

/// The machine, what it starts, and what its console has to say. Checks that write all of this alike
/// and have the same time share one boot.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// The machine's processor.
    #[schemars(extend("enum" = Arch::NAMES))]
    pub arch: String,
    /// The kernel to start, without firmware or boot loader: a file of this machine, or one inside of
    /// an image (`disk.raw!/boot/vmlinuz`). This, `disk`, `iso` or `netboot` says what is started.
    pub kernel: Option<String>,
    /// A disk that UEFI firmware starts: its bytes as they are, not qcow2. It stays as it is; what the
    /// machine writes is forgotten.
    pub disk: Option<String>,
    /// An ISO image that UEFI firmware starts, in a drive for optical discs.
    pub iso: Option<String>,
    /// UEFI firmware starts what the network offers: by `pxe`, or by `http` boot. It needs `interface`,
    /// or `boot-file` for PXE.
    #[schemars(extend("enum" = Protocol::NAMES))]
    pub netboot: Option<String>,
    /// The initramfs to start the kernel with.
    pub initrd: Option<String>,
    /// The kernel's command line; left out, only the console: `console=ttyAMA0` of ARM64,
    /// `console=ttyS0` of AMD64.
    pub cmdline: Option<String>,
    /// What the console has to say, in this order: regular expressions, each of which is looked for
    /// behind what the one before it matched. A line is looked at when it is complete, or stands
    /// still as a prompt does; colours and moves of the cursor are taken out.
    #[serde(default)]
    pub sees: Vec<See>,
    /// What it must not say (regular expressions). A panic, an oops, an emergency shell and firmware
    /// that gives up are always among it.
    #[serde(default)]
    pub never: Vec<String>,
    /// What is done once all has been seen: `stop` the machine, where left out; `power-button`: it is
    /// pressed, and the machine has to power off; `wait` until it powers off by itself.
    #[schemars(extend("enum" = ["stop", "power-button", "wait"]))]
    pub then: Option<String>,
    /// How long each step may take where it does not say itself, and powering off; 8 times as long where
    /// the processor is emulated. Left out, as long as the check has time (`timeout`).
    #[schemars(extend("x-unit" = "seconds"))]
    pub within: Option<f64>,
    /// The machine's memory; 1 GiB where left out.
    #[schemars(extend("x-unit" = "bytes"))]
    pub memory: Option<u64>,
    /// How many processors it has; 2 where left out.
    pub cpus: Option<u32>,
    /// `true` gives it a network card. Nothing leaves that network, and only QEMU answers there.
    #[serde(default)]
    pub network: bool,
    /// A tap device that its network card is connected to, of the network in which tdg runs, such as
    /// one in a bridge that servers are on too: `ip tuntap add tap0 mode tap`. Boots that name the same
    /// are made one after the other.
    pub interface: Option<String>,
    /// The file that the network offers by TFTP where QEMU answers itself, with what is in its folder.
    pub boot_file: Option<String>,
    /// The address of its network card; `02:74:64:67:00:01` where left out.
    pub mac: Option<String>,
    /// Its UUID, which its firmware tells.
    pub uuid: Option<String>,
    /// Its serial number, which its firmware tells.
    pub serial: Option<String>,
    /// `true` gives it a screen; what that shows at the end is kept (`screen.png`), except where the
    /// machine powers off before.
    #[serde(default)]
    pub screenshot: bool,
    /// A folder, relative to the working directory, in which the console (`console.log`), all packets
    /// of the network (`network.pcap`) and the picture of the screen are kept. Each boot needs one of
    /// its own.
    pub keep: Option<String>,
}

/// What the console has to say.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
#[schemars(extend("x-key" = "pattern"))]
pub struct See {
    /// A regular expression.
    pub pattern: String,
    /// How long after the one before it, or the start; 8 times as long where the processor is
    /// emulated.
    #[schemars(extend("x-unit" = "seconds"))]
    pub within: Option<f64>,
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// What is wrong with the boot: what was not seen, what must not come and came, a machine that did
    /// not power off. Absent where all is right. It is an error where a check asks neither for this nor
    /// for the field that tells the same: `fault`, else `missing`, else `end`.
    pub problem: Option<String>,
    /// How it ended: `seen` (all was, and the machine was stopped), `off` (it powered off), `restart`
    /// (it would have started anew), `fault` (see there), `timed-out`.
    #[schemars(extend("enum" = Ending::NAMES))]
    pub end: String,
    /// What was seen of `sees`, in order.
    pub seen: Vec<Seen>,
    /// The patterns of `sees` that were not seen.
    pub missing: Vec<String>,
    /// What must not come, and came.
    pub fault: Option<Fault>,
    /// All that the console said, as lines, without colours and moves of the cursor; of more than
    /// 1 MiB, the first and the last half.
    #[schemars(extend("x-volatile" = true))]
    pub console: String,
    /// What ran the machine's processor: `kvm` (this machine's own), or `emulation`.
    #[schemars(extend("enum" = ["kvm", "emulation"], "x-volatile" = true))]
    pub accelerator: String,
    /// What QEMU said where it broke down with `kvm` before the console said anything, so that the boot
    /// is one in emulation.
    #[schemars(extend("x-volatile" = true))]
    pub kvm_refused: Option<String>,
    /// The firmware's file; none where a kernel is started directly.
    #[schemars(extend("x-volatile" = true))]
    pub firmware: Option<String>,
    /// QEMU's version, as `7.2.22`.
    #[schemars(extend("x-volatile" = true))]
    pub qemu: String,
    /// The files that were kept.
    pub files: Vec<String>,
    /// How long the machine ran.
    #[schemars(extend("x-unit" = "seconds", "x-volatile" = true))]
    pub duration: f64,
}

/// What the console said.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "pattern"))]
pub struct Seen {
    /// The pattern.
    pub pattern: String,
    /// What it matched.
    pub text: String,
    /// The line it stands in.
    #[schemars(extend("x-volatile" = true))]
    pub line: String,
    /// How long after the start it was seen.
    #[schemars(extend("x-unit" = "seconds", "x-volatile" = true))]
    pub after: f64,
}

/// What the console must not say.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "kind"))]
pub struct Fault {
    /// `panic`, `oops`, `emergency-shell`, `firmware` (it gave up), or `never`, of the argument.
    #[schemars(extend("enum" = FaultKind::NAMES))]
    pub kind: String,
    /// The line that says so.
    #[schemars(extend("x-volatile" = true))]
    pub line: String,
    /// How long after the start it was seen.
    #[schemars(extend("x-unit" = "seconds", "x-volatile" = true))]
    pub after: f64,
}

impl Kind for TheKind {
    const NAME: &'static str = "boot";
    const SUMMARY: &'static str =
        "a machine in QEMU: what its console says, in order, and what it must not say";
    const SUBJECT: SubjectUse = SubjectUse::None;
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: the kernel starts the initramfs
  boot:
    arch: arm64
    kernel: _out/assets/kernel-arm64
    initrd: _out/assets/initramfs-arm64.xz
    cmdline: console=ttyAMA0 talos.platform=metal
    sees:
      - Booting Linux on physical CPU
      - { pattern: 'Run /init as init process', within: 20s }
    keep: _out/boot/arm64
  timeout: 5m
  expect: { problem: null, seen: { every: { after: { lt: 2m } } } }";
    const DESCRIBES: &'static [&'static str] = &["problem", "end"];
    type Args = Args;
    type Evidence = Evidence;

    fn validate(args: &Args) -> Result<(), ProbeError> {
        first(args)?;
        for path in [
            &args.kernel,
            &args.initrd,
            &args.disk,
            &args.iso,
            &args.boot_file,
        ]
        .into_iter()
        .flatten()
        {
            address(path)?;
        }
        steps(args)?;
        never(args)?;
        let finish = finish(args);
        if args.sees.is_empty() && finish == Finish::Stop {
            return Err(
                ProbeError::new("nothing is waited for, so nothing would be seen")
                    .remedy("say what the console shows (`sees`), or `then: wait`"),
            );
        }
        machine(args).map(drop)
    }

    fn observe(
        args: Args,
        _subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        // What is the same is booted once. A boot that had less time proves nothing for one with more.
        let time = context.time_left().as_secs_f64().ceil();
        let question =
            serde_json::to_string(&args).map_err(|error| ProbeError::new(error.to_string()))?;
        let question = format!("{question} {time}");
        let keep = kept_at(&args, &question, context)?;
        let look = || look(&args, keep.as_deref(), context);
        let booted = context.subjects.boot(question, look)?;
        // What a check asks for instead has to be what went wrong: `end: off` alone says nothing of
        // patterns that were not seen.
        let instead = match (&booted.fault, booted.missing.is_empty()) {
            (Some(_), _) => "fault",
            (None, false) => "missing",
            (None, true) => "end",
        };
        let asked_for = context.wants("problem") || context.wants(instead);
        match &booted.problem {
            Some(problem) if !asked_for => Err(ProbeError::new(problem.clone())
                .remedy("a check that names `problem` judges it as evidence")),
            Some(_) | None => Ok(Evidence::of(&booted, files(&args, context))),
        }
    }

    fn picture(_args: &Value, evidence: &Value) -> Option<Picture> {
        let files = evidence.get("files").and_then(Value::as_array)?;
        let files: Vec<String> = files
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        (!files.is_empty()).then_some(Picture::Files(files))
    }
}

/// Boots the machine.
fn look(args: &Args, keep: Option<&Path>, context: &Context<'_>) -> Result<Booted, ProbeError> {
    let folder = Folder::new()?;
    let given = |name: &str, path: &Option<String>| match path {
        Some(path) => local(path, name, &folder, context).map(Some),
        None => Ok(None),
    };
    let mut machine = machine(args)?;
    machine.start = match first(args)? {
        First::Kernel(kernel) => Start::Direct {
            kernel: local(kernel, "kernel", &folder, context)?,
            initrd: given("initrd", &args.initrd)?,
            cmdline: cmdline(args, machine.arch),
        },
        First::Disk(disk) => {
            let disk = local(disk, "disk", &folder, context)?;
            bare(&disk)?;
            by_firmware(machine.arch, Medium::Disk(disk))?
        }
        First::Iso(iso) => {
            let iso = local(iso, "iso", &folder, context)?;
            by_firmware(machine.arch, Medium::Iso(iso))?
        }
        First::Netboot(protocol) => by_firmware(machine.arch, Medium::Network(protocol))?,
    };
    let in_keep = |name| keep.map(|keep| keep.join(name));
    if let Some(network) = &mut machine.network {
        network.pcap = in_keep(PCAP);
        if let Wire::Inside { boot_file } = &mut network.wire {
            *boot_file = given("tftp/boot.efi", &args.boot_file)?;
        }
    }
    let wire = match &args.interface {
        Some(name) => {
            there_is(name)?;
            Some((name, wire(name)))
        }
        None => None,
    };
    let begin = Instant::now();
    let _held = match &wire {
        Some((name, wire)) => Some(held(wire, name, context)?),
        None => None,
    };
    let waited = begin.elapsed();
    if let Some(keep) = keep {
        clear(keep)?;
    }
    let booted = qemu::boot(&Boot {
        machine,
        steps: steps(args)?,
        never: never(args)?,
        finish: finish(args),
        finish_within: duration(args.within)?,
        deadline: context.deadline,
        cancel: context.cancel,
        log: in_keep(LOG),
        picture: in_keep(PICTURE).filter(|_| args.screenshot),
        folder: &folder,
    })?;
    // What it would have done with all of its time is not known.
    match booted.cut && waited >= Duration::from_secs(1) {
        true => Err(ProbeError::new(format!(
            "the machine had less than its time: other boots had its network card for {}",
            show_duration(waited)
        ))
        .remedy("give the check more time (`timeout`), or each boot a tap device of its own")),
        false => Ok(booted),
    }
}

fn by_firmware(arch: Arch, from: Medium) -> Result<Start, ProbeError> {
    match Firmware::find(arch) {
        Some(firmware) => Ok(Start::Firmware { firmware, from }),
        None => Err(ProbeError::new(
            "UEFI firmware for this machine is not here, so that nothing can be booted",
        )
        .remedy(format!("install {}", arch.firmware_packages()))),
    }
}

impl From<QemuError> for ProbeError {
    fn from(error: QemuError) -> Self {
        let said = Self::new(crate::model::path::printable(&error.to_string()));
        match error {
            QemuError::NotHere(program, packages) => said.remedy(format!(
                "install {packages}, or put a folder that has `{program}` into PATH"
            )),
            QemuError::DoesNotStart(_) => {
                said.remedy("see whether this QEMU (7.2 or newer) has what the machine asks for")
            }
            QemuError::BrokeDown(..) | QemuError::BrokeDownAtOnce(..) => said.remedy(
                "run it again; where it breaks down again, give the machine less (`memory`, `cpus`) \
                 or take another QEMU",
            ),
            QemuError::NoPicture(_) => said.remedy("leave `screenshot` out"),
            QemuError::Packets(_) => {
                said.remedy("leave `keep` out, or see who sends so much on this network")
            }
            QemuError::File { .. } => {
                said.remedy("free space in that folder, or name another: TMPDIR, or `keep`")
            }
            QemuError::Interrupted | QemuError::Exec(_) => said,
        }
    }
}
