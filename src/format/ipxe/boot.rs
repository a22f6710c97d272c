//! The commands that fetch files and start them. Sources: `hci/commands/image_cmd.c`,
//! `usr/imgmgmt.c`, `core/image.c`, `image/efi_image.c`.

use url::Url;

use super::evaluate::{After, Done, Evaluator};
use super::options::Parsed;
use super::walk::{Failed, Loaded, Outcome, Picked, Platform, plain};
use crate::format::{Content, pe};
use crate::model::Sha256Digest;

/// What iPXE fetches of its own accord, and what is fetched here.
const SCHEMES: &[&str] = &["http", "https", "tftp"];
/// Images that are kept; each costs memory.
const MAX_IMAGES: usize = 100;

/// A file that iPXE holds.
#[derive(Debug, Clone)]
pub(super) struct Image {
    /// What tells it from others; names do not.
    id: usize,
    name: String,
    /// What it is called in a transcript.
    shown: String,
    url: Option<Url>,
    arguments: String,
    loaded: Loaded,
    /// What a script is, whole: looked at often, and read once.
    digest: Option<Sha256Digest>,
    /// Whether it is forgotten once it has run.
    once: bool,
}

impl Image {
    pub(super) fn script(name: &str, bytes: Vec<u8>, url: Option<Url>) -> Self {
        Self {
            id: 0,
            name: name.to_owned(),
            shown: name.to_owned(),
            url,
            arguments: String::new(),
            digest: Some(Sha256Digest::of(&bytes)),
            loaded: Loaded::Script(bytes),
            once: false,
        }
    }

    /// Gives all that the course of a script depends on, without what may be large.
    pub(super) fn state(&self) -> impl std::fmt::Debug {
        let Self {
            id,
            name,
            shown: _,
            url,
            arguments,
            loaded,
            digest,
            once,
        } = self;
        let (content, size) = match loaded {
            Loaded::Script(bytes) => ("script", Some(bytes.len() as u64)),
            Loaded::Other { content, size, .. } => (content.as_str(), *size),
        };
        let url = url.as_ref().map(Url::as_str);
        (id, name, url, arguments, content, size, digest, once)
    }

    fn picked(&self) -> Picked {
        let (content, pe_machine, size) = match &self.loaded {
            Loaded::Script(bytes) => ("script".to_owned(), None, Some(bytes.len() as u64)),
            Loaded::Other {
                content,
                pe_machine,
                size,
            } => (content.clone(), *pe_machine, *size),
        };
        Picked {
            name: self.name.clone(),
            url: self.shown.clone(),
            arguments: self.arguments.clone(),
            content,
            pe_machine,
            size,
        }
    }
}

/// What is done with an image once it is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    Keep,
    Select,
    Arguments,
    Start,
}

