//! The house rules: floors, sizes of files, and words that stand only where they belong.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::peers::{output, peer};
use crate::source;

/// The floor of each module, as the map in `src/lib.rs` has it.
const FLOORS: &[(&str, u8)] = &[
    ("model", 0),
    ("spec", 1),
    ("format", 1),
    ("image", 2),
    ("probe", 2),
    ("check", 3),
    ("run", 4),
    ("report", 5),
    ("inspect", 5),
    ("generate", 5),
    ("demo", 5),
    ("serve", 5),
    ("cli", 6),
];

/// A file has at most this many lines, its tests among them.
const MAX_LINES: usize = 450;

/// Files that are longer, how long they may be, and why.
const LONGER: &[(&str, usize, &str)] = &[
    ("src/spec/document.rs", 530, "a third of it is tests"),
    ("src/spec/matcher/list.rs", 495, "one family of operators"),
    ("src/run/plan.rs", 580, "the one way from specs to trials"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn shown(path: &Path) -> String {
    let relative = path.strip_prefix(root()).unwrap_or(path);
    relative.display().to_string()
}

/// Every file below a folder, sorted.
fn files(folder: &str) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(root().join(folder)).sort_by_file_name();
    walk.into_iter()
        .map(Result::unwrap)
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .collect()
}

fn rust_files(folder: &str) -> Vec<(PathBuf, String)> {
    files(folder)
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, text)
        })
        .collect()
}

