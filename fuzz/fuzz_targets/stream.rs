//! Each decompressor, in each of its three ways.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::{Budget, Compression, stream};

const BOUND: u64 = 4 << 20;

fuzz_target!(|bytes: &[u8]| {
    let compression = Compression::detect(bytes);
    if compression == Compression::None {
        return;
    }
    if let Ok(member) = stream::decode_member(compression, bytes, &mut Budget::of(BOUND)) {
        assert!(member.consumed <= bytes.len());
        assert!(member.data.len() as u64 <= BOUND);
    }
    let _ = stream::decode_all(compression, bytes, &mut Budget::of(BOUND));
    let _ = stream::search(compression, bytes, BOUND, |_| false);
});
