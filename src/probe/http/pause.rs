//! When the same is asked again.

use reqwest::header::{HeaderMap, RETRY_AFTER};
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// How often the same is asked, and how long it is waited in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How many times it is asked at most; 1 and less is once.
    pub tries: u32,
    /// The first pause; each further one is twice as long. All of them vary by half, so that many
    /// who were refused together do not come back together.
    pub pause: Duration,
    /// The longest pause, whatever the server asks for.
    pub longest: Duration,
}

impl Patience {
    /// Asks once.
    pub const ONCE: Self = Self {
        tries: 1,
        pause: Duration::ZERO,
        longest: Duration::ZERO,
    };
    /// Asks a few times, for somebody who waits for the answer.
    pub const SHORT: Self = Self {
        tries: 3,
        pause: Duration::from_millis(250),
        longest: Duration::from_secs(5),
    };
    /// Asks for some minutes, for somebody who would have to begin again.
    pub const LONG: Self = Self {
        tries: 7,
        pause: Duration::from_millis(500),
        longest: Duration::from_secs(60),
    };
}

/// The pauses between the tries of one thing.
#[derive(Debug)]
pub struct Pauses {
    patience: Patience,
    made: u32,
}

impl Pauses {
    /// Begins with the first try.
    pub fn new(patience: Patience) -> Self {
        Self { patience, made: 1 }
    }

    /// Tells whether there is another try.
    pub fn left(&self) -> bool {
        self.made < self.patience.tries
    }

    /// Gives the pause before the next try, which is not shorter than the server wants, within the
    /// bound; `None` where there is no further try.
    pub fn next(&mut self, wanted: Option<Duration>) -> Option<Duration> {
        if !self.left() {
            return None;
        }
        let pause = self.patience.pause * 2u32.saturating_pow(self.made - 1).min(1 << 10);
        self.made += 1;
        // Half of it to one and a half times as much.
        let random = RandomState::new().hash_one(self.made) % 1024;
        let varied = pause / 2 + pause * u32::try_from(random).unwrap_or(0) / 1024;
        Some(
            varied
                .max(wanted.unwrap_or_default())
                .min(self.patience.longest),
        )
    }

    /// Begins anew, because there was progress.
    pub fn again(&mut self) {
        self.made = 1;
    }
}

/// Reads how long the server wants to be left alone, in seconds. Source: RFC 9110, 10.2.3; of the
/// form with a date nothing is taken.
pub fn after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_vary_and_end() {
        let patience = Patience {
            tries: 5,
            pause: Duration::from_millis(100),
            longest: Duration::from_millis(500),
        };
        let mut pauses = Pauses::new(patience);
        let all: Vec<Duration> = std::iter::from_fn(|| pauses.next(None)).collect();
        assert_eq!(all.len(), 4);
        for (pause, (least, most)) in
            all.iter()
                .zip([(50, 150), (100, 300), (200, 500), (400, 500)])
        {
            let millis = pause.as_millis();
            assert!((least..=most).contains(&millis), "{all:?}");
        }
        pauses.again();
        let wanted = Some(Duration::from_millis(333));
        assert!(pauses.next(wanted).unwrap() >= Duration::from_millis(333));
        let wanted = Some(Duration::from_secs(3600));
        assert_eq!(pauses.next(wanted), Some(Duration::from_millis(500)));
        assert_eq!(Pauses::new(Patience::ONCE).next(None), None);
    }

    #[test]
    fn what_a_server_wants_is_read() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            after(&headers)
        };
        assert_eq!(of(" 7 "), Some(Duration::from_secs(7)));
        for none in [
            "",
            "-1",
            "1.5",
            "Fri, 31 Dec 1999 23:59:59 GMT",
            "99999999999999999999",
        ] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
