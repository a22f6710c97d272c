//! Keeping secret values out of everything that is shown or kept.

use super::event::TrialInfo;
use crate::model::excerpt::hide_head;
use crate::model::path::printable;
use crate::model::value::Value;

/// What stands where a secret was.
const HIDDEN: &str = "•••";
/// A shorter line of a secret of several lines is no secret by itself (`}`, `-----`).
const MIN_LINE: usize = 8;

/// The secrets of a run, in every form a report could show them in.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// Longest first, so that none is hidden in part by another.
    forms: Vec<String>,
}

impl Secrets {
    pub(super) fn new(values: &[String]) -> Self {
        let mut forms: Vec<String> = Vec::new();
        for value in values {
            let mut plain = vec![value.as_str(), value.trim()];
            if value.trim().contains('\n') {
                // A diff and a report show a long text line by line.
                plain.extend(value.lines().map(str::trim).filter(|l| l.len() >= MIN_LINE));
            }
            for text in plain {
                let json = Value::from(text).to_string();
                forms.push(text.to_owned());
                forms.push(printable(text));
                forms.push(json[1..json.len() - 1].to_owned());
            }
        }
        forms.retain(|form| !form.is_empty());
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        forms.dedup();
        Self { forms }
    }

    /// Takes the secrets out of a text, those cut off by a `…` as well.
    pub(super) fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for form in &self.forms {
            if text.contains(form.as_str()) {
                text = text.replace(form.as_str(), HIDDEN);
            }
        }
        if text.contains('…') {
            for form in &self.forms {
                text = hide_head(&text, form, HIDDEN);
            }
        }
        text
    }

    /// Takes the secrets out of what reporters know of a trial.
    pub(super) fn hide_info(&self, info: &TrialInfo) -> TrialInfo {
        let hide = |text: &String| self.hide(text);
        let hide_pair = |(k, v): &(String, Value)| (k.clone(), self.hide_value(v));
        TrialInfo {
            name: hide(&info.name),
            spec: hide(&info.spec),
            check: hide(&info.check),
            kind: info.kind,
            subject: info.subject.as_ref().map(hide),
            tags: info.tags.iter().map(hide).collect(),
            matrix: info.matrix.iter().map(hide_pair).collect(),
            place: info.place.clone(),
        }
    }

    /// Takes the secrets out of every text of a value, keys among them.
    pub(super) fn hide_value(&self, value: &Value) -> Value {
        if self.forms.is_empty() {
            return value.clone();
        }
        match value {
            Value::String(s) => Value::String(self.hide(s)),
            Value::Array(items) => Value::Array(items.iter().map(|v| self.hide_value(v)).collect()),
            Value::Object(map) => Value::Object(
                map.iter()
                    .map(|(k, v)| (self.hide(k), self.hide_value(v)))
                    .collect(),
            ),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_hidden_in_each_of_its_forms() {
        let key = "first line of a key\nsecond line of a key\n";
        let secrets = Secrets::new(&["s3cr\"et".to_owned(), key.to_owned()]);
        let hide = |text: &str| secrets.hide(text);
        assert_eq!(hide("a s3cr\"et b"), "a ••• b");
        assert_eq!(hide(r#"{"a":"s3cr\"et"}"#), r#"{"a":"•••"}"#);
        assert_eq!(hide(key), "•••");
        assert_eq!(hide(r"first line of a key\nsecond line of a key"), "•••");
        assert_eq!(hide("-second line of a key\n+x"), "-•••\n+x");
        assert_eq!(
            hide("…, s3cr… (9 more characters)"),
            "…, •••… (9 more characters)"
        );
        assert_eq!(hide("nothing of it"), "nothing of it");
    }
}
