//! Secrets that a remedy prints, writes or hides: none of them gets out.

use super::world::{Told, World, patch};
use base64::Engine;
use std::fs;
use std::time::{Duration, Instant};
use tdg::generate::RemedyEnd;

/// Every place tdg writes to, and what it says.
fn leaks(world: &World, told: &Told, forms: &[String]) -> Vec<String> {
    let mut found = Vec::new();
    let mut look = |place: String, bytes: &[u8]| {
        for form in forms {
            if bytes.windows(form.len()).any(|w| w == form.as_bytes()) {
                found.push(format!("{place}: {form}"));
            }
        }
    };
    for folder in [
        ".tdg/logs",
        ".tdg/journal.jsonl",
        ".tdg/records",
        "patches",
        "stdin.json",
    ] {
        for entry in walkdir::WalkDir::new(world.project().join(folder))
            .into_iter()
            .flatten()
        {
            if entry.file_type().is_file() {
                look(
                    entry.path().display().to_string(),
                    &fs::read(entry.path()).unwrap(),
                );
            }
        }
    }
    look("told".into(), world.read("told.json").as_bytes());
    look("events".into(), told.lines.join("\n").as_bytes());
    look("outcome".into(), format!("{:?}", told.result).as_bytes());
    found
}

const SECRET: &str = "hunter2-is/no+secret?";

/// Gives the forms of the secret that are looked for.
fn forms() -> Vec<String> {
    vec![
        SECRET.into(),
        base64::engine::general_purpose::STANDARD.encode(SECRET),
        SECRET.bytes().map(|b| format!("{b:02x}")).collect(),
        "hunter2-is%2Fno%2Bsecret%3F".into(),
    ]
}

fn with_secret(script: &str, steps: &str) -> World {
    let world = World::mended_by(script);
    let iterate = "iterate:\n  remedies: [{ run: [./remedy] }]\n";
    world.recipe(steps, iterate);
    world.in_recipe("[RUNS, SLOW]", &format!("{{ API_TOKEN: '{SECRET}' }}"));
    world
}

#[test]
fn a_secret_that_is_printed_shows_nowhere() {
    let world = with_secret(
        "cat >../told.json; echo \"$API_TOKEN\"; printf %s \"$API_TOKEN\" | base64; \
         printf %s \"$API_TOKEN\" | od -An -tx1 | tr -d ' \\n'; echo; \
         echo hunter2-is%2Fno%2Bsecret%3F >&2; sed -i s/armv7/arm64/ patches/01.patch",
        "[{ sh: 'echo building with $API_TOKEN' }, make]",
    );
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "green", 2)]);
    assert_eq!(leaks(&world, &told, &forms()), Vec::<String>::new());
    assert!(
        told.did()
            .why
            .contains("its output had a secret in 4 lines, replaced by ***"),
        "{:?}",
        told.did()
    );
    assert!(world.read("told.json").contains("building with ***"));
    assert!(told.says("> ***"));
}

#[test]
fn a_secret_in_what_the_specs_saw_is_not_told() {
    let world = with_secret("cat >../told.json", "[make]");
    world.makes(SECRET);
    let told = world.run();
    assert_eq!(told.ends()[0].1, "stuck");
    assert!(
        world.read("told.json").contains("\"actual\":\"***\""),
        "{}",
        world.read("told.json")
    );
    assert!(!world.read("told.json").contains("hunter2"));
    // Nor to anybody else: not in the outcome, nor in what is kept of it.
    let mut found = leaks(&world, &told, &forms());
    // But for the patch that this test has put it into.
    found.retain(|place| !place.contains("patches/01.patch"));
    assert_eq!(found, Vec::<String>::new());
    let kept = world.read("project/.tdg/best/default/attempt-1/attempt.json");
    assert!(kept.contains("***") && !kept.contains("hunter2"), "{kept}");
}

