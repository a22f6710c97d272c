//! How `tdg diff` shows what it comes by: for people, and as one JSON document
//! that is written while the comparison goes on.

use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use crate::format::FileType;
use crate::inspect::diff::{Change, Difference, Event, Options, Place, Summary, Trouble, What};
use crate::model::Address;
use crate::model::path::printable;
use crate::model::size::show_size;
use crate::model::value::clip;

const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const CHANGED: Style = AnsiColor::Yellow.on_default();
const TROUBLE: Style = AnsiColor::Magenta.on_default().bold();
const PLACE: Style = Style::new().bold();

/// What is compared by what it says.
const READ: [&str; 3] = ["extensions", "os-release", "command line"];

/// A value is shown up to about this many characters.
const SHOWN: usize = 200;

/// Writes a line to a terminal in colour, to anything else without.
macro_rules! show {
    ($($text:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut anstream::stdout(), format_args!("{}\n", format_args!($($text)*)));
    }};
}

/// For people: a line for what differs, indented by the containers it is in.
#[derive(Default)]
pub struct Human {
    /// The containers whose names have been shown.
    named: Vec<Arc<Place>>,
}

impl Human {
    /// Shows one event.
    pub fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Change(change) => self.change(change),
            Event::Trouble(trouble) => Self::trouble(trouble),
        }
    }

    /// Shows what it came to, in one line.
    pub fn end(&self, summary: &Summary, options: &Options) {
        let mut parts = Vec::new();
        if summary.same() {
            let nothing = match summary.troubles {
                0 => "nothing differs",
                _ => "nothing differs in what could be compared",
            };
            parts.push(nothing.to_owned());
        } else {
            for (count, what, style) in [
                (summary.added, "added", ADDED),
                (summary.removed, "removed", REMOVED),
                (summary.changed, "changed", CHANGED),
            ] {
                parts.push(match count {
                    0 => format!("{count} {what}"),
                    _ => format!("{style}{count} {what}{style:#}"),
                });
            }
        }
        let count = |count: u64, one: &str, many: &str| match count {
            1 => format!("1 {one}"),
            count => format!("{count} {many}"),
        };
        let mut about = count(summary.compared, "entry compared", "entries compared");
        if summary.containers > 0 {
            let containers = count(
                summary.containers,
                "pair of containers",
                "pairs of containers",
            );
            about.push_str(&format!(" in {containers}"));
        }
        if summary.repacked > 0 {
            about.push_str(&format!(", {} packed differently", summary.repacked));
        }
        if summary.unknown > 0 {
            about.push_str(&format!(", {} unknown", summary.unknown));
        }
        if !options.content {
            about.push_str(", contents not compared");
        }
        if !self.named.is_empty() || !summary.same() || summary.troubles > 0 {
            show!("");
        }
        show!("{}; {about}", parts.join(", "));
    }

    fn change(&mut self, change: &Change) {
        self.name(&change.place);
        let indent = "  ".repeat(change.place.depth);
        let (mark, style) = match change.what {
            What::Added => ('+', ADDED),
            What::Removed => ('-', REMOVED),
            What::Changed => ('~', CHANGED),
        };
        if change.paths.iter().flatten().all(String::is_empty) {
            // The container itself: its heading has named it.
            for line in details(change) {
                show!("{indent}{style}{mark}{style:#} {line}");
            }
            return text(&indent, change.text.as_deref());
        }
        let mut line = format!(
            "{indent}{style}{mark} {}{style:#}",
            title(&change.paths, change.kind)
        );
        line.push_str(&named(change.role.as_deref()));
        match change.what {
            What::Added | What::Removed => {
                if let Some(about) = about(change) {
                    line.push_str(&about);
                }
                show!("{line}");
            }
            What::Changed => {
                if !change.content.is_empty() && !READ.contains(&change.content) {
                    line.push_str(&format!("  {}", change.content));
                }
                let details = details(change);
                match details.as_slice() {
                    [one] => show!("{line}  {one}"),
                    several => {
                        show!("{line}");
                        several
                            .iter()
                            .for_each(|detail| show!("{indent}    {detail}"));
                    }
                }
                text(&indent, change.text.as_deref());
            }
        }
    }

    /// Names the containers that a change is in, those that have not been named.
    fn name(&mut self, place: &Arc<Place>) {
        let mut chain = vec![Arc::clone(place)];
        while let Some(parent) = chain.last().and_then(|place| place.parent.clone()) {
            chain.push(parent);
        }
        chain.reverse();
        let known = chain
            .iter()
            .zip(&self.named)
            .take_while(|(a, b)| Arc::ptr_eq(a, b))
            .count();
        for place in chain.iter().skip(known.max(1)) {
            let indent = "  ".repeat(place.depth - 1);
            let paths = place.paths.each_ref().map(|path| Some(path.clone()));
            let role = named(place.role.as_deref());
            show!(
                "{indent}  {PLACE}{}{PLACE:#}{role}",
                title(&paths, FileType::File)
            );
        }
        self.named = chain;
    }

    fn trouble(trouble: &Trouble) {
        show!(
            "{TROUBLE}! {}{TROUBLE:#}  {}",
            trouble.side.name(),
            printable(&trouble.message)
        );
    }
}

