//! Talos's list of extensions.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::{Limits, extensions};

fuzz_target!(|bytes: &[u8]| {
    let _ = extensions::read(bytes, &Limits::default());
});
