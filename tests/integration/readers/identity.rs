//! Real initramfs files, entry by entry: Debian's installer, and what
//! `mkinitramfs` and `dracut` make, against GNU cpio, `skipcpio` and
//! `unmkinitramfs`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tdg::format::initramfs::{Initramfs, Located};
use tdg::format::node::normalise;
use tdg::format::{FileType, Limits};
use tdg::model::Sha256Digest;

use crate::images::{pipe, source};
use crate::peers::{fetched, fetched_modules, output, peer};

fn read(input: &[u8]) -> Initramfs {
    Initramfs::read(&source(input.to_vec()), &Limits::default()).unwrap()
}

/// An entry as `cpio -itvn` lists it, without its time.
#[derive(Debug, PartialEq, Eq)]
struct Line {
    mode: String,
    owner: (u32, u32),
    /// The size; of a device its numbers.
    size: String,
    /// The name; of a link with ` -> ` and its target.
    name: String,
}

/// Lists an archive with cpio.
fn listing(cpio: &Path, archive: &[u8]) -> Vec<Line> {
    let text = pipe(cpio, Path::new("/"), &["-itvn", "--quiet"], archive);
    let text = String::from_utf8(text).unwrap();
    let line = |text: &str| {
        // The name may hold blanks.
        let mut rest = text;
        let mut next = || {
            let (word, behind) = rest.trim_start().split_once(' ').unwrap();
            rest = behind;
            word.to_owned()
        };
        let (mode, _links) = (next(), next());
        let owner = (next().parse().unwrap(), next().parse().unwrap());
        let mut size = next();
        if size.ends_with(',') {
            size += &next();
        }
        let _date = (next(), next(), next());
        let name = rest.to_owned();
        Line {
            mode,
            owner,
            size,
            name,
        }
    };
    text.lines().map(line).collect()
}

/// Writes an entry as cpio lists it.
fn shown(located: &Located) -> Line {
    let entry = &located.entry;
    let meta = &entry.meta;
    let mut mode = String::new();
    mode.push(match meta.kind {
        FileType::File => '-',
        FileType::Directory => 'd',
        FileType::Symlink => 'l',
        FileType::CharDevice => 'c',
        FileType::BlockDevice => 'b',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
        FileType::Unknown => '?',
    });
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = meta.mode >> shift;
        mode.push(if bits & 4 != 0 { 'r' } else { '-' });
        mode.push(if bits & 2 != 0 { 'w' } else { '-' });
        mode.push(match (meta.mode & special != 0, bits & 1 != 0) {
            (false, false) => '-',
            (false, true) => 'x',
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
        });
    }
    let raw = entry.raw_name.as_deref().unwrap_or(entry.path.as_bytes());
    let name = String::from_utf8(raw.to_vec()).unwrap();
    Line {
        mode,
        owner: (meta.uid, meta.gid),
        size: match meta.device {
            Some((major, minor)) => format!("{major},{minor}"),
            // Of several names of one file the data are at one; cpio shows where.
            None if meta.kind == FileType::File => entry.data.len().to_string(),
            None => meta.size.to_string(),
        },
        name: match &meta.target {
            Some(target) => format!("{name} -> {target}"),
            None => name,
        },
    }
}

/// Unpacks an archive with cpio, devices left out; gives what lies there.
fn unpacked(cpio: &Path, archive: &[u8], lines: &[Line], to: &Path) -> BTreeMap<String, PathBuf> {
    fs::create_dir_all(to).unwrap();
    let mut arguments = vec![
        "-idm",
        "--quiet",
        "--no-absolute-filenames",
        "--no-preserve-owner",
    ];
    let devices = lines
        .iter()
        .filter(|line| line.mode.starts_with(['b', 'c']));
    let devices: Vec<&str> = devices.map(|line| line.name.as_str()).collect();
    if !devices.is_empty() {
        arguments.push("-f");
        arguments.extend(&devices);
    }
    pipe(cpio, to, &arguments, archive);
    files(to)
}

/// Finds everything below a folder, by path in tdg's form.
fn files(folder: &Path) -> BTreeMap<String, PathBuf> {
    let walk = walkdir::WalkDir::new(folder).min_depth(1).into_iter();
    let paths = walk.map(|entry| entry.unwrap().into_path());
    let named = paths.map(|path| {
        let below = path.strip_prefix(folder).unwrap();
        (normalise(below.as_os_str().as_encoded_bytes()).path, path)
    });
    named.collect()
}

