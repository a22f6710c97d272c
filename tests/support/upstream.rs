//! An upstream that does to a series what upstreams do: 300 commits, and a tag at every tenth.
//!
//! Made by `git fast-import`, the same on every machine. What happens when is in [`EVENTS`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// What happens at which commit; everything between is cosmetic and elsewhere.
pub(crate) const EVENTS: &[(u32, &str)] = &[
    (25, "lines above the patched ones: everything moves down"),
    (45, "lines around the patched ones"),
    (
        65,
        "the folder packages/core/installer becomes packages/core/talos",
    ),
    (85, "the script is renamed"),
    (95, "the script's other half is rewritten"),
    (115, "the script is no longer executable"),
    (135, "the upstream takes in the flag"),
    (165, "the list of extensions is another: in conflict"),
    (195, "the Dockerfile is deleted"),
    (
        225,
        "the release part of the Makefile becomes a file of its own",
    ),
    (255, "the old folder is there again, for something else"),
];

/// How many commits there are.
pub(crate) const COMMITS: u32 = 300;

/// The tag that the patches are made for.
pub(crate) const FIRST: &str = "v0.1.0";

/// Gives the tags, oldest first: `v0.N.0` is commit 10 × N.
pub(crate) fn tags() -> Vec<String> {
    (1..=COMMITS / 10).map(|n| format!("v0.{n}.0")).collect()
}

/// Gives the commit's number of a tag.
pub(crate) fn number(tag: &str) -> u32 {
    tag.split('.').nth(1).unwrap().parse::<u32>().unwrap() * 10
}

