//! Finds programs.

use super::ExecError;
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Finds a program in `PATH`; a name with a `/` is taken as it is.
pub fn which(program: &str) -> Option<PathBuf> {
    let search = std::env::var_os("PATH");
    resolve(OsStr::new(program), search.as_deref(), None).ok()
}

/// Finds the file of a program: in a search path, or from a working directory.
pub(super) fn resolve(
    name: &OsStr,
    search: Option<&OsStr>,
    cwd: Option<&Path>,
) -> Result<PathBuf, ExecError> {
    let shown = name.to_string_lossy().into_owned();
    let here = |path: &Path| -> io::Result<PathBuf> {
        // The program is started from its own working directory: only an absolute path is sure.
        match cwd {
            Some(folder) => std::path::absolute(folder.join(path)),
            None => std::path::absolute(path),
        }
    };
    let io_error = |source| ExecError::Io {
        program: shown.clone(),
        source,
    };
    if shown.contains('/') {
        let path = here(Path::new(name)).map_err(io_error)?;
        return match executable(&path) {
            Some(true) => Ok(path),
            Some(false) => Err(ExecError::NotExecutable { path }),
            None => Err(ExecError::NotFound {
                program: shown,
                place: format!(" at {}", path.display()),
            }),
        };
    }
    if shown.is_empty() {
        return Err(ExecError::Empty);
    }
    let search = search.unwrap_or(OsStr::new("/usr/bin:/bin"));
    let mut refused = None;
    for folder in std::env::split_paths(search) {
        let path = here(&folder.join(name)).map_err(io_error)?;
        match executable(&path) {
            Some(true) => return Ok(path),
            Some(false) => refused = Some(path),
            None => {}
        }
    }
    Err(match refused {
        Some(path) => ExecError::NotExecutable { path },
        None => ExecError::NotFound {
            program: shown,
            place: format!(" in PATH ({})", search.to_string_lossy()),
        },
    })
}

/// Tells whether a file may be executed; `None` where there is no file.
fn executable(path: &Path) -> Option<bool> {
    let metadata = std::fs::metadata(path).ok().filter(|m| m.is_file())?;
    Some(metadata.permissions().mode() & 0o111 != 0)
}