/// Holds an initramfs against cpio, segment by segment; gives the number of
/// entries.
fn held(input: &[u8], cpio: &Path) -> usize {
    let initramfs = read(input);
    let folder = tempfile::tempdir().unwrap();
    let mut end = 0;
    for segment in initramfs.segments() {
        let begin = usize::try_from(segment.offset).unwrap();
        assert!(
            input[end..begin].iter().all(|byte| *byte == 0),
            "nothing is left out"
        );
        end = begin + usize::try_from(segment.size).unwrap();
        let stored = &input[begin..end];
        let archive = match segment.compression.name() {
            "none" => stored.to_vec(),
            name => pipe(&peer(name).unwrap(), Path::new("/"), &["-dc"], stored),
        };
        assert_eq!(archive.len() as u64, segment.decoded_size);
        let ours: Vec<&Located> = initramfs
            .entries()
            .iter()
            .filter(|located| located.segment == segment.index)
            .collect();
        let theirs = listing(cpio, &archive);
        assert_eq!(ours.len(), theirs.len());
        for (located, line) in ours.iter().zip(&theirs) {
            assert_eq!(shown(located), *line);
        }

        let to = folder.path().join(segment.index.to_string());
        let found = unpacked(cpio, &archive, &theirs, &to);
        let lasting: BTreeMap<&str, &&Located> = ours
            .iter()
            .map(|located| (located.entry.path.as_str(), located))
            .filter(|(path, located)| !path.is_empty() && located.entry.meta.device.is_none())
            .collect();
        assert_eq!(
            lasting.keys().copied().collect::<Vec<_>>(),
            found.keys().map(String::as_str).collect::<Vec<_>>()
        );
        for (path, located) in lasting {
            let meta = &located.entry.meta;
            let metadata = found[path].symlink_metadata().unwrap();
            if meta.kind == FileType::Symlink {
                continue;
            }
            assert_eq!(meta.mode, metadata.mode(), "{path}");
            // The time of a directory changes as cpio fills it.
            if meta.kind == FileType::File {
                assert_eq!(meta.mtime, metadata.mtime(), "{path}");
                assert_eq!(meta.size, metadata.len(), "{path}");
                let content = Sha256Digest::of(&initramfs.content(located));
                assert_eq!(
                    content,
                    Sha256Digest::of(&fs::read(&found[path]).unwrap()),
                    "{path}"
                );
            }
        }
    }
    assert!(
        input[end..].iter().all(|byte| *byte == 0),
        "nothing is left out"
    );
    initramfs.entries().len()
}

#[test]
fn the_installers_of_debian() {
    let Some(cpio) = peer("cpio") else { return };
    for arch in ["arm64", "amd64"] {
        let path = format!(
            "/usr/lib/debian-installer/images/12/{arch}/text/debian-installer/{arch}/initrd.gz"
        );
        let Some(path) = peer(&path) else { return };
        assert!(held(&fs::read(path).unwrap(), &cpio) > 1000);
    }
}

/// A kernel's modules, indexed, and its configuration, where the makers of
/// initramfs files look for them.
struct Kitchen {
    folder: tempfile::TempDir,
    release: String,
}

