//! The binary indexes that `depmod` makes and `modprobe` reads, such as
//! `modules.dep.bin`: a tree of names, one character a step.
//!
//! Source: `libkmod/libkmod-index.c` and `index_write` in `tools/depmod.c` of
//! kmod. Numbers are of 32 bits, the highest byte first. The file begins with
//! a magic, a version and the reference to the root; the upper bits of a
//! reference tell which parts the node at its offset has: a prefix, children
//! between a first and a last character, values with a priority each.

use std::collections::HashSet;

use super::NAME;
use crate::format::field::array;
use crate::format::node::escape;
use crate::format::{FormatError, Limits};

const MAGIC: u32 = 0xb007_f457;
const VERSION: u32 = 0x0002_0001;
const PREFIX: u32 = 0x8000_0000;
const VALUES: u32 = 0x4000_0000;
const CHILDREN: u32 = 0x2000_0000;
const OFFSET: u32 = 0x0fff_ffff;
/// Bytes of one value; of `modules.dep.bin` it is a line of `modules.dep`.
const MAX_VALUE: usize = 64 << 10;
/// Bytes of all names and values.
const MAX_TOTAL: usize = 64 << 20;

/// One value, and the name that leads to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Value {
    /// The name: of a module, or the pattern of an alias.
    pub key: String,
    /// What stands there; empty where the name says all.
    pub value: String,
}

/// Reads every value of an index, in the order of the names.
///
/// Errors: [`FormatError::Corrupt`] for another file and for references that
/// lead out of it or round, [`FormatError::Unsupported`] for another version,
/// [`FormatError::Limit`] beyond `max_entries`, `max_path` and 64 MiB.
pub fn values(bytes: &[u8], limits: &Limits) -> Result<Vec<Value>, FormatError> {
    let word = |at: usize| array(bytes, at).map(u32::from_be_bytes);
    if word(0) != Some(MAGIC) {
        return Err(corrupt(0, "the magic of an index of modules is missing"));
    }
    match word(4) {
        Some(VERSION) => {}
        Some(other) => {
            let what = format!(
                "version {:#010x}; it is {VERSION:#010x} that is read",
                other
            );
            return Err(FormatError::unsupported(NAME, 4, what));
        }
        None => return Err(corrupt(4, "it ends within its header")),
    }
    let root = word(8).ok_or_else(|| corrupt(8, "it ends within its header"))?;
    let mut walk = Walk {
        bytes,
        limits,
        seen: HashSet::new(),
        total: 0,
        found: Vec::new(),
    };
    let mut open = vec![(root, Vec::new())];
    while let Some((node, key)) = open.pop() {
        let mut children = walk.node(node, key)?;
        // The last is taken first: names come in their order.
        children.reverse();
        open.append(&mut children);
    }
    Ok(walk.found)
}

struct Walk<'w> {
    bytes: &'w [u8],
    limits: &'w Limits,
    seen: HashSet<u32>,
    total: usize,
    found: Vec<Value>,
}

type Reference = (u32, Vec<u8>);

