//! What a package was made from, and how it was judged.

use crate::generate::journal::Judged;
use crate::generate::law::Law;
use crate::model::value::Value;
use crate::probe::record::PatchRecord;
use jiff::Timestamp;
use url::Url;

/// Everything that is said of a package. Nothing in it depends on the machine or the hour.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The recipe's name.
    pub(super) recipe: String,
    /// The variant, and its row.
    pub(super) variant: String,
    pub(super) row: Vec<(String, Value)>,
    /// Where the upstream is to be had; nothing where that is a place of this machine.
    pub(super) source: Option<String>,
    /// The name that the recipe gives the commit.
    pub(super) reference: String,
    /// The commit, 40 hexadecimal digits.
    pub(super) commit: String,
    /// When the commit was made, or what `SOURCE_DATE_EPOCH` says.
    pub(super) created: Timestamp,
    /// The patches, in order.
    pub(super) patches: Vec<PatchRecord>,
    /// The recipe and the specs, by path.
    pub(super) law: Law,
    /// How each trial ended.
    pub(super) judged: Vec<Judged>,
}

impl Facts {
    /// Gives the time as the annotations have it, RFC 3339 in whole seconds.
    pub(super) fn created(&self) -> String {
        self.created.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }
}

/// Gives the address of an upstream as everybody may see it: no name, no password, no query; `None`
/// of a path, which means something on one machine only.
pub(super) fn public(git: &str) -> Option<String> {
    // A host with a dot could be a scheme as well.
    let parsed = Url::parse(git).ok().filter(|_| git.contains("://"));
    match parsed {
        Some(mut url) if matches!(url.scheme(), "http" | "https" | "ssh" | "git") => {
            // Each is possible where there is a host, and these have one.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.set_query(None);
            url.set_fragment(None);
            Some(url.to_string())
        }
        // `user@host:path`, as ssh has it: it has room for no password.
        None => {
            let (host, path) = git.split_once(':')?;
            let host = host.rsplit('@').next().unwrap_or(host);
            let is_one = !host.is_empty() && !host.contains('/') && !path.is_empty();
            is_one.then(|| format!("ssh://{host}/{}", path.trim_start_matches('/')))
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_shown_without_what_is_secret_in_it() {
        for (git, want) in [
            (
                "https://me:secret@host.example/a/b.git?token=secret#x",
                Some("https://host.example/a/b.git"),
            ),
            ("https://host.example/a/b", Some("https://host.example/a/b")),
            (
                "git@host.example:a/b.git",
                Some("ssh://host.example/a/b.git"),
            ),
            ("host.example:a/b.git", Some("ssh://host.example/a/b.git")),
            ("ssh://git@host.example/a/b", Some("ssh://host.example/a/b")),
            ("./upstream", None),
            ("/srv/upstream", None),
            ("file:///srv/upstream", None),
        ] {
            assert_eq!(public(git).as_deref(), want, "{git}");
        }
    }
}
