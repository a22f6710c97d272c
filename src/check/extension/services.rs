//! The services that extensions bring.

use super::super::ProbeError;
use super::problems::Problem;
use super::scope::Scope;
use crate::format::service::{Dependency, Service as Document};
use crate::format::{FileType, node::escape};
use crate::image::{Binary, MergedEntry, ServiceFile, service_root};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::HashSet;

/// A service of an extension: a program that Talos runs in a root of its own.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "name"))]
pub struct Service {
    /// Its name; the machine calls it `ext-` and this.
    pub name: String,
    /// The document that describes it.
    #[schemars(extend("format" = "image-path"))]
    pub path: String,
    /// The extension it comes from.
    pub layer: String,
    /// What it waits for.
    pub depends: Depends,
    /// Whether it waits for an `ExtensionServiceConfig`: a machine without one of its name starts
    /// it never, and does not get ready.
    pub configuration: bool,
    /// When it is started again: `always`, `never` or `untilSuccess`.
    pub restart: Option<String>,
    /// The directory that it sees as its root.
    #[schemars(extend("format" = "image-path"))]
    pub root: String,
    /// The program that it runs, as its document names it: a path in its root.
    pub entrypoint: String,
    /// Where that program is in the image, links followed and mounts of the machine seen through;
    /// absent where it is not there.
    #[schemars(extend("format" = "image-path"))]
    pub program: Option<String>,
    /// The machine the program is for; absent where it is no ELF file.
    pub machine: Option<String>,
    /// How the program gets its libraries: `static`, `dynamic` or `none`; absent where it is no ELF
    /// file.
    #[schemars(extend("enum" = ["static", "dynamic", "none"]))]
    pub linking: Option<String>,
    /// Whether it can start, as far as the image tells: its root and its program are there, and the
    /// program may be run, is for this machine and finds what loads it.
    pub startable: bool,
    /// What keeps it from starting.
    pub obstacles: Vec<String>,
}

/// What a service waits for.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Depends {
    /// Other services.
    pub services: Vec<String>,
    /// Paths.
    pub paths: Vec<String>,
    /// Parts of the network: `addresses`, `connectivity`, `hostname`, `etcfiles`.
    pub network: Vec<String>,
    /// Whether it waits for the right time.
    pub time: bool,
    /// Whether it waits for an `ExtensionServiceConfig`.
    pub configuration: bool,
}

/// Looks at the services whose documents come from the extensions looked at. Those that Talos
/// leaves out are no services; [`problems`] tells of them.
///
/// # Errors
/// Where the root file system cannot be read.
pub(super) fn services(
    scope: &Scope<'_>,
    machine: Option<&str>,
) -> Result<Vec<Service>, ProbeError> {
    let mut services = Vec::new();
    for (owner, file, faults) in owned(scope)? {
        if let Ok(document) = &file.service
            && faults.is_empty()
        {
            services.push(service(scope, owner, file, document, machine)?);
        }
    }
    Ok(services)
}

/// Says which documents Talos cannot read or does not take, and which name is taken already.
///
/// # Errors
/// Where the root file system cannot be read.
pub(super) fn problems(scope: &Scope<'_>) -> Result<Vec<Problem>, ProbeError> {
    let mut problems = Vec::new();
    for (owner, file, faults) in owned(scope)? {
        let problem = |said| Problem::new(&file.path, owner, said);
        problems.extend(faults.into_iter().map(problem));
    }
    Ok(problems)
}

/// A document: the extension that it comes from, and what keeps Talos from taking it.
type Owned<'a> = (&'a str, &'a ServiceFile, Vec<String>);

/// Gives the documents of the extensions looked at.
fn owned<'a>(scope: &Scope<'a>) -> Result<Vec<Owned<'a>>, ProbeError> {
    let mut owned = Vec::new();
    // Of one name the first is taken, whichever extension it comes from.
    let mut taken = HashSet::new();
    for file in scope.view.services()? {
        let mut faults = file.faults();
        if let Ok(Document {
            name: Some(name), ..
        }) = &file.service
            && faults.is_empty()
            && !taken.insert(name)
        {
            faults.push(format!(
                "there is another service `{name}`, which comes first"
            ));
        }
        if let Some(owner) = scope.named(&file.layer) {
            owned.push((owner, file, faults));
        }
    }
    Ok(owned)
}

