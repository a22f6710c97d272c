//! What Talos puts on the command line, and what it does not boot without, by
//! version.
//!
//! Sources: `pkg/machinery/kernel/kernel.go` (`DefaultArgs`),
//! `pkg/machinery/imager/quirks`, `pkg/kernel/kspp/kspp.go`
//! (`RequiredKSPPKernelParameters`) and `platform.go` of Talos, read at the last
//! tag of each release from 1.0 to 1.13 and on the branch of 1.14.

use super::{Argument, Cmdline};

/// The releases that the table knows.
const OLDEST: Version = Version(1, 0);
const NEWEST: Version = Version(1, 14);

/// A release of Talos: major and minor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(u32, u32);

/// One argument of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// Its value, empty of a flag; `None` where any will do but none at all.
    pub value: Option<&'static str>,
    /// Whether Talos stops to boot where it is not there.
    pub required: bool,
    since: Version,
    /// The first release without it.
    until: Option<Version>,
}

const fn rule(name: &'static str, value: &'static str) -> Rule {
    Rule {
        name,
        value: Some(value),
        required: false,
        since: OLDEST,
        until: None,
    }
}

const fn from(since: Version, rule: Rule) -> Rule {
    Rule { since, ..rule }
}

const fn before(until: Version, rule: Rule) -> Rule {
    Rule {
        until: Some(until),
        ..rule
    }
}

const fn required(rule: Rule) -> Rule {
    Rule {
        required: true,
        ..rule
    }
}

const TABLE: &[Rule] = &[
    Rule {
        value: None,
        ..required(rule("talos.platform", ""))
    },
    before(Version(1, 14), rule("init_on_alloc", "1")),
    required(rule("slab_nomerge", "")),
    required(rule("pti", "on")),
    rule("consoleblank", "0"),
    before(Version(1, 14), rule("nvme_core.io_timeout", "4294967295")),
    before(Version(1, 2), rule("random.trust_cpu", "on")),
    rule("printk.devkmsg", "on"),
    before(Version(1, 11), rule("ima_template", "ima-ng")),
    before(Version(1, 11), rule("ima_appraise", "fix")),
    before(Version(1, 11), rule("ima_hash", "sha512")),
    from(Version(1, 10), rule("selinux", "1")),
    from(Version(1, 12), rule("module.sig_enforce", "1")),
    from(Version(1, 13), rule("proc_mem.force_override", "never")),
];

impl Version {
    /// Reads `1.13`, `v1.13` or `v1.13.6`.
    ///
    /// Errors, in words for a spec's author, where it is none of these or a
    /// release that the table does not know.
    pub fn parse(text: &str) -> Result<Self, String> {
        let version = numbers(text.strip_prefix('v').unwrap_or(text));
        let version = version
            .ok_or_else(|| format!("`{text}` is no version of Talos; write `1.13` or `v1.13.6`"))?;
        if version < OLDEST || version > NEWEST {
            return Err(format!(
                "the arguments of Talos {text} are not known, only those of {}.{} to {}.{}",
                OLDEST.0, OLDEST.1, NEWEST.0, NEWEST.1
            ));
        }
        Ok(version)
    }

    /// Gives the arguments of this release, those that it does not boot without
    /// among them.
    pub fn rules(self) -> impl Iterator<Item = &'static Rule> {
        let applies =
            move |rule: &&Rule| rule.since <= self && rule.until.is_none_or(|until| self < until);
        TABLE.iter().filter(applies)
    }
}

