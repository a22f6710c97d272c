//! An ISO image of the demo's files, which the demo itself does not make.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::peers::{output, peer};

/// Makes `metal-arm64.iso` beside the other artifacts, as Talos's imager does: with an appended EFI
/// partition. Where a tool is missing it says so, and the image is not there.
pub(super) fn make(assets: &Path) -> Option<()> {
    let (xorriso, mkfs, mcopy) = (peer("xorriso")?, peer("mkfs.vfat")?, peer("mcopy")?);
    let work = tempfile::tempdir().unwrap();
    let tree = work.path().join("tree/EFI/BOOT");
    fs::create_dir_all(&tree).unwrap();
    let disk = assets.join("metal-arm64.raw.xz");
    let program = Command::new(super::example::tdg())
        .arg("cat")
        .arg(format!("{}!/EFI/EFI/Linux/*.efi", disk.display()))
        .output()
        .unwrap();
    assert!(program.status.success(), "{program:?}");
    fs::write(tree.join("BOOTAA64.EFI"), program.stdout).unwrap();
    let size = fs::metadata(tree.join("BOOTAA64.EFI")).unwrap().len();
    let image = fs::File::create(work.path().join("efi.img")).unwrap();
    image
        .set_len((size + (2 << 20)).next_multiple_of(1 << 20))
        .unwrap();
    output(&mkfs, work.path(), &["efi.img"]);
    output(
        &mcopy,
        work.path(),
        &["-s", "-i", "efi.img", "tree/EFI", "::"],
    );
    let iso = assets.join("metal-arm64.iso");
    let options = "-as mkisofs -quiet -R -V TALOS_V1_13_6 -append_partition 2 0xef efi.img \
                   -e --interval:appended_partition_2:all:: -no-emul-boot tree -o";
    let mut options: Vec<_> = options.split_whitespace().collect();
    options.push(iso.to_str().unwrap());
    output(&xorriso, work.path(), &options);
    Some(())
}
