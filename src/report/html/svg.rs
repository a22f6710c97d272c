//! Lines and texts as SVG, whose classes the page's style knows.

use super::escape;
use crate::model::path::is_escaped;
use unicode_width::UnicodeWidthChar;

/// A drawing that grows downwards.
pub(super) struct Svg {
    pub(super) width: f64,
    height: f64,
    font: f64,
    body: String,
}

/// A point: to the right, and down.
type At = (f64, f64);

/// From one line of a text to the next.
pub(super) const LINE: f64 = 18.0;

impl Svg {
    /// Begins a drawing so wide, whose texts have a monospaced font of that size.
    pub(super) fn new(width: f64, font: f64) -> Self {
        Self {
            width,
            height: 0.0,
            font,
            body: String::new(),
        }
    }

    /// Gives the width of a column. No monospaced font in use is wider than 0.62 of its size.
    pub(super) fn cell(&self) -> f64 {
        self.font * 0.62
    }

    /// Gives how many columns have room.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    pub(super) fn columns(&self, width: f64) -> usize {
        (width / self.cell()).max(1.0) as usize
    }

    /// Makes it reach down to there.
    pub(super) fn grow(&mut self, y: f64) {
        self.height = self.height.max(y);
    }

    pub(super) fn line(&mut self, class: &str, from: At, to: At) {
        self.body.push_str(&format!(
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>\n",
            number(from.0),
            number(from.1),
            number(to.0),
            number(to.1)
        ));
    }

    pub(super) fn rect(&mut self, class: &str, at: At, (width, height): (f64, f64)) {
        self.body.push_str(&format!(
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"6\"/>\n",
            number(at.0),
            number(at.1),
            number(width),
            number(height)
        ));
    }

    /// Draws a level arrow.
    pub(super) fn arrow(&mut self, class: &str, from: At, to: At) {
        let back = if to.0 > from.0 { -8.0 } else { 8.0 };
        let class = format!("arrow {class}");
        self.line(&class, from, (to.0 + back / 2.0, to.1));
        self.body.push_str(&format!(
            "<path class=\"{class}\" d=\"M{0} {1}l{back} -4v8z\"/>\n",
            number(to.0),
            number(to.1)
        ));
    }

    /// Writes a text that begins there, and cuts it where the columns are used up.
    pub(super) fn text(&mut self, class: &str, at: At, text: &str, columns: usize) {
        self.write(class, "", at, &clip(text, columns), text);
    }

    /// Writes a text on at most so many lines, and says how many it took.
    pub(super) fn paragraph(
        &mut self,
        class: &str,
        at: At,
        text: &str,
        columns: usize,
        most: usize,
    ) -> usize {
        let lines = wrap(text, columns, most);
        let cut = lines.concat() != text;
        for (index, line) in lines.iter().enumerate() {
            let y = at.1 + LINE * index as f64;
            let last = index + 1 == lines.len();
            let whole = if cut && last { text } else { line };
            self.write(class, "", (at.0, y), line, whole);
        }
        lines.len()
    }

    /// Writes a text around a point, on one or two lines.
    pub(super) fn middle(&mut self, class: &str, at: At, text: &str, columns: usize) {
        let lines = wrap(text, columns, 2);
        let cut = lines.concat() != text;
        for (index, line) in lines.iter().enumerate() {
            let y = at.1 + LINE * index as f64;
            let line = line.trim_end();
            let last = index + 1 == lines.len();
            let whole = if cut && last { text } else { line };
            self.write(class, " text-anchor=\"middle\"", (at.0, y), line, whole);
        }
    }

    /// Writes a text; where another is the whole of it, that is told to whoever points at it.
    fn write(&mut self, class: &str, anchor: &str, at: At, shown: &str, whole: &str) {
        let whole = match shown == whole {
            true => String::new(),
            false => format!("<title>{}</title>", escape::text(whole)),
        };
        self.body.push_str(&format!(
            "<text class=\"{class}\"{anchor} x=\"{}\" y=\"{}\">{whole}{}</text>\n",
            number(at.0),
            number(at.1),
            escape::text(shown)
        ));
    }

    /// Writes a number in a circle.
    pub(super) fn badge(&mut self, at: At, text: &str) {
        let (x, y) = (number(at.0), number(at.1));
        self.body.push_str(&format!(
            "<circle class=\"badge\" cx=\"{x}\" cy=\"{y}\" r=\"11\"/>\n"
        ));
        self.middle("number", (at.0, at.1 + 3.5), text, 4);
    }

    /// Marks an end: by a cross where something stops, by a triangle where it goes on.
    pub(super) fn mark(&mut self, class: &str, at: At, stops: bool) {
        let (x, y) = (number(at.0), number(at.1));
        let path = if stops {
            format!("M{x} {y}m-4.5 -4.5l9 9m0 -9l-9 9")
        } else {
            format!("M{x} {y}m-3 -5l8.5 5l-8.5 5z")
        };
        self.body.push_str(&format!(
            "<circle class=\"mark {class}\" cx=\"{x}\" cy=\"{y}\" r=\"12\"/>\n\
             <path class=\"sign {}\" d=\"{path}\"/>\n",
            if stops { "cross" } else { "goes" }
        ));
    }

    /// Adds what another drawing of the same size has.
    pub(super) fn append(&mut self, other: &Self) {
        self.body.push_str(&other.body);
        self.grow(other.height);
    }

    /// Ends it, with a name for whoever does not see it, and the id of what says the same in words.
    pub(super) fn finish(self, class: &str, title: &str, told: &str) -> String {
        let (width, height) = (number(self.width), number(self.height));
        format!(
            "<svg class=\"{class}\" xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
             width=\"{width}\" height=\"{height}\" font-size=\"{}\" role=\"img\" \
             aria-label=\"{}\" aria-describedby=\"{told}\">\n{}</svg>\n",
            number(self.font),
            escape::text(title),
            self.body
        )
    }
}

