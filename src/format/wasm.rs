//! WebAssembly: modules, and components with the interfaces they ask for and
//! give.
//!
//! The bytes are taken apart and validated by the `wasmparser` crate, with the
//! proposals that it has switched on by default.
//!
//! Sources: the WebAssembly core specification, "Binary Format"; the component
//! model's `Binary.md` and `Explainer.md` ("Import and Export Definitions" for
//! names such as `wasi:http/incoming-handler@0.2.0`); the tool conventions'
//! `ProducersSection.md`.

use std::collections::BTreeSet;

use wasmparser::{
    ComponentExternalKind, ComponentTypeRef, Encoding, ExternalKind, MemoryType, Parser, Payload,
    ProducersSectionReader, TypeRef, Validator,
};

use super::node::{Tally, escape};
use super::{FormatError, Limits};

const NAME: &str = "wasm";
/// Bytes of a page of memory where a memory does not set its own.
const PAGE: u64 = 1 << 16;

/// A module or a component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wasm {
    /// Whether it is a component; a core module otherwise.
    pub component: bool,
    /// What it is made of, or why that cannot be read to the end.
    pub contents: Result<Contents, String>,
    /// Why it is not valid, where its contents can be read and do not agree
    /// with one another.
    pub invalid: Option<String>,
}

/// What a module or a component is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contents {
    /// What it asks for.
    pub imports: Vec<Item>,
    /// What it gives.
    pub exports: Vec<Item>,
    /// The memories that it, or the modules in it, define or import.
    pub memories: Vec<Memory>,
    /// Its own custom sections, in their order.
    pub custom_sections: Vec<Custom>,
    /// What it, or a part of it, was made with.
    pub producers: BTreeSet<Producer>,
    /// Core modules in a component, at any depth.
    pub modules: u64,
    /// Components in it, at any depth.
    pub components: u64,
    /// Functions with a body, in it and in the modules in it.
    pub functions: u64,
}

/// An import or an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its name; of a component's import or export often that of an interface.
    pub name: String,
    /// The module from which a core module asks for it.
    pub module: Option<String>,
    /// `func`, `table`, `memory`, `global`, `tag`; in a component `func`,
    /// `instance`, `type`, `value`, `module`, `component`.
    pub kind: &'static str,
}

impl Item {
    /// Splits the name of an interface: `wasi:http/types` and `0.2.0`. `None`
    /// where the name is none: where it has no namespace.
    #[must_use]
    pub fn interface(&self) -> Option<(&str, Option<&str>)> {
        let (interface, version) = match self.name.split_once('@') {
            Some((interface, version)) => (interface, Some(version)),
            None => (self.name.as_str(), None),
        };
        let (namespace, rest) = interface.split_once(':')?;
        // `url=…` and the like are names of another sort.
        let word = |text: &str| !text.is_empty() && !text.contains(['=', '<', '[', ' ']);
        (word(namespace) && word(rest)).then_some((interface, version))
    }
}

/// A memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    /// Bytes at the start.
    pub initial: u64,
    /// Bytes that it may grow to; `None` where it may grow as far as the host
    /// lets it.
    pub maximum: Option<u64>,
    /// Whether its addresses have 64 bits.
    pub wide: bool,
    /// Whether threads share it.
    pub shared: bool,
    /// Whether it is imported.
    pub imported: bool,
}

impl Memory {
    fn new(memory: &MemoryType, imported: bool) -> Self {
        let page = memory
            .page_size_log2
            .map_or(PAGE, |log| 1u64.checked_shl(log).unwrap_or(PAGE));
        Self {
            initial: memory.initial.saturating_mul(page),
            maximum: memory.maximum.map(|pages| pages.saturating_mul(page)),
            wide: memory.memory64,
            shared: memory.shared,
            imported,
        }
    }
}

/// A custom section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Custom {
    /// Its name.
    pub name: String,
    /// Its bytes, without its name.
    pub size: u64,
}

/// A tool, a language or a kit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Producer {
    /// `language`, `processed-by` or `sdk`.
    pub field: String,
    /// Its name.
    pub name: String,
    /// Its version; empty where it says none.
    pub version: String,
}

