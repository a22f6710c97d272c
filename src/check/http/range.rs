//! A range that is asked for, and whether the answer gives it.

use super::Part;
use crate::check::ProbeError;
use crate::probe::http::ContentRange;
use crate::probe::http::client::Head;

/// What is asked for. Source: RFC 9110, section 14.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Range {
    /// From a byte to another, both counted from 0 and given.
    Between(u64, u64),
    /// From a byte to the end.
    From(u64),
    /// That many bytes at the end.
    Last(u64),
}

impl Range {
    /// Reads it as a spec writes it.
    ///
    /// # Errors
    /// Where it is no range of one part.
    pub(super) fn parse(text: &str) -> Result<Self, ProbeError> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| text.parse::<u64>().ok()).flatten()
        };
        let parts = text
            .split_once('-')
            .map(|(a, b)| (a, number(a), b, number(b)));
        let read = match parts {
            Some((_, Some(first), _, Some(last))) if first <= last => {
                Some(Self::Between(first, last))
            }
            Some((_, Some(first), "", None)) => Some(Self::From(first)),
            Some(("", None, _, Some(count))) if count > 0 => Some(Self::Last(count)),
            Some(_) | None => None,
        };
        read.ok_or_else(|| {
            ProbeError::new(format!("`{text}` is no range of bytes"))
                .remedy("write `0-99`, `100-` or, for the last hundred, `-100`")
        })
    }

    /// Gives the first and the last byte, of a whole of this size.
    fn within(self, size: u64) -> Option<(u64, u64)> {
        let end = size.checked_sub(1)?;
        match self {
            Self::Between(first, last) => (first <= end).then_some((first, last.min(end))),
            Self::From(first) => (first <= end).then_some((first, end)),
            Self::Last(count) => Some((size.saturating_sub(count), end)),
        }
    }

    /// Holds an answer against it. `length` is how many bytes came.
    pub(super) fn seen(self, head: &Head, length: Option<u64>) -> Part {
        let said = ContentRange::of(&head.headers);
        let problem = match (head.status, said) {
            (206, Some(said)) => self.misses(said, length),
            (206, None) => {
                Some("the server sends a part and does not say which, and of how much".to_owned())
            }
            (200, _) => Some("the server sends all of it, not the part".to_owned()),
            (416, _) => Some("the server says that there is no such part".to_owned()),
            (status, _) => Some(format!("the server answers {status}, not 206")),
        };
        let said = said.filter(|_| head.status == 206);
        Part {
            right: problem.is_none(),
            problem,
            first: said.map(|said| said.first),
            last: said.map(|said| said.last),
            size: said.map(|said| said.size),
        }
    }

    fn misses(self, said: ContentRange, length: Option<u64>) -> Option<String> {
        let wanted = self.within(said.size);
        if wanted != Some((said.first, said.last)) {
            let wanted = wanted.map_or("none".to_owned(), |(a, b)| format!("{a}-{b}"));
            return Some(format!(
                "of {} bytes, {wanted} were asked for and {}-{} are given",
                said.size, said.first, said.last
            ));
        }
        // Of an answer to HEAD, or one that is not read, nothing comes.
        let length = length.filter(|length| *length > 0)?;
        (length != said.length()).then(|| {
            let announced = said.length();
            format!("{announced} bytes are announced and {length} came")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_they_are_written() {
        let read = |text: &str| Range::parse(text).ok();
        assert_eq!(read("0-99"), Some(Range::Between(0, 99)));
        assert_eq!(read("5-"), Some(Range::From(5)));
        assert_eq!(read("-5"), Some(Range::Last(5)));
        for wrong in [
            "",
            "-",
            "5",
            "9-1",
            "-0",
            "a-b",
            "1-2,4-5",
            "+1-2",
            " 1-2",
            "1--2",
            "0-99999999999999999999",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_range_ends_where_the_whole_ends() {
        assert_eq!(Range::Between(2, 99).within(10), Some((2, 9)));
        assert_eq!(Range::From(9).within(10), Some((9, 9)));
        assert_eq!(Range::Last(99).within(10), Some((0, 9)));
        assert_eq!(Range::From(10).within(10), None);
        assert_eq!(Range::Last(1).within(0), None);
    }
}
