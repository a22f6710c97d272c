//! A bare-metal disk image: GPT, an EFI partition with a unified kernel image,
//! and META.
//!
//! Source: UEFI 2.10, chapter 5 (GPT); the partitions are Talos's on arm64.
//! On amd64 Talos adds BIOS and BOOT (XFS) for GRUB; the stand-in does not.
//! STATE and EPHEMERAL are made when a machine first boots.

use sha2::{Digest, Sha256};

use super::arch::Arch;
use super::error::ImagerError;
use super::fat::{self, Item};
use super::{rootfs, uki};

const SECTOR: u64 = 512;
/// Where the first partition begins, in sectors: 1 MiB.
const FIRST: u64 = 2048;
const META_SECTORS: u64 = 2048;
/// Sectors the backup table takes: 32 of entries, one of header.
const BACKUP: u64 = 33;

/// EFI System, as it lies on disk: C12A7328-F81F-11D2-BA4B-00A0C93EC93B.
const EFI_SYSTEM: [u8; 16] = [
    0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
];
/// Linux file system, as it lies on disk: 0FC63DAF-8483-4772-8E79-3D69D8477DE4.
const LINUX: [u8; 16] = [
    0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4,
];

/// A line of the partition table; sectors are inclusive.
struct Partition {
    kind: [u8; 16],
    name: &'static str,
    first: u64,
    last: u64,
}

/// Makes a disk of `size` bytes (rounded down to a MiB) that carries `uki`.
///
/// # Errors
/// [`ImagerError::DiskSize`] if the EFI partition cannot hold it.
pub fn image(
    arch: Arch,
    version: &str,
    uki_file: &[u8],
    size: u64,
) -> Result<Vec<u8>, ImagerError> {
    let sectors = size / (1 << 20) * 2048;
    let least = FIRST + 8192 + META_SECTORS + 2048;
    if sectors < least {
        let needed = (least - sectors) * SECTOR;
        return Err(ImagerError::DiskSize { size, needed });
    }
    // the last MiB is left for the backup table
    let meta = sectors - 2048 - META_SECTORS;
    let partitions = [
        Partition {
            kind: EFI_SYSTEM,
            name: "EFI",
            first: FIRST,
            last: meta - 1,
        },
        Partition {
            kind: LINUX,
            name: "META",
            first: meta,
            last: meta + META_SECTORS - 1,
        },
    ];
    let efi_len = ((meta - FIRST) * SECTOR) as usize;
    let efi = efi_partition(arch, version, uki_file, efi_len)?;

    let table = entries(&partitions);
    let mut disk = protective_mbr(sectors);
    disk.extend(header(sectors, 1, sectors - 1, 2, &table));
    disk.extend(&table);
    disk.resize((FIRST * SECTOR) as usize, 0);
    disk.extend(efi);
    disk.resize(((sectors - BACKUP) * SECTOR) as usize, 0);
    disk.extend(&table);
    disk.extend(header(sectors, sectors - 1, 1, sectors - BACKUP, &table));
    Ok(disk)
}

/// Makes the EFI system partition: boot manager, its configuration, the image.
fn efi_partition(
    arch: Arch,
    version: &str,
    uki_file: &[u8],
    len: usize,
) -> Result<Vec<u8>, ImagerError> {
    let manager = uki::boot_manager(arch);
    let boot = format!("EFI/boot/{}", arch.efi_boot_file());
    let linux = format!("EFI/Linux/Talos-{version}.efi");
    let loader = format!("# {}\ntimeout 10\n", rootfs::says("loader.conf"));
    let folder = |path| Item { path, data: None };
    fat::volume(
        len,
        "EFI",
        &[
            folder("EFI"),
            folder("EFI/boot"),
            Item {
                path: &boot,
                data: Some(&manager),
            },
            folder("EFI/Linux"),
            Item {
                path: &linux,
                data: Some(uki_file),
            },
            folder("loader"),
            Item {
                path: "loader/loader.conf",
                data: Some(loader.as_bytes()),
            },
        ],
    )
}

/// Makes the 128 entries of the table, 128 bytes each.
fn entries(partitions: &[Partition]) -> Vec<u8> {
    let mut out = Vec::new();
    for partition in partitions {
        out.extend(partition.kind);
        out.extend(guid(partition.name));
        out.extend(partition.first.to_le_bytes());
        out.extend(partition.last.to_le_bytes());
        out.extend(0_u64.to_le_bytes());
        let mut name: Vec<u8> = partition
            .name
            .encode_utf16()
            .flat_map(|unit| unit.to_le_bytes())
            .collect();
        name.resize(72, 0);
        out.extend(name);
    }
    out.resize(128 * 128, 0);
    out
}

/// Makes one sector with a GPT header for the table at `table_at`.
fn header(sectors: u64, own: u64, other: u64, table_at: u64, table: &[u8]) -> Vec<u8> {
    let mut out = b"EFI PART".to_vec();
    out.extend([0, 0, 1, 0, 92, 0, 0, 0]);
    out.extend([0; 8]); // checksum, reserved
    for word in [own, other, 34, sectors - BACKUP - 1] {
        out.extend(word.to_le_bytes());
    }
    out.extend(guid("disk"));
    out.extend(table_at.to_le_bytes());
    for word in [128_u32, 128, crc32(table)] {
        out.extend(word.to_le_bytes());
    }
    let sum = crc32(&out);
    out[16..20].copy_from_slice(&sum.to_le_bytes());
    out.resize(SECTOR as usize, 0);
    out
}

/// Makes the sector that tells old tools the disk is in use.
fn protective_mbr(sectors: u64) -> Vec<u8> {
    let mut out = vec![0; 446];
    out.extend([0x00, 0x00, 0x02, 0x00, 0xee, 0xff, 0xff, 0xff]);
    out.extend(1_u32.to_le_bytes());
    let covered = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    out.extend(covered.to_le_bytes());
    out.resize(510, 0);
    out.extend([0x55, 0xaa]);
    out
}

/// Makes a fixed identifier from a name, marked as random (version 4).
fn guid(name: &str) -> [u8; 16] {
    let hash = Sha256::digest(format!("tdg demo {name}"));
    let mut out = [0; 16];
    out.copy_from_slice(&hash[..16]);
    out[7] = out[7] & 0x0f | 0x40;
    out[8] = out[8] & 0x3f | 0x80;
    out
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_headers_are_in_place() {
        let disk = image(Arch::Arm64, "v1.13.6", b"MZ", 8 << 20).unwrap();
        assert_eq!(disk.len(), 8 << 20);
        assert_eq!(&disk[512..520], b"EFI PART");
        assert_eq!(&disk[disk.len() - 512..][..8], b"EFI PART");
    }

    #[test]
    fn a_disk_that_is_too_small_says_so() {
        assert!(image(Arch::Arm64, "v1.13.6", b"MZ", 1 << 20).is_err());
        let big = vec![1; 9 << 20];
        assert!(image(Arch::Arm64, "v1.13.6", &big, 8 << 20).is_err());
    }
}
