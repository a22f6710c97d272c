//! The line `Linux version 6.1.0 (…)` that every kernel carries.

use crate::format::node::escape;

const START: &[u8] = b"Linux version ";
/// The banner's buffer in the kernel is smaller than this.
const LONGEST: usize = 1024;

/// The banner and the release in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Banner {
    pub(super) release: String,
    pub(super) line: String,
}

/// Finds the banner in a decoded kernel. A format string that begins alike
/// (`Linux version %s`) is passed over: a release begins with a digit.
/// Source: `linux_banner` in `init/version-timestamp.c`.
pub(super) fn find(bytes: &[u8]) -> Option<Banner> {
    let mut rest = bytes;
    loop {
        let at = position(rest, START)?;
        let line = rest.get(at..)?;
        rest = line.get(START.len()..)?;
        if rest.first()?.is_ascii_digit() {
            let line = line.get(..line.len().min(LONGEST))?;
            let line = line.split(|byte| matches!(byte, 0 | b'\n')).next()?;
            let release = line
                .get(START.len()..)?
                .split(|byte| *byte == b' ')
                .next()?;
            return Some(Banner {
                release: escape(release),
                line: escape(line),
            });
        }
    }
}

/// Finds `needle`, looking for its rare first byte before comparing.
fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    loop {
        let at = from
            + haystack
                .get(from..)?
                .iter()
                .position(|byte| *byte == first)?;
        if haystack.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}
