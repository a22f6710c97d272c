//! A change in a work tree as a patch of the series: its header, its name, its line.

use super::super::recipe::Variant;
use super::super::secrets::Secrets;
use super::super::session::Session;
use super::unit::Situation;
use crate::model::path::printable;
use crate::model::value::clip;
use crate::probe::git::Series;
use crate::probe::store;
use std::io;
use std::path::PathBuf;

/// The date of every patch that tdg writes: the same change makes the same patch.
const DATE: &str = "Sat, 1 Jan 2000 00:00:00 +0000";
/// How long a subject and a text are at most, in characters.
const SUBJECT: usize = 72;
const BODY: usize = 4000;
/// How many failures are named.
const NAMED: usize = 10;

/// Where a change comes from.
pub(super) struct Origin<'o> {
    /// The remedy as the recipe names it.
    pub(super) remedy: &'o str,
    /// What the remedy says of its change: the message of its commit, or the last lines it wrote.
    pub(super) says: &'o str,
    /// What was changed, relative to the tree.
    pub(super) paths: &'o [String],
}

/// Writes a patch as a mailbox, as `git format-patch` does: why, by what, for which ref.
pub(super) fn mailbox(
    session: &Session<'_>,
    situation: &Situation<'_>,
    origin: &Origin<'_>,
    secrets: &Secrets,
    change: &[u8],
) -> (String, Vec<u8>) {
    // Before anything is cut off: of half a secret nobody sees what it is.
    let says = secrets.redact(origin.says);
    let (subject, body) = words(&Origin {
        says: &says,
        ..*origin
    });
    let line = |text: &str, limit| line(&secrets.redact(text), limit);
    let mut text = format!(
        "From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001\n\
         From: tdg <tdg@localhost>\nDate: {DATE}\nSubject: [PATCH] {subject}\n\n"
    );
    if !body.is_empty() {
        text.push_str(&format!("{body}\n\n"));
    }
    text.push_str("Why:\n");
    for failure in situation.failures.iter().take(NAMED) {
        let seen: Vec<String> = failure
            .mismatches
            .iter()
            .take(2)
            .map(|m| format!("{}: {} expected", m.path, m.expected))
            .collect();
        let why = match seen.is_empty() {
            true => failure
                .message
                .lines()
                .next()
                .unwrap_or_default()
                .to_owned(),
            false => seen.join("; "),
        };
        text.push_str(&line(&format!("- {}: {why}", failure.trial), 200));
    }
    let more = situation.failures.len().saturating_sub(NAMED);
    if more > 0 {
        text.push_str(&format!("- and {more} more\n"));
    }
    let (source, variant) = (&session.recipe.source, &situation.variant.name);
    text.push_str(&line(
        &format!(
            "Remedy: {} (attempt {}, {variant})",
            origin.remedy, situation.attempt
        ),
        300,
    ));
    text.push_str(&line(&format!("Made-for: {}", source.reference), 200));
    let mut bytes = secrets.redact(&text).into_bytes();
    bytes.extend_from_slice(b"---\n");
    bytes.extend_from_slice(change);
    bytes.extend_from_slice(format!("-- \ntdg {}\n", env!("CARGO_PKG_VERSION")).as_bytes());
    (secrets.redact(&subject), bytes)
}

/// Makes a line of a header: printable, not too long, and none that a reader could take for the
/// end of the text.
fn line(text: &str, limit: usize) -> String {
    let text = clip(&printable(&text.replace('\n', " ")), limit);
    format!("{text}\n")
}

/// Gives the subject and the text of a patch.
fn words(origin: &Origin<'_>) -> (String, String) {
    let mut lines = origin.says.lines().map(str::trim_end);
    let mut subject = String::new();
    for line in lines.by_ref() {
        if !line.trim().is_empty() {
            subject = printable(line.trim()).to_string();
            break;
        }
    }
    let subject = subject.trim_start_matches("[PATCH]").trim().to_owned();
    let subject = match subject.is_empty() {
        true => format!("Change {}", origin.paths.join(", ")),
        false => subject,
    };
    let subject: String = subject.chars().take(SUBJECT).collect();
    // A line that begins a diff would end the text for whoever applies it.
    let harmless = |l: &&str| {
        !["---", "diff ", "Index: ", "From "]
            .iter()
            .any(|start| l.starts_with(start))
    };
    let body: Vec<String> = lines
        .filter(harmless)
        .map(|l| printable(l).to_string())
        .collect();
    let body: String = body.join("\n").trim().chars().take(BODY).collect();
    (subject, body)
}

/// Writes a patch beside those of the series and appends its line; gives its name.
///
/// # Errors
/// Where there is no series to append to, or it cannot be written.
pub(super) fn append(
    session: &Session<'_>,
    variant: &Variant,
    subject: &str,
    patch: &[u8],
) -> io::Result<String> {
    let Some(name) = &variant.series else {
        return Err(io::Error::other(
            "the recipe names no series to add a patch to: write `patches: patches/series`",
        ));
    };
    let path = session.paths.project().join(name);
    let series = Series::read(&path).map_err(|e| io::Error::other(e.to_string()))?;
    let folder = path.parent().map(PathBuf::from).unwrap_or_default();
    let slug = slug(subject);
    let mut number = series.patches.len() + 1;
    let (name, file) = loop {
        let name = format!("{number:02}-{slug}.patch");
        let file = folder.join(&name);
        if std::fs::symlink_metadata(&file).is_err() {
            break (name, file);
        }
        number += 1;
    };
    store::write(&file, patch)?;
    let mut text = std::fs::read_to_string(&path)?;
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(&format!("{name}\n"));
    store::write(&path, text.as_bytes())?;
    Ok(name)
}

fn slug(subject: &str) -> String {
    let mut slug = String::new();
    for c in subject.chars() {
        match c {
            c if c.is_ascii_alphanumeric() => slug.push(c.to_ascii_lowercase()),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
        if slug.len() >= 48 {
            break;
        }
    }
    match slug.trim_matches('-') {
        "" => "remedy".into(),
        slug => slug.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_words_are_plain() {
        assert_eq!(slug("[x86] Fix: the ARM64 name!"), "x86-fix-the-arm64-name");
        assert_eq!(slug("äöü"), "remedy");
        assert_eq!(slug(&"a".repeat(300)).len(), 48);
        let paths = ["a.txt".to_owned()];
        let origin = |says| Origin {
            remedy: "x",
            says,
            paths: &paths,
        };
        let (subject, body) = words(&origin(
            "\nFix it\u{1b}[2J\n\nBecause.\n---\ndiff --git a b\nEnd",
        ));
        assert!(
            subject.starts_with("Fix it") && !subject.contains('\u{1b}'),
            "{subject}"
        );
        assert_eq!(body, "Because.\nEnd");
        assert_eq!(words(&origin("  \n")).0, "Change a.txt");
    }
}
