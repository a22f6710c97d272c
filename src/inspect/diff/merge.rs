//! Two sorted listings as one: which entries belong together.

use std::ops::Range;

use super::role::Roles;
use super::{Options, Side};
use crate::format::{Entry, FileType};

/// What is to be looked at, by positions in the two listings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Row {
    /// An entry of both sides.
    Both(usize, usize),
    /// An entry of one side, and what is in it.
    Only(Side, usize, Range<usize>),
}

/// One name of a directory.
#[derive(Debug, Clone)]
struct Group<'e> {
    key: &'e str,
    /// The entry itself; an archive may leave a directory out.
    own: Option<usize>,
    /// What is in it.
    below: Range<usize>,
}

/// Two directories that are compared: their entries, and how much of the paths
/// there is their own.
#[derive(Debug)]
struct Level {
    ranges: [Range<usize>; 2],
    prefixes: [usize; 2],
}

/// Finds pairs among entries of one directory that are there on one side only.
pub(super) type Pairing<'p> = dyn Fn([&[Option<&Entry>]; 2]) -> Vec<(usize, usize)> + 'p;

pub(super) struct Merge<'m> {
    pub(super) sides: [&'m [Entry]; 2],
    pub(super) roles: &'m Roles,
    pub(super) pairing: &'m Pairing<'m>,
    pub(super) options: &'m Options,
}

enum Task {
    Level(Level),
    Row(Row),
}

enum Met<'e> {
    Both(Group<'e>, Group<'e>),
    Only(Side, Group<'e>),
}

impl<'m> Merge<'m> {
    /// Gives the rows in the order of the paths.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        // Paths of an archive are as deep as they are long: no recursion.
        let mut tasks = vec![Task::Level(Level {
            ranges: self.sides.map(|entries| 0..entries.len()),
            prefixes: [0, 0],
        })];
        while let Some(task) = tasks.pop() {
            match task {
                Task::Row(row) => rows.push(row),
                Task::Level(level) => {
                    let at = tasks.len();
                    self.level(&level, &mut tasks);
                    if let Some(new) = tasks.get_mut(at..) {
                        new.reverse();
                    }
                }
            }
        }
        rows
    }

    fn level(&self, level: &Level, tasks: &mut Vec<Task>) {
        let [a, b] = [Side::A, Side::B].map(|side| self.groups(side, level));
        let mut met = meet(a, b);
        self.pair(&mut met);
        for met in met {
            match met {
                Met::Both(a, b) => self.both(&a, &b, level, tasks),
                Met::Only(side, group) => self.only(side, &group, level, tasks),
            }
        }
    }

    fn both(&self, a: &Group<'_>, b: &Group<'_>, level: &Level, tasks: &mut Vec<Task>) {
        if let (Some(a), Some(b)) = (a.own, b.own) {
            tasks.push(Task::Row(Row::Both(a, b)));
        }
        let next =
            |side: Side, group: &Group<'_>| match group.own.and_then(|at| self.entry(side, at)) {
                Some(entry) => entry.path.len() + 1,
                None => level.prefixes[side.index()] + group.key.len() + 1,
            };
        if !a.below.is_empty() || !b.below.is_empty() {
            tasks.push(Task::Level(Level {
                ranges: [a.below.clone(), b.below.clone()],
                prefixes: [next(Side::A, a), next(Side::B, b)],
            }));
        }
    }

    fn only(&self, side: Side, group: &Group<'_>, level: &Level, tasks: &mut Vec<Task>) {
        let Some(own) = group.own else {
            // Nobody says anything about the directory: its entries speak for themselves.
            let mut ranges = [0..0, 0..0];
            ranges[side.index()] = group.below.clone();
            let mut prefixes = level.prefixes;
            prefixes[side.index()] += group.key.len() + 1;
            tasks.push(Task::Level(Level { ranges, prefixes }));
            return;
        };
        if self.options.all {
            let each = std::iter::once(own).chain(group.below.clone());
            tasks.extend(each.map(|at| Task::Row(Row::Only(side, at, 0..0))));
        } else {
            tasks.push(Task::Row(Row::Only(side, own, group.below.clone())));
        }
    }

    fn entry(&self, side: Side, at: usize) -> Option<&'m Entry> {
        self.sides[side.index()].get(at)
    }

    /// Splits a directory into its names.
    fn groups(&self, side: Side, level: &Level) -> Vec<Group<'m>> {
        let range = level.ranges[side.index()].clone();
        let prefix = level.prefixes[side.index()];
        let mut groups: Vec<Group<'m>> = Vec::new();
        let mut at = range.start;
        while let Some(entry) = self.entry(side, at).filter(|_| at < range.end) {
            let rest = entry.path.get(prefix..).unwrap_or_default();
            let (name, own) = match rest.split_once('/') {
                Some((name, _)) => (name, None),
                None => (rest, Some(at)),
            };
            let start = at + usize::from(own.is_some());
            let inside = |entry: &Entry| {
                let rest = entry.path.get(prefix..).unwrap_or_default();
                rest.strip_prefix(name)
                    .is_some_and(|rest| rest.starts_with('/'))
            };
            let rest = self.sides[side.index()]
                .get(start..range.end)
                .unwrap_or_default();
            let below = start..start + rest.partition_point(inside);
            at = below.end;
            groups.push(Group {
                key: own
                    .and_then(|_| self.roles.name(side, &entry.path))
                    .unwrap_or(name),
                own,
                below,
            });
        }
        if !self.roles.is_empty() {
            groups.sort_by_key(|group| group.key);
        }
        groups
    }

    /// Joins what is there on one side only with its like on the other.
    fn pair(&self, met: &mut Vec<Met<'m>>) {
        let mut only: [Vec<(usize, Option<&Entry>)>; 2] = [Vec::new(), Vec::new()];
        for (position, met) in met.iter().enumerate() {
            if let Met::Only(side, group) = met {
                let entry = group.own.and_then(|at| self.entry(*side, at));
                only[side.index()].push((position, entry));
            }
        }
        if only.iter().any(Vec::is_empty) {
            return;
        }
        let [a, b] = only
            .each_ref()
            .map(|list| list.iter().map(|(_, entry)| *entry).collect::<Vec<_>>());
        let mut taken = Vec::new();
        for (a, b) in (self.pairing)([&a, &b]) {
            let (Some((a, _)), Some((b, _))) = (only[0].get(a), only[1].get(b)) else {
                continue;
            };
            let (Some(Met::Only(_, first)), Some(Met::Only(_, second))) =
                (met.get(*a), met.get(*b))
            else {
                continue;
            };
            let joined = Met::Both(first.clone(), second.clone());
            if let Some(place) = met.get_mut(*a) {
                *place = joined;
                taken.push(*b);
            }
        }
        let mut position = 0;
        met.retain(|_| {
            position += 1;
            !taken.contains(&(position - 1))
        });
    }
}

