//! The capabilities of a file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::capabilities::Capabilities;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(read) = Capabilities::read(bytes) {
        assert_eq!(
            read.names().len() as u32,
            (read.permitted | read.inheritable).count_ones()
        );
    }
});
