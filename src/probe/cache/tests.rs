//! The cache as those who use it see it.

use super::entry::Entry;
use super::segment::CHUNK;
use super::*;
use crate::format::{Bytes, FormatError, ReadAt, Source};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A source that counts the bytes that are asked of it, takes its time, and may end in an error.
#[derive(Debug)]
struct Slow {
    bytes: Bytes,
    asked: AtomicU64,
    broken_from: u64,
}

impl ReadAt for Slow {
    fn size(&self) -> Result<u64, FormatError> {
        std::thread::sleep(Duration::from_millis(60));
        self.bytes.size()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, FormatError> {
        if offset + buffer.len() as u64 > self.broken_from {
            return Err(FormatError::corrupt("slow", offset, "broken"));
        }
        std::thread::sleep(Duration::from_millis(60));
        let read = self.bytes.read_at(offset, buffer)?;
        self.asked.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

struct World {
    folder: tempfile::TempDir,
    slow: Arc<Slow>,
}

impl World {
    fn new(length: usize) -> Self {
        // Zeros in the second chunk, and something else everywhere else.
        let mut bytes: Vec<u8> = (0..length).map(|n| (n % 251) as u8 | 1).collect();
        if let Some(zeros) = bytes.get_mut(CHUNK as usize..2 * CHUNK as usize) {
            zeros.fill(0);
        }
        Self {
            folder: tempfile::tempdir().unwrap(),
            slow: Arc::new(Slow {
                bytes: Bytes::new(bytes),
                asked: AtomicU64::new(0),
                broken_from: u64::MAX,
            }),
        }
    }

    fn cache(&self, bound: u64) -> Arc<Cache> {
        Arc::new(Cache::at(self.folder.path(), bound))
    }

    fn kept(&self, cost: Cost) -> Kept {
        self.kept_in(cost, &self.cache(1 << 30), "it")
    }

    fn kept_in(&self, cost: Cost, cache: &Arc<Cache>, identity: &str) -> Kept {
        let place = Place::new(Arc::clone(cache), Identity::Known(identity.into()), None);
        let slow = Arc::clone(&self.slow);
        Kept::new(
            &place,
            "slow",
            cost,
            Box::new(move || Ok(Arc::clone(&slow) as Source)),
        )
    }

    fn asked(&self) -> u64 {
        self.slow.asked.swap(0, Ordering::Relaxed)
    }

    fn segments(&self) -> Vec<PathBuf> {
        let walk = walkdir::WalkDir::new(self.folder.path().join("v1/objects"));
        let files = walk
            .into_iter()
            .flatten()
            .filter(|e| e.file_type().is_file());
        files.map(|e| e.path().to_owned()).collect()
    }
}

fn all(source: &dyn ReadAt) -> Vec<u8> {
    source.up_to(0, 100 << 20).unwrap().to_vec()
}

#[test]
fn what_was_read_is_not_asked_for_again() {
    for cost in [Cost::Decoding, Cost::Request, Cost::Download] {
        let length = 5 * CHUNK as usize + 17;
        let world = World::new(length);
        assert_eq!(all(&world.kept(cost)), *world.slow.bytes, "{cost:?}");
        assert!(world.asked() >= length as u64);
        let again = world.kept(cost);
        assert!(again.is_whole(), "{cost:?}");
        assert_eq!(again.size(), Ok(length as u64));
        assert_eq!(all(&again), *world.slow.bytes);
        assert_eq!(again.up_to(length as u64 - 3, 9).unwrap().len(), 3);
        assert_eq!(again.up_to(length as u64, 9).unwrap().len(), 0);
        assert_eq!(world.asked(), 0, "{cost:?}");
        let meta = fs::metadata(world.folder.path().join("v1")).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o700);
    }
}

#[test]
fn parts_add_up_and_a_length_of_whole_chunks_ends_where_it_ends() {
    let world = World::new(4 * CHUNK as usize);
    let mut buffer = vec![0; 3000];
    world
        .kept(Cost::Request)
        .read_at(CHUNK * 2 + 5, &mut buffer)
        .unwrap();
    assert_eq!(buffer, world.slow.bytes[CHUNK as usize * 2 + 5..][..3000]);
    assert_eq!(world.asked(), CHUNK, "one chunk, and nothing else");
    let more = world.kept(Cost::Request);
    assert_eq!(all(&more), *world.slow.bytes);
    assert_eq!(world.asked(), 3 * CHUNK);
    drop(more);
    assert_eq!(world.segments().len(), 2);
    assert_eq!(all(&world.kept(Cost::Request)), *world.slow.bytes);
    assert_eq!(world.asked(), 0);
}

#[test]
fn what_costs_little_is_not_kept_and_an_error_never_is() {
    let mut world = World::new(3 * CHUNK as usize);
    let place = Place::new(world.cache(1 << 30), Identity::Known("quick".into()), None);
    let bytes = world.slow.bytes.clone();
    let make = Box::new(move || Ok(Arc::new(bytes.clone()) as Source));
    let quick = Kept::new(&place, "quick", Cost::Decoding, make);
    assert!(all(&quick) == *world.slow.bytes);
    drop(quick);
    assert_eq!(world.segments().len(), 0);
    Arc::get_mut(&mut world.slow).unwrap().broken_from = 2 * CHUNK;
    for _ in 0..2 {
        let kept = world.kept(Cost::Decoding);
        let mut buffer = vec![0; 2 * CHUNK as usize];
        assert_eq!(kept.read_at(0, &mut buffer), Ok(buffer.len()));
        assert!(buffer == world.slow.bytes[..buffer.len()]);
        assert!(kept.read_at(2 * CHUNK, &mut buffer).is_err());
        assert!(kept.up_to(0, 3 * CHUNK as usize).is_err());
    }
}

#[test]
fn a_segment_that_is_cut_or_changed_costs_time_and_nothing_else() {
    let length = 3 * CHUNK as usize + 5;
    let world = World::new(length);
    drop(all(&world.kept(Cost::Request)));
    let segment = world.segments().pop().unwrap();
    let whole = fs::read(&segment).unwrap();
    let mut changed = whole.clone();
    changed[CHUNK as usize + 9] ^= 1;
    let seal = whole.len() - 1;
    let mut unsealed = whole.clone();
    unsealed[seal] ^= 1;
    let foreign = b"something else altogether".repeat(100);
    for (name, bytes) in [
        ("cut", &whole[..whole.len() / 2]),
        ("empty", &[]),
        ("front gone", &whole[1..]),
        ("a byte of a chunk", &changed),
        ("a byte of the seal", &unsealed),
        ("foreign", &foreign),
    ] {
        for file in world.segments() {
            fs::remove_file(file).unwrap();
        }
        fs::write(&segment, bytes).unwrap();
        world.asked();
        assert!(
            all(&world.kept(Cost::Request)) == *world.slow.bytes,
            "{name}"
        );
        assert!(world.asked() > 0, "{name}");
        // What lay in the same file as a broken chunk and had been read before it goes as well.
        assert!(
            all(&world.kept(Cost::Request)) == *world.slow.bytes,
            "{name}"
        );
        world.asked();
        assert!(
            all(&world.kept(Cost::Request)) == *world.slow.bytes,
            "{name}"
        );
        assert_eq!(world.asked(), 0, "{name}: it is whole again");
    }
}

#[test]
fn the_bound_is_kept_and_what_was_used_last_stays() {
    let world = World::new(4 * CHUNK as usize);
    let bound = 8 * CHUNK;
    let cache = world.cache(bound);
    for name in ["a", "b", "c", "a", "d"] {
        assert!(all(&world.kept_in(Cost::Request, &cache, name)) == *world.slow.bytes);
        std::thread::sleep(Duration::from_millis(20));
        assert!(cache.usage().bytes <= bound, "{name}: {:?}", cache.usage());
    }
    assert_eq!(cache.usage().sources, 2);
    world.asked();
    all(&world.kept_in(Cost::Request, &cache, "a"));
    all(&world.kept_in(Cost::Request, &cache, "d"));
    assert_eq!(world.asked(), 0);
    // One that would take more than half of it is not kept.
    let large = World::new(6 * CHUNK as usize);
    let small = large.cache(4 * CHUNK);
    assert!(all(&large.kept_in(Cost::Request, &small, "a")) == *large.slow.bytes);
    assert!(
        small.usage().bytes <= 2 * CHUNK + 4096,
        "{:?}",
        small.usage()
    );
    cache.clear().unwrap();
    assert_eq!(cache.usage(), Usage::default());
    assert!(!world.folder.path().exists());
}

#[test]
fn nothing_that_is_not_the_caches_is_removed() {
    let world = World::new(10);
    drop(all(&world.kept(Cost::Request)));
    let own = world.folder.path().join("own");
    fs::write(&own, "kept").unwrap();
    world.cache(1).clear().unwrap();
    assert_eq!(fs::read_to_string(own).unwrap(), "kept");
    assert_eq!(fs::read_dir(world.folder.path()).unwrap().count(), 1);
}

#[test]
fn a_folder_that_cannot_be_written_costs_the_cache_and_not_the_result() {
    let world = World::new(3 * CHUNK as usize);
    let file = world.folder.path().join("file");
    fs::write(&file, "").unwrap();
    for root in [file.as_path(), Path::new("/proc/no/such")] {
        let cache = Arc::new(Cache::at(root, 1 << 30));
        for cost in [Cost::Decoding, Cost::Request, Cost::Download] {
            let kept = world.kept_in(cost, &cache, "it").sized(3 * CHUNK);
            assert!(all(&kept) == *world.slow.bytes, "{cost:?}");
        }
    }
}

#[test]
fn many_at_once_make_it_once() {
    let length = 3 * CHUNK as usize + 1;
    let world = World::new(length);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let kept = world.kept(Cost::Download).sized(length as u64);
                assert!(all(&kept) == *world.slow.bytes);
            });
        }
    });
    assert_eq!(world.asked(), length as u64);
}

