//! Small ELF files that are what they say: programs run, libraries have a
//! name and a symbol table, modules are relocatable.
//!
//! Source: System V gABI, "Object Files" and "Program Loading"; the machine
//! numbers are those of the AArch64 and AMD64 supplements. Everything is
//! 64-bit and little-endian. Programs and libraries are one loadable segment,
//! without section headers, as a stripped program may be.

use super::arch::Arch;
use super::machine_code as code;
use super::tree::filler;

const EHDR: usize = 64;
const PHDR: usize = 56;
const SHDR: usize = 64;
/// Where a program that is not position independent is loaded.
const BASE: u64 = 0x40_0000;

const ET_REL: u16 = 1;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;

const PT_LOAD: u32 = 1;
const PT_DYNAMIC: u32 = 2;
const PT_INTERP: u32 = 3;
const PT_PHDR: u32 = 6;
const PT_GNU_STACK: u32 = 0x6474_e551;

/// Makes a static program that writes `says` and a newline and exits with 0.
///
/// `size` is the file's least size in bytes; what the program does not need is
/// filled with bytes that hardly compress.
pub fn static_program(arch: Arch, says: &str, size: usize) -> Vec<u8> {
    let start = EHDR + 2 * PHDR;
    let body = code::say(arch, format!("{says}\n").as_bytes());
    let size = size.max(start + body.len());
    let mut file = header(arch, ET_EXEC, BASE + start as u64, 2);
    segment(&mut file, PT_LOAD, 5, 0, BASE, size as u64, page(arch));
    segment(&mut file, PT_GNU_STACK, 6, 0, 0, 0, 16);
    file.extend(body);
    pad(&mut file, says, size);
    file
}

/// Makes a dynamic, position-independent program: it asks for `interpreter`
/// and needs `needed`; started by [`loader`], it does what a static one does.
pub fn dynamic_program(
    arch: Arch,
    says: &str,
    interpreter: &str,
    needed: &[&str],
    size: usize,
) -> Vec<u8> {
    let body = code::say(arch, format!("{says}\n").as_bytes());
    dynamic(arch, Some(interpreter), None, needed, &body, says, size)
}

/// Makes a shared library with a `soname`; it exports nothing.
pub fn shared_library(arch: Arch, soname: &str, needed: &[&str], size: usize) -> Vec<u8> {
    let body = code::halt(arch);
    dynamic(arch, None, Some(soname), needed, &body, soname, size)
}

/// Makes a C library that is its own program interpreter, as musl's is: a
/// shared library whose entry starts the program it was loaded for.
pub fn loader(arch: Arch, soname: &str, size: usize) -> Vec<u8> {
    let body = code::start_the_program(arch);
    dynamic(arch, None, Some(soname), &[], &body, soname, size)
}

/// Makes a kernel module: relocatable, with the `.modinfo` a kernel and depmod
/// read (`name`, `vermagic`, `depends`, `license`). It is not signed.
pub fn kernel_module(arch: Arch, name: &str, release: &str, depends: &str, size: usize) -> Vec<u8> {
    let names = b"\0.text\0.modinfo\0.shstrtab\0";
    let modinfo = format!(
        "license=GPL\0depends={depends}\0name={name}\0vermagic={release} SMP preempt mod_unload {}\0",
        arch.uname()
    );
    let text = filler(
        name,
        size.saturating_sub(EHDR + modinfo.len() + names.len() + 4 * SHDR),
    );
    let text_at = EHDR;
    let modinfo_at = text_at + text.len();
    let names_at = modinfo_at + modinfo.len();
    let sections_at = (names_at + names.len()).next_multiple_of(8);

    let mut file = header(arch, ET_REL, 0, 0);
    put(&mut file, 40, &(sections_at as u64).to_le_bytes());
    put(&mut file, 58, &(SHDR as u16).to_le_bytes());
    put(&mut file, 60, &4_u16.to_le_bytes());
    put(&mut file, 62, &3_u16.to_le_bytes());
    file.extend(&text);
    file.extend(modinfo.as_bytes());
    file.extend(names);
    file.resize(sections_at, 0);
    // name, type (1 PROGBITS, 3 STRTAB), flags (2 ALLOC, 4 EXECINSTR), place, size
    for (name, kind, flags, at, len) in [
        (0_u32, 0_u32, 0_u64, 0, 0),
        (1, 1, 6, text_at, text.len()),
        (7, 1, 2, modinfo_at, modinfo.len()),
        (16, 3, 0, names_at, names.len()),
    ] {
        file.extend(name.to_le_bytes());
        file.extend(kind.to_le_bytes());
        for word in [flags, 0, at as u64, len as u64, 0, u64::from(kind != 0), 0] {
            file.extend(word.to_le_bytes());
        }
    }
    file
}

