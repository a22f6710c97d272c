//! Trees and images for the tests of readers, made by other people's tools.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A pseudo-random sequence that is the same on every machine (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// Gives bytes of which about half compress.
    pub(crate) fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 64);
        while bytes.len() < length {
            let word = self.next();
            if word & 1 == 0 {
                bytes.extend_from_slice(&word.to_le_bytes());
            } else {
                bytes.extend_from_slice(b"and the same again ");
            }
        }
        bytes.truncate(length);
        bytes
    }
}

/// Runs a tool in `folder` with `input` on standard input and gives its output.
pub(crate) fn pipe(tool: &Path, folder: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut child = Command::new(tool)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let feed = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{} {arguments:?}: {said}",
        tool.display()
    );
    output.stdout
}

/// Fills `root` with files whose sizes lie around the bounds of `block`, and
/// with everything else that a file system holds without being root.
pub(crate) fn populate(root: &Path, block: usize, many: usize) {
    let mut random = Random::new(block as u64);
    let write = |path: PathBuf, bytes: &[u8]| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    for times in 0..4 {
        for difference in [-1isize, 0, 1] {
            if let Some(size) = (times * block).checked_add_signed(difference) {
                write(root.join(format!("sizes/{size}")), &random.bytes(size));
            }
        }
    }
    write(root.join("sizes/large"), &random.bytes(37 * block + 11));
    for index in 0..many {
        let size = random.below(200);
        write(
            root.join(format!("many/{}/file-{index}", index % 7)),
            &random.bytes(size),
        );
    }
    // Holes: at the start, in the middle, at the end, and nothing else.
    let hole = |name: &str, data: &[(usize, usize)], size: usize| {
        use std::os::unix::fs::FileExt;
        std::fs::create_dir_all(root.join("holes")).unwrap();
        let file = std::fs::File::create(root.join("holes").join(name)).unwrap();
        file.set_len(size as u64).unwrap();
        for (offset, length) in data {
            file.write_all_at(&vec![0xa5; *length], *offset as u64)
                .unwrap();
        }
    };
    hole("start", &[(3 * block + 5, 100)], 4 * block);
    hole("middle", &[(0, 10), (5 * block, 10)], 6 * block + 1);
    hole("end", &[(0, 10)], 8 * block + 7);
    hole("nothing", &[], 5 * block);
    std::os::unix::fs::symlink("sizes/1", root.join("link")).unwrap();
    std::os::unix::fs::symlink("x/".repeat(1000), root.join("long-link")).unwrap();
    std::fs::hard_link(root.join("sizes/large"), root.join("hard-1")).unwrap();
    std::fs::hard_link(root.join("sizes/large"), root.join("many/hard-2")).unwrap();
    std::fs::create_dir_all(root.join("empty/a/b/c")).unwrap();
    let name: std::ffi::OsString =
        std::os::unix::ffi::OsStringExt::from_vec(b"odd \xff \xc3\xbc name".to_vec());
    write(root.join(name), b"odd");
    let mode = |path: &str, mode| {
        std::fs::set_permissions(root.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    mode("sizes/1", 0o4751);
    mode("empty", 0o1777);
}

/// What the source tree says about one path.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Fact {
    pub(crate) mode: u32,
    pub(crate) mtime: u32,
    pub(crate) size: Option<u64>,
    pub(crate) target: Option<String>,
    pub(crate) content: Option<Vec<u8>>,
}

/// Lists a tree as the system sees it, by path in tdg's form.
pub(crate) fn facts(root: &Path) -> BTreeMap<String, Fact> {
    let mut facts = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(root).unwrap();
        let path = tdg::format::node::normalise(path.as_os_str().as_encoded_bytes()).path;
        let metadata = entry.path().symlink_metadata().unwrap();
        let target = metadata.is_symlink().then(|| {
            std::fs::read_link(entry.path())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        });
        let fact = Fact {
            mode: metadata.mode(),
            mtime: u32::try_from(metadata.mtime()).unwrap(),
            size: metadata.is_file().then_some(metadata.len()),
            content: metadata
                .is_file()
                .then(|| std::fs::read(entry.path()).unwrap()),
            target,
        };
        facts.insert(path, fact);
    }
    facts
}

/// Writes an archive of `names` in `folder` with GNU cpio.
pub(crate) fn cpio(tool: &Path, folder: &Path, form: &str, names: &[&str]) -> Vec<u8> {
    let list = names.join("\n") + "\n";
    pipe(
        tool,
        folder,
        &["-o", "-H", form, "--quiet"],
        list.as_bytes(),
    )
}

/// Lists everything in a folder for `cpio -o`, directories first.
pub(crate) fn names(folder: &Path) -> Vec<u8> {
    let mut list = Vec::new();
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.unwrap();
        list.extend_from_slice(b"./");
        let path = entry.path().strip_prefix(folder).unwrap();
        list.extend_from_slice(path.as_os_str().as_encoded_bytes());
        list.push(0);
    }
    list
}

/// Bytes as a source.
pub fn source(bytes: Vec<u8>) -> tdg::format::Source {
    std::sync::Arc::new(tdg::format::Bytes::new(bytes))
}
