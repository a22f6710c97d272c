//! The way through two images at a time.

use std::sync::Arc;

use super::change::{Change, Difference, Event, Place, Side, Summary, Trouble, What};
use super::compare::{Compare, Next, Outcome, equal_bytes, holds};
use super::contents::{self, Contents, Left, Listing};
use super::facts::Failed;
use super::merge::{Merge, Row, size};
use super::meta::{self, Says};
use super::role::{self, Roles};
use super::{Options, about};
use crate::format::{Content, Entry, FileType, parallel};
use crate::image::Image;

/// Takes what a comparison comes by.
pub type Show<'s> = dyn FnMut(&Event<'_>) + 's;

/// How many entries are looked at before the first of them is shown.
const PART: usize = 128;

/// Compares two images; each difference is shown as soon as it and those before
/// it are known. What could not be read is shown in its place, and the walk goes
/// on beside it.
pub fn diff(a: &Arc<Image>, b: &Arc<Image>, options: &Options, show: &mut Show<'_>) -> Summary {
    let bytes = a.limits().max_listing.min(b.limits().max_listing);
    let left = || Left::new(options.max_entries, bytes);
    let mut walk = Walk {
        options,
        show,
        summary: Summary::default(),
        left: [left(), left()],
    };
    if let Err((side, error)) = walk.start(a, b) {
        walk.trouble(&Trouble::new(side, &error));
    }
    walk.summary
}

struct Walk<'w> {
    options: &'w Options,
    show: &'w mut Show<'w>,
    summary: Summary,
    left: [Left; 2],
}

