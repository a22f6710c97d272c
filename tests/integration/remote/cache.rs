//! What is kept between runs, and what happens to it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::noise;
use crate::peers::{output, peer};
use crate::servers::{Liar, nginx, part};
use crate::world::{World, ran};

/// The bytes of the one large file of the image.
fn content() -> Vec<u8> {
    // Half of it is there to be squeezed out: that takes a decoder a while.
    let hex = b"0123456789abcdef";
    let bytes = noise(11, 18_000_000);
    bytes
        .iter()
        .map(|byte| hex[usize::from(byte >> 4)])
        .collect()
}

/// Makes `NAME.xz`, a compressed squashfs image with one large file that is slow to decode.
fn slow_image(world: &World, name: &str) -> Option<PathBuf> {
    let (mksquashfs, xz) = (peer("mksquashfs")?, peer("xz")?);
    world.write("root/large", content());
    let arguments = [
        "root",
        name,
        "-noappend",
        "-quiet",
        "-no-progress",
        "-noD",
        "-noI",
        "-noF",
    ];
    output(&mksquashfs, world.path(), &arguments);
    output(&xz, world.path(), &["-0", name]);
    // A file that has just been written may change without that being seen: its digest is not
    // remembered yet.
    std::thread::sleep(Duration::from_millis(100));
    Some(world.path().join(format!("{name}.xz")))
}

fn with_cache(world: &World, arguments: &[&str]) -> Command {
    let mut command = world.command(arguments);
    command.env("TDG_CACHE", world.path().join("cache"));
    command
}

/// Gives the bytes of a file, which have to come without an error, and how long that took.
fn cat(world: &World, address: &str) -> (Vec<u8>, Duration) {
    let begin = Instant::now();
    let output = with_cache(world, &["cat", address, "--timeout", "100s"])
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*stderr), (Some(0), ""), "{address}");
    (output.stdout, begin.elapsed())
}

/// Gives the files of the cache that hold what was decoded or fetched.
fn kept(world: &World) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(world.path().join("cache/v1/objects"))
        .into_iter()
        .flatten();
    walk.filter(|e| e.file_type().is_file())
        .map(|e| e.path().to_owned())
        .collect()
}

fn bytes_kept(world: &World) -> u64 {
    kept(world)
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .sum()
}

#[test]
fn what_was_decoded_is_not_decoded_again_unless_the_file_has_changed() {
    let world = World::new();
    let Some(image) = slow_image(&world, "a.sqsh") else {
        return;
    };
    let content = content();
    let (first, slow) = cat(&world, "a.sqsh.xz!/large");
    assert!(first == content);
    assert!(bytes_kept(&world) >= content.len() as u64);
    let (again, fast) = cat(&world, "a.sqsh.xz!/large");
    assert!(again == content);
    assert!(fast * 2 < slow, "{fast:?} after {slow:?}");
    // The same bytes at another place are known as well.
    fs::copy(&image, world.path().join("copy.xz")).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let before = bytes_kept(&world);
    assert!(cat(&world, "copy.xz!/large").0 == content);
    assert_eq!(bytes_kept(&world), before);
    // Other bytes of the same length at the same time are not.
    let time = image.metadata().unwrap().modified().unwrap();
    let mut other = fs::read(&image).unwrap();
    let middle = other.len() / 2;
    other[middle] ^= 1;
    fs::write(&image, other).unwrap();
    File::options()
        .write(true)
        .open(&image)
        .unwrap()
        .set_modified(time)
        .unwrap();
    let broken = ran(&mut with_cache(&world, &["cat", "a.sqsh.xz!/large"]));
    assert_eq!(broken.code, 4, "{}", broken.stderr);
    // Other bounds end in other places, kept or not.
    let bounded = ["cat", "copy.xz!/large", "--max-decoded", "1 MiB"];
    let bounded = ran(&mut with_cache(&world, &bounded));
    assert_eq!(bounded.code, 4);
    assert!(bounded.stderr.contains("max_decoded"), "{}", bounded.stderr);
}

