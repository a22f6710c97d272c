//! Entries of systemd-boot, one a file.
//!
//! Source: the UAPI group's "Boot Loader Specification", "Type #1 Boot Loader
//! Specification Entries".

use super::Entry;

/// The keys of such a file, by which it is told from others.
pub(super) const KEYS: &[&str] = &[
    "architecture",
    "devicetree",
    "devicetree-overlay",
    "efi",
    "extra",
    "grub_arg",
    "grub_class",
    "grub_hotkey",
    "grub_users",
    "id",
    "initrd",
    "linux",
    "machine-id",
    "options",
    "profile",
    "sort-key",
    "title",
    "uki",
    "uki-url",
    "version",
];

/// Reads the entry, if it starts a kernel: `options` may be given several times,
/// and all of them count. Its id is the file's name.
pub(super) fn entries(name: &str, text: &str) -> Vec<Entry> {
    let file = name.rsplit('/').next().unwrap_or(name);
    let mut entry = Entry {
        id: Some(file.strip_suffix(".conf").unwrap_or(file).to_owned()),
        ..Entry::default()
    };
    let mut options: Vec<&str> = Vec::new();
    let mut starts = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        let (key, value) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let value = value.trim();
        match key {
            "title" => value.clone_into(&mut entry.title),
            "options" => options.push(value),
            "linux" | "efi" | "uki" => {
                starts |= key != "efi";
                value.clone_into(&mut entry.kernel);
                entry.line = number;
            }
            _ => {}
        }
    }
    entry.cmdline = options.join(" ");
    // Other programs are started with `efi` as well, without options.
    let starts = starts || !entry.kernel.is_empty() && !options.is_empty();
    starts.then_some(entry).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_of_an_entry_are_joined() {
        let text = "# c\ntitle  Debian GNU/Linux\nlinux\t/d/linux\noptions root=a\ninitrd /d/i\noptions  quiet splash \n";
        let seen = entries("loader/entries/debian.conf", text);
        assert_eq!(
            seen,
            [Entry {
                title: "Debian GNU/Linux".to_owned(),
                id: Some("debian".to_owned()),
                line: 3,
                kernel: "/d/linux".to_owned(),
                cmdline: "root=a quiet splash".to_owned(),
            }]
        );
        assert!(entries("shell.conf", "title Shell\nefi /shell.efi\n").is_empty());
        assert_eq!(entries("a.conf", "efi /linux.efi\noptions a\n").len(), 1);
    }
}
