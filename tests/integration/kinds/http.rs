//! The kind `http`, held to nginx, to certificates that openssl made, and to a server that lies.

use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::peers::{output, peer};
use crate::servers::{Asked, Liar, Server, nginx, say};
use crate::world::{Report, World, ran};

/// Runs checks `name: …, http: …, expect: …` with the files of the world, and holds them to the
/// first words of their names.
fn hold(world: &World, checks: &[String]) -> Report {
    let checks: String = checks.iter().map(|c| format!("  - {{ {c} }}\n")).collect();
    let report = world.run(&format!("spec: http\nchecks:\n{checks}"));
    report.as_named();
    report
}

const SETTINGS: &str = r#"
    location /one { default_type text/plain; add_header X-One a; add_header X-One b; add_header ETag-Like "x y"; }
    location = /json { default_type "application/JSON; charset=utf-8"; return 200 '{"items":[{"name":"web"},{"name":"db"}]}'; }
    location = /moved { return 301 /moved2; }
    location = /moved2 { return 302 /one?token=hidden; }
    location = /gone { return 410 "no more"; }
    location = /whole { max_ranges 0; alias files-of-it/one; }
    location = /who { if ($http_authorization = "Basic bWU6cHc=") { return 200 known; } return 401; }
    location = /how { return 200 "$request_method $http_x_asked $http_accept_encoding"; }
    location = /type { return 200 "$content_type $content_length"; }
"#;

#[test]
fn what_nginx_answers() {
    let world = World::new();
    world.write("files/one", "0123456789");
    world.write("files/big", vec![7; 300_000]);
    world.write("send.json", "{}");
    let settings = SETTINGS.replace(
        "files-of-it",
        &world.path().join("files").display().to_string(),
    );
    let Some(server) = nginx(world.path(), false, &settings) else {
        return;
    };
    let url = format!("http://127.0.0.1:{}", server.port);
    let sha = "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882";
    let checks = [
        "name: pass status and type, http: U/one, expect: { status: 200, version: '1.1', content-type: text/plain, length-declared: 10, length: 10, chunked: false, redirects: { len: 0 }, problem: null, url: U/one, tls: null, range: null, first-byte: { lt: 5s } }",
        "name: pass body, http: U/one, expect: { body: { match: '^0.*9$', len: 10 }, sha256: SHA, json: null }",
        "name: pass headers in any case, http: U/one, expect: { headers: { Content-Type: { starts-with: text }, x-one: 'a, b', X-ONE: { contain: b }, x-none: null }, header-lines: { X-One: [a, b] } }",
        "name: pass headers by name, http: U/one, expect: { headers: { contain: [X-One, content-length] } }",
        "name: pass json, http: U/json, expect: { content-type: application/json, json: { items: { len: 2 } }, body: { json: { '$.items[1].name': db } } }",
        "name: pass redirects, http: U/moved, expect: { status: 200, url: U/one?…, redirects: [{ url: U/moved, status: 301, location: U/moved2 }, { status: 302, location: U/one?… }], body: '0123456789' }",
        "name: pass not followed, http: { url: U/moved, follow: false }, expect: { status: 301, headers: { location: U/moved2 }, redirects: { len: 0 } }",
        "name: pass too many redirects as evidence, http: { url: U/moved, max-redirects: 1 }, expect: { status: 302, problem: { contain: more than 1 } }",
        "name: pass a range, http: { url: U/one, range: 2-5 }, expect: { status: 206, range: { right: true, first: 2, last: 5, size: 10, problem: null }, body: '2345' }",
        "name: pass the end, http: { url: U/one, range: '-3' }, expect: { range: { right: true, first: 7 }, length: 3 }",
        "name: pass beyond the end, http: { url: U/one, range: 8-99 }, expect: { range: { right: true, last: 9 } }",
        "name: pass no such range, http: { url: U/one, range: 10- }, expect: { status: 416, range: { right: false, problem: { contain: no such part } } }",
        "name: fail ranges of a server without, http: { url: U/whole, range: 2-5 }, expect: { range: { right: true } }",
        "name: pass HEAD, http: { url: U/big, method: HEAD }, expect: { status: 200, length-declared: 300000, length: 0 }",
        "name: pass a large body is not read for its head, http: U/big, expect: { status: 200, length: { equals: 300000 } }",
        "name: pass who asks, http: 'http://me:pw@127.0.0.1:PORT/who', expect: { body: known, url: U/who }",
        "name: fail who does not, http: U/who, expect: { status: 200 }",
        "name: pass method and headers, http: { url: U/how, method: PUT, headers: { X-Asked: yes }, text: x }, expect: { body: PUT yes identity }",
        "name: pass what is sent, http: { url: U/type, method: POST, json: { a: [1, 2] } }, expect: { body: application/json 11 }",
        "name: pass a file, http: { url: U/type, method: POST, headers: { content-type: text/x }, file: send.json }, expect: { body: text/x 2 }",
        "name: fail status, http: U/gone, expect: { status: 200 }",
        "name: fail header that is there, http: U/one, expect: { headers: { X-OnE: null } }",
        "name: fail names of headers, http: U/one, expect: { headers: { not: { contain: X-ONE } } }",
        "name: fail no JSON, http: U/gone, expect: { json: { a: 1 } }",
        "name: fail body, http: U/one, expect: { body: x }",
        "name: error more than asked for, http: { url: U/big, max-body: 100 kB }, expect: { length: { ge: 1 } }",
        "name: error too many redirects, http: { url: U/moved, max-redirects: 1 }, expect: { status: { lt: 400 } }",
        "name: error no file, http: { url: U/type, method: POST, file: nowhere }, expect: { status: 200 }",
    ]
    .map(|c| c.replace("U/", &format!("{url}/")).replace("PORT", &server.port.to_string()).replace("SHA", sha));
    let report = hold(&world, &checks);
    assert!(
        !report.json.to_string().contains("hidden"),
        "{:#}",
        report.json
    );
    let why = report.why("fail ranges of a server without");
    assert!(why.contains("right"), "{why}");
}

