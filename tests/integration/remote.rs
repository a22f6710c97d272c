//! Images on web servers and in registries, and the cache.

mod cache;
mod hostile;
mod registry;
mod token;
mod web;

use std::fs;
use std::path::PathBuf;

use crate::peers::{output, peer};
use crate::world::World;

/// Makes a squashfs image of about 40 MB in the world's `files`, which does not compress, with one
/// small file in it.
fn squashfs(world: &World) -> Option<PathBuf> {
    let mksquashfs = peer("mksquashfs")?;
    for number in 0..40u32 {
        world.write(
            &format!("root/usr/lib/noise{number}"),
            noise(number, 1_000_000),
        );
    }
    world.write("root/etc/os-release", "ID=remote\n");
    fs::create_dir_all(world.path().join("files")).unwrap();
    let arguments = [
        "root",
        "files/root.sqsh",
        "-noappend",
        "-quiet",
        "-no-progress",
    ];
    output(&mksquashfs, world.path(), &arguments);
    Some(world.path().join("files/root.sqsh"))
}

/// Bytes that do not compress.
fn noise(seed: u32, length: usize) -> Vec<u8> {
    let mut state = u64::from(seed) << 32 | 0x2545_f491;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(&mut next)
        .take(length / 8 + 1)
        .flatten()
        .collect();
    bytes.truncate(length);
    bytes
}
