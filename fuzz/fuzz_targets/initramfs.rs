//! A whole initramfs of any segments.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::initramfs::Initramfs;
use tdg::format::{Bytes, Limits};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { free_decoded: 16 << 20, ..Limits::default() };
    if let Ok(initramfs) = Initramfs::read(Bytes::new(bytes.to_vec()), &limits) {
        for located in initramfs.entries() {
            assert_eq!(initramfs.content(located).len(), located.entry.data.len());
        }
    }
});
