//! Packets. Source: RFC 2131 §2, RFC 2132 §9.3 (options in `sname` and `file`), RFC 3396 (options in
//! several parts).

use std::net::Ipv4Addr;

use super::NAME;
use crate::format::FormatError;
use crate::format::field::{array, be16};

const COOKIE: [u8; 4] = [99, 130, 83, 99];
/// What BOOTP relays expect at least. Source: RFC 1542 §2.1.
const LEAST: usize = 300;
const FILE: usize = 108;
const SNAME: usize = 44;
const OPTIONS: usize = 240;

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// Whether a server sent it.
    pub reply: bool,
    /// The transaction.
    pub xid: u32,
    /// Seconds since the client began.
    pub secs: u16,
    /// Whether answers are to be broadcast.
    pub broadcast: bool,
    /// The relays that it passed.
    pub hops: u8,
    /// The address that the client has.
    pub ciaddr: Ipv4Addr,
    /// The address that the client may have.
    pub yiaddr: Ipv4Addr,
    /// The server that comes next.
    pub siaddr: Ipv4Addr,
    /// The relay.
    pub giaddr: Ipv4Addr,
    /// The client's MAC address.
    pub mac: [u8; 6],
    /// The server's name, where that field holds one.
    pub sname: Vec<u8>,
    /// The boot file, where that field holds one.
    pub file: Vec<u8>,
    /// Codes and values, in the order in which they came; an option in several parts is one.
    pub options: Vec<(u8, Vec<u8>)>,
}

impl Packet {
    /// Makes a packet of a client without options.
    #[must_use]
    pub fn of(mac: [u8; 6], xid: u32) -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        Self {
            reply: false,
            xid,
            secs: 0,
            broadcast: false,
            hops: 0,
            ciaddr: none,
            yiaddr: none,
            siaddr: none,
            giaddr: none,
            mac,
            sname: Vec::new(),
            file: Vec::new(),
            options: Vec::new(),
        }
    }

    /// Reads a datagram.
    ///
    /// # Errors
    /// Where it is cut short, is no DHCP packet, or an option goes beyond its end.
    pub fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        let head = bytes.get(..OPTIONS);
        let head = head.ok_or_else(|| cut(bytes.len(), "the fixed fields"))?;
        let fixed = |at: usize| array::<4>(head, at).unwrap_or_default();
        if fixed(236) != COOKIE {
            return Err(FormatError::corrupt(NAME, 236, "not DHCP's magic number"));
        }
        let reply = match head.first() {
            Some(1) => false,
            Some(2) => true,
            other => {
                let what = format!("operation {}", other.copied().unwrap_or_default());
                return Err(FormatError::corrupt(NAME, 0, what));
            }
        };
        // Another network's address is no MAC address, and would be answered as one.
        if head.get(1..3) != Some(&[1, 6]) {
            return Err(FormatError::corrupt(
                NAME,
                1,
                "a network that is no Ethernet",
            ));
        }
        let mut options = Vec::new();
        read_options(bytes, OPTIONS, bytes.len(), &mut options)?;
        let overload = find(&options, 52)
            .and_then(<[u8]>::first)
            .copied()
            .unwrap_or(0);
        if overload & 1 != 0 {
            read_options(bytes, FILE, 236, &mut options)?;
        }
        if overload & 2 != 0 {
            read_options(bytes, SNAME, FILE, &mut options)?;
        }
        let text = |from: usize, to: usize, taken: bool| {
            let field = head.get(from..to).filter(|_| !taken).unwrap_or_default();
            let end = field.iter().position(|byte| *byte == 0);
            field
                .get(..end.unwrap_or(field.len()))
                .unwrap_or_default()
                .to_vec()
        };
        Ok(Self {
            reply,
            xid: u32::from_be_bytes(fixed(4)),
            secs: be16(head, 8).unwrap_or(0),
            broadcast: be16(head, 10).unwrap_or(0) & 0x8000 != 0,
            hops: head.get(3).copied().unwrap_or(0),
            ciaddr: fixed(12).into(),
            yiaddr: fixed(16).into(),
            siaddr: fixed(20).into(),
            giaddr: fixed(24).into(),
            mac: array(head, 28).unwrap_or_default(),
            sname: text(SNAME, FILE, overload & 2 != 0),
            file: text(FILE, 236, overload & 1 != 0),
            options,
        })
    }

    /// Writes the packet as a datagram. A value longer than an option may be is written in parts;
    /// names longer than their fields are cut.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let mut out = vec![0; OPTIONS];
        let mut put = |at: usize, bytes: &[u8]| {
            for (to, byte) in out.iter_mut().skip(at).zip(bytes) {
                *to = *byte;
            }
        };
        put(0, &[if self.reply { 2 } else { 1 }, 1, 6, self.hops]);
        put(4, &self.xid.to_be_bytes());
        put(8, &self.secs.to_be_bytes());
        put(10, &[if self.broadcast { 0x80 } else { 0 }, 0]);
        let addresses = [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr];
        for (index, address) in addresses.iter().enumerate() {
            put(12 + index * 4, &address.octets());
        }
        put(28, &self.mac);
        put(SNAME, self.sname.get(..63).unwrap_or(&self.sname));
        put(FILE, self.file.get(..127).unwrap_or(&self.file));
        put(236, &COOKIE);
        for (code, value) in &self.options {
            if value.is_empty() {
                out.extend([*code, 0]);
            }
            for part in value.chunks(255) {
                out.extend([*code, u8::try_from(part.len()).unwrap_or(u8::MAX)]);
                out.extend(part);
            }
        }
        out.push(255);
        out.resize(out.len().max(LEAST), 0);
        out
    }

    /// Gives the value of an option.
    #[must_use]
    pub fn option(&self, code: u8) -> Option<&[u8]> {
        find(&self.options, code)
    }

    /// Gives the value of an option that is one address.
    #[must_use]
    pub fn address(&self, code: u8) -> Option<Ipv4Addr> {
        array::<4>(self.option(code)?, 0).map(Ipv4Addr::from)
    }

    /// Gives the value of an option that is text; a NUL ends it.
    #[must_use]
    pub fn text(&self, code: u8) -> Option<String> {
        let value = self.option(code)?;
        let end = value
            .iter()
            .position(|byte| *byte == 0)
            .unwrap_or(value.len());
        Some(String::from_utf8_lossy(value.get(..end).unwrap_or_default()).into_owned())
    }

    /// Gives the architectures of option 93, all of them. Source: RFC 4578 §2.1.
    #[must_use]
    pub fn architectures(&self) -> Vec<u16> {
        let value = self.option(93).unwrap_or_default();
        value
            .chunks_exact(2)
            .filter_map(|pair| be16(pair, 0))
            .collect()
    }
}

