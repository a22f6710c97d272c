//! `tdg push`: from a layout into a registry.

use super::transfer::{self, Carry};
use crate::model::size::parse_size;
use crate::probe::registry::{Options, RegistryError, Verify, Which, push};
use serde_json::json;
use std::path::PathBuf;

/// Push an OCI layout into a registry, and look whether it is there
///
/// Blobs go first, manifests by their digests after them, tags last. What refers to the image
/// (a manifest with a `subject`) goes along. Then everything is looked at: manifests and tags are
/// fetched again, and the registry is asked for each blob.
///
/// Credentials are those of `docker login` and its like, helper programs among them.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  tdg push _out/layout oci://registry.example/team/image:v1.2 --tag latest
  tdg push _out/layout oci://127.0.0.1:5000/team/image:v1.2 --format json

Exit codes: 0 it is there; 1 what is there is another; 2 usage; 4 it could not be pushed;
130 interrupted. The same again takes up what was interrupted.")]
pub struct Args {
    /// The folder with `oci-layout`, `index.json` and `blobs`
    layout: PathBuf,
    /// Where to: oci://HOST/REPOSITORY[:TAG]
    #[arg(value_name = "NAME")]
    to: String,
    /// A further tag
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// What of the layout, by the name in its index; not needed where it leads to one thing
    #[arg(long = "ref", value_name = "NAME")]
    which: Option<String>,
    /// Another repository of the registry that may have the blobs already
    #[arg(long, value_name = "REPOSITORY")]
    mount_from: Vec<String>,
    /// Send blobs in parts of this size
    #[arg(long, value_name = "SIZE", value_parser = part)]
    chunk: Option<u64>,
    /// How blobs are looked at afterwards
    #[arg(long, value_enum, default_value_t = Look::Sizes)]
    verify: Look,
    #[command(flatten)]
    carry: Carry,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Look {
    /// The registry says that it has them, in their sizes.
    Sizes,
    /// They are fetched again and digested.
    Bytes,
}

fn part(text: &str) -> Result<u64, String> {
    let size = parse_size(text).filter(|size| *size >= 1);
    size.ok_or_else(|| "write a size such as 64 MiB".into())
}

/// Carries the command out and gives the exit code.
pub fn run(args: Args) -> u8 {
    let to = match args.carry.name(&args.to) {
        Ok(to) if to.digest().is_none() && to.platform.is_none() => to,
        Ok(to) => {
            return transfer::refuse(&RegistryError::Name {
                address: to.shown(),
                what: "a push makes a tag; a digest or a platform cannot be chosen".into(),
            });
        }
        Err(error) => return transfer::refuse(&error),
    };
    let mut tags: Vec<String> = to.tag().map(str::to_owned).into_iter().collect();
    for tag in &args.tags {
        if !tags.contains(tag) {
            tags.push(tag.clone());
        }
    }
    let which = args.which.clone().map_or(Which::Only, Which::Named);
    let options = Options {
        mount_from: args.mount_from.clone(),
        chunk: args.chunk,
        verify: match args.verify {
            Look::Sizes => Verify::Sizes,
            Look::Bytes => Verify::Bytes,
        },
        ..args.carry.options()
    };
    args.carry.carry(
        |progress| push(&args.layout, &which, &to, &tags, &options, progress),
        |pushed| {
            json!({
                "version": 1,
                "name": to.shown(),
                "root": transfer::descriptor(&pushed.root),
                "tags": pushed.tags,
                "referrers": pushed.referrers.iter().map(transfer::descriptor).collect::<Vec<_>>(),
                "manifests": pushed.manifests,
                "blobs": pushed.blobs,
                "there": pushed.there,
                "bytes": pushed.bytes,
                "carried": pushed.carried,
            })
        },
        |pushed| {
            let (manifests, blobs) = (pushed.manifests, pushed.blobs);
            let amount = transfer::amount(manifests, blobs, pushed.bytes, pushed.carried);
            let names: Vec<String> = pushed.tags.iter().map(|tag| to.with_tag(tag)).collect();
            format!(
                "{} is at {}\n{amount}",
                pushed.root.digest,
                names.join(", ")
            )
        },
    )
}
