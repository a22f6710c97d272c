//! File capabilities, as `setcap` writes and `getcap` reads them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use tdg::format::capabilities::{ATTRIBUTE, Capabilities};

use crate::images::Random;
use crate::peers::{output, peer};

fn read(file: &Path) -> Capabilities {
    let xattrs = tdg::image::xattrs(file).unwrap();
    let found = xattrs.iter().find(|(name, _)| name == ATTRIBUTE);
    Capabilities::read(&found.unwrap().1).unwrap()
}

/// Reads the text of `getcap`: clauses such as `cap_chown,cap_kill=ep`, each on top of the ones
/// before.
fn of_text(text: &str) -> BTreeMap<String, String> {
    let mut flags = BTreeMap::new();
    for clause in text.split_whitespace() {
        let at = clause.find(['=', '+']).unwrap();
        let (names, set) = (&clause[..at], &clause[at + 1..]);
        for name in names.split(',') {
            flags.insert(name.to_owned(), set.to_owned());
        }
    }
    flags
}

#[test]
fn capabilities_are_those_that_getcap_tells() {
    let (Some(setcap), Some(getcap)) = (peer("setcap"), peer("getcap")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let path = file.to_str().unwrap();
    let probe = Command::new(&setcap).args(["cap_chown+ep", path]).output();
    if !probe.unwrap().status.success() {
        // Only root may; as root it has to work.
        let user = output(&peer("id").unwrap(), folder.path(), &["-u"]);
        assert_ne!(user.trim(), "0");
        return;
    }
    let names = [
        "cap_chown",
        "cap_kill",
        "cap_net_bind_service",
        "cap_net_admin",
        "cap_net_raw",
        "cap_sys_admin",
        "cap_setfcap",
        "cap_mac_override",
        "cap_syslog",
        "cap_bpf",
        "cap_checkpoint_restore",
    ];
    let mut random = Random::new(5);
    for round in 0..60 {
        // The kernel has one effective flag for all of them.
        let effective = ["", "e"][random.below(2)];
        let mut wanted = BTreeMap::new();
        while wanted.is_empty() {
            for name in names {
                let set = ["p", "i", "ip", "", "", "", "", "", ""][random.below(9)];
                if set.is_empty() {
                    continue;
                }
                wanted.insert(name.to_owned(), format!("{effective}{set}"));
            }
        }
        let text: Vec<String> = wanted.iter().map(|(n, f)| format!("{n}+{f}")).collect();
        let root = ["", "1000"][usize::from(round % 5 == 0)];
        let text = text.join(" ");
        let mut arguments = vec![text.as_str(), path];
        if !root.is_empty() {
            arguments.splice(..0, ["-n", root]);
        }
        output(&setcap, folder.path(), &arguments);
        let told = output(&getcap, folder.path(), &["-n", path]);
        let told = told.trim().strip_prefix(path).unwrap();
        let told = told.split(" [rootid").next().unwrap();
        assert_eq!(of_text(told), wanted, "{told}");
        let seen = read(&file);
        assert_eq!(seen.root.map(|r| r.to_string()).unwrap_or_default(), root);
        let seen: BTreeMap<String, String> = seen
            .names()
            .iter()
            .map(|name| name.split_once('+').unwrap())
            .map(|(name, flags)| (name.to_owned(), flags.to_owned()))
            .collect();
        assert_eq!(seen, wanted);
    }
    output(&setcap, folder.path(), &["all+ep", path]);
    let all = read(&file).names();
    assert!(all.len() > 35 && all[21] == "cap_sys_admin+ep", "{all:?}");
}
