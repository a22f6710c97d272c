//! ELF files: what they are built for, and what they need to run.
//!
//! Only headers are fetched: the ELF header, the program headers, the
//! interpreter's path, the dynamic section and the names that it points at.
//! Of a file in a compressed image, that decodes one or two blocks.
//!
//! Source: System V ABI, "Object Files" and "Program Loading and Dynamic
//! Linking"; the header structures are goblin's.

mod dynamic;
mod extent;
mod machine;
mod sections;

use goblin::container::Ctx;
use goblin::elf::header::{self, Header};
use goblin::elf::program_header::{PT_DYNAMIC, PT_INTERP, ProgramHeader};

pub use machine::machine_name;
pub(in crate::format) use sections::Table;
pub use sections::{Section, Sections};

use super::node::escape;
use super::{FormatError, ReadAt};

const NAME: &str = "elf";
/// No program in use has more; one that says so costs nothing to refuse.
const MAX_HEADERS: u64 = 1024;
const MAX_STRING: u64 = 4096;

/// The kind of an ELF file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ElfType {
    /// A program at a fixed address.
    Exec,
    /// A shared library, or a program that may be loaded anywhere.
    Dyn,
    /// An object file; a kernel module is one.
    Rel,
    /// A memory image of a process.
    Core,
    /// None of these.
    Other,
}

impl ElfType {
    /// Gives the stable name that specs use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Exec => "exec",
            Self::Dyn => "dyn",
            Self::Rel => "rel",
            Self::Core => "core",
            Self::Other => "other",
        }
    }
}

/// How an ELF file gets its libraries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Linking {
    /// A program that needs no interpreter and no library.
    Static,
    /// A program with an interpreter, or a shared library.
    Dynamic,
    /// Not a thing that is loaded by a dynamic linker, such as a module.
    None,
}

impl Linking {
    /// Gives the stable name that specs use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Dynamic => "dynamic",
            Self::None => "none",
        }
    }
}

/// What the headers of an ELF file say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elf {
    /// 32 or 64.
    pub class: u8,
    /// Whether numbers are stored with the lowest byte first.
    pub little_endian: bool,
    /// The machine as people write it: `aarch64`, `x86_64`, `unknown-<n>`.
    pub machine: String,
    /// The kind of the file.
    pub kind: ElfType,
    /// Whether it is a program that may be loaded anywhere.
    pub pie: bool,
    /// How it gets its libraries.
    pub linking: Linking,
    /// The path of the program that loads it.
    pub interpreter: Option<String>,
    /// The libraries it needs, in its order.
    pub needed: Vec<String>,
    /// The name that a library gives itself.
    pub soname: Option<String>,
    /// Where it looks for libraries before anything else (obsolete form).
    pub rpath: Vec<String>,
    /// Where it looks for libraries after `LD_LIBRARY_PATH`.
    pub runpath: Vec<String>,
}

impl Elf {
    /// Tells from the first four bytes whether this is an ELF file.
    #[must_use]
    pub fn is_elf(start: &[u8]) -> bool {
        start.starts_with(b"\x7fELF")
    }

    /// Reads the headers.
    ///
    /// Errors: [`FormatError::Truncated`] where the file is shorter than its
    /// headers say, [`FormatError::Corrupt`] where they contradict themselves.
    pub fn read(file: &(impl ReadAt + ?Sized)) -> Result<Self, FormatError> {
        let header = Self::header(file)?;
        let little_endian = header.e_ident[header::EI_DATA] != header::ELFDATA2MSB;
        let wide = header.e_ident[header::EI_CLASS] == header::ELFCLASS64;
        let kind = match header.e_type {
            header::ET_EXEC => ElfType::Exec,
            header::ET_DYN => ElfType::Dyn,
            header::ET_REL => ElfType::Rel,
            header::ET_CORE => ElfType::Core,
            _ => ElfType::Other,
        };
        let mut elf = Self {
            class: if wide { 64 } else { 32 },
            little_endian,
            machine: machine_name(header.e_machine, wide, little_endian),
            kind,
            pie: false,
            linking: Linking::None,
            interpreter: None,
            needed: Vec::new(),
            soname: None,
            rpath: Vec::new(),
            runpath: Vec::new(),
        };
        // A core dump may have more segments than its header can count.
        let segments = if kind == ElfType::Core {
            Vec::new()
        } else {
            segments(file, &header)?
        };
        extent::check(file, &header, &segments)?;
        elf.load(file, &segments)?;
        Ok(elf)
    }

