//! Carries out the blocks of a document in a folder of its own.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::json;
use tempfile::TempDir;

use super::markdown::{Block, Document};
use super::network::Network;
use super::{root, scrub, written};
use crate::peers;

/// What a document calls the folder of the demo, and its own.
const DEMO: &str = "/tmp/demo";
const HOME: &str = "/home/me/motd";
/// A clone of this repository.
const CLONE: &str = "/home/me/tdg";

/// What the demo has made, for all documents.
pub struct World {
    pub demo: Arc<Demo>,
    /// The servers that documents speak of.
    network: Network,
    _servers: TempDir,
}

/// A run of the demo, and the folder it was in.
pub struct Demo {
    /// What it wrote, colours among it.
    pub coloured: String,
    code: i32,
    folder: PathBuf,
    /// The same with the artifacts of one variant where a recipe without a matrix leaves them.
    flat: PathBuf,
    _temporary: TempDir,
}

impl World {
    pub fn new() -> Self {
        // The last one who looks at it takes it away: what is static would stay for ever.
        static DEMO: Mutex<Weak<Demo>> = Mutex::new(Weak::new());
        let mut held = DEMO.lock().unwrap_or_else(PoisonError::into_inner);
        let demo = held.upgrade().unwrap_or_else(|| Arc::new(demo()));
        *held = Arc::downgrade(&demo);
        drop(held);
        let servers = tempfile::tempdir().unwrap();
        Self {
            network: Network::start(servers.path(), &demo.flat.join("_out/assets")),
            demo,
            _servers: servers,
        }
    }
}

pub(super) fn tdg() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_tdg"))
}

