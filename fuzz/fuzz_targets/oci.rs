//! An image in a tar archive, and the documents of images by themselves.
#![no_main]

use std::path::Path;
use std::sync::Arc;

use libfuzzer_sys::fuzz_target;
use tdg::format::oci::{Config, Document, layout_version, listed};
use tdg::format::{Bytes, Limits};
use tdg::image::Image;

fuzz_target!(|bytes: &[u8]| {
    let _ = (Document::read(bytes, ""), Config::read(bytes), listed(bytes), layout_version(bytes));
    let limits = Limits {
        max_entries: 10_000,
        max_listing: 1 << 20,
        free_decoded: 16 << 20,
        ..Limits::default()
    };
    let source = Arc::new(Bytes::new(bytes.to_vec()));
    let Ok(image) = Image::of_source(Path::new("it"), source, None, limits) else { return };
    let Ok(Some(oci)) = image.oci() else { return };
    for (_, picture) in oci.pictures() {
        let _ = (picture.platform(), picture.disagreements(), picture.size());
    }
    if let Ok(view) = image.merged() {
        let mut before = "";
        for entry in view.entries() {
            assert!(before < entry.path.as_str());
            if let Some((parent, _)) = entry.path.rsplit_once('/') {
                assert!(view.get(parent).is_some(), "{} has no directory", entry.path);
            }
            let _ = view.open(entry).map(|file| file.up_to(0, 4096));
            let _ = view.resolve(&entry.path);
            before = &entry.path;
        }
    }
});
