//! A boot as a record that specs name.

use super::{Evidence, Fault, Seen};
use crate::model::path::printable;
use crate::probe::qemu::Booted;

impl Evidence {
    /// Makes it of what was seen.
    pub(super) fn of(booted: &Booted, files: Vec<String>) -> Self {
        let seen = booted.seen.iter().map(|seen| Seen {
            pattern: seen.pattern.clone(),
            text: seen.text.clone(),
            line: seen.line.clone(),
            after: seen.after.as_secs_f64(),
        });
        Self {
            problem: booted.problem.clone(),
            end: booted.ending.name().to_owned(),
            seen: seen.collect(),
            missing: booted.missing.clone(),
            fault: booted.fault.as_ref().map(|fault| Fault {
                kind: fault.kind.name().to_owned(),
                line: fault.line.clone(),
                after: fault.after.as_secs_f64(),
            }),
            console: booted.console.clone(),
            accelerator: match booted.hardware {
                true => "kvm".to_owned(),
                false => "emulation".to_owned(),
            },
            kvm_refused: booted.refused.as_deref().map(printable),
            firmware: booted.firmware.as_deref().map(printable),
            qemu: booted.version.clone(),
            files,
            duration: booted.duration.as_secs_f64(),
        }
    }
}
