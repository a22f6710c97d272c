//! What a serial console says, as lines that a person would read.
//!
//! Firmware and boot menus move the cursor about and colour what they write (ECMA-48, sections 5.4
//! and 8.3); between its moves, what they write are lines.

/// A longer line than this goes on as the next.
const LONGEST: usize = 16 * 1024;

/// Takes the bytes of a console and cuts them into lines without control characters.
#[derive(Debug, Default)]
pub struct Lines {
    open: Vec<u8>,
    escape: Escape,
    /// At the begin of its line again: what comes is written over it.
    back: bool,
}

/// Where in a control sequence the bytes are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Escape {
    /// In none.
    #[default]
    No,
    /// After ESC.
    Begun,
    /// After ESC and intermediate bytes, such as `ESC (`.
    Short,
    /// In a control sequence, after `ESC [`.
    Sequence,
    /// In a string for the terminal, such as a title; it ends with BEL or `ESC \`.
    Words,
    /// After ESC in such a string.
    WordsEnding,
}

impl Lines {
    /// Takes bytes and hands on each line that they complete.
    pub fn add(&mut self, bytes: &[u8], each: &mut dyn FnMut(String)) {
        for byte in bytes {
            self.take(*byte, each);
        }
    }

    /// Gives the line that is not complete.
    pub fn open(&self) -> String {
        String::from_utf8_lossy(&self.open).into_owned()
    }

    /// Hands on the line that is not complete, at the end.
    pub fn finish(&mut self, each: &mut dyn FnMut(String)) {
        if !self.open.is_empty() {
            self.end_line(each);
        }
    }

    fn take(&mut self, byte: u8, each: &mut dyn FnMut(String)) {
        self.escape = match (self.escape, byte) {
            (Escape::Words, 0x1b) => Escape::WordsEnding,
            (_, 0x1b) => Escape::Begun,
            (Escape::No, _) => {
                self.plain(byte, each);
                Escape::No
            }
            (Escape::Begun, b'[') => Escape::Sequence,
            (Escape::Begun, b']' | b'P' | b'X' | b'^' | b'_') => Escape::Words,
            (Escape::Begun | Escape::Short, 0x20..=0x2f) => Escape::Short,
            (Escape::Begun, b'c' | b'D' | b'E' | b'M') => {
                self.break_line(each);
                Escape::No
            }
            (Escape::Sequence, 0x20..=0x3f) => Escape::Sequence,
            // To another row, or a screen that is emptied.
            (Escape::Sequence, b'A' | b'B' | b'E' | b'F' | b'H' | b'J' | b'd' | b'f') => {
                self.break_line(each);
                Escape::No
            }
            (Escape::Words, 0x07) => Escape::No,
            (Escape::Words, _) => Escape::Words,
            // What cannot stand in a sequence ends it, and a line break counts.
            (Escape::Begun | Escape::Short | Escape::Sequence | Escape::WordsEnding, _) => {
                if byte == b'\n' {
                    self.plain(byte, each);
                }
                Escape::No
            }
        };
    }

    fn plain(&mut self, byte: u8, each: &mut dyn FnMut(String)) {
        match byte {
            b'\n' => self.end_line(each),
            b'\r' => self.back = true,
            // Firmware deletes and writes again; what stood there was not yet said.
            0x08 => drop(self.open.pop()),
            b'\t' => self.push(b' ', each),
            0x00..=0x1f | 0x7f => {}
            _ => self.push(byte, each),
        }
    }

    fn push(&mut self, byte: u8, each: &mut dyn FnMut(String)) {
        if self.open.len() >= LONGEST || (self.back && !self.open.is_empty()) {
            self.end_line(each);
        }
        self.back = false;
        self.open.push(byte);
    }

    fn break_line(&mut self, each: &mut dyn FnMut(String)) {
        if !self.open.is_empty() {
            self.end_line(each);
        }
    }

    fn end_line(&mut self, each: &mut dyn FnMut(String)) {
        self.back = false;
        let line = std::mem::take(&mut self.open);
        each(String::from_utf8_lossy(&line).trim_end().to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        for piece in pieces {
            lines.add(piece, &mut |line| seen.push(line));
        }
        lines.finish(&mut |line| seen.push(line));
        seen
    }

    #[test]
    fn lines_are_whole_whatever_the_pieces() {
        let whole = read(&[b"one\r\ntwo\n\nthree"]);
        assert_eq!(whole, ["one", "two", "", "three"]);
        let text = b"one\r\n\x1b[0;33mtwo\x1b[0m\n\nthree";
        for at in 0..text.len() {
            assert_eq!(read(&[&text[..at], &text[at..]]), whole, "{at}");
        }
    }

    #[test]
    fn what_moves_the_cursor_ends_a_line_and_what_colours_does_not() {
        assert_eq!(
            read(&[
                b"\x1b[2J\x1b[01;01H\x1b[=3hBdsDxe: \x1b[1mloading\x1b[0m Boot0001\x1b[02;01Hnext"
            ]),
            ["BdsDxe: loading Boot0001", "next"]
        );
        assert_eq!(
            read(&[b"\x1b]0;a title\x07a\x1b]0;b\x1b\\b\x1b(Bc"]),
            ["abc"]
        );
        assert_eq!(
            read(&[b"nul\0s, bell\x07, ab\x08c\td \n"]),
            ["nuls, bell, ac d"]
        );
        assert_eq!(read(&[b"\r  1%\r  2%\r", b"\r\nx"]), ["  1%", "  2%", "x"]);
    }

    #[test]
    fn what_never_ends_is_cut() {
        let lines = read(&[&vec![b'x'; 3 * LONGEST]]);
        assert_eq!(lines.len(), 3);
        assert!(read(&[b"\x1b[", &vec![b'1'; 1 << 16], b"\n", b"a\n"]).len() <= 2);
        assert_eq!(read(&[b"\xff\xfe\n"]), ["\u{fffd}\u{fffd}"]);
    }
}
