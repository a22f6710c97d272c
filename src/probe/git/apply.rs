//! Applying a series, strictly: in order, no fuzz, no three-way; and saying where it stops.

use super::hunk::{Hunk, hunks};
use super::series::read_bounded;
use super::{Git, GitError, Patch, Series, words};
use std::fmt;

/// What came of a series.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The names of the patches that applied, in order.
    pub applied: Vec<String>,
    /// The commit after the last of them.
    pub head: String,
    /// The first patch that did not apply; those after it were not tried.
    pub failure: Option<PatchFailure>,
}

/// A patch that does not apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatchFailure {
    /// The patch as the series names it.
    pub patch: String,
    /// The places where it does not fit.
    pub hunks: Vec<Hunk>,
    /// What git said.
    pub words: String,
}

impl fmt::Display for PatchFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} does not apply", self.patch)?;
        for hunk in &self.hunks {
            match hunk.line {
                Some(line) => write!(f, "\n  at {}:{line}", hunk.path)?,
                None => write!(f, "\n  at {}", hunk.path)?,
            }
            if let Some(number) = hunk.number {
                write!(f, ", hunk {number} of {}", hunk.of)?;
            }
            let now = match hunk.now_line.filter(|now| Some(*now) != hunk.line) {
                Some(line) => format!("there is, from line {line} on"),
                None => "there is".to_owned(),
            };
            for (title, lines) in [
                ("the patch expects", &hunk.expected),
                (now.as_str(), &hunk.now),
            ] {
                if !lines.is_empty() {
                    write!(f, "\n    {title}:")?;
                    lines.iter().try_for_each(|l| write!(f, "\n      {l}"))?;
                }
            }
            if let Some(cause) = &hunk.changed_by {
                write!(f, "\n    {cause}")?;
            }
            if let Some(why) = &hunk.untold {
                write!(f, "\n    by whom: {why}")?;
            }
        }
        write!(
            f,
            "\n  {}: {}",
            if self.words.starts_with("patch: ") {
                "tdg says"
            } else {
                "git says"
            },
            self.words.replace('\n', "\n            ")
        )
    }
}

/// Applies a series in a clean work tree, each patch as a commit.
///
/// A mailbox (`git format-patch`) is applied by `git am`, a plain diff by `git apply`; both only
/// where every line fits. Dates are fixed, so the same patches on the same commit give the same
/// commit. After a failure the tree is as the last good patch left it.
///
/// # Errors
/// Where git cannot be run; a patch that does not apply is an [`Applied::failure`].
pub fn apply(tree: &Git, series: &Series) -> Result<Applied, GitError> {
    let mut applied = Vec::new();
    let mut failure = None;
    for patch in &series.patches {
        failure = one(tree, patch)?;
        if failure.is_some() {
            break;
        }
        applied.push(patch.name.clone());
    }
    Ok(Applied {
        applied,
        head: tree.ok(&["rev-parse", "HEAD"])?,
        failure,
    })
}

fn one(tree: &Git, patch: &Patch) -> Result<Option<PatchFailure>, GitError> {
    // git runs in the tree: the patch has to be named from there.
    let file = std::path::absolute(&patch.path).unwrap_or_else(|_| patch.path.clone());
    let file = file.to_string_lossy();
    let bytes = match read_bounded(&patch.path) {
        Ok(bytes) => bytes,
        Err(error) => {
            return Ok(Some(PatchFailure {
                patch: patch.name.clone(),
                hunks: Vec::new(),
                words: format!("it cannot be read: {error}"),
            }));
        }
    };
    let text = String::from_utf8_lossy(&bytes);
    // git passes over lines that a hunk's counts leave out; here nothing is lost without a word.
    let plain = super::mail::plain(tree, &bytes)?;
    if let Err(error) = crate::format::patch::Patch::read(&plain) {
        return Ok(Some(PatchFailure {
            patch: patch.name.clone(),
            hunks: Vec::new(),
            words: error.to_string(),
        }));
    }
    let mailbox = is_mailbox(&text);
    let output = if mailbox {
        tree.output(&[
            "am",
            "--quiet",
            "--no-3way",
            "--keep-cr",
            "--committer-date-is-author-date",
            &file,
        ])?
    } else {
        tree.output(&["apply", "--index", &file])?
    };
    if output.success() {
        if !mailbox {
            let author = "tdg <tdg@localhost>";
            let date = format!("--date={}", super::DATE);
            let author = format!("--author={author}");
            tree.ok(&[
                "commit",
                "--quiet",
                "--allow-empty",
                "--no-verify",
                &author,
                &date,
                "-m",
                &patch.name,
            ])?;
        }
        return Ok(None);
    }
    let words = words(&output);
    if mailbox {
        // Fails where git gave up before it began; then there is nothing to undo.
        tree.output(&["am", "--abort"])?;
    }
    let hunks = hunks(tree, &words, &plain)?;
    Ok(Some(PatchFailure {
        patch: patch.name.clone(),
        hunks,
        words,
    }))
}