impl Kitchen {
    fn new() -> Option<Self> {
        let (peers, (from, release)) = (fetched()?, fetched_modules()?);
        let (depmod, cp) = (peer("depmod")?, peer("cp")?);
        let folder = tempfile::tempdir().unwrap();
        let modules = folder.path().join("lib/modules");
        fs::create_dir_all(&modules).unwrap();
        fs::create_dir(folder.path().join("boot")).unwrap();
        let (from, to) = (from.to_str().unwrap(), modules.to_str().unwrap());
        output(&cp, Path::new("/"), &["-a", from, to]);
        let config = format!("config-{release}");
        let from = peers.join("kernel/boot").join(&config);
        fs::copy(from, folder.path().join("boot").join(config)).unwrap();
        output(
            &depmod,
            Path::new("/"),
            &["-b", folder.path().to_str().unwrap(), &release],
        );
        Some(Self { folder, release })
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Has `mkinitramfs` make an image, its own script with two paths changed:
    /// it looks for modules and configuration in fixed places.
    fn mkinitramfs(&self, compression: &str) -> Option<Vec<u8>> {
        let (tool, env, cp) = (peer("mkinitramfs")?, peer("env")?, peer("cp")?);
        let script = fs::read_to_string(tool).unwrap();
        let modules = format!("MODULESDIR=\"{}/lib/modules/", self.folder.path().display());
        let changed = script
            .replace(
                "\"/boot/config-",
                &format!("\"{}/boot/config-", self.folder.path().display()),
            )
            .replace("MODULESDIR=\"/lib/modules/", &modules);
        assert!(
            changed
                .matches(self.folder.path().to_str().unwrap())
                .count()
                == 2
        );
        let (script, conf, out) = (
            self.path("mkinitramfs"),
            self.path("conf"),
            self.path("out"),
        );
        fs::write(&script, changed).unwrap();
        if !Path::new(&conf).exists() {
            output(&cp, Path::new("/"), &["-a", "/etc/initramfs-tools", &conf]);
            let file = format!("{conf}/initramfs.conf");
            let text = fs::read_to_string(&file).unwrap();
            let text = text.replace("MODULES=most", "MODULES=list") + "\nCOMPRESSLEVEL=1\n";
            fs::write(file, text).unwrap();
            fs::write(format!("{conf}/modules"), "virtio_net\nxfs\n").unwrap();
        }
        let options = format!("MODPROBE_OPTIONS=-d {}", self.folder.path().display());
        let arguments = [
            options.as_str(),
            "sh",
            &script,
            "-d",
            &conf,
            "-c",
            compression,
            "-o",
            &out,
            &self.release,
        ];
        output(&env, self.folder.path(), &arguments);
        Some(fs::read(out).unwrap())
    }
}

#[test]
fn what_mkinitramfs_makes_with_several_compressors() {
    let (Some(cpio), Some(kitchen), Some(skipcpio), Some(unmkinitramfs)) = (
        peer("cpio"),
        Kitchen::new(),
        peer("/usr/lib/dracut/skipcpio"),
        peer("unmkinitramfs"),
    ) else {
        return;
    };
    let mut made = Vec::new();
    for compression in ["gzip", "zstd", "xz", "lz4"] {
        let Some(image) = kitchen.mkinitramfs(compression) else {
            return;
        };
        let segments = read(&image).segments().len();
        assert_eq!(segments, 1);
        assert_eq!(read(&image).segments()[0].compression.name(), compression);
        assert!(held(&image, &cpio) > 100);
        made.push(image);
    }
    // As a distribution's hook for microcode does: an archive before the rest.
    let early = kitchen.folder.path().join("early");
    fs::create_dir_all(early.join("kernel/x86/microcode")).unwrap();
    fs::write(
        early.join("kernel/x86/microcode/AuthenticAMD.bin"),
        [7; 5000],
    )
    .unwrap();
    let names =
        b"kernel\nkernel/x86\nkernel/x86/microcode\nkernel/x86/microcode/AuthenticAMD.bin\n";
    let early = pipe(&cpio, &early, &["-o", "-H", "newc", "--quiet"], names);
    for main in &made {
        let image = [&early[..], main].concat();
        held(&image, &cpio);
        let initramfs = read(&image);
        let second = usize::try_from(initramfs.segments()[1].offset).unwrap();
        fs::write(kitchen.path("image"), &image).unwrap();
        let rest = pipe(&skipcpio, kitchen.folder.path(), &["image"], b"");
        assert!(
            rest == image[second..],
            "skipcpio sees the second segment elsewhere"
        );

        let to = kitchen.folder.path().join("unpacked");
        let _ = fs::remove_dir_all(&to);
        output(
            &unmkinitramfs,
            kitchen.folder.path(),
            &["image", "unpacked"],
        );
        for (index, part) in ["early", "main"].into_iter().enumerate() {
            let found = files(&to.join(part));
            let own = |located: &&Located| located.segment == index;
            let ours = initramfs.entries().iter().filter(own);
            let ours: BTreeMap<&str, &Located> = ours
                .map(|located| (located.entry.path.as_str(), located))
                .filter(|(path, _)| !path.is_empty())
                .collect();
            assert!(ours.keys().eq(found.keys()), "{part}");
            for (path, located) in ours {
                if located.entry.meta.kind == FileType::File {
                    let theirs = fs::read(&found[path]).unwrap();
                    assert!(theirs == initramfs.content(located)[..], "{part}: {path}");
                }
            }
        }
    }
}

#[test]
fn what_dracut_makes_with_microcode_before_it() {
    let (Some(cpio), Some(kitchen), Some(dracut), Some(skipcpio)) = (
        peer("cpio"),
        Kitchen::new(),
        peer("dracut"),
        peer("/usr/lib/dracut/skipcpio"),
    ) else {
        return;
    };
    let firmware = kitchen.folder.path().join("firmware");
    for (name, size) in [
        ("amd-ucode/microcode_amd.bin", 5001),
        ("intel-ucode/06-01-01", 3000),
    ] {
        let path = firmware.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, vec![3; size]).unwrap();
    }
    let modules = kitchen.path(&format!("lib/modules/{}", kitchen.release));
    let (scratch, out) = (kitchen.path("."), kitchen.path("dracut.img"));
    let arguments = [
        "--force",
        "--quiet",
        "--no-hostonly",
        "--nostrip",
        "--zstd",
        "--early-microcode",
        "--fwdir",
        firmware.to_str().unwrap(),
        "--kmoddir",
        &modules,
        "--kver",
        &kitchen.release,
        "--modules",
        "base",
        "--drivers",
        "virtio_net",
        "--tmpdir",
        &scratch,
        &out,
    ];
    output(&dracut, kitchen.folder.path(), &arguments);
    let image = fs::read(&out).unwrap();
    assert!(held(&image, &cpio) > 200);
    let initramfs = read(&image);
    let kinds: Vec<&str> = initramfs
        .segments()
        .iter()
        .map(|s| s.compression.name())
        .collect();
    assert_eq!(kinds, ["none", "zstd"]);
    let names: Vec<&str> = initramfs
        .entries()
        .iter()
        .map(|l| l.entry.path.as_str())
        .collect();
    assert!(
        names.contains(&"kernel/x86/microcode/AuthenticAMD.bin"),
        "{names:?}"
    );
    assert!(names.iter().any(|name| name.ends_with("/virtio_net.ko")));
    let second = usize::try_from(initramfs.segments()[1].offset).unwrap();
    let rest = pipe(&skipcpio, kitchen.folder.path(), &["dracut.img"], b"");
    assert!(
        rest == image[second..],
        "skipcpio sees the second segment elsewhere"
    );
}
