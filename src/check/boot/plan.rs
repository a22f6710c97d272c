//! The arguments of the kind as a machine and what is waited for.

use super::{Args, See};
use crate::check::ProbeError;
use crate::probe::qemu::{self, Arch, Finish, Machine, Network, Protocol, Start, Wire};
use regex::Regex;
use std::path::PathBuf;
use std::time::Duration;

/// A machine's memory where a spec says nothing.
const MEMORY: u64 = 1 << 30;
/// The bounds of what a spec may ask for.
const MOST_MEMORY: u64 = 64 << 30;
const LEAST_MEMORY: u64 = 16 << 20;
const MOST_CPUS: u32 = 64;
const MOST_STEPS: usize = 256;
const LONGEST: f64 = 24.0 * 3600.0;
/// A network card's address where a spec says nothing: a local one, as that of the kind `dhcp`.
const MAC: &str = "02:74:64:67:00:01";

pub(super) fn finish(args: &Args) -> Finish {
    match args.then.as_deref() {
        Some("power-button") => Finish::PowerButton,
        Some("wait") => Finish::Wait,
        _ => Finish::Stop,
    }
}

fn pattern(name: &str, text: &str) -> Result<Regex, ProbeError> {
    let wrong = |why: String| ProbeError::new(format!("`{name}`: {why}"));
    let read = Regex::new(text).map_err(|error| wrong(error.to_string()))?;
    match read.is_match("") {
        true => Err(wrong(format!("/{text}/ matches a line with nothing in it"))
            .remedy("write what the line has to hold")),
        false => Ok(read),
    }
}

pub(super) fn duration(seconds: Option<f64>) -> Result<Option<Duration>, ProbeError> {
    let Some(seconds) = seconds else {
        return Ok(None);
    };
    let time = Duration::try_from_secs_f64(seconds).ok();
    let time = time.filter(|time| !time.is_zero() && time.as_secs_f64() <= LONGEST);
    let wrong = || ProbeError::new("`within` is a time that is not zero, and no more than a day");
    time.map(Some).ok_or_else(wrong)
}

pub(super) fn steps(args: &Args) -> Result<Vec<qemu::Step>, ProbeError> {
    if args.sees.len() > MOST_STEPS {
        return Err(ProbeError::new(format!(
            "`sees` has more than {MOST_STEPS} patterns"
        )));
    }
    let each = duration(args.within)?;
    let step = |see: &See| {
        Ok(qemu::Step {
            pattern: pattern("sees", &see.pattern)?,
            within: duration(see.within)?.or(each),
        })
    };
    args.sees.iter().map(step).collect()
}

pub(super) fn never(args: &Args) -> Result<Vec<Regex>, ProbeError> {
    let patterns = args.never.iter().map(|text| pattern("never", text));
    patterns.collect()
}

