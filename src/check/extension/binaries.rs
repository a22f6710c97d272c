//! The programs and libraries of extensions: for which machine, and whether they find what they
//! need.

use super::super::ProbeError;
use super::scope::{Scope, everything};
use crate::format::elf::ElfType;
use crate::image::Binary;
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Programs for the processors of devices, whatever the machine is.
const FIRMWARE: &str = "usr/lib/firmware/";
/// What runs in the kernel on every machine.
const EVERYWHERE: &str = "bpf";

/// An ELF file for another machine.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "path"))]
pub struct ForeignFile {
    /// Its path, without leading `/`.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// The extension it comes from.
    pub layer: String,
    /// The machine it is for; absent where its headers cannot be read.
    pub machine: Option<String>,
    /// Why its headers cannot be read; absent where they can.
    pub damaged: Option<String>,
}

/// An ELF file that does not find what it needs.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "path"))]
pub struct UnresolvedFile {
    /// Its path, without leading `/`.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// The extension it comes from.
    pub layer: String,
    /// The program that should load it, where that is not there for the same machine.
    pub interpreter: Option<String>,
    /// The libraries that are not there for the same machine.
    pub libraries: Vec<String>,
    /// Why its headers cannot be read; absent where they can.
    pub damaged: Option<String>,
}

/// The ELF files of a root file system, and the machine that it is for.
pub(super) struct Machine {
    files: Vec<Arc<Binary>>,
    /// The machine that was asked for, or that most files of the root file system are for.
    pub name: Option<String>,
}

impl Machine {
    /// Looks at every ELF file of the view.
    ///
    /// # Errors
    /// Where the view cannot be read.
    pub fn of(scope: &Scope<'_>, asked: Option<&str>) -> Result<Self, ProbeError> {
        let files = scope.view.binaries(&everything()?)?;
        let base = scope.base.map(|base| base.name);
        let most = |of: &dyn Fn(&Binary) -> bool| {
            let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
            for file in files.iter().filter(|f| of(f) && counts_for_machine(f)) {
                if let Some(elf) = &file.elf {
                    *counts.entry(&elf.machine).or_default() += 1;
                }
            }
            let most = counts.into_iter().max_by_key(|(_, count)| *count);
            most.map(|(machine, _)| machine.to_owned())
        };
        let name = asked
            .map(str::to_owned)
            .or_else(|| most(&|file| base == Some(file.layer.as_str())))
            .or_else(|| most(&|_| true));
        Ok(Self { files, name })
    }

    /// Lists the files that are for another machine, or nobody knows for which.
    pub fn foreign(&self, scope: &Scope<'_>) -> Vec<ForeignFile> {
        let others = self.owned(scope).filter(|(_, file)| {
            let machine = file.elf.as_ref().map(|elf| &elf.machine);
            counts_for_machine(file) && (machine.is_none() || machine != self.name.as_ref())
        });
        others
            .map(|(owner, file)| ForeignFile {
                path: file.path.clone(),
                layer: owner.to_owned(),
                machine: file.elf.as_ref().map(|elf| elf.machine.clone()),
                damaged: file.damaged.clone(),
            })
            .collect()
    }

    /// Lists the files that do not find the program that loads them, or a library.
    pub fn unresolved(&self, scope: &Scope<'_>) -> Vec<UnresolvedFile> {
        let files = self.owned(scope).filter_map(|(owner, file)| {
            let interpreter = &file.interpreter;
            let libraries = file.needed.iter().filter(|l| !l.resolves());
            let libraries: Vec<String> = libraries.map(|l| l.name.clone()).collect();
            let lost = !interpreter.resolves || !libraries.is_empty();
            lost.then(|| UnresolvedFile {
                path: file.path.clone(),
                layer: owner.to_owned(),
                interpreter: interpreter.path.clone().filter(|_| !interpreter.resolves),
                libraries,
                damaged: file.damaged.clone(),
            })
        });
        files.collect()
    }

    fn owned<'s>(&'s self, scope: &Scope<'s>) -> impl Iterator<Item = (&'s str, &'s Binary)> {
        let owned = |file: &'s Arc<Binary>| Some((scope.named(&file.layer)?, file.as_ref()));
        let owned: Vec<_> = self.files.iter().filter_map(owned).collect();
        owned.into_iter()
    }
}

/// Tells whether a file runs on the machine's own processor.
fn counts_for_machine(file: &Binary) -> bool {
    let everywhere = file
        .elf
        .as_ref()
        .is_some_and(|elf| elf.machine == EVERYWHERE || elf.kind == ElfType::Core);
    !everywhere && !file.path.starts_with(FIRMWARE)
}
