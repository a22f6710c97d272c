//! Packets. Source: RFC 1350 §5, RFC 2347.

use super::NAME;
use crate::format::FormatError;
use crate::format::field::be16;

/// A packet, borrowed from the datagram it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'b> {
    /// Asks for a file (RRQ), or to take one (WRQ).
    Request {
        /// Whether a file is to be written.
        write: bool,
        /// The name of the file.
        file: String,
        /// `octet`, `netascii` or `mail`.
        mode: String,
        /// What is asked for beside, in order.
        options: Vec<(String, String)>,
    },
    /// A block.
    Data {
        /// Its number, which begins again behind 65535.
        block: u16,
        /// Its bytes.
        bytes: &'b [u8],
    },
    /// A block came.
    Ack {
        /// Its number.
        block: u16,
    },
    /// The end of the transfer.
    Error {
        /// What kind of error.
        code: u16,
        /// What is said of it.
        message: String,
    },
    /// Options that are granted.
    OptionAck {
        /// Names and values, in order.
        options: Vec<(String, String)>,
    },
}

/// The error codes. Source: RFC 1350 appendix, RFC 2347.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Code {
    /// None of the others.
    Undefined = 0,
    /// There is no such file.
    NotFound = 1,
    /// It may not be read.
    Access = 2,
    /// The disk is full.
    Full = 3,
    /// What came is no packet, or none that fits here.
    Illegal = 4,
    /// It came from a stranger.
    UnknownTransfer = 5,
    /// It is there already.
    Exists = 6,
    /// Nobody is called that.
    NoSuchUser = 7,
    /// The options are not accepted, or nobody wants the rest.
    Options = 8,
}

/// Names an error code in the words of the RFC.
#[must_use]
pub fn code_name(code: u16) -> &'static str {
    match code {
        1 => "file not found",
        2 => "access violation",
        3 => "disk full or allocation exceeded",
        4 => "illegal TFTP operation",
        5 => "unknown transfer ID",
        6 => "file already exists",
        7 => "no such user",
        8 => "option negotiation failed",
        _ => "not defined",
    }
}

impl<'b> Packet<'b> {
    /// Reads a datagram.
    ///
    /// Errors where it is no packet: an unknown opcode, a text without its end, an option without a
    /// value.
    pub fn read(bytes: &'b [u8]) -> Result<Self, FormatError> {
        let opcode = be16(bytes, 0);
        let opcode = opcode.ok_or_else(|| cut(0, "the opcode"))?;
        let number = || be16(bytes, 2).ok_or_else(|| cut(2, "the number behind the opcode"));
        match opcode {
            1 | 2 => {
                let mut texts = Texts { bytes, at: 2 };
                let (file, mode) = (texts.take("the file's name")?, texts.take("the mode")?);
                Ok(Self::Request {
                    write: opcode == 2,
                    file,
                    mode,
                    options: texts.pairs()?,
                })
            }
            3 => {
                let block = number()?;
                Ok(Self::Data {
                    block,
                    bytes: bytes.get(4..).unwrap_or_default(),
                })
            }
            4 => Ok(Self::Ack { block: number()? }),
            5 => {
                let code = number()?;
                // Some servers leave the NUL out: what they say is no less clear.
                let rest = bytes.get(4..).unwrap_or_default();
                let end = rest
                    .iter()
                    .position(|byte| *byte == 0)
                    .unwrap_or(rest.len());
                let message = String::from_utf8_lossy(rest.get(..end).unwrap_or_default());
                Ok(Self::Error {
                    code,
                    message: message.into_owned(),
                })
            }
            6 => Ok(Self::OptionAck {
                options: Texts { bytes, at: 2 }.pairs()?,
            }),
            other => Err(FormatError::corrupt(
                NAME,
                0,
                format!("opcode {other}; 1 to 6 are known"),
            )),
        }
    }

