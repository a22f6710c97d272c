//! TFTP: files are given, none is taken.

mod transfer;

use super::Site;
use super::broken::Broken;
use super::error::ServeError;
use super::event::{Event, OnEvent};
use super::found::Found;
use super::opened::Opened;
use super::refusal::Refusal;
use crate::format::tftp::{Asked, Code, Packet};
use crate::model::value::clip;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;
use tokio::sync::Notify;
use transfer::{SILENCE, Transfer};

/// Transfers at a time. Each holds less than 300 KiB.
const TRANSFERS: usize = 256;
/// Those of one address.
const OF_ONE: usize = 32;
/// The longest packet that is read: a request with its options is far shorter.
const MAX_PACKET: usize = 2048;

/// The TFTP server.
#[derive(Debug)]
pub struct Tftp {
    socket: UdpSocket,
    site: Arc<Site>,
    running: Arc<Running>,
}

/// The transfers that are under way, by whom they go to.
#[derive(Debug, Default)]
struct Running {
    peers: Mutex<HashMap<SocketAddr, Held>>,
}

/// A transfer that is under way.
#[derive(Debug)]
struct Held {
    /// What was asked for, as it came.
    request: Vec<u8>,
    /// Whether its client answered.
    heard: Arc<AtomicBool>,
    /// Ends it.
    stop: Arc<Notify>,
}

/// A transfer's place, given back when it is dropped.
struct Place {
    running: Arc<Running>,
    peer: SocketAddr,
    heard: Arc<AtomicBool>,
    stop: Arc<Notify>,
}

/// Why a request gets no place.
enum Taken {
    /// The same is under way, and is sent again until its client answers.
    Same,
    /// Too many are under way.
    Full,
}

impl Running {
    /// Takes a place, unless the same is under way, or too many are. Who asks anew wants nothing of
    /// what is under way any more.
    fn take(self: &Arc<Self>, peer: SocketAddr, request: &[u8]) -> Result<Place, Taken> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = peers.get(&peer) {
            // A request that was sent twice is one.
            if held.request == request && !held.heard.load(Ordering::Relaxed) {
                return Err(Taken::Same);
            }
            held.stop.notify_one();
            peers.remove(&peer);
        }
        let of = |ip: IpAddr| peers.keys().filter(|peer| peer.ip() == ip).count();
        if peers.len() >= TRANSFERS || of(peer.ip()) >= OF_ONE {
            return Err(Taken::Full);
        }
        let place = Place {
            running: Arc::clone(self),
            peer,
            heard: Arc::default(),
            stop: Arc::default(),
        };
        let held = Held {
            request: request.to_vec(),
            heard: Arc::clone(&place.heard),
            stop: Arc::clone(&place.stop),
        };
        peers.insert(peer, held);
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let peers = self.running.peers.lock();
        let mut peers = peers.unwrap_or_else(PoisonError::into_inner);
        // Another transfer may have taken its place.
        let own = |held: &Held| Arc::ptr_eq(&held.stop, &self.stop);
        if peers.get(&self.peer).is_some_and(own) {
            peers.remove(&self.peer);
        }
    }
}

impl Tftp {
    /// Takes the port.
    ///
    /// # Errors
    /// Where it cannot be had.
    pub async fn bind(at: SocketAddr, site: Arc<Site>) -> Result<Self, ServeError> {
        let socket = UdpSocket::bind(at).await;
        Ok(Self {
            socket: socket.map_err(ServeError::bind("tftp", at, "--tftp-port", 6969))?,
            site,
            running: Arc::default(),
        })
    }

    /// Gives where it listens.
    ///
    /// # Errors
    /// Passes on what the system reports.
    pub fn at(&self) -> std::io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Serves until it is dropped.
    pub async fn run(self, on_event: OnEvent) {
        let own = self.at().map(|at| at.ip());
        let mut buffer = vec![0; MAX_PACKET];
        let mut told: Option<Instant> = None;
        let mut broken = Broken::new("tftp", Arc::clone(&on_event));
        loop {
            let (length, peer) = match broken.next(&self.socket, &mut buffer).await {
                Ok(came) => came,
                // What an earlier answer met, or a shortage that passes.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
            };
            // What is no request is answered with nothing.
            let bytes = buffer.get(..length).unwrap_or_default();
            if length >= MAX_PACKET {
                broken.met(peer, "it is longer than any request");
                continue;
            }
            let (write, file, mode, options) = match Packet::read(bytes) {
                Ok(Packet::Request {
                    write,
                    file,
                    mode,
                    options,
                }) => (write, file, mode, options),
                Ok(
                    Packet::Data { .. }
                    | Packet::Ack { .. }
                    | Packet::Error { .. }
                    | Packet::OptionAck { .. },
                ) => {
                    broken.met(peer, "it is no request, and belongs to no transfer");
                    continue;
                }
                Err(error) => {
                    broken.met(peer, &error.to_string());
                    continue;
                }
            };
            let Ok(own) = &own else { continue };
            let place = match self.running.take(peer, bytes) {
                Ok(place) => place,
                Err(Taken::Same) => continue,
                Err(Taken::Full) => {
                    // Of a flood, one each second.
                    if told.is_none_or(|told| told.elapsed() >= Duration::from_secs(1)) {
                        told = Some(Instant::now());
                        on_event(&Event::Tftp {
                            from: peer,
                            file: clip(&file, 500),
                            sent: 0,
                            size: 0,
                            again: 0,
                            failure: Some("too many transfers are under way".to_owned()),
                        });
                    }
                    continue;
                }
            };
            let request = Request {
                own: *own,
                peer,
                write,
                file,
                mode,
                asked: Asked::read(&options),
            };
            let (site, on_event) = (Arc::clone(&self.site), Arc::clone(&on_event));
            tokio::spawn(async move {
                request.answer(&site, &place, &on_event).await;
            });
        }
    }
}

