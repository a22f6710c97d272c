//! A unified kernel image: which of its sections are whose, and what those of
//! text say.
//!
//! Sources: the UAPI group's "Unified Kernel Image" specification, "UKI
//! Components" and "Multi-Profile UKIs"; `src/boot/pe.c` and `stub.c` of systemd
//! for what its stub makes of them; `SBAT.md` of shim.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::FormatError;
use super::node::escape;
use super::pe::{Pe, Section};

/// Sections that one profile may have several of.
const REPEATABLE: &[&str] = &[".dtb", ".dtbauto", ".efifw", ".fwauto"];

/// One profile. Its sections are its own and those of the base that it has none
/// of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Its number, as in `@0`.
    pub number: u64,
    /// Its `ID=`.
    pub id: Option<String>,
    /// Its `TITLE=`.
    pub title: Option<String>,
    /// Its own sections, by their place in the table.
    own: Range<usize>,
}

/// A PE file with a kernel in it.
#[derive(Debug)]
pub struct Uki<'p> {
    pe: &'p Pe,
    profiles: Vec<Profile>,
}

/// A line of `.sbat`: a component and its generation, by which it is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Component {
    /// Its name, such as `systemd`.
    pub name: String,
    /// Its generation; `None` where the line has no number there.
    pub generation: Option<u64>,
    /// Who made it, its version, and so on: the rest of the line.
    pub rest: Vec<String>,
}

impl<'p> Uki<'p> {
    /// Finds the profiles of a PE file.
    ///
    /// Errors with [`FormatError::Corrupt`] where it has no section `.linux` and
    /// where a `.profile` is no short text.
    pub fn of(pe: &'p Pe) -> Result<Self, FormatError> {
        if !pe
            .sections()
            .iter()
            .any(|section| section.label == ".linux")
        {
            let what = "there is no section `.linux`, so this is no unified kernel image";
            return Err(FormatError::corrupt("uki", 0, what));
        }
        let sections = pe.sections().iter().enumerate();
        let begins: Vec<usize> = sections
            .filter(|(_, section)| section.label == ".profile")
            .map(|(index, _)| index)
            .collect();
        let last = pe.sections().len();
        let ends = begins.iter().skip(1).chain([&last]);
        let mut profiles = Vec::new();
        for (number, (begin, end)) in begins.iter().zip(ends).enumerate() {
            let fields = match pe.sections().get(*begin) {
                Some(section) => variables(&pe.text(section)?),
                None => BTreeMap::new(),
            };
            profiles.push(Profile {
                number: number as u64,
                id: fields.get("ID").cloned(),
                title: fields.get("TITLE").cloned(),
                own: *begin..*end,
            });
        }
        Ok(Self { pe, profiles })
    }

    /// Gives the profiles in their order; none where only the base is there.
    #[must_use]
    pub fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// Gives the profile that is started where nobody chooses one.
    #[must_use]
    pub fn default_profile(&self) -> Option<&Profile> {
        self.profiles.first()
    }

    /// Finds a section as a profile has it, or, without one, the base.
    #[must_use]
    pub fn section(&self, profile: Option<&Profile>, label: &str) -> Option<&'p Section> {
        let own = profile.map(|profile| profile.own.clone());
        own.and_then(|own| self.first(own, label))
            .or_else(|| self.first(self.base(), label))
    }

    /// Gives the number of the profile that a section, by its place in the
    /// table, belongs to; `None` of the base.
    #[must_use]
    pub fn owner(&self, index: usize) -> Option<u64> {
        let owner = self.profiles.iter().find(|p| p.own.contains(&index));
        owner.map(|profile| profile.number)
    }

    /// Gives the names of sections that one profile, or the base, has several of
    /// although only one is used.
    #[must_use]
    pub fn duplicates(&self) -> Vec<String> {
        let mut found = BTreeSet::new();
        let parts = self.profiles.iter().map(|profile| profile.own.clone());
        for part in parts.chain([self.base()]) {
            let mut met = BTreeSet::new();
            let sections = self.pe.sections().get(part).unwrap_or_default();
            for Section { label, .. } in sections {
                if !met.insert(label) && !REPEATABLE.contains(&label.as_str()) {
                    found.insert(label.clone());
                }
            }
        }
        found.into_iter().collect()
    }

    /// Reads a section of text; see [`Section::text`].
    pub fn text(
        &self,
        profile: Option<&Profile>,
        label: &str,
    ) -> Result<Option<Vec<u8>>, FormatError> {
        let section = self.section(profile, label);
        section.map(|section| self.pe.text(section)).transpose()
    }

    fn base(&self) -> Range<usize> {
        let end = self.default_profile().map(|profile| profile.own.start);
        0..end.unwrap_or(self.pe.sections().len())
    }

    fn first(&self, range: Range<usize>, label: &str) -> Option<&'p Section> {
        let sections = self.pe.sections().get(range)?;
        sections.iter().find(|section| section.label == label)
    }
}

