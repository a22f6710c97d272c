//! What programs say when they fail: the tables.
//!
//! Sources: the messages of git (`http.c`, `connect.c`), curl (`src/tool_operate.c`, `lib/strerror.c`),
//! Go's `net` and `net/http`, containers/image and containerd (`remotes/docker`), apt
//! (`apt-pkg/acquire-item.cc`, `methods/`), GNU tar and coreutils, cargo (`sources/git`, `network`),
//! wget, npm, pip; the registries' own answers (distribution's error codes, GHCR, Docker Hub, ECR).

use regex::RegexSet;

const NETWORK: &[&str] = &[
    r"(?i)connection (was )?(reset|refused|timed out|timeout|closed|aborted)",
    r"(?i)(operation|request|handshake|i/o|read|connect|gateway)(ion)? time(d )?-?out",
    r"(?i)(client\.timeout exceeded|context deadline exceeded|timeout was reached|time-?out (error|exceeded))",
    r"(?i)could(n't| not) (resolve|connect)( to)? ?(host|proxy|server|hostname|\S+:\d+)?\b.*",
    r"(?i)temporary failure (in name resolution|resolving)",
    r"(?i)no such host\b|name or service not known|server misbehaving|unable to resolve host",
    r"(?i)network is unreachable|no route to host|host is unreachable",
    r"(?i)(http|status|returned|error code|response code|got)\D{0,24}\b(500|502|503|504)\b|\berror (500|502|503|504): ",
    r"(?i)\b(500 internal server error|502 bad gateway|503 service|504 gateway)",
    r"(?i)^\s*(E: )?(Err:)?.*\b50[234]  (service|bad|gateway)",
    r"(?i)tls handshake (timeout|error)|ssl_error_syscall|gnutls(_handshake| recv error)|ssl_read|openssl ssl_connect",
    r"(?:^|[:=\s\x22])(unexpected )?EOF[\x22)]?\s*$",
    r"(?i)the remote end hung up|early eof|rpc failed|fetch-pack: unexpected disconnect|kex_exchange_identification",
    r"(?i)(write|send|recv|read)[^\n]{0,80}: broken pipe",
    r"(?i)curl: \((5|6|7|16|18|28|35|52|55|56|92)\)|^\s*\[(6|7|16|18|28|35|52|55|56|92)\] ",
    r"(?i)transfer closed with|empty reply from server|recv failure|send failure|failure when receiving data",
    r"(?i)mirror sync in progress|connection failed \[IP|unable to connect to \S+:(http|\d)",
    r"\b(ECONNRESET|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|ENETUNREACH|EHOSTUNREACH)\b",
    r"(?i)(readtimeouterror|newconnectionerror|incompleteread|connectionreseterror)",
    r"(?i)code = unavailable\b|spurious network error",
];

const RATE_LIMIT: &[&str] = &[
    r"(?i)\btoo ?many ?requests\b",
    r"(?i)rate limit (exceeded|reached|hit)|(exceeded|reached) (a|an|the|your)? ?[a-z ]{0,30}rate limit",
    r"(?i)\b(rate exceeded|throttlingexception|slowdown: please reduce)",
    r"(?i)(http|status|returned|error code|response code|got)\D{0,24}\b429\b|\berror 429: ",
];

const DISK: &[&str] = &[
    r"(?i)no space left on device",
    r"(?i)disk quota exceeded",
    r"(?i)you don't have enough free space in ",
    r"(?i)not enough free (disk )?space",
    r"\bENOSPC\b",
];

const KILLED: &[&str] = &[
    r"(?i)\bkilled signal terminated program\b",
    r"(?i)\bsignal: killed\b|\bsignal: 9, SIGKILL\b",
    r"^(make(\[\d+\])?: \*\*\* .*|[^:]+: line \d+: +\d+ )?Killed\b.*$",
    r"(?i)exit (code|status):? 137\b|\*\*\* .* Error 137\b",
    r"(?i)^(fatal error: )?(runtime: )?(out of memory|cannot allocate memory)\b|: cannot allocate memory|virtual memory exhausted",
];

/// A refused login: no second try mends it, whatever else is said.
const REFUSED: &[&str] = &[
    r"(?i)\b(401 unauthorized|403 forbidden)\b",
    r"(?i)authentication (failed|required)|could not read username|permission denied \(publickey",
    r"(?i)\bunauthorized: |\bdenied: |pull access denied",
    r"(?i)certificate (signed by unknown|has expired|is not valid|verify failed|verification failed)|ssl certificate problem|curl: \(60\)",
];

/// What a second try finds the same.
const LASTING: &[&str] = &[
    r"(?i)repository .{0,200} not found|remote: not found|couldn't find remote ref|unknown revision",
    r"(?i)\b(404|410)\b\s+(not found|gone)|(returned|status)\D{0,24}\b(400|404|405|410|422)\b",
    r"(?i)manifest unknown|name unknown|blob unknown|no match for platform",
    r"(?i)unable to locate package|has no installation candidate|checksum mismatch|digest mismatch|did not match digest",
    r"(?i)no rule to make target|undefined reference to|could not compile|syntax error",
];

/// A line that quotes such words instead of saying them: a compiler's, a test's, a shell's trace.
const QUOTES: &[&str] = &[
    r"^\S+:\d+(:\d+)?: (error|warning|note|fatal error):",
    r"^\s*(not )?ok \d+\b|^test .+ \.\.\. ",
    r"^\s*(\+|#define|//|/\*|echo |printf |grep )",
    r"(?i)^tar: unexpected eof in archive|unexpected end of (input|file)",
];

/// The tables, compiled.
pub(super) struct Tables {
    network: RegexSet,
    rate_limit: RegexSet,
    disk: RegexSet,
    killed: RegexSet,
    refused: RegexSet,
    lasting: RegexSet,
    quotes: RegexSet,
}

impl Tables {
    pub(super) fn new() -> Result<Self, regex::Error> {
        Ok(Self {
            network: RegexSet::new(NETWORK)?,
            rate_limit: RegexSet::new(RATE_LIMIT)?,
            disk: RegexSet::new(DISK)?,
            killed: RegexSet::new(KILLED)?,
            refused: RegexSet::new(REFUSED)?,
            lasting: RegexSet::new(LASTING)?,
            quotes: RegexSet::new(QUOTES)?,
        })
    }

    pub(super) fn network(&self, line: &str) -> bool {
        self.network.is_match(line)
    }

    pub(super) fn rate_limit(&self, line: &str) -> bool {
        self.rate_limit.is_match(line)
    }

    pub(super) fn disk(&self, line: &str) -> bool {
        self.disk.is_match(line)
    }

    pub(super) fn killed(&self, line: &str) -> bool {
        self.killed.is_match(line)
    }

    pub(super) fn refused(&self, line: &str) -> bool {
        self.refused.is_match(line)
    }

    pub(super) fn lasting(&self, line: &str) -> bool {
        self.lasting.is_match(line)
    }

    pub(super) fn quotes(&self, line: &str) -> bool {
        self.quotes.is_match(line)
    }
}
