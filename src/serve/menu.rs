//! What GRUB does where no groups decide: it starts what iPXE would, by a configuration that is made.
//!
//! Source: GNU GRUB 2.06 manual, "Quoting", "grub_cpu", "Network".

use super::kernels::Kernels;
use std::fmt::Write;

/// The machines that GRUB is built for, by the name that it and iPXE give them.
const MACHINES: [&str; 4] = ["arm64", "x86_64", "i386", "riscv64"];

/// Tells whether a name is that of the configuration that GRUB reads where it finds no other.
pub fn is_one(name: &str) -> bool {
    name.rsplit('/').next() == Some("grub.cfg")
}

/// Writes the configuration: for each machine its kernel and initramfs, started at once.
///
/// # Errors
/// Says why there is none.
pub fn grub(kernels: &Kernels, cmdline: &str) -> Result<String, String> {
    let mut text = "set timeout=0\n".to_owned();
    let mut why = None;
    let mut some = false;
    for cpu in MACHINES {
        let found = kernels.names(Some(cpu)).and_then(|(kernel, initramfs)| {
            let initramfs = initramfs.map(word).transpose()?;
            Ok((word(kernel)?, initramfs))
        });
        let (kernel, initramfs) = match found {
            Ok(found) => found,
            Err(no) => {
                why.get_or_insert(no);
                continue;
            }
        };
        some = true;
        // Writing to a text cannot fail.
        let _ = write!(
            text,
            "if [ \"$grub_cpu\" = {cpu} ]; then\n  linux /assets/{kernel}"
        );
        for said in cmdline.split_whitespace() {
            let _ = write!(text, " {}", quoted(said));
        }
        text.push('\n');
        if let Some(initramfs) = initramfs {
            let _ = writeln!(text, "  initrd /assets/{initramfs}");
        }
        text.push_str("  boot\nfi\n");
    }
    match (some, why) {
        (true, _) | (false, None) => Ok(text),
        (false, Some(why)) => Err(why),
    }
}

/// Gives a name as GRUB takes it, for TFTP and HTTP alike.
fn word(name: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+~".contains(c);
    match name.chars().all(plain) {
        true => Ok(name.to_owned()),
        false => Err("the name of a file has letters that GRUB does not ask for".to_owned()),
    }
}

/// Puts a word between quotes where GRUB would see more than letters in it.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./+~=,:@%".contains(c);
    match word.chars().all(plain) {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::kernels::tests::{XZ, found, pe};

    fn menu(files: &[(&str, &[u8])], cmdline: &str) -> Result<String, String> {
        grub(&found(files), cmdline)
    }

    #[test]
    fn each_machine_starts_its_own() {
        let (arm, amd) = (pe(0xaa64), pe(0x8664));
        let files: [(&str, &[u8]); 2] = [("vmlinuz-arm64", &arm), ("initrd-arm64", XZ)];
        assert_eq!(
            menu(&files, "console=ttyAMA0  a=$b;c it's").unwrap(),
            "set timeout=0\nif [ \"$grub_cpu\" = arm64 ]; then\n  \
             linux /assets/vmlinuz-arm64 console=ttyAMA0 'a=$b;c' 'it'\\''s'\n  \
             initrd /assets/initrd-arm64\n  boot\nfi\n"
        );
        let why = menu(&[("vmlinuz; reboot", &arm)], "").unwrap_err();
        assert!(why.contains("letters"), "{why}");
        assert!(menu(&[], "").unwrap_err().contains("no kernel"));
        let text = menu(&[("vmlinuz-arm64", &arm), ("vmlinuz-amd64", &amd)], "").unwrap();
        assert_eq!(text.matches("  boot\n").count(), 3, "{text}");
        assert!(is_one("/grub/grub.cfg") && !is_one("grub.cfg-01-52-54"));
    }
}
