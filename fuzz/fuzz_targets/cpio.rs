//! One cpio archive.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::{Limits, cpio};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(archive) = cpio::Reader::default().archive(bytes, 0, &Limits::default()) {
        assert!(archive.end <= bytes.len());
        for entry in archive.entries {
            assert!(bytes.get(entry.data).is_some());
        }
    }
});
