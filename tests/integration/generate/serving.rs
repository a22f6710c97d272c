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
    assert_eq!(serving.get("/assets/image").status, 503);
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
    let why = "it was changed after it was judged: build it until it is green (tdg generate)";
    assert_eq!(changed.status, 503);
    assert_eq!(changed.text(), format!("not served now: {why}\n"));
    assert_eq!(serving.get("/assets/link").status, 503);
    let told = serving.event("http", |event| event["status"] == 503);
    assert_eq!(told["note"], why);
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

#[test]
fn what_turns_red_is_given_no_more_until_it_is_green_again() {
    let world = World::new();
    assert_eq!(world.run().ends()[0].1, "green");
    let mut asked = command(&world, &["--tftp-port", "0"]);
    asked.args(["--only", "tftp"]);
    let serving = Serving::start(asked);
    assert_eq!(serving.get("/assets/image").text(), "arm64\n");
    let tftp = || {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let limit = Some(std::time::Duration::from_secs(10));
        socket.set_read_timeout(limit).unwrap();
        let to = ("127.0.0.1", serving.port("tftp"));
        socket.send_to(b"\0\x01image\0octet\0", to).unwrap();
        let mut buffer = [0; 600];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    };
    assert_eq!(tftp(), "\0\x03\0\x01arm64\n");
    // Over the same files, which nobody touched.
    world.write(
        "project/specs/a.spec",
        "it is riscv | $assets/image | riscv\n",
    );
    assert_eq!(world.run().ends()[0].1, "red");
    let answer = serving.until("/assets/image", 503);
    let why = "default is not green: its specs did not hold when they ran last";
    assert_eq!(answer.text(), format!("not served now: {why}\n"));
    assert_eq!(
        answer.header("content-type"),
        Some("text/plain; charset=utf-8")
    );
    for target in [
        "/assets/",
        "/assets/nothing",
        "/ipxe",
        "/metadata",
        "/grub.cfg",
    ] {
        assert_eq!(serving.get(target).status, 503, "{target}");
    }
    assert_eq!(tftp(), format!("\0\x05\0\0not served now: {why}\0"));
    let told = serving.event("verdict", |event| event["green"] == false);
    assert_eq!(told["why"], why);
    world.write("project/specs/a.spec", "it is arm | $assets/image | arm\n");
    assert_eq!(world.run().ends()[0].1, "green");
    assert_eq!(serving.until("/assets/image", 200).text(), "arm64\n");
    serving.event("verdict", |event| event["green"] == true);
    // What was built anew is given as it is now.
    world.makes("arm64e");
    assert_eq!(world.run().ends()[0].1, "green");
    serving.until("/assets/image", 200);
    assert_eq!(serving.get("/assets/image").text(), "arm64e\n");
    assert_eq!(serving.interrupt(), (Some(0), String::new()));
}

#[test]
fn projects_in_the_folder_are_judged_as_well() {
    let world = World::new();
    assert_eq!(world.run().ends()[0].1, "green");
    let serve = |folder: &str, more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tdg"));
        command.args(["serve", folder, "--http-port", "0", "--only", "http"]);
        command.args(["--format", "json"]).args(more);
        command.current_dir(world.folder.path());
        command
    };
    // What is in it is judged, and nothing else.
    world.write("free", "nobody judged this\n");
    world.write("project/_out/assets/later", "later\n");
    let file = "/assets/project/_out/assets/image";
    let serving = Serving::start(serve(".", &[]));
    assert_eq!(serving.get(file).text(), "arm64\n");
    assert_eq!(serving.get("/assets/free").status, 200);
    assert_eq!(serving.get("/assets/project/_out/assets/later").status, 404);
    // By a link from elsewhere in the folder it is the same file.
    fs::create_dir(world.path("far")).unwrap();
    std::os::unix::fs::symlink("../project/_out/assets", world.path("far/link")).unwrap();
    assert_eq!(serving.get("/assets/far/link/image").text(), "arm64\n");
    assert_eq!(serving.get("/assets/far/link/later").status, 404);
    world.write(
        "project/specs/a.spec",
        "it is riscv | $assets/image | riscv\n",
    );
    assert_eq!(world.run().ends()[0].1, "red");
    serving.until(file, 503);
    assert_eq!(serving.get("/assets/free").status, 503);
    drop(serving);
    let said = ended(serve(".", &[]));
    assert!(
        said.contains("default of project is not green: its specs"),
        "{said}"
    );
    let forced = Serving::start(serve(".", &["--force"]));
    assert_eq!(forced.get(file).text(), "arm64\n");
    drop(forced);
    // Too far down nothing is looked for, and that is said.
    world.write("project/specs/a.spec", "it is arm | $assets/image | arm\n");
    assert_eq!(world.run().ends()[0].1, "green");
    let far = world.path(&"far/".repeat(18));
    fs::create_dir_all(far).unwrap();
    let (code, said) = Serving::start(serve(".", &[])).interrupt();
    assert_eq!(code, Some(0));
    assert!(said.contains("was not looked through to its end"), "{said}");
}
