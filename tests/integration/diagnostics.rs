//! Every mistake a spec can hold is said in one diagnostic, at its place; none is a pass, a skip
//! or a panic.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;
use tdg::run::PlanError;
use tdg::run::plan::{Request, plan};
use tdg::run::select::Selection;
use tdg::run::text::plan_error;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn bad() -> PathBuf {
    root().join("fixtures/specs/bad")
}

fn request(path: impl Into<PathBuf>) -> Request {
    Request {
        paths: vec![path.into()],
        root: root().to_owned(),
        ..Request::default()
    }
}

/// Plans one bad spec; gives what is said of it, with paths from the fixture's folder on.
fn said(path: &Path) -> String {
    match plan(&request(path)) {
        Ok(_) => panic!("{} is taken for a good spec", path.display()),
        Err(error @ PlanError::Specs { .. }) => {
            let text = plan_error(&error, false);
            text.replace(&format!("{}/", bad().display()), "")
        }
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

fn fixtures() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(bad())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    found.sort();
    found
}

#[test]
fn each_mistake_is_said_at_its_place() {
    insta::glob!("../../fixtures/specs/bad", "*.yaml", |path| {
        insta::assert_snapshot!(said(path));
    });
}

#[test]
fn every_snapshot_has_its_fixture() {
    let folder = root().join("tests/integration/snapshots");
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let stored: BTreeSet<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| name(&entry.unwrap().path()))
        .filter_map(|name| {
            let (_, fixture) = name.split_once("each_mistake_is_said_at_its_place@")?;
            Some(fixture.strip_suffix(".snap")?.to_owned())
        })
        .collect();
    let fixtures: BTreeSet<String> = fixtures().iter().map(|path| name(path)).collect();
    assert_eq!(stored, fixtures);
}

#[test]
fn a_mistake_has_a_place_a_remedy_and_one_voice() {
    for path in fixtures() {
        let Err(PlanError::Specs {
            diagnostics,
            sources,
        }) = plan(&request(&path))
        else {
            panic!("{} is taken for a good spec", path.display())
        };
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        for d in diagnostics.sorted() {
            let text = sources.text(d.span.source);
            assert!(d.span.line >= 1 && d.span.column >= 1, "{name}: {d:?}");
            assert!(d.span.start <= d.span.end, "{name}: {d:?}");
            assert!(
                text.get(d.span.start..d.span.end).is_some(),
                "{name}: {d:?}"
            );
            assert!(!d.message.ends_with('.'), "{name}: {}", d.message);
            let first = d.message.chars().next().unwrap();
            assert!(!first.is_uppercase(), "{name}: {}", d.message);
        }
        // One mistake a file, unless its name says otherwise or it comes twice.
        let several = [
            "several",
            "twice",
            "circle",
            "yaml-1-1",
            "matrix",
            "wrong-type",
            "words",
            "stands",
        ];
        if !several.iter().any(|word| name.contains(word)) {
            assert_eq!(diagnostics.len(), 1, "{name}: {:#?}", diagnostics.sorted());
        }
    }
}

/// Messages that no file can bring about; each with the reason.
const UNSEEN: &[(&str, &str)] = &[
    (
        "not valid YAML here",
        "the parser reports its own faults first",
    ),
    ("it is larger than 16 MiB", "too large a fixture"),
    (
        "two trials are named `{name}`",
        "takes two files: the test below",
    ),
];

