//! A WebAssembly module or component.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::wasm::Wasm;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(wasm) = Wasm::read(bytes) {
        let sections: u64 = wasm.custom_sections.iter().map(|section| section.size).sum();
        assert!(sections <= bytes.len() as u64);
    }
});
