//! The files that a boot is given, and those it leaves.

use super::Args;
use crate::check::{Context, ProbeError, local as disk};
use crate::format::Reader;
use crate::model::{Address, Origin};
use crate::probe::qemu::Folder;
use std::path::{Path, PathBuf};

/// The names of the files that are kept.
pub(super) const LOG: &str = "console.log";
pub(super) const PCAP: &str = "network.pcap";

pub(super) fn kept_at(args: &Args, context: &Context<'_>) -> Result<Option<PathBuf>, ProbeError> {
    let Some(keep) = &args.keep else {
        return Ok(None);
    };
    let path = context.resolve(keep);
    let made = std::fs::create_dir_all(&path).and_then(|()| std::path::absolute(&path));
    let made = made.map_err(|error| disk::unreadable(&path, &error))?;
    Ok(Some(made))
}

pub(super) fn files(args: &Args, context: &Context<'_>) -> Vec<String> {
    let Some(keep) = &args.keep else {
        return Vec::new();
    };
    let names = [LOG, PCAP].into_iter().map(|name| format!("{keep}/{name}"));
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
    copy(&mut Reader::new(image.source()?.clone()), &to)
        .map_err(|error| ProbeError::new(format!("{text}: {error}")))?;
    Ok(to)
}

fn copy(from: &mut Reader, to: &Path) -> std::io::Result<()> {
    let mut file = std::fs::File::create(to)?;
    std::io::copy(from, &mut file).map(drop)
}
