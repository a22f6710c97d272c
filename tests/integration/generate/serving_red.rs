//! What is withheld while nobody says that it is green, and what machines are told then.

use std::fs;
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

use tdg::format::dhcp::{Firmware, Machine, Packet};

use super::world::World;
use crate::netboot::program;
use crate::serving::Serving;

/// Serves a folder of the world, or all of it.
fn serve(world: &World, folder: &str, more: &[&str]) -> Serving {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tdg"));
    command.args(["serve", folder, "--http-port", "0", "--tftp-port", "0"]);
    command.args(["--format", "json"]).args(more);
    command.current_dir(world.folder.path());
    Serving::start(command)
}

/// Waits until something is refused for a reason.
fn until(serving: &Serving, target: &str, why: &str) {
    let begin = std::time::Instant::now();
    loop {
        let answer = serving.get(target);
        let text = answer.text();
        if answer.status == 503 && text == format!("not served now: {why}\n") {
            return;
        }
        let limit = Duration::from_secs(30);
        assert!(begin.elapsed() < limit, "{}: {text}", answer.status);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_variant_whose_build_did_not_end_is_red() {
    let world = World::new();
    world.in_recipe("recipe: test", "recipe: test\nmatrix: { v: [a, b] }");
    assert_eq!(world.run().ends()[1].1, "green");
    let serving = serve(&world, ".", &["--only", "http"]);
    let (a, b) = (
        "/assets/project/_out/assets/a/image",
        "/assets/project/_out/assets/b/image",
    );
    world.write("free", "nobody judged this\n");
    assert_eq!(serving.get(b).text(), "arm64\n");
    // As a build does before it begins: the other is green, and no loop is at work.
    let place = world.project().join(".tdg/records/a.json");
    let record = fs::read(&place).unwrap();
    fs::remove_file(&place).unwrap();
    let why = "a of project is not green: it was not built to its end";
    for target in [a, b, "/assets/free"] {
        until(&serving, target, why);
    }
    fs::write(&place, &record).unwrap();
    serving.until(b, 200);
    // One that left no artifacts built none that are green.
    let mut empty: serde_json::Value = serde_json::from_slice(&record).unwrap();
    empty["artifacts"] = serde_json::json!([]);
    fs::write(&place, empty.to_string()).unwrap();
    until(&serving, b, why);
    // A loop that is killed leaves nothing that says so.
    let lock = fs::File::open(world.project().join(".tdg/loop.lock")).unwrap();
    lock.lock().unwrap();
    fs::remove_file(&place).unwrap();
    fs::remove_file(world.project().join(".tdg/records/b.json")).unwrap();
    let text = || serving.get(b).text();
    let begin = std::time::Instant::now();
    while !text().contains("a loop (process") {
        assert!(begin.elapsed() < Duration::from_secs(30), "{}", text());
        std::thread::sleep(Duration::from_millis(50));
    }
    drop(lock);
    let both = format!("{why}; {}", why.replace("a of", "b of"));
    until(&serving, "/assets/free", &both);
    let greens = serving.events("verdict");
    let greens = greens.iter().filter(|event| event["green"] == true);
    assert!(greens.count() <= 1);
}

#[test]
fn where_things_lie_is_told_to_nobody_else() {
    let world = World::new();
    assert_eq!(world.run().ends()[0].1, "green");
    let serving = serve(&world, "project/_out/assets", &["--only", "http"]);
    assert_eq!(serving.get("/assets/image").text(), "arm64\n");
    let place = world.project().join(".tdg/records/default.json");
    fs::remove_file(&place).unwrap();
    fs::create_dir(&place).unwrap();
    until(
        &serving,
        "/assets/image",
        "what loops say of it cannot be read",
    );
    let told = serving.event("verdict", |event| event["green"] == false);
    let why = told["why"].as_str().unwrap();
    assert!(why.contains(place.to_str().unwrap()), "{why}");
}

#[test]
fn firmware_is_told_nothing_while_the_folder_is_red() {
    let world = World::new();
    assert_eq!(world.run().ends()[0].1, "green");
    world.write("groups/g.json", r#"{"profile": "p", "selector": {}}"#);
    fs::create_dir(world.path("loaders")).unwrap();
    fs::write(world.path("loaders/ipxe.efi"), program(0xaa64)).unwrap();
    let any = ["--dhcp-port", "0", "--boot-server-port", "0"];
    let more = ["--boot", "loaders", "--only", "http,dhcp"];
    let serving = serve(&world, ".", &[&any[..], &more].concat());
    let machine = Machine {
        mac: [2, 0, 0, 0, 0, 1],
        uuid: None,
        arch: 19,
        firmware: Firmware::Http,
    };
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let ask = |xid| {
        let asked = machine.discover(xid, Some([127, 0, 0, 1].into())).write();
        socket
            .send_to(&asked, ("127.0.0.1", serving.port("dhcp")))
            .unwrap();
    };
    let mut buffer = [0; 2000];
    ask(1);
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let length = socket.recv(&mut buffer).unwrap();
    assert_eq!(Packet::read(&buffer[..length]).unwrap().xid, 1);
    world.write(
        "project/specs/a.spec",
        "it is riscv | $assets/image | riscv\n",
    );
    assert_eq!(world.run().ends()[0].1, "red");
    serving.event("verdict", |event| event["green"] == false);
    ask(2);
    let told = serving.event("dhcp", |event| event["note"].is_string());
    let note = told["note"].as_str().unwrap();
    assert!(note.contains("default of project is not green"), "{told}");
    // It was told after the answer, had there been one.
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut buffer).is_err());
}

#[test]
fn grub_gets_no_other_configuration_than_that_of_the_folder() {
    let world = World::new();
    assert_eq!(world.run().ends()[0].1, "green");
    world.write("loaders/grub/grub.cfg", "another\n");
    let more = ["--boot", "loaders", "--only", "http,tftp"];
    let serving = serve(&world, "project/_out/assets", &more);
    // There is nothing to start in the folder.
    assert_eq!(serving.get("/assets/grub/grub.cfg").text(), "another\n");
    fs::write(world.project().join("_out/assets/image"), "amd64\n").unwrap();
    let why = "not served now: image: it was changed after it was judged: build it until it is green \
               (tdg generate)";
    for target in ["/grub.cfg", "/assets/grub/grub.cfg", "/assets/grub.cfg"] {
        let answer = serving.get(target);
        assert_eq!(answer.status, 503, "{target}: {}", answer.text());
        assert_eq!(answer.text(), format!("{why}\n"), "{target}");
    }
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let to = ("127.0.0.1", serving.port("tftp"));
    socket.send_to(b"\0\x01grub/grub.cfg\0octet\0", to).unwrap();
    let mut buffer = [0; 600];
    let length = socket.recv(&mut buffer).unwrap();
    let said = String::from_utf8_lossy(&buffer[..length]);
    assert_eq!(said, format!("\0\x05\0\0{why}\0"));
}

#[test]
fn a_script_of_groups_starts_only_what_can_be_had() {
    let world = World::new();
    assert_eq!(world.run().ends()[0].1, "green");
    std::os::unix::fs::symlink("project/_out/assets", world.path("assets")).unwrap();
    world.write("groups/g.json", r#"{"profile": "p", "selector": {}}"#);
    world.write(
        "groups/h.json",
        r#"{"profile": "gone", "selector": {"os": "x"}}"#,
    );
    let profile = r#"{"id": "p", "boot": {"kernel": "/assets/image?a=${mac}", "initrd": ["http://there/assets/x"]}}"#;
    world.write("profiles/p.json", profile);
    let serving = serve(&world, ".", &["--only", "http"]);
    assert_eq!(serving.get("/ipxe").status, 200);
    assert_eq!(serving.get("/ipxe?os=x").status, 404);
    fs::write(world.project().join("_out/assets/image"), "amd64\n").unwrap();
    let answer = serving.get("/ipxe");
    assert_eq!(answer.status, 503);
    let text = answer.text();
    assert!(
        text.starts_with("not served now: assets/image: it was changed"),
        "{text}"
    );
    // What is lacking whatever is judged is not there.
    assert_eq!(serving.get("/ipxe?os=x").status, 404);
}
