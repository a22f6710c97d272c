//! What a machine is told to start, looked at: programs, kernels, initramfses.
#![no_main]

use std::sync::Arc;
use libfuzzer_sys::fuzz_target;
use tdg::format::{Bytes, Source};
use tdg::probe::netboot::{initramfs, look};

/// Decoded bytes that are searched: a few bytes of LZMA become 64 MiB, which show nothing that 3 do not.
const SEARCHED: u64 = 3 << 20;

fuzz_target!(|bytes: &[u8]| {
    let source: Source = Arc::new(Bytes::new(bytes.to_vec()));
    for bios in [false, true] {
        let Ok(looked) = look::look(&source, bios) else { continue };
        // Nothing ends too early that is no program.
        assert!(looked.cut.is_none() || looked.pe_machine.is_some());
        assert!(looked.pe_machine.is_none() || looked.program.is_some());
    }
    if let Some(arch) = initramfs::arch_within(&source, "arm64", SEARCHED) {
        // One for the machine is preferred, whatever else is there.
        let again = initramfs::arch_within(&source, &arch, SEARCHED);
        assert_eq!(again, Some(arch));
    }
});