    fn header(file: &(impl ReadAt + ?Sized)) -> Result<Header, FormatError> {
        let mut start = [0; 64];
        let read = file.read_at(0, &mut start)?;
        let start = start.get(..read).unwrap_or_default();
        if !Self::is_elf(start) {
            return Err(FormatError::corrupt(
                NAME,
                0,
                "the magic `\\x7fELF` is missing",
            ));
        }
        let needed = match start.get(header::EI_CLASS) {
            Some(&header::ELFCLASS32) => 52,
            Some(&header::ELFCLASS64) => 64,
            Some(other) => {
                let what = format!("class {other} is neither 32 nor 64 bit");
                return Err(FormatError::corrupt(NAME, 4, what));
            }
            None => 64,
        };
        if start.len() < needed {
            return Err(FormatError::truncated(
                NAME,
                read as u64,
                "the header does not end",
            ));
        }
        match start.get(header::EI_DATA) {
            Some(&(header::ELFDATA2LSB | header::ELFDATA2MSB)) => {}
            Some(_) | None => {
                return Err(FormatError::corrupt(
                    NAME,
                    5,
                    "the byte order is neither little nor big",
                ));
            }
        }
        goblin::elf::Elf::parse_header(start)
            .map_err(|error| FormatError::corrupt(NAME, 0, error.to_string()))
    }

    /// Follows the program headers to the interpreter and the libraries.
    fn load(
        &mut self,
        file: &(impl ReadAt + ?Sized),
        segments: &[ProgramHeader],
    ) -> Result<(), FormatError> {
        if let Some(segment) = segments.iter().find(|segment| segment.p_type == PT_INTERP) {
            if segment.p_filesz > MAX_STRING {
                let what = format!("an interpreter's path of {} bytes", segment.p_filesz);
                return Err(FormatError::corrupt(NAME, segment.p_offset, what));
            }
            let path = file.fetch(NAME, segment.p_offset, segment.p_filesz, "interpreter")?;
            let path = path.split(|byte| *byte == 0).next().unwrap_or_default();
            self.interpreter = Some(escape(path));
        }
        let mut program = self.interpreter.is_some();
        let dynamic = segments.iter().find(|segment| segment.p_type == PT_DYNAMIC);
        if let Some(segment) = dynamic {
            program |= dynamic::read(self, file, segment, segments)?;
        }
        self.pie = self.kind == ElfType::Dyn && program;
        self.linking = match self.kind {
            ElfType::Exec | ElfType::Dyn => {
                let library = self.kind == ElfType::Dyn && !program;
                if library || self.interpreter.is_some() || !self.needed.is_empty() {
                    Linking::Dynamic
                } else {
                    Linking::Static
                }
            }
            ElfType::Rel | ElfType::Core | ElfType::Other => Linking::None,
        };
        Ok(())
    }
}

/// Fetches the program headers.
fn segments(
    file: &(impl ReadAt + ?Sized),
    header: &Header,
) -> Result<Vec<ProgramHeader>, FormatError> {
    let count = u64::from(header.e_phnum);
    if count == 0 {
        return Ok(Vec::new());
    }
    let ctx = context(header)?;
    let size = ProgramHeader::size(ctx) as u64;
    if count > MAX_HEADERS || u64::from(header.e_phentsize) != size {
        let what = format!("{count} program headers of {} bytes", header.e_phentsize);
        return Err(FormatError::corrupt(
            NAME,
            if ctx.is_big() { 54 } else { 42 },
            what,
        ));
    }
    let bytes = file.fetch(NAME, header.e_phoff, count * size, "program headers")?;
    ProgramHeader::parse(&bytes, 0, usize::from(header.e_phnum), ctx)
        .map_err(|error| FormatError::corrupt(NAME, header.e_phoff, error.to_string()))
}

fn context(header: &Header) -> Result<Ctx, FormatError> {
    let failed = |error: goblin::error::Error| FormatError::corrupt(NAME, 4, error.to_string());
    let container = header.container().map_err(failed)?;
    let endianness = header.endianness().map_err(failed)?;
    Ok(Ctx::new(container, endianness))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_program_itself_is_understood() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let elf = Elf::read(&bytes[..]).unwrap();
        assert_eq!(elf.machine, std::env::consts::ARCH);
        assert_eq!((elf.class, elf.linking), (64, Linking::Dynamic));
        assert!(elf.interpreter.is_some_and(|path| path.starts_with("/lib")));
        assert!(
            elf.needed.iter().any(|name| name.starts_with("libc.so")),
            "{:?}",
            elf.needed
        );
        assert!(elf.pie);
    }

    #[test]
    fn a_program_cut_anywhere_is_an_error() {
        let bytes = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        for cut in [4, 5, 40, 64, 1000, bytes.len() / 2, bytes.len() - 1] {
            assert!(Elf::read(&bytes[..cut]).is_err(), "cut at {cut}");
        }
    }
}
