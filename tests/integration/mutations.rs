//! Good specs, damaged in some thousand ways: planning says what is wrong, and neither panics nor
//! hangs. The damage is drawn from a fixed seed, so a failure comes again.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tdg::run::PlanError;
use tdg::run::plan::{Request, plan};
use tdg::run::text::plan_error;

/// How many damaged specs are tried; `TDG_MUTATIONS` in the environment asks for more.
const ROUNDS: u64 = 2000;

fn good() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["fixtures/specs/good", "fixtures/demo/specs"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "yaml") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn request(path: &Path) -> Request {
    Request {
        paths: vec![path.to_owned()],
        ..Request::default()
    }
}

#[test]
fn a_good_spec_has_a_plan() {
    for path in good() {
        if path.to_string_lossy().contains("/demo/") {
            // The demo's specs are given their folders by the loop.
            continue;
        }
        match plan(&request(&path)) {
            Ok(plan) => assert!(!plan.trials.is_empty()),
            Err(error) => panic!("{}", plan_error(&error, false)),
        }
    }
}

#[test]
fn what_is_included_by_two_ways_is_there_once() {
    let path = good().into_iter().find(|p| p.ends_with("everything.yaml"));
    let plan = plan(&request(&path.unwrap())).unwrap();
    let shared = |n: &&str| n.contains("yes-it-is");
    let names: Vec<&str> = plan.trials.iter().map(|t| t.info.name.as_str()).collect();
    assert_eq!(names.iter().filter(|n| shared(n)).count(), 4, "{names:#?}");
    assert!(plan.trials[0].info.tags.contains(&"for-arm64".to_owned()));
}

/// xorshift64*, by Vigna: enough for damage.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(drawn).unwrap() % sides.max(1)
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &[&'a T]) -> &'a T {
        of[self.roll(of.len())]
    }
}

/// Words that mean something somewhere, put where they may not belong.
const WORDS: &[&str] = &[
    "null",
    "{}",
    "[]",
    "true",
    "-1",
    "0",
    "1e400",
    "99999999999999999999",
    "0x7fffffffffffffff",
    "''",
    "\"\\0\"",
    "${{ vars.arch }}",
    "${{ ''",
    "${{ }}",
    "${{ 1 / 0 }}",
    "${{ [1, 2] }}",
    "${{ 'a' * 9999999999 }}",
    "${{ vars }}",
    "${{ secrets }}",
    "&a",
    "*a",
    "&a [*a]",
    "!!binary x",
    "<<: *a",
    "---",
    "...",
    "# x",
    "- ",
    "? ",
    "|",
    ">",
    "{a: {a: {a: {a: 1}}}}",
    "contain: []",
    "not: {}",
    "every: {}",
    "same-as: a.b",
    "same-as: kernel[variant=x].y",
    "semver: '>=x'",
    "match: '('",
    "glob: '[a'",
    "json: {$: 1}",
    "between: [2, 1]",
    "include: everything.yaml",
    "matrix: {}",
    "allow-empty: 1",
    "\u{feff}",
    "\u{202e}",
    "é",
    "漢字",
    "\t",
    "\r",
    "\u{85}",
    "a: b: c",
    "'",
    "\"",
    "`",
    "@",
    "%",
    "1979-05-27",
    "in: [a]",
    "until: 2026-02-30",
    "attempts: 4294967296",
];

