//! The text files that `depmod` and the kernel's build leave in a directory of
//! modules.
//!
//! Source: `modules.dep(5)` and `depmod(8)` of kmod; `scripts/modules-check.sh`
//! and `Makefile.modinst` of Linux for `modules.order` and `modules.builtin`.
//! Lines that are empty or begin with `#` say nothing, in all of them.

use super::{NAME, trie};
use crate::format::node::escape;
use crate::format::{FormatError, Limits};

/// Bytes of one such file. A distribution's `modules.alias` has 1.5 MB.
const MAX_TEXT: u64 = 64 << 20;

/// One line of `modules.dep`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Dependencies {
    /// The module's file, as a path below the directory.
    pub path: String,
    /// The files that have to be loaded before it.
    pub needs: Vec<String>,
}

/// One line of `modules.alias`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// What the kernel asks for, a pattern: `pci:v00001AF4d*`.
    pub pattern: String,
    /// The module that is loaded for it.
    pub module: String,
}

/// One line of `modules.softdep`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SoftDependency {
    /// The module.
    pub module: String,
    /// What is loaded before it where it is there.
    pub before: Vec<String>,
    /// What is loaded after it.
    pub after: Vec<String>,
}

/// Reads `modules.dep`.
///
/// Errors with [`FormatError::Corrupt`] for a line without `:`, and, as all
/// readers here, with [`FormatError::Limit`] beyond 64 MiB and `max_entries`
/// lines.
pub fn dependencies(text: &[u8], limits: &Limits) -> Result<Vec<Dependencies>, FormatError> {
    let lines = lines(text, limits)?;
    lines.into_iter().map(dependency).collect()
}

/// Reads `modules.dep.bin`, whose values are the lines of `modules.dep`; they
/// are given in the order of the modules' names.
///
/// Errors as [`dependencies`] and [`trie::values`] do.
pub fn binary_dependencies(
    bytes: &[u8],
    limits: &Limits,
) -> Result<Vec<Dependencies>, FormatError> {
    let values = trie::values(bytes, limits)?;
    let lines = values.iter().map(|found| (0, found.value.as_bytes()));
    lines.map(dependency).collect()
}

fn dependency((at, line): (u64, &[u8])) -> Result<Dependencies, FormatError> {
    let colon = line.iter().position(|byte| *byte == b':');
    let Some((path, needs)) = colon.and_then(|colon| line.split_at_checked(colon)) else {
        return Err(not_a_line("modules.dep", "FILE: FILE FILE …", at, line));
    };
    Ok(Dependencies {
        path: escape(path),
        needs: words(needs.get(1..).unwrap_or_default()),
    })
}

/// Reads `modules.order` or `modules.builtin`: a file on each line.
pub fn files(text: &[u8], limits: &Limits) -> Result<Vec<String>, FormatError> {
    let lines = lines(text, limits)?;
    Ok(lines.into_iter().map(|(_, line)| escape(line)).collect())
}

/// Reads `modules.alias`: `alias PATTERN MODULE` on each line. The pattern may
/// hold blanks.
///
/// Errors with [`FormatError::Corrupt`] for any other line.
pub fn aliases(text: &[u8], limits: &Limits) -> Result<Vec<Alias>, FormatError> {
    let read = |(at, line): (u64, &[u8])| {
        let parts = line.strip_prefix(b"alias ").and_then(|rest| {
            let blank = rest.iter().rposition(|byte| *byte == b' ')?;
            rest.split_at_checked(blank)
        });
        let parts = parts.map(|(pattern, module)| (pattern.trim_ascii(), module.trim_ascii()));
        match parts.filter(|(pattern, _)| !pattern.is_empty()) {
            Some((pattern, module)) => Ok(Alias {
                pattern: escape(pattern),
                module: escape(module),
            }),
            None => {
                let form = "alias PATTERN MODULE";
                Err(not_a_line("modules.alias", form, at, line))
            }
        }
    };
    lines(text, limits)?.into_iter().map(read).collect()
}