#[test]
fn nobody_there_is_an_error_and_eventually_waits_for_it() {
    let world = World::new();
    let port = crate::servers::free_port();
    let report = hold(
        &world,
        &[
            format!(
                "name: error nobody, http: 'http://127.0.0.1:{port}/', expect: {{ status: {{ not: 200 }} }}"
            ),
            "name: error no name, http: 'http://no-such-host.invalid/', expect: { status: 200 }"
                .to_owned(),
        ],
    );
    assert!(report.why("error nobody").contains("no connection"));
    // A server that is not ready the first times.
    let liar = Liar::start(|asked, stream| match asked.number {
        0 => stream.write_all(b"nonsense\r\n\r\n"),
        1 => say(stream, "503 Not Yet", "", b""),
        _ => say(stream, "200 OK", "", b"ready"),
    });
    let url = liar.url("/");
    let checks = format!(
        "name: pass at last, eventually: 20s, http: '{url}', expect: {{ status: 200, body: ready }}"
    );
    let report = hold(&world, &[checks]);
    assert_eq!(
        report.trial("pass at last")["tries"],
        3,
        "{:#}",
        report.json
    );
    let never =
        format!("name: fail at last, eventually: 300ms, http: '{url}', expect: {{ status: 201 }}");
    hold(&world, &[never]);
    let tried = liar.asked().len();
    assert!((5..=20).contains(&tried), "{tried}");
}

