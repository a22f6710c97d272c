//! Following links inside a view, and never outside of it.

use std::borrow::Cow;
use std::cell::RefCell;

use crate::format::{Entry, FileType, FormatError, Tree};

/// Links that are followed for one path, as in Linux.
const HOPS: usize = 40;

/// Why a path leads to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// A component is not there.
    #[error("`/{0}` is not there")]
    Missing(String),
    /// A component is there and is no directory.
    #[error("`/{0}` is not a directory")]
    NotADirectory(String),
    /// Links lead round in a circle.
    #[error("more than 40 links on the way")]
    Loop,
}

/// Finds the entry at a path of a tree, links followed inside of it; `None`
/// where nothing is there.
///
/// Only what lies on the way is looked at, not the whole tree.
pub(super) fn find(tree: &dyn Tree, path: &str) -> Result<Option<Entry>, FormatError> {
    if let Some(entry) = tree.lookup(path)?
        && entry.meta.kind != FileType::Symlink
    {
        return Ok(Some(entry));
    }
    let trouble = RefCell::new(None);
    let kind = |path: &str| match tree.lookup(path) {
        Ok(found) => found.map(|e| (e.meta.kind, e.meta.target.map(Cow::Owned))),
        Err(error) => {
            trouble.borrow_mut().get_or_insert(error);
            None
        }
    };
    let end = follow(kind, "", path);
    if let Some(error) = trouble.into_inner() {
        return Err(error);
    }
    match end {
        Ok(end) => tree.lookup(&end),
        Err(Unresolved::Missing(_) | Unresolved::NotADirectory(_)) => Ok(None),
        Err(Unresolved::Loop) => {
            let what = format!("`{path}` leads through more than 40 links");
            Err(FormatError::corrupt("path", 0, what))
        }
    }
}

/// Walks a path component by component through links, below `root`.
pub(super) fn follow<'a>(
    kind: impl Fn(&str) -> Option<(FileType, Option<Cow<'a, str>>)>,
    root: &str,
    path: &str,
) -> Result<String, Unresolved> {
    walk(kind, root, path, false)
}

/// Walks as [`follow`] does; what is not there counts as a directory that is
/// about to be made.
pub(super) fn follow_to_make<'a>(
    kind: impl Fn(&str) -> Option<(FileType, Option<Cow<'a, str>>)>,
    path: &str,
) -> Result<String, Unresolved> {
    walk(kind, "", path, true)
}

fn walk<'a>(
    kind: impl Fn(&str) -> Option<(FileType, Option<Cow<'a, str>>)>,
    root: &str,
    path: &str,
    to_make: bool,
) -> Result<String, Unresolved> {
    let root = root.trim_matches('/');
    let mut found = root.to_owned();
    let mut left: Vec<String> = components(path);
    let mut hops = 0;
    while let Some(component) = left.pop() {
        if component == ".." {
            if found.len() > root.len() {
                found.truncate(found.rfind('/').unwrap_or(0).max(root.len()));
            }
            continue;
        }
        let next = if found.is_empty() {
            component
        } else {
            format!("{found}/{component}")
        };
        match kind(&next) {
            None if to_make => found = next,
            None => return Err(Unresolved::Missing(next)),
            Some((FileType::Symlink, target)) => {
                hops += 1;
                if hops > HOPS {
                    return Err(Unresolved::Loop);
                }
                let target = target.unwrap_or_default();
                if target.starts_with('/') {
                    found = root.to_owned();
                }
                left.extend(components(&target));
            }
            Some((FileType::Directory, _)) => found = next,
            Some((_, _)) if !left.is_empty() => return Err(Unresolved::NotADirectory(next)),
            Some((_, _)) => found = next,
        }
    }
    Ok(found)
}

/// Splits a path into its components, the first one last.
fn components(path: &str) -> Vec<String> {
    path.split('/')
        .rev()
        .filter(|component| !component.is_empty() && *component != ".")
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(path: &str) -> Option<(FileType, Option<Cow<'static, str>>)> {
        let (kind, target) = match path {
            "usr" | "usr/bin" | "c" | "c/lib" => (FileType::Directory, None),
            "usr/bin/env" | "c/lib/ld" => (FileType::File, None),
            "bin" => (FileType::Symlink, Some("/usr/bin")),
            "usr/bin/up" => (FileType::Symlink, Some("../../../bin/env")),
            "round" => (FileType::Symlink, Some("round")),
            "c/link" => (FileType::Symlink, Some("/lib/ld")),
            _ => return None,
        };
        Some((kind, target.map(Cow::Borrowed)))
    }

    #[test]
    fn links_stay_inside_the_view() {
        assert_eq!(follow(kind, "", "/bin/env").unwrap(), "usr/bin/env");
        assert_eq!(follow(kind, "", "usr/bin/up").unwrap(), "usr/bin/env");
        assert_eq!(follow(kind, "c", "/link").unwrap(), "c/lib/ld");
        assert_eq!(follow(kind, "c", "../../lib/ld").unwrap(), "c/lib/ld");
        assert_eq!(follow(kind, "", "round"), Err(Unresolved::Loop));
        assert_eq!(
            follow(kind, "", "bin/x"),
            Err(Unresolved::Missing("usr/bin/x".into()))
        );
        assert_eq!(
            follow(kind, "", "usr/bin/env/x"),
            Err(Unresolved::NotADirectory("usr/bin/env".into()))
        );
    }
}
