//! What firmware does with a boot file: how it gets it, and whether it starts it.

use super::course::{Course, End, Place, made};
use super::fetch::{Missed, Who};
use super::{Fault, File, NetbootError, Program, Stage};
use crate::format::dhcp::{Boot, Firmware, Machine};
use crate::model::value::clip;
use std::net::Ipv4Addr;
use url::Url;

impl Course<'_> {
    /// Fetches the boot file, and of UEFI HTTP boot tells what it is taken for.
    pub(super) fn boot_file(
        &mut self,
        machine: &Machine,
        boot: &Boot,
    ) -> Result<(File, Option<(Url, Image)>), End> {
        let who = machine.firmware;
        let file = clip(&boot.file.escape_debug().to_string(), 200);
        let wrong = |what: &str| (Fault::WrongAddress, format!("`{file}` {what}"));
        let parsed = match (who, &boot.server) {
            (Firmware::Http, _) => match Url::parse(&boot.file) {
                Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Ok(url)),
                Ok(_) | Err(_) => Err(wrong(
                    "is offered to UEFI HTTP boot, and does not begin with http://",
                )),
            },
            (Firmware::Pxe | Firmware::Ipxe, Some(server)) => match server.parse::<Ipv4Addr>() {
                Ok(server) => Ok(Err(server)),
                Err(_) => Err(wrong("is on a server without an address")),
            },
            (Firmware::Pxe | Firmware::Ipxe, None) => Err(wrong(
                "is a URL, and firmware that boots by PXE asks a TFTP server for a file of that name",
            )),
        };
        let parsed = parsed.map_err(|(fault, why)| self.stop(fault, Stage::BootFile, who, why))?;
        let place = match &parsed {
            Ok(url) => Place::Url(url),
            Err(server) => Place::Tftp(*server, &boot.file),
        };
        let (body, looked) = match self.fetch(&place, Who::Firmware) {
            Ok(came) => came,
            Err(Missed::Fault(fault, why)) => {
                return Err(self.stop(fault, Stage::BootFile, who, why));
            }
            Err(Missed::Unreachable(why)) => {
                return Err(End::Error(NetbootError::Unreachable(why)));
            }
            Err(Missed::Local(why)) => return Err(End::Error(NetbootError::Local(why))),
        };
        let image = match &parsed {
            Err(_) => None,
            Ok(url) => match Image::of(url, body.media.as_deref()) {
                Some(image) => Some((url.clone(), image)),
                None => {
                    let media = body.media.unwrap_or_else(|| "none".to_owned());
                    let why = format!(
                        "`{file}` does not end in .efi, .iso or .img, and its type ({}) says nothing \
                         to UEFI: it knows application/efi, application/vnd.efi-iso and \
                         application/vnd.efi-img",
                        clip(&media.escape_debug().to_string(), 100)
                    );
                    return Err(self.stop(Fault::WrongType, Stage::BootFile, who, why));
                }
            },
        };
        self.console.came(who, body.size);
        let name = boot.file.rsplit('/').next().unwrap_or_default();
        Ok((made(place.shown(), name, &body, &looked), image))
    }

    /// Stops where a boot file is nothing that this machine starts.
    pub(super) fn starts(&mut self, file: &File) -> Result<(), End> {
        let who = self.asking.machine.firmware;
        let (own, bios) = (self.asking.arch, self.asking.machine.arch == 0);
        let name = clip(&file.name.escape_debug().to_string(), 200);
        let stopped = match (&file.program, &file.arch) {
            (None, _) if file.content == "script" => Some((
                Fault::NotAProgram,
                format!("`{name}` is a script of iPXE, and the firmware is not iPXE"),
            )),
            (None, _) => Some((
                Fault::NotAProgram,
                format!(
                    "`{name}` is no program that UEFI starts (a PE file), but {}",
                    file.content
                ),
            )),
            (Some(Program::Kernel | Program::Uki), None) if bios => Some((
                Fault::NotAProgram,
                format!(
                    "`{name}` is a kernel ({}), which the BIOS of a PC does not start by itself",
                    file.content
                ),
            )),
            (Some(_), None) if !bios => Some((
                Fault::NotAProgram,
                format!(
                    "`{name}` is no program that UEFI starts (a PE file), but {}",
                    file.content
                ),
            )),
            (Some(_), Some(arch)) if bios => Some((
                Fault::NotAProgram,
                format!(
                    "`{name}` is a program for UEFI ({arch}), and the machine is a PC with a BIOS"
                ),
            )),
            (Some(_), Some(arch)) if arch != own => Some((
                Fault::WrongArchitecture,
                format!("`{name}` is for {arch}, and the machine is {own}"),
            )),
            (Some(_), Some(_) | None) => file
                .cut
                .as_ref()
                .map(|cut| (Fault::CutShort, format!("`{name}` ends too early: {cut}"))),
        };
        match stopped {
            Some((fault, why)) => Err(self.stop(fault, Stage::BootFile, who, why)),
            None => Ok(()),
        }
    }
}

/// What UEFI HTTP boot takes a file for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Image {
    Program,
    Cd,
    Disk,
}

impl Image {
    /// Tells by the type, and where that says nothing by the ending. Source: `HttpBootCheckImageType`
    /// of EDK2: a type with parameters behind it is none of these. Since 2021, endings may be in capital letters.
    fn of(url: &Url, media: Option<&str>) -> Option<Self> {
        let is = |name: &str| media.is_some_and(|media| media.trim().eq_ignore_ascii_case(name));
        let path = url.path().to_ascii_lowercase();
        let all = [Self::Program, Self::Cd, Self::Disk];
        let types = [
            "application/efi",
            "application/vnd.efi-iso",
            "application/vnd.efi-img",
        ];
        let ends = [".efi", ".iso", ".img"];
        let of = |at: Option<usize>| all.get(at?).copied();
        of(types.iter().position(|name| is(name)))
            .or_else(|| of(ends.iter().position(|end| path.ends_with(end))))
    }

    /// Names it, where it is no program.
    pub(super) fn disk(self) -> Option<&'static str> {
        match self {
            Self::Program => None,
            Self::Cd => Some("image of a CD"),
            Self::Disk => Some("image of a disk"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_boot_goes_by_type_and_then_by_ending() {
        let of = |url: &str, media| Image::of(&Url::parse(url).unwrap(), media);
        let is = |url, media, wanted| assert!(of(url, media) == wanted, "{url} {media:?}");
        is("http://h/x.efi", None, Some(Image::Program));
        is(
            "http://h/x.efi",
            Some("application/octet-stream"),
            Some(Image::Program),
        );
        is("http://h/x?a=b.efi", None, None);
        is("http://h/BOOTX64.EFI", None, Some(Image::Program));
        is("http://h/x.iso", None, Some(Image::Cd));
        is("http://h/x", Some("application/octet-stream"), None);
        is("http://h/x", Some("Application/EFI"), Some(Image::Program));
        is("http://h/x", Some("application/efi; a=b"), None);
        is(
            "http://h/x.efi",
            Some("application/vnd.efi-img"),
            Some(Image::Disk),
        );
    }
}