/// What a client wants.
struct Request {
    own: IpAddr,
    peer: SocketAddr,
    write: bool,
    file: String,
    mode: String,
    asked: Asked,
}

impl Request {
    async fn answer(self, site: &Arc<Site>, place: &Place, on_event: &OnEvent) {
        // Each transfer has a port of its own; who else sends to it is not heard.
        let socket = async {
            let socket = UdpSocket::bind((self.own, 0)).await?;
            socket.connect(self.peer).await?;
            Ok::<_, std::io::Error>(socket)
        };
        let Ok(socket) = socket.await else { return };
        let mut event = Told {
            sent: 0,
            size: 0,
            again: 0,
        };
        let failure = match self.open(site).await {
            Ok(file) => {
                let heard = Arc::clone(&place.heard);
                let size = file.size;
                let transfer = Transfer::new(socket, Arc::new(file), &self.asked, heard, SILENCE);
                tokio::select! {
                    (sent, size, again, failure) = transfer.carry_out() => {
                        event = Told { sent, size, again };
                        failure
                    }
                    () = place.stop.notified() => {
                        event.size = size;
                        Some("its client asked anew".to_owned())
                    }
                }
            }
            Err((code, told, why)) => {
                let message = match code {
                    Code::NotFound => "File not found".to_owned(),
                    // An answer is not to be much longer than its question.
                    _ => clip(&told, 200),
                };
                let code = code as u16;
                let _ = socket.send(&Packet::Error { code, message }.write()).await;
                Some(why)
            }
        };
        on_event(&Event::Tftp {
            from: self.peer,
            file: clip(&self.file, 500),
            sent: event.sent,
            size: event.size,
            again: event.again,
            failure,
        });
    }

    /// Opens what is wanted; otherwise gives what the client is told, and why.
    async fn open(&self, site: &Arc<Site>) -> Result<Opened, (Code, String, String)> {
        let refused = |code, why: String| Err((code, why.clone(), why));
        if self.write {
            let why = "files are given here, none is taken";
            return refused(Code::Access, why.to_owned());
        }
        if !self.mode.eq_ignore_ascii_case("octet") {
            let why = format!(
                "the mode is `{}`; only octet is known here",
                clip(&self.mode, 20)
            );
            return refused(Code::Undefined, why);
        }
        let (site, name) = (Arc::clone(site), self.file.clone());
        let found = tokio::task::spawn_blocking(move || {
            let found = site.asset(&name);
            // What is asked for by the path that it has on the web is the same.
            match (&found, name.trim_start_matches('/').strip_prefix("assets/")) {
                (Err(Refusal::NotThere), Some(name)) => site.asset(name),
                (Ok(_) | Err(_), _) => found,
            }
        });
        let found = found.await;
        match found.unwrap_or(Err(Refusal::Unreadable)) {
            Ok(Found::File(file)) => Ok(file),
            Ok(Found::Folder) => refused(Code::NotFound, "it is a folder".to_owned()),
            Err(why) if why.passes() => {
                let said = |why: &str| format!("not served now: {why}");
                Err((Code::Undefined, said(why.told()), said(why.shown())))
            }
            Err(why) => refused(Code::NotFound, why.shown().to_owned()),
        }
    }
}

/// How a transfer went.
struct Told {
    sent: u64,
    size: u64,
    again: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_anew_takes_the_place_of_what_was_asked() {
        let running = Arc::new(Running::default());
        let peer = |port| SocketAddr::from(([10, 0, 0, 1], port));
        let Ok(first) = running.take(peer(1), b"a") else {
            panic!("no place")
        };
        assert!(matches!(running.take(peer(1), b"a"), Err(Taken::Same)));
        first.heard.store(true, Ordering::Relaxed);
        let second = running.take(peer(1), b"a");
        // The one whose place it was gives nothing back.
        drop(first);
        assert_eq!(running.peers.lock().unwrap().len(), 1);
        let third = running.take(peer(1), b"b");
        assert!(second.is_ok() && third.is_ok());
        let others: Vec<_> = (2..40).map(|port| running.take(peer(port), b"a")).collect();
        let places = others.iter().filter(|place| place.is_ok()).count();
        assert_eq!(places, OF_ONE - 1);
        drop((second, third, others));
        assert!(running.peers.lock().unwrap().is_empty());
    }
}