type Tree = BTreeMap<String, (&'static str, String)>;

const OLD: &str = "packages/core/installer";
const NEW: &str = "packages/core/talos";

/// Makes the repository, bare, in a folder that is not there yet.
pub(crate) fn make(folder: &Path) {
    let init = Command::new("git")
        .args(["-c", "init.defaultBranch=main", "init", "--quiet", "--bare"])
        .arg(folder)
        .status();
    assert!(init.unwrap().success());
    let mut child = Command::new("git")
        .args(["fast-import", "--quiet"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let stream = stream();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(stream.as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
}

fn stream() -> String {
    let mut out = String::new();
    let mut before = Tree::new();
    let mut tree = first();
    for n in 1..=COMMITS {
        let event = EVENTS.iter().find(|(at, _)| *at == n);
        if n > 1 {
            cosmetic(&mut tree, n);
        }
        if event.is_some() {
            happen(&mut tree, n);
        }
        let message = match event {
            Some((_, what)) => (*what).to_owned(),
            None => format!("Cosmetic change {n}"),
        };
        let time = 1_700_000_000 + u64::from(n) * 86_400;
        let who = format!("Upstream <upstream@example.invalid> {time} +0000");
        write!(
            out,
            "commit refs/heads/main\nmark :{n}\nauthor {who}\ncommitter {who}\n"
        )
        .unwrap();
        write!(out, "data {}\n{message}\n", message.len()).unwrap();
        if n > 1 {
            writeln!(out, "from :{}", n - 1).unwrap();
        }
        for path in before.keys().filter(|p| !tree.contains_key(*p)) {
            writeln!(out, "D {path}").unwrap();
        }
        for (path, (mode, text)) in &tree {
            if before.get(path) != Some(&(*mode, text.clone())) {
                write!(out, "M {mode} inline {path}\ndata {}\n{text}\n", text.len()).unwrap();
            }
        }
        if n % 10 == 0 {
            write!(out, "reset refs/tags/v0.{}.0\nfrom :{n}\n\n", n / 10).unwrap();
        }
        before = tree.clone();
    }
    out
}

fn first() -> Tree {
    let mut tree = Tree::new();
    let mut file = |path: &str, mode, text: String| {
        tree.insert(path.to_owned(), (mode, text));
    };
    file("README.md", "100644", numbered("About", 40));
    for n in 0..12 {
        file(
            &format!("packages/apps/app{n}/values.yaml"),
            "100644",
            numbered("value", 30),
        );
    }
    file(&format!("{OLD}/Makefile"), "100644", makefile());
    file(&format!("{OLD}/hack/gen-profiles.sh"), "100755", script());
    file(
        &format!("{OLD}/hack/check.sh"),
        "100644",
        "#!/bin/sh\nexit 0\n".into(),
    );
    file(
        &format!("{OLD}/images/Dockerfile"),
        "100644",
        "FROM scratch\nCOPY kernel-amd64 /\nUSER 1\n".into(),
    );
    for name in ["initramfs", "kernel", "metal"] {
        let text = format!("# {name}\narch: amd64\nplatform: metal\nsecureboot: false\n");
        file(
            &format!("{OLD}/images/profiles/{name}.yaml"),
            "100644",
            text,
        );
    }
    tree
}

fn numbered(what: &str, count: u32) -> String {
    (1..=count).map(|n| format!("{what} {n}\n")).collect()
}

fn makefile() -> String {
    let mut text = String::from("ASSETS = _out/assets\n\nupdate:\n\thack/gen-profiles.sh\n\n");
    for name in ["kernel", "initramfs", "metal"] {
        writeln!(
            text,
            "talos-{name}:\n\ttest -f $(ASSETS)/{name}-amd64 || $(MAKE) build-{name}\n"
        )
        .unwrap();
    }
    text.push_str("flags:\n\techo --quiet\n\n");
    text.push_str(
        "release:\n\tsign $(ASSETS)/kernel-amd64\n\tpush $(ASSETS)/kernel-amd64\n\techo released\n",
    );
    text
}

fn script() -> String {
    let mut text = String::from(
        "#!/bin/sh\nset -eu\n\nPROFILES=\"initramfs kernel metal\"\nEXTENSIONS=\"drbd zfs\"\n\n",
    );
    text.push_str("write() {\n  cat <<END\narch: amd64\nplatform: metal\ninput: /usr/install/amd64/vmlinuz\nEND\n}\n\n");
    for n in 1..=25 {
        writeln!(text, "step_{n}() {{\n  echo {n}\n}}").unwrap();
    }
    text
}

/// Changes something that no patch is about.
fn cosmetic(tree: &mut Tree, n: u32) {
    let path = format!("packages/apps/app{}/values.yaml", n % 12);
    edit(tree, &path, |text| {
        let line = format!("value {}\n", n % 30 + 1);
        text.replacen(&line, &format!("{}# since {n}\n", line), 1)
    });
    edit(tree, "README.md", |text| format!("{text}Change {n}\n"));
}

fn edit(tree: &mut Tree, path: &str, change: impl Fn(&str) -> String) {
    let (_, text) = tree.get_mut(path).unwrap_or_else(|| panic!("{path}"));
    let new = change(text);
    assert_ne!(*text, new, "{path} stays as it is");
    *text = new;
}

fn rename(tree: &mut Tree, from: &str, to: &str) {
    let file = tree.remove(from).unwrap();
    tree.insert(to.to_owned(), file);
}

fn happen(tree: &mut Tree, n: u32) {
    let folder = if n < 65 { OLD } else { NEW };
    let makefile = format!("{folder}/Makefile");
    let script = match n {
        0..=64 => format!("{OLD}/hack/gen-profiles.sh"),
        65..=85 => format!("{NEW}/hack/gen-profiles.sh"),
        _ => format!("{NEW}/hack/profiles"),
    };
    match n {
        25 => {
            edit(tree, &makefile, |t| {
                format!("# What is built.\n# And how.\n\n{t}")
            });
            edit(tree, &script, |t| {
                t.replace("set -eu\n", "set -eu\n# Run by make.\n")
            });
        }
        45 => {
            edit(tree, &script, |t| {
                t.replace("platform: metal", "platform: ${platform}")
            });
            edit(tree, &makefile, |t| {
                t.replace("talos-kernel:\n", "talos-kernel: update\n")
            });
        }
        65 => {
            let moved: Vec<String> = tree
                .keys()
                .filter(|p| p.starts_with(OLD))
                .cloned()
                .collect();
            for path in moved {
                let to = path.replace(OLD, NEW);
                rename(tree, &path, &to);
            }
        }
        85 => {
            rename(tree, &script, &format!("{NEW}/hack/profiles"));
            edit(tree, &makefile, |t| {
                t.replace("hack/gen-profiles.sh", "hack/profiles")
            });
        }
        95 => edit(tree, &script, |t| {
            let at = t.find("step_1()").unwrap();
            let new: String = (1..=60)
                .map(|n| format!("work {n} || exit {n}\n"))
                .collect();
            format!("{}{new}", &t[..at])
        }),
        115 => tree.get_mut(&script).unwrap().0 = "100644",
        135 => edit(tree, &makefile, |t| {
            t.replace("echo --quiet\n", "echo --quiet --offline\n")
        }),
        165 => edit(tree, &script, |t| {
            t.replace("\"drbd zfs\"", "\"drbd zfs amd-ucode\"")
        }),
        195 => drop(tree.remove(&format!("{NEW}/images/Dockerfile")).unwrap()),
        225 => {
            let text = tree[&makefile].1.clone();
            let at = text.find("release:").unwrap();
            edit(tree, &makefile, |t| {
                format!("{}include release.mk\n", &t[..at])
            });
            tree.insert(
                format!("{NEW}/release.mk"),
                ("100644", text[at..].to_owned()),
            );
        }
        255 => {
            tree.insert(
                format!("{OLD}/Makefile"),
                ("100644", "all:\n\thelm package .\n".into()),
            );
        }
        other => panic!("nothing happens at {other}"),
    }
}
