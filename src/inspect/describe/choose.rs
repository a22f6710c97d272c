//! Which checks speak of a subject, told by its content.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Asked;
use crate::check::{self, AnyKind, ProbeError, SubjectUse, Subjects};
use crate::format::{Content, Entry, FileType, FormatError};
use crate::image::{Image, ImageError, Pattern};
use crate::model::value::Value;
use crate::model::{Address, Origin};

/// Images inside of one another are described so deep.
const MAX_DEPTH: usize = 4;
/// No subject needs more checks.
const MAX_CHECKS: usize = 64;
/// Containers of more files than this are root file systems, whose files are
/// described together.
const FEW: usize = 64;
/// A folder of more entries than this is no place to look for what a program
/// needs.
const MAX_AROUND: usize = 2000;

/// What is to be asked of a subject.
pub struct Choice {
    /// The checks.
    pub asked: Vec<Asked>,
    /// Addresses that could not be looked into, and why.
    pub unread: Vec<(String, ProbeError)>,
}

/// Chooses the checks for what an address leads to.
///
/// # Errors
/// Where it cannot be opened.
pub fn choose(address: &Address, subjects: &Subjects) -> Result<Choice, ProbeError> {
    let mut chosen = Chosen {
        outermost: address.clone(),
        subjects,
        choice: Choice {
            asked: Vec::new(),
            unread: Vec::new(),
        },
        names: BTreeSet::new(),
    };
    let image = subjects.image(address)?;
    if image.content().is_some() {
        chosen.file(address, &[]);
    }
    chosen.image(address, &image, 0);
    chosen.choice.asked.truncate(MAX_CHECKS);
    Ok(chosen.choice)
}

/// Asks kinds with no arguments.
#[must_use]
pub fn of_kinds(kinds: &[&'static dyn AnyKind], address: &Address) -> Vec<Asked> {
    let asked = |kind: &&'static dyn AnyKind| Asked {
        name: kind.name().to_owned(),
        kind: *kind,
        args: Value::Null,
        at: (kind.subject() != SubjectUse::None).then(|| address.clone()),
        fields: Vec::new(),
    };
    kinds.iter().map(asked).collect()
}

struct Chosen<'c> {
    outermost: Address,
    subjects: &'c Subjects,
    choice: Choice,
    names: BTreeSet<String>,
}

