//! The commands that set settings, ask, decide and end. Sources: `core/exec.c`,
//! `hci/commands/nvo_cmd.c`, `hci/commands/dynui_cmd.c`, `hci/tui/menu_ui.c`.

use super::boot::Use;
use super::evaluate::{After, Done, Evaluator};
use super::options::{Parsed, Takes};
use super::value::number;
use super::walk::{Outcome, plain};
use crate::model::Sha256Digest;

/// Items of one menu.
const MAX_ITEMS: usize = 10_000;
/// What an item costs beside its name.
const ITEM: usize = 32;
/// Menus that are kept.
const MAX_MENUS: usize = 100;

/// Commands that only show something.
const SHOWING: &[&str] = &[
    "certstat", "colour", "cpair", "fcels", "fcstat", "help", "ibstat", "ipstat", "iwstat",
    "nstat", "profstat", "route", "usbscan",
];
/// Commands whose result only a person or a real machine knows.
const REAL: &[&str] = &[
    "autoboot",
    "certfree",
    "certstore",
    "config",
    "fdt",
    "gdbstub",
    "imgdecrypt",
    "imgextract",
    "imgmem",
    "imgset",
    "imgtrust",
    "imgverify",
    "iwlist",
    "login",
    "lotest",
    "md4sum",
    "md5sum",
    "nslookup",
    "param",
    "params",
    "pciscan",
    "ping",
    "present",
    "pxebs",
    "read",
    "sanhook",
    "sanunhook",
    "sha1sum",
    "sha224sum",
    "sha256sum",
    "sha384sum",
    "sha512sum",
    "shim",
    "startpxe",
    "stoppxe",
    "vcreate",
    "vdestroy",
];

/// A menu in the making.
pub(super) struct Menu {
    /// Names and whether each is marked as the one that is picked; those without a name are left out.
    items: Vec<(String, bool)>,
    /// What tells it, as it is now, from others.
    state: Sha256Digest,
}

impl Menu {
    fn new(name: &str) -> Self {
        Self {
            items: Vec::new(),
            state: Sha256Digest::of(name.as_bytes()),
        }
    }

    fn add(&mut self, name: &str, marked: bool) {
        let item = [
            &self.state.bytes()[..],
            &[u8::from(marked)],
            name.as_bytes(),
        ]
        .concat();
        self.state = Sha256Digest::of(&item);
        self.items.push((name.to_owned(), marked));
    }

    pub(super) fn state(&self) -> [u8; 32] {
        self.state.bytes()
    }
}

