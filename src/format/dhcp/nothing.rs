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
    Silent(Ipv4Addr),
    /// The boot server names no boot file.
    Empty(Ipv4Addr),
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
            Self::Silent(host) => {
                write!(f, "the boot server {host} does not answer on port 4011")
            }
            Self::Empty(host) => write!(f, "the boot server {host} names no boot file"),
        }
    }
}
