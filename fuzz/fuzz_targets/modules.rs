//! The indexes of a directory of modules, texts and binary.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::Limits;
use tdg::format::kmod::{index, trie};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { max_entries: 10_000, ..Limits::default() };
    if let Ok(lines) = index::dependencies(bytes, &limits) {
        assert!(lines.len() <= 10_000);
    }
    let _ = index::aliases(bytes, &limits);
    let _ = index::soft_dependencies(bytes, &limits);
    let _ = index::files(bytes, &limits);
    if let Ok(values) = trie::values(bytes, &limits) {
        assert!(values.len() <= 10_000);
    }
    let _ = index::binary_dependencies(bytes, &limits);
});
