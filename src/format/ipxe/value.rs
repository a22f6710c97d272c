//! What settings are written as.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

/// How a setting is written and read. Source: the `setting_type_…` of `core/settings.c`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingType {
    /// Text as it stands.
    String,
    /// Text with `%XX` for what has a meaning in an address.
    UriString,
    /// An IPv4 address.
    Ipv4,
    /// An IPv6 address.
    Ipv6,
    /// A number of so many bytes, with a sign or not.
    Integer(usize, bool),
    /// Hexadecimal digits, two and two with what is between them.
    Hex(&'static str),
    /// Base64.
    Base64,
    /// A UUID.
    Uuid,
    /// A UUID whose first half is stored the other way round.
    Guid,
    /// A PCI address.
    BusDevFn,
}

impl SettingType {
    /// Finds a type by the name behind a setting's colon.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "string" => Self::String,
            "uristring" => Self::UriString,
            "ipv4" => Self::Ipv4,
            "ipv6" => Self::Ipv6,
            "int8" => Self::Integer(1, true),
            "int16" => Self::Integer(2, true),
            "int32" => Self::Integer(4, true),
            "uint8" => Self::Integer(1, false),
            "uint16" => Self::Integer(2, false),
            "uint32" => Self::Integer(4, false),
            "hex" => Self::Hex(":"),
            "hexhyp" => Self::Hex("-"),
            "hexraw" => Self::Hex(""),
            "base64" => Self::Base64,
            "uuid" => Self::Uuid,
            "guid" => Self::Guid,
            "busdevfn" => Self::BusDevFn,
            _ => return None,
        })
    }

    /// Gives the type that a setting has by its name; `None` where the name says nothing.
    pub(super) fn of(name: &str) -> Option<Self> {
        Some(match name {
            "mac" | "hwaddr" => Self::Hex(":"),
            "busid" => Self::Hex("-"),
            "ip" | "netmask" | "gateway" | "dns" | "next-server" | "dhcp-server" | "ntp" => {
                Self::Ipv4
            }
            "ip6" | "gateway6" | "dns6" => Self::Ipv6,
            "uuid" => Self::Uuid,
            "priority" => Self::Integer(1, true),
            "memsize" => Self::Integer(4, true),
            "unixtime" => Self::Integer(4, false),
            "busloc" => Self::BusDevFn,
            _ => return None,
        })
    }

    /// Reads a value as it is written; `None` where it is none of this type.
    #[must_use]
    pub fn parse(self, text: &str) -> Option<Vec<u8>> {
        Some(match self {
            Self::String => text.as_bytes().to_vec(),
            Self::UriString => percent_decode_str(text).collect(),
            Self::Ipv4 => text.parse::<Ipv4Addr>().ok()?.octets().to_vec(),
            Self::Ipv6 => text.parse::<Ipv6Addr>().ok()?.octets().to_vec(),
            Self::Integer(width, _) => {
                let bytes = number(text)?.to_be_bytes();
                bytes.get(bytes.len() - width..)?.to_vec()
            }
            Self::Hex(between) => unhex(text, between)?,
            Self::Base64 => STANDARD.decode(text.trim()).ok()?,
            Self::Uuid | Self::Guid => self.turned(unhex(&text.replace('-', ""), "")?)?,
            Self::BusDevFn => return None,
        })
    }

    /// Writes a value; `None` where its bytes are none of this type.
    #[must_use]
    pub fn format(self, raw: &[u8]) -> Option<String> {
        Some(match self {
            Self::String => String::from_utf8_lossy(raw).into_owned(),
            Self::UriString => uri_encoded(raw),
            Self::Ipv4 => Ipv4Addr::from(<[u8; 4]>::try_from(raw).ok()?).to_string(),
            Self::Ipv6 => Ipv6Addr::from(<[u8; 16]>::try_from(raw).ok()?).to_string(),
            Self::Integer(_, signed) => {
                let value = numeric(raw, signed)?;
                match (signed, value) {
                    (true, value) => value.to_string(),
                    (false, 0) => "0".to_owned(),
                    (false, value) => format!("{:#x}", value as u32),
                }
            }
            Self::Hex(between) => hex(raw, between),
            Self::Base64 => STANDARD.encode(raw),
            Self::Uuid | Self::Guid => {
                let digits = hex(&self.turned(raw.to_vec())?, "");
                let part = |from, to| digits.get(from..to);
                let (a, b, c) = (part(0, 8)?, part(8, 12)?, part(12, 16)?);
                format!("{a}-{b}-{c}-{}-{}", part(16, 20)?, part(20, 32)?)
            }
            Self::BusDevFn => {
                let value = numeric(raw, false)? as u32;
                let (segment, bus) = (value >> 16, (value >> 8) & 0xff);
                format!(
                    "{segment:04x}:{bus:02x}:{:02x}.{:x}",
                    (value >> 3) & 31,
                    value & 7
                )
            }
        })
    }

    /// Turns the parts of a GUID round, and leaves a UUID as it is.
    fn turned(self, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        if bytes.len() != 16 {
            return None;
        }
        if self == Self::Guid {
            for (from, to) in [(0, 4), (4, 6), (6, 8)] {
                bytes.get_mut(from..to)?.reverse();
            }
        }
        Some(bytes)
    }
}

