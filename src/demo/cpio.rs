//! The `newc` cpio archive, as the kernel unpacks it.
//!
//! Source: Linux `Documentation/driver-api/early-userspace/buffer-format.rst`.
//! Written as GNU cpio does with `--reproducible`: inodes counted from 0,
//! owner and time 0, the end padded to 512 bytes.

use super::tree::{Node, Tree};

/// Writes a tree as one archive. `root` adds an entry `.` before the others,
/// as `find . | cpio` does.
pub fn archive(tree: &Tree, root: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut inode = 0;
    if root {
        entry(&mut out, inode, ".", 0o040_755, 2, b"");
        inode += 1;
    }
    for (path, item) in tree.iter() {
        let mode = u32::from(item.mode);
        match &item.node {
            Node::Directory => entry(&mut out, inode, path, 0o040_000 | mode, 2, b""),
            Node::File(bytes) => entry(&mut out, inode, path, 0o100_000 | mode, 1, bytes),
            Node::Link(target) => {
                entry(
                    &mut out,
                    inode,
                    path,
                    0o120_000 | mode,
                    1,
                    target.as_bytes(),
                );
            }
        }
        inode += 1;
    }
    entry(&mut out, 0, "TRAILER!!!", 0, 1, b"");
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

fn entry(out: &mut Vec<u8>, inode: u32, path: &str, mode: u32, links: u32, bytes: &[u8]) {
    out.extend(b"070701");
    let name_len = path.len() as u32 + 1;
    // inode, mode, uid, gid, links, time, size, device ×4, name length, checksum
    for field in [
        inode,
        mode,
        0,
        0,
        links,
        0,
        bytes.len() as u32,
        0,
        0,
        0,
        0,
        name_len,
        0,
    ] {
        out.extend(format!("{field:08X}").as_bytes());
    }
    out.extend(path.as_bytes());
    out.push(0);
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_ends_on_a_block_with_its_trailer() {
        let mut tree = Tree::new();
        tree.file("init", 0o755, "hello");
        let bytes = archive(&tree, true);
        assert_eq!(bytes.len() % 512, 0);
        assert!(bytes.starts_with(b"070701"));
        let trailer = b"TRAILER!!!\0";
        assert!(bytes.windows(trailer.len()).any(|window| window == trailer));
    }
}
