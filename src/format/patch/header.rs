//! What stands above the diff: who wrote the patch, why it exists, which refs it was made for.

/// The trailer that names the refs a patch was made for.
pub const APPLIES_TO: &str = "Applies-to";

/// What a patch says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// What it is called: a mail's `Subject` without `[PATCH]`, DEP-3's `Description` or `Subject`.
    pub subject: Option<String>,
    /// Who wrote it: a mail's or DEP-3's `From`, or `Author`.
    pub author: Option<String>,
    /// When, as it is written.
    pub date: Option<String>,
    /// Why it exists: the text below the subject, without trailers.
    pub why: Option<String>,
    /// The refs it was made for, in order.
    pub applies_to: Vec<AppliesTo>,
    /// Whether it is a mailbox, as `git format-patch` writes it.
    pub mailbox: bool,
}

/// A ref that a patch was made for: `v1.2.0`, or `v1.2.0 (COMMIT)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliesTo {
    /// The ref's name.
    pub name: String,
    /// The commit it stood for.
    pub commit: Option<String>,
}

/// What a line begins with that goes on with the field above it.
const BLANKS: [char; 2] = [' ', '\t'];
/// No header is looked at beyond this, in bytes.
const MAX_HEADER: usize = 256 << 10;

impl Header {
    /// Reads what stands above the first diff.
    pub fn read(bytes: &[u8]) -> Self {
        let bytes = bytes.get(..MAX_HEADER).unwrap_or(bytes);
        let text = String::from_utf8_lossy(bytes);
        let mut header = Self::default();
        let mut body: Vec<&str> = Vec::new();
        let mut last: Option<String> = None;
        let mut in_fields = true;
        for line in text.lines() {
            let line = line.trim_end_matches('\r');
            if line == "---" {
                break;
            }
            if in_fields {
                if line.starts_with("From ") && body.is_empty() && last.is_none() {
                    header.mailbox = true;
                    continue;
                }
                if let Some(more) = line.strip_prefix(BLANKS)
                    && let Some(name) = &last
                {
                    header.more(name, more.trim());
                    continue;
                }
                if let Some((name, value)) = field(line) {
                    header.field(name, value);
                    last = Some(name.to_ascii_lowercase());
                    continue;
                }
                // An empty line ends the fields, and so does a line that is none.
                in_fields = false;
                if line.is_empty() {
                    continue;
                }
            }
            body.push(line);
        }
        header.body(&body);
        header
    }

    fn field(&mut self, name: &str, value: &str) {
        match name.to_ascii_lowercase().as_str() {
            "from" => {
                self.mailbox = true;
                self.author = some(value);
            }
            "author" => self.author = some(value),
            "date" | "last-update" => self.date = some(value),
            "subject" | "description" => self.subject = some(without_brackets(value)),
            "applies-to" => self.applies_to.extend(refs(value)),
            _ => {}
        }
    }

    /// Takes in a folded line. A mail folds its subject; DEP-3 says on such lines why it exists.
    fn more(&mut self, name: &str, text: &str) {
        let target = match name {
            "subject" => &mut self.subject,
            "description" => &mut self.why,
            "from" | "author" => &mut self.author,
            "applies-to" => return self.applies_to.extend(refs(text)),
            _ => return,
        };
        // DEP-3 writes an empty line as a dot.
        let text = if text == "." { "" } else { text };
        match target {
            Some(before) => {
                before.push(if name == "description" { '\n' } else { ' ' });
                before.push_str(text);
            }
            None => *target = some(text),
        }
    }

    fn body(&mut self, lines: &[&str]) {
        let mut why: Vec<&str> = Vec::new();
        let mut folded = false;
        for line in lines {
            match field(line) {
                Some((name, value)) if name.eq_ignore_ascii_case(APPLIES_TO) => {
                    self.applies_to.extend(refs(value));
                    folded = true;
                }
                None if folded && line.starts_with(BLANKS) => self.applies_to.extend(refs(line)),
                Some((name, _)) if trailer(name) => folded = false,
                Some(_) | None => {
                    why.push(line);
                    folded = false;
                }
            }
        }
        let why = why.join("\n");
        let why = why.trim();
        if self.subject.is_none() && !self.mailbox {
            // A plain diff may simply begin with a sentence.
            let (first, rest) = why.split_once('\n').unwrap_or((why, ""));
            self.subject = some(first);
            self.why = self.why.take().or_else(|| some(rest));
        } else {
            self.why = self.why.take().or_else(|| some(why));
        }
    }
}

