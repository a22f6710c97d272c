//! What `docker login` and its like have written down.

use super::{RegistryError, helper};
use crate::probe::http::basic;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Instant;

/// No such file is longer.
const MAX_FILE: u64 = 1 << 20;

/// What proves to a registry who asks. It is never shown.
#[derive(Clone)]
pub enum Login {
    /// Name and password, as the header that tells them.
    Basic(HeaderValue),
    /// A token that is good for nothing but further tokens.
    Identity(String),
}

/// Where a login may be had, the first that has one first.
enum Candidate {
    Known(Login),
    /// The name of a program that keeps logins.
    Helper(String),
}

/// What is written down about a registry. Programs are asked once the registry wants to know.
#[derive(Default)]
pub struct Credentials {
    server: String,
    candidates: Vec<Candidate>,
    asked: OnceLock<Result<Option<Login>, RegistryError>>,
}

impl Credentials {
    /// Gives the login, of which there may be none.
    ///
    /// # Errors
    /// Where a program that may keep one fails.
    pub fn login(&self, deadline: Option<Instant>) -> Result<Option<Login>, RegistryError> {
        let asked = self.asked.get_or_init(|| {
            for candidate in &self.candidates {
                let login = match candidate {
                    Candidate::Known(login) => Some(login.clone()),
                    Candidate::Helper(name) => helper::ask(name, &self.server, deadline)?,
                };
                if login.is_some() {
                    return Ok(login);
                }
            }
            Ok(None)
        });
        asked.clone()
    }

    /// Tells whether anything is written down.
    pub fn has_some(&self) -> bool {
        !self.candidates.is_empty()
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Entry {
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(rename = "identitytoken")]
    identity: Option<String>,
}

/// Finds the credentials for a repository: in `$REGISTRY_AUTH_FILE`, in
/// `$DOCKER_CONFIG/config.json` or `~/.docker/config.json`, in
/// `$XDG_RUNTIME_DIR/containers/auth.json`, whichever knows the host first.
///
/// A program that such a file names (`credHelpers`, `credsStore`) is asked once the login is needed.
///
/// Source: the manual pages `docker-login(1)` and `containers-auth.json(5)`.
///
/// # Errors
/// Where such a file cannot be read, or is none. What is in it is not shown.
pub fn find(host: &str, repository: &str) -> Result<Credentials, RegistryError> {
    find_with(host, repository, |name| std::env::var_os(name))
}

fn find_with(
    host: &str,
    repository: &str,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Credentials, RegistryError> {
    let set = |name: &str| variable(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let docker = set("DOCKER_CONFIG").or_else(|| Some(set("HOME")?.join(".docker")));
    let files = [
        set("REGISTRY_AUTH_FILE"),
        docker.map(|folder| folder.join("config.json")),
        set("XDG_RUNTIME_DIR").map(|folder| folder.join("containers/auth.json")),
    ];
    let mut candidates = Vec::new();
    for path in files.into_iter().flatten() {
        let Some(config) = read(&path)? else {
            continue;
        };
        // A program for this very registry goes before what stands in the file, as elsewhere.
        let own = config.cred_helpers.get(host);
        candidates.extend(own.cloned().map(Candidate::Helper));
        if let Some(entry) = config.login(host, repository) {
            candidates.extend(login(entry, &path)?.map(Candidate::Known));
        }
        let store = config.creds_store.filter(|_| own.is_none());
        candidates.extend(store.filter(|s| !s.is_empty()).map(Candidate::Helper));
    }
    let server = match host {
        "index.docker.io" | "docker.io" => "https://index.docker.io/v1/",
        other => other,
    };
    Ok(Credentials {
        server: server.to_owned(),
        candidates,
        asked: OnceLock::new(),
    })
}

fn wrong(path: &std::path::Path, what: &str) -> RegistryError {
    RegistryError::Credentials {
        name: path.display().to_string(),
        what: format!("{what}; log in again, or name another file with REGISTRY_AUTH_FILE"),
    }
}

fn read(path: &std::path::Path) -> Result<Option<Config>, RegistryError> {
    // Opening a pipe would wait for its writer.
    match path.metadata() {
        Ok(meta) if meta.is_file() => {}
        Ok(_) => return Err(wrong(path, "is no regular file")),
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(wrong(path, &error.to_string())),
    }
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE).read_to_end(&mut text));
    read.map_err(|error| wrong(path, &error.to_string()))?;
    // The parser's message could show what is secret.
    let config = serde_json::from_slice(&text);
    config.map(Some).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        wrong(
            path,
            &format!("cannot be read (line {line}, column {column})"),
        )
    })
}

