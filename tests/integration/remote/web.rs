//! Files on a real web server.

use std::fs;
use std::time::{Duration, Instant};

use super::{noise, squashfs};
use crate::peers::{output, peer};
use crate::servers::nginx;
use crate::world::{World, ran};

/// Runs `tdg cat` and gives the bytes, which have to come without an error.
fn cat(world: &World, address: &str) -> Vec<u8> {
    let output = world.command(&["cat", address]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*stderr), (Some(0), ""), "{address}");
    output.stdout
}

#[test]
fn one_path_of_an_image_costs_few_requests() {
    let world = World::new();
    let Some(image) = squashfs(&world) else {
        return;
    };
    let Some(server) = nginx(world.path(), false, "") else {
        return;
    };
    let url = format!("http://127.0.0.1:{}/root.sqsh", server.port);
    assert_eq!(
        cat(&world, &format!("{url}!/etc/os-release")),
        b"ID=remote\n"
    );
    let requests = server.requests();
    assert!(requests.len() <= 4, "{requests:#?}");
    assert!(
        requests.iter().all(|r| r.contains(" 206 bytes ")),
        "{requests:#?}"
    );
    // All of it, front to back: the parts grow.
    assert!(cat(&world, &url) == fs::read(&image).unwrap());
    let requests = server.requests();
    assert!(requests.len() <= 16, "{}: {requests:#?}", requests.len());
    let listed = world.tdg(&["ls", "-R", &url]);
    assert_eq!(listed.code, 0, "{}", listed.stderr);
    assert_eq!(
        listed.stdout,
        world.tdg(&["ls", "-R", "files/root.sqsh"]).stdout
    );
    assert!(server.requests().len() <= 5);
    let tree = world.tdg(&["tree", "--containers", &url]);
    assert!(
        tree.stdout.starts_with(&format!("{url}  squashfs  ")),
        "{}",
        tree.stdout
    );
    // As a subject of a spec, and what is not there.
    let report = world.run(&format!(
        "spec: Remote\nsubject: {url}\nchecks:\n\
         - name: pass it is there\n  file: /etc/os-release\n  expect: {{ text: {{ contain: ID=remote }} }}\n\
         - name: fail it is not there\n  file: /etc/shadow\n  expect: {{ present: true }}\n\
         - name: error the file is not there\n  file: /etc/os-release\n  in: {url}x\n  expect: {{ present: true }}\n"
    ));
    report.as_named();
    assert!(
        report
            .why("error the file is not there")
            .contains("answers 404")
    );
}