#[test]
fn a_patch_with_a_secret_is_refused() {
    for (script, what) in [
        (
            "echo \"$API_TOKEN\" >$TDG_WORKTREE/x",
            "x contains the secret API_TOKEN",
        ),
        (
            "printf 'a%s' \"$API_TOKEN\" | base64 >$TDG_WORKTREE/x",
            "x contains the secret API_TOKEN",
        ),
        (
            "printf '\\000%s\\000' \"$API_TOKEN\" >$TDG_WORKTREE/x",
            "x contains the secret API_TOKEN",
        ),
        (
            "ln -s \"$(printf %s \"$API_TOKEN\" | base64)\" $TDG_WORKTREE/x",
            "x contains the secret API_TOKEN",
        ),
        (
            "touch $TDG_WORKTREE/$(printf %s \"$API_TOKEN\" | od -An -tx1 | tr -d ' \\n')",
            "a file's name contains the secret API_TOKEN",
        ),
        (
            "sed -i \"s#+armv7#+$API_TOKEN#\" patches/01.patch",
            "patches/01.patch contains the secret API_TOKEN",
        ),
        (
            "echo \"$API_TOKEN\" >patches/note.txt",
            "patches/note.txt contains the secret API_TOKEN",
        ),
        (
            "touch patches/$(printf %s \"$API_TOKEN\" | od -An -tx1 | tr -d ' \\n').patch",
            "the name of a patch contains the secret API_TOKEN",
        ),
        (
            "printf '\\nGIT binary patch\\n' >>patches/01.patch",
            "patches/01.patch is binary",
        ),
    ] {
        let world = with_secret(&format!("set -e; {script}"), "[make]");
        let told = world.run();
        assert_eq!(told.ends(), [("default".into(), "stuck", 1)], "{script}");
        let did = told.did();
        assert_eq!(did.end, RemedyEnd::Refused, "{script}: {did:?}");
        assert!(did.why.contains(what), "{script}: {did:?}");
        assert_eq!(
            leaks(&world, &told, &forms()),
            Vec::<String>::new(),
            "{script}"
        );
        assert_eq!(
            world.read("project/patches/01.patch"),
            patch("amd64", "armv7")
        );
        assert!(!world.path("project/patches/note.txt").exists());
    }
    // In the words of a commit it is replaced.
    let world = with_secret(
        "cd $TDG_WORKTREE; echo arm64 >word.txt; git -c user.name=x -c user.email=x commit -qam \"Use $API_TOKEN\"",
        "[make]",
    );
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "green", 2)]);
    assert_eq!(leaks(&world, &told, &forms()), Vec::<String>::new());
    let made = added(&world);
    assert!(made.contains("Subject: [PATCH] Use ***"), "{made}");
}

/// Gives the patch that a remedy has added to the series.
fn added(world: &World) -> String {
    let series = world.read("project/patches/series");
    let name = series.lines().nth(1).unwrap();
    world.read(&format!("project/patches/{name}"))
}

#[test]
fn no_half_of_a_secret_stands_where_a_text_was_cut() {
    // The subject ends in the middle of it.
    let world = with_secret(
        "cd $TDG_WORKTREE; echo arm64 >word.txt; git -c user.name=x -c user.email=x commit -qam \
         \"$(printf %62s | tr ' ' x)$API_TOKEN\"",
        "[make]",
    );
    let told = world.run();
    assert_eq!(told.ends(), [("default".into(), "green", 2)]);
    let half = vec!["hunter2".to_owned()];
    assert_eq!(leaks(&world, &told, &half), Vec::<String>::new());
    let made = added(&world);
    assert!(made.contains("xx***\n"), "{made}");
    let series = world.read("project/patches/series");
    assert!(!series.contains("hunter2"), "{series}");
}

#[test]
fn nothing_is_waited_for_in_a_repository_that_a_remedy_has_changed() {
    let change = "set -e; cd $TDG_WORKTREE; echo arm64 >word.txt
git -c user.name=x -c user.email=x commit -qam 'Its own words'
object=$(git rev-parse HEAD | sed 's#^..#.git/objects/&/#')";
    for harm in [
        // Whoever opens it waits for one who writes.
        "rm -f $object; mkfifo $object",
        "mv .git/objects ../moved; ln -s ../../moved .git/objects",
        "mkdir ../other; mv .git/objects/?? ../other; echo $PWD/../other >>.git/objects/info/alternates",
    ] {
        let world = World::mended_by(&format!("{change}\n{harm}"));
        let begin = Instant::now();
        let told = world.run();
        assert!(begin.elapsed() < Duration::from_secs(30), "{harm}");
        assert_eq!(told.ends(), [("default".into(), "green", 2)], "{harm}");
        let made = added(&world);
        assert!(made.contains("Subject: [PATCH] Change word.txt"), "{made}");
    }
    let world = World::mended_by(change);
    assert_eq!(world.run().ends(), [("default".into(), "green", 2)]);
    assert!(added(&world).contains("Subject: [PATCH] Its own words"));
}
