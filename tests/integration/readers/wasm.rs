//! WebAssembly modules against wabt: what `wat2wasm` writes is what
//! `wasm-objdump` and this reader see.

use std::path::Path;

use tdg::format::Limits;
use tdg::format::wasm::{Contents, Wasm};

use crate::images::Random;
use crate::peers::{output, peer};

const MODULES: [&str; 4] = [
    "(module)",
    "(module
        (import \"wasi_snapshot_preview1\" \"fd_write\" (func (param i32 i32 i32 i32) (result i32)))
        (import \"env\" \"log\" (func $log (param i64)))
        (memory (export \"memory\") 2 17)
        (global $g (export \"answer\") (mut i32) (i32.const 42))
        (table (export \"t\") 1 2 funcref)
        (func $start (export \"_start\") (call $log (i64.const 7)))
        (func (export \"add\") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
        (data (i32.const 8) \"hello\"))",
    "(module
        (import \"host\" \"mem\" (memory 1))
        (import \"host\" \"tab\" (table 3 funcref))
        (import \"host\" \"base\" (global i32))
        (func (export \"a name with \\\"quotes\\\"\") nop)
        (func (export \"f\") (drop (v128.const i32x4 1 2 3 4))))",
    "(module (memory 0) (func $recursive (call $recursive)) (start $recursive))",
];

/// Writes each module as a file.
fn modules(folder: &Path, wat2wasm: &Path) -> Vec<Vec<u8>> {
    let made = MODULES.iter().enumerate().map(|(index, text)| {
        std::fs::write(folder.join("in.wat"), text).unwrap();
        let name = format!("{index}.wasm");
        let arguments = ["in.wat", "--debug-names", "-o", &name];
        output(wat2wasm, folder, &arguments);
        std::fs::read(folder.join(name)).unwrap()
    });
    made.collect()
}

/// Says what a module is made of in the words of `wasm-objdump -x`.
fn ours(contents: &Contents) -> Vec<String> {
    let mut lines = Vec::new();
    for import in &contents.imports {
        let module = import.module.as_deref().unwrap();
        lines.push(format!("import {} {module}.{}", import.kind, import.name));
    }
    for memory in &contents.memories {
        let pages = |bytes: u64| bytes >> 16;
        let max = memory.maximum.map(|max| format!(" max={}", pages(max)));
        let max = max.unwrap_or_default();
        lines.push(format!("memory initial={}{max}", pages(memory.initial)));
    }
    for export in &contents.exports {
        lines.push(format!("export {} {}", export.kind, export.name));
    }
    for custom in &contents.custom_sections {
        lines.push(format!("custom {} {}", custom.name, custom.size));
    }
    lines
}

/// Reads what `wasm-objdump` prints of a module.
fn theirs(objdump: &Path, folder: &Path, name: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let text = output(objdump, folder, &["-x", name]);
    let (mut imports, mut memories, mut exports) = (Vec::new(), Vec::new(), Vec::new());
    let mut section = "";
    for line in text.lines() {
        if !line.starts_with(' ') {
            section = line.split('[').next().unwrap();
        }
        let Some(entry) = line.strip_prefix(" - ") else {
            continue;
        };
        let kind = entry.split('[').next().unwrap();
        // `memory[0] pages: initial=2 max=17 <- host.mem`
        let pages = || {
            let text = entry.split_once("pages: ").unwrap().1;
            format!("memory {}", text.split(" <-").next().unwrap())
        };
        match section {
            "Import" => {
                let from = entry.rsplit_once("<- ").unwrap().1;
                imports.push(format!("import {kind} {from}"));
                if kind == "memory" {
                    memories.push(pages());
                }
            }
            "Memory" => memories.push(pages()),
            "Export" => {
                let name = entry.split_once("-> \"").unwrap().1;
                exports.push(format!("export {kind} {}", name.strip_suffix('"').unwrap()));
            }
            _ => {}
        }
    }
    lines.extend(imports);
    lines.extend(memories);
    lines.extend(exports);
    let text = output(objdump, folder, &["-h", name]);
    for line in text
        .lines()
        .filter(|line| line.trim_start().starts_with("Custom "))
    {
        // `Custom start=0x9 end=0x1c (size=0x13) "name"`, the size with the name.
        let size = line
            .split_once("size=0x")
            .unwrap()
            .1
            .split(')')
            .next()
            .unwrap();
        let size = u64::from_str_radix(size, 16).unwrap();
        let name = line.split_once('"').unwrap().1.trim_end_matches('"');
        lines.push(format!("custom {name} {}", size - name.len() as u64 - 1));
    }
    lines
}

#[test]
fn modules_are_read_as_wasm_objdump_reads_them() {
    let (Some(wat2wasm), Some(objdump)) = (peer("wat2wasm"), peer("wasm-objdump")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    for (index, bytes) in modules(folder.path(), &wat2wasm).iter().enumerate() {
        let wasm = Wasm::read(bytes, &Limits::default()).unwrap();
        assert!(!wasm.component && wasm.invalid.is_none());
        let said = theirs(&objdump, folder.path(), &format!("{index}.wasm"));
        assert!(index == 0 || said.len() > 1, "{said:?}");
        assert_eq!(
            ours(wasm.contents.as_ref().unwrap()),
            said,
            "module {index}"
        );
    }
}

#[test]
fn what_wabt_calls_valid_is_valid_and_what_is_cut_is_not() {
    let (Some(wat2wasm), Some(validate)) = (peer("wat2wasm"), peer("wasm-validate")) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let modules = modules(folder.path(), &wat2wasm);
    let sound = |wasm: &Wasm| wasm.contents.is_ok() && wasm.invalid.is_none();
    let whole = &modules[1];
    for cut in 8..whole.len() {
        let wasm = Wasm::read(&whole[..cut], &Limits::default()).unwrap();
        // Cut between two sections it may be a smaller module.
        assert!(
            !sound(&wasm)
                || wasm.contents != Wasm::read(whole, &Limits::default()).unwrap().contents
        );
    }
    let path = folder.path().join("changed.wasm");
    let mut random = Random::new(3);
    let mut seen = [0, 0];
    for _ in 0..300 {
        let mut bytes = modules[1 + random.below(2)].clone();
        let at = 8 + random.below(bytes.len() - 8);
        bytes[at] = u8::try_from(random.below(256)).unwrap();
        std::fs::write(&path, &bytes).unwrap();
        let theirs = std::process::Command::new(&validate)
            .arg(&path)
            .output()
            .unwrap();
        let valid = sound(&Wasm::read(&bytes, &Limits::default()).unwrap());
        // The other way does not hold: wabt knows fewer proposals.
        assert!(valid || !theirs.status.success(), "byte {at}");
        seen[usize::from(valid)] += 1;
    }
    assert!(seen[0] > 20 && seen[1] > 20, "{seen:?}");
}

#[test]
fn a_component_that_is_changed_anywhere_never_ends_a_run() {
    let bytes = wat::parse_str(crate::kinds::COMPONENT).unwrap();
    let mut random = Random::new(5);
    let whole = Wasm::read(&bytes, &Limits::default()).unwrap();
    assert!(whole.component && whole.invalid.is_none() && whole.contents.is_ok());
    for cut in 8..bytes.len() {
        let wasm = Wasm::read(&bytes[..cut], &Limits::default()).unwrap();
        assert_ne!(wasm, whole, "cut at {cut}");
    }
    for _ in 0..2000 {
        let mut changed = bytes.clone();
        for _ in 0..1 + random.below(3) {
            let at = random.below(changed.len());
            changed[at] = u8::try_from(random.below(256)).unwrap();
        }
        let _ = Wasm::read(&changed, &Limits::default());
    }
}
