//! What tests of SIGKILL have in common: how many, when, and what is left.

use std::fs;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::images::Random;
use crate::world::World;

/// How often something is killed, and at which moments: `TDG_KILLS` says how often, `TDG_SEED` repeats
/// a run, as far as the machine allows.
pub(crate) struct Kills {
    pub(crate) count: u64,
    random: Random,
}

impl Kills {
    pub(crate) fn new(count: u64, seed: u64) -> Self {
        let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u64>().ok());
        let seed = number("TDG_SEED").unwrap_or(seed);
        let _ = writeln!(std::io::stderr(), "TDG_SEED={seed}");
        Self {
            count: number("TDG_KILLS").unwrap_or(count),
            random: Random::new(seed),
        }
    }

    /// A moment before this time is over.
    pub(crate) fn moment(&mut self, time: Duration) -> Duration {
        let most = usize::try_from(time.as_micros()).unwrap().max(1);
        Duration::from_micros(self.random.below(most) as u64)
    }
}

/// What runs that was started for the world, by its environment or its command line, and what it made
/// for a while in `tmp`.
pub(crate) fn left(world: &World) -> (Vec<String>, Vec<String>) {
    let made = fs::read_dir(world.path().join("tmp")).unwrap().flatten();
    let made = made.map(|entry| entry.path().display().to_string());
    (at_work(world), made.collect())
}

/// What runs that was started for the world, by its environment or its command line.
pub(crate) fn at_work(world: &World) -> Vec<String> {
    let folder = world.path().join("tmp");
    let folder = folder.to_str().unwrap().as_bytes();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
        let has = |bytes: &[u8]| bytes.windows(folder.len()).any(|part| part == folder);
        if has(&read("environ")) || has(&read("cmdline")) {
            let words = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
            found.push(format!("{}: {words}", entry.file_name().display()));
        }
    }
    found
}

/// Waits until nothing is left of the kill with this number.
pub(crate) fn nothing_left<T: Default + PartialEq + std::fmt::Debug>(
    kill: u64,
    left: impl Fn() -> T,
) {
    let killed = Instant::now();
    loop {
        let there = left();
        if there == T::default() {
            return;
        }
        let limit = Duration::from_secs(20);
        assert!(killed.elapsed() < limit, "kill {kill} leaves {there:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
