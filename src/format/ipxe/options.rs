//! The options of commands. Sources: `core/getopt.c`, `core/parseopt.c`.

use std::collections::BTreeMap;

use super::value::number;

/// An option: its long name, its letter, what follows.
type Option_ = (&'static str, char, Given);

/// What follows an option.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Given {
    /// Nothing.
    Flag,
    /// Any word.
    Text,
    /// A number: iPXE refuses the command where it is none.
    Number,
    /// One character, or the number of a key.
    Key,
}

/// What a command takes.
pub(super) struct Takes {
    options: &'static [Option_],
    least: usize,
    most: usize,
}

const ANY: usize = usize::MAX;
const IMAGE: &[Option_] = &[
    ("name", 'n', Given::Text),
    ("timeout", 't', Given::Number),
    ("quiet", 'q', Given::Flag),
    ("autofree", 'a', Given::Flag),
    ("replace", 'r', Given::Flag),
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
            "ifopen" | "ifclose" | "ifstat" => takes(&[], 0, ANY),
            "dhcp" | "ifconf" => takes(
                &[
                    ("configurator", 'c', Given::Text),
                    ("timeout", 't', Given::Number),
                ],
                0,
                ANY,
            ),
            "iflinkwait" => takes(&[("timeout", 't', Given::Number)], 0, ANY),
            "ntp" => takes(&[], 1, 1),
            "sync" => takes(&[("timeout", 't', Given::Number)], 0, 0),
            "console" => takes(
                &[
                    ("x", 'x', Given::Number),
                    ("y", 'y', Given::Number),
                    ("left", 'l', Given::Number),
                    ("right", 'r', Given::Number),
                    ("top", 't', Given::Number),
                    ("bottom", 'b', Given::Number),
                    ("depth", 'd', Given::Number),
                    ("picture", 'p', Given::Text),
                    ("keep", 'k', Given::Flag),
                ],
                0,
                0,
            ),
            "imgfree" | "imgstat" => takes(&[], 0, ANY),
            "echo" => takes(&[("n", 'n', Given::Flag)], 0, ANY),
            "exit" => takes(&[], 0, 1),
            "isset" | "sleep" | "goto" | "clear" => takes(&[], 1, 1),
            "iseq" => takes(&[], 2, 2),
            "set" => takes(&[], 1, ANY),
            "inc" => takes(&[], 1, 2),
            "show" => takes(&[("quiet", 'q', Given::Flag)], 1, 1),
            "menu" | "form" => takes(
                &[("name", 'n', Given::Text), ("delete", 'd', Given::Flag)],
                0,
                ANY,
            ),
            "item" => takes(
                &[
                    ("menu", 'm', Given::Text),
                    ("form", 'f', Given::Text),
                    ("key", 'k', Given::Key),
                    ("default", 'd', Given::Flag),
                    ("secret", 's', Given::Flag),
                    ("gap", 'g', Given::Flag),
                ],
                0,
                ANY,
            ),
            "choose" => takes(
                &[
                    ("menu", 'm', Given::Text),
                    ("default", 'd', Given::Text),
                    ("timeout", 't', Given::Number),
                    ("retimeout", 'r', Given::Number),
                    ("keep", 'k', Given::Flag),
                ],
                1,
                1,
            ),
            "prompt" => takes(
                &[
                    ("key", 'k', Given::Key),
                    ("timeout", 't', Given::Number),
                    ("set", 's', Given::Text),
                ],
                0,
                ANY,
            ),
            "sanboot" => takes(
                &[
                    ("drive", 'd', Given::Number),
                    ("no-describe", 'n', Given::Flag),
                    ("keep", 'k', Given::Flag),
                    ("filename", 'f', Given::Text),
                    ("extra", 'e', Given::Text),
                    ("label", 'l', Given::Text),
                    ("uuid", 'u', Given::Text),
                ],
                0,
                ANY,
            ),
            "reboot" => takes(
                &[("warm", 'w', Given::Flag), ("setup", 's', Given::Flag)],
                0,
                0,
            ),
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
                let Some((name, _, given)) = known else {
                    return Err(format!("unrecognised option `--{name}`"));
                };
                if value.is_some() && *given == Given::Flag {
                    return Err(format!("option `{name}` takes no argument"));
                }
                options.insert(*name, argument(name, *given, value, &mut rest)?);
                continue;
            }
            let mut letters = option.chars();
            while let Some(letter) = letters.next() {
                let known = takes.options.iter().find(|(_, known, _)| *known == letter);
                let Some((name, _, given)) = known else {
                    return Err(format!("unrecognised option `-{letter}`"));
                };
                let valued = *given != Given::Flag;
                let inline =
                    Some(letters.as_str().to_owned()).filter(|text| valued && !text.is_empty());
                options.insert(*name, argument(name, *given, inline, &mut rest)?);
                if valued {
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
    given: Given,
    inline: Option<String>,
    rest: &mut &[String],
) -> Result<String, String> {
    if given == Given::Flag {
        return Ok(String::new());
    }
    let text = match (inline, rest.split_first()) {
        (Some(inline), _) => inline,
        // What looks like an option is none's argument.
        (None, Some((first, left))) if !first.starts_with('-') => {
            *rest = left;
            first.clone()
        }
        (None, _) => return Err(format!("option `{name}` requires an argument")),
    };
    let right = match given {
        Given::Flag | Given::Text => true,
        Given::Number => number(&text).is_some(),
        Given::Key => text.len() == 1 || number(&text).is_some(),
    };
    match right {
        true => Ok(text),
        false => Err(format!("`{text}`: invalid integer value")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(command: &str) -> Result<Parsed, String> {
        let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
        Parsed::of(&Takes::of(&words[0]).unwrap(), &words[1..])
    }

    #[test]
    fn options_are_refused_where_ipxe_refuses_them() {
        for right in [
            "kernel --name k --timeout 0x10 -qa u --x",
            "kernel -nk -t 5 u",
            "kernel --name= -- -u",
            "item --key x n",
            "item --key 0x197 n",
            "choose --timeout=- x",
            "chain --name=-x u",
        ] {
            assert!(parsed(right).is_ok(), "{right}");
        }
        for wrong in [
            "kernel --timeout soon u",
            "kernel --timeout 09 u",
            "kernel --name -q u",
            "kernel -n",
            "kernel --quiet=1 u",
            "kernel --replace u",
            "kernel --nam k u",
            "kernel - u",
            "kernel",
            "item --key F1 n",
            "choose --timeout=5s x",
            "choose x y",
        ] {
            assert!(parsed(wrong).is_err(), "{wrong}");
        }
        let kernel = parsed("kernel --name= -- -u a").unwrap();
        assert_eq!(
            (kernel.value("name"), &kernel.words[0][..]),
            (Some(""), "-u")
        );
    }
}