/// Reads `modules.softdep`: `softdep MODULE pre: … post: …` on each line.
///
/// Errors with [`FormatError::Corrupt`] for any other line.
pub fn soft_dependencies(text: &[u8], limits: &Limits) -> Result<Vec<SoftDependency>, FormatError> {
    let read = |(at, line): (u64, &[u8])| {
        let mut words = words(line).into_iter();
        let module = words.next().filter(|word| word == "softdep");
        let Some(module) = module.and_then(|_| words.next()) else {
            let form = "softdep MODULE pre: … post: …";
            return Err(not_a_line("modules.softdep", form, at, line));
        };
        let (mut before, mut after) = (Vec::new(), Vec::new());
        let mut list: Option<&mut Vec<String>> = None;
        for word in words {
            match (word.as_str(), &mut list) {
                ("pre:", _) => list = Some(&mut before),
                ("post:", _) => list = Some(&mut after),
                (_, Some(list)) => list.push(word),
                // kmod too passes over what stands before both.
                (_, None) => {}
            }
        }
        Ok(SoftDependency {
            module,
            before,
            after,
        })
    };
    lines(text, limits)?.into_iter().map(read).collect()
}

/// Splits a text into the lines that say something, each with its offset.
fn lines<'t>(text: &'t [u8], limits: &Limits) -> Result<Vec<(u64, &'t [u8])>, FormatError> {
    let exceeded = |offset, limit, value| FormatError::Limit {
        format: NAME,
        offset,
        limit,
        value,
        remedy: "no index of modules in use is that large",
    };
    if text.len() as u64 > MAX_TEXT {
        return Err(exceeded(MAX_TEXT, "index", MAX_TEXT));
    }
    let mut found = Vec::new();
    let mut offset = 0;
    for line in text.split_inclusive(|byte| *byte == b'\n') {
        let trimmed = line.trim_ascii();
        if !trimmed.is_empty() && !trimmed.starts_with(b"#") {
            if found.len() as u64 >= limits.max_entries {
                return Err(exceeded(offset, "max_entries", limits.max_entries));
            }
            found.push((offset, trimmed));
        }
        offset += line.len() as u64;
    }
    Ok(found)
}

fn words(text: &[u8]) -> Vec<String> {
    text.split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .map(escape)
        .collect()
}

fn not_a_line(file: &str, form: &str, offset: u64, line: &[u8]) -> FormatError {
    let shown = escape(line.get(..line.len().min(60)).unwrap_or_default());
    let what = format!("`{shown}` is no line of `{file}`, which is `{form}`");
    FormatError::corrupt(NAME, offset, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_is_read_line_by_line() {
        let limits = Limits::default();
        let text = b"# made by hand\nkernel/a.ko: kernel/b.ko kernel/c.ko\n\nkernel/b.ko:";
        let dep = dependencies(text, &limits).unwrap();
        assert_eq!(dep[0].needs, ["kernel/b.ko", "kernel/c.ko"]);
        assert_eq!(
            (dep[1].path.as_str(), dep[1].needs.len()),
            ("kernel/b.ko", 0)
        );
        let alias = aliases(b"alias dmi*:svnAcme Inc*: acme\n", &limits).unwrap();
        assert_eq!(alias[0].pattern, "dmi*:svnAcme Inc*:");
        assert_eq!(alias[0].module, "acme");
        let text = b"softdep a pre: b c post: d\nsoftdep e f\n";
        let soft = soft_dependencies(text, &limits).unwrap();
        assert_eq!((soft[0].before.len(), &*soft[0].after[0]), (2, "d"));
        assert_eq!((soft[1].before.len(), soft[1].after.len()), (0, 0));
        assert_eq!(files(b"a\nb\n", &limits).unwrap(), ["a", "b"]);
    }

    #[test]
    fn what_is_no_such_line_is_told_with_its_place() {
        let limits = Limits::default();
        let error = dependencies(b"a:\nb\n", &limits).unwrap_err();
        assert_eq!(error.offset(), 3);
        assert!(aliases(b"alias x\n", &limits).is_err());
        assert!(aliases(b"options x y\n", &limits).is_err());
        assert!(soft_dependencies(b"softdep\n", &limits).is_err());
        let few = Limits {
            max_entries: 1,
            ..limits
        };
        assert!(files(b"a\nb\n", &few).is_err());
    }
}
