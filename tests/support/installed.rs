//! An initramfs with extensions laid out like those of Talos: real ARM64 programs and kernel
//! modules, made by `mksquashfs`, `depmod`, `cpio` and `zstd`. As it is made first, it has no fault.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::peers::{fetched, output, peer};
use crate::talos::{Pack, Tools, segment, squashfs, squashfs_with};
use crate::world::World;

/// The release of the kernel that the root file system has modules of.
pub(crate) const KERNEL: &str = "6.18.38-talos";
/// The root of tailscale's service.
pub(crate) const TAILSCALE: &str = "usr/local/lib/containers/tailscale";

/// Trees and images without a fault, which each test changes a copy of.
pub(crate) struct Sound {
    world: World,
    pub(crate) tools: Tools,
    pub(crate) peers: PathBuf,
    depmod: PathBuf,
}

/// An extension as `extensions.yaml` lists it.
#[derive(Clone)]
pub(crate) struct Extension {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) talos: String,
    /// More arguments of `mksquashfs`.
    pub(crate) more: Vec<String>,
}

/// An image in the making.
pub(crate) struct Installed<'s> {
    sound: &'s Sound,
    pub(crate) world: World,
    pub(crate) extensions: Vec<Extension>,
    /// Whether `depmod` runs over all modules, as Talos's imager lets it.
    pub(crate) depmod: bool,
    /// What follows the last segment.
    pub(crate) behind: Vec<u8>,
}

/// Writes a file, and the folders it is in.
pub(crate) fn write(root: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// Sets the permissions of a file.
pub(crate) fn mode(root: &Path, name: &str, mode: u32) {
    fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
}

/// Makes a link, and the folders it is in.
pub(crate) fn link(root: &Path, name: &str, target: &str) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    symlink(target, path).unwrap();
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let (from, to) = (from.to_str().unwrap(), to.to_str().unwrap());
    let cp = peer("cp").unwrap();
    output(&cp, Path::new("/"), &["-a", "-T", from, to]);
}

