//! Where a subject is, at any depth.

use std::fmt;

use thiserror::Error;

use super::path::normalise;

/// Where a subject is: `PATH!/inner!/inner…`.
///
/// The first part is a path on disk, a URL (`https://…`) or an image in a
/// registry (`oci://…`). Each further part is a path inside of what the part
/// before it leads to, whatever that is: a disk, an archive, a file system, a
/// UKI. An empty part (`file.xz!/`) is the thing itself, decompressed.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address {
    source: String,
    inner: Vec<String>,
}

/// What an address begins at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A path on this machine's disk.
    Disk,
    /// `http://` or `https://`.
    Http,
    /// `oci://`: an image in a registry.
    Registry,
}

/// Why a text is no address.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddressError {
    /// There is nothing before the first `!/`.
    #[error("an address that begins nowhere")]
    Empty,
    /// A path inside leads upwards.
    #[error("`..` in the part `{0}` of an address")]
    Upwards(String),
}

impl AddressError {
    /// Says what to write instead.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Empty => "write PATH, or PATH!/path/inside",
            Self::Upwards(_) => {
                "write the path that is meant, from the top of what it is inside of"
            }
        }
    }
}

impl Address {
    /// Reads an address.
    ///
    /// # Errors
    /// Where nothing stands before the first `!/`, or a part holds `..`.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let text = text
            .strip_suffix('!')
            .map_or(text.to_owned(), |t| format!("{t}!/"));
        let mut parts = text.split("!/");
        let source = parts.next().unwrap_or_default().to_owned();
        if source.is_empty() {
            return Err(AddressError::Empty);
        }
        let inner: Vec<String> = parts.map(normalise).collect();
        match inner
            .iter()
            .find(|part| part.split('/').any(|name| name == ".."))
        {
            Some(part) => Err(AddressError::Upwards(part.clone())),
            None => Ok(Self { source, inner }),
        }
    }

    /// Makes the address of a path on disk, whatever characters it has.
    pub fn of_path(path: &std::path::Path) -> Self {
        Self {
            source: path.to_string_lossy().into_owned(),
            inner: Vec::new(),
        }
    }

    /// Gives the first part: a path or a URL.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Gives the paths inside, from the outermost to the innermost.
    pub fn inner(&self) -> &[String] {
        &self.inner
    }

    /// Tells what the address begins at.
    pub fn origin(&self) -> Origin {
        let begins = |scheme: &str| self.source.starts_with(scheme);
        if begins("http://") || begins("https://") {
            Origin::Http
        } else if begins("oci://") {
            Origin::Registry
        } else {
            Origin::Disk
        }
    }

    /// Gives the path of an address that is nothing but a path on disk.
    pub fn disk_path(&self) -> Option<&std::path::Path> {
        let plain = self.inner.is_empty() && self.origin() == Origin::Disk;
        plain.then(|| std::path::Path::new(&self.source))
    }

    /// Gives the address with another first part.
    #[must_use]
    pub fn with_source(&self, source: String) -> Self {
        let inner = self.inner.clone();
        Self { source, inner }
    }

    /// Gives the address of what the last part is inside of, and that part;
    /// `None` where there is only the first.
    pub fn parent(&self) -> Option<(Self, &str)> {
        let (last, before) = self.inner.split_last()?;
        let parent = Self {
            source: self.source.clone(),
            inner: before.to_vec(),
        };
        Some((parent, last))
    }

    /// Gives the address of a path inside of what this one leads to.
    #[must_use]
    pub fn inside(&self, path: &str) -> Self {
        let mut inner = self.inner.clone();
        inner.push(normalise(path));
        Self {
            source: self.source.clone(),
            inner,
        }
    }
}

/// Shows the first part of an address without what may be secret in it: a name and a password
/// before the host and, of a web server's, the query, in which servers put signatures and tokens.
pub fn shown(source: &str) -> String {
    let Some((scheme, rest)) = source.split_once("://") else {
        return source.to_owned();
    };
    let end = rest.find(['?', '#']).unwrap_or(rest.len());
    let (place, query) = rest.split_at(end);
    let host = place.split(['/', '\\']).next().unwrap_or_default();
    let port = host.rsplit_once(':').map_or("", |(_, port)| port);
    // A password with a `/` in it ends what looks like a host, whose port is no number then.
    let odd = !host.contains('@') && !port.bytes().all(|b| b.is_ascii_digit() || b == b']');
    let searched = if odd { place } else { host };
    let from = searched.rfind('@').map_or(0, |at| at + 1);
    let place = place.get(from..).unwrap_or_default();
    match (scheme, query.starts_with('?')) {
        ("oci", _) => format!("{scheme}://{place}{query}"),
        (_, true) => format!("{scheme}://{place}?…"),
        (_, false) => format!("{scheme}://{place}"),
    }
}

