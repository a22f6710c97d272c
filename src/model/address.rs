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

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)?;
        self.inner.iter().try_for_each(|part| write!(f, "!/{part}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn what_leads_nowhere_is_refused() {
        assert_eq!(Address::parse("!/etc"), Err(AddressError::Empty));
        assert!(Address::parse("a!/b/../../c").is_err());
        assert_eq!(
            Address::parse("oci://r/i:1!/etc").unwrap().origin(),
            Origin::Registry
        );
    }
}
