//! From paths to trials. Reads spec files and nothing else: no subject is touched.

use super::event::{Place, TrialInfo};
use super::secrets::Secrets;
use super::select::Selection;
use super::{names, same_as};
use crate::check::{self, AnyKind, SubjectUse};
use crate::model::address::without_credentials;
use crate::model::value::Value;
use crate::model::{Address, AddressError, Origin, Span};
use crate::spec::args::arguments;
use crate::spec::fields::{Quarantine, Requires, Retry, out_of_range};
use crate::spec::file::{CheckEntry, Condition, SpecFile};
use crate::spec::load::{Settings, load, slug};
use crate::spec::matcher::{self, Matcher, Reading, Reference};
use crate::spec::vars::Row;
use crate::spec::{Diagnostic, Diagnostics, Sources};
use serde_json::Map;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What is asked of a plan.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// Spec files and folders of them.
    pub paths: Vec<PathBuf>,
    /// What relative subjects are relative to; empty for the working directory.
    pub root: PathBuf,
    /// Values that replace those of `vars`; each has to be declared by some spec.
    pub vars: Map<String, Value>,
    /// Values that replace those of `vars` where a spec declares them.
    pub offered: Map<String, Value>,
    /// Values that rows of a matrix have to agree with where they have the same name.
    pub rows: Vec<(String, Value)>,
    /// Which trials run.
    pub selection: Selection,
}

/// Trials, and the sources they stand in.
#[derive(Debug)]
pub struct Plan {
    /// The trials, in the order of files, rows and checks.
    pub trials: Vec<Trial>,
    /// The spec files.
    pub sources: Sources,
    /// Values that reach no output.
    pub secrets: Vec<String>,
    /// What relative subjects are relative to.
    pub root: PathBuf,
}

/// One check with its row of the matrix: one test.
#[derive(Debug)]
pub struct Trial {
    /// What reporters know of it.
    pub info: Arc<TrialInfo>,
    /// Its kind.
    pub kind: KindRef,
    /// The kind's arguments.
    pub args: Value,
    /// Its subject.
    pub subject: Option<Address>,
    /// What is demanded.
    pub matcher: Option<Matcher>,
    /// The fields of the evidence that are asked for; `None` where it is all of them.
    pub wanted: Option<Vec<String>>,
    /// Where its snapshot is kept, if it has one.
    pub snapshot: Option<PathBuf>,
    /// Its conditions, evaluated.
    pub conditions: Vec<Condition>,
    /// The trials that have to pass first, as positions in the plan.
    pub needs: Vec<usize>,
    /// The trials whose evidence its matchers compare with.
    pub compares: Vec<(Reference, usize)>,
    /// What has to be here.
    pub requires: Requires,
    /// How long one try may take.
    pub timeout: Option<Duration>,
    /// How often it is tried.
    pub retry: Option<Retry>,
    /// How long it is tried until it holds.
    pub eventually: Option<Duration>,
    /// Whether its failure is known.
    pub quarantine: Option<Quarantine>,
}

/// A kind; shown by its name.
#[derive(Clone, Copy)]
pub struct KindRef(pub &'static dyn AnyKind);

impl std::fmt::Debug for KindRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// A path is not there or cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// The path as given.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No spec file is there.
    #[error("no spec file (*.yaml) in {0}; a run without a trial proves nothing")]
    NoSpecs(String),
    /// The selection leaves nothing.
    #[error("none of {0} trials is chosen; check --tag, --filter and --partition")]
    NothingChosen(usize),
    /// A variable was given that no spec declares.
    #[error("no spec declares the variable `{name}`; declared: {known}")]
    UnknownVar {
        /// The name given.
        name: String,
        /// The names that could be meant.
        known: String,
    },
    /// Specs are wrong.
    #[error("{} in the specs", count(.diagnostics.len()))]
    Specs {
        /// What is wrong.
        diagnostics: Diagnostics,
        /// Where.
        sources: Sources,
    },
}

fn count(mistakes: usize) -> String {
    match mistakes {
        1 => "1 mistake".into(),
        n => format!("{n} mistakes"),
    }
}

