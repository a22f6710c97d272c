//! Patterns over the paths of a view.

use crate::model::glob::glob;
use crate::model::path::normalise;
use globset::GlobMatcher;
use thiserror::Error;

/// A pattern: `*` and `?` stay inside one component, `**` crosses them,
/// `{a,b}` is either, `[ab]` one of some characters.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    /// The path, where it is none; otherwise the folder that holds everything
    /// it can cover.
    fixed: Fixed,
    matcher: GlobMatcher,
}

/// What a pattern says without any sign of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fixed {
    /// All of it is one path.
    Path(String),
    /// It covers nothing outside of this folder; the empty one is the root.
    Folder(String),
}

impl Fixed {
    fn of(pattern: &str) -> Self {
        if !Pattern::is_pattern(pattern) {
            return Self::Path(pattern.to_owned());
        }
        let parts = pattern
            .split('/')
            .take_while(|part| !Pattern::is_pattern(part));
        Self::Folder(parts.collect::<Vec<_>>().join("/"))
    }
}

/// A pattern that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{pattern}` is not a pattern: {what}")]
pub struct PatternError {
    pattern: String,
    what: String,
}

impl Pattern {
    /// Reads a pattern; a leading `/` may be left out.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let inner = normalise(text);
        let matcher = glob(&inner).map_err(|what| PatternError {
            pattern: crate::model::value::clip(text, 80),
            what,
        })?;
        Ok(Self {
            text: text.to_owned(),
            fixed: Fixed::of(&inner),
            matcher,
        })
    }

    /// Tells what can be looked up instead of searched.
    pub(super) fn fixed(&self) -> &Fixed {
        &self.fixed
    }

    /// Tells whether a path is a pattern.
    #[must_use]
    pub fn is_pattern(path: &str) -> bool {
        path.contains(['*', '?', '[', '{', '\\'])
    }

    /// Gives the pattern as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Says whether a path (in tdg's form, without leading `/`) matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.matcher.is_match(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(path)
    }

    #[test]
    fn patterns_stay_inside_components_unless_doubled() {
        assert!(matches("**", "usr/bin/env"));
        assert!(matches("/usr/bin/*", "usr/bin/env"));
        assert!(matches("usr/{bin,sbin}/e?v", "usr/bin/env"));
        assert!(matches("**/*.so*", "usr/lib/libc.so.6"));
        assert!(matches("**/init", "init"));
        assert!(!matches("usr/*", "usr/bin/env"));
        assert!(Pattern::new("a{b").is_err());
    }
}
