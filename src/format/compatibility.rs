//! The range of Talos versions that an extension says it is for.
//!
//! Source: `validateConstraints` in `pkg/machinery/extensions/validate.go` of
//! Talos, which takes the `v` out of versions, drops what follows the three
//! numbers of its own version, and leaves the rest to the ranges of
//! `blang/semver`: comparisons one after another all have to hold, `||`
//! separates choices, `1.2.x` and `1.x` stand for all versions that begin so.

use semver::{BuildMetadata, Prerelease, Version};

/// No range in use is longer.
const MAX_LENGTH: usize = 1024;

/// A range of versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range {
    choices: Vec<Vec<Comparison>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Comparison {
    operator: Operator,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Range {
    /// Reads a range such as `>= v1.5.0 < v2.0.0 || 3.x`.
    ///
    /// Errors: says which part is none; Talos refuses such an extension.
    pub fn read(text: &str) -> Result<Self, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("a range of {} bytes", text.len()));
        }
        let mut choices = vec![Vec::new()];
        let mut pending = String::new();
        for word in text.split_whitespace() {
            if word == "||" && pending.is_empty() {
                choices.push(Vec::new());
                continue;
            }
            // So does the parser of Talos with what is one character long.
            if word.len() == 1 && pending.is_empty() && !word.contains(['<', '>', '=']) {
                continue;
            }
            pending.push_str(word);
            // An operator may stand apart from its version.
            if word.ends_with(['<', '>', '=']) {
                continue;
            }
            let comparisons = comparisons(&pending)?;
            pending.clear();
            if let Some(choice) = choices.last_mut() {
                choice.extend(comparisons);
            }
        }
        if !pending.is_empty() || choices.iter().any(Vec::is_empty) {
            return Err(format!("`{text}` is not a range of versions"));
        }
        Ok(Self { choices })
    }

    /// Tells whether a version of Talos is in the range. Of a pre-release, the
    /// release that it leads to counts.
    #[must_use]
    pub fn holds(&self, talos: &Version) -> bool {
        let talos = Version::new(talos.major, talos.minor, talos.patch);
        let every = |choice: &Vec<Comparison>| choice.iter().all(|c| c.holds(&talos));
        self.choices.iter().any(every)
    }
}

impl Comparison {
    fn new(operator: Operator, version: Version) -> Self {
        Self { operator, version }
    }

    fn holds(&self, seen: &Version) -> bool {
        let order = seen.cmp_precedence(&self.version);
        match self.operator {
            Operator::Equal => order.is_eq(),
            Operator::NotEqual => order.is_ne(),
            Operator::Less => order.is_lt(),
            Operator::LessOrEqual => order.is_le(),
            Operator::Greater => order.is_gt(),
            Operator::GreaterOrEqual => order.is_ge(),
        }
    }
}

/// Reads the version of a Talos release: with or without a `v`, of one number
/// to three.
///
/// Errors: says that it is none.
pub fn talos(text: &str) -> Result<Version, String> {
    let trimmed = text.trim();
    let plain = trimmed.strip_prefix('v').unwrap_or(trimmed);
    let end = plain.find(['-', '+']).unwrap_or(plain.len());
    let (numbers, rest) = plain.split_at(end);
    let missing = 3usize.saturating_sub(numbers.split('.').count());
    let filled = format!("{numbers}{}{rest}", ".0".repeat(missing));
    Version::parse(&filled).map_err(|_| format!("`{trimmed}` is not a version of Talos"))
}

