//! Files that are whole or not there: written beside their place, synced, renamed.

use crate::model::Sha256Digest;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Writes a file so that, whenever the program is killed, the old or the new content is there.
///
/// Missing folders are made.
///
/// # Errors
/// Passes on what the system reports.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = beside(path)?;
    let written = (|| {
        let mut file = File::create(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()
    })();
    finish(written, &beside, path)
}

/// Copies a file the same way; gives the size in bytes and the digest of what was copied.
///
/// Permissions are kept.
///
/// # Errors
/// Passes on what the system reports.
pub fn copy(from: &Path, to: &Path) -> io::Result<(u64, Sha256Digest)> {
    let beside = beside(to)?;
    let copied = (|| {
        let source = File::open(from)?;
        let permissions = source.metadata()?.permissions();
        let mut target = File::create(&beside)?;
        let mut tee = Tee {
            from: source,
            to: &mut target,
            size: 0,
        };
        let digest = Sha256Digest::of_reader(&mut tee)?;
        let size = tee.size;
        target.set_permissions(permissions)?;
        target.sync_all()?;
        Ok((size, digest))
    })();
    match copied {
        Ok(seen) => finish(Ok(()), &beside, to).map(|()| seen),
        Err(error) => finish(Err(error), &beside, to).map(|()| (0, Sha256Digest::of(b""))),
    }
}

/// Removes a file or a folder with all in it; nothing there is fine.
///
/// # Errors
/// Passes on what the system reports.
pub fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => match fs::remove_dir_all(path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                // Tools make their caches read-only; they are still the user's to remove.
                open_folders(path);
                fs::remove_dir_all(path)
            }
            removed => removed,
        },
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Makes every folder below one writable, as far as that is allowed.
fn open_folders(path: &Path) {
    let entries = walkdir::WalkDir::new(path).into_iter().flatten();
    for entry in entries.filter(|e| e.file_type().is_dir()) {
        let _ = fs::set_permissions(entry.path(), fs::Permissions::from_mode(0o700));
    }
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other(format!("{} names no file", path.display())))?;
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    // One name for each file: what a killed program left is written over, not piled up.
    Ok(path.with_file_name(format!(".{}.new", name.to_string_lossy())))
}

fn finish(written: io::Result<()>, beside: &Path, path: &Path) -> io::Result<()> {
    let renamed = written.and_then(|()| fs::rename(beside, path));
    if renamed.is_err() {
        // The first fault is the one to tell.
        let _ = fs::remove_file(beside);
    } else if let Some(folder) = path.parent()
        && let Ok(folder) = File::open(folder)
    {
        // The name is safe once its folder is; not every file system can sync one.
        let _ = folder.sync_all();
    }
    renamed
}

struct Tee<'t, R> {
    from: R,
    to: &'t mut File,
    size: u64,
}

impl<R: Read> Read for Tee<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.from.read(buffer)?;
        self.to.write_all(&buffer[..n])?;
        self.size += n as u64;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b.txt");
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        let (size, digest) = copy(&path, &folder.path().join("c")).unwrap();
        assert_eq!((size, digest), (3, Sha256Digest::of(b"two")));
        let names = fs::read_dir(folder.path().join("a")).unwrap().count();
        assert_eq!(names, 1, "nothing is left beside it");
        assert!(copy(Path::new("/no/such"), &path).is_err());
        assert_eq!(fs::read(&path).unwrap(), b"two");
        remove(&folder.path().join("a")).unwrap();
        remove(&folder.path().join("a")).unwrap();
        assert!(!path.exists());
    }
}
