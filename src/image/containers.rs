//! Which tree a file shows, told by its content.

use std::sync::Arc;

use super::disk::Disk;
use crate::format::elf::Sections;
use crate::format::erofs::Erofs;
use crate::format::ext::Ext;
use crate::format::fat::Fat;
use crate::format::iso::Iso;
use crate::format::pe::Pe;
use crate::format::squashfs::Squashfs;
use crate::format::tar::Tar;
use crate::format::{Content, FormatError, Limits, Source, Tree};

/// Opens a file as the container it is. `None` says that it is none: nothing
/// can be inside of it. `whole` says that its bytes are known to be whole.
///
/// Errors where it is one that cannot be read.
pub(super) fn open(
    source: &Source,
    content: Content,
    whole: bool,
    limits: &Limits,
) -> Result<Option<Arc<dyn Tree>>, FormatError> {
    match content {
        Content::Tar => {
            let tar = Tar::open(Arc::clone(source), limits)?;
            Ok(Some(Arc::new(tar.known_whole(whole))))
        }
        Content::Gpt | Content::Mbr => Ok(Some(Arc::new(Disk::open(source, file_system, limits)?))),
        other => file_system(source, other, limits),
    }
}

/// Opens a file as the container it is, disks left out.
fn file_system(
    source: &Source,
    content: Content,
    limits: &Limits,
) -> Result<Option<Arc<dyn Tree>>, FormatError> {
    let source = Arc::clone(source);
    Ok(Some(match content {
        Content::Squashfs => Arc::new(Squashfs::open(source, limits)?),
        Content::Fat => Arc::new(Fat::open(source, limits)?),
        Content::Iso => Arc::new(Iso::open(source, limits)?),
        Content::Ext => Arc::new(Ext::open(source, limits)?),
        Content::Erofs => Arc::new(Erofs::open(source, limits)?),
        Content::Pe | Content::Zboot => Arc::new(Pe::open(source)?),
        Content::Elf => Arc::new(Sections::open(source, limits)?),
        // Without an EFI stub they are no PE files.
        Content::Arm64Image | Content::RiscvImage | Content::BzImage => match Pe::open(source) {
            Ok(pe) => Arc::new(pe),
            Err(_) => return Ok(None),
        },
        Content::Tar
        | Content::Gpt
        | Content::Mbr
        | Content::Xfs
        | Content::Wasm
        | Content::Compressed(_)
        | Content::ZstdSkippable
        | Content::Cpio
        | Content::CpioCrc
        | Content::CpioOdc
        | Content::CpioBinary
        | Content::Empty
        | Content::Unknown => return Ok(None),
    }))
}

/// Tells whether bytes are an archive that the kernel would unpack, or once
/// did.
pub(super) fn is_archive(content: Content) -> bool {
    matches!(
        content,
        Content::Cpio
            | Content::CpioCrc
            | Content::CpioOdc
            | Content::CpioBinary
            | Content::ZstdSkippable
    )
}

/// Tells whether a file that is nothing known begins with zeros, which the
/// kernel skips before the first segment.
pub(super) fn begins_with_padding(head: &[u8]) -> bool {
    let zeros = head.iter().take_while(|byte| **byte == 0).count();
    let rest = head.get(zeros..).unwrap_or_default();
    zeros > 0
        && (is_archive(Content::detect(rest))
            || matches!(Content::detect(rest), Content::Compressed(_)))
}
