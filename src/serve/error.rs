//! Why nothing is served.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use thiserror::Error;

/// Says why the servers cannot begin, and what to do.
#[derive(Debug, Error)]
pub enum ServeError {
    /// The folder cannot be served.
    #[error("{} cannot be served: {source}: name a folder that may be read", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The layout is no artifact that can be served.
    #[error("{} {what}", path.display())]
    Layout {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        what: String,
    },
    /// Several things may be meant.
    #[error("{} {what}", path.display())]
    Which {
        /// The folder.
        path: PathBuf,
        /// What there is to choose from.
        what: String,
    },
    /// The verdict is none that holds.
    #[error(
        "{} is not green: {why}: build it until its specs hold (tdg generate), pull it with what is \
         attached to it (tdg pull --referrers), or serve it all the same (--force)",
        path.display()
    )]
    NotGreen {
        /// The folder.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The port needs privileges.
    #[error(
        "{server} cannot listen at {at}: ports below 1024 are not for every user: run it as root, \
         give the program the capability (setcap cap_net_bind_service=+ep), choose another port \
         ({option} {other}), or leave {server} out (--only http)"
    )]
    Privilege {
        /// `http`, `tftp` or `dhcp`.
        server: &'static str,
        /// Where.
        at: SocketAddr,
        /// The option that sets the port.
        option: &'static str,
        /// A port that every user may have.
        other: u16,
    },
    /// The port is taken.
    #[error(
        "{server} cannot listen at {at}: another program does; `ss -lnp` tells which. End it, or \
         choose another port ({option} {other})"
    )]
    Taken {
        /// `http`, `tftp` or `dhcp`.
        server: &'static str,
        /// Where.
        at: SocketAddr,
        /// The option that sets the port.
        option: &'static str,
        /// Another port.
        other: u16,
    },
    /// The address is none of this machine.
    #[error(
        "{server} cannot listen at {at}: this machine does not have that address; `ip address` lists those it has"
    )]
    NoAddress {
        /// `http`, `tftp` or `dhcp`.
        server: &'static str,
        /// Where.
        at: SocketAddr,
    },
    /// There is no such network card, or it has no address.
    #[error("the network card `{name}` {what}; `ip address` lists cards and addresses")]
    Interface {
        /// The name.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// ProxyDHCP knows IPv4 alone.
    #[error("ProxyDHCP is for IPv4: --listen an IPv4 address, or --only http,tftp")]
    Version6,
    /// ProxyDHCP names the server by its address.
    #[error(
        "ProxyDHCP tells machines an address of this server, which {0} is not: name a network card \
         (--interface CARD) or one address (--listen)"
    )]
    NoAddressToTell(std::net::IpAddr),
    /// Anything else that this machine cannot do.
    #[error("{what}: {source}")]
    Local {
        /// What.
        what: String,
        /// What the system says.
        source: io::Error,
    },
}

impl ServeError {
    /// Tells why a server does not get its port.
    pub(super) fn bind(
        server: &'static str,
        at: SocketAddr,
        option: &'static str,
        other: u16,
    ) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::PermissionDenied => Self::Privilege {
                server,
                at,
                option,
                other,
            },
            io::ErrorKind::AddrInUse => Self::Taken {
                server,
                at,
                option,
                other,
            },
            io::ErrorKind::AddrNotAvailable => Self::NoAddress { server, at },
            _ => Self::Local {
                what: format!("{server} cannot listen at {at}"),
                source,
            },
        }
    }

    /// Makes one of something that the system refuses.
    pub(super) fn local(what: &str) -> impl FnOnce(io::Error) -> Self {
        let what = what.to_owned();
        move |source| Self::Local { what, source }
    }
}