/// Reads the messages out of the source, so that a new diagnostic has to bring its fixture.
#[test]
fn every_message_of_the_reader_has_a_fixture() {
    let made = Regex::new(concat!(
        r#"(?s)(?:Diagnostic::new\(\s*(?:Span \{.*?\},|[^,()]*(?:\([^()]*\))?[^,()]*,)\s*(?:format!\(\s*)?"#,
        r#"|let message =\s*(?:format!\(\s*)?|self\.report\([^"]*?)"((?:[^"\\]|\\.)*)""#
    ))
    .unwrap();
    let all: String = fixtures().iter().map(|path| said(path)).collect();
    let mut missing = BTreeSet::new();
    let mut messages = BTreeSet::new();
    let mut sources: Vec<PathBuf> = walkdir::WalkDir::new(root().join("src/spec"))
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .collect();
    sources.push(root().join("src/run/plan.rs"));
    for path in sources {
        let text = fs::read_to_string(&path).unwrap();
        let text = crate::source::without_tests(&text);
        for found in made.captures_iter(text) {
            messages.insert(found[1].to_owned());
        }
    }
    assert!(
        messages.len() > 60,
        "only {} messages: {messages:#?}",
        messages.len()
    );
    let hole = Regex::new(r"\\\{[^}]*\\\}").unwrap();
    for message in messages {
        let plain = message.replace("\\\"", "\"");
        let pattern = hole.replace_all(&regex::escape(&plain), ".*").into_owned();
        if pattern.replace(".*", "").trim().len() < 4 {
            continue;
        }
        let seen = Regex::new(&pattern).unwrap().is_match(&all);
        let excused = UNSEEN.iter().any(|(unseen, _)| *unseen == message);
        if !seen && !excused {
            missing.insert(message);
        }
    }
    assert!(missing.is_empty(), "no fixture shows: {missing:#?}");
}

#[test]
fn a_run_that_has_nothing_to_run_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let text = |request: &Request| {
        let error = plan(request).unwrap_err();
        let text = plan_error(&error, false);
        text.replace(&dir.path().display().to_string(), "DIR")
    };
    let missing = text(&request(dir.path().join("nowhere")));
    let empty = text(&request(dir.path()));
    let spec = dir.path().join("a.yaml");
    fs::write(
        &spec,
        "spec: x\nvars: { assets: a }\nchecks:\n  - { name: n, file: a, expect: { present: true } }\n",
    )
    .unwrap();
    let mut chosen = request(&spec);
    chosen.selection = Selection {
        tags: vec!["nowhere".into()],
        ..Selection::default()
    };
    let chosen = text(&chosen);
    let mut var = request(&spec);
    var.vars.insert("asets".into(), "x".into());
    let var = text(&var);
    insta::assert_snapshot!([missing, empty, chosen, var].concat(), @r"
    error: cannot read DIR/nowhere: No such file or directory (os error 2)
    error: no spec file (*.yaml) in DIR; a run without a trial proves nothing
    error: none of 1 trials is chosen; check --tag, --filter and --partition
    error: no spec declares the variable `asets`; declared: assets
    ");
}

#[test]
fn a_name_that_another_file_has_taken_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let text = "spec: x\nchecks:\n  - { name: n, file: a, expect: { present: true } }\n";
    for part in ["a", "b"] {
        let folder = dir.path().join(part).join("specs");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("x.yaml"), text).unwrap();
    }
    let said = plan_error(&plan(&request(dir.path())).unwrap_err(), false);
    insta::assert_snapshot!(said.replace(&dir.path().display().to_string(), "DIR"), @r"
    error: two trials are named `x::n`
     --> DIR/b/specs/x.yaml:3:5
      |
    3 |   - { name: n, file: a, expect: { present: true } }
      |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      |
      = help: give one of them another name

    1 mistake in the specs
    ");

    // One file by two ways is one file.
    let mut twice = request(dir.path().join("a"));
    twice.paths.push(dir.path().join("a/specs/../specs/x.yaml"));
    assert_eq!(plan(&twice).unwrap().trials.len(), 1);
}

#[test]
fn a_folder_with_one_bad_spec_has_no_plan_at_all() {
    let dir = tempfile::tempdir().unwrap();
    let good = "spec: x\nchecks:\n  - { name: n, file: a, expect: { present: true } }\n";
    fs::write(dir.path().join("a.yaml"), good).unwrap();
    fs::write(dir.path().join("b.yaml"), good.replace("present", "presnt")).unwrap();
    fs::write(dir.path().join("_fragment.yaml"), "broken: [").unwrap();
    fs::write(dir.path().join(".hidden.yaml"), "broken: [").unwrap();
    assert!(matches!(
        plan(&request(dir.path())),
        Err(PlanError::Specs { .. })
    ));
    fs::remove_file(dir.path().join("b.yaml")).unwrap();
    assert_eq!(plan(&request(dir.path())).unwrap().trials.len(), 1);
}
