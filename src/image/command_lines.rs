//! The command lines that kernels of an image are started with, wherever they
//! are written: in a UKI, in a boot loader's file, in a text, or in a disk, ISO
//! or folder that holds such files where they usually are.

use std::collections::{BTreeSet, HashMap};

use std::sync::Arc;

use super::{Image, ImageError};
use crate::format::menu::{Loader, MAX_FILE};
use crate::format::pe::Pe;
use crate::format::uki::{Profile, Uki, variables};
use crate::format::{Content, Entry, FileType, FormatError, Source};

/// How a command line is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// A section of a unified kernel image.
    Uki,
    /// A text that is nothing else.
    Text,
    /// In the file of a boot loader.
    Menu(Loader),
}

impl Written {
    /// Gives the stable name that specs use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Uki => "uki",
            Self::Text => "text",
            Self::Menu(loader) => loader.name(),
        }
    }
}

/// One command line, not taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The file inside of the image that it is in; empty where it is the image.
    pub source: String,
    /// How it is written there.
    pub written: Written,
    /// What a menu shows for it, empty where nothing says.
    pub title: String,
    /// The name by which its file refers to it: of a UKI, the profile's.
    pub id: Option<String>,
    /// The number of the profile, in a UKI that has any.
    pub profile: Option<u64>,
    /// The line of the file, counted from 1.
    pub line: Option<u64>,
    /// Where the kernel is, as a boot loader's file says it.
    pub kernel: Option<String>,
    /// The text.
    pub text: Vec<u8>,
}

/// The command lines of an image.
#[derive(Debug, Default)]
pub struct CommandLines {
    /// In the order in which they were found; each file's own order is kept.
    pub lines: Vec<CommandLine>,
    /// Partitions that were not looked into, because nothing here reads their
    /// file system, as `BOOT (xfs)`.
    pub unread: Vec<String>,
    /// How many files were looked into.
    files: usize,
}

/// Where such files usually are, in either case of letters; `*` is any part of
/// one name. The last column says what the file has to be.
const PLACES: &[(&str, Place)] = &[
    ("EFI/Linux/*.efi", Place::Uki),
    ("EFI/BOOT/*.efi", Place::Program),
    ("usr/install/*/vmlinuz.efi", Place::Uki),
    ("loader/entries/*.conf", Place::Menu(Loader::Entry)),
    ("boot/loader/entries/*.conf", Place::Menu(Loader::Entry)),
    ("grub*/grub.cfg", Place::Menu(Loader::Grub)),
    ("boot/grub*/grub.cfg", Place::Menu(Loader::Grub)),
    ("EFI/*/grub.cfg", Place::Menu(Loader::Grub)),
    ("isolinux/*.cfg", Place::Menu(Loader::Syslinux)),
    ("boot/isolinux/*.cfg", Place::Menu(Loader::Syslinux)),
    ("syslinux/*.cfg", Place::Menu(Loader::Syslinux)),
    ("boot/syslinux/*.cfg", Place::Menu(Loader::Syslinux)),
    ("EFI/*/syslinux.cfg", Place::Menu(Loader::Syslinux)),
    ("syslinux.cfg", Place::Menu(Loader::Syslinux)),
    ("extlinux/*.conf", Place::Menu(Loader::Syslinux)),
    ("boot/extlinux/*.conf", Place::Menu(Loader::Syslinux)),
    ("pxelinux.cfg/*", Place::Menu(Loader::Syslinux)),
    ("*.ipxe", Place::Menu(Loader::Ipxe)),
    // What firmware starts from an ISO, and the files that are made for it.
    (".boot*/*", Place::Image),
    ("boot/grub*/efi.img", Place::Image),
    ("EFI/BOOT/efiboot.img", Place::Image),
    ("images/efiboot.img", Place::Image),
];

