//! What a loop built is served while its specs hold, and not else.

use std::fs;
use std::process::Command;

use super::world::World;
use crate::serving::{Serving, refusal};

fn command(world: &World, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tdg"));
    command.args([
        "serve",
        "_out/assets",
        "--http-port",
        "0",
        "--only",
        "http",
        "--format",
        "json",
    ]);
    command.args(more).current_dir(world.project());
    command
}

fn refused(world: &World) -> String {
    ended(command(world, &[]))
}

/// Gives what a command says that is to refuse; one that serves instead is ended.
fn ended(mut command: Command) -> String {
    let output = refusal(&mut command);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn what_a_loop_is_at_is_not_served() {
    let world = World::new();
    assert_eq!(world.run().ends()[0].1, "green");
    let project = world.project();
    let lock = fs::File::open(project.join(".tdg/loop.lock")).unwrap();
    lock.lock().unwrap();
    let said = refused(&world);
    assert!(said.contains("a loop (process"), "{said}");
    let forced = Serving::start(command(&world, &["--force"]));
    assert_eq!(forced.get("/assets/image").text(), "arm64\n");
    drop((forced, lock));
    // A loop that ended without a verdict left no record: nobody judged what is there.
    for record in fs::read_dir(project.join(".tdg/records")).unwrap() {
        fs::remove_file(record.unwrap().path()).unwrap();
    }
    let serving = Serving::start(command(&world, &[]));
    assert_eq!(serving.get("/assets/image").status, 404);
    let forced = Serving::start(command(&world, &["--force"]));
    assert_eq!(forced.get("/assets/image").text(), "arm64\n");
}

#[test]
fn the_folder_of_boot_loaders_is_judged_as_well() {
    let world = World::new();
    assert_eq!(world.run().ends()[0].1, "green");
    let project = world.project();
    fs::create_dir(project.join("own")).unwrap();
    let boot = |own: &str, boot: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tdg"));
        command.args(["serve", own, "--boot", boot, "--http-port", "0"]);
        command.args(["--only", "http", "--format", "json"]);
        command.current_dir(world.project());
        command
    };
    // What was judged and is gone makes no way for a file of its name elsewhere.
    fs::write(project.join("own/image"), "another\n").unwrap();
    let serving = Serving::start(boot("_out/assets", "own"));
    assert_eq!(serving.get("/assets/image").text(), "arm64\n");
    fs::rename(project.join("_out/assets/image"), project.join("aside")).unwrap();
    assert_eq!(serving.get("/assets/image").status, 404);
    drop(serving);
    fs::remove_file(project.join("own/image")).unwrap();
    fs::write(project.join("_out/assets/image"), "amd64\n").unwrap();
    let said = ended(boot("own", "_out/assets"));
    assert!(said.contains("default is not green"), "{said}");
}

#[test]
fn only_what_is_green_is_served() {
    let world = World::new();
    assert_eq!(world.run().ends()[0].1, "green");
    let link = world.project().join("_out/assets/link");
    std::os::unix::fs::symlink("image", link).unwrap();
    let serving = Serving::start(command(&world, &[]));
    assert_eq!(serving.get("/assets/image").text(), "arm64\n");
    assert_eq!(serving.get("/assets/link").text(), "arm64\n");
    // Another file under the name of what was judged is not given, however long it is served.
    fs::write(world.project().join("_out/assets/image"), "amd64\n").unwrap();
    let changed = serving.get("/assets/image");
    assert_eq!(changed.status, 404);
    assert_eq!(serving.get("/assets/link").status, 404);
    let told = serving.event("http", |event| event["status"] == 404);
    let note = told["note"].as_str().unwrap();
    assert!(
        note.starts_with("it was changed after it was judged: build it"),
        "{note}"
    );
    // What a loop did not judge is not given where loops write.
    fs::write(world.project().join("_out/assets/later"), "later\n").unwrap();
    assert_eq!(serving.get("/assets/later").status, 404);
    let told = serving.event("http", |event| event["target"] == "/assets/later");
    assert!(
        told["note"].as_str().unwrap().contains("no loop judged it"),
        "{told}"
    );
    drop(serving);
    // A copy of what was judged is what was judged, whatever its times.
    fs::write(world.project().join("_out/assets/image"), "arm64\n").unwrap();
    let copied = Serving::start(command(&world, &[]));
    assert_eq!(copied.get("/assets/image").text(), "arm64\n");
    drop(copied);
    fs::write(world.project().join("_out/assets/image"), "amd64\n").unwrap();
    let said = refused(&world);
    assert!(
        said.contains("default is not green: _out/assets/image was changed"),
        "{said}"
    );
    assert!(said.contains("--force"), "{said}");
    let forced = Serving::start(command(&world, &["--force"]));
    assert_eq!(forced.get("/assets/image").text(), "amd64\n");
}

#[test]
fn what_is_red_is_not_served() {
    let world = World::wrong();
    assert_ne!(world.run().ends()[0].1, "green");
    let said = refused(&world);
    assert!(said.contains("its specs did not hold"), "{said}");
    let (code, said) = Serving::start(command(&world, &["--force"])).interrupt();
    assert_eq!(code, Some(0));
    assert!(said.contains("warning: default is not green"), "{said}");
}