fn some(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Reads `Name: value`, where the name is one word.
fn field(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line.split_once(':')?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let blank = value.is_empty() || value.starts_with([' ', '\t']);
    (!name.is_empty() && name.chars().all(word) && blank).then_some((name, value.trim()))
}

/// Tells whether a field below the text is a trailer of the usual sort, and no sentence.
fn trailer(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.ends_with("-by")
        || matches!(
            name.as_str(),
            "origin" | "forwarded" | "bug" | "last-update" | "fixes" | "link" | "change-id" | "cc"
        )
}

/// Takes `[PATCH 1/3]` and the like off a subject.
fn without_brackets(subject: &str) -> &str {
    let mut text = subject.trim();
    while let Some((_, rest)) = text.strip_prefix('[').and_then(|r| r.split_once(']')) {
        text = rest.trim_start();
    }
    text
}

/// Reads `v1, v2 (COMMIT)`.
fn refs(value: &str) -> Vec<AppliesTo> {
    let one = |part: &str| {
        let mut words = part.split_whitespace();
        let name = words.next()?.to_owned();
        let commit = words.next().map(|w| w.trim_matches(['(', ')']).to_owned());
        let hex =
            |c: &String| (7..=64).contains(&c.len()) && c.bytes().all(|b| b.is_ascii_hexdigit());
        Some(AppliesTo {
            name,
            commit: commit.filter(hex),
        })
    };
    value.split(',').filter_map(one).take(64).collect()
}

/// Gives the text above a diff with its `Applies-to` replaced; everything else stays.
///
/// Where there was none, it goes below the text, as trailers do: in a mailbox above the `---`.
/// Doing it twice is the same as doing it once.
pub fn with_applies_to(header: &str, value: &str) -> String {
    let windows = header.split('\n').next().is_some_and(|l| l.ends_with('\r'));
    let end_of_line = if windows { "\r" } else { "" };
    let line = format!("{APPLIES_TO}: {value}{end_of_line}");
    let is_it = |l: &str| {
        field(l.trim_end_matches('\r')).is_some_and(|(n, _)| n.eq_ignore_ascii_case(APPLIES_TO))
    };
    // Not `lines`, which would take the carriage returns of a patch with CRLF away.
    let mut lines: Vec<&str> = match header.strip_suffix('\n').unwrap_or(header) {
        "" if header.is_empty() => Vec::new(),
        text => text.split('\n').collect(),
    };
    let end = lines
        .iter()
        .position(|l| l.trim_end_matches('\r') == "---")
        .unwrap_or(lines.len());
    let first = lines.iter().take(end).position(|l| is_it(l));
    match first {
        Some(at) => {
            let mut folded = false;
            let mut number = 0;
            // Others of the name and what they were folded into are of the refs before.
            lines.retain(|l| {
                let here = number;
                number += 1;
                if here >= end || here < at {
                    return true;
                }
                folded = is_it(l) || (folded && l.starts_with(BLANKS));
                !folded || here == at
            });
            if let Some(place) = lines.get_mut(at) {
                *place = &line;
            }
        }
        None => {
            let text = lines.iter().take(end).rposition(|l| !l.trim().is_empty());
            let at = text.map_or(0, |at| at + 1).min(end);
            let after_trailer = text.is_some_and(|at| {
                let last = lines.get(at).copied().unwrap_or("");
                field(last).is_some_and(|(n, _)| at > 0 && (trailer(n) || !is_mail(header)))
            });
            let mut between = vec![line.as_str()];
            if !after_trailer && at > 0 {
                between.insert(0, end_of_line);
            }
            // What is below is empty but for blanks: it must not be read as more of this line.
            if lines.get(at).is_some_and(|l| l.starts_with(BLANKS)) {
                between.push(end_of_line);
            }
            lines.splice(at..at, between);
        }
    }
    let mut text = lines.join("\n");
    if !text.is_empty() {
        text.push('\n');
    }
    text
}

fn is_mail(header: &str) -> bool {
    Header::read(header.as_bytes()).mailbox
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "From 00 Mon Sep 17\nFrom: A <a@b>\nDate: Fri, 2 Jan 2026\nSubject: [PATCH 1/2] Build for\n ARM64\n\nThe console is another.\n\nApplies-to: v1.0 (0123456789ab), v1.1\nSigned-off-by: A <a@b>\n---\n a | 2 +-\n\n";

    #[test]
    fn a_mail_says_who_what_why_and_for_which_refs() {
        let header = Header::read(MAIL.as_bytes());
        assert!(header.mailbox);
        assert_eq!(header.subject.as_deref(), Some("Build for ARM64"));
        assert_eq!(header.author.as_deref(), Some("A <a@b>"));
        assert_eq!(header.why.as_deref(), Some("The console is another."));
        let refs: Vec<_> = header
            .applies_to
            .iter()
            .map(|r| (r.name.as_str(), r.commit.as_deref()))
            .collect();
        assert_eq!(refs, [("v1.0", Some("0123456789ab")), ("v1.1", None)]);
    }

    #[test]
    fn a_plain_diff_has_the_fields_of_dep_3_or_a_sentence() {
        let text = "Description: Build for ARM64\n The console is another.\n .\n And more.\nAuthor: A\nApplies-to: v1\n\n";
        let header = Header::read(text.as_bytes());
        assert_eq!(header.subject.as_deref(), Some("Build for ARM64"));
        assert_eq!(
            header.why.as_deref(),
            Some("The console is another.\n\nAnd more.")
        );
        assert_eq!(
            (header.author.as_deref(), header.mailbox),
            (Some("A"), false)
        );
        assert_eq!(header.applies_to.len(), 1);
        let header = Header::read(b"Build for ARM64\n\nBecause.\n");
        assert_eq!(header.subject.as_deref(), Some("Build for ARM64"));
        assert_eq!(header.why.as_deref(), Some("Because."));
        assert_eq!(Header::read(b""), Header::default());
    }

    #[test]
    fn a_folded_line_goes_on_with_blanks_or_a_tab() {
        let names = |text: &str| -> Vec<String> {
            let refs = Header::read(text.as_bytes()).applies_to;
            refs.into_iter().map(|r| r.name).collect()
        };
        assert_eq!(names("Applies-to: v1,\n\tv2\n v3\n"), ["v1", "v2", "v3"]);
        let text = "Subject: x\n\nWhy.\n\nApplies-to: v1,\n\tv2\nFixes: a\n no\n---\n v3\n";
        assert_eq!(names(text), ["v1", "v2"]);
    }

    #[test]
    fn the_refs_are_replaced_where_they_stand_and_added_where_trailers_stand() {
        let new = with_applies_to(MAIL, "v2 (abc)");
        assert_eq!(new, MAIL.replace("v1.0 (0123456789ab), v1.1", "v2 (abc)"));
        let without = MAIL.replace("Applies-to: v1.0 (0123456789ab), v1.1\n", "");
        let new = with_applies_to(&without, "v2");
        assert!(
            new.contains("Signed-off-by: A <a@b>\nApplies-to: v2\n---\n"),
            "{new}"
        );
        let bare = "From: A <a@b>\nSubject: x\n\n---\n";
        assert_eq!(
            with_applies_to(bare, "v2"),
            "From: A <a@b>\nSubject: x\n\nApplies-to: v2\n\n---\n"
        );
        assert_eq!(with_applies_to("", "v2"), "Applies-to: v2\n");
        let windows = "x\r\r\nApplies-to: v1\r\n---\r\n";
        assert_eq!(
            with_applies_to(windows, "v2"),
            "x\r\r\nApplies-to: v2\r\n---\r\n"
        );
        assert_eq!(
            with_applies_to("Why.\r\n---\r\n", "v2"),
            "Why.\r\n\r\nApplies-to: v2\r\n---\r\n"
        );
        // Blanks below are no more of the line that is put in.
        assert_eq!(with_applies_to(" \n", "v2"), "Applies-to: v2\n\n \n");
        assert_eq!(
            with_applies_to("Why.\n\t\n---\n", "v2"),
            "Why.\n\nApplies-to: v2\n\n\t\n---\n"
        );
        assert_eq!(with_applies_to("Why.\n", "v2"), "Why.\n\nApplies-to: v2\n");
        assert_eq!(
            with_applies_to("Subject: x\nAuthor: A\n\n", "v2"),
            "Subject: x\nAuthor: A\nApplies-to: v2\n\n"
        );
        let two = "x\n\nApplies-to: v1,\n v2\nApplies-to: v3\n";
        assert_eq!(with_applies_to(two, "v4"), "x\n\nApplies-to: v4\n");
        for text in [
            MAIL,
            &without,
            bare,
            "",
            "Why.\n",
            " \n",
            "x\r",
            "\t\n---\n",
            "Why.\n \n---\n",
            windows,
        ] {
            let once = with_applies_to(text, "v2");
            assert_eq!(with_applies_to(&once, "v2"), once);
            assert_eq!(Header::read(once.as_bytes()).applies_to.len(), 1, "{once}");
        }
    }
}