impl Wasm {
    /// Takes a module or component apart, and validates it.
    ///
    /// Errors with [`FormatError::Corrupt`] where the bytes do not begin as one,
    /// and with [`FormatError::Limit`] where there are more than `max_entries`
    /// imports, exports and sections, or their names outgrow `max_listing`. What
    /// is wrong further in is in the result.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Self, FormatError> {
        if !bytes.starts_with(b"\0asm") {
            return Err(FormatError::corrupt(
                NAME,
                0,
                "the magic `\\0asm` is missing",
            ));
        }
        let mut reading = Reading {
            limits,
            tally: Tally::default(),
            depth: 0,
            contents: Contents::default(),
        };
        let contents = reading.all(bytes)?;
        let mut invalid = None;
        // Only what has been read within its bounds is validated.
        if contents.is_ok()
            && let Err(error) = Validator::new().validate_all(bytes)
        {
            invalid = Some(escape(error.to_string().as_bytes()));
        }
        Ok(Self {
            component: Parser::is_component(bytes),
            contents,
            invalid,
        })
    }
}

/// Why reading stopped: a bound, or the bytes themselves.
enum Stop {
    Limit(FormatError),
    Broken(wasmparser::Error),
}

impl From<wasmparser::Error> for Stop {
    fn from(error: wasmparser::Error) -> Self {
        Self::Broken(error)
    }
}

struct Reading<'l> {
    limits: &'l Limits,
    tally: Tally,
    depth: u32,
    contents: Contents,
}

impl Reading<'_> {
    fn all(&mut self, bytes: &[u8]) -> Result<Result<Contents, String>, FormatError> {
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(Stop::from).and_then(|p| self.payload(p)) {
                Ok(()) => {}
                Err(Stop::Limit(error)) => return Err(error),
                Err(Stop::Broken(error)) => {
                    return Ok(Err(escape(error.to_string().as_bytes())));
                }
            }
        }
        Ok(Ok(std::mem::take(&mut self.contents)))
    }

    fn payload(&mut self, payload: Payload<'_>) -> Result<(), Stop> {
        let outermost = self.depth == 1;
        match payload {
            Payload::Version {
                encoding, range, ..
            } => {
                self.depth += 1;
                if self.depth > 1 {
                    match encoding {
                        Encoding::Module => self.contents.modules += 1,
                        Encoding::Component => self.contents.components += 1,
                    }
                }
                self.limits
                    .check_deadline(NAME, range.start)
                    .map_err(Stop::Limit)?;
            }
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::ImportSection(section) => {
                for import in section.into_imports_with_offsets() {
                    let (offset, import) = import?;
                    self.book(offset, import.module.len() + import.name.len())?;
                    if let TypeRef::Memory(memory) = &import.ty {
                        self.contents.memories.push(Memory::new(memory, true));
                    }
                    if outermost {
                        let module = Some(import.module);
                        let item = item(import.name, module, import_kind(&import.ty));
                        self.contents.imports.push(item);
                    }
                }
            }
            Payload::ExportSection(section) if outermost => {
                for export in section.into_iter_with_offsets() {
                    let (offset, export) = export?;
                    self.book(offset, export.name.len())?;
                    let item = item(export.name, None, export_kind(export.kind));
                    self.contents.exports.push(item);
                }
            }
            Payload::ComponentImportSection(section) if outermost => {
                for import in section.into_iter_with_offsets() {
                    let (offset, import) = import?;
                    let name = import.name.full_name();
                    self.book(offset, name.len())?;
                    let item = item(&name, None, component_import_kind(&import.ty));
                    self.contents.imports.push(item);
                }
            }
            Payload::ComponentExportSection(section) if outermost => {
                for export in section.into_iter_with_offsets() {
                    let (offset, export) = export?;
                    let name = export.name.full_name();
                    self.book(offset, name.len())?;
                    let item = item(&name, None, component_export_kind(export.kind));
                    self.contents.exports.push(item);
                }
            }
            Payload::MemorySection(section) => {
                for memory in section.into_iter_with_offsets() {
                    let (offset, memory) = memory?;
                    self.book(offset, 0)?;
                    self.contents.memories.push(Memory::new(&memory, false));
                }
            }
            Payload::CodeSectionStart { count, .. } => {
                self.contents.functions += u64::from(count);
            }
            Payload::CustomSection(section) => {
                self.book(section.data_offset(), section.name().len())?;
                if section.name() == "producers" {
                    self.producers(section.data(), section.data_offset())?;
                }
                if outermost {
                    self.contents.custom_sections.push(Custom {
                        name: escape(section.name().as_bytes()),
                        size: section.data().len() as u64,
                    });
                }
            }
            // Of the rest nothing is told; the validator looks at it. The list of
            // payloads is another crate's, and grows.
            _ => {}
        }
        Ok(())
    }

    /// Reads who made it. What is wrong with that section makes nothing invalid.
    fn producers(&mut self, data: &[u8], offset: u64) -> Result<(), Stop> {
        let reader = wasmparser::BinaryReader::new(data, offset);
        let Ok(fields) = ProducersSectionReader::new(reader) else {
            return Ok(());
        };
        for field in fields.into_iter().map_while(Result::ok) {
            for value in field.values.into_iter().map_while(Result::ok) {
                self.book(offset, value.name.len() + value.version.len())?;
                self.contents.producers.insert(Producer {
                    field: escape(field.name.as_bytes()),
                    name: escape(value.name.as_bytes()),
                    version: escape(value.version.as_bytes()),
                });
            }
        }
        Ok(())
    }

    /// Counts what is kept.
    fn book(&mut self, offset: u64, length: usize) -> Result<(), Stop> {
        let taken = self.tally.take(self.limits, NAME, offset, length);
        taken.map_err(Stop::Limit)
    }
}

