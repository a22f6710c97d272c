//! Helpers for evidence values, which are JSON values throughout.

pub use serde_json::Value;

/// Names a value's type in the words diagnostics use.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(n) if n.is_f64() => "a number",
        Value::Number(_) => "an integer",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a record",
    }
}

/// Shows a value on one line, cut to about `limit` characters, with no control character in it.
pub fn show(value: &Value, limit: usize) -> String {
    let text = match value {
        Value::Null => "nothing".to_owned(),
        Value::String(s) => format!("\"{}\"", super::path::printable(s)),
        Value::Array(items) if items.is_empty() => "an empty list".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            super::path::printable(&value.to_string())
        }
    };
    clip(&text, limit)
}

/// Cuts a text to `limit` characters, saying how much is missing.
pub fn clip(text: &str, limit: usize) -> String {
    let total = text.chars().count();
    if total <= limit {
        return text.to_owned();
    }
    let head: String = text.chars().take(limit).collect();
    format!("{head}… ({} more characters)", total - limit)
}

/// Reads a value by a path of record fields, keys of maps and list positions:
/// `segments[0].compression`, `files.len`. A key with dots in it is written as it is,
/// `values.talos.platform`, or in brackets.
///
/// Returns `None` where the path leads nowhere.
pub fn at_path<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    let heads = heads(path);
    if heads.is_empty() {
        return Some(value);
    }
    heads.into_iter().rev().find_map(|(head, rest)| {
        let inner = match value {
            Value::Object(map) => map.get(head)?,
            Value::Array(items) => items.get(head.parse::<usize>().ok()?)?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
        };
        at_path(inner, rest)
    })
}

/// Splits a path into its first part and the rest, in every way there is: the first part may have
/// dots in it. The shortest part comes first; an empty path has none.
pub fn heads(path: &str) -> Vec<(&str, &str)> {
    let path = path.trim_start_matches('.');
    if let Some((head, rest)) = path.strip_prefix('[').and_then(|p| p.split_once(']')) {
        return vec![(head, rest)];
    }
    let ends = path
        .match_indices(['.', '['])
        .map(|(at, _)| at)
        .chain([path.len()]);
    ends.filter(|end| *end > 0)
        .map(|end| path.split_at(end))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_lead_into_records_and_lists() {
        let v = json!({"a": [{"b": 1}, {"b": 2}]});
        assert_eq!(at_path(&v, "a[1].b"), Some(&json!(2)));
        assert_eq!(at_path(&v, "a[7].b"), None);
        assert_eq!(at_path(&v, "x"), None);
        assert_eq!(at_path(&v, ""), Some(&v));
    }

    #[test]
    fn a_key_may_have_dots_in_it() {
        let v = json!({"a": 1, "a.b": {"c": 2, "c.d": [3]}});
        assert_eq!(at_path(&v, "a"), Some(&json!(1)));
        assert_eq!(at_path(&v, "a.b.c"), Some(&json!(2)));
        assert_eq!(at_path(&v, "a.b.c.d[0]"), Some(&json!(3)));
        assert_eq!(at_path(&v, "[a.b][c.d].0"), Some(&json!(3)));
        assert_eq!(at_path(&v, "a.c"), None);
    }

    #[test]
    fn long_values_are_cut_and_say_so() {
        assert_eq!(clip("abcdef", 3), "abc… (3 more characters)");
        assert_eq!(show(&json!("a\u{1b}b"), 20), "\"a\\u{1b}b\"");
    }
}
