//! `iso`: an ISO 9660 image, and what boots from it.

use super::disk::{self, Entry};
use super::{Context, Kind, ProbeError, RestsOn, SubjectUse};
use crate::format::iso::{Catalogue, Image, Iso, Part};
use crate::format::partition::Partition;
use crate::format::{Content, FormatError, Limits, Pieces, Source};
use crate::model::Address;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind.
pub struct TheKind;

/// It takes no arguments; the image is the subject, compressed or not.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {}

/// What the image says about itself.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// The volume's name, by which a boot loader or an installer finds its medium.
    pub volume_id: String,
    /// The system that may use the first 32 KiB.
    pub system_id: String,
    /// What it holds, or what made it.
    pub application_id: String,
    /// Who published it.
    pub publisher_id: String,
    /// The program that wrote it.
    pub preparer_id: String,
    /// When it was made, as `2026-11-26T23:15:34Z`; absent where it does not say.
    pub created: Option<String>,
    /// The size of the volume. An appended partition lies behind it.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: u64,
    /// Where the names of the tree are from, as Linux chooses: `rock-ridge`, `joliet` or `plain`.
    #[schemars(extend("enum" = ["rock-ridge", "joliet", "plain"]))]
    pub names: String,
    /// Whether it has the attributes of Rock Ridge: modes, owners, links.
    pub rock_ridge: bool,
    /// Whether it has the names of Joliet.
    pub joliet: bool,
    /// How many files, folders and links there are, `.boot` left out. Absent where nothing asks
    /// for it.
    pub count: Option<u64>,
    /// What the El Torito boot catalogue is: `sound`, `broken` where firmware would refuse it, or
    /// `none`.
    #[schemars(extend("enum" = ["sound", "broken", "none"]))]
    pub catalogue: String,
    /// Why the boot catalogue is broken.
    pub catalogue_problem: Option<String>,
    /// The images of the boot catalogue, in its order.
    pub boot: Vec<BootImage>,
    /// The form of the partition table: `gpt`, `mbr` or `none`.
    #[schemars(extend("enum" = ["gpt", "mbr", "none"]))]
    pub table: String,
    /// The partitions in the order of the table. One that begins with the image is the image itself,
    /// one that begins where a boot image does is that one; the others are in `.boot`.
    pub partitions: Vec<Entry>,
    /// Whether it boots when it is written to a USB stick as it is: its first sector holds a
    /// program and a partition is marked active, or a partition holds a boot program for UEFI.
    pub hybrid: bool,
    /// The machines that UEFI firmware starts from it, in either of the two ways: `arm64` where
    /// there is `EFI/BOOT/BOOTAA64.EFI`, and so on.
    pub boots: Vec<String>,
    /// Those that start from it as from a CD, which is how virtual machines and BMCs hold it: the
    /// boot catalogue leads to the program.
    pub boots_cd: Vec<String>,
    /// Those that start from a USB stick to which it was written: a partition holds the program.
    pub boots_usb: Vec<String>,
}

/// One image of the boot catalogue.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "path"))]
pub struct BootImage {
    /// Whom it is for: `bios`, `efi`, `ppc`, `mac`; the number otherwise.
    pub platform: String,
    /// Whether it is marked to be started.
    pub bootable: bool,
    /// What the disc is for it: `none`, `floppy`, `hard-disk` or `unknown`.
    #[schemars(extend("enum" = ["none", "floppy", "hard-disk", "unknown"]))]
    pub emulation: String,
    /// The path that leads to it in an address: that of the file it is, or one in `.boot`.
    pub path: String,
    /// Where it begins.
    #[schemars(extend("x-unit" = "bytes"))]
    pub start: u64,
    /// Its real size: that of the file it is, of the partition that begins there, or of its file
    /// system.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: u64,
    /// How much of it the catalogue says to load. Of an image for UEFI, `0` and `512` stand for
    /// everything.
    #[schemars(extend("x-unit" = "bytes"))]
    pub load_size: u64,
    /// Its file system by content, such as `fat12`; absent where there is none.
    pub file_system: Option<String>,
    /// The machines that UEFI firmware starts from it.
    pub boots: Vec<String>,
}

impl Kind for TheKind {
    const NAME: &'static str = "iso";
    const SUMMARY: &'static str = "an ISO image: its names, its boot images, who boots from it";
    const SUBJECT: SubjectUse = SubjectUse::Required;
    // What is costly is seen only where it is asked for.
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: the ISO boots on ARM64, from a drive and from a stick
  iso:
  in: _out/assets/metal-arm64.iso
  expect:
    volume-id: { starts-with: TALOS }
    catalogue: sound
    boot: { any: { platform: efi, bootable: true, file-system: { starts-with: fat } } }
    boots-cd: { contain: arm64 }
    boots-usb: { contain: arm64 }";
    const DESCRIBES: &'static [&'static str] = &[
        "volume-id",
        "names",
        "count",
        "catalogue",
        "boot",
        "table",
        "hybrid",
        "boots",
        "boots-cd",
        "boots-usb",
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
        let subject = subject.ok_or_else(|| ProbeError::new("no ISO image is named"))?;
        let image = context.image(subject)?.enter("")?;
        let (source, limits) = (image.source()?, image.limits());
        let count = context.wants("count");
        let seen = Iso::open(Source::clone(source), limits)
            .and_then(|iso| evidence(&iso, source, limits, count));
        seen.map_err(|error| image.failed(error).into())
    }
}

