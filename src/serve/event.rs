//! What the servers tell: one event a line, for people or for programs.

use crate::model::path::printable;
use crate::model::size::show_size;
use serde_json::{Map, Value, json};
use std::net::SocketAddr;
use std::sync::Arc;

/// The version of the lines that programs read.
pub const VERSION: u32 = 1;

/// Takes what happens.
pub type OnEvent = Arc<dyn Fn(&Event) + Send + Sync>;

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A server listens.
    Listening {
        /// `http`, `tftp`, `dhcp` or `boot-server`.
        server: &'static str,
        /// Where.
        at: SocketAddr,
    },
    /// An HTTP request was answered, or its client went.
    Http {
        /// Who asked.
        from: SocketAddr,
        /// `GET` or another.
        method: String,
        /// The path with its query.
        target: String,
        /// The status.
        status: u16,
        /// The bytes of the body that were taken.
        sent: u64,
        /// The bytes of the body.
        size: u64,
        /// What the client calls itself.
        agent: Option<String>,
        /// Why it got nothing, or what else there is to say.
        note: Option<String>,
    },
    /// A TFTP transfer came to its end.
    Tftp {
        /// Who asked.
        from: SocketAddr,
        /// What for.
        file: String,
        /// The bytes whose arrival was told.
        sent: u64,
        /// The bytes of the file.
        size: u64,
        /// How often something was sent again.
        again: u64,
        /// Why it was not all of it.
        failure: Option<String>,
    },
    /// A machine asked what to boot.
    Dhcp {
        /// Its MAC address.
        mac: String,
        /// Its architecture, as option 93 has it.
        arch: u16,
        /// `pxe`, `http` or `ipxe`.
        firmware: &'static str,
        /// What it was told to boot.
        file: Option<String>,
        /// Why it was told nothing.
        note: Option<String>,
    },
    /// Packets came that are none.
    Broken {
        /// `tftp`, `dhcp` or `boot-server`.
        server: &'static str,
        /// Who sent the last of them.
        from: SocketAddr,
        /// How many came since the last event of this kind.
        count: u64,
        /// What is wrong with the last of them.
        why: String,
    },
    /// What was judged is not green any more, or is so again.
    Verdict {
        /// Whether it is.
        green: bool,
        /// Why it is not.
        why: Option<String>,
    },
    /// Something else worth knowing.
    Note {
        /// What.
        text: String,
    },
    /// The servers are closed.
    Closed,
}

impl Event {
    /// Gives its name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Listening { .. } => "listening",
            Self::Http { .. } => "http",
            Self::Tftp { .. } => "tftp",
            Self::Dhcp { .. } => "dhcp",
            Self::Broken { .. } => "broken",
            Self::Verdict { .. } => "verdict",
            Self::Note { .. } => "note",
            Self::Closed => "closed",
        }
    }

    /// Writes it for programs: `version`, `event`, `at`, and what belongs to the event.
    pub fn json(&self, at: &str) -> Value {
        let own = match self {
            Self::Listening { server, at } => {
                json!({ "server": server, "address": at.to_string() })
            }
            Self::Http {
                from,
                method,
                target,
                status,
                sent,
                size,
                agent,
                note,
            } => json!({
                "from": from.to_string(), "method": method, "target": target, "status": status,
                "sent": sent, "size": size, "agent": agent, "note": note,
            }),
            Self::Tftp {
                from,
                file,
                sent,
                size,
                again,
                failure,
            } => json!({
                "from": from.to_string(), "file": file, "sent": sent, "size": size,
                "retransmissions": again, "failure": failure,
            }),
            Self::Dhcp {
                mac,
                arch,
                firmware,
                file,
                note,
            } => json!({
                "mac": mac, "arch": arch, "firmware": firmware, "file": file, "note": note,
            }),
            Self::Broken {
                server,
                from,
                count,
                why,
            } => json!({
                "server": server, "from": from.to_string(), "count": count, "why": why,
            }),
            Self::Verdict { green, why } => json!({ "green": green, "why": why }),
            Self::Note { text } => json!({ "text": text }),
            Self::Closed => json!({}),
        };
        let mut line = Map::new();
        line.insert("version".to_owned(), VERSION.into());
        line.insert("event".to_owned(), self.name().into());
        line.insert("at".to_owned(), at.into());
        if let Value::Object(own) = own {
            line.extend(own);
        }
        line.into()
    }

    /// Writes it for people.
    pub fn human(&self) -> String {
        let behind = |note: &Option<String>| match note {
            Some(note) => format!(": {note}"),
            None => String::new(),
        };
        let part = |sent: u64, size: u64| match sent == size {
            true => show_size(size),
            false => format!("{} of {}", show_size(sent), show_size(size)),
        };
        printable(&match self {
            Self::Listening { server, at } => match *server {
                "http" => format!("http   listens at http://{at}/"),
                other => format!("{other:<6} listens at {at}"),
            },
            Self::Http {
                from,
                method,
                target,
                status,
                sent,
                size,
                note,
                ..
            } => {
                let size = match method.as_str() {
                    "HEAD" => show_size(*size),
                    _ => part(*sent, *size),
                };
                format!(
                    "http   {from} {method} {target} {status}, {size}{}",
                    behind(note)
                )
            }
            Self::Tftp {
                from,
                file,
                sent,
                size,
                again,
                failure,
            } => {
                let again = match again {
                    0 => String::new(),
                    times => format!(", {times} sent again"),
                };
                format!(
                    "tftp   {from} {file}, {}{again}{}",
                    part(*sent, *size),
                    behind(failure)
                )
            }
            Self::Dhcp {
                mac,
                arch,
                firmware,
                file,
                note,
            } => {
                let file = file.as_deref().unwrap_or("nothing");
                format!(
                    "dhcp   {mac} {firmware}, architecture {arch}: {file}{}",
                    behind(note)
                )
            }
            Self::Broken {
                server,
                from,
                count: 1,
                why,
            } => format!("{server:<6} 1 broken packet, from {from}: {why}"),
            Self::Broken {
                server,
                from,
                count,
                why,
            } => format!("{server:<6} {count} broken packets, the last from {from}: {why}"),
            Self::Verdict { green: true, .. } => "green again: what was judged is given".to_owned(),
            Self::Verdict { why, .. } => {
                format!("nothing is given until it is green again{}", behind(why))
            }
            Self::Note { text } => text.clone(),
            Self::Closed => "closed".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_strangers_say_stays_in_its_line() {
        let event = Event::Tftp {
            from: ([127, 0, 0, 1], 9).into(),
            file: "a\n\x1b[2Jb".to_owned(),
            sent: 1024,
            size: 2048,
            again: 2,
            failure: Some("gone".to_owned()),
        };
        let line = event.human();
        assert_eq!(
            line,
            "tftp   127.0.0.1:9 a\\n\\u{1b}[2Jb, 1.0 KiB of 2.0 KiB, 2 sent again: gone"
        );
        let json = event.json("2026-01-01T00:00:00Z");
        assert_eq!(
            (&json["version"], &json["event"]),
            (&json!(1), &json!("tftp"))
        );
        assert_eq!(json.to_string().lines().count(), 1);
    }
}
