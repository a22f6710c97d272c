//! `disk`: the partition table of a disk image, and what is in its partitions.

use super::{Context, Kind, ProbeError, RestsOn, SubjectUse};
use crate::format::fat::Fat;
use crate::format::gpt::{self, Backup, Header};
use crate::format::partition::{Partition, TableKind};
use crate::format::pieces::overlaps;
use crate::format::{Content, FormatError, Limits, Pieces, Source, Tree, erofs, ext, partitions};
use crate::model::Address;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind.
pub struct TheKind;

/// It takes no arguments; the disk is the subject, compressed or not.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {}

/// What the disk says about itself.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// The form of the partition table: `gpt` or `mbr`.
    #[schemars(extend("enum" = ["gpt", "mbr"]))]
    pub table: String,
    /// Its GUID; of an MBR, its 32-bit signature.
    pub id: String,
    /// The size of a sector.
    #[schemars(extend("x-unit" = "bytes"))]
    pub sector: u64,
    /// The size of the disk. Of a compressed one, all has to be decompressed to know; it is absent
    /// where nothing asks for it.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: Option<u64>,
    /// How many partitions there are.
    pub count: u64,
    /// The partitions in the order of the table.
    pub partitions: Vec<Entry>,
    /// What became of the second header at the end of the disk: `agrees`, `differs`, `broken`, or
    /// `none` of an MBR. Absent where nothing asks for it.
    #[schemars(extend("enum" = ["agrees", "differs", "broken", "none"]))]
    pub backup: Option<String>,
    /// Why the second header is broken.
    pub backup_problem: Option<String>,
    /// Partitions that share sectors, as `EFI and META`.
    pub overlaps: Vec<String>,
    /// The machines that UEFI firmware starts from this disk: `arm64` where an EFI system partition
    /// holds `EFI/BOOT/BOOTAA64.EFI`, and so on.
    pub boots: Vec<String>,
}

/// One partition.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "name"))]
pub struct Entry {
    /// The name that leads to it in an address: the label, or `part3`.
    pub name: String,
    /// Its number in the table, from 1.
    pub number: u32,
    /// Its label.
    pub label: String,
    /// What it is for, where its type is a known one: `efi-system`, `linux`, `bios-boot`, …; the
    /// type itself otherwise.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its type as the table has it: a GUID in lower case, or `0x0c`.
    pub type_id: String,
    /// Its own GUID.
    pub uuid: Option<String>,
    /// Where it begins.
    #[schemars(extend("x-unit" = "bytes"))]
    pub start: u64,
    /// Its size.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: u64,
    /// Its file system by content: `fat12`, `fat16`, `fat32`, `ext2`, `ext3`, `ext4`, `xfs`,
    /// `squashfs`, `erofs`, …; absent where there is none.
    pub file_system: Option<String>,
    /// The label of that file system, of FAT, ext2 to ext4 and EROFS.
    pub file_system_label: Option<String>,
}

impl Kind for TheKind {
    const NAME: &'static str = "disk";
    const SUMMARY: &'static str = "a disk image: its partition table, what is in the partitions";
    const SUBJECT: SubjectUse = SubjectUse::Required;
    // What is costly is seen only where it is asked for.
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: the disk has its two partitions and boots on ARM64
  disk:
  in: _out/assets/metal-arm64.raw.xz
  expect:
    table: gpt
    partitions: { contain: [EFI, META] }
    overlaps: { len: 0 }
    boots: { contain: arm64 }";
    const DESCRIBES: &'static [&'static str] = &[
        "table",
        "sector",
        "partitions",
        "backup",
        "overlaps",
        "boots",
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
        let subject = subject.ok_or_else(|| ProbeError::new("no disk is named"))?;
        let image = context.image(subject)?.enter("")?;
        let (source, limits) = (image.source()?, image.limits());
        let said = |error| ProbeError::from(image.failed(error));
        let table = partitions::read(&**source, limits).map_err(said)?;
        let mut found = Vec::new();
        let mut boots = Vec::new();
        for partition in &table.partitions {
            let part = Pieces::range(source, partition.start, partition.size);
            let entry = entry(partition, &part, limits).map_err(said)?;
            if entry.kind == "efi-system" && context.wants("boots") {
                boots.extend(machines(&part, limits).map_err(said)?);
            }
            found.push(entry);
        }
        let (backup, backup_problem) =
            match context.wants("backup") || context.wants("backup-problem") {
                true => backup(source, table.kind, limits).map_err(said)?,
                false => (None, None),
            };
        boots.sort();
        boots.dedup();
        Ok(Evidence {
            table: table.kind.name().to_owned(),
            sector: table.sector,
            size: context.wants("size").then(|| image.size()).transpose()?,
            count: found.len() as u64,
            overlaps: overlaps(
                table
                    .partitions
                    .iter()
                    .map(|p| (p.name.as_str(), p.start, p.size)),
            ),
            id: table.disk,
            partitions: found,
            backup,
            backup_problem,
            boots,
        })
    }
}

