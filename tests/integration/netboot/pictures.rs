//! What reports draw of a walk past real servers.

use crate::page::Page;

use super::beside::{SECRET, with_web};
use super::walk::{WEB, bastion};

/// One server gives addresses, another says by PXE what to boot, and the web server has the rest.
#[test]
fn a_walk_is_in_the_reports_whether_it_passes_or_not() {
    let world = bastion();
    let addresses = "dhcp-range=10.77.0.50,10.77.0.99,10m\ndhcp-userclass=set:ipxe,iPXE\n\
                     dhcp-boot=tag:ipxe,http://10.77.0.1/boot.ipxe\n";
    let proxy = format!(
        "dhcp-range=10.77.0.0,proxy\nenable-tftp\ntftp-root={}/tftp\n\
         pxe-service=ARM64_EFI,ARM64,ipxe-arm64.efi\n",
        world.path().display()
    );
    let spec = "
spec: drawn
secrets: [SECRET]
checks:
  - name: pass it boots
    netboot: { arch: arm64, mac: '52:54:00:12:34:56', interface: here, serial: '${{ secrets.SECRET }}' }
    expect: { outcome: boot, steps: { any: { role: proxy-dhcp }, contain: 'http://10.77.0.1/kernel-arm64' } }
  - name: fail it boots what was built
    netboot: { arch: arm64, interface: here, kernel: other-kernel }
    expect: { fault: null }
  - name: error nobody knows
    netboot: { arch: arm64, interface: here, kernel: nowhere }
    expect: { fault: null }
  - name: skip it
    if: false
    netboot: { arch: arm64, interface: here }
    expect: { fault: null }
";
    let confs = [addresses, proxy.as_str()];
    let Some(report) = with_web(&world, confs, WEB, "10.77.0.9", spec) else {
        return;
    };
    report.as_named();
    let picture = &report.trial("pass it boots")["picture"];
    let walk = &picture["walk"];
    assert_eq!(walk["machine"], "arm64, PXE, 52:54:00:12:34:56");
    let steps = walk["steps"].as_array().unwrap();
    let roles: Vec<&str> = steps.iter().filter_map(|s| s["role"].as_str()).collect();
    let count = |role: &str| roles.iter().filter(|r| **r == role).count();
    assert!(count("dhcp") >= 2 && count("proxy-dhcp") >= 1, "{roles:?}");
    assert_eq!((count("boot-server"), count("http")), (1, 4), "{roles:?}");
    let kernel = steps
        .iter()
        .find(|s| s["what"] == "http://10.77.0.1/kernel-arm64");
    assert_eq!(kernel.unwrap()["size"], 4096);
    assert_eq!(
        (&walk["left_out"], &walk["end"]["how"]),
        (&0.into(), &"arrived".into())
    );
    let text = picture["text"].as_str().unwrap();
    assert!(
        text.contains("boot-server") || text.contains("port 4011"),
        "{text}"
    );
    assert!(
        text.contains("kernel-arm64 starts: initrd=initramfs"),
        "{text}"
    );

    let end = &report.trial("fail it boots what was built")["picture"]["walk"]["end"];
    assert_eq!(
        (&end["how"], &end["name"]),
        (&"stopped".into(), &"other-file".into())
    );
    assert_eq!(end["stage"], "kernel");
    let page = std::fs::read_to_string(world.path().join("reports/tdg.html")).unwrap();
    if let Some(page) = Page::read(&page) {
        assert_eq!(page.all("svg").count(), 2 * 2, "two walks, wide and narrow");
        let said = |text: &str| page.all("text").any(|e| e["text"] == text);
        assert!(said("other-file (kernel)") && said("ProxyDHCP") && said("boot"));
    }
    // What a script makes of it is hidden in what is drawn, too.
    for report in ["tdg.html", "tdg.json", "junit.xml"] {
        let told = std::fs::read_to_string(world.path().join("reports").join(report)).unwrap();
        assert!(!told.contains(SECRET), "{report}");
        assert!(
            told.contains("serial=•••") || report == "junit.xml",
            "{report}"
        );
    }
    for unseen in ["error nobody knows", "skip it"] {
        assert!(report.trial(unseen).get("picture").is_none());
    }
}
