//! `wasm`: a WebAssembly module or component, what it asks for and what it gives.

use super::{Context, Kind, ProbeError, RestsOn, SubjectUse};
use crate::format::wasm::{Custom, Item, Memory, Producer, Wasm};
use crate::model::Address;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The kind.
pub struct TheKind;

/// It takes no arguments; the module or component is the subject, compressed or not.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {}

/// What the file says about itself. Of one that cannot be read to its end, the lists are absent.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: WasmType,
    /// The size of the file.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: u64,
    /// Whether it is valid by the specification, with the proposals that runtimes switch on.
    pub valid: bool,
    /// Why it is not, with the byte.
    pub problem: Option<String>,
    /// What it asks for.
    pub imports: Option<Vec<WasmItem>>,
    /// What it gives. A Spin application that answers HTTP gives `wasi:http/incoming-handler`.
    pub exports: Option<Vec<WasmItem>>,
    /// Its memories; of a component, those of the modules in it.
    pub memories: Option<Vec<WasmMemory>>,
    /// Its custom sections, in their order.
    pub custom_sections: Option<Vec<CustomSection>>,
    /// What it was made with: languages, compilers and kits, its parts' among them.
    pub producers: Option<Vec<WasmProducer>>,
    /// How many core modules are in a component, at any depth.
    pub modules: Option<u64>,
    /// How many components are in it, at any depth.
    pub components: Option<u64>,
    /// How many functions it has that are not imported.
    pub functions: Option<u64>,
}

/// A core module or a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WasmType {
    /// A core module.
    Module,
    /// A component: modules behind interfaces.
    Component,
}

/// An import or an export.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "name"))]
pub struct WasmItem {
    /// Its name: `wasi:http/incoming-handler@0.2.0`, `memory`, `fd_write`.
    pub name: String,
    /// The module from which a core module asks for it: `wasi_snapshot_preview1`.
    pub module: Option<String>,
    /// Its kind; `type`, `instance`, `value`, `module` and `component` are of components alone.
    #[schemars(extend("enum" = ["func", "table", "memory", "global", "tag", "instance", "type", "value", "module", "component"]))]
    pub kind: String,
    /// Where the name is that of an interface, the name without the version:
    /// `wasi:http/incoming-handler`.
    pub interface: Option<String>,
    /// The version of that interface: `0.2.0`.
    pub version: Option<String>,
}

/// A memory.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WasmMemory {
    /// Its size at the start.
    #[schemars(extend("x-unit" = "bytes"))]
    pub initial: u64,
    /// The size that it may grow to; absent where only the host bounds it.
    #[schemars(extend("x-unit" = "bytes"))]
    pub maximum: Option<u64>,
    /// Whether its addresses have 64 bits.
    pub wide: bool,
    /// Whether threads share it.
    pub shared: bool,
    /// Whether it is imported.
    pub imported: bool,
}

/// A custom section.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "name"))]
pub struct CustomSection {
    /// Its name: `name`, `producers`, `.debug_info`.
    pub name: String,
    /// Its size, without its name.
    #[schemars(extend("x-unit" = "bytes"))]
    pub size: u64,
}

/// Something it was made with.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "name"))]
pub struct WasmProducer {
    /// `language`, `processed-by` or `sdk`.
    pub field: String,
    /// Its name: `Rust`, `rustc`, `wit-component`.
    pub name: String,
    /// Its version; empty where it says none.
    pub version: String,
}

impl Kind for TheKind {
    const NAME: &'static str = "wasm";
    const SUMMARY: &'static str = "a WebAssembly module or component: imports, exports, interfaces";
    const SUBJECT: SubjectUse = SubjectUse::Required;
    const PURE: bool = true;
    const EXAMPLE: &'static str = "\
- name: the application answers HTTP and asks for nothing but WASI and Spin
  wasm:
  in: target/wasm32-wasip1/release/app.wasm
  expect:
    type: component
    valid: true
    exports: { any: { interface: wasi:http/incoming-handler, version: { semver: \">=0.2\" } } }
    imports: { every: { interface: { match: \"^(wasi|fermyon):\" } } }";
    const DESCRIBES: &'static [&'static str] = &["type", "valid", "imports", "exports", "memories"];
    type Args = Args;
    type Evidence = Evidence;

    fn rests_on(_: &Args, subject: Option<&Address>) -> RestsOn {
        RestsOn::subject(subject)
    }

    fn observe(
        _: Args,
        subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let subject = subject.ok_or_else(|| ProbeError::new("no module is named"))?;
        let image = context.image(subject)?.enter("")?;
        let bytes = image.read()?;
        let wasm = Wasm::read(&bytes, image.limits()).map_err(|error| image.failed(error))?;
        Ok(evidence(&wasm, bytes.len() as u64))
    }
}

fn evidence(wasm: &Wasm, size: u64) -> Evidence {
    let contents = wasm.contents.as_ref().ok();
    let problem = wasm.contents.as_ref().err().or(wasm.invalid.as_ref());
    Evidence {
        kind: match wasm.component {
            true => WasmType::Component,
            false => WasmType::Module,
        },
        size,
        valid: problem.is_none(),
        problem: problem.cloned(),
        imports: contents.map(|c| c.imports.iter().map(WasmItem::from).collect()),
        exports: contents.map(|c| c.exports.iter().map(WasmItem::from).collect()),
        memories: contents.map(|c| {
            let memory = |m: &Memory| WasmMemory {
                initial: m.initial,
                maximum: m.maximum,
                wide: m.wide,
                shared: m.shared,
                imported: m.imported,
            };
            c.memories.iter().map(memory).collect()
        }),
        custom_sections: contents.map(|c| {
            let section = |s: &Custom| CustomSection {
                name: s.name.clone(),
                size: s.size,
            };
            c.custom_sections.iter().map(section).collect()
        }),
        producers: contents.map(|c| {
            let producer = |p: &Producer| WasmProducer {
                field: p.field.clone(),
                name: p.name.clone(),
                version: p.version.clone(),
            };
            c.producers.iter().map(producer).collect()
        }),
        modules: contents.map(|c| c.modules),
        components: contents.map(|c| c.components),
        functions: contents.map(|c| c.functions),
    }
}

impl From<&Item> for WasmItem {
    fn from(item: &Item) -> Self {
        let (interface, version) = match item.interface() {
            Some((interface, version)) => (Some(interface), version),
            None => (None, None),
        };
        Self {
            interface: interface.map(str::to_owned),
            version: version.map(str::to_owned),
            name: item.name.clone(),
            module: item.module.clone(),
            kind: item.kind.to_owned(),
        }
    }
}
