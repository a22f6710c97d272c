//! Kernel-format files: true headers around a body that does nothing.
//!
//! Sources: Linux `Documentation/arch/arm64/booting.rst` (Image),
//! `drivers/firmware/efi/libstub` (zboot's header), and
//! `Documentation/arch/x86/boot.rst` (bzImage).

use super::arch::Arch;
use super::error::ImagerError;
use super::machine_code as code;
use super::pe::{self, Place, Section};
use super::{elf, tree::filler};

/// The release of the kernel that Talos v1.13.6 carries.
pub const RELEASE: &str = "6.18.38-talos";

/// Gives the line a kernel prints first.
pub fn banner() -> String {
    format!(
        "Linux version {RELEASE} (demo@tdg) (a stand-in, it boots nothing) #1 SMP PREEMPT_DYNAMIC Thu Jan  1 00:00:00 UTC 1970"
    )
}

/// Makes `vmlinuz` as Talos ships it: on arm64 an EFI zboot image holding
/// zstd, on amd64 a bzImage.
pub fn vmlinuz(arch: Arch) -> Result<Vec<u8>, ImagerError> {
    match arch {
        Arch::Arm64 => zboot(arch, &arm64_image()),
        Arch::Amd64 => bzimage(),
    }
}

/// Makes an arm64 `Image`: the 64-byte header, a PE header, then the kernel,
/// which here only waits. 256 KiB.
pub fn arm64_image() -> Vec<u8> {
    let mut text = code::halt(Arch::Arm64);
    text.resize(64, 0);
    text.extend(banner().as_bytes());
    text.extend(b"\n\0");
    let missing = (252 * 1024_usize).saturating_sub(text.len());
    text.extend(filler("arm64 kernel", missing));

    // MZ is an instruction here; the second one jumps to the kernel proper
    let mut header = 0x9100_5a4d_u32.to_le_bytes().to_vec();
    header.extend((0x1400_0000_u32 | ((pe::ALIGN as u32 - 4) / 4)).to_le_bytes());
    header.extend(0_u64.to_le_bytes()); // text_offset
    let image_size = (pe::ALIGN + text.len()).next_multiple_of(pe::ALIGN) as u64;
    header.extend(image_size.to_le_bytes());
    header.extend(0xa_u64.to_le_bytes()); // little-endian, 4 KiB pages, anywhere
    header.extend([0; 24]);
    header.extend(b"ARM\x64");
    let sections = [Section {
        name: ".text",
        data: &text,
        code: true,
    }];
    pe::image(Arch::Arm64, &header, &sections).bytes
}

/// Wraps a kernel as EFI zboot: `MZ`, `zimg`, payload offset and size, the
/// compression's name, then a PE header; the payload is a zstd frame followed
/// by its unpacked size (32 bits), which the payload size does not count.
fn zboot(arch: Arch, kernel: &[u8]) -> Result<Vec<u8>, ImagerError> {
    let mut payload = zstd::bulk::compress(kernel, 3).map_err(ImagerError::io("zstd"))?;
    let size = payload.len();
    payload.extend((kernel.len() as u32).to_le_bytes());

    let mut header = b"MZ\0\0zimg".to_vec();
    header.extend([0; 16]);
    header.extend(b"zstd");
    header.resize(0x38, 0);
    header.extend(0x8182_23cd_u32.to_le_bytes()); // LINUX_PE_MAGIC
    let stub = code::efi_unsupported(arch);
    let sections = [
        Section {
            name: ".text",
            data: &stub,
            code: true,
        },
        Section {
            name: ".gzdata",
            data: &payload,
            code: false,
        },
    ];
    let pe::Image { mut bytes, offsets } = pe::image(arch, &header, &sections);
    let at = offsets.get(1).copied().unwrap_or_default();
    bytes[8..12].copy_from_slice(&(at as u32).to_le_bytes());
    bytes[12..16].copy_from_slice(&(size as u32).to_le_bytes());
    Ok(bytes)
}

