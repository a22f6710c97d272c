//! The initramfs, segment by segment, as Talos's imager leaves it.
//!
//! 1. An uncompressed archive with microcode, where an extension brings any.
//!    The imager looks for the files, not at the architecture, so an arm64
//!    image with `amd-ucode` has it too. Padded to 512 bytes.
//! 2. A zstd frame: `.`, `init`, `rootfs.sqsh`.
//! 3. A zstd frame, where there are extensions: one `N.sqsh` an extension, in
//!    the profile's order, `extensions.yaml`, `modules.dep.sqsh` where one has
//!    kernel modules, and their firmware as loose files.
//!
//! Every segment is an archive of its own and ends with its own trailer.

use std::io::Write as _;

use super::arch::Arch;
use super::cpio;
use super::error::ImagerError;
use super::extension::Extension;
use super::kernel::RELEASE;
use super::rootfs;
use super::squashfs;
use super::tree::{Node, Tree};

const FIRMWARE: &str = "usr/lib/firmware";

/// Makes the initramfs that Talos ships, without extensions: segment 2 alone.
pub fn base(arch: Arch) -> Result<Vec<u8>, ImagerError> {
    let mut tree = Tree::new();
    tree.file("init", 0o755, rootfs::init(arch)).file(
        "rootfs.sqsh",
        0o644,
        squashfs::image("rootfs.sqsh", &rootfs::tree(arch))?,
    );
    frame(&cpio::archive(&tree, true))
}

/// Makes the whole file: `base` with the segments that `extensions`, built
/// for `arch`, add before and behind it.
pub fn with_extensions(
    base: &[u8],
    arch: Arch,
    extensions: &[&Extension],
) -> Result<Vec<u8>, ImagerError> {
    if extensions.is_empty() {
        return Ok(base.to_vec());
    }
    let mut segment = Tree::new();
    let mut microcode = Vec::new();
    let mut modules = Vec::new();
    let mut layers = String::from("layers:\n");
    for (index, extension) in extensions.iter().enumerate() {
        let mut tree = extension.tree(arch);
        modules.extend(module_paths(&tree));
        let mut firmware = tree.split_off(FIRMWARE);
        microcode.extend(take_microcode(&mut firmware));
        segment.merge(firmware);
        let image = format!("{index}.sqsh");
        segment.file(&image, 0o644, squashfs::image(extension.name, &tree)?);
        layers += &layer(
            &image,
            &Metadata {
                name: extension.name,
                version: extension.version,
                author: extension.author,
                description: extension.description,
                talos: extension.talos,
            },
        );
    }
    if !modules.is_empty() {
        let tree = module_dependencies(&modules);
        let image = "modules.dep.sqsh";
        segment.file(image, 0o644, squashfs::image(image, &tree)?);
        layers += &layer(
            image,
            &Metadata {
                name: "modules.dep",
                version: RELEASE,
                author: "Talos Machinery",
                description: "Dependencies of the modules of kernel and extensions",
                talos: "",
            },
        );
    }
    segment.file("extensions.yaml", 0o644, layers);

    let mut out = Vec::new();
    if !microcode.is_empty() {
        let mut early = Tree::new();
        early.file("kernel/x86/microcode/AuthenticAMD.bin", 0o644, microcode);
        out.extend(cpio::archive(&early, false));
    }
    out.extend(base);
    out.extend(frame(&cpio::archive(&segment, false))?);
    Ok(out)
}

/// Compresses one segment: a streamed frame, so without its content's size,
/// with a window of 8 MiB and a checksum, as the `zstd` program writes it.
fn frame(archive: &[u8]) -> Result<Vec<u8>, ImagerError> {
    let write = || -> std::io::Result<Vec<u8>> {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 3)?;
        encoder.include_checksum(true)?;
        encoder.window_log(23)?;
        encoder.write_all(archive)?;
        encoder.finish()
    };
    write().map_err(ImagerError::io("zstd"))
}

