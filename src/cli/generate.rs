//! `tdg generate`: clone, patch, make, collect, verify, remedy, until every spec holds.

use super::look::duration;
use super::loop_json::{self, Account};
use super::loop_summary::Page;
use super::loop_view::LoopView;
use super::progress::Progress;
use super::rerun::Refused;
use super::verifier::SpecVerifier;
use super::{check_upstream, exit, history_view, rerun};
use crate::generate::recipe::RecipeError;
use crate::generate::{
    GenerateError, LoopOptions, LoopOutcome, LoopPlan, Stage, VariantEnd, history, plan_loop,
    run_loop,
};
use crate::model::value::Value;
use crate::probe::exec::watch_signals;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

/// Build until every spec holds: clone, patch, make, collect, verify, remedy, and again
///
/// Specs are law: whoever changes them ends the loop. Everything is journalled under `.tdg`;
/// `kill -9` at any moment, then `--resume`, ends in the same place.
#[derive(clap::Args)]
#[command(after_help = "\
Example:
  tdg generate --dry-run          what would be done, and why
  tdg generate --variant spin-only --budget 2h
  tdg generate --resume           go on where an interrupted loop was
  tdg generate --history=3        what the last three loops did
  tdg generate --check-upstream 'v1.*' main     does the series still apply there?")]
pub struct Args {
    /// The recipe
    #[arg(default_value = "tdg.yaml", value_name = "RECIPE")]
    recipe: PathBuf,
    /// Only this variant (repeatable): its matrix values joined by `-`
    #[arg(long, value_name = "VARIANT")]
    variant: Vec<String>,
    /// How many attempts each variant has [default: what the recipe says]
    #[arg(long, value_name = "N")]
    max_attempts: Option<u32>,
    /// How long the loop may take [default: what the recipe says]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    budget: Option<Duration>,
    /// How many variants are worked on at once [default: what the recipe says, else 1]
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    jobs: Option<u32>,
    /// Go on with an interrupted loop
    #[arg(long)]
    resume: bool,
    /// Do this stage and all after it even where nothing changed: source, patch, build, collect, verify, package
    #[arg(long, value_name = "STAGE")]
    from: Option<Stage>,
    /// Push what is green to the repository of the recipe's `package`, and pull it back
    #[arg(long)]
    push: bool,
    /// Say what would be done and why, and touch nothing
    #[arg(long)]
    dry_run: bool,
    /// The specs were changed on purpose after an earlier loop was ended for it
    #[arg(long)]
    accept_specs: bool,
    /// Say to which tags or branches of the upstream the series applies, and touch nothing: names,
    /// patterns (`v1.*`), ranges of tags (`v1.0..v1.6`)
    #[arg(long, value_name = "REF", num_args = 1.., conflicts_with = "dry_run")]
    check_upstream: Vec<String>,
    /// Run again whenever the recipe, the series, a patch or a spec changes, until Ctrl-C
    #[arg(long, conflicts_with_all = ["dry_run", "check_upstream", "continue_rebase", "summary"])]
    watch: bool,
    /// Say what the last loops did and how long it took, N at most, and touch nothing
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "10", conflicts_with_all = ["dry_run", "check_upstream", "watch"])]
    history: Option<usize>,
    /// Take what you made of a rebase's conflict (in .tdg/conflict) into the series
    #[arg(long, conflicts_with_all = ["dry_run", "check_upstream"])]
    continue_rebase: bool,
    /// Set a variable of the recipe (repeatable)
    #[arg(long = "var", value_name = "NAME=VALUE", value_parser = super::plan_args::pair)]
    vars: Vec<(String, String)>,
    /// Write what came of it to FILE, as a Markdown page: for $GITHUB_STEP_SUMMARY
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    summary: Option<PathBuf>,
    /// Show every line the build writes
    #[arg(short, long)]
    verbose: bool,
    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Format {
    Human,
    Json,
}

