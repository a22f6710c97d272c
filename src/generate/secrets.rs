//! Values that must not get out: found in the forms they take, and replaced.

use crate::model::excerpt::hide_head;
use crate::model::value::Value;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use std::collections::BTreeMap;

/// Shorter values than this are words of the language, not secrets.
const SHORTEST: usize = 6;
/// A line of a key of many lines is looked for by itself where it is as long as this.
const SHORTEST_LINE: usize = 16;

/// The secrets a recipe names, by their names.
#[derive(Clone, Debug, Default)]
pub(super) struct Secrets {
    /// Every form, and whose it is; the longest first.
    forms: Vec<(Vec<u8>, String)>,
}

impl Secrets {
    /// Takes named values; those that are too short to be told from words are left out.
    pub(super) fn new(named: &BTreeMap<String, String>) -> Self {
        let mut forms: Vec<(Vec<u8>, String)> = Vec::new();
        for (name, value) in named {
            let mut values = vec![value.trim()];
            let lines = value.lines().map(str::trim);
            // The frame of a key is no secret.
            let inner = lines.filter(|l| l.len() >= SHORTEST_LINE && !l.starts_with("-----"));
            values.extend(inner);
            for value in values.into_iter().filter(|v| v.len() >= SHORTEST) {
                let of = |form: Vec<u8>| (form, name.clone());
                forms.extend(self::forms(value).into_iter().map(of));
            }
        }
        forms.sort_by_key(|(form, _)| std::cmp::Reverse(form.len()));
        forms.dedup();
        Self { forms }
    }

    /// Names the secret that bytes contain, in any of its forms.
    pub(super) fn find(&self, bytes: &[u8]) -> Option<&str> {
        let found = |(form, _): &&(Vec<u8>, String)| memchr::memmem::find(bytes, form).is_some();
        self.forms.iter().find(found).map(|(_, name)| name.as_str())
    }

    /// Names the secret that a patch contains: in its text, or in its added lines joined.
    pub(super) fn find_in_patch(&self, patch: &[u8]) -> Option<&str> {
        let added = patch
            .split(|b| *b == b'\n')
            .filter_map(|line| line.strip_prefix(b"+"))
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let joined: Vec<u8> = added.flatten().copied().collect();
        self.find(patch).or_else(|| self.find(&joined))
    }

    /// Replaces every form by `***`.
    pub(super) fn redact(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for (form, _) in &self.forms {
            if let Ok(form) = std::str::from_utf8(form)
                && out.contains(form)
            {
                out = out.replace(form, "***");
            }
        }
        if out.contains('…') {
            for form in self.texts() {
                out = hide_head(&out, form, "***");
            }
        }
        out
    }

    /// Replaces every form in a value, its keys among it.
    pub(super) fn redact_value(&self, value: &Value) -> Value {
        let text = value.to_string();
        let clean = self.redact(&text);
        match clean == text {
            true => value.clone(),
            // A number that is one leaves no value behind, but a text.
            false => serde_json::from_str(&clean).unwrap_or(Value::String(clean)),
        }
    }

    /// Gives every form as text, for whoever replaces them itself.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let texts = self.forms.iter();
        texts.filter_map(|(form, _)| std::str::from_utf8(form).ok())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.forms.is_empty()
    }
}

/// Gives the forms a value takes: as it is, in JSON, percent-encoded, in hexadecimal digits, and
/// in base64 wherever it begins in what is encoded.
fn forms(value: &str) -> Vec<Vec<u8>> {
    let mut forms = vec![value.as_bytes().to_vec()];
    let quoted = serde_json::Value::from(value).to_string();
    forms.push(quoted.trim_matches('"').as_bytes().to_vec());
    let encoded = percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC)
        .to_string();
    forms.push(encoded.to_ascii_lowercase().into_bytes());
    forms.push(encoded.into_bytes());
    // Most programs leave these four as they are.
    const LEFT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    forms.push(
        percent_encoding::utf8_percent_encode(value, LEFT)
            .to_string()
            .into_bytes(),
    );
    let hex = value
        .bytes()
        .map(|b| format!("{b:02x}"))
        .collect::<String>();
    forms.push(hex.to_ascii_uppercase().into_bytes());
    forms.push(hex.into_bytes());
    for engine in [&STANDARD, &URL_SAFE] {
        for before in 0..3usize {
            let bytes = [&vec![0; before][..], value.as_bytes()].concat();
            let text = engine.encode(&bytes).into_bytes();
            // The digits at both ends also hold bits of what stands beside the value.
            let start = [0, 2, 3][before];
            let whole = bytes.len() * 8 / 6;
            let middle = text.get(start..whole).unwrap_or_default();
            if middle.len() >= SHORTEST {
                forms.push(middle.to_vec());
            }
        }
    }
    forms.sort();
    forms.dedup();
    forms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(value: &str) -> Secrets {
        Secrets::new(&BTreeMap::from([(
            "API_TOKEN".to_owned(),
            value.to_owned(),
        )]))
    }

    #[test]
    fn a_secret_is_found_in_every_form() {
        let value = "hunter2/2+two&\"3";
        let secrets = secrets(value);
        for before in ["", "a", "ab", "user:"] {
            for after in ["", "x", "yz", "\n"] {
                let text = format!("{before}{value}{after}");
                for form in [
                    text.clone(),
                    serde_json::Value::from(text.as_str()).to_string(),
                    STANDARD.encode(&text),
                    URL_SAFE.encode(&text),
                    text.bytes().map(|b| format!("{b:02x}")).collect(),
                    percent_encoding::utf8_percent_encode(
                        &text,
                        percent_encoding::NON_ALPHANUMERIC,
                    )
                    .to_string(),
                ] {
                    let line = format!("-- {form} --");
                    assert_eq!(secrets.find(line.as_bytes()), Some("API_TOKEN"), "{line}");
                    let clean = secrets.redact(&line);
                    assert!(clean.contains("***"), "{clean}");
                    assert_eq!(secrets.find(clean.as_bytes()), None);
                }
            }
        }
        assert_eq!(secrets.find(b"hunter2"), None);
        let wrapped = STANDARD.encode(format!("{value}{value}"));
        let (a, b) = wrapped.split_at(10);
        let patch = format!("@@ -0,0 +1,2 @@\n+{a}\n+{b}\n");
        assert_eq!(secrets.find_in_patch(patch.as_bytes()), Some("API_TOKEN"));
    }

    #[test]
    fn a_value_stays_one_without_its_secrets() {
        let secrets = secrets("12345678");
        let value = |text: &str| -> Value { serde_json::from_str(text).unwrap() };
        for (seen, clean) in [
            (
                r#"{"a": [1, "x 12345678"], "12345678": null}"#,
                r#"{"a": [1, "x ***"], "***": null}"#,
            ),
            (r#""MTIzNDU2Nzg=""#, r#""***g=""#),
            ("12345678", r#""***""#),
            ("[true]", "[true]"),
            (
                r#""x 123456… (2 more characters)""#,
                r#""x ***… (2 more characters)""#,
            ),
        ] {
            let now = secrets.redact_value(&value(seen));
            assert_eq!(now, value(clean));
        }
    }

    #[test]
    fn lines_of_a_key_count_and_words_do_not() {
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkq\nhkiG9w0BAQEFAASC\n-----END KEY-----\n";
        let secrets = secrets(key);
        assert_eq!(secrets.find(b"+  hkiG9w0BAQEFAASC"), Some("API_TOKEN"));
        assert!(self::secrets("short").is_empty());
        assert_eq!(self::secrets("short").redact("short"), "short");
    }
}
