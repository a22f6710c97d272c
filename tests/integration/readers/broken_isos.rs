//! ISO images that contradict themselves: what is wrong is said, and nothing
//! hangs or fills the memory.

use std::sync::Arc;

use tdg::format::iso::Iso;
use tdg::format::{Bytes, FormatError, Limits, Source, Tree};

use super::isos::xorriso;
use super::mutations::{limits, run};

/// Makes an image with Rock Ridge that has whatever a test here breaks.
fn image(options: &[&str]) -> Option<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    let deep = root.join("d/".repeat(10));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("file"), "deep").unwrap();
    std::fs::write(root.join("n".repeat(250)), "long").unwrap();
    std::fs::write(root.join("boot.img"), vec![1; 10_000]).unwrap();
    std::os::unix::fs::symlink("d/".repeat(100) + "x", root.join("link")).unwrap();
    let fixed = [
        "-R",
        "-J",
        "-rr_reloc_dir",
        "/rr_moved",
        "-b",
        "boot.img",
        "-no-emul-boot",
    ];
    let image = xorriso(folder.path(), "iso", &[&fixed, options].concat(), "root")?;
    Some(std::fs::read(image).unwrap())
}

fn open(bytes: Vec<u8>) -> Result<Iso, FormatError> {
    Iso::open(Arc::new(Bytes::new(bytes)), &Limits::default())
}

/// Finds a system use entry by its signature and length.
fn field(bytes: &[u8], signature: &[u8; 2], length: u8) -> usize {
    let start = [signature[0], signature[1], length, 1];
    let at = bytes.windows(4).position(|window| window == start);
    at.unwrap_or_else(|| panic!("there is no {}", String::from_utf8_lossy(signature)))
}

fn put(bytes: &mut [u8], at: usize, number: u32) {
    bytes[at..at + 4].copy_from_slice(&number.to_le_bytes());
}

#[test]
fn what_leads_round_in_a_circle_ends() {
    let Some(good) = image(&[]) else { return };
    let said = |bytes: Vec<u8>| match open(bytes).and_then(|iso| iso.entries()) {
        Ok(_) => panic!("it was read"),
        Err(error) => error.to_string(),
    };
    let number = |at: usize| u32::from_le_bytes(good[at..at + 4].try_into().unwrap());

    // A directory that stands elsewhere, and should be the root.
    let child = field(&good, b"CL", 12) + 4;
    let root = number(16 * 2048 + 158);
    let mut bytes = good.clone();
    put(&mut bytes, child, root);
    assert!(said(bytes).contains("inside of itself"));
    // The same, where no directory begins.
    let mut bytes = good.clone();
    put(&mut bytes, child, root + 1000);
    let said_here = said(bytes);
    assert!(said_here.contains("directory"), "{said_here}");

    // An area that goes on in itself: the first one of the record is inside of the block that
    // its continuation is said to be in.
    let continued = (0..good.len() - 28)
        .find(|at| good[*at..].starts_with(b"CE\x1c\x01") && *at / 2048 == root as usize)
        .expect("a record of the root that goes on");
    let mut bytes = good.clone();
    put(&mut bytes, continued + 4, (continued / 2048) as u32);
    put(&mut bytes, continued + 12, (continued % 2048) as u32);
    put(&mut bytes, continued + 20, 28);
    assert!(said(bytes).contains("circle"));
    // An area outside of its block, and one outside of the image.
    let mut bytes = good.clone();
    put(&mut bytes, continued + 20, 3000);
    assert!(said(bytes).contains("continuation area"));
    let mut bytes = good.clone();
    put(&mut bytes, continued + 4, u32::MAX);
    assert!(said(bytes).contains("cut short"));
    // An entry that is longer than its area.
    let mut bytes = good.clone();
    bytes[continued + 2] = 255;
    assert!(said(bytes).contains("does not end"));
}

#[test]
fn a_directory_beyond_all_bounds_is_an_error() {
    let Some(good) = image(&[]) else { return };
    let iso = open(good.clone()).unwrap();
    let record = usize::try_from(iso.lookup("d").unwrap().unwrap().inode).unwrap();
    let mut bytes = good.clone();
    put(&mut bytes, record + 10, 1 << 30);
    let error = open(bytes).unwrap().entries().unwrap_err();
    assert!(error.to_string().contains("max_metadata"), "{error}");
    let mut bytes = good.clone();
    put(&mut bytes, record + 10, 1 << 20);
    let error = open(bytes).unwrap().entries().unwrap_err();
    assert!(matches!(
        error,
        FormatError::Truncated { .. } | FormatError::Corrupt { .. }
    ));
    let few = Limits {
        max_entries: 5,
        ..Limits::default()
    };
    let error = Iso::open(Arc::new(Bytes::new(good)), &few)
        .unwrap()
        .entries();
    assert!(error.unwrap_err().to_string().contains("max_entries"));
}

#[test]
fn sparse_and_interleaved_files_are_said_to_be_unsupported() {
    let Some(good) = image(&[]) else { return };
    let iso = open(good.clone()).unwrap();
    let entry = iso.lookup("boot.img").unwrap().unwrap();
    let record = usize::try_from(entry.inode).unwrap();
    let mut bytes = good.clone();
    bytes[record + 26] = 1;
    let broken = open(bytes).unwrap();
    let error = broken.lookup("boot.img").unwrap_err();
    assert!(matches!(error, FormatError::Unsupported { .. }), "{error}");
    // A time becomes the sign of a sparse file.
    let mut bytes = good;
    let time = record + bytes[record..].windows(2).position(|w| w == b"TF").unwrap();
    bytes[time..time + 2].copy_from_slice(b"SF");
    let broken = open(bytes).unwrap();
    let error = broken
        .open(&broken.lookup("boot.img").unwrap().unwrap())
        .unwrap_err();
    assert!(matches!(error, FormatError::Unsupported { .. }), "{error}");
}

/// Looks at all that there is.
fn explore(bytes: Vec<u8>) {
    let source: Source = Arc::new(Bytes::new(bytes));
    let Ok(iso) = Iso::open(source, &limits()) else {
        return;
    };
    let mut seen = 0;
    let _ = iso.list(&mut |entry| {
        seen += 1;
        if seen < 100 {
            let _ = iso.lookup(&entry.path);
            if let Ok(file) = iso.open(&entry) {
                let _ = file.up_to(entry.meta.size / 2, 4096);
            }
        }
        Ok(())
    });
    let _ = iso.count();
    for part in iso.parts().unwrap_or_default() {
        let _ = iso.content(part).up_to(0, 4096);
    }
}

#[test]
fn damaged_iso_images_do_no_harm() {
    let ways: [&[&str]; 3] = [
        &[],
        &["--norock"],
        &[
            "-append_partition",
            "2",
            "0xef",
            "root/boot.img",
            "-appended_part_as_gpt",
        ],
    ];
    for way in ways {
        let Some(good) = image(way) else { return };
        // The structures, without the system area before them.
        let front = good.len().min(200_000);
        run(&format!("{way:?}"), &good[32768..front], 700, |bytes| {
            let whole = [&good[..32768], &bytes, &good[front..]].concat();
            explore(whole);
        });
        run(&format!("{way:?}"), &good, 300, explore);
    }
}
