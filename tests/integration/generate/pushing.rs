//! A package in a real registry: pushed, pulled back, and taken by others.

use super::packaging::project;
use crate::peers::{output, peer};
use crate::servers::{PASSWORD, Server, registry};
use crate::world::{Ran, World, ran};
use base64::Engine as _;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

/// A project in a folder, and a registry it is pushed to.
struct Pushing {
    world: World,
    server: Server,
}

impl Pushing {
    fn new(locked: bool) -> Option<Self> {
        let world = World::new();
        let server = registry(&world.path().join("registry"), locked)?;
        project(
            world.path(),
            "\techo one > out/one\n\techo 2 > out/sub/two\n\techo t > out/tool\n",
        );
        let pushing = Self { world, server };
        pushing.recipe("prefix: assets/talos/arm64");
        Some(pushing)
    }

    fn repository(&self) -> String {
        format!("127.0.0.1:{}/team/demo", self.server.port)
    }

    /// Writes the recipe; `more` is what differs in its `package`.
    fn recipe(&self, more: &str) {
        let path = self.world.path().join("tdg.yaml");
        let text = fs::read_to_string(&path).unwrap();
        let (before, _) = text.split_once("package:").unwrap();
        let repository = self.repository();
        let package = format!(
            "package: {{ oci: {repository}, tags: [demo-stable, '${{{{ build.ref }}}}'], {more} }}\n"
        );
        fs::write(path, format!("{before}{package}")).unwrap();
    }

    fn generate(&self, arguments: &[&str]) -> (Ran, Value) {
        let arguments = [&["generate", "--format", "json"], arguments].concat();
        let ran = self.world.tdg(&arguments);
        let outcome: Value = serde_json::from_str(&ran.stdout).unwrap_or_default();
        let package = outcome["variants"][0]["package"].clone();
        (ran, package)
    }

    /// Gives the digest that a tag leads to, as another program sees it.
    fn digest(&self, tag: &str) -> Option<String> {
        let skopeo = peer("skopeo")?;
        let image = format!("docker://{}:{tag}", self.repository());
        let arguments = ["inspect", "--raw", "--tls-verify=false", &image];
        let raw = output(&skopeo, self.world.path(), &arguments);
        Some(format!(
            "sha256:{}",
            tdg::model::Sha256Digest::of(raw.as_bytes())
        ))
    }
}

#[test]
fn what_is_green_is_pushed_and_comes_back() {
    let Some(pushing) = Pushing::new(false) else {
        return;
    };
    // Not without being asked to.
    let (_, package) = pushing.generate(&[]);
    assert_eq!(package["pushed"], false);
    let layout = pushing.world.path().join("_out/package/default");
    assert!(!pushing.world.path().join("registry/data").exists());
    let (ran, pushed) = pushing.generate(&["--push"]);
    assert_eq!((ran.code, &pushed["pushed"]), (0, &true.into()), "{ran:?}");
    assert_eq!(pushed["digest"], package["digest"]);
    let log = ".tdg/logs/0002/default-attempt-1-push.log";
    let log = fs::read_to_string(pushing.world.path().join(log)).unwrap();
    let steps = [
        " carried",
        " a manifest",
        "the tag v1",
        "pushed and pulled back",
    ];
    assert!(steps.iter().all(|step| log.contains(step)), "{log}");
    for tag in ["demo-stable", "v1"] {
        let Some(digest) = pushing.digest(tag) else {
            return;
        };
        assert_eq!(pushed["digest"], digest.as_str());
    }
    // Nothing is left of the way back.
    let left: Vec<_> = fs::read_dir(layout.parent().unwrap())
        .unwrap()
        .flatten()
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
    // Pushed once, it stays so, also where it is not asked for again.
    let (ran, again) = pushing.generate(&["--push"]);
    assert_eq!((ran.code, &again), (0, &pushed));
    let human = pushing.world.tdg(&["generate", "--push"]).stdout;
    assert!(
        human.contains("package  unchanged") && human.contains("pushed: 127.0.0.1:"),
        "{human}"
    );
    assert_eq!(pushing.generate(&[]).1["pushed"], true);
    // What is made anew is another, and has not been pushed.
    pushing.recipe("prefix: other");
    let (_, other) = pushing.generate(&[]);
    assert_eq!(other["pushed"], false);
    assert_ne!(other["digest"], pushed["digest"]);
    // The recipe may ask for it.
    pushing.recipe("prefix: other, push: true");
    assert_eq!(pushing.generate(&[]).1["pushed"], true);
    assert_eq!(pushing.digest("v1").as_deref(), other["digest"].as_str());
}

