//! A spec that a check is appended to: everything else stays, or nothing is appended.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::inspect::append::File;

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(file) = File::read("spec.yaml", text) else { return };
    let _ = (file.has("new"), file.subject());
    let lines = |indent: usize| {
        let margin = " ".repeat(indent);
        format!("{margin}- name: new\n{margin}  kernel:\n")
    };
    if let Ok(longer) = file.with(lines) {
        let again = File::read("spec.yaml", &longer).expect("what was appended to is a spec");
        assert!(again.has("new"));
    }
});