#[test]
fn mistakes_in_arguments_are_told_before_anything_is_asked() {
    let world = World::new();
    for (args, said) in [
        ("ftp://a.example/", "not http or https"),
        ("nothing", "no address of a server"),
        ("{ url: 'http://h/', method: 'A B' }", "no method"),
        ("{ url: 'http://h/', method: CONNECT }", "no method"),
        (
            "{ url: 'http://h/', text: a, json: 1 }",
            "exclude each other",
        ),
        ("{ url: 'http://h/', range: 5-1 }", "no range of bytes"),
        (
            "{ url: 'http://h/', headers: { 'a b': c } }",
            "no name of a header",
        ),
        (
            "{ url: 'http://h/', headers: { a: \"x\\ny\" } }",
            "cannot stand in a header",
        ),
        (
            "{ url: 'http://h/', headers: { Content-Length: 3 } }",
            "leave it out",
        ),
        (
            "{ url: 'http://a:b@h/', headers: { Authorization: c } }",
            "leave one out",
        ),
        (
            "{ url: 'http://h/', max-redirects: 1000 }",
            "no more than 50",
        ),
        ("{ url: 'http://h/', bodi: x }", "unknown key `bodi`"),
    ] {
        world.write(
            "specs/it.yaml",
            format!(
                "spec: it\nchecks:\n  - name: it\n    http: {args}\n    expect: {{ status: 200 }}\n"
            ),
        );
        let ran = world.tdg(&["run"]);
        assert_eq!(ran.code, 3, "{args}: {}", ran.stderr);
        assert!(ran.stderr.contains(said), "{args}: {}", ran.stderr);
    }
}

