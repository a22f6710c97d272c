//! The lines of an iPXE script that load a kernel.
//!
//! Nothing is carried out: that is [`crate::format::ipxe`], which takes the script
//! apart for both. Source: the pages of iPXE's commands `kernel`, `imgargs` and
//! `item`. Arguments are words, joined by one space.

use std::collections::HashMap;

use super::{Entry, MAX_ENTRIES, MAX_TITLE};
use crate::format::ipxe::Script;
use crate::model::value::clip;

/// Commands that load a kernel, and those of them that give arguments to one
/// that is there.
const KERNEL: &[&str] = &["kernel", "imgselect", "imgload"];
const ARGUMENTS: &[&str] = &["imgargs", "boot", "imgexec"];
/// Options of these commands that take a word behind them.
const VALUED: &[&str] = &["-n", "--name", "-t", "--timeout"];

/// Reads the entries. Their `id` is the label that they stand under.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let mut titles = HashMap::new();
    let mut label = None;
    let script = Script::parse(text.as_bytes());
    for line in script.lines() {
        label = line.label.clone().or(label);
        for command in line.commands() {
            let Some((name, rest)) = command.words.split_first() else {
                continue;
            };
            if *name == "item" {
                titles.extend(item(rest));
                continue;
            }
            let (load, set) = (KERNEL.contains(name), ARGUMENTS.contains(name));
            let (given, words) = options(rest);
            let Some((kernel, arguments)) = words.split_first().filter(|_| load || set) else {
                continue;
            };
            let cmdline = arguments.join(" ");
            if set {
                if arguments.is_empty() {
                    continue;
                }
                if let Some(index) = names.iter().rposition(|name| name == kernel) {
                    if let Some(entry) = entries.get_mut(index) {
                        entry.cmdline = cmdline;
                    }
                    continue;
                }
            }
            if entries.len() > MAX_ENTRIES {
                return entries;
            }
            names.push(given.unwrap_or_else(|| last(kernel)).to_owned());
            entries.push(Entry {
                title: String::new(),
                id: label.clone(),
                line: line.number,
                kernel: (*kernel).to_owned(),
                cmdline,
            });
        }
    }
    for entry in &mut entries {
        let title = entry.id.as_ref().and_then(|id| titles.get(id.as_str()));
        entry.title = title.cloned().unwrap_or_default();
    }
    entries
}

/// Splits off the options, and gives the name that one of them gives.
fn options<'w>(words: &'w [&'w str]) -> (Option<&'w str>, &'w [&'w str]) {
    let mut rest = words;
    let mut name = None;
    while let Some((option, left)) = rest.split_first().filter(|(word, _)| word.starts_with('-')) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        rest = left;
        let mut value = Some(value).filter(|value| !value.is_empty());
        if value.is_none() && VALUED.contains(&key) {
            value = rest.first().copied();
            rest = rest.get(1..).unwrap_or_default();
        }
        if matches!(key, "-n" | "--name") {
            name = value;
        }
    }
    (name, rest)
}

/// Reads `item [--option] label text…` of a menu.
fn item<'w>(words: &[&'w str]) -> Option<(&'w str, String)> {
    let mut words = words.iter().copied().peekable();
    while let Some(option) = words.next_if(|word| word.starts_with('-')) {
        if matches!(option, "-m" | "--menu" | "-k" | "--key") {
            words.next();
        }
    }
    let label = words.next()?;
    Some((label, clip(&words.collect::<Vec<_>>().join(" "), MAX_TITLE)))
}

/// Gives the name that an image gets where none is given: the end of its URL.
fn last(url: &str) -> &str {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernels_are_found_with_their_arguments_labels_and_titles() {
        let text = "#!ipxe\n# kernel no\nimgfree\nmenu Boot\nitem --key t talos Talos on metal\n:talos\n\
             kernel --name k http://h/${arch}/kernel-arm64 talos.platform=metal \\\n  \
             console=ttyAMA0  a=\"b c\" # not this\ninitrd http://h/i || goto fail\n\
             boot\n:other\nkernel http://h/vmlinuz?x=/y old || shell\nimgargs vmlinuz new args && boot\n\
             imgargs absent a b\n:fail\nshell\n";
        let seen = entries(text);
        let [talos, other, absent] = seen.as_slice() else {
            panic!("{seen:?}")
        };
        assert_eq!(
            (talos.line, talos.title.as_str(), talos.id.as_deref()),
            (7, "Talos on metal", Some("talos"))
        );
        assert_eq!(talos.kernel, "http://h/${arch}/kernel-arm64");
        assert_eq!(
            talos.cmdline,
            "talos.platform=metal console=ttyAMA0 a=\"b c\""
        );
        assert_eq!((other.cmdline.as_str(), other.line), ("new args", 12));
        assert_eq!(
            (absent.kernel.as_str(), absent.cmdline.as_str()),
            ("absent", "a b")
        );
    }
}
