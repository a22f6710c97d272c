//! A machine of AMD64: what its firmware tells, and QEMU where KVM is there and does not work.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::nothing_is_left;
use crate::images::cpio;
use crate::peers::peer;
use crate::world::{Report, World, ran};

#[test]
fn a_machine_of_amd64_tells_the_uuid_and_serial_number_it_was_given() {
    let installer =
        Path::new("/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64");
    let world = World::new();
    let (Some(tool), Some(_)) = (peer("cpio"), peer("qemu-system-x86_64")) else {
        return;
    };
    let Ok(mut initrd) = fs::read(installer.join("initrd.gz")) else {
        let strict = std::env::var_os("TDG_STRICT").is_some_and(|value| value == "1");
        assert!(!strict, "debian-installer-12-netboot-amd64 is missing");
        return;
    };
    fs::create_dir(world.path().join("tmp")).unwrap();
    symlink(installer.join("linux"), world.path().join("vmlinuz")).unwrap();
    world.write(
        "root/init",
        "#!/bin/sh\nmount -t sysfs none /sys\ncd /sys/class/dmi/id\n\
         echo uuid $(cat product_uuid) serial $(cat product_serial)\npoweroff -f\n",
    );
    world.mode("root/init", 0o755);
    // What comes later in an initramfs takes the place of what came before.
    initrd.extend(cpio(&tool, &world.path().join("root"), "newc", &["init"]));
    world.write("initrd", initrd);
    // A QEMU that cannot use the processor's own means, as some that are in a machine themselves.
    let real = peer("qemu-system-x86_64").unwrap();
    let script = format!(
        "#!/bin/sh\ncase \" $* \" in *' kvm '*) echo 'no such register' >&2; kill -ABRT $$ ;; esac\n\
         exec {} \"$@\"\n",
        real.display()
    );
    world.write("programs/qemu-system-x86_64", script);
    world.mode("programs/qemu-system-x86_64", 0o755);
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", world.path().join("programs").display());
    let kvm = fs::File::options()
        .read(true)
        .write(true)
        .open("/dev/kvm")
        .is_ok();
    let refused = match kvm && cfg!(target_arch = "x86_64") {
        true => "{ contain: no such register }",
        false => "null",
    };
    let text = "spec: boot
checks:
  - name: pass told
    boot:
      arch: amd64
      kernel: vmlinuz
      initrd: initrd
      uuid: 30000000-aaaa-4bbb-8ccc-000000000001
      serial: 'tdg,1'
      sees: ['uuid 30000000-aaaa-4bbb-8ccc-000000000001 serial tdg,1']
      then: wait
    timeout: 3m
    expect: { problem: null, end: 'off', accelerator: emulation, kvm-refused: REFUSED }
";
    world.write("specs/it.yaml", text.replace("REFUSED", refused));
    let mut command = world.command(&["run", "specs", "--format", "json"]);
    command
        .env("TMPDIR", world.path().join("tmp"))
        .env("PATH", path);
    Report::of(ran(&mut command)).as_named();
    nothing_is_left(&world);
}