/// Answers each path with a lie.
fn lie(asked: &Asked, stream: &mut TcpStream) -> std::io::Result<()> {
    let ok = "HTTP/1.1 200 OK\r\n";
    match asked.path.as_str() {
        "/endless-headers" => {
            stream.write_all(ok.as_bytes())?;
            (0..).try_for_each(|n| write!(stream, "X-{n}: {}\r\n", "y".repeat(100)))
        }
        "/endless-header" => {
            write!(stream, "{ok}X: ")?;
            (0..).try_for_each(|_: u64| stream.write_all(&[b'y'; 4096]))
        }
        "/endless-body" => {
            write!(stream, "{ok}\r\n")?;
            (0..).try_for_each(|_: u64| stream.write_all(&[b'y'; 65536]))
        }
        "/drip" => {
            write!(stream, "{ok}Content-Length: 100\r\n\r\n")?;
            (0..100).try_for_each(|_| {
                std::thread::sleep(Duration::from_millis(200));
                stream.write_all(b"y")
            })
        }
        "/drip-head" => ok.bytes().cycle().try_for_each(|byte| {
            std::thread::sleep(Duration::from_millis(200));
            stream.write_all(&[byte])
        }),
        "/short" => write!(stream, "{ok}Content-Length: 100\r\n\r\nnot a hundred"),
        "/long" => write!(
            stream,
            "{ok}Content-Length: 3\r\nConnection: close\r\n\r\nmore than three"
        ),
        "/two-lengths" => write!(
            stream,
            "{ok}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"
        ),
        "/huge-length" => write!(stream, "{ok}Content-Length: 99999999999999999999\r\n\r\n"),
        "/junk-chunks" => write!(
            stream,
            "{ok}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n"
        ),
        "/cut-chunks" => write!(stream, "{ok}Transfer-Encoding: chunked\r\n\r\nff\r\nhello"),
        "/chunks" => write!(
            stream,
            "{ok}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        ),
        "/loop" => say(stream, "302 Found", "Location: /loop\r\n", b""),
        "/file" => say(stream, "302 Found", "Location: file:///etc/passwd\r\n", b""),
        "/nowhere" => say(stream, "302 Found", "", b""),
        "/old" => write!(stream, "HTTP/1.0 200 OK\r\n\r\nto the end"),
        "/noise" => stream.write_all(&[0xff; 3000]),
        "/nothing" => Ok(()),
        "/latin" => say(
            stream,
            "200 OK",
            "X-Name: caf\u{e9}\r\nContent-Type: Text/HTML ; q\r\n",
            b"\xff\xfe",
        ),
        "/wrong-part" => say(
            stream,
            "206 Partial Content",
            "Content-Range: bytes 0-4/10\r\n",
            b"01234",
        ),
        "/part-of-nothing" => say(stream, "206 Partial Content", "", b"01234"),
        "/short-part" => say(
            stream,
            "206 Partial Content",
            "Content-Range: bytes 2-5/10\r\n",
            b"01",
        ),
        _ => say(stream, "404 Not Found", "", b""),
    }
}

#[test]
fn a_server_that_lies_is_seen_through_within_bounds() {
    let world = World::new();
    let liar = Liar::start(lie);
    let begin = Instant::now();
    let checks = [
        "name: error endless headers, http: U/endless-headers, expect: { status: 200 }",
        "name: error endless header, http: U/endless-header, expect: { status: 200 }",
        "name: error endless body, http: { url: U/endless-body, max-body: 10 MB }, expect: { length: { ge: 1 } }",
        "name: error endless text, http: U/endless-body, expect: { body: { len: 1 } }",
        "name: error endless and in no time, timeout: 1s, http: U/endless-body, expect: { sha256: { not: x } }",
        "name: pass endless but only its head, http: U/endless-body, expect: { status: 200, length-declared: null }",
        "name: error drip, timeout: 1s, http: U/drip, expect: { length: 100 }",
        "name: error drip of the head, timeout: 1s, http: U/drip-head, expect: { status: 200 }",
        "name: error short, http: U/short, expect: { status: 200, length: { le: 100 } }",
        "name: pass short as evidence, http: U/short, expect: { problem: { contain: does not come whole }, length: 13, length-declared: 100 }",
        "name: fail short, http: U/short, expect: { problem: null }",
        "name: pass long, http: U/long, expect: { body: mor, length: 3 }",
        "name: error two lengths, http: U/two-lengths, expect: { status: 200 }",
        "name: error huge length, http: U/huge-length, expect: { status: 200 }",
        "name: error junk chunks, http: U/junk-chunks, expect: { body: hello }",
        "name: pass cut chunks as evidence, http: U/cut-chunks, expect: { problem: { present: true }, chunked: true, length-declared: null }",
        "name: pass chunks, http: U/chunks, expect: { body: hello, chunked: true, problem: null }",
        "name: error loop, http: U/loop, expect: { status: { lt: 400 } }",
        "name: pass loop as evidence, http: U/loop, expect: { problem: more than 10 redirects, redirects: { len: 10 } }",
        "name: error file, http: U/file, expect: { body: { absent: true } }",
        "name: pass file as evidence, http: U/file, expect: { status: 302, problem: { contain: not http }, redirects: { len: 0 }, body: '' }",
        "name: pass file not followed, http: { url: U/file, follow: false }, expect: { status: 302, problem: null }",
        "name: error nowhere, http: U/nowhere, expect: { status: 302 }",
        "name: pass old, http: U/old, expect: { version: '1.0', body: to the end, length-declared: null }",
        "name: error noise, http: U/noise, expect: { status: 200 }",
        "name: error nothing, http: U/nothing, expect: { status: 200 }",
        "name: pass latin, http: U/latin, expect: { body: null, length: 2, content-type: text/html, headers: { x-name: { starts-with: caf } } }",
        "name: pass another part, http: { url: U/wrong-part, range: 2-5 }, expect: { range: { right: false, problem: { contain: 2-5 were asked for and 0-4 are given } } }",
        "name: pass part of nothing, http: { url: U/part-of-nothing, range: 0-4 }, expect: { range: { right: false, first: null } }",
        "name: pass short part, http: { url: U/short-part, range: 2-5 }, expect: { range: { right: false, problem: { contain: 4 bytes are announced and 2 came } } }",
    ]
    .map(|c| c.replace("U/", &liar.url("/")));
    hold(&world, &checks);
    let took = begin.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
}

#[test]
fn what_is_secret_goes_to_its_server_alone_and_into_no_report() {
    let world = World::new();
    let other = Liar::start(|_, stream| say(stream, "200 OK", "", b"other"));
    let there = other.url("/there");
    let liar = Liar::start(move |asked, stream| match asked.path.as_str() {
        "/away" => say(
            stream,
            "302 Found",
            &format!("Location: {there}?sig=hushhush\r\n"),
            b"",
        ),
        "/away-307" => say(
            stream,
            "307 Temporary Redirect",
            &format!("Location: {there}\r\n"),
            b"",
        ),
        _ => say(
            stream,
            "200 OK",
            "",
            asked.header("authorization").unwrap_or("none").as_bytes(),
        ),
    });
    let at = format!("http://me:hush@127.0.0.1:{}", liar.port);
    let spec = format!(
        "spec: http
secrets: [TOKEN]
checks:
  - http: '{at}/away'
    expect: {{ status: 201 }}
  - name: fail with a token
    http: {{ url: '{0}', headers: {{ Authorization: 'Bearer ${{{{ secrets.TOKEN }}}}' }} }}
    expect: {{ body: x }}
  - name: pass a token
    http: {{ url: '{1}', headers: {{ X-Key: '${{{{ secrets.TOKEN }}}}' }}, text: '${{{{ secrets.TOKEN }}}}', method: POST }}
    expect: {{ body: other }}
  - name: error a body to another server
    http: {{ url: '{2}', text: '${{{{ secrets.TOKEN }}}}', method: POST }}
    expect: {{ status: 307 }}
  - name: error nobody there
    http: 'http://me:hush@127.0.0.1:1/x?key=hushhush'
    expect: {{ status: 200 }}
",
        liar.url("/"), liar.url("/away"), liar.url("/away-307"),
    );
    world.write("specs/it.yaml", spec);
    for format in ["json", "human", "junit", "html"] {
        let mut command = world.command(&["run", "specs", "--format", format]);
        let ran = ran(command.env("TOKEN", "s3cr3t-t0k3n"));
        let all = format!("{}{}", ran.stdout, ran.stderr);
        for secret in ["hush", "s3cr3t", "bWU6"] {
            assert!(!all.contains(secret), "{format}: {all}");
        }
    }
    let told: Vec<Asked> = other.asked();
    assert!(!told.is_empty());
    for asked in told {
        let all = format!("{asked:?}");
        for secret in ["authorization", "x-key", "s3cr3t"] {
            assert!(!all.contains(secret), "{all}");
        }
        assert!(asked.line.starts_with("GET "), "{all}");
    }
    assert!(
        liar.asked()
            .iter()
            .any(|a| a.header("authorization") == Some("basic bwu6ahvzaa=="))
    );
    assert!(liar.asked().iter().any(|a| a.body == b"s3cr3t-t0k3n"));
}

/// Makes a certificate with openssl: of a name, by `ca` or by itself.
pub(super) fn certificate(folder: &Path, name: &str, arguments: &[&str]) -> Option<()> {
    let openssl = peer("openssl")?;
    let (key, cert) = (format!("{name}.key"), format!("{name}.pem"));
    let mut all = vec![
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        &key,
        "-out",
        &cert,
    ];
    all.extend(arguments);
    output(&openssl, folder, &all);
    Some(())
}

/// Makes a certificate whose time is over.
fn expired(folder: &Path) -> Option<()> {
    let openssl = peer("openssl")?;
    let config = "[ca]\ndefault_ca = d\n[d]\ndatabase = index\nnew_certs_dir = .\nrand_serial = yes\n\
                  certificate = root.pem\nprivate_key = root.key\ndefault_md = sha256\npolicy = p\n\
                  x509_extensions = x\n[p]\ncommonName = supplied\n[x]\n\
                  subjectAltName = DNS:localhost,IP:127.0.0.1\n";
    std::fs::write(folder.join("ca.conf"), config).unwrap();
    std::fs::write(folder.join("index"), "").unwrap();
    let asked = [
        "req",
        "-new",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-keyout",
        "old.key",
        "-out",
        "old.csr",
        "-subj",
        "/CN=old",
    ];
    output(&openssl, folder, &asked);
    let made = [
        "ca",
        "-batch",
        "-notext",
        "-config",
        "ca.conf",
        "-in",
        "old.csr",
        "-out",
        "old.pem",
        "-startdate",
        "20200101000000Z",
        "-enddate",
        "20200201000000Z",
    ];
    output(&openssl, folder, &made);
    Some(())
}

/// Makes a root, and certificates by it and by nobody.
pub(super) fn certificates(folder: &Path) -> Option<()> {
    let own = ["-CA", "root.pem", "-CAkey", "root.key"];
    let of = |subject, names, more: &[&'static str]| {
        let mut all = vec![
            "-subj",
            subject,
            "-addext",
            names,
            "-addext",
            "basicConstraints=critical,CA:FALSE",
        ];
        all.extend(more);
        all
    };
    certificate(folder, "root", &["-subj", "/CN=a root", "-days", "9"])?;
    let here = "subjectAltName=DNS:localhost,IP:127.0.0.1";
    certificate(
        folder,
        "good",
        &[&of("/O=tdg/CN=good", here, &["-days", "9"])[..], &own].concat(),
    )?;
    expired(folder)?;
    certificate(
        folder,
        "other",
        &[
            &of("/CN=other", "subjectAltName=DNS:other.example", &[])[..],
            &own,
        ]
        .concat(),
    )?;
    certificate(folder, "self", &of("/CN=self", here, &[]))
}

/// Starts nginx with one of those certificates.
fn served(world: &World, name: &str) -> Option<Server> {
    let folder = world.path().join(name);
    std::fs::create_dir_all(folder.join("files")).unwrap();
    std::fs::write(folder.join("files/one"), "1").unwrap();
    let at = world.path().join(name).display().to_string();
    let settings = format!(
        "ssl_certificate {at}.pem; ssl_certificate_key {at}.key; ssl_protocols TLSv1.2 TLSv1.3;
         location = /down {{ return 302 http://localhost:$server_port/one; }}"
    );
    nginx(&folder, true, &settings)
}

#[test]
fn certificates_are_evidence_where_they_are_asked_for_and_errors_elsewhere() {
    let world = World::new();
    if certificates(world.path()).is_none() {
        return;
    }
    let mut checks: Vec<String> = Vec::new();
    let mut servers = Vec::new();
    for name in ["good", "old", "other", "self"] {
        let Some(server) = served(&world, name) else {
            return;
        };
        let url = format!(
            "{{ url: 'https://localhost:{}/one', ca: root.pem }}",
            server.port
        );
        let loose = format!(
            "{{ url: 'https://localhost:{}/one', ca: root.pem, insecure: true }}",
            server.port
        );
        let more: &[&str] = match name {
            "good" => &[
                "name: pass good, http: U, expect: { status: 200, body: '1', problem: null, tls: { verified: true, problem: null, version: '1.3', subject: 'CN=good,O=tdg', issuer: CN=a root, names: [localhost, 127.0.0.1], expires-in: { between: [168h, 240h] }, self-signed: false, chain: 1, not-after: { match: '^20' } } }",
                "name: pass good without its facts, http: U, expect: { status: 200 }",
                "name: error good of an unknown root, http: { url: 'https://localhost:PORT/one' }, expect: { status: 200 }",
                "name: fail good expires too soon, http: U, expect: { tls: { expires-in: { ge: 720h } } }",
                "name: pass down to http, http: { url: 'https://localhost:PORT/down', ca: root.pem }, expect: { status: 302, problem: { contain: from https to http } }",
            ],
            "old" => &[
                "name: pass old as evidence, http: U, expect: { status: null, problem: { contain: not trusted }, tls: { verified: false, problem: { contain: expired }, subject: CN=old, expires-in: { lt: 0s } } }",
                "name: fail old, http: U, expect: { tls: { verified: true } }",
                "name: fail old and its status, http: U, expect: { status: 200, tls: { subject: CN=old } }",
                "name: error old, http: U, expect: { status: 200 }",
                "name: pass old goes on, http: LOOSE, expect: { status: 200, body: '1', problem: null, tls: { verified: false, problem: { contain: expired }, version: '1.3' } }",
            ],
            "other" => &[
                "name: pass other as evidence, http: U, expect: { tls: { verified: false, problem: { contain: other.example }, names: [other.example] } }",
                "name: error other, http: U, expect: { body: '1' }",
                "name: pass other goes on, http: LOOSE, expect: { status: 200 }",
            ],
            _ => &[
                "name: pass self as evidence, http: U, expect: { tls: { verified: false, self-signed: true, issuer: CN=self } }",
                "name: error self, http: U, expect: { status: 200 }",
            ],
        };
        let port = server.port.to_string();
        let filled = |c: &&str| {
            c.replace("http: U", &format!("http: {url}"))
                .replace("LOOSE", &loose)
                .replace("PORT", &port)
        };
        checks.extend(more.iter().map(filled));
        servers.push(server);
    }
    let report = hold(&world, &checks);
    let why = report.why("error old");
    assert!(
        why.contains("certificate") && why.contains("expired"),
        "{why}"
    );
}