    /// Writes the packet as a datagram. A NUL in a text ends it there.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        let texts = |out: &mut Vec<u8>, texts: &mut dyn Iterator<Item = &str>| {
            for text in texts {
                out.extend(text.bytes().take_while(|byte| *byte != 0));
                out.push(0);
            }
        };
        match self {
            Self::Request {
                write,
                file,
                mode,
                options,
            } => {
                out.extend([0, if *write { 2 } else { 1 }]);
                texts(&mut out, &mut [&**file, &**mode].into_iter());
                texts(
                    &mut out,
                    &mut options.iter().flat_map(|(n, v)| [&**n, &**v]),
                );
            }
            Self::Data { block, bytes } => {
                out.extend([0, 3]);
                out.extend(block.to_be_bytes());
                out.extend(*bytes);
            }
            Self::Ack { block } => {
                out.extend([0, 4]);
                out.extend(block.to_be_bytes());
            }
            Self::Error { code, message } => {
                out.extend([0, 5]);
                out.extend(code.to_be_bytes());
                texts(&mut out, &mut [&**message].into_iter());
            }
            Self::OptionAck { options } => {
                out.extend([0, 6]);
                texts(
                    &mut out,
                    &mut options.iter().flat_map(|(n, v)| [&**n, &**v]),
                );
            }
        }
        out
    }
}

fn cut(offset: u64, what: &str) -> FormatError {
    FormatError::truncated(NAME, offset, what)
}

/// Texts that end with a NUL each.
struct Texts<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Texts<'_> {
    fn take(&mut self, what: &str) -> Result<String, FormatError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| cut(self.at as u64, what))?;
        self.at += end + 1;
        Ok(String::from_utf8_lossy(rest.get(..end).unwrap_or_default()).into_owned())
    }

    fn pairs(&mut self) -> Result<Vec<(String, String)>, FormatError> {
        let mut pairs = Vec::new();
        while self.at < self.bytes.len() {
            pairs.push((
                self.take("an option's name")?,
                self.take("an option's value")?,
            ));
        }
        Ok(pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(of: &[(&str, &str)]) -> Vec<(String, String)> {
        of.iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect()
    }

    /// The packets are those that RFC 1350 and RFC 2347 draw.
    #[test]
    fn packets_are_read_and_written() {
        let request = Packet::Request {
            write: false,
            file: "ipxe.efi".into(),
            mode: "octet".into(),
            options: pairs(&[("tsize", "0"), ("blksize", "1468"), ("windowsize", "4")]),
        };
        let bytes = b"\0\x01ipxe.efi\0octet\0tsize\x000\0blksize\x001468\0windowsize\x004\0";
        assert_eq!(request.write(), bytes);
        assert_eq!(Packet::read(bytes).unwrap(), request);
        let all: [(&[u8], Packet<'_>); 5] = [
            (
                b"\0\x02a\0netascii\0",
                Packet::Request {
                    write: true,
                    file: "a".into(),
                    mode: "netascii".into(),
                    options: vec![],
                },
            ),
            (
                b"\0\x03\xff\xffabc",
                Packet::Data {
                    block: 65535,
                    bytes: b"abc",
                },
            ),
            (b"\0\x04\0\x01", Packet::Ack { block: 1 }),
            (
                b"\0\x05\0\x01File not found\0",
                Packet::Error {
                    code: 1,
                    message: "File not found".into(),
                },
            ),
            (
                b"\0\x06tsize\x00930\0",
                Packet::OptionAck {
                    options: pairs(&[("tsize", "930")]),
                },
            ),
        ];
        for (bytes, packet) in all {
            assert_eq!(packet.write(), bytes);
            assert_eq!(Packet::read(bytes).unwrap(), packet);
        }
        assert_eq!(
            Packet::read(b"\0\x05\0\0no end").unwrap(),
            Packet::Error {
                code: 0,
                message: "no end".into()
            }
        );
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        for bytes in [
            &b""[..],
            b"\0",
            b"\0\x03\0",
            b"\0\x04",
            b"\0\x05\0",
            b"\0\x07\0\0",
            b"\x01\0\0\0",
            b"\0\x01a\0octet",
            b"\0\x06tsize\x009",
            b"\0\x06tsize\0",
        ] {
            assert!(Packet::read(bytes).is_err(), "{bytes:?}");
        }
    }
}