fn evidence(
    iso: &Iso,
    source: &Source,
    limits: &Limits,
    count: bool,
) -> Result<Evidence, FormatError> {
    let (volume, catalogue, table) = (iso.volume(), iso.catalogue()?, iso.table()?);
    let boot = images(iso, catalogue, limits)?;
    let listed = table.map_or(&[][..], |table| &table.partitions);
    let mut partitions = Vec::new();
    let mut boots_usb = Vec::new();
    for partition in listed {
        let part = Pieces::range(source, partition.start, partition.size);
        partitions.push(disk::entry(partition, &part, limits)?);
        boots_usb.extend(disk::machines(&part, limits)?);
    }
    let (boots_cd, boots_usb) = (disc(catalogue, &boot), sorted(boots_usb));
    let problem = catalogue.and_then(|catalogue| catalogue.problem.clone());
    let state = match (catalogue, &problem) {
        (None, _) => "none",
        (Some(_), None) => "sound",
        (Some(_), Some(_)) => "broken",
    };
    Ok(Evidence {
        volume_id: volume.volume_id.clone(),
        system_id: volume.system_id.clone(),
        application_id: volume.application_id.clone(),
        publisher_id: volume.publisher_id.clone(),
        preparer_id: volume.preparer_id.clone(),
        created: volume.created.and_then(shown),
        size: volume.size,
        names: iso.naming().name().to_owned(),
        rock_ridge: iso.has_rock_ridge(),
        joliet: iso.has_joliet(),
        count: count.then(|| iso.count()).transpose()?,
        catalogue: state.to_owned(),
        catalogue_problem: problem,
        boot,
        table: table.map_or("none", |table| table.kind.name()).to_owned(),
        partitions,
        hybrid: table.is_some() && (!boots_usb.is_empty() || starts_by_bios(source, listed)?),
        boots: sorted([&boots_cd[..], &boots_usb[..]].concat()),
        boots_cd,
        boots_usb,
    })
}

fn images(
    iso: &Iso,
    catalogue: Option<&Catalogue>,
    limits: &Limits,
) -> Result<Vec<BootImage>, FormatError> {
    let images = catalogue.map_or(&[][..], |catalogue| &catalogue.images);
    let of = |part: &Part| part.image.and_then(|index| images.get(index));
    let found = iso
        .parts()?
        .iter()
        .filter_map(|part| Some((part, of(part)?)));
    found
        .map(|(part, image)| boot_image(iso, part, image, limits))
        .collect()
}

fn boot_image(
    iso: &Iso,
    part: &Part,
    image: &Image,
    limits: &Limits,
) -> Result<BootImage, FormatError> {
    let content = iso.content(part);
    let inside = |error: FormatError| error.inside(part.path.as_str());
    let head = content.up_to(0, Content::HEAD).map_err(inside)?;
    let (file_system, _label) =
        disk::file_system(&content, Content::detect(&head), limits).map_err(inside)?;
    Ok(BootImage {
        platform: image.platform_name(),
        bootable: image.bootable,
        emulation: image.emulation.name().to_owned(),
        path: part.path.clone(),
        start: part.start,
        size: part.size,
        load_size: image.load,
        file_system: file_system.map(str::to_owned),
        boots: disk::machines(&content, limits).map_err(inside)?,
    })
}

/// Gives the machines to whose program a sound catalogue leads. Source: UEFI
/// 2.10 §13.3.2.1: an entry of the platform 0xEF, bootable, without emulation.
fn disc(catalogue: Option<&Catalogue>, boot: &[BootImage]) -> Vec<String> {
    if catalogue.is_none_or(|catalogue| catalogue.problem.is_some()) {
        return Vec::new();
    }
    let started =
        |image: &&BootImage| image.platform == "efi" && image.bootable && image.emulation == "none";
    let machines = boot.iter().filter(started).flat_map(|image| &image.boots);
    sorted(machines.cloned().collect())
}

/// Tells whether a BIOS finds a program in the first sector and a partition to
/// start from.
fn starts_by_bios(source: &Source, partitions: &[Partition]) -> Result<bool, FormatError> {
    let sector = source.up_to(0, 512)?;
    let program = sector.iter().take(440).any(|byte| *byte != 0);
    // Beside a GPT the older table stands as well, and a BIOS reads that one.
    let active = (0..4).any(|index| sector.get(446 + index * 16) == Some(&0x80));
    Ok(program && active && !partitions.is_empty())
}

fn shown(seconds: i64) -> Option<String> {
    let time = jiff::Timestamp::from_second(seconds).ok()?;
    Some(time.to_string())
}

fn sorted(mut list: Vec<String>) -> Vec<String> {
    list.sort();
    list.dedup();
    list
}