/// Lays two sorted lists of names beside one another.
fn meet<'e>(a: Vec<Group<'e>>, b: Vec<Group<'e>>) -> Vec<Met<'e>> {
    let mut met = Vec::with_capacity(a.len().max(b.len()));
    let (mut a, mut b) = (a.into_iter().peekable(), b.into_iter().peekable());
    loop {
        let order = match (a.peek(), b.peek()) {
            (Some(a), Some(b)) => a.key.cmp(b.key),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (None, None) => return met,
        };
        match order {
            std::cmp::Ordering::Less => met.extend(a.next().map(|g| Met::Only(Side::A, g))),
            std::cmp::Ordering::Greater => met.extend(b.next().map(|g| Met::Only(Side::B, g))),
            std::cmp::Ordering::Equal => {
                let both = a.next().zip(b.next());
                met.extend(both.map(|(a, b)| Met::Both(a, b)));
            }
        }
    }
}

/// Adds up the regular files of some entries.
pub(super) fn size(entries: &[Entry]) -> u64 {
    let files = entries.iter().filter(|e| e.meta.kind == FileType::File);
    files.fold(0, |sum, entry| sum.saturating_add(entry.meta.size))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Metadata;

    fn entries(paths: &[&str]) -> Vec<Entry> {
        let entry = |path: &&str| Entry {
            path: path.trim_end_matches('/').to_owned(),
            meta: Metadata::plain(
                match path.ends_with('/') {
                    true => FileType::Directory,
                    false => FileType::File,
                },
                1,
            ),
            inode: 0,
        };
        paths.iter().map(entry).collect()
    }

    fn shown(a: &[&str], b: &[&str], pairing: &Pairing<'_>) -> Vec<String> {
        let sides = [entries(a), entries(b)];
        let merge = Merge {
            sides: [&sides[0], &sides[1]],
            roles: &Roles::default(),
            pairing,
            options: &Options::default(),
        };
        let show = |row: &Row| match row {
            Row::Both(x, y) if sides[0][*x].path == sides[1][*y].path => {
                format!("={}", sides[0][*x].path)
            }
            Row::Both(x, y) => format!("{}>{}", sides[0][*x].path, sides[1][*y].path),
            Row::Only(Side::A, at, below) => format!("-{} {}", sides[0][*at].path, below.len()),
            Row::Only(Side::B, at, below) => format!("+{} {}", sides[1][*at].path, below.len()),
        };
        merge.rows().iter().map(show).collect()
    }

    #[test]
    fn a_directory_of_one_side_is_one_row_and_what_is_implied_speaks_for_itself() {
        let none: &Pairing<'_> = &|_| Vec::new();
        let rows = shown(
            &["a/", "a/x", "b/", "b/1", "b/2/", "b/2/3", "c/d/e", "f"],
            &["a/", "a/x", "a/y", "c/", "c/d/", "c/d/e", "f", "g"],
            none,
        );
        assert_eq!(
            rows,
            ["=a", "=a/x", "+a/y 0", "-b 3", "=c/d/e", "=f", "+g 0"]
        );
        assert_eq!(shown(&["p/q/r", "p/s"], &[], none), ["-p/q/r 0", "-p/s 0"]);
    }

    #[test]
    fn a_name_that_another_begins_with_is_no_directory_of_it() {
        let none: &Pairing<'_> = &|_| Vec::new();
        let rows = shown(&["a/", "a/b", "a-b"], &["a/", "a-b", "a-b"], none);
        assert_eq!(rows, ["=a", "-a/b 0", "=a-b", "+a-b 0"]);
    }

    #[test]
    fn what_is_paired_is_gone_into() {
        let first: &Pairing<'_> = &|[a, b]| {
            let at = |list: &[Option<&Entry>], name: &str| {
                list.iter().position(|e| e.is_some_and(|e| e.path == name))
            };
            at(a, "1.0").zip(at(b, "2.0")).into_iter().collect()
        };
        let rows = shown(
            &["1.0/", "1.0/m", "1.0/n", "z"],
            &["0", "2.0/", "2.0/m", "z"],
            first,
        );
        assert_eq!(rows, ["+0 0", "1.0>2.0", "1.0/m>2.0/m", "-1.0/n 0", "=z"]);
    }
}
