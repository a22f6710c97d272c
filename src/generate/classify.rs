//! Telling a passing failure from a lasting one, by what a command said.

use regex::RegexSet;
use std::sync::OnceLock;

/// What the network says when it is the network.
const PASSING: &[&str] = &[
    r"(?i)connection (was )?(reset|refused|timed out|closed)",
    r"(?i)(operation|request|handshake|i/o|read|connect) time(d )?-?out",
    r"(?i)could ?n[o']t resolve (host|proxy)",
    r"(?i)temporary failure (in name resolution|resolving)",
    r"(?i)no such host|name or service not known|server misbehaving",
    r"(?i)network is unreachable|no route to host",
    r"(?i)too many requests|toomanyrequests|rate limit",
    r"(?i)(http|status|returned)\D{0,24}\b(429|500|502|503|504)\b",
    r"(?i)\b(502 bad gateway|503 service|504 gateway)",
    r"(?i)tls (handshake )?(timeout|error)|ssl_error_syscall|gnutls_handshake|unexpected eof",
    r"(?i)the remote end hung up|early eof|rpc failed|broken pipe",
    r"(?i)curl: \((5|6|7|18|28|35|52|55|56|92)\)",
];

/// What no second try mends, whatever else is said.
const LASTING: &[&str] = &[
    r"(?i)no space left on device",
    r"(?i)disk quota exceeded",
    r"(?i)\b(401 unauthorized|403 forbidden)\b",
    r"(?i)authentication (failed|required)",
    r"(?i)repository .{0,200} not found",
];

/// How much of the end of an output is looked at, in lines.
const LOOKED_AT: usize = 60;

/// Gives the line that shows a failure to be a passing one of the network, if one does.
pub(super) fn network(output: &str) -> Option<String> {
    static SETS: OnceLock<Option<(RegexSet, RegexSet)>> = OnceLock::new();
    let sets =
        SETS.get_or_init(|| Some((RegexSet::new(PASSING).ok()?, RegexSet::new(LASTING).ok()?)));
    let (passing, lasting) = sets.as_ref()?;
    let lines: Vec<&str> = output.lines().collect();
    let end = &lines[lines.len().saturating_sub(LOOKED_AT)..];
    if end.iter().any(|line| lasting.is_match(line)) {
        return None;
    }
    // The last such line is nearest to what ended the command.
    let line = end.iter().rev().find(|line| passing.is_match(line))?;
    Some(crate::model::value::clip(line.trim(), 200))
}

#[cfg(test)]
mod tests {
    use super::network;

    #[test]
    fn the_network_is_told_from_the_rest() {
        for line in [
            "fatal: unable to access 'https://x/': Could not resolve host: x",
            "curl: (56) Recv failure: Connection reset by peer",
            "Error: received unexpected HTTP status: 503 Service Unavailable",
            "toomanyrequests: You have reached your pull rate limit",
            "net/http: TLS handshake timeout",
            "dial tcp: lookup ghcr.io: no such host",
            "fatal: the remote end hung up unexpectedly",
            "The requested URL returned error: 429",
            "dial tcp 1.2.3.4:443: i/o timeout",
        ] {
            assert!(
                network(&format!("a\n{line}\nmake: *** [x] Error 1")).is_some(),
                "{line}"
            );
        }
        for line in [
            "make: *** No rule to make target 'x'.  Stop.",
            "error: 503 tests passed",
            "tar: write error: No space left on device\nConnection reset by peer",
            "fatal: Authentication failed for 'https://x/'\nconnection reset",
            "x.c:500: error: expected ';'",
            "",
        ] {
            assert_eq!(network(line), None, "{line}");
        }
    }
}
