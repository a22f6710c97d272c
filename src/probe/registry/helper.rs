//! Programs that keep logins: `docker-credential-NAME get`.
//!
//! Source: the protocol of `docker-credential-helpers`: the server's name on standard input, a
//! record on standard output.

use super::RegistryError;
use super::credentials::Login;
use crate::probe::exec::{Request, run};
use crate::probe::http::basic;
use serde::Deserialize;
use std::time::{Duration, Instant};

/// How long one may take: it may ask its user to unlock it.
const TIME: Duration = Duration::from_secs(60);
/// No record is longer.
const MAX: usize = 1 << 20;
/// What it says where it has no login.
const NONE: &str = "credentials not found";
/// The name that comes with a token instead of a password.
const TOKEN: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Kept {
    username: String,
    secret: String,
}

/// Asks the program for the login of a server; `None` where it has none.
///
/// # Errors
/// Where it is not there, fails or says something else. What it says is not shown.
pub fn ask(
    name: &str,
    server: &str,
    deadline: Option<Instant>,
) -> Result<Option<Login>, RegistryError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || !name.chars().all(plain) {
        return Err(RegistryError::Credentials {
            name: server.to_owned(),
            what: format!(
                "the credential helper `{}` has no name that a program can have; correct \
                 `credHelpers` or `credsStore` in the file that names it",
                crate::model::value::clip(name, 60)
            ),
        });
    }
    let program = format!("docker-credential-{name}");
    let failed = |what: &str| RegistryError::Credentials {
        name: server.to_owned(),
        what: format!(
            "the credential helper {program} {what}; try `echo {server} | {program} get`, or log \
             in again"
        ),
    };
    let left = deadline.map_or(TIME, |end| end.saturating_duration_since(Instant::now()));
    let mut request = Request::new([program.as_str(), "get"])
        .stdin(server)
        .timeout(left.min(TIME))
        .keep(MAX);
    // It is the user's own program: what it needs to find its store is in the environment.
    for (name, value) in std::env::vars_os() {
        request = request.env(name, value);
    }
    let output = run(&request).map_err(|error| RegistryError::Credentials {
        name: server.to_owned(),
        what: format!("its credential helper: {error}"),
    })?;
    let text = output.stdout.text();
    if !output.success() {
        let said = text.to_ascii_lowercase();
        return match said.contains(NONE) && !output.timed_out() {
            true => Ok(None),
            false => Err(failed(&format!("does not answer ({})", output.how()))),
        };
    }
    // The parser's message could show what is secret.
    let kept: Kept = serde_json::from_str(&text).map_err(|_| failed("answers with no login"))?;
    if kept.secret.is_empty() {
        return Ok(None);
    }
    if kept.username == TOKEN {
        return Ok(Some(Login::Identity(kept.secret)));
    }
    let basic = basic(&kept.username, &kept.secret);
    let basic = basic.ok_or_else(|| failed("answers with no login"))?;
    Ok(Some(Login::Basic(basic)))
}
