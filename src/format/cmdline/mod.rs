//! A kernel command line, as the kernel takes it apart.
//!
//! Sources: `next_arg` in `lib/cmdline.c`, `parse_args` in `kernel/params.c` and
//! `set_init_arg` in `init/main.c` of Linux; `Documentation/admin-guide/
//! kernel-parameters.rst`. What follows is theirs: double quotes keep white
//! space inside of an argument and cannot be escaped; the first `=` ends the
//! name; `-` and `_` are the same in a name; ` -- ` ends the kernel's arguments,
//! and what is behind it is for init.

mod repeat;
pub mod talos;

use std::borrow::Cow;
use std::collections::BTreeMap;

pub use repeat::Repeat;

use super::FormatError;
use super::node::escape;

const NAME: &str = "cmdline";
/// Bytes of a text that is taken for a command line at all.
const MAX_TEXT: usize = 64 << 10;
/// Bytes that a kernel for arm64 or x86 keeps, the NUL at the end among them
/// (`COMMAND_LINE_SIZE`).
const KEPT: usize = 2048;

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Argument {
    /// The name, without quotes.
    pub name: String,
    /// The value, without quotes around it; `None` of a flag.
    pub value: Option<String>,
    /// The argument as it stands in the line, quotes and all.
    pub text: String,
}

impl Argument {
    /// Gives the value as a spec writes it: that of a flag is `true`.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.value.as_deref().unwrap_or("true")
    }

    /// Gives the argument as init gets it: without the quotes around the value.
    fn plain(&self) -> String {
        match &self.value {
            Some(value) => format!("{}={value}", self.name),
            None => self.name.clone(),
        }
    }

    /// Tells whether white space is inside of it, which only quotes keep
    /// together. Programs that split at white space, Talos among them, see
    /// several arguments.
    #[must_use]
    pub fn holds_space(&self) -> bool {
        self.text.bytes().any(is_space)
    }
}

/// A command line and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cmdline {
    text: String,
    length: usize,
    arguments: Vec<Argument>,
    init: Vec<String>,
    open_quote: bool,
}

impl Cmdline {
    /// Takes a text apart, white space at both ends left out.
    ///
    /// Errors with [`FormatError::Corrupt`] above 64 KiB, which is no command
    /// line, and where there is a NUL in it.
    pub fn parse(text: &[u8]) -> Result<Self, FormatError> {
        if text.len() > MAX_TEXT {
            let what = format!("{} bytes; no command line has over {MAX_TEXT}", text.len());
            return Err(FormatError::corrupt(NAME, 0, what));
        }
        if let Some(at) = text.iter().position(|byte| *byte == 0) {
            let what = "there is a NUL in it: this is no text";
            return Err(FormatError::corrupt(NAME, at as u64, what));
        }
        let text = trim(text);
        let mut line = Self {
            text: Self::shown(text),
            length: text.len(),
            arguments: Vec::new(),
            init: Vec::new(),
            open_quote: text.iter().filter(|byte| **byte == b'"').count() % 2 == 1,
        };
        let mut behind = false;
        let mut rest = text;
        while !rest.is_empty() {
            let (argument, left) = next(rest);
            rest = trim(left);
            let dashes = argument.name == "--" && argument.value.is_none();
            match (behind, dashes) {
                (false, true) => behind = true,
                (false, false) => line.arguments.push(argument),
                // The kernel hands nothing on from a second one on.
                (true, true) => break,
                (true, false) => line.init.push(argument.plain()),
            }
        }
        Ok(line)
    }

    /// Writes a text on one line, as a report may show it.
    #[must_use]
    pub fn shown(text: &[u8]) -> String {
        let line: Vec<u8> = trim(text)
            .iter()
            .map(|byte| if (9..=13).contains(byte) { b' ' } else { *byte })
            .collect();
        escape(&line)
    }

