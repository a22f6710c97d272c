//! What can go wrong in the demo's world.

use std::path::PathBuf;

/// A reason why the stand-in imager made nothing.
#[derive(Debug, thiserror::Error)]
pub enum ImagerError {
    /// The command line is not one the imager takes.
    #[error("unknown argument {0:?}: the imager takes `--tar-to-stdout -`, or `--help`")]
    Argument(String),
    /// The profile is not YAML, or a field has a wrong type.
    #[error("the profile on standard input cannot be read: {0}")]
    Profile(String),
    /// The profile's architecture is not one Talos has.
    #[error("invalid arch {0:?}: a profile has `arch: amd64` or `arch: arm64`")]
    Arch(String),
    /// A field that must be there is not.
    #[error("{field} is required: add it to the profile")]
    Missing {
        /// The field's path in the profile.
        field: &'static str,
    },
    /// An input file is not in the imager.
    #[error(
        "{path}: no such file in the imager; it has /usr/install/{{amd64,arm64}}/{{vmlinuz,initramfs.xz}}"
    )]
    Input {
        /// The path the profile names.
        path: String,
    },
    /// An extension's reference names nothing in the catalogue.
    #[error("error pulling image {reference:?}: {reason}")]
    Extension {
        /// The reference as the profile has it.
        reference: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// The profile asks for something this stand-in does not make.
    #[error("{0}")]
    Unsupported(String),
    /// The disk is too small for what it must hold.
    #[error(
        "disk size {size} is too small: the EFI partition needs {needed} bytes more; raise output.imageOptions.diskSize"
    )]
    DiskSize {
        /// The profile's `diskSize`, in bytes.
        size: u64,
        /// How many bytes are missing.
        needed: u64,
    },
    /// A squashfs image could not be written.
    #[error("squashfs image of {what} could not be written: {reason}")]
    Squashfs {
        /// What the image holds.
        what: String,
        /// The writer's own words.
        reason: String,
    },
    /// Standard input, standard output or a compressor failed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// The system's reason.
        source: std::io::Error,
    },
}

impl ImagerError {
    /// Makes a function that wraps an I/O error with what was being done.
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Io { doing, source }
    }
}

/// A reason why the demo's files could not be laid out.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A file or folder could not be written or read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The folder holds something else.
    #[error("{} holds something that is not this demo: give another --dir, or empty it", .0.display())]
    Occupied(PathBuf),
    /// The git program is not there.
    #[error("the demo needs git: {0}")]
    NoGit(crate::probe::exec::ExecError),
    /// The git program failed.
    #[error("git {command} failed ({how}): {stderr}")]
    Git {
        /// The subcommand.
        command: String,
        /// How it ended.
        how: String,
        /// What it wrote to standard error.
        stderr: String,
    },
}

impl DemoError {
    /// Makes a function that wraps an I/O error with the path it happened at.
    pub(crate) fn at(path: &std::path::Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }
}
