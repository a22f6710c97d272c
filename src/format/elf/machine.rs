//! Names of machines.

use goblin::elf::header as em;

/// Gives a machine's name as people and `uname -m` write it, in lower case;
/// `unknown-<n>` for a number that has none here. Source: System V gABI,
/// "ELF header", `e_machine`.
#[must_use]
pub fn machine_name(number: u16, wide: bool, little_endian: bool) -> String {
    let name = match number {
        em::EM_AARCH64 => "aarch64",
        em::EM_X86_64 if wide => "x86_64",
        em::EM_X86_64 => "x32",
        em::EM_386 => "i386",
        em::EM_ARM => "arm",
        em::EM_RISCV if wide => "riscv64",
        em::EM_RISCV => "riscv32",
        em::EM_PPC64 if little_endian => "ppc64le",
        em::EM_PPC64 => "ppc64",
        em::EM_PPC => "ppc",
        em::EM_S390 if wide => "s390x",
        em::EM_S390 => "s390",
        em::EM_MIPS => match (wide, little_endian) {
            (true, true) => "mips64el",
            (true, false) => "mips64",
            (false, true) => "mipsel",
            (false, false) => "mips",
        },
        em::EM_SPARC => "sparc",
        em::EM_SPARCV9 => "sparc64",
        em::EM_IA_64 => "ia64",
        em::EM_68K => "m68k",
        em::EM_SH => "sh",
        em::EM_PARISC => "hppa",
        em::EM_BPF => "bpf",
        em::EM_CUDA => "cuda",
        em::EM_AMDGPU => "amdgpu",
        em::EM_AVR => "avr",
        em::EM_XTENSA => "xtensa",
        em::EM_MSP430 => "msp430",
        258 => "loongarch64",
        _ => return format!("unknown-{number}"),
    };
    name.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_width_and_byte_order() {
        assert_eq!(machine_name(183, true, true), "aarch64");
        assert_eq!(machine_name(21, true, true), "ppc64le");
        assert_eq!(machine_name(243, false, true), "riscv32");
        assert_eq!(machine_name(0xfeed, true, true), "unknown-65261");
    }
}