fn find(options: &[(u8, Vec<u8>)], code: u8) -> Option<&[u8]> {
    let found = options.iter().find(|(held, _)| *held == code);
    found.map(|(_, value)| value.as_slice())
}

fn cut(offset: usize, what: impl Into<String>) -> FormatError {
    FormatError::truncated(NAME, offset as u64, what)
}

/// Reads the options that lie between two places. Source: RFC 2132 §2.
fn read_options(
    bytes: &[u8],
    from: usize,
    to: usize,
    options: &mut Vec<(u8, Vec<u8>)>,
) -> Result<(), FormatError> {
    for_each(
        bytes.get(..to).unwrap_or_default(),
        from,
        |code, value| match options.iter_mut().find(|(held, _)| *held == code) {
            Some((_, held)) => held.extend_from_slice(value),
            None => options.push((code, value.to_vec())),
        },
    )
}

/// Goes through options: those of a packet, or those inside of one.
pub(super) fn for_each(
    bytes: &[u8],
    from: usize,
    mut each: impl FnMut(u8, &[u8]),
) -> Result<(), FormatError> {
    let mut at = from;
    while let Some(code) = bytes.get(at).copied() {
        match code {
            0 => at += 1,
            255 => break,
            _ => {
                let length = bytes.get(at + 1).copied();
                let length = usize::from(
                    length.ok_or_else(|| cut(at, format!("the length of option {code}")))?,
                );
                let value = bytes.get(at + 2..at + 2 + length);
                each(
                    code,
                    value.ok_or_else(|| cut(at, format!("option {code}")))?,
                );
                at += 2 + length;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_written_and_read_again() {
        let mut packet = Packet::of([0x52, 0x54, 0, 0x12, 0x34, 0x56], 0x0102_0304);
        packet.siaddr = Ipv4Addr::new(10, 0, 0, 1);
        packet.file = b"ipxe-arm64.efi".to_vec();
        packet.options = vec![
            (53, vec![1]),
            (93, vec![0, 7, 0, 11]),
            (43, vec![9; 600]),
            (80, vec![]),
        ];
        let bytes = packet.write();
        assert_eq!(Packet::read(&bytes).unwrap(), packet);
        assert_eq!(
            (packet.architectures(), bytes.len() > 800),
            (vec![7, 11], true)
        );
        assert_eq!(Packet::of([0; 6], 0).write().len(), 300);
    }

    #[test]
    fn options_lie_in_the_fields_of_names_as_well() {
        let mut bytes = Packet::of([1; 6], 7).write();
        bytes[240..244].copy_from_slice(&[52, 1, 3, 255]);
        bytes[FILE..FILE + 4].copy_from_slice(&[67, 1, b'a', 255]);
        bytes[SNAME..SNAME + 7].copy_from_slice(&[0, 67, 1, b'b', 66, 1, b'c']);
        bytes[SNAME + 7] = 255;
        let packet = Packet::read(&bytes).unwrap();
        assert_eq!(
            (packet.text(67).unwrap(), packet.text(66).unwrap()),
            ("ab".to_owned(), "c".to_owned())
        );
        assert!(packet.file.is_empty() && packet.sname.is_empty());
    }

    #[test]
    fn what_is_no_packet_is_refused() {
        let good = Packet::of([1; 6], 7).write();
        assert!(Packet::read(&good[..239]).is_err());
        for (at, byte) in [(0, 3), (1, 32), (2, 0), (2, 16), (237, 0)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(Packet::read(&bad).is_err());
        }
        let mut bad = good[..240].to_vec();
        bad.extend([53, 9, 1]);
        assert!(Packet::read(&bad).is_err_and(|error| error.offset() == 240));
    }
}