/// Makes the plan of a request.
///
/// # Errors
/// [`PlanError`]; mistakes in specs are all reported at once.
pub fn plan(request: &Request) -> Result<Plan, PlanError> {
    let files = collect(&request.paths)?;
    let settings = Settings {
        vars: request
            .offered
            .iter()
            .chain(&request.vars)
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect(),
        rows: request.rows.clone(),
        env: std::env::vars_os()
            .filter_map(|(k, v)| {
                Some((k.into_string().ok()?, Value::String(v.into_string().ok()?)))
            })
            .collect(),
        kinds: check::KINDS.iter().map(|k| k.name()).collect(),
    };
    let mut builder = Builder {
        request,
        sources: Sources::default(),
        diagnostics: Diagnostics::default(),
        trials: Vec::new(),
        names: HashMap::new(),
        secrets: Vec::new(),
    };
    let mut declared = Vec::new();
    for (path, stem) in &files {
        let file = load(
            path,
            &settings,
            &mut builder.sources,
            &mut builder.diagnostics,
        );
        if let Some(file) = file {
            declared.extend(file.declared_vars.iter().cloned());
            builder.file(file, stem);
        }
    }
    if !builder.diagnostics.is_empty() {
        return Err(PlanError::Specs {
            diagnostics: builder.diagnostics,
            sources: builder.sources,
        });
    }
    if let Some(name) = request.vars.keys().find(|k| !declared.contains(k)) {
        declared.sort();
        declared.dedup();
        return Err(PlanError::UnknownVar {
            name: name.clone(),
            known: declared.join(", "),
        });
    }
    let all = builder.trials.len();
    if all == 0 {
        let paths: Vec<String> = request
            .paths
            .iter()
            .map(|p| p.display().to_string())
            .collect();
        return Err(PlanError::NoSpecs(paths.join(", ")));
    }
    let mut trials = chosen(builder.trials, &request.selection);
    let secrets = Secrets::new(&builder.secrets);
    for trial in &mut trials {
        trial.info = Arc::new(secrets.hide_info(&trial.info));
    }
    if trials.is_empty() {
        return Err(PlanError::NothingChosen(all));
    }
    Ok(Plan {
        trials,
        sources: builder.sources,
        secrets: builder.secrets,
        root: request.root.clone(),
    })
}

/// Finds spec files; each with the first part of its trials' names.
fn collect(paths: &[PathBuf]) -> Result<Vec<(PathBuf, String)>, PlanError> {
    let mut files: Vec<(PathBuf, String)> = Vec::new();
    for path in paths {
        let meta = std::fs::metadata(path).map_err(|source| PlanError::Unreadable {
            path: path.clone(),
            source,
        })?;
        if !meta.is_dir() {
            files.push((path.clone(), names::stem(path, path.parent())));
            continue;
        }
        // A name that starts with `_` is a fragment for `include`, one with `.` is hidden.
        let visible = |e: &walkdir::DirEntry| {
            let name = e.file_name().to_string_lossy();
            e.depth() == 0 || !(name.starts_with('.') || name.starts_with('_'))
        };
        let walk = walkdir::WalkDir::new(path)
            .follow_links(true)
            .sort_by_file_name();
        for entry in walk.into_iter().filter_entry(visible) {
            let entry = entry.map_err(|e| PlanError::Unreadable {
                path: e.path().unwrap_or(path).to_owned(),
                source: e.into(),
            })?;
            let found = entry.path();
            let yaml = found.extension().is_some_and(|e| e == "yaml" || e == "yml");
            if yaml && entry.file_type().is_file() {
                files.push((found.to_owned(), names::stem(found, Some(path))));
            }
        }
    }
    let mut seen = HashSet::new();
    // `specs ./specs` names each file twice, and means it once.
    files.retain(|(path, _)| seen.insert(path.canonicalize().unwrap_or_else(|_| path.clone())));
    Ok(files)
}

/// Keeps the chosen trials and what they need; positions are counted anew.
fn chosen(trials: Vec<Trial>, selection: &Selection) -> Vec<Trial> {
    let mut keep: Vec<bool> = trials
        .iter()
        .map(|t| selection.accepts(&t.info.name, t.info.kind, &t.info.tags))
        .collect();
    if let Some(slice) = selection.partition {
        for (nth, kept) in keep.iter_mut().filter(|k| **k).enumerate() {
            *kept = nth % slice.count == slice.index - 1;
        }
    }
    // A check that needs another is judged only after it: what is needed comes along.
    let mut open: Vec<usize> = (0..trials.len()).filter(|i| keep[*i]).collect();
    while let Some(index) = open.pop() {
        for needed in trials[index].needs.iter().copied() {
            if !std::mem::replace(&mut keep[needed], true) {
                open.push(needed);
            }
        }
    }
    let mut place = HashMap::new();
    for (old, _) in keep.iter().enumerate().filter(|(_, k)| **k) {
        place.insert(old, place.len());
    }
    let mut left = Vec::with_capacity(place.len());
    for (mut trial, _) in trials.into_iter().zip(&keep).filter(|(_, k)| **k) {
        trial.needs.iter_mut().for_each(|n| *n = place[n]);
        trial.compares.iter_mut().for_each(|(_, n)| *n = place[n]);
        left.push(trial);
    }
    left
}

