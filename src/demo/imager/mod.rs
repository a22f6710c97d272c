//! A stand-in for Talos's imager, with the same contract.
//!
//! `imager --tar-to-stdout -` reads a [`Profile`] from standard input and
//! writes a gzipped tar with one artifact to standard output; progress goes to
//! standard error. The real imager is a privileged container that downloads
//! what the profile names; this one downloads nothing and makes small files of
//! the same formats (see [`crate::demo`]).
//!
//! The artifact's bytes depend on the profile alone. The tar's entry carries
//! the time of the call, as the real one's does, so that what is unpacked is
//! as new as it is.

mod assemble;
mod profile;

use std::io::{Read, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use flate2::{Compression, GzBuilder};

use super::error::ImagerError;
use super::installer;

pub use assemble::{Artifact, assemble};
pub use profile::{
    ContainerAsset, Customization, FileAsset, ImageOptions, Input, Kind, OutFormat, Output, Profile,
};

/// What `--help` says.
pub const HELP: &str = "\
A stand-in for Talos's imager, for `tdg demo`. It downloads nothing and makes
small files of the true formats; nothing it makes boots.

Usage: tdg imager --tar-to-stdout - < profile.yaml | tar -xzf -

Reads an imager profile from standard input; writes a gzipped tar with one
artifact to standard output and its progress to standard error. Makes the kinds
cmdline, image, initramfs, installer, kernel and uki.
";

/// Does what the imager's command line asks for.
///
/// `arguments` are those after the program's (and the subcommand's) name.
///
/// # Errors
/// Nothing has been written to `stdout` if it fails before the tar is ready.
pub fn run(
    arguments: &[String],
    stdin: &mut dyn Read,
    stdout: &mut dyn Write,
    stderr: &mut dyn Write,
) -> Result<(), ImagerError> {
    let mut from_stdin = false;
    let mut to_stdout = false;
    for argument in arguments {
        match argument.as_str() {
            "-h" | "--help" => {
                return stdout
                    .write_all(HELP.as_bytes())
                    .map_err(ImagerError::io("stdout"));
            }
            "--tar-to-stdout" => to_stdout = true,
            "-" => from_stdin = true,
            other => return Err(ImagerError::Argument(other.to_owned())),
        }
    }
    if !(from_stdin && to_stdout) {
        return Err(ImagerError::Argument(arguments.join(" ")));
    }
    let mut text = String::new();
    stdin
        .read_to_string(&mut text)
        .map_err(ImagerError::io("stdin"))?;
    let profile = Profile::parse(&text)?;
    let artifact = assemble(&profile, stderr)?;

    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let tar = installer::tar(&[(&artifact.name, &artifact.bytes)], now)?;
    let mut gzip = GzBuilder::new().mtime(0).write(stdout, Compression::fast());
    gzip.write_all(&tar).map_err(ImagerError::io("stdout"))?;
    gzip.finish()
        .map_err(ImagerError::io("stdout"))?
        .flush()
        .map_err(ImagerError::io("stdout"))
}
