//! A partition table of either form, and the backup of a GPT.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::{Bytes, Limits, gpt, partitions};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits::default();
    let bytes = Bytes::new(bytes.to_vec());
    if let Ok(table) = partitions::read(&bytes, &limits) {
        let names: std::collections::HashSet<_> = table.partitions.iter().map(|p| &p.name).collect();
        assert_eq!(names.len(), table.partitions.len());
    }
    if let Ok(Some(header)) = gpt::Header::find(&bytes) {
        let _ = gpt::backup(&bytes, &header, &limits);
    }
});
