use super::*;

fn class(line: &str) -> Option<Class> {
    let output = format!("building\n{line}\nmake: *** [Makefile:3: all] Error 1");
    passing(&output).map(|p| p.class)
}

#[test]
fn the_network_is_told_from_the_rest() {
    for line in [
        "fatal: unable to access 'https://x/': Could not resolve host: x",
        "error: RPC failed; curl 56 GnuTLS recv error (-54): Error in the pull function.",
        "fatal: the remote end hung up unexpectedly",
        "fetch-pack: unexpected disconnect while reading sideband packet",
        "kex_exchange_identification: Connection closed by remote host",
        "fatal: unable to access 'https://x/': The requested URL returned error: 503",
        "curl: (6) Could not resolve host: example.org",
        "curl: (18) transfer closed with 1234 bytes remaining to read",
        "curl: (28) Operation timed out after 30001 milliseconds with 0 bytes received",
        "curl: (35) OpenSSL SSL_connect: SSL_ERROR_SYSCALL in connection to x:443",
        "curl: (56) Recv failure: Connection reset by peer",
        "curl: (22) The requested URL returned error: 502",
        "Error response from daemon: Get \"https://registry-1.docker.io/v2/\": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
        "net/http: TLS handshake timeout",
        "dial tcp: lookup ghcr.io: no such host",
        "dial tcp: lookup registry-1.docker.io on 127.0.0.53:53: server misbehaving",
        "dial tcp 1.2.3.4:443: i/o timeout",
        "Error: received unexpected HTTP status: 503 Service Unavailable",
        "ERROR: failed to solve: alpine: failed to copy: httpReadSeeker: failed open: unexpected status code https://x/v2/a/blobs/sha256:1: 502 Bad Gateway",
        "ERROR: failed to solve: DeadlineExceeded: failed to fetch oauth token: context deadline exceeded",
        "time=\"2026-01-01T00:00:00Z\" level=fatal msg=\"pinging container registry x: Get \\\"https://x/v2/\\\": dial tcp 1.2.3.4:443: connect: connection refused\"",
        "time=\"2026-01-01T00:00:00Z\" level=fatal msg=\"reading blob sha256:1: unexpected EOF\"",
        "go: example.org/a@v1.0.0: Get \"https://proxy.example.org/a/@v/v1.0.0.mod\": read tcp 10.0.0.1:1->1.2.3.4:443: read: connection reset by peer",
        "go: example.org/a@v1.0.0: reading https://proxy.example.org/a/@v/v1.0.0.zip: 502 Bad Gateway",
        "E: Failed to fetch http://x/a.deb  Temporary failure resolving 'x'",
        "E: Failed to fetch http://x/a.deb  503  Service Unavailable [IP: 1.2.3.4 80]",
        "  File has unexpected size (282604 != 282768). Mirror sync in progress? [IP: 1.2.3.4 80]",
        "Err:1 http://x stable InRelease  Could not connect to x:80 (1.2.3.4), connection timed out",
        "warning: spurious network error (1 tries remaining): [6] Couldn't resolve host name (Could not resolve host: x)",
        "  [28] Timeout was reached (Operation timed out after 30000 milliseconds)",
        "wget: unable to resolve host address 'x'",
        "npm error code ECONNRESET",
        "rpc error: code = Unavailable desc = error reading from server: EOF",
    ] {
        assert_eq!(class(line), Some(Class::Network), "{line}");
    }
}

#[test]
fn a_rate_limit_is_told_from_the_network() {
    for line in [
        "toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading: https://x/increase-rate-limit",
        "Error response from daemon: toomanyrequests: retry-after: 218.093us, allowed: 44000/minute",
        "failed to copy: httpReadSeeker: failed open: unexpected status code https://x/v2/a/manifests/sha256:1: 429 Too Many Requests - Server message: toomanyrequests: Data limit exceeded",
        "FATA[0000] uploading manifest v1 to x/python: toomanyrequests: Rate exceeded",
        "Error response from daemon: error from registry: You have reached your unauthenticated pull rate limit. https://x/increase-rate-limit",
        "Requesting bearer token: invalid status code from registry 429 (Too Many Requests)",
        "curl: (22) The requested URL returned error: 429",
        "ERROR 429: Too Many Requests.",
        "HTTP 403: API rate limit exceeded for 1.2.3.4.",
        "gh: You have exceeded a secondary rate limit. Please wait a few minutes. (HTTP 403)",
        "go: reading https://x/a/@v/list: 429 Too Many Requests",
    ] {
        assert_eq!(class(line), Some(Class::RateLimit), "{line}");
    }
    let asked =
        passing("< HTTP/2 429\n< retry-after: 7\ncurl: (22) The requested URL returned error: 429");
    assert_eq!(asked.unwrap().wait, Some(Duration::from_secs(7)));
}

