//! Kernels as boot loaders get them: arm64 `Image`, EFI zboot, x86 bzImage,
//! PE and UKI, each possibly inside a compressed file.
//!
//! A `vmlinux` ELF file is recognised and called `elf`: no boot loader of a
//! machine takes it. Payloads are decoded to their end, so that a damaged one
//! is an error, and searched for the banner on the way.

mod banner;
mod bzimage;
mod image;
mod pe;
mod zboot;

pub use pe::machine as pe_machine;

use super::elf::Elf;
use super::{Budget, Compression, Content, FormatError, Limits, stream};

const NAME: &str = "kernel";

/// The form of a kernel file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KernelFormat {
    /// arm64 or riscv `Image`.
    Image,
    /// A compressed `Image` that unpacks itself under UEFI.
    Zboot,
    /// x86.
    BzImage,
    /// A unified kernel image: systemd-stub with a kernel inside.
    Uki,
    /// Another PE file.
    Pe,
    /// `vmlinux`, which is not booted.
    Elf,
}

impl KernelFormat {
    /// Gives the stable name that specs use.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Zboot => "zboot",
            Self::BzImage => "bzimage",
            Self::Uki => "uki",
            Self::Pe => "pe",
            Self::Elf => "elf",
        }
    }
}

/// What a kernel file says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// The form of the file.
    pub format: KernelFormat,
    /// The machine in the names that Talos and Debian use: `arm64`, `amd64`,
    /// `i386`, `arm`, `riscv64`, `loongarch64`; `unknown` where nothing says.
    pub arch: String,
    /// How the kernel proper is compressed: inside the file, or the whole
    /// file where an `Image` was compressed from outside.
    pub compression: Compression,
    /// The release, such as `6.1.0-28-arm64`, where it was found.
    pub version: Option<String>,
    /// The whole line it was found in: builder, compiler and date as well.
    pub banner: Option<String>,
    /// The machine of the COFF header, where there is one.
    pub pe_machine: Option<u16>,
    /// Bytes of the file.
    pub size: u64,
    /// Bytes of the kernel proper after decoding, where that is known.
    pub decoded_size: Option<u64>,
    /// Bytes of memory an `Image` asks for, its zeroed part included.
    pub memory_size: Option<u64>,
    /// Bytes of a memory page, where an arm64 `Image` says so.
    pub page_size: Option<u32>,
    /// Whether it is built for the big-endian byte order.
    pub big_endian: bool,
}

impl Kernel {
    /// Reads what the file says.
    ///
    /// Errors: [`FormatError::Truncated`] for an empty file and for one that
    /// ends before its payload or sections, [`FormatError::Corrupt`] for bytes
    /// that are no kernel and for a payload that does not decode,
    /// [`FormatError::Limit`] where it decodes to too much.
    pub fn read(input: &[u8], limits: &Limits) -> Result<Self, FormatError> {
        Self::read_nested(input, limits, limits.decoded_cap(input.len() as u64), true)
    }

    fn read_nested(
        input: &[u8],
        limits: &Limits,
        cap: u64,
        outermost: bool,
    ) -> Result<Self, FormatError> {
        limits.check_deadline(NAME, 0)?;
        match Content::detect(input) {
            Content::Arm64Image => image::arm64(input),
            Content::RiscvImage => image::riscv(input),
            Content::Zboot => zboot::read(input, cap),
            Content::BzImage => bzimage::read(input, cap),
            Content::Pe => pe::kernel(input),
            Content::Elf => elf(input),
            Content::Compressed(compression) if outermost => {
                let member = stream::decode_member(compression, input, &mut Budget::of(cap))?;
                let inner = Self::read_nested(&member.data, limits, cap, false)
                    .map_err(|error| error.inside(format!("the {} file", compression.name())))?;
                Ok(Self {
                    compression,
                    size: input.len() as u64,
                    decoded_size: Some(member.data.len() as u64),
                    ..inner
                })
            }
            Content::Empty => Err(FormatError::truncated(NAME, 0, "the file is empty")),
            content @ (Content::Compressed(_)
            | Content::ZstdSkippable
            | Content::Cpio
            | Content::CpioCrc
            | Content::CpioOdc
            | Content::CpioBinary
            | Content::Squashfs
            | Content::Tar
            | Content::Gpt
            | Content::Mbr
            | Content::Iso
            | Content::Fat
            | Content::Ext
            | Content::Erofs
            | Content::Xfs
            | Content::Wasm
            | Content::Unknown) => {
                let what = format!(
                    "{} data, not a kernel (arm64 Image, EFI zboot, bzImage or PE)",
                    content.name()
                );
                Err(FormatError::corrupt(NAME, 0, what))
            }
        }
    }

