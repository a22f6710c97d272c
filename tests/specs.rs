//! The project's own specs, as tests.

fn main() -> std::process::ExitCode {
    tdg::run::mimic::main(&["specs"])
}