impl Sound {
    /// Makes it once for all tests that run at a time; `None` where a tool or a program is missing,
    /// which has been said.
    pub(crate) fn get() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Sound>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sound) = shared.upgrade() {
            return Some(sound);
        }
        let sound = Arc::new(Self::make()?);
        *shared = Arc::downgrade(&sound);
        Some(sound)
    }

    fn make() -> Option<Self> {
        let sound = Self {
            world: World::new(),
            tools: Tools::find()?,
            peers: fetched()?,
            depmod: peer("depmod")?,
        };
        sound.root();
        for extension in sound.extensions() {
            let tree = sound.tree(&extension.name);
            fs::create_dir_all(tree.join("usr/local/share/spdx")).unwrap();
            let about = format!("usr/local/share/spdx/{}.spdx.json", extension.name);
            write(&tree, &about, "{}");
        }
        sound.fill();
        squashfs(&sound.tools, &sound.tree("root"), &sound.image("root"));
        for extension in sound.extensions() {
            let (tree, image) = (sound.tree(&extension.name), sound.image(&extension.name));
            squashfs(&sound.tools, &tree, &image);
        }
        Some(sound)
    }

    fn tree(&self, name: &str) -> PathBuf {
        self.world.path().join("trees").join(name)
    }

    fn image(&self, name: &str) -> PathBuf {
        let images = self.world.path().join("images");
        fs::create_dir_all(&images).unwrap();
        images.join(name)
    }

    fn extensions(&self) -> Vec<Extension> {
        let extension = |(name, version): (&str, &str)| Extension {
            name: name.to_owned(),
            version: version.to_owned(),
            talos: ">= v1.0.0".to_owned(),
            more: Vec::new(),
        };
        let all = [
            ("spin", "v0.25.1"),
            ("tailscale", "1.98.5"),
            ("drbd", "9.3.2-v1.13.6"),
            ("zfs", "2.4.3-v1.13.6"),
            ("i915", "20260622-v1.13.6"),
        ];
        all.into_iter().map(extension).collect()
    }

    /// Copies a program of the peers.
    pub(crate) fn program(&self, name: &str, root: &Path, to: &str) {
        copy(&self.peers.join("arm64").join(name), &root.join(to));
    }

    /// Copies a module of the peers' kernel.
    pub(crate) fn module(&self, name: &str, root: &Path, to: &str) {
        let kernel = fs::read_dir(self.peers.join("kernel/lib/modules")).unwrap();
        let kernel = kernel.map(|e| e.unwrap().path()).next().unwrap();
        copy(&kernel.join("kernel/net").join(name), &root.join(to));
    }

    /// Puts the C library and its loader where a program under `root` looks for them.
    pub(crate) fn library(&self, root: &Path) {
        let lib = "lib/aarch64-linux-gnu";
        self.program(
            &format!("{lib}/ld-linux-aarch64.so.1"),
            root,
            "usr/lib/ld-linux-aarch64.so.1",
        );
        self.program(&format!("{lib}/libc.so.6"), root, "usr/lib/libc.so.6");
        link(root, "lib", "usr/lib");
    }

    fn root(&self) {
        let root = self.tree("root");
        for name in ["init", "containerd", "containerd-shim-runc-v2"] {
            self.program("bin/busybox", &root, &format!("usr/bin/{name}"));
        }
        for name in ["mkfs.xfs", "lvm", "udevadm"] {
            self.program("bin/true", &root, &format!("usr/bin/{name}"));
        }
        self.library(&root);
        link(&root, "bin", "usr/bin");
        write(&root, "etc/os-release", "ID=talos\nVERSION_ID=v1.13.6\n");
        write(
            &root,
            "etc/cri/containerd.toml",
            "version = 3\nimports = [\"/etc/cri/conf.d/cri.toml\"]\n",
        );
        write(
            &root,
            "etc/cri/conf.d/00-base.part",
            "version = 3\n[plugins.\"io.containerd.cri.v1.runtime\"]\n  enable_cdi = true\n",
        );
        let modules = format!("usr/lib/modules/{KERNEL}");
        self.module(
            "vmw_vsock/vsock_diag.ko",
            &root,
            &format!("{modules}/kernel/net/vsock_diag.ko"),
        );
        write(
            &root,
            &format!("{modules}/modules.dep"),
            "kernel/net/vsock_diag.ko:\n",
        );
    }

    fn fill(&self) {
        let spin = self.tree("spin");
        self.program(
            "bin/busybox",
            &spin,
            "usr/local/bin/containerd-shim-spin-v2",
        );
        write(
            &spin,
            "etc/cri/conf.d/10-spin.part",
            "[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.spin]\n  runtime_type = \"io.containerd.spin.v2\"\n",
        );

        let tailscale = self.tree("tailscale");
        for name in ["containerboot", "tailscaled"] {
            self.program(
                "bin/busybox",
                &tailscale,
                &format!("{TAILSCALE}/usr/local/bin/{name}"),
            );
        }
        // Its own iptables, with its own loader: nothing of the machine is seen in there.
        let own = tailscale.join(TAILSCALE);
        self.program("bin/true", &own, "usr/sbin/xtables-nft-multi");
        link(&own, "usr/sbin/iptables", "xtables-nft-multi");
        link(&own, "etc/mtab", "/proc/mounts");
        self.library(&own);
        write(
            &tailscale,
            "usr/local/etc/containers/tailscale.yaml",
            "name: tailscale\ndepends:\n  - service: cri\n  - network: [addresses, connectivity, etcfiles]\n  - configuration: true\ncontainer:\n  entrypoint: /usr/local/bin/containerboot\n  environment: [PATH=/sbin:/usr/local/bin]\n  security: {writeableSysfs: true}\nrestart: always\n",
        );

        let extras = format!("usr/lib/modules/{KERNEL}/extras");
        let drbd = self.tree("drbd");
        self.module("netfilter/xt_hl.ko", &drbd, &format!("{extras}/drbd.ko"));

        let zfs = self.tree("zfs");
        self.module("netfilter/xt_mac.ko", &zfs, &format!("{extras}/spl.ko"));
        self.module("netfilter/xt_limit.ko", &zfs, &format!("{extras}/zfs.ko"));
        for name in ["zfs", "zpool"] {
            self.program("bin/true", &zfs, &format!("usr/local/sbin/{name}"));
        }
        // Its service is loaded by the machine's loader, and runs a program of the machine.
        self.program(
            "bin/true",
            &zfs,
            "usr/local/lib/containers/zfs-service/zfs-service",
        );
        write(
            &zfs,
            "usr/local/etc/containers/zfs-service.yaml",
            "name: zfs-service\ndepends:\n  - service: udevd\n  - path: /dev/zfs\ncontainer:\n  entrypoint: ./zfs-service\n  mounts:\n    - {source: /lib, destination: /lib, type: bind, options: [bind, ro]}\n    - {source: /usr/lib, destination: /usr/lib, type: bind, options: [bind, ro]}\nrestart: untilSuccess\n",
        );

        let i915 = self.tree("i915");
        self.module("netfilter/xt_l2tp.ko", &i915, &format!("{extras}/i915.ko"));
    }

    /// Begins an image that is without a fault as yet.
    pub(crate) fn installed(&self) -> Installed<'_> {
        Installed {
            sound: self,
            world: World::new(),
            extensions: self.extensions(),
            depmod: true,
            behind: Vec::new(),
        }
    }
}