/// The module path of a file: `src/spec/matcher/list.rs` is `spec::matcher::list`.
fn module(path: &Path) -> Vec<String> {
    let relative = path.strip_prefix(root().join("src")).unwrap();
    let mut parts: Vec<String> = relative
        .with_extension("")
        .iter()
        .map(|part| part.to_string_lossy().into_owned())
        .collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

fn floor(module: &str) -> Option<u8> {
    let found = FLOORS.iter().find(|(name, _)| *name == module);
    found.map(|(_, floor)| *floor)
}

#[test]
fn the_floor_map_of_the_documentation_is_the_one_that_is_held() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let mut documented = BTreeMap::new();
    for row in lib.lines().filter_map(|l| l.strip_prefix("//! | ")) {
        let mut cells = row.split(" | ");
        let Ok(floor) = cells.next().unwrap().trim().parse::<u8>() else {
            continue;
        };
        for name in cells.next().unwrap().split(", ") {
            let name = name.trim_matches(['[', ']', '`', ' ']).to_owned();
            documented.insert(name, floor);
        }
    }
    let declared: Vec<&str> = lib
        .lines()
        .filter_map(|l| l.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    for name in &declared {
        assert_eq!(documented.get(*name).copied(), floor(name), "{name}");
        assert!(floor(name).is_some(), "{name} has no floor");
    }
    let documented: BTreeSet<&str> = documented.keys().map(String::as_str).collect();
    assert_eq!(documented, declared.iter().copied().collect());
}

#[test]
fn every_module_imports_only_lower_floors() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (path, text) in rust_files("src") {
        let own = module(&path);
        let Some(here) = own.first().filter(|m| floor(m).is_some()) else {
            assert!(
                matches!(own.first().map(String::as_str), Some("lib" | "main")),
                "{} belongs to no floor",
                shown(&path)
            );
            continue;
        };
        for import in source::imports(&text, &own) {
            seen += 1;
            let Some(target) = import.path.first() else {
                continue;
            };
            let (Some(up), Some(down)) = (floor(target), floor(here)) else {
                continue;
            };
            if target != here && up >= down {
                wrong.push(format!(
                    "{}:{}: {here} (floor {down}) imports {} (floor {up})",
                    shown(&path),
                    import.line,
                    import.path.join("::")
                ));
            }
        }
    }
    assert!(seen > 300, "only {seen} imports were seen");
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Circles that are meant: each names the parts, and why they know each other.
const CIRCLES: &[(&str, &str)] = &[];

/// The parts of a module are its files and folders; a `mod.rs` is the roof over them and is left
/// out. Inside a folder such as `spec/matcher`, a language that contains itself may go round.
#[test]
fn no_parts_of_a_module_import_each_other_in_a_circle() {
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (path, text) in rust_files("src") {
        let own = module(&path);
        let [floor, part, ..] = own.as_slice() else {
            continue;
        };
        let from = format!("{floor}/{part}");
        for import in source::imports(source::without_tests(&text), &own) {
            if let [to_floor, to, ..] = import.path.as_slice()
                && to_floor == floor
                && to != part
                && is_part(floor, to)
            {
                graph
                    .entry(from.clone())
                    .or_default()
                    .insert(format!("{floor}/{to}"));
            }
        }
    }
    assert!(graph.len() > 20, "only {} parts were seen", graph.len());
    let circles: BTreeSet<String> = graph.keys().filter_map(|s| circle(&graph, s)).collect();
    let allowed: BTreeSet<String> = CIRCLES.iter().map(|(c, _)| (*c).to_owned()).collect();
    assert_eq!(circles, allowed);
}

fn is_part(floor: &str, name: &str) -> bool {
    let folder = root().join("src").join(floor);
    folder.join(name).is_dir() || folder.join(format!("{name}.rs")).is_file()
}

/// Finds the shortest way from a part back to itself, written from its least member on.
fn circle(graph: &BTreeMap<String, BTreeSet<String>>, start: &str) -> Option<String> {
    let mut ways = vec![vec![start.to_owned()]];
    let mut met = BTreeSet::new();
    while !ways.is_empty() {
        let mut longer = Vec::new();
        for way in ways {
            for next in graph.get(way.last()?).into_iter().flatten() {
                if next == start {
                    let least = way.iter().enumerate().min_by_key(|(_, part)| *part)?.0;
                    let mut way = way.clone();
                    way.rotate_left(least);
                    return Some(way.join(" -> "));
                }
                if met.insert(next.clone()) {
                    longer.push([way.as_slice(), std::slice::from_ref(next)].concat());
                }
            }
        }
        ways = longer;
    }
    None
}

#[test]
fn files_stay_small() {
    let mut wrong = Vec::new();
    for (path, text) in rust_files("src") {
        let path = shown(&path);
        let lines = text.lines().count();
        let exception = LONGER.iter().find(|(file, ..)| *file == path);
        let limit = exception.map_or(MAX_LINES, |(_, limit, _)| *limit);
        if lines > limit {
            wrong.push(format!("{path} has {lines} lines; {limit} are allowed"));
        } else if exception.is_some() && lines <= MAX_LINES {
            wrong.push(format!("{path} is small enough: remove its exception"));
        }
    }
    for (file, _, why) in LONGER {
        assert!(!why.is_empty());
        assert!(root().join(file).is_file(), "{file} is gone: remove it");
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Words, where they may stand, and why not elsewhere.
const WORDS: &[(&[&str], &[&str], &str)] = &[
    (
        &["println!", "print!", "eprintln!", "eprint!", "dbg!"],
        &["src/cli/", "src/report/"],
        "only `cli` and `report` write to a terminal",
    ),
    (
        &["process::Command", "Command::new"],
        &["src/probe/"],
        "only `probe` starts processes",
    ),
    (
        &["untagged", "serde(flatten", ", flatten"],
        &[],
        "what serde says of these helps nobody",
    ),
    (
        &["todo!", "unimplemented!", "FIXME", "XXX"],
        &[],
        "finish it, or file an issue",
    ),
    (&["unsafe "], &[], "no unsafe code"),
];

#[test]
fn words_stand_only_where_they_belong() {
    let mut wrong = Vec::new();
    for (path, text) in rust_files("src") {
        let path = shown(&path);
        let code = source::without_tests(&text);
        // A test module in a file of its own is a test as well.
        if path.ends_with("/tests.rs") {
            continue;
        }
        for (number, line) in source::code(code).lines().enumerate() {
            for (words, places, why) in WORDS {
                let home = places.iter().any(|place| path.starts_with(place));
                for word in words.iter().filter(|word| !home && has_word(line, word)) {
                    wrong.push(format!("{path}:{}: `{word}`: {why}", number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Tells whether a word stands in a line, not as the end of a longer one.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        // `#[command(flatten)]` is clap's, and no part of a format.
        let clap = word.contains("flatten") && line.contains("command(");
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_') && !clap
    })
}

#[test]
fn the_folder_of_kinds_is_the_list_of_kinds() {
    let mut folder = BTreeSet::new();
    for (path, text) in rust_files("src/check") {
        if text.contains("pub struct TheKind") {
            folder.insert(path.file_stem().unwrap().to_string_lossy().into_owned());
            let file = shown(&path);
            let name = text
                .split_once("const NAME: &'static str = \"")
                .and_then(|(_, rest)| rest.split('"').next());
            assert_eq!(name, path.file_stem().unwrap().to_str(), "{file}");
        }
    }
    let names: Vec<String> = tdg::check::KINDS
        .iter()
        .map(|k| k.name().to_owned())
        .collect();
    assert!(names.is_sorted(), "the list is kept in order: {names:?}");
    assert_eq!(folder, names.into_iter().collect::<BTreeSet<_>>());
}

#[test]
fn what_a_crate_needs_beside_its_code_is_there() {
    for file in ["CHANGELOG.md", "LICENSE-MIT", "LICENSE-APACHE"] {
        let text = fs::read_to_string(root().join(file)).unwrap_or_default();
        assert!(text.len() > 100, "{file} is missing or says nothing");
    }
    let changes = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    assert!(changes.contains("## Unreleased") || changes.contains(env!("CARGO_PKG_VERSION")));
}

/// Each row of `fixtures/INDEX.md` begins with a path or glob in backticks.
#[test]
fn every_fixture_is_in_the_index_and_every_line_of_the_index_is_used() {
    let index = fs::read_to_string(root().join("fixtures/INDEX.md")).unwrap();
    let globs: Vec<(&str, globset::GlobMatcher)> = index
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .map(|glob| (glob, globset::Glob::new(glob).unwrap().compile_matcher()))
        .collect();
    let mut used = BTreeSet::new();
    let mut wrong = Vec::new();
    for path in files("fixtures") {
        let relative = path.strip_prefix(root().join("fixtures")).unwrap();
        let mut lines = globs
            .iter()
            .filter(|(_, g)| g.is_match(relative))
            .peekable();
        if lines.peek().is_none() && relative != Path::new("INDEX.md") {
            wrong.push(format!("{} is not in fixtures/INDEX.md", shown(&path)));
        }
        used.extend(lines.map(|(glob, _)| *glob));
    }
    for (glob, _) in &globs {
        if !used.contains(glob) {
            wrong.push(format!("fixtures/INDEX.md names `{glob}`, which is gone"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn nothing_large_is_committed() {
    const LIMIT: u64 = 100 << 10;
    if !root().join(".git").exists() {
        return;
    }
    let Some(git) = peer("git") else { return };
    let listed = output(&git, root(), &["ls-files", "-z"]);
    let mut seen = 0;
    for name in listed.split('\0').filter(|name| !name.is_empty()) {
        let Ok(meta) = fs::symlink_metadata(root().join(name)) else {
            continue;
        };
        seen += 1;
        // These are text that a program writes: they grow with the crates and the kinds.
        let written = [
            "Cargo.lock",
            "docs/kinds.md",
            "docs/schema/spec.schema.json",
        ]
        .contains(&name);
        assert!(
            meta.len() <= if written { 4 * LIMIT } else { LIMIT },
            "{name} has {} bytes; make it instead of committing it",
            meta.len()
        );
    }
    assert!(seen > 100, "git lists only {seen} files");
}