/// Reads a number as `strtoul` with base 0 does, the last 32 bits of it: nothing stands behind its
/// digits, and none need stand before that. Sources: `parse_integer`, `core/string.c`.
pub(super) fn number(text: &str) -> Option<u32> {
    if text.is_empty() {
        return None;
    }
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (base, digits) = match digits.strip_prefix('0') {
        None => (10, digits),
        Some(rest) => match rest.strip_prefix(['x', 'X']) {
            Some(digits) => (16, digits),
            None => (8, rest),
        },
    };
    let value = digits.chars().try_fold(0u32, |value, digit| {
        Some(value.wrapping_mul(base).wrapping_add(digit.to_digit(base)?))
    })?;
    Some(match negative {
        true => value.wrapping_neg(),
        false => value,
    })
}

/// Gives the number that bytes are: the last four count, the sign is that of the first. Source:
/// `numeric_setting_value`.
pub(super) fn numeric(raw: &[u8], signed: bool) -> Option<i64> {
    if raw.len() > 1024 {
        return None;
    }
    let minus = signed && raw.first().is_some_and(|first| *first >= 0x80);
    let start: u32 = if minus { u32::MAX } else { 0 };
    let value = raw
        .iter()
        .fold(start, |value, byte| value << 8 | u32::from(*byte));
    Some(if signed {
        i64::from(value as i32)
    } else {
        i64::from(value)
    })
}

fn hex(raw: &[u8], between: &str) -> String {
    let mut text = String::with_capacity(raw.len() * (2 + between.len()));
    for (index, byte) in raw.iter().enumerate() {
        let between = if index == 0 { "" } else { between };
        let _ = write!(text, "{between}{byte:02x}");
    }
    text
}

fn unhex(text: &str, between: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| (*byte as char).to_digit(16);
    let mut raw = Vec::new();
    let mut rest = text.as_bytes();
    while let [high, low, left @ ..] = rest {
        raw.push(u8::try_from(digit(high)? << 4 | digit(low)?).ok()?);
        rest = match left {
            [] => left,
            left => left.strip_prefix(between.as_bytes())?,
        };
    }
    rest.is_empty().then_some(raw)
}

