//! What may not be in a tree that a program has worked in: whatever leads out of it.
//!
//! Everything is looked at by itself and nothing is followed; what is here comes before any other
//! program reads the tree.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

/// No tree has more entries than this.
const MAX_ENTRIES: usize = 2_000_000;
/// No chain of links is longer than this.
const MAX_LINKS: u32 = 40;

/// A folder as it was made: the same folder has the same numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Root {
    device: u64,
    inode: u64,
}

impl Root {
    /// Takes a folder.
    ///
    /// # Errors
    /// Where it is none, a link to one among it.
    pub(super) fn of(folder: &Path) -> io::Result<Self> {
        let meta = fs::symlink_metadata(folder)?;
        if !meta.is_dir() {
            return Err(io::Error::other("it is not a folder any more"));
        }
        Ok(Self {
            device: meta.dev(),
            inode: meta.ino(),
        })
    }
}

/// Something that leads out of a tree, or is nothing a patch can hold.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Escape {
    /// Where, relative to the tree.
    pub(super) path: PathBuf,
    /// What it is.
    pub(super) what: String,
}

/// Looks at every entry of a tree; `.git` at its top has to be the folder it was.
///
/// # Errors
/// Where the tree is not the one it was, or holds more than anybody can look at.
pub(super) fn escapes(tree: &Path, made: Root, git: Root) -> io::Result<BTreeSet<Escape>> {
    if Root::of(tree)? != made {
        return Err(io::Error::other("the work tree is another folder now"));
    }
    if Root::of(&tree.join(".git")).ok() != Some(git) {
        return Err(io::Error::other(
            "`.git` of the work tree leads elsewhere now",
        ));
    }
    let mut found = BTreeSet::new();
    let walk = walkdir::WalkDir::new(tree).min_depth(1).into_iter();
    let walk = walk.filter_entry(|e| e.depth() != 1 || e.file_name() != ".git");
    for (number, entry) in walk.enumerate() {
        if number > MAX_ENTRIES {
            return Err(io::Error::other(format!(
                "the work tree has more than {MAX_ENTRIES} entries"
            )));
        }
        let entry = entry?;
        let path = entry.path();
        let relative = path.strip_prefix(tree).unwrap_or(path);
        let meta = fs::symlink_metadata(path)?;
        if let Some(what) = wrong(tree, relative, &meta)? {
            let path = relative.to_owned();
            found.insert(Escape { path, what });
        }
    }
    Ok(found)
}

/// Looks at a folder of patches, or where they lie in the project's own, at each of the files.
///
/// # Errors
/// Where the folder cannot be looked at.
pub(super) fn patches(folder: &Path, files: Option<&[PathBuf]>) -> io::Result<BTreeSet<Escape>> {
    let mut found = BTreeSet::new();
    let mut look = |path: &Path| {
        let relative = path.strip_prefix(folder).unwrap_or(path);
        let meta = match fs::symlink_metadata(path) {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        if let Some(what) = wrong(folder, relative, &meta)? {
            let path = relative.to_owned();
            found.insert(Escape { path, what });
        }
        Ok(())
    };
    match files {
        Some(files) => files.iter().try_for_each(|path| look(path))?,
        None => {
            for (number, entry) in walkdir::WalkDir::new(folder)
                .min_depth(1)
                .into_iter()
                .enumerate()
            {
                if number > MAX_ENTRIES {
                    return Err(io::Error::other(
                        "the folder of patches has too many entries",
                    ));
                }
                look(entry?.path())?;
            }
        }
    }
    Ok(found)
}

/// Says what is wrong with one entry.
fn wrong(tree: &Path, relative: &Path, meta: &Metadata) -> io::Result<Option<String>> {
    let kind = meta.file_type();
    let name = relative.file_name().unwrap_or_default();
    if name.eq_ignore_ascii_case(".git") {
        return Ok(Some("is a repository of its own, or leads to one".into()));
    }
    if kind.is_symlink() {
        let target = fs::read_link(tree.join(relative))?;
        return Ok(leads_out(tree, relative)
            .then(|| format!("is a link that leads out, to {}", target.display())));
    }
    Ok(special(meta).map(str::to_owned))
}

/// Says what a file is that no patch can hold.
pub(super) fn special(meta: &Metadata) -> Option<&'static str> {
    let kind = meta.file_type();
    if kind.is_fifo() {
        Some("is a FIFO")
    } else if kind.is_socket() {
        Some("is a socket")
    } else if kind.is_block_device() || kind.is_char_device() {
        Some("is a device")
    } else if kind.is_file() && meta.nlink() > 1 {
        Some("is a hard link: the same file has another name elsewhere")
    } else {
        None
    }
}

