//! `tdg diff`: what two images differ in.

use super::diff_view::{Human, Machine};
use super::exit;
use super::look::{self, Bounds, Format};
use crate::inspect::diff::{Event, Options, Summary, diff};
use crate::model::Address;

/// Show in what two images differ, to any depth
///
/// Containers are compared by what is in them, not by how it was packed: the same files packed at
/// another time are the same. Both sides may be files, folders or anything in an image, of different
/// formats. Ends with 0 where nothing differs, 1 where something does, and 4 where a part could not
/// be read in full: what could be compared is shown then as well.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  tdg diff metal-arm64-v1.12.raw.xz metal-arm64-v1.13.raw.xz
  tdg diff --merged old/initramfs-metal-arm64.xz new/initramfs-metal-arm64.xz
  tdg diff 'disk.raw!/EFI/EFI/Linux/*.efi!/.cmdline' cmdline-metal-arm64 --format json")]
pub struct Args {
    /// What it was: PATH, or PATH!/path/inside!/further/inside
    #[arg(value_parser = look::address)]
    a: Address,
    /// What it is now
    #[arg(value_parser = look::address)]
    b: Address,
    /// Enter containers only so far below one another
    #[arg(long, value_name = "N", default_value_t = Options::default().depth)]
    depth: usize,
    /// Compare what is said of files (type, size, mode, owner, attributes), not what is in them
    #[arg(long)]
    no_content: bool,
    /// Compare the merged views: a Talos root file system under its extensions, the layers of an image
    #[arg(long)]
    merged: bool,
    /// Show every entry of a directory that is there on one side only
    #[arg(long)]
    all: bool,
    /// Compare the times of modification as well
    #[arg(long)]
    times: bool,
    /// Compare the GUIDs of disks and partitions as well, which each build makes anew
    #[arg(long)]
    ids: bool,
    /// What is not compared
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    ignore: Vec<Ignore>,
    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    #[command(flatten)]
    bounds: Bounds,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Ignore {
    /// Permissions.
    Mode,
    /// Owner and group.
    Owner,
    /// Extended attributes: SELinux labels, capabilities.
    Xattrs,
    /// Times of modification; not compared unless `--times` is given.
    Mtime,
    /// GUIDs of disks and partitions; not compared unless `--ids` is given.
    Ids,
}

impl Args {
    fn options(&self) -> Options {
        let ignored = |what| self.ignore.contains(&what);
        Options {
            depth: self.depth,
            content: !self.no_content,
            merged: self.merged,
            all: self.all,
            times: self.times && !ignored(Ignore::Mtime),
            ids: self.ids && !ignored(Ignore::Ids),
            mode: !ignored(Ignore::Mode),
            owner: !ignored(Ignore::Owner),
            xattrs: !ignored(Ignore::Xattrs),
            max_entries: self.bounds.max_entries(),
        }
    }
}

/// Carries the command out and gives the exit code.
pub fn run(args: Args) -> u8 {
    let [a, b] = match look::open_two([&args.a, &args.b], &args.bounds) {
        Ok(images) => images,
        Err(code) => return code,
    };
    let options = args.options();
    let summary = match args.format {
        Format::Human => {
            let mut view = Human::default();
            let summary = diff(&a, &b, &options, &mut |event: &Event<'_>| view.event(event));
            view.end(&summary, &options);
            summary
        }
        Format::Json => {
            let mut view = Machine::begin([&args.a, &args.b], &options);
            let summary = diff(&a, &b, &options, &mut |event: &Event<'_>| view.event(event));
            view.end(&summary);
            summary
        }
    };
    code(&summary)
}

fn code(summary: &Summary) -> u8 {
    match summary.troubles {
        0 if summary.same() => 0,
        0 => exit::FAILED,
        count => {
            let parts = if count == 1 { "part" } else { "parts" };
            look::complain(&format!("{count} {parts} could not be read in full"));
            exit::ERROR
        }
    }
}