/// Lays out a file of type `ET_DYN`: headers, interpreter, symbol table, hash
/// table, names, dynamic section, code.
fn dynamic(
    arch: Arch,
    interpreter: Option<&str>,
    soname: Option<&str>,
    needed: &[&str],
    body: &[u8],
    seed: &str,
    size: usize,
) -> Vec<u8> {
    let mut names = vec![0_u8];
    let mut name = |text: &str| {
        let at = names.len() as u64;
        names.extend(text.as_bytes());
        names.push(0);
        at
    };
    // DT_NEEDED 1, DT_SONAME 14
    let mut tags: Vec<(u64, u64)> = needed.iter().map(|library| (1, name(library))).collect();
    tags.extend(soname.map(|soname| (14, name(soname))));
    // DT_FLAGS_1 with DF_1_PIE: a program, not a library
    tags.extend(interpreter.map(|_| (0x6fff_fffb, 0x0800_0000)));
    let interpreter = interpreter.map(|path| [path.as_bytes(), b"\0"].concat());

    let segments = if interpreter.is_some() { 5 } else { 3 };
    let interpreter_at = EHDR + segments * PHDR;
    let symbols_at =
        (interpreter_at + interpreter.as_ref().map_or(0, Vec::len)).next_multiple_of(8);
    // one symbol: the null one; a hash table with one bucket and one chain
    let hash_at = symbols_at + 24;
    let names_at = hash_at + 16;
    let dynamic_at = (names_at + names.len()).next_multiple_of(8);
    // DT_HASH 4, DT_STRTAB 5, DT_SYMTAB 6, DT_STRSZ 10, DT_SYMENT 11, DT_NULL 0
    tags.extend([
        (4, hash_at as u64),
        (5, names_at as u64),
        (6, symbols_at as u64),
        (10, names.len() as u64),
        (11, 24),
        (0, 0),
    ]);
    let dynamic_len = tags.len() * 16;
    let entry = dynamic_at + dynamic_len;
    let size = size.max(entry + body.len());

    let mut file = header(arch, ET_DYN, entry as u64, segments as u16);
    if let Some(interpreter) = &interpreter {
        segment(
            &mut file,
            PT_PHDR,
            4,
            EHDR,
            EHDR as u64,
            (segments * PHDR) as u64,
            8,
        );
        let (at, len) = (interpreter_at, interpreter.len() as u64);
        segment(&mut file, PT_INTERP, 4, at, at as u64, len, 1);
    }
    segment(&mut file, PT_LOAD, 5, 0, 0, size as u64, page(arch));
    segment(
        &mut file,
        PT_DYNAMIC,
        4,
        dynamic_at,
        dynamic_at as u64,
        dynamic_len as u64,
        8,
    );
    segment(&mut file, PT_GNU_STACK, 6, 0, 0, 0, 16);
    file.extend(interpreter.unwrap_or_default());
    file.resize(hash_at, 0);
    for word in [1_u32, 1, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(&names);
    file.resize(dynamic_at, 0);
    for (tag, value) in tags {
        file.extend(tag.to_le_bytes());
        file.extend(value.to_le_bytes());
    }
    file.extend(body);
    pad(&mut file, seed, size);
    file
}

/// Makes the 64 bytes of an ELF header; program headers follow at once.
fn header(arch: Arch, kind: u16, entry: u64, segments: u16) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    file.extend(kind.to_le_bytes());
    file.extend(arch.elf_machine().to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    file.extend(entry.to_le_bytes());
    let table = if segments == 0 { 0 } else { EHDR as u64 };
    file.extend(table.to_le_bytes());
    file.extend(0_u64.to_le_bytes());
    file.extend(0_u32.to_le_bytes());
    let entry_size = if segments == 0 { 0 } else { PHDR as u16 };
    for word in [EHDR as u16, entry_size, segments, 0, 0, 0] {
        file.extend(word.to_le_bytes());
    }
    file
}

/// Appends one program header.
fn segment(
    file: &mut Vec<u8>,
    kind: u32,
    flags: u32,
    at: usize,
    address: u64,
    len: u64,
    align: u64,
) {
    file.extend(kind.to_le_bytes());
    file.extend(flags.to_le_bytes());
    for word in [at as u64, address, address, len, len, align] {
        file.extend(word.to_le_bytes());
    }
}

/// The largest page the architecture's Linux may use.
fn page(arch: Arch) -> u64 {
    match arch {
        Arch::Arm64 => 0x1_0000,
        Arch::Amd64 => 0x1000,
    }
}

fn pad(file: &mut Vec<u8>, seed: &str, size: usize) {
    let missing = size.saturating_sub(file.len());
    file.extend(filler(seed, missing));
}

fn put(file: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = file.get_mut(at..at + bytes.len()) {
        place.copy_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use goblin::elf::Elf;

    #[test]
    fn a_static_program_has_no_interpreter() {
        for arch in [Arch::Amd64, Arch::Arm64] {
            let file = static_program(arch, "hello", 4096);
            let elf = Elf::parse(&file).unwrap();
            assert_eq!(elf.header.e_machine, arch.elf_machine());
            assert_eq!(elf.header.e_type, ET_EXEC);
            assert_eq!(elf.interpreter, None);
            assert!(elf.libraries.is_empty());
            assert_eq!(file.len(), 4096);
        }
    }

    #[test]
    fn a_dynamic_program_names_its_interpreter_and_libraries() {
        let file = dynamic_program(
            Arch::Arm64,
            "hello",
            "/lib/ld.so",
            &["libc.so", "libm.so"],
            0,
        );
        let elf = Elf::parse(&file).unwrap();
        assert_eq!(elf.interpreter, Some("/lib/ld.so"));
        assert_eq!(elf.libraries, ["libc.so", "libm.so"]);
        assert_eq!(elf.header.e_type, ET_DYN);
    }

    #[test]
    fn a_library_names_itself() {
        let file = loader(Arch::Arm64, "libc.so", 0);
        let elf = Elf::parse(&file).unwrap();
        assert_eq!(elf.soname, Some("libc.so"));
        assert_eq!(elf.interpreter, None);
    }

    #[test]
    fn a_module_says_which_kernel_it_is_for() {
        let file = kernel_module(Arch::Arm64, "drbd", "6.18.38-talos", "lru_cache", 2000);
        let elf = Elf::parse(&file).unwrap();
        assert_eq!(elf.header.e_type, ET_REL);
        let modinfo = elf
            .section_headers
            .iter()
            .find(|section| elf.shdr_strtab.get_at(section.sh_name) == Some(".modinfo"))
            .unwrap();
        let bytes = &file[modinfo.file_range().unwrap()];
        let text = String::from_utf8_lossy(bytes);
        assert!(text.contains("vermagic=6.18.38-talos SMP"), "{text}");
        assert!(text.contains("depends=lru_cache\0"), "{text}");
    }
}
