//! Who asks, and that nobody is told who should not be.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;

use super::{blobs, sample};
use crate::images::pipe;
use crate::peers::{output, peer};
use crate::proxy::{Message, Teller};
use crate::servers::{PASSWORD, registry, registry_with};
use crate::world::{Ran, World, ran};

/// Runs `tdg` with the credentials of a folder, and a folder of programs before all others. No
/// secret may stand in what it writes.
fn tdg(world: &World, arguments: &[&str], secrets: &[&str]) -> Ran {
    let mut command = world.command(arguments);
    for name in ["REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR"] {
        command.env_remove(name);
    }
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("DOCKER_CONFIG", world.path().join("docker"));
    command.env(
        "PATH",
        format!("{}:{path}", world.path().join("bin").display()),
    );
    let ran = ran(&mut command);
    let basic = STANDARD.encode(format!("builder:{PASSWORD}"));
    for secret in [PASSWORD, &basic].iter().chain(secrets) {
        assert!(!ran.stdout.contains(secret), "{}", ran.stdout);
        assert!(!ran.stderr.contains(secret), "{}", ran.stderr);
    }
    ran
}

/// Writes a program that keeps a login.
fn helper(world: &World, name: &str, script: &str) {
    let path = world.write(
        &format!("bin/docker-credential-{name}"),
        format!("#!/bin/sh\n{script}\n"),
    );
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

fn good(ran: &Ran) {
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{}", ran.stdout);
}

#[test]
fn a_registry_with_a_password_is_written_with_what_a_helper_program_keeps() {
    let world = World::new();
    let Some(server) = registry(&world.path().join("registry"), true) else {
        return;
    };
    let layout = sample(&world, "layout", &[50_000]);
    let host = format!("127.0.0.1:{}", server.port);
    let one = format!("oci://{host}/team/image:v1");
    let push = |config: serde_json::Value| {
        world.write("docker/config.json", config.to_string());
        tdg(&world, &["push", "layout", &one, "--timeout", "20s"], &[])
    };
    let refused = |ran: &Ran, said: &str| {
        assert_eq!((ran.code, ran.stdout.as_str()), (4, ""));
        assert!(ran.stderr.contains(said), "{}", ran.stderr);
    };
    refused(&push(json!({})), "log in to it");
    helper(
        &world,
        "kept",
        &format!(
            r#"[ "$1" = get ] && [ "$(cat)" = {host} ] || exit 9
echo '{{"ServerURL":"{host}","Username":"builder","Secret":"{PASSWORD}"}}'"#
        ),
    );
    helper(
        &world,
        "none",
        "echo credentials not found in native keychain; exit 1",
    );
    helper(
        &world,
        "broken",
        &format!("echo {PASSWORD}; echo {PASSWORD} >&2; exit 3"),
    );
    helper(
        &world,
        "garbled",
        &format!("echo '{{\"Secret\": \"{PASSWORD}\"'"),
    );
    helper(&world, "slow", "sleep 100");
    for store in ["credHelpers", "credsStore"] {
        let config = |name: &str| match store {
            "credHelpers" => json!({ "credHelpers": { &host: name } }),
            _ => json!({ "credsStore": name, "auths": { &host: {} } }),
        };
        good(&push(config("kept")));
        refused(&push(config("none")), "has none for it");
        refused(&push(config("broken")), "does not answer (exit code 3)");
        refused(&push(config("garbled")), "answers with no login");
        refused(
            &push(config("missing")),
            "docker-credential-missing` was not found",
        );
        refused(
            &push(config("../bin/docker")),
            "no name that a program can have",
        );
    }
    world.write(
        "docker/config.json",
        json!({ "credsStore": "slow" }).to_string(),
    );
    let ran = tdg(&world, &["push", "layout", &one, "--timeout", "1s"], &[]);
    refused(&ran, "timed out");
    // The program for this registry goes before what stands in the file, and reading asks it, too.
    let wrong = STANDARD.encode("builder:not-this-word");
    let config = json!({ "credHelpers": { &host: "kept" }, "auths": { &host: { "auth": wrong } } });
    world.write("docker/config.json", config.to_string());
    good(&tdg(
        &world,
        &["pull", &one, "out", "--referrers"],
        &[&wrong],
    ));
    assert_eq!(blobs(&world.path().join("out")), blobs(layout.path()));
    let ls = tdg(&world, &["ls", &one], &[&wrong]);
    good(&ls);
    assert!(ls.stdout.contains("index.json"));
    let config = json!({ "auths": { &host: { "auth": wrong } } });
    world.write("docker/config.json", config.to_string());
    let ran = tdg(
        &world,
        &["push", "layout", &one],
        &[&wrong, "not-this-word"],
    );
    refused(&ran, "does not take the credentials");
}

/// Makes a key and its certificate in a folder.
fn key(world: &World, openssl: &Path) {
    let arguments = "req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 \
                     -subj /CN=tokens";
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    output(openssl, world.path(), &arguments);
}

/// Signs a token as the registry's own kind is. Source: distribution's `spec/auth/jwt.md`.
fn signed(folder: &Path, openssl: &Path, access: &serde_json::Value, subject: &str) -> String {
    let pem = fs::read_to_string(folder.join("cert.pem")).unwrap();
    let chain: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs();
    let header = json!({ "typ": "JWT", "alg": "RS256", "x5c": [chain] });
    let claims = json!({
        "iss": "tokens", "sub": subject, "aud": "here", "exp": now + 60, "nbf": now - 5,
        "iat": now, "jti": "1", "access": access,
    });
    let part = |json: &serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let text = format!("{}.{}", part(&header), part(&claims));
    let sign = ["dgst", "-sha256", "-sign", "key.pem"];
    let signature = pipe(openssl, folder, &sign, text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// What the scopes of a request ask for, as a token has it.
fn access(query: &str, only: Option<&str>) -> serde_json::Value {
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    let scopes = pairs.filter(|(key, _)| key == "scope");
    let scopes: Vec<String> = scopes.map(|(_, value)| value.into_owned()).collect();
    let scopes = scopes.iter().flat_map(|scopes| scopes.split(' '));
    let one = |scope: &str| {
        let parts: Vec<&str> = scope.split(':').collect();
        let actions: Vec<&str> = parts[2].split(',').collect();
        let actions = only.map_or(actions, |only| vec![only]);
        json!({ "type": parts[0], "name": parts[1], "actions": actions })
    };
    scopes.map(one).collect()
}

#[test]
fn tokens_are_fetched_for_what_is_needed_and_again_when_they_do_not_do() {
    let world = World::new();
    let Some(openssl) = peer("openssl") else {
        return;
    };
    key(&world, &openssl);
    let given: Arc<Mutex<Vec<String>>> = Arc::default();
    let folder = world.path().to_owned();
    let identity = "a-token-for-tokens";
    let tokens = Teller::start({
        let given = Arc::clone(&given);
        move |request: &Message| {
            let basic = STANDARD.encode(format!("builder:{PASSWORD}"));
            let target = request.first.split(' ').nth(1).unwrap();
            let body = String::from_utf8(request.body.clone()).unwrap();
            let (known, query) = match request.first.starts_with("POST") {
                true => (
                    body.contains(&format!("refresh_token={identity}")),
                    body.as_str(),
                ),
                false => (
                    request.header("authorization") == Some(&format!("Basic {basic}")),
                    target.split_once('?').unwrap().1,
                ),
            };
            if !known {
                return Some(("401 Unauthorized\r\n".into(), Vec::new()));
            }
            // The first is good for less than was asked for: the registry refuses it midway.
            let first = given.lock().unwrap().is_empty();
            let access = access(query, first.then_some("pull"));
            let token = signed(&folder, &openssl, &access, "builder");
            given.lock().unwrap().push(token.clone());
            let answer = json!({ "access_token": token, "expires_in": 0 });
            Some(("200 OK\r\n".into(), answer.to_string().into_bytes()))
        }
    });
    let auth = format!(
        "auth:\n  token: {{ realm: 'http://127.0.0.1:{}/token', service: here, issuer: tokens, \
         rootcertbundle: {}/cert.pem }}\n",
        tokens.port,
        world.path().display()
    );
    let Some(server) = registry_with(&world.path().join("registry"), &auth) else {
        return;
    };
    let layout = sample(&world, "layout", &[50_000]);
    let host = format!("127.0.0.1:{}", server.port);
    let one = format!("oci://{host}/team/image:v1");
    let login = STANDARD.encode(format!("builder:{PASSWORD}"));
    let with = |login: serde_json::Value| {
        world.write(
            "docker/config.json",
            json!({ "auths": { &host: login } }).to_string(),
        );
    };
    with(json!({ "auth": login }));
    let ran = tdg(&world, &["push", "layout", &one, "--jobs", "1"], &["eyJ"]);
    good(&ran);
    let scopes = |n: usize| tokens.asked()[n].first.clone();
    assert!(
        scopes(0).contains("scope=repository%3Ateam%2Fimage%3Apull%2Cpush"),
        "{}",
        scopes(0)
    );
    // One that has run out by its own account is replaced before it is refused.
    assert!(tokens.asked().len() > 10, "{}", tokens.asked().len());
    let mounting = format!("oci://{host}/other:v1");
    let arguments = [
        "push",
        "layout",
        &mounting,
        "--mount-from",
        "team/image",
        "--format",
        "json",
    ];
    let ran = tdg(&world, &arguments, &["eyJ"]);
    good(&ran);
    assert!(ran.stdout.contains("\"carried\": 0"), "{}", ran.stdout);
    let last = tokens.asked().pop().unwrap().first;
    assert!(
        last.contains("scope=repository%3Ateam%2Fimage%3Apull&")
            || last.contains("scope=repository%3Ateam%2Fimage%3Apull "),
        "{last}"
    );
    // With a token that is good for tokens.
    with(json!({ "identitytoken": identity }));
    let ran = tdg(
        &world,
        &["pull", &one, "out", "--referrers"],
        &["eyJ", identity],
    );
    good(&ran);
    assert_eq!(blobs(&world.path().join("out")), blobs(layout.path()));
    assert!(tokens.asked().pop().unwrap().first.starts_with("POST "));
    with(json!({ "identitytoken": "not-this-word" }));
    let ran = tdg(&world, &["push", "layout", &one], &["eyJ", "not-this-word"]);
    assert_eq!(ran.code, 4);
    assert!(ran.stderr.contains("answers 401"), "{}", ran.stderr);
}

#[test]
fn another_host_is_not_told_who_asks() {
    let world = World::new();
    sample(&world, "layout", &[4000]);
    // Where uploads and blobs really lie; it wants to know who asks.
    let store = Teller::start(|request: &Message| {
        Some(match request.first.split(' ').next().unwrap() {
            "PUT" => ("201 Created\r\n".into(), Vec::new()),
            _ => (
                "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n".into(),
                Vec::new(),
            ),
        })
    });
    let elsewhere = format!("http://localhost:{}", store.port);
    let server = Teller::start(move |request: &Message| {
        let challenge = "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\n";
        if request.header("authorization").is_none() {
            return Some((challenge.into(), Vec::new()));
        }
        Some(match request.first.split(' ').next().unwrap() {
            "POST" => (
                format!("202 Accepted\r\nLocation: {elsewhere}/upload?x=1\r\n"),
                Vec::new(),
            ),
            "HEAD" => ("404 Not Found\r\n".into(), Vec::new()),
            _ => (
                format!("307 Moved\r\nLocation: {elsewhere}/blob\r\n"),
                Vec::new(),
            ),
        })
    });
    let host = format!("127.0.0.1:{}", server.port);
    let login = STANDARD.encode(format!("builder:{PASSWORD}"));
    let config = json!({ "auths": { &host: { "auth": login } } });
    world.write("docker/config.json", config.to_string());
    let one = format!("oci://{host}/team/image:v1");
    let ran = tdg(&world, &["push", "layout", &one, "--tries", "1"], &[]);
    assert_eq!(ran.code, 4, "{}", ran.stdout);
    let ran = tdg(&world, &["pull", &one, "out", "--tries", "1"], &[]);
    assert_eq!(ran.code, 4, "{}", ran.stdout);
    let asked = store.asked();
    assert!(
        asked
            .iter()
            .any(|m| m.first.starts_with("PUT /upload?x=1&digest=sha256:"))
    );
    assert!(asked.iter().any(|m| m.first.starts_with("GET /blob")));
    for message in asked.iter() {
        assert_eq!(message.header("authorization"), None, "{}", message.first);
    }
}
