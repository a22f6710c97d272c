//! `tdg cat`: the bytes of one file of an image.

use super::exit;
use super::look::{self, Bounds};
use crate::format::{FileType, Source, source_error};
use crate::image::{Image, ImageError};
use crate::model::{Address, Sha256Digest};
use std::fs::File;
use std::io::{self, IsTerminal, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;

/// Write the content of a file in an image to standard output
///
/// A compressed file is written as it is; `FILE!/` is what it decompresses to.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  tdg cat 'metal-arm64.raw.xz!/EFI/EFI/Linux/*.efi!/.cmdline'
  tdg cat 'initramfs-metal-arm64.xz!/rootfs.sqsh!/usr/bin/containerd' | sha256sum")]
pub struct Args {
    /// Which file: PATH, or PATH!/path/inside!/further/inside
    #[arg(value_parser = look::address)]
    address: Address,
    /// The output format; `json` gives size, digest and, of a text, the text
    #[arg(long, value_enum, default_value_t = Format::Raw)]
    format: Format,
    #[command(flatten)]
    bounds: Bounds,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Raw,
    Json,
}

/// A longer text is not put into JSON.
const MAX_TEXT: u64 = 1 << 20;

/// Carries the command out and gives the exit code.
pub fn run(args: Args) -> u8 {
    let image = match opened(&args) {
        Ok(Some(image)) => image,
        Ok(None) => return nothing(&args),
        Err(code) => return code,
    };
    let done = match args.format {
        Format::Raw => raw(&image),
        Format::Json => json(&args.address, &image),
    };
    match done {
        Ok(()) => 0,
        Err(message) => {
            look::complain(&message);
            exit::ERROR
        }
    }
}

/// Opens the file; `None` says that it is there and empty.
fn opened(args: &Args) -> Result<Option<Arc<Image>>, u8> {
    let refuse = |error: &ImageError| {
        look::complain(&error.to_string());
        exit::ERROR
    };
    let Some((parent, last)) = args.address.parent() else {
        return look::open(&args.address, &args.bounds).map(Some);
    };
    let parent = look::open(&parent, &args.bounds)?;
    if !last.is_empty() {
        // An empty file is no image, and its content is nothing. That the container itself holds
        // nothing is another matter, and an error.
        let entry = parent.entry(last).map_err(|error| refuse(&error))?;
        if entry.meta.kind == FileType::File && entry.meta.size == 0 {
            return Ok(None);
        }
    }
    match parent.enter(last) {
        Ok(image) => Ok(Some(image)),
        Err(ImageError::Empty { .. }) if last.is_empty() => Ok(None),
        Err(error) => Err(refuse(&error)),
    }
}

fn nothing(args: &Args) -> u8 {
    if let Format::Json = args.format {
        let digest = Sha256Digest::of(b"").to_string();
        let address = args.address.to_string();
        let document = serde_json::json!({"version": 1, "address": address, "size": 0, "sha256": digest, "text": ""});
        say!("{document:#}");
    }
    0
}

fn raw(image: &Arc<Image>) -> Result<(), String> {
    let source = image.source().map_err(|error| error.to_string())?;
    if io::stdout().is_terminal() && image.head().contains(&0) {
        return Err(format!(
            "{} is no text, and would garble the terminal; send it to a file or a program",
            image.path().display()
        ));
    }
    // Standard output looks for the ends of lines, which here are none.
    let mut out = match io::stdout().as_fd().try_clone_to_owned() {
        Ok(out) => File::from(out),
        Err(error) => return Err(error.to_string()),
    };
    match source.stream() {
        Some(stream) => through(image, stream, &mut out),
        None => by_places(image, source, &mut out),
    }
}

/// Writes what comes out of a decoder.
fn through(image: &Image, mut stream: Box<dyn Read + Send>, out: &mut File) -> Result<(), String> {
    let mut piece = vec![0; PIECE];
    loop {
        let read = match stream.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(broken(image, &error)),
        };
        if let Err(error) = out.write_all(piece.get(..read).unwrap_or_default()) {
            return gone(error);
        }
    }
}

/// Writes what is fetched piece by piece.
fn by_places(image: &Image, source: &Source, out: &mut File) -> Result<(), String> {
    let mut offset = 0;
    loop {
        let piece = source.up_to(offset, PIECE);
        let piece = piece.map_err(|error| image.failed(error).to_string())?;
        if piece.is_empty() {
            return Ok(());
        }
        if let Err(error) = out.write_all(&piece) {
            return gone(error);
        }
        offset += piece.len() as u64;
    }
}

fn broken(image: &Image, error: &io::Error) -> String {
    match source_error(error) {
        Some(own) => image.failed(own.clone()).to_string(),
        None => format!("{}: {error}", image.path().display()),
    }
}

/// How much is read and written at a time.
const PIECE: usize = 1 << 20;

/// A reader of the output that goes away is no fault.
fn gone(error: io::Error) -> Result<(), String> {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Ok(()),
        _ => Err(error.to_string()),
    }
}

fn json(address: &Address, image: &Arc<Image>) -> Result<(), String> {
    let size = image.size().map_err(|error| error.to_string())?;
    let digest = image.digest().map_err(|error| error.to_string())?;
    let text = if size <= MAX_TEXT {
        let bytes = image.read().map_err(|error| error.to_string())?;
        String::from_utf8(bytes.to_vec()).ok()
    } else {
        None
    };
    let document = serde_json::json!({
        "version": 1,
        "address": address.to_string(),
        "size": size,
        "sha256": digest.to_string(),
        "text": text,
    });
    say!("{document:#}");
    Ok(())
}