/// Tells what a partition is and what file system it holds.
pub(super) fn entry(
    partition: &Partition,
    part: &Source,
    limits: &Limits,
) -> Result<Entry, FormatError> {
    let inside = |error: FormatError| error.inside(partition.name.as_str());
    let content = Content::detect(&part.up_to(0, Content::HEAD).map_err(inside)?);
    let (file_system, label) = file_system(part, content, limits).map_err(inside)?;
    Ok(Entry {
        name: partition.name.clone(),
        number: partition.number,
        label: partition.label.clone(),
        kind: purpose(&partition.kind)
            .unwrap_or(&partition.kind)
            .to_owned(),
        type_id: partition.kind.clone(),
        uuid: partition.uuid.clone(),
        start: partition.start,
        size: partition.size,
        file_system: file_system.map(str::to_owned),
        file_system_label: label,
    })
}

/// Gives the name and the label of a file system. Its superblock alone is read:
/// what keeps its files from being read says nothing of what it is.
pub(super) fn file_system(
    part: &Source,
    content: Content,
    limits: &Limits,
) -> Result<(Option<&'static str>, Option<String>), FormatError> {
    let (name, label) = match content {
        Content::Fat => {
            let fat = Fat::open(Source::clone(part), limits)?;
            (fat.format(), fat.label()?)
        }
        Content::Ext => {
            let superblock = ext::Superblock::read(&**part)?;
            (superblock.version.name(), superblock.label)
        }
        Content::Erofs => (content.name(), erofs::Superblock::read(&**part)?.label),
        other => {
            let known = matches!(other, Content::Squashfs | Content::Xfs | Content::Iso);
            return Ok((known.then(|| other.name()), None));
        }
    };
    Ok((Some(name), Some(label).filter(|label| !label.is_empty())))
}

/// Names the types that images in use have. Sources: UEFI 2.10 §5.3.3, the
/// Discoverable Partitions Specification of the UAPI group, `bios_grub` of GRUB.
fn purpose(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "c12a7328-f81f-11d2-ba4b-00a0c93ec93b" | "0xef" => "efi-system",
        "21686148-6449-6e6f-744e-656564454649" => "bios-boot",
        "bc13c2ff-59e6-4262-a352-b275fd6f7172" => "xbootldr",
        "0fc63daf-8483-4772-8e79-3d69d8477de4" | "0x83" => "linux",
        "4f68bce3-e8cd-4db1-96e7-fbcaf984b709" => "linux-root-amd64",
        "b921b045-1df0-41c3-af44-4c6f280d3fae" => "linux-root-arm64",
        "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f" | "0x82" => "swap",
        "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7" => "basic-data",
        _ => return None,
    })
}

type Said = (Option<String>, Option<String>);

fn backup(source: &Source, kind: TableKind, limits: &Limits) -> Result<Said, FormatError> {
    let Some(header) = Header::find(&**source)?.filter(|_| kind == TableKind::Gpt) else {
        return Ok((Some("none".to_owned()), None));
    };
    Ok(match gpt::backup(&**source, &header, limits) {
        Backup::Agrees => (Some("agrees".to_owned()), None),
        Backup::Differs => (Some("differs".to_owned()), None),
        Backup::Broken(why) => (Some("broken".to_owned()), Some(why)),
    })
}

/// Gives the machines for which an EFI system partition has a boot program under
/// the name that firmware looks for. Source: UEFI 2.10 §3.5.1.1.
pub(super) fn machines(part: &Source, limits: &Limits) -> Result<Vec<String>, FormatError> {
    const NAMES: [(&str, &str); 5] = [
        ("AA64", "arm64"),
        ("X64", "amd64"),
        ("IA32", "i386"),
        ("ARM", "arm"),
        ("RISCV64", "riscv64"),
    ];
    let Ok(fat) = Fat::open(Source::clone(part), limits) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for (suffix, machine) in NAMES {
        if fat.lookup(&format!("EFI/BOOT/BOOT{suffix}.EFI"))?.is_some() {
            found.push(machine.to_owned());
        }
    }
    Ok(found)
}
