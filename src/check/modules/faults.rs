//! What is wrong with modules: each held against its directory, its neighbours and the kernel.

use super::super::entry::ImagePath;
use super::{
    Duplicate, Evidence, KernelModule, Loader, Mismatch, Missing, ModuleSignature, ReleaseDirectory,
};
use crate::format::kmod::index::Dependencies;
use crate::format::kmod::{Signature, module_name, place};
use crate::image::{Indexes, ModuleFile, Release, View};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

/// What was looked at.
pub(super) struct Seen<'s> {
    pub(super) view: &'s View,
    pub(super) releases: &'s [Release],
    /// Those of each of `releases`.
    pub(super) indexes: Vec<Indexes>,
    /// The paths of the modules that are asked for.
    pub(super) paths: Vec<&'s str>,
    /// The modules at those paths; none where their content is not asked for.
    pub(super) modules: Vec<Arc<ModuleFile>>,
    /// Whether it is.
    pub(super) read: bool,
    pub(super) kernel: Option<&'s Loader>,
}

impl Seen<'_> {
    pub(super) fn evidence(&self, stray: &[String]) -> Evidence {
        let not_for_kernel = self
            .kernel
            .and_then(|kernel| self.of_modules(|m| !kernel.loads(m)));
        let populated = || {
            self.directories()
                .filter(|(release, _)| !release.modules.is_empty())
        };
        // One that lies in no directory has nothing to be held against.
        let placed = self.paths.iter().any(|path| place(path).is_some());
        Evidence {
            count: self.paths.len() as u64,
            releases: self
                .directories()
                .map(|(release, indexes)| directory(release, indexes))
                .collect(),
            modules: self
                .modules
                .iter()
                .map(|module| described(module))
                .collect(),
            machines: self.machines().into_keys().map(str::to_owned).collect(),
            kernel: self.kernel.map(|kernel| kernel.release.clone()),
            kernel_matches: not_for_kernel.as_ref().map(Vec::is_empty),
            not_for_kernel,
            vermagic_mismatches: (self.looked_at(true) && placed).then(|| self.mismatches()),
            missing_dependencies: self.looked_at(true).then(|| self.missing()),
            unsigned: self.of_modules(|module| {
                let signature = module.module.as_ref().map(|m| &m.signature);
                !matches!(signature, Ok(Signature::Present(_)))
            }),
            foreign: self.foreign(),
            damaged: self.of_modules(|module| module.module.is_err()),
            duplicates: self.looked_at(false).then(|| self.duplicates()),
            stray: stray.iter().cloned().map(ImagePath).collect(),
            dep_file: populated()
                .map(|(_, indexes)| indexes.forms().next().is_some())
                .reduce(|all, one| all && one),
            not_in_dep: self.looked_at(false).then(|| self.not_listed()),
            dep_missing: self.listed_and_missing(),
        }
    }

    fn directories(&self) -> impl Iterator<Item = (&Release, &Indexes)> {
        self.releases.iter().zip(&self.indexes)
    }

    /// Says whether there is anything of which a list of faults could speak.
    fn looked_at(&self, content: bool) -> bool {
        !self.paths.is_empty() && (self.read || !content)
    }

    /// Lists the modules of which something holds.
    fn of_modules(&self, holds: impl Fn(&ModuleFile) -> bool) -> Option<Vec<ImagePath>> {
        let found = self.modules.iter().filter(|module| holds(module));
        let paths = found.map(|module| ImagePath(module.path.clone()));
        self.looked_at(true).then(|| paths.collect())
    }

    /// Counts the modules for each machine.
    fn machines(&self) -> BTreeMap<&str, usize> {
        let mut machines = BTreeMap::new();
        for module in self
            .modules
            .iter()
            .filter_map(|file| file.module.as_ref().ok())
        {
            *machines.entry(module.machine.as_str()).or_default() += 1;
        }
        machines
    }

    fn foreign(&self) -> Option<Vec<ImagePath>> {
        let machines = self.machines();
        let most = machines
            .iter()
            .max_by_key(|(_, count)| **count)
            .map(|(name, _)| *name);
        let wanted = self
            .kernel
            .and_then(|kernel| kernel.machine.as_deref())
            .or(most);
        self.of_modules(|file| match &file.module {
            Ok(module) => Some(module.machine.as_str()) != wanted,
            Err(_) => true,
        })
    }

    fn mismatches(&self) -> Vec<Mismatch> {
        let mismatch = |file: &Arc<ModuleFile>| {
            let directory = place(&file.path)?.release;
            let built_for = file
                .module
                .as_ref()
                .ok()
                .and_then(|module| module.release());
            (built_for != Some(directory)).then(|| Mismatch {
                name: module_name(&file.path),
                path: file.path.clone(),
                release: directory.to_owned(),
                built_for: built_for.map(str::to_owned),
            })
        };
        self.modules.iter().filter_map(mismatch).collect()
    }

    /// Names every module of a directory; of the modules that lie in none, the empty path.
    fn names(&self) -> HashMap<&str, HashSet<String>> {
        let mut names: HashMap<&str, HashSet<String>> = HashMap::new();
        for (release, indexes) in self.directories() {
            let own = names.entry(release.path.as_str()).or_default();
            own.extend(release.modules.iter().map(|path| module_name(path)));
            own.extend(indexes.builtin.iter().flatten().cloned());
        }
        for path in self.paths.iter().filter(|path| place(path).is_none()) {
            names.entry("").or_default().insert(module_name(path));
        }
        names
    }

    fn missing(&self) -> Vec<Missing> {
        let names = self.names();
        let missing = |file: &Arc<ModuleFile>| {
            let directory = place(&file.path).map_or("", |place| place.directory);
            let there = |name: &str| {
                let own = names.get(directory);
                own.is_some_and(|names| names.contains(&name.replace('-', "_")))
            };
            let needs: Vec<String> = match &file.module {
                Ok(module) => module
                    .depends()
                    .filter(|name| !there(name))
                    .map(str::to_owned)
                    .collect(),
                Err(_) => vec!["unknown".to_owned()],
            };
            (!needs.is_empty()).then(|| Missing {
                name: module_name(&file.path),
                path: file.path.clone(),
                needs,
            })
        };
        self.modules.iter().filter_map(missing).collect()
    }

    fn duplicates(&self) -> Vec<Duplicate> {
        let mut found: BTreeMap<(String, String), Vec<ImagePath>> = BTreeMap::new();
        for path in &self.paths {
            let Some(place) = place(path) else { continue };
            let key = (place.directory.to_owned(), module_name(path));
            found
                .entry(key)
                .or_default()
                .push(ImagePath((*path).to_owned()));
        }
        let several = found.into_iter().filter(|(_, paths)| paths.len() > 1);
        several
            .map(|((directory, name), paths)| Duplicate {
                name,
                release: directory.rsplit('/').next().unwrap_or_default().to_owned(),
                paths,
            })
            .collect()
    }

    /// Lists the modules that a form of their `modules.dep` does not list, or that have none.
    fn not_listed(&self) -> Vec<ImagePath> {
        // By path, the number of forms that list it; by directory, the number of forms.
        let mut listed: HashMap<&str, usize> = HashMap::new();
        let mut forms: HashMap<&str, usize> = HashMap::new();
        for (release, indexes) in self.directories() {
            forms.insert(&release.path, indexes.forms().count());
            for lines in indexes.forms() {
                let found = lines
                    .iter()
                    .map(|line| self.view.listed(release, &line.path));
                let found: HashSet<&str> = found.filter_map(Result::ok).collect();
                found
                    .into_iter()
                    .for_each(|path| *listed.entry(path).or_default() += 1);
            }
        }
        let missing = self.paths.iter().filter(|path| {
            let wanted = place(path).and_then(|place| forms.get(place.directory));
            let wanted = wanted.copied().unwrap_or(0).max(1);
            listed.get(**path).copied().unwrap_or(0) < wanted
        });
        missing.map(|path| ImagePath((*path).to_owned())).collect()
    }

    fn listed_and_missing(&self) -> Option<Vec<ImagePath>> {
        let mut missing = BTreeSet::new();
        let mut any = false;
        for (release, indexes) in self.directories() {
            for line in indexes.forms().flatten() {
                let names = std::iter::once(&line.path).chain(&line.needs);
                missing.extend(names.filter_map(|name| self.view.listed(release, name).err()));
            }
            any |= indexes.forms().next().is_some();
        }
        any.then(|| missing.into_iter().map(ImagePath).collect())
    }
}

