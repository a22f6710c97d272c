//! Damaged boot loaders' files, command lines and unified kernel images: refused or read, and in no
//! case more than that.

use std::sync::Arc;

use tdg::format::cmdline::Cmdline;
use tdg::format::menu::Loader;
use tdg::format::pe::Pe;
use tdg::format::uki::Uki;
use tdg::format::{Bytes, Tree};

use super::mutations::run;
use crate::uki::{Maker, section};
use crate::world::World;

const LINES: &[&str] = &[
    "talos.platform=metal console=ttyAMA0 console=tty0 dyndbg=\"file drivers/base/* +p\" -- single \"a b\"",
    "a=\"b c\" \"d=e f\" =g =h=i \"\" j=\" --- -- k --",
];

const FILES: &[(Loader, &str)] = &[
    (
        Loader::Grub,
        "set x=\"a\\\"b\" # c\nif true; then\nsubmenu 'More' --id m {\nmenuentry \"Talos $v\" --class gnu {\n linux /k a=\"b c\" \\\n d=${e} 'f g'\n}\n}\nfi\n",
    ),
    (
        Loader::Ipxe,
        "#!ipxe\n:a\nitem --key k a Text\nkernel --name n http://h/k?x a=b \\\n c=${d} # e\nimgargs n f g || goto a\n",
    ),
    (Loader::Entry, "title T\nlinux /k\noptions a=b\noptions c\n"),
    (
        Loader::Syslinux,
        "APPEND x\nLABEL l\n MENU LABEL ^T\n KERNEL /k\n APPEND -\nLABEL m\n LINUX /k\nLOCALBOOT 0\n",
    ),
];

#[test]
fn damaged_menus_do_no_harm_and_hide_nothing_of_a_line() {
    for (loader, text) in FILES {
        let mut entries = 0;
        run(loader.name(), text.as_bytes(), 4000, |bytes| {
            let text = String::from_utf8_lossy(&bytes);
            let _ = Loader::detect("it", &text);
            let _ = loader.variables(&text);
            for entry in loader.entries("it.conf", &text).unwrap_or_default() {
                entries += 1;
                assert!(entry.line as usize <= text.lines().count(), "{text}");
                let _ = Cmdline::parse(entry.cmdline.as_bytes());
            }
        });
        assert!(entries > 400, "{}: {entries}", loader.name());
    }
}

#[test]
fn damaged_lines_are_taken_apart_so_that_the_parts_make_them_again() {
    for line in LINES {
        run("cmdline", line.as_bytes(), 8000, |bytes| {
            let Ok(seen) = Cmdline::parse(&bytes) else {
                return;
            };
            let texts: Vec<&str> = seen.arguments().iter().map(|a| a.text.as_str()).collect();
            // What is escaped, or made a space, for a report is no longer what it was.
            if bytes
                .iter()
                .any(|b| !(b' '..=b'~').contains(b) || *b == b'\\')
            {
                return;
            }
            let again = Cmdline::parse(texts.join(" ").as_bytes()).unwrap();
            assert_eq!(again.arguments(), seen.arguments(), "{}", seen.text());
            for (name, arguments) in seen.by_name() {
                assert!(
                    !arguments.is_empty() && seen.values().contains_key(&name),
                    "{name}"
                );
            }
        });
    }
}

#[test]
fn damaged_unified_kernel_images_do_no_harm() {
    let Some(maker) = Maker::find() else { return };
    let world = World::new();
    let file = maker.make(
        &world,
        "it.efi",
        &[
            section(".osrel", "ID=talos\nNAME=\"a \\\"b\"\n"),
            section(".cmdline", LINES[0]),
            section(".sbat", "sbat,1,a,b,c,d\n"),
            section(".linux", "kernel"),
            section(".profile", "ID=main"),
            section(".profile", "ID=reset"),
            section(".cmdline", LINES[1]),
        ],
    );
    let good = std::fs::read(file).unwrap();
    let mut read = 0;
    run("uki", &good, 3000, |bytes| {
        let size = bytes.len() as u64;
        let Ok(pe) = Pe::open(Arc::new(Bytes::new(bytes))) else {
            return;
        };
        for entry in pe.entries().unwrap() {
            assert!(entry.meta.size <= size);
        }
        for certificate in pe.certificates().unwrap_or_default() {
            assert!(certificate.start + certificate.size <= size);
        }
        let Ok(uki) = Uki::of(&pe) else { return };
        let _ = uki.duplicates();
        for profile in uki.profiles().iter().map(Some).chain([None]) {
            for label in [".cmdline", ".osrel", ".sbat"] {
                if let Ok(Some(text)) = uki.text(profile, label) {
                    let _ = Cmdline::parse(&text);
                    let _ = tdg::format::uki::variables(&text);
                    let _ = tdg::format::uki::components(&text);
                    read += 1;
                }
            }
        }
    });
    assert!(read > 5000, "hardly anything was read: {read}");
}