/// Escapes what has a meaning in an address. Source: `uri_character_escaped` with no field.
fn uri_encoded(raw: &[u8]) -> String {
    let mut text = String::with_capacity(raw.len());
    for byte in raw {
        match byte {
            b'%' | b'/' | b'#' | b':' | b'@' | b'?' | b'=' | b'&' | b'+' => {
                let _ = write!(text, "%{byte:02X}");
            }
            b'!'..=b'~' => text.push(*byte as char),
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(of: &str, text: &str) -> Vec<u8> {
        SettingType::named(of).unwrap().parse(text).unwrap()
    }

    fn text(of: &str, raw: &[u8]) -> String {
        SettingType::named(of).unwrap().format(raw).unwrap()
    }

    /// The values are those of iPXE's own test of its settings, `tests/settings_test.c`.
    #[test]
    fn values_are_read_and_written_as_ipxe_does() {
        assert_eq!(raw("uristring", "hello%20world"), b"hello world");
        assert_eq!(
            text("uristring", b"\0 %/#:@?=&"),
            "%00%20%25%2F%23%3A%40%3F%3D%26"
        );
        assert_eq!(raw("ipv4", "192.168.0.1"), [192, 168, 0, 1]);
        assert_eq!(text("ipv4", &[212, 13, 204, 60]), "212.13.204.60");
        let six = [
            0xfe, 0x80, 0, 0, 0, 0, 0, 0, 2, 0x0c, 0x29, 0xff, 0xfe, 0xc5, 0x39, 0xa1,
        ];
        assert_eq!(text("ipv6", &six), "fe80::20c:29ff:fec5:39a1");
        assert_eq!(raw("int8", "0x1234"), [0x34]);
        assert_eq!(raw("int8", "-32"), [224]);
        assert_eq!(text("int8", &[247]), "-9");
        assert_eq!(raw("uint8", "129"), [129]);
        assert_eq!(text("uint8", &[0x54]), "0x54");
        assert_eq!(raw("int16", "29483"), [0x73, 0x2b]);
        assert_eq!(text("int16", &[0x82, 0x14]), "-32236");
        assert_eq!(text("uint16", &[0x9a, 0x24]), "0x9a24");
        assert_eq!(raw("int32", "2901274"), [0, 0x2c, 0x45, 0x1a]);
        assert_eq!(text("int32", &[0xff, 0x34, 0x2d, 0xaf]), "-13357649");
        assert_eq!(text("uint32", &[0xf2, 0x37, 0xb2, 0x18]), "0xf237b218");
        assert_eq!(numeric(&[0xff, 0xff, 0xfe], true), Some(-2));
        assert_eq!(
            numeric(&[0, 0, 0, 0x12, 0x34, 0x56, 0x78], false),
            Some(0x1234_5678)
        );
        assert_eq!(
            numeric(&[0xff, 0xff, 0x87, 0x65, 0x43, 0x21], true),
            Some(-0x789a_bcdf)
        );
        assert_eq!(raw("hexhyp", "11-33-22"), [0x11, 0x33, 0x22]);
        assert_eq!(text("hex", &[0x62, 0xd9, 0xd4]), "62:d9:d4");
        assert_eq!(text("hexhyp", &[0x9f, 0xe5, 0x6d]), "9f-e5-6d");
        assert_eq!(
            raw("hexraw", "012345abcdef"),
            [1, 0x23, 0x45, 0xab, 0xcd, 0xef]
        );
        assert_eq!(
            text("base64", &[0x80, 0x81, 0x82, 0x83, 0x84, 0, 0xff]),
            "gIGCg4QA/w=="
        );
        let uuid = "36d22ed9-b64f-4fdb-941b-a54a0854f991";
        assert_eq!(text("uuid", &raw("uuid", uuid)), uuid);
        let guid = raw("guid", "7ad4478f-c270-4601-a245-78598f25a984");
        assert_eq!(guid[..8], [0x8f, 0x47, 0xd4, 0x7a, 0x70, 0xc2, 0x01, 0x46]);
        assert_eq!(text("busdevfn", &[0, 2, 0x0a, 0x21]), "0002:0a:04.1");
        assert_eq!(SettingType::named("hex").unwrap().parse("1:2"), None);
        for (text, value) in [
            ("0", Some(0)),
            ("017", Some(15)),
            ("0X1f", Some(31)),
            ("-1", Some(u32::MAX)),
            ("+0x100000001", Some(1)),
            ("-", Some(0)),
            ("0x", Some(0)),
            ("", None),
            ("08", None),
            ("0x+5", None),
            ("--5", None),
            ("5 ", None),
        ] {
            assert_eq!(number(text), value, "{text}");
        }
    }
}