/// Files of one image that are looked into, and the command lines in them.
const MAX_FILES: usize = 1024;
const MAX_LINES: usize = 4096;
/// Images inside of one another that are looked into.
const MAX_DEPTH: usize = 2;

#[derive(Clone, Copy)]
enum Place {
    Uki,
    /// A UKI, or another program for UEFI.
    Program,
    Menu(Loader),
    /// A FAT file system.
    Image,
}

impl CommandLines {
    /// Finds the command lines of an image. What a single file is, is told by its
    /// content, unless `written` says it.
    ///
    /// Errors where a file that holds some cannot be read, and where a text of
    /// several lines is no boot loader's file that is known.
    pub fn of(image: &Arc<Image>, written: Option<Written>) -> Result<Self, ImageError> {
        let image = image.enter("")?;
        let mut found = Self::default();
        let lines = match (written, image.content()) {
            (Some(Written::Uki), _) => of_uki("", image.source()?),
            (None, Some(content)) if is_program(content) => of_uki("", image.source()?),
            (None, content) if content != Some(Content::Unknown) || image.is_initramfs()? => {
                found.walk(&image, "", 0)?;
                return Ok(found);
            }
            (written, _) => of_text(&image.path().to_string_lossy(), image.source()?, written),
        };
        found.lines = lines.map_err(|error| image.failed(error))?;
        Ok(found)
    }

    /// Gives the one that is started where nobody chooses: the only one, or the
    /// first profile of the only UKI (UAPI "Multi-Profile UKIs").
    #[must_use]
    pub fn unchosen(&self) -> Option<usize> {
        let first = self.lines.first()?;
        let same = |line: &CommandLine| line.profile.is_some() && line.source == first.source;
        let alone = self.lines.len() == 1 || self.lines.iter().all(same);
        // Where the first profile has none, nothing here says what it is started with.
        (alone && first.profile.unwrap_or(0) == 0).then_some(0)
    }

