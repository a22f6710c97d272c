//! The sections of an ELF file.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tdg::format::elf::Sections;
use tdg::format::{Bytes, Limits, Tree};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { max_entries: 10_000, max_listing: 1 << 20, ..Limits::default() };
    let source = Arc::new(Bytes::new(bytes.to_vec()));
    let Ok(elf) = Sections::open(source, &limits) else { return };
    for entry in elf.entries().unwrap_or_default().iter().take(100) {
        let found = elf.lookup(&entry.path);
        assert!(found.is_ok_and(|found| found.as_ref() == Some(entry)));
        let read = elf.open(entry).and_then(|section| section.up_to(0, 1 << 20));
        assert!(read.is_ok_and(|read| read.len() as u64 == entry.meta.size.min(1 << 20)));
    }
});
