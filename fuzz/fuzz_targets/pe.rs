//! The sections of a PE file; the profiles and texts of a UKI.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tdg::format::pe::Pe;
use tdg::format::uki::{Uki, components, variables};
use tdg::format::{Bytes, Tree};

fuzz_target!(|bytes: &[u8]| {
    let Ok(pe) = Pe::open(Arc::new(Bytes::new(bytes.to_vec()))) else { return };
    for entry in pe.entries().unwrap_or_default() {
        let found = pe.lookup(&entry.path);
        assert!(found.is_ok_and(|found| found.as_ref() == Some(&entry)));
        let read = pe.open(&entry).and_then(|section| section.up_to(0, 1 << 20));
        assert!(read.is_ok_and(|read| read.len() as u64 == entry.meta.size.min(1 << 20)));
    }
    for certificate in pe.certificates().unwrap_or_default() {
        assert!(certificate.start + certificate.size <= bytes.len() as u64);
    }
    let Ok(uki) = Uki::of(&pe) else { return };
    let _ = uki.duplicates();
    for profile in uki.profiles().iter().map(Some).chain([None]) {
        for label in [".cmdline", ".osrel", ".sbat"] {
            if let Ok(Some(text)) = uki.text(profile, label) {
                let _ = (variables(&text), components(&text));
            }
        }
    }
});
