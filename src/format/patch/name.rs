//! The names of files in a patch: prefixed, at times quoted as C strings.

/// Takes a name off a `---`, `+++`, `rename from` or `diff --git` line: unquoted, a tab and what
/// follows it (a time) left out.
pub(super) fn plain(text: &str) -> String {
    let text = text.trim_end_matches(['\r', '\n']);
    match quoted(text) {
        Some((name, _)) => name,
        None => text.split('\t').next().unwrap_or("").to_owned(),
    }
}

/// Takes the name of a file with its `a/` or `b/` off; nothing for `/dev/null`.
pub(super) fn prefixed(text: &str) -> Option<String> {
    let name = plain(text);
    if name == "/dev/null" {
        return None;
    }
    Some(match name.split_once('/') {
        Some((_, rest)) => rest.to_owned(),
        None => name,
    })
}

/// Reads both names of a `diff --git` line, where it can be told where the first ends.
pub(super) fn both(text: &str) -> Option<(String, String)> {
    let text = text.trim_end_matches(['\r', '\n']);
    let strip = |name: &str| name.split_once('/').map(|(_, rest)| rest.to_owned());
    if let Some((first, rest)) = quoted(text) {
        return Some((strip(&first)?, strip(&plain(rest.trim_start()))?));
    }
    // Without quotes a name may hold blanks: the two are the same but for their prefix.
    let same = text.match_indices(' ').find_map(|(at, _)| {
        let (first, second) = (strip(&text[..at])?, strip(&plain(&text[at + 1..]))?);
        (first == second).then_some((first, second))
    });
    same.or_else(|| {
        let (first, second) = text.split_once(' ')?;
        Some((strip(first)?, strip(&plain(second))?))
    })
}

/// Unquotes a name that begins with a quotation mark; gives what follows it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let inner = text.strip_prefix('"')?;
    let mut bytes = Vec::new();
    let mut chars = inner.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let name = String::from_utf8_lossy(&bytes).into_owned();
                return Some((name, &inner[at + 1..]));
            }
            '\\' => {
                let (at, escape) = chars.next()?;
                match escape {
                    'n' => bytes.push(b'\n'),
                    't' => bytes.push(b'\t'),
                    'r' => bytes.push(b'\r'),
                    'a' => bytes.push(7),
                    'b' => bytes.push(8),
                    'f' => bytes.push(12),
                    'v' => bytes.push(11),
                    '0'..='3' => {
                        let digits = inner.get(at..at + 3)?;
                        bytes.push(u8::from_str_radix(digits, 8).ok()?);
                        chars.next();
                        chars.next();
                    }
                    other => bytes.extend(other.to_string().bytes()),
                }
            }
            other => bytes.extend(other.to_string().bytes()),
        }
    }
    None
}

/// Says what is wrong with a path that leads out of the tree or into git's own folder.
pub(super) fn leads_out(path: &str) -> bool {
    path.is_empty()
        || path.starts_with('/')
        || path
            .split('/')
            .any(|part| part.is_empty() || matches!(part, "." | "..") || is_git(part))
}

fn is_git(part: &str) -> bool {
    part.eq_ignore_ascii_case(".git")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_blanks_quotes_and_bytes() {
        assert_eq!(prefixed("a/x y\t2026").as_deref(), Some("x y"));
        assert_eq!(prefixed("/dev/null"), None);
        assert_eq!(prefixed(r#""b/\303\244\t.sh""#).as_deref(), Some("ä\t.sh"));
        let names = both("a/x b/y b/x b/y").unwrap();
        assert_eq!(names, ("x b/y".to_owned(), "x b/y".to_owned()));
        assert_eq!(both("a/x b/y").unwrap(), ("x".into(), "y".into()));
        assert_eq!(
            both(r#""a/\t" "b/\t""#).unwrap(),
            ("\t".into(), "\t".into())
        );
        assert_eq!(both(""), None);
        assert_eq!(both(r#""a/\9"#), None);
        for out in [
            "../x",
            "/x",
            "a/../b",
            ".git/config",
            "a/.GIT/hooks",
            "a//b",
            "",
        ] {
            assert!(leads_out(out), "{out}");
        }
        assert!(!leads_out(".github/workflows/x..y"));
    }
}
