//! The files of four boot loaders.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::menu::Loader;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let _ = Loader::detect("it", &text);
    for loader in [Loader::Grub, Loader::Ipxe, Loader::Entry, Loader::Syslinux] {
        for entry in loader.entries("it.conf", &text).unwrap_or_default() {
            assert!(entry.line as usize <= text.lines().count());
            for variable in loader.variables(&entry.cmdline) {
                assert!(entry.cmdline.contains(&variable));
            }
        }
    }
});
