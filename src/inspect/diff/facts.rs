//! What two files say about themselves, read as what they are: kernels, ELF
//! files, `os-release`, command lines, lists of extensions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::role::is_kernel;
use super::{Difference, Side};
use crate::format::cmdline::Cmdline;
use crate::format::elf::Elf;
use crate::format::{Content, Limits, extensions, uki};
use crate::image::{Image, ImageError};

/// No kernel in use is larger; of a file that is, the digest has to do.
const MAX_KERNEL: u64 = 128 << 20;

pub(super) type Failed = (Side, ImageError);

/// Gives the facts of two binaries that differ.
///
/// Errors name the side that could not be read.
pub(super) fn of_binaries(pair: [&Arc<Image>; 2]) -> Result<Vec<Difference>, Failed> {
    let [a, b] = pair;
    let is = |content| pair.iter().all(|image| image.content() == Some(content));
    if is(Content::Elf) {
        return elf([read_elf(Side::A, a)?, read_elf(Side::B, b)?]);
    }
    if !pair.iter().all(|image| is_kernel(image)) {
        return Ok(Vec::new());
    }
    for (side, image) in [(Side::A, a), (Side::B, b)] {
        // It is read into memory as a whole.
        if image.size().map_err(|error| (side, error))? > MAX_KERNEL {
            return Ok(Vec::new());
        }
    }
    kernel(pair)
}

fn read_elf(side: Side, image: &Arc<Image>) -> Result<Elf, Failed> {
    let source = image.source().map_err(|error| (side, error))?;
    Elf::read(&**source).map_err(|error| (side, image.failed(error)))
}

fn elf([a, b]: [Elf; 2]) -> Result<Vec<Difference>, Failed> {
    let mut found = Vec::new();
    found.extend(Difference::both("machine", &a.machine, &b.machine));
    found.extend(Difference::both("class", a.class, b.class));
    found.extend(Difference::both("elf type", a.kind.name(), b.kind.name()));
    found.extend(Difference::both(
        "linking",
        a.linking.name(),
        b.linking.name(),
    ));
    found.extend(Difference::of(
        "interpreter",
        a.interpreter.as_ref(),
        b.interpreter.as_ref(),
    ));
    found.extend(Difference::of(
        "soname",
        a.soname.as_ref(),
        b.soname.as_ref(),
    ));
    let list = |names: &[String]| names.join(" ");
    found.extend(Difference::both("needed", list(&a.needed), list(&b.needed)));
    found.extend(Difference::both(
        "runpath",
        list(&a.runpath),
        list(&b.runpath),
    ));
    Ok(found)
}

fn kernel([a, b]: [&Arc<Image>; 2]) -> Result<Vec<Difference>, Failed> {
    let a = a.kernel().map_err(|error| (Side::A, error))?;
    let b = b.kernel().map_err(|error| (Side::B, error))?;
    let mut found = Vec::new();
    found.extend(Difference::both("format", a.format.name(), b.format.name()));
    found.extend(Difference::both("arch", &a.arch, &b.arch));
    found.extend(Difference::of(
        "version",
        a.version.as_ref(),
        b.version.as_ref(),
    ));
    let compression = Difference::both("compression", a.compression.name(), b.compression.name());
    found.extend(compression);
    found.extend(Difference::of("page size", a.page_size, b.page_size));
    if a.version == b.version {
        // The same release, built again.
        found.extend(Difference::of(
            "banner",
            a.banner.as_ref(),
            b.banner.as_ref(),
        ));
    }
    Ok(found)
}

/// What a text is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    OsRelease,
    CommandLine,
    Extensions,
}

impl Sort {
    /// Tells it from the name of a file or a section.
    pub(super) fn of(path: &str) -> Option<Self> {
        let name = path.rsplit('/').next().unwrap_or_default();
        // A section of a later profile is `.cmdline#2`.
        match name.split('#').next().unwrap_or_default() {
            "os-release" | ".osrel" => Some(Self::OsRelease),
            ".cmdline" | "cmdline" | "cmdline.txt" => Some(Self::CommandLine),
            name if name.starts_with("cmdline-") => Some(Self::CommandLine),
            "extensions.yaml" => Some(Self::Extensions),
            _ => None,
        }
    }