impl Loader {
    /// Says whether the kernel finds a module, and would take it by its release and machine.
    fn loads(&self, file: &ModuleFile) -> bool {
        let found = place(&file.path).is_some_and(|place| place.release == self.release);
        let taken = file.module.as_ref().is_ok_and(|module| {
            let machine = self
                .machine
                .as_ref()
                .is_none_or(|machine| *machine == module.machine);
            module.release() == Some(self.release.as_str()) && machine
        });
        found && taken
    }
}

fn directory(release: &Release, indexes: &Indexes) -> ReleaseDirectory {
    ReleaseDirectory {
        release: release.release.clone(),
        path: release.path.clone(),
        count: release.modules.len() as u64,
        indexes: release.indexes.clone(),
        listed: indexes.forms().next().map(|lines| lines.len() as u64),
        dep_index: dep_index(indexes).to_owned(),
        builtin: indexes.builtin.as_ref().map(|names| names.len() as u64),
        aliases: indexes.aliases,
        ordered: indexes.ordered,
        soft_dependencies: indexes.soft_dependencies,
    }
}

/// Holds the two forms of `modules.dep` against each other.
fn dep_index(indexes: &Indexes) -> &'static str {
    let sorted = |lines: &[Dependencies]| {
        let mut lines = lines.to_vec();
        lines.sort_unstable();
        lines
    };
    match (&indexes.dependencies, &indexes.binary) {
        (_, None) => "absent",
        (None, Some(_)) => "alone",
        (Some(text), Some(binary)) if sorted(text) == sorted(binary) => "agrees",
        (Some(_), Some(_)) => "differs",
    }
}