/// Names the extension that a numbered image is of.
fn named(role: Option<&str>) -> String {
    role.map_or_else(String::new, |role| format!(" ({})", printable(role)))
}

/// Shows the lines of two texts.
fn text(indent: &str, text: Option<&str>) {
    for line in text.unwrap_or_default().lines() {
        let style = match line.chars().next() {
            Some('+') => ADDED,
            Some('-') => REMOVED,
            Some(_) | None => Style::new(),
        };
        show!("{indent}    {style}{line}{style:#}");
    }
}

/// Writes the path, or both where they differ: of the second, what is not in the
/// same directory as the first.
fn title(paths: &[Option<String>; 2], kind: FileType) -> String {
    let slash = if kind == FileType::Directory { "/" } else { "" };
    match paths {
        [Some(a), Some(b)] if a != b => {
            let directory = |path: &str| path.rsplit_once('/').map_or("", |(d, _)| d).to_owned();
            let shown = match directory(a) == directory(b) {
                true => b.rsplit('/').next().unwrap_or_default(),
                false => b.as_str(),
            };
            format!("{} → {}{slash}", printable(a), printable(shown))
        }
        [_, Some(path)] | [Some(path), None] => format!("{}{slash}", printable(path)),
        [None, None] => String::new(),
    }
}

/// Says what an entry of one side is.
fn about(change: &Change) -> Option<String> {
    if let Some(target) = change.differences.iter().find(|d| d.field == "target") {
        let target = target.a.as_ref().or(target.b.as_ref())?;
        return Some(format!(" -> {}", printable(target)));
    }
    let size = show_size(change.size);
    match (change.kind, change.below) {
        (FileType::File, _) => Some(format!("  {size}")),
        (FileType::Directory, 0) => None,
        (FileType::Directory, 1) => Some(format!("  1 entry, {size}")),
        (FileType::Directory, below) => Some(format!("  {below} entries, {size}")),
        (kind, _) => Some(format!("  {}", kind.name())),
    }
}

/// Writes differences, the fields below one another.
fn details(change: &Change) -> Vec<String> {
    let own = |difference: &Difference| ["size", "content"].contains(&difference.field.as_str());
    // What was read says more about a text than its size and digest.
    let read = change.text.is_some()
        || READ.contains(&change.content) && !change.differences.iter().all(own);
    let shown = change.differences.iter().filter(|d| !(read && own(d)));
    let shown: Vec<&Difference> = shown.collect();
    let width = shown
        .iter()
        .map(|difference| printable(&difference.field).chars().count())
        .max();
    let width = if shown.len() == 1 {
        0
    } else {
        width.unwrap_or_default()
    };
    let line = |difference: &&Difference| {
        let field = printable(&difference.field);
        let write = |value: &String| clip(&printable(&readable(&field, value, difference)), SHOWN);
        let value = match (&difference.a, &difference.b) {
            (Some(a), Some(b)) => format!("{} → {}", write(a), write(b)),
            (Some(a), None) => format!("{REMOVED}- {}{REMOVED:#}", write(a)),
            (None, Some(b)) => format!("{ADDED}+ {}{ADDED:#}", write(b)),
            (None, None) => String::new(),
        };
        format!("{field:<width$}  {value}")
    };
    shown.iter().map(line).collect()
}

