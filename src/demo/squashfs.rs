//! Squashfs images, as `mksquashfs -all-root -comp zstd` makes them.
//!
//! Source: `Documentation/filesystems/squashfs.rst`; written by `backhand`,
//! with 128 KiB blocks. There are no extended attributes: Talos's images carry
//! SELinux labels, these do not.

use std::io::Cursor;

use backhand::compression::Compressor;
use backhand::{FilesystemCompressor, FilesystemWriter, NodeHeader};

use super::error::ImagerError;
use super::tree::{Node, Tree};

/// Writes a tree as a squashfs image; `what` names it in an error.
pub fn image(what: &str, tree: &Tree) -> Result<Vec<u8>, ImagerError> {
    let failed = |reason: backhand::BackhandError| ImagerError::Squashfs {
        what: what.to_owned(),
        reason: reason.to_string(),
    };
    let mut writer = FilesystemWriter::default();
    let compressor = FilesystemCompressor::new(Compressor::Zstd, None).map_err(failed)?;
    writer.set_compressor(compressor);
    writer.set_root_mode(0o755);
    writer.set_only_root_id();
    for (path, entry) in tree.iter() {
        let header = NodeHeader::new(entry.mode, 0, 0, 0);
        match &entry.node {
            Node::Directory => writer.push_dir(path, header),
            Node::File(bytes) => writer.push_file(Cursor::new(bytes.as_slice()), path, header),
            Node::Link(target) => writer.push_symlink(target, path, header),
        }
        .map_err(failed)?;
    }
    let mut out = Cursor::new(Vec::new());
    writer.write(&mut out).map_err(failed)?;
    Ok(out.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_reads_back() {
        let mut tree = Tree::new();
        tree.file("usr/bin/a", 0o755, "hello")
            .link("bin", "usr/bin");
        let bytes = image("test", &tree).unwrap();
        assert_eq!(bytes, image("test", &tree).unwrap(), "not deterministic");
        let reader = backhand::FilesystemReader::from_reader(Cursor::new(bytes)).unwrap();
        let paths: Vec<String> = reader
            .files()
            .map(|node| node.fullpath.display().to_string())
            .collect();
        assert_eq!(paths, ["/", "/bin", "/usr", "/usr/bin", "/usr/bin/a"]);
    }

    #[test]
    fn an_empty_tree_is_an_image_too() {
        let bytes = image("empty", &Tree::new()).unwrap();
        assert!(bytes.starts_with(b"hsqs"));
    }
}