#[test]
fn what_is_not_green_is_never_pushed() {
    let Some(pushing) = Pushing::new(false) else {
        return;
    };
    let spec = "spec: a\nchecks:\n  - name: one\n    file: _out/assets/one\n    expect: { text: { match: another } }\n";
    pushing.world.write("specs/a.yaml", spec);
    let (ran, package) = pushing.generate(&["--push"]);
    assert_eq!((ran.code, package), (1, Value::Null));
    assert!(!pushing.world.path().join("registry/data").exists());
    // Nor where it is not said where to, which is told before any work.
    let text = fs::read_to_string(pushing.world.path().join("tdg.yaml")).unwrap();
    let (before, _) = text.split_once("package:").unwrap();
    pushing
        .world
        .write("tdg.yaml", format!("{before}package: {{}}\n"));
    let (ran, _) = pushing.generate(&["--push"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.stderr
            .contains("does not say what default is pushed as"),
        "{ran:?}"
    );
}

#[test]
fn a_registry_that_wants_a_password_gets_it_and_nobody_reads_it() {
    let Some(pushing) = Pushing::new(true) else {
        return;
    };
    let auth = |password: &str| {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("builder:{password}"));
        let host = format!("127.0.0.1:{}", pushing.server.port);
        let auth = serde_json::json!({ "auths": { host: { "auth": pair } } });
        pushing.world.write("auth.json", auth.to_string())
    };
    let generate = |file: &Path| {
        let mut command = pushing.world.command(&["generate", "--push", "--verbose"]);
        command
            .env("REGISTRY_AUTH_FILE", file)
            .env("HOME", pushing.world.path());
        ran(&mut command)
    };
    let said = generate(&auth("wrong-secret"));
    assert_eq!(said.code, 4, "{said:?}");
    assert!(
        said.stdout.contains("it is in its registry") || said.stdout.contains("package"),
        "{said:?}"
    );
    assert!(!said.stdout.contains("wrong-secret") && !said.stderr.contains("wrong-secret"));
    let said = generate(&auth(PASSWORD));
    assert_eq!(said.code, 0, "{said:?}");
    assert!(said.stdout.contains("pushed and pulled back"), "{said:?}");
    for entry in walkdir::WalkDir::new(pushing.world.path().join(".tdg")) {
        let text = fs::read(entry.unwrap().path()).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&text).contains(PASSWORD));
    }
}