fn service(
    scope: &Scope<'_>,
    owner: &str,
    file: &ServiceFile,
    document: &Document,
    machine: Option<&str>,
) -> Result<Service, ProbeError> {
    let name = document.name.clone().unwrap_or_default();
    let root = service_root(&name);
    let mut obstacles = Vec::new();
    let directory = scope.view.get(&root);
    if directory.is_none_or(|entry| entry.meta.kind != FileType::Directory) {
        obstacles.push(format!("its root `/{root}` is not there"));
    }
    // Any path in the root tells whose root it is.
    let inside = format!("{root}/.");
    let found = scope.view.seen_by(&inside, document.entrypoint())?;
    let program = match found {
        Ok(entry) if entry.meta.kind == FileType::File => Some(entry),
        Ok(entry) => {
            obstacles.push(format!(
                "`{}` is a {}",
                document.entrypoint(),
                entry.meta.kind.name()
            ));
            None
        }
        Err(error) => {
            obstacles.push(format!("`{}`: {error}", document.entrypoint()));
            None
        }
    };
    let binary = match program {
        Some(entry) => scope.view.binary(&entry.path)?,
        None => None,
    };
    if let Some(entry) = program {
        runs(
            scope,
            &inside,
            entry,
            binary.as_deref(),
            machine,
            &mut obstacles,
        )?;
    }
    let elf = binary.as_ref().and_then(|binary| binary.elf.as_ref());
    let depends = depends(document.dependencies());
    Ok(Service {
        path: file.path.clone(),
        layer: owner.to_owned(),
        configuration: depends.configuration,
        depends,
        restart: document.restart.clone(),
        root,
        entrypoint: document.entrypoint().to_owned(),
        program: program.map(|entry| entry.path.clone()),
        machine: elf.map(|elf| elf.machine.clone()),
        linking: elf.map(|elf| elf.linking.name().to_owned()),
        startable: obstacles.is_empty(),
        obstacles,
        name,
    })
}

/// Says what keeps a program from running that is there.
fn runs(
    scope: &Scope<'_>,
    inside: &str,
    entry: &MergedEntry,
    binary: Option<&Binary>,
    machine: Option<&str>,
    obstacles: &mut Vec<String>,
) -> Result<(), ProbeError> {
    let path = &entry.path;
    if entry.meta.permissions() & 0o111 == 0 {
        obstacles.push(format!(
            "`/{path}` may not be run ({:04o})",
            entry.meta.permissions()
        ));
    }
    let Some(binary) = binary else {
        return script(scope, inside, entry, obstacles);
    };
    if let Some(damaged) = &binary.damaged {
        obstacles.push(format!("`/{path}`: {damaged}"));
        return Ok(());
    }
    let own = binary.elf.as_ref().map(|elf| elf.machine.as_str());
    if machine.is_some() && own != machine {
        let (own, machine) = (own.unwrap_or_default(), machine.unwrap_or_default());
        obstacles.push(format!("`/{path}` is for {own}, not {machine}"));
    }
    // What a root file system that is not at hand brings, nobody can miss.
    if !scope.is_whole() {
        return Ok(());
    }
    if let Some(interpreter) = binary.interpreter.path.as_deref()
        && !binary.interpreter.resolves
    {
        obstacles.push(format!(
            "`/{path}` is loaded by `{interpreter}`, which is not there"
        ));
    }
    for library in binary.needed.iter().filter(|library| !library.resolves()) {
        obstacles.push(format!(
            "`/{path}` needs `{}`, which is not there",
            library.name
        ));
    }
    Ok(())
}

/// The first line of a script is read up to here. Source: `BINPRM_BUF_SIZE` of Linux.
const LINE: usize = 256;

/// Looks whether a file that is no ELF file is a script whose interpreter is there.
fn script(
    scope: &Scope<'_>,
    inside: &str,
    entry: &MergedEntry,
    obstacles: &mut Vec<String>,
) -> Result<(), ProbeError> {
    let path = &entry.path;
    let start = scope.view.open(entry)?.up_to(0, LINE);
    let start = start.map_err(|error| ProbeError::new(format!("/{path}: {error}")))?;
    let line = start
        .split(|byte| *byte == b'\n')
        .next()
        .unwrap_or_default();
    let Some(line) = line.strip_prefix(b"#!") else {
        obstacles.push(format!("`/{path}` is no program"));
        return Ok(());
    };
    let line = escape(line);
    let interpreter = line.split_whitespace().next().unwrap_or_default();
    if scope.is_whole() && scope.view.seen_by(inside, interpreter)?.is_err() {
        obstacles.push(format!(
            "`/{path}` is run by `{interpreter}`, which is not there"
        ));
    }
    Ok(())
}

fn depends(list: &[Dependency]) -> Depends {
    let texts = |of: fn(&Dependency) -> Option<&String>| list.iter().filter_map(of).cloned();
    Depends {
        services: texts(|d| d.service.as_ref()).collect(),
        paths: texts(|d| d.path.as_ref()).collect(),
        network: list
            .iter()
            .flat_map(|d| d.network.iter().flatten().cloned())
            .collect(),
        time: list.iter().any(|d| d.time == Some(true)),
        configuration: list.iter().any(|d| d.configuration == Some(true)),
    }
}