impl Installed<'_> {
    /// Gives a program, module or library to put into a tree.
    pub(crate) fn from(&self) -> &Sound {
        self.sound
    }

    /// Gives the tree of an extension, or of `root`, to change.
    pub(crate) fn tree(&self, name: &str) -> PathBuf {
        let tree = self.world.path().join("trees").join(name);
        if !tree.exists() {
            let sound = self.sound.tree(name);
            match sound.exists() {
                true => copy(&sound, &tree),
                false => fs::create_dir_all(&tree).unwrap(),
            }
        }
        tree
    }

    /// Lists one more extension, and gives its tree, which is empty.
    pub(crate) fn add(&mut self, name: &str) -> PathBuf {
        self.extensions.push(Extension {
            name: name.to_owned(),
            version: "v1.0.0".to_owned(),
            talos: String::new(),
            more: Vec::new(),
        });
        self.tree(name)
    }

    /// Gives what the list says of an extension, to change.
    pub(crate) fn listed(&mut self, name: &str) -> &mut Extension {
        self.extensions.iter_mut().find(|e| e.name == name).unwrap()
    }

    fn squashfs(&self, extension: &Extension, to: &Path) {
        let tree = self.world.path().join("trees").join(&extension.name);
        let more: Vec<&str> = extension.more.iter().map(String::as_str).collect();
        match tree.exists() || !more.is_empty() {
            true => squashfs_with(&self.sound.tools, &self.tree(&extension.name), to, &more),
            false => copy(&self.sound.image(&extension.name), to),
        }
    }

    /// Packs everything; gives the path of the initramfs.
    pub(crate) fn pack(&self) -> PathBuf {
        let work = self.world.path().join("work");
        let _ = fs::remove_dir_all(&work);
        let (base, layers) = (work.join("base"), work.join("layers"));
        for stage in [&base, &layers] {
            fs::create_dir_all(stage).unwrap();
        }
        write(&base, "init", "#!/bin/sh\n");
        let root = Extension {
            name: "root".to_owned(),
            version: String::new(),
            talos: String::new(),
            more: Vec::new(),
        };
        self.squashfs(&root, &base.join("rootfs.sqsh"));
        let mut files = Vec::new();
        let mut list = String::from("layers:\n");
        for (number, extension) in self.extensions.iter().enumerate() {
            let file = format!("{number}.sqsh");
            self.squashfs(extension, &layers.join(&file));
            list += &layer(&file, extension);
            files.push(file);
        }
        if self.depmod {
            self.dependencies(&work, &layers.join("modules.dep.sqsh"));
            let mut extension = root;
            extension.name = "modules.dep".to_owned();
            extension.version = KERNEL.to_owned();
            list += &layer("modules.dep.sqsh", &extension);
            files.push("modules.dep.sqsh".to_owned());
        }
        write(&layers, "extensions.yaml", list);
        files.push("extensions.yaml".to_owned());
        let files: Vec<&str> = files.iter().map(String::as_str).collect();
        let tools = &self.sound.tools;
        let mut bytes = segment(tools, &base, &["init", "rootfs.sqsh"], Pack::Zstd);
        bytes.extend(segment(tools, &layers, &files, Pack::Zstd));
        bytes.extend(&self.behind);
        self.world.write("initramfs", bytes)
    }

    /// Runs `depmod` over the modules of the kernel and of all extensions, and packs what it
    /// writes.
    fn dependencies(&self, work: &Path, to: &Path) {
        let stage = work.join("depmod");
        let modules = format!("usr/lib/modules/{KERNEL}");
        let mut trees = vec!["root"];
        trees.extend(self.extensions.iter().map(|e| e.name.as_str()));
        for name in trees {
            let changed = self.world.path().join("trees").join(name);
            let tree = match changed.exists() {
                true => changed,
                false => self.sound.tree(name),
            };
            if tree.join(&modules).is_dir() {
                copy(&tree.join(&modules), &stage.join(&modules));
            }
        }
        link(&stage, "lib", "usr/lib");
        let base = stage.to_str().unwrap();
        output(&self.sound.depmod, work, &["-b", base, KERNEL]);
        let tree = work.join("modules.dep");
        for file in fs::read_dir(stage.join(&modules)).unwrap() {
            let file = file.unwrap();
            if file.file_type().unwrap().is_file() {
                let name = file.file_name().into_string().unwrap();
                write(
                    &tree,
                    &format!("{modules}/{name}"),
                    fs::read(file.path()).unwrap(),
                );
            }
        }
        squashfs(&self.sound.tools, &tree, to);
    }
}

fn layer(file: &str, extension: &Extension) -> String {
    let mut text = String::new();
    let Extension {
        name,
        version,
        talos,
        ..
    } = extension;
    write!(
        text,
        "  - image: {file}\n    metadata:\n      name: {name}\n      version: \"{version}\"\n      author: someone\n      compatibility:\n        talos:\n          version: \"{talos}\"\n"
    )
    .unwrap();
    text
}
