//! One trial on the page.

use super::escape::{lines, text};
use super::{own_name, walk};
use crate::model::Picture;
use crate::model::size::show_duration;
use crate::model::value::{Value, show};
use crate::run::event::{Ending, Failure, Outcome, Place};
use crate::run::text::{NAMED, SHOWN, alike, tail};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::path::{Component, PathBuf};

/// A page shows so much of one trial that is wrong in many ways.
const MOST_FAILURES: usize = 40;

/// Where files are that a page leads to.
#[derive(Default)]
pub(super) struct Links {
    /// The folder in which the page lies, where that is known.
    pub(super) folder: Option<PathBuf>,
    /// Where paths begin that checks name.
    pub(super) root: PathBuf,
}

/// What stands in the part of a URL as it is.
const PLAIN: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

impl Links {
    /// Leads from the page to a file that is there in its folder.
    fn to(&self, file: &str) -> Option<String> {
        let there = self.root.join(file).canonicalize().ok()?;
        let inside = there.strip_prefix(self.folder.as_ref()?).ok()?;
        let mut url = ".".to_owned();
        for part in inside.components() {
            let Component::Normal(part) = part else {
                return None;
            };
            let part = utf8_percent_encode(part.to_str()?, &PLAIN);
            url.push_str(&format!("/{part}"));
        }
        Some(url)
    }
}

/// Gives a sign for a verdict, so that it is not told by colour alone.
pub(super) fn sign(verdict: &str) -> &'static str {
    match verdict {
        "pass" => "✔",
        "fail" => "✘",
        "error" => "!",
        _ => "–",
    }
}

/// Writes a verdict.
pub(super) fn badge(verdict: &str) -> String {
    format!(
        "<span class=\"verdict {verdict}\"><span aria-hidden=\"true\">{}</span> {verdict}</span>",
        sign(verdict)
    )
}

fn time(outcome: &Outcome) -> String {
    let tries = match outcome.tries {
        0 | 1 => String::new(),
        tries => format!(", {tries} tries"),
    };
    let time = show_duration(outcome.duration);
    format!("<span class=\"time\">{time}{tries}</span>")
}

/// Gives one that passed, on one line, and below it what else is to be seen.
pub(super) fn pass(index: usize, outcome: &Outcome, links: &Links) -> String {
    let mut out = format!(
        "<li id=\"trial-{index}\"><code>{}</code> {}",
        text(own_name(outcome)),
        time(outcome)
    );
    out.push_str(&notes(outcome));
    if let Some(picture) = &outcome.picture {
        out.push_str("<details><summary>What was seen</summary>\n");
        out.push_str(&drawn(index, picture, links));
        out.push_str("</details>\n");
    }
    out.push_str("</li>\n");
    out
}

/// Gives one that did not pass as a line, where there is no room for more.
pub(super) fn line(index: usize, outcome: &Outcome) -> String {
    format!(
        "<p class=\"line\" id=\"trial-{index}\">{} <code>{}</code></p>\n",
        badge(outcome.ending.name()),
        text(own_name(outcome))
    )
}

/// Gives one that did not pass with all that is known of it.
pub(super) fn whole(index: usize, outcome: &Outcome, links: &Links) -> String {
    let info = &outcome.trial;
    let verdict = outcome.ending.name();
    let mut about = vec![format!("<b>{}</b>", text(info.kind))];
    if let Some(subject) = &info.subject {
        about.push(format!("<code>{}</code>", text(subject)));
    }
    for tag in &info.tags {
        about.push(format!("<span class=\"tag\">{}</span>", text(tag)));
    }
    about.push(time(outcome));
    let mut out = format!(
        "<article class=\"trial {verdict}\" id=\"trial-{index}\" aria-labelledby=\"name-{index}\">\n\
         <h3 id=\"name-{index}\">{} {}</h3>\n<p class=\"name\"><code>{}</code></p>\n<p class=\"about\">{}</p>\n",
        badge(verdict),
        text(&info.check),
        text(&info.name),
        about.join(" · ")
    );
    match &outcome.ending {
        Ending::Pass => {}
        Ending::Skip(reason) => {
            out.push_str(&format!("<p>skipped: {}</p>\n", text(&reason.to_string())));
        }
        Ending::Error(trouble) => {
            out.push_str(&format!(
                "<p class=\"said\">{}</p>\n",
                text(&trouble.message)
            ));
            if let Some(remedy) = &trouble.remedy {
                out.push_str(&format!(
                    "<p class=\"help\"><b>help</b> {}</p>\n",
                    text(remedy)
                ));
            }
            out.push_str(&format!(
                "<p class=\"about\">asked by {}</p>\n",
                place(&info.place)
            ));
        }
        Ending::Fail(failures) => {
            let groups = alike(failures);
            for group in groups.iter().take(MOST_FAILURES) {
                out.push_str(&failure(group));
            }
            if groups.len() > MOST_FAILURES {
                let more: usize = groups.iter().skip(MOST_FAILURES).map(Vec::len).sum();
                out.push_str(&format!(
                    "<p class=\"left-out\">… and {more} more that are not as the spec says</p>\n"
                ));
            }
        }
    }
    out.push_str(&notes(outcome));
    if let Some(picture) = &outcome.picture {
        out.push_str(&drawn(index, picture, links));
    }
    if let Some(evidence) = &outcome.evidence
        && let Ok(json) = serde_json::to_string_pretty(&evidence.value)
    {
        let cut = if evidence.truncated {
            ", cut to what fits"
        } else {
            ""
        };
        out.push_str(&format!(
            "<details><summary>The evidence{cut}</summary>\n<pre tabindex=\"0\">\n{}</pre></details>\n",
            lines(json.lines())
        ));
    }
    out.push_str("</article>\n");
    out
}