    /// Looks where such files usually are. `prefix` leads to the image.
    fn walk(&mut self, image: &Arc<Image>, prefix: &str, depth: usize) -> Result<(), ImageError> {
        let mut folders = Folders::of(image);
        let disk = matches!(image.tree()?.format(), "gpt" | "mbr");
        let mut roots = vec![String::new()];
        if disk {
            roots.clear();
            for part in folders.children("")?.to_vec() {
                let readable = part.meta.kind == FileType::Directory
                    && match image.tree()?.children(&part.path) {
                        Ok(_) => true,
                        Err(error) if error.is_unsupported() => false,
                        Err(error) => return Err(image.failed(error)),
                    };
                match readable {
                    true => roots.push(part.path),
                    false => self.unread.extend(unread(image, prefix, &part)?),
                }
            }
        }
        let mut met = BTreeSet::new();
        for root in &roots {
            for (pattern, place) in PLACES {
                for file in folders.covered(root, pattern)? {
                    if met.insert(file.path.clone()) {
                        self.take(image, prefix, &file, *place, depth)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes the command lines out of a file.
    fn take(
        &mut self,
        image: &Arc<Image>,
        prefix: &str,
        file: &Entry,
        place: Place,
        depth: usize,
    ) -> Result<(), ImageError> {
        let limits = image.limits();
        let over = |error| image.failed(error);
        limits.check_deadline("cmdline", 0).map_err(over)?;
        if self.files == MAX_FILES || self.lines.len() > MAX_LINES {
            let what = format!("more than {MAX_FILES} files, or {MAX_LINES} command lines");
            return Err(over(FormatError::corrupt("cmdline", 0, what)));
        }
        self.files += 1;
        let source = format!("{prefix}{}", file.path);
        let failed = |error: FormatError| image.failed(error.inside(source.as_str()));
        let bytes = || image.open_bytes(file);
        match place {
            Place::Uki => self
                .lines
                .extend(of_uki(&source, &bytes()?).map_err(failed)?),
            Place::Program => {
                let bytes = bytes()?;
                let pe = Pe::open(Arc::clone(&bytes)).map_err(failed)?;
                if pe
                    .sections()
                    .iter()
                    .any(|section| section.label == ".linux")
                {
                    self.lines.extend(of_uki(&source, &bytes).map_err(failed)?);
                }
            }
            Place::Menu(loader) => {
                let text = text(&bytes()?).map_err(failed)?;
                let lines = of_menu(loader, &source, &file.path, &text);
                self.lines.extend(lines.map_err(failed)?);
            }
            Place::Image if depth < MAX_DEPTH && file.meta.size > 0 => {
                let inner = image.enter(&file.path)?;
                if inner.content() == Some(Content::Fat) {
                    self.walk(&inner, &format!("{source}!/"), depth + 1)?;
                }
            }
            Place::Image => {}
        }
        Ok(())
    }
}

/// Says which file system a partition has that nothing here reads, for its kind
/// or, as one whose journal has to be replayed, for its state; `None` where it
/// has none.
fn unread(image: &Image, prefix: &str, part: &Entry) -> Result<Option<String>, ImageError> {
    let head = image.open_bytes(part)?.up_to(0, Content::HEAD);
    let content = Content::detect(&head.map_err(|error| image.failed(error))?);
    let unread = matches!(
        content,
        Content::Xfs | Content::Ext | Content::Erofs | Content::Iso | Content::Squashfs
    );
    Ok(unread.then(|| format!("{prefix}{} ({})", part.path, content.name())))
}

/// Directories of one image, each listed once.
struct Folders<'i> {
    image: &'i Image,
    listed: HashMap<String, Vec<Entry>>,
}

impl<'i> Folders<'i> {
    fn of(image: &'i Image) -> Self {
        Self {
            image,
            listed: HashMap::new(),
        }
    }

    /// Lists a directory, links in it followed; nothing where there is none.
    fn children(&mut self, path: &str) -> Result<&[Entry], ImageError> {
        if !self.listed.contains_key(path) {
            let children = self.image.tree()?.children(path);
            let children = children.map_err(|error| self.image.failed(error))?;
            self.listed
                .insert(path.to_owned(), children.unwrap_or_default());
        }
        Ok(self.listed.get(path).map_or(&[], Vec::as_slice))
    }

    /// Finds the files below `root` that a pattern of [`PLACES`] covers.
    fn covered(&mut self, root: &str, pattern: &str) -> Result<Vec<Entry>, ImageError> {
        let mut parents = vec![root.to_owned()];
        let mut components = pattern.split('/').peekable();
        let mut files = Vec::new();
        while let Some(component) = components.next() {
            let last = components.peek().is_none();
            let mut next = Vec::new();
            for parent in &parents {
                let image = self.image;
                for child in self.children(parent)? {
                    let name = child.path.rsplit('/').next().unwrap_or(&child.path);
                    if !covers(component, name) {
                        continue;
                    }
                    let found = match child.meta.kind == FileType::Symlink {
                        true => image.find_in_tree(&child.path)?,
                        false => Some(child.clone()),
                    };
                    let kind = found.as_ref().map(|entry| entry.meta.kind);
                    if last && kind == Some(FileType::File) {
                        files.extend(found);
                    } else if !last && kind == Some(FileType::Directory) {
                        next.extend(found.map(|entry| entry.path));
                    }
                }
            }
            parents = next;
        }
        Ok(files)
    }
}

/// Tells whether a name is one that a component covers: FAT does not tell the
/// case of letters apart, so nothing here does.
fn covers(component: &str, name: &str) -> bool {
    let (component, name) = (component.to_ascii_lowercase(), name.to_ascii_lowercase());
    match component.split_once('*') {
        Some((start, end)) => {
            name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end)
        }
        None => name == component,
    }
}

/// Tells whether bytes are a program for UEFI, whatever else they are.
fn is_program(content: Content) -> bool {
    matches!(
        content,
        Content::Pe | Content::Zboot | Content::Arm64Image | Content::RiscvImage | Content::BzImage
    )
}

fn of_text(
    name: &str,
    bytes: &Source,
    written: Option<Written>,
) -> Result<Vec<CommandLine>, FormatError> {
    let text = text(bytes)?;
    let written = match written {
        Some(written) => written,
        None => told(name, &text)?,
    };
    Ok(match written {
        Written::Menu(loader) => of_menu(loader, "", name, &text)?,
        Written::Uki | Written::Text => vec![CommandLine {
            source: String::new(),
            written,
            title: String::new(),
            id: None,
            profile: None,
            line: None,
            kernel: None,
            text: text.into_bytes(),
        }],
    })
}

/// Tells what a text is.
fn told(name: &str, text: &str) -> Result<Written, FormatError> {
    if let Some(loader) = Loader::detect(name, text) {
        return Ok(Written::Menu(loader));
    }
    if text.lines().filter(|line| !line.trim().is_empty()).count() > 1 {
        let what = "several lines, and no boot loader's file that is known; say what it is with \
                    `format`, such as `format: text`";
        return Err(FormatError::corrupt("cmdline", 0, what));
    }
    Ok(Written::Text)
}

fn of_menu(
    loader: Loader,
    source: &str,
    name: &str,
    text: &str,
) -> Result<Vec<CommandLine>, FormatError> {
    let entries = loader.entries(name, text)?;
    let line = |entry: crate::format::menu::Entry| CommandLine {
        source: source.to_owned(),
        written: Written::Menu(loader),
        title: entry.title,
        id: entry.id,
        profile: None,
        line: Some(entry.line),
        kernel: Some(entry.kernel),
        text: entry.cmdline.into_bytes(),
    };
    Ok(entries.into_iter().map(line).collect())
}

/// Gives the command line of each profile; of a UKI without any, that of the
/// base. A profile without one has none here: whoever starts it gives it.
fn of_uki(source: &str, bytes: &Source) -> Result<Vec<CommandLine>, FormatError> {
    let pe = Pe::open(Arc::clone(bytes))?;
    let uki = Uki::of(&pe)?;
    let mut lines = Vec::new();
    let profiles: Vec<Option<&Profile>> = match uki.profiles() {
        [] => vec![None],
        profiles => profiles.iter().map(Some).collect(),
    };
    for profile in profiles {
        let Some(text) = uki.text(profile, ".cmdline")? else {
            continue;
        };
        let release = uki.text(profile, ".osrel")?.unwrap_or_default();
        let pretty = || variables(&release).remove("PRETTY_NAME");
        lines.push(CommandLine {
            source: source.to_owned(),
            written: Written::Uki,
            title: profile
                .and_then(|p| p.title.clone())
                .or_else(pretty)
                .unwrap_or_default(),
            id: profile.and_then(|p| p.id.clone()),
            profile: profile.map(|p| p.number),
            line: None,
            kernel: None,
            text,
        });
    }
    Ok(lines)
}

/// Reads a text as UTF-8; other bytes show as the sign for what is none. NULs at
/// its end fill a section up.
fn text(source: &Source) -> Result<String, FormatError> {
    let bytes = source.up_to(0, MAX_FILE + 1)?;
    if bytes.len() > MAX_FILE {
        let what = format!("a text of more than {MAX_FILE} bytes");
        return Err(FormatError::corrupt("cmdline", 0, what));
    }
    let end = bytes.iter().rposition(|byte| *byte != 0);
    let bytes = bytes
        .get(..end.map_or(0, |last| last + 1))
        .unwrap_or_default();
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        let what = "there is a NUL in it: this is no text";
        return Err(FormatError::corrupt("cmdline", at as u64, what));
    }
    Ok(String::from_utf8_lossy(bytes).into_owned())
}