/// Makes a bzImage: boot sector with the setup header (protocol 2.15) and a PE
/// header, setup code with the version string, then the payload, which is a
/// zstd frame holding an ELF `vmlinux`, and its unpacked size.
fn bzimage() -> Result<Vec<u8>, ImagerError> {
    const SETUP_SECTORS: usize = 7;
    const SETUP: usize = (SETUP_SECTORS + 1) * 512;
    let vmlinux = elf::static_program(Arch::Amd64, &banner(), 256 * 1024);
    let mut payload = zstd::bulk::compress(&vmlinux, 3).map_err(ImagerError::io("zstd"))?;
    payload.extend((vmlinux.len() as u32).to_le_bytes());

    // the protected-mode part: an entry that returns to the firmware, the payload
    let mut body = code::efi_unsupported(Arch::Amd64);
    body.resize(64, 0);
    let payload_at = body.len();
    body.extend(&payload);
    body.resize(body.len().next_multiple_of(512), 0);

    let mut file = vec![0_u8; SETUP];
    let mut put = |at: usize, bytes: &[u8]| file[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"MZ");
    put(0x3c, &0x40_u32.to_le_bytes());
    let text = [Place {
        name: ".text",
        at: SETUP,
        len: body.len(),
        code: true,
    }];
    let image_len = (SETUP + body.len()).next_multiple_of(pe::ALIGN);
    put(0x40, &pe::headers(Arch::Amd64, SETUP, image_len, &text));
    put(0x1f1, &[SETUP_SECTORS as u8]);
    put(0x1f4, &((body.len() / 16) as u32).to_le_bytes());
    put(0x1fe, &[0x55, 0xaa]);
    put(0x200, &[0xeb, 0x6a]); // jump over the header, to 0x26c
    put(0x202, b"HdrS");
    put(0x206, &0x020f_u16.to_le_bytes());
    put(0x20e, &(0x400_u16 - 0x200).to_le_bytes()); // version string at 0x400
    put(0x211, &[1]); // loaded high
    put(0x214, &0x10_0000_u32.to_le_bytes());
    put(0x236, &9_u16.to_le_bytes()); // 64-bit entry, EFI 64-bit handover
    put(0x248, &(payload_at as u32).to_le_bytes());
    put(0x24c, &(payload.len() as u32).to_le_bytes());
    put(0x260, &(vmlinux.len() as u32).to_le_bytes());
    put(0x26c, &code::halt(Arch::Amd64));
    put(
        0x400,
        format!("{RELEASE} (demo@tdg) #1 SMP PREEMPT_DYNAMIC (a stand-in)\0").as_bytes(),
    );
    file.extend(body);
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn u32_at(bytes: &[u8], at: usize) -> usize {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
    }

    #[test]
    fn zboot_holds_the_image() {
        let file = vmlinuz(Arch::Arm64).unwrap();
        assert_eq!(&file[..2], b"MZ");
        assert_eq!(&file[4..8], b"zimg");
        let (at, size) = (u32_at(&file, 8), u32_at(&file, 12));
        let image = zstd::decode_all(&file[at..at + size]).unwrap();
        assert_eq!(image, arm64_image());
        assert_eq!(u32_at(&file, at + size), image.len());
        assert_eq!(pe::read_back(&file).0, 0xaa64);
    }

    #[test]
    fn the_arm64_image_is_an_image_and_a_pe_program() {
        let file = arm64_image();
        assert_eq!(&file[56..60], b"ARM\x64");
        assert_eq!(u32_at(&file, 16), file.len());
        assert_eq!(pe::read_back(&file).0, 0xaa64);
    }

    #[test]
    fn bzimage_names_its_version_and_holds_an_elf() {
        let file = vmlinuz(Arch::Amd64).unwrap();
        assert_eq!(&file[0x202..0x206], b"HdrS");
        let version = 0x200 + usize::from(u16::from_le_bytes([file[0x20e], file[0x20f]]));
        assert!(file[version..].starts_with(RELEASE.as_bytes()));
        let setup = (usize::from(file[0x1f1]) + 1) * 512;
        let at = setup + u32_at(&file, 0x248);
        let len = u32_at(&file, 0x24c);
        let vmlinux = zstd::decode_all(&file[at..at + len - 4]).unwrap();
        assert!(vmlinux.starts_with(b"\x7fELF"));
        assert_eq!(pe::read_back(&file).0, 0x8664);
    }
}
