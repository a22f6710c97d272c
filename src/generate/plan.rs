//! A dry run: which stages are due and why, without touching anything.

use super::due::View;
use super::error::GenerateError;
use super::event::Stage;
use super::package::Made;
use super::paths::Paths;
use super::recipe::{self, Recipe, RedFirst, Variant};
use super::session::read_law;
use super::state::State;
use super::verify::Verifier;
use super::{LoopOptions, artifacts, candidates, choose, journal, prepare, tools};

/// What a loop would do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoopPlan {
    /// The recipe's name.
    pub recipe: String,
    /// What it would do for each variant.
    pub variants: Vec<VariantPlan>,
    /// Whether an interrupted loop could go on.
    pub interrupted: bool,
}

/// What a loop would do for a variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariantPlan {
    /// The variant.
    pub variant: String,
    /// Of candidates, the one that it would begin with.
    pub candidate: Option<String>,
    /// Whether the specs would first be seen red.
    pub red_first: bool,
    /// Each stage in order.
    pub stages: Vec<StagePlan>,
}

/// Whether a stage would run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagePlan {
    /// The stage.
    pub stage: Stage,
    /// Why it would; nothing where it would not.
    pub why: Option<String>,
    /// What it would do, a command or a file a line.
    pub what: Vec<String>,
}

/// Says what a loop would do in its first attempt; touches nothing, and starts
/// nothing but the commands of `build.tools`.
///
/// # Errors
/// Where recipe, specs, lock or journal cannot be read.
pub fn plan_loop(
    options: &LoopOptions,
    verifier: &dyn Verifier,
) -> Result<LoopPlan, GenerateError> {
    let mut recipe = recipe::load(&options.recipe, &options.vars)?;
    tools::ask(&mut recipe, options);
    let chosen = choose(&recipe, options)?;
    let paths = Paths::new(&recipe.project);
    let beside = prepare(&recipe, &chosen, &paths, options, verifier)?;
    let law = read_law(&recipe, &beside)?;
    let state = State::replay(&journal::read(&paths.journal())?);
    let view = View {
        recipe: &recipe,
        options,
        paths: &paths,
        state: &state,
        law: &law,
        verifier,
        forced: options.from,
    };
    let plan = |variant: &&Variant| match candidates::first(&recipe, options, &paths, variant)? {
        None => variant_plan(&view, variant, view.pinned()?),
        Some(choice) => {
            let view = View {
                recipe: &choice.recipe,
                options: &choice.options,
                paths: &choice.paths,
                ..view
            };
            let plan = variant_plan(&view, choice.variant(variant), choice.pinned.clone())?;
            Ok(VariantPlan {
                candidate: Some(choice.name),
                ..plan
            })
        }
    };
    let variants = chosen.iter().map(plan).collect::<Result<_, _>>()?;
    Ok(LoopPlan {
        recipe: recipe.name.clone(),
        variants,
        interrupted: state.open.is_some(),
    })
}

fn variant_plan(
    view: &View<'_>,
    variant: &Variant,
    pinned: Option<String>,
) -> Result<VariantPlan, GenerateError> {
    let success = |stage| {
        let success = view.state.success(&variant.name, stage);
        success
            .map(|(_, success)| success.clone())
            .unwrap_or_default()
    };
    let packaged = variant.package.as_ref();
    let whys = [
        view.source(variant, pinned.as_deref()).why,
        view.patch(variant, pinned.as_deref().unwrap_or_default())
            .why,
        view.build(variant, &success(Stage::Patch).head).why,
        view.collect(variant, &success(Stage::Build)).why,
        view.verify(variant, &success(Stage::Collect)).why,
        packaged.and_then(|template| {
            let made = Made {
                commit: pinned.as_deref().unwrap_or_default(),
                series: &super::series::listed(view.recipe, variant),
                collected: &success(Stage::Collect),
                verified: &success(Stage::Verify),
            };
            view.package(variant, template, made).why
        }),
    ];
    let mut earlier: Option<Stage> = None;
    let mut stages = Vec::new();
    for (stage, why) in Stage::ALL.into_iter().zip(whys) {
        if stage == Stage::Package && packaged.is_none() {
            continue;
        }
        // What a stage makes anew, those after it work on.
        let why = match (earlier, why) {
            (Some(first), _) => Some(format!("{first} is due")),
            (None, why) => why,
        };
        if why.is_some() {
            earlier = earlier.or(Some(stage));
        }
        let what = match why {
            Some(_) => what(view.recipe, variant, stage, view, pinned.as_deref()),
            None => Vec::new(),
        };
        stages.push(StagePlan { stage, why, what });
    }
    let red_first = view.recipe.iterate.red_first != RedFirst::Off
        && view.state.red_first(&variant.name).is_none()
        && !artifacts::any_collected(view.paths, variant);
    Ok(VariantPlan {
        variant: variant.name.clone(),
        candidate: None,
        red_first,
        stages,
    })
}

fn what(
    recipe: &Recipe,
    variant: &Variant,
    stage: Stage,
    view: &View<'_>,
    pinned: Option<&str>,
) -> Vec<String> {
    match stage {
        Stage::Source => {
            let name = pinned.unwrap_or(&recipe.source.reference);
            vec![format!("git fetch {} {name}", recipe.source.git)]
        }
        Stage::Patch => {
            let listed = super::series::listed(recipe, variant);
            listed.into_iter().map(|p| p.name).collect()
        }
        Stage::Build => variant.build.steps.iter().map(|s| s.text.clone()).collect(),
        Stage::Collect => {
            let assets = view.paths.assets(variant);
            let files = variant.artifacts.files.iter();
            files
                .map(|f| assets.join(f).display().to_string())
                .collect()
        }
        Stage::Verify => variant.verify.clone(),
        Stage::Package => packaging(variant, view),
    }
}

/// Names where a package is put; what it is called there, the build decides.
fn packaging(variant: &Variant, view: &View<'_>) -> Vec<String> {
    let mut lines = vec![view.paths.package(variant).display().to_string()];
    if let Some(template) = &variant.package
        && view.pushes(template)
        && let Some(repository) = &template.sample.repository
    {
        let tags = template.tags().join(", ");
        lines.push(format!("push to {repository}: {tags}"));
    }
    lines
}
