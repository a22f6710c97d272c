//! `tdg demo`: the whole loop on a small upstream, with nothing but git and make.

use super::exit;
use super::generate::carry_out;
use crate::demo::lay_out;
use crate::demo::upstream::{IMAGER_VARIABLE, imager_command};
use crate::generate::{LoopOptions, LoopOutcome, VariantEnd};
use crate::probe::exec::which;
use std::path::{Path, PathBuf};

/// Watch the whole loop: an upstream is cloned, patched, built, judged red, mended, and ends green
///
/// Needs only git, make and a POSIX shell. The upstream and its imager are small stand-ins of our
/// own; the image formats they write are the true ones.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  tdg demo --dir /tmp/demo\n  tdg run /tmp/demo/specs --root /tmp/demo"
)]
pub struct Args {
    /// Where the demo works and what it makes stays [default: a temporary folder, removed at the end]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Go on with an interrupted demo
    #[arg(long, requires = "dir")]
    resume: bool,
    /// Show every line the build writes
    #[arg(short, long)]
    verbose: bool,
}

/// Carries the command out and gives the exit code.
pub fn run(args: Args) -> u8 {
    for tool in ["git", "make", "sh", "tar", "gzip"] {
        if which(tool).is_none() {
            eprintln!("error: the demo needs {tool}, which is not on PATH: install it");
            return exit::ERROR;
        }
    }
    // Kept alive to the end: dropping it removes the folder.
    let (folder, _temporary) = match args.dir {
        Some(dir) => (dir, None),
        None => match tempfile::Builder::new().prefix("tdg-demo-").tempdir() {
            Ok(temporary) => (temporary.path().to_owned(), Some(temporary)),
            Err(error) => {
                eprintln!("error: no temporary folder can be made: {error}");
                return exit::ERROR;
            }
        },
    };
    match demo(&folder, args.resume, args.verbose) {
        Ok(outcome) => {
            closing_words(&outcome, _temporary.is_none().then_some(&folder));
            outcome.exit_code()
        }
        Err(code) => code,
    }
}

fn demo(folder: &Path, resume: bool, verbose: bool) -> Result<LoopOutcome, u8> {
    let told = |error: &dyn std::fmt::Display| {
        eprintln!("error: {error}");
        exit::ERROR
    };
    let layout = lay_out(folder).map_err(|e| told(&e))?;
    let program = std::env::current_exe().map_err(|e| told(&e))?;
    say!(
        "A small upstream builds machine images for amd64. We want ARM64, with the spin and\n\
         tailscale extensions, in two variants. The specs say so; the loop builds until they hold.\n\
         Project: {}\n",
        layout.project.display()
    );
    let mut options = LoopOptions::new(layout.recipe);
    options.resume = resume;
    options.env = vec![(IMAGER_VARIABLE.to_owned(), imager_command(&program))];
    carry_out(&options, verbose, true, None).map_err(|refused| refused.code)
}

fn closing_words(outcome: &LoopOutcome, kept: Option<&PathBuf>) {
    let green = outcome.variants.iter().all(|v| v.end == VariantEnd::Green);
    if !green {
        return;
    }
    if outcome.variants.iter().all(|v| v.unchanged) {
        say!("\nNothing had changed since the last time, so nothing was built again.");
    } else {
        say!(
            "\nWhat happened: the specs were seen red before any work. The first build ended with exit\n\
             code 0 and was still wrong: spin was listed in the sources, and in no image. A look\n\
             inside the initramfs showed it, the remedy mended the patch, and the second build holds."
        );
    }
    match kept {
        Some(folder) => {
            let folder = folder.display();
            say!(
                "\nLook for yourself:\n  tdg run {folder}/specs --root {folder}\n  ls {folder}/_out/assets/*\n  cat {folder}/.tdg/journal.jsonl"
            );
        }
        None => say!("\nTo keep what it makes: tdg demo --dir DIR"),
    }
}