/// Reads one comparison: one, or the two that a version with an `x` stands for.
fn comparisons(text: &str) -> Result<Vec<Comparison>, String> {
    let refused = || format!("`{text}` is not a comparison with a version");
    let digit = |c: char| c.is_ascii_digit();
    let at = text.find(digit).ok_or_else(refused)?;
    let (operator, version) = text.split_at(at);
    let operator = match operator.strip_suffix('v').unwrap_or(operator) {
        "" | "=" | "==" => Operator::Equal,
        "!" | "!=" => Operator::NotEqual,
        "<" => Operator::Less,
        "<=" => Operator::LessOrEqual,
        ">" => Operator::Greater,
        ">=" => Operator::GreaterOrEqual,
        _ => return Err(refused()),
    };
    let Some((first, next)) = wildcard(version) else {
        let version = Version::parse(version).map_err(|_| refused())?;
        return Ok(vec![Comparison::new(operator, version)]);
    };
    let one = |operator, version| vec![Comparison::new(operator, version)];
    Ok(match operator {
        Operator::Greater => one(Operator::GreaterOrEqual, next),
        Operator::GreaterOrEqual => one(Operator::GreaterOrEqual, first),
        Operator::Less => one(Operator::Less, first),
        Operator::LessOrEqual => one(Operator::Less, next),
        Operator::Equal => vec![
            Comparison::new(Operator::GreaterOrEqual, first),
            Comparison::new(Operator::Less, next),
        ],
        // Both have to hold, which no version can do: so it is in Talos as well.
        Operator::NotEqual => vec![
            Comparison::new(Operator::Less, first),
            Comparison::new(Operator::GreaterOrEqual, next),
        ],
    })
}

/// Gives the first version of `1.2.x` or `1.x`, and the first behind it.
fn wildcard(version: &str) -> Option<(Version, Version)> {
    let mut numbers = Vec::new();
    let mut open = false;
    let parts = version.split('.').count();
    for part in version.split('.') {
        match part {
            "x" => open = true,
            _ if open => return None,
            _ => numbers.push(part.parse::<u64>().ok()?),
        }
    }
    let release = |major, minor| Version {
        major,
        minor,
        patch: 0,
        pre: Prerelease::EMPTY,
        build: BuildMetadata::EMPTY,
    };
    match numbers.as_slice() {
        // `1.x.x` ends where `1.0.x` does: so it is in Talos as well.
        [major] if open && parts == 3 => Some((release(*major, 0), release(*major, 1))),
        [major] if open && parts == 2 => {
            Some((release(*major, 0), release(major.checked_add(1)?, 0)))
        }
        [major, minor] if open && parts == 3 => {
            let next = release(*major, minor.checked_add(1)?);
            Some((release(*major, *minor), next))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(range: &str, version: &str) -> bool {
        Range::read(range).unwrap().holds(&talos(version).unwrap())
    }

    #[test]
    fn ranges_are_those_of_talos() {
        for (range, inside, outside) in [
            (">= v1.5.0", "v1.5.0", "v1.4.9"),
            (">=1.5.0 <1.8.0", "1.7.12", "1.8.0"),
            ("> v1.0.0 < v2.0.0 || > v3.0.0 !v4.2.1", "v3.1.1", "v4.2.1"),
            ("1.13.x", "v1.13.6", "v1.14.0"),
            ("<= 1.x", "v1.99.0", "v2.0.0"),
            ("> 1.12.x", "v1.13.0", "v1.12.9"),
            ("v1.13.6", "v1.13.6", "v1.13.7"),
        ] {
            assert!(holds(range, inside), "{range} has {inside}");
            assert!(!holds(range, outside), "{range} lacks {outside}");
        }
        assert!(holds(">= v1.14.0", "v1.14.0-alpha.2"), "the release counts");
        assert!(!holds("!= 1.13.x", "v1.12.0"), "as in Talos");
    }

    #[test]
    fn what_talos_refuses_is_refused() {
        for range in [
            "",
            "||",
            ">= 1.5.0 ||",
            "|| 1.5.0",
            ">=",
            "latest",
            "1.5",
            "~1.5.0",
            ">= x.1.2",
            "1.x.3",
            "1.2.3.x",
            ">= 1.5.0 || || 2.0.0",
        ] {
            assert!(Range::read(range).is_err(), "{range}");
        }
        assert!(Range::read(&"1.0.0 ".repeat(1000)).is_err());
        assert!(talos("main").is_err());
        assert_eq!(talos(" v1.13 ").unwrap(), Version::new(1, 13, 0));
    }
}
