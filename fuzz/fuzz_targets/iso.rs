//! An ISO image: listed, looked up, read; its boot images and partitions.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tdg::format::iso::Iso;
use tdg::format::{Bytes, Limits, Tree};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { max_entries: 2000, max_listing: 1 << 20, max_metadata: 1 << 20, ..Limits::default() };
    let Ok(iso) = Iso::open(Arc::new(Bytes::new(bytes.to_vec())), &limits) else { return };
    let mut seen = 0;
    let _ = iso.list(&mut |entry| {
        seen += 1;
        if seen < 50 {
            let _ = iso.lookup(&entry.path);
            if let Ok(file) = iso.open(&entry) {
                let _ = file.up_to(entry.meta.size / 2, 4096);
            }
        }
        Ok(())
    });
    let Ok(parts) = iso.parts() else { return };
    let names: std::collections::HashSet<_> = parts.iter().map(|part| &part.name).collect();
    assert_eq!(names.len(), parts.len());
    for part in parts.iter().take(20) {
        let _ = iso.content(part).up_to(0, 4096);
    }
});
