//! `tdg run`: specs against what is there.

use super::exit;
use super::look::duration;
use super::plan_args::PlanArgs;
use crate::probe::exec::watch_signals;
use crate::report::html::{EVIDENCE, Html};
use crate::report::{Reporter, human::Human, json::Json, junit::Junit};
use crate::run::Options;
use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Run specs: look inside the files they name and judge what is there
///
/// Every check ends as pass, fail (judged wrong), error (could not be judged) or skip (cannot run
/// here). Only a pass is a pass.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  tdg run specs/ --filter kernel --var assets=_out/assets
  tdg run specs/image/initramfs.yaml --format json | jq '.trials[] | select(.verdict != \"pass\")'")]
pub struct Args {
    #[command(flatten)]
    plan: PlanArgs,
    /// Skipped trials make the run fail (exit code 5); for CI
    #[arg(long)]
    strict: bool,
    /// End the run with the first trial that does not pass
    #[arg(long)]
    fail_fast: bool,
    /// How many trials run at a time [default: the number of cores]
    #[arg(short, long, value_name = "N")]
    jobs: Option<std::num::NonZeroUsize>,
    /// How long one trial may take where its spec says nothing
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    timeout: Duration,
    /// Show only what did not pass
    #[arg(short, long)]
    quiet: bool,
    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// Also write the reports as JSON, JUnit and HTML into this folder
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    #[command(flatten)]
    bounds: super::look::Sizes,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Human,
    Json,
    Junit,
    Html,
}

/// Carries the command out and gives the exit code.
pub fn run(args: Args) -> u8 {
    let cancel = match watch_signals() {
        Ok(cancel) => cancel,
        Err(error) => {
            eprintln!("error: Ctrl-C cannot be watched: {error}");
            return exit::ERROR;
        }
    };
    let plan = match args.plan.plan() {
        Ok(plan) => plan,
        Err(code) => return code,
    };
    let mut options = Options {
        fail_fast: args.fail_fast,
        timeout: args.timeout,
        limits: args.bounds.limits(),
        cancel,
        ..Options::default()
    };
    if let Some(jobs) = args.jobs {
        options.jobs = jobs.get();
    }
    if matches!(args.format, Format::Html) || args.report.is_some() {
        options.evidence = EVIDENCE;
    }
    let mut reporters = match reporters(args.format, args.quiet, args.report, &plan.root) {
        Ok(reporters) => reporters,
        Err(error) => {
            eprintln!("error: {error}");
            return exit::USAGE;
        }
    };
    let mut broken = None;
    let summary = crate::run::run(&plan, &options, &mut |event| {
        for reporter in &mut reporters {
            if let Err(error) = reporter.event(event) {
                broken.get_or_insert(error);
            }
        }
    });
    match broken {
        // `tdg run | head` is no fault; a full disk is.
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            eprintln!("error: the report could not be written: {error}");
            exit::ERROR
        }
        _ => summary.exit_code(args.strict),
    }
}

fn reporters(
    format: Format,
    quiet: bool,
    folder: Option<PathBuf>,
    root: &Path,
) -> Result<Vec<Box<dyn Reporter>>, String> {
    let mut reporters: Vec<Box<dyn Reporter>> = Vec::new();
    let stdout = anstream::stdout();
    match format {
        Format::Human => {
            let live = io::stderr().is_terminal() && io::stdout().is_terminal();
            reporters.push(Box::new(Human::new(stdout, live, quiet)));
        }
        Format::Json => reporters.push(Box::new(Json::new(io::stdout()))),
        Format::Junit => reporters.push(Box::new(Junit::new(io::stdout()))),
        Format::Html => reporters.push(Box::new(Html::new(BufWriter::new(io::stdout())))),
    }
    if let Some(folder) = folder {
        std::fs::create_dir_all(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        let open = |name: &str| -> Result<Box<dyn Write>, String> {
            let path = folder.join(name);
            let file = File::create(&path).map_err(|e| format!("{}: {e}", path.display()))?;
            Ok(Box::new(BufWriter::new(file)))
        };
        reporters.push(Box::new(Json::new(open("tdg.json")?)));
        reporters.push(Box::new(Junit::new(open("junit.xml")?)));
        let html = Html::new(open("tdg.html")?).in_folder(&folder, root);
        reporters.push(Box::new(html));
    }
    Ok(reporters)
}
