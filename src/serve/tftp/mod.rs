//! TFTP: files are given, none is taken.

mod transfer;

use super::Site;
use super::error::ServeError;
use super::event::{Event, OnEvent};
use super::folder::{Found, Refusal};
use super::opened::Opened;
use crate::format::tftp::{Asked, Code, Packet};
use crate::model::value::clip;
use std::collections::HashSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::net::UdpSocket;
use transfer::Transfer;

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
    peers: Mutex<HashSet<SocketAddr>>,
}

/// A transfer's place, given back when it is dropped.
struct Place {
    running: Arc<Running>,
    peer: SocketAddr,
}

impl Running {
    /// Takes a place, unless the same is under way, or too many are.
    fn take(self: &Arc<Self>, peer: SocketAddr) -> Option<Place> {
        let mut peers = self.peers.lock().unwrap_or_else(PoisonError::into_inner);
        let of = |ip: IpAddr| peers.iter().filter(|peer| peer.ip() == ip).count();
        if peers.len() >= TRANSFERS || of(peer.ip()) >= OF_ONE || !peers.insert(peer) {
            return None;
        }
        let running = Arc::clone(self);
        Some(Place { running, peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let peers = self.running.peers.lock();
        peers
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.peer);
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
        loop {
            let (length, peer) = match self.socket.recv_from(&mut buffer).await {
                Ok(came) => came,
                // What an earlier answer met, or a shortage that passes.
                Err(_) => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
            };
            // What is no request is answered with nothing.
            let packet = buffer
                .get(..length)
                .filter(|_| length < MAX_PACKET)
                .map(Packet::read);
            let Some(Ok(Packet::Request {
                write,
                file,
                mode,
                options,
            })) = packet
            else {
                continue;
            };
            let (Ok(own), Some(place)) = (&own, self.running.take(peer)) else {
                continue;
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
                let _place = place;
                request.answer(&site, &on_event).await;
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
    async fn answer(self, site: &Arc<Site>, on_event: &OnEvent) {
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
                let transfer = Transfer::new(socket, Arc::new(file), &self.asked);
                let (sent, size, again, failure) = transfer.carry_out().await;
                event = Told { sent, size, again };
                failure
            }
            Err((code, why)) => {
                let message = match code {
                    Code::NotFound => "File not found".to_owned(),
                    _ => why.clone(),
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

    async fn open(&self, site: &Arc<Site>) -> Result<Opened, (Code, String)> {
        if self.write {
            return Err((
                Code::Access,
                "files are given here, none is taken".to_owned(),
            ));
        }
        if !self.mode.eq_ignore_ascii_case("octet") {
            let why = format!(
                "the mode is `{}`; only octet is known here",
                clip(&self.mode, 20)
            );
            return Err((Code::Undefined, why));
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
            Ok(Found::Folder(_)) => Err((Code::NotFound, "it is a folder".to_owned())),
            Err(why) => Err((Code::NotFound, why.shown().to_owned())),
        }
    }
}

/// How a transfer went.
struct Told {
    sent: u64,
    size: u64,
    again: u64,
}
