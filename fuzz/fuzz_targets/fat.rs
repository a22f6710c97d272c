//! A FAT file system: listed, looked up, read.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tdg::format::fat::Fat;
use tdg::format::{Bytes, Limits, Tree};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { max_entries: 10_000, max_listing: 1 << 20, ..Limits::default() };
    let Ok(fat) = Fat::open(Arc::new(Bytes::new(bytes.to_vec())), &limits) else { return };
    let _ = fat.label();
    let mut seen = 0;
    let _ = fat.list(&mut |entry| {
        seen += 1;
        if seen < 100 {
            let _ = fat.lookup(&entry.path);
            if let Ok(file) = fat.open(&entry) {
                let _ = file.up_to(entry.meta.size / 2, 4096);
            }
        }
        Ok(())
    });
});
