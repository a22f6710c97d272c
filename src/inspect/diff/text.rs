//! The lines in which two small texts differ.

use similar::TextDiff;

use crate::model::path::printable;

/// Longer texts are not laid side by side.
pub(super) const MAX_BYTES: u64 = 64 << 10;
/// Nor are those of more lines: the work grows with their product.
const MAX_LINES: usize = 2000;
/// More lines than these are counted, not shown.
const MAX_SHOWN: usize = 100;

/// Reads bytes as a text that people would read; `None` where they are none.
pub(super) fn read(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let plain = |c: char| !c.is_control() || matches!(c, '\n' | '\t' | '\r' | '\u{1b}');
    text.chars().all(plain).then_some(text)
}

/// Gives the difference in the unified form, control characters escaped; `None`
/// where the texts are the same or too long.
pub(super) fn unified(a: &str, b: &str) -> Option<String> {
    if a == b || [a, b].iter().any(|text| text.lines().count() > MAX_LINES) {
        return None;
    }
    let diff = TextDiff::from_lines(a, b)
        .unified_diff()
        .context_radius(2)
        .to_string();
    let lines: Vec<String> = diff.lines().map(printable).collect();
    let mut shown = lines.get(..MAX_SHOWN).unwrap_or(&lines).join("\n");
    if let Some(more) = lines.len().checked_sub(MAX_SHOWN).filter(|more| *more > 0) {
        shown.push_str(&format!("\n… and {more} more lines"));
    }
    Some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_drive_a_terminal_is_escaped() {
        let text = unified("one\ntwo\n", "one\n\u{1b}[31mtwo\n").unwrap();
        assert_eq!(text, "@@ -1,2 +1,2 @@\n one\n-two\n+\\u{1b}[31mtwo");
        assert_eq!(read(b"\0binary"), None);
        assert_eq!(read(b"\xff"), None);
    }

    #[test]
    fn long_differences_are_cut_and_say_so() {
        let lines = |from: usize| {
            (from..from + 300)
                .map(|n| format!("{n}\n"))
                .collect::<String>()
        };
        let text = unified(&lines(0), &lines(1000)).unwrap();
        assert_eq!(text.lines().count(), MAX_SHOWN + 1);
        assert!(text.ends_with("… and 501 more lines"), "{text}");
        assert_eq!(unified(&"x\n".repeat(MAX_LINES + 1), "y"), None);
    }
}
