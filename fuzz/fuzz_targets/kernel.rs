//! A kernel of any form.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::Limits;
use tdg::format::kernel::Kernel;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { free_decoded: 16 << 20, ..Limits::default() };
    let _ = Kernel::read(bytes, &limits);
});