impl Walk<'_> {
    /// Reads one node; gives the references to its children.
    fn node(&mut self, node: u32, mut key: Vec<u8>) -> Result<Vec<Reference>, FormatError> {
        let offset = node & OFFSET;
        if offset == 0 {
            return Ok(Vec::new());
        }
        if !self.seen.insert(offset) {
            return Err(corrupt(offset, "a node that two references lead to"));
        }
        let mut at = usize::try_from(offset).unwrap_or(usize::MAX);
        if node & PREFIX != 0 {
            key.extend_from_slice(self.text(&mut at, self.limits.max_path)?);
        }
        self.book(at, key.len(), "max_path", self.limits.max_path)?;
        let mut children = Vec::new();
        if node & CHILDREN != 0 {
            let range = self.bytes.get(at..).and_then(|rest| rest.first_chunk());
            let Some([first, last]) = range.filter(|[first, last]| first <= last && *last < 128)
            else {
                return Err(corrupt(offset, "a node without a range of characters"));
            };
            at += 2;
            for character in *first..=*last {
                let child = self.word(&mut at)?;
                if child & OFFSET != 0 {
                    let key = [key.as_slice(), &[character]].concat();
                    self.book(at, key.len(), "max_path", self.limits.max_path)?;
                    children.push((child, key));
                }
            }
        }
        if node & VALUES != 0 {
            for _ in 0..self.word(&mut at)? {
                // Its priority.
                self.word(&mut at)?;
                let value = escape(self.text(&mut at, MAX_VALUE)?);
                let key = escape(&key);
                self.book(at, key.len() + value.len(), "index", MAX_TOTAL)?;
                if self.found.len() as u64 >= self.limits.max_entries {
                    return Err(exceeded(at, "max_entries", self.limits.max_entries));
                }
                self.found.push(Value { key, value });
            }
        }
        Ok(children)
    }

    fn word(&self, at: &mut usize) -> Result<u32, FormatError> {
        let word = array(self.bytes, *at).map(u32::from_be_bytes);
        *at += 4;
        word.ok_or_else(|| corrupt(*at, "a node behind the end"))
    }

    /// Reads up to a NUL.
    fn text(&self, at: &mut usize, most: usize) -> Result<&[u8], FormatError> {
        let rest = self.bytes.get(*at..).unwrap_or_default();
        let rest = rest.get(..rest.len().min(most)).unwrap_or_default();
        match rest.iter().position(|byte| *byte == 0) {
            Some(end) => {
                *at += end + 1;
                Ok(rest.get(..end).unwrap_or_default())
            }
            None => Err(corrupt(*at, "a text that does not end")),
        }
    }

    /// Counts what is kept, of one name and of all.
    fn book(
        &mut self,
        at: usize,
        length: usize,
        limit: &'static str,
        most: usize,
    ) -> Result<(), FormatError> {
        self.total += length;
        if length > most {
            return Err(exceeded(at, limit, most as u64));
        }
        if self.total > MAX_TOTAL {
            return Err(exceeded(at, "index", MAX_TOTAL as u64));
        }
        Ok(())
    }
}

fn corrupt(at: impl TryInto<u64>, what: &str) -> FormatError {
    FormatError::corrupt(NAME, at.try_into().unwrap_or(u64::MAX), what)
}

fn exceeded(at: usize, limit: &'static str, value: u64) -> FormatError {
    FormatError::Limit {
        format: NAME,
        offset: at as u64,
        limit,
        value,
        remedy: "no index of modules in use is that large",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(root: u32, nodes: &[u8]) -> Vec<u8> {
        let words = [MAGIC, VERSION, root];
        let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_be_bytes()).collect();
        bytes.extend_from_slice(nodes);
        bytes
    }

    #[test]
    fn names_are_put_together_step_by_step() {
        // At 12 the prefix `vi`, children `a` (29) and `b` (42); each has a value.
        let mut nodes = b"vi\0ab".to_vec();
        nodes.extend_from_slice(&(VALUES | 25).to_be_bytes());
        nodes.extend_from_slice(&(VALUES | PREFIX | 37).to_be_bytes());
        nodes.extend_from_slice(b"\0\0\0\x01\0\0\0\x05one\0");
        nodes.extend_from_slice(b"x\0\0\0\0\x02\0\0\0\x01two\0\0\0\0\x02\0");
        let found = values(&index(PREFIX | CHILDREN | 12, &nodes), &Limits::default()).unwrap();
        let found: Vec<_> = found.iter().map(|v| (&*v.key, &*v.value)).collect();
        assert_eq!(found, [("via", "one"), ("vibx", "two"), ("vibx", "")]);
        let whole = index(PREFIX | CHILDREN | 12, &nodes);
        for cut in 0..whole.len() {
            assert!(values(&whole[..cut], &Limits::default()).is_err(), "{cut}");
        }
    }

    #[test]
    fn a_way_that_leads_round_ends() {
        let mut nodes = b"aa".to_vec();
        nodes.extend_from_slice(&(CHILDREN | 12).to_be_bytes());
        let error = values(&index(CHILDREN | 12, &nodes), &Limits::default()).unwrap_err();
        assert!(error.to_string().contains("two references"), "{error}");
        let error = values(&index(VALUES | 12, &[0xff; 4]), &Limits::default()).unwrap_err();
        assert!(error.to_string().contains("behind the end"), "{error}");
        assert!(
            values(&index(0, &[]), &Limits::default())
                .unwrap()
                .is_empty()
        );
    }
}
