//! Each kind: what passes, fails, and cannot be judged. A check's name begins with its verdict.

mod boot;
mod cmdline;
mod dns;
mod http;
mod matchbox;
mod modules;
mod patches;
mod port;
mod rests_on;
mod uki;
mod wasm;

pub(crate) use wasm::COMPONENT;

use std::fs;
use std::path::Path;

use tdg::check::KINDS;
use tdg::run::plan::{Request, plan};
use tdg::run::text::plan_error;

use crate::peers::{output, peer};
use crate::talos::{Image, Pack, Tools, initramfs, squashfs};
use crate::world::World;

#[test]
fn the_example_of_each_kind_is_a_check_without_a_mistake() {
    for kind in KINDS {
        let dir = tempfile::tempdir().unwrap();
        let lines: String = kind.example().lines().map(|l| format!("  {l}\n")).collect();
        let text = format!("spec: an example\nchecks:\n{lines}");
        let spec = dir.path().join("example.yaml");
        fs::write(&spec, &text).unwrap();
        let request = Request {
            paths: vec![spec],
            ..Request::default()
        };
        let plan = plan(&request).unwrap_or_else(|e| panic!("{text}\n{}", plan_error(&e, false)));
        assert_eq!(plan.trials.len(), 1);
        assert_eq!(plan.trials[0].kind.0.name(), kind.name());
        assert!(text.contains(&format!("  {}:", kind.name())));
    }
}