struct Builder<'r> {
    request: &'r Request,
    sources: Sources,
    diagnostics: Diagnostics,
    trials: Vec<Trial>,
    /// The names of trials, each with the file it is from.
    names: HashMap<String, PathBuf>,
    secrets: Vec<String>,
}

impl Builder<'_> {
    fn file(&mut self, file: SpecFile, stem: &str) {
        let before = self.diagnostics.len();
        let mut pending = Vec::new();
        for row in file.rows {
            let about = About {
                path: &file.path,
                title: &file.title,
                stem,
                row: &row.row,
            };
            let trials = row.checks.into_iter().filter_map(|c| self.trial(c, &about));
            pending.extend(trials);
        }
        self.secrets.extend(file.secrets);
        // A check that became no trial has been reported; what refers to it is not wrong as well.
        if self.diagnostics.len() == before {
            let offset = self.trials.len();
            self.resolve(&mut pending, offset);
            self.trials.extend(pending.into_iter().map(|p| p.trial));
        }
    }

    /// Types one check against its kind.
    fn trial(&mut self, entry: CheckEntry, about: &About<'_>) -> Option<Pending> {
        let kind = check::find(&entry.kind)?;
        let mut later = Diagnostics::default();
        let args = arguments(&entry.args, kind.args(), kind.main(), &mut later);
        if let Some(args) = &args
            && let Err(error) = kind.validate(args)
        {
            let mut wrong = out_of_range(&entry.args, &error.message);
            wrong.help = error.remedy;
            later.push(wrong);
        }
        let matcher = match &entry.expect {
            Some(node) => {
                let mut reading = Reading {
                    diagnostics: &mut later,
                    allow_empty: entry.allow_empty,
                };
                matcher::parse(node, kind.evidence(), &mut reading).map(Some)
            }
            None => Some(None),
        };
        self.diagnostics.absorb(later);
        let subject = match (&entry.subject, kind.subject()) {
            (None, SubjectUse::Required) => {
                self.diagnostics.push(
                    Diagnostic::new(entry.kind_span, format!("`{}` has no subject", entry.kind))
                        .help("add `in:` to the check, or `subject:` to the file"),
                );
                return None;
            }
            (Some((text, span)), SubjectUse::Required | SubjectUse::Optional) => {
                match address(text, &self.request.root) {
                    Ok(address) => Some(address),
                    Err(error) => {
                        let diagnostic = Diagnostic::new(*span, error.to_string());
                        self.diagnostics.push(diagnostic.help(error.remedy()));
                        return None;
                    }
                }
            }
            (Some((_, at)), SubjectUse::None) if within(*at, entry.span) => {
                self.diagnostics.push(
                    Diagnostic::new(*at, format!("`{}` looks at no subject", entry.kind))
                        .help("remove `in:`, or hand it over as an argument"),
                );
                return None;
            }
            (None, SubjectUse::Optional) | (_, SubjectUse::None) => None,
        };
        let name = format!("{}::{}{}", about.stem, slug(&entry.name), about.row.label());
        // Within a file the reader of specs has said so already.
        let other = self.names.insert(name.clone(), about.path.to_owned());
        if other.is_some_and(|other| other != about.path) {
            self.diagnostics.push(
                Diagnostic::new(entry.span, format!("two trials are named `{name}`"))
                    .help("give one of them another name"),
            );
        }
        let info = TrialInfo {
            name,
            spec: about.title.to_owned(),
            check: entry.name.clone(),
            kind: kind.name(),
            subject: subject.as_ref().map(Address::to_string),
            tags: entry.tags,
            matrix: about.row.0.clone(),
            place: place(&self.sources, entry.span),
        };
        let snapshot = entry
            .snapshot
            .then(|| names::snapshot(about.path, &info.name));
        let matcher = matcher?;
        let mut wanted = Vec::new();
        let partial = matcher.as_ref().is_some_and(|m| m.fields(&mut wanted)) && !entry.snapshot;
        let trial = Trial {
            wanted: partial.then_some(wanted),
            info: Arc::new(info),
            kind: KindRef(kind),
            args: args?,
            subject,
            matcher,
            snapshot,
            conditions: entry.conditions,
            needs: Vec::new(),
            compares: Vec::new(),
            requires: entry.requires,
            timeout: entry.timeout,
            retry: entry.retry,
            eventually: entry.eventually,
            quarantine: entry.quarantine,
        };
        Some(Pending {
            trial,
            id: entry.id,
            needs: entry.needs,
            row: about.row.clone(),
            span: entry.span,
        })
    }

    /// Turns ids into positions in the plan, within a row and, for `same-as`, across rows.
    fn resolve(&mut self, pending: &mut [Pending], offset: usize) {
        for at in 0..pending.len() {
            let mut needs = Vec::new();
            let mut compares = Vec::new();
            let asking = &pending[at];
            for (need, _) in &asking.needs {
                let wanted = |p: &Pending| p.row == asking.row && p.id.as_ref() == Some(need);
                // One that needs itself has been reported.
                needs.extend(pending.iter().position(wanted).filter(|found| *found != at));
            }
            let mut references = Vec::new();
            if let Some(matcher) = &asking.trial.matcher {
                matcher.references(&mut references);
            }
            for reference in references {
                match find_row(pending, asking, reference) {
                    Some(found) => {
                        let evidence = pending[found].trial.kind.0.evidence();
                        if let Some(wrong) = same_as::misses(reference, evidence) {
                            self.diagnostics.push(wrong);
                        }
                        needs.push(found);
                        compares.push((reference.clone(), found + offset));
                    }
                    None => {
                        let known = pending.iter();
                        let known = known.filter_map(|p| Some((p.id.as_deref()?, p.row.label())));
                        self.diagnostics.push(same_as::unknown(reference, known));
                    }
                }
            }
            // What another check compares with is not known from its own matchers.
            for (_, other) in &compares {
                pending[*other - offset].trial.wanted = None;
            }
            pending[at].trial.needs = needs;
            pending[at].trial.compares = compares;
        }
        self.circles(pending);
        for p in pending {
            p.trial.needs.sort_unstable();
            p.trial.needs.dedup();
            p.trial.needs.iter_mut().for_each(|n| *n += offset);
        }
    }

    /// Reports checks that wait for themselves.
    fn circles(&mut self, pending: &[Pending]) {
        for start in 0..pending.len() {
            let mut open = pending[start].trial.needs.clone();
            let mut seen = HashSet::new();
            while let Some(next) = open.pop() {
                if next == start {
                    self.diagnostics.push(
                        Diagnostic::new(
                            pending[start].span,
                            format!("`{}` waits for itself", pending[start].trial.info.check),
                        )
                        .help("the checks it needs need it; remove one `needs` or `same-as`"),
                    );
                    break;
                }
                if seen.insert(next) {
                    open.extend(&pending[next].trial.needs);
                }
            }
        }
    }
}

