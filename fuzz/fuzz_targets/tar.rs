//! A tar archive: listed, looked up, read.
#![no_main]

use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tdg::format::tar::Tar;
use tdg::format::{Bytes, Limits, Tree};

fuzz_target!(|bytes: &[u8]| {
    let limits = Limits { max_entries: 10_000, max_listing: 1 << 20, ..Limits::default() };
    let Ok(tar) = Tar::open(Arc::new(Bytes::new(bytes.to_vec())), &limits) else { return };
    let _ = (tar.duplicates(), tar.trailing());
    for place in 0..tar.members().len().min(100) {
        if let Ok(file) = tar.content(place) {
            let _ = file.up_to(tar.members()[place].meta.size / 2, 4096);
        }
    }
    let tar = tar.known_whole(true);
    let mut before = None;
    let _ = tar.list(&mut |entry| {
        assert!(before.as_ref().is_none_or(|path| *path < entry.path));
        if let Some((parent, _)) = entry.path.rsplit_once('/') {
            assert!(tar.whole().is_err() || tar.lookup(parent).unwrap().is_some());
        }
        before = Some(entry.path);
        Ok(())
    });
});
