//! GRUB's configuration: its menu entries and the `linux` commands in them.
//!
//! Sources: GRUB manual, "Writing full configuration files directly" (quoting,
//! `menuentry`, `submenu`); `grub-core/script/yylex.l` for words,
//! `grub-core/lib/cmdline.c` for how words become a command line again.

use super::{Entry, MAX_ENTRIES, MAX_TITLE};
use crate::format::FormatError;
use crate::model::value::clip;

const NAME: &str = "grub";
/// Braces inside of one another; a menu in use has three.
const MAX_DEPTH: usize = 64;
/// Commands that load a kernel.
const LINUX: &[&str] = &["linux", "linux16", "linuxefi"];

/// A part of the file: a word, or what ends a command.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Word(String),
    Open,
    Close,
    End,
}

/// Reads the entries.
pub(super) fn entries(text: &str) -> Result<Vec<Entry>, FormatError> {
    let mut entries = Vec::new();
    let mut open: Vec<Option<Menu>> = Vec::new();
    let mut command: Vec<String> = Vec::new();
    let mut began = 1;
    for (line, token) in tokens(text)? {
        if command.is_empty() {
            began = line;
        }
        match token {
            Token::Word(word) => {
                command.push(word);
                continue;
            }
            Token::Open if open.len() == MAX_DEPTH => {
                let what = format!("line {line}: more than {MAX_DEPTH} braces inside one another");
                return Err(FormatError::corrupt(NAME, 0, what));
            }
            Token::Open => open.push(Menu::of(&command)),
            Token::End | Token::Close => entries.extend(entry(&command, began, &open)),
        }
        if entries.len() > MAX_ENTRIES {
            break;
        }
        command.clear();
        if token == Token::Close && open.pop().is_none() {
            let what = format!("line {line}: `}}` closes nothing");
            return Err(FormatError::corrupt(NAME, 0, what));
        }
    }
    if !open.is_empty() && entries.len() <= MAX_ENTRIES {
        return Err(FormatError::corrupt(
            NAME,
            text.len() as u64,
            "a `{` is not closed",
        ));
    }
    Ok(entries)
}

fn entry(command: &[String], line: u64, open: &[Option<Menu>]) -> Option<Entry> {
    let [name, kernel, arguments @ ..] = command else {
        return None;
    };
    if !LINUX.contains(&name.as_str()) {
        return None;
    }
    let menus = || open.iter().flatten();
    let titles: Vec<&str> = menus().map(|menu| menu.title.as_str()).collect();
    Some(Entry {
        // As GRUB itself writes the way to an entry of a submenu.
        title: clip(&titles.join(">"), MAX_TITLE),
        id: menus().next_back().and_then(|menu| menu.id.clone()),
        line,
        kernel: kernel.clone(),
        cmdline: arguments
            .iter()
            .map(|a| argument(a))
            .collect::<Vec<_>>()
            .join(" "),
    })
}

/// What a `menuentry` or `submenu` says of itself.
#[derive(Debug)]
struct Menu {
    title: String,
    id: Option<String>,
}

impl Menu {
    fn of(command: &[String]) -> Option<Self> {
        let (name, arguments) = command.split_first()?;
        if name != "menuentry" && name != "submenu" {
            return None;
        }
        let mut menu = Self {
            title: String::new(),
            id: None,
        };
        let mut arguments = arguments.iter();
        let mut titled = false;
        while let Some(argument) = arguments.next() {
            let Some(option) = argument.strip_prefix("--") else {
                if !titled {
                    menu.title = clip(argument, MAX_TITLE);
                }
                titled = true;
                continue;
            };
            let (option, value) = match option.split_once('=') {
                Some((option, value)) => (option, Some(value.to_owned())),
                None if option == "unrestricted" => (option, None),
                None => (option, arguments.next().cloned()),
            };
            if option == "id" {
                menu.id = value;
            }
        }
        Some(menu)
    }
}

/// Writes a word as GRUB writes it on the command line: what held white space
/// is quoted again, quotes and backslashes are escaped.
fn argument(word: &str) -> String {
    let mut text = String::new();
    for c in word.chars() {
        if matches!(c, '\\' | '\'' | '"') {
            text.push('\\');
        }
        text.push(c);
    }
    match word.contains(' ') {
        true => format!("\"{text}\""),
        false => text,
    }
}