    /// Gives the name of it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OsRelease => "os-release",
            Self::CommandLine => "command line",
            Self::Extensions => "extensions",
        }
    }

    /// Reads two texts as this; nothing where one of them is none, or where they
    /// differ in nothing that counts.
    pub(super) fn differences(self, a: &str, b: &str, limits: &Limits) -> Vec<Difference> {
        match self {
            Self::OsRelease => {
                let read = |text: &str| uki::variables(text.as_bytes());
                maps("", read(a), read(b))
            }
            Self::CommandLine => command_line(a, b),
            Self::Extensions => {
                let read = |text: &str| extensions::read(text.as_bytes(), limits).ok();
                match (read(a), read(b)) {
                    (Some(a), Some(b)) => listed(&a, &b),
                    _ => Vec::new(),
                }
            }
        }
    }
}

fn maps(prefix: &str, a: BTreeMap<String, String>, b: BTreeMap<String, String>) -> Vec<Difference> {
    let mut names: Vec<&String> = a.keys().chain(b.keys()).collect();
    names.sort();
    names.dedup();
    let differ =
        |name: &&String| Difference::of(&format!("{prefix}{name}"), a.get(*name), b.get(*name));
    names.iter().filter_map(differ).collect()
}

/// Compares the arguments of two command lines. An argument that stands once on
/// each side is changed, any other is added or removed; of the same arguments
/// in another order, that is said.
fn command_line(a: &str, b: &str) -> Vec<Difference> {
    let (Some(a), Some(b)) = (words(a), words(b)) else {
        return Vec::new();
    };
    let (counts_a, counts_b) = (counts(&a), counts(&b));
    let (removed, mut added) = (without(&a, &b), without(&b, &a));
    let single =
        |word: &str| counts_a.get(name(word)) == Some(&1) && counts_b.get(name(word)) == Some(&1);
    let mut becomes: BTreeMap<String, String> = BTreeMap::new();
    added.retain(|word| {
        let changed = single(word);
        if changed {
            becomes.insert(name(word).to_owned(), word.clone());
        }
        !changed
    });
    // `quiet` that becomes `quiet=1` is there on both sides.
    let value = |word: &str| {
        word.split_once('=')
            .map_or(word, |(_, value)| value)
            .to_owned()
    };
    let (mut found, mut gone) = (Vec::new(), Vec::new());
    for word in removed {
        match becomes.get(name(&word)) {
            Some(new) => {
                let field = format!("argument {}", name(&word));
                found.extend(Difference::both(&field, value(&word), value(new)));
            }
            None => gone.push(word),
        }
    }
    found.extend(gone.into_iter().map(|word| Difference {
        field: "argument".to_owned(),
        a: Some(word),
        b: None,
    }));
    found.extend(added.into_iter().map(|word| Difference {
        field: "argument".to_owned(),
        a: None,
        b: Some(word),
    }));
    if found.is_empty() && a != b {
        found.extend(Difference::both(
            "order of arguments",
            a.join(" "),
            b.join(" "),
        ));
    }
    found
}

/// Takes a command line apart as the kernel does; what is for init stands behind
/// ` -- `. `None` where it is none.
fn words(text: &str) -> Option<Vec<String>> {
    let line = Cmdline::parse(text.trim_matches('\0').as_bytes()).ok()?;
    let mut words: Vec<String> = line.arguments().iter().map(|a| a.text.clone()).collect();
    if !line.init().is_empty() {
        words.push("--".to_owned());
        words.extend(line.init().iter().cloned());
    }
    Some(words)
}

/// Gives the name of an argument.
fn name(word: &str) -> &str {
    word.split('=').next().unwrap_or_default()
}

fn counts(words: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for word in words {
        *counts.entry(name(word)).or_default() += 1;
    }
    counts
}

/// Gives the words of one list that the other has not, each as often as it is
/// missing.
fn without(list: &[String], other: &[String]) -> Vec<String> {
    let mut left: BTreeMap<&String, usize> = BTreeMap::new();
    for word in other {
        *left.entry(word).or_default() += 1;
    }
    let mut missing = Vec::new();
    for word in list {
        match left.get_mut(word) {
            Some(count) if *count > 0 => *count -= 1,
            Some(_) | None => missing.push(word.clone()),
        }
    }
    missing
}

