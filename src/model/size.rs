//! Sizes and durations as people write them.

use std::time::Duration;

/// Reads a size: a plain number of bytes, or a number with a unit (`8 MiB`, `1.5GB`, `512k`).
///
/// Powers of 1024 are `KiB MiB GiB TiB`, powers of 1000 `kB MB GB TB`; returns bytes, or `None`
/// where the text is not a size.
pub fn parse_size(text: &str) -> Option<u64> {
    text.trim().parse::<bytesize::ByteSize>().ok().map(|s| s.0)
}

/// Shows a size the way people read it, exact below 1 KiB: `17 B`, `8.0 MiB`.
pub fn show_size(bytes: u64) -> String {
    bytesize::ByteSize(bytes).display().iec().to_string()
}

/// Reads a duration: a number with a unit, or several (`90s`, `1m30s`, `1 h 30 min`, `250ms`).
///
/// Returns `None` where the text is not a duration, is negative, or counts calendar days.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let duration: jiff::SignedDuration = text.trim().parse().ok()?;
    let duration = Duration::try_from(duration).ok()?;
    (duration <= LONGEST).then_some(duration)
}

/// No duration that people mean is longer than a year; arithmetic on clocks has its limits.
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Shows a duration the way people read it: `340 ms`, `2.41 s`, `3 m 07 s`, `1 h 02 m`.
pub fn show_duration(d: Duration) -> String {
    let secs = d.as_secs();
    if secs == 0 {
        format!("{} ms", d.as_millis())
    } else if secs < 60 {
        format!("{:.2} s", d.as_secs_f64())
    } else if secs < 3600 {
        format!("{} m {:02} s", secs / 60, secs % 60)
    } else {
        format!("{} h {:02} m", secs / 3600, secs % 3600 / 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(parse_size("8 MiB"), Some(8 << 20));
        assert_eq!(parse_size("8MiB"), Some(8 << 20));
        assert_eq!(parse_size("1.5 kB"), Some(1500));
        assert_eq!(parse_size("42"), Some(42));
        assert_eq!(parse_size("lots"), None);
        assert_eq!(parse_size("-3"), None);
        assert_eq!(show_size(17), "17 B");
        assert_eq!(show_size(8 << 20), "8.0 MiB");
    }

    #[test]
    fn durations() {
        assert_eq!(parse_duration("90s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("2h"), Some(Duration::from_secs(7200)));
        assert_eq!(parse_duration("-1s"), None);
        assert_eq!(parse_duration("soon"), None);
        assert_eq!(show_duration(Duration::from_millis(187_000)), "3 m 07 s");
    }
}
