//! What is wrong with groups and profiles, as matchbox would never say it.

use super::store::Store;
use super::{Problem, ProfileSeen};
use crate::check::ProbeError;
use crate::format::matchbox::{Boot, Group, location};
use crate::model::path::printable;
use std::collections::BTreeMap;

/// Every name of a problem.
pub(super) const WHATS: [&str; 10] = [
    "unreadable",
    "ignored",
    "ambiguous",
    "never-matches",
    "no-profile",
    "unused",
    "no-kernel",
    "no-asset",
    "no-template",
    "initrd-name",
];

/// What `/boot.ipxe` makes a machine say of itself.
const SAID: [&str; 6] = ["uuid", "mac", "domain", "hostname", "serial", "arch"];
/// iPXE's `buildarch`, which is what it says as `arch`.
const ARCHITECTURES: [&str; 7] = [
    "i386", "x86_64", "arm32", "arm64", "riscv32", "riscv64", "loong64",
];

/// Finds what is wrong; `seen` are the profiles of the store, in its order.
pub(super) fn problems(store: &Store, seen: &[ProfileSeen]) -> Result<Vec<Problem>, ProbeError> {
    let mut found = Found(Vec::new());
    for (file, why) in &store.unreadable {
        found.add(
            file,
            "unreadable",
            format!("matchbox passes over it: {why}"),
        );
    }
    for file in &store.ignored {
        found.add(file, "ignored", "matchbox reads `.json` files only");
    }
    groups(store, &mut found);
    for ((file, profile), seen) in store.profiles.iter().zip(seen) {
        if seen.groups.is_empty() {
            found.add(file, "unused", "no group names it by its file's name");
        }
        match &profile.boot {
            Some(boot) if !boot.kernel.trim().is_empty() => initrd_names(file, boot, &mut found),
            Some(_) => found.add(file, "no-kernel", "`boot` names no kernel"),
            // Profiles may be for configuration alone.
            None => {}
        }
        for asset in &seen.files {
            if let (Some(path), None) = (&asset.path, asset.size) {
                let text = format!(
                    "`{}` would be {path}, where no file is",
                    printable(&asset.url)
                );
                found.add(file, "no-asset", text);
            }
        }
        for (folder, name) in [
            ("ignition", &profile.ignition),
            ("cloud", &profile.cloud),
            ("generic", &profile.generic),
        ] {
            if !name.is_empty() && !store.has(folder, name)? {
                let text = format!("there is no {folder}/{}", printable(name));
                found.add(file, "no-template", text);
            }
        }
    }
    Ok(found.0)
}

struct Found(Vec<Problem>);

impl Found {
    fn add(&mut self, file: &str, what: &str, text: impl Into<String>) {
        self.0.push(Problem {
            file: file.to_owned(),
            what: what.to_owned(),
            text: text.into(),
        });
    }
}

fn groups(store: &Store, found: &mut Found) {
    let mut selectors: BTreeMap<&BTreeMap<String, String>, &str> = BTreeMap::new();
    for (file, group) in &store.groups {
        if let Some(first) = selectors.insert(&group.selector, file) {
            selectors.insert(&group.selector, first);
            let what = match group.selector.is_empty() {
                true => "both are for machines that no other group is for",
                false => "both have the same selectors",
            };
            let text = format!("{first} is its equal: {what}, and nothing says which is taken");
            found.add(file, "ambiguous", text);
        }
        for text in never(group) {
            found.add(file, "never-matches", text);
        }
        if store.profile(&group.profile).is_none() {
            found.add(file, "no-profile", no_profile(store, &group.profile));
        }
    }
}

fn no_profile(store: &Store, name: &str) -> String {
    let shown = printable(name);
    if name.is_empty() {
        return "it names no profile".into();
    }
    let other = store
        .profiles
        .iter()
        .find(|(_, profile)| profile.id == name);
    match other {
        Some((file, _)) => format!(
            "there is no profiles/{shown}.json; {file} has that `id`, but the file's name is what counts"
        ),
        None => format!("there is no profiles/{shown}.json that can be read"),
    }
}

/// Says why no machine matches that comes by `/boot.ipxe`.
fn never(group: &Group) -> impl Iterator<Item = String> {
    group.selector.iter().filter_map(|(key, value)| {
        let (key, value) = (printable(key), printable(value));
        let lower = key.to_ascii_lowercase();
        if SAID.contains(&lower.as_str()) && key != lower {
            return Some(format!(
                "`{key}` is not `{lower}`, which machines say of themselves"
            ));
        }
        match key.as_str() {
            "uuid" if value.chars().any(|c| c.is_ascii_uppercase()) => Some(format!(
                "`{value}` has capitals; machines say their UUID in small letters"
            )),
            "arch" if !ARCHITECTURES.contains(&value.as_str()) => Some(format!(
                "iPXE is never built for `{value}`; it says one of {}",
                ARCHITECTURES.join(", ")
            )),
            _ => None,
        }
    })
}

/// Holds `initrd=` among the kernel's arguments, by which Linux finds it under EFI, against the names
/// that iPXE gives to what it loads.
fn initrd_names(file: &str, boot: &Boot, found: &mut Found) {
    let names: Vec<&str> = boot
        .initrd
        .iter()
        .filter_map(|initrd| name(initrd))
        .collect();
    let arguments = boot
        .args
        .iter()
        .flat_map(|args| args.split_ascii_whitespace());
    let wanted = arguments.filter_map(|argument| argument.strip_prefix("initrd="));
    // A setting of the machine's is known to iPXE alone.
    for wanted in wanted.filter(|wanted| !wanted.contains("${") && !names.contains(wanted)) {
        let text = format!(
            "`initrd={}` is the name of none of its initrds",
            printable(wanted)
        );
        found.add(file, "initrd-name", text);
    }
}

/// Gives the name by which iPXE keeps an initrd: what `--name` says, or else the address's last part.
fn name(initrd: &str) -> Option<&str> {
    let mut words = initrd.split_ascii_whitespace();
    while let Some(word) = words.next() {
        if matches!(word, "--name" | "-n") {
            return words.next();
        }
    }
    let url = location(initrd)?;
    let path = url.split(['?', '#']).next()?;
    path.rsplit('/').next()
}