fn described(file: &ModuleFile) -> KernelModule {
    let module = file.module.as_ref().ok();
    let said = |tag: &str| module.and_then(|m| m.value(tag)).map(str::to_owned);
    let texts = |tag: &str| -> Vec<String> {
        module
            .iter()
            .flat_map(|m| m.values(tag))
            .map(str::to_owned)
            .collect()
    };
    KernelModule {
        name: said("name").unwrap_or_else(|| module_name(&file.path)),
        path: file.path.clone(),
        layer: file.layer.clone(),
        release: place(&file.path).map(|place| place.release.to_owned()),
        size: file.size,
        compression: file.compression.name().to_owned(),
        machine: module.map(|m| m.machine.clone()),
        vermagic: said("vermagic"),
        built_for: module.and_then(|m| m.release()).map(str::to_owned),
        depends: module
            .iter()
            .flat_map(|m| m.depends())
            .map(str::to_owned)
            .collect(),
        license: said("license"),
        version: said("version"),
        srcversion: said("srcversion"),
        intree: said("intree").as_deref() == Some("Y"),
        retpoline: said("retpoline").as_deref() == Some("Y"),
        firmware: texts("firmware"),
        aliases: module.map_or(0, |m| m.values("alias").count() as u64),
        signed: matches!(module.map(|m| &m.signature), Some(Signature::Present(_))),
        signature: signature(module.map(|m| &m.signature)),
        damaged: file.module.as_ref().err().cloned(),
    }
}

fn signature(signature: Option<&Signature>) -> ModuleSignature {
    let plain = |state: &str, problem: Option<&str>| ModuleSignature {
        state: state.to_owned(),
        problem: problem.map(str::to_owned),
        signer: None,
        key: None,
        hash: None,
    };
    match signature {
        None => plain("broken", Some("the module cannot be read")),
        Some(Signature::Absent) => plain("absent", None),
        Some(Signature::Broken(why)) => plain("broken", Some(why)),
        Some(Signature::Present(signed)) => ModuleSignature {
            signer: signed.signer.clone(),
            key: Some(signed.key.clone()),
            hash: Some(signed.hash.clone()),
            ..plain("present", None)
        },
    }
}
