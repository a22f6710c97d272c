//! The files of `fixtures/upstream` and `fixtures/demo`, inside the program.

/// A file to be laid out.
pub(crate) struct Embedded {
    /// Path below the folder it belongs to.
    pub(crate) path: &'static str,
    /// Whether it is a program (mode 0755) or not (0644).
    pub(crate) program: bool,
    /// Its text.
    pub(crate) text: &'static str,
}

macro_rules! table {
    ($folder:literal: $($path:literal $(($mode:ident))?,)*) => {
        &[$(Embedded {
            path: $path,
            program: table!(@program $($mode)?),
            text: include_str!(concat!("../../fixtures/", $folder, "/", $path)),
        },)*]
    };
    (@program program) => { true };
    (@program) => { false };
}

/// `fixtures/upstream`, by path.
pub(crate) const UPSTREAM: &[Embedded] = table! { "upstream":
    "README.md",
    "packages/core/talos/Makefile",
    "packages/core/talos/hack/gen-profiles.sh" (program),
    "packages/core/talos/images/matchbox/Dockerfile",
    "packages/core/talos/images/matchbox/groups/default.json",
    "packages/core/talos/images/matchbox/profiles/default.json",
    "packages/core/talos/images/talos/digests/v1.13.6",
    "packages/core/talos/images/talos/profiles/initramfs.yaml",
    "packages/core/talos/images/talos/profiles/installer.yaml",
    "packages/core/talos/images/talos/profiles/iso.yaml",
    "packages/core/talos/images/talos/profiles/kernel.yaml",
    "packages/core/talos/images/talos/profiles/metal.yaml",
    "packages/core/talos/images/talos/profiles/nocloud.yaml",
};

/// `fixtures/demo`, by path.
pub(crate) const PROJECT: &[Embedded] = table! { "demo":
    "README.md",
    "patches/01-arm64.patch",
    "patches/02-spin.patch",
    "patches/03-tailscale.patch",
    "patches/spin-only.series",
    "patches/spin-tailscale.series",
    "scripts/remedy" (program),
    "specs/build.yaml",
    "specs/extensions.yaml",
    "specs/image.yaml",
    "specs/patches.yaml",
    "tdg.yaml",
};

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    fn on_disk(folder: &str) -> Vec<(String, bool, String)> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fixtures")
            .join(folder);
        let mut out = Vec::new();
        for entry in walkdir::WalkDir::new(&root) {
            let entry = entry.unwrap();
            if entry.file_type().is_file() {
                let path = entry
                    .path()
                    .strip_prefix(&root)
                    .unwrap()
                    .display()
                    .to_string();
                let mode = entry.metadata().unwrap().permissions().mode();
                let text = std::fs::read_to_string(entry.path()).unwrap();
                out.push((path, mode & 0o111 != 0, text));
            }
        }
        out.sort();
        out
    }

    fn in_table(table: &[Embedded]) -> Vec<(String, bool, String)> {
        let mut out: Vec<_> = table
            .iter()
            .map(|file| (file.path.to_owned(), file.program, file.text.to_owned()))
            .collect();
        out.sort();
        out
    }

    #[test]
    fn the_folders_are_the_tables() {
        assert_eq!(on_disk("upstream"), in_table(UPSTREAM));
        assert_eq!(on_disk("demo"), in_table(PROJECT));
    }
}
