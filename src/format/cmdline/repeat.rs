//! Which arguments count where one is given several times.

/// Which of several arguments of one name count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// The last one; the ones before it are overridden.
    Last,
    /// The first one, of what Talos reads: `Parameter.First` of its procfs.
    First,
    /// All of them.
    Every,
}

/// Parameters of which every one given counts. Sources: `kernel-parameters.rst`
/// ("multiple", and those whose handler adds to what is there);
/// `systemd.debug-generator`, `systemd-modules-load`, `modprobe.d` and
/// `dracut.cmdline` manual pages; the loops over a parameter's values in Talos.
const EVERY: &[&str] = &[
    "acpi",
    "bond",
    "bridge",
    "cgroup_disable",
    "cgroup_enable",
    "console",
    "crashkernel",
    "dyndbg",
    "earlycon",
    "efi",
    "hugepages",
    "hugepagesz",
    "ifname",
    "ima_policy",
    "initcall_blacklist",
    "initrd",
    "ip",
    "memmap",
    "modprobe.blacklist",
    "module_load",
    "modules_load",
    "nameserver",
    "pci",
    "rd.break",
    "rd.driver.blacklist",
    "rd.driver.post",
    "rd.driver.pre",
    "rd.luks.allow_discards",
    "rd.luks.name",
    "rd.luks.options",
    "rd.luks.uuid",
    "rd.lvm.lv",
    "rd.lvm.vg",
    "rd.md.uuid",
    "rd.modules_load",
    "rd.route",
    "rd.znet",
    "reserve_mem",
    "systemd.mask",
    "systemd.set_credential",
    "systemd.set_credential_binary",
    "systemd.setenv",
    "systemd.wants",
    "talos.config.oauth.extra_variable",
    "talos.config.oauth.scope",
    "talos.environment",
    "talos.network.interface.ignore",
    "team",
    "trace_event",
    "video",
    "vlan",
];

/// Parameters that Talos reads although they do not bear its name.
const TALOS: &[&str] = &["em.events_url", "siderolink.api"];

impl Repeat {
    /// Tells what counts of a parameter. Of one that nobody knows here, the last
    /// one does: it is what the kernel and its modules do.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let known = |list: &[&str]| list.iter().any(|known| super::same(known, name));
        let module = |name: &str| name.ends_with(".dyndbg");
        if known(EVERY) || module(name) {
            Self::Every
        } else if name.starts_with("talos.") || known(TALOS) {
            Self::First
        } else {
            Self::Last
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_is_known_whatever_the_spelling() {
        assert_eq!(Repeat::of("console"), Repeat::Every);
        assert_eq!(Repeat::of("modules-load"), Repeat::Every);
        assert_eq!(Repeat::of("i915.dyndbg"), Repeat::Every);
        assert_eq!(Repeat::of("talos.platform"), Repeat::First);
        assert_eq!(Repeat::of("talos.environment"), Repeat::Every);
        assert_eq!(Repeat::of("root"), Repeat::Last);
        assert!(EVERY.is_sorted() && TALOS.is_sorted());
    }
}
