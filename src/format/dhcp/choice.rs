//! What firmware may do, once it has looked at offers.

use std::net::Ipv4Addr;

use super::{Nothing, Offer};
use crate::model::value::clip;

/// What a machine would boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// The server that has the file; of a URL, nothing.
    pub server: Option<String>,
    /// The file, or its URL.
    pub file: String,
}

/// Who is asked on port 4011.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The offer that says so.
    pub offer: usize,
    /// The server.
    pub server: Ipv4Addr,
    /// The type of boot server, where a menu leads to it.
    pub item: Option<u16>,
    /// What `siaddr` of the answer may say; any address, where there is none.
    pub only: Vec<Ipv4Addr>,
}

/// What firmware does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// It boots what an offer, by its number, names.
    Boot(usize, Boot),
    /// It asks boot servers on port 4011, one after the other, until one says something of use.
    Ask(Vec<Question>),
    /// It asks for boot servers by `broadcast` or `multicast`, where nobody knows who answers.
    Unseen(&'static str),
    /// It boots nothing, and why.
    Nothing(Nothing),
}

/// An offer, by its number.
pub(super) type Numbered<'o> = (usize, &'o Offer);

/// Gives the first offer that is like this.
pub(super) fn first<'o>(
    offers: &[Numbered<'o>],
    is: impl Fn(&Offer) -> bool,
) -> Option<Numbered<'o>> {
    offers.iter().copied().find(|(_, offer)| is(offer))
}

/// Says why nothing is booted where nobody offers a file to this firmware.
pub(super) fn named_by_nobody(offers: &[Numbered<'_>]) -> Choice {
    let alone = first(offers, |offer| offer.is_proxy() && offer.boot().is_some());
    Choice::Nothing(match alone.and_then(|(_, offer)| offer.file()) {
        Some(file) => Nothing::NoClass {
            file: shown(&file),
            class: "PXEClient",
        },
        None => Nothing::NoFile,
    })
}

/// Makes a name fit for a line.
pub(super) fn shown(file: &str) -> String {
    clip(&file.escape_debug().to_string(), 200)
}
