//! Kernel modules: what one says about itself, and the indexes that `depmod`
//! makes of a directory of them.
//!
//! Of a module the section headers, `.modinfo` and the end of the file are
//! fetched; of a file in a compressed image, that decodes a few blocks.
//!
//! Sources: `include/linux/moduleparam.h` and `kernel/module/main.c` of Linux
//! for `.modinfo`, `kernel/module_signature.c` for the signature, and
//! `depmod.d(5)`, `modules.dep(5)` and kmod's sources for names and indexes.

pub mod index;
mod pkcs7;
mod signature;
pub mod trie;

pub use signature::{Signature, Signed};

use super::elf::{Elf, ElfType, Table};
use super::node::escape;
use super::{FormatError, ReadAt};

const NAME: &str = "kmod";
/// Bytes of `.modinfo`; of the modules in use the largest has some 100 KB.
const MAX_INFO: u64 = 1 << 20;

/// What a module file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The machine it is for, as [`super::elf::machine_name`] writes it.
    pub machine: String,
    /// 32 or 64.
    pub class: u8,
    /// Whether it carries a signature.
    pub signature: Signature,
    info: Vec<(String, String)>,
}

impl Module {
    /// Reads an uncompressed module.
    ///
    /// Errors: [`FormatError::Truncated`] where it is shorter than its headers
    /// say, [`FormatError::Corrupt`] where it is no object file or has no
    /// `.modinfo`, [`FormatError::Limit`] where that is larger than 1 MiB.
    /// A broken signature is no error: see [`Signature::Broken`].
    pub fn read(file: &(impl ReadAt + ?Sized)) -> Result<Self, FormatError> {
        let elf = Elf::read(file)?;
        if elf.kind != ElfType::Rel {
            let what = format!("it is of type `{}`; a module is `rel`", elf.kind.name());
            return Err(FormatError::corrupt(NAME, 16, what));
        }
        let table = Table::read(file)?;
        let Some((at, size)) = table.find(b".modinfo") else {
            let what = "there is no section `.modinfo`, so it is no kernel module";
            return Err(FormatError::corrupt(NAME, 0, what));
        };
        if size > MAX_INFO {
            return Err(FormatError::Limit {
                format: NAME,
                offset: at,
                limit: ".modinfo",
                value: MAX_INFO,
                remedy: "no module in use says that much about itself",
            });
        }
        let bytes = file.fetch(NAME, at, size, "section `.modinfo`")?;
        Ok(Self {
            machine: elf.machine,
            class: elf.class,
            signature: signature::read(file, table.end())?,
            info: info(&bytes),
        })
    }

    /// Gives all tags and values in their order.
    #[must_use]
    pub fn info(&self) -> &[(String, String)] {
        &self.info
    }

    /// Gives the values of a tag in their order.
    pub fn values<'m>(&'m self, tag: &'m str) -> impl Iterator<Item = &'m str> {
        let own = move |(key, _): &&(String, String)| key == tag;
        self.info
            .iter()
            .filter(own)
            .map(|(_, value)| value.as_str())
    }

    /// Gives the first value of a tag; the kernel too takes the first.
    #[must_use]
    pub fn value(&self, tag: &str) -> Option<&str> {
        self.info
            .iter()
            .find(|(key, _)| key == tag)
            .map(|(_, value)| value.as_str())
    }

    /// Gives the release of the kernel that it is built for: the first word of
    /// `vermagic`.
    #[must_use]
    pub fn release(&self) -> Option<&str> {
        self.value("vermagic")?.split(' ').next()
    }

    /// Gives the names of the modules that have to be loaded before it.
    pub fn depends(&self) -> impl Iterator<Item = &str> {
        let list = self.value("depends").unwrap_or_default();
        list.split(',').filter(|name| !name.is_empty())
    }
}

/// Splits `.modinfo` at its NUL bytes, more of which may stand between texts.
fn info(bytes: &[u8]) -> Vec<(String, String)> {
    let texts = bytes.split(|byte| *byte == 0);
    texts
        .filter(|text| !text.is_empty())
        .map(|text| {
            let at = text.iter().position(|byte| *byte == b'=');
            let (tag, value) = match at {
                Some(at) => (text.get(..at), text.get(at + 1..)),
                None => (Some(text), None),
            };
            let escaped = |part: Option<&[u8]>| escape(part.unwrap_or_default());
            (escaped(tag), escaped(value))
        })
        .collect()
}

/// Gives the name that a module file's name means: up to the first `.`, with
/// `-` as `_`.
#[must_use]
pub fn module_name(path: &str) -> String {
    let file = path.rsplit_once('/').map_or(path, |(_, file)| file);
    let stem = file.split('.').next().unwrap_or_default();
    stem.replace('-', "_")
}

/// Tells from a file's name whether it is a module, as `depmod` does.
#[must_use]
pub fn is_module(path: &str) -> bool {
    const ENDS: [&str; 4] = [".ko", ".ko.gz", ".ko.xz", ".ko.zst"];
    ENDS.iter().any(|end| path.ends_with(end))
}

/// Where a path lies below a directory of modules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'p> {
    /// The directory of one kernel: `usr/lib/modules/6.18.38-talos`.
    pub directory: &'p str,
    /// Its name, which is the kernel's release.
    pub release: &'p str,
    /// The rest of the path; empty of the directory itself.
    pub rest: &'p str,
}

/// Finds the directory of one kernel that a path lies in: what follows the
/// first `lib/modules/`, wherever that begins.
#[must_use]
pub fn place(path: &str) -> Option<Place<'_>> {
    const MODULES: &str = "lib/modules/";
    let begins = |(at, _): &(usize, &str)| *at == 0 || path.as_bytes().get(at - 1) == Some(&b'/');
    let (at, _) = path.match_indices(MODULES).find(begins)?;
    let below = path.get(at + MODULES.len()..)?;
    let length = below.find('/').unwrap_or(below.len());
    let directory = path.get(..at + MODULES.len() + length)?;
    let release = below.get(..length).filter(|release| !release.is_empty())?;
    Some(Place {
        directory,
        release,
        rest: below.get(length..)?.trim_start_matches('/'),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places_are_told_from_paths() {
        assert_eq!(module_name("kernel/net/af-x.y.ko.zst"), "af_x");
        assert!(is_module("a/b.ko.xz") && !is_module("a/b.ko.lz4") && !is_module("a/bko"));
        let found = place("rootfs/usr/lib/modules/6.1/kernel/a.ko").unwrap();
        assert_eq!(found.directory, "rootfs/usr/lib/modules/6.1");
        assert_eq!((found.release, found.rest), ("6.1", "kernel/a.ko"));
        assert_eq!(place("lib/modules/6.1").unwrap().rest, "");
        for other in [
            "lib/modules",
            "lib/modules/",
            "mylib/modules/6.1/a.ko",
            "a.ko",
        ] {
            assert_eq!(place(other), None, "{other}");
        }
    }

    #[test]
    fn texts_without_a_value_and_padding_are_no_trouble() {
        let read = info(b"name=a\0\0\0flag\0=x\0license=GPL\x1b\0depends=b,,c");
        let text: Vec<String> = read.iter().map(|(k, v)| format!("{k}:{v}")).collect();
        assert_eq!(
            text,
            [
                "name:a",
                "flag:",
                ":x",
                "license:GPL\\u{1b}",
                "depends:b,,c"
            ]
        );
    }
}
