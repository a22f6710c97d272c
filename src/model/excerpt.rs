//! The part of a value that fits: for whoever is told of something that may be large.

use super::value::{Value, clip};
use std::io::{self, Write};

/// How many characters of a text, and how many entries of a list or map, are left of a value that
/// is too large; the next ones where that still is.
const CUTS: [(usize, usize); 5] = [(1000, 100), (300, 30), (100, 10), (40, 4), (20, 2)];
/// What is nested deeper is left out where a value is cut.
const DEPTH: usize = 12;

/// Gives a value that has at most so many bytes as JSON, and whether something of it was left out:
/// the ends of long texts, lists and maps, or all of it.
#[must_use]
pub fn excerpt(value: &Value, most: usize) -> (Value, bool) {
    if fits(value, most) {
        return (value.clone(), false);
    }
    let cuts = CUTS
        .iter()
        .map(|(text, entries)| cut(value, *text, *entries, DEPTH));
    let found = cuts.into_iter().find(|value| fits(value, most));
    (found.unwrap_or(Value::Null), true)
}

fn cut(value: &Value, text: usize, entries: usize, depth: usize) -> Value {
    let inner = |value: &Value| cut(value, text, entries, depth - 1);
    match value {
        Value::Array(_) | Value::Object(_) if depth == 0 => Value::Null,
        Value::Array(items) => items.iter().take(entries).map(inner).collect(),
        Value::Object(map) => {
            let kept = map.iter().take(entries);
            Value::Object(kept.map(|(k, v)| (clip(k, text), inner(v))).collect())
        }
        Value::String(s) => Value::String(clip(s, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// Fewer characters of a secret before a cut tell nothing.
const MIN_HEAD: usize = 4;

/// Hides the beginning of a secret where a text was cut in the middle of it, which a `…` tells.
#[must_use]
pub fn hide_head(text: &str, secret: &str, by: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut parts = text.split('…').peekable();
    while let Some(part) = parts.next() {
        let cut = parts.peek().is_some();
        let heads = secret.char_indices().map(|(i, _)| &secret[..i]).rev();
        let mut heads = heads.filter(|head| head.chars().count() >= MIN_HEAD);
        match heads.find(|head| cut && part.ends_with(head)) {
            Some(head) => {
                out.push_str(&part[..part.len() - head.len()]);
                out.push_str(by);
            }
            None => out.push_str(part),
        }
        if cut {
            out.push('…');
        }
    }
    out
}

/// Tells whether a value has at most so many bytes as JSON, without writing all of it.
fn fits(value: &Value, most: usize) -> bool {
    struct Left(usize);
    impl Write for Left {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.checked_sub(bytes.len()) {
                Some(left) => self.0 = left,
                None => return Err(io::ErrorKind::StorageFull.into()),
            }
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    serde_json::to_writer(Left(most), value).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_fits_is_whole_and_what_does_not_is_cut_until_it_does() {
        let small = json!({"a": [1, "b"]});
        assert_eq!(excerpt(&small, 100), (small.clone(), false));
        assert_eq!(excerpt(&small, 13), (small, false));
        let large = json!({ "names": vec!["a name"; 10_000], "text": "ä".repeat(9000), "n": 1 });
        for most in [200_000, 4096, 1000, 300] {
            let (value, truncated) = excerpt(&large, most);
            assert_eq!(truncated, most < 200_000, "{most}");
            assert!(value.to_string().len() <= most, "{most}: {value}");
            assert_eq!(value["n"], 1);
        }
        assert_eq!(excerpt(&json!({"k": "v"}), 3), (Value::Null, true));
        let mut deep = json!("x".repeat(5000));
        for _ in 0..100 {
            deep = json!([deep]);
        }
        let (value, truncated) = excerpt(&deep, 1000);
        assert!(truncated && value.to_string().len() <= 1000);
    }
}
