//! The service of a Talos extension: one document in
//! `/usr/local/etc/containers`.
//!
//! Source: `pkg/machinery/extensions/services/services.go` of Talos
//! (`Spec.Validate` and what it calls), and
//! `internal/app/machined/pkg/controllers/runtime/extension_service.go`, which
//! leaves a service out, and says so in its log alone, where its document
//! cannot be read or does not hold.

use serde::Deserialize;

use super::{FormatError, Limits, yaml};

const NAME: &str = "service";
/// What may be waited for of the network. Source: `nethelpers.Status`.
const NETWORK: [&str; 4] = ["addresses", "connectivity", "hostname", "etcfiles"];
/// Source: `services.RestartKind`, whose words Talos takes in any case.
const RESTART: [&str; 3] = ["always", "never", "untilsuccess"];

/// What a document says of its service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Service {
    /// Its name; on the machine it is `ext-` and this.
    pub name: Option<String>,
    /// The program that runs.
    pub container: Option<Container>,
    /// What it waits for.
    pub depends: Option<Vec<Dependency>>,
    /// When it is started again.
    pub restart: Option<String>,
}

/// The program of a service, and what it sees.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Container {
    /// The path of the program in its own root.
    pub entrypoint: Option<String>,
    /// A file of the machine that has to be there before it starts.
    pub environment_file: Option<String>,
    /// What of the machine is shown in its root.
    pub mounts: Option<Vec<Mount>>,
}

/// A part of the machine that a container sees.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Mount {
    /// The path on the machine.
    pub source: Option<String>,
    /// The path in the container.
    pub destination: Option<String>,
    /// The kind of mount; `bind` shows what is at `source`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// One thing that a service waits for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Dependency {
    /// Another service.
    pub service: Option<String>,
    /// A path.
    pub path: Option<String>,
    /// Parts of the network.
    pub network: Option<Vec<String>>,
    /// The right time.
    pub time: Option<bool>,
    /// An `ExtensionServiceConfig` of its name.
    pub configuration: Option<bool>,
}

impl Service {
    /// Reads a document.
    ///
    /// Errors: [`FormatError::Corrupt`] and [`FormatError::Truncated`] where
    /// Talos could not read it either; [`FormatError::Limit`] above 1 MiB.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self, FormatError> {
        yaml::read(NAME, bytes, limits)
    }

    /// Says what Talos does not take of it; nothing where it does.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let name = self.name.as_deref().unwrap_or_default();
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
        if name.is_empty() || !name.chars().all(valid) {
            faults.push(format!(
                "the name `{name}` is none; it may have a-z, 0-9, - and _"
            ));
        }
        let restart = self.restart.as_deref().unwrap_or_default();
        if !RESTART.contains(&restart.to_lowercase().as_str()) {
            faults.push(format!(
                "`restart` is `{restart}`, not always, never or untilSuccess"
            ));
        }
        if self.entrypoint().is_empty() {
            faults.push("`container` has no `entrypoint`".to_owned());
        }
        for (index, dependency) in self.dependencies().iter().enumerate() {
            let said = dependency.faults().into_iter();
            faults.extend(said.map(|fault| format!("`depends[{index}]`: {fault}")));
        }
        faults
    }

    /// Gives the path of its program; empty where none is named.
    #[must_use]
    pub fn entrypoint(&self) -> &str {
        let container = self.container.as_ref();
        let entrypoint = container.and_then(|c| c.entrypoint.as_deref());
        entrypoint.unwrap_or_default()
    }

    /// Gives what it waits for.
    #[must_use]
    pub fn dependencies(&self) -> &[Dependency] {
        self.depends.as_deref().unwrap_or_default()
    }

    /// Gives each path of its root at which a part of the machine is shown,
    /// and that part's path on the machine.
    pub fn mounts(&self) -> impl Iterator<Item = (&str, &str)> {
        let container = self.container.as_ref();
        let mounts = container.and_then(|c| c.mounts.as_deref());
        mounts.unwrap_or_default().iter().filter_map(|mount| {
            let shown = mount.kind.as_deref().is_none_or(|kind| kind == "bind");
            let pair = mount.destination.as_deref().zip(mount.source.as_deref());
            pair.filter(|_| shown)
        })
    }
}

