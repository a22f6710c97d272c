//! A system for a machine of ARM64: Debian's kernel, with an init of the tests' own.

use std::fs;
use std::path::PathBuf;

use crate::images::cpio;
use crate::peers::{fetched, peer};
use crate::uki::{Maker, section};
use crate::world::World;

/// What the machine does, by a word of its command line: the kernel gives `act=…` to it as a variable.
/// It says `init: on aarch64` first.
const INIT: &str = r#"#!/bin/busybox sh
echo "init: on $(/bin/busybox uname -m)"
echo "init: second line"
case "$act" in
  off) /bin/busybox poweroff -f ;;
  restart) /bin/busybox reboot -f ;;
  prompt) printf '\033[1mmachine\033[0m login: ' ;;
  shell) echo 'You are in emergency mode. After logging in, type "journalctl -xb" to view' ;;
  exit) exit 1 ;;
  chatter) while :; do echo "init: still here"; /bin/busybox usleep 20000; done ;;
esac
/bin/busybox sleep 1000
"#;

/// Makes the initramfs `initrd` in the world's folder.
pub(crate) fn initramfs(world: &World) -> Option<PathBuf> {
    let (peers, tool) = (fetched()?, peer("cpio")?);
    world.write("root/init", INIT);
    world.mode("root/init", 0o755);
    let root = world.path().join("root");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::copy(peers.join("arm64/bin/busybox"), root.join("bin/busybox")).unwrap();
    let archive = cpio(&tool, &root, "newc", &["init", "bin", "bin/busybox"]);
    Some(world.write("initrd", archive))
}

/// Makes a UKI in the world's folder: a program that UEFI firmware of ARM64 starts, wherever it comes
/// from, with kernel, initramfs and command line in it. Its init does `act` (see there).
///
/// With [`with_web`](crate::netboot::beside::with_web) and a check of the kind `boot` that names
/// `interface: tap0`, a machine boots it from a test's own servers.
pub(crate) fn uki(world: &World, name: &str, act: &str) -> Option<PathBuf> {
    peer("qemu-system-aarch64")?;
    let firmware = fs::exists("/usr/share/AAVMF/AAVMF_CODE.fd").unwrap();
    let strict = std::env::var_os("TDG_STRICT").is_some_and(|value| value == "1");
    assert!(firmware || !strict, "qemu-efi-aarch64 is missing");
    let (maker, initrd) = (Maker::find().filter(|_| firmware)?, initramfs(world)?);
    let initrd = fs::read(initrd).unwrap();
    let kernel = fs::read(fetched()?.join("vmlinuz")).unwrap();
    let cmdline = format!("console=ttyAMA0 act={act}\0");
    let path = world.path().join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let sections = [
        section(".cmdline", &cmdline),
        section(".linux", &kernel),
        section(".initrd", &initrd),
    ];
    maker.make(world, name, &sections);
    Some(path)
}
