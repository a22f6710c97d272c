//! The system extensions that the stand-in's registry has.
//!
//! Each has exactly the files that the real one has, as far as a check can
//! tell: paths, owners, which are static, which have a root of their own.

use sha2::{Digest, Sha256};

use super::arch::Arch;
use super::elf;
use super::error::ImagerError;
use super::kernel::RELEASE;
use super::rootfs::{self, says};
use super::tree::{Tree, filler};

/// An extension: its manifest's metadata and how its files are made.
pub struct Extension {
    /// The name in the manifest and the last part of the image's repository.
    pub name: &'static str,
    /// The version in the manifest, which is also the image's tag.
    pub version: &'static str,
    /// The author in the manifest.
    pub author: &'static str,
    /// The description in the manifest.
    pub description: &'static str,
    /// The Talos versions it is for.
    pub talos: &'static str,
    files: fn(Arch, &mut Tree),
}

/// Every extension there is, by name.
pub const CATALOGUE: &[Extension] = &[
    Extension {
        name: "amd-ucode",
        version: "20260622",
        author: "tdg demo",
        description: "AMD microcode, for machines of any architecture that ask for it.",
        talos: ">= v1.0.0",
        files: amd_ucode,
    },
    Extension {
        name: "drbd",
        version: "9.3.2-v1.13.6",
        author: "tdg demo",
        description: "Replicated block devices: a kernel module.",
        talos: ">= v1.0.0",
        files: drbd,
    },
    Extension {
        name: "i915",
        version: "20260622-v1.13.6",
        author: "tdg demo",
        description: "Intel graphics: a kernel module and firmware; empty on arm64.",
        talos: ">= v1.0.0",
        files: i915,
    },
    Extension {
        name: "qlogic-firmware",
        version: "20260622",
        author: "tdg demo",
        description: "Firmware of QLogic adapters.",
        talos: ">= v1.0.0",
        files: qlogic_firmware,
    },
    Extension {
        name: "spin",
        version: "v0.25.1",
        author: "tdg demo",
        description: "A containerd shim that runs WebAssembly components.",
        talos: ">= v1.0.0",
        files: spin,
    },
    Extension {
        name: "tailscale",
        version: "1.98.5",
        author: "tdg demo",
        description: "A node of a tailnet; needs an ExtensionServiceConfig.",
        talos: ">= v1.5.0",
        files: tailscale,
    },
    Extension {
        name: "zfs",
        version: "2.4.3-v1.13.6",
        author: "tdg demo",
        description: "The ZFS file system: kernel modules, tools and a service.",
        talos: ">= v1.0.0",
        files: zfs,
    },
];

impl Extension {
    /// Makes the extension's files, without leading slashes.
    pub fn tree(&self, arch: Arch) -> Tree {
        let mut tree = Tree::new();
        (self.files)(arch, &mut tree);
        tree
    }

    /// Gives the digest that the stand-in's registry has for the image:
    /// `sha256:` of `name:version`, since there are no layers to hash.
    pub fn digest(&self) -> String {
        let hash = Sha256::digest(format!("{}:{}", self.name, self.version));
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("sha256:{hex}")
    }
}

/// Finds what an image reference names: `host/…/name:version[@sha256:…]`.
///
/// # Errors
/// Says which part is unknown: the name, the version or the digest.
pub fn resolve(reference: &str) -> Result<&'static Extension, ImagerError> {
    let failed = |reason: String| ImagerError::Extension {
        reference: reference.to_owned(),
        reason,
    };
    let (image, digest) = match reference.split_once('@') {
        Some((image, digest)) => (image, Some(digest)),
        None => (reference, None),
    };
    let last = image.rsplit('/').next().unwrap_or(image);
    let (name, version) = last.split_once(':').unwrap_or((last, ""));
    let known = || {
        let names: Vec<&str> = CATALOGUE.iter().map(|extension| extension.name).collect();
        names.join(", ")
    };
    let extension = CATALOGUE
        .iter()
        .find(|extension| extension.name == name)
        .ok_or_else(|| failed(format!("no such extension; the stand-in has {}", known())))?;
    if extension.version != version {
        return Err(failed(format!(
            "no such version; the stand-in has {name}:{}",
            extension.version
        )));
    }
    match digest {
        Some(digest) if digest != extension.digest() => Err(failed(format!(
            "manifest unknown; {name}:{version} is {}",
            extension.digest()
        ))),
        Some(_) | None => Ok(extension),
    }
}