/// Writes a size or a digest shorter, where that still tells the two apart.
fn readable(field: &str, value: &str, difference: &Difference) -> String {
    let size = |value: &str| value.parse().ok().map(show_size);
    let sides = [&difference.a, &difference.b].map(|side| side.as_deref().and_then(size));
    let is_size = ["size", "start"].iter().any(|end| field.ends_with(end));
    if is_size && sides[0] != sides[1] {
        return size(value).unwrap_or_else(|| value.to_owned());
    }
    match value.strip_prefix("sha256:") {
        Some(digest) => format!("sha256:{}…", digest.get(..12).unwrap_or(digest)),
        None => value.to_owned(),
    }
}

/// One JSON document; each change is a line of it.
pub struct Machine {
    troubles: Vec<Failure>,
    empty: bool,
}

#[derive(Serialize)]
struct Failure {
    side: &'static str,
    address: String,
    error: String,
}

#[derive(Serialize)]
struct Record<'c> {
    change: &'static str,
    a: Option<String>,
    b: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'c str>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries: Option<u64>,
    differences: Vec<Field<'c>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'c str>,
}

#[derive(Serialize)]
struct Field<'c> {
    field: &'c str,
    a: Option<&'c str>,
    b: Option<&'c str>,
}

impl Machine {
    /// Begins the document.
    pub fn begin(addresses: [&Address; 2], options: &Options) -> Self {
        let text = |value: serde_json::Value| value.to_string();
        put!("{{\n  \"version\": 1,\n");
        for (name, address) in ["a", "b"].into_iter().zip(addresses) {
            put!("  \"{name}\": {},\n", text(address.to_string().into()));
        }
        put!("  \"merged\": {},\n", options.merged);
        put!("  \"content\": {},\n", options.content);
        put!("  \"changes\": [");
        Self {
            troubles: Vec::new(),
            empty: true,
        }
    }

    /// Writes one event.
    pub fn event(&mut self, event: &Event<'_>) {
        match event {
            Event::Change(change) => {
                let line = serde_json::to_string(&record(change)).unwrap_or_default();
                put!("{}\n    {line}", if self.empty { "" } else { "," });
                self.empty = false;
            }
            Event::Trouble(trouble) => self.troubles.push(Failure {
                side: trouble.side.name(),
                address: trouble.address.clone(),
                error: trouble.message.clone(),
            }),
        }
    }

    /// Ends the document.
    pub fn end(self, summary: &Summary) {
        put!("{}],\n", if self.empty { "" } else { "\n  " });
        let troubles = serde_json::to_string(&self.troubles).unwrap_or_default();
        put!("  \"errors\": {troubles},\n");
        put!("  \"same\": {},\n", summary.same());
        put!("  \"complete\": {},\n", summary.troubles == 0);
        let counts = serde_json::json!({
            "compared": summary.compared,
            "added": summary.added,
            "removed": summary.removed,
            "changed": summary.changed,
            "containers": summary.containers,
            "repacked": summary.repacked,
            "unknown": summary.unknown,
            "errors": summary.troubles,
        });
        put!("  \"summary\": {counts}\n}}\n");
    }
}

fn record(change: &Change) -> Record<'_> {
    let [a, b] = [0, 1].map(|side| {
        let place = &change.place.addresses[side];
        let path = change.paths[side].as_ref()?;
        Some(match path.as_str() {
            "" => place.clone(),
            path => format!("{place}!/{path}"),
        })
    });
    let alone = change.what != What::Changed;
    Record {
        change: change.what.name(),
        a,
        b,
        role: change.role.as_deref(),
        kind: change.kind.name(),
        what: change.content,
        size: alone.then_some(change.size),
        entries: (alone && change.kind == FileType::Directory).then_some(change.below),
        differences: change
            .differences
            .iter()
            .map(|difference| Field {
                field: &difference.field,
                a: difference.a.as_deref(),
                b: difference.b.as_deref(),
            })
            .collect(),
        text: change.text.as_deref(),
    }
}