impl Evaluator<'_> {
    /// Carries out one command.
    pub(super) fn command(&mut self, name: &str, words: &[String]) -> Result<Done, Outcome> {
        if SHOWING.contains(&name) {
            return Ok(Done::of(Ok(())));
        }
        match name {
            "cpuid" => return self.cpuid(words),
            "time" => {
                let Some((name, rest)) = words.split_first() else {
                    return Ok(Done::of(Err("0 arguments; see its usage".to_owned())));
                };
                // One command times another, and that one no further: the stack is not the script's.
                return match name.as_str() {
                    "time" => Ok(Done::of(Err("times itself".to_owned()))),
                    name => self.command(name, rest),
                };
            }
            name if REAL.contains(&name) => {
                return Err(Outcome::Unknown(format!(
                    "what `{name}` does is known to a real machine only"
                )));
            }
            _ => {}
        }
        let Some(takes) = Takes::of(name) else {
            return Ok(Done::of(Err("command not found".to_owned())));
        };
        let parsed = match Parsed::of(&takes, words) {
            Ok(parsed) => parsed,
            Err(why) => return Ok(Done::of(Err(why))),
        };
        let first = parsed.words.first().map(String::as_str).unwrap_or_default();
        match name {
            "imgfetch" | "module" | "initrd" => self.image(&parsed, Use::Keep),
            "imgselect" | "imgload" | "kernel" => self.image(&parsed, Use::Select),
            "imgargs" => self.image(&parsed, Use::Arguments),
            "imgexec" | "chain" | "boot" => self.image(&parsed, Use::Start),
            "imgfree" => Ok(Done::of(self.free(&parsed.words))),
            "imgstat" => Ok(Done::of(self.held(&parsed.words))),
            "ifopen" | "dhcp" | "ifconf" | "iflinkwait" => {
                Ok(taken(self.cards(&parsed.words, name != "ifopen")))
            }
            "ifclose" | "ifstat" => Ok(Done::of(self.cards(&parsed.words, false))),
            "console" => self.console(&parsed),
            "ntp" | "sync" => Ok(taken(Ok(()))),
            "echo" => Ok(Done::of(Ok(()))),
            "sleep" => Ok(Done::of(match number(first) {
                Some(_) => Ok(()),
                None => Err(format!("`{first}`: invalid integer value")),
            })),
            "isset" => Ok(Done::of(truth(!first.is_empty(), "not set"))),
            "iseq" => {
                let second = parsed.words.get(1).map(String::as_str);
                Ok(Done::of(truth(second == Some(first), "not equal")))
            }
            "goto" => self.go_to(first),
            "exit" => Ok(self.exit(parsed.words.first())),
            "shell" => Err(Outcome::Shell),
            "reboot" => Err(Outcome::Reboot),
            "poweroff" => Err(Outcome::PowerOff),
            "sanboot" => Err(Outcome::SanBoot(plain(first))),
            "set" => Ok(Done::of(
                self.settings.store(first, Some(&parsed.joined(1))),
            )),
            "clear" => Ok(Done::of(self.settings.store(first, None))),
            "show" => Ok(Done::of(truth(
                self.settings.fetch(first).is_some(),
                "not found",
            ))),
            "inc" => Ok(Done::of(self.increment(&parsed))),
            "menu" | "form" => Ok(Done::of(self.menu(&parsed)?)),
            "item" => Ok(Done::of(self.item(&parsed)?)),
            "choose" => Ok(self.choose(&parsed, first)),
            "prompt" => prompt(&parsed),
            _ => Ok(Done::of(Err("command not found".to_owned()))),
        }
    }

    /// Looks for network cards by their names: what became of the last counts, or of any. Source:
    /// `ifcommon_exec`.
    fn cards(&self, names: &[String], any: bool) -> Result<(), String> {
        let missing = names.iter().filter(|name| !self.settings.is_card(name));
        let missing: Vec<_> = missing.collect();
        match missing.last() {
            Some(name) if missing.len() == names.len() || !any && names.last() == Some(*name) => {
                Err(format!("`{name}`: no such network device"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Sets up the screen: the picture for it has to be there. Source: `console_exec`.
    fn console(&mut self, parsed: &Parsed) -> Result<Done, Outcome> {
        if let Some(picture) = parsed.value("picture")
            && let Err(why) = self.picture(picture, parsed.has("keep"))?
        {
            return Ok(Done::of(Err(why)));
        }
        Ok(taken(Ok(())))
    }

    fn exit(&mut self, status: Option<&String>) -> Done {
        let code = match status.map(|status| (status, number(status))) {
            None | Some((_, Some(0))) => Ok(()),
            // A setting that is empty is a status, and no number.
            Some((status, None)) => {
                return Done::of(Err(format!("`{status}`: invalid integer value")));
            }
            Some((_, Some(status))) => Err(format!("exit status {status}")),
        };
        if let Some(frame) = self.frames.last_mut() {
            frame.exited = true;
        }
        Done {
            code,
            after: After::Script,
            note: None,
        }
    }

    fn increment(&mut self, parsed: &Parsed) -> Result<(), String> {
        let [name, rest @ ..] = parsed.words.as_slice() else {
            return Ok(());
        };
        let by = match rest.first() {
            None => 1,
            Some(text) => number(text).ok_or_else(|| format!("`{text}`: invalid integer value"))?,
        };
        let (value, typed) = match self.settings.numeric(name) {
            None => (0, false),
            Some(Some(value)) => (value, true),
            Some(None) => return Err(format!("could not store `{name}`: it is no number")),
        };
        let value = (value as u32).wrapping_add(by);
        // A new one is a number with a sign; what is there keeps what it is.
        let typed_name = match typed || name.contains(':') {
            true => self.settings.typed(name),
            false => format!("{name}:int32"),
        };
        self.settings.store(&typed_name, Some(&value.to_string()))
    }

    fn menu(&mut self, parsed: &Parsed) -> Result<Result<(), String>, Outcome> {
        let name = parsed.value("name").unwrap_or_default();
        if self.menus.len() >= MAX_MENUS {
            return Err(Outcome::Limit(format!("more than {MAX_MENUS} menus")));
        }
        self.keeps(name.len())?;
        self.menus.insert(name.to_owned(), Menu::new(name));
        if parsed.has("delete") {
            self.menus.remove(name);
        }
        Ok(Ok(()))
    }

    fn item(&mut self, parsed: &Parsed) -> Result<Result<(), String>, Outcome> {
        let menu = parsed
            .value("menu")
            .or(parsed.value("form"))
            .unwrap_or_default();
        self.keeps(parsed.words.first().map_or(0, |name| ITEM + name.len()))?;
        let Some(menu) = self.menus.get_mut(menu) else {
            return Ok(Err(no_menu(menu)));
        };
        if let Some(name) = parsed.words.first().filter(|_| !parsed.has("gap")) {
            if menu.items.len() >= MAX_ITEMS {
                return Err(Outcome::Limit(format!("more than {MAX_ITEMS} items")));
            }
            menu.add(name, parsed.has("default"));
        }
        Ok(Ok(()))
    }

    /// Picks what a menu picks when nobody touches a key.
    fn choose(&mut self, parsed: &Parsed, setting: &str) -> Done {
        let name = parsed.value("menu").unwrap_or_default();
        let Some(menu) = self.menus.get(name) else {
            return Done::of(Err(no_menu(name)));
        };
        let mut picked = menu.items.first();
        for item in &menu.items {
            let wanted = match parsed.value("default") {
                Some(wanted) => item.0 == wanted,
                None => item.1,
            };
            picked = if wanted { Some(item) } else { picked };
        }
        let picked = picked.map(|(name, _)| name.clone());
        if !parsed.has("keep") {
            self.menus.remove(name);
        }
        let Some(picked) = picked else {
            return Done::of(Err("nothing to choose from".to_owned()));
        };
        let waits = parsed.value("timeout").and_then(number).unwrap_or(0) == 0;
        let note = match waits {
            true => format!("`{picked}`, once a person presses Enter: the menu has no time-out"),
            false => format!("`{picked}`, where nobody touches a key"),
        };
        Done::of(self.settings.store(setting, Some(&picked))).noted(note)
    }

    /// Tells of the one bit of a processor that scripts ask for: whether it runs 64-bit code.
    fn cpuid(&self, words: &[String]) -> Result<Done, Outcome> {
        let arch = self.machine.settings.get("buildarch").map(String::as_str);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match (arch, words.as_slice()) {
            // Only builds for x86 have it.
            (Some("arm64" | "arm32" | "riscv64" | "riscv32" | "loong64"), _) => {
                Ok(Done::of(Err("command not found".to_owned())))
            }
            (Some("x86_64"), ["--ext" | "-e", "29"]) => Ok(Done::of(Ok(()))),
            _ => Err(Outcome::Unknown(
                "what `cpuid` says is known to a real machine only".to_owned(),
            )),
        }
    }
}

fn prompt(parsed: &Parsed) -> Result<Done, Outcome> {
    match parsed.value("timeout").map(number) {
        None | Some(Some(0)) => Err(Outcome::Unknown("`prompt` waits for a person".to_owned())),
        Some(None) => Ok(Done::of(Err("invalid integer value".to_owned()))),
        Some(Some(_)) => Ok(Done::of(Err("nobody touched a key".to_owned()))),
    }
}

fn taken(code: Result<(), String>) -> Done {
    let done = Done::of(code);
    match done.code {
        Ok(()) => done.noted("taken to succeed"),
        Err(_) => done,
    }
}

fn truth(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds {
        Ok(())
    } else {
        Err(otherwise.to_owned())
    }
}

fn no_menu(name: &str) -> String {
    match name {
        "" => "no default menu".to_owned(),
        name => format!("`{name}`: no such menu"),
    }
}
