//! The body of an answer: read as it is taken, a piece at a time; at its end it is told.

use super::answer::Payload;
use super::files::Part;
use crate::serve::event::{Event, OnEvent};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::task::JoinHandle;

/// Bytes of a file that are read at once.
const PIECE: u64 = 128 << 10;

/// A body.
pub struct Answered {
    left: Left,
    told: Told,
}

enum Left {
    Bytes(Option<Bytes>),
    File {
        part: Part,
        reading: Option<JoinHandle<io::Result<Vec<u8>>>>,
    },
}

/// What is told when the body goes, whole or not.
pub struct Told {
    /// The event; what was sent is added to it.
    pub event: Event,
    /// Who is told.
    pub on_event: OnEvent,
}

impl Told {
    fn sent(&mut self, count: usize) {
        if let Event::Http { sent, .. } = &mut self.event {
            *sent += count as u64;
        }
    }

    fn cut_off(&mut self, why: &io::Error) {
        if let Event::Http { note, .. } = &mut self.event {
            *note = Some(format!("cut off: {why}"));
        }
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        (self.on_event)(&self.event);
    }
}

impl Payload {
    /// Gives its bytes' number.
    pub fn size(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(part) => part.to - part.from,
        }
    }
}

impl Answered {
    /// Makes a body.
    pub fn new(payload: Payload, told: Told) -> Self {
        let left = match payload {
            Payload::Bytes(bytes) => {
                Left::Bytes(Some(Bytes::from(bytes)).filter(|b| !b.is_empty()))
            }
            Payload::File(part) => Left::File {
                part,
                reading: None,
            },
        };
        Self { left, told }
    }
}

impl Body for Answered {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let bytes = match &mut self.left {
            Left::Bytes(bytes) => match bytes.take() {
                Some(bytes) => bytes,
                None => return Poll::Ready(None),
            },
            Left::File { part, reading } => {
                if part.from >= part.to {
                    return Poll::Ready(None);
                }
                let task = reading.get_or_insert_with(|| {
                    let (file, from) = (part.file.clone(), part.from);
                    let length = usize::try_from(PIECE.min(part.to - part.from)).unwrap_or(0);
                    tokio::task::spawn_blocking(move || file.read_at(from, length))
                });
                let read = std::task::ready!(Pin::new(task).poll(context));
                *reading = None;
                let read = read.map_err(io::Error::other).and_then(|read| read);
                let read = read.and_then(|bytes| match bytes.is_empty() {
                    true => Err(io::ErrorKind::UnexpectedEof.into()),
                    false => Ok(bytes),
                });
                match read {
                    Ok(bytes) => {
                        part.from += bytes.len() as u64;
                        Bytes::from(bytes)
                    }
                    // The connection is closed: an end before its time is seen by the client.
                    Err(error) => {
                        self.told.cut_off(&error);
                        return Poll::Ready(Some(Err(error)));
                    }
                }
            }
        };
        self.told.sent(bytes.len());
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        match &self.left {
            Left::Bytes(bytes) => bytes.is_none(),
            Left::File { part, .. } => part.from >= part.to,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(match &self.left {
            Left::Bytes(bytes) => bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            Left::File { part, .. } => part.to - part.from,
        })
    }
}
