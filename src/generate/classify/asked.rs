//! How long a server asks to wait: `Retry-After`, as programs print it.

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use std::time::Duration;

/// Longer than this is no wait that anybody means.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 3600);

/// Reads a wait out of a line: seconds, a duration as Go writes it (`218.093µs`, `1m30s`), or a
/// date (RFC 9110, section 10.2.3).
pub(super) fn wait(line: &str) -> Option<Duration> {
    wait_at(line, Timestamp::now())
}

fn wait_at(line: &str, now: Timestamp) -> Option<Duration> {
    let lower = line.to_ascii_lowercase();
    let at = ["retry-after", "retry after", "retry_after"]
        .iter()
        .find_map(|word| Some(lower.find(word)? + word.len()))?;
    let rest = line
        .get(at..)?
        .trim_start_matches(|c: char| " \t:='\"`\\".contains(c));
    span(rest)
        .or_else(|| date(rest, now))
        .filter(|wait| *wait <= LONGEST)
}

/// Reads numbers with units; a number alone is seconds.
fn span(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = 0.0;
    let mut seen = false;
    loop {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let Ok(number) = rest[..digits].parse::<f64>() else {
            break;
        };
        let after = &rest[digits..];
        let letters = after
            .trim_start_matches(' ')
            .find(|c: char| !c.is_alphabetic() && c != 'µ')
            .unwrap_or(after.trim_start_matches(' ').len());
        let word = &after.trim_start_matches(' ')[..letters];
        let unit = match word {
            "ns" => 1e-9,
            "µs" | "μs" | "us" => 1e-6,
            "ms" => 1e-3,
            "m" | "min" | "minute" | "minutes" => 60.0,
            "h" | "hour" | "hours" => 3600.0,
            _ => 1.0,
        };
        sum += number * unit;
        seen = true;
        let known = ["ns", "µs", "μs", "us", "ms", "s", "m", "h"].contains(&word);
        if !known || !after.starts_with(word) {
            break;
        }
        rest = &after[word.len()..];
    }
    if !seen {
        return None;
    }
    Duration::try_from_secs_f64(sum).ok()
}

fn date(text: &str, now: Timestamp) -> Option<Duration> {
    let end = text.find(" GMT")? + 4;
    let then = rfc2822::parse(&text[..end]).ok()?.timestamp();
    let seconds = then.as_second().saturating_sub(now.as_second());
    // A date that is past means: now.
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_of_saying_when_is_read() {
        let now: Timestamp = "2015-10-21T07:27:30Z".parse().unwrap();
        for (line, millis) in [
            ("< retry-after: 60", Some(60_000)),
            ("Retry-After: 120\r", Some(120_000)),
            (
                "toomanyrequests: retry-after: 218.093us, allowed: 44000/minute",
                Some(0),
            ),
            (
                "TOOMANYREQUESTS: retry-after: 1.16676ms, allowed: 44000/minute",
                Some(1),
            ),
            ("retry-after: 312.685µs, allowed", Some(0)),
            ("retry after 1m30s", Some(90_000)),
            ("please retry after 30 seconds", Some(30_000)),
            ("retry after 2 minutes", Some(120_000)),
            ("Retry-After: Wed, 21 Oct 2015 07:28:00 GMT", Some(30_000)),
            ("Retry-After: Wed, 21 Oct 2015 07:27:00 GMT", Some(0)),
            ("{\"retry_after\": 1.5}", Some(1_500)),
            ("retry-after: soon", None),
            ("Retry-After: 99999999999999999999", None),
            ("retry-after:", None),
            ("429 Too Many Requests", None),
        ] {
            let millis = millis.map(Duration::from_millis);
            let read = wait_at(line, now);
            let whole = read.map(|d| Duration::from_millis(u64::try_from(d.as_millis()).unwrap()));
            assert_eq!(whole, millis, "{line}");
        }
    }
}
