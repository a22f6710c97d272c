//! What the commands that look into an image have in common: the address, the bounds, and how
//! names are shown.

use super::exit;
use crate::check::{ProbeError, Subjects};
use crate::format::Limits;
use crate::format::node::escape;
use crate::image::Image;
use crate::model::path::printable;
use crate::model::size::{parse_duration, parse_size};
use crate::model::{Address, Origin};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How far a reader goes before it stops with an error that names the bound
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "Bounds")]
pub struct Bounds {
    #[command(flatten)]
    sizes: Sizes,
    /// Time [default: 5 s, and 1 s more for each 4 MiB of the file; 5 min of what is elsewhere]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
}

/// The bounds that are no time.
#[derive(clap::Args, Clone)]
#[command(next_help_heading = "Bounds")]
pub struct Sizes {
    /// Entries of one archive or file system
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_entries)]
    max_entries: u64,
    /// Bytes that one compressed file may decode to
    #[arg(long, value_name = "SIZE", value_parser = size)]
    max_decoded: Option<u64>,
    /// Directories below one another
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_depth)]
    max_depth: u32,
}

impl Sizes {
    /// Gives the limits, without a deadline.
    pub fn limits(&self) -> Limits {
        let mut limits = Limits {
            max_entries: self.max_entries,
            max_depth: self.max_depth,
            ..Limits::default()
        };
        if let Some(decoded) = self.max_decoded {
            limits.max_decoded = decoded;
            limits.free_decoded = decoded;
            limits.free_stored = decoded;
        }
        limits
    }
}

/// Reads a duration argument.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "write a duration such as 90s or 5m".into())
}

fn size(text: &str) -> Result<u64, String> {
    parse_size(text).ok_or_else(|| "write a size such as 512 MiB".into())
}

impl Bounds {
    /// Gives the limits for what an address leads to.
    pub fn limits_at(&self, address: &Address) -> Limits {
        self.limits_in(time(address))
    }

    /// Gives the limits where no address is named.
    pub fn limits(&self) -> Limits {
        self.limits_in(LEAST)
    }

    /// Gives the limits where reading takes so long unless a time is asked for.
    fn limits_in(&self, usual: Duration) -> Limits {
        let time = self.timeout.unwrap_or(usual);
        Limits {
            deadline: Some(Instant::now() + time),
            ..self.sizes.limits()
        }
    }

    /// Gives the most entries that a command shows.
    pub fn max_entries(&self) -> u64 {
        self.sizes.max_entries
    }
}

/// How long reading of whatever may take.
const LEAST: Duration = Duration::from_secs(5);

/// Of a folder, this many files are counted.
const COUNTED: usize = 10_000;

/// How large what is elsewhere is, nobody knows beforehand, nor how fast it comes.
const ELSEWHERE: Duration = Duration::from_secs(300);

/// Gives how long reading takes at most, by the bytes of a file on disk, or those of the files in
/// a folder.
fn time(address: &Address) -> Duration {
    if address.origin() != Origin::Disk {
        return ELSEWHERE;
    }
    let files = walkdir::WalkDir::new(address.source()).follow_root_links(true);
    let sizes = files.into_iter().take(COUNTED).filter_map(|file| {
        let meta = file.ok()?.metadata().ok()?;
        meta.is_file().then_some(meta.len())
    });
    // Hostile files are small, and have to end soon; large ones take their time.
    LEAST + Duration::from_secs(sizes.fold(0, u64::saturating_add) / (4 << 20))
}

/// How a listing is written.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// One versioned JSON document.
    Json,
}

/// Writes the value of an extended attribute as text; labels end with a NUL.
pub fn attribute(value: &[u8]) -> String {
    escape(value.strip_suffix(b"\0").unwrap_or(value))
}

/// Reads an address argument.
pub fn address(text: &str) -> Result<Address, String> {
    Address::parse(text).map_err(|error| format!("{error}; {}", error.remedy()))
}

/// Opens what an address leads to, or says why not and gives the exit code.
pub fn open(address: &Address, bounds: &Bounds) -> Result<Arc<Image>, u8> {
    open_within(address, bounds.limits_at(address))
}

/// Of two images that are read at the same time, larger initramfs files are
/// decoded into temporary files.
const IN_MEMORY: u64 = 32 << 20;

/// Opens two images that are read at the same time, each within half of the
/// memory that one alone may take.
pub fn open_two(addresses: [&Address; 2], bounds: &Bounds) -> Result<[Arc<Image>; 2], u8> {
    let both: Duration = addresses.into_iter().map(time).sum();
    let mut limits = bounds.limits_in(both.saturating_sub(LEAST));
    limits.max_metadata /= 2;
    limits.max_listing /= 2;
    limits.max_in_memory = IN_MEMORY;
    if bounds.sizes.max_decoded.is_none() {
        limits.free_decoded /= 2;
    }
    let [a, b] = addresses;
    Ok([open_within(a, limits.clone())?, open_within(b, limits)?])
}

fn open_within(address: &Address, limits: Limits) -> Result<Arc<Image>, u8> {
    let image = Subjects::new(limits).image(address);
    image.map_err(|error| refuse(&error))
}

/// Says why nothing could be seen, and gives the exit code.
pub fn refuse(error: &ProbeError) -> u8 {
    complain(&error.message);
    if let Some(remedy) = &error.remedy {
        eprintln!("  help: {}", printable(remedy));
    }
    exit::ERROR
}

/// Writes an error to standard error, names in it made harmless.
pub fn complain(message: &str) {
    eprintln!("error: {}", printable(message));
}

/// Writes a line to standard error, names in it made harmless.
pub fn complain_line(line: &str) {
    eprintln!("{}", printable(line));
}