#[test]
fn a_full_disk_and_a_killed_process_are_their_own() {
    for line in [
        "tar: usr/bin/x: Cannot write: No space left on device",
        "make: write error: stdout: No space left on device",
        "compile: writing output: write $WORK/b211/_pkg_.a: no space left on device",
        "ERROR: failed to build: failed to solve: ResourceExhausted: mkdir /var/lib/docker/tmp/b: no space left on device",
        "E: You don't have enough free space in /var/cache/apt/archives/.",
        "error: failed to commit transaction (not enough free disk space)",
        "npm error code ENOSPC",
        "cp: error writing 'x': Disk quota exceeded",
    ] {
        assert_eq!(class(line), Some(Class::Disk), "{line}");
    }
    // What follows from a full disk does not hide it.
    let both = "tar: write error: No space left on device\ncurl: (56) Connection reset by peer";
    assert_eq!(class(both), Some(Class::Disk));
    for line in [
        "c++: fatal error: Killed signal terminated program cc1plus",
        "make: *** [Makefile:3: all] Killed",
        "/bin/sh: line 1:  4242 Killed                  ./configure",
        "github.com/x/y: /usr/local/go/pkg/tool/linux_amd64/compile: signal: killed",
        "error: could not compile: process didn't exit successfully: `rustc` (signal: 9, SIGKILL: kill)",
        "ERROR: process \"/bin/sh -c make\" did not complete successfully: exit code: 137",
        "virtual memory exhausted: Cannot allocate memory",
    ] {
        let class = passing(line).map(|p| p.class);
        assert_eq!(class, Some(Class::Killed), "{line}");
    }
}

#[test]
fn what_lasts_is_not_tried_again() {
    for line in [
        "make: *** No rule to make target 'x'.  Stop.",
        "error: 503 tests passed",
        "fatal: Authentication failed for 'https://x/'\nconnection reset",
        "x.c:500: error: expected ';'",
        "x.c:12:3: error: 'connection refused' undeclared",
        "fatal: repository 'https://x/y/' not found",
        "fatal: couldn't find remote ref v9",
        "curl: (22) The requested URL returned error: 404",
        "curl: (23) Failed writing body (0 != 2048)",
        "curl: (60) SSL certificate problem: certificate has expired",
        "Error response from daemon: pull access denied for x, repository does not exist or may require 'docker login'",
        "manifest for x:1 not found: manifest unknown: manifest unknown",
        "go: example.org/a@v1: reading https://x/a/@v/v1.info: 410 Gone",
        "go: verifying module: checksum mismatch",
        "E: Unable to locate package foo",
        "E: Failed to fetch http://x/a.deb  404  Not Found [IP: 1.2.3.4 80]",
        "error: failed to get 200 response from `https://x`, got 404",
        "tar: Unexpected EOF in archive",
        "xz: (stdin): Unexpected end of input",
        "Build function: ResourceExhausted: grpc: received message larger than max (5 vs. 4194304)",
        "tls: failed to verify certificate: x509: certificate signed by unknown authority",
        "checking for rate limit support... no",
        "ok 12 - says connection refused where nobody listens",
        "test net::connection reset by peer ... FAILED",
        "+ echo connection refused",
        "",
    ] {
        assert_eq!(class(line), None, "{line}");
    }
    // An early hiccup that was got over is not what ended the command.
    assert_eq!(
        class("curl: (56) Connection reset by peer\nE: Unable to locate package foo"),
        None
    );
    // Only the end of a long output counts.
    let long = format!("connection refused\n{}", "fine\n".repeat(200));
    assert_eq!(passing(&long), None);
}