impl Rule {
    /// Gives the arguments of the line that this rule is about.
    ///
    /// Talos itself reads what is required, and takes names as they are written;
    /// the kernel reads the rest.
    fn seen<'l>(&self, line: &'l Cmdline) -> Vec<&'l Argument> {
        let all = line.all(self.name);
        all.filter(|a| !self.required || a.name == self.name)
            .collect()
    }

    /// Tells whether the line does not have the argument at all.
    #[must_use]
    pub fn misses(&self, line: &Cmdline) -> bool {
        let seen = self.seen(line);
        match self.value {
            Some(_) => seen.is_empty(),
            None => !seen
                .iter()
                .any(|a| a.value.as_deref().is_some_and(|v| !v.is_empty())),
        }
    }

    /// Gives the values that the line has where one of them is another than the
    /// rule's; nothing where all are right.
    #[must_use]
    pub fn contradicted<'l>(&self, line: &'l Cmdline) -> Vec<&'l str> {
        let seen = self.seen(line);
        let wrong = |a: &&Argument| {
            self.value
                .is_some_and(|v| v != a.value.as_deref().unwrap_or(""))
        };
        match seen.iter().any(wrong) {
            true => seen.iter().map(|a| a.shown()).collect(),
            false => Vec::new(),
        }
    }
}

/// Reads major and minor of a version; what follows has to be a number at least.
fn numbers(text: &str) -> Option<Version> {
    let mut parts = text.splitn(3, '.');
    let mut number = || {
        let part = parts
            .next()
            .filter(|part| part.bytes().all(|b| b.is_ascii_digit()))?;
        part.parse().ok()
    };
    let version = Version(number()?, number()?);
    let patch = parts
        .next()
        .is_none_or(|patch| patch.starts_with(|c: char| c.is_ascii_digit()));
    patch.then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(version: &str) -> Vec<&'static str> {
        Version::parse(version)
            .unwrap()
            .rules()
            .map(|r| r.name)
            .collect()
    }

    #[test]
    fn each_release_has_its_arguments() {
        assert!(names("1.0").contains(&"random.trust_cpu"));
        assert!(!names("v1.2.9").contains(&"random.trust_cpu"));
        assert!(names("1.10").contains(&"ima_hash") && names("1.10").contains(&"selinux"));
        assert!(!names("v1.11.3").contains(&"ima_hash"));
        assert!(!names("1.11").contains(&"module.sig_enforce"));
        assert!(names("1.12").contains(&"module.sig_enforce"));
        assert!(names("v1.13.6").contains(&"proc_mem.force_override"));
        assert!(!names("v1.14.0-alpha.1").contains(&"init_on_alloc"));
        for wrong in ["", "1", "1.x", "0.14", "1.15", "2.0", "1.13.", "metal"] {
            assert!(Version::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_missing_and_what_contradicts_is_told_apart() {
        let judge = |text: &str| {
            let line = Cmdline::parse(text.as_bytes()).unwrap();
            let rules = || Version(1, 13).rules();
            let missing: Vec<_> = rules()
                .filter(|r| r.misses(&line))
                .map(|r| r.name)
                .collect();
            let wrong: Vec<_> = rules()
                .filter(|r| !r.contradicted(&line).is_empty())
                .map(|r| r.name)
                .collect();
            (missing, wrong)
        };
        let whole = "talos.platform=metal init_on_alloc=1 slab_nomerge pti=on consoleblank=0 \
             nvme_core.io_timeout=4294967295 printk.devkmsg=on selinux=1 module.sig_enforce=1 \
             proc_mem.force_override=never";
        assert_eq!(judge(whole), (vec![], vec![]));
        assert_eq!(
            judge(&whole.replace("nomerge", "nomerge=")),
            (vec![], vec![])
        );
        assert_eq!(
            judge(&whole.replace("nomerge", "nomerge=1")).1,
            ["slab_nomerge"]
        );
        // Only the kernel takes a dash for the same.
        assert_eq!(
            judge(&whole.replace("slab_no", "slab-no")).0,
            ["slab_nomerge"]
        );
        assert_eq!(
            judge(&whole.replace("init_on", "init-on")),
            (vec![], vec![])
        );
        assert_eq!(judge(&format!("{whole} pti=off")).1, ["pti"]);
        assert_eq!(judge(&format!("pti=off {whole}")).1, ["pti"]);
        assert_eq!(judge(&whole.replace("=metal", "")).0, ["talos.platform"]);
        let behind = whole.replace("selinux", "-- selinux");
        assert_eq!(
            judge(&behind).0,
            ["selinux", "module.sig_enforce", "proc_mem.force_override"]
        );
    }
}
