//! Whether what a check requires is here.

use crate::check::tool;
use crate::model::path::printable;
use crate::probe::exec::{Cancel, which};
use crate::spec::fields::{Capability, Requires, ToolRequirement};
use semver::{Version, VersionReq};
use std::path::Path;

/// Gives the first thing that is missing, in words that follow "requires".
pub(super) fn missing(requires: &Requires, root: &Path, cancel: &Cancel) -> Option<String> {
    let tool = requires.tools.iter().find_map(|t| missing_tool(t, cancel));
    let env = || {
        let unset = |name: &&String| std::env::var_os(name).is_none_or(|v| v.is_empty());
        let name = requires.env.iter().find(unset)?;
        Some(format!("the environment variable {name}, which is not set"))
    };
    let file = || {
        let gone = |file: &&String| !root.join(file).exists();
        let file = requires.files.iter().find(gone)?;
        Some(format!("the file {}, which is not there", printable(file)))
    };
    let capability = || requires.capabilities.iter().copied().find_map(incapable);
    let version = || {
        let range = requires.tdg.as_deref()?;
        let own = Version::parse(env!("CARGO_PKG_VERSION")).ok()?;
        let fits = VersionReq::parse(range).is_ok_and(|r| r.matches(&own));
        (!fits).then(|| format!("tdg {range}; this is {own}"))
    };
    tool.or_else(env)
        .or_else(file)
        .or_else(capability)
        .or_else(version)
}

fn missing_tool(text: &str, cancel: &Cancel) -> Option<String> {
    let Ok(tool) = ToolRequirement::parse(text) else {
        // The reader of the spec has reported it; never run on a requirement nobody understood.
        return Some(format!("`{text}`, which cannot be understood"));
    };
    if which(&tool.name).is_none() {
        return Some(format!("the program {}, which is not on PATH", tool.name));
    }
    let range = tool.version?;
    match tool::version(&tool.name, cancel) {
        Some(version) if range.matches(&version) => None,
        Some(version) => Some(format!("{} {range}; this is {version}", tool.name)),
        None => Some(format!(
            "{} {range}; it does not tell its version",
            tool.name
        )),
    }
}

fn incapable(capability: Capability) -> Option<String> {
    match capability {
        Capability::Root => (!nix::unistd::geteuid().is_root()).then(|| "root".to_owned()),
        Capability::Kvm => std::fs::File::open("/dev/kvm")
            .is_err()
            .then(|| "/dev/kvm, which cannot be opened".to_owned()),
        Capability::Linux => (!cfg!(target_os = "linux")).then(|| "Linux".to_owned()),
    }
}