/// Tells a mailbox from a plain diff: it has a `From` before its first file.
fn is_mailbox(text: &str) -> bool {
    text.lines()
        .take_while(|l| !l.starts_with("diff --git ") && !l.starts_with("--- "))
        .any(|l| l.starts_with("From ") || l.starts_with("From: "))
}

/// What a series changes in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The file, after the change where it was renamed.
    pub path: String,
    /// The file before, where it was renamed.
    pub from: Option<String>,
    /// git's letter: `A` added, `D` deleted, `M` modified, `R` renamed, `T` type changed.
    pub status: char,
    /// Mode before, octal as git has it (`100755`); `000000` where it was not there.
    pub mode_before: String,
    /// Mode after.
    pub mode_after: String,
}

/// Lists what changed between two commits of a repository.
///
/// # Errors
/// Where git refuses.
pub fn changes(git: &Git, before: &str, after: &str) -> Result<Vec<Change>, GitError> {
    let text = git.ok(&[
        "diff-tree",
        "-r",
        "-z",
        "-M",
        "--no-ext-diff",
        "--end-of-options",
        before,
        after,
    ])?;
    let mut fields = text.split('\0');
    let mut changes = Vec::new();
    // `:100644 100755 <sha> <sha> M`, path; a rename has two paths.
    while let Some(head) = fields.next().and_then(|h| h.strip_prefix(':')) {
        let words: Vec<&str> = head.split(' ').collect();
        let [mode_before, mode_after, _, _, status] = words.as_slice() else {
            break;
        };
        let status = status.chars().next().unwrap_or('X');
        let first = fields.next().unwrap_or_default().to_owned();
        let renamed = matches!(status, 'R' | 'C').then(|| fields.next().unwrap_or_default());
        let (path, from) = match renamed {
            Some(to) => (to.to_owned(), Some(first)),
            None => (first, None),
        };
        changes.push(Change {
            path,
            from,
            status,
            mode_before: (*mode_before).to_owned(),
            mode_after: (*mode_after).to_owned(),
        });
    }
    Ok(changes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct World {
        folder: tempfile::TempDir,
        git: Git,
    }

    fn world() -> World {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir(&tree).unwrap();
        let git = Git::at(&tree);
        git.ok(&["init", "--quiet", "."]).unwrap();
        fs::write(tree.join("a.txt"), "one\ntwo\nthree\nfour\n").unwrap();
        git.ok(&["add", "."]).unwrap();
        git.ok(&[
            "commit",
            "--quiet",
            "-m",
            "start",
            "--date",
            super::super::DATE,
        ])
        .unwrap();
        World { folder, git }
    }

    fn diff(from: &str, to: &str) -> String {
        format!(
            "diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n@@ -1,3 +1,3 @@\n one\n-{from}\n+{to}\n three\n"
        )
    }

    fn mail(from: &str, to: &str) -> String {
        let head = "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\nFrom: A <a@b>\nDate: Fri, 2 Jan 2026 00:00:00 +0000\nSubject: [PATCH] x\n\n---\n";
        format!("{head}{}-- \n2.0\n", diff(from, to))
    }

    fn series(world: &World, patches: &[(&str, String)]) -> Series {
        let mut text = String::new();
        for (name, content) in patches {
            fs::write(world.folder.path().join(name), content).unwrap();
            text.push_str(&format!("{name}\n"));
        }
        let path = world.folder.path().join("series");
        fs::write(&path, text).unwrap();
        Series::read(&path).unwrap()
    }

    #[test]
    fn mailboxes_and_diffs_apply_in_order_and_give_the_same_commit() {
        let heads: Vec<String> = (0..2)
            .map(|_| {
                let w = world();
                let s = series(
                    &w,
                    &[("1.patch", mail("two", "2")), ("2.patch", diff("2", "II"))],
                );
                let start = w.git.commit("HEAD").unwrap().unwrap();
                let done = apply(&w.git, &s).unwrap();
                assert_eq!(done.failure, None);
                assert_eq!(done.applied, ["1.patch", "2.patch"]);
                let text = fs::read_to_string(w.git.folder().join("a.txt")).unwrap();
                assert_eq!(text, "one\nII\nthree\nfour\n");
                let changed = changes(&w.git, &start, &done.head).unwrap();
                assert_eq!(
                    (changed[0].path.as_str(), changed[0].status),
                    ("a.txt", 'M')
                );
                done.head
            })
            .collect();
        assert_eq!(heads[0], heads[1]);
    }

    #[test]
    fn a_patch_that_does_not_fit_says_what_stands_there() {
        for kind in [mail, diff] {
            let w = world();
            let s = series(
                &w,
                &[
                    ("1.patch", diff("two", "2")),
                    ("2.patch", kind("two", "II")),
                ],
            );
            let done = apply(&w.git, &s).unwrap();
            assert_eq!(done.applied, ["1.patch"]);
            let failure = done.failure.unwrap();
            assert_eq!(failure.patch, "2.patch");
            assert_eq!(failure.hunks[0].path, "a.txt");
            assert_eq!(failure.hunks[0].line, Some(1));
            assert_eq!(failure.hunks[0].now, ["one", "2", "three", "four"]);
            assert_eq!(failure.hunks[0].expected, ["one", "two", "three"]);
            let said = failure.to_string();
            assert!(
                said.starts_with("2.patch does not apply\n  at a.txt:1, hunk 1 of 1\n"),
                "{said}"
            );
            assert!(!said.contains("--continue"), "{said}");
            // The tree is as the first patch left it, with no half-done `am`.
            assert_eq!(w.git.ok(&["status", "--porcelain"]).unwrap(), "");
            assert!(!w.git.folder().join(".git/rebase-apply").exists());
        }
    }

    #[test]
    fn what_is_no_patch_is_a_failure_too() {
        let w = world();
        let missing =
            "diff --git a/no.txt b/no.txt\n--- a/no.txt\n+++ b/no.txt\n@@ -1 +1 @@\n-a\n+b\n";
        for (text, says) in [
            ("not a patch\n", "it changes no file"),
            (missing, "no.txt: does not exist in index"),
            ("From: a\nSubject: x\n\nnothing\n", ""),
            ("", "it changes no file"),
            (&mail("two", "2")[..210], ""),
        ] {
            let s = series(&w, &[("1.patch", text.to_owned())]);
            let failure = apply(&w.git, &s).unwrap().failure.unwrap();
            assert!(failure.words.contains(says), "{text}: {}", failure.words);
            assert!(!failure.words.is_empty());
            assert!(!w.git.folder().join(".git/rebase-apply").exists(), "{text}");
        }
        let s = series(&w, &[("1.patch", missing.to_owned())]);
        assert_eq!(
            apply(&w.git, &s).unwrap().failure.unwrap().hunks[0].path,
            "no.txt"
        );
    }

    #[test]
    fn an_encoded_mail_applies_as_git_applies_it() {
        let w = world();
        let plain = mail("two", "2");
        let (fields, body) = plain.split_once("\n\n").unwrap();
        let body = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, body);
        let text = format!("{fields}\nContent-Transfer-Encoding: base64\n\n{body}\n");
        let done = apply(&w.git, &series(&w, &[("1.patch", text)])).unwrap();
        assert_eq!(done.failure, None);
        let text = fs::read_to_string(w.git.folder().join("a.txt")).unwrap();
        assert_eq!(text, "one\n2\nthree\nfour\n");
    }

    #[test]
    fn a_hunk_of_megabytes_is_looked_for_in_a_moment() {
        let w = world();
        let count = 200_000;
        let lines = |sign: &str, word: &str| -> String {
            (0..count).map(|n| format!("{sign}{word} {n}\n")).collect()
        };
        fs::write(w.git.folder().join("a.txt"), lines("", "other")).unwrap();
        w.git.ok(&["commit", "--quiet", "-am", "large"]).unwrap();
        let head = format!("--- a/a.txt\n+++ b/a.txt\n@@ -1,{count} +0,0 @@\n");
        let s = series(&w, &[("1.patch", format!("{head}{}", lines("-", "line")))]);
        let start = std::time::Instant::now();
        let failure = apply(&w.git, &s).unwrap().failure.unwrap();
        assert_eq!(failure.hunks[0].expected[1], "line 1");
        // Line by line against line by line, it would take hours.
        assert!(start.elapsed() < std::time::Duration::from_secs(60));
    }

    #[test]
    fn a_patch_cannot_write_outside_the_tree() {
        let w = world();
        let out = "diff --git a/../out b/../out\nnew file mode 100644\n--- /dev/null\n+++ b/../out\n@@ -0,0 +1 @@\n+x\n";
        let s = series(&w, &[("1.patch", out.to_owned())]);
        assert!(apply(&w.git, &s).unwrap().failure.is_some());
        assert!(!w.folder.path().join("out").exists());
    }
}
