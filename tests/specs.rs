//! The project's own specs, as tests: all but those of the recipe and of a bastion. They judge what
//! `tdg generate` makes, which runs them itself, and servers that are elsewhere; a checkout has nothing
//! of them.

use tdg::run::mimic;
use tdg::run::plan::Request;
use tdg::run::select::Selection;

fn main() -> std::process::ExitCode {
    mimic::run(&Request {
        paths: vec!["specs".into()],
        selection: Selection {
            tags: vec!["!recipe".into(), "!bastion".into()],
            ..Selection::default()
        },
        ..Request::default()
    })
}
