//! The installer's container image, as a docker-archive of one layer.
//!
//! Source: Docker image specification v1.2, "Combined Image JSON + Filesystem
//! Changeset Format". The layer holds what Talos's installer copies to a disk:
//! `usr/install/<arch>/{systemd-boot.efi,vmlinuz.efi}`, the latter a unified
//! kernel image. There is no installer program in it.

use sha2::{Digest, Sha256};

use super::arch::Arch;
use super::error::ImagerError;
use super::uki;

/// Makes the archive around a unified kernel image.
pub fn archive(arch: Arch, version: &str, uki_file: &[u8]) -> Result<Vec<u8>, ImagerError> {
    let folder = format!("usr/install/{}", arch.name());
    let manager = uki::boot_manager(arch);
    let layer = tar(
        &[
            (&format!("{folder}/systemd-boot.efi"), &manager),
            (&format!("{folder}/vmlinuz.efi"), uki_file),
        ],
        0,
    )?;
    let config = serde_json::json!({
        "architecture": arch.name(),
        "os": "linux",
        "created": "1970-01-01T00:00:00Z",
        "config": { "Entrypoint": ["/usr/bin/installer"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", hex(&layer))] },
        "history": [{ "created": "1970-01-01T00:00:00Z", "created_by": "the tdg demo" }],
    })
    .to_string();
    let config_name = format!("sha256:{}", hex(config.as_bytes()));
    let layer_name = format!("{}.tar", hex(&layer));
    let manifest = serde_json::json!([{
        "Config": config_name,
        "RepoTags": [format!("demo.invalid/siderolabs/installer:{version}")],
        "Layers": [layer_name],
    }])
    .to_string();
    tar(
        &[
            (&config_name, config.as_bytes()),
            (&layer_name, &layer),
            ("manifest.json", manifest.as_bytes()),
        ],
        0,
    )
}

/// Packs files as a tar: owner 0, mode 0644, all with the time `modified`.
pub fn tar(files: &[(&str, &[u8])], modified: u64) -> Result<Vec<u8>, ImagerError> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(modified);
        header.set_uid(0);
        header.set_gid(0);
        builder
            .append_data(&mut header, path, *bytes)
            .map_err(ImagerError::io("tar"))?;
    }
    builder.into_inner().map_err(ImagerError::io("tar"))
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