fn item(name: &str, module: Option<&str>, kind: &'static str) -> Item {
    Item {
        name: escape(name.as_bytes()),
        module: module.map(|module| escape(module.as_bytes())),
        kind,
    }
}

fn import_kind(kind: &TypeRef) -> &'static str {
    match kind {
        TypeRef::Func(_) | TypeRef::FuncExact(_) => "func",
        TypeRef::Table(_) => "table",
        TypeRef::Memory(_) => "memory",
        TypeRef::Global(_) => "global",
        TypeRef::Tag(_) => "tag",
    }
}

fn export_kind(kind: ExternalKind) -> &'static str {
    match kind {
        ExternalKind::Func | ExternalKind::FuncExact => "func",
        ExternalKind::Table => "table",
        ExternalKind::Memory => "memory",
        ExternalKind::Global => "global",
        ExternalKind::Tag => "tag",
    }
}

fn component_import_kind(kind: &ComponentTypeRef) -> &'static str {
    match kind {
        ComponentTypeRef::Module(_) => "module",
        ComponentTypeRef::Func(_) => "func",
        ComponentTypeRef::Value(_) => "value",
        ComponentTypeRef::Type(_) => "type",
        ComponentTypeRef::Instance(_) => "instance",
        ComponentTypeRef::Component(_) => "component",
    }
}

fn component_export_kind(kind: ComponentExternalKind) -> &'static str {
    match kind {
        ComponentExternalKind::Module => "module",
        ComponentExternalKind::Func => "func",
        ComponentExternalKind::Value => "value",
        ComponentExternalKind::Type => "type",
        ComponentExternalKind::Instance => "instance",
        ComponentExternalKind::Component => "component",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_interfaces_are_told_from_other_names() {
        let split = |name: &str| {
            let item = item(name, None, "instance");
            item.interface()
                .map(|(i, v)| (i.to_owned(), v.map(str::to_owned)))
        };
        let both = |i: &str, v: Option<&str>| Some((i.to_owned(), v.map(str::to_owned)));
        assert_eq!(
            split("wasi:http/types@0.2.0"),
            both("wasi:http/types", Some("0.2.0"))
        );
        assert_eq!(split("fermyon:spin/llm"), both("fermyon:spin/llm", None));
        for other in [
            "run",
            "url=<https://x>",
            "locked-dep=<a:b@1.0.0>",
            ":x",
            "[method]a.b",
        ] {
            assert_eq!(split(other), None, "{other}");
        }
    }

    #[test]
    fn names_that_are_there_many_times_over_meet_the_bound() {
        let limits = Limits {
            max_listing: 100,
            ..Limits::default()
        };
        let text = "(module (import \"a-long-module-name\" \"a-long-name\" (func))
            (import \"a-long-module-name\" \"another\" (func))
            (import \"a-long-module-name\" \"and-another\" (func))
            (import \"a-long-module-name\" \"and-another-one\" (func)))";
        let bytes = wat::parse_str(text).unwrap();
        let error = Wasm::read(&bytes, &limits).unwrap_err();
        assert!(error.to_string().contains("max_listing"), "{error}");
        assert!(Wasm::read(&bytes, &Limits::default()).is_ok());
    }
}
