//! Paths inside an image, as people write them and as tdg compares them.

/// Normalises a path inside an image: no leading `/` or `./`, no `//`, no trailing `/`.
///
/// `..` is kept: an archive that carries one is to be seen as it is, not repaired.
pub fn normalise(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for part in path.split('/').filter(|p| !p.is_empty() && *p != ".") {
        if !out.is_empty() {
            out.push('/');
        }
        out.push_str(part);
    }
    out
}

/// Tells whether [`printable`] writes a character as an escape: it is not seen, or it turns the order
/// of what is around it.
pub fn is_escaped(c: char) -> bool {
    let turns = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let ends_a_line = matches!(c, '\u{2028}' | '\u{2029}');
    let nothing = matches!(c, '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    c.is_control() || turns || ends_a_line || nothing
}

/// Escapes control characters and line breaks, so that a name from a stranger's image cannot
/// drive a terminal or fake a line of output.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_escaped(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_one_path_become_one() {
        for spelling in ["/usr/bin/x", "usr/bin/x", "./usr//bin/./x", "usr/bin/x/"] {
            assert_eq!(normalise(spelling), "usr/bin/x");
        }
        assert_eq!(normalise("."), "");
        assert_eq!(normalise("a/../b"), "a/../b");
    }

    #[test]
    fn escape_sequences_do_not_reach_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\n"), "a\\u{1b}[2Jb\\n");
        assert_eq!(printable("a\u{202e}b"), "a\\u{202e}b");
        assert_eq!(printable("grüße"), "grüße");
    }
}
