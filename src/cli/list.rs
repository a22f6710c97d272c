//! `tdg list`: the trials a run would have.

use super::plan_args::PlanArgs;

/// List the trials of specs without running any; no subject is touched
#[derive(clap::Args)]
#[command(after_help = "Example:\n  tdg list specs/ -t arm64")]
pub struct Args {
    #[command(flatten)]
    plan: PlanArgs,
    /// The output format
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    Human,
    Json,
}

/// Carries the command out and gives the exit code.
pub fn run(args: Args) -> u8 {
    let plan = match args.plan.plan() {
        Ok(plan) => plan,
        Err(code) => return code,
    };
    match args.format {
        Format::Human => plan.trials.iter().for_each(|t| say!("{}", t.info.name)),
        Format::Json => {
            let trials: Vec<_> = plan.trials.iter().map(|t| t.info.as_ref()).collect();
            let document = serde_json::json!({"version": 1, "trials": trials});
            say!("{document:#}");
        }
    }
    0
}
