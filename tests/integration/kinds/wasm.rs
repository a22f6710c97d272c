//! `wasm`: modules made by wabt, components assembled from their text.

use crate::images::pipe;
use crate::peers::{output, peer};
use crate::world::World;

/// What a Spin application that answers HTTP is, in little.
pub(crate) const COMPONENT: &str = r#"
(component
  (import "wasi:http/types@0.2.0" (instance $types
    (export "fields" (type (sub resource)))))
  (import "fermyon:spin/key-value@2.0.0" (instance))
  (core module $inner
    (memory (export "memory") 1 4)
    (func (export "handle") (param i32 i32))
    (@custom "producers" "\01\08language\01\04Rust\041.91"))
  (component $nested (core module (memory 3)))
  (core instance $i (instantiate $inner))
  (func $handle (param "request" u32) (param "response" u32) (canon lift (core func $i "handle")))
  (instance $handler (export "handle" (func $handle)))
  (export "wasi:http/incoming-handler@0.2.0" (instance $handler))
  (export "run" (func $handle))
  (@custom "producers" "\01\0cprocessed-by\01\0dwit-component\070.263.0")
  (@custom "version" "1.2"))
"#;

#[test]
fn wasm() {
    let (Some(wat2wasm), Some(gzip)) = (peer("wat2wasm"), peer("gzip")) else {
        return;
    };
    let world = World::new();
    let component = wat::parse_str(COMPONENT).unwrap();
    world.write("app.wasm", &component);
    world.write(
        "app.wasm.gz",
        pipe(&gzip, world.path(), &["-c"], &component),
    );
    world.write("cut.wasm", &component[..component.len() - 3]);
    world.write(
        "module.wat",
        "(module (import \"env\" \"f\" (func)) (memory (export \"memory\") 1) (func (export \"_start\")))",
    );
    output(
        &wat2wasm,
        world.path(),
        &["module.wat", "-o", "module.wasm"],
    );
    // It gives a number where it says that it gives none.
    world.write("wrong.wat", "(module (func (export \"f\") (i32.const 1)))");
    output(
        &wat2wasm,
        world.path(),
        &["--no-check", "wrong.wat", "-o", "wrong.wasm"],
    );
    world.write("words", "just words\n");
    let report = world.run(
        "
spec: wasm
subject: app.wasm
checks:
  - name: pass a component that answers HTTP
    wasm:
    expect:
      type: component
      valid: true
      problem: null
      exports: { any: { interface: wasi:http/incoming-handler, version: { semver: '>=0.2' }, kind: instance }, contain: run, len: 2 }
      imports: [{ name: wasi:http/types@0.2.0, kind: instance, module: null }, { interface: fermyon:spin/key-value, version: 2.0.0 }]
      producers: [{ field: language, name: Rust, version: '1.91' }, { field: processed-by, name: wit-component }]
      custom-sections: { contain: [{ name: producers, size: 37 }, { name: version, size: 3 }] }
      memories: [{ initial: 64 KiB, maximum: 256 KiB, wide: false }, { initial: 192 KiB, maximum: null }]
      modules: 2
      components: 1
      functions: 1
  - name: pass a compressed one
    wasm:
    in: app.wasm.gz
    expect: { type: component, valid: true }
  - name: pass a module
    wasm:
    in: module.wasm
    expect: { type: module, valid: true, imports: [{ module: env, name: f, kind: func, interface: null }], exports: [memory, _start], modules: 0 }
  - name: fail a module is no component
    wasm:
    in: module.wasm
    expect: { type: component }
  - name: fail it answers no HTTP
    wasm:
    in: module.wasm
    expect: { exports: { any: { interface: wasi:http/incoming-handler } } }
  - name: fail another version
    wasm:
    expect: { exports: { any: { interface: wasi:http/incoming-handler, version: { semver: '>=0.3' } } } }
  - name: fail it does not hold together
    wasm:
    in: wrong.wasm
    expect: { valid: true }
  - name: pass why, and what is in it all the same
    wasm:
    in: wrong.wasm
    expect: { valid: false, problem: { contain: type mismatch }, exports: [f] }
  - name: pass one that is cut is told
    wasm:
    in: cut.wasm
    expect: { valid: false, problem: { contain: unexpected end }, type: component, exports: null }
  - name: fail of one that is cut nothing is known
    wasm:
    in: cut.wasm
    expect: { imports: { len: { ge: 0 } } }
  - name: error no WebAssembly
    wasm:
    in: words
    expect: { valid: false }
  - name: error nothing there
    wasm:
    in: nowhere.wasm
    expect: { valid: false }
",
    );
    report.as_named();
    assert!(report.why("error no WebAssembly").contains("asm"));
}
