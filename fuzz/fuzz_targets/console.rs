//! A machine's console: lines, and what is seen and forbidden in them, whatever the pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::{Arc, LazyLock};
use tdg::probe::qemu::{Lines, Step, Watch};

static STEPS: LazyLock<Arc<[Step]>> = LazyLock::new(|| {
    let step = |text: &str| Step {
        pattern: regex::Regex::new(text).expect("an expression"),
        within: None,
    };
    ["a", "b.", "login: $"].map(step).into()
});

/// Reads a console in pieces of a length.
fn lines(bytes: &[u8], piece: usize) -> Vec<String> {
    let (mut lines, mut seen) = (Lines::default(), Vec::new());
    for piece in bytes.chunks(piece) {
        lines.add(piece, &mut |line| seen.push(line));
    }
    lines.finish(&mut |line| seen.push(line));
    seen
}

fuzz_target!(|bytes: &[u8]| {
    let (piece, bytes) = bytes.split_first().unwrap_or((&7, bytes));
    let piece = usize::from(*piece).max(1);
    let whole = lines(bytes, bytes.len().max(1));
    assert_eq!(whole, lines(bytes, piece));
    let length: usize = whole.iter().map(String::len).sum();
    // A byte that is no UTF-8 becomes a character of three.
    assert!(length <= 3 * bytes.len());
    for line in &whole {
        assert!(!line.contains(|c: char| c.is_ascii_control()), "{line:?}");
    }
    let watch = |piece| {
        let mut watch = Watch::new(Arc::clone(&STEPS), Vec::new());
        for piece in bytes.chunks(piece) {
            watch.add(piece);
        }
        watch.finish();
        let seen: Vec<_> = watch.seen().iter().map(|seen| (seen.line.clone(), seen.text.clone())).collect();
        (seen, watch.missing(), watch.fault().map(|fault| (fault.kind, fault.line.clone())))
    };
    let (seen, missing, fault) = watch(piece);
    assert_eq!((seen.clone(), missing.clone(), fault), watch(bytes.len().max(1)));
    assert_eq!(seen.len() + missing.len(), STEPS.len());
    for (line, text) in seen {
        assert!(line.contains(&text) && whole.contains(&line));
    }
});
