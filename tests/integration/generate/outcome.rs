//! The outcome for programs: one document, whatever became of the loop.

use super::packaging::project;
use crate::world::{Ran, World};
use serde_json::Value;
use std::fs;

fn document(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
}

/// A project that is not green, with a remedy.
fn remedied(script: &str) -> World {
    let world = World::new();
    project(
        world.path(),
        "\techo other > out/one\n\techo 2 > out/sub/two\n\techo t > out/tool\n",
    );
    world.write(
        "specs/a.yaml",
        "spec: a\nchecks:\n  - name: one\n    file: _out/assets/one\n    expect: { text: { match: one } }\n",
    );
    world.write("remedy", format!("#!/bin/sh\n{script}\n"));
    world.mode("remedy", 0o755);
    let path = world.path().join("tdg.yaml");
    let recipe = fs::read_to_string(&path).unwrap();
    let iterate = "iterate: { red-first: false, remedies: [{ run: { argv: [./remedy], env: [API_TOKEN] } }] }\n";
    fs::write(path, recipe + iterate).unwrap();
    world
}

const JSON: &[&str] = &["generate", "--format", "json"];

#[test]
fn a_breach_of_the_bounds_is_told_with_all_that_is_known() {
    let world = remedied("echo >>specs/a.yaml");
    let ran = world.tdg(JSON);
    let told = document(&ran);
    assert_eq!(
        (ran.code, &told["version"], &told["exit_code"]),
        (4, &1.into(), &4.into())
    );
    assert_eq!(told["error"]["kind"], "out-of-bounds");
    let message = told["error"]["message"].as_str().unwrap();
    assert!(
        message.contains(
            "the remedy `./remedy` went out of its bounds: specs/a.yaml was changed (undone)"
        ),
        "{message}"
    );
    assert!(ran.stderr.contains(message), "{ran:?}");
    // No program that looks at the ends alone takes it for green.
    let variant = &told["variants"][0];
    assert_eq!(
        (&variant["variant"], &variant["end"]),
        (&"default".into(), &"failed".into())
    );
    assert_eq!(variant["attempts"], 1);
    assert!(
        variant["why"].as_str().unwrap().contains(message),
        "{variant}"
    );
    let failure = &variant["failures"][0];
    assert_eq!(failure["trial"], "a::one");
    assert_eq!(failure["evidence"]["truncated"], false);
    assert_eq!(failure["evidence"]["value"]["text"], "other\n", "{failure}");
    assert_eq!(variant["remedies"][0]["end"], "refused");
}

#[test]
fn what_came_to_its_end_has_no_error() {
    let told = document(&remedied("true").tdg(JSON));
    assert_eq!(
        (&told["error"], &told["exit_code"]),
        (&Value::Null, &1.into())
    );
    assert_eq!(told["variants"][0]["end"], "stuck");
}

#[test]
fn what_never_began_is_told_too() {
    let world = remedied("true");
    let told = document(&world.tdg(&[JSON, &["--variant", "nobody"]].concat()));
    assert_eq!(
        (&told["error"]["kind"], &told["exit_code"]),
        (&"no-variant".into(), &2.into())
    );
    assert_eq!(told["variants"], Value::Array(Vec::new()));
    world.write("specs/a.yaml", "spec: a\nchecks: [{ nme: x }]\n");
    let ran = world.tdg(JSON);
    let told = document(&ran);
    assert_eq!((&told["error"]["kind"], ran.code), (&"specs".into(), 3));
    assert!(
        told["error"]["message"]
            .as_str()
            .unwrap()
            .contains("specs/a.yaml"),
        "{told}"
    );
}

