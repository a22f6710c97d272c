//! Registries that lie, and where credentials go.

use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde_json::json;
use tdg::model::Sha256Digest;

use crate::servers::{Asked, Liar, range, say};
use crate::world::{Ran, World, ran};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An image of one layer, which is no archive but bytes.
struct Image {
    layer: Vec<u8>,
    config: Vec<u8>,
    manifest: Vec<u8>,
}

impl Image {
    fn new() -> Self {
        let layer = super::noise(5, 700_000);
        let config = br#"{"architecture":"arm64","os":"linux"}"#.to_vec();
        let descriptor = |bytes: &[u8], kind: &str| {
            json!({
                "mediaType": kind, "digest": digest(bytes), "size": bytes.len(),
                // Whoever follows it asks this machine for what it must not.
                "urls": ["http://127.0.0.1:1/elsewhere"],
            })
        };
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST,
            "config": descriptor(&config, "application/vnd.oci.image.config.v1+json"),
            "layers": [descriptor(&layer, "application/octet-stream")],
        });
        let manifest = manifest.to_string().into_bytes();
        Self {
            layer,
            config,
            manifest,
        }
    }

    /// Answers as a registry should.
    fn answer(&self, asked: &Asked, stream: &mut TcpStream) -> std::io::Result<()> {
        let kind = format!("Content-Type: {MANIFEST}\r\n");
        let blobs = [&self.layer, &self.config];
        let blob = blobs
            .iter()
            .find(|blob| asked.path.ends_with(&digest(blob)));
        if asked.path.contains("/manifests/") {
            say(stream, "200 OK", &kind, &self.manifest)
        } else if let Some(blob) = blob {
            say(stream, "200 OK", "", blob)
        } else {
            say(stream, "404 Not Found", "", b"")
        }
    }

    fn layer_path(&self) -> String {
        format!("blobs/sha256/{}", Sha256Digest::of(&self.layer))
    }
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", Sha256Digest::of(bytes))
}

fn address(server: &Liar) -> String {
    format!("oci://127.0.0.1:{}/a/b:1", server.port)
}

/// Runs `tdg cat` on the layer, with credentials for the server.
fn cat_layer(world: &World, server: &Liar, image: &Image) -> Ran {
    let config = json!({ "auths": {
        (format!("127.0.0.1:{}", server.port)): { "username": "me", "password": "my-secret" },
    }});
    world.write("docker/config.json", config.to_string());
    let address = format!("{}!/{}", address(server), image.layer_path());
    let mut command = world.command(&["cat", "--timeout", "10s", &address]);
    command
        .env_remove("REGISTRY_AUTH_FILE")
        .env_remove("XDG_RUNTIME_DIR");
    let ran = ran(command.env("DOCKER_CONFIG", world.path().join("docker")));
    assert!(
        !ran.stderr.contains("my-secret") && !ran.stderr.contains("panicked"),
        "{}",
        ran.stderr
    );
    ran
}

#[test]
fn a_registry_that_lies_is_an_error_that_says_how() {
    type Answer = fn(&Image, &Asked, &mut TcpStream) -> std::io::Result<()>;
    let cases: &[(&str, Answer, &str)] = &[
        (
            "another layer",
            |i, a, s| match a.path.contains("/blobs/") {
                true => say(s, "200 OK", "", &vec![1; i.layer.len()]),
                false => i.answer(a, s),
            },
            "has the digest sha256:",
        ),
        (
            "a layer that is longer",
            |i, a, s| match a.path.contains("/blobs/") {
                true => say(s, "200 OK", "", &[&i.layer[..], b"more"].concat()),
                false => i.answer(a, s),
            },
            "the size in its descriptor",
        ),
        (
            "a layer that is shorter",
            |i, a, s| match a.path.contains("/blobs/") {
                true => say(s, "200 OK", "", &i.layer[1..]),
                false => i.answer(a, s),
            },
            "its descriptor says 700000",
        ),
        (
            "a layer that is not there",
            |i, a, s| match a.path.contains("/blobs/") {
                true => say(s, "404 Not Found", "", b""),
                false => i.answer(a, s),
            },
            "answers 404",
        ),
        (
            "a manifest of another digest",
            |i, _, s| {
                let told = format!(
                    "Content-Type: {MANIFEST}\r\nDocker-Content-Digest: {}\r\n",
                    digest(b"x")
                );
                say(s, "200 OK", &told, &i.manifest)
            },
            "has the digest sha256:",
        ),
        (
            "a manifest that is too long",
            |_, _, s| say(s, "200 OK", "", &vec![b' '; 5 << 20]),
            "over the limit `a manifest`",
        ),
        (
            "no manifest",
            |_, _, s| say(s, "200 OK", "", b"<html>"),
            "a manifest: expected value",
        ),
        (
            "another kind than it says",
            |i, _, s| {
                say(
                    s,
                    "200 OK",
                    "Content-Type: application/vnd.oci.image.index.v1+json\r\n",
                    &i.manifest,
                )
            },
            "says `application/vnd.oci.image.manifest.v1+json` of itself",
        ),
        (
            "a refusal in words",
            |_, _, s| {
                say(
                    s,
                    "403 Forbidden",
                    "",
                    br#"{"errors":[{"code":"DENIED","message":"no \u001b[31mway"}]}"#,
                )
            },
            "answers 403: DENIED, no ",
        ),
        (
            "a challenge that is none",
            |_, _, s| say(s, "401 Unauthorized", "WWW-Authenticate: Bearer\r\n", b""),
            "credentials",
        ),
        (
            "tokens in plain text elsewhere",
            |_, _, s| {
                let realm = "WWW-Authenticate: Bearer realm=\"http://192.0.2.1/token\"\r\n";
                say(s, "401 Unauthorized", realm, b"")
            },
            "which is not https",
        ),
        (
            "tokens from a file",
            |_, _, s| {
                say(
                    s,
                    "401 Unauthorized",
                    "WWW-Authenticate: Bearer realm=\"file:///etc/passwd\"\r\n",
                    b"",
                )
            },
            "is not http or https",
        ),
    ];
    let world = World::new();
    for (name, answer, said) in cases {
        let image = Arc::new(Image::new());
        let held = Arc::clone(&image);
        let server = Liar::start(move |asked, stream| answer(&held, asked, stream));
        let ran = cat_layer(&world, &server, &image);
        assert_eq!(
            (ran.code, ran.stdout.as_str()),
            (4, ""),
            "{name}: {}",
            ran.stderr
        );
        assert!(ran.stderr.contains(said), "{name}: {}", ran.stderr);
        assert!(!ran.stderr.contains('\u{1b}'), "{name}");
    }
}

