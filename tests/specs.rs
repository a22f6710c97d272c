//! The project's own specs, as tests: all but those of the recipe. They judge what `tdg generate`
//! makes, which runs them itself; a checkout has nothing of it.

use tdg::run::mimic;
use tdg::run::plan::Request;
use tdg::run::select::Selection;

fn main() -> std::process::ExitCode {
    mimic::run(&Request {
        paths: vec!["specs".into()],
        selection: Selection {
            tags: vec!["!recipe".into()],
            ..Selection::default()
        },
        ..Request::default()
    })
}
