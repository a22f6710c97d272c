//! Names by which addresses lead to the parts of tables in which names repeat.

use std::collections::{HashMap, HashSet};

/// Gives each part of a table a name that no other has.
#[derive(Debug, Default)]
pub(super) struct Names {
    taken: HashSet<String>,
    /// How often each name was asked for.
    counts: HashMap<String, u32>,
}

impl Names {
    /// Takes the name as it is, or the first of `name#2`, `name#3`, … that is
    /// free: one of those may stand in the table as well.
    pub(super) fn unique(&mut self, name: String) -> String {
        if self.taken.insert(name.clone()) {
            return name;
        }
        let count = self.counts.entry(name.clone()).or_insert(1);
        loop {
            *count += 1;
            let candidate = format!("{name}#{count}");
            if self.taken.insert(candidate.clone()) {
                return candidate;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_looks_like_a_repeated_one_is_no_other_part_s() {
        for table in [
            ["a", "a#2", "a", "a"],
            ["a", "a", "a#2", "a"],
            ["a#2", "a", "a", "a#2"],
        ] {
            let mut names = Names::default();
            let given: HashSet<_> = table
                .iter()
                .map(|n| names.unique((*n).to_owned()))
                .collect();
            assert_eq!(given.len(), table.len(), "{table:?}: {given:?}");
        }
    }
}
