//! `tdg imager`: the demo's stand-in for Talos's imager; hidden, since only make calls it.

use super::exit;
use crate::demo::imager;
use std::io;

/// A stand-in for Talos's imager, for the demo
#[derive(clap::Args)]
pub struct Args {
    /// What the real imager takes: `--tar-to-stdout -`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Carries the command out and gives the exit code.
pub fn run(args: &Args) -> u8 {
    let (mut stdin, mut stdout, mut stderr) = (io::stdin(), io::stdout(), io::stderr());
    match imager::run(&args.arguments, &mut stdin, &mut stdout, &mut stderr) {
        Ok(()) => 0,
        Err(error) => {
            eprintln!("imager: {error}");
            exit::FAILED
        }
    }
}