#[test]
fn a_blob_that_breaks_off_is_gone_on_with() {
    let world = World::new();
    let image = Arc::new(Image::new());
    let held = Arc::clone(&image);
    let server = Liar::start(move |asked, stream| {
        use std::io::Write;
        let layer = &held.layer;
        if !asked.path.contains("/blobs/") {
            return held.answer(asked, stream);
        }
        if asked.header("range").is_none() {
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", layer.len());
            stream.write_all(head.as_bytes())?;
            return stream.write_all(&layer[..300_000]);
        }
        let (first, last) = range(asked, layer.len());
        let told = format!("Content-Range: bytes {first}-{last}/{}\r\n", layer.len());
        say(stream, "206 Partial Content", &told, &layer[first..=last])
    });
    let address = format!("{}!/{}", address(&server), image.layer_path());
    let mut command = world.command(&["cat", &address]);
    let output = command
        .env("DOCKER_CONFIG", "/nonexistent")
        .output()
        .unwrap();
    assert!(
        output.stdout == image.layer,
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let ranges: Vec<bool> = server
        .asked()
        .iter()
        .map(|a| a.header("range").is_some())
        .collect();
    assert_eq!(ranges, [false, false, true]);
}

#[test]
fn a_token_is_fetched_and_told_to_the_registry_alone() {
    let world = World::new();
    let image = Arc::new(Image::new());
    // Where blobs really lie.
    let held = Arc::clone(&image);
    let store = Liar::start(move |asked, stream| held.answer(asked, stream));
    let store_url = store.url("");
    let given = Arc::new(Mutex::new(0));
    let tokens = Liar::start({
        let given = Arc::clone(&given);
        move |asked, stream| match asked.header("authorization") {
            // me:my-secret
            Some("basic bwu6bxktc2vjcmv0") => {
                *given.lock().unwrap() += 1;
                let token = format!(r#"{{"token":"t{}"}}"#, given.lock().unwrap());
                say(stream, "200 OK", "", token.as_bytes())
            }
            _ => say(stream, "401 Unauthorized", "", b""),
        }
    });
    let realm = tokens.url("/token");
    let held = Arc::clone(&image);
    let server = Liar::start(move |asked, stream| {
        // The first token runs out after the manifest.
        let wanted = if asked.path.contains("/manifests/") {
            "bearer t1"
        } else {
            "bearer t2"
        };
        if asked.header("authorization") != Some(wanted) {
            let challenge = format!(
                "WWW-Authenticate: Bearer realm=\"{realm}\",service=\"here\",scope=\"repository:a/b:pull,push,delete\"\r\n"
            );
            return say(stream, "401 Unauthorized", &challenge, b"");
        }
        match asked.path.contains("/blobs/") {
            true => say(
                stream,
                "307 Moved",
                &format!("Location: {store_url}{}\r\n", asked.path),
                b"",
            ),
            false => held.answer(asked, stream),
        }
    });
    let ran = cat_layer(&world, &server, &image);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(*given.lock().unwrap(), 2);
    for asked in tokens.asked() {
        assert_eq!(
            asked.path,
            "/token?service=here&scope=repository%3Aa%2Fb%3Apull"
        );
    }
    assert!(
        server
            .asked()
            .iter()
            .all(|a| !a.head.iter().any(|l| l.contains("basic")))
    );
    assert_eq!(store.asked().len(), 1);
    assert_eq!(store.asked()[0].header("authorization"), None);
}
