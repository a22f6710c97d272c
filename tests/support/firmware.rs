//! A machine for ARM64 with UEFI firmware, on a network card of a test's own.

use super::peers::peer;
use std::path::Path;

/// What the firmware boots by.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Pxe,
    Http,
}

/// Gives what starts such a machine, as a line for a shell: it is on the card `tap0`, and its
/// console goes to a file. It ends after two minutes, if nothing ends it before.
///
/// Its clock counts instructions, each for 2^`pace` ns, and goes on at once where it only waits: the
/// minute that firmware is silent is over in seconds. `None` where a program is missing, which has
/// been said.
pub(crate) fn arm64(by: By, pace: u32, folder: &Path) -> Option<String> {
    let qemu = peer("qemu-system-aarch64")?;
    let firmware = Path::new("/usr/share/AAVMF");
    let code = firmware.join("AAVMF_CODE.fd");
    if !code.is_file() {
        let strict = std::env::var_os("TDG_STRICT").is_some_and(|value| value == "1");
        assert!(
            !strict,
            "the firmware is missing and TDG_STRICT is 1: qemu-efi-aarch64"
        );
        return None;
    }
    std::fs::copy(firmware.join("AAVMF_VARS.fd"), folder.join("vars.fd")).unwrap();
    let only = match by {
        By::Pxe => "",
        By::Http => {
            "-fw_cfg name=opt/org.tianocore/IPv4PXESupport,string=n \
             -fw_cfg name=opt/org.tianocore/IPv6PXESupport,string=n"
        }
    };
    let folder = folder.display();
    Some(format!(
        "exec timeout --kill-after=5 120 {} -machine virt -cpu cortex-a72 -m 512 -no-reboot \
         -icount shift={pace},sleep=off -display none -monitor none -serial file:{folder}/console \
         -drive if=pflash,format=raw,readonly=on,file={} -drive if=pflash,format=raw,file={folder}/vars.fd \
         -netdev tap,id=net,ifname=tap0,script=no,downscript=no \
         -device virtio-net-pci,netdev=net,romfile=,mac=52:54:00:12:34:56 {only}",
        qemu.display(),
        code.display()
    ))
}

/// Takes out what moves the cursor, so that words lie beside each other as a person sees them.
pub(crate) fn plain(console: &[u8]) -> String {
    let text = String::from_utf8_lossy(console);
    let (mut shown, mut rest) = (String::new(), text.chars());
    while let Some(next) = rest.next() {
        match next {
            '\x1b' => {
                // `ESC [ parameters letter`.
                rest.by_ref().find(|c| c.is_ascii_alphabetic());
            }
            '\n' => shown.push('\n'),
            next if next.is_control() => {}
            next => shown.push(next),
        }
    }
    shown
}
