//! Unified kernel images, made by GNU objcopy from systemd's own ARM64 stub.

use std::fs;
use std::path::{Path, PathBuf};

use crate::peers::{fetched, output, peer};
use crate::world::World;

/// The tool, and systemd's stub.
pub(crate) struct Maker {
    objcopy: PathBuf,
    stub: PathBuf,
}

/// A section: its name, its bytes, and its address where that is not simply the next one.
pub(crate) type Section<'s> = (&'s str, &'s [u8], Option<u64>);

impl Maker {
    /// Finds them; `None` where one is missing, which has been said.
    pub(crate) fn find() -> Option<Self> {
        Some(Self {
            objcopy: peer("aarch64-linux-gnu-objcopy")?,
            stub: fetched()?.join("arm64/usr/lib/systemd/boot/efi/linuxaa64.efi.stub"),
        })
    }

    /// Gives the stub as systemd ships it.
    pub(crate) fn stub(&self) -> &Path {
        &self.stub
    }

    /// Makes an image; sections come in the order given, and names may repeat.
    pub(crate) fn make(&self, world: &World, name: &str, sections: &[Section<'_>]) -> PathBuf {
        let mut add = Vec::new();
        let mut rename = Vec::new();
        // The stub ends before this.
        let mut next = 0x12000;
        for (index, (section, bytes, address)) in sections.iter().enumerate() {
            let file = world.write(&format!("sections/{index}"), bytes);
            let at = address.unwrap_or(next);
            add.push(format!("--add-section=.s{index}={}", file.display()));
            add.push(format!("--change-section-vma=.s{index}={at:#x}"));
            // objcopy adds a name once; under its own each may be renamed to it.
            rename.push(format!("--rename-section=.s{index}={section}"));
            next = next.max(at + bytes.len().next_multiple_of(4096) as u64 + 4096);
        }
        let path = world.path().join(name);
        let part = world.path().join("sections/part");
        let stub = self.stub.to_str().unwrap();
        let (part, whole) = (part.to_str().unwrap(), path.to_str().unwrap());
        let run = |options: &[String], from: &str, to: &str| {
            let options = options.iter().map(String::as_str);
            let arguments: Vec<&str> = options.chain([from, to]).collect();
            output(&self.objcopy, Path::new("/"), &arguments);
        };
        run(&add, stub, part);
        run(&rename, part, whole);
        fs::remove_dir_all(world.path().join("sections")).unwrap();
        path
    }
}

/// What a section is made of when it lies where there is room.
pub(crate) fn section<'s>(name: &'s str, bytes: &'s (impl AsRef<[u8]> + ?Sized)) -> Section<'s> {
    (name, bytes.as_ref(), None)
}
