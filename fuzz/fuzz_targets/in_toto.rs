//! Statements, by themselves and in envelopes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::in_toto::Statement;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(statement) = Statement::read(bytes) {
        assert!(!statement.subjects.is_empty() && !statement.predicate_type.is_empty());
        for subject in &statement.subjects {
            let (algorithm, hex) = subject.digests.iter().next().unwrap();
            let about = statement.is_about(&format!("{algorithm}:{hex}"));
            assert!(about || algorithm.contains(':'));
        }
    }
});
