//! What no console may say: a kernel or firmware that gave up, and a shell for emergencies.

use regex::Regex;
use std::sync::LazyLock;

/// What a line of a console means, where it means that the machine is lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// The kernel gave up.
    Panic,
    /// The kernel did what it must not, and went on, or not.
    Oops,
    /// An initramfs or systemd asks a person for help.
    EmergencyShell,
    /// The firmware or a boot loader gave up, or asks a person for help.
    Firmware,
    /// What the spec forbids.
    Never,
}

impl FaultKind {
    /// The names of all.
    pub const NAMES: [&'static str; 5] = ["panic", "oops", "emergency-shell", "firmware", "never"];

    /// Gives its name in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::Panic => "panic",
            Self::Oops => "oops",
            Self::EmergencyShell => "emergency-shell",
            Self::Firmware => "firmware",
            Self::Never => "never",
        }
    }

    /// Says what happened, in words.
    pub fn says(self) -> &'static str {
        match self {
            Self::Panic => "the kernel panicked",
            Self::Oops => "the kernel had a fault of its own (an oops)",
            Self::EmergencyShell => "the machine went into an emergency shell",
            Self::Firmware => "the firmware or boot loader gave up",
            Self::Never => "what must never be seen was seen",
        }
    }
}

/// What is said, by whom: Linux (kernel/panic.c, arch/*/mm/fault.c, lib/bug.c), systemd
/// (emergency.service), dracut (emergency mode), initramfs-tools (`panic` in scripts/functions), EDK2
/// (the exception handlers of its CPU drivers, its boot manager and shell), GRUB and iPXE (their prompts).
/// Borders of words and digits are those of ASCII: in a line with any other character, those of Unicode
/// are looked for ten times as slowly.
const SAID: &[(FaultKind, &str)] = &[
    (FaultKind::Panic, r"Kernel panic - not syncing"),
    (
        FaultKind::Oops,
        r"Internal error: .*\[#[0-9]+\]|(?-u:\b)Oops: .*\[#[0-9]+\]|(?-u:\b)BUG: unable to handle|(?-u:\b)BUG: kernel NULL pointer|kernel BUG at |Unable to handle kernel |general protection fault,? .*\[#[0-9]+\]|: [0-9a-f]{4,} \[#[0-9]+\]",
    ),
    (
        FaultKind::EmergencyShell,
        r"You are in emergency mode|Entering emergency mode|Generating .*/rdsosreport\.txt|Give root password for (maintenance|system maintenance)|Press Enter for (maintenance|system maintenance)|Dropping to a shell!?$|^\(initramfs\) ?$|^dracut:/.*# ?$",
    ),
    (
        FaultKind::Firmware,
        r"^Synchronous Exception at 0x|^!!!! (X64|IA32) Exception Type|^ASSERT_EFI_ERROR|^ASSERT \[|^BdsDxe: No bootable option or device was found|^Shell> ?$|^grub( rescue)?> ?$|^iPXE> ?$",
    ),
];

/// Tells what a line of a console means.
pub fn fault_in(line: &str) -> Option<FaultKind> {
    static READ: LazyLock<Vec<(FaultKind, Option<Regex>)>> = LazyLock::new(|| {
        let read = |(kind, said): &(FaultKind, &str)| (*kind, Regex::new(said).ok());
        SAID.iter().map(read).collect()
    });
    let found = READ
        .iter()
        .find(|(_, said)| said.as_ref().is_some_and(|said| said.is_match(line)));
    found.map(|(kind, _)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lost_machines_say() {
        for (line, kind) in [
            (
                "[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
                "panic",
            ),
            (
                "[    1.3] ---[ end Kernel panic - not syncing: No working init found. ]---",
                "panic",
            ),
            (
                "[    9.9] Internal error: Oops: 0000000096000044 [#1] SMP",
                "oops",
            ),
            ("[    9.9] Oops: 0002 [#1] PREEMPT SMP PTI", "oops"),
            (
                "[    9.9] BUG: kernel NULL pointer dereference, address: 0000000000000000",
                "oops",
            ),
            (
                "[    9.9] Unable to handle kernel paging request at virtual address dead000000000108",
                "oops",
            ),
            (
                "[    9.9] general protection fault: 0000 [#1] PREEMPT SMP PTI",
                "oops",
            ),
            (
                "[    9.9] general protection fault, probably for non-canonical address 0xdead000000000108: 0000 [#1] SMP",
                "oops",
            ),
            ("[    9.9] divide error: 0000 [#1] SMP", "oops"),
            ("\u{fffd}[    9.9] Oops: 0002 [#1] \u{fffd}", "oops"),
            ("[    9.9] invalid opcode: 0000 [#2] SMP NOPTI", "oops"),
            ("[    9.9] kernel BUG at mm/slub.c:4100!", "oops"),
            (
                "You are in emergency mode. After logging in, type \"journalctl -xb\" to view",
                "emergency-shell",
            ),
            (
                "Generating \"/run/initramfs/rdsosreport.txt\"",
                "emergency-shell",
            ),
            (
                "ALERT!  UUID=1 does not exist.  Dropping to a shell!",
                "emergency-shell",
            ),
            ("(initramfs) ", "emergency-shell"),
            ("dracut:/# ", "emergency-shell"),
            ("Press Enter for maintenance", "emergency-shell"),
            ("Synchronous Exception at 0x000000013C1E4F08", "firmware"),
            (
                "!!!! X64 Exception Type - 0E(#PF - Page-Fault)  CPU Apic ID - 00000000 !!!!",
                "firmware",
            ),
            (
                "BdsDxe: No bootable option or device was found.",
                "firmware",
            ),
            ("Shell> ", "firmware"),
            ("grub> ", "firmware"),
            ("grub rescue> ", "firmware"),
        ] {
            assert_eq!(fault_in(line).map(FaultKind::name), Some(kind), "{line}");
        }
    }

    #[test]
    fn what_healthy_machines_say() {
        for line in [
            "[    0.0] Kernel command line: console=ttyAMA0 panic=-1 oops=panic",
            "[    1.0] Kernel panic timeout set",
            "[    2.0] debug: no BUG here",
            "[    2.0] queue: 12 [#1], 0000 [1]",
            "[    0.1] Run /init as init process",
            "Starting Emergency Shell... skipped",
            "root@dracut:/# is a prompt in a text",
            "Shell> fs0:",
            "grub> linux /vmlinuz",
            "Reached target emergency.target was not needed",
            "",
        ] {
            assert_eq!(fault_in(line), None, "{line}");
        }
    }

    #[test]
    fn every_expression_is_one_and_every_kind_has_its_name() {
        for (kind, said) in SAID {
            assert!(Regex::new(said).is_ok(), "{said}");
            assert!(FaultKind::NAMES.contains(&kind.name()));
            assert!(!said.replace(r"(?-u:\b)", "").contains(r"\b") && !said.contains(r"\d"));
        }
    }
}