fn demo() -> Demo {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, flat) = (temporary.path().join("demo"), temporary.path().join("flat"));
    let output = Command::new(tdg())
        .args(["demo", "--dir"])
        .arg(&folder)
        .env("CLICOLOR_FORCE", "1")
        .env_remove("NO_COLOR")
        .output()
        .unwrap();
    let script = r#"
        cp -r "$1" "$2" && cd "$2"
        mv _out/assets/spin-only/* _out/assets/ && rm -r _out/assets/spin-only _out/assets/spin-tailscale
        mkdir images && ln -s ../.tdg/work/spin-only/packages/core/talos/images/talos images/talos"#;
    let made = Command::new("sh")
        .args(["-euc", script, "sh"])
        .args([&folder, &flat])
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let assets = flat.join("_out/assets");
    let _ = super::iso::make(&assets);
    let sums = ["-euc", "sha256sum * >checksums.sha256"];
    peers::output(Path::new("/bin/sh"), &assets, &sums);
    bastion(&flat.join("bastion/matchbox"));
    let release = flat.join("target/wasm32-wasip1/release");
    fs::create_dir_all(&release).unwrap();
    let application = wat::parse_str(crate::kinds::COMPONENT).unwrap();
    fs::write(release.join("app.wasm"), application).unwrap();
    Demo {
        coloured: String::from_utf8(output.stdout).unwrap(),
        code: output.status.code().unwrap(),
        folder,
        flat,
        _temporary: temporary,
    }
}

/// Carries out a document.
pub struct Reader<'w> {
    world: &'w World,
    temporary: TempDir,
    /// Every mistake, with its place.
    pub wrong: Vec<String>,
    count: usize,
}

/// How a command ended and what it wrote.
struct Said {
    code: i32,
    text: String,
}

type Outcome = Result<Option<String>, String>;

impl<'w> Reader<'w> {
    pub fn new(world: &'w World) -> Self {
        Self {
            world,
            temporary: tempfile::tempdir().unwrap(),
            wrong: Vec::new(),
            count: 0,
        }
    }

    /// Carries out every block of a document; gives how many there are.
    pub fn document(&mut self, name: &str) -> usize {
        let document = Document::read(name);
        if let Some(before) = document.says("continues") {
            self.document(before);
        }
        let mut lines = document.lines.clone();
        // From the end on, so that what is written anew moves no line that is still to be found.
        let mut anew = Vec::new();
        for block in &document.blocks {
            match self.block(&document, block) {
                Ok(Some(text)) if written() && !same(&text, &block.text) => {
                    anew.push((block, text));
                }
                Ok(_) => {}
                Err(why) => self.wrong.push(format!("{}: {why}", document.place(block))),
            }
        }
        for (block, text) in anew.into_iter().rev() {
            let text = text.lines().map(str::to_owned);
            lines.splice(block.line + 1..block.end, text);
        }
        let text = lines.join("\n") + "\n";
        if written() && lines != document.lines {
            fs::write(root().join(name), text).unwrap();
        }
        document.blocks.len()
    }

    fn home(&self) -> PathBuf {
        self.temporary.path().canonicalize().unwrap()
    }

    /// Puts the real folders in for those a document names.
    fn real(&self, text: &str) -> String {
        let text = text
            .replace(DEMO, &self.world.demo.folder.display().to_string())
            .replace(CLONE, env!("CARGO_MANIFEST_DIR"));
        self.world.network.real(&text)
    }

    /// Puts the documented folders in for the real ones.
    fn shown(&self, text: &str) -> String {
        let demo = self.world.demo.folder.display().to_string();
        let home = self.home().display().to_string();
        text.replace(&demo, DEMO)
            .replace(&home, HOME)
            .replace(env!("CARGO_MANIFEST_DIR"), CLONE)
    }

    /// Carries out a block; gives its text as it is now where that is made of output.
    fn block(&mut self, document: &Document, block: &Block) -> Outcome {
        if let Some(file) = block.says("same as") {
            return same_as(block, file).map(|()| None);
        }
        if let Some(folder) = block.says("layout") {
            return self.layout(block, folder).map(|()| None);
        }
        if let Some(command) = block.says("output") {
            return self.output(document, block, command);
        }
        if let Some(file) = block.says("file") {
            self.write(file, &block.text);
        }
        match block.language.as_str() {
            "console" => self.console(block),
            "yaml" => self.yaml(document, block).map(|()| None),
            "toml" => cargo_toml(block).map(|()| None),
            _ if block.says("file").is_some() => Ok(None),
            other => Err(format!("nobody knows what to do with this `{other}`")),
        }
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.home().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, self.real(text)).unwrap();
        if text.starts_with("#!") {
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn yaml(&mut self, document: &Document, block: &Block) -> Result<(), String> {
        let body = block.text.lines().find(|l| !l.starts_with('#'));
        let body = body.unwrap_or_default();
        let demo = &self.world.demo;
        if body.starts_with("recipe:") {
            return self.recipe(block);
        }
        // Made by other people's tools; where they are missing, that was said.
        let iso = "_out/assets/metal-arm64.iso";
        if block.text.contains(iso) && !demo.flat.join(iso).exists() {
            return Ok(());
        }
        if self.world.network.is_missing_for(&block.text) {
            return Ok(());
        }
        let text = match body.starts_with("- ") {
            true => wrapped(&block.text),
            false if body.starts_with("spec:") => block.text.clone(),
            false => return Err("neither a spec, nor checks, nor a recipe".into()),
        };
        let (code, says) = (exit(block.says("run"))?, block.says("says"));
        let said = match block.says("file") {
            Some(file) if code == 0 => self.tdg(&["list", file]),
            Some(file) => self.tdg(&["run", file]),
            None => {
                self.count += 1;
                let file = format!("example-{}.yaml", self.count);
                self.write(&file, &text);
                let world = match document.says("root") {
                    Some("flat") => &demo.flat,
                    _ => &demo.folder,
                };
                let world = world.display().to_string();
                match block.says("work") {
                    Some("elsewhere") => self.tdg(&["list", &file, "--root", &world]),
                    _ => self.tdg(&["run", &file, "--root", &world]),
                }
            }
        };
        ended(&said, code)?;
        match says {
            Some(text) if !said.text.contains(text) => {
                Err(format!("it does not say `{text}`:\n{}", said.text))
            }
            _ => Ok(()),
        }
    }

    /// A recipe is read where its series and its remedy are.
    fn recipe(&mut self, block: &Block) -> Result<(), String> {
        let path = match (block.says("work"), block.says("file")) {
            (Some("demo"), None) => self.world.demo.flat.join("example.yaml"),
            (None, Some(file)) => self.home().join(file),
            _ => return Err("a recipe is of the demo, or a file".into()),
        };
        fs::write(&path, &block.text).unwrap();
        match (tdg::generate::recipe::load(&path, &[]), block.says("run")) {
            (Ok(_), None) | (Err(_), Some("exit 3")) => Ok(()),
            (Ok(_), Some(_)) => Err("the recipe is taken for a good one".into()),
            (Err(error), _) => Err(match error {
                tdg::generate::recipe::RecipeError::Wrong {
                    diagnostics,
                    sources,
                } => diagnostics.render(&sources, false),
                other => other.to_string(),
            }),
        }
    }

    fn console(&mut self, block: &Block) -> Outcome {
        let commands = commands(block)?;
        let last = commands.len() - 1;
        let mut now = String::new();
        for (index, (command, wanted)) in commands.iter().enumerate() {
            let code = match index == last {
                true => exit(block.says("exit").map(|e| format!("exit {e}")).as_deref())?,
                false => 0,
            };
            now.push_str(&format!("$ {command}\n"));
            let Some(said) = self.command(command)? else {
                continue;
            };
            ended(&said, code)?;
            let wanted = wanted.join("\n");
            if written() && !wanted.contains('…') {
                now.push_str(&self.shown(&said.text));
                continue;
            }
            now.push_str(&wanted);
            if !wanted.is_empty() {
                now.push('\n');
            }
            let order = block.says("any order").is_none();
            fits(&wanted, &self.shown(&said.text), order)
                .map_err(|why| format!("`{command}`: {why}"))?;
        }
        Ok(Some(now))
    }

    /// Carries out a command; nothing of it is shown where it is the machine's own cargo.
    fn command(&mut self, command: &str) -> Result<Option<Said>, String> {
        let world = self.world;
        let demo = &world.demo;
        match command {
            "cargo run --release -- demo" => match demo.code {
                0 => Ok(None),
                code => Err(format!("the demo ends with exit code {code}")),
            },
            // These tests are part of it.
            "cargo test" => Ok(None),
            "cargo install --path ." => match tdg().is_file() {
                true => Ok(None),
                false => Err("there is no program `tdg`".into()),
            },
            "tdg demo --dir /tmp/demo" => Ok(Some(Said {
                code: demo.code,
                text: anstream::adapter::strip_str(&demo.coloured).to_string(),
            })),
            _ => Ok(Some(self.shell(command))),
        }
    }

    fn output(&mut self, document: &Document, block: &Block, command: &str) -> Outcome {
        let said = self.shell(command);
        ended(
            &said,
            exit(block.says("exit").map(|e| format!("exit {e}")).as_deref())?,
        )?;
        let text = self.shown(&said.text);
        let text = match block.language.as_str() {
            "json" => {
                let value: serde_json::Value =
                    serde_json::from_str(&text).map_err(|e| format!("no JSON: {e}"))?;
                let mut names = BTreeSet::new();
                fields(&value, &mut names);
                documented(document, &names)?;
                format!("{value:#}\n")
            }
            _ => text,
        };
        if !written() {
            fits(&block.text, &text, true)?;
        }
        Ok(Some(text))
    }

    fn layout(&self, block: &Block, folder: &str) -> Result<(), String> {
        for line in block.text.lines() {
            let path = line.split(' ').next().unwrap_or_default();
            if path.is_empty() || !self.home().join(folder).join(path).exists() {
                return Err(format!("there is no `{path}`"));
            }
        }
        Ok(())
    }

    fn tdg(&self, arguments: &[&str]) -> Said {
        let mut command = Command::new(tdg());
        command.args(arguments);
        self.run(command)
    }

    fn shell(&self, script: &str) -> Said {
        let mut command = Command::new("sh");
        command.args(["-euc", &format!("{{ {}\n}} 2>&1", self.real(script))]);
        self.run(command)
    }

    fn run(&self, mut command: Command) -> Said {
        let own = tdg().parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(own).chain(std::env::split_paths(&path));
        command
            .current_dir(self.home())
            .env("PATH", std::env::join_paths(path).unwrap());
        for name in ["CI", "INSTA_UPDATE", "INSTA_FORCE_PASS", "TDG_STRICT"] {
            command.env_remove(name);
        }
        let output = command.output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        Said {
            code: output.status.code().unwrap_or(-1),
            text: String::from_utf8(text).unwrap(),
        }
    }
}

/// Tells whether two texts differ in nothing but what no two runs have in common: times, order.
fn same(a: &str, b: &str) -> bool {
    let sorted = |text: &str| {
        let text = scrub(text);
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    };
    sorted(a) == sorted(b)
}

/// Writes what matchbox serves: one group, for every machine, and its profile.
fn bastion(folder: &Path) {
    let assets = "/assets/talos/arm64";
    let profile = json!({ "id": "talos", "boot": {
        "kernel": format!("{assets}/vmlinuz"), "initrd": [format!("{assets}/initramfs.xz")],
        "args": ["initrd=initramfs.xz", "talos.platform=metal"],
    } });
    for (file, content) in [
        (
            "groups/default.json",
            json!({ "profile": "talos" }).to_string(),
        ),
        ("profiles/talos.json", profile.to_string()),
        ("assets/talos/arm64/vmlinuz", "a kernel".to_owned()),
        ("assets/talos/arm64/initramfs.xz", "an initramfs".to_owned()),
    ] {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}

/// Reads `exit N`; nothing said is 0.
fn exit(said: Option<&str>) -> Result<i32, String> {
    let Some(said) = said else { return Ok(0) };
    let code = said.strip_prefix("exit ").and_then(|n| n.parse().ok());
    code.ok_or_else(|| format!("`{said}` is not `exit N`"))
}

fn ended(said: &Said, code: i32) -> Result<(), String> {
    match said.code == code {
        true => Ok(()),
        false => Err(format!(
            "it ends with exit code {}, not {code}:\n{}",
            said.code, said.text
        )),
    }
}

/// Makes a list of checks a spec.
fn wrapped(checks: &str) -> String {
    let mut spec = String::from(
        "spec: An example\nsubject: _out/assets/spin-only/initramfs-metal-arm64.xz\nchecks:\n",
    );
    for line in checks.lines() {
        spec.push_str(&format!("  {line}\n"));
    }
    spec
}

/// Reads the commands of a console block, each with the lines it writes.
fn commands(block: &Block) -> Result<Vec<(String, Vec<String>)>, String> {
    let mut commands: Vec<(String, Vec<String>)> = Vec::new();
    for line in block.text.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), Vec::new())),
            (None, Some((_, output))) => output.push(line.to_owned()),
            (None, None) => return Err("a console block begins with `$ `".into()),
        }
    }
    match commands.is_empty() {
        true => Err("no command".into()),
        false => Ok(commands),
    }
}

/// Holds the lines a document shows against those a command wrote.
fn fits(wanted: &str, actual: &str, order: bool) -> Result<(), String> {
    let lines = |text: &str| -> Vec<String> {
        let text = scrub(text);
        text.trim_end()
            .lines()
            .map(|l| l.trim_end().to_owned())
            .collect()
    };
    let (mut wanted, mut actual) = (lines(wanted), lines(actual));
    if !order {
        wanted.sort();
        actual.sort();
    }
    let mut parts = wanted.split(|line| line == "…").peekable();
    let mut at = 0;
    let mut anchored = true;
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let found = (at..=actual.len().saturating_sub(part.len())).find(|start| {
            let end = start + part.len();
            actual.get(*start..end) == Some(part)
                && (!anchored || *start == 0)
                && (!last || part.is_empty() && !anchored || end == actual.len())
        });
        match found {
            Some(start) => at = start + part.len(),
            None => {
                let (wanted, actual) = (wanted.join("\n"), actual.join("\n"));
                let difference = similar::TextDiff::from_lines(&wanted, &actual);
                return Err(format!(
                    "it writes something else:\n{}",
                    difference.unified_diff().context_radius(2)
                ));
            }
        }
        anchored = false;
    }
    Ok(())
}

/// The lines of a block stand together in a file of the repository, comment signs aside.
fn same_as(block: &Block, file: &str) -> Result<(), String> {
    let text = fs::read_to_string(root().join(file)).map_err(|e| format!("{file}: {e}"))?;
    let bare = |line: &str| line.trim_start_matches("//!").trim().to_owned();
    let there: Vec<String> = text.lines().map(bare).collect();
    let wanted: Vec<String> = block.text.lines().map(bare).collect();
    match there.windows(wanted.len()).any(|w| w == wanted) {
        true => Ok(()),
        false => Err(format!("{file} has no such lines")),
    }
}

/// The names of a `Cargo.toml` example are those this crate has.
fn cargo_toml(block: &Block) -> Result<(), String> {
    let example: toml::Table = block.text.parse().map_err(|e| format!("{e}"))?;
    let needs = example["dev-dependencies"].as_table().unwrap();
    if !needs.contains_key(env!("CARGO_PKG_NAME")) {
        return Err("the crate has another name".into());
    }
    let own = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let own: toml::Table = own.parse().unwrap();
    // Where this crate runs specs of its own as tests, it does so as it says.
    let has = |test: &toml::Value| {
        let tests = own.get("test").and_then(toml::Value::as_array);
        tests.is_none_or(|tests| tests.contains(test))
    };
    match example["test"].as_array().unwrap().iter().all(has) {
        true => Ok(()),
        false => Err("this crate's own specs are run another way".into()),
    }
}

/// Collects the names of fields; what a check saw has names of its own.
fn fields(value: &serde_json::Value, names: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(map) => {
            for (name, value) in map {
                names.insert(name.clone());
                if !["actual", "matrix", "value"].contains(&name.as_str()) {
                    fields(value, names);
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|v| fields(v, names)),
        _ => {}
    }
}

/// Every field of a shown JSON document is explained in the same file.
fn documented(document: &Document, names: &BTreeSet<String>) -> Result<(), String> {
    let words: BTreeSet<&str> = (document.lines.iter())
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .flat_map(|code| code.split(['.', '[', ']', ' ', ',']))
        .collect();
    let missing: Vec<&str> = (names.iter().map(String::as_str))
        .filter(|name| !words.contains(name))
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(format!("not explained: {}", missing.join(", "))),
    }
}
