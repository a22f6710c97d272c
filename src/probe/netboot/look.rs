//! What a file is that a machine is to start.

use crate::format::ipxe::is_script;
use crate::format::kernel::pe_machine;
use crate::format::pe::Headers;
use crate::format::{Content, FormatError, Source};

/// How far a program is searched for what tells it from others.
const SEARCHED: u64 = 16 << 20;
/// How much of it is looked at at a time.
const PIECE: usize = 1 << 20;

/// What stands in programs and in no others: iPXE's `config/branding.h`, GRUB's `kern/main.c`, shim's
/// `version.c`.
const MARKS: &[(&[u8], Program)] = &[
    (b"Open Source Network Boot Firmware", Program::Ipxe),
    (b"Welcome to GRUB!", Program::Grub),
    (b"UEFI SHIM\n$Version", Program::Shim),
];

/// What a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// A boot loader that asks DHCP again, and follows scripts.
    Ipxe,
    /// A boot loader with files of its own.
    Grub,
    /// What checks a signature and starts the next one.
    Shim,
    /// A kernel of Linux that UEFI starts.
    Kernel,
    /// A kernel with its initramfs and command line.
    Uki,
    /// Another.
    Other,
}

impl Program {
    /// Gives the stable name that specs use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipxe => "ipxe",
            Self::Grub => "grub",
            Self::Shim => "shim",
            Self::Kernel => "kernel",
            Self::Uki => "uki",
            Self::Other => "other",
        }
    }
}

/// What a file is.
pub struct Looked {
    /// `script`, or as [`Content::name`] says it.
    pub content: &'static str,
    /// What a program is; nothing of what is none.
    pub program: Option<Program>,
    /// The machine of its PE header.
    pub pe_machine: Option<u16>,
    /// What is missing of a file that ends too early.
    pub cut: Option<String>,
}

/// Looks at a file. `bios` says that it is for a PC's BIOS, where any bytes are a program.
///
/// # Errors
/// Where it cannot be read.
pub fn look(source: &Source, bios: bool) -> Result<Looked, FormatError> {
    let head = source.up_to(0, Content::HEAD)?;
    if is_script(&head) {
        return Ok(Looked {
            content: "script",
            program: None,
            pe_machine: None,
            cut: None,
        });
    }
    let content = Content::detect(&head);
    let machine = pe_machine(&head);
    let (mut cut, mut uki) = (None, false);
    if machine.is_some() {
        match Headers::read(&**source) {
            Ok(headers) => uki = headers.sections.iter().any(|s| s.label == ".linux"),
            Err(error @ FormatError::Truncated { .. }) => cut = Some(error.to_string()),
            // Firmware may be as strict, or not: that it is a program of this machine is known.
            Err(_) => {}
        }
    }
    let kernel = matches!(
        content,
        Content::Arm64Image | Content::RiscvImage | Content::Zboot | Content::BzImage
    );
    let starts = machine.is_some() || bios && content != Content::Empty;
    let program = match (kernel, uki) {
        (true, _) => Some(Program::Kernel),
        (false, true) => Some(Program::Uki),
        (false, false) if starts => Some(marked(source)?),
        (false, false) => None,
    };
    Ok(Looked {
        content: content.name(),
        program,
        pe_machine: machine,
        cut,
    })
}

/// Searches a program for what tells it from others.
fn marked(source: &Source) -> Result<Program, FormatError> {
    let longest = MARKS.iter().map(|(mark, _)| mark.len()).max();
    let step = (PIECE - longest.unwrap_or(0)) as u64;
    let mut at = 0;
    while at < SEARCHED {
        let piece = source.up_to(at, PIECE)?;
        for (mark, program) in MARKS {
            if memchr::memmem::find(&piece, mark).is_some() {
                return Ok(*program);
            }
        }
        if piece.len() < PIECE {
            break;
        }
        at += step;
    }
    Ok(Program::Other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::Bytes;
    use std::sync::Arc;

    fn program(mark: &[u8], at: usize) -> Source {
        let mut bytes = vec![0; at];
        bytes[..2].copy_from_slice(b"MZ");
        bytes[0x3c] = 0x40;
        bytes[0x40..0x46].copy_from_slice(b"PE\0\0\x64\xaa");
        bytes.extend_from_slice(mark);
        Arc::new(Bytes::new(bytes))
    }

    #[test]
    fn programs_are_told_by_what_stands_in_them() {
        for (mark, wanted) in MARKS {
            // Where two pieces meet as well.
            for at in [0x100, PIECE - 5, PIECE - mark.len() - 1] {
                let looked = look(&program(mark, at), false).unwrap();
                assert_eq!(looked.program, Some(*wanted), "{at}");
                assert_eq!(looked.pe_machine, Some(0xaa64));
            }
        }
        let looked = look(&program(b"nothing", 0x100), false).unwrap();
        assert_eq!((looked.program, looked.cut), (Some(Program::Other), None));
        let words: Source = Arc::new(Bytes::new(b"words".to_vec()));
        assert_eq!(look(&words, false).unwrap().program, None);
        assert_eq!(look(&words, true).unwrap().program, Some(Program::Other));
        let script: Source = Arc::new(Bytes::new(b"#!ipxe\nshell\n".to_vec()));
        assert_eq!(look(&script, false).unwrap().content, "script");
    }
}
