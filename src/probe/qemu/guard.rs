//! What ends a machine whose tdg was killed.

use super::Folder;
use std::ffi::OsString;

/// Runs a program that ends with the one who reads its output and holds its input, and takes a
/// folder with it: `sh -c SCRIPT FOLDER PROGRAM ARGUMENT…`.
///
/// Whoever is killed by SIGKILL can clean nothing up. But the pipe whose end it held closes, and the
/// second process here, which waits for that and nothing else, sees it.
const GUARD: &str = r#"
exec 3<&0 </dev/null
"$@" 3<&- & machine=$!
{ read -r _ <&3; trap '' TERM; kill -KILL "$machine"; rm -rf -- "$0"; } >/dev/null 2>&1 & guard=$!
exec 3<&-
wait "$machine"; code=$?
kill "$guard"
exit "$code"
"#;

/// Puts a guard around a program.
pub(super) fn guarded(program: Vec<OsString>, folder: &Folder) -> Vec<OsString> {
    let mut all: Vec<OsString> = vec!["sh".into(), "-c".into(), GUARD.into()];
    all.push(folder.path().into());
    all.extend(program);
    all
}
