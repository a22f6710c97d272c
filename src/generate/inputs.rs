//! What a stage depends on: named digests, so that a change can be named.

use crate::model::Sha256Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The digests of everything a stage depends on, by a name people understand.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Inputs(BTreeMap<String, String>);

impl Inputs {
    /// Adds an input by its content.
    pub(super) fn add(&mut self, name: impl Into<String>, content: impl AsRef<[u8]>) {
        self.add_digest(name, Sha256Digest::of(content.as_ref()));
    }

    /// Adds an input by its digest.
    pub(super) fn add_digest(&mut self, name: impl Into<String>, digest: Sha256Digest) {
        self.0.insert(name.into(), digest.to_string());
    }

    /// Adds all of another set.
    pub(super) fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.clone());
    }

    /// Digests them all.
    pub(super) fn digest(&self) -> String {
        let mut text = String::new();
        for (name, digest) in &self.0 {
            text.push_str(&format!("{name}\0{digest}\n"));
        }
        Sha256Digest::of(text.as_bytes()).to_string()
    }

    /// Names what differs, most telling first: `patches/02.patch changed`; nothing where all is
    /// the same.
    pub(super) fn difference(&self, before: &Self) -> Option<String> {
        let names = self.changed(before);
        let (first, more) = (names.first()?, names.len() - 1);
        let verb = match (before.0.contains_key(first), self.0.contains_key(first)) {
            (true, true) => "changed",
            (false, _) => "is new",
            (true, false) => "is gone",
        };
        Some(match more {
            0 => format!("{first} {verb}"),
            _ => format!("{first} {verb}, and {more} more"),
        })
    }

    /// Lists the inputs that differ.
    pub(super) fn changed(&self, before: &Self) -> Vec<String> {
        let mut names: Vec<String> = self
            .0
            .keys()
            .chain(before.0.keys())
            .filter(|name| self.0.get(*name) != before.0.get(*name))
            .cloned()
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_named() {
        let inputs = |pairs: &[(&str, &str)]| {
            let mut inputs = Inputs::default();
            pairs.iter().for_each(|(k, v)| inputs.add(*k, v));
            inputs
        };
        let one = inputs(&[("a", "1"), ("b", "2")]);
        assert_eq!(one.difference(&one.clone()), None);
        assert_eq!(one.digest(), one.clone().digest());
        let two = inputs(&[("a", "1"), ("b", "3")]);
        assert_eq!(two.difference(&one).unwrap(), "b changed");
        assert_ne!(one.digest(), two.digest());
        let three = inputs(&[("b", "2"), ("c", "3"), ("d", "4")]);
        assert_eq!(three.difference(&one).unwrap(), "a is gone, and 2 more");
        assert_eq!(one.difference(&inputs(&[("a", "1")])).unwrap(), "b is new");
    }
}