/// What is started first.
pub(super) enum First<'a> {
    /// A kernel.
    Kernel(&'a str),
    /// What firmware finds on a disk.
    Disk(&'a str),
    /// What firmware finds on an optical disc.
    Iso(&'a str),
    /// What firmware is offered by a network.
    Netboot(Protocol),
}

/// Reads what is started first, and that nothing is said of what else could be.
pub(super) fn first(args: &Args) -> Result<First<'_>, ProbeError> {
    let wrong = |what: &str| Err(ProbeError::new(what.to_owned()));
    let named = [&args.kernel, &args.disk, &args.iso, &args.netboot];
    if named.into_iter().flatten().count() != 1 {
        return wrong("one of `kernel`, `disk`, `iso` and `netboot` says what is started");
    }
    if args.kernel.is_none() && (args.initrd.is_some() || args.cmdline.is_some()) {
        return wrong("`initrd` and `cmdline` belong to a `kernel` that is started directly");
    }
    if args.boot_file.is_some() && args.interface.is_some() {
        return wrong(
            "either the network at `interface` offers a file, or QEMU does (`boot-file`)",
        );
    }
    if args.boot_file.is_some() && args.netboot.is_none() {
        return wrong("`boot-file` is what `netboot` is offered");
    }
    if args.screenshot && args.keep.is_none() {
        return wrong("`keep` says where `screenshot` is kept");
    }
    if let Some(kernel) = &args.kernel {
        return Ok(First::Kernel(kernel));
    }
    if let Some(disk) = &args.disk {
        return Ok(First::Disk(disk));
    }
    if let Some(iso) = &args.iso {
        return Ok(First::Iso(iso));
    }
    let Some(protocol) = args.netboot.as_deref().and_then(Protocol::named) else {
        return wrong("`netboot` is `pxe` or `http`");
    };
    match (&args.interface, &args.boot_file, protocol) {
        (Some(_), _, _) | (None, Some(_), Protocol::Pxe) => Ok(First::Netboot(protocol)),
        (None, Some(_), Protocol::Http) => wrong(
            "QEMU's own network offers no HTTP boot: name an `interface` with servers behind it",
        ),
        (None, None, _) => wrong("nobody offers anything: name an `interface`, or a `boot-file`"),
    }
}

/// Gives the kernel's command line.
pub(super) fn cmdline(args: &Args, arch: Arch) -> String {
    let console = || format!("console={}", arch.console());
    args.cmdline.clone().unwrap_or_else(console)
}

/// Makes the machine, with a start that has no files yet.
pub(super) fn machine(args: &Args) -> Result<Machine, ProbeError> {
    let wrong = |what: String| Err(ProbeError::new(what));
    let Some(arch) = Arch::named(&args.arch) else {
        return wrong(format!(
            "`{}` is no processor that is booted here",
            args.arch
        ));
    };
    let memory = args.memory.unwrap_or(MEMORY);
    if !(LEAST_MEMORY..=MOST_MEMORY).contains(&memory) {
        return wrong("`memory` is from 16 MiB to 64 GiB".into());
    }
    let cpus = args.cpus.unwrap_or(2);
    if !(1..=MOST_CPUS).contains(&cpus) {
        return wrong(format!("`cpus` is from 1 to {MOST_CPUS}"));
    }
    if arch == Arch::Arm64
        && args.kernel.is_some()
        && (args.uuid.is_some() || args.serial.is_some())
    {
        let what = "`uuid` and `serial` are told by firmware, and this machine has none";
        return Err(ProbeError::new(what)
            .remedy("leave them out: a kernel of ARM64 that is started directly cannot see them"));
    }
    if let Some(uuid) = &args.uuid
        && !is_hex(uuid, &[8, 4, 4, 4, 12], '-')
    {
        return wrong(format!("`{}` is no UUID", uuid.escape_debug()));
    }
    Ok(Machine {
        arch,
        cpus,
        memory,
        start: Start::Direct {
            kernel: PathBuf::new(),
            initrd: None,
            cmdline: String::new(),
        },
        network: network(args)?,
        screen: args.screenshot,
        uuid: args.uuid.clone(),
        serial: args.serial.clone(),
    })
}

fn network(args: &Args) -> Result<Option<Network>, ProbeError> {
    let mac = args.mac.as_deref().unwrap_or(MAC);
    if !is_hex(mac, &[2; 6], ':') {
        return Err(
            ProbeError::new(format!("`{}` is no MAC address", mac.escape_debug()))
                .remedy("write it as 52:54:00:12:34:56"),
        );
    }
    let wire = match &args.interface {
        // The longest that Linux takes (IFNAMSIZ).
        Some(name) if name.is_empty() || name.len() > 15 || name.contains(['/', ' ', '%']) => {
            let what = format!("`{}` is no name of a network card", name.escape_debug());
            return Err(ProbeError::new(what));
        }
        Some(name) => Wire::Tap(name.clone()),
        None if args.network || args.netboot.is_some() => Wire::Inside { boot_file: None },
        None if args.mac.is_some() => {
            let what = "`mac` is that of a network card: say `network: true` too";
            return Err(ProbeError::new(what));
        }
        None => return Ok(None),
    };
    Ok(Some(Network {
        mac: mac.to_owned(),
        pcap: None,
        wire,
    }))
}

/// Tells whether a text is groups of hexadecimal digits of these lengths.
fn is_hex(text: &str, lengths: &[usize], between: char) -> bool {
    let groups: Vec<&str> = text.split(between).collect();
    let digits = |group: &&str| group.bytes().all(|byte| byte.is_ascii_hexdigit());
    groups.iter().all(digits)
        && groups
            .iter()
            .map(|group| group.len())
            .eq(lengths.iter().copied())
}
