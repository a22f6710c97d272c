//! The commands that fetch files and start them. Sources: `hci/commands/image_cmd.c`,
//! `usr/imgmgmt.c`, `core/image.c`, `image/efi_image.c`.

use std::sync::Arc;

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
    loaded: Arc<Loaded>,
    /// What a script is, whole: looked at often, and read once.
    digest: Option<Sha256Digest>,
    /// Whether it is forgotten once it has run.
    once: bool,
    /// What tells it, as it is now, from others: looked at often, and made where it changes.
    state: Sha256Digest,
}

impl Image {
    pub(super) fn script(name: &str, bytes: Vec<u8>, url: Option<Url>) -> Self {
        Self::new(0, name, name, url, Loaded::Script(bytes))
    }

    fn new(id: usize, name: &str, shown: &str, url: Option<Url>, loaded: Loaded) -> Self {
        let digest = match &loaded {
            Loaded::Script(bytes) => Some(Sha256Digest::of(bytes)),
            Loaded::Other { .. } => None,
        };
        let mut image = Self {
            id,
            name: name.to_owned(),
            shown: shown.to_owned(),
            url,
            arguments: String::new(),
            loaded: Arc::new(loaded),
            digest,
            once: false,
            state: Sha256Digest::of(&[]),
        };
        image.changed();
        image
    }

    /// Gives what tells all that the course of a script depends on from what it was before.
    pub(super) fn state(&self) -> [u8; 32] {
        self.state.bytes()
    }

    /// Makes the state anew, from all but what may be large.
    fn changed(&mut self) {
        let Self {
            id,
            name,
            shown: _,
            url,
            arguments,
            loaded,
            digest,
            once,
            state: _,
        } = self;
        let (content, size) = match &**loaded {
            Loaded::Script(bytes) => ("script", Some(bytes.len() as u64)),
            Loaded::Other { content, size, .. } => (content.as_str(), *size),
        };
        let url = url.as_ref().map(Url::as_str);
        let parts =
            format!("{id} {name:?} {url:?} {arguments:?} {content:?} {size:?} {digest:?} {once}");
        self.state = Sha256Digest::of(parts.as_bytes());
    }