/// Writes a coordinate, to a tenth.
fn number(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").unwrap_or(&text).to_owned()
}

fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// Gives the columns of a character as it is shown: an escape has no more than ten.
fn width(c: char) -> usize {
    match is_escaped(c) {
        true => 10,
        false => c.width().unwrap_or(10),
    }
}

/// Cuts a text to so many columns.
fn clip(text: &str, most: usize) -> String {
    if columns(text) <= most {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 1;
    for c in text.chars() {
        used += width(c);
        if used > most {
            break;
        }
        out.push(c);
    }
    out.push('…');
    out
}

/// Breaks a text into lines of so many columns, at most so many lines; the last is cut.
pub(super) fn wrap(text: &str, most: usize, lines: usize) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if out.len() + 1 == lines || columns(rest) <= most {
            out.push(clip(rest, most));
            break;
        }
        let mut used = 0;
        let mut end = 0;
        let mut good = 0;
        for (at, c) in rest.char_indices() {
            used += width(c);
            if used > most {
                break;
            }
            end = at + c.len_utf8();
            if matches!(c, ' ' | '/' | '?' | '&' | ',' | '-' | '=') {
                good = end;
            }
        }
        // A word that has no good place to break breaks anywhere.
        let end = if good * 2 > end {
            good
        } else {
            end.max(rest.chars().next().map_or(1, char::len_utf8))
        };
        let (line, after) = rest.split_at(end);
        out.push(line.to_owned());
        rest = after;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_and_broken_by_columns() {
        assert_eq!(clip("abcdef", 6), "abcdef");
        assert_eq!(clip("abcdefg", 6), "abcde…");
        assert_eq!(clip("漢字漢字", 6), "漢字…");
        assert_eq!(wrap("one two three", 8, 3), ["one two ", "three"]);
        assert_eq!(
            wrap("http://h/aaaa/bbbb", 12, 3),
            ["http://h/", "aaaa/bbbb"]
        );
        assert_eq!(wrap(&"x".repeat(20), 8, 2), ["xxxxxxxx", "xxxxxxx…"]);
        assert_eq!(wrap(&"\u{202e}".repeat(3), 20, 9).len(), 2);
        assert_eq!(wrap("漢漢漢", 1, 9), ["漢", "漢", "漢"]);
        assert!(wrap("", 8, 2).is_empty());
        for most in 1..9 {
            let lines = wrap("a\u{1b}[2J/漢 \u{202e}b", most, 99);
            assert!(lines.len() < 99);
        }
    }
}
