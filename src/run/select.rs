//! Choosing trials: tags, filters, partitions.

use std::str::FromStr;

/// Which trials of a plan run.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// A trial has to carry one of these; `!tag` excludes. None: no matter.
    pub tags: Vec<String>,
    /// A trial has to match one of these; `!…` excludes. None: no matter.
    pub filters: Vec<Filter>,
    /// Which slice of what is left.
    pub partition: Option<Partition>,
}

/// A filter expression.
#[derive(Clone, Debug)]
pub enum Filter {
    /// `text`: the name contains it.
    Contains(String),
    /// `=name`: the name is it.
    Exactly(String),
    /// `/regex/`: the name matches it.
    Matches(regex::Regex),
    /// `kind:elf`: the kind is it.
    Kind(String),
    /// `!…`: the rest does not match.
    Not(Box<Filter>),
}

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix('!') {
            return Ok(Self::Not(Box::new(rest.parse()?)));
        }
        if let Some(name) = text.strip_prefix('=') {
            return Ok(Self::Exactly(name.to_owned()));
        }
        if let Some(kind) = text.strip_prefix("kind:") {
            return Ok(Self::Kind(kind.to_owned()));
        }
        if let Some(pattern) = text.strip_prefix('/').and_then(|t| t.strip_suffix('/')) {
            return regex::Regex::new(pattern)
                .map(Self::Matches)
                .map_err(|e| format!("not a regular expression: {e}"));
        }
        if text.is_empty() {
            return Err("an empty filter would choose everything; leave it out".into());
        }
        Ok(Self::Contains(text.to_owned()))
    }
}

impl Filter {
    fn accepts(&self, name: &str, kind: &str) -> bool {
        match self {
            Self::Contains(text) => name.contains(text.as_str()),
            Self::Exactly(exact) => name == exact,
            Self::Matches(regex) => regex.is_match(name),
            Self::Kind(wanted) => kind == wanted,
            Self::Not(inner) => !inner.accepts(name, kind),
        }
    }
}

/// One of several slices of the trials, for machines that share a run: `slice:1/3`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Counted from 1.
    pub index: usize,
    /// How many there are.
    pub count: usize,
}

impl FromStr for Partition {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (index, count) = text.strip_prefix("slice:")?.split_once('/')?;
            let (index, count) = (index.parse().ok()?, count.parse().ok()?);
            (index >= 1 && index <= count).then_some(Self { index, count })
        };
        parse().ok_or_else(|| format!("`{text}` is not a slice; write `slice:1/3`"))
    }
}

impl Selection {
    /// Tells whether a trial is chosen, its slice aside.
    pub fn accepts(&self, name: &str, kind: &str, tags: &[String]) -> bool {
        let has = |tag: &str| tags.iter().any(|t| t == tag);
        let mut wanted = self.tags.iter().filter(|t| !t.starts_with('!')).peekable();
        let included = wanted.peek().is_none() || wanted.any(|t| has(t));
        let excluded = self
            .tags
            .iter()
            .filter_map(|t| t.strip_prefix('!'))
            .any(has);
        let (not, filters): (Vec<&Filter>, Vec<&Filter>) =
            (self.filters.iter()).partition(|f| matches!(f, Filter::Not(_)));
        let filtered = filters.is_empty() || filters.iter().any(|f| f.accepts(name, kind));
        included && !excluded && filtered && not.iter().all(|f| f.accepts(name, kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_and_tags_choose() {
        let select = |tags: &[&str], filters: &[&str]| Selection {
            tags: tags.iter().map(|t| (*t).to_owned()).collect(),
            filters: filters.iter().map(|f| f.parse().unwrap()).collect(),
            partition: None,
        };
        let accepts = |s: &Selection| s.accepts("image/kernel::arch", "kernel", &["arm64".into()]);
        assert!(accepts(&select(&[], &[])));
        assert!(accepts(&select(&["arm64", "x"], &[])));
        assert!(!accepts(&select(&["x"], &[])));
        assert!(!accepts(&select(&["!arm64"], &[])));
        assert!(accepts(&select(&[], &["kernel::"])));
        assert!(!accepts(&select(&[], &["=kernel"])));
        assert!(accepts(&select(&[], &["/^image.*arch$/"])));
        assert!(accepts(&select(&[], &["kind:kernel"])));
        assert!(!accepts(&select(&[], &["!kernel"])));
        assert!(!accepts(&select(&[], &["image", "!kernel"])));
        assert!(accepts(&select(&[], &["image", "!elf"])));
        assert!(!accepts(&select(&[], &["tree", "!elf"])));
        assert!("slice:0/3".parse::<Partition>().is_err());
        assert!("".parse::<Filter>().is_err());
        assert_eq!("slice:2/3".parse(), Ok(Partition { index: 2, count: 3 }));
    }
}
