//! The commands, one file each: arguments and wiring, nothing else.
#![allow(clippy::print_stderr)]

/// Writes to standard output. A reader that has gone away (`tdg list | head`) is no fault.
macro_rules! put {
    ($($text:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stdout(), format_args!($($text)*));
    }};
}

/// Writes a line to standard output, as [`put`].
macro_rules! say {
    ($($text:tt)*) => {{
        put!($($text)*);
        put!("\n");
    }};
}

mod add;
mod cache;
mod cat;
mod check_upstream;
mod demo;
mod describe;
mod diff;
mod diff_view;
mod explain;
mod generate;
mod history_view;
mod imager;
mod list;
mod look;
mod loop_json;
mod loop_summary;
mod loop_view;
mod ls;
mod plan_args;
mod progress;
mod pull;
mod push;
mod rerun;
mod run;
mod schema;
mod serve;
mod transfer;
mod tree;
mod verifier;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Test-driven generation for bootable machine images.
#[derive(Parser)]
#[command(name = "tdg", version, max_term_width = 100)]
#[command(after_help = "\
Exit codes: 0 all passed; 1 a check failed; 2 usage; 3 a spec or recipe is wrong;
4 something could not be judged; 5 with --strict, something was skipped; 130 interrupted.

Try it:  tdg demo")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Run(run::Args),
    Generate(generate::Args),
    Demo(demo::Args),
    Tree(tree::Args),
    Ls(ls::Args),
    Cat(cat::Args),
    Cache(cache::Args),
    Diff(diff::Args),
    Describe(describe::Args),
    Add(add::Args),
    Push(push::Args),
    Pull(pull::Args),
    Serve(serve::Args),
    List(list::Args),
    Explain(explain::Args),
    Schema(schema::Args),
    #[command(hide = true, disable_help_flag = true)]
    Imager(imager::Args),
}

/// The exit codes of the program.
pub mod exit {
    /// Something was judged wrong.
    pub const FAILED: u8 = 1;
    /// The command line is wrong.
    pub const USAGE: u8 = 2;
    /// A spec or a recipe is wrong.
    pub const SPEC: u8 = 3;
    /// Something could not be judged.
    pub const ERROR: u8 = 4;
    /// The user stopped it.
    pub const INTERRUPTED: u8 = 130;
}

/// Parses the command line and carries the command out.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let code = match cli.command {
        Command::Run(args) => run::run(args),
        Command::Generate(args) => generate::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Tree(args) => tree::run(args),
        Command::Ls(args) => ls::run(args),
        Command::Cat(args) => cat::run(args),
        Command::Cache(args) => cache::run(&args),
        Command::Diff(args) => diff::run(args),
        Command::Describe(args) => describe::run(args),
        Command::Add(args) => add::run(args),
        Command::Push(args) => push::run(args),
        Command::Pull(args) => pull::run(args),
        Command::Serve(args) => serve::run(&args),
        Command::List(args) => list::run(args),
        Command::Explain(args) => explain::run(args),
        Command::Schema(args) => schema::run(&args),
        Command::Imager(args) => imager::run(&args),
    };
    ExitCode::from(code)
}
