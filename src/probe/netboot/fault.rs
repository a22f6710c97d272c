//! What stops a machine, and what it shows then.

use crate::format::dhcp::{Firmware, Nothing};

/// Where a machine is when it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It asks what to boot.
    Dhcp,
    /// It fetches and starts what it was told.
    BootFile,
    /// iPXE follows scripts.
    Script,
    /// The kernel is fetched and started.
    Kernel,
    /// What is handed to the kernel is fetched.
    Initrd,
}

impl Stage {
    /// Gives the stable name that specs use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Dhcp => "dhcp",
            Self::BootFile => "boot-file",
            Self::Script => "script",
            Self::Kernel => "kernel",
            Self::Initrd => "initrd",
        }
    }
}

/// What stops a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Addresses are offered, and nothing to boot for this architecture.
    NothingOffered,
    /// Only what to boot is offered, and no address.
    NoAddress,
    /// Option 60 is missing, or says something else.
    NoVendorClass,
    /// UEFI HTTP boot is offered something that is no URL, or firmware that boots by PXE a URL.
    WrongAddress,
    /// A URL has the name of a host, and no name server is offered.
    NoNameServer,
    /// The boot server on port 4011 says nothing, or nothing of use.
    NoBootServer,
    /// Firmware drops what is offered.
    DroppedOffer,
    /// The menu of option 43 leads nowhere.
    WrongMenu,
    /// The server has no such file.
    NotFound,
    /// The server refuses in another way.
    Refused,
    /// The server sends elsewhere, and the firmware does not follow.
    Redirect,
    /// The server does not say how long the file is.
    NoLength,
    /// The server tells HEAD no length, and GET one.
    NoHead,
    /// The server tells HEAD that the file is shorter than it is.
    WrongLength,
    /// Neither the ending of the URL nor the type says what UEFI is to do with it.
    WrongType,
    /// The file, or its transfer, ends too early.
    CutShort,
    /// The file is nothing that this machine starts.
    NotAProgram,
    /// The program is for another machine.
    WrongArchitecture,
    /// It comes to the same again and again.
    Loop,
    /// A command of a script fails, and the script has nothing for that.
    ScriptFailed,
    /// The script is over, and nothing has been started.
    NothingStarted,
    /// It is another file than that of the build.
    OtherFile,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 22] = [
        Self::NothingOffered,
        Self::NoAddress,
        Self::NoVendorClass,
        Self::WrongAddress,
        Self::NoNameServer,
        Self::NoBootServer,
        Self::DroppedOffer,
        Self::WrongMenu,
        Self::NotFound,
        Self::Refused,
        Self::Redirect,
        Self::NoLength,
        Self::NoHead,
        Self::WrongLength,
        Self::WrongType,
        Self::CutShort,
        Self::NotAProgram,
        Self::WrongArchitecture,
        Self::Loop,
        Self::ScriptFailed,
        Self::NothingStarted,
        Self::OtherFile,
    ];

    /// Gives the stable name that specs use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NothingOffered => "nothing-offered",
            Self::NoAddress => "no-address",
            Self::NoVendorClass => "no-vendor-class",
            Self::WrongAddress => "wrong-address",
            Self::NoNameServer => "no-name-server",
            Self::NoBootServer => "no-boot-server",
            Self::DroppedOffer => "dropped-offer",
            Self::WrongMenu => "wrong-menu",
            Self::NotFound => "not-found",
            Self::Refused => "refused",
            Self::Redirect => "redirect",
            Self::NoLength => "no-length",
            Self::NoHead => "no-head",
            Self::WrongLength => "wrong-length",
            Self::WrongType => "wrong-type",
            Self::CutShort => "cut-short",
            Self::NotAProgram => "not-a-program",
            Self::WrongArchitecture => "wrong-architecture",
            Self::Loop => "loop",
            Self::ScriptFailed => "script-failed",
            Self::NothingStarted => "nothing-started",
            Self::OtherFile => "other-file",
        }
    }

    /// Names why nothing is booted of what is offered.
    #[must_use]
    pub fn of(why: &Nothing) -> Self {
        match why {
            Nothing::NoFile => Self::NothingOffered,
            Nothing::NoAddress | Nothing::NoOtherAddress => Self::NoAddress,
            Nothing::NoClass { .. } => Self::NoVendorClass,
            Nothing::NoUrl(_) => Self::WrongAddress,
            Nothing::NoNameServer(_) => Self::NoNameServer,
            Nothing::Silent { .. } | Nothing::Empty { .. } => Self::NoBootServer,
            Nothing::NoServerId { .. } | Nothing::Multicast { .. } => Self::DroppedOffer,
            Nothing::NoMenu(_)
            | Nothing::Waits(_)
            | Nothing::NotListed { .. }
            | Nothing::NoWay { .. }
            | Nothing::Stranger { .. } => Self::WrongMenu,
            Nothing::Disk => Self::NothingStarted,
        }
    }

    /// Gives what the machine shows when it stops, as far as it shows anything. Sources: EDK2's
    /// `PxeBcBoot.c`, `HttpBootClient.c` and `HttpBootSupport.c`; iPXE's `usr/autoboot.c` and
    /// `usr/imgmgmt.c`.
    #[must_use]
    pub fn console(self, stage: Stage, who: Firmware) -> Option<&'static str> {
        match (who, stage) {
            // These come of the build, and no machine knows that.
            _ if self == Self::OtherFile => None,
            (Firmware::Pxe, Stage::Dhcp) => Some("  PXE-E16: No valid offer received."),
            (Firmware::Http, Stage::Dhcp) => Some("  Error: Server response timeout."),
            (Firmware::Ipxe, Stage::Dhcp) => Some("Nothing to boot"),
            (Firmware::Pxe | Firmware::Http, _) => match (self, who) {
                (Self::WrongArchitecture | Self::NotAProgram, _) => {
                    Some("BdsDxe: failed to load Boot0001")
                }
                (Self::CutShort, Firmware::Http) => Some("  Error: Network device error."),
                (Self::CutShort, _) => Some("BdsDxe: failed to load Boot0001"),
                (Self::NoLength | Self::WrongType, _) => {
                    Some("  Error: Could not retrieve NBP file size from HTTP server.")
                }
                (Self::WrongLength, _) => Some("  Error: Unexpected network error."),
                (Self::NotFound, Firmware::Http) => Some("  Client Error: 404 Not Found"),
                (Self::Redirect, _) => Some("  Redirection: 302 Found"),
                (Self::NotFound | Self::Refused | Self::WrongAddress, Firmware::Pxe) => {
                    Some("  PXE-E23: Client received TFTP error from server.")
                }
                (Self::Loop, _) => Some("iPXE initialising devices..."),
                _ => None,
            },
            (Firmware::Ipxe, Stage::Initrd) if self == Self::WrongArchitecture => {
                Some("Failed to execute /init (error -8)")
            }
            (Firmware::Ipxe, _) => match self {
                Self::WrongArchitecture | Self::CutShort => {
                    Some("Could not boot: Error 0x7f048183 (https://ipxe.org/7f048183)")
                }
                Self::NotAProgram => {
                    Some("Could not select: Exec format error (https://ipxe.org/2e008081)")
                }
                Self::Loop => Some("iPXE initialising devices..."),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_tell_faults_apart() {
        let names: BTreeSet<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        assert_eq!(names.len(), Fault::ALL.len());
    }

    #[test]
    fn a_machine_shows_what_firmware_shows() {
        let said = |fault: Fault, stage, who| fault.console(stage, who).unwrap_or_default();
        assert!(said(Fault::NothingOffered, Stage::Dhcp, Firmware::Pxe).contains("PXE-E16"));
        assert!(said(Fault::NoVendorClass, Stage::Dhcp, Firmware::Http).contains("timeout"));
        assert!(said(Fault::NoLength, Stage::BootFile, Firmware::Http).contains("NBP file size"));
        assert!(said(Fault::CutShort, Stage::Kernel, Firmware::Ipxe).contains("0x7f048183"));
        assert_eq!(said(Fault::OtherFile, Stage::Kernel, Firmware::Ipxe), "");
    }
}
