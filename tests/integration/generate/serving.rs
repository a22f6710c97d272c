//! What a loop built is served while its specs hold, and not else.

use std::fs;
use std::process::Command;

use super::world::World;
use crate::serving::Serving;

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
    let output = command(world, &[]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).unwrap()
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
    assert_eq!(told["note"], "it was changed after it was judged");
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