fn amd_ucode(_: Arch, tree: &mut Tree) {
    for family in ["15h", "17h", "19h"] {
        let name = format!("microcode_amd_fam{family}.bin");
        let bytes = filler(&name, 4096);
        tree.file(&format!("usr/lib/firmware/amd-ucode/{name}"), 0o644, bytes);
    }
}

fn i915(arch: Arch, tree: &mut Tree) {
    match arch {
        Arch::Arm64 => {}
        Arch::Amd64 => {
            module(tree, arch, "kernel/drivers/gpu/drm/i915/i915.ko", "");
            let bytes = filler("i915 firmware", 16 * 1024);
            tree.file("usr/lib/firmware/i915/tgl_guc_70.bin", 0o644, bytes);
        }
    }
}

fn qlogic_firmware(_: Arch, tree: &mut Tree) {
    for name in ["ql2400_fw.bin", "ql2500_fw.bin"] {
        tree.file(
            &format!("usr/lib/firmware/{name}"),
            0o644,
            filler(name, 8192),
        );
    }
}

fn drbd(arch: Arch, tree: &mut Tree) {
    module(tree, arch, "extras/drbd.ko", "lru_cache");
    module(tree, arch, "extras/drbd_transport_tcp.ko", "drbd");
}

fn zfs(arch: Arch, tree: &mut Tree) {
    module(tree, arch, "extras/spl.ko", "");
    module(tree, arch, "extras/zfs.ko", "spl");
    let interpreter = rootfs::interpreter(arch);
    for name in ["zfs", "zpool"] {
        let needed = ["libzfs.so.6", "libc.so"];
        let file = elf::dynamic_program(arch, &says(name), &interpreter, &needed, 24 * 1024);
        tree.file(&format!("usr/local/sbin/{name}"), 0o755, file);
    }
    let library = elf::shared_library(arch, "libzfs.so.6", &["libc.so"], 48 * 1024);
    tree.file("usr/local/lib/libzfs.so.6", 0o755, library);
    let service = elf::static_program(arch, &says("zfs-service"), 32 * 1024);
    tree.file(
        "usr/local/lib/containers/zfs-service/zfs-service",
        0o755,
        service,
    );
    tree.file(
        "usr/local/etc/containers/zfs-service.yaml",
        0o644,
        "name: zfs-service\ncontainer:\n  entrypoint: /zfs-service\ndepends:\n  - service: cri\n  - path: /dev/zfs\nrestart: untilSuccess\n",
    );
}

fn spin(arch: Arch, tree: &mut Tree) {
    let shim = elf::static_program(arch, &says("containerd-shim-spin-v2"), 320 * 1024);
    tree.file("usr/local/bin/containerd-shim-spin-v2", 0o755, shim)
        .file(
            "etc/cri/conf.d/10-spin.part",
            0o644,
            "[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.spin]\n  runtime_type = \"io.containerd.spin.v2\"\n",
        )
        .file("usr/local/share/spdx/spin.spdx.json", 0o644, spdx("spin", "v0.25.1"));
}

