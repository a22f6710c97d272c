//! The arguments of the kind as a machine and what is waited for.

use super::{Args, See};
use crate::check::ProbeError;
use crate::probe::qemu::{self, Arch, Finish, Machine, Network, Start};
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

pub(super) fn machine(
    args: &Args,
    kernel: PathBuf,
    initrd: Option<PathBuf>,
) -> Result<Machine, ProbeError> {
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
    if args.mac.is_some() && !args.network {
        return wrong("`mac` is that of a network card: say `network: true` too".into());
    }
    if arch == Arch::Arm64 && (args.uuid.is_some() || args.serial.is_some()) {
        let what = "`uuid` and `serial` are told by firmware, and this machine has none";
        return Err(ProbeError::new(what)
            .remedy("leave them out: a kernel of ARM64 that is started directly cannot see them"));
    }
    let mac = args.mac.as_deref().unwrap_or(MAC);
    if !is_hex(mac, &[2; 6], ':') {
        return Err(
            ProbeError::new(format!("`{}` is no MAC address", mac.escape_debug()))
                .remedy("write it as 52:54:00:12:34:56"),
        );
    }
    if let Some(uuid) = &args.uuid
        && !is_hex(uuid, &[8, 4, 4, 4, 12], '-')
    {
        return wrong(format!("`{}` is no UUID", uuid.escape_debug()));
    }
    let start = Start::Direct {
        kernel,
        initrd,
        cmdline: args
            .cmdline
            .clone()
            .unwrap_or_else(|| format!("console={}", arch.console())),
    };
    Ok(Machine {
        arch,
        cpus,
        memory,
        start,
        network: args.network.then(|| Network {
            mac: mac.to_owned(),
            pcap: None,
        }),
        uuid: args.uuid.clone(),
        serial: args.serial.clone(),
    })
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
