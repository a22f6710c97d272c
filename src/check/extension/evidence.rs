//! What is said of extensions, and what is seen in them.

use super::super::entry::{FileEntry, ImagePath};
use super::super::{Context, ProbeError};
use super::Args;
use super::binaries::{ForeignFile, Machine, UnresolvedFile};
use super::cri::{self, Cri};
use super::modules::{self, Modules};
use super::overlaps::{self, Overlap};
use super::paths::{self, Brought, Repeated};
use super::problems::Problem;
use super::scope::Scope;
use super::services::{self, Service};
use crate::format::Entry;
use crate::format::extensions::Listed;
use schemars::JsonSchema;
use serde::Serialize;

/// Where an extension was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// In an initramfs.
    Installed,
    /// By itself, as it is published: `manifest.yaml` beside `rootfs`.
    Image,
}

/// What is said of it, and what is really there. Fields that look at its content are absent where
/// there is none to look at.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// Whether it was found in an initramfs or by itself.
    pub form: Form,
    /// Whether it is there as it has to be: listed, and its squashfs image present with content.
    pub present: bool,
    /// Whether `extensions.yaml` lists it; by itself, whether it has a manifest.
    pub listed: bool,
    /// Whether the squashfs image that the list names is in the initramfs; by itself, whether it
    /// has a `rootfs`.
    pub image_present: bool,
    /// Whether that image holds nothing but directories and documents about itself.
    pub empty: bool,
    /// Its version as listed.
    pub version: Option<String>,
    /// The name of its squashfs image, as listed.
    pub image: Option<String>,
    /// Its author as listed.
    pub author: Option<String>,
    /// The range of Talos versions it says it is for.
    pub talos: Option<String>,
    /// Whether the version of Talos is in that range; absent where no version is known.
    pub compatible: Option<bool>,
    /// Its place in the list, counted from 0; later ones lie over earlier ones.
    pub position: Option<u64>,
    /// How many entries its image has.
    pub count: u64,
    /// The entries of its image.
    pub files: Vec<FileEntry>,
    /// The names of all listed extensions, in order.
    pub all: Vec<String>,
    /// Names that are listed more than once.
    pub duplicates: Vec<String>,
    /// Squashfs images in the initramfs that the list does not name; Talos never mounts them.
    pub unlisted: Vec<ImagePath>,
    /// Listed names whose image is missing or has no content.
    pub hollow: Vec<String>,
    /// What is beside `manifest.yaml` and `rootfs` in an extension by itself: Talos refuses it.
    /// Absent in an initramfs.
    pub unexpected: Option<Vec<ImagePath>>,
    /// Files and links where an extension may put none. Whole components of paths are compared:
    /// `/usr/local-evil` is not under `/usr/local`.
    pub disallowed: Option<Vec<Brought>>,
    /// Files and directories that everybody may write; links and sticky directories left out.
    pub world_writable: Option<Vec<Brought>>,
    /// Directories that everybody may write, with the sticky bit.
    pub sticky: Option<Vec<Brought>>,
    /// Devices, pipes and sockets; a device 0/0 removes the file below it.
    pub special: Option<Vec<Brought>>,
    /// Links that lead nowhere. Absent of an extension by itself: what they lead to may be in the
    /// root file system.
    pub dangling: Option<Vec<Brought>>,
    /// Paths that are there more than once, in the extension or in the initramfs. Absent of an
    /// extension by itself in a tar archive or an OCI image, which are seen as they unpack.
    pub repeated: Option<Vec<Repeated>>,
    /// The machine that its programs have to be for; absent where nothing tells.
    pub machine: Option<String>,
    /// ELF files for another machine, or that cannot be read. Firmware and BPF are for none.
    pub foreign: Option<Vec<ForeignFile>>,
    /// ELF files whose interpreter or libraries are not there: a service's in its own root. Absent
    /// of an extension by itself: what they need may be in the root file system.
    pub unresolved: Option<Vec<UnresolvedFile>>,
    /// What it adds to the configuration of the container runtime.
    pub cri: Option<Cri>,
    /// The services it brings. Those that Talos leaves out are under `problems`.
    pub services: Option<Vec<Service>>,
    /// The services that wait for an `ExtensionServiceConfig`: a machine without one of that name
    /// does not get ready.
    pub needs_configuration: Option<Vec<String>>,
    /// The kernel modules it brings.
    pub modules: Option<Modules>,
    /// Paths that it brings and another extension or the root file system as well.
    pub overlaps: Option<Vec<Overlap>>,
    /// Files that Talos cannot read or does not take: its manifest, parts of containerd's
    /// configuration (one keeps the container runtime from starting), services (which are left
    /// out in silence).
    pub problems: Option<Vec<Problem>>,
}