impl Walk<'_> {
    fn start(&mut self, a: &Arc<Image>, b: &Arc<Image>) -> Result<(), Failed> {
        let pair = [a, b].map(|image| Contents {
            image: Arc::clone(image),
            merged: self.options.merged,
        });
        let place = Arc::new(Place {
            parent: None,
            depth: 0,
            paths: [String::new(), String::new()],
            role: None,
            addresses: pair.each_ref().map(|contents| contents.address("")),
        });
        let mut outcome = Outcome::default();
        if let (Some(old), Some(new)) = (a.metadata(), b.metadata()) {
            outcome.differences = meta::differences(old, new, Says::ALL, self.options);
        }
        let files = [a, b].map(|image| image.content().is_some());
        let content = self.options.content && files == [true, true];
        let deeper = self.options.depth > 0;
        if content && equal_bytes(a, b)? {
            // Whatever they hold, they hold the same.
        } else if deeper && holds(Side::A, a)? && holds(Side::B, b)? {
            outcome.next = Next::Inside(Arc::clone(a), Arc::clone(b));
        } else if files == [true, true] {
            let compare = Compare {
                pair: &pair,
                says: Says::ALL,
                options: self.options,
                deeper: false,
            };
            let paths = place.addresses.each_ref().map(String::as_str);
            let images = [Some(Arc::clone(a)), Some(Arc::clone(b))];
            compare.content(images, paths, true, &mut outcome)?;
        } else {
            let what = |image: &Image| image.content().map_or("folder", Content::name);
            outcome
                .differences
                .extend(Difference::both("content is", what(a), what(b)));
        }
        self.summary.compared += 1;
        let next = std::mem::take(&mut outcome.next);
        let kind = match files {
            [_, true] => FileType::File,
            [_, false] => FileType::Directory,
        };
        self.both(&place, [String::new(), String::new()], kind, outcome);
        if let Next::Inside(..) = next {
            self.inside(&place, pair);
        }
        Ok(())
    }

    /// Goes into two containers.
    fn inside(&mut self, place: &Arc<Place>, pair: [Contents; 2]) {
        let before = (self.findings(), self.summary.troubles);
        self.summary.containers += 1;
        match about::differences(&pair, place.parent.is_none(), self.options) {
            Ok(differences) => self.itself(place, differences),
            Err((side, error)) => return self.trouble(&Trouble::new(side, &error)),
        }
        let [a, b] = [Side::A, Side::B].map(|side| {
            let listing = contents::of(&pair, side).list(&mut self.left[side.index()]);
            if let Some(error) = &listing.broken {
                self.trouble(&Trouble::new(side, error));
            }
            listing
        });
        let roles = Roles::of(&pair);
        let rows = Merge {
            sides: [&a.entries, &b.entries],
            roles: &roles,
            pairing: &|only| role::pairs(&pair, only),
            options: self.options,
        }
        .rows();
        let compare = Compare {
            pair: &pair,
            says: Says::of(&pair),
            options: self.options,
            deeper: place.depth + 1 < self.options.depth,
        };
        let look = |row: &Row, alone| match row {
            Row::Both(x, y) => match (a.entries.get(*x), b.entries.get(*y)) {
                (Some(x), Some(y)) => compare.entries(x, y, alone),
                _ => Outcome::default(),
            },
            Row::Only(..) => Outcome::default(),
        };
        let limits = pair[0].image.limits();
        for (number, part) in rows.chunks(PART).enumerate() {
            if let Err(error) = limits.check_deadline("diff", 0) {
                // Once for all that is left, not once for each entry.
                let left = rows.len().saturating_sub(number * PART);
                self.summary.unknown += left as u64;
                self.trouble(&Trouble::new(Side::A, &pair[0].image.failed(error)));
                break;
            }
            let looked: Vec<_> = parallel::map(part, 1, |row| look(row, false));
            for (row, mut outcome) in part.iter().zip(looked) {
                if let Next::Alone = outcome.next {
                    outcome = look(row, true);
                }
                self.row(place, [&a, &b], &roles, row, outcome);
            }
        }
        if before == (self.findings(), self.summary.troubles) {
            self.nothing_inside(place, &pair);
        }
    }

    fn findings(&self) -> u64 {
        self.summary.added + self.summary.removed + self.summary.changed
    }

    /// Deals with two containers whose bytes differ and in which nothing does.
    fn nothing_inside(&mut self, place: &Arc<Place>, pair: &[Contents; 2]) {
        let [a, b] = pair.each_ref().map(|contents| &contents.image);
        let is = |content| [a, b].iter().all(|image| image.content() == Some(content));
        if a.content().is_none() || b.content().is_none() || pair.iter().any(|c| c.merged) {
            return;
        }
        if !is(Content::Pe) || !self.options.content {
            self.summary.repacked += 1;
            return;
        }
        // Headers, padding and the signature are no sections, and firmware reads them.
        let digest = |side, image: &Arc<Image>| {
            let digest = image.digest().map_err(|error| (side, error))?;
            Ok(format!("sha256:{digest}"))
        };
        let digests = digest(Side::A, a).and_then(|a| Ok((a, digest(Side::B, b)?)));
        match digests {
            Ok((a, b)) => {
                let field = "bytes outside of its sections";
                self.itself(place, Difference::both(field, a, b).into_iter().collect());
            }
            Err((side, error)) => self.trouble(&Trouble::new(side, &error)),
        }
    }

    fn row(
        &mut self,
        place: &Arc<Place>,
        listings: [&Listing; 2],
        roles: &Roles,
        row: &Row,
        mut outcome: Outcome,
    ) {
        match row {
            Row::Both(x, y) => {
                let entries = (listings[0].entries.get(*x), listings[1].entries.get(*y));
                let (Some(a), Some(b)) = entries else { return };
                self.summary.compared += 1;
                let next = std::mem::take(&mut outcome.next);
                let paths = [a.path.clone(), b.path.clone()];
                let role = roles.name(Side::B, &b.path).map(str::to_owned);
                outcome.role.clone_from(&role);
                self.both(place, paths.clone(), b.meta.kind, outcome);
                if let Next::Inside(a, b) = next {
                    let inner = Arc::new(Place {
                        parent: Some(Arc::clone(place)),
                        depth: place.depth + 1,
                        role,
                        addresses: [&a, &b].map(|image| image.path().display().to_string()),
                        paths,
                    });
                    let pair = [a, b].map(|image| Contents {
                        image,
                        merged: false,
                    });
                    self.inside(&inner, pair);
                }
            }
            Row::Only(side, at, below) => {
                let entries = &contents::of(&listings, *side).entries;
                let other = match side {
                    Side::A => listings[1],
                    Side::B => listings[0],
                };
                let inside = entries.get(below.clone()).unwrap_or_default();
                if other.broken.is_some() {
                    // It may well be where the other listing ended.
                    self.summary.unknown += 1 + inside.len() as u64;
                } else if let Some(entry) = entries.get(*at) {
                    let role = roles.name(*side, &entry.path).map(str::to_owned);
                    self.only(place, *side, role, entry, inside);
                }
            }
        }
    }

    /// Shows an entry of one side.
    fn only(
        &mut self,
        place: &Arc<Place>,
        side: Side,
        role: Option<String>,
        entry: &Entry,
        inside: &[Entry],
    ) {
        let count = 1 + inside.len() as u64;
        let path = Some(entry.path.clone());
        let target = entry.meta.target.as_deref();
        let (what, paths, target) = match side {
            Side::A => {
                self.summary.removed += count;
                let target = Difference::of("target", target, None);
                (What::Removed, [path, None], target)
            }
            Side::B => {
                self.summary.added += count;
                let target = Difference::of("target", None, target);
                (What::Added, [None, path], target)
            }
        };
        (self.show)(&Event::Change(&Change {
            place: Arc::clone(place),
            what,
            paths,
            role,
            kind: entry.meta.kind,
            content: "",
            size: match entry.meta.kind {
                FileType::Directory => size(inside),
                FileType::File
                | FileType::Symlink
                | FileType::CharDevice
                | FileType::BlockDevice
                | FileType::Fifo
                | FileType::Socket
                | FileType::Unknown => entry.meta.size,
            },
            below: inside.len() as u64,
            differences: target.into_iter().collect(),
            text: None,
        }));
    }

    /// Shows what came of two entries, if anything did.
    fn both(&mut self, place: &Arc<Place>, paths: [String; 2], kind: FileType, outcome: Outcome) {
        self.summary.repacked += u64::from(outcome.repacked);
        if !outcome.differences.is_empty() {
            self.summary.changed += 1;
            (self.show)(&Event::Change(&Change {
                place: Arc::clone(place),
                what: What::Changed,
                paths: paths.map(Some),
                role: outcome.role,
                kind,
                content: outcome.content,
                size: 0,
                below: 0,
                differences: outcome.differences,
                text: outcome.text,
            }));
        }
        for trouble in &outcome.troubles {
            self.trouble(trouble);
        }
    }

    /// Shows what two containers say differently about themselves.
    fn itself(&mut self, place: &Arc<Place>, differences: Vec<Difference>) {
        let outcome = Outcome {
            differences,
            ..Outcome::default()
        };
        self.both(
            place,
            [String::new(), String::new()],
            FileType::File,
            outcome,
        );
    }

    fn trouble(&mut self, trouble: &Trouble) {
        self.summary.troubles += 1;
        (self.show)(&Event::Trouble(trouble));
    }
}