impl Chosen<'_> {
    /// Asks a kind.
    fn ask(&mut self, kind: &str, main: Option<&str>, at: &Address, fields: &[&str]) {
        let Some(kind) = check::find(kind) else {
            return;
        };
        let mut name = match main {
            Some(main) => format!("{} {main}", kind.name()),
            None => kind.name().to_owned(),
        };
        if let Some(inner) = self.inner(at) {
            name.push_str(&format!(" of {inner}"));
        }
        if name.chars().any(char::is_control) {
            name = name.escape_default().to_string();
        }
        // Trials are told apart by the letters and digits of their names.
        if !self.names.insert(crate::spec::load::slug(&name)) {
            name = format!("{name} {}", self.choice.asked.len() + 1);
            self.names.insert(crate::spec::load::slug(&name));
        }
        self.choice.asked.push(Asked {
            name,
            kind,
            args: main.map_or(Value::Null, Value::from),
            at: Some(at.clone()),
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
        });
    }

    /// Gives the way from the described subject to one inside of it.
    fn inner(&self, at: &Address) -> Option<String> {
        let whole = at.to_string();
        let rest = whole.strip_prefix(&self.outermost.to_string())?;
        let rest = rest.trim_start_matches("!/");
        (!rest.is_empty()).then(|| rest.to_owned())
    }

    fn file(&mut self, at: &Address, fields: &[&str]) {
        self.ask("file", None, at, fields);
    }

    /// Asks for what an image is. What cannot be read is no reason to say
    /// nothing of the rest.
    fn image(&mut self, at: &Address, image: &Arc<Image>, depth: usize) {
        if depth > MAX_DEPTH || self.choice.asked.len() >= MAX_CHECKS {
            return;
        }
        if let Err(error) = self.known(at, image, depth) {
            self.choice.unread.push((at.to_string(), error));
        }
    }

    fn known(&mut self, at: &Address, image: &Arc<Image>, depth: usize) -> Result<(), ProbeError> {
        if image.is_initramfs()? {
            return self.initramfs(at, image);
        }
        if let Some(oci) = image.oci()? {
            let names = oci.references.iter().flat_map(|one| one.names.clone());
            let names: Vec<String> = names.take(FEW).collect();
            match names.as_slice() {
                [] | [_] => self.ask("oci", None, at, &[]),
                several => several
                    .iter()
                    .for_each(|name| self.ask("oci", Some(name), at, &[])),
            }
            return self.programs(at, image);
        }
        let decoded = image.decoded()?;
        let content = decoded.unwrap_or(image).content();
        match content {
            Some(Content::Zboot | Content::Arm64Image | Content::RiscvImage | Content::BzImage) => {
                self.ask("kernel", None, at, &[]);
                Ok(())
            }
            Some(Content::Pe) => self.sections(at, image, depth),
            Some(Content::Gpt | Content::Mbr) => {
                self.ask("disk", None, at, &[]);
                self.notable(at, image, depth)
            }
            Some(Content::Elf) => {
                match decoded {
                    None => self.program(at),
                    Some(_) => self.file(&at.inside(""), &["present", "size", "sha256"]),
                }
                Ok(())
            }
            Some(Content::Iso) => {
                self.ask("iso", None, at, &[]);
                self.notable(at, image, depth)
            }
            Some(Content::Wasm) => {
                self.ask("wasm", None, at, &[]);
                Ok(())
            }
            Some(_) | None => match image.tree() {
                Ok(_) => self.tree(at, image, depth),
                Err(ImageError::NoTree { .. }) => {
                    let name = at.inner().last().map_or(at.source(), String::as_str);
                    let name = name.rsplit('/').next().unwrap_or_default();
                    if decoded.is_some() {
                        self.file(&at.inside(""), &["present", "size", "sha256"]);
                    } else if name.starts_with("cmdline") || name.starts_with(".cmdline") {
                        self.ask("cmdline", None, at, &[]);
                    }
                    Ok(())
                }
                Err(error) => Err(error.into()),
            },
        }
    }

    fn initramfs(&mut self, at: &Address, image: &Arc<Image>) -> Result<(), ProbeError> {
        self.ask("initramfs", None, at, &[]);
        if let Some(talos) = image.talos()? {
            if !talos.extensions.is_empty() {
                let fields = ["present", "all", "duplicates", "unlisted", "hollow"];
                self.ask("extension", None, at, &fields);
            }
            for extension in &talos.extensions {
                self.ask("extension", Some(&extension.listed.name), at, &[]);
            }
        }
        self.programs(at, image)
    }

    /// Asks for the programs of a tree, where it has any, and for what it says
    /// of itself.
    fn programs(&mut self, at: &Address, image: &Arc<Image>) -> Result<(), ProbeError> {
        let merged = image.merged()?;
        let release = ["etc/os-release", "usr/lib/os-release"]
            .into_iter()
            .find(|path| {
                merged
                    .get(path)
                    .is_some_and(|e| e.meta.kind == FileType::File)
            });
        if let Some(path) = release {
            self.ask("file", Some(path), at, &[]);
        }
        let modules = ["usr/lib/modules", "lib/modules"];
        if modules.iter().any(|path| merged.get(path).is_some()) {
            self.ask("modules", None, at, &[]);
        }
        let all = Pattern::new("**").map_err(|error| ProbeError::new(error.to_string()))?;
        if !merged.binaries(&all)?.is_empty() {
            self.ask("elf", Some("**"), at, &[]);
        }
        Ok(())
    }

    /// A single program is looked at from the folder or container that it is in.
    fn program(&mut self, at: &Address) {
        let around = match at.parent() {
            Some((parent, name)) => Some((parent, name.to_owned())),
            None if at.origin() == Origin::Disk => {
                let path = std::path::Path::new(at.source());
                let folder = path
                    .parent()
                    .filter(|folder| *folder != std::path::Path::new(""));
                let folder = folder.unwrap_or(std::path::Path::new("."));
                let name = path
                    .file_name()
                    .map(|name| name.to_string_lossy().into_owned());
                name.map(|name| (Address::of_path(folder), name))
            }
            None => None,
        };
        let Some((parent, name)) = around.filter(|(_, name)| !Pattern::is_pattern(name)) else {
            return;
        };
        if self
            .subjects
            .image(&parent)
            .is_ok_and(|image| is_small(&image))
        {
            self.ask("elf", Some(&name), &parent, &[]);
        }
    }

    /// A UKI is described by what is in its sections.
    fn sections(
        &mut self,
        at: &Address,
        image: &Arc<Image>,
        depth: usize,
    ) -> Result<(), ProbeError> {
        let tree = image.tree()?;
        if tree.format() != "uki" {
            self.ask("kernel", None, at, &[]);
            return Ok(());
        }
        self.ask("uki", None, at, &[]);
        self.ask("cmdline", None, at, &[]);
        for section in [".linux", ".initrd"] {
            if let Some(entry) = image.exactly(section)?.filter(|entry| entry.meta.size > 0) {
                self.image(&at.inside(section), &image.open_entry(&entry)?, depth + 1);
            }
        }
        Ok(())
    }

    fn tree(&mut self, at: &Address, image: &Arc<Image>, depth: usize) -> Result<(), ProbeError> {
        self.ask("tree", None, at, &[]);
        let before = self.choice.asked.len();
        self.notable(at, image, depth)?;
        if self.choice.asked.len() == before {
            self.programs(at, image)?;
        }
        Ok(())
    }

    /// Describes the kernels, initramfs files, UKIs and disks among the files of
    /// a container of few files. In a folder, whose bytes nothing else pins, each
    /// file is described.
    fn notable(
        &mut self,
        at: &Address,
        image: &Arc<Image>,
        depth: usize,
    ) -> Result<(), ProbeError> {
        let Some(entries) = few(image)? else {
            return Ok(());
        };
        let folder = depth == 0 && image.content().is_none();
        for entry in entries {
            // A name that reads as a pattern leads to others as well.
            if Pattern::is_pattern(&entry.path) {
                continue;
            }
            let inner = at.inside(&entry.path);
            if folder {
                self.file(&inner, &[]);
            }
            if entry.meta.size == 0 {
                continue;
            }
            let file = image.open_entry(&entry);
            match file.and_then(|file| Ok((boots(&file)?, file))) {
                Ok((true, file)) => self.image(&inner, &file, depth + 1),
                Ok((false, _)) => {}
                Err(error) => self.choice.unread.push((inner.to_string(), error.into())),
            }
        }
        Ok(())
    }
}

