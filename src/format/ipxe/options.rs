//! The options of commands. Sources: `core/getopt.c`, `core/parseopt.c`.

use std::collections::BTreeMap;

/// An option: its long name, its letter, whether a value follows.
type Option_ = (&'static str, char, bool);

/// What a command takes.
pub(super) struct Takes {
    options: &'static [Option_],
    least: usize,
    most: usize,
}

const ANY: usize = usize::MAX;
const IMAGE: &[Option_] = &[
    ("name", 'n', true),
    ("timeout", 't', true),
    ("quiet", 'q', false),
    ("autofree", 'a', false),
    ("replace", 'r', false),
];
/// The options of [`IMAGE`] that commands have which do not start anything.
const IMAGE_OPTIONS: usize = 4;

impl Takes {
    /// Gives what a command takes; `None` where nothing is known of it here.
    pub(super) fn of(command: &str) -> Option<Self> {
        let takes = |options, least, most| {
            Some(Self {
                options,
                least,
                most,
            })
        };
        let single = IMAGE.get(..IMAGE_OPTIONS).unwrap_or_default();
        match command {
            "imgfetch" | "module" | "initrd" | "imgselect" | "imgload" | "kernel" | "imgargs" => {
                takes(single, 1, ANY)
            }
            "imgexec" | "chain" | "boot" => takes(IMAGE, 0, ANY),
            "imgfree" | "imgstat" => takes(&[], 0, ANY),
            "echo" => takes(&[("n", 'n', false)], 0, ANY),
            "exit" => takes(&[], 0, 1),
            "isset" | "sleep" | "goto" | "clear" => takes(&[], 1, 1),
            "iseq" => takes(&[], 2, 2),
            "set" => takes(&[], 1, ANY),
            "inc" => takes(&[], 1, 2),
            "show" => takes(&[("quiet", 'q', false)], 1, 1),
            "menu" | "form" => takes(&[("name", 'n', true), ("delete", 'd', false)], 0, ANY),
            "item" => takes(
                &[
                    ("menu", 'm', true),
                    ("form", 'f', true),
                    ("key", 'k', true),
                    ("default", 'd', false),
                    ("secret", 's', false),
                    ("gap", 'g', false),
                ],
                0,
                ANY,
            ),
            "choose" => takes(
                &[
                    ("menu", 'm', true),
                    ("default", 'd', true),
                    ("timeout", 't', true),
                    ("retimeout", 'r', true),
                    ("keep", 'k', false),
                ],
                1,
                1,
            ),
            "prompt" => takes(
                &[
                    ("key", 'k', true),
                    ("timeout", 't', true),
                    ("set", 's', true),
                ],
                0,
                ANY,
            ),
            "sanboot" => takes(
                &[
                    ("drive", 'd', true),
                    ("no-describe", 'n', false),
                    ("keep", 'k', false),
                    ("filename", 'f', true),
                    ("extra", 'e', true),
                    ("label", 'l', true),
                    ("uuid", 'u', true),
                ],
                0,
                ANY,
            ),
            "reboot" => takes(&[("warm", 'w', false), ("setup", 's', false)], 0, 0),
            "poweroff" | "shell" => takes(&[], 0, 0),
            _ => None,
        }
    }
}

/// The words of a command, taken apart.
pub(super) struct Parsed {
    /// The options that were given, by their long name, with their value.
    pub(super) options: BTreeMap<&'static str, String>,
    /// The rest.
    pub(super) words: Vec<String>,
}

impl Parsed {
    /// Takes the words behind a command's name apart: options come first.
    ///
    /// Errors with what iPXE says of them.
    pub(super) fn of(takes: &Takes, words: &[String]) -> Result<Self, String> {
        let mut options = BTreeMap::new();
        let mut rest = words;
        while let Some((word, left)) = rest.split_first() {
            let Some(option) = word.strip_prefix('-') else {
                break;
            };
            if option.is_empty() {
                return Err("unrecognised option `-`".to_owned());
            }
            rest = left;
            if let Some(long) = option.strip_prefix('-') {
                if long.is_empty() {
                    break;
                }
                let (name, value) = match long.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (long, None),
                };
                let known = takes.options.iter().find(|(known, ..)| *known == name);
                let Some((name, _, valued)) = known else {
                    return Err(format!("unrecognised option `--{name}`"));
                };
                if value.is_some() && !valued {
                    return Err(format!("option `{name}` takes no argument"));
                }
                options.insert(*name, argument(name, *valued, value, &mut rest)?);
                continue;
            }
            let mut letters = option.chars();
            while let Some(letter) = letters.next() {
                let known = takes.options.iter().find(|(_, known, _)| *known == letter);
                let Some((name, _, valued)) = known else {
                    return Err(format!("unrecognised option `-{letter}`"));
                };
                let inline =
                    Some(letters.as_str().to_owned()).filter(|text| *valued && !text.is_empty());
                options.insert(*name, argument(name, *valued, inline, &mut rest)?);
                if *valued {
                    break;
                }
            }
        }
        if rest.len() < takes.least || rest.len() > takes.most {
            return Err(format!("{} arguments; see its usage", rest.len()));
        }
        Ok(Self {
            options,
            words: rest.to_vec(),
        })
    }

    pub(super) fn has(&self, option: &str) -> bool {
        self.options.contains_key(option)
    }

    pub(super) fn value(&self, option: &str) -> Option<&str> {
        self.options.get(option).map(String::as_str)
    }

    /// Joins the words from one on.
    pub(super) fn joined(&self, from: usize) -> String {
        self.words.get(from..).unwrap_or_default().join(" ")
    }
}

fn argument(
    name: &str,
    valued: bool,
    given: Option<String>,
    rest: &mut &[String],
) -> Result<String, String> {
    if !valued {
        return Ok(String::new());
    }
    if let Some(given) = given {
        return Ok(given);
    }
    let Some((first, left)) = rest.split_first() else {
        return Err(format!("option `{name}` requires an argument"));
    };
    *rest = left;
    Ok(first.clone())
}