impl Config {
    /// Finds the entry of a repository: the longest path that leads to it, else its host.
    fn login(&self, host: &str, repository: &str) -> Option<&Entry> {
        let mut name = format!("{host}/{repository}");
        loop {
            if let Some(login) = self.auths.get(&name) {
                return Some(login);
            }
            match name.rsplit_once('/') {
                Some((shorter, _)) => name = shorter.to_owned(),
                None => break,
            }
        }
        // Older programs write addresses: `https://host/v1/`.
        let written = |key: &str| {
            let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
            let (written, path) = rest.split_once('/').unwrap_or((rest, ""));
            written == host && matches!(path, "" | "v1/" | "v1" | "v2/" | "v2")
        };
        let found = self.auths.iter().find(|(key, _)| written(key));
        found.map(|(_, login)| login)
    }
}

/// Makes the login of an entry; `None` where it is empty, because a program keeps the secret.
fn login(entry: &Entry, path: &std::path::Path) -> Result<Option<Login>, RegistryError> {
    let not = || wrong(path, "has an entry that is no name and password");
    if let Some(token) = entry.identity.as_ref().filter(|token| !token.is_empty()) {
        return Ok(Some(Login::Identity(token.clone())));
    }
    let pair = match (&entry.auth, &entry.username, &entry.password) {
        (Some(auth), _, _) if !auth.is_empty() => {
            let bytes = STANDARD.decode(auth.trim()).map_err(|_| not())?;
            let text = String::from_utf8(bytes).map_err(|_| not())?;
            let (name, password) = text.split_once(':').ok_or_else(not)?;
            (name.to_owned(), password.trim_end_matches('\0').to_owned())
        }
        (_, Some(name), Some(password)) => (name.clone(), password.clone()),
        _ => return Ok(None),
    };
    let basic = basic(&pair.0, &pair.1).ok_or_else(not)?;
    Ok(Some(Login::Basic(basic)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(config: &str, host: &str, repository: &str) -> Result<Option<String>, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("config.json"), config).unwrap();
        let home = folder.path().as_os_str().to_owned();
        let found = find_with(host, repository, |name| {
            (name == "DOCKER_CONFIG").then(|| home.clone())
        });
        let text = |login: Login| {
            let Login::Basic(header) = login else {
                panic!("a token");
            };
            let text = header
                .to_str()
                .unwrap()
                .strip_prefix("Basic ")
                .unwrap()
                .to_owned();
            String::from_utf8(STANDARD.decode(text).unwrap()).unwrap()
        };
        found
            .and_then(|found| found.login(None))
            .map(|login| login.map(text))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_entry_that_fits_best_is_taken() {
        let auth = |pair: &str| STANDARD.encode(pair);
        let config = format!(
            r#"{{"auths": {{
                "r.example": {{"auth": "{}"}},
                "r.example/team": {{"auth": "{}"}},
                "https://old.example/v1/": {{"auth": "{}"}},
                "r.example:5000": {{"username": "port", "password": "p"}},
                "empty.example": {{}}
            }}, "credsStore": "desktop"}}"#,
            auth("host:h:h"),
            auth("team:t"),
            auth("old:o\0")
        );
        let of = |host: &str, repository: &str| found(&config, host, repository).unwrap();
        assert_eq!(of("r.example", "a/b").unwrap(), "host:h:h");
        assert_eq!(of("r.example", "team/b").unwrap(), "team:t");
        assert_eq!(of("r.example", "teams/b").unwrap(), "host:h:h");
        assert_eq!(of("old.example", "a").unwrap(), "old:o");
        assert_eq!(of("r.example:5000", "a").unwrap(), "port:p");
        // Of others the program knows, which is not here.
        for other in ["empty.example", "example", "r.example:1", "evil.r.example"] {
            let error = found(&config, other, "a").unwrap_err();
            assert!(error.contains("docker-credential-desktop"), "{error}");
        }
        let config = config.replace(", \"credsStore\": \"desktop\"", "");
        for none in ["empty.example", "example", "r.example:1", "evil.r.example"] {
            assert_eq!(found(&config, none, "a"), Ok(None), "{none}");
        }
    }

    #[test]
    fn a_broken_file_is_an_error_that_shows_nothing_of_it() {
        for broken in [
            r#"{"auths": {"r.example": {"auth": "c2VjcmV0"}}}"#,
            r#"{"auths": {"r.example": {"auth": "secret!"}}}"#,
            r#"{"auths": {"r.example": {"auth": 5, "password": "secret"}}}"#,
            r#"{"auths": "secret"}"#,
            "secret",
        ] {
            let error = found(broken, "r.example", "a").unwrap_err();
            assert!(
                !error.contains("secret") && error.contains("config.json"),
                "{error}"
            );
        }
        assert_eq!(found("{}", "r.example", "a"), Ok(None));
    }
}