fn notes(outcome: &Outcome) -> String {
    let note = |note: &String| format!("<p class=\"note\"><b>note</b> {}</p>\n", text(note));
    outcome.notes.iter().map(note).collect()
}

fn place(place: &Place) -> String {
    let Place {
        file, line, column, ..
    } = place;
    format!("<code>{}:{line}:{column}</code>", text(file))
}

/// Shows what is not as demanded; those behind the first differ in where in a list they are.
fn failure(group: &[&Failure]) -> String {
    let Some(first) = group.first() else {
        return String::new();
    };
    let path = |failure: &&Failure| match failure.path.as_str() {
        "" => "<code>(the whole evidence)</code>".to_owned(),
        path => format!("<code>{}</code>", text(path)),
    };
    let mut paths: Vec<String> = group.iter().take(NAMED + 1).map(path).collect();
    if group.len() > NAMED + 1 {
        paths.push(format!("and {} more", group.len() - NAMED - 1));
    }
    let seen = match &first.actual {
        Value::String(said) if said.trim_end().contains('\n') => {
            let (hidden, shown) = tail(said);
            let before = match hidden {
                0 => String::new(),
                hidden => format!("<span class=\"left-out\">… {hidden} lines before</span>\n"),
            };
            // Of a line end right after `<pre>` nothing is shown.
            format!("<pre tabindex=\"0\">\n{before}{}</pre>", lines(shown))
        }
        value => format!("<code>{}</code>", text(&show(value, SHOWN))),
    };
    let note = first
        .note
        .as_ref()
        .or(group.last().and_then(|f| f.note.as_ref()));
    let note = note.map(|note| format!("<dt>note</dt><dd>{}</dd>\n", text(note)));
    format!(
        "<div class=\"failure\">\n<p class=\"path\">{}</p>\n<dl>\n<dt>expected</dt><dd class=\"expected\">{}</dd>\n\
         <dt>seen</dt><dd class=\"seen\">{seen}</dd>\n{}<dt>spec</dt><dd>{} <code class=\"source\">{}</code></dd>\n</dl>\n</div>\n",
        paths.join(", "),
        text(&first.expected),
        note.unwrap_or_default(),
        place(&first.place),
        text(&first.place.text)
    )
}

/// Draws what was seen.
fn drawn(index: usize, picture: &Picture, links: &Links) -> String {
    match picture {
        Picture::Walk(one) => {
            let id = format!("walk-{index}");
            let told = picture.lines();
            let told = lines(told.iter().map(String::as_str));
            format!(
                "<figure class=\"walk\">\n<figcaption>The walk of {}: {}</figcaption>\n{}\
                 <details><summary>As text</summary><pre id=\"{id}\" tabindex=\"0\">\n{told}</pre></details>\n</figure>\n",
                text(&one.machine),
                text(&walk::summary(&one.end)),
                walk::draw(one, &id)
            )
        }
        Picture::Files(files) => {
            let named = |file: &String| match links.to(file) {
                Some(url) => format!(
                    "<li><a href=\"{url}\"><code>{}</code></a></li>\n",
                    text(file)
                ),
                None => format!("<li><code>{}</code></li>\n", text(file)),
            };
            let files: String = files.iter().map(named).collect();
            format!("<div class=\"files\"><p>Kept of this boot:</p>\n<ul>\n{files}</ul></div>\n")
        }
    }
}
