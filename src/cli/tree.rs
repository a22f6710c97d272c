//! `tdg tree`: everything in an image, to any depth.

use super::exit;
use super::look::{self, Bounds, Format};
use crate::format::FileType;
use crate::inspect::Item;
use crate::inspect::walk::{Options, Summary, walk};
use crate::inspect::weight::Share;
use crate::model::Address;
use crate::model::path::printable;
use crate::model::size::show_size;
use serde::Serialize;

/// Show everything in an image, to any depth, and where its bytes are
///
/// Disks, file systems, archives, UKIs and compressed files are entered wherever they are; nothing is
/// unpacked. What cannot be read in full is shown with the reason, and ends with exit code 4.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  tdg tree metal-arm64.raw.xz
  tdg tree --containers --digests metal-arm64.raw.xz
  tdg tree 'metal-arm64.raw.xz!/EFI/EFI/Linux/*.efi!/.initrd' --format json")]
pub struct Args {
    /// What to look into: PATH, or PATH!/path/inside!/further/inside
    #[arg(value_parser = look::address)]
    address: Address,
    /// Enter containers only so far below one another
    #[arg(long, value_name = "N", default_value_t = 16)]
    depth: usize,
    /// Show containers only, not the files in them
    #[arg(long)]
    containers: bool,
    /// Show the SHA-256 digest of each file
    #[arg(long)]
    digests: bool,
    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    #[command(flatten)]
    bounds: Bounds,
}

/// Carries the command out and gives the exit code.
pub fn run(args: Args) -> u8 {
    let image = match look::open(&args.address, &args.bounds) {
        Ok(image) => image,
        Err(code) => return code,
    };
    let options = Options {
        depth: args.depth,
        digests: args.digests,
        max_entries: args.bounds.max_entries(),
    };
    let mut entries = Vec::new();
    let summary = walk(&image, &options, &mut |item| {
        if args.containers && !item.container && item.trouble.is_none() {
            return;
        }
        match args.format {
            Format::Human => line(item),
            Format::Json => entries.push(Entry::of(item)),
        }
    });
    match args.format {
        Format::Human => picture(&summary, &image.path().display().to_string()),
        Format::Json => {
            let document = Document {
                version: 1,
                address: printable(&args.address.to_string()),
                complete: summary.troubles == 0,
                containers: summary.weight.containers().iter().map(Part::of).collect(),
                entries,
            };
            match serde_json::to_string_pretty(&document) {
                Ok(text) => say!("{text}"),
                Err(error) => look::complain(&error.to_string()),
            }
        }
    }
    match summary.troubles {
        0 => 0,
        count => {
            let parts = if count == 1 { "part" } else { "parts" };
            look::complain(&format!("{count} {parts} could not be read in full"));
            exit::ERROR
        }
    }
}

/// Shows one item: indented by where it is, with what it is and its size.
fn line(item: &Item) {
    let indent = "  ".repeat(item.depth);
    let path = if item.depth == 0 {
        &item.address
    } else {
        &item.path
    };
    let mut text = format!("{indent}{}", printable(path));
    if let Some(target) = item.entry.as_ref().and_then(|e| e.meta.target.as_ref()) {
        text.push_str(&format!(" -> {}", printable(target)));
    }
    if item.kind == FileType::Directory && !path.ends_with('/') {
        text.push('/');
    }
    let mut about = Vec::new();
    match (item.kind, item.what, &item.detail) {
        (FileType::File, what, Some(detail)) => {
            about.push(format!("{what} ({})", printable(detail)))
        }
        (FileType::File, what, None) if !what.is_empty() => about.push(what.to_owned()),
        (FileType::File | FileType::Directory | FileType::Symlink | FileType::Unknown, ..) => {}
        (kind, ..) => about.push(kind.name().to_owned()),
    }
    if item.kind == FileType::File {
        about.push(show_size(item.size));
    }
    if let Some(digest) = &item.sha256 {
        about.push(format!("sha256:{digest}"));
    }
    if let Some(trouble) = &item.trouble {
        about.push(format!("ERROR {}", printable(trouble)));
    }
    if !about.is_empty() {
        text.push_str(&format!("  {}", about.join("  ")));
    }
    say!("{text}");
}

const BAR: u64 = 24;