/// Reads the lines `NAME=value` of an `os-release` or `.profile`; of a name that
/// is there twice, the last one counts. Quotes around a value are taken off.
/// Source: `os-release(5)`.
#[must_use]
pub fn variables(text: &[u8]) -> BTreeMap<String, String> {
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let mut found = BTreeMap::new();
    for line in lines.filter(|line| !line.starts_with(b"#")) {
        let line = escape(line);
        if let Some((name, value)) = line.split_once('=') {
            found.insert(name.trim_end().to_owned(), unquoted(value.trim_start()));
        }
    }
    found
}

/// Takes the quotes off a value as a shell does; between double quotes and
/// outside of quotes a backslash goes before a sign that stands for itself.
fn unquoted(value: &str) -> String {
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''));
    let mut rest = value.chars().skip(usize::from(quote.is_some()));
    let mut plain = String::new();
    while let Some(c) = rest.next() {
        match c {
            _ if Some(c) == quote => break,
            '\\' if quote != Some('\'') => plain.extend(rest.next()),
            c => plain.push(c),
        }
    }
    plain
}

/// Reads the lines of `.sbat`. Source: `SBAT.md` of shim, "SBAT format".
#[must_use]
pub fn components(text: &[u8]) -> Vec<Component> {
    let lines = text.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    lines
        .filter(|line| !line.is_empty())
        .map(|line| {
            let line = escape(line);
            let mut fields = line.split(',').map(|field| field.trim().to_owned());
            Component {
                name: fields.next().unwrap_or_default(),
                generation: fields.next().and_then(|number| number.parse().ok()),
                rest: fields.collect(),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Bytes;
    use crate::format::pe::tests::file;
    use std::sync::Arc;

    fn pe(sections: &[(&str, &[u8])]) -> Pe {
        Pe::open(Arc::new(Bytes::new(file(sections)))).unwrap()
    }

    #[test]
    fn a_profile_has_its_own_sections_and_those_of_the_base() {
        let pe = pe(&[
            (".linux", b"k"),
            (".cmdline", b"base"),
            (".profile", b"ID=main\nTITLE=\"The main one\"\n"),
            (".profile", b"ID=reset"),
            (".cmdline", b"reset\0behind"),
            (".cmdline", b"never"),
        ]);
        let uki = Uki::of(&pe).unwrap();
        let [main, reset] = uki.profiles() else {
            panic!()
        };
        assert_eq!(main.title.as_deref(), Some("The main one"));
        assert_eq!((reset.number, reset.id.as_deref()), (1, Some("reset")));
        let line = |profile| uki.text(profile, ".cmdline").unwrap().unwrap();
        assert_eq!(line(uki.default_profile()), b"base");
        assert_eq!(line(Some(reset)), b"reset");
        assert!(uki.section(Some(reset), ".linux").is_some());
        assert!(uki.section(Some(reset), ".initrd").is_none());
        let owners: Vec<_> = (0..6).map(|index| uki.owner(index)).collect();
        assert_eq!(owners, [None, None, Some(0), Some(1), Some(1), Some(1)]);
        assert_eq!(uki.duplicates(), [".cmdline"]);
    }

    #[test]
    fn several_device_trees_are_no_duplicates_and_a_pe_file_without_kernel_is_no_uki() {
        let two = pe(&[(".linux", b"k"), (".dtb", b"a"), (".dtb", b"b")]);
        assert!(Uki::of(&two).unwrap().duplicates().is_empty());
        let stub = pe(&[(".text", b"x")]);
        assert!(Uki::of(&stub).unwrap_err().to_string().contains(".linux"));
    }

    #[test]
    fn the_texts_of_a_uki_are_read_as_their_specifications_say() {
        let fields = variables(
            b"# c\nNAME=\"Talos \\\"x\\\"\"\r\nID=talos\nA='b \\ c' d\nID=last\nnothing\n",
        );
        assert_eq!(fields["NAME"], "Talos \"x\"");
        assert_eq!(fields["A"], "b \\ c");
        assert_eq!((fields["ID"].as_str(), fields.len()), ("last", 3));
        let seen = components(b"sbat,1,SBAT Version,sbat,1,url\nsystemd,x\n\n");
        assert_eq!(
            (seen[0].name.as_str(), seen[0].generation),
            ("sbat", Some(1))
        );
        assert_eq!(seen[0].rest.len(), 4);
        assert_eq!((seen.len(), seen[1].generation), (2, None));
    }
}
