//! An ext2, ext3 or ext4 file system: listed, looked up, read.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tdg::format::ext::Ext;
use tdg::format::{Bytes, Limits, Tree};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits {
        max_entries: 10_000,
        max_listing: 1 << 20,
        max_metadata: 1 << 20,
        ..Limits::default()
    };
    let Ok(ext) = Ext::open(Arc::new(Bytes::new(bytes.to_vec())), &limits) else { return };
    let (mut seen, mut read) = (0, 0);
    let _ = ext.list(&mut |entry| {
        seen += 1;
        if seen < 50 {
            let _ = ext.lookup(&entry.path);
        }
        if seen < 500 && read < 4 << 20
            && let Ok(file) = ext.open(&entry)
        {
            let _ = file.up_to(entry.meta.size / 2, 4096);
            read += file.up_to(0, 1 << 20).map_or(0, |bytes| bytes.len());
        }
        Ok(())
    });
});
