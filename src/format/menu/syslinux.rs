//! The configuration of SYSLINUX and its kin.
//!
//! Source: the wiki of the Syslinux project, "Config". Keywords are the same in
//! either case; `APPEND` before the first `LABEL` is for labels without one, and
//! `APPEND -` is none at all.

use super::{Entry, MAX_ENTRIES};

/// Endings of what `KERNEL` starts that is no kernel.
const OTHER: &[&str] = &[".0", ".bin", ".bs", ".bss", ".c32", ".cbt", ".com", ".img"];

/// Keywords of labels that start something else.
const OTHER_KEYS: &[&str] = &[
    "boot",
    "bss",
    "com32",
    "comboot",
    "config",
    "fdimage",
    "localboot",
    "pxe",
];

/// Characters of what is for all labels; a command line has fewer.
const MAX_GLOBAL: usize = (64 << 10) + 1;

#[derive(Debug, Default)]
struct Label {
    entry: Entry,
    append: Option<String>,
    /// Whether it starts a kernel, where the file says what it starts.
    linux: Option<bool>,
}

/// Reads the entries; includes are not followed.
pub(super) fn entries(text: &str) -> Vec<Entry> {
    let mut global: Option<String> = None;
    let mut labels: Vec<Label> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let (key, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let value = value.trim();
        let label = labels.last_mut();
        match (key.to_ascii_lowercase().as_str(), label) {
            ("label", _) => labels.push(Label {
                entry: Entry {
                    title: value.to_owned(),
                    id: Some(value.to_owned()),
                    line: number,
                    kernel: value.to_owned(),
                    cmdline: String::new(),
                },
                ..Label::default()
            }),
            // What is too long for a command line is so for all labels.
            ("append", None) => global = Some(value.chars().take(MAX_GLOBAL).collect()),
            ("append", Some(label)) => label.append = Some(value.to_owned()),
            ("kernel" | "linux", Some(label)) => {
                value.clone_into(&mut label.entry.kernel);
                label.linux = Some(key.eq_ignore_ascii_case("linux") || is_kernel(value));
            }
            (key, Some(label)) if OTHER_KEYS.contains(&key) => label.linux = Some(false),
            ("menu", Some(label)) => {
                let (what, value) = value.split_once([' ', '\t']).unwrap_or((value, ""));
                if what.eq_ignore_ascii_case("label") {
                    // The letter behind the first `^` is the key for it.
                    label.entry.title = value.trim().replacen('^', "", 1);
                }
            }
            _ => {}
        }
    }
    let global = global.unwrap_or_default();
    // The name of a label is its kernel where none is named.
    let starts = |label: &Label| label.linux.unwrap_or(label.append.is_some());
    let starts = labels.into_iter().filter(starts);
    starts
        .take(MAX_ENTRIES + 1)
        .map(|label| Entry {
            cmdline: match label.append {
                Some(none) if none == "-" => String::new(),
                Some(own) => own,
                None => global.clone(),
            },
            ..label.entry
        })
        .collect()
}

fn is_kernel(file: &str) -> bool {
    let file = file.to_ascii_lowercase();
    !OTHER.iter().any(|ending| file.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_take_what_is_theirs_or_what_is_for_all() {
        let text = "DEFAULT a\nAPPEND for all\nLABEL a\n  MENU LABEL ^Install it\n  KERNEL /linux\n\
             append initrd=/i a=b --- quiet\nlabel b\nlinux /k.bin\nLabel c\nkernel /k\nAPPEND -\n\
             LABEL menu\nKERNEL vesamenu.c32\nLABEL local\nLOCALBOOT 0\nAPPEND x\n\
             LABEL /bare\nAPPEND y\n";
        let seen: Vec<_> = entries(text)
            .into_iter()
            .map(|e| (e.title, e.id.unwrap(), e.line, e.kernel, e.cmdline))
            .collect();
        let entry = |title: &str, id: &str, line, kernel: &str, cmdline: &str| {
            let own = str::to_owned;
            (own(title), own(id), line, own(kernel), own(cmdline))
        };
        assert_eq!(
            seen,
            [
                entry("Install it", "a", 3, "/linux", "initrd=/i a=b --- quiet"),
                entry("b", "b", 7, "/k.bin", "for all"),
                entry("c", "c", 9, "/k", ""),
                entry("/bare", "/bare", 17, "/bare", "y"),
            ]
        );
    }
}
