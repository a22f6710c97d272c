//! The files that a boot is given, and those it leaves.

use super::Args;
use crate::check::{Context, ProbeError, local as disk};
use crate::format::Reader;
use crate::model::{Address, Origin};
use crate::probe::qemu::Folder;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// The names of the files that are kept.
pub(super) const LOG: &str = "console.log";
pub(super) const PCAP: &str = "network.pcap";
pub(super) const PICTURE: &str = "screen.png";
/// All of them.
const KEPT: [&str; 3] = [LOG, PCAP, PICTURE];

/// Makes the folder in which a boot's files are kept, for what this boot asks and no other.
pub(super) fn kept_at(
    args: &Args,
    question: &str,
    context: &Context<'_>,
) -> Result<Option<PathBuf>, ProbeError> {
    let Some(keep) = &args.keep else {
        return Ok(None);
    };
    let path = context.resolve(keep);
    let made = std::fs::create_dir_all(&path).and_then(|()| std::fs::canonicalize(&path));
    let made = made.map_err(|error| disk::unreadable(&path, &error))?;
    match context.subjects.keeps(&made, question)? {
        true => Ok(Some(made)),
        false => Err(ProbeError::new(format!(
            "another boot keeps its files in {} too, and they would be lost",
            path.display()
        ))
        .remedy("give each boot a `keep` of its own")),
    }
}

/// Removes what is there of a boot before: none of it is this one's evidence.
pub(super) fn clear(made: &Path) -> Result<(), ProbeError> {
    for name in KEPT {
        match std::fs::remove_file(made.join(name)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(disk::unreadable(&made.join(name), &error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

pub(super) fn files(args: &Args, context: &Context<'_>) -> Vec<String> {
    let Some(keep) = &args.keep else {
        return Vec::new();
    };
    let names = KEPT.into_iter().map(|name| format!("{keep}/{name}"));
    names
        .filter(|name| context.resolve(name).is_file())
        .collect()
}

pub(super) fn address(text: &str) -> Result<Address, ProbeError> {
    Address::parse(text).map_err(|error| ProbeError::new(error.to_string()).remedy(error.remedy()))
}

/// Gives a path of this machine at which QEMU finds a file; what is inside of an image, or elsewhere,
/// is copied into the machine's folder.
pub(super) fn local(
    text: &str,
    name: &str,
    folder: &Folder,
    context: &Context<'_>,
) -> Result<PathBuf, ProbeError> {
    let address = address(text)?;
    if let Some(path) = address.disk_path() {
        let path = context.root.join(path);
        let said = |error: &std::io::Error| disk::unreadable(&path, error);
        let meta = std::fs::metadata(&path).map_err(|error| said(&error))?;
        if !meta.is_file() {
            return Err(ProbeError::new(format!("{} is not a file", path.display())));
        }
        return std::path::absolute(&path).map_err(|error| said(&error));
    }
    let address = match address.origin() {
        Origin::Disk => {
            let source = context.resolve(address.source());
            address.with_source(source.to_string_lossy().into_owned())
        }
        Origin::Http | Origin::Registry => address,
    };
    let image = context.image(&address)?;
    let to = folder.path().join(name);
    if let Some(folder) = to.parent() {
        let made = std::fs::create_dir_all(folder);
        made.map_err(|error| disk::unreadable(folder, &error))?;
    }
    copy(&mut Reader::new(image.source()?.clone()), &to)
        .map_err(|error| ProbeError::new(format!("{text}: {error}")))?;
    Ok(to)
}

fn copy(from: &mut Reader, to: &Path) -> std::io::Result<()> {
    let mut file = std::fs::File::create(to)?;
    std::io::copy(from, &mut file).map(drop)
}

/// Says no to a disk that is written in a form of its own, which would be taken for what is on it. QEMU
/// could read it, with whatever other files of this machine it names.
pub(super) fn bare(path: &Path) -> Result<(), ProbeError> {
    let said = |error: &std::io::Error| disk::unreadable(path, error);
    let file = std::fs::File::open(path).map_err(|error| said(&error))?;
    let mut head = Vec::new();
    let read = file.take(8).read_to_end(&mut head);
    read.map_err(|error| said(&error))?;
    let forms: [(&[u8], &str); 4] = [
        (b"QFI\xfb", "qcow2"),
        (b"KDMV", "VMDK"),
        (b"vhdxfile", "VHDX"),
        (b"conectix", "VHD"),
    ];
    match forms.iter().find(|(magic, _)| head.starts_with(magic)) {
        Some((_, form)) => Err(ProbeError::new(format!(
            "{} is {form}, not a disk byte by byte",
            path.display()
        ))
        .remedy("convert it: qemu-img convert -O raw")),
        None => Ok(()),
    }
}