    fn picked(&self) -> Picked {
        let (content, pe_machine, size) = match &*self.loaded {
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
            // iPXE says so, and goes on: `imgsingle_exec` leaves the code at success.
            return Ok(Done::of(Ok(())).noted("no image is selected, and nothing is started"));
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
        image.changed();
        let image = image.clone();
        match what {
            Use::Keep | Use::Arguments => Ok(Done::of(Ok(()))),
            Use::Select => Ok(Done::of(
                self.executable(&image)
                    .map(|()| self.selected = Some(image.id)),
            )),
            Use::Start => {
                if let Err(why) = self.executable(&image) {
                    if !parsed.has("replace") {
                        self.frees(&image);
                    }
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

    /// Fetches a picture for the screen, unless it is there; forgets it, or keeps it with the others.
    pub(super) fn picture(
        &mut self,
        text: &str,
        keep: bool,
    ) -> Result<Result<(), String>, Outcome> {
        let held = match self.find(text) {
            Some(id) => id,
            None => match self.download(text)? {
                Ok(image) => self.register(image)?,
                Err(why) => return Ok(Err(why)),
            },
        };
        let is_script = |image: &Image| matches!(*image.loaded, Loaded::Script(_));
        let script = self
            .images
            .iter()
            .any(|image| image.id == held && is_script(image));
        self.images.retain(|image| keep || image.id != held);
        Ok(match script {
            true => Err("could not use picture: it is a script".to_owned()),
            false => Ok(()),
        })
    }

    /// Forgets images: those that are named, or all.
    pub(super) fn free(&mut self, names: &[String]) -> Result<(), String> {
        if names.is_empty() {
            self.images.clear();
        }
        for name in names {
            let id = self.find(name);
            let id = id.ok_or_else(|| no_image(name))?;
            self.images.retain(|image| image.id != id);
        }
        Ok(())
    }

    /// Looks for images by their names.
    pub(super) fn held(&self, names: &[String]) -> Result<(), String> {
        match names.iter().find(|name| self.find(name).is_none()) {
            Some(name) => Err(no_image(name)),
            None => Ok(()),
        }
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
                let shown = plain(url.as_str());
                Ok(Ok(Image::new(
                    self.fetches,
                    &name,
                    &shown,
                    Some(self.led_to(&url)),
                    loaded,
                )))
            }
            Err(Failed::Refused(why)) => Ok(Err(why)),
            Err(Failed::Unreachable(why)) => {
                self.unreachable = true;
                Ok(Err(why))
            }
        }
    }

    /// Gives where a file that was fetched from an address is; who may see it there stays the same.
    fn led_to(&self, url: &Url) -> Url {
        match self.fetch.led_to() {
            Some(to) if to.origin() != url.origin() || to.path() != url.path() => to,
            Some(_) | None => url.clone(),
        }
    }

    fn resolve(&self, text: &str) -> Result<Url, String> {
        let end = text.find(|c: char| !c.is_ascii_alphabetic() && !matches!(c, '-' | '_'));
        let (scheme, rest) = text.split_at(end.unwrap_or(text.len()));
        let host = rest.strip_prefix("://").is_some_and(|host| {
            // A setting that is empty makes this; other readers take the path for the host.
            !host.is_empty() && !host.starts_with(['/', ':', '?', '#'])
        });
        if rest.starts_with(':') && SCHEMES.contains(&scheme) && !host {
            let text = plain(text);
            return Err(format!("`{text}` names no host: is a setting empty?"));
        }
        if text.starts_with("//") {
            // Without a scheme, no host stands there: it is a path. Source: `parse_uri`.
            let mut url = self.base.clone().ok_or_else(|| relative(text))?;
            let (path, query) = match text.split_once('?') {
                Some((path, query)) => (path, Some(query)),
                None => (text, None),
            };
            url.set_path(path);
            url.set_query(query);
            url.set_fragment(None);
            return Ok(url);
        }
        match Url::parse(text) {
            Ok(url) => Ok(url),
            Err(url::ParseError::RelativeUrlWithoutBase) => match &self.base {
                Some(base) => base
                    .join(text)
                    .map_err(|error| format!("`{text}`: {error}")),
                None => Err(relative(text)),
            },
            Err(error) => Err(format!("`{}`: {error}", plain(text))),
        }
    }

    /// Starts an image: a script is carried out, anything else is the end of the walk. Tells of a
    /// script whether `exit` ended it.
    pub(super) fn execute(&mut self, image: Image) -> Result<Result<bool, String>, Outcome> {
        let mut image = image;
        loop {
            let loaded = Arc::clone(&image.loaded);
            let bytes = match &*loaded {
                Loaded::Script(bytes) => bytes,
                Loaded::Other {
                    content,
                    pe_machine,
                    ..
                } => {
                    if let Some(why) = self.wrong_machine(content, *pe_machine) {
                        self.not_started = Some(image.picked());
                        self.frees(&image);
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
            self.settings.work_at(self.base.clone());
            let digest = image.digest.unwrap_or_else(|| Sha256Digest::of(bytes));
            let ended = self.script(&image.shown, bytes, digest);
            self.settings.work_at(around.clone());
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
        match (&*image.loaded, self.machine.platform) {
            (Loaded::Script(_), _)
            | (
                Loaded::Other {
                    pe_machine: Some(_),
                    ..
                },
                Platform::Efi,
            ) => Ok(()),
            // iPXE takes the program out of it first, where it is built for that: `IMAGE_GZIP` of
            // `config/general.h`.
            (Loaded::Other { content, .. }, Platform::Efi)
                if content == "gzip" && !self.is_pc() =>
            {
                Ok(())
            }
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

    /// Forgets an image that did not start, where it was to be forgotten. Source: `image_exec`.
    fn frees(&mut self, image: &Image) {
        self.images
            .retain(|held| held.id != image.id || !image.once);
    }

    fn is_pc(&self) -> bool {
        let arch = self.machine.settings.get("buildarch").map(String::as_str);
        matches!(arch, Some("x86_64" | "i386"))
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

fn relative(text: &str) -> String {
    format!("`{text}` is relative to nothing: the script has no address")
}

fn no_image(name: &str) -> String {
    format!("`{name}`: no such image")
}