impl Evaluator<'_> {
    /// Carries out one of the commands of images.
    pub(super) fn image(&mut self, parsed: &Parsed, what: Use) -> Result<Done, Outcome> {
        let held = match parsed.words.first() {
            Some(text) => match (what != Use::Keep).then(|| self.find(text)).flatten() {
                Some(id) => Some(id),
                None => match self.download(text)? {
                    Ok(image) => Some(self.register(image)?),
                    Err(why) => return Ok(Done::of(Err(why))),
                },
            },
            None => self.selected,
        };
        let Some(image) = self.images.iter_mut().find(|image| Some(image.id) == held) else {
            return Ok(Done::of(Err("no image selected".to_owned())));
        };
        if what == Use::Arguments {
            image.arguments.clear();
        }
        if let Some(name) = parsed.value("name") {
            name.clone_into(&mut image.name);
        }
        if parsed.words.len() > 1 {
            image.arguments = parsed.joined(1);
        }
        image.once |= parsed.has("autofree");
        let image = image.clone();
        match what {
            Use::Keep | Use::Arguments => Ok(Done::of(Ok(()))),
            Use::Select => Ok(Done::of(
                self.executable(&image)
                    .map(|()| self.selected = Some(image.id)),
            )),
            Use::Start => {
                if let Err(why) = self.executable(&image) {
                    return Ok(Done::of(Err(why)));
                }
                if parsed.has("replace") {
                    let Some(frame) = self.frames.last_mut() else {
                        return Ok(Done::of(Err("not in a script".to_owned())));
                    };
                    frame.replacement = Some(image);
                    return Ok(Done {
                        code: Ok(()),
                        after: After::Script,
                        note: None,
                    });
                }
                Ok(Done::of(self.execute(image)?.map(|_| ())))
            }
        }
    }

    /// Forgets images: those that are named, or all.
    pub(super) fn free(&mut self, names: &[String]) -> Result<(), String> {
        if names.is_empty() {
            self.images.clear();
        }
        for name in names {
            let id = self.find(name);
            let id = id.ok_or_else(|| format!("`{name}`: no such image"))?;
            self.images.retain(|image| image.id != id);
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Option<usize> {
        let mut images = self.images.iter();
        images
            .find(|image| image.name == name)
            .map(|image| image.id)
    }

    fn register(&mut self, image: Image) -> Result<usize, Outcome> {
        if self.images.len() >= MAX_IMAGES {
            return Err(Outcome::Limit(format!("more than {MAX_IMAGES} images")));
        }
        let id = image.id;
        self.images.push(image);
        Ok(id)
    }

    /// Fetches what an address of a script leads to.
    pub(super) fn download(&mut self, text: &str) -> Result<Result<Image, String>, Outcome> {
        let url = match self.resolve(text) {
            Ok(url) => url,
            Err(why) => return Ok(Err(why)),
        };
        if !SCHEMES.contains(&url.scheme()) {
            return Err(Outcome::Unknown(format!(
                "`{}:` is not fetched here",
                url.scheme()
            )));
        }
        self.fetches += 1;
        if self.fetches > self.bounds.fetches {
            return Err(Outcome::Limit(format!(
                "more than {} files",
                self.bounds.fetches
            )));
        }
        match self.fetch.fetch(&url) {
            Ok(loaded) => {
                let path = url.path().rsplit('/').next().unwrap_or_default();
                let name = percent_encoding::percent_decode_str(path).decode_utf8_lossy();
                Ok(Ok(Image {
                    id: self.fetches,
                    name: name.into_owned(),
                    shown: plain(url.as_str()),
                    url: Some(url),
                    arguments: String::new(),
                    digest: match &loaded {
                        Loaded::Script(bytes) => Some(Sha256Digest::of(bytes)),
                        Loaded::Other { .. } => None,
                    },
                    loaded,
                    once: false,
                }))
            }
            Err(Failed::Refused(why)) => Ok(Err(why)),
            Err(Failed::Unreachable(why)) => {
                self.unreachable = true;
                Ok(Err(why))
            }
        }
    }

    fn resolve(&self, text: &str) -> Result<Url, String> {
        // A setting that is empty makes this; other readers of addresses take the path for the host.
        if text
            .split_once("://")
            .is_some_and(|(_, rest)| rest.is_empty() || rest.starts_with(['/', ':']))
        {
            return Err(format!(
                "`{}` names no host: is a setting empty?",
                plain(text)
            ));
        }
        match Url::parse(text) {
            Ok(url) => Ok(url),
            Err(url::ParseError::RelativeUrlWithoutBase) => match &self.base {
                Some(base) => base
                    .join(text)
                    .map_err(|error| format!("`{text}`: {error}")),
                None => Err(format!(
                    "`{text}` is relative to nothing: the script has no address"
                )),
            },
            Err(error) => Err(format!("`{}`: {error}", plain(text))),
        }
    }

    /// Starts an image: a script is carried out, anything else is the end of the walk. Tells of a
    /// script whether `exit` ended it.
    pub(super) fn execute(&mut self, image: Image) -> Result<Result<bool, String>, Outcome> {
        let mut image = image;
        loop {
            let bytes = match &image.loaded {
                Loaded::Script(bytes) => bytes.clone(),
                Loaded::Other {
                    content,
                    pe_machine,
                    ..
                } => {
                    if let Some(why) = self.wrong_machine(content, *pe_machine) {
                        self.not_started = Some(image.picked());
                        return Ok(Err(why));
                    }
                    let others = self.images.iter().filter(|held| held.id != image.id);
                    self.initrds = others.map(Image::picked).collect();
                    return Err(Outcome::Boot(Box::new(image.picked())));
                }
            };
            // While it runs, a script is none of the images.
            self.images.retain(|held| held.id != image.id);
            let base = image.url.clone().or_else(|| self.base.clone());
            let around = std::mem::replace(&mut self.base, base);
            let ended = self.script(&image.shown, &bytes);
            self.base = around;
            let (code, replacement) = ended?;
            match replacement {
                Some(next) => image = next,
                None => {
                    if !image.once {
                        self.register(image)?;
                    }
                    return Ok(code);
                }
            }
        }
    }

    /// Says why iPXE would not take a file for one that it can start.
    pub(super) fn executable(&mut self, image: &Image) -> Result<(), String> {
        let right = self.is_executable(image);
        if right.is_err() {
            self.not_started = Some(image.picked());
        }
        right
    }

    fn is_executable(&self, image: &Image) -> Result<(), String> {
        match (&image.loaded, self.machine.platform) {
            (Loaded::Script(_), _)
            | (
                Loaded::Other {
                    pe_machine: Some(_),
                    ..
                },
                Platform::Efi,
            ) => Ok(()),
            // iPXE takes the program out of it first.
            (Loaded::Other { content, .. }, Platform::Efi) if content == "gzip" => Ok(()),
            (Loaded::Other { content, .. }, Platform::Efi) => Err(format!(
                "exec format error: UEFI starts PE files, and this is {}",
                match content.as_str() {
                    "unknown" => "none",
                    other => other,
                }
            )),
            (Loaded::Other { .. }, Platform::Bios) => Ok(()),
        }
    }

    /// Says why firmware would not start a file: it is for another machine than iPXE.
    fn wrong_machine(&self, content: &str, pe_machine: Option<u16>) -> Option<String> {
        let elsewhere = [Content::Arm64Image, Content::RiscvImage, Content::Zboot];
        if self.machine.platform == Platform::Bios
            && elsewhere.iter().any(|kernel| kernel.name() == content)
        {
            return Some(format!(
                "could not boot: a kernel of another machine ({content}), and this is a PC with a BIOS"
            ));
        }
        let built = self.machine.settings.get("buildarch")?;
        let own = match built.as_str() {
            "x86_64" => "amd64",
            "arm32" => "arm",
            "loong64" => "loongarch64",
            other => other,
        };
        let theirs = pe::arch(pe_machine.filter(|_| self.machine.platform == Platform::Efi)?);
        (theirs != own)
            .then(|| format!("could not boot: the program is for {theirs}, the machine is {own}"))
    }
}