/// Tells whether a link leads out of a tree, by whatever chain; each step is looked at, none taken.
fn leads_out(tree: &Path, link: &Path) -> bool {
    let mut links = 0;
    let mut todo: Vec<PathBuf> = parts(link);
    let mut at = PathBuf::new();
    while let Some(part) = todo.pop() {
        let here = Component::CurDir.as_os_str();
        let up = Component::ParentDir.as_os_str();
        if part.as_os_str() == here {
            continue;
        }
        if part.as_os_str() == up {
            if !at.pop() {
                return true;
            }
            continue;
        }
        at.push(&part);
        let Ok(target) = fs::read_link(tree.join(&at)) else {
            continue;
        };
        links += 1;
        if target.is_absolute() || links > MAX_LINKS {
            return true;
        }
        at.pop();
        todo.extend(parts(&target));
    }
    false
}

/// Gives the parts of a relative path, the first one last.
fn parts(path: &Path) -> Vec<PathBuf> {
    let parts = path.components().map(|c| PathBuf::from(c.as_os_str()));
    let mut parts: Vec<PathBuf> = parts.collect();
    parts.reverse();
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn tree() -> (tempfile::TempDir, PathBuf, Root, Root) {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path().join("tree");
        fs::create_dir_all(tree.join("a/b/c")).unwrap();
        fs::create_dir_all(tree.join(".git")).unwrap();
        fs::write(tree.join("a/file"), "x").unwrap();
        let (made, git) = (
            Root::of(&tree).unwrap(),
            Root::of(&tree.join(".git")).unwrap(),
        );
        (folder, tree, made, git)
    }

    #[test]
    fn links_are_followed_on_paper_only() {
        let (_folder, tree, made, git) = tree();
        for (link, target, out) in [
            ("in", "a/file", false),
            ("a/b/up", "../file", false),
            ("a/b/c/top", "../../..", false),
            ("dangling", "a/none", false),
            ("abs", "/etc/passwd", true),
            ("out", "../secret", true),
            ("a/b/c/far", "../../../../x", true),
            ("dot", ".", false),
            ("by-dot", "dot/../x", true),
            ("deep", "a/b", false),
            ("by-deep", "deep/../../x", false),
            ("by-deep-out", "deep/../../../x", true),
            ("loop", "loop", true),
        ] {
            symlink(target, tree.join(link)).unwrap();
            let found = escapes(&tree, made, git).unwrap();
            let said = found.iter().any(|e| e.path == Path::new(link));
            assert_eq!(said, out, "{link} -> {target}: {found:?}");
        }
    }

    #[test]
    fn what_no_patch_can_hold_is_named() {
        let (folder, tree, made, git) = tree();
        assert_eq!(escapes(&tree, made, git).unwrap().len(), 0);
        fs::hard_link(tree.join("a/file"), folder.path().join("other")).unwrap();
        nix::unistd::mkfifo(&tree.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(tree.join("sock")).unwrap();
        fs::create_dir_all(tree.join("sub/.git")).unwrap();
        fs::write(tree.join("a/b/.GIT"), "gitdir: /elsewhere").unwrap();
        let found = escapes(&tree, made, git).unwrap();
        let paths: Vec<String> = found.iter().map(|e| e.path.display().to_string()).collect();
        assert_eq!(paths, ["a/b/.GIT", "a/file", "pipe", "sock", "sub/.git"]);

        fs::remove_dir_all(tree.join(".git")).unwrap();
        fs::write(tree.join(".git"), "gitdir: /elsewhere").unwrap();
        let said = escapes(&tree, made, git).unwrap_err().to_string();
        assert!(said.contains("leads elsewhere"), "{said}");
        let away = folder.path().join("away");
        fs::rename(&tree, &away).unwrap();
        symlink(&away, &tree).unwrap();
        let said = escapes(&tree, made, git).unwrap_err().to_string();
        assert!(said.contains("not a folder any more"), "{said}");
    }
}
