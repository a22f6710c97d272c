//! The three forms of a date.

use jiff::civil::DateTime;

/// Reads the seven bytes of a directory record as seconds since 1970
/// (ECMA-119 §9.1.5); 0 where they are no date, as in Linux.
pub(super) fn short(bytes: [u8; 7]) -> i64 {
    let [year, month, day, hour, minute, second, zone] = bytes;
    let year = 1900 + i64::from(year);
    let rest = [month, day, hour, minute, second].map(i64::from);
    seconds(year, rest, zone).unwrap_or(0).max(0)
}

/// Reads the sixteen digits and the zone of a volume descriptor (§8.4.26.1);
/// `None` where the date is left open.
pub(super) fn long(bytes: &[u8; 17]) -> Option<i64> {
    let number = |from: usize, to: usize| -> Option<i64> {
        std::str::from_utf8(bytes.get(from..to)?).ok()?.parse().ok()
    };
    let rest = [
        number(4, 6)?,
        number(6, 8)?,
        number(8, 10)?,
        number(10, 12)?,
        number(12, 14)?,
    ];
    let year = number(0, 4).filter(|year| *year > 0)?;
    seconds(year, rest, *bytes.get(16)?)
}

fn seconds(year: i64, rest: [i64; 5], zone: u8) -> Option<i64> {
    let [month, day, hour, minute, second] = rest.map(|n| i8::try_from(n).ok());
    let year = i16::try_from(year).ok()?;
    let when = DateTime::new(year, month?, day?, hour?, minute?, second?, 0).ok()?;
    let utc = when.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    // In quarters of an hour east of Greenwich; Linux ignores what can be no zone.
    let zone = i64::from(zone.cast_signed());
    let east = if (-52..=52).contains(&zone) {
        zone * 900
    } else {
        0
    };
    Some(utc.timestamp().as_second() - east)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_count_from_1970_whatever_their_zone() {
        // 2024-06-23 14:00 in a zone of two hours.
        assert_eq!(short([124, 6, 23, 14, 0, 0, 8]), 1_719_144_000);
        assert_eq!(short([124, 6, 23, 12, 0, 0, 0]), 1_719_144_000);
        assert_eq!(short([124, 13, 1, 0, 0, 0, 0]), 0);
        assert_eq!(short([69, 1, 1, 0, 0, 0, 0]), 0);
        assert_eq!(long(b"2024062314000000\x08"), Some(1_719_144_000));
        assert_eq!(long(b"0000000000000000\0"), None);
    }
}
