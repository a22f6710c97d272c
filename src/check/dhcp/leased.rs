//! A lease that was taken and given back, as evidence.

use super::offered::{Offered, offered};
use crate::check::{Context, ProbeError};
use crate::format::dhcp::{Machine, Offer};
use crate::probe::dhcp::{Answer, Lease, Turn, lease};
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;

/// What a server answers once its address is asked for (REQUEST). The address is given back (RELEASE);
/// no server answers to that.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Leased {
    /// Whether the server gives the address (ACK).
    pub given: bool,
    /// Why it does not: what it says with its refusal (NAK), or that it does not answer.
    pub reason: Option<String>,
    /// The address that was asked for.
    pub address: String,
    /// The server whose offer that was.
    pub from: String,
    /// What it answers with the address.
    pub answer: Option<Offered>,
    /// What the answer says otherwise than the offer did, of what firmware boots by: the file, the
    /// server, the address.
    pub differences: Vec<String>,
}

/// Takes the first address that is offered, and gives it back; nothing where none is offered.
pub(super) fn leased(
    machine: &Machine,
    turn: &Turn<'_>,
    offers: &[Offer],
    wait: Duration,
    context: &Context<'_>,
) -> Result<Option<Leased>, ProbeError> {
    let Some(offer) = offers.iter().find(|offer| !offer.is_proxy()) else {
        return Ok(None);
    };
    let wait = wait.min(context.time_left());
    let taken = lease(machine, turn, offer, wait, context.cancel)?;
    let Some(Lease {
        address,
        server,
        answer,
    }) = taken
    else {
        let what = format!("{} offers an address without naming itself", offer.from);
        return Err(ProbeError::new(what).remedy("see to it that the server sends option 54"));
    };
    let (answer, reason) = match answer {
        Answer::Given(answer) => (Some(answer), None),
        Answer::Refused(why) => {
            let why = why.map(|why| format!(": {}", super::shown(&why)));
            let reason = format!("{server} refuses it{}", why.unwrap_or_default());
            (None, Some(reason))
        }
        Answer::Silence => (None, Some(format!("{server} does not answer to REQUEST"))),
    };
    Ok(Some(Leased {
        given: answer.is_some(),
        reason,
        address: address.to_string(),
        from: server.to_string(),
        differences: answer
            .iter()
            .flat_map(|answer| differences(offer, answer))
            .collect(),
        answer: answer.map(|answer| offered(&answer, machine)),
    }))
}

fn differences(offer: &Offer, answer: &Offer) -> Vec<String> {
    let file = |of: &Offer| {
        of.file()
            .map_or("nothing".into(), |file| super::shown(&file))
    };
    let compared = [
        ("file", file(offer), file(answer)),
        (
            "server",
            offer.server().to_string(),
            answer.server().to_string(),
        ),
        (
            "address",
            offer.packet.yiaddr.to_string(),
            answer.packet.yiaddr.to_string(),
        ),
    ];
    let differ = compared.iter().filter(|(_, before, then)| before != then);
    differ
        .map(|(what, before, then)| format!("{what}: {before} is offered, and {then} is given"))
        .collect()
}
