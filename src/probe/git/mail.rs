//! A mail as it would be read: encodings taken off, as `git am` does.

use super::{Git, GitError};
use crate::format::patch::Header;
use std::borrow::Cow;

/// The fields of a mail are looked for in its first bytes.
const FIELDS: usize = 16 << 10;

/// Tells whether the body of a mail is not written out plainly.
pub(super) fn encoded(patch: &[u8]) -> bool {
    fields(patch).lines().any(|line| {
        let line = line.to_ascii_lowercase();
        let encoding = line.strip_prefix("content-transfer-encoding:");
        encoding.is_some_and(|e| matches!(e.trim(), "base64" | "quoted-printable"))
    })
}

/// Gives the fields of a mail; nothing where it is none.
fn fields(patch: &[u8]) -> String {
    let head = patch.get(..FIELDS).unwrap_or(patch);
    if !Header::read(head).mailbox {
        return String::new();
    }
    let text = String::from_utf8_lossy(head);
    let fields = text.lines().take_while(|line| !line.trim().is_empty());
    fields.collect::<Vec<_>>().join("\n")
}

/// Gives a patch as it reads: of a mail with encoded fields or an encoded body, what git takes out
/// of it, in the shape of a plain one.
///
/// What git cannot take apart stays as it is; reading it says what is wrong.
///
/// # Errors
/// Where git cannot be run, or no temporary folder can be made.
pub fn plain<'b>(git: &Git, patch: &'b [u8]) -> Result<Cow<'b, [u8]>, GitError> {
    if !encoded(patch) && !fields(patch).contains("=?") {
        return Ok(Cow::Borrowed(patch));
    }
    let folder = tempfile::tempdir().map_err(GitError::Temporary)?;
    let (message, diff) = (folder.path().join("message"), folder.path().join("diff"));
    let (to, name) = (message.to_string_lossy(), diff.to_string_lossy());
    let output = git.output_of(&["mailinfo", &to, &name], patch)?;
    if !output.success() {
        return Ok(Cow::Borrowed(patch));
    }
    let said = output.stdout.text();
    let of = |field: &str| {
        let mut lines = said.lines();
        let value = lines.find_map(|l| l.strip_prefix(field)?.strip_prefix(": "));
        value.unwrap_or("").to_owned()
    };
    let mut text = format!(
        "From: {} <{}>\nSubject: {}\nDate: {}\n\n",
        of("Author"),
        of("Email"),
        of("Subject"),
        of("Date")
    )
    .into_bytes();
    for part in [message, diff] {
        text.extend(std::fs::read(part).map_err(GitError::Temporary)?);
    }
    Ok(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::patch::Patch;

    const DIFF: &str = "---\n\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b=\n";

    fn read(mail: &str) -> (Option<String>, Option<String>, usize) {
        let git = Git::at(std::env::temp_dir());
        let plain = plain(&git, mail.as_bytes()).unwrap();
        let patch = Patch::read(&plain).unwrap();
        (patch.header.subject, patch.header.author, patch.files.len())
    }

    #[test]
    fn a_mail_is_read_as_git_reads_it() {
        let start = "From 0123456789 Mon Sep 17 00:00:00 2001\nFrom: =?UTF-8?q?J=C3=BCrg?= <j@x>\n\
                     Subject: [PATCH] =?UTF-8?q?Gr=C3=BC=C3=9Fe?=\n";
        let wanted = (Some("Grüße".to_owned()), Some("Jürg <j@x>".to_owned()), 1);
        assert_eq!(read(&format!("{start}\nWhy.\n{DIFF}")), wanted);
        let soft = DIFF.replace("b=", "=\nb=3D");
        let quoted = format!("{start}Content-Transfer-Encoding: quoted-printable\n\nWhy.\n{soft}");
        assert!(encoded(quoted.as_bytes()));
        assert_eq!(read(&quoted), wanted);
        let base64 = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, DIFF);
        let base64 = format!("{start}Content-Transfer-Encoding: Base64\n\n{base64}\n");
        assert!(encoded(base64.as_bytes()));
        assert_eq!(read(&base64), wanted);
        // What merely speaks of it is none.
        let plain = format!("Why.\n\nContent-Transfer-Encoding: base64\n{DIFF}");
        assert!(!encoded(plain.as_bytes()));
        assert!(!encoded(b"") && !encoded(start.as_bytes()));
    }
}