/// Takes AMD's microcode out of the firmware and joins it to one blob.
fn take_microcode(firmware: &mut Tree) -> Vec<u8> {
    let amd = firmware.split_off(&format!("{FIRMWARE}/amd-ucode"));
    amd.iter()
        .filter_map(|(_, entry)| match &entry.node {
            Node::File(bytes) => Some(bytes.as_slice()),
            Node::Directory | Node::Link(_) => None,
        })
        .collect::<Vec<_>>()
        .concat()
}

/// Lists an extension's modules, relative to the release's folder.
fn module_paths(tree: &Tree) -> Vec<String> {
    let folder = rootfs::modules_folder() + "/";
    tree.iter()
        .filter(|(path, _)| path.ends_with(".ko"))
        .filter_map(|(path, _)| Some(path.strip_prefix(&folder)?.to_owned()))
        .collect()
}

/// Makes the tree of `modules.dep.sqsh`: what depmod writes over the kernel's
/// own modules and the extensions'.
fn module_dependencies(modules: &[String]) -> Tree {
    let needs = |path: &str| match rootfs::module_name(path) {
        "drbd" => "kernel/lib/lru_cache.ko",
        "drbd_transport_tcp" => "extras/drbd.ko kernel/lib/lru_cache.ko",
        "zfs" => "extras/spl.ko",
        _ => "",
    };
    let own = rootfs::base_modules().iter().copied();
    let all = own.chain(modules.iter().map(String::as_str));
    let text = rootfs::dependencies(all.map(|path| (path, needs(path))));
    let mut tree = Tree::new();
    tree.file(
        &format!("{}/modules.dep", rootfs::modules_folder()),
        0o644,
        text,
    );
    tree
}

/// Writes one layer of `extensions.yaml`; no field has a quote in it.
fn layer(image: &str, metadata: &Metadata<'_>) -> String {
    let Metadata {
        name,
        version,
        author,
        description,
        talos,
    } = metadata;
    format!(
        "  - image: {image}\n    metadata:\n      name: {name}\n      version: \"{version}\"\n      author: {author}\n      description: \"{description}\"\n      compatibility:\n        talos:\n          version: \"{talos}\"\n"
    )
}

/// What a layer says of itself.
struct Metadata<'a> {
    name: &'a str,
    version: &'a str,
    author: &'a str,
    description: &'a str,
    /// The Talos versions it is for; empty for any.
    talos: &'a str,
}

#[cfg(test)]
mod tests {
    use super::super::extension::resolve;
    use super::*;

    #[test]
    fn the_segments_come_in_order() {
        let base = base(Arch::Arm64).unwrap();
        let extensions = [
            resolve("x/amd-ucode:20260622").unwrap(),
            resolve("x/spin:v0.25.1").unwrap(),
        ];
        let file = with_extensions(&base, Arch::Arm64, &extensions).unwrap();
        assert!(file.starts_with(b"070701"));
        let at = file
            .windows(base.len())
            .position(|window| window == base)
            .unwrap();
        assert_eq!(at % 512, 0);
        let last = zstd::decode_all(&file[at + base.len()..]).unwrap();
        assert!(last.starts_with(b"070701"));
        let text = String::from_utf8_lossy(&last);
        let at = text.find("layers:\n").unwrap();
        let yaml = &text[at..text[at..].find('\0').unwrap() + at];
        let list: serde_json::Value = serde_saphyr::from_str(yaml).unwrap();
        assert_eq!(list["layers"][1]["image"], "1.sqsh");
        assert_eq!(list["layers"][1]["metadata"]["name"], "spin");
        assert_eq!(list["layers"][1]["metadata"]["version"], "v0.25.1");
        assert!(
            !text.contains("amd-ucode/microcode"),
            "microcode is moved, not copied"
        );
    }

    #[test]
    fn without_extensions_nothing_is_added() {
        let base = b"base".to_vec();
        assert_eq!(with_extensions(&base, Arch::Arm64, &[]).unwrap(), base);
    }
}