#[test]
fn whatever_happens_to_the_cache_the_result_is_the_same() {
    let world = World::new();
    if slow_image(&world, "a.sqsh").is_none() {
        return;
    }
    let content = content();
    cat(&world, "a.sqsh.xz!/large");
    type Harm = fn(&Path, &[u8]);
    let harm: &[(&str, Harm)] = &[
        ("cut", |path, bytes| {
            fs::write(path, &bytes[..bytes.len() / 2]).unwrap()
        }),
        ("emptied", |path, _| fs::write(path, "").unwrap()),
        ("foreign", |path, _| {
            fs::write(path, b"not ours".repeat(1000)).unwrap()
        }),
        ("a bit", |path, bytes| {
            let mut bytes = bytes.to_vec();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
            fs::write(path, bytes).unwrap();
        }),
        ("zeros at the end", |path, bytes| {
            let mut bytes = bytes.to_vec();
            let end = bytes.len();
            bytes[end - 4096..].fill(0);
            fs::write(path, bytes).unwrap();
        }),
        ("a folder in its place", |path, _| {
            fs::remove_file(path).unwrap();
            fs::create_dir(path).unwrap();
        }),
        ("gone", |path, _| fs::remove_file(path).unwrap()),
    ];
    for (name, harm) in harm {
        for path in kept(&world) {
            harm(&path, &fs::read(&path).unwrap());
        }
        assert!(cat(&world, "a.sqsh.xz!/large").0 == content, "{name}");
        assert!(
            cat(&world, "a.sqsh.xz!/large").0 == content,
            "{name}, again"
        );
    }
    for place in ["/dev/null", "/proc/none", "/dev/full/cache"] {
        let mut command = world.command(&["cat", "a.sqsh.xz!/large", "--timeout", "100s"]);
        let output = command.env("TDG_CACHE", place).output().unwrap();
        assert!(
            output.stdout == content,
            "{place}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

/// Starts one of many, which writes what it reads into a file.
fn start(world: &World, number: usize) -> (Child, PathBuf) {
    let path = world.path().join(format!("out{number}"));
    let child = with_cache(world, &["cat", "a.sqsh.xz!/large", "--timeout", "100s"])
        .stdout(File::create(&path).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    (child, path)
}

#[test]
fn ten_at_once_decode_it_once_and_the_dead_are_followed_by_the_living() {
    let world = World::new();
    if slow_image(&world, "a.sqsh").is_none() {
        return;
    }
    let content = content();
    let mut children: Vec<_> = (0..10).map(|number| start(&world, number)).collect();
    for (child, path) in &mut children {
        assert!(child.wait().unwrap().success());
        assert!(fs::read(path).unwrap() == content);
    }
    let once = content.len() as u64 * 5 / 4;
    assert!(bytes_kept(&world) < once, "{} kept", bytes_kept(&world));
    // Killed at any moment: in the order of a shuffled list, some time apart.
    let mut seed = u64::from(SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos()) | 1;
    for round in 0..2 {
        let _ = fs::remove_dir_all(world.path().join("cache"));
        let mut children: Vec<_> = (0..10).map(|number| start(&world, number)).collect();
        for number in 0..6 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            std::thread::sleep(Duration::from_millis(seed % 150));
            let at = (seed >> 20) as usize % (10 - number);
            let (mut child, _) = children.remove(at);
            child.kill().unwrap();
            child.wait().unwrap();
        }
        for (child, path) in &mut children {
            assert!(
                child.wait().unwrap().success(),
                "round {round}, seed {seed}"
            );
            assert!(
                fs::read(path).unwrap() == content,
                "round {round}, seed {seed}"
            );
        }
        assert!(
            cat(&world, "a.sqsh.xz!/large").0 == content,
            "round {round}, seed {seed}"
        );
        assert!(
            bytes_kept(&world) < content.len() as u64 * 3,
            "{}",
            bytes_kept(&world)
        );
    }
}

#[test]
fn what_was_fetched_is_not_fetched_again_while_its_tag_is_the_same() {
    let world = World::new();
    let bytes = noise(2, 2_000_000);
    world.write("files/noise", &bytes);
    let settings = "location /plain/ { alias FILES/; max_ranges 0; }"
        .replace("FILES", &world.path().join("files").display().to_string());
    let Some(server) = nginx(world.path(), false, &settings) else {
        return;
    };
    for way in ["", "plain/"] {
        let url = format!("http://127.0.0.1:{}/{way}noise", server.port);
        assert!(cat(&world, &url).0 == bytes);
        assert!(server.requests().len() <= 6);
        assert!(cat(&world, &url).0 == bytes);
        // Whether it is still the same is asked.
        assert_eq!(server.requests().len(), 1, "{way}");
        world.write("files/noise", noise(3, 2_000_000));
        std::thread::sleep(Duration::from_millis(1100));
        world.write("files/noise", noise(4, 2_000_001));
        assert!(cat(&world, &url).0 == noise(4, 2_000_001), "{way}");
        world.write("files/noise", &bytes);
    }
}

#[test]
fn a_weak_tag_keeps_nothing() {
    let world = World::new();
    let bytes = Arc::new(noise(2, 400_000));
    for (tag, again) in [("ETag: \"x\"\r\n", 1), ("ETag: W/\"x\"\r\n", 2), ("", 2)] {
        let held = Arc::clone(&bytes);
        let server = Liar::start(move |asked, stream| part(asked, stream, &held, tag));
        assert!(cat(&world, &server.url("/x")).0 == *bytes);
        let before = server.asked().len();
        assert!(cat(&world, &server.url("/x")).0 == *bytes);
        assert_eq!(server.asked().len() - before, again, "{tag}");
    }
}

#[test]
fn the_command_shows_and_clears_the_cache_and_its_bound_is_kept() {
    let world = World::new();
    let server = Liar::start(|asked, stream| {
        let seed = u32::try_from(asked.path.len()).unwrap();
        part(asked, stream, &noise(seed, 1_000_000), "ETag: \"x\"\r\n")
    });
    for path in ["/x", "/xx", "/xxx", "/xxxx"] {
        let mut command = with_cache(&world, &["cat", &server.url(path)]);
        let output = command.env("TDG_CACHE_SIZE", "2200 kB").output().unwrap();
        assert!(output.stdout == noise(u32::try_from(path.len()).unwrap(), 1_000_000));
        assert!(
            bytes_kept(&world) <= 2_200_000,
            "{path}: {}",
            bytes_kept(&world)
        );
    }
    let run = |arguments: &[&str]| ran(&mut with_cache(&world, arguments));
    let cache = world.path().join("cache");
    assert_eq!(
        run(&["cache", "path"]).stdout,
        format!("{}\n", cache.display())
    );
    let size = run(&["cache", "size"]).stdout;
    assert!(size.starts_with("1.9 MiB of 4.0 GiB, of 2 files"), "{size}");
    world.write("cache/own", "mine");
    assert_eq!(run(&["cache", "clear"]).code, 0);
    assert_eq!(
        fs::read_dir(&cache).unwrap().count(),
        1,
        "what is not the cache's stays"
    );
    let mut off = world.command(&["cache", "size"]);
    assert_eq!(ran(&mut off).code, 4);
    let wrong = ran(with_cache(&world, &["cache", "size"]).env("TDG_CACHE_SIZE", "much"));
    assert_eq!(wrong.code, 2);
    assert!(
        wrong.stderr.contains("write a size such as"),
        "{}",
        wrong.stderr
    );
    // Off, nothing is kept.
    world.tdg(&["cat", &server.url("/x")]);
    assert_eq!(kept(&world).len(), 0);
}

#[test]
fn a_blob_of_a_registry_is_fetched_once() {
    use serde_json::json;
    use tdg::model::Sha256Digest;
    let world = World::new();
    let layer = noise(9, 900_000);
    let digest = |bytes: &[u8]| format!("sha256:{}", Sha256Digest::of(bytes));
    let descriptor =
        |bytes: &[u8]| json!({ "mediaType": "a/b", "digest": digest(bytes), "size": bytes.len() });
    let manifest =
        json!({ "schemaVersion": 2, "config": descriptor(b"{}"), "layers": [descriptor(&layer)] });
    let manifest = manifest.to_string().into_bytes();
    let held = layer.clone();
    let server = Liar::start(move |asked, stream| {
        let body = if asked.path.contains("/manifests/") {
            &manifest
        } else {
            &held
        };
        crate::servers::say(stream, "200 OK", "", body)
    });
    let blob = format!("blobs/sha256/{}", Sha256Digest::of(&layer));
    let address = format!("oci://127.0.0.1:{}/a/b:1!/{blob}", server.port);
    for _ in 0..3 {
        let mut command = with_cache(&world, &["cat", &address]);
        let output = command
            .env("DOCKER_CONFIG", "/nonexistent")
            .output()
            .unwrap();
        assert!(
            output.stdout == layer,
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let blobs = server
        .asked()
        .iter()
        .filter(|a| a.path.contains("/blobs/"))
        .count();
    assert_eq!(blobs, 1);
}
