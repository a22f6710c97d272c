//! A whole initramfs of any segments: read into memory and listed piece by piece.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tdg::format::initramfs::Initramfs;
use tdg::format::{Bytes, Limits, Source};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { free_decoded: 16 << 20, ..Limits::default() };
    let source: Source = Arc::new(Bytes::new(bytes.to_vec()));
    let (read, listed) = (Initramfs::read(&source, &limits), Initramfs::list(&source, &limits));
    if let Some(listed) = &listed {
        let read = read.as_ref().expect("what is listed can be read");
        assert_eq!(listed.len(), read.entries().len());
    }
    if let Ok(initramfs) = read {
        for located in initramfs.entries() {
            assert_eq!(initramfs.content(located).len(), located.entry.data.len());
        }
    }
});