impl Dependency {
    fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let text = |text: &Option<String>| text.as_ref().is_some_and(|t| !t.is_empty());
        let network = self.network.as_deref().unwrap_or_default();
        if text(&self.path) && !self.path.as_ref().is_some_and(|p| p.starts_with('/')) {
            faults.push("its path is not absolute".to_owned());
        }
        for part in network
            .iter()
            .filter(|part| !NETWORK.contains(&part.as_str()))
        {
            faults.push(format!("the network has no `{part}`"));
        }
        let set = [
            text(&self.service),
            text(&self.path),
            !network.is_empty(),
            self.time == Some(true),
            self.configuration == Some(true),
        ];
        match set.iter().filter(|set| **set).count() {
            0 => faults.push("it waits for nothing".to_owned()),
            1 => {}
            _ => faults.push("it waits for more than one thing".to_owned()),
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Service, FormatError> {
        Service::read(text.as_bytes(), &Limits::default())
    }

    const TAILSCALE: &str = "name: tailscale\ndepends:\n  - service: cri\n  - network:\n    - addresses\n    - connectivity\n  - configuration: true\ncontainer:\n  entrypoint: /usr/local/bin/containerboot\n  environment:\n  - PATH=/sbin\n  security:\n    writeableSysfs: true\n  mounts:\n  - source: /lib\n    destination: /lib\n    type: bind\n    options: [bind, ro]\n  - destination: /tmp\n    source: tmpfs\n    type: tmpfs\nrestart: always\n";

    #[test]
    fn a_service_is_read_with_what_it_waits_for() {
        let service = read(TAILSCALE).unwrap();
        assert_eq!(service.faults(), Vec::<String>::new());
        assert_eq!(service.entrypoint(), "/usr/local/bin/containerboot");
        assert_eq!(service.dependencies().len(), 3);
        assert_eq!(service.dependencies()[2].configuration, Some(true));
        assert_eq!(service.mounts().collect::<Vec<_>>(), [("/lib", "/lib")]);
        assert_eq!(
            read(&TAILSCALE.replace("always", "untilSuccess"))
                .unwrap()
                .faults(),
            Vec::<String>::new()
        );
    }

    #[test]
    fn what_talos_leaves_out_is_said() {
        for (right, wrong, said) in [
            (
                "name: tailscale",
                "name: Tail scale",
                "the name `Tail scale`",
            ),
            ("name: tailscale", "label: tailscale", "the name ``"),
            ("restart: always", "restart: often", "`restart` is `often`"),
            ("restart: always", "", "`restart` is ``"),
            ("entrypoint", "command", "has no `entrypoint`"),
            ("addresses", "internet", "the network has no `internet`"),
            (
                "configuration: true",
                "configuration: false",
                "waits for nothing",
            ),
            (
                "service: cri",
                "service: cri\n    time: true",
                "more than one",
            ),
            ("service: cri", "path: dev/zfs", "not absolute"),
        ] {
            let faults = read(&TAILSCALE.replace(right, wrong)).unwrap().faults();
            assert_eq!(faults.len(), 1, "{wrong}: {faults:?}");
            assert!(faults[0].contains(said), "{faults:?}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_an_error() {
        for text in [
            "",
            "- a",
            "name: [x]",
            "name: a\nname: b",
            "depends: cri",
            "\u{1}",
        ] {
            assert!(read(text).is_err(), "{text:?}");
        }
        assert!(Service::read(b"name: \xff", &Limits::default()).is_err());
        assert!(Service::read(&vec![b' '; 2 << 20], &Limits::default()).is_err());
    }
}
