//! One answer of a server, as evidence.

use crate::format::dhcp::{Machine, Offer, Pxe};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One offer.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "file"))]
pub struct Offered {
    /// The server: option 54, or where the packet came from.
    pub from: String,
    /// Whether it offers no address, but only what to boot (ProxyDHCP).
    pub proxy: bool,
    /// The address that it offers.
    pub address: Option<String>,
    /// The server that comes next, the field `siaddr`.
    pub next_server: Option<String>,
    /// Option 66, or the field `sname`. Firmware does not look for the file there.
    pub server_name: Option<String>,
    /// Option 67, or the field `file`.
    pub file: Option<String>,
    /// Option 60: `PXEClient`, `HTTPClient`.
    pub vendor_class: Option<String>,
    /// Whether option 97 is that of the request; nothing where the server sends none.
    pub uuid_echoed: Option<bool>,
    /// Option 51: for how long the address is offered.
    #[schemars(extend("x-unit" = "seconds"))]
    pub lease: Option<u32>,
    /// Option 43, taken apart.
    pub pxe: Option<Discovery>,
    /// Every option by its number, in hexadecimal digits.
    pub options: BTreeMap<String, String>,
}

/// Option 43.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Discovery {
    /// Its part 6.
    pub control: Option<u8>,
    /// Whether boot servers are not looked for, and the file named is taken (bit 3 of part 6).
    pub skipped: bool,
    /// The addresses of boot servers.
    pub servers: Vec<String>,
    /// The lines of a menu.
    pub menu: Vec<String>,
    /// What is shown before the menu.
    pub prompt: Option<String>,
    /// Whether a part is cut short.
    pub broken: bool,
}

/// Writes an answer down; `machine` has asked.
pub(super) fn offered(offer: &Offer, machine: &Machine) -> Offered {
    let packet = &offer.packet;
    let address =
        |address: std::net::Ipv4Addr| (!address.is_unspecified()).then(|| address.to_string());
    let field = String::from_utf8_lossy(&packet.sname).into_owned();
    let lease = packet
        .option(51)
        .and_then(|value| <[u8; 4]>::try_from(value).ok());
    Offered {
        from: offer.sender(),
        proxy: offer.is_proxy(),
        address: address(packet.yiaddr),
        next_server: address(packet.siaddr),
        server_name: Some(packet.text(66).unwrap_or(field)).filter(|name| !name.is_empty()),
        file: offer.file(),
        vendor_class: packet.text(60),
        uuid_echoed: packet.option(97).map(|value| {
            let own = machine.uuid.as_ref().map(<[u8; 16]>::as_slice);
            value.first() == Some(&0) && value.get(1..) == own
        }),
        lease: lease.map(u32::from_be_bytes),
        pxe: packet.option(43).map(|_| discovery(offer.pxe())),
        options: packet
            .options
            .iter()
            .map(|(code, value)| (code.to_string(), hex(value)))
            .collect(),
    }
}

fn hex(value: &[u8]) -> String {
    value.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn discovery(pxe: Pxe) -> Discovery {
    Discovery {
        control: pxe.discovery_control,
        skipped: pxe.skips(),
        servers: pxe
            .servers
            .iter()
            .flat_map(|(_, all)| all)
            .map(ToString::to_string)
            .collect(),
        menu: pxe.menu.into_iter().map(|(_, shown)| shown).collect(),
        prompt: pxe.prompt.map(|(_, shown)| shown),
        broken: pxe.broken,
    }
}
