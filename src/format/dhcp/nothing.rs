//! Why firmware boots nothing.

use std::fmt;
use std::net::Ipv4Addr;

/// Why nothing is booted of what servers offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Nothing {
    /// No server offers an address.
    NoAddress,
    /// Addresses are offered, and no boot file.
    NoFile,
    /// The first line of a menu boots from a disk of the machine.
    Disk,
    /// A file is offered without the class of option 60 that this firmware wants to see.
    NoClass {
        /// The file.
        file: String,
        /// The class: `PXEClient`, `HTTPClient`.
        class: &'static str,
    },
    /// A file is offered to UEFI HTTP boot, and is no URL.
    NoUrl(String),
    /// A URL has the name of a host, and no name server is offered.
    NoNameServer(String),
    /// The server of the URL offers no address, and no other does.
    NoOtherAddress,
    /// The boot server does not answer on port 4011.
    Silent {
        /// The server.
        server: Ipv4Addr,
        /// Whether a menu leads to it.
        menu: bool,
    },
    /// The boot server names no boot file.
    Empty {
        /// The server.
        server: Ipv4Addr,
        /// Whether a menu leads to it.
        menu: bool,
    },
    /// An answer has no option 54, and UEFI firmware drops it.
    NoServerId {
        /// Where it came from.
        from: Ipv4Addr,
        /// Whether no other answer is left.
        alone: bool,
    },
    /// Option 43 speaks of multicast TFTP, and UEFI firmware drops the answer.
    Multicast {
        /// The server that sent it.
        from: String,
        /// Whether no other address is offered.
        alone: bool,
        /// Whether it is what a boot server was asked for on port 4011.
        asked: bool,
    },
    /// Option 43 of this server says how boot servers are found, and has no menu.
    NoMenu(String),
    /// The menu of this server waits for a person without end.
    Waits(String),
    /// The first line of a menu leads to boot servers of a type that is not listed.
    NotListed {
        /// The type.
        item: u16,
        /// The server that says so.
        from: String,
    },
    /// A menu leads to boot servers, and there is no way to ask them.
    NoWay {
        /// The server that says so.
        from: String,
    },
    /// Only listed boot servers count, and `siaddr` of the answer names another.
    Stranger {
        /// The server that answers.
        server: Ipv4Addr,
        /// What it says.
        siaddr: Ipv4Addr,
    },
}

impl fmt::Display for Nothing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress => f.write_str("no server offers an address"),
            Self::NoFile => f.write_str("no server names a boot file for this machine"),
            Self::Disk => {
                f.write_str("the first line of the menu boots from a disk of the machine")
            }
            Self::NoClass {
                file,
                class: "HTTPClient",
            } => write!(
                f,
                "`{file}` is offered without option 60 `HTTPClient`, and not taken by UEFI HTTP \
                 boot"
            ),
            Self::NoClass { file, class } => write!(
                f,
                "`{file}` is offered by ProxyDHCP without option 60 `{class}`, and not taken"
            ),
            Self::NoUrl(file) => write!(f, "`{file}` is offered to UEFI HTTP boot, and is no URL"),
            Self::NoNameServer(file) => write!(
                f,
                "`{file}` has the name of a host, and no name server is offered (option 6)"
            ),
            Self::NoOtherAddress => {
                f.write_str("the server of the URL offers no address, and no other does")
            }
            Self::Silent { server, menu: _ } => {
                write!(f, "the boot server {server} does not answer on port 4011")
            }
            Self::Empty { server, menu: _ } => {
                write!(f, "the boot server {server} names no boot file")
            }
            Self::NoServerId { from, alone: _ } => write!(
                f,
                "the answer of {from} has no server identifier, and UEFI firmware drops it: send \
                 option 54"
            ),
            Self::Multicast { from, .. } => write!(
                f,
                "option 43 of {from} speaks of multicast TFTP (parts 1 to 5), and UEFI firmware \
                 drops the answer: leave them out, and let part 6 be 8"
            ),
            Self::NoMenu(from) => write!(
                f,
                "option 43 of {from} has neither a menu (part 9) nor a boot file with bit 3 in part \
                 6, and UEFI firmware gives up (PXE-E21): name a boot file, and let part 6 be 8"
            ),
            Self::Waits(from) => write!(
                f,
                "the menu of {from} waits for a person without end: let the first byte of part 10 \
                 of option 43 be the seconds that it waits, less than 255"
            ),
            Self::NotListed { item, from } => write!(
                f,
                "the first line of the menu of {from} leads to boot servers of type {item}, and \
                 part 8 of option 43 lists no address of that type (PXE-E07)"
            ),
            Self::NoWay { from } => write!(
                f,
                "the menu of {from} leads to boot servers, and leaves no way to ask them (PXE-E99): \
                 list them in part 8 of option 43, and let part 6 be 3"
            ),
            Self::Stranger { server, siaddr } => write!(
                f,
                "the boot server {server} answers with `siaddr` {siaddr}, which is not listed in \
                 part 8 of option 43, and part 6 wants it to be (PXE-E53)"
            ),
        }
    }
}