#[test]
fn a_secret_in_a_name_that_breaks_out_shows_nowhere() {
    let secret = "hunter2-is-no-secret";
    let world = remedied("echo >notes-$API_TOKEN.txt");
    let mut command = world.command(&[JSON, &["--summary", "page.md"]].concat());
    let ran = crate::world::ran(command.env("API_TOKEN", secret));
    assert_eq!(ran.code, 4, "{ran:?}");
    assert!(
        ran.stdout
            .contains("notes-***.txt was added (left as it is)"),
        "{ran:?}"
    );
    let journal = fs::read_to_string(world.path().join(".tdg/journal.jsonl")).unwrap();
    let page = fs::read_to_string(world.path().join("page.md")).unwrap();
    for (place, text) in [
        ("out", &ran.stdout),
        ("err", &ran.stderr),
        ("journal", &journal),
        ("page", &page),
    ] {
        assert!(!text.contains(secret), "{place}: {text}");
    }
}

#[test]
fn a_dry_run_is_a_document_too() {
    let world = remedied("true");
    let told = document(&world.tdg(&[JSON, &["--dry-run"]].concat()));
    assert_eq!(
        (&told["version"], &told["interrupted"]),
        (&1.into(), &false.into())
    );
    let stage = &told["variants"][0]["stages"][2];
    assert_eq!(
        (&stage["stage"], &stage["due"], &stage["what"][0]),
        (&"build".into(), &true.into(), &"make".into())
    );
    assert!(!world.path().join(".tdg").exists());
}

#[test]
fn what_a_failed_check_saw_is_told_within_bounds() {
    // A remedy gets what the outcome has; the journal keeps none of it.
    let world = remedied("cat >$TDG_SCRATCH/told.json; false");
    let text = "x".repeat(100_000);
    world.write("upstream/large", &text);
    for arguments in [
        &["add", "."][..],
        &["commit", "-qm", "large"],
        &["tag", "-f", "v1"],
    ] {
        super::world::git(&world.path().join("upstream"), arguments);
    }
    let path = world.path().join("tdg.yaml");
    let recipe = fs::read_to_string(&path).unwrap();
    fs::write(
        &path,
        recipe.replace("steps: [make]", "steps: [make, cp large out/one]"),
    )
    .unwrap();
    world.write("specs/a.yaml", "spec: a\nchecks:\n  - name: one\n    file: _out/assets/one\n    expect: { text: { match: one }, size: 100000 }\n");
    let told = document(&world.tdg(JSON));
    let failure = &told["variants"][0]["failures"][0];
    let place = ".tdg/remedy/default/scratch/told.json";
    let remedy = fs::read_to_string(world.path().join(place)).unwrap();
    let remedy: Value = serde_json::from_str(&remedy).unwrap();
    assert_eq!(&remedy["failures"][0], failure);
    let evidence = &failure["evidence"];
    assert_eq!(evidence["truncated"], true, "{told}");
    assert_eq!(evidence["value"]["size"], 100_000);
    let seen = evidence["value"]["text"].as_str().unwrap();
    assert!(
        seen.starts_with("xxxx") && seen.contains("more characters"),
        "{seen}"
    );
    assert!(evidence.to_string().len() < 16 << 10);
    let journal = fs::read_to_string(world.path().join(".tdg/journal.jsonl")).unwrap();
    assert!(!journal.contains("xxxxx"));
}

#[test]
fn a_link_to_what_never_ends_is_not_waited_for() {
    let world = remedied("true");
    let path = world.path().join("tdg.yaml");
    let recipe = fs::read_to_string(&path).unwrap();
    let step = "{ sh: 'make; mkfifo pipe; ln -s $PWD/pipe ../../../specs/note' }";
    fs::write(
        &path,
        recipe.replace("steps: [make]", &format!("steps: [{step}]")),
    )
    .unwrap();
    let tdg = world.command(JSON);
    let mut command = std::process::Command::new("timeout");
    command
        .arg("30")
        .arg(tdg.get_program())
        .args(tdg.get_args());
    let ran = crate::world::ran(command.current_dir(world.path()).env("TDG_CACHE", "off"));
    let told = document(&ran);
    assert_eq!(told["error"]["kind"], "law-broken", "{told}");
    let message = told["error"]["message"].as_str().unwrap();
    assert!(
        message.contains("the build changed what decides: specs/note was added"),
        "{message}"
    );
}
