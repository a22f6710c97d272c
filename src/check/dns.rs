//! `dns`: what a name server answers.

use super::{Context, Kind, ProbeError, SubjectUse};
use crate::model::Address;
use crate::probe::dns::Question;
use hickory_proto::rr::{Name, RData, Record as DnsRecord, RecordType};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// The kind.
pub struct TheKind;

/// What to ask, and whom.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// The name; for `PTR` it may be an address.
    pub name: String,
    /// Which records; `A` where left out.
    #[serde(rename = "type")]
    pub record: Option<Kinds>,
    /// The name server, an address with or without a port: `127.0.0.1:5353`. Left out, the first
    /// one of `/etc/resolv.conf`.
    pub server: Option<String>,
    /// `true` asks over TCP alone; else UDP is tried first.
    #[serde(default)]
    pub tcp: bool,
    /// `false` does not want the server to ask others.
    pub recurse: Option<bool>,
}

/// The types of records that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kinds {
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Another name.
    Cname,
    /// Mail servers.
    Mx,
    /// Name servers.
    Ns,
    /// The name of an address.
    Ptr,
    /// The beginning of a zone.
    Soa,
    /// Servers of a service.
    Srv,
    /// Texts.
    Txt,
}

/// What the server answers.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// How it answers: `noerror`, `nxdomain` (there is no such name), `servfail`, `refused`,
    /// `notimp`, `formerr`, or a number.
    pub rcode: String,
    /// The values of the records of the type asked for, sorted: `192.0.2.7`; `10 mail.example.` of
    /// MX, `0 5 80 host.example.` of SRV.
    pub values: Vec<String>,
    /// Every record of the answer, a chain of CNAME among them.
    pub answers: Vec<Record>,
    /// Whether the server answers for the zone itself.
    pub authoritative: bool,
    /// Whether the server says that it asks others.
    pub recursion_available: bool,
    /// Whether the answer did not fit into UDP, so that it was asked again over TCP.
    pub truncated: bool,
    /// Whether the answer came over TCP.
    pub tcp: bool,
    /// Who was asked.
    #[schemars(extend("x-volatile" = true))]
    pub server: String,
    /// How long it took.
    #[schemars(extend("x-unit" = "seconds", "x-volatile" = true))]
    pub duration: f64,
}

/// A record.
#[derive(Serialize, JsonSchema)]
#[schemars(extend("x-key" = "value"))]
#[serde(rename_all = "kebab-case")]
pub struct Record {
    /// Whose it is, in lowercase with the dot at the end.
    pub name: String,
    /// Its type, such as `A`.
    #[serde(rename = "type")]
    pub record: String,
    /// Its value.
    pub value: String,
    /// How long it may be kept.
    #[schemars(extend("x-unit" = "seconds", "x-volatile" = true))]
    pub ttl: u32,
}

impl Kind for TheKind {
    const NAME: &'static str = "dns";
    const SUMMARY: &'static str = "a name server's answer: records, code, authority";
    const MAIN: Option<&'static str> = Some("name");
    const SUBJECT: SubjectUse = SubjectUse::None;
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: the boot server has a name
  dns: { name: boot.example, server: \"127.0.0.1:5353\" }
  expect: { rcode: noerror, values: [192.0.2.7] }";
    const DESCRIBES: &'static [&'static str] = &["rcode", "values"];
    type Args = Args;
    type Evidence = Evidence;

    fn validate(args: &Args) -> Result<(), ProbeError> {
        name(args)?;
        args.server.as_deref().map(server).transpose().map(drop)
    }

    fn observe(
        args: Args,
        _subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let begin = Instant::now();
        let record = record_type(args.record.unwrap_or(Kinds::A));
        let server = match &args.server {
            Some(text) => server(text)?,
            None => of_the_system()?,
        };
        let question = Question {
            name: name(&args)?,
            record,
            server,
            recurse: args.recurse.unwrap_or(true),
            tcp: args.tcp,
            deadline: context.deadline,
        };
        let reply = question.ask(context.cancel);
        let reply = reply.map_err(|what| ProbeError::new(what).transient())?;
        let message = &reply.message;
        let answers = &message.answers;
        let asked = answers.iter().filter(|r| r.record_type() == record);
        let mut values: Vec<String> = asked.map(|r| value(&r.data)).collect();
        values.sort();
        Ok(Evidence {
            rcode: rcode(u16::from(message.metadata.response_code)),
            values,
            answers: answers.iter().map(seen).collect(),
            authoritative: message.metadata.authoritative,
            recursion_available: message.metadata.recursion_available,
            truncated: reply.cut,
            tcp: reply.tcp,
            server: server.to_string(),
            duration: begin.elapsed().as_secs_f64(),
        })
    }
}

fn name(args: &Args) -> Result<Name, ProbeError> {
    if let (Some(Kinds::Ptr), Ok(ip)) = (args.record, args.name.parse::<IpAddr>()) {
        return Ok(Name::from(ip));
    }
    let read = Name::from_str_relaxed(&args.name);
    let mut read =
        read.map_err(|error| ProbeError::new(format!("`{}` is no name: {error}", args.name)))?;
    read.set_fqdn(true);
    Ok(read)
}

fn server(text: &str) -> Result<SocketAddr, ProbeError> {
    let plain = text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 53));
    text.parse().or(plain).map_err(|_| {
        ProbeError::new(format!("`{text}` is no address of a name server"))
            .remedy("write `192.0.2.1`, `192.0.2.1:5353` or `[2001:db8::1]:53`")
    })
}

/// Gives the first name server that the system asks.
fn of_the_system() -> Result<SocketAddr, ProbeError> {
    let path = std::path::Path::new("/etc/resolv.conf");
    let text = super::local::read_text(path, 1 << 20)?;
    let servers = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some("nameserver")).then(|| words.next()?.parse::<IpAddr>().ok())?
    });
    let first = { servers }.next().map(|ip| SocketAddr::new(ip, 53));
    first.ok_or_else(|| {
        ProbeError::new("/etc/resolv.conf names no server").remedy("name one with `server:`")
    })
}

fn record_type(kind: Kinds) -> RecordType {
    match kind {
        Kinds::A => RecordType::A,
        Kinds::Aaaa => RecordType::AAAA,
        Kinds::Cname => RecordType::CNAME,
        Kinds::Mx => RecordType::MX,
        Kinds::Ns => RecordType::NS,
        Kinds::Ptr => RecordType::PTR,
        Kinds::Soa => RecordType::SOA,
        Kinds::Srv => RecordType::SRV,
        Kinds::Txt => RecordType::TXT,
    }
}

fn rcode(code: u16) -> String {
    match code {
        0 => "noerror".into(),
        1 => "formerr".into(),
        2 => "servfail".into(),
        3 => "nxdomain".into(),
        4 => "notimp".into(),
        5 => "refused".into(),
        other => other.to_string(),
    }
}

fn seen(record: &DnsRecord) -> Record {
    Record {
        name: record.name.to_ascii().to_lowercase(),
        record: record.record_type().to_string(),
        value: value(&record.data),
        ttl: record.ttl,
    }
}

fn value(data: &RData) -> String {
    match data {
        RData::OPT(_) => String::new(),
        RData::TXT(text) => {
            let parts = text.txt_data.iter();
            parts.map(|part| String::from_utf8_lossy(part)).collect()
        }
        other => other.to_string(),
    }
}
