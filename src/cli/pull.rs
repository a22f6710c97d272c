//! `tdg pull`: from a registry into a layout.

use super::transfer::{self, Carry};
use crate::probe::registry::{Options, pull};
use serde_json::json;
use std::path::PathBuf;

/// Pull an image, an index or an artifact out of a registry into an OCI layout
///
/// Each blob is held to its digest and its size before it is at its place, and `index.json` is
/// written last. What is there already and right is kept; what came in part is gone on with the
/// next time, from `.tdg-partial` in the folder.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  tdg pull oci://registry.example/team/image:v1.2 _out/layout --referrers
  tdg pull oci://127.0.0.1:5000/team/image:v1.2 _out/layout --platform linux/arm64

Exit codes: 0 it is there; 1 what came is another than it should be; 2 usage; 4 it could not be
pulled; 130 interrupted.")]
pub struct Args {
    /// What: oci://HOST/REPOSITORY[:TAG][@DIGEST]
    #[arg(value_name = "NAME")]
    from: String,
    /// The folder of the layout; made where it is not there
    #[arg(value_name = "DIR")]
    into: PathBuf,
    /// Pull what refers to it as well: signatures, attestations
    #[arg(long)]
    referrers: bool,
    /// Of an index, only the image of this platform: OS/ARCHITECTURE[/VARIANT]
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    #[command(flatten)]
    carry: Carry,
}

/// Carries the command out and gives the exit code.
pub fn run(args: Args) -> u8 {
    let text = match &args.platform {
        Some(platform) => format!("{}?platform={platform}", args.from),
        None => args.from.clone(),
    };
    let from = match args.carry.name(&text) {
        Ok(from) => from,
        Err(error) => return transfer::refuse(&error),
    };
    let options = Options {
        referrers: args.referrers,
        ..args.carry.options()
    };
    args.carry.carry(
        |progress| pull(&from, &args.into, &options, progress),
        |pulled| {
            json!({
                "version": 1,
                "name": from.shown(),
                "layout": args.into.display().to_string(),
                "root": transfer::descriptor(&pulled.root),
                "referrers": pulled.referrers.iter().map(transfer::descriptor).collect::<Vec<_>>(),
                "manifests": pulled.manifests,
                "blobs": pulled.blobs,
                "bytes": pulled.bytes,
                "carried": pulled.carried,
            })
        },
        |pulled| {
            let (manifests, blobs) = (pulled.manifests, pulled.blobs);
            let amount = transfer::amount(manifests, blobs, pulled.bytes, pulled.carried);
            format!(
                "{} is in {}\n{amount}",
                pulled.root.digest,
                args.into.display()
            )
        },
    )
}
