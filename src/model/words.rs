//! A command line as words, without a shell, and words as a person types them.

/// Splits a text into words at white space; `'…'`, `"…"` and `\` quote as in a POSIX shell.
///
/// # Errors
/// Where a quote is not closed, or where an unquoted character asks for a shell (`| & ; < > $ *`
/// and the like): such a text means something else than its words.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\t' | '\n' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('\'') => break,
                        Some(c) => word.push(c),
                        None => return Err(format!("a quote is not closed in `{text}`")),
                    }
                }
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next() {
                        Some('"') => break,
                        Some('\\') => match chars.next() {
                            Some(c @ ('"' | '\\' | '$' | '`')) => word.push(c),
                            Some(c) => word.extend(['\\', c]),
                            None => return Err(format!("a quote is not closed in `{text}`")),
                        },
                        Some(c @ ('$' | '`')) => return Err(needs_shell(text, c)),
                        Some(c) => word.push(c),
                        None => return Err(format!("a quote is not closed in `{text}`")),
                    }
                }
            }
            '\\' => match chars.next() {
                Some(c) => word.get_or_insert_default().push(c),
                None => return Err(format!("nothing follows the last `\\` in `{text}`")),
            },
            '|' | '&' | ';' | '<' | '>' | '$' | '`' | '*' | '?' | '(' | ')' => {
                return Err(needs_shell(text, c));
            }
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    if words.is_empty() {
        return Err("no program is named".into());
    }
    Ok(words)
}

fn needs_shell(text: &str, c: char) -> String {
    format!("`{c}` in `{text}` needs a shell: write `sh: …`, or quote it")
}

/// Writes a word as a person types it in a POSIX shell: in quotes where it has to be.
#[must_use]
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,~^".contains(c);
    if !word.is_empty() && word.chars().all(plain) && !word.starts_with('~') {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::{quote, split};

    #[test]
    fn what_is_quoted_is_one_word_again() {
        for (word, typed) in [
            ("make", "make"),
            ("A=1", "A=1"),
            ("my file", "'my file'"),
            ("it's", r"'it'\''s'"),
            ("$(touch x)", "'$(touch x)'"),
            ("~", "'~'"),
            ("", "''"),
        ] {
            assert_eq!(quote(word), typed);
            assert_eq!(split(typed).unwrap(), [word]);
        }
    }

    #[test]
    fn words_are_those_of_a_shell() {
        assert_eq!(split("make  -j 2").unwrap(), ["make", "-j", "2"]);
        assert_eq!(
            split(r#"a 'b c' "d \"e" f\ g ''"#).unwrap(),
            ["a", "b c", "d \"e", "f g", ""]
        );
        assert_eq!(split("IMAGE=x:'y|z'").unwrap(), ["IMAGE=x:y|z"]);
    }

    #[test]
    fn what_needs_a_shell_or_an_end_is_refused() {
        for text in [
            "a | b",
            "echo $HOME",
            "\"$HOME\"",
            "a && b",
            "ls *",
            "a 'b",
            "",
            "a\\",
        ] {
            assert!(split(text).is_err(), "{text}");
        }
    }
}
