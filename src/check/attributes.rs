//! What the extended attributes of a file say, as a spec names it.

use crate::format::Xattrs;
use crate::format::capabilities::{self, Capabilities};
use crate::format::node::escape;
use std::collections::BTreeMap;

/// Where Linux keeps the label of a file.
const LABEL: &str = "security.selinux";

/// The extended attributes of one file.
pub(super) struct Attributes {
    /// The SELinux label.
    pub label: Option<String>,
    /// The file capabilities.
    pub capabilities: Vec<String>,
    /// All of them, as text.
    pub xattrs: BTreeMap<String, String>,
}

impl Attributes {
    pub(super) fn of(xattrs: &Xattrs) -> Self {
        let value = |name: &str| xattrs.iter().find(|(held, _)| held == name);
        Self {
            label: value(LABEL).map(|(_, value)| text(value)),
            capabilities: value(capabilities::ATTRIBUTE)
                .map(|(_, value)| names(value))
                .unwrap_or_default(),
            xattrs: xattrs
                .iter()
                .map(|(name, value)| (name.clone(), text(value)))
                .collect(),
        }
    }
}

/// Writes a value as text. Most are kept with the NUL that ends them in C.
fn text(value: &[u8]) -> String {
    escape(value.strip_suffix(&[0]).unwrap_or(value))
}

/// Names capabilities; a value that the kernel would not take shows as that, so that it is never
/// taken for none.
fn names(value: &[u8]) -> Vec<String> {
    let Ok(read) = Capabilities::read(value) else {
        return vec!["invalid".to_owned()];
    };
    let mut names = read.names();
    names.extend(read.root.map(|root| format!("rootid={root}")));
    names
}