/// Takes the names and passwords out of the addresses in a text, such as a line of a spec.
pub fn without_credentials(text: &str) -> String {
    let mut parts = text.split("://");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str("://");
        let end = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'');
        let place = part.split(end).next().unwrap_or_default();
        match place.rfind('@') {
            Some(at) => {
                out.push_str("•••");
                out.push_str(part.get(at..).unwrap_or_default());
            }
            None => out.push_str(part),
        }
    }
    out
}

/// Shows the address without what may be secret in it; see [`shown`].
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin() {
            Origin::Disk => f.write_str(&self.source)?,
            Origin::Http | Origin::Registry => f.write_str(&shown(&self.source))?,
        }
        self.inner.iter().try_for_each(|part| write!(f, "!/{part}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_taken_out_of_a_text() {
        let out = without_credentials;
        assert_eq!(
            out("- http: 'http://me:pw@h:1/a@b', x: \"https://k@i\""),
            "- http: 'http://•••@h:1/a@b', x: \"https://•••@i\""
        );
        for plain in ["", "a@b", "http://h/a?b@c", "://", "me@h://x/ y@z"] {
            assert_eq!(out(plain), plain);
        }
    }

    #[test]
    fn an_address_is_split_at_each_mark() {
        let text = "m.raw.xz!/EFI//EFI/Linux/*.efi!/.initrd!/rootfs.sqsh!/usr/bin/containerd";
        let address = Address::parse(text).unwrap();
        assert_eq!(address.source(), "m.raw.xz");
        assert_eq!(address.inner()[0], "EFI/EFI/Linux/*.efi");
        assert_eq!(address.inner().len(), 4);
        assert_eq!(address.to_string(), text.replace("//EFI", "/EFI"));
        assert_eq!(address.origin(), Origin::Disk);
        assert_eq!(address.disk_path(), None);
    }

    #[test]
    fn the_mark_alone_is_the_thing_decompressed() {
        for text in ["disk.raw.xz!/", "disk.raw.xz!"] {
            assert_eq!(Address::parse(text).unwrap().inner(), [""]);
        }
        assert!(Address::parse("disk.raw.xz").unwrap().disk_path().is_some());
    }

    #[test]
    fn what_is_secret_in_an_address_is_not_shown() {
        for (text, want) in [
            (
                "https://me:pw@h.example/a?token=x#y",
                "https://h.example/a?…",
            ),
            ("https://h.example/a#token", "https://h.example/a"),
            ("http://h.example:8080/a", "http://h.example:8080/a"),
            ("http://h.example:8080/@a/b", "http://h.example:8080/@a/b"),
            ("http://[::1]/@a", "http://[::1]/@a"),
            ("https://me:p@w@h/a", "https://h/a"),
            ("https://me:p/w@h/a", "https://h/a"),
            ("https://me:p/w@h:1/a", "https://h:1/a"),
            ("https://me@[x/a?token=x", "https://[x/a?…"),
            ("oci://me:pw@h.example/a", "oci://h.example/a"),
            (
                "oci://h.example/a@sha256:00?platform=a/b",
                "oci://h.example/a@sha256:00?platform=a/b",
            ),
            ("a/b?c@d", "a/b?c@d"),
        ] {
            assert_eq!(shown(text), want, "{text}");
        }
        let address = Address::parse("https://me:pw@h/a?token=x!/etc").unwrap();
        assert_eq!(address.to_string(), "https://h/a?…!/etc");
        assert_eq!(address.source(), "https://me:pw@h/a?token=x");
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        assert_eq!(Address::parse("!/etc"), Err(AddressError::Empty));
        assert!(Address::parse("a!/b/../../c").is_err());
        assert_eq!(
            Address::parse("oci://r/i:1!/etc").unwrap().origin(),
            Origin::Registry
        );
    }
}