#[test]
fn others_take_it_from_the_registry() {
    let (Some(pushing), Some(sh)) = (Pushing::new(false), peer("sh")) else {
        return;
    };
    let (ran, _) = pushing.generate(&["--push"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let script = include_str!("consume.sh");
    let program = Path::new(env!("CARGO_BIN_EXE_tdg"));
    let folder = program.parent().unwrap().display().to_string();
    let oras = crate::peers::installed("oras");
    let mut lines = Vec::new();
    for line in script.lines() {
        // Against a registry of this machine, which has no certificate.
        let line = line
            .replace(
                "skopeo copy",
                "skopeo copy --quiet --insecure-policy --src-tls-verify=false",
            )
            .replace("oras pull", "oras pull --plain-http")
            .replace("oras discover", "oras discover --plain-http");
        let needs_oras = line.starts_with("oras") || line.contains("cd files");
        if oras.is_some() || !needs_oras {
            lines.push(line);
        }
    }
    let package = format!("{}:demo-stable", pushing.repository());
    let tools = oras.map_or_else(String::new, |oras| {
        oras.parent().unwrap().display().to_string()
    });
    let head = format!("export PACKAGE={package} PATH={folder}:{tools}:$PATH TDG_CACHE=off\n");
    let folder = pushing.world.path().join("taken");
    fs::create_dir(&folder).unwrap();
    let script = format!("set -eu\n{head}{}\n", lines.join("\n"));
    let said = output(&sh, &folder, &["-c", &script]);
    assert!(said.contains("  validation/build-report.txt"), "{said}");
    for place in ["layout/index.json", "copy/index.json"] {
        assert!(folder.join(place).is_file(), "{place}");
    }
    if lines.iter().any(|line| line.starts_with("oras")) {
        assert!(said.contains("application/vnd.in-toto+json"), "{said}");
        assert!(said.contains("validation/build-report.txt: OK"), "{said}");
        assert_eq!(
            fs::read_to_string(folder.join("files/assets/talos/arm64/one")).unwrap(),
            "one\n"
        );
    }
}

#[test]
fn a_variant_of_the_demo_goes_to_a_registry_and_back() {
    let world = World::new();
    let Some(server) = registry(&world.path().join("registry"), false) else {
        return;
    };
    let demo = world.path().join("demo");
    let made = world.tdg(&["demo", "--dir", &demo.display().to_string()]);
    assert_eq!(made.code, 0, "{made:?}");
    let path = demo.join("tdg.yaml");
    let recipe = fs::read_to_string(&path).unwrap();
    assert!(!recipe.contains("package:"));
    let package = format!(
        "package:\n  oci: 127.0.0.1:{}/demo/${{{{ build.variant }}}}\n  tags: [demo-stable]\n  \
         platform: linux/arm64\n  prefix: assets/talos/arm64\n  format: image\n",
        server.port
    );
    fs::write(&path, recipe + &package).unwrap();
    let arguments = [
        "generate",
        "--push",
        "--format",
        "json",
        "--variant",
        "spin-only",
        "--accept-specs",
    ];
    let mut command = world.command(&arguments);
    // The demo's upstream calls `tdg`, as the demo itself has it on its path.
    let program = Path::new(env!("CARGO_BIN_EXE_tdg")).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    command.env("PATH", format!("{}:{path}", program.display()));
    let said = ran(command.current_dir(&demo));
    assert_eq!(said.code, 0, "{said:?}");
    let outcome: Value = serde_json::from_str(&said.stdout).unwrap();
    let variants = outcome["variants"].as_array().unwrap();
    assert_eq!(variants.len(), 1);
    for variant in variants {
        assert_eq!(variant["package"]["pushed"], true);
        let reference = variant["package"]["references"][0].as_str().unwrap();
        let said = world.tdg(&[
            "pull",
            &format!("oci://{reference}"),
            &format!("pulled-{}", variant["variant"].as_str().unwrap()),
        ]);
        assert_eq!(said.code, 0, "{said:?}");
    }
}

#[test]
fn a_registry_that_is_gone_is_told_while_it_is_tried_again() {
    let world = World::new();
    project(
        world.path(),
        "\techo one > out/one\n\techo 2 > out/sub/two\n\techo t > out/tool\n",
    );
    // A port where nobody listens.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let path = world.path().join("tdg.yaml");
    let recipe = fs::read_to_string(&path).unwrap();
    let to = format!("package: {{ oci: 127.0.0.1:{port}/team/demo, tags: [stable], ");
    fs::write(&path, recipe.replace("package: { ", &to)).unwrap();
    let mut command = world.command(&["generate", "--push", "--budget", "12s"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let mut lines = Vec::new();
    let (mut told, mut begun, mut first) = (0, None, None);
    for line in out.lines() {
        let line = line.unwrap();
        if line.contains("$ tdg push ") {
            begun.get_or_insert_with(Instant::now);
        }
        if line.contains("; again in ") {
            told += 1;
            first.get_or_insert_with(Instant::now);
        }
        lines.push(line);
    }
    assert_eq!(child.wait().unwrap().code(), Some(4), "{lines:?}");
    // The first one was told at once, and not when all was over.
    let (begun, first) = (begun.unwrap(), first.unwrap());
    assert!(first.elapsed() > first.duration_since(begun), "{lines:?}");
    assert!(told > 1, "{lines:?}");
    // The time of the loop bounds the push as well.
    let log = ".tdg/logs/0001/default-attempt-1-push.log";
    let command = format!(
        "$ tdg push _out/package/default oci://127.0.0.1:{port}/team/demo:stable  (log: {log})"
    );
    assert!(lines.iter().any(|l| l.contains(&command)), "{lines:?}");
    let text = fs::read_to_string(world.path().join(log)).unwrap();
    // The log has them all; ten of them are shown, and how many more there were.
    let all = text.matches("; again in ").count();
    assert_eq!(told, all.min(10), "{text}");
    let more = format!("tried again {} times more", all - told);
    let said = lines.iter().any(|line| line.contains(&more));
    assert_eq!(said, all > told, "{lines:?}");
}
