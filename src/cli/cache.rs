//! `tdg cache`: what is kept on disk between runs.

use super::exit;
use super::look::complain;
use crate::model::size::show_size;
use crate::probe::cache::Cache;
use clap::Subcommand;

/// Show or clear what is kept on disk between runs
///
/// What was costly to decode or to fetch is kept in `$XDG_CACHE_HOME/tdg` (`~/.cache/tdg`), or in
/// the folder that TDG_CACHE names; `TDG_CACHE=off` keeps nothing. TDG_CACHE_SIZE bounds it
/// (4 GiB); what was used longest ago goes first. It may be removed at any time.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Copy, Subcommand)]
enum Action {
    /// Print the folder
    Path,
    /// Print how much is in it, and its bound
    Size,
    /// Remove what is in it
    Clear,
}

/// Carries the command out and gives the exit code.
pub fn run(args: &Args) -> u8 {
    let cache = match Cache::of_environment() {
        Ok(Some(cache)) => cache,
        Ok(None) => {
            complain(
                "there is no cache: TDG_CACHE is `off`, TDG_CACHE_SIZE is 0, or no home is known",
            );
            return exit::ERROR;
        }
        Err(message) => {
            complain(&message);
            return exit::USAGE;
        }
    };
    match args.action {
        Action::Path => say!("{}", cache.root().display()),
        Action::Size => {
            let usage = cache.usage();
            let (bytes, bound) = (show_size(usage.bytes), show_size(cache.bound()));
            let files = if usage.sources == 1 { "file" } else { "files" };
            say!("{bytes} of {bound}, of {} {files}", usage.sources);
        }
        Action::Clear => {
            let bytes = cache.usage().bytes;
            if let Err(error) = cache.clear() {
                complain(&format!("{}: {error}", cache.root().display()));
                return exit::ERROR;
            }
            say!("{} removed", show_size(bytes));
        }
    }
    0
}
