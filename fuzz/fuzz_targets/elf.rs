//! The headers of an ELF file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::elf::Elf;

fuzz_target!(|bytes: &[u8]| {
    let _ = Elf::read(bytes);
});
