//! Options: what a client asks for and what comes of it. Sources: RFC 2347, 2348, 2349, 7440.

use super::{BLOCK, LARGEST};

/// What a client asks for; nothing of what it leaves out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// Bytes of a block, 8 to 65464.
    pub blksize: Option<u16>,
    /// Whether the file's size is asked for.
    pub tsize: bool,
    /// Blocks that come before an answer is waited for.
    pub windowsize: Option<u16>,
    /// Seconds after which the server sends again, 1 to 255.
    pub timeout: Option<u8>,
}

impl Asked {
    /// Reads what a client asks for. What is not known, or has no value that is allowed, is as if it
    /// were not there; of an option that comes twice, the first counts. Source: RFC 2347.
    #[must_use]
    pub fn read(options: &[(String, String)]) -> Self {
        let value = |wanted: &str| {
            let found = options
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, text)| text.as_str())
        };
        let number = |wanted: &str| value(wanted).and_then(|text| text.parse::<u16>().ok());
        Self {
            // More than a block may have is too much for a server alone: it grants less.
            blksize: number("blksize")
                .filter(|n| *n >= 8)
                .map(|n| n.min(LARGEST)),
            tsize: value("tsize").is_some_and(|text| text == "0"),
            windowsize: number("windowsize").filter(|n| *n > 0),
            timeout: value("timeout")
                .and_then(|text| text.parse().ok())
                .filter(|n| *n > 0),
        }
    }

    /// Asks as EDK2 does, the firmware of most machines.
    #[must_use]
    pub fn edk2() -> Self {
        Self {
            blksize: Some(1468),
            tsize: true,
            windowsize: Some(4),
            timeout: None,
        }
    }

    /// Asks as iPXE does.
    #[must_use]
    pub fn ipxe() -> Self {
        Self {
            blksize: Some(1432),
            tsize: true,
            windowsize: None,
            timeout: None,
        }
    }

    /// Gives names and values, in the order in which EDK2 writes them.
    #[must_use]
    pub fn pairs(&self) -> Vec<(String, String)> {
        let pairs = [
            ("tsize", self.tsize.then(|| "0".to_owned())),
            ("blksize", self.blksize.map(|n| n.to_string())),
            ("windowsize", self.windowsize.map(|n| n.to_string())),
            ("timeout", self.timeout.map(|n| n.to_string())),
        ];
        let given = pairs
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)));
        given.collect()
    }

    /// Reads what a server grants.
    ///
    /// Errors with what is wrong with it: an option that was not asked for, one that is granted
    /// twice, a value that is not allowed.
    pub fn granted(&self, options: &[(String, String)]) -> Result<Agreed, String> {
        let mut agreed = Agreed::default();
        let mut seen: Vec<String> = Vec::new();
        for (name, text) in options {
            let name = name.to_ascii_lowercase();
            let shown = crate::model::value::clip(&name.escape_debug().to_string(), 40);
            if seen.contains(&name) {
                return Err(format!("`{shown}` is granted twice"));
            }
            let value: Option<u64> = text.parse().ok();
            let wrong = || {
                let text = crate::model::value::clip(&text.escape_debug().to_string(), 40);
                format!("`{shown}` is granted with `{text}`")
            };
            let value = value.ok_or_else(wrong)?;
            let small = u16::try_from(value).ok();
            match name.as_str() {
                "blksize" if self.blksize.is_some() => {
                    let size =
                        small.filter(|n| (8..=LARGEST).contains(n) && Some(*n) <= self.blksize);
                    agreed.blksize = Some(size.ok_or_else(wrong)?);
                }
                "windowsize" if self.windowsize.is_some() => {
                    let size = small.filter(|n| *n > 0 && Some(*n) <= self.windowsize);
                    agreed.windowsize = Some(size.ok_or_else(wrong)?);
                }
                "timeout" if self.timeout.is_some() => {
                    let same = self.timeout.filter(|asked| u64::from(*asked) == value);
                    agreed.timeout = Some(same.ok_or_else(wrong)?);
                }
                "tsize" if self.tsize => agreed.tsize = Some(value),
                _ => return Err(format!("`{shown}` is granted and was not asked for")),
            }
            seen.push(name);
        }
        Ok(agreed)
    }
}

/// What both sides have agreed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreed {
    /// Bytes of a block.
    pub blksize: Option<u16>,
    /// The file's size, as the server says it.
    pub tsize: Option<u64>,
    /// Blocks that come before an answer.
    pub windowsize: Option<u16>,
    /// Seconds after which the server sends again.
    pub timeout: Option<u8>,
}

impl Agreed {
    /// Gives the bytes of a block.
    #[must_use]
    pub fn block(&self) -> usize {
        usize::from(self.blksize.unwrap_or(BLOCK))
    }

    /// Gives the blocks that come before an answer.
    #[must_use]
    pub fn window(&self) -> u16 {
        self.windowsize.unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_asks_for_is_read_again() {
        for asked in [Asked::edk2(), Asked::ipxe(), Asked::default()] {
            assert_eq!(Asked::read(&asked.pairs()), asked);
        }
        let read = |name: &str, value: &str| Asked::read(&[(name.to_owned(), value.to_owned())]);
        assert_eq!(read("BlkSize", "65535").blksize, Some(LARGEST));
        for (name, value) in [
            ("blksize", "7"),
            ("blksize", "70000"),
            ("windowsize", "0"),
            ("timeout", "256"),
            ("timeout", "0"),
            ("tsize", "x"),
            ("multicast", ""),
        ] {
            assert_eq!(read(name, value), Asked::default(), "{name} {value}");
        }
    }

    #[test]
    fn only_what_was_asked_for_may_be_granted() {
        let asked = Asked {
            timeout: Some(2),
            ..Asked::edk2()
        };
        let granted = |options: &[(&str, &str)]| {
            let options: Vec<_> = options
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect();
            asked.granted(&options)
        };
        let all = granted(&[
            ("BLKSIZE", "1024"),
            ("tsize", "5000000000"),
            ("windowsize", "2"),
            ("timeout", "2"),
        ])
        .unwrap();
        assert_eq!(
            (all.block(), all.window(), all.tsize),
            (1024, 2, Some(5_000_000_000))
        );
        assert_eq!(granted(&[]).unwrap().block(), 512);
        for wrong in [
            ("blksize", "1469"),
            ("blksize", "7"),
            ("windowsize", "5"),
            ("windowsize", "0"),
            ("timeout", "3"),
            ("tsize", "x"),
            ("tsize", "-1"),
            ("multicast", ""),
        ] {
            assert!(granted(&[wrong]).is_err(), "{wrong:?}");
        }
        assert!(granted(&[("tsize", "1"), ("tsize", "1")]).is_err());
        assert!(
            Asked::default()
                .granted(&[("blksize".into(), "512".into())])
                .is_err()
        );
    }
}
