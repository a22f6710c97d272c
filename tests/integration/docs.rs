//! The documentation is true: every example is carried out, every generated page is current.
//!
//! `TDG_DOCS=write cargo test --test integration docs` writes what is generated: the page of kinds,
//! the picture, the output of examples. Look at the difference before you commit it.
//!
//! What a fenced block is, is said by its language and by comments right before it:
//!
//! - `<!-- file: NAME -->`: the file NAME in the document's own folder.
//! - ```` ```console ````: commands after `$ `, carried out in that folder, and all they write; a line
//!   `…` stands for any lines. `<!-- exit: 1 -->` says how the last one ends, `<!-- any order -->`
//!   that lines may come in any order. `/tmp/demo` is what the demo has made, `/home/me/tdg` this
//!   repository.
//! - ```` ```yaml ````: a spec, a recipe, or a list of checks. Specs and checks are run on what the
//!   demo has made; `<!-- run: exit 1 -->` says how that ends where not with 0, `<!-- says: … -->`
//!   what it has to say. A spec with a file name is only read: commands below run it. So is one with
//!   `<!-- work: elsewhere -->`, which asks machines that are not there.
//! - `<!-- output: COMMAND -->`: what the command writes.
//! - `<!-- same as: FILE -->`: lines of that file of the repository.
//! - `<!-- layout: DIR -->`: a line each that begins with a path below DIR.
//!
//! A block that is none of these is a mistake.

use std::fs;
use std::path::Path;

use regex::Regex;

mod example;
mod iso;
mod kinds;
pub(crate) mod markdown;
mod network;
mod picture;
mod remedy;
pub(crate) mod schema;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Tells whether generated documentation is to be written instead of compared.
fn written() -> bool {
    std::env::var("TDG_DOCS").is_ok_and(|v| v == "write")
}

/// Compares a generated file with what is committed, times and digests aside, or writes it.
fn current(name: &str, wanted: &str) {
    let path = root().join(name);
    let there = fs::read_to_string(&path).unwrap_or_default();
    if scrub(&there) == scrub(wanted) {
        return;
    }
    if written() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, wanted).unwrap();
        return;
    }
    let (there, wanted) = (scrub(&there), scrub(wanted));
    let difference = similar::TextDiff::from_lines(&there, &wanted);
    panic!(
        "{name} is not current: TDG_DOCS=write cargo test --test integration docs\n{}",
        difference.unified_diff().context_radius(1)
    );
}

/// Takes out what differs from run to run: times, digests of commits, and the widths they make.
fn scrub(text: &str) -> String {
    let rules = [
        (r"(?m) *\b\d+(\.\d+)? (ms|s|m \d\d s)\b", " TIME"),
        (r#"("duration_s": )[0-9.e-]+"#, "${1}TIME"),
        (r#"( time=")[0-9.]+""#, "${1}TIME\""),
        // The two streams of a program come in any order.
        (r#"("(?:log_)?tail": ").*"#, "${1}LOG"),
        (r#"("deadline": ").*"#, "${1}TIME"),
        (r"\b\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?Z?", "DATE"),
        (r"\b[0-9a-f]{12,64}\b", "DIGEST"),
        (r"\b20\d\d-\d\d-\d\d\b", "DATE"),
        (r#"<svg width="\d+px""#, "<svg width=\"WIDTH\""),
    ];
    rules.iter().fold(text.to_owned(), |text, (rule, with)| {
        let rule = Regex::new(rule).unwrap();
        rule.replace_all(&text, *with).into_owned()
    })
}

#[test]
fn every_example_of_the_documentation_is_carried_out() {
    let world = example::World::new();
    let mut wrong = Vec::new();
    let mut carried_out = 0;
    for name in markdown::files() {
        let mut reader = example::Reader::new(&world);
        carried_out += reader.document(&name);
        wrong.extend(reader.wrong);
    }
    assert!(wrong.is_empty(), "\n\n{}", wrong.join("\n\n"));
    assert!(
        carried_out > 60,
        "only {carried_out} blocks were carried out"
    );
}

#[test]
fn the_picture_shows_a_real_run() {
    let world = example::World::new();
    let picture = picture::draw(&picture::shorten(&world.demo.coloured));
    current("docs/demo.svg", &picture);
}