#[test]
fn file() {
    let world = World::new();
    world.write("a/text", "hello\n");
    world.mode("a/text", 0o640);
    std::os::unix::fs::symlink("text", world.path().join("a/link")).unwrap();
    std::os::unix::fs::symlink("/etc", world.path().join("a/out")).unwrap();
    let digest = peer("sha256sum").map(|sum| output(&sum, world.path(), &["a/text"]));
    let digest = digest.as_deref().and_then(|line| line.split(' ').next());
    let digest =
        digest.unwrap_or("5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
    world
        .run(&format!(
            "
spec: file
checks:
  - name: pass text, mode, size and digest
    file: a/text
    expect: {{ present: true, type: file, mode: \"0640\", size: 6, text: \"hello\\n\", sha256: {digest} }}
  - name: pass what is not there is not there
    file: a/nowhere
    expect: {{ present: false, count: 0, sha256: null, path: null }}
  - name: pass a glob in a folder
    file: '*'
    in: a
    expect: {{ count: 3, files: {{ contain: [text, {{ path: link, type: symlink, target: text }}] }} }}
  - name: pass the subject itself
    file:
    in: a/text
    expect: {{ size: {{ between: [1, 10] }} }}
  - name: fail another mode
    file: a/text
    expect: {{ mode: \"0755\" }}
  - name: fail what is not there
    file: a/nowhere
    expect: {{ present: true, size: {{ ge: 1 }} }}
  - name: error no such folder
    file: x
    in: nowhere
    expect: {{ present: false }}
  - name: error a file is no tree
    file: x
    in: a/text
    expect: {{ present: false }}
"
        ))
        .as_named();
}

#[test]
fn tree() {
    let world = World::new();
    world.write("t/usr/bin/x", "12345");
    world.write("t/usr/lib/y", "123");
    world.mode("t/usr/bin/x", 0o755);
    let report = world.run(
        "
spec: tree
subject: t
checks:
  - name: pass counts and sizes
    tree:
    expect: { count: 5, files: 2, size: 8, entries: [usr, usr/bin, usr/bin/x, usr/lib, usr/lib/y] }
  - name: pass a glob
    tree: usr/bin/**
    expect: { entries: [{ path: usr/bin/x, mode: \"0755\" }] }
  - name: fail something is there that is not on the list
    tree: usr/**
    expect: { entries: { contain-only: [usr/bin, usr/bin/x] } }
  - name: fail a glob over nothing
    tree: sbin/**
    expect: { entries: { every: { type: file } } }
  - name: error no such folder
    tree:
    in: nowhere
    expect: { count: 0 }
",
    );
    report.as_named();
    assert!(
        report
            .why("fail a glob over nothing")
            .contains("nothing to look at")
    );
    assert!(report.why("error no such folder").contains("nowhere"));
}

#[test]
fn command() {
    let world = World::new();
    world.write("sub/here", "");
    let report = world.run(
        r#"
spec: command
checks:
  - name: pass words without a shell
    command: printf '%s|' a "b c"
    expect: { exit-code: 0, stdout: "a|b c|", stderr: "", signal: null }
  - name: pass JSON by field
    command: [echo, '{"a": [1, {"b": "c"}]}']
    expect: { json: { a: [1, { b: c }] }, stdout: { json: { "$.a[1].b": c } } }
  - name: pass a script, an environment and input
    command: { sh: 'read line; echo "$line $WHO ${LOST-none}"; pwd', env: { WHO: me }, stdin: "hi\n", dir: sub }
    expect: { stdout: { match: '^hi me none\n.*/sub\n$' } }
  - name: pass a signal is no exit code
    command: { sh: 'kill -TERM $$' }
    expect: { exit-code: null, signal: 15 }
  - name: pass what is left running is counted
    command: { sh: 'sleep 300 >/dev/null 2>&1 & echo started' }
    expect: { stdout: "started\n", left-running: 1 }
  - name: fail another exit code
    command: ["false"]
    expect: { exit-code: 0 }
  - name: fail output that is no JSON
    command: [echo, no]
    expect: { json: { present: true } }
  - name: error no such program
    command: [no-such-program-here]
    expect: { exit-code: 0 }
  - name: error no such folder
    command: { argv: ["true"], dir: nowhere }
    expect: { exit-code: 0 }
  - name: error too slow
    command: [sleep, "300"]
    timeout: 300ms
    expect: { exit-code: 0 }
"#,
    );
    report.as_named();
    assert!(
        report
            .why("error no such program")
            .contains("no-such-program-here")
    );
    assert_eq!(report.trial("error too slow")["error"]["transient"], true);
}

#[test]
fn tool() {
    let world = World::new();
    world.write(
        "bin/odd-tool",
        "#!/bin/sh\n[ \"$1\" = -v ] && echo 'odd v2.7' >&2\n",
    );
    world.write("bin/mute-tool", "#!/bin/sh\nexit 1\n");
    world.mode("bin/odd-tool", 0o755);
    world.mode("bin/mute-tool", 0o755);
    world.write(
        "specs/it.yaml",
        "
spec: tool
checks:
  - name: pass it tells its version on standard error
    tool: odd-tool
    expect: { present: true, version: { semver: '>=2.7, <3' }, path: { ends-with: /bin/odd-tool } }
  - name: pass it is not there
    tool: no-such-program-here
    expect: { present: false, version: null }
  - name: fail too old
    tool: odd-tool
    expect: { version: { semver: '>=3' } }
  - name: fail it tells no version
    tool: mute-tool
    expect: { version: { semver: '>=0' } }
  - name: fail not even no version is a version
    tool: mute-tool
    expect: { version: { not: { semver: '>=1' } } }
",
    );
    let path = std::env::var("PATH").unwrap();
    let path = format!("{}:{path}", world.path().join("bin").display());
    let mut command = world.command(&["run", "specs", "--format", "json"]);
    crate::world::Report::of(crate::world::ran(command.env("PATH", path))).as_named();
}

#[test]
fn document() {
    let world = World::new();
    world.write(
        "a.yaml",
        "arch: arm64\nlist: [1, 2]\non: yes\n---\nsecond: true\n",
    );
    world.write("a.json", "{\"a\": {\"b\": [1, 2, 3]}}");
    world.write("a.toml", "[package]\nname = \"x\"\n");
    world.write("broken.yaml", "a: [1\nb: 2\n");
    world.write("bytes.yaml", b"a: \xff\n");
    world.write("twice.yaml", "a: 1\na: 2\n");
    let report = world.run(
        "
spec: document
checks:
  - name: pass YAML by path
    document: $.list[*]
    in: a.yaml
    expect: { format: yaml, documents: 2, found: 2, value: 1, values: [1, 2] }
  - name: pass a word is no boolean
    document: $.on
    in: a.yaml
    expect: { value: \"yes\" }
  - name: pass the second document
    document: { path: $.second, index: 1 }
    in: a.yaml
    expect: { value: true }
  - name: pass JSON
    document: $.a
    in: a.json
    expect: { value: { b: { len: 3 } } }
  - name: pass TOML inside a folder
    document: { path: $.package.name, file: a.toml }
    in: .
    expect: { value: x, format: toml }
  - name: pass a path to nothing
    document: $.nowhere
    in: a.json
    expect: { found: 0, value: null }
  - name: fail another value
    document: $.arch
    in: a.yaml
    expect: { value: amd64 }
  - name: fail a path to nothing is no value
    document: $.nowhere
    in: a.json
    expect: { value: { not: x } }
  - name: error not YAML
    document: $.a
    in: broken.yaml
    expect: { value: 1 }
  - name: error not text
    document: $.a
    in: bytes.yaml
    expect: { value: 1 }
  - name: error not JSON
    document: { path: $.a, format: json }
    in: a.yaml
    expect: { value: 1 }
  - name: error no such document
    document: { index: 7 }
    in: a.yaml
    expect: { found: 1 }
  - name: error missing
    document: $.a
    in: nowhere.yaml
    expect: { found: 0 }
  - name: error a key twice
    document: $.a
    in: twice.yaml
    expect: { value: 2 }
",
    );
    report.as_named();
    assert!(report.why("error not text").contains("byte 3"));
}

#[test]
fn checksums() {
    let Some(sum) = peer("sha256sum") else { return };
    let world = World::new();
    world.write("assets/a", "one");
    world.write("assets/sub/b", "two");
    let good = output(&sum, &world.path().join("assets"), &["a", "sub/b"]);
    let bsd = output(&sum, &world.path().join("assets"), &["--tag", "a"]);
    world.write("assets/good.sha256", &good);
    world.write("assets/bsd.sha256", bsd);
    world.write("assets/wrong.sha256", good.replacen(&good[..4], "0000", 1));
    world.write(
        "assets/missing.sha256",
        format!("{good}{}  c\n", "0".repeat(64)),
    );
    world.write(
        "assets/out.sha256",
        format!("{}  ../specs/it.yaml\n", "0".repeat(64)),
    );
    world.write("assets/words.sha256", "just words\n");
    world.write("assets/empty.sha256", "\n");
    let report = world.run(
        "
spec: checksums
checks:
  - name: pass as sha256sum writes it
    checksums: assets/good.sha256
    expect: { ok: true, count: 2, files: [a, { path: sub/b, state: ok }], unlisted: { contain: words.sha256 } }
  - name: pass in the BSD form, the subject
    checksums:
    in: assets/bsd.sha256
    expect: { ok: true, count: 1 }
  - name: fail another content
    checksums: assets/wrong.sha256
    expect: { ok: true }
  - name: pass another content is told
    checksums: assets/wrong.sha256
    expect: { files: { any: { path: a, state: mismatch } } }
  - name: fail a file is missing
    checksums: assets/missing.sha256
    expect: { files: { every: { state: ok } } }
  - name: fail a list of nothing
    checksums: assets/empty.sha256
    expect: { ok: true }
  - name: error a name leads out
    checksums: assets/out.sha256
    expect: { ok: false }
  - name: error no list of digests
    checksums: assets/words.sha256
    expect: { ok: false }
  - name: error missing
    checksums: assets/nowhere.sha256
    expect: { ok: false }
",
    );
    report.as_named();
    assert!(
        report
            .why("error no list of digests")
            .contains("words.sha256:1")
    );
}

#[test]
fn patches() {
    let Some(git) = peer("git") else { return };
    let world = World::new();
    let repository = world.path().join("upstream");
    fs::create_dir(&repository).unwrap();
    let run = |arguments: &[&str]| {
        let name = ["-c", "user.name=t", "-c", "user.email=t@t.invalid"];
        output(&git, &repository, &[&name[..], arguments].concat())
    };
    run(&["init", "-q", "-b", "main"]);
    world.write("upstream/run.sh", "#!/bin/sh\necho one\n");
    world.mode("upstream/run.sh", 0o755);
    run(&["add", "."]);
    run(&["commit", "-q", "-m", "one"]);
    world.write("upstream/run.sh", "#!/bin/sh\necho two\n");
    let change = run(&["diff"]);
    world.mode("upstream/run.sh", 0o644);
    let mode = run(&["diff"]);
    run(&["checkout", "-q", "."]);
    world.write("patches/01-change.patch", &change);
    world.write("patches/02-mode.patch", &mode);
    world.write("patches/03-again.patch", &change);
    let objects = run(&["count-objects", "-v"]);
    world.write("patches/good.series", "# one\n01-change.patch\n");
    world.write("patches/mode.series", "02-mode.patch\n");
    world.write(
        "patches/broken.series",
        "01-change.patch\n03-again.patch\n02-mode.patch\n",
    );
    world.write("patches/lost.series", "99-nowhere.patch\n");
    world.write("patches/empty.series", "# nothing\n");
    world.write("patches/forgotten.patch", "");
    let report = world.run(
        "
spec: patches
subject: upstream
checks:
  - name: pass the series applies
    patches: patches/good.series
    expect: { applies: true, count: 1, changed: [{ path: run.sh, change: modified, mode-changed: false }], unlisted: [forgotten.patch] }
  - name: pass the mode it takes away is seen
    patches: patches/mode.series
    expect: { changed: { any: { path: run.sh, mode-changed: true, old-mode: \"100755\", new-mode: \"100644\" } } }
  - name: fail the mode must not change
    patches: patches/mode.series
    expect: { changed: { every: { mode-changed: false } } }
  - name: fail the second does not apply
    patches: patches/broken.series
    expect: { applies: true }
  - name: pass which one and why is told
    patches: patches/broken.series
    expect: { patches: [{ applies: true }, { applies: false, problem: { contain: run.sh } }, { applies: false, problem: { contain: not tried } }] }
  - name: error a patch is missing
    patches: patches/lost.series
    expect: { applies: false }
  - name: error a series of nothing
    patches: patches/empty.series
    expect: { applies: true }
  - name: error no such commit
    patches: { series: patches/good.series, ref: v9 }
    expect: { applies: true }
  - name: error no repository
    patches: patches/good.series
    in: patches
    expect: { applies: true }
  - name: error no folder
    patches: patches/good.series
    in: nowhere
    expect: { applies: true }
",
    );
    report.as_named();
    assert_eq!(run(&["status", "--porcelain"]), "", "nothing is written");
    assert_eq!(run(&["count-objects", "-v"]), objects);
}

#[test]
fn build() {
    let world = World::new();
    let record = |exit: i32, fresh: bool| {
        serde_json::json!({
            "version": 1, "recipe": "r", "variant": "v", "commit": "c0ffee", "ref": "main", "head": "c0ffee",
            "series": [{"name": "01.patch", "sha256": "0"}],
            "steps": [{"command": "make", "exit": exit, "duration_s": 1.5, "log": "log"}],
            "artifacts": [{"path": "kernel-arm64", "bytes": 9, "sha256": "1", "fresh": fresh}],
            "started": "2026-01-01T00:00:00Z", "attempt": 2,
        })
        .to_string()
    };
    world.write(".tdg/records/good.json", record(0, true));
    world.write(".tdg/records/stale.json", record(0, false));
    world.write(".tdg/records/red.json", record(2, true));
    world.write(
        ".tdg/records/old.json",
        record(0, true).replace("\"version\":1", "\"version\":99"),
    );
    world.write(".tdg/records/torn.json", &record(0, true)[..40]);
    let report = world.run(
        "
spec: build
checks:
  - name: pass a fresh build
    build: good
    expect: { ok: true, ref: main, artifacts: [kernel-arm64], steps: { every: { exit-code: 0, duration: { lt: 2s } } }, attempt: 2 }
  - name: fail what make wrote is old
    build: stale
    expect: { ok: true }
  - name: fail make failed
    build: red
    expect: { ok: true }
  - name: error never built
    build: nowhere
    expect: { ok: false }
  - name: error of another version
    build: old
    expect: { ok: true }
  - name: error torn
    build: torn
    expect: { ok: true }
",
    );
    report.as_named();
    assert!(report.why("error never built").contains("tdg generate"));
}

/// A root file system with this machine's own `true` in it, and its loader only where asked for.
fn root_file_system(world: &World, with_loader: bool) -> std::path::PathBuf {
    let root = world.path().join(if with_loader {
        "root-whole"
    } else {
        "root-bare"
    });
    fs::create_dir_all(root.join("usr/bin")).unwrap();
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::copy("/bin/true", root.join("usr/bin/true")).unwrap();
    fs::write(root.join("usr/bin/script"), "#!/bin/sh\n").unwrap();
    fs::write(root.join("etc/os-release"), "ID=talos\n").unwrap();
    if with_loader {
        for library in [
            "/lib64/ld-linux-x86-64.so.2",
            "/lib/x86_64-linux-gnu/libc.so.6",
        ] {
            let to = root.join(library.trim_start_matches('/'));
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(library, to).unwrap();
        }
    }
    root
}

#[test]
fn initramfs_extension_elf_and_files_inside() {
    let Some(tools) = Tools::find() else { return };
    let world = World::new();
    let root = root_file_system(&world, false);
    // Twelve, so that names sort as text otherwise than as numbers: 0, 1, 10, 11, 2, …
    let mut extensions: Vec<(&str, &str, Image)> = vec![
        ("a0", "v1.0.0", Image::Full),
        ("a1", "v1.0.0", Image::Full),
        ("a2", "v1.0.0", Image::Full),
        ("hollow", "v1.0.0", Image::Empty),
        ("lost", "v1.0.0", Image::Missing),
        ("a5", "v1.0.0", Image::Full),
        ("stray", "v1.0.0", Image::Unlisted),
        ("a7", "v1.0.0", Image::Full),
        ("a8", "v1.0.0", Image::Full),
        ("a9", "v1.0.0", Image::Full),
        ("spin", "v0.21.0", Image::Full),
        ("tailscale", "1.98.5", Image::Full),
    ];
    for pack in [Pack::Zstd, Pack::Xz] {
        let compression = match pack {
            Pack::Zstd => "zstd",
            Pack::Xz => "xz",
        };
        initramfs(&tools, world.path(), &root, &extensions, pack);
        let report = world.run(&TALOS.replace("COMPRESSION", compression));
        report.as_named();
        assert!(report.why("fail another machine").contains("usr/bin/true"));
        assert!(
            report
                .why("fail its program is not in the image")
                .contains("nearest")
        );
    }
    // An image that cannot be read spoils what looks into it, and nothing else.
    extensions[10].2 = Image::Broken;
    initramfs(&tools, world.path(), &root, &extensions, Pack::Zstd);
    let report = world.run(
        "
spec: broken
subject: initramfs
checks:
  - name: pass the archive is still read
    initramfs:
    expect: { segments: 3, entries: { contain: 10.sqsh } }
  - name: error the image cannot be read
    extension: spin
    expect: { present: true }
  - name: error nor can it be said to be missing
    extension: spin
    expect: { present: false }
  - name: error the merged view
    elf: '**'
    expect: { files: { none: { machine: aarch64 } } }
  - name: error the merged tree
    tree:
    expect: { count: { ge: 1 } }
",
    );
    report.as_named();
    assert!(
        report
            .why("error the image cannot be read")
            .contains("10.sqsh")
    );
}

const TALOS: &str = "
spec: talos
subject: initramfs
checks:
  - name: pass every segment is read
    initramfs:
    expect:
      segments: 3
      layout: [{ compression: none, offset: 0 }, { compression: COMPRESSION }, { compression: COMPRESSION }]
      entries: { contain: [kernel/microcode.bin, init, rootfs.sqsh, extensions.yaml, 10.sqsh] }
      duplicates: { len: 0 }
      escaping: { len: 0 }
  - name: fail a segment more
    initramfs:
    expect: { segments: { ge: 4 } }
  - name: pass an extension is found by its name, not by its number
    extension: spin
    expect: { present: true, listed: true, version: { semver: '>=0.21' }, image: 10.sqsh, position: 9, files: { contain: /usr/local/bin/spin-program } }
  - name: pass the second is not the tenth
    extension: a2
    expect: { image: 2.sqsh, files: { contain: usr/local/bin/a2-program } }
  - name: pass listed and hollow
    extension: hollow
    expect: { present: false, listed: true, image-present: true, empty: true }
  - name: pass listed and lost
    extension: lost
    expect: { present: false, listed: true, image-present: false }
  - name: pass there and not listed
    extension: stray
    expect: { present: false, listed: false, version: null, unlisted: [6.sqsh] }
  - name: pass all of them
    extension:
    expect: { present: false, hollow: [hollow, lost], all: { len: 11 } }
  - name: fail a hollow extension is none
    extension: hollow
    expect: { present: true }
  - name: fail its program is not in the image
    extension: spin
    expect: { files: { contain: /usr/bin/spin-program } }
  - name: pass a file of the merged view
    file: /usr/local/bin/spin-program
    expect: { present: true, layer: spin, text: spin v0.21.0 }
  - name: pass a file of the root file system
    file: etc/os-release
    expect: { text: \"ID=talos\\n\", layer: rootfs.sqsh }
  - name: fail another machine
    elf: '**'
    expect: { count: 1, files: { every: { machine: aarch64 } } }
  - name: fail its loader is not in the image
    elf: usr/bin/*
    expect: { files: { every: { interpreter: { resolves: true } } } }
  - name: fail no program is there
    elf: sbin/**
    expect: { files: { every: { machine: aarch64 } } }
"
;

#[test]
fn an_elf_file_finds_its_loader_and_libraries_in_the_merged_view() {
    if std::env::consts::ARCH != "x86_64" || !Path::new("/lib64/ld-linux-x86-64.so.2").exists() {
        return;
    }
    let Some(tools) = Tools::find() else { return };
    let world = World::new();
    let root = root_file_system(&world, true);
    squashfs(&tools, &root, &world.path().join("root.sqsh"));
    initramfs(
        &tools,
        world.path(),
        &root,
        &[("a", "v1", Image::Full)],
        Pack::Zstd,
    );
    for subject in ["initramfs", "root.sqsh"] {
        world
            .run(&format!(
                "
spec: elf
subject: {subject}
checks:
  - name: pass all is there
    elf: '**'
    expect:
      count: 3
      files:
        every: {{ machine: x86_64, class: 64, interpreter: {{ resolves: true }}, libraries-resolve: true, damaged: null }}
        any: {{ path: usr/bin/true, linking: dynamic, needed: {{ contain: libc.so.6 }} }}
"
            ))
            .as_named();
    }
}

/// The inverse: the very same specs pass on Debian's ARM64 installer and fail on its amd64 twin.
#[test]
fn the_installer_for_another_machine_fails_and_says_why() {
    let images = Path::new("/usr/lib/debian-installer/images/12");
    let folder = |arch: &str| images.join(arch).join("text/debian-installer").join(arch);
    for arch in ["arm64", "amd64"] {
        let strict = std::env::var_os("TDG_STRICT").is_some_and(|v| v == "1");
        if !folder(arch).join("linux").exists() {
            assert!(!strict, "debian-installer-12-netboot-{arch} is missing");
            return;
        }
    }
    let world = World::new();
    let spec = "
spec: The installer is for ARM64
vars: { folder: . }
checks:
  - name: kernel
    kernel:
    in: ${{ vars.folder }}/linux
    expect: { arch: arm64, format: { one-of: [zboot, image] } }
  - name: programs
    elf: '**'
    in: ${{ vars.folder }}/initrd.gz
    expect: { count: { ge: 20 }, files: { every: { machine: aarch64 } } }
  - name: archive
    initramfs:
    in: ${{ vars.folder }}/initrd.gz
    expect: { layout: [{ compression: gzip }], entries: { contain: [init, bin/busybox] } }
";
    let on = |arch: &str| {
        let var = format!("folder={}", folder(arch).display());
        world.run_with(spec, &["--var", &var])
    };
    let right = on("arm64");
    assert_eq!(right.code, 0, "{:#}", right.json);
    let wrong = on("amd64");
    assert_eq!(wrong.code, 1);
    assert_eq!(wrong.verdict("archive"), "pass");
    let kernel = &wrong.trial("kernel")["failures"];
    assert_eq!(kernel[0]["path"], "arch");
    assert_eq!(kernel[0]["expected"], "\"arm64\"");
    assert_eq!(kernel[0]["actual"], "amd64");
    assert_eq!(kernel[1]["path"], "format");
    assert_eq!(kernel[1]["actual"], "bzimage");
    let programs = wrong.trial("programs")["failures"].as_array().unwrap();
    assert!(programs.len() >= 20, "every program is named");
    let shell = programs
        .iter()
        .find(|f| f["path"] == "files[bin/busybox].machine");
    assert_eq!(shell.unwrap()["actual"], "x86_64");
    assert_eq!(shell.unwrap()["expected"], "\"aarch64\"");
    assert_eq!(shell.unwrap()["place"]["line"], 12);
}

#[test]
fn a_compressed_file_and_what_it_decompresses_to_are_two_things() {
    let Some(gzip) = peer("gzip") else { return };
    let world = World::new();
    world.write("text", "hello\n");
    world.mode("text", 0o640);
    output(&gzip, world.path(), &["-n", "text"]);
    world
        .run(
            "
spec: decompressed
checks:
  - name: pass the file
    file: text.gz
    expect: { text: null, size: { ge: 7 } }
  - name: pass what it decompresses to
    file:
    in: text.gz!/
    expect:
      text: \"hello\\n\"
      size: 6
      mode: \"0640\"
      sha256: 5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03
  - name: fail another text
    file:
    in: text.gz!/
    expect: { text: hello }
",
        )
        .as_named();
}