fn damage(text: &str, dice: &mut Dice) -> Vec<u8> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for _ in 0..=dice.roll(3) {
        let at = dice.roll(lines.len());
        let other = dice.roll(lines.len());
        match dice.roll(9) {
            0 if lines.len() > 1 => drop(lines.remove(at)),
            1 => {
                let line = lines[at].clone();
                lines.insert(other, line);
            }
            2 => lines.swap(at, other),
            3 => lines[at] = format!("{}{}", " ".repeat(dice.roll(9)), lines[at].trim_start()),
            4 => lines.insert(
                at,
                format!("{}{}", " ".repeat(dice.roll(9)), dice.pick(WORDS)),
            ),
            5 => {
                // One word for another.
                let words: Vec<&str> = lines[at].split(' ').collect();
                let word = dice.roll(words.len());
                let mut words: Vec<String> = words.into_iter().map(str::to_owned).collect();
                words[word] = dice.pick(WORDS).to_owned();
                lines[at] = words.join(" ");
            }
            6 => {
                // The value of a key.
                if let Some((key, _)) = lines[at].split_once(": ") {
                    lines[at] = format!("{key}: {}", dice.pick(WORDS));
                }
            }
            7 => {
                let keep = dice.roll(lines[at].chars().count() + 1);
                lines[at] = lines[at].chars().take(keep).collect();
            }
            _ => {
                let chars: Vec<char> = lines[at].chars().collect();
                let gone = dice.roll(chars.len());
                let left = chars.iter().enumerate().filter(|(i, _)| *i != gone);
                lines[at] = left.map(|(_, c)| *c).collect();
            }
        }
    }
    let mut bytes = lines.join("\n").into_bytes();
    if dice.roll(6) == 0 && !bytes.is_empty() {
        let at = dice.roll(bytes.len());
        bytes[at] ^= 1 << dice.roll(8);
    }
    if dice.roll(12) == 0 {
        bytes.truncate(dice.roll(bytes.len()));
    }
    bytes
}

/// Plans a damaged spec and reads every word that is said of it.
fn judge(path: &Path) -> bool {
    match plan(&request(path)) {
        Ok(plan) => {
            assert!(!plan.trials.is_empty());
            // Whatever passes for good demands something.
            assert!(
                plan.trials
                    .iter()
                    .all(|t| t.matcher.is_some() || t.snapshot.is_some())
            );
            true
        }
        Err(error) => {
            for colour in [false, true] {
                assert!(!plan_error(&error, colour).is_empty());
            }
            if let PlanError::Specs {
                diagnostics,
                sources,
            } = &error
            {
                assert!(!diagnostics.is_empty());
                for d in diagnostics.sorted() {
                    let text = sources.text(d.span.source);
                    assert!(text.get(d.span.start..d.span.end).is_some(), "{d:?}");
                }
            }
            false
        }
    }
}

#[test]
fn damaged_specs_are_refused_or_planned_and_never_more() {
    let rounds = std::env::var("TDG_MUTATIONS").ok();
    let rounds = rounds.and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("parts")).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = "parts/shared.yaml";
    fs::copy(
        root.join("fixtures/specs/good").join(shared),
        dir.path().join(shared),
    )
    .unwrap();
    let texts: Vec<String> = good()
        .iter()
        .map(|p| fs::read_to_string(p).unwrap())
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let spec = dir.path().join("everything.yaml");

    let (mut planned, mut refused) = (0, 0);
    let (sender, receiver) = mpsc::channel();
    let path = spec.clone();
    let (orders, work) = mpsc::channel::<()>();
    let worker = std::thread::spawn(move || {
        while work.recv().is_ok() {
            let begin = Instant::now();
            let good = judge(&path);
            sender.send((good, begin.elapsed())).unwrap();
        }
    });
    for seed in 1..=rounds {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let damaged = damage(dice.pick(&texts), &mut dice);
        fs::write(&spec, &damaged).unwrap();
        orders.send(()).unwrap();
        let shown = || String::from_utf8_lossy(&damaged).into_owned();
        match receiver.recv_timeout(Duration::from_secs(20)) {
            Ok((good, took)) => {
                assert!(
                    took < Duration::from_secs(5),
                    "seed {seed}: {took:?}\n{}",
                    shown()
                );
                *(if good { &mut planned } else { &mut refused }) += 1;
            }
            Err(_) => panic!("seed {seed} hangs or panics:\n{}", shown()),
        }
    }
    drop(orders);
    worker.join().unwrap();
    // Both happen, or the damage is not what it should be.
    assert!(
        planned > rounds / 50 && refused > rounds / 3,
        "{planned} planned, {refused} refused"
    );
}
