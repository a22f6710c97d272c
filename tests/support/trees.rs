//! Random trees of files, and what a reader has to say of them.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, UNIX_EPOCH};

use tdg::format::node::{escape, normalise};
use tdg::format::{FileType, Tree};

use crate::images::Random;
use crate::peers::peer;

/// What a tree is made of.
#[derive(Clone, Copy)]
pub(crate) struct Seed {
    pub(crate) number: u64,
    /// Sizes lie around its borders.
    pub(crate) block: usize,
    /// About so many entries.
    pub(crate) many: usize,
    /// Some times do not fit into 32 bits.
    pub(crate) late: bool,
    /// Some files have holes.
    pub(crate) sparse: bool,
}

/// A tree that is being made.
struct Sown<'a> {
    random: Random,
    root: &'a Path,
    seed: Seed,
    folders: Vec<PathBuf>,
    files: Vec<PathBuf>,
    links: Vec<PathBuf>,
    count: usize,
}

/// Makes a tree of a seed. As root, it has devices, owners and attributes that
/// only root may set.
pub(crate) fn sow(root: &Path, seed: Seed) {
    fs::create_dir_all(root).unwrap();
    let mut sown = Sown {
        random: Random::new(seed.number),
        seed,
        root,
        folders: vec![root.to_owned()],
        files: Vec::new(),
        links: Vec::new(),
        count: 0,
    };
    for _ in 0..seed.many {
        sown.entry();
    }
    sown.owners();
    sown.attributes();
    sown.times();
}

impl Sown<'_> {
    fn entry(&mut self) {
        let place = self.place();
        match self.random.below(20) {
            0..4 if place.components().count() < self.root.components().count() + 5 => {
                fs::create_dir(&place).unwrap();
                self.folders.push(place);
            }
            4 | 5 => {
                let length: usize = [1, 7, 58, 59, 60, 61, 200, 1000][self.random.below(8)];
                let target = "t/".repeat(length.div_ceil(2));
                std::os::unix::fs::symlink(&target[..length], &place).unwrap();
                self.links.push(place);
            }
            6 if !self.files.is_empty() => {
                let original = &self.files[self.random.below(self.files.len())];
                fs::hard_link(original, &place).unwrap();
            }
            7 if self.seed.sparse => self.sparse(&place),
            8 => self.special(&place),
            _ => {
                let border = self.random.below(6) * self.seed.block;
                let size = match self.random.below(4) {
                    0 => self.random.below(150),
                    1 => self.random.below(8 * self.seed.block),
                    _ => (border + self.random.below(3)).saturating_sub(1),
                };
                let bytes = match self.random.below(4) {
                    0 => vec![b'x'; size],
                    1 => noise(&mut self.random, size),
                    _ => self.random.bytes(size),
                };
                fs::write(&place, bytes).unwrap();
                self.files.push(place);
            }
        }
    }

    /// Makes up a path at which nothing is.
    fn place(&mut self) -> PathBuf {
        self.count += 1;
        let folder = self.folders[self.random.below(self.folders.len())].clone();
        let name: OsString = match self.random.below(10) {
            0 => "n".repeat(240).into(),
            1 => "grüße 日本 ".into(),
            2 => OsString::from_vec(b"odd \xff\\\n ".to_vec()),
            _ => "file".into(),
        };
        let mut name = name.into_vec();
        name.extend(self.count.to_string().bytes());
        folder.join(OsString::from_vec(name))
    }

    fn sparse(&mut self, place: &Path) {
        let file = fs::File::create(place).unwrap();
        let blocks = 1 + self.random.below(300);
        file.set_len((blocks * self.seed.block + self.random.below(3)) as u64)
            .unwrap();
        for _ in 0..self.random.below(8) {
            let at =
                self.random.below(blocks) * self.seed.block + self.random.below(self.seed.block);
            let length = 1 + self.random.below(2 * self.seed.block);
            let bytes = self
                .random
                .bytes(length.min((blocks * self.seed.block).saturating_sub(at)));
            file.write_all_at(&bytes, at as u64).unwrap();
        }
        self.files.push(place.to_owned());
    }

    fn special(&mut self, place: &Path) {
        let kinds: &[&[&str]] = &[
            &["p"],
            &["c", "1", "3"],
            &["b", "8", "17"],
            &["c", "259", "70000"],
            &["b", "300", "1"],
        ];
        let most = if is_root() { kinds.len() } else { 1 };
        let kind = kinds[self.random.below(most)];
        let Some(mknod) = peer("mknod") else { return };
        let made = Command::new(mknod).arg(place).args(kind).output().unwrap();
        // A container may keep even root from devices.
        assert!(made.status.success() || kind != ["p"], "mknod {kind:?}");
    }

    fn owners(&mut self) {
        for path in self.files.clone().iter().chain(&self.folders[1..].to_vec()) {
            let mode = [0o644, 0o755, 0o4711, 0o2750, 0o1777, 0o600][self.random.below(6)];
            if is_root() && self.random.below(2) == 0 {
                let ids = [0, 1000, 65534, 65536, 4_000_000_000];
                let (uid, gid) = (ids[self.random.below(5)], ids[self.random.below(5)]);
                std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
            }
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        }
    }

    fn attributes(&mut self) {
        let Some(setfattr) = peer("setfattr") else {
            return;
        };
        let label = format!("0x{}", hex(b"system_u:object_r:etc_t:s0\0"));
        let paths: Vec<_> = self.files.iter().chain(&self.folders).cloned().collect();
        for path in paths {
            let long = "v".repeat(self.random.below(200));
            let large = "w".repeat(300);
            let own = format!("number {}", self.random.below(5));
            let mut pairs = vec![
                ("user.tdg.own", own.as_str()),
                ("user.tdg.long", &long),
                ("user.tdg.large.of.all", &large),
                ("user.e", ""),
            ];
            if is_root() {
                pairs.push(("security.selinux", &label));
                // Version 2: cap_net_raw, effective.
                pairs.push((
                    "security.capability",
                    "0x0100000200200000000000000000000000000000",
                ));
                pairs.push(("trusted.overlay.opaque", "y"));
            }
            for (name, value) in pairs {
                let folder = path.is_dir() && name == "security.capability";
                if self.random.below(6) == 0 && !folder {
                    let mut command = Command::new(&setfattr);
                    command.args(["-h", "-n", name, "-v", value]).arg(&path);
                    // Not every file system takes every name.
                    let _ = command.output().unwrap();
                }
            }
        }
    }

    fn times(&mut self) {
        // Before 1970, before and after 2038, and with a part of a second.
        let times = [
            -2_000_000_000,
            -1,
            0,
            1,
            1_700_000_000,
            2_147_483_648,
            5_000_000_000,
            12_000_000_000,
        ];
        let most = if self.seed.late { times.len() } else { 5 };
        for path in self.files.iter().chain(self.folders.iter().rev()) {
            let seconds: i64 = times[self.random.below(most)];
            let part = Duration::from_secs(seconds.unsigned_abs());
            let time = match seconds < 0 {
                true => UNIX_EPOCH - part,
                false => UNIX_EPOCH + part + Duration::from_nanos(123_456_789),
            };
            let file = fs::File::open(path).unwrap();
            file.set_times(fs::FileTimes::new().set_modified(time))
                .unwrap();
        }
    }
}

