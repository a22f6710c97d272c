//! What is meant to do harm, or is broken, under the commands that look into it.

use std::fs;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use crate::images::pipe;
use crate::peers::{output, peer};
use crate::world::{Ran, World};

/// Runs a command on hostile input: it ends soon and does not panic.
fn run(world: &World, arguments: &[&str]) -> Ran {
    let begin = Instant::now();
    let ran = world.tdg(arguments);
    // Other tests may be at work on the same cores.
    assert!(
        begin.elapsed() < Duration::from_secs(30),
        "{arguments:?}: {:?}",
        begin.elapsed()
    );
    assert!(
        !ran.stderr.contains("panicked"),
        "{arguments:?}: {}",
        ran.stderr
    );
    assert!(
        !ran.stdout.contains('\u{1b}') && !ran.stderr.contains('\u{1b}'),
        "{arguments:?}"
    );
    ran
}

#[test]
fn what_is_no_image_or_cannot_be_read_in_full_never_ends_with_0() {
    let world = World::new();
    world.write("empty", "");
    world.write("short.sqsh", "hsqs");
    world.write("cut.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\x03cut");
    world.write(
        "frames.zst",
        [0x28, 0xb5, 0x2f, 0xfd, 0x20, 0, 1, 0, 0].repeat(100_000),
    );
    symlink("round", world.path().join("round")).unwrap();
    if let Some(mkfifo) = peer("mkfifo") {
        output(&mkfifo, world.path(), &["pipe"]);
    } else {
        return;
    }
    for name in [
        "empty",
        "short.sqsh",
        "cut.gz",
        "frames.zst",
        "round",
        "pipe",
        "absent",
    ] {
        assert_eq!(run(&world, &["tree", name]).code, 4, "tree {name}");
        assert_eq!(
            run(&world, &["ls", &format!("{name}!/x")]).code,
            4,
            "ls {name}"
        );
        assert_eq!(
            run(&world, &["cat", &format!("{name}!/x")]).code,
            4,
            "cat {name}"
        );
        assert_eq!(run(&world, &["describe", name]).code, 4, "describe {name}");
        assert_eq!(run(&world, &["diff", name, "."]).code, 4, "diff {name}");
    }
}

#[test]
fn a_bomb_meets_a_bound_that_is_named() {
    let (Some(zstd), Some(xz), Some(gzip)) = (peer("zstd"), peer("xz"), peer("gzip")) else {
        return;
    };
    let world = World::new();
    // A pattern, because zeros take no space.
    let much = vec![b'a'; 400 << 20];
    for (tool, arguments, name) in [
        (&zstd, &["-q", "-c", "-1"][..], "bomb.zst"),
        (&xz, &["-c", "-0"], "bomb.xz"),
        (&gzip, &["-c", "-1"], "bomb.gz"),
    ] {
        world.write(name, pipe(tool, world.path(), arguments, &much));
        let ran = run(&world, &["cat", &format!("{name}!/")]);
        assert_eq!(ran.code, 4, "{name}");
        assert!(
            ran.stderr.contains("max_decoded") || ran.stderr.contains("deadline"),
            "{name}: {}",
            ran.stderr
        );
        let ran = run(
            &world,
            &["cat", &format!("{name}!/"), "--max-decoded", "1 MiB"],
        );
        assert!(
            ran.code == 4 && ran.stdout.len() <= 2 << 20,
            "{name}: {}",
            ran.stderr
        );
        // A spec meets the same bounds.
        let spec = format!(
            "spec: bomb\nchecks:\n  - name: it\n    file:\n    in: {name}!/\n    expect: {{ size: {{ ge: 1 }}, sha256: {{ present: true }} }}\n"
        );
        world.write("bomb.yaml", spec);
        let ran = run(&world, &["run", "bomb.yaml", "--max-decoded", "1 MiB"]);
        assert_eq!(ran.code, 4, "{}", ran.stdout);
        assert!(ran.stdout.contains("over the limit `"), "{}", ran.stdout);
        let ran = run(&world, &["run", "bomb.yaml", "--max-decoded", "1 GiB"]);
        assert_eq!(ran.code, 0, "{}", ran.stdout);
    }
}

#[test]
fn no_link_of_a_folder_is_followed_out_of_it() {
    let world = World::new();
    world.write("secret", "not to be read");
    fs::create_dir(world.path().join("folder")).unwrap();
    symlink("../secret", world.path().join("folder/out")).unwrap();
    symlink("/etc", world.path().join("folder/etc")).unwrap();
    for path in ["out", "etc/passwd", "etc/hostname"] {
        let ran = run(&world, &["cat", &format!("folder!/{path}")]);
        assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{path}");
    }
    let ran = run(&world, &["tree", "folder"]);
    assert_eq!(ran.code, 0);
    assert!(!ran.stdout.contains("passwd"), "{}", ran.stdout);
}

#[test]
fn a_comparison_of_what_is_hostile_ends_within_its_bounds() {
    let (Some(zstd), Some(cpio), Some(mksquashfs)) =
        (peer("zstd"), peer("cpio"), peer("mksquashfs"))
    else {
        return;
    };
    let world = World::new();
    // Two bombs that differ in their last byte, as files, and as segments of an initramfs.
    let mut much = vec![b'a'; 160 << 20];
    for side in ["a", "b"] {
        if let Some(last) = much.last_mut() {
            *last = side.as_bytes()[0];
        }
        let bomb = pipe(&zstd, world.path(), &["-q", "-c", "-1"], &much);
        world.write(&format!("{side}/bomb.zst"), &bomb);
        let mut segment = pipe(
            &cpio,
            world.path(),
            &["-o", "-H", "newc", "--quiet"],
            b"a\n",
        );
        segment.extend_from_slice(&bomb);
        world.write(&format!("{side}/initramfs"), segment);
        // Deep, with names that would drive a terminal.
        let deep = "d/".repeat(100);
        world.write(&format!("{side}/tree/{deep}\u{1b}[31m"), side);
        world.write(
            &format!("{side}/\u{1b}]0;title\u{7}"),
            format!("\u{1b}[2J{side}\n"),
        );
        let tree = format!("{side}/tree");
        let image = format!("{side}/deep.sqsh");
        let arguments = [tree.as_str(), &image, "-noappend", "-quiet", "-no-progress"];
        output(&mksquashfs, world.path(), &arguments);
        symlink("../secret", world.path().join(side).join("out")).unwrap();
        symlink("/etc", world.path().join(side).join("etc")).unwrap();
    }
    world.write("secret", "not to be read");
    let ran = run(&world, &["diff", "a", "b"]);
    assert_eq!(ran.code, 4, "{}", ran.stdout);
    assert!(
        ran.stdout.contains("max_decoded") || ran.stdout.contains("deadline"),
        "{}",
        ran.stdout
    );
    assert!(!ran.stdout.contains("passwd") && !ran.stdout.contains("not to be read"));
    assert!(ran.stdout.contains("\\u{1b}[31m"), "{}", ran.stdout);
    let ran = run(&world, &["diff", "a", "b", "--format", "json"]);
    assert_eq!(ran.code, 4);
    let document: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(document["complete"], false);
    // A link that turns is a difference, and still is not followed.
    std::fs::remove_file(world.path().join("b/out")).unwrap();
    symlink("../secrets", world.path().join("b/out")).unwrap();
    let ran = run(&world, &["diff", "a", "b", "--timeout", "20s"]);
    assert!(
        ran.stdout.contains("../secret → ../secrets"),
        "{}",
        ran.stdout
    );
}