    /// Gives the text on one line, as a report may show it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Gives the number of bytes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.length
    }

    /// Tells whether kernels for arm64 and x86 cut the line.
    #[must_use]
    pub fn is_too_long(&self) -> bool {
        self.length >= KEPT
    }

    /// Gives the kernel's arguments in their order.
    #[must_use]
    pub fn arguments(&self) -> &[Argument] {
        &self.arguments
    }

    /// Gives the arguments behind ` -- `, which init gets.
    #[must_use]
    pub fn init(&self) -> &[String] {
        &self.init
    }

    /// Tells whether a quote is not closed: the last argument then runs to the
    /// end of the line, whatever was meant to follow it.
    #[must_use]
    pub fn has_open_quote(&self) -> bool {
        self.open_quote
    }

    /// Gives all arguments of a name, in their order.
    pub fn all(&self, name: &str) -> impl DoubleEndedIterator<Item = &Argument> {
        let name = canonical(name).into_owned();
        let own = move |a: &&Argument| canonical(&a.name) == name;
        self.arguments.iter().filter(own)
    }

    /// Gives the arguments by name: as written, and those of all spellings
    /// under the one with `_`.
    #[must_use]
    pub fn by_name(&self) -> BTreeMap<Cow<'_, str>, Vec<&Argument>> {
        let mut names: BTreeMap<Cow<'_, str>, Vec<&Argument>> = BTreeMap::new();
        for argument in &self.arguments {
            let name = canonical(&argument.name);
            if *name != *argument.name {
                let own = names.entry(argument.name.as_str().into());
                own.or_default().push(argument);
            }
            names.entry(name).or_default().push(argument);
        }
        names
    }

    /// Gives the argument of each name that counts; see [`Repeat`].
    #[must_use]
    pub fn values(&self) -> BTreeMap<Cow<'_, str>, &Argument> {
        let names = self.by_name();
        let counts = |name: &Cow<'_, str>| {
            let all = names.get(&canonical(name))?;
            match Repeat::of(name) {
                Repeat::First => all.first().copied(),
                Repeat::Last | Repeat::Every => all.last().copied(),
            }
        };
        let keys = names.keys();
        keys.filter_map(|name| Some((name.clone(), counts(name)?)))
            .collect()
    }

    /// Gives the arguments that are there more than once although only one of
    /// them counts, by name.
    #[must_use]
    pub fn repeated(&self) -> BTreeMap<Cow<'_, str>, Vec<&Argument>> {
        let mut names = self.by_name();
        names.retain(|name, arguments| {
            arguments.len() > 1 && canonical(name) == *name && Repeat::of(name) != Repeat::Every
        });
        names
    }
}

/// Tells whether two names are one parameter's.
#[must_use]
pub fn same(a: &str, b: &str) -> bool {
    canonical(a) == canonical(b)
}

/// Writes a name with `_` for `-`, which the kernel (`dash2underscore`) and
/// systemd take for the same. Talos does not: the names of its own stay as they
/// are.
fn canonical(name: &str) -> Cow<'_, str> {
    match name.contains('-') && !name.starts_with("talos.") {
        true => Cow::Owned(name.replace('-', "_")),
        false => Cow::Borrowed(name),
    }
}

/// What the kernel's `isspace` takes for white space; 0xa0 is among it, in the
/// middle of a character of UTF-8 as well.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | 9..=13 | 0xa0)
}

fn trim(text: &[u8]) -> &[u8] {
    let start = text
        .iter()
        .position(|byte| !is_space(*byte))
        .unwrap_or(text.len());
    let end = text
        .iter()
        .rposition(|byte| !is_space(*byte))
        .map_or(start, |last| last + 1);
    text.get(start..end).unwrap_or_default()
}

