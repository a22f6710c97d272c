//! What registries write in headers: challenges, pages of lists, how much of an upload has come,
//! and where answers lead.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::probe::http::{follow, parse, same_origin};
use tdg::probe::registry::Challenge;
use tdg::probe::registry::wire::{is_tag, next_page, uploaded};

fuzz_target!(|text: &str| {
    let _ = Challenge::read(text);
    if let Some(next) = next_page(text) {
        assert!(text.contains(&format!("<{next}")) || text.contains(next));
        let base = parse("https://r.example/v2/a/tags/list?n=1").unwrap();
        if let Ok(url) = follow(&base, next) {
            assert!(url.scheme() == "https");
            assert!(same_origin(&base, &url) || (url.username().is_empty() && url.password().is_none()));
        }
    }
    if let Some(length) = uploaded(text) {
        assert!(length == 0 || text.contains(&(length - 1).to_string()));
    }
    assert!(!is_tag(text) || (1..=128).contains(&text.len()));
});
