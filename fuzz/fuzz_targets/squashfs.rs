//! A squashfs image: listed, looked up, read.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::squashfs::Squashfs;
use tdg::format::{Bytes, Limits, ReadAt};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        max_entries: 10_000,
        max_listing: 1 << 20,
        max_metadata: 1 << 20,
        max_file: 1 << 20,
        ..Limits::default()
    };
    let Ok(image) = Squashfs::open(std::sync::Arc::new(Bytes::new(bytes.to_vec())), &limits) else { return };
    let Ok(walk) = image.walk() else { return };
    let mut read = 0;
    for entry in walk.map_while(Result::ok) {
        let _ = image.lookup(&entry.path);
        let Ok(file) = image.file(entry.inode) else { continue };
        let mut piece = [0; 64];
        let _ = file.read_at(file.size().unwrap_or(0) / 2, &mut piece);
        if read < 8 << 20 {
            read += file.read_all().map_or(0, |data| data.len());
        }
    }
});
