//! `kernel`: what kind of kernel a file is.

use super::{Context, Kind, ProbeError, RestsOn, SubjectUse};
use crate::model::Address;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind.
pub struct TheKind;

/// It takes no arguments; the kernel is the subject.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {}

/// What the file says about itself.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// Its form: `image` (arm64 or riscv Image), `zboot` (EFI zboot), `bzimage`, `uki` (see the kind
    /// of that name), `pe`, or `elf`, which no boot loader starts as a kernel.
    #[schemars(extend("enum" = ["image", "zboot", "bzimage", "uki", "pe", "elf"]))]
    pub format: String,
    /// The machine it is for: `arm64`, `amd64`, `i386`, `arm`, `riscv64`, `unknown`.
    #[schemars(extend("enum" = ["arm64", "amd64", "i386", "arm", "riscv64", "loongarch64", "unknown"]))]
    pub arch: String,
    /// How the kernel proper is compressed: `none`, `gzip`, `zstd`, `xz`, `lz4`, …
    #[schemars(extend("enum" = ["none", "gzip", "zstd", "xz", "lz4", "bzip2", "lzma", "lzo"]))]
    pub compression: String,
    /// Its release, e.g. `6.1.0-43-arm64`; absent where the file does not tell.
    pub version: Option<String>,
    /// The whole line that tells it: builder, compiler, date.
    pub banner: Option<String>,
    /// The machine of the PE header, e.g. `0xaa64`.
    pub pe_machine: Option<String>,
    /// The size of the file.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: u64,
    /// The size of the kernel proper once decoded.
    #[schemars(extend("x-unit" = "bytes"))]
    pub decoded_size: Option<u64>,
    /// The size of a memory page, where an Image says so.
    #[schemars(extend("x-unit" = "bytes"))]
    pub page_size: Option<u32>,
    /// Whether it is built for the big-endian byte order.
    pub big_endian: bool,
}

impl Kind for TheKind {
    const NAME: &'static str = "kernel";
    const SUMMARY: &'static str = "a kernel: form, machine, compression, version";
    const SUBJECT: SubjectUse = SubjectUse::Required;
    const PURE: bool = true;
    const EXAMPLE: &'static str = "\
- name: the kernel is for ARM64
  kernel:
  in: _out/assets/kernel-arm64
  expect: { arch: arm64, format: { one-of: [zboot, image] }, version: { semver: \">=6.1\" } }";
    const DESCRIBES: &'static [&'static str] = &[
        "format",
        "arch",
        "compression",
        "version",
        "page-size",
        "big-endian",
    ];
    type Args = Args;
    type Evidence = Evidence;

    fn rests_on(_: &Args, subject: Option<&Address>) -> RestsOn {
        RestsOn::subject(subject)
    }

    fn observe(
        _: Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let subject = subject.ok_or_else(|| ProbeError::new("no kernel is named"))?;
        let image = context.image(subject)?;
        let kernel = image.kernel()?;
        Ok(Evidence {
            format: kernel.format.name().to_owned(),
            arch: kernel.arch.clone(),
            compression: kernel.compression.name().to_owned(),
            version: kernel.version.clone(),
            banner: kernel.banner.clone(),
            pe_machine: kernel.pe_machine.map(|m| format!("{m:#06x}")),
            size: kernel.size,
            decoded_size: kernel.decoded_size,
            page_size: kernel.page_size,
            big_endian: kernel.big_endian,
        })
    }
}