fn tailscale(arch: Arch, tree: &mut Tree) {
    let root = "usr/local/lib/containers/tailscale/";
    for (name, kib) in [
        ("containerboot", 48),
        ("tailscale", 96),
        ("tailscaled", 160),
    ] {
        let file = elf::static_program(arch, &says(name), kib * 1024);
        tree.file(&format!("{root}usr/local/bin/{name}"), 0o755, file);
    }
    // iptables, its libraries and the loader live in the container's own root
    let needed = ["libmnl.so.0", "libnftnl.so.11", "libc.so"];
    let interpreter = rootfs::interpreter(arch);
    let iptables = elf::dynamic_program(arch, &says("iptables"), &interpreter, &needed, 40 * 1024);
    tree.link(&format!("{root}bin"), "usr/bin")
        .link(&format!("{root}lib"), "usr/lib")
        .link(&format!("{root}sbin"), "usr/bin")
        .file(&format!("{root}usr/bin/xtables-nft-multi"), 0o755, iptables)
        .link(&format!("{root}usr/bin/iptables"), "xtables-nft-multi");
    for soname in ["libmnl.so.0", "libnftnl.so.11"] {
        let file = elf::shared_library(arch, soname, &["libc.so"], 12 * 1024);
        tree.file(&format!("{root}usr/lib/{soname}"), 0o755, file);
    }
    rootfs::c_library(tree, root, arch);
    tree.file(
        "usr/local/etc/containers/tailscale.yaml",
        0o644,
        "name: tailscale\ndepends:\n  - service: cri\n  - network:\n      - addresses\n      - connectivity\n      - etcfiles\n  - configuration: true\ncontainer:\n  entrypoint: /usr/local/bin/containerboot\n  environment:\n    - TS_STATE_DIR=/var/lib/tailscale\nrestart: always\n",
    )
    .file("usr/local/share/spdx/tailscale.spdx.json", 0o644, spdx("tailscale", "1.98.5"));
}

fn module(tree: &mut Tree, arch: Arch, path: &str, depends: &str) {
    let file = elf::kernel_module(arch, rootfs::module_name(path), RELEASE, depends, 24 * 1024);
    tree.file(&format!("{}/{path}", rootfs::modules_folder()), 0o644, file);
}

fn spdx(name: &str, version: &str) -> String {
    format!(
        "{{\"spdxVersion\":\"SPDX-2.3\",\"dataLicense\":\"CC0-1.0\",\"SPDXID\":\"SPDXRef-DOCUMENT\",\"name\":\"{name}\",\"documentNamespace\":\"https://demo.invalid/{name}\",\"creationInfo\":{{\"created\":\"1970-01-01T00:00:00Z\",\"creators\":[\"Tool: tdg-demo\"]}},\"packages\":[{{\"SPDXID\":\"SPDXRef-{name}\",\"name\":\"{name}\",\"versionInfo\":\"{version}\",\"downloadLocation\":\"NOASSERTION\"}}]}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upstreams_list_is_the_catalogue() {
        let list = include_str!(
            "../../fixtures/upstream/packages/core/talos/images/talos/digests/v1.13.6"
        );
        let mut names: Vec<&str> = Vec::new();
        for line in list.lines() {
            names.push(resolve(line).unwrap().name);
        }
        names.sort_unstable();
        let known: Vec<&str> = CATALOGUE.iter().map(|extension| extension.name).collect();
        assert_eq!(names, known);
    }

    #[test]
    fn a_wrong_reference_says_what_is_wrong() {
        for (reference, part) in [
            (
                "demo.invalid/siderolabs/spin:v9",
                "the stand-in has spin:v0.25.1",
            ),
            ("demo.invalid/siderolabs/sping:v0.25.1", "no such extension"),
            (
                "demo.invalid/siderolabs/spin:v0.25.1@sha256:00",
                "manifest unknown",
            ),
            ("", "no such extension"),
        ] {
            let error = resolve(reference).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn i915_is_empty_on_arm64() {
        let i915 = resolve("x/i915:20260622-v1.13.6").unwrap();
        assert!(i915.tree(Arch::Arm64).is_empty());
        assert!(!i915.tree(Arch::Amd64).is_empty());
    }
}
