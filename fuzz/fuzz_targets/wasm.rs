//! A WebAssembly module or component.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::Limits;
use tdg::format::wasm::Wasm;

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { max_entries: 100_000, max_listing: 1 << 20, ..Limits::default() };
    let Ok(wasm) = Wasm::read(bytes, &limits) else { return };
    if let Ok(contents) = &wasm.contents {
        let custom: u64 = contents.custom_sections.iter().map(|section| section.size).sum();
        assert!(custom <= bytes.len() as u64);
        for item in contents.imports.iter().chain(&contents.exports) {
            if let Some((interface, _)) = item.interface() {
                assert!(item.name.starts_with(interface));
            }
        }
    }
});
