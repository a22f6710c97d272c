//! Through a proxy that does harm: complete, or an error that says why; never a wrong artifact.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::json;
use tdg::probe::registry::{self, Progress, Verify, Which};

use super::{blobs, leads_to, name, quick, sample};
use crate::layouts::{LAYER, Layout, noise};
use crate::proxy::{Harm, Proxy};
use crate::servers::registry as real;
use crate::world::World;

/// How many times it is gone there and back.
const SEEDS: u64 = 220;

/// Makes a layout of one image.
fn small(world: &World, name: &str, seed: u64) -> Layout {
    let layout = Layout::new(&world.path().join(name));
    let layer = noise(seed, 120_000);
    let blob = layout.blob(LAYER, &layer);
    let mut image = layout.image("arm64", &[blob], &[&layer]);
    image["annotations"] = json!({ "org.opencontainers.image.ref.name": "v1" });
    layout.index(&[image]);
    layout
}

struct Run<'r> {
    world: &'r World,
    registry: u16,
    good: [&'r Layout; 2],
    old: &'r Layout,
}

/// What came of one time.
#[derive(Debug)]
struct Came {
    pushed: bool,
    pulled: bool,
    done: HashMap<Harm, u32>,
}

impl Run<'_> {
    /// Pulls without the proxy; `None` where the tag is not there.
    fn there(&self, repository: &str, into: &Path) -> Option<String> {
        let from = name(self.registry, &format!("{repository}:v1"));
        let quiet: Progress = Arc::new(|_| {});
        match registry::pull(&from, into, &quick(1), &quiet) {
            Ok(pulled) => Some(pulled.root.digest.to_string()),
            Err(error) if error.is_absent() => None,
            Err(error) => panic!("{repository}: the registry has something wrong: {error}"),
        }
    }

    fn once(&self, seed: u64) -> Came {
        let quiet: Progress = Arc::new(|_| {});
        let good = self.good[usize::from(seed.is_multiple_of(10))];
        let root = leads_to(good.path(), "v1").unwrap();
        let repository = format!("r{seed}/image");
        let folder = |what: &str| self.world.path().join(format!("{what}{seed}"));
        let push = |layout: &Layout, port: u16, tries: u32| {
            let mut options = quick(tries);
            options.jobs = 2;
            options.chunk = (seed.is_multiple_of(3)).then_some(50_000);
            options.verify = if seed.is_multiple_of(4) {
                Verify::Bytes
            } else {
                Verify::Sizes
            };
            let to = name(port, &repository);
            registry::push(
                layout.path(),
                &Which::Only,
                &to,
                &["v1".into()],
                &options,
                &quiet,
            )
        };
        // Of some, an older one is there.
        let has_old = seed.is_multiple_of(2);
        if has_old {
            push(self.old, self.registry, 1).unwrap();
        }
        let proxy = Proxy::start(self.registry, seed, 4);
        // Some give up soon.
        let tries = if seed % 5 == 1 { 2 } else { 6 };
        let pushed = push(good, proxy.port, tries);
        let there = self.there(&repository, &folder("there"));
        let old = leads_to(self.old.path(), "v1").filter(|_| has_old);
        match &pushed {
            Ok(pushed) => {
                assert_eq!(pushed.root.digest.to_string(), root);
                assert_eq!(there.as_ref(), Some(&root), "seed {seed}");
                let image = |layout: &Path| {
                    let mut blobs = blobs(layout);
                    blobs.retain(|_, size| *size > 1000);
                    blobs
                };
                assert_eq!(image(&folder("there")), image(good.path()), "seed {seed}");
            }
            Err(error) => {
                assert!(error.to_string().len() > 10);
                assert!(there.is_none() || there.as_ref() == Some(&root) || there == old);
            }
        }
        if there.as_ref() != Some(&root) {
            push(good, self.registry, 1).unwrap();
        }
        // And back.
        let out = folder("out");
        let from = name(proxy.port, &format!("{repository}:v1"));
        let mut options = quick(tries);
        options.referrers = seed.is_multiple_of(10);
        let pulled = registry::pull(&from, &out, &options, &quiet);
        let came = blobs_so_far(&out);
        match &pulled {
            Ok(_) => {
                assert_eq!(leads_to(&out, "v1").as_ref(), Some(&root), "seed {seed}");
                assert_eq!(came, blobs(good.path()).len(), "seed {seed}");
            }
            Err(error) => {
                assert!(error.to_string().len() > 10);
                assert_eq!(leads_to(&out, "v1"), None, "seed {seed}: {error}");
            }
        }
        // What came is taken up.
        let from = name(self.registry, &format!("{repository}:v1"));
        registry::pull(&from, &out, &options, &quiet).unwrap();
        assert_eq!(blobs(&out), blobs(good.path()), "seed {seed}");
        for what in ["out", "there"] {
            let _ = fs::remove_dir_all(folder(what));
        }
        Came {
            pushed: pushed.is_ok(),
            pulled: pulled.is_ok(),
            done: proxy.done(),
        }
    }
}

/// Counts the blobs of a layout; each has to be what its name says.
fn blobs_so_far(layout: &Path) -> usize {
    match layout.join("blobs/sha256").exists() {
        true => blobs(layout).len(),
        false => 0,
    }
}

#[test]
fn through_a_hostile_proxy_it_is_complete_or_an_error_and_never_wrong() {
    let world = World::new();
    let Some(server) = real(&world.path().join("registry"), false) else {
        return;
    };
    let (one, many) = (
        small(&world, "one", 1),
        sample(&world, "many", &[90_000, 10]),
    );
    let old = small(&world, "old", 2);
    let run = Run {
        world: &world,
        registry: server.port,
        good: [&one, &many],
        old: &old,
    };
    let (next, all) = (AtomicU64::new(1), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > SEEDS {
                        break;
                    }
                    let came = run.once(seed);
                    all.lock().unwrap().push(came);
                }
            });
        }
    });
    let all = all.into_inner().unwrap();
    assert_eq!(all.len() as u64, SEEDS);
    // It would show little if all went well, or nothing did, or some harm was never done.
    let count = |is: fn(&Came) -> bool| all.iter().filter(|came| is(came)).count() as u64;
    let (pushed, pulled) = (count(|c| c.pushed), count(|c| c.pulled));
    let mut done: HashMap<Harm, u32> = HashMap::new();
    for (harm, times) in all.iter().flat_map(|came| &came.done) {
        *done.entry(*harm).or_default() += times;
    }
    println!("{pushed} pushes and {pulled} pulls of {SEEDS} came through: {done:?}");
    assert!(
        pushed > SEEDS / 2 && pulled > SEEDS / 2,
        "{pushed}, {pulled}"
    );
    assert!(pushed + pulled < 2 * SEEDS - 5, "{pushed}, {pulled}");
    assert_eq!(done.len(), 15, "{done:?}");
    assert!(done.values().all(|times| *times >= 20), "{done:?}");
}
