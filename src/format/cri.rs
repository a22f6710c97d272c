//! containerd's configuration, and the parts of it that extensions bring.
//!
//! Talos merges the parts in `/etc/cri/conf.d/*.part` into one file that
//! `/etc/cri/containerd.toml` imports; a part that is not TOML keeps the
//! container runtime from starting (`cri_config.go` and `internal/pkg/toml` of
//! Talos). Which plugin has the settings of the CRI depends on containerd:
//! 2.x, whose files have version 3, has `io.containerd.cri.v1.runtime` and
//! `io.containerd.cri.v1.images`; 1.x, with version 2, has
//! `io.containerd.grpc.v1.cri`. Settings of a plugin that is not there are
//! passed over in silence (`cmd/containerd/server/config/config.go` and
//! `docs/cri/config.md` of containerd).

use toml::{Table, Value};

use super::{FormatError, Limits, yaml};

const NAME: &str = "containerd configuration";
/// The plugin of containerd 1.x.
const FIRST: &str = "io.containerd.grpc.v1.cri";
/// What the plugin of that name still has in containerd 2.x: the server's own
/// settings. Source: `ServerConfig` in `internal/cri/config/config.go`.
const STILL_THERE: [&str; 6] = [
    "disable_tcp_service",
    "stream_server_address",
    "stream_server_port",
    "stream_idle_timeout",
    "enable_tls_streaming",
    "x509_key_pair_streaming",
];

/// A configuration, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Config {
    /// The version of the file; where it is left out, it says nothing.
    pub version: Option<u64>,
    /// The plugins that it has settings for.
    pub plugins: Vec<Plugin>,
    /// The runtimes of the CRI that it has settings for.
    pub runtimes: Vec<Runtime>,
}

/// A plugin that a file has settings for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plugin {
    /// Its name, such as `io.containerd.cri.v1.runtime`.
    pub name: String,
    /// The containerd, 1 or 2, that has the plugin with these settings; `None`
    /// where it is no plugin of the CRI, or both have it.
    pub containerd: Option<u64>,
}

/// A runtime that pods may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Runtime {
    /// Its name, which a `RuntimeClass` names as its handler.
    pub name: String,
    /// The plugin that it is written under.
    pub plugin: String,
    /// Its `runtime_type`, such as `io.containerd.spin.v2`.
    pub kind: Option<String>,
    /// Its `runtime_path`, which stands for the shim that the type names.
    pub path: Option<String>,
    /// Files that its options name: `BinaryName` and `ConfigPath`.
    pub files: Vec<String>,
}

impl Config {
    /// Reads a file.
    ///
    /// Errors: [`FormatError::Corrupt`] where it is not TOML or not text, with
    /// the byte; [`FormatError::Limit`] above 1 MiB.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self, FormatError> {
        limits.check_deadline(NAME, 0)?;
        let text = yaml::text(NAME, bytes)?;
        let table: Table = toml::from_str(text).map_err(|error| {
            let offset = error.span().map_or(0, |span| span.start as u64);
            FormatError::corrupt(NAME, offset, error.message().to_owned())
        })?;
        let version = table.get("version").and_then(Value::as_integer);
        let mut config = Self {
            version: version.and_then(|version| u64::try_from(version).ok()),
            ..Self::default()
        };
        let plugins = table.get("plugins").and_then(Value::as_table);
        for (name, settings) in plugins.into_iter().flatten() {
            config.plugins.push(Plugin {
                name: name.clone(),
                containerd: generation(name, settings),
            });
            let runtimes = settings.get("containerd").and_then(|c| c.get("runtimes"));
            let runtimes = runtimes.and_then(Value::as_table).into_iter().flatten();
            let runtimes = runtimes.map(|(runtime, value)| Runtime::read(runtime, name, value));
            config.runtimes.extend(runtimes);
        }
        Ok(config)
    }
}

impl Runtime {
    fn read(name: &str, plugin: &str, value: &Value) -> Self {
        let text = |value: &Value, key: &str| {
            let text = value.get(key).and_then(Value::as_str);
            text.filter(|text| !text.is_empty()).map(str::to_owned)
        };
        let options = value.get("options");
        let option = |key| options.and_then(|options| text(options, key));
        let files = [option("BinaryName"), option("ConfigPath")];
        Self {
            name: name.to_owned(),
            plugin: plugin.to_owned(),
            kind: text(value, "runtime_type"),
            path: text(value, "runtime_path"),
            files: files.into_iter().flatten().collect(),
        }
    }
}

