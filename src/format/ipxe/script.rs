//! A script taken apart: lines, labels, words, commands.
//!
//! iPXE knows no quotes: arguments are words between white space.

/// Bytes of a script; those in use have thousands.
pub const MAX_SCRIPT: usize = 1 << 20;

/// Tells whether a file is a script. Source: `script_probe`.
#[must_use]
pub fn is_script(bytes: &[u8]) -> bool {
    let magic = [b"#!ipxe".as_slice(), b"#!gpxe"];
    magic.iter().any(|magic| {
        let rest = bytes.strip_prefix(*magic);
        rest.and_then(<[u8]>::first).is_some_and(|c| is_space(*c))
    })
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0x0b
}

/// One line, joined with those that it goes on in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its number, counted from 1; that of the first where there are several.
    pub number: u64,
    /// The label that it begins with.
    pub label: Option<String>,
    /// The commands behind that.
    pub text: String,
}

/// A script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    lines: Vec<Line>,
    /// Whether the last line ends with a backslash: iPXE fails there.
    unfinished: bool,
}

impl Script {
    /// Reads a script; what is not UTF-8 shows as replacement characters.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let mut lines = Vec::new();
        let mut open: Option<(u64, String)> = None;
        let text = text.strip_suffix('\n').unwrap_or(&text);
        for (number, part) in (1..).zip(text.split('\n')) {
            let (number, mut line) = open.take().unwrap_or((number, String::new()));
            line.push_str(part);
            if line.ends_with('\r') {
                line.pop();
            }
            if line.ends_with('\\') {
                line.pop();
                open = Some((number, line));
                continue;
            }
            lines.push(Line::of(number, &line));
        }
        let unfinished = open.is_some();
        // It is shown, and never carried out.
        lines.extend(open.map(|(number, line)| Line::of(number, &line)));
        Self { lines, unfinished }
    }

    /// Gives the lines, in their order.
    #[must_use]
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Tells whether a line, by its place, is one that the script ends in the middle of.
    #[must_use]
    pub fn is_unfinished(&self, index: usize) -> bool {
        self.unfinished && index + 1 == self.lines.len()
    }

    /// Finds the first line with a label, which is where `goto` goes.
    #[must_use]
    pub fn find(&self, label: &str) -> Option<usize> {
        let mut lines = self.lines.iter();
        lines.position(|line| line.label.as_deref() == Some(label))
    }
}

impl Line {
    fn of(number: u64, line: &str) -> Self {
        let text = line.trim_start_matches(|c: char| u8::try_from(c).is_ok_and(is_space));
        let Some(rest) = text.strip_prefix(':') else {
            let text = text.to_owned();
            return Self {
                number,
                label: None,
                text,
            };
        };
        let end = rest.find(|c: char| u8::try_from(c).is_ok_and(is_space));
        let (label, text) = rest.split_at(end.unwrap_or(rest.len()));
        Self {
            number,
            label: Some(label.to_owned()),
            text: text.get(1..).unwrap_or_default().to_owned(),
        }
    }

    /// Gives the commands of the line, and when each is carried out. A word that begins with `#`
    /// begins a comment.
    #[must_use]
    pub fn commands(&self) -> Vec<Command<'_>> {
        let space = |c: char| u8::try_from(c).is_ok_and(is_space);
        let words = self.text.split(space).filter(|word| !word.is_empty());
        let mut commands = vec![Command {
            when: When::Always,
            words: Vec::new(),
        }];
        for word in words.take_while(|word| !word.starts_with('#')) {
            let when = match word {
                "||" => When::Failed,
                "&&" => When::Succeeded,
                ";" => When::Always,
                word => {
                    if let Some(last) = commands.last_mut() {
                        last.words.push(word);
                    }
                    continue;
                }
            };
            commands.push(Command {
                when,
                words: Vec::new(),
            });
        }
        commands
    }
}

/// One command of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command<'l> {
    /// When it is carried out.
    pub when: When,
    /// Its words, the name first; none where nothing stands there.
    pub words: Vec<&'l str>,
}

/// When a command is carried out, seen from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// In any case.
    Always,
    /// Where that succeeded.
    Succeeded,
    /// Where that failed.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_and_labelled_as_ipxe_does() {
        let script = Script::parse(b"#!ipxe\r\n  :a  b \\\r\n c\n\n:d\n:a x\nlast\\");
        let seen: Vec<_> = script
            .lines()
            .iter()
            .map(|l| (l.number, l.label.as_deref(), &*l.text))
            .collect();
        assert_eq!(
            seen,
            [
                (1, None, "#!ipxe"),
                (2, Some("a"), " b  c"),
                (4, None, ""),
                (5, Some("d"), ""),
                (6, Some("a"), "x"),
                (7, None, "last"),
            ]
        );
        assert_eq!((script.find("a"), script.find("b")), (Some(1), None));
        assert!(script.is_unfinished(5) && !script.is_unfinished(4));
        assert!(
            is_script(b"#!ipxe\n")
                && is_script(b"#!gpxe x")
                && !is_script(b"#!ipxe")
                && !is_script(b"#!ipxes\n")
        );
    }

    #[test]
    fn commands_end_at_operators_and_comments() {
        let script = Script::parse(b"a b || c&&d && # e\n; x #");
        let commands = script.lines()[0].commands();
        let seen: Vec<_> = commands
            .iter()
            .map(|c| (c.when, c.words.join(" ")))
            .collect();
        let text = |when, text: &str| (when, text.to_owned());
        assert_eq!(
            seen,
            [
                text(When::Always, "a b"),
                text(When::Failed, "c&&d"),
                text(When::Succeeded, "")
            ]
        );
        assert_eq!(script.lines()[1].commands().len(), 2);
    }
}