/// Gives bytes that do not compress.
fn noise(random: &mut Random, length: usize) -> Vec<u8> {
    let words = (0..length.div_ceil(8)).flat_map(|_| random.next().to_le_bytes());
    words.take(length).collect()
}

pub(crate) fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the extended attributes of a whole tree as the system has them.
pub(crate) fn attributes(root: &Path) -> BTreeMap<String, Vec<(String, Vec<u8>)>> {
    let mut found = BTreeMap::new();
    let Some(getfattr) = peer("getfattr") else {
        return found;
    };
    let dumped = Command::new(getfattr)
        .args(["-R", "-P", "-h", "-d", "-m", "-", "-e", "hex", "."])
        .current_dir(root)
        .output()
        .unwrap();
    let mut path = String::new();
    for line in dumped.stdout.split(|byte| *byte == b'\n') {
        if let Some(name) = line.strip_prefix(b"# file: ") {
            path = normalise(&unquoted(name)).path;
        } else if let Some(at) = line.iter().position(|byte| *byte == b'=') {
            let name = escape(&unquoted(&line[..at]));
            let value = line[at + 1..].strip_prefix(b"0x").unwrap_or_default();
            let digit = |byte: u8| u8::try_from(char::from(byte).to_digit(16).unwrap()).unwrap();
            let value = value
                .chunks(2)
                .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
                .collect();
            found
                .entry(path.clone())
                .or_insert_with(Vec::new)
                .push((name, value));
        }
    }
    found.values_mut().for_each(|list| list.sort());
    found
}

/// Undoes `\ooo`.
fn unquoted(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        let octal = behind
            .get(..3)
            .filter(|three| *first == b'\\' && three.iter().all(u8::is_ascii_digit));
        match octal {
            Some(three) => {
                let value = three
                    .iter()
                    .fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                bytes.push(u8::try_from(value).unwrap());
                rest = &rest[4..];
            }
            None => {
                bytes.push(*first);
                rest = behind;
            }
        }
    }
    bytes
}

