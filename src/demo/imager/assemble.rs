//! From a profile to an artifact.

use std::io::Write;

use flate2::{Compression, GzBuilder};

use super::profile::{Kind, OutFormat, Profile};
use crate::demo::arch::Arch;
use crate::demo::error::ImagerError;
use crate::demo::extension::{self, Extension};
use crate::demo::{disk, initramfs, installer, kernel, uki};

/// A file that the imager made.
#[derive(Debug)]
pub struct Artifact {
    /// Its name, such as `kernel-arm64` or `metal-arm64.raw.xz`.
    pub name: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Makes the artifact that a profile describes and tells `progress` about it.
///
/// The kernel and the root file system are of the architecture that the input
/// paths name, the extensions of the one that `arch` names: a profile in which
/// only one of them was changed gives a mixture, as it does with the real one.
pub fn assemble(profile: &Profile, progress: &mut dyn Write) -> Result<Artifact, ImagerError> {
    let arch = profile.arch()?;
    let mut say = |text: String| {
        writeln!(progress, "imager (stand-in): {text}").map_err(ImagerError::io("stderr"))
    };
    say(format!(
        "profile ready: {} for {}",
        profile.artifact_name(),
        arch.name()
    ))?;
    let name = profile.artifact_name();
    let bytes = match profile.output.kind {
        Kind::Kernel => input_kernel(profile)?.1,
        Kind::Cmdline => command_line(profile, arch).into_bytes(),
        Kind::Initramfs => initramfs(profile, arch, &mut say)?,
        Kind::Uki => unified(profile, arch, &mut say)?,
        Kind::Installer => {
            let image = unified(profile, arch, &mut say)?;
            installer::archive(arch, &profile.version, &image)?
        }
        Kind::Image => {
            let image = unified(profile, arch, &mut say)?;
            let size = profile
                .output
                .image_options
                .as_ref()
                .map_or(0, |options| options.disk_size);
            disk::image(arch, &profile.version, &image, size)?
        }
        Kind::Unknown | Kind::Iso => {
            return Err(ImagerError::Unsupported(format!(
                "{name}: this stand-in does not make it"
            )));
        }
    };
    let artifact = compress(profile.output.out_format, name, bytes)?;
    say(format!(
        "output asset: {} ({} bytes)",
        artifact.name,
        artifact.bytes.len()
    ))?;
    Ok(artifact)
}

/// Makes the kernel that the profile's path names.
fn input_kernel(profile: &Profile) -> Result<(Arch, Vec<u8>), ImagerError> {
    let arch = input_arch(&profile.input.kernel.path, "vmlinuz")?;
    Ok((arch, kernel::vmlinuz(arch)?))
}

/// Takes the architecture out of `/usr/install/<arch>/<file>`.
fn input_arch(path: &str, file: &str) -> Result<Arch, ImagerError> {
    path.strip_prefix("/usr/install/")
        .and_then(|rest| rest.strip_suffix(file)?.strip_suffix('/'))
        .and_then(Arch::parse)
        .ok_or_else(|| ImagerError::Input {
            path: path.to_owned(),
        })
}

fn initramfs(
    profile: &Profile,
    arch: Arch,
    say: &mut dyn FnMut(String) -> Result<(), ImagerError>,
) -> Result<Vec<u8>, ImagerError> {
    let base = initramfs::base(input_arch(&profile.input.initramfs.path, "initramfs.xz")?)?;
    let mut extensions: Vec<&Extension> = Vec::new();
    for asset in &profile.input.system_extensions {
        if let Some(path) = asset.tarball_path.as_ref().or(asset.oci_path.as_ref()) {
            return Err(ImagerError::Unsupported(format!(
                "{path}: this stand-in takes extensions by imageRef only"
            )));
        }
        let reference = asset.image_ref.as_deref().unwrap_or_default();
        let found = extension::resolve(reference)?;
        say(format!(
            "adding system extension {} {}",
            found.name, found.version
        ))?;
        extensions.push(found);
    }
    initramfs::with_extensions(&base, arch, &extensions)
}

fn unified(
    profile: &Profile,
    arch: Arch,
    say: &mut dyn FnMut(String) -> Result<(), ImagerError>,
) -> Result<Vec<u8>, ImagerError> {
    let (_, kernel) = input_kernel(profile)?;
    let initramfs = initramfs(profile, arch, say)?;
    let cmdline = command_line(profile, arch);
    Ok(uki::image(
        arch,
        &profile.version,
        &kernel,
        &initramfs,
        &cmdline,
    ))
}

fn command_line(profile: &Profile, arch: Arch) -> String {
    let mut line = uki::command_line(arch, &profile.platform);
    for argument in &profile.customization.extra_kernel_args {
        line.push(' ');
        line.push_str(argument);
    }
    line
}

/// Compresses the artifact as `outFormat` says and names it so.
fn compress(format: OutFormat, name: String, bytes: Vec<u8>) -> Result<Artifact, ImagerError> {
    let suffix = match format {
        OutFormat::Unknown | OutFormat::Raw => "",
        OutFormat::TarGz => ".tar.gz",
        OutFormat::Xz => ".xz",
        OutFormat::Gz => ".gz",
        OutFormat::Zst => ".zst",
    };
    let pack = |bytes: Vec<u8>| -> std::io::Result<Vec<u8>> {
        match format {
            OutFormat::Unknown | OutFormat::Raw => Ok(bytes),
            OutFormat::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 1);
                encoder.write_all(&bytes)?;
                encoder.finish()
            }
            OutFormat::Gz | OutFormat::TarGz => {
                let mut encoder = GzBuilder::new()
                    .mtime(0)
                    .write(Vec::new(), Compression::fast());
                encoder.write_all(&bytes)?;
                encoder.finish()
            }
            OutFormat::Zst => zstd::encode_all(bytes.as_slice(), 3),
        }
    };
    let bytes = match format {
        OutFormat::TarGz => installer::tar(&[(&name, &bytes)], 0)?,
        OutFormat::Unknown | OutFormat::Raw | OutFormat::Xz | OutFormat::Gz | OutFormat::Zst => {
            bytes
        }
    };
    let packed = pack(bytes).map_err(ImagerError::io("compression"))?;
    Ok(Artifact {
        name: name + suffix,
        bytes: packed,
    })
}
