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

/// Reads a value by a path of record fields and list positions: `segments[0].compression`, `files.len`.
///
/// Returns `None` where the path leads nowhere.
pub fn at_path<'v>(value: &'v Value, path: &str) -> Option<&'v Value> {
    let mut here = value;
    for part in path.split(['.', '[']).filter(|p| !p.is_empty()) {
        let part = part.trim_end_matches(']');
        here = match here {
            Value::Object(map) => map.get(part)?,
            Value::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return None,
        };
    }
    Some(here)
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
    }

    #[test]
    fn long_values_are_cut_and_say_so() {
        assert_eq!(clip("abcdef", 3), "abc… (3 more characters)");
        assert_eq!(show(&json!("a\u{1b}b"), 20), "\"a\\u{1b}b\"");
    }
}
