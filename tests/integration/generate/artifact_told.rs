//! What is told of an artifact that is not served, and how much of it is looked at.

use std::process::Command;

use serde_json::json;
use tdg::format::in_toto::{STATEMENT, TEST_RESULT};

use super::artifact::{artifact, command, green, passed, refused, verdict, world};
use crate::serving::Serving;

#[test]
fn so_many_statements_are_looked_at_and_no_more() {
    let (_world, layout) = world();
    let it = artifact(&layout, &[("vmlinuz", b"kernel")]);
    let sha256 = it["digest"].as_str().unwrap().replace("sha256:", "");
    let statement = |number: usize| {
        layout.document(
            STATEMENT,
            &json!({
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{ "name": number.to_string(), "digest": { "sha256": sha256 } }],
                "predicateType": TEST_RESULT,
                "predicate": passed(),
            }),
        )
    };
    let attached = |layers: Vec<_>| {
        let config = layout.blob("application/vnd.oci.empty.v1+json", b"{}");
        let manifest = layout.manifest(&json!({
            "schemaVersion": 2, "artifactType": STATEMENT, "config": config,
            "layers": layers, "subject": it,
        }));
        layout.index(&[it.clone(), manifest]);
    };
    attached((0..257).map(statement).collect());
    let (code, said) = refused(&layout, &[]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("more statements are attached to it than are looked at (256,"),
        "{said}"
    );
    // One that comes again is one.
    attached(vec![statement(0); 300]);
    let serving = Serving::start(command(layout.path(), &[]));
    serving.event("note", |event| {
        event["text"] == "1 check holds, says a statement, unsigned"
    });
}

#[test]
fn what_became_of_a_layout_is_told_without_its_place() {
    let (_world, layout) = world();
    let it = artifact(&layout, &[("vmlinuz", b"kernel")]);
    green(&layout, &it);
    let place = layout.path().to_str().unwrap();
    for folder in [".", place] {
        green(&layout, &it);
        let mut here = command(folder.as_ref(), &[]);
        here.current_dir(layout.path());
        let serving = Serving::start(here);
        assert_eq!(serving.get("/assets/vmlinuz").text(), "kernel");
        let failed = json!({ "result": "FAILED", "passedTests": ["a"], "failedTests": ["b.c"] });
        layout.index(&[it.clone(), verdict(&layout, &it, &it, failed)]);
        let answer = serving.until("/assets/vmlinuz", 503);
        assert_eq!(
            answer.text(),
            "not served now: the artifact is not green: the verdict attached to it is FAILED (b.c)\n"
        );
        let told = serving.event("verdict", |event| event["green"] == false);
        let why = told["why"].as_str().unwrap();
        assert!(why.starts_with(&format!("{folder} is not green")), "{why}");
        layout.index(&[]);
        let begin = std::time::Instant::now();
        loop {
            let text = serving.get("/assets/vmlinuz").text();
            if !text.contains("not green") {
                assert!(!text.contains(place), "{text}");
                break;
            }
            assert!(begin.elapsed() < std::time::Duration::from_secs(30));
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
    }
}

#[test]
fn groups_that_come_later_are_no_assets() {
    let (_world, layout) = world();
    let plain = artifact(&layout, &[("vmlinuz", b"kernel")]);
    green(&layout, &plain);
    let serving = Serving::start(command(layout.path(), &[]));
    assert_eq!(serving.get("/assets/vmlinuz").text(), "kernel");
    let group = br#"{"profile": "p", "metadata": {"secret": "s"}}"#;
    let grouped = artifact(&layout, &[("vmlinuz", b"kernel"), ("groups/g.json", group)]);
    green(&layout, &grouped);
    let answer = serving.until("/assets/groups/g.json", 503);
    assert!(
        answer.text().contains("start tdg serve again"),
        "{}",
        answer.text()
    );
    for target in [
        "/assets/",
        "/assets/groups/",
        "/ipxe",
        "/metadata",
        "/grub.cfg",
    ] {
        assert_eq!(serving.get(target).status, 503, "{target}");
    }
    green(&layout, &plain);
    serving.until("/assets/vmlinuz", 200);
}

#[test]
fn an_artifact_of_many_files_has_room() {
    let (_world, layout) = world();
    let names: Vec<_> = (0..200).map(|number| format!("file{number}")).collect();
    let files: Vec<_> = names
        .iter()
        .map(|name| (name.as_str(), name.as_bytes()))
        .collect();
    green(&layout, &artifact(&layout, &files));
    let mut few = Command::new("sh");
    few.args(["-c", "ulimit -Sn 100; exec \"$0\" \"$@\""]);
    let all = command(layout.path(), &[]);
    few.arg(all.get_program()).args(all.get_args());
    let serving = Serving::start(few);
    assert_eq!(serving.get("/assets/file199").text(), "file199");
}