/// Takes the first argument off a text that does not begin with white space.
fn next(text: &[u8]) -> (Argument, &[u8]) {
    let quoted = text.first() == Some(&b'"');
    let inner = text.get(usize::from(quoted)..).unwrap_or_default();
    let mut inside = quoted;
    let mut equals = 0;
    let mut end = inner.len();
    for (at, byte) in inner.iter().enumerate() {
        if is_space(*byte) && !inside {
            end = at;
            break;
        }
        if equals == 0 && *byte == b'=' {
            equals = at;
        }
        if *byte == b'"' {
            inside = !inside;
        }
    }
    let word = inner.get(..end).unwrap_or_default();
    // An `=` at the very start names nothing, and is a part of the name.
    let (mut name, mut value) = match equals {
        0 => (word, None),
        at => (
            word.get(..at).unwrap_or_default(),
            Some(word.get(at + 1..).unwrap_or_default()),
        ),
    };
    if let Some(inner) = value.and_then(|value| value.strip_prefix(b"\"")) {
        value = Some(inner.strip_suffix(b"\"").unwrap_or(inner));
    } else if quoted {
        let last = value.as_mut().unwrap_or(&mut name);
        *last = last.strip_suffix(b"\"").unwrap_or(last);
    }
    let argument = Argument {
        name: escape(name),
        value: value.map(escape),
        text: Cmdline::shown(text.get(..end + usize::from(quoted)).unwrap_or_default()),
    };
    (argument, inner.get(end..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Cmdline {
        Cmdline::parse(text.as_bytes()).unwrap()
    }

    fn pairs(text: &str) -> Vec<(String, Option<String>)> {
        let line = line(text);
        let pair = |a: &Argument| (a.name.clone(), a.value.clone());
        line.arguments().iter().map(pair).collect()
    }

    fn pair(name: &str, value: Option<&str>) -> (String, Option<String>) {
        (name.to_owned(), value.map(str::to_owned))
    }

    #[test]
    fn quotes_keep_white_space_and_are_no_part_of_the_value() {
        for (text, name, value) in [
            ("quiet", "quiet", None),
            ("a=", "a", Some("")),
            ("a=b=c", "a", Some("b=c")),
            ("a=\"b c\"", "a", Some("b c")),
            ("\"a=b c\"", "a", Some("b c")),
            ("\"a b\"=c", "a b\"", Some("c")),
            ("a=b\" \"c", "a", Some("b\" \"c")),
            ("=a", "=a", None),
            ("=a=b", "=a", Some("b")),
            ("\"\"", "", None),
            ("a=\"", "a", Some("")),
            ("a=\"b c", "a", Some("b c")),
            ("\"a=\"b\"", "a", Some("b")),
        ] {
            assert_eq!(pairs(text), [pair(name, value)], "{text}");
            assert_eq!(line(text).arguments()[0].text, text);
        }
        assert_eq!(
            pairs("\n a=1\tb  c=\"x y\" d\r\n"),
            [
                pair("a", Some("1")),
                pair("b", None),
                pair("c", Some("x y")),
                pair("d", None)
            ]
        );
        assert!(line("a=\"b c d").has_open_quote());
        assert!(!line("a=\"b c\" d").has_open_quote());
    }

    #[test]
    fn two_dashes_end_the_arguments_of_the_kernel_and_three_do_not() {
        let seen = line("a -- pti=on \"b c\" d=\"e f\" -- g");
        assert_eq!(seen.arguments().len(), 1);
        assert_eq!(seen.init(), ["pti=on", "b c", "d=e f"]);
        assert!(!seen.values().contains_key("pti"));
        let seen = line("vga=788 --- quiet");
        assert_eq!(seen.arguments().len(), 3);
        assert!(seen.init().is_empty());
    }

    #[test]
    fn spellings_of_one_name_are_one_parameter_but_not_in_talos() {
        let seen = line("init-on-alloc=1 init_on_alloc=0 talos.halt-if-installed=1");
        let values = seen.values();
        assert_eq!(values["init-on-alloc"].shown(), "0");
        assert_eq!(values["init_on_alloc"].shown(), "0");
        assert!(!values.contains_key("talos.halt_if_installed"));
        let names = seen.by_name();
        let keys: Vec<&str> = names.keys().map(|key| &**key).collect();
        assert_eq!(
            keys,
            ["init-on-alloc", "init_on_alloc", "talos.halt-if-installed"]
        );
        assert_eq!(names["init_on_alloc"].len(), 2);
        let repeated = seen.repeated();
        assert_eq!(repeated.keys().collect::<Vec<_>>(), ["init_on_alloc"]);
    }

    #[test]
    fn which_of_several_counts_depends_on_who_reads_it() {
        let seen = line(
            "console=tty0 pti=on talos.platform=metal console=ttyAMA0 pti=off talos.platform=aws",
        );
        let values = seen.values();
        assert_eq!(values["pti"].shown(), "off");
        assert_eq!(values["talos.platform"].shown(), "metal");
        assert_eq!(values["console"].shown(), "ttyAMA0");
        let repeated = seen.repeated();
        assert_eq!(
            repeated.keys().collect::<Vec<_>>(),
            ["pti", "talos.platform"]
        );
    }

    #[test]
    fn the_byte_a0_splits_as_it_does_in_the_kernel_and_nothing_is_lost() {
        let seen = line("a=\u{e0}b");
        assert_eq!(seen.arguments().len(), 2);
        assert_eq!(seen.arguments()[0].value.as_deref(), Some("\\xc3"));
        assert_eq!(seen.text(), "a=\u{e0}b");
    }

    #[test]
    fn what_is_too_long_says_so_and_what_is_no_text_is_an_error() {
        assert!(!line(&"a".repeat(2047)).is_too_long());
        assert!(line(&"a".repeat(2048)).is_too_long());
        assert!(Cmdline::parse(&[b'a'; (64 << 10) + 1]).is_err());
        assert_eq!(Cmdline::parse(b"ab\0").unwrap_err().offset(), 2);
        assert!(line(" \n").arguments().is_empty());
    }
}
