//! A part of a file that is sent as it is read, and digested on the way.

use crate::model::Sha256Digest;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::mpsc;

/// How much is read at a time.
const PIECE: usize = 256 << 10;
/// How many pieces may wait to be sent: what they hold is all the memory that a file costs.
const WAITING: usize = 4;

/// Is told how many more bytes went out.
pub type Told = Arc<dyn Fn(u64) + Send + Sync>;

/// A part of a file that is to be sent.
pub struct Sending {
    file: Arc<File>,
    from: u64,
    length: u64,
    told: Told,
    seen: Arc<Mutex<Seen>>,
}

/// What became of the last time it was sent.
#[derive(Default)]
struct Seen {
    digest: Option<Sha256Digest>,
    fault: Option<String>,
}

impl std::fmt::Debug for Sending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Sending({} bytes from {})", self.length, self.from)
    }
}

impl Sending {
    /// Prepares `length` bytes from an offset on.
    pub fn new(file: Arc<File>, from: u64, length: u64, told: Told) -> Self {
        Self {
            file,
            from,
            length,
            told,
            seen: Arc::default(),
        }
    }

    /// Gives the number of bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Gives the digest of what was sent, once all of it was.
    pub fn digest(&self) -> Option<Sha256Digest> {
        self.seen().digest
    }

    /// Says why the file could not be read, where it could not.
    pub fn fault(&self) -> Option<String> {
        self.seen().fault.clone()
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to send it: gives the body, and how it moves. To be called inside a runtime.
    pub(super) fn open(&self) -> (reqwest::Body, Moves) {
        *self.seen() = Seen::default();
        let moves = Moves {
            sent: Arc::default(),
            length: self.length,
        };
        let (send, pieces) = mpsc::channel(WAITING);
        let (file, from, length) = (Arc::clone(&self.file), self.from, self.length);
        let seen = Arc::clone(&self.seen);
        // Reading and digesting go on beside sending.
        tokio::task::spawn_blocking(move || {
            let all = pump(&file, from, length, &send, &seen);
            if let Err(error) = all {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                seen.fault = Some(error.to_string());
                drop(seen);
                let _ = send.blocking_send(Err(error));
            }
        });
        let body = Outgoing {
            pieces,
            left: self.length,
            sent: Arc::clone(&moves.sent),
            told: Arc::clone(&self.told),
        };
        (reqwest::Body::wrap(body), moves)
    }
}

/// Reads the part, digests it, and hands it on; ends early where nobody wants it any more.
fn pump(
    file: &File,
    from: u64,
    length: u64,
    send: &mpsc::Sender<io::Result<Bytes>>,
    seen: &Mutex<Seen>,
) -> io::Result<()> {
    let mut hasher = Sha256::new();
    let mut done = 0;
    while done < length {
        let size = usize::try_from(length - done).map_or(PIECE, |left| left.min(PIECE));
        let mut piece = vec![0; size];
        file.read_exact_at(&mut piece, from + done)?;
        hasher.update(&piece);
        done += size as u64;
        if done == length {
            let digest: [u8; 32] = hasher.finalize_reset().into();
            seen.lock().unwrap_or_else(PoisonError::into_inner).digest = Some(digest.into());
        }
        if send.blocking_send(Ok(Bytes::from(piece))).is_err() {
            break;
        }
    }
    Ok(())
}

/// The body of a request.
struct Outgoing {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    left: u64,
    sent: Arc<AtomicU64>,
    told: Told,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = match self.pieces.poll_recv(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Ready(Some(Err(error))) => return Poll::Ready(Some(Err(error))),
            Poll::Ready(Some(Ok(piece))) => piece,
        };
        let length = piece.len() as u64;
        self.left = self.left.saturating_sub(length);
        self.sent.fetch_add(length, Ordering::Relaxed);
        (self.told)(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

/// Tells whether a body goes out.
pub(super) struct Moves {
    sent: Arc<AtomicU64>,
    length: u64,
}

impl Moves {
    /// Waits until nothing has gone out for `idle`, or, once all has, nothing was answered for
    /// `think`.
    pub(super) async fn watch(self, idle: Duration, think: Duration) -> &'static str {
        let mut before = 0;
        loop {
            let sent = self.sent.load(Ordering::Relaxed);
            if sent >= self.length {
                tokio::time::sleep(think).await;
                return "the server has got everything and does not answer";
            }
            if sent > 0 && sent == before {
                return "the server takes no more of what it is sent";
            }
            before = sent;
            tokio::time::sleep(idle).await;
            if sent == 0 && self.sent.load(Ordering::Relaxed) == 0 {
                return "the server takes nothing of what it is sent";
            }
        }
    }
}
