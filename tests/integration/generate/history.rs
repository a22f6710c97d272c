//! `--history`, how long a stage is expected to take, and room on the disk, through the program.

use super::world::{World, patch, recipe};
use std::process::Command;

pub(super) const SPEC: &str = "\
spec: The image
checks:
  - { name: it is arm64, file: _out/assets/image, expect: { text: { match: arm64 } } }
";

pub(super) fn world() -> World {
    let world = World::new();
    std::fs::remove_file(world.path("project/specs/a.spec")).unwrap();
    world.write("project/specs/a.yaml", SPEC);
    world
}

/// Runs `tdg generate` with arguments; gives its exit code and what it printed.
pub(super) fn tdg(world: &World, arguments: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_tdg"))
        .arg("generate")
        .args(arguments)
        .current_dir(world.path("project"))
        .env("RUNS", world.path("runs"))
        .env("SLOW", ":")
        .output()
        .unwrap();
    let said = [&output.stdout, &output.stderr].map(|s| String::from_utf8_lossy(s).into_owned());
    (output.status.code().unwrap(), said.concat())
}

#[test]
fn the_history_tells_each_loop_with_its_stages_and_digests() {
    let world = world();
    assert_eq!(
        tdg(&world, &["--history"]),
        (0, "no loop has run here yet\n".into())
    );
    assert!(!world.path("project/.tdg").exists(), "it touches nothing");
    world.write("project/patches/01.patch", &patch("amd64", "mips"));
    assert_eq!(tdg(&world, &[]).0, 1);
    world.write("project/patches/01.patch", &patch("amd64", "arm64"));
    assert_eq!(tdg(&world, &[]).0, 0);
    assert_eq!(tdg(&world, &[]).0, 0);

    let (code, said) = tdg(&world, &["--history"]);
    assert_eq!(code, 0);
    let (newest, rest) = said.split_once("\n\n").unwrap();
    assert!(newest.starts_with("loop 3, test, 20"), "{said}");
    assert!(newest.contains("default: green, unchanged"), "{said}");
    let (second, first) = rest.split_once("\n\n").unwrap();
    assert!(second.contains("attempt 1: patch "), "{said}");
    let digest = tdg::model::Sha256Digest::of(b"arm64\n");
    assert!(
        second.contains(&format!("_out/assets/image  6 B  sha256:{digest}")),
        "{said}"
    );
    assert!(first.contains("verify RED"), "{said}");

    let (_, said) = tdg(&world, &["--history=2", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(document["version"], 1);
    let loops = document["loops"].as_array().unwrap();
    assert_eq!(loops.len(), 2);
    assert_eq!(loops[1]["variants"][0]["end"], "green");
    let stages = loops[1]["variants"][0]["attempts"][0]["stages"]
        .as_array()
        .unwrap();
    let names: Vec<&str> = stages
        .iter()
        .map(|s| s["stage"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["patch", "build", "collect", "verify"]);
    for stage in stages {
        assert_eq!(stage["end"], "done");
        assert!(
            stage["duration_s"].as_f64().is_some_and(|s| s >= 0.0),
            "{stage}"
        );
        assert_eq!(stage["inputs"].as_str().unwrap().len(), 64, "{stage}");
    }
    assert_eq!(stages[2]["files"][0]["sha256"], digest.to_string());
    assert_eq!(stages[3]["passed"], 1);

    // A line that is missing is told; a recipe that is wrong keeps nobody from reading.
    let journal = world.read("project/.tdg/journal.jsonl");
    let left: Vec<&str> = journal
        .lines()
        .enumerate()
        .filter(|(n, _)| *n != 3)
        .map(|l| l.1)
        .collect();
    world.write(
        "project/.tdg/journal.jsonl",
        &format!("{}\n", left.join("\n")),
    );
    world.write("project/tdg.yaml", "recipe: [");
    let (code, said) = tdg(&world, &["--history"]);
    assert_eq!(code, 0);
    assert!(
        said.contains("the journal does not say all that happened"),
        "{said}"
    );
}

#[test]
fn a_stage_that_took_long_is_told_with_what_it_usually_takes() {
    let world = world();
    assert_eq!(tdg(&world, &[]).0, 0);
    // What took milliseconds took an hour: only the journal knows.
    let journal = world.read("project/.tdg/journal.jsonl");
    let mut lines: Vec<serde_json::Value> = journal
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    for line in &mut lines {
        let record = &line["record"];
        let place =
            ["stage-started", "stage-finished"].map(|name| record[name]["stage"] == "build");
        match place {
            [true, _] => line["at"] = "2026-01-02T03:00:00Z".into(),
            [_, true] => line["at"] = "2026-01-02T04:05:00Z".into(),
            [false, false] => {}
        }
    }
    let text: String = lines.iter().map(|l| format!("{l}\n")).collect();
    world.write("project/.tdg/journal.jsonl", &text);
    let (code, said) = tdg(&world, &["--from", "build"]);
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("  build    usually takes 1 h 05 m\n"),
        "{said}"
    );
    assert_eq!(said.matches("usually takes").count(), 1, "{said}");
}

#[test]
fn a_build_that_has_no_room_does_not_begin() {
    let world = world();
    let with = |space: &str| {
        let text = recipe("[make]", "iterate: { remedies: [{ run: [./remedy] }] }\n");
        text.replace(
            "  timeout: 60s",
            &format!("  timeout: 60s\n  space: {space}"),
        )
    };
    world.remedy("touch \"$RUNS.remedied\"", "");
    world.write("project/tdg.yaml", &with("8000 TiB"));
    let (code, said) = tdg(&world, &[]);
    assert_eq!(code, 4, "{said}");
    let asks = "`build.space` asks for 7.8 PiB, and ";
    assert!(
        said.contains(asks) && said.contains(" are free at .tdg: free "),
        "{said}"
    );
    assert_eq!(world.runs(), 0, "no step ran");
    assert!(!world.path("runs.remedied").exists(), "no patch makes room");
    // Changing how much is asked for makes no other image.
    world.write("project/tdg.yaml", &with("1 MiB"));
    assert_eq!(tdg(&world, &["--accept-specs"]).0, 0);
    world.write("project/tdg.yaml", &with("2 MiB"));
    let (code, said) = tdg(&world, &[]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(world.runs(), 1);
    world.write("project/tdg.yaml", &with("lots"));
    let (code, said) = tdg(&world, &[]);
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("`space` is a size"), "{said}");
}
