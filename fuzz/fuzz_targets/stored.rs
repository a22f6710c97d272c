//! gzip whose blocks are stored: all that is said to lie there can be read from there.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tdg::format::stored::stored;
use tdg::format::{Bytes, ReadAt, Source};

fuzz_target!(|bytes: &[u8]| {
    let source: Source = Arc::new(Bytes::new(bytes.to_vec()));
    let Ok(Some(pieces)) = stored(&source) else { return };
    let length = usize::try_from(pieces.size().unwrap()).unwrap();
    assert!(length < bytes.len());
    assert_eq!(pieces.up_to(0, length + 1).unwrap().len(), length);
});