/// Gives the program that containerd starts for a `runtime_type`:
/// `io.containerd.spin.v2` is `containerd-shim-spin-v2`. `None` for a type
/// that names none.
///
/// Source: `BinaryName` in `pkg/shim/util.go` of containerd; a type that
/// is an absolute path is the program itself.
#[must_use]
pub fn shim(kind: &str) -> Option<String> {
    if kind.starts_with('/') {
        return Some(kind.to_owned());
    }
    let mut parts = kind.rsplit('.');
    match (parts.next(), parts.next()) {
        (Some(version), Some(name)) if !version.is_empty() && !name.is_empty() => {
            Some(format!("containerd-shim-{name}-{version}"))
        }
        _ => None,
    }
}

/// Gives the containerd that has the settings of a plugin of the CRI.
fn generation(plugin: &str, settings: &Value) -> Option<u64> {
    if plugin.starts_with("io.containerd.cri.v1.") {
        return Some(2);
    }
    // The first runtime of containerd went with 1.x as well.
    if plugin == "io.containerd.runtime.v1.linux" {
        return Some(1);
    }
    let moved = |key: &String| !STILL_THERE.contains(&key.as_str());
    let moved = settings.as_table().is_some_and(|t| t.keys().any(moved));
    (plugin == FIRST && moved).then_some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Config, FormatError> {
        Config::read(text.as_bytes(), &Limits::default())
    }

    #[test]
    fn a_part_tells_its_plugin_and_its_runtimes() {
        let part = read("[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.runsc]\n  runtime_type = \"io.containerd.runsc.v1\"\n[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.runsc.options]\n  ConfigPath = \"/etc/cri/conf.d/runsc.toml\"\n").unwrap();
        assert_eq!(part.version, None);
        assert_eq!(part.plugins[0].containerd, Some(2));
        let runtime = &part.runtimes[0];
        assert_eq!(runtime.name, "runsc");
        assert_eq!(runtime.kind.as_deref(), Some("io.containerd.runsc.v1"));
        assert_eq!(runtime.files, ["/etc/cri/conf.d/runsc.toml"]);
    }

    #[test]
    fn the_plugin_tells_which_containerd_it_is_for() {
        let of = |text: &str| read(text).unwrap().plugins[0].containerd;
        assert_eq!(
            of(
                "[plugins.'io.containerd.grpc.v1.cri'.containerd.runtimes.spin]\nruntime_type='io.containerd.spin.v2'"
            ),
            Some(1)
        );
        assert_eq!(
            of("[plugins.'io.containerd.grpc.v1.cri'.registry]\n"),
            Some(1)
        );
        assert_eq!(
            of("[plugins.'io.containerd.grpc.v1.cri']\nstream_server_port='1'"),
            None
        );
        assert_eq!(
            of("[plugins.'io.containerd.cri.v1.images']\nsnapshotter='soci'"),
            Some(2)
        );
        assert_eq!(
            of("[plugins.'io.containerd.runtime.v1.linux']\nshim_debug=true"),
            Some(1)
        );
        assert_eq!(of("[plugins.'io.containerd.gc.v1.scheduler']\n"), None);
        assert!(read("[debug]\nlevel = 'debug'").unwrap().plugins.is_empty());
    }

    #[test]
    fn a_type_names_its_shim() {
        let named = |kind| shim(kind).unwrap_or_default();
        assert_eq!(named("io.containerd.spin.v2"), "containerd-shim-spin-v2");
        assert_eq!(named("io.containerd.runc.v2"), "containerd-shim-runc-v2");
        assert_eq!(named("/usr/local/bin/own-shim"), "/usr/local/bin/own-shim");
        for none in ["", "spin", ".v2", "io.containerd."] {
            assert_eq!(shim(none), None, "{none}");
        }
    }

    #[test]
    fn what_is_not_toml_is_an_error_with_its_byte() {
        let error = read("version = 3\n[plugins.\n").unwrap_err();
        assert!(error.offset() >= 12, "{error}");
        for text in ["[a]\n[a]\n", "a = 1\na = 2\n", "plugins", "x = [", "\u{0}"] {
            assert!(read(text).is_err(), "{text:?}");
        }
        let deep = format!("[{}]\n", ["a"; 100_000].join("."));
        assert!(read(&deep).is_err());
        assert!(Config::read(b"a = '\xff'", &Limits::default()).is_err());
        // Of another shape than expected is no error of TOML.
        for text in [
            "plugins = 1",
            "plugins.x = 2",
            "[plugins.x.containerd]\nruntimes = 3",
        ] {
            assert!(read(text).unwrap().runtimes.is_empty(), "{text}");
        }
    }
}