    /// Makes a record of which only form, machine and size are known.
    fn new(format: KernelFormat, arch: &str, size: usize) -> Self {
        Self {
            format,
            arch: arch.to_owned(),
            compression: Compression::None,
            version: None,
            banner: None,
            pe_machine: None,
            size: size as u64,
            decoded_size: None,
            memory_size: None,
            page_size: None,
            big_endian: false,
        }
    }

    fn set_banner(&mut self, banner: Option<banner::Banner>) {
        if let Some(banner) = banner {
            self.version = Some(banner.release);
            self.banner = Some(banner.line);
        }
    }
}

fn elf(input: &[u8]) -> Result<Kernel, FormatError> {
    let elf = Elf::read(input)?;
    let arch = match elf.machine.as_str() {
        "aarch64" => "arm64",
        "x86_64" => "amd64",
        other => other,
    };
    let mut kernel = Kernel::new(KernelFormat::Elf, arch, input.len());
    kernel.big_endian = !elf.little_endian;
    kernel.set_banner(banner::find(input));
    Ok(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    pub(super) fn image(text: &str) -> Vec<u8> {
        let mut image = vec![0u8; 4096];
        image[8..16].copy_from_slice(&0x8_0000u64.to_le_bytes());
        image[16..24].copy_from_slice(&8192u64.to_le_bytes());
        image[24] = 0b1010;
        image[0x38..0x3c].copy_from_slice(b"ARM\x64");
        image.extend_from_slice(b"Linux version %s (%s)\0");
        image.extend_from_slice(text.as_bytes());
        image.push(0);
        image
    }

    fn read(input: &[u8]) -> Result<Kernel, FormatError> {
        Kernel::read(input, &Limits::default())
    }

    #[test]
    fn an_arm64_image_gives_its_release_from_the_banner() {
        let kernel = read(&image("Linux version 6.1.0-28-arm64 (x@y) #1 SMP\n")).unwrap();
        assert_eq!(
            (kernel.format, kernel.arch.as_str()),
            (KernelFormat::Image, "arm64")
        );
        assert_eq!(kernel.version.as_deref(), Some("6.1.0-28-arm64"));
        assert_eq!(
            kernel.banner.as_deref(),
            Some("Linux version 6.1.0-28-arm64 (x@y) #1 SMP")
        );
        assert_eq!(kernel.page_size, Some(4096));
    }

    #[test]
    fn a_compressed_image_is_an_image() {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(&image("Linux version 5.10.0 x")).unwrap();
        let kernel = read(&encoder.finish().unwrap()).unwrap();
        assert_eq!(
            (kernel.format, kernel.compression),
            (KernelFormat::Image, Compression::Gzip)
        );
        assert_eq!(kernel.version.as_deref(), Some("5.10.0"));
    }

    #[test]
    fn a_zboot_kernel_tells_what_is_in_it_and_a_cut_one_is_an_error() {
        let payload = zstd::encode_all(&image("Linux version 6.18.38-talos x")[..], 3).unwrap();
        let mut zboot = vec![0u8; 0x100];
        zboot[..2].copy_from_slice(b"MZ");
        zboot[4..8].copy_from_slice(b"zimg");
        zboot[8..12].copy_from_slice(&0x100u32.to_le_bytes());
        zboot[12..16].copy_from_slice(&u32::try_from(payload.len()).unwrap().to_le_bytes());
        zboot[0x18..0x1c].copy_from_slice(b"zstd");
        zboot[0x3c] = 0x80;
        zboot[0x80..0x84].copy_from_slice(b"PE\0\0");
        zboot[0x84..0x86].copy_from_slice(&0xaa64u16.to_le_bytes());
        zboot.extend_from_slice(&payload);
        let kernel = read(&zboot).unwrap();
        assert_eq!(
            (kernel.format, kernel.arch.as_str()),
            (KernelFormat::Zboot, "arm64")
        );
        assert_eq!(kernel.compression, Compression::Zstd);
        assert_eq!(kernel.version.as_deref(), Some("6.18.38-talos"));
        assert_eq!(kernel.pe_machine, Some(0xaa64));
        let error = read(&zboot[..zboot.len() - 1]).unwrap_err();
        assert!(matches!(error, FormatError::Truncated { .. }), "{error}");
    }

    #[test]
    fn what_is_no_kernel_says_what_it_is() {
        assert!(read(b"").unwrap_err().to_string().contains("empty"));
        let error = read(b"070701").unwrap_err();
        assert!(
            error.to_string().contains("cpio data, not a kernel"),
            "{error}"
        );
    }
}
