//! Talos's imager profile, as far as the stand-in knows it.
//!
//! Source: Talos v1.13, `pkg/imager/profile`. The real imager decodes YAML
//! without insisting that every key is known, so a misspelt key is *ignored*;
//! the stand-in does the same, for that is a trap worth having.

use serde::Deserialize;

use crate::demo::arch::Arch;
use crate::demo::error::ImagerError;

/// What to make and of what.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Profile {
    /// `amd64` or `arm64`: names the artifact and picks extensions' images.
    pub arch: String,
    /// `metal`, `nocloud`, …: part of the artifact's name and of the command line.
    pub platform: String,
    /// Whether the artifact is signed; the stand-in refuses that.
    pub secureboot: bool,
    /// The version of Talos.
    pub version: String,
    /// What is mixed into the artifact.
    pub customization: Customization,
    /// Of what the artifact is made.
    pub input: Input,
    /// What the artifact is.
    pub output: Output,
}

/// Changes to what would be made otherwise.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Customization {
    /// Appended to the default kernel command line.
    pub extra_kernel_args: Vec<String>,
}

/// Files inside the imager, and images.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Input {
    /// The kernel; decides the kernel's architecture, whatever `arch` says.
    pub kernel: FileAsset,
    /// The initramfs; decides the root file system's architecture.
    pub initramfs: FileAsset,
    /// The installer image that an installer is built on.
    pub base_installer: Option<ContainerAsset>,
    /// The extensions, in the order in which they overlay the root.
    pub system_extensions: Vec<ContainerAsset>,
}

/// A file inside the imager.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct FileAsset {
    /// The path, such as `/usr/install/arm64/vmlinuz`.
    pub path: String,
}

/// A container image: by reference, or by path, which wins.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ContainerAsset {
    /// A reference such as `host/name:tag@sha256:…`.
    pub image_ref: Option<String>,
    /// A tar of the image's file system; the stand-in refuses it.
    pub tarball_path: Option<String>,
    /// An OCI layout; the stand-in refuses it.
    pub oci_path: Option<String>,
}

/// The artifact.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Output {
    /// What it is.
    pub kind: Kind,
    /// Of a disk image: its size and format.
    pub image_options: Option<ImageOptions>,
    /// How it is compressed.
    pub out_format: OutFormat,
}

/// Options of a disk image.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ImageOptions {
    /// In bytes.
    pub disk_size: u64,
    /// `raw` is all the stand-in makes.
    pub disk_format: Option<String>,
}

/// The kinds of artifact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// None was named.
    #[default]
    Unknown,
    /// An installation medium.
    Iso,
    /// A disk with Talos on it.
    Image,
    /// The installer's container image.
    Installer,
    /// The kernel alone.
    Kernel,
    /// The initramfs with its extensions.
    Initramfs,
    /// A unified kernel image.
    Uki,
    /// The kernel command line as text.
    Cmdline,
}

/// The compressions of an artifact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum OutFormat {
    /// None was named.
    #[default]
    #[serde(rename = "unknown")]
    Unknown,
    /// As it is.
    #[serde(rename = "raw")]
    Raw,
    /// A gzipped tar around it.
    #[serde(rename = ".tar.gz")]
    TarGz,
    /// xz.
    #[serde(rename = ".xz")]
    Xz,
    /// gzip.
    #[serde(rename = ".gz")]
    Gz,
    /// zstd.
    #[serde(rename = ".zst")]
    Zst,
}

impl Profile {
    /// Reads a profile and fills in what the real imager fills in: the inputs'
    /// paths from `arch`, and the version.
    ///
    /// # Errors
    /// The text is not such a YAML document, or lacks what its kind needs.
    pub fn parse(text: &str) -> Result<Self, ImagerError> {
        let mut profile: Self = serde_saphyr::from_str(text)
            .map_err(|error| ImagerError::Profile(error.to_string()))?;
        let arch = profile.arch()?;
        if profile.version.is_empty() {
            crate::demo::rootfs::TALOS_VERSION.clone_into(&mut profile.version);
        }
        for (asset, file) in [
            (&mut profile.input.kernel, "vmlinuz"),
            (&mut profile.input.initramfs, "initramfs.xz"),
        ] {
            if asset.path.is_empty() {
                asset.path = format!("/usr/install/{}/{file}", arch.name());
            }
        }
        profile.validate()?;
        Ok(profile)
    }

    /// Gives the architecture that the artifact is named after.
    pub fn arch(&self) -> Result<Arch, ImagerError> {
        Arch::parse(&self.arch).ok_or_else(|| ImagerError::Arch(self.arch.clone()))
    }

