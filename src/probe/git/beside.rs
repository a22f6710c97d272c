//! Changes of neighbouring lines, which git's merge calls a conflict and people do not.

use super::{Git, GitError};

/// Stands between any two lines while they are merged, so that changes of neighbours do not touch.
const BETWEEN: &[u8] = b"\x01\x02 between lines \x02\x01\n";

/// Merges three contents line by line: a line is only in conflict with itself.
///
/// Gives nothing where the same line was changed on both sides, or where lines were put in beside
/// a changed one.
pub(super) fn merge(
    git: &Git,
    base: &[u8],
    ours: &[u8],
    theirs: &[u8],
) -> Result<Option<Vec<u8>>, GitError> {
    if [base, ours, theirs]
        .iter()
        .any(|c| c.contains(&0) || has(c, BETWEEN))
    {
        return Ok(None);
    }
    let folder = tempfile::tempdir().map_err(GitError::Temporary)?;
    let mut names = Vec::new();
    // The order of `git merge-file`: ours, base, theirs.
    for (name, content) in [("ours", ours), ("base", base), ("theirs", theirs)] {
        let path = folder.path().join(name);
        std::fs::write(&path, apart(content)).map_err(GitError::Temporary)?;
        names.push(path.to_string_lossy().into_owned());
    }
    let mut arguments = vec!["merge-file", "--stdout", "--quiet"];
    arguments.extend(names.iter().map(String::as_str));
    let output = git.output(&arguments)?;
    if !output.success() || output.stdout.truncated() {
        return Ok(None);
    }
    Ok(together(&output.stdout.bytes()))
}

fn has(content: &[u8], line: &[u8]) -> bool {
    content.split_inclusive(|b| *b == b'\n').any(|l| l == line)
}

fn apart(content: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(content.len() * 2);
    for line in content.split_inclusive(|b| *b == b'\n') {
        out.extend(line);
        if !line.ends_with(b"\n") {
            // The last line of a file without a break at its end: the break is marked as ours.
            out.extend(b"\x02\n");
        }
        out.extend(BETWEEN);
    }
    out
}

/// Takes the marks out; nothing where they do not stand after every line any more.
fn together(merged: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(merged.len());
    let mut lines = merged.split_inclusive(|b| *b == b'\n');
    while let Some(line) = lines.next() {
        if line == BETWEEN || lines.next() != Some(BETWEEN) {
            return None;
        }
        match line.strip_suffix(b"\x02\n") {
            Some(last) => out.extend(last),
            None => out.extend(line),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(base: &str, ours: &str, theirs: &str) -> Option<String> {
        let git = Git::at(std::env::temp_dir());
        let bytes = merge(&git, base.as_bytes(), ours.as_bytes(), theirs.as_bytes()).unwrap();
        bytes.map(|b| String::from_utf8(b).unwrap())
    }

    #[test]
    fn neighbours_may_both_change_and_the_same_line_may_not() {
        let base = "a\nb\nc\nd\n";
        assert_eq!(
            merged(base, "A\nb\nc\nd\n", "a\nB\nc\nd\n").unwrap(),
            "A\nB\nc\nd\n"
        );
        assert_eq!(
            merged(base, "A\nb\nC\nd\n", "a\nB\nc\nd\n").unwrap(),
            "A\nB\nC\nd\n"
        );
        assert_eq!(merged(base, "a\nx\nc\nd\n", "a\nB\nc\nd\n"), None);
        assert_eq!(merged("a\nb", "A\nb", "a\nB").unwrap(), "A\nB");
        assert_eq!(merged("a\nb", "A\nb\n", "a\nB"), None);
        assert_eq!(merged("a\0", "A\0", "a\0"), None);
    }
}
