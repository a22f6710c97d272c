//! An image against itself with some bytes turned: compared to any depth.
#![no_main]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use tdg::format::{Bytes, Limits};
use tdg::image::Image;
use tdg::inspect::diff::{Event, Options, diff};

fuzz_target!(|bytes: &[u8]| {
    let Some((turned, image)) = bytes.split_first_chunk::<8>() else { return };
    let mut other = image.to_vec();
    for pair in turned.chunks_exact(4) {
        let at = usize::from(u16::from_le_bytes([pair[0], pair[1]])) << (pair[2] & 7);
        if let Some(byte) = other.get_mut(at) {
            *byte ^= pair[3];
        }
    }
    let limits = Limits {
        max_entries: 10_000,
        max_listing: 1 << 20,
        free_decoded: 16 << 20,
        max_in_memory: u64::from(turned[2] & 1),
        deadline: Some(Instant::now() + Duration::from_secs(5)),
        ..Limits::default()
    };
    let open = |bytes: &[u8]| {
        let bytes = Arc::new(Bytes::new(bytes.to_vec()));
        Image::of_source(Path::new("image"), bytes, None, limits.clone())
    };
    let (Ok(a), Ok(b)) = (open(image), open(&other)) else { return };
    let options = Options { max_entries: 10_000, merged: turned[6] & 1 == 1, ..Options::default() };
    let mut shown = 0;
    let summary = diff(&a, &b, &options, &mut |event: &Event<'_>| {
        if let Event::Change(_) = event {
            shown += 1;
        }
    });
    assert!(image != other.as_slice() || shown == 0 && summary.troubles == 0);
    assert_eq!(summary.same(), shown == 0);
});