/// Shows where the bytes are: containers, sorts of files, the largest files.
fn picture(summary: &Summary, root: &str) {
    let weight = &summary.weight;
    let whole = weight
        .containers()
        .iter()
        .map(|c| c.size.max(c.content))
        .max();
    let Some(whole) = whole.filter(|whole| *whole > 0) else {
        return;
    };
    say!(
        "\n{} entries in {} containers",
        summary.entries,
        summary.containers
    );
    say!("\nwhere the bytes are: containers, as stored, and the files in them, decoded");
    for share in weight.containers() {
        let indent = "  ".repeat(share.depth);
        let name = share.address.rsplit("!/").next().unwrap_or_default();
        let name = format!("{indent}{}", printable(name));
        say!(
            "  {} {name}  {}  {} in {} files",
            bar(share.size, whole),
            show_size(share.size),
            show_size(share.content),
            share.files
        );
    }
    let sorts = weight.by_content();
    let files: u64 = sorts.iter().map(|(_, _, bytes)| bytes).sum();
    say!("\nwhat they are");
    for (what, count, bytes) in sorts.iter().take(12) {
        say!(
            "  {} {what}  {} in {count} files",
            bar(*bytes, files),
            show_size(*bytes)
        );
    }
    say!("\nthe largest files");
    for (size, address) in weight.largest() {
        say!(
            "  {} {}  {}",
            bar(*size, files),
            show_size(*size),
            printable(address.strip_prefix(root).unwrap_or(address))
        );
    }
}

/// Draws a part of a whole.
fn bar(part: u64, whole: u64) -> String {
    let eighths = u128::from(part) * u128::from(BAR) * 8 / u128::from(whole.max(1));
    let eighths = u64::try_from(eighths).unwrap_or(u64::MAX).min(BAR * 8);
    let full = usize::try_from(eighths / 8).unwrap_or_default();
    let rest = ['\0', '▏', '▎', '▍', '▌', '▋', '▊', '▉']
        .get(usize::try_from(eighths % 8).unwrap_or_default())
        .filter(|c| **c != '\0');
    let mut text = "█".repeat(full);
    text.extend(rest);
    let width = usize::try_from(BAR).unwrap_or_default();
    let length = text.chars().count();
    text.push_str(&"·".repeat(width.saturating_sub(length)));
    text
}

/// The document of `--format json`.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Document {
    version: u32,
    address: String,
    /// Whether everything could be read.
    complete: bool,
    containers: Vec<Part>,
    entries: Vec<Entry>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct Part {
    address: String,
    what: &'static str,
    size: u64,
    files: u64,
    content: u64,
}

impl Part {
    fn of(share: &Share) -> Self {
        Self {
            address: share.address.clone(),
            what: share.what,
            size: share.size,
            files: share.files,
            content: share.content,
        }
    }
}

/// One entry of a machine's listing.
#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Entry {
    address: String,
    path: String,
    depth: usize,
    #[serde(rename = "type")]
    kind: &'static str,
    size: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtime: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    #[serde(skip_serializing_if = "str::is_empty")]
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    container: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    xattrs: Vec<Xattr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct Xattr {
    name: String,
    value: String,
}

impl Entry {
    /// Makes the entry of an item.
    pub fn of(item: &Item) -> Self {
        let meta = item.entry.as_ref().map(|entry| &entry.meta);
        let xattrs = meta.map(|meta| meta.xattrs.iter()).into_iter().flatten();
        Self {
            address: item.address.clone(),
            path: item.path.clone(),
            depth: item.depth,
            kind: item.kind.name(),
            size: item.size,
            mode: meta.map(|meta| format!("{:04o}", meta.permissions())),
            uid: meta.map(|meta| meta.uid),
            gid: meta.map(|meta| meta.gid),
            mtime: meta.map(|meta| meta.mtime),
            target: meta.and_then(|meta| meta.target.clone()),
            what: item.what,
            detail: item.detail.clone(),
            container: item.container,
            sha256: item.sha256.map(|digest| digest.to_string()),
            xattrs: xattrs
                .map(|(name, value)| Xattr {
                    name: name.clone(),
                    value: look::attribute(value),
                })
                .collect(),
            error: item.trouble.clone(),
        }
    }
}
