//! The capabilities of a file, as the attribute `security.capability` holds
//! them.
//!
//! Source: `include/uapi/linux/capability.h` (`struct vfs_cap_data`,
//! `struct vfs_ns_cap_data`) and `get_vfs_caps_from_disk` in
//! `security/commoncap.c` of Linux; the text is that of `cap_to_text(3)`, one
//! capability at a time.

use super::FormatError;
use super::field::le32;

/// The attribute that holds them.
pub const ATTRIBUTE: &str = "security.capability";
const NAME: &str = "capabilities";
const REVISION: u32 = 0xff00_0000;
const EFFECTIVE: u32 = 1;

/// Their names, by number. Source: `CAP_*` in `capability.h`.
const NAMES: [&str; 41] = [
    "cap_chown",
    "cap_dac_override",
    "cap_dac_read_search",
    "cap_fowner",
    "cap_fsetid",
    "cap_kill",
    "cap_setgid",
    "cap_setuid",
    "cap_setpcap",
    "cap_linux_immutable",
    "cap_net_bind_service",
    "cap_net_broadcast",
    "cap_net_admin",
    "cap_net_raw",
    "cap_ipc_lock",
    "cap_ipc_owner",
    "cap_sys_module",
    "cap_sys_rawio",
    "cap_sys_chroot",
    "cap_sys_ptrace",
    "cap_sys_pacct",
    "cap_sys_admin",
    "cap_sys_boot",
    "cap_sys_nice",
    "cap_sys_resource",
    "cap_sys_time",
    "cap_sys_tty_config",
    "cap_mknod",
    "cap_lease",
    "cap_audit_write",
    "cap_audit_control",
    "cap_setfcap",
    "cap_mac_override",
    "cap_mac_admin",
    "cap_syslog",
    "cap_wake_alarm",
    "cap_block_suspend",
    "cap_audit_read",
    "cap_perfmon",
    "cap_bpf",
    "cap_checkpoint_restore",
];

/// What a program may do when it is started from the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether the program has them without asking for them.
    pub effective: bool,
    /// What it may have, a bit each.
    pub permitted: u64,
    /// What it may keep of its caller's, a bit each.
    pub inheritable: u64,
    /// The user that is root in the namespace they are for (version 3).
    pub root: Option<u32>,
}

impl Capabilities {
    /// Reads an attribute's value: version 1, 2 or 3.
    ///
    /// Errors with [`FormatError::Truncated`] and [`FormatError::Corrupt`]
    /// where the kernel would refuse to start the program with `EINVAL`.
    pub fn read(bytes: &[u8]) -> Result<Self, FormatError> {
        let cut = || FormatError::truncated(NAME, bytes.len() as u64, "a word is missing");
        let word = |at: usize| le32(bytes, at).ok_or_else(cut);
        let magic = word(0)?;
        let (words, size) = match magic & REVISION {
            0x0100_0000 => (1, 12),
            0x0200_0000 => (2, 20),
            0x0300_0000 => (2, 24),
            other => {
                let what = format!("version {} is not 1, 2 or 3", other >> 24);
                return Err(FormatError::corrupt(NAME, 0, what));
            }
        };
        if bytes.len() < size {
            return Err(cut());
        }
        if bytes.len() > size {
            let what = format!("{} bytes; this version has {size}", bytes.len());
            return Err(FormatError::corrupt(NAME, size as u64, what));
        }
        let mut sets = [0u64; 2];
        for index in 0..words {
            for (set, at) in sets.iter_mut().zip([4, 8]) {
                *set |= u64::from(word(at + 8 * index)?) << (32 * index);
            }
        }
        let [permitted, inheritable] = sets;
        Ok(Self {
            effective: magic & EFFECTIVE != 0,
            permitted,
            inheritable,
            root: if size == 24 { Some(word(20)?) } else { None },
        })
    }

    /// Gives each capability with its flags, as `getcap` writes one:
    /// `cap_net_admin+ep`. One that Linux has no name for yet is `cap_41`.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let held = self.permitted | self.inheritable;
        let bits = (0..64u32).filter(|bit| held >> bit & 1 == 1);
        bits.map(|bit| {
            let name = NAMES
                .get(bit as usize)
                .map_or_else(|| format!("cap_{bit}"), |name| (*name).to_owned());
            let flag = |set: u64, letter| if set >> bit & 1 == 1 { letter } else { "" };
            let effective = if self.effective { "e" } else { "" };
            let (inheritable, permitted) = (flag(self.inheritable, "i"), flag(self.permitted, "p"));
            format!("{name}+{effective}{inheritable}{permitted}")
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn the_three_versions_are_read() {
        let one = Capabilities::read(&words(&[0x0100_0000, 1 << 13, 0])).unwrap();
        assert_eq!(one.names(), ["cap_net_raw+p"]);
        let two = words(&[0x0200_0001, 1 << 12 | 1 << 13, 1 << 13, 1 << 7, 0]);
        let two = Capabilities::read(&two).unwrap();
        assert_eq!(
            two.names(),
            ["cap_net_admin+ep", "cap_net_raw+eip", "cap_bpf+ep"]
        );
        let three = words(&[0x0300_0001, 0, 1, 1 << 9, 0, 1000]);
        let three = Capabilities::read(&three).unwrap();
        assert_eq!(three.root, Some(1000));
        assert_eq!(three.names(), ["cap_chown+ei", "cap_41+ep"]);
    }

    #[test]
    fn what_the_kernel_refuses_is_an_error() {
        let good = words(&[0x0200_0001, 1, 0, 0, 0]);
        for cut in 0..good.len() {
            assert!(Capabilities::read(&good[..cut]).is_err(), "{cut}");
        }
        assert!(Capabilities::read(&[good.as_slice(), &[0]].concat()).is_err());
        assert!(Capabilities::read(&words(&[0x0400_0000, 1, 0, 0, 0])).is_err());
        assert!(Capabilities::read(&words(&[0, 1, 0, 0, 0])).is_err());
    }
}
