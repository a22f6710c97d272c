//! `docs/kinds.md` and the table of kinds in the README are made of the kinds themselves.

use std::fmt::Write as _;
use std::fs;

use tdg::check::{AnyKind, KINDS, SubjectUse};
use tdg::model::Shape;
use tdg::model::shape::Record;

use super::{current, root, written};

const HEAD: &str = "\
<!-- root: flat -->
<!-- Written by the tests: TDG_DOCS=write cargo test --test integration docs -->
# Kinds

A kind of check looks at something and returns evidence: a record whose fields `expect` may name. `tdg
explain KIND` prints what stands here. What can be demanded of a field is in
[the spec language](spec-language.md#matchers).

In the tables, *main* marks the argument that a plain value of the kind stands for (`file: /init` is
`file: { path: /init }`), *needed* one that has to be given. Of evidence, *or nothing* says that a field may
be absent.

";

/// Kinds whose examples ask servers that are not there, or start what the demo only imitates.
const ELSEWHERE: &[&str] = &["boot", "dhcp", "ipxe", "netboot", "tftp"];

fn page() -> String {
    let mut page = HEAD.to_owned();
    for kind in KINDS {
        let _ = writeln!(page, "- [`{0}`](#{0}): {1}", kind.name(), kind.summary());
    }
    KINDS.iter().for_each(|kind| section(*kind, &mut page));
    page
}

fn section(kind: &dyn AnyKind, page: &mut String) {
    let subject = match kind.subject() {
        SubjectUse::Required => "It needs a subject (`in`, or `subject` of the file).",
        SubjectUse::Optional => "It may have a subject (`in`, or `subject` of the file).",
        SubjectUse::None => "It has no subject.",
    };
    let (name, summary, example) = (kind.name(), kind.summary(), kind.example().trim_end());
    let work = match ELSEWHERE.contains(&name) {
        true => "<!-- work: elsewhere -->\n",
        false => "",
    };
    let _ = write!(
        page,
        "\n## {name}\n\nLooks at: {summary}. {subject}\n\n{work}```yaml\n{example}\n```\n\n"
    );
    match kind.args() {
        Shape::Record(record) if !record.fields.is_empty() => {
            page.push_str("| argument | type | |\n|---|---|---|\n");
            for field in &record.fields {
                let mark = match (kind.main() == Some(&field.name), field.required) {
                    (true, true) => " *main*, *needed*",
                    (true, false) => " *main*",
                    (false, true) => " *needed*",
                    (false, false) => "",
                };
                row(
                    &format!("`{}`{mark}", field.name),
                    &field.shape,
                    &field.doc,
                    page,
                );
            }
        }
        _ => page.push_str("It takes no argument.\n"),
    }
    page.push_str("\n| evidence | type | |\n|---|---|---|\n");
    if let Shape::Record(record) = kind.evidence() {
        rows(record, "", page);
    }
}

fn rows(record: &Record, before: &str, page: &mut String) {
    for field in &record.fields {
        let name = format!("{before}{}", field.name);
        row(&format!("`{name}`"), &field.shape, &field.doc, page);
        if let Some((inner, list)) = inner(&field.shape) {
            let dot = if list { "[]." } else { "." };
            rows(inner, &format!("{name}{dot}"), page);
        }
    }
}

fn row(name: &str, shape: &Shape, doc: &str, page: &mut String) {
    let doc = doc.replace('\n', " ").replace('|', "\\|");
    let _ = writeln!(page, "| {name} | {} | {doc} |", shape.describe());
}

fn inner(shape: &Shape) -> Option<(&Record, bool)> {
    match shape {
        Shape::Record(record) => Some((record, false)),
        Shape::List(of) | Shape::Map(of, _) => inner(of).map(|(record, _)| (record, true)),
        Shape::Optional(of) => inner(of),
        Shape::Any | Shape::Bool | Shape::Number(_) | Shape::Text(_) | Shape::Enum(_) => None,
    }
}

#[test]
fn the_page_of_kinds_is_current() {
    current("docs/kinds.md", &page());
}

#[test]
fn the_kinds_in_the_readme_are_the_kinds_there_are() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (begin, end) = ("<!-- kinds -->\n", "<!-- /kinds -->");
    let (before, rest) = readme.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let mut table = String::from("| kind | what it looks at |\n|---|---|\n");
    for kind in KINDS {
        let _ = writeln!(table, "| `{}` | {} |", kind.name(), kind.summary());
    }
    current("README.md", &format!("{before}{begin}{table}{end}{after}"));
    if !written() {
        let missing = after.split_once("**Not there yet:**").unwrap().1;
        let missing = missing.split("\n\n").next().unwrap();
        for kind in KINDS {
            let name = format!("`{}`", kind.name());
            assert!(
                !missing.contains(&name),
                "{name} is there, and said not to be"
            );
        }
    }
}