fn listed(a: &[extensions::Listed], b: &[extensions::Listed]) -> Vec<Difference> {
    let version = |listed: &extensions::Listed| {
        listed
            .version
            .clone()
            .unwrap_or_else(|| "listed".to_owned())
    };
    let by_name = |list: &[extensions::Listed],
                   of: &dyn Fn(&extensions::Listed) -> Option<String>| {
        let entry = |l: &extensions::Listed| of(l).map(|value| (l.name.clone(), value));
        list.iter().filter_map(entry).collect::<BTreeMap<_, _>>()
    };
    let versions = |list| by_name(list, &|l| Some(version(l)));
    let talos = |list| by_name(list, &|l| l.talos.clone());
    let mut found = maps("extension ", versions(a), versions(b));
    let names = |list: &[extensions::Listed]| -> BTreeSet<String> {
        list.iter().map(|l| l.name.clone()).collect()
    };
    let (in_a, in_b) = (names(a), names(b));
    for mut difference in maps("", talos(a), talos(b)) {
        // Of one that is there on one side only, that has been said.
        if in_a.contains(&difference.field) && in_b.contains(&difference.field) {
            difference.field = format!("extension {} for talos", difference.field);
            found.push(difference);
        }
    }
    let order = |list: &[extensions::Listed], other: &BTreeSet<String>| {
        let names = list.iter().map(|l| l.name.as_str());
        names
            .filter(|name| other.contains(*name))
            .collect::<Vec<_>>()
            .join(" ")
    };
    let (a, b) = (order(a, &in_b), order(b, &in_a));
    found.extend(Difference::both("order of extensions", a, b));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(sort: Sort, a: &str, b: &str) -> Vec<String> {
        let show = |d: Difference| {
            let side = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
            format!("{}: {} > {}", d.field, side(d.a), side(d.b))
        };
        let found = sort.differences(a, b, &Limits::default());
        found.into_iter().map(show).collect()
    }

    #[test]
    fn arguments_are_changed_added_or_removed() {
        let lines = shown(
            Sort::CommandLine,
            "console=ttyS0 console=tty0 quiet selinux=0 ro\0",
            "console=tty0 console=ttyAMA0 selinux=1 ro module.sig_enforce=1\n",
        );
        assert_eq!(
            lines,
            [
                "argument selinux: 0 > 1",
                "argument: console=ttyS0 > -",
                "argument: quiet > -",
                "argument: - > console=ttyAMA0",
                "argument: - > module.sig_enforce=1",
            ]
        );
        assert_eq!(
            shown(Sort::CommandLine, "a b", "b a"),
            ["order of arguments: a b > b a"]
        );
        assert_eq!(shown(Sort::CommandLine, "a a", "a"), ["argument: a > -"]);
        assert!(shown(Sort::CommandLine, "a b\n", " a  b\0").is_empty());
    }

    #[test]
    fn an_os_release_is_compared_by_its_names() {
        let lines = shown(
            Sort::OsRelease,
            "# old\nID=talos\nVERSION_ID=v1.12.1\nA=\"x y\"\n",
            "ID=talos\nVERSION_ID='v1.13.6'\nA=x y\nB=1\n",
        );
        assert_eq!(lines, ["B: - > 1", "VERSION_ID: v1.12.1 > v1.13.6"]);
    }

    #[test]
    fn extensions_are_compared_by_their_names() {
        let entry = |image: &str, name: &str, version: &str, talos: &str| {
            format!(
                "- image: {image}\n  metadata: {{name: {name}, version: {version}, compatibility: {{talos: {{version: \"{talos}\"}}}}}}\n"
            )
        };
        let list = |entries: &[String]| format!("layers:\n{}", entries.concat());
        let a = list(&[
            entry("0.sqsh", "spin", "v0.21.0", ">= 1"),
            entry("1.sqsh", "zfs", "2", ">= 1"),
        ]);
        let b = list(&[
            entry("0.sqsh", "drbd", "9", ">= 1"),
            entry("1.sqsh", "spin", "v0.25.1", ">= 2"),
        ]);
        assert_eq!(
            shown(Sort::Extensions, &a, &b),
            [
                "extension drbd: - > 9",
                "extension spin: v0.21.0 > v0.25.1",
                "extension zfs: 2 > -",
                "extension spin for talos: >= 1 > >= 2",
            ]
        );
        assert!(shown(Sort::Extensions, &a, &a).is_empty());
        assert!(shown(Sort::Extensions, "layers: [", &a).is_empty());
        let turned = list(&[
            entry("0.sqsh", "zfs", "2", ">= 1"),
            entry("1.sqsh", "spin", "v0.21.0", ">= 1"),
        ]);
        assert_eq!(
            shown(Sort::Extensions, &a, &turned),
            ["order of extensions: spin zfs > zfs spin"]
        );
    }

    #[test]
    fn names_tell_what_a_text_is() {
        assert_eq!(Sort::of(".cmdline#2"), Some(Sort::CommandLine));
        assert_eq!(Sort::of("usr/lib/os-release"), Some(Sort::OsRelease));
        assert_eq!(Sort::of("etc/hostname"), None);
    }
}