#[test]
fn what_is_seen_is_the_same_with_and_without_ranges_redirects_and_compression() {
    let world = World::new();
    let Some(image) = squashfs(&world) else {
        return;
    };
    world.write("files/text", b"a line\n".repeat(100_000));
    world.write("files/one", "1");
    world.write("files/empty", "");
    let settings = "
        location /plain/ { alias FILES/; max_ranges 0; }
        location /gzip/ { alias FILES/; gzip on; gzip_min_length 1; gzip_types *; }
        location /moved/ { rewrite ^/moved/(.*)$ /further/$1 redirect; }
        location /further/ { rewrite ^/further/(.*)$ $scheme://localhost:$server_port/$1 permanent; }
        location /round { return 302 /round; }
        location /file { return 302 file:///etc/passwd; }
        location /locked/ { alias FILES/; auth_basic here; auth_basic_user_file FILES/../password; }
        location /busy { return 503; }
    "
    .replace("FILES", &world.path().join("files").display().to_string());
    world.write("password", "me:{PLAIN}pass@word/%\n");
    let Some(server) = nginx(world.path(), false, &settings) else {
        return;
    };
    let url = |path: &str| format!("http://127.0.0.1:{}/{path}", server.port);
    for way in ["", "plain/", "gzip/", "moved/"] {
        assert!(
            cat(&world, &url(&format!("{way}root.sqsh"))) == fs::read(&image).unwrap(),
            "{way}"
        );
        let inside = url(&format!("{way}root.sqsh!/etc/os-release"));
        assert_eq!(cat(&world, &inside), b"ID=remote\n", "{way}");
        let text = fs::read(world.path().join("files/text")).unwrap();
        assert!(cat(&world, &url(&format!("{way}text"))) == text, "{way}");
        assert_eq!(cat(&world, &url(&format!("{way}one"))), b"1", "{way}");
        let empty = world.tdg(&["cat", &url(&format!("{way}empty"))]);
        assert_eq!(empty.code, 4, "{way}");
        assert!(empty.stderr.contains("is empty"), "{way}: {}", empty.stderr);
    }
    // Without ranges it is fetched once, and not beyond the bound.
    server.requests();
    cat(&world, &url("plain/root.sqsh!/etc/os-release"));
    assert_eq!(server.requests().len(), 1);
    let ran = world.tdg(&["cat", &url("plain/root.sqsh"), "--max-decoded", "1 MiB"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""));
    assert!(ran.stderr.contains("max_decoded"), "{}", ran.stderr);
    for (path, said) in [
        ("round", "more than 5 redirects"),
        ("file", "which is not http"),
        ("busy", "answers 503"),
        ("locked/one", "answers 401"),
        ("nothing", "answers 404"),
    ] {
        let ran = world.tdg(&["cat", &url(path)]);
        assert_eq!((ran.code, ran.stdout.as_str()), (4, ""), "{path}");
        assert!(ran.stderr.contains(said), "{path}: {}", ran.stderr);
    }
    let locked = |who: &str| format!("http://{who}@127.0.0.1:{}/locked/one", server.port);
    assert_eq!(cat(&world, &locked("me:pass%40word%2F%25")), b"1");
    let ran = world.tdg(&["cat", &locked("me:other-word")]);
    assert_eq!(ran.code, 4);
    assert!(!ran.stderr.contains("other-word"), "{}", ran.stderr);
}

#[test]
fn a_server_that_is_not_known_to_be_who_it_says_is_not_read() {
    let world = World::new();
    let Some(openssl) = peer("openssl") else {
        return;
    };
    output(
        &openssl,
        world.path(),
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-keyout",
            "key.pem",
            "-out",
            "cert.pem",
            "-days",
            "2",
            "-subj",
            "/CN=localhost",
            "-addext",
            "subjectAltName=DNS:localhost,IP:127.0.0.1",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ],
    );
    world.write("files/one", "1");
    let folder = world.path().display().to_string();
    let settings = format!(
        "ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
         location /down {{ return 302 http://localhost:$server_port/one; }}"
    );
    let Some(server) = nginx(world.path(), true, &settings) else {
        return;
    };
    let url = |path: &str| format!("https://localhost:{}/{path}", server.port);
    let stranger = world.tdg(&["cat", &url("one")]);
    assert_eq!((stranger.code, stranger.stdout.as_str()), (4, ""));
    assert!(
        stranger.stderr.contains("certificate"),
        "{}",
        stranger.stderr
    );
    let known = |path: &str| {
        let mut command = world.command(&["cat", &url(path)]);
        ran(command.env("SSL_CERT_FILE", world.path().join("cert.pem")))
    };
    let one = known("one");
    assert_eq!((one.code, one.stdout.as_str()), (0, "1"), "{}", one.stderr);
    let down = known("down");
    assert_eq!((down.code, down.stdout.as_str()), (4, ""));
    assert!(
        down.stderr.contains("from https to http"),
        "{}",
        down.stderr
    );
}

#[test]
fn a_deadline_ends_a_slow_download() {
    let world = World::new();
    world.write("files/slow", noise(1, 4_000_000));
    let settings = "limit_rate 100k; max_ranges 0;";
    let Some(server) = nginx(world.path(), false, settings) else {
        return;
    };
    let url = format!("http://127.0.0.1:{}/slow", server.port);
    let begin = Instant::now();
    let ran = world.tdg(&["cat", &url, "--timeout", "2s"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (4, ""));
    assert!(
        ran.stderr.contains("within the time given"),
        "{}",
        ran.stderr
    );
    assert!(begin.elapsed() < Duration::from_secs(15));
}
