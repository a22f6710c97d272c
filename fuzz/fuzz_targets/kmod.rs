//! A kernel module: what it says about itself, and its signature.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::kmod::{Module, Signature, is_module, module_name, place};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(module) = Module::read(bytes) {
        let _ = (module.release(), module.depends().count(), module.values("alias").count());
        if let Signature::Present(signed) = &module.signature {
            assert!(signed.size < bytes.len() as u64);
        }
    }
    if let Ok(path) = std::str::from_utf8(bytes) {
        let name = module_name(path);
        assert!(!name.contains(['/', '-']));
        if let Some(place) = place(path) {
            assert!(path.starts_with(place.directory) && path.ends_with(place.rest));
            assert!(place.directory.ends_with(place.release) && !place.release.contains('/'));
        }
        let _ = is_module(path);
    }
});
