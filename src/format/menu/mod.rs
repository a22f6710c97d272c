//! What boot loaders offer: entries with a kernel and its command line.
//!
//! Nothing is carried out here: conditions, includes and variables stay as they
//! stand, so an entry is what the file says and not what a machine would start.
//! A whole interpreter of each is another thing.

pub mod grub;
pub mod ipxe;
pub mod loader;
pub mod syslinux;

use std::collections::HashSet;

use super::FormatError;

/// Bytes of a boot loader's file; those in use have thousands.
pub const MAX_FILE: usize = 1 << 20;
/// Entries of one file; large menus have hundreds.
const MAX_ENTRIES: usize = 1024;
/// Characters of a title; longer ones are cut, and say so.
const MAX_TITLE: usize = 500;

/// One kernel that may be started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entry {
    /// What a menu shows for it; empty where there is no menu.
    pub title: String,
    /// The name by which the file itself refers to it.
    pub id: Option<String>,
    /// The line that starts it, counted from 1.
    pub line: u64,
    /// Where the kernel is, as the file says it.
    pub kernel: String,
    /// The arguments, on one line.
    pub cmdline: String,
}

/// A boot loader whose files are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loader {
    /// GRUB 2, `grub.cfg`.
    Grub,
    /// iPXE, a script.
    Ipxe,
    /// systemd-boot and others, `loader/entries/*.conf`.
    Entry,
    /// SYSLINUX, ISOLINUX, PXELINUX, EXTLINUX.
    Syslinux,
}

impl Loader {
    /// Tells a boot loader by the content of its file, and where that leaves it
    /// open, by the file's name. `None` where it is none of these.
    #[must_use]
    pub fn detect(name: &str, text: &str) -> Option<Self> {
        let file = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
        if text.starts_with("#!ipxe") || text.starts_with("#!gpxe") || file.ends_with(".ipxe") {
            return Some(Self::Ipxe);
        }
        let word = |line: &str| line.split_whitespace().next().map(str::to_ascii_lowercase);
        let first: Vec<String> = text.lines().take(2000).filter_map(word).collect();
        let has = |words: &[&str]| first.iter().any(|word| words.contains(&word.as_str()));
        if has(&["menuentry", "submenu", "insmod", "linuxefi"]) || file == "grub.cfg" {
            return Some(Self::Grub);
        }
        if has(&["append", "label"])
            || matches!(&*file, "isolinux.cfg" | "syslinux.cfg" | "extlinux.conf")
        {
            return Some(Self::Syslinux);
        }
        let entry = |word: &String| word.starts_with('#') || loader::KEYS.contains(&word.as_str());
        if has(&["linux", "efi", "uki"]) && first.iter().all(entry) {
            return Some(Self::Entry);
        }
        has(&["linux"]).then_some(Self::Grub)
    }

    /// Gives the stable name that specs use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Grub => "grub",
            Self::Ipxe => "ipxe",
            Self::Entry => "loader-entry",
            Self::Syslinux => "syslinux",
        }
    }

    /// Gives the entries of a file that start a kernel, in their order. `name` is
    /// the file's.
    ///
    /// Errors with [`FormatError::Corrupt`] where a quote or a brace is not
    /// closed, and above 1 MiB or 1024 entries.
    pub fn entries(self, name: &str, text: &str) -> Result<Vec<Entry>, FormatError> {
        if text.len() > MAX_FILE {
            let what = format!("{} bytes; {MAX_FILE} is the most", text.len());
            return Err(FormatError::corrupt(self.name(), 0, what));
        }
        let entries = match self {
            Self::Grub => grub::entries(text)?,
            Self::Ipxe => ipxe::entries(text),
            Self::Entry => loader::entries(name, text),
            Self::Syslinux => syslinux::entries(text),
        };
        // Each reader stops at one more.
        if entries.len() > MAX_ENTRIES {
            let what = format!("more than {MAX_ENTRIES} entries");
            return Err(FormatError::corrupt(self.name(), 0, what));
        }
        Ok(entries)
    }

    /// Gives the variables that stand in a text, as `${net0/mac}` or `$root`;
    /// what they hold, only the machine knows.
    #[must_use]
    pub fn variables(self, text: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut met = HashSet::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            let variable = rest.get(at..).unwrap_or_default();
            let length = self.variable(variable);
            if let Some(variable) = variable.get(..length).filter(|v| !v.is_empty())
                && met.insert(variable)
            {
                found.push(variable.to_owned());
            }
            rest = variable.get(length.max(1)..).unwrap_or_default();
        }
        found
    }

    /// Gives the length of the variable that a text begins with, 0 where it is
    /// none. Only GRUB and the entries that it reads know them without braces.
    fn variable(self, text: &str) -> usize {
        let named = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let rest = text.get(1..).unwrap_or_default();
        match (self, rest.strip_prefix('{')) {
            (Self::Syslinux, _) => 0,
            (_, Some(braced)) => braced.find('}').map_or(0, |end| end + 3),
            (Self::Ipxe, None) => 0,
            (Self::Grub | Self::Entry, None) => match rest.find(|c| !named(c)) {
                Some(0) => 0,
                Some(end) => end + 1,
                None if rest.is_empty() => 0,
                None => text.len(),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_boot_loader_is_told_by_what_its_file_says() {
        let detect = |name: &str, text: &str| Loader::detect(name, text);
        assert_eq!(detect("x", "#!ipxe\nboot"), Some(Loader::Ipxe));
        assert_eq!(
            detect("x", "set timeout=1\nmenuentry 'a' {\n linux /k\n}\n"),
            Some(Loader::Grub)
        );
        assert_eq!(detect("boot/grub/grub.cfg", ""), Some(Loader::Grub));
        assert_eq!(
            detect("x.conf", "# c\ntitle A\nlinux /k\noptions a\n"),
            Some(Loader::Entry)
        );
        assert_eq!(
            detect("x", "LABEL a\n KERNEL k\n APPEND b\n"),
            Some(Loader::Syslinux)
        );
        assert_eq!(detect("x", "console=tty0 quiet\n"), None);
        assert_eq!(detect("x", "label=x append=y\n"), None);
    }

    #[test]
    fn variables_are_found_as_each_loader_writes_them() {
        assert_eq!(
            Loader::Grub.variables("root=$root a=${b}c $ $1 ${open $root $z"),
            ["$root", "${b}", "$1", "$z"]
        );
        assert_eq!(
            Loader::Ipxe.variables("a=${net0/mac:hexhyp} $b"),
            ["${net0/mac:hexhyp}"]
        );
        assert!(Loader::Syslinux.variables("$a ${b}").is_empty());
    }
}
