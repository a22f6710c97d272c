//! Just enough Rust to see which paths a file names.

/// A path named in a file, from the crate's root on.
#[derive(Debug, PartialEq)]
pub(crate) struct Import {
    /// The modules, then the item.
    pub(crate) path: Vec<String>,
    /// The line, counted from 1.
    pub(crate) line: usize,
}

/// Gives a text with comments and the insides of strings blanked out; lines stay where they are.
pub(crate) fn code(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let chars: Vec<char> = text.chars().collect();
    let mut at = 0;
    let blank = |c: char| if c == '\n' { '\n' } else { ' ' };
    while at < chars.len() {
        let rest = &chars[at..];
        let end = match rest {
            ['/', '/', ..] => rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => block_comment(rest),
            ['r', '"' | '#', ..] if !follows_word(&chars, at) => raw_string(rest),
            ['"', ..] => string(rest),
            ['\'', '\\', ..] => rest[2..]
                .iter()
                .position(|c| *c == '\'')
                .map_or(1, |i| i + 3),
            ['\'', _, '\'', ..] => 3,
            _ => 0,
        };
        if end == 0 {
            out.push(chars[at]);
            at += 1;
        } else {
            out.extend(rest[..end].iter().map(|c| blank(*c)));
            at += end;
        }
    }
    out
}

fn follows_word(chars: &[char], at: usize) -> bool {
    at > 0 && (chars[at - 1].is_alphanumeric() || chars[at - 1] == '_')
}

fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn raw_string(rest: &[char]) -> usize {
    let hashes = rest[1..].iter().take_while(|c| **c == '#').count();
    if rest.get(1 + hashes) != Some(&'"') {
        return 0;
    }
    let mut at = 2 + hashes;
    while at < rest.len() {
        let closes = rest[at] == '"' && rest[at + 1..].iter().take(hashes).all(|c| *c == '#');
        if closes && rest.len() - at > hashes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    rest.len()
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// Gives a file without the test module at its end.
pub(crate) fn without_tests(text: &str) -> &str {
    text.split("\n#[cfg(test)]\nmod ").next().unwrap_or(text)
}

/// Finds every path that begins at the crate's root, wherever it stands: `crate::…`, `super::…` and
/// `self::…`, in `use` trees and in the middle of code. `own` is the module the file is.
pub(crate) fn imports(text: &str, own: &[String]) -> Vec<Import> {
    let code = code(text);
    let mut found = Vec::new();
    let mut at = 0;
    while let Some((start, root)) = next_root(&code, at) {
        let line = code[..start].matches('\n').count() + 1;
        let (paths, length) = tree(&code[start..]);
        for path in paths {
            if let Some(path) = absolute(&path, own) {
                found.push(Import { path, line });
            }
        }
        at = start + length.max(root.len());
    }
    found
}

fn next_root(code: &str, from: usize) -> Option<(usize, &'static str)> {
    ["crate::", "super::", "self::"]
        .into_iter()
        .filter_map(|root| {
            code[from..].match_indices(root).find_map(|(i, _)| {
                let before = code[..from + i].chars().next_back();
                let word = before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '$'));
                (!word).then_some((from + i, root))
            })
        })
        .min_by_key(|(at, _)| *at)
}

/// Reads `a::b::{c, d::{e, f}}`; gives every path and how much text was read.
fn tree(code: &str) -> (Vec<Vec<String>>, usize) {
    let mut path = Vec::new();
    let mut at = 0;
    loop {
        let name: String = code[at..]
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        at += name.len();
        if !name.is_empty() {
            path.push(name);
        }
        if code[at..].starts_with("::") {
            at += 2;
            if code[at..].starts_with('{') {
                let (inner, length) = branches(&code[at..]);
                let whole = |tail: Vec<String>| [path.as_slice(), &tail].concat();
                return (inner.into_iter().map(whole).collect(), at + length);
            }
            if !code[at..].starts_with(|c: char| c.is_alphanumeric() || c == '_') {
                break;
            }
        } else {
            break;
        }
    }
    (vec![path], at)
}

fn branches(code: &str) -> (Vec<Vec<String>>, usize) {
    let mut paths = Vec::new();
    let mut at = 1;
    while at < code.len() {
        let rest = &code[at..];
        if rest.starts_with('}') {
            return (paths, at + 1);
        }
        if rest.starts_with(|c: char| c.is_alphanumeric() || c == '_') {
            let (found, length) = tree(rest);
            // `x as y` names no path but x.
            let renamed = found.len() == 1 && found[0].len() == 1 && found[0][0] == "as";
            at += length;
            if renamed {
                let tail = code[at..].find([',', '}']).unwrap_or(0);
                at += tail;
            } else {
                paths.extend(found);
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    (paths, at)
}

/// Puts a path at the crate's root; `None` where it leads out of it.
fn absolute(path: &[String], own: &[String]) -> Option<Vec<String>> {
    let mut base = own.to_vec();
    let mut rest = path;
    match rest.first().map(String::as_str) {
        Some("crate") => (base, rest) = (Vec::new(), &rest[1..]),
        Some("self") => rest = &rest[1..],
        _ => {}
    }
    while rest.first().is_some_and(|part| part == "super") {
        base.pop()?;
        rest = &rest[1..];
    }
    base.extend(rest.iter().cloned());
    Some(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        let own = ["spec".to_owned(), "matcher".to_owned(), "list".to_owned()];
        let found = imports(text, &own);
        found.iter().map(|import| import.path.join("::")).collect()
    }

    #[test]
    fn paths_are_seen_wherever_they_stand() {
        assert_eq!(paths("use crate::{a::b, c};"), ["a::b", "c"]);
        assert_eq!(
            paths("use crate::run::{self, x::{y, z as w}, v};"),
            ["run::self", "run::x::y", "run::x::z", "run::v"]
        );
        assert_eq!(paths("use super::At;"), ["spec::matcher::At"]);
        assert_eq!(paths("let x = super::super::y::z(1);"), ["spec::y::z"]);
        assert_eq!(paths("f(crate::cli::go)"), ["cli::go"]);
        assert_eq!(
            paths("pub(crate) use self::a::*;"),
            ["spec::matcher::list::a"]
        );
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        let text = "// crate::cli\n/* crate::a /* x */ crate::b */ \"crate::c\" r#\"crate::\"d\"# '\"' crate::e";
        assert_eq!(paths(text), ["e"]);
        assert!(!has("b'\\'' // todo!", "todo!"));
        assert!(has("'a', todo!()", "todo!"));
    }

    fn has(text: &str, word: &str) -> bool {
        code(text).contains(word)
    }
}