/// Tells whether a machine boots with a file: a kernel, an initramfs, a UKI, a
/// disk.
fn boots(file: &Arc<Image>) -> Result<bool, ImageError> {
    let decoded = file.decoded()?.unwrap_or(file);
    Ok(match decoded.content() {
        Some(
            Content::Zboot
            | Content::Arm64Image
            | Content::RiscvImage
            | Content::BzImage
            | Content::Pe
            | Content::Gpt
            | Content::Mbr,
        ) => true,
        Some(_) | None => file.is_initramfs()?,
    })
}

/// Lists the files of a container; `None` where they are many.
fn few(image: &Arc<Image>) -> Result<Option<Vec<Entry>>, ProbeError> {
    let mut files = Vec::new();
    let mut many = false;
    let listed = image.tree()?.list(&mut |entry| {
        if entry.meta.kind == FileType::File {
            files.push(entry);
        }
        many = files.len() > FEW;
        enough(many)
    });
    match listed {
        _ if many => Ok(None),
        Ok(()) => {
            files.sort_by(|a, b| a.path.cmp(&b.path));
            Ok(Some(files))
        }
        Err(error) => Err(image.failed(error).into()),
    }
}

fn is_small(image: &Arc<Image>) -> bool {
    let mut seen = 0;
    let listed = image.tree().map(|tree| {
        tree.list(&mut |_| {
            seen += 1;
            enough(seen > MAX_AROUND)
        })
    });
    matches!(listed, Ok(Ok(())))
}

/// Ends a listing of which the rest is of no interest.
fn enough(yes: bool) -> Result<(), FormatError> {
    match yes {
        true => Err(FormatError::corrupt("listing", 0, "enough")),
        false => Ok(()),
    }
}