/// Finds the check a reference names, in the asking row or the row it names.
fn find_row(pending: &[Pending], asking: &Pending, reference: &Reference) -> Option<usize> {
    let text = |v: &Value| match v {
        Value::String(s) => s.clone(),
        other => other.to_string(),
    };
    // A name that no row has names no row; it must not fall back on the asking one.
    let has = |p: &Pending, name: &str| p.row.0.iter().any(|(n, _)| n == name);
    let fits = |p: &Pending| {
        reference.row.iter().all(|(name, _)| has(p, name))
            && p.row.0.iter().all(|(name, value)| {
                let named = reference.row.iter().find(|(n, _)| n == name);
                match named {
                    Some((_, wanted)) => text(value) == *wanted,
                    None => asking.row.0.iter().any(|(n, v)| n == name && v == value),
                }
            })
    };
    pending
        .iter()
        .position(|p| p.id.as_deref() == Some(&reference.check) && fits(p))
}

fn within(inner: Span, outer: Span) -> bool {
    inner.source == outer.source && outer.start <= inner.start && inner.end <= outer.end
}

/// Makes a place out of a span.
pub(super) fn place(sources: &Sources, span: Span) -> Place {
    Place {
        file: sources.path(span.source).display().to_string(),
        line: span.line,
        column: span.column,
        text: without_credentials(sources.line(span).trim()),
    }
}

struct About<'a> {
    path: &'a Path,
    title: &'a str,
    stem: &'a str,
    row: &'a Row,
}

/// A trial whose references to others are still names.
struct Pending {
    trial: Trial,
    id: Option<String>,
    needs: Vec<(String, Span)>,
    row: Row,
    span: Span,
}

/// Reads an address; one on disk begins at `root`.
fn address(text: &str, root: &Path) -> Result<Address, AddressError> {
    let address = Address::parse(text)?;
    Ok(match address.origin() {
        Origin::Disk => {
            let source = root.join(address.source()).to_string_lossy().into_owned();
            address.with_source(source)
        }
        Origin::Http | Origin::Registry => address,
    })
}
