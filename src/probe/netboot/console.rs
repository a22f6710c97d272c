//! What would stand on a machine's screen.

use super::{Fault, Stage};
use crate::format::dhcp::{Boot, Firmware, Nothing, Offer};
use crate::model::value::clip;

/// Lines that are kept.
const MOST: usize = 1000;

/// The screen.
#[derive(Default)]
pub(super) struct Console {
    lines: Vec<String>,
}

impl Console {
    /// Writes a line.
    pub(super) fn say(&mut self, line: impl AsRef<str>) {
        if self.lines.len() < MOST {
            let line = line.as_ref().replace(|c: char| c.is_control(), "?");
            self.lines.push(clip(&line, 500));
        }
    }

    /// Gives the lines.
    pub(super) fn lines(self) -> Vec<String> {
        self.lines
    }

    /// Begins to ask.
    pub(super) fn asks(&mut self, who: Firmware, mac: &str) {
        match who {
            Firmware::Pxe => self.say(">>Start PXE over IPv4."),
            Firmware::Http => self.say(">>Start HTTP Boot over IPv4."),
            Firmware::Ipxe => {
                self.say("iPXE initialising devices...ok");
                self.say(format!("Configuring (net0 {mac})...... ok"));
            }
        }
    }

    /// Tells whether firmware takes the address that is offered, where it boots nothing for this.
    pub(super) fn takes(who: Firmware, why: Option<&Nothing>) -> bool {
        use Nothing as N;
        match (who, why) {
            (_, None) | (Firmware::Ipxe, _) => true,
            (Firmware::Http, Some(_)) => false,
            (Firmware::Pxe, Some(why)) => match why {
                N::NoAddress
                | N::NoFile
                | N::NoClass { .. }
                | N::NoUrl(_)
                | N::NoNameServer(_)
                | N::NoOtherAddress
                | N::NoServerId { .. } => false,
                // On port 4011 it is asked after that.
                N::Multicast { asked, .. } => *asked,
                N::Disk
                | N::Silent { .. }
                | N::Empty { .. }
                | N::NoMenu(_)
                | N::Waits(_)
                | N::NotListed { .. }
                | N::NoWay { .. }
                | N::Stranger { .. } => true,
            },
        }
    }

    /// Shows that nothing is booted. Source: `PxeBcLoadBootFile` of EDK2's `PxeBcBoot.c`, and what a
    /// machine of QEMU's shows.
    pub(super) fn nothing(&mut self, who: Firmware, why: &Nothing) {
        use Nothing as N;
        let line = match (who, why) {
            (Firmware::Pxe, N::NoServerId { alone: true, .. })
            | (Firmware::Pxe, N::Multicast { alone: true, .. })
            | (Firmware::Pxe, N::Silent { menu: true, .. }) => {
                "  PXE-E18: Server response timeout."
            }
            (Firmware::Pxe, N::Disk | N::NoMenu(_)) => "  PXE-E21: Remote boot cancelled.",
            (Firmware::Pxe, N::NotListed { .. }) => "  PXE-E07: Network device error.",
            (Firmware::Pxe, N::NoWay { .. } | N::Empty { menu: true, .. }) => {
                "  PXE-E99: Unexpected network error."
            }
            (Firmware::Pxe, N::Stranger { .. }) => "  PXE-E53: No boot filename received.",
            // It stands there with its menu.
            (Firmware::Pxe, N::Waits(_)) => return,
            (who, why) => return self.stops(Fault::of(why), Stage::Dhcp, who),
        };
        self.say(line);
    }

    /// Shows the address that is offered.
    pub(super) fn address(&mut self, who: Firmware, offer: Option<&Offer>) {
        let Some(offer) = offer else { return };
        let (own, mask) = (offer.packet.yiaddr, offer.packet.address(1));
        match (who, mask) {
            (Firmware::Pxe | Firmware::Http, _) => {
                self.say(format!("  Station IP address is {own}"))
            }
            (Firmware::Ipxe, Some(mask)) => self.say(format!("net0: {own}/{mask}")),
            (Firmware::Ipxe, None) => self.say(format!("net0: {own}")),
        }
    }

    /// Shows what is to be booted.
    pub(super) fn file(&mut self, who: Firmware, boot: &Boot) {
        let server = boot.server.as_deref();
        match who {
            Firmware::Pxe => {
                self.say(format!(
                    "  Server IP address is {}",
                    server.unwrap_or("0.0.0.0")
                ));
                self.say(format!("  NBP filename is {}", boot.file));
            }
            Firmware::Http => self.say(format!(
                "  URI: {}",
                crate::model::address::shown(&boot.file)
            )),
            Firmware::Ipxe => {
                if let Some(server) = server {
                    self.say(format!("Next server: {server}"));
                }
                self.say(format!(
                    "Filename: {}",
                    crate::model::address::shown(&boot.file)
                ));
            }
        }
    }

    /// Shows that the boot file came.
    pub(super) fn came(&mut self, who: Firmware, size: u64) {
        match who {
            Firmware::Pxe => {
                self.say(format!("  NBP filesize is {size} Bytes"));
                self.say("  NBP file downloaded successfully.");
            }
            Firmware::Http => {
                self.say(format!("  File Size: {size} Bytes"));
                self.say("  Downloading...100%");
            }
            Firmware::Ipxe => {}
        }
    }

    /// Shows where it stops.
    pub(super) fn stops(&mut self, fault: Fault, stage: Stage, who: Firmware) {
        if let Some(line) = fault.console(stage, who) {
            self.say(line);
        }
    }
}