/// Splits a file into words, each with its line.
fn tokens(text: &str) -> Result<Vec<(u64, Token)>, FormatError> {
    let mut lexer = Lexer {
        rest: text.chars().peekable(),
        line: 1,
    };
    let mut tokens = Vec::new();
    while let Some(c) = lexer.rest.peek().copied() {
        let line = lexer.line;
        let token = match c {
            ' ' | '\t' | '\r' => {
                lexer.next();
                continue;
            }
            '#' => {
                while lexer.rest.peek().is_some_and(|c| *c != '\n') {
                    lexer.next();
                }
                continue;
            }
            '{' => Token::Open,
            '}' => Token::Close,
            '\n' | ';' | '&' | '|' | '<' | '>' => Token::End,
            _ => match lexer.word()? {
                Some(word) => {
                    tokens.push((line, Token::Word(word)));
                    continue;
                }
                None => continue,
            },
        };
        lexer.next();
        tokens.push((line, token));
    }
    tokens.push((lexer.line, Token::End));
    Ok(tokens)
}

struct Lexer<'t> {
    rest: std::iter::Peekable<std::str::Chars<'t>>,
    line: u64,
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.next();
        self.line += u64::from(c == Some('\n'));
        c
    }

    /// Reads a word; `None` where only a line was continued.
    fn word(&mut self) -> Result<Option<String>, FormatError> {
        let mut word = String::new();
        let mut there = false;
        while let Some(c) = self.rest.peek().copied() {
            match c {
                '\\' => {
                    self.next();
                    // A line break behind it is none.
                    match self.next() {
                        Some('\n') => continue,
                        Some(c) => word.push(c),
                        None => {}
                    }
                }
                '\'' | '"' => self.quoted(&mut word)?,
                '$' => self.variable(&mut word),
                ' ' | '\t' | '\r' | '\n' | '{' | '}' | ';' | '&' | '|' | '<' | '>' => break,
                c => {
                    self.next();
                    word.push(c);
                }
            }
            there = true;
        }
        Ok(there.then_some(word))
    }

    fn quoted(&mut self, word: &mut String) -> Result<(), FormatError> {
        let began = self.line;
        let quote = self.next();
        loop {
            match self.next() {
                None => {
                    let what = format!("line {began}: a quote is not closed");
                    return Err(FormatError::corrupt(NAME, 0, what));
                }
                c if c == quote => return Ok(()),
                Some('\\') if quote == Some('"') => match self.next() {
                    Some(c @ ('$' | '"' | '\\')) => word.push(c),
                    Some('\n') | None => {}
                    Some(c) => word.extend(['\\', c]),
                },
                Some(c) => word.push(c),
            }
        }
    }

    /// Takes `${name}` as it stands: its braces are no block.
    fn variable(&mut self, word: &mut String) {
        word.extend(self.next());
        if self.rest.peek() == Some(&'{') {
            while let Some(c) = self.rest.next_if(|c| !matches!(c, '}' | '\n')) {
                word.push(c);
            }
            word.extend(self.rest.next_if_eq(&'}'));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_a_menu_are_found_with_their_titles() {
        let text = r#"
set default="0" # linux /no
if [ -s "$prefix/grubenv" ]; then load_env; fi
function savedefault { true; }
menuentry 'A "first" one' --class gnu --unrestricted $menuentry_id_option --id=first {
    linux   ($root)/boot/vmlinuz talos.platform=metal \
        console=tty0 ${extra}
    initrd  /boot/initramfs.xz
}
submenu "More" --hotkey=m {
    menuentry "Reset" --id 'reset it' { set gfxpayload=keep; linuxefi /k a="b c" d=\"e 'f$g'; initrd /i }
}
linux /bare
"#;
        let seen = entries(text).unwrap();
        let [first, reset, bare] = seen.as_slice() else {
            panic!("{seen:?}")
        };
        assert_eq!((first.title.as_str(), first.line), ("A \"first\" one", 6));
        assert_eq!(first.kernel, "($root)/boot/vmlinuz");
        assert_eq!(first.cmdline, "talos.platform=metal console=tty0 ${extra}");
        assert_eq!(first.id.as_deref(), Some("first"));
        assert_eq!(reset.title, "More>Reset");
        assert_eq!(reset.id.as_deref(), Some("reset it"));
        assert_eq!(reset.cmdline, "\"a=b c\" d=\\\"e f$g");
        assert_eq!((bare.title.as_str(), bare.cmdline.as_str()), ("", ""));
    }

    #[test]
    fn what_is_not_closed_is_an_error() {
        for text in ["menuentry a {", "}", "linux 'a", &"{".repeat(65)] {
            assert!(entries(text).is_err(), "{text}");
        }
    }
}