/// The fields that look at what is in extensions.
const CONTENT: [&str; 15] = [
    "disallowed",
    "world-writable",
    "sticky",
    "special",
    "dangling",
    "repeated",
    "machine",
    "foreign",
    "unresolved",
    "cri",
    "services",
    "needs-configuration",
    "modules",
    "overlaps",
    "problems",
];

impl Evidence {
    pub(super) fn nothing(form: Form) -> Self {
        Self {
            form,
            present: false,
            listed: false,
            image_present: false,
            empty: true,
            version: None,
            image: None,
            author: None,
            talos: None,
            compatible: None,
            position: None,
            count: 0,
            files: Vec::new(),
            all: Vec::new(),
            duplicates: Vec::new(),
            unlisted: Vec::new(),
            hollow: Vec::new(),
            unexpected: None,
            disallowed: None,
            world_writable: None,
            sticky: None,
            special: None,
            dangling: None,
            repeated: None,
            machine: None,
            foreign: None,
            unresolved: None,
            cri: None,
            services: None,
            needs_configuration: None,
            modules: None,
            overlaps: None,
            problems: None,
        }
    }

    pub(super) fn describe(&mut self, listed: &Listed) {
        self.version.clone_from(&listed.version);
        self.author.clone_from(&listed.author);
        self.talos.clone_from(&listed.talos);
    }

    pub(super) fn list(&mut self, entries: &[Entry], context: &Context<'_>) {
        let entries = entries.iter().filter(|e| !e.path.is_empty());
        self.count = entries.clone().count() as u64;
        if context.wants("files") {
            self.files = entries
                .map(|e| FileEntry::of_node(&e.path, &e.meta, None))
                .collect();
        }
    }

    pub(super) fn looks(&self, context: &Context<'_>) -> bool {
        CONTENT.iter().any(|field| context.wants(field))
    }

    /// Looks at the content, as far as it is asked for.
    pub(super) fn look(
        &mut self,
        scope: &Scope<'_>,
        args: &Args,
        context: &Context<'_>,
    ) -> Result<(), ProbeError> {
        let wants = |field: &str| context.wants(field);
        self.disallowed = wants("disallowed").then(|| paths::disallowed(scope));
        self.world_writable = wants("world-writable").then(|| paths::world_writable(scope));
        self.sticky = wants("sticky").then(|| paths::sticky(scope));
        self.special = wants("special").then(|| paths::special(scope));
        self.repeated = wants("repeated").then(|| paths::repeated(scope)).flatten();
        if wants("dangling") && scope.is_whole() {
            self.dangling = Some(paths::dangling(scope)?);
        }
        if ["machine", "foreign", "unresolved", "services"]
            .into_iter()
            .any(wants)
        {
            let machine = Machine::of(scope, args.machine.as_deref())?;
            self.machine.clone_from(&machine.name);
            self.foreign = wants("foreign").then(|| machine.foreign(scope));
            let unresolved = wants("unresolved") && scope.is_whole();
            self.unresolved = unresolved.then(|| machine.unresolved(scope));
        }
        if wants("cri") {
            self.cri = Some(cri::cri(scope, args.talos()?.as_ref())?);
        }
        if wants("services") || wants("needs-configuration") {
            let services = services::services(scope, self.machine.as_deref())?;
            let waits = services.iter().filter(|service| service.configuration);
            self.needs_configuration = Some(waits.map(|service| service.name.clone()).collect());
            self.services = wants("services").then_some(services);
        }
        if wants("modules") {
            self.modules = Some(modules::modules(scope, args.kernel.as_deref())?);
        }
        if wants("overlaps") {
            self.overlaps = Some(overlaps::overlaps(scope)?);
        }
        if wants("problems") {
            let mut problems = cri::problems(scope)?;
            problems.extend(services::problems(scope)?);
            self.problems = Some(problems);
        }
        Ok(())
    }
}
