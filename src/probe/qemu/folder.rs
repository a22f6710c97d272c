//! What belongs to one machine, and goes with it.

use super::{QemuError, file};
use crate::probe::exec::{self, Cancel, Request};
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

/// How long the guard may take until it is there.
const BEGINS: Duration = Duration::from_secs(20);

/// Removes a folder once its standard input closes: `sh -c SCRIPT FOLDER`. It says when it is there.
const REMOVER: &str = r#"trap '' HUP INT; echo; read -r _; exec rm -rf -- "$0""#;

/// A folder for what belongs to one machine: it goes when the machine is over, and when this process
/// is killed, at whatever moment. What removes it then is there before it is.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    remover: Cancel,
}

impl Folder {
    /// Makes one that nobody else may look into.
    ///
    /// # Errors
    /// Where the folder for temporary files is full or cannot be written to, or there is no shell.
    pub fn new() -> Result<Self, QemuError> {
        let temporary = std::env::temp_dir();
        let temporary = std::path::absolute(&temporary).map_err(|error| file(&temporary, error))?;
        // Nobody else has a folder of this name, which the guard would remove.
        let number = RandomState::new().hash_one(std::process::id());
        let path = temporary.join(format!("tdg-boot-{number:016x}"));
        // Where the run ends, there is a folder to remove.
        let remover = Cancel::new();
        let command: [OsString; 4] = [
            "sh".into(),
            "-c".into(),
            REMOVER.into(),
            path.clone().into(),
        ];
        let request = Request::new(command)
            .hold_input()
            .outlives()
            .release(&remover);
        let (there, is_there) = mpsc::channel();
        std::thread::spawn(move || {
            let begun = there.clone();
            let ran = exec::run_raw(&request, &mut |_, _| drop(begun.send(Ok(()))));
            // Nothing but the end of the run ends it before its time.
            let _ = there.send(Err(
                ran.map_or_else(QemuError::Exec, |_| QemuError::Interrupted)
            ));
        });
        let folder = Self { path, remover };
        match is_there.recv_timeout(BEGINS) {
            Ok(begun) => begun?,
            Err(_) => return Err(file(&folder.path, io::ErrorKind::TimedOut.into())),
        }
        let made = DirBuilder::new().mode(0o700).create(&folder.path);
        made.map_err(|source| file(&folder.path, source))?;
        Ok(folder)
    }

    /// Gives its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What cannot be removed stays: nobody is left who could do it.
        let _ = std::fs::remove_dir_all(&self.path);
        // It ends by itself then: nothing is left to remove, and nobody waits for it.
        self.remover.set();
    }
}