/// Carries the command out and gives the exit code.
pub fn run(args: Args) -> u8 {
    let mut options = LoopOptions::new(args.recipe);
    options.variants = args.variant;
    options.max_attempts = args.max_attempts;
    options.budget = args.budget;
    options.jobs = args.jobs;
    options.resume = args.resume;
    options.from = args.from;
    options.push = args.push;
    options.source_date_epoch = std::env::var("SOURCE_DATE_EPOCH").ok();
    options.accept_specs = args.accept_specs;
    options.vars = args
        .vars
        .into_iter()
        .map(|(k, v)| (k, Value::String(v)))
        .collect();
    if args.dry_run {
        return dry_run(&options, args.format);
    }
    if let Some(most) = args.history {
        return match history(&options.recipe) {
            Ok(told) => history_view::show(told, most, args.format == Format::Json),
            Err(error) => refuse(&error),
        };
    }
    if args.continue_rebase || !args.check_upstream.is_empty() {
        let json = args.format == Format::Json;
        return check_upstream::run(&options, &args.check_upstream, json)
            .unwrap_or_else(|error| refuse(&error));
    }
    // Made before the work: a path that leads nowhere is told now, not after hours.
    let summary = match args.summary.map(Page::create).transpose() {
        Ok(summary) => summary,
        Err(error) => {
            eprintln!("error: {error}");
            return exit::USAGE;
        }
    };
    let show = args.format == Format::Human;
    if args.watch {
        return rerun::watch(&options, |options| {
            carry_out(options, args.verbose, show, None)
        });
    }
    match carry_out(&options, args.verbose, show, summary) {
        Ok(outcome) => outcome.exit_code(),
        Err(refused) => refused.code,
    }
}

/// Tells an error that ends a loop.
fn refused(error: &GenerateError) -> Refused {
    let law_broken = matches!(
        error,
        GenerateError::LawBroken { .. } | GenerateError::StillBroken { .. }
    );
    Refused {
        code: refuse(error),
        law_broken,
    }
}

/// Runs the loop and shows it, or else prints what came of it as a document; an error has been told.
pub fn carry_out(
    options: &LoopOptions,
    verbose: bool,
    show: bool,
    mut page: Option<Page>,
) -> Result<LoopOutcome, Refused> {
    let cancel = watch_signals().map_err(|error| {
        eprintln!("error: Ctrl-C cannot be watched: {error}");
        Refused::error()
    })?;
    let live = std::io::stdout().is_terminal();
    let view = show.then(|| Progress::start(LoopView::new(anstream::stdout(), verbose), live));
    let mut account = (!show).then(Account::new);
    let result = run_loop(options, &verifier(), &cancel, &mut |event| {
        if let Some(view) = &view {
            view.event(event);
        }
        if let Some(page) = &mut page {
            page.event(event);
        }
        if let Some(account) = &mut account {
            account.event(event);
        }
    });
    let written = page.map_or(Ok(()), |page| page.write(&result, &options.recipe));
    if let Some(account) = account {
        say!("{:#}", account.document(&result));
    }
    let outcome = result.map_err(|error| {
        if let Some(view) = &view {
            view.quiet();
        }
        refused(&error)
    })?;
    if let Some(view) = &view {
        view.summary(&outcome);
        if outcome
            .variants
            .iter()
            .any(|v| v.end == VariantEnd::Interrupted)
        {
            eprintln!("interrupted; `--resume` goes on where this was");
        }
    }
    written.map_err(|error| {
        eprintln!("error: {error}");
        Refused::error()
    })?;
    Ok(outcome)
}

fn verifier() -> SpecVerifier {
    SpecVerifier {
        colour: std::io::stderr().is_terminal(),
    }
}

fn refuse(error: &GenerateError) -> u8 {
    if let GenerateError::Recipe(RecipeError::Wrong {
        diagnostics,
        sources,
    }) = error
    {
        let colour = std::io::stderr().is_terminal();
        eprintln!("{}\n", diagnostics.render(sources, colour));
    }
    let text = error.to_string();
    // Diagnostics are drawn in full; everything else is a line.
    if text.starts_with("error") || text.contains("\nerror") {
        eprintln!("{}", text.trim_end());
    } else {
        eprintln!("error: {}", text.trim_end());
    }
    error.exit_code()
}

fn dry_run(options: &LoopOptions, format: Format) -> u8 {
    match plan_loop(options, &verifier()) {
        Ok(plan) => {
            match format {
                Format::Human => print_plan(&plan),
                Format::Json => say!("{:#}", loop_json::plan(&plan)),
            }
            0
        }
        Err(error) => refuse(&error),
    }
}

fn print_plan(plan: &LoopPlan) {
    say!("{}", plan.recipe);
    for variant in &plan.variants {
        say!("\n{}", variant.variant);
        if let Some(candidate) = &variant.candidate {
            say!("  candidate {candidate}");
        }
        if variant.red_first {
            say!("  first    the specs run before any work, to be seen red");
        }
        for stage in &variant.stages {
            match &stage.why {
                Some(why) => say!("  {:<8} due: {why}", stage.stage.name()),
                None => say!("  {:<8} unchanged", stage.stage.name()),
            }
            if stage.why.is_some() {
                stage
                    .what
                    .iter()
                    .for_each(|line| say!("             {line}"));
            }
        }
    }
    if plan.interrupted {
        say!("\nan interrupted loop is here: `--resume` goes on with it");
    }
    say!("\nnothing was touched");
}