    fn validate(&self) -> Result<(), ImagerError> {
        if self.platform.is_empty() {
            return Err(ImagerError::Missing { field: "platform" });
        }
        if self.secureboot {
            return Err(ImagerError::Unsupported(
                "secureboot: true: this stand-in signs nothing; set it to false".to_owned(),
            ));
        }
        match self.output.kind {
            Kind::Unknown => {
                return Err(ImagerError::Missing {
                    field: "output.kind",
                });
            }
            Kind::Iso => {
                return Err(ImagerError::Unsupported(
                    "output.kind iso: this stand-in makes no ISO; it makes cmdline, image, initramfs, installer, kernel and uki".to_owned(),
                ));
            }
            Kind::Image => {
                let options = self.output.image_options.as_ref();
                if options.is_none_or(|options| options.disk_size == 0) {
                    return Err(ImagerError::Missing {
                        field: "output.imageOptions.diskSize",
                    });
                }
                let format = options.and_then(|options| options.disk_format.as_deref());
                if format.is_some_and(|format| format != "raw") {
                    return Err(ImagerError::Unsupported(
                        "output.imageOptions.diskFormat: this stand-in makes raw disks only"
                            .to_owned(),
                    ));
                }
            }
            Kind::Kernel | Kind::Initramfs => {
                if !self.customization.extra_kernel_args.is_empty() {
                    return Err(ImagerError::Unsupported(
                        "customization.extraKernelArgs: a kernel or an initramfs has no command line".to_owned(),
                    ));
                }
            }
            Kind::Installer | Kind::Uki | Kind::Cmdline => {}
        }
        match self.output.out_format {
            OutFormat::Unknown => Err(ImagerError::Missing {
                field: "output.outFormat",
            }),
            OutFormat::Raw | OutFormat::TarGz | OutFormat::Xz | OutFormat::Gz | OutFormat::Zst => {
                Ok(())
            }
        }
    }

    /// Names the artifact as the real imager does, without its compression.
    pub fn artifact_name(&self) -> String {
        let (arch, platform) = (&self.arch, &self.platform);
        match self.output.kind {
            Kind::Unknown => "unknown".to_owned(),
            Kind::Iso => format!("{platform}-{arch}.iso"),
            Kind::Image => format!("{platform}-{arch}.raw"),
            Kind::Installer => format!("installer-{arch}.tar"),
            Kind::Kernel => format!("kernel-{arch}"),
            Kind::Initramfs => format!("initramfs-{platform}-{arch}.xz"),
            Kind::Uki => format!("{platform}-{arch}-uki.efi"),
            Kind::Cmdline => format!("cmdline-{platform}-{arch}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UPSTREAM: &str = include_str!(
        "../../../fixtures/upstream/packages/core/talos/images/talos/profiles/metal.yaml"
    );

    #[test]
    fn the_upstreams_profile_is_read() {
        let profile = Profile::parse(UPSTREAM).unwrap();
        assert_eq!(profile.arch().unwrap(), Arch::Amd64);
        assert_eq!(profile.artifact_name(), "metal-amd64.raw");
        assert_eq!(profile.input.system_extensions.len(), 5);
        assert_eq!(profile.output.out_format, OutFormat::Xz);
    }

    #[test]
    fn inputs_follow_arch_only_where_they_are_not_named() {
        let text = UPSTREAM.replace("arch: amd64", "arch: arm64");
        let profile = Profile::parse(&text).unwrap();
        assert_eq!(profile.input.kernel.path, "/usr/install/amd64/vmlinuz");
        let text = text.replace("    path: /usr/install/amd64/vmlinuz", "    path: \"\"");
        let profile = Profile::parse(&text).unwrap();
        assert_eq!(profile.input.kernel.path, "/usr/install/arm64/vmlinuz");
    }

    #[test]
    fn a_wrong_profile_says_what_is_wrong() {
        for (from, to, part) in [
            ("arch: amd64", "arch: riscv64", "invalid arch \"riscv64\""),
            ("platform: metal", "platform: \"\"", "platform is required"),
            ("kind: image", "kind: floppy", "floppy"),
            ("kind: image", "kind: iso", "makes no ISO"),
            ("diskSize: 16777216", "diskSize: 0", "diskSize is required"),
            ("outFormat: .xz", "outFormat: .rar", ".rar"),
            ("arch: amd64", "arch: [", "cannot be read"),
        ] {
            let error = Profile::parse(&UPSTREAM.replace(from, to))
                .err()
                .unwrap()
                .to_string();
            assert!(error.contains(part), "{to}: {error}");
        }
    }
}