#[test]
fn many_small_segments_become_one() {
    let world = World::new(40 * CHUNK as usize);
    for chunk in 0..40 {
        let mut byte = [0];
        world
            .kept(Cost::Request)
            .read_at(chunk * CHUNK, &mut byte)
            .unwrap();
    }
    assert!(world.segments().len() < 25, "{}", world.segments().len());
    world.asked();
    assert!(all(&world.kept(Cost::Request)) == *world.slow.bytes);
    assert_eq!(world.asked(), 0);
    let key = Place::new(world.cache(1), Identity::Known("it".into()), None).known("slow");
    let mut entry = Entry::default();
    entry.refresh(&world.cache(1), &key.unwrap());
    assert_eq!(entry.chunks.len(), 40);
}

#[test]
fn the_environment_says_where_it_is_and_how_large() {
    let of = |set: &'static [(&str, &str)]| {
        Cache::of(|name| {
            let found = set.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| OsString::from(value))
        })
    };
    let root = |set| of(set).unwrap().map(|c| c.root.display().to_string());
    assert_eq!(root(&[("HOME", "/h")]).unwrap(), "/h/.cache/tdg");
    assert_eq!(
        root(&[("XDG_CACHE_HOME", "/x"), ("HOME", "/h")]).unwrap(),
        "/x/tdg"
    );
    assert_eq!(
        root(&[("XDG_CACHE_HOME", "x"), ("HOME", "/h")]).unwrap(),
        "/h/.cache/tdg"
    );
    assert_eq!(
        root(&[("TDG_CACHE", "here"), ("HOME", "/h")]).unwrap(),
        "here"
    );
    assert_eq!(root(&[("TDG_CACHE", "off"), ("HOME", "/h")]), None);
    assert_eq!(root(&[("TDG_CACHE_SIZE", "0"), ("HOME", "/h")]), None);
    assert_eq!(root(&[]), None);
    let sized = of(&[("HOME", "/h"), ("TDG_CACHE_SIZE", "2 MiB")]).unwrap();
    assert_eq!(sized.unwrap().bound(), 2 << 20);
    assert!(
        of(&[("TDG_CACHE_SIZE", "much")])
            .unwrap_err()
            .contains("much")
    );
}
