//! A series against an upstream that moves: what applies is what git says, and `rebase` keeps
//! what each patch does.

use super::world::git;
use crate::upstream::{self, FIRST, number};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use tdg::probe::git::{FateEnd, Git, Index, Rebase, Series, Target, rebase};

/// The upstream, bare, a clone of it, and patches made for its first tag.
struct Drift {
    folder: tempfile::TempDir,
}

const OLD: &str = "packages/core/installer";

/// Each patch: its name, whether it is a mailbox, and what is replaced in which file.
type Edit<'e> = (&'e str, &'e str, &'e str);
const PATCHES: &[(&str, bool, &[Edit<'static>])] = &[
    (
        "01-arm64.patch",
        true,
        &[
            ("hack/gen-profiles.sh", "amd64", "arm64"),
            ("Makefile", "kernel-amd64 || ", "kernel-arm64 || "),
            ("images/profiles/kernel.yaml", "amd64", "arm64"),
        ],
    ),
    (
        "02-more.patch",
        false,
        &[("images/profiles/arm.yaml", "", "arch: arm64\n")],
    ),
    (
        "03-exec.patch",
        true,
        &[("hack/check.sh", "#!/bin/sh\nexit 0", "#!/bin/sh\nexit 1")],
    ),
    (
        "04-flag.patch",
        false,
        &[("Makefile", "echo --quiet\n", "echo --quiet --offline\n")],
    ),
    (
        "05-spin.patch",
        true,
        &[("hack/gen-profiles.sh", "\"drbd zfs\"", "\"drbd zfs spin\"")],
    ),
    (
        "06-image.patch",
        false,
        &[("images/Dockerfile", "kernel-amd64", "kernel-arm64")],
    ),
    (
        "07-release.patch",
        true,
        &[(
            "Makefile",
            "\tpush $(ASSETS)/kernel-amd64",
            "\tpush $(ASSETS)/kernel-arm64",
        )],
    ),
];

impl Drift {
    fn new() -> Self {
        let drift = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        upstream::make(&drift.path("upstream.git"));
        let clone = drift.path("clone");
        git(
            drift.folder.path(),
            &["clone", "--quiet", "upstream.git", "clone"],
        );
        fs::create_dir(drift.path("patches")).unwrap();
        for (name, mailbox, edits) in PATCHES {
            git(&clone, &["checkout", "--quiet", "--force", FIRST]);
            git(&clone, &["clean", "--quiet", "-xdf"]);
            for (file, from, to) in *edits {
                let path = clone.join(OLD).join(file);
                let text = fs::read_to_string(&path).unwrap_or_default();
                let new = if from.is_empty() {
                    (*to).to_owned()
                } else {
                    text.replace(from, to)
                };
                assert_ne!(text, new, "{name}: {file}");
                fs::write(&path, new).unwrap();
            }
            git(&clone, &["add", "--all"]);
            if name.contains("exec") {
                git(
                    &clone,
                    &[
                        "update-index",
                        "--chmod=+x",
                        &format!("{OLD}/hack/check.sh"),
                    ],
                );
            }
            git(
                &clone,
                &[
                    "commit",
                    "--quiet",
                    "-m",
                    &format!("{name}\n\nThe board needs it."),
                ],
            );
            let text = match mailbox {
                true => git(&clone, &["format-patch", "-1", "--stdout", "--full-index"]),
                false => format!(
                    "Why: the board needs it.\n\n{}",
                    git(&clone, &["diff", "HEAD~", "HEAD"])
                ),
            };
            fs::write(drift.path("patches").join(name), format!("{text}\n")).unwrap();
        }
        drift
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn series(&self, names: &[&str]) -> Series {
        let all: String = PATCHES
            .iter()
            .map(|(name, ..)| *name)
            .filter(|name| names.iter().any(|n| name.starts_with(n)))
            .map(|name| format!("{name}\n"))
            .collect();
        let path = self.path("patches").join("series");
        fs::write(&path, all).unwrap();
        Series::read(&path).unwrap()
    }

    fn target(&self, tag: &str) -> Target {
        let commit = git(
            &self.path("clone"),
            &["rev-parse", &format!("{tag}^{{commit}}")],
        );
        Target {
            commit,
            name: tag.to_owned(),
        }
    }

    /// Puts the clone at a tag, and nothing else in it.
    fn fresh(&self, tag: &str) -> PathBuf {
        let clone = self.path("clone");
        git(&clone, &["checkout", "--quiet", "--force", tag]);
        git(&clone, &["clean", "--quiet", "-xdf"]);
        clone
    }

    /// Rebases a series in a repository of its own that stays as it is.
    fn rebase(&self, series: &Series, tag: &str) -> Rebase {
        let source = Git::at(self.path("upstream.git"));
        rebase(&source, series, &self.target(tag), true, &mut |_| None).unwrap()
    }
}

/// Gives the first tag, the first after each event, and the last.
fn after_events() -> Vec<String> {
    let tags = upstream::tags();
    let after = |n: u32| tags.iter().find(|t| number(t) >= n).cloned();
    let numbers = upstream::EVENTS.iter().map(|(n, _)| *n);
    let numbers = [1].into_iter().chain(numbers).chain([upstream::COMMITS]);
    numbers.filter_map(after).collect()
}

/// Applies a patch as people do; tells whether that went well, and leaves no half-done `am`.
fn plain(clone: &Path, patch: &Path) -> bool {
    let mail = fs::read(patch).unwrap().starts_with(b"From ");
    let run = |arguments: &[&str]| {
        let mut command = Command::new("git");
        let who = ["-c", "user.name=t", "-c", "user.email=t@t"];
        command.args(who).args(arguments).current_dir(clone);
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()
            .unwrap()
            .status
            .success()
    };
    let patch = patch.display().to_string();
    if mail {
        let went = run(&["am", "--quiet", "--keep-cr", &patch]);
        if !went {
            run(&["am", "--abort"]);
        }
        return went;
    }
    run(&["apply", "--index", &patch]) && run(&["commit", "--quiet", "-m", "x"])
}

/// Counts the lines that come and go between two commits, by line.
fn lines(clone: &Path, from: &str) -> BTreeMap<String, i64> {
    let mut count = BTreeMap::new();
    for line in git(clone, &["diff", "--no-renames", "-U0", from, "HEAD"]).lines() {
        let sign = match line.as_bytes() {
            [b'+', b'+', ..] | [b'-', b'-', ..] => continue,
            [b'+', ..] => 1,
            [b'-', ..] => -1,
            _ => continue,
        };
        *count.entry(line[1..].to_owned()).or_default() += sign;
    }
    count.retain(|_, n| *n != 0);
    count
}

#[test]
fn what_applies_is_what_git_says_at_every_tag() {
    let drift = Drift::new();
    let source = Git::at(drift.path("upstream.git"));
    let mut seen = BTreeMap::new();
    for tag in upstream::tags() {
        for (name, ..) in PATCHES {
            let patch = drift.path("patches").join(name);
            let clone = drift.fresh(&tag);
            let expected = plain(&clone, &patch);
            let index = Index::apart(&source).unwrap();
            index.read(&tag).unwrap();
            let tried = index.apply(&fs::read(&patch).unwrap()).unwrap();
            assert_eq!(
                tried.failure.is_none(),
                expected,
                "{name} at {tag}: {tried:?}"
            );
            if expected {
                let tree = git(&clone, &["rev-parse", "HEAD^{tree}"]);
                assert_eq!(index.write().unwrap(), tree, "{name} at {tag}");
            }
            *seen.entry((*name, expected)).or_insert(0) += 1;
        }
    }
    // Both happen, or this has looked at nothing.
    assert!(
        seen[&("01-arm64.patch", true)] >= 3 && seen[&("01-arm64.patch", false)] >= 20,
        "{seen:?}"
    );
}

#[test]
fn a_rebased_series_applies_with_git_and_does_what_it_did_after_every_event() {
    let drift = Drift::new();
    let series = drift.series(&["01", "02", "03", "04"]);
    let clone = drift.fresh(FIRST);
    assert!(series.patches.iter().all(|p| plain(&clone, &p.path)));
    let wanted = lines(&clone, FIRST);
    for tag in after_events() {
        let Rebase::Done(fates) = drift.rebase(&series, &tag) else {
            panic!("{tag}: {:?}", drift.rebase(&series, &tag));
        };
        let clone = drift.fresh(&tag);
        let mut wanted = wanted.clone();
        for (patch, fate) in series.patches.iter().zip(&fates) {
            let taken = number(&tag) >= 135 && patch.name.starts_with("04");
            assert_eq!(fate.end == FateEnd::Dropped, taken, "{tag}: {fate:?}");
            match &fate.end {
                FateEnd::Kept => assert!(plain(&clone, &patch.path), "{tag}: {fate:?}"),
                FateEnd::Dropped => {
                    wanted.remove("\techo --quiet");
                    wanted.remove("\techo --quiet --offline");
                }
                FateEnd::Rewritten {
                    bytes, vanished, ..
                } => {
                    assert!(vanished.is_empty(), "{tag}: {vanished:?}");
                    let path = drift.path("new.patch");
                    fs::write(&path, bytes).unwrap();
                    let text = String::from_utf8_lossy(bytes);
                    assert!(plain(&clone, &path), "{tag}: {text}");
                    let commit = drift.target(&tag).commit;
                    assert!(
                        text.contains(&format!("Applies-to: {tag} ({commit})\n")),
                        "{text}"
                    );
                    assert!(text.contains("board needs it"), "{text}");
                    assert!(!text.contains("\n-- \n"), "{text}");
                }
            }
        }
        assert_eq!(lines(&clone, &tag), wanted, "{tag}");
        // The script stays executable, or not, as the upstream has it; the patch's own bit is won.
        let modes = git(&clone, &["ls-files", "--stage", "packages/core"]);
        let mode = |name: &str| modes.lines().find(|l| l.ends_with(name)).unwrap()[..6].to_owned();
        assert_eq!(mode("hack/check.sh"), "100755", "{tag}");
        let script = if number(&tag) >= 85 {
            "hack/profiles"
        } else {
            "hack/gen-profiles.sh"
        };
        assert_eq!(
            mode(script),
            if number(&tag) >= 115 {
                "100644"
            } else {
                "100755"
            },
            "{tag}"
        );
        let arm = if number(&tag) >= 65 {
            "talos/images/profiles/arm.yaml"
        } else {
            "installer/images/profiles/arm.yaml"
        };
        mode(arm);
    }
}

#[test]
fn the_same_inputs_give_the_same_bytes_and_what_was_rebased_is_rebased_again() {
    let drift = Drift::new();
    let series = drift.series(&["01", "02", "03"]);
    let Rebase::Done(fates) = drift.rebase(&series, "v0.30.0") else {
        panic!()
    };
    assert_eq!(
        drift.rebase(&series, "v0.30.0"),
        Rebase::Done(fates.clone())
    );
    // There and back again: at the first tag it is what it was, but for its header and context.
    for (patch, fate) in series.patches.iter().zip(&fates) {
        let FateEnd::Rewritten { bytes, .. } = &fate.end else {
            panic!("{fate:?}")
        };
        fs::write(&patch.path, bytes).unwrap();
    }
    let there = Series::read(&series.path).unwrap();
    let Rebase::Done(back) = drift.rebase(&there, FIRST) else {
        panic!("{:?}", drift.rebase(&there, FIRST));
    };
    let clone = drift.fresh(FIRST);
    for fate in &back {
        let FateEnd::Rewritten { bytes, .. } = &fate.end else {
            panic!("{fate:?}")
        };
        fs::write(drift.path("back.patch"), bytes).unwrap();
        assert!(plain(&clone, &drift.path("back.patch")));
    }
    let changed = git(&clone, &["diff", "--name-only", FIRST, "HEAD"]);
    assert!(changed.lines().all(|l| l.starts_with(OLD)), "{changed}");
    assert_eq!(changed.lines().count(), 5, "{changed}");
}

#[test]
fn where_people_have_to_decide_it_says_so_and_nothing_else_happens() {
    let drift = Drift::new();
    for (patch, from, file) in [
        ("05", 165, "packages/core/talos/hack/profiles"),
        ("06", 195, "packages/core/installer/images/Dockerfile"),
    ] {
        let series = drift.series(&[patch]);
        for tag in [
            "v0.7.0", "v0.13.0", "v0.16.0", "v0.17.0", "v0.20.0", "v0.30.0",
        ] {
            match drift.rebase(&series, tag) {
                Rebase::Done(fates) => {
                    assert!(number(tag) < from, "{tag}: {fates:?}");
                }
                Rebase::Conflict(conflict) => {
                    assert!(number(tag) >= from, "{tag}: {conflict:?}");
                    assert_eq!(conflict.files, [file], "{tag}");
                    assert!(conflict.words[0].starts_with("CONFLICT ("), "{conflict:?}");
                }
                other => panic!("{tag}: {other:?}"),
            }
        }
    }
    // What became a file of its own is followed there.
    let series = drift.series(&["07"]);
    let Rebase::Done(fates) = drift.rebase(&series, "v0.25.0") else {
        panic!("{:?}", drift.rebase(&series, "v0.25.0"));
    };
    let FateEnd::Rewritten { moved, .. } = &fates[0].end else {
        panic!("{fates:?}")
    };
    assert_eq!(moved[0].1, "packages/core/talos/release.mk");
}

#[test]
fn where_it_fails_is_told_with_the_commit_that_moved_or_changed_the_lines() {
    let drift = Drift::new();
    for (patch, tag, did, subject) in [
        (
            "05",
            "v0.3.0",
            "put lines in between",
            "lines above the patched ones",
        ),
        (
            "06",
            "v0.7.0",
            "renamed to packages/core/talos/images/Dockerfile",
            "the folder packages",
        ),
        (
            "05",
            "v0.17.0",
            "renamed to packages/core/talos/hack/gen-profiles.sh",
            "the folder packages",
        ),
    ] {
        let series = drift.series(&[patch]);
        let tree = Git::at(drift.fresh(tag));
        let failure = tdg::probe::git::apply(&tree, &series)
            .unwrap()
            .failure
            .unwrap();
        let hunk = &failure.hunks[0];
        let cause = hunk
            .changed_by
            .as_ref()
            .unwrap_or_else(|| panic!("{failure}"));
        assert_eq!(cause.did, did, "{failure}");
        assert!(
            cause.subject.starts_with(subject) && !cause.of_series,
            "{failure}"
        );
        assert_eq!(cause.date.len(), 10);
        assert!(
            failure
                .to_string()
                .contains(&format!("\n    {did}: by {}", &cause.commit[..12])),
            "{failure}"
        );
    }
    // Rewritten for the new place, it is the line itself that has changed, and it says where.
    let series = drift.series(&["05"]);
    let Rebase::Done(fates) = drift.rebase(&series, "v0.16.0") else {
        panic!()
    };
    let FateEnd::Rewritten { bytes, .. } = &fates[0].end else {
        panic!()
    };
    fs::write(&series.patches[0].path, bytes).unwrap();
    let tree = Git::at(drift.fresh("v0.17.0"));
    let failure = tdg::probe::git::apply(&tree, &series)
        .unwrap()
        .failure
        .unwrap();
    let hunk = &failure.hunks[0];
    assert_eq!((hunk.number, hunk.of), (Some(1), 1), "{failure}");
    let cause = hunk.changed_by.as_ref().unwrap();
    assert_eq!(cause.did, "changed `EXTENSIONS=\"drbd zfs\"`");
    assert_eq!(
        cause.subject,
        "the list of extensions is another: in conflict"
    );
    assert!(
        hunk.now
            .contains(&"EXTENSIONS=\"drbd zfs amd-ucode\"".to_owned()),
        "{failure}"
    );

    // An earlier patch of the series is named as such; a shallow clone says that it cannot tell.
    let name = "again.patch";
    fs::copy(&series.patches[0].path, drift.path("patches").join(name)).unwrap();
    let path = drift.path("patches").join("twice.series");
    fs::write(&path, format!("05-spin.patch\n{name}\n")).unwrap();
    let tree = Git::at(drift.fresh("v0.16.0"));
    let failure = tdg::probe::git::apply(&tree, &Series::read(&path).unwrap())
        .unwrap()
        .failure
        .unwrap();
    assert!(
        failure.hunks[0].changed_by.as_ref().unwrap().of_series,
        "{failure}"
    );
    let source = format!("file://{}", drift.path("upstream.git").display());
    git(
        drift.folder.path(),
        &[
            "clone",
            "--quiet",
            "--depth=1",
            "--branch=v0.17.0",
            &source,
            "shallow",
        ],
    );
    let tree = Git::at(drift.path("shallow"));
    let failure = tdg::probe::git::apply(&tree, &series)
        .unwrap()
        .failure
        .unwrap();
    assert!(
        failure.to_string().contains("the clone is shallow"),
        "{failure}"
    );
}

#[test]
fn what_is_wrong_with_a_patch_is_an_error_of_its_own() {
    let drift = Drift::new();
    let clone = drift.path("clone");
    let good = fs::read_to_string(drift.path("patches/05-spin.patch")).unwrap();
    let counts = good.replace("@@ -2,7 +2,7 @@", "@@ -2,7 +2,6 @@");
    assert_ne!(good, counts);
    let body =
        "diff --git a/x b/x\nnew file mode 100644\n--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+x\n";
    let link = "diff --git a/out b/out\nnew file mode 120000\n--- /dev/null\n+++ b/out\n@@ -0,0 +1 @@\n+../..\n\\ No newline at end of file\n";
    let (up, through) = (
        body.replace("b/x", "b/../x"),
        body.replace("b/x", "b/out/x").replace("a/x", "a/out/x"),
    );
    let crlf = good.replace("\n EXT", "\r\n EXT").replace(
        "+EXTENSIONS=\"drbd zfs spin\"\n",
        "+EXTENSIONS=\"drbd zfs spin\"\r\n",
    );
    for (text, says) in [
        (counts, "says 7 lines before and 6 after, and has more"),
        (up, "`../x` leads out of the tree"),
        (format!("{link}{through}"), "beyond a symbolic link"),
        (good.replace("+++ b/", "+++ b/.git/"), "or into `.git`"),
        (good[..good.find("+EXT").unwrap()].to_owned(), "ends after"),
        ("GIT binary patch\n".to_owned(), "it changes no file"),
    ] {
        fs::write(drift.path("patches/x.patch"), &text).unwrap();
        fs::write(drift.path("patches/series"), "x.patch\n").unwrap();
        let series = Series::read(&drift.path("patches/series")).unwrap();
        let tree = Git::at(drift.fresh(FIRST));
        let failure = tdg::probe::git::apply(&tree, &series)
            .unwrap()
            .failure
            .unwrap();
        assert!(failure.to_string().contains(says), "{failure}");
        // What is only tried is refused for the same reason.
        let index = Index::new(&tree).unwrap();
        index.read("HEAD").unwrap();
        let tried = index.apply(text.as_bytes()).unwrap().failure;
        assert!(
            tried.as_ref().is_some_and(|t| t.contains(says)),
            "{tried:?}"
        );
        assert!(
            !drift.path("x").exists() && !drift.folder.path().parent().unwrap().join("x").exists()
        );
        assert_eq!(git(&clone, &["status", "--porcelain"]), "");
        let rebased = drift.rebase(&series, "v0.10.0");
        assert!(matches!(rebased, Rebase::Refused { .. }), "{rebased:?}");
    }
    // Carriage returns are content: they come out as they went in.
    fs::write(drift.path("patches/x.patch"), crlf).unwrap();
    let series = Series::read(&drift.path("patches/series")).unwrap();
    let tree = Git::at(drift.fresh(FIRST));
    assert_eq!(
        tdg::probe::git::apply(&tree, &series).unwrap().failure,
        None
    );
    let script = fs::read_to_string(clone.join(OLD).join("hack/gen-profiles.sh")).unwrap();
    assert!(script.contains("zfs spin\"\r\n"));
    let Rebase::Done(fates) = drift.rebase(&series, "v0.10.0") else {
        panic!()
    };
    let FateEnd::Rewritten { bytes, .. } = &fates[0].end else {
        panic!()
    };
    assert!(String::from_utf8_lossy(bytes).contains("+EXTENSIONS=\"drbd zfs spin\"\r\n"));
}

#[test]
fn a_binary_file_that_a_patch_makes_follows_its_folder() {
    let drift = Drift::new();
    let clone = drift.fresh(FIRST);
    let logo = clone.join(OLD).join("images/logo");
    fs::write(&logo, [0, 1, 2, 255, 0, 7]).unwrap();
    git(&clone, &["add", "--all"]);
    git(&clone, &["commit", "--quiet", "-m", "logo"]);
    let text = git(
        &clone,
        &["format-patch", "-1", "--stdout", "--full-index", "--binary"],
    );
    fs::write(drift.path("patches/logo.patch"), format!("{text}\n")).unwrap();
    let path = drift.path("patches/series");
    fs::write(&path, "05-spin.patch\nlogo.patch\n").unwrap();
    let series = Series::read(&path).unwrap();
    let Rebase::Done(fates) = drift.rebase(&series, "v0.10.0") else {
        panic!("{:?}", drift.rebase(&series, "v0.10.0"));
    };
    let FateEnd::Rewritten { bytes, .. } = &fates[1].end else {
        panic!("{fates:?}")
    };
    fs::write(drift.path("new.patch"), bytes).unwrap();
    let clone = drift.fresh("v0.10.0");
    assert!(plain(&clone, &drift.path("new.patch")));
    let moved = clone.join("packages/core/talos/images/logo");
    assert_eq!(fs::read(moved).unwrap(), [0, 1, 2, 255, 0, 7]);
}
