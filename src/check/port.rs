//! `port`: whether somebody takes connections over TCP, and what they say first.

use super::{Context, Kind, ProbeError, SubjectUse};
use crate::model::Address;
use crate::model::path::printable;
use crate::probe::port::{Answer, Ask, State, connect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// The kind.
pub struct TheKind;

/// Where to connect to.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// The machine, by name or address, and the port: `bastion:8080`, `10.0.0.1:22`, `[fd00::1]:53`.
    pub address: String,
    /// What to say first, to a server that waits for it; `banner` is then what it answers.
    pub send: Option<String>,
    /// How long each connection may take, and how long a server may be silent then; 3 s where left
    /// out.
    #[schemars(extend("x-unit" = "seconds"))]
    pub within: Option<f64>,
}

/// What came of it.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// `open` (somebody took the connection), `closed` (the machine refused it: nothing listens),
    /// `filtered` (no answer in time: a firewall, or nobody is there), `unreachable` (this machine
    /// knows no way there). Of several addresses, the first that is open, or else the first, says
    /// it. Where a check asks neither for this nor for `addresses`, anything but open is an error.
    #[schemars(extend("enum" = State::NAMES))]
    pub state: String,
    /// Why no connection came about.
    pub reason: Option<String>,
    /// The addresses that were tried, in order: those of the name up to the first that is open, or
    /// all of them where a check asks for this.
    pub addresses: Vec<Tried>,
    /// The first line that the server says, at most 1 KiB of it; absent where it says nothing.
    pub banner: Option<String>,
    /// How long the connection took.
    #[schemars(extend("x-unit" = "seconds", "x-volatile" = true))]
    pub duration: f64,
}

/// An address that was tried.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "address"))]
pub struct Tried {
    /// The address.
    pub address: String,
    /// `ipv4` or `ipv6`.
    #[schemars(extend("enum" = ["ipv4", "ipv6"]))]
    pub family: String,
    /// What the connection came to.
    #[schemars(extend("enum" = State::NAMES))]
    pub state: String,
    /// Why it did not come about.
    pub reason: Option<String>,
}

/// How long a connection may take where a spec says nothing.
const WITHIN: Duration = Duration::from_secs(3);
/// The longest that a spec may ask for.
const LONGEST: f64 = 600.0;

impl Kind for TheKind {
    const NAME: &'static str = "port";
    const SUMMARY: &'static str = "a TCP port: open, closed or filtered, and what answers there";
    const MAIN: Option<&'static str> = Some("address");
    const SUBJECT: SubjectUse = SubjectUse::None;
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: matchbox listens
  port: 127.0.0.1:8080
  eventually: 30s
  expect: { state: open, duration: { lt: 500ms } }";
    const DESCRIBES: &'static [&'static str] = &["state"];
    type Args = Args;
    type Evidence = Evidence;

    fn validate(args: &Args) -> Result<(), ProbeError> {
        place(&args.address)?;
        within(args).map(drop)
    }

    fn observe(
        args: Args,
        _subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let (host, port) = place(&args.address)?;
        let ask = Ask {
            host,
            port,
            within: within(&args)?,
            all: context.wants("addresses"),
            listen: context.wants("banner"),
            send: args.send.clone().map(String::into_bytes),
            deadline: context.deadline,
        };
        let answer = connect(ask, context.cancel).map_err(|what| {
            ProbeError::new(printable(&what))
                .remedy("see whether the name and this machine's network are right")
                .transient()
        })?;
        let seen = evidence(&answer)?;
        let asked_for = context.wants("state") || context.wants("addresses");
        match (seen.state == State::Open.name(), asked_for) {
            (false, false) => Err(ProbeError::new(format!(
                "{} is {}: {}",
                printable(&args.address),
                seen.state,
                seen.reason.as_deref().unwrap_or("nobody takes connections")
            ))
            .remedy("a check that names `state` judges it as evidence")
            .transient()),
            _ => Ok(seen),
        }
    }
}

fn evidence(answer: &Answer) -> Result<Evidence, ProbeError> {
    let chosen = answer
        .chosen()
        .ok_or_else(|| ProbeError::new("no address was tried"))?;
    let addresses = answer.tried.iter().map(|tried| Tried {
        address: tried.address.to_string(),
        family: match tried.address {
            IpAddr::V4(_) => "ipv4".into(),
            IpAddr::V6(_) => "ipv6".into(),
        },
        state: tried.state.name().into(),
        reason: tried.reason.clone(),
    });
    let banner = answer.said.as_deref().map(String::from_utf8_lossy);
    Ok(Evidence {
        state: chosen.state.name().into(),
        reason: chosen.reason.clone(),
        addresses: addresses.collect(),
        banner: banner.map(|text| printable(&text)),
        duration: chosen.took.as_secs_f64(),
    })
}

/// Takes `HOST:PORT` apart.
fn place(address: &str) -> Result<(String, u16), ProbeError> {
    let wrong = |what: &str| {
        let shown = printable(address);
        ProbeError::new(format!("`{shown}` is no machine and port: {what}"))
            .remedy("write `bastion:8080`, `10.0.0.1:8080` or `[fd00::1]:8080`")
    };
    let (host, port) = address.rsplit_once(':').ok_or_else(|| wrong("no port"))?;
    let digits = port.bytes().all(|byte| byte.is_ascii_digit());
    let port = port.parse::<u16>().ok().filter(|port| digits && *port > 0);
    let port = port.ok_or_else(|| wrong("a port is a number from 1 to 65535"))?;
    let host = match host.strip_prefix('[').map(|rest| rest.strip_suffix(']')) {
        Some(Some(inner)) => {
            let bare = inner.split('%').next().unwrap_or_default();
            bare.parse::<Ipv6Addr>()
                .map_err(|_| wrong("what stands in brackets is no IPv6 address"))?;
            inner
        }
        Some(None) => return Err(wrong("a bracket is not closed")),
        None if host.contains(':') => return Err(wrong("an IPv6 address stands in brackets")),
        None => host,
    };
    let odd = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@' | '[' | ']');
    if host.is_empty() || host.contains(odd) {
        return Err(wrong("the machine has no name"));
    }
    Ok((host.to_owned(), port))
}

fn within(args: &Args) -> Result<Duration, ProbeError> {
    match args.within {
        None => Ok(WITHIN),
        Some(seconds) if seconds > 0.0 && seconds <= LONGEST => {
            Ok(Duration::from_secs_f64(seconds))
        }
        Some(_) => Err(ProbeError::new("`within` is no time that can be waited")
            .remedy("write a duration of up to ten minutes, such as `500ms`")),
    }
}
