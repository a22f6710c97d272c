//! Globs, as tdg means them everywhere.

use globset::{GlobBuilder, GlobMatcher};

/// No glob is longer, in bytes.
const MAX_LENGTH: usize = 4096;
/// No glob has more choices in braces.
const MAX_BRACES: usize = 32;

/// Compiles a glob: `*` and `?` stop at `/`, `**` does not, `{a,b}` chooses, `[ab]` is one of some
/// characters.
///
/// # Errors
/// Says what is wrong with the pattern.
pub fn glob(pattern: &str) -> Result<GlobMatcher, String> {
    // The compiler of globs follows braces by recursion.
    if pattern.len() > MAX_LENGTH || pattern.matches('{').count() > MAX_BRACES {
        return Err("it is longer or has more braces than a path can need".into());
    }
    GlobBuilder::new(pattern)
        .literal_separator(true)
        .empty_alternates(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| error.kind().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_or_has_too_many_braces_is_not_compiled() {
        assert!(glob("a/{b,c}/**").unwrap().is_match("a/c/d/e"));
        assert!(!glob("a/*").unwrap().is_match("a/b/c"));
        let long = |text: &str, times: usize| glob(&text.repeat(times)).unwrap_err();
        assert!(long("a", MAX_LENGTH + 1).contains("longer"));
        assert!(long("{a,}", MAX_BRACES + 1).contains("more braces"));
        assert!(glob(&"{a,}".repeat(MAX_BRACES)).is_ok());
        assert!(!glob("a{b").unwrap_err().is_empty());
    }
}
