//! Where the bytes of an image are.

use std::collections::BTreeMap;

use super::item::Item;
use crate::format::FileType;

/// The bytes of a walk, by container and by what files are.
#[derive(Debug, Clone, Default)]
pub struct Weight {
    /// For each container, in the order of the walk: its address, its depth,
    /// its bytes, and the bytes of the files in it that are no containers.
    containers: Vec<Share>,
    by_content: BTreeMap<&'static str, (u64, u64)>,
    largest: Vec<(u64, String)>,
}

/// One container's part.
#[derive(Debug, Clone)]
pub struct Share {
    /// The address that leads to it.
    pub address: String,
    /// How many containers it is inside of.
    pub depth: usize,
    /// What it is.
    pub what: &'static str,
    /// Its bytes as they are stored.
    pub size: u64,
    /// How many files are in it, those of containers in it left out.
    pub files: u64,
    /// The bytes of those files.
    pub content: u64,
}

/// How many of the largest files are kept.
const LARGEST: usize = 10;

impl Weight {
    pub(super) fn add(&mut self, item: &Item) {
        if item.container {
            self.containers.push(Share {
                address: item.address.clone(),
                depth: item.depth,
                what: item.what,
                size: item.size,
                files: 0,
                content: 0,
            });
            return;
        }
        if item.kind != FileType::File || item.entry.is_none() {
            return;
        }
        let own = self
            .containers
            .iter_mut()
            .rev()
            .find(|share| share.depth + 1 == item.depth);
        if let Some(share) = own {
            share.files += 1;
            share.content += item.size;
        }
        let (files, bytes) = self.by_content.entry(item.what).or_default();
        *files += 1;
        *bytes += item.size;
        let smallest = self.largest.last().map_or(0, |(size, _)| *size);
        if self.largest.len() < LARGEST || item.size > smallest {
            let at = self.largest.partition_point(|(size, _)| *size >= item.size);
            self.largest.insert(at, (item.size, item.address.clone()));
            self.largest.truncate(LARGEST);
        }
    }

    /// Gives every container in the order of the walk.
    #[must_use]
    pub fn containers(&self) -> &[Share] {
        &self.containers
    }

    /// Gives files and bytes by what the files are, the heaviest first.
    #[must_use]
    pub fn by_content(&self) -> Vec<(&'static str, u64, u64)> {
        let mut list: Vec<_> = self
            .by_content
            .iter()
            .map(|(what, (files, bytes))| (*what, *files, *bytes))
            .collect();
        list.sort_by_key(|(_, _, bytes)| std::cmp::Reverse(*bytes));
        list
    }

    /// Gives the largest files, the largest first.
    #[must_use]
    pub fn largest(&self) -> &[(u64, String)] {
        &self.largest
    }
}
