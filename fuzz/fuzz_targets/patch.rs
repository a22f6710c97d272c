//! A patch: its header, files and hunks; and its header with another `Applies-to`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::patch::{Header, Patch, with_applies_to};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(patch) = Patch::read(bytes) {
        assert!(!patch.files.is_empty() && patch.diff_at <= bytes.len());
        for file in &patch.files {
            assert!(!file.path().is_empty() && !file.path().split('/').any(|part| part == ".."));
            for hunk in &file.hunks {
                assert!(hunk.expected().count() + hunk.added().count() == hunk.lines.len());
            }
        }
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let once = with_applies_to(text, "v2 (0123456789)");
        assert_eq!(with_applies_to(&once, "v2 (0123456789)"), once);
        let _ = Header::read(once.as_bytes());
    }
});
