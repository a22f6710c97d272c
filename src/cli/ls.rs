//! `tdg ls`: one directory of an image.

use super::exit;
use super::look::{self, Bounds, Format};
use crate::format::{Entry, FileType};
use crate::image::{Image, ImageError, Pattern};
use crate::model::Address;
use crate::model::path::printable;
use std::sync::Arc;

/// List what is in a directory or container of an image
///
/// The last part of the address may be a pattern that covers many entries. A file that is no container
/// is listed itself.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  tdg ls 'metal-arm64.raw.xz!/EFI/EFI/Linux'
  tdg ls -l 'initramfs-metal-arm64.xz!/rootfs.sqsh!/usr/bin/container*'
  tdg ls -l --merged initramfs-metal-arm64.xz")]
pub struct Args {
    /// What to list: PATH, or PATH!/path/inside
    #[arg(value_parser = look::address)]
    address: Address,
    /// Show type, mode, owner, size, time and extended attributes
    #[arg(short, long)]
    long: bool,
    /// List what is in directories as well
    #[arg(short = 'R', long)]
    recursive: bool,
    /// List the merged view: a Talos root file system under its extensions, the layers of an image
    #[arg(long)]
    merged: bool,
    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    #[command(flatten)]
    bounds: Bounds,
}

/// An entry, and the layer that it comes from where there are layers.
struct Line {
    entry: Entry,
    layer: Option<String>,
}

/// Carries the command out and gives the exit code.
pub fn run(args: Args) -> u8 {
    let (mut lines, trouble) = match find(&args) {
        Ok(found) => found,
        Err(code) => return code,
    };
    lines.sort_by(|a, b| a.entry.path.split('/').cmp(b.entry.path.split('/')));
    match args.format {
        Format::Human => lines.iter().for_each(|line| show(line, args.long)),
        Format::Json => {
            let entries: Vec<_> = lines.iter().map(json).collect();
            let document = serde_json::json!({
                "version": 1,
                "address": args.address.to_string(),
                "complete": trouble.is_none(),
                "entries": entries,
            });
            say!("{document:#}");
        }
    }
    match trouble {
        None => 0,
        Some(error) => {
            look::complain(&format!("not all of it could be read: {error}"));
            exit::ERROR
        }
    }
}

type Found = (Vec<Line>, Option<ImageError>);

fn find(args: &Args) -> Result<Found, u8> {
    if let Some((parent, last)) = args.address.parent()
        && Pattern::is_pattern(last)
        && !args.merged
    {
        let parent = look::open(&parent, &args.bounds)?;
        let covered = parent.covered(last).map_err(|error| refuse(&error))?;
        if covered.is_empty() {
            // Says what is there instead.
            parent.entry(last).map_err(|error| refuse(&error))?;
        }
        return Ok((
            covered
                .iter()
                .map(|found| plain(Entry::clone(found)))
                .collect(),
            None,
        ));
    }
    let image = look::open(&args.address, &args.bounds)?;
    if args.merged {
        let merged = image.merged().map_err(|error| refuse(&error))?;
        let line = |entry: &crate::image::MergedEntry| Line {
            layer: Some(merged.layer(entry).to_owned()),
            entry: Entry {
                path: entry.path.clone(),
                meta: entry.meta.clone(),
                inode: 0,
            },
        };
        return Ok((merged.entries().iter().map(line).collect(), None));
    }
    // The sections of a program are no files: whoever wants them says so, by `-R` or a pattern.
    if !args.recursive && image.is_program().map_err(|error| refuse(&error))? {
        return itself(args, &image).map(|line| (vec![line], None));
    }
    let tree = match image.tree() {
        Ok(tree) => tree,
        Err(ImageError::NoTree { .. }) => {
            return itself(args, &image).map(|line| (vec![line], None));
        }
        Err(error) => return Err(refuse(&error)),
    };
    let mut lines = Vec::new();
    let listed = if args.recursive {
        tree.list(&mut |entry| {
            lines.push(plain(entry));
            Ok(())
        })
    } else {
        tree.children("").map(|children| {
            lines.extend(children.unwrap_or_default().into_iter().map(plain));
        })
    };
    Ok((lines, listed.err().map(|error| image.failed(error))))
}

fn plain(entry: Entry) -> Line {
    Line { entry, layer: None }
}

/// Lists a file that nothing is inside of.
fn itself(args: &Args, image: &Arc<Image>) -> Result<Line, u8> {
    let meta = match image.metadata() {
        Some(meta) => meta.clone(),
        None => {
            let size = image.size().map_err(|error| refuse(&error))?;
            crate::format::Metadata::plain(FileType::File, size)
        }
    };
    Ok(plain(Entry {
        path: args.address.to_string(),
        meta,
        inode: 0,
    }))
}

fn refuse(error: &ImageError) -> u8 {
    look::complain(&error.to_string());
    exit::ERROR
}

fn show(line: &Line, long: bool) {
    let meta = &line.entry.meta;
    let mut name = printable(&line.entry.path);
    if meta.kind == FileType::Directory {
        name.push('/');
    }
    if !long {
        say!("{name}");
        return;
    }
    if let Some(target) = &meta.target {
        name.push_str(&format!(" -> {}", printable(target)));
    }
    if let Some(layer) = &line.layer {
        name.push_str(&format!("  [{}]", printable(layer)));
    }
    for (attribute, value) in meta.xattrs.iter() {
        let value = look::attribute(value);
        name.push_str(&format!("  {}={}", printable(attribute), printable(&value)));
    }
    let time = jiff::Timestamp::from_second(meta.mtime).unwrap_or_default();
    let size = match meta.device {
        Some((major, minor)) => format!("{major},{minor}"),
        None => meta.size.to_string(),
    };
    say!(
        "{}{} {:>5} {:>5} {size:>11} {} {name}",
        letter(meta.kind),
        permissions(meta.permissions()),
        meta.uid,
        meta.gid,
        time.strftime("%Y-%m-%d %H:%M"),
    );
}

fn letter(kind: FileType) -> char {
    match kind {
        FileType::File => '-',
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        FileType::CharDevice => 'c',
        FileType::BlockDevice => 'b',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
        FileType::Unknown => '?',
    }
}

/// Writes permissions as `ls` does: `rwsr-xr-t`.
fn permissions(mode: u32) -> String {
    let mut text = String::with_capacity(9);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 == 0 { '-' } else { 'r' });
        text.push(if bits & 2 == 0 { '-' } else { 'w' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

fn json(line: &Line) -> serde_json::Value {
    let meta = &line.entry.meta;
    let xattrs = meta
        .xattrs
        .iter()
        .map(|(name, value)| serde_json::json!({"name": name, "value": look::attribute(value)}));
    serde_json::json!({
        "path": line.entry.path,
        "type": meta.kind.name(),
        "size": meta.size,
        "mode": format!("{:04o}", meta.permissions()),
        "uid": meta.uid,
        "gid": meta.gid,
        "mtime": meta.mtime,
        "target": meta.target,
        "device": meta.device,
        "layer": line.layer,
        "xattrs": xattrs.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::permissions;

    #[test]
    fn permissions_are_written_as_ls_does() {
        assert_eq!(permissions(0o4755), "rwsr-xr-x");
        assert_eq!(permissions(0o1777), "rwxrwxrwt");
        assert_eq!(permissions(0o2640), "rw-r-S---");
    }
}
