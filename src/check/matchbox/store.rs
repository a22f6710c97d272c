//! The files that matchbox reads, wherever they are: in a folder, or in an image.

use super::Asset;
use crate::check::ProbeError;
use crate::format::matchbox::{Group, Profile, Refusal, location};
use crate::format::{Entry, FileType};
use crate::image::Image;
use crate::model::path::printable;
use std::sync::Arc;
use url::Url;

/// The most a document may have.
const MAX_DOCUMENT: usize = 1 << 20;
/// The most documents of one folder.
const MAX_DOCUMENTS: usize = 10_000;
/// Where matchbox serves files.
const SERVED: &str = "/assets/";

/// The bytes of a document, or why matchbox passes over it.
type Document = Result<Vec<u8>, Refusal>;

/// What matchbox has read, and what it passes over.
pub(super) struct Store {
    /// Its groups, by file.
    pub groups: Vec<(String, Group)>,
    /// Its profiles, by file.
    pub profiles: Vec<(String, Profile)>,
    /// Files that are read and refused, and why.
    pub unreadable: Vec<(String, String)>,
    /// Files that are never read.
    pub ignored: Vec<String>,
    image: Arc<Image>,
    assets: String,
}

impl Store {
    /// Reads all documents.
    pub fn read(image: &Arc<Image>, assets: &str) -> Result<Self, ProbeError> {
        let mut store = Self {
            groups: Vec::new(),
            profiles: Vec::new(),
            unreadable: Vec::new(),
            ignored: Vec::new(),
            image: Arc::clone(image),
            assets: assets.to_owned(),
        };
        for (file, bytes) in store.documents("groups")? {
            match bytes.and_then(|bytes| Group::parse(&bytes)) {
                Ok(group) => store.groups.push((file, group)),
                Err(why) => store.unreadable.push((file, why)),
            }
        }
        for (file, bytes) in store.documents("profiles")? {
            match bytes.and_then(|bytes| Profile::parse(&bytes)) {
                Ok(profile) => store.profiles.push((file, profile)),
                Err(why) => store.unreadable.push((file, why)),
            }
        }
        Ok(store)
    }

    /// Gives the profile of a name, as groups call it.
    pub fn profile(&self, name: &str) -> Option<&Profile> {
        let file = format!("profiles/{name}.json");
        let named = self.profiles.iter().find(|(known, _)| *known == file);
        named.map(|(_, profile)| profile)
    }

    /// Gives the groups that name the profile of a file.
    pub fn naming<'s>(&'s self, file: &'s str) -> impl Iterator<Item = &'s (String, Group)> {
        let name = file
            .strip_prefix("profiles/")
            .and_then(|f| f.strip_suffix(".json"));
        self.groups
            .iter()
            .filter(move |(_, group)| Some(group.profile.as_str()) == name)
    }

    /// Tells whether a template is there.
    pub fn has(&self, folder: &str, name: &str) -> Result<bool, ProbeError> {
        let found = self.image.find(&format!("{folder}/{name}"))?;
        Ok(found.is_some_and(|found| found.meta.kind == FileType::File))
    }

    /// Gives the files that a profile starts with.
    pub fn assets(&self, profile: &Profile) -> Result<Vec<Asset>, ProbeError> {
        let boot = profile.boot.iter();
        let named = boot.flat_map(|boot| std::iter::once(&boot.kernel).chain(&boot.initrd));
        let named = named.filter_map(|arguments| location(arguments));
        named.map(|url| self.asset(url)).collect()
    }

    fn asset(&self, url: &str) -> Result<Asset, ProbeError> {
        let path = served(url).map(|path| format!("{}/{path}", self.assets));
        let found = match &path {
            Some(path) => self.image.find(path)?,
            None => None,
        };
        let found = found.filter(|found| found.meta.kind == FileType::File);
        Ok(Asset {
            url: url.to_owned(),
            path: path.map(|path| path.trim_start_matches('/').to_owned()),
            size: found.map(|found| found.meta.size),
        })
    }

    /// Reads the documents of a folder, in the order of their names. Of each other file, notes it.
    fn documents(&mut self, folder: &str) -> Result<Vec<(String, Document)>, ProbeError> {
        let entries = self.children(folder)?;
        if entries.len() > MAX_DOCUMENTS {
            let text = format!("`{folder}/` has more than {MAX_DOCUMENTS} files");
            return Err(ProbeError::new(text).remedy("name the folder that matchbox reads"));
        }
        let mut documents = Vec::new();
        for entry in entries {
            let name = entry.path.rsplit('/').next().unwrap_or_default();
            let file = format!("{folder}/{}", printable(name));
            if name.ends_with(".json") {
                let bytes = self.document(&entry.path)?;
                documents.push((file, bytes));
            } else {
                self.ignored.push(file);
            }
        }
        Ok(documents)
    }

    fn children(&self, folder: &str) -> Result<Vec<Entry>, ProbeError> {
        let missing = || {
            let shown = printable(&self.image.inside(folder).display().to_string());
            ProbeError::new(format!("{shown} is no folder"))
                .remedy("name the folder that has matchbox's `groups/` and `profiles/`")
        };
        let pattern = format!("{folder}/*");
        let covered = self.image.covered(&pattern)?;
        if covered.is_empty() {
            let found = self.image.find(folder)?;
            let found = found.filter(|found| found.meta.kind == FileType::Directory);
            found.ok_or_else(missing)?;
        }
        Ok(covered.iter().map(|found| (**found).clone()).collect())
    }

    fn document(&self, path: &str) -> Result<Document, ProbeError> {
        let Some(found) = self.image.find(path)? else {
            return Ok(Err("it leads to nothing inside of the subject".into()));
        };
        if found.meta.kind != FileType::File {
            return Ok(Err(format!("it is a {}", found.meta.kind.name())));
        }
        let bytes = found.open()?.up_to(0, MAX_DOCUMENT + 1);
        let bytes = bytes.map_err(|error| self.image.failed(error))?;
        if bytes.len() > MAX_DOCUMENT {
            let text = format!("{} has more than {MAX_DOCUMENT} bytes", printable(path));
            return Err(ProbeError::new(text).remedy("a document of matchbox is much smaller"));
        }
        Ok(Ok(bytes.to_vec()))
    }
}

/// Gives the path below the folder of assets; `None` where another server, or a setting that iPXE
/// alone knows, decides.
fn served(url: &str) -> Option<String> {
    if url.contains("${") {
        return None;
    }
    let base = Url::parse("http://matchbox.invalid/ipxe").ok()?;
    let url = base.join(url).ok()?;
    let here = url.host_str() == base.host_str() && url.scheme() == base.scheme();
    let path = url.path().strip_prefix(SERVED).filter(|_| here)?;
    let decoded = percent_encoding::percent_decode_str(path)
        .decode_utf8()
        .ok()?;
    Some(decoded.into_owned())
}
