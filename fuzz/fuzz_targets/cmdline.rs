//! A kernel command line: taken apart, and its arguments put together again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::cmdline::Cmdline;
use tdg::format::cmdline::talos::Version;

fuzz_target!(|bytes: &[u8]| {
    let Ok(line) = Cmdline::parse(bytes) else { return };
    let names = line.by_name();
    assert!(line.values().len() == names.len());
    assert!(line.repeated().values().all(|arguments| arguments.len() > 1));
    if let Ok(version) = Version::parse("1.13") {
        for rule in version.rules() {
            let _ = (rule.misses(&line), rule.contradicted(&line));
        }
    }
    // Where nothing was escaped for a report, the parts make the same line again.
    if bytes.iter().all(|byte| (b' '..=b'~').contains(byte) && *byte != b'\\') {
        let texts: Vec<&str> = line.arguments().iter().map(|a| a.text.as_str()).collect();
        let again = Cmdline::parse(texts.join(" ").as_bytes());
        assert!(again.is_ok_and(|again| again.arguments() == line.arguments()));
    }
});