/// What a tool may say otherwise than the tree on disk.
#[derive(Clone, Copy)]
pub(crate) struct Said {
    /// What became of modification times.
    pub(crate) mtime: fn(i64) -> i64,
    /// Owners, where all are root's.
    pub(crate) all_root: bool,
    /// Extended attributes are there.
    pub(crate) xattrs: bool,
}

/// Compares what a reader says with the tree on disk, entry by entry; entries
/// below `own` are the tool's. Gives the number of entries.
pub(crate) fn compare(tree: &dyn Tree, root: &Path, own: &[&str], said: Said) -> usize {
    let attributes = if said.xattrs {
        attributes(root)
    } else {
        BTreeMap::new()
    };
    let mut random = Random::new(7);
    let mut inodes: BTreeMap<u64, u64> = BTreeMap::new();
    let mut seen = BTreeMap::new();
    for entry in tree.entries().unwrap() {
        seen.insert(entry.path.clone(), entry);
    }
    let mut count = 0;
    for found in walkdir::WalkDir::new(root).min_depth(1) {
        let found = found.unwrap();
        let raw = found
            .path()
            .strip_prefix(root)
            .unwrap()
            .as_os_str()
            .as_bytes();
        let path = normalise(raw).path;
        let meta = found.path().symlink_metadata().unwrap();
        let Some(entry) = seen.remove(&path) else {
            panic!("`{path}` is not there");
        };
        count += 1;
        assert_eq!(entry.meta.mode, meta.mode(), "mode of {path}");
        let owner = if said.all_root {
            (0, 0)
        } else {
            (meta.uid(), meta.gid())
        };
        assert_eq!((entry.meta.uid, entry.meta.gid), owner, "owner of {path}");
        let mtime = (said.mtime)(meta.mtime());
        assert_eq!(entry.meta.mtime, mtime, "time of {path}");
        let xattrs = attributes.get(&path).cloned().unwrap_or_default();
        assert_eq!(entry.meta.xattrs.to_vec(), xattrs, "attributes of {path}");
        if !meta.is_dir() {
            assert_eq!(u64::from(entry.meta.nlink), meta.nlink(), "names of {path}");
            let first = *inodes.entry(meta.ino()).or_insert(entry.inode);
            assert_eq!(first, entry.inode, "the inode of {path}");
        }
        let kind = meta.file_type();
        if kind.is_char_device() || kind.is_block_device() {
            // As glibc's `gnu_dev_major` has it.
            let (high, low) = (meta.rdev() >> 32, meta.rdev() & 0xffff_ffff);
            let major = high & 0xffff_f000 | low >> 8 & 0xfff;
            let minor = low & 0xff | low >> 12 & 0xffff_ff00;
            let wanted = (u32::try_from(major).unwrap(), u32::try_from(minor).unwrap());
            assert_eq!(entry.meta.device, Some(wanted), "device {path}");
        } else {
            assert_eq!(entry.meta.device, None, "device {path}");
        }
        let target = meta
            .is_symlink()
            .then(|| fs::read_link(found.path()).unwrap());
        let target = target.map(|target| escape(target.as_os_str().as_bytes()));
        assert_eq!(entry.meta.target, target, "target of {path}");
        assert_eq!(
            tree.lookup(&path).unwrap().as_ref(),
            Some(&entry),
            "lookup of {path}"
        );
        if meta.is_file() {
            let content = fs::read(found.path()).unwrap();
            assert_eq!(entry.meta.size, content.len() as u64, "size of {path}");
            let file = tree.open(&entry).unwrap();
            assert_eq!(file.size(), Ok(entry.meta.size), "size of {path}");
            for _ in 0..3 {
                let at = random.below(content.len() + 1);
                let mut range = vec![0xee; random.below(9000)];
                let read = file.read_at(at as u64, &mut range).unwrap();
                assert_eq!(
                    read,
                    range.len().min(content.len() - at),
                    "a range of {path}"
                );
                assert!(range[..read] == content[at..at + read], "a range of {path}");
            }
            let whole = file.up_to(0, content.len() + 10).unwrap();
            assert!(*whole == *content, "content of {path}");
        } else if meta.is_dir() {
            let children = tree.children(&path).unwrap().unwrap();
            assert_eq!(
                children.len(),
                fs::read_dir(found.path()).unwrap().count(),
                "{path}"
            );
        } else {
            assert!(tree.open(&entry).is_err(), "{path} has no content");
        }
    }
    let more: Vec<_> = seen
        .keys()
        .filter(|path| !own.contains(&path.as_str()))
        .collect();
    assert!(more.is_empty(), "nobody made {more:?}");
    let root = tree.lookup("").unwrap().unwrap();
    assert_eq!(root.meta.kind, FileType::Directory);
    assert!(tree.lookup("not/there").unwrap().is_none());
    assert!(tree.children("not/there").unwrap().is_none());
    count
}
