//! Who asks DHCP servers, and by which way: the arguments that kinds have in common.

use crate::check::ProbeError;
use crate::format::dhcp::{Firmware, Machine, SERVER_PORT};
use crate::probe::dhcp::Way;
use std::net::SocketAddrV4;
use std::time::Duration;

/// The arguments, as they are written.
pub(in crate::check) struct Asked<'a> {
    pub(in crate::check) arch: &'a str,
    pub(in crate::check) firmware: Option<&'a str>,
    pub(in crate::check) client_arch: Option<u16>,
    pub(in crate::check) mac: Option<&'a str>,
    pub(in crate::check) uuid: Option<&'a str>,
    pub(in crate::check) interface: Option<&'a str>,
    pub(in crate::check) server: Option<&'a str>,
    pub(in crate::check) relay: Option<&'a str>,
    pub(in crate::check) wait: Option<f64>,
}

/// Reads how long is waited.
pub(in crate::check) fn wait(args: &Asked<'_>) -> Result<Duration, ProbeError> {
    let wait = args.wait.unwrap_or(6.0);
    let wait = Duration::try_from_secs_f64(wait)
        .ok()
        .filter(|wait| !wait.is_zero());
    wait.ok_or_else(|| ProbeError::new("`wait` is a time that is not zero"))
}

/// Reads whom it is asked.
pub(in crate::check) fn way(args: &Asked<'_>) -> Result<Way, ProbeError> {
    let address = |name: &str, text: &str| {
        let whole = match text.contains(':') {
            true => text.to_owned(),
            false => format!("{text}:{SERVER_PORT}"),
        };
        whole.parse::<SocketAddrV4>().map_err(|_| {
            let what = format!("`{name}`: `{}` is no IPv4 address", text.escape_debug());
            ProbeError::new(what).remedy("write 10.0.0.1, or 10.0.0.1:67")
        })
    };
    match (args.interface, args.server, args.relay) {
        (Some(name), None, None) => Ok(Way::Interface(name.to_owned())),
        (None, Some(server), Some(relay)) => Ok(Way::Relay {
            server: address("server", server)?,
            relay: address("relay", relay)?,
        }),
        _ => {
            let what = "either `interface`, or `server` and `relay`, say whom it asks";
            Err(ProbeError::new(what).remedy(
                "name the network card, or a server and the address of this machine that it \
                 answers to",
            ))
        }
    }
}

/// Reads who asks.
pub(in crate::check) fn machine(args: &Asked<'_>) -> Result<Machine, ProbeError> {
    let firmware = match args.firmware {
        Some("http") => Firmware::Http,
        Some("ipxe") => Firmware::Ipxe,
        _ => Firmware::Pxe,
    };
    let arch = match (args.client_arch, args.arch, firmware) {
        (Some(arch), _, _) => arch,
        (None, "arm64", Firmware::Http) => 19,
        (None, "arm64", _) => 11,
        (None, "amd64", Firmware::Http) => 16,
        (None, "amd64", _) => 7,
        (None, "arm", Firmware::Http) => 18,
        (None, "arm", _) => 10,
        (None, _, Firmware::Http) => 15,
        (None, _, _) => 0,
    };
    let mac = args.mac.unwrap_or("02:74:64:67:00:01");
    let mac = unhex(&mac.replace([':', '-'], "")).ok_or_else(|| {
        let what = format!("`{}` is no MAC address", mac.escape_debug());
        ProbeError::new(what).remedy("write it as 52:54:00:12:34:56")
    })?;
    let uuid = args.uuid.map(|uuid| {
        unhex(&uuid.replace('-', ""))
            .ok_or_else(|| ProbeError::new(format!("`{}` is no UUID", uuid.escape_debug())))
    });
    Ok(Machine {
        mac,
        uuid: uuid.transpose()?,
        arch,
        firmware,
    })
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.len() == N * 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bytes = (0..N).map(|at| u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok());
    let bytes: Option<Vec<u8>> = bytes.collect();
    bytes.filter(|_| digits)?.try_into().ok()
}
