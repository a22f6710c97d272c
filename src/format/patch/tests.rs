//! What is read of patches, and what is refused.

use super::{Change, Patch, Sign};

const ONE: &str = "\
Why.

diff --git a/dir/run.sh b/dir/run.sh
index 1111111..2222222 100755
--- a/dir/run.sh
+++ b/dir/run.sh
@@ -3,2 +3,3 @@ here
 one
-two
+2
+three
diff --git a/old b/new
similarity index 100%
rename from old
rename to new
diff --git a/mode b/mode
old mode 100755
new mode 100644
diff --git a/logo b/logo
new file mode 100644
index 0000000..3333333
GIT binary patch
literal 1
Ic${MZ00IC5

diff --git a/gone b/gone
deleted file mode 100644
index 4444444..0000000
--- a/gone
+++ /dev/null
@@ -1 +0,0 @@
-x
\\ No newline at end of file
--
2.0
";

#[test]
fn files_and_hunks() {
    let patch = Patch::read(ONE.as_bytes()).unwrap();
    assert_eq!(patch.diff_at, 6);
    let seen: Vec<_> = patch
        .files
        .iter()
        .map(|f| (f.path(), f.change, f.binary))
        .collect();
    assert_eq!(
        seen,
        [
            ("dir/run.sh", Change::Modified, false),
            ("new", Change::Renamed, false),
            ("mode", Change::Modified, false),
            ("logo", Change::Added, true),
            ("gone", Change::Deleted, false),
        ]
    );
    let run = &patch.files[0];
    assert_eq!(run.old_blob.as_deref(), Some("1111111"));
    assert_eq!(run.new_mode.as_deref(), Some("100755"));
    let hunk = &run.hunks[0];
    assert_eq!((hunk.line, hunk.old_start, hunk.new_start), (7, 3, 3));
    assert_eq!(hunk.lines[1], (Sign::Removed, b"two".as_slice()));
    assert_eq!(hunk.expected().collect::<Vec<_>>(), [b"one", b"two"]);
    assert_eq!(
        hunk.added().collect::<Vec<_>>(),
        [b"2".as_slice(), b"three"]
    );
    assert_eq!(patch.files[2].old_mode.as_deref(), Some("100755"));
    assert_eq!(
        (patch.files[4].new.as_deref(), patch.files[4].hunks.len()),
        (None, 1)
    );
}

#[test]
fn a_plain_diff_without_git_is_read_too() {
    let text = "--- dir/x\t2026-01-01\n+++ dir/x\t2026-01-01\n@@ -1 +1 @@\n-a\n+b\n";
    let patch = Patch::read(text.as_bytes()).unwrap();
    assert_eq!(patch.files[0].path(), "x");
    let crlf = "--- a/x\r\n+++ b/x\r\n@@ -1,2 +1,2 @@\r\n-a\r\n+b\r\n c\r\n";
    let patch = Patch::read(crlf.as_bytes()).unwrap();
    assert_eq!(patch.files[0].hunks[0].lines[1].1, b"b\r");
}

#[test]
fn what_git_would_pass_over_or_refuse_is_told_with_its_line() {
    let head = "--- a/x\n+++ b/x\n";
    for (text, says) in [
        ("", "it changes no file"),
        ("just words\n", "it changes no file"),
        ("@@ -1 +1 @@\n-a\n+b\n", "line 1: a hunk of no file"),
        (
            &format!("{head}@@ -1,2 +1,2 @@\n-a\n+b\n"),
            "ends after 1 and 1",
        ),
        (
            &format!("{head}@@ -1 +1 @@\n-a\n+b\n+lost\n"),
            "says 1 lines before and 1 after, and has more",
        ),
        (&format!("{head}@@ -1 +1 @@\n-a\n-b\n"), "has more"),
        (&format!("{head}@@ -1 +1 @@\n-a\nx\n"), "ends after 1 and 0"),
        (
            "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -x +1 @@\n",
            "line 4: no hunk begins so",
        ),
        (
            "diff --git a/x b/../x\n--- a/x\n+++ b/../x\n@@ -1 +1 @@\n-a\n+b\n",
            "`../x` leads out",
        ),
        (
            "diff --git a/.git/hooks/x b/.git/hooks/x\nnew file mode 100755\n",
            "leads out of the tree or into `.git`",
        ),
        (
            "diff --git a/x b/x\nrename from x\nrename to /etc/x\n",
            "`/etc/x` leads out",
        ),
    ] {
        let error = Patch::read(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(says), "{text}: {error}");
    }
}
