//! The receiving half of a transfer: what to answer to what comes, and when.
//!
//! A block that comes again is not answered again right away: a server that sends a block for every
//! answer would double each from then on (the sorcerer's apprentice, RFC 1123 §4.2.3.1). It is
//! answered once the first answer has had time to arrive, because it may have been lost.

use std::time::Duration;

use super::packet::code_name;
use super::{Agreed, Asked, Code, Packet};

/// The least time that an answer gets before the same block is answered again.
const AGAIN: Duration = Duration::from_millis(20);

/// What is to be done after something came.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'b> {
    /// Nothing.
    Wait,
    /// Something is to be sent.
    Send(Vec<u8>),
    /// These bytes of the file came.
    Bytes {
        /// They follow those before.
        bytes: &'b [u8],
        /// What is to be sent, once they are put away.
        answer: Option<[u8; 4]>,
        /// Whether they are the last.
        last: bool,
    },
    /// The transfer is over.
    Stop {
        /// Why.
        why: Stopped,
        /// What the other side is told.
        answer: Option<Vec<u8>>,
    },
}

/// Why a transfer is over before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stopped {
    /// The server says so.
    Refused {
        /// The code.
        code: u16,
        /// What it says.
        message: String,
    },
    /// The server grants what was not asked for, or sends what does not fit.
    Wrong(String),
}

impl Stopped {
    /// Shows what happened.
    #[must_use]
    pub fn shown(&self) -> String {
        match self {
            Self::Refused { code, message } => {
                let message = crate::model::value::clip(&message.escape_debug().to_string(), 200);
                format!(
                    "the server says: {message} (error {code}, {})",
                    code_name(*code)
                )
            }
            Self::Wrong(what) => what.clone(),
        }
    }
}

/// The state of a transfer that receives.
#[derive(Debug)]
pub struct Receiver {
    file: String,
    asked: Asked,
    agreed: Agreed,
    /// Whether anything but an error came.
    begun: bool,
    /// Blocks that came in order.
    blocks: u64,
    /// What the next block's number is.
    next: u16,
    /// Blocks since the last answer.
    unanswered: u16,
    /// Whether the gap before a block that came too early was told.
    told: bool,
    answered: Duration,
    duplicates: u64,
}

impl Receiver {
    /// Begins one.
    #[must_use]
    pub fn new(file: &str, asked: Asked) -> Self {
        Self {
            file: file.to_owned(),
            asked,
            agreed: Agreed::default(),
            begun: false,
            blocks: 0,
            next: 1,
            unanswered: 0,
            told: false,
            answered: Duration::ZERO,
            duplicates: 0,
        }
    }

    /// Gives the request that begins the transfer.
    #[must_use]
    pub fn request(&self) -> Vec<u8> {
        let request = Packet::Request {
            write: false,
            file: self.file.clone(),
            mode: "octet".to_owned(),
            options: self.asked.pairs(),
        };
        request.write()
    }

    /// Gives what has been agreed on.
    #[must_use]
    pub fn agreed(&self) -> &Agreed {
        &self.agreed
    }

    /// Tells whether the server has begun to answer.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.begun
    }

    /// Gives the blocks that came in order.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Gives the blocks that came again, or out of order.
    #[must_use]
    pub fn duplicates(&self) -> u64 {
        self.duplicates
    }

    /// Gives what is sent again where nothing came: the request, or the last answer.
    pub fn silence(&mut self, now: Duration) -> Vec<u8> {
        self.answered = now;
        self.unanswered = 0;
        self.told = false;
        match self.begun {
            false => self.request(),
            true => ack(self.next.wrapping_sub(1)).to_vec(),
        }
    }

    /// Takes a datagram of the server in. `now` is the time since any fixed moment.
    pub fn take<'b>(&mut self, datagram: &'b [u8], now: Duration) -> Step<'b> {
        let packet = match Packet::read(datagram) {
            Ok(packet) => packet,
            Err(error) => return wrong(Code::Illegal, error.to_string()),
        };
        match packet {
            Packet::Data { block, bytes } => self.data(block, bytes, now),
            Packet::OptionAck { options } => self.options(&options, now),
            Packet::Error { code, message } => Step::Stop {
                why: Stopped::Refused { code, message },
                answer: None,
            },
            Packet::Request { .. } | Packet::Ack { .. } => wrong(
                Code::Illegal,
                "the server sends what only a client sends".to_owned(),
            ),
        }
    }

    fn options(&mut self, options: &[(String, String)], now: Duration) -> Step<'static> {
        if self.blocks > 0 {
            // It was on its way for long.
            self.duplicates += 1;
            return Step::Wait;
        }
        if self.begun {
            self.duplicates += 1;
            return self.again(now);
        }
        match self.asked.granted(options) {
            Ok(agreed) => {
                self.begun = true;
                self.agreed = agreed;
                self.answered = now;
                Step::Send(ack(0).to_vec())
            }
            Err(what) => wrong(Code::Options, what),
        }
    }

    fn data<'b>(&mut self, block: u16, bytes: &'b [u8], now: Duration) -> Step<'b> {
        let size = self.agreed.block();
        if bytes.len() > size {
            let what = format!(
                "a block of {} bytes, where {size} are agreed on",
                bytes.len()
            );
            return wrong(Code::Illegal, what);
        }
        // Behind 65535 comes 0, with some servers 1. In a window that could be the block after.
        let wrapped = block == 1 && self.next == 0 && self.blocks > 0 && self.agreed.window() == 1;
        if wrapped {
            self.next = 1;
        }
        if block != self.next {
            return self.other(block, now);
        }
        self.begun = true;
        self.blocks += 1;
        self.next = self.next.wrapping_add(1);
        self.unanswered += 1;
        self.told = false;
        let last = bytes.len() < size;
        let due = last || self.unanswered >= self.agreed.window();
        if due {
            self.unanswered = 0;
            self.answered = now;
        }
        Step::Bytes {
            bytes,
            answer: due.then(|| ack(block)),
            last,
        }
    }

    /// Looks at a block that is not the next: it came before, or one before it is missing.
    fn other(&mut self, block: u16, now: Duration) -> Step<'static> {
        let ahead = block.wrapping_sub(self.next);
        self.duplicates += 1;
        if ahead < self.agreed.window() {
            // RFC 7440 §4: the server goes on behind the block that is answered. Once is enough.
            if self.told || (!self.begun && self.blocks == 0) {
                return Step::Wait;
            }
            self.told = true;
            self.unanswered = 0;
            self.answered = now;
            return Step::Send(ack(self.next.wrapping_sub(1)).to_vec());
        }
        // Of blocks that came, only the last tells that its answer may be lost.
        if block == self.next.wrapping_sub(1) && self.begun {
            self.again(now)
        } else {
            Step::Wait
        }
    }

    fn again(&mut self, now: Duration) -> Step<'static> {
        if now.saturating_sub(self.answered) < AGAIN {
            return Step::Wait;
        }
        self.answered = now;
        self.unanswered = 0;
        Step::Send(ack(self.next.wrapping_sub(1)).to_vec())
    }
}

fn ack(block: u16) -> [u8; 4] {
    let [high, low] = block.to_be_bytes();
    [0, 4, high, low]
}

fn wrong(code: Code, what: String) -> Step<'static> {
    let error = Packet::Error {
        code: code as u16,
        message: what.clone(),
    };
    Step::Stop {
        why: Stopped::Wrong(what),
        answer: Some(error.write()),
    }
}

#[cfg(test)]
mod tests;
