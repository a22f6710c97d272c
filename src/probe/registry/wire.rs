//! What registries write in headers.

/// Reads the address of the next page from a `Link` header: `</v2/a/tags/list?last=x>; rel="next"`.
/// Gives it as it stands there. Source: RFC 8288, section 3; OCI distribution specification,
/// "Listing Tags".
pub fn next_page(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (_, begin) = rest.split_once('<')?;
        let (target, behind) = begin.split_once('>')?;
        // The parameters end with the next link; what stands in quotes does not end them.
        let mut quoted = false;
        let end = behind.find(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        let (parameters, further) = match end {
            Some(end) => (behind.get(..end)?, behind.get(end + 1..)?),
            None => (behind, ""),
        };
        let mut pairs = parameters
            .split(';')
            .filter_map(|pair| pair.split_once('='));
        let is_next = pairs.any(|(name, value)| {
            let mut relations = value.trim().trim_matches('"').split_ascii_whitespace();
            name.trim().eq_ignore_ascii_case("rel")
                && relations.any(|relation| relation.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target.trim()).filter(|target| !target.is_empty());
        }
        rest = further;
    }
}

/// Reads how much of an upload a registry has from its `Range` header: `0-1023` is 1024 bytes.
///
/// `0-0` is none: so registries say that nothing has come, although it would be one byte. Source:
/// OCI distribution specification, "Pushing a blob in chunks".
pub fn uploaded(header: &str) -> Option<u64> {
    let text = header.trim();
    let text = text.strip_prefix("bytes=").unwrap_or(text);
    let (first, last) = text.split_once('-')?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if first != "0" || !digits(last) {
        return None;
    }
    match last.parse::<u64>().ok()? {
        0 => Some(0),
        last => last.checked_add(1),
    }
}

/// Tells whether a text is a tag. Source: OCI distribution specification, "Pulling manifests".
pub fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= 128
        && text.starts_with(word)
        && text.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_whatever_stands_beside_it() {
        for (header, next) in [
            (
                r#"</v2/a/tags/list?n=2&last=b>; rel="next""#,
                Some("/v2/a/tags/list?n=2&last=b"),
            ),
            (
                "<https://r.example/x>;REL=next",
                Some("https://r.example/x"),
            ),
            (
                r#"</a>; rel="prev"; title="x, <y>", </b>; rel="up next""#,
                Some("/b"),
            ),
            (r#"</a>; rel="prev""#, None),
            ("</a>", None),
            ("<>; rel=next", None),
            ("</a; rel=next", None),
            ("", None),
            ("><; rel=next", None),
        ] {
            assert_eq!(next_page(header), next, "{header}");
        }
    }

    #[test]
    fn what_has_come_is_read() {
        for (header, length) in [
            ("0-1023", Some(1024)),
            ("bytes=0-9", Some(10)),
            ("0-0", Some(0)),
            ("1-9", None),
            ("0--9", None),
            ("0-+9", None),
            ("0-", None),
            ("-", None),
            ("", None),
            ("0-18446744073709551615", None),
        ] {
            assert_eq!(uploaded(header), length, "{header}");
        }
    }

    #[test]
    fn a_tag_is_a_word() {
        for tag in ["1", "_x", "v1.2-rc_3", &"a".repeat(128)] {
            assert!(is_tag(tag), "{tag}");
        }
        for none in ["", ".x", "-x", "a/b", "a:b", "ä", &"a".repeat(129)] {
            assert!(!is_tag(none), "{none}");
        }
    }
}
