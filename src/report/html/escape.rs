//! Text of strangers as it stands in a page: never markup, never what moves or hides other text.
//!
//! The page is HTML and well-formed XML at once, so that any parser holds it to its tags.

use crate::model::path::printable;

/// Gives a text on one line: control characters are shown, markup is text.
pub(super) fn text(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// Gives a text of several lines, as it stands in `<pre>`.
pub(super) fn lines<'t>(lines: impl IntoIterator<Item = &'t str>) -> String {
    let mut out = String::new();
    for line in lines {
        let parts: Vec<String> = line.split('\t').map(text).collect();
        out.push_str(&parts.join("\t"));
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_becomes_markup_or_turns_what_is_around_it() {
        let hostile =
            "</pre><script>alert('1')</script>&amp;\"\u{1b}[2J\0\u{202e}\u{200f}\u{ffff}\r\n";
        let shown = text(hostile);
        assert_eq!(
            shown,
            "&lt;/pre&gt;&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&amp;amp;&quot;\
             \\u{1b}[2J\\u{0}\\u{202e}\\u{200f}\\u{ffff}\\r\\n"
        );
        assert_eq!(lines(["a\tb", "<\r"]), "a\tb\n&lt;\\r\n");
        assert_eq!(text("grüße 漢"), "grüße 漢");
    }
}
