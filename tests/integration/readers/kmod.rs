//! Kernel modules against `modinfo`, their indexes against `depmod`: every
//! module of a real kernel, field by field.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tdg::format::kmod::index::{self, Dependencies};
use tdg::format::kmod::{Module, Signature, is_module, module_name, trie};
use tdg::format::node::escape;
use tdg::format::{Bytes, Limits};
use tdg::image::Image;

use crate::images::{Random, pipe};
use crate::peers::{fetched_modules, output, peer};

/// Every module below a folder, sorted.
fn modules(folder: &Path) -> Vec<PathBuf> {
    let walk = walkdir::WalkDir::new(folder).sort_by_file_name();
    let paths = walk.into_iter().map(|entry| entry.unwrap().into_path());
    paths
        .filter(|path| path.is_file() && is_module(path.to_str().unwrap()))
        .collect()
}

type Facts = Vec<(String, String)>;

/// What `modinfo` says of each file.
fn modinfo(tool: &Path, files: &[PathBuf]) -> Vec<Facts> {
    let mut said: Vec<Facts> = Vec::new();
    for part in files.chunks(200) {
        let mut arguments = vec!["-0"];
        arguments.extend(part.iter().map(|path| path.to_str().unwrap()));
        let text = output(tool, Path::new("/"), &arguments);
        for fact in text.split('\0').filter(|fact| !fact.is_empty()) {
            if fact.starts_with("filename:") {
                said.push(Facts::new());
                continue;
            }
            let (key, value) = match fact.strip_prefix("parm:") {
                Some(parm) => ("parm", parm.trim_start()),
                None => fact.split_once('=').unwrap(),
            };
            // The signature proper is of no use without the keys.
            if key != "signature" {
                let fact = (key.to_owned(), escape(value.as_bytes()));
                said.last_mut().unwrap().push(fact);
            }
        }
    }
    assert_eq!(said.len(), files.len());
    said
}

/// What is read here, as `modinfo` would say it.
fn ours(module: &Module) -> Facts {
    let (parameters, mut facts): (Facts, Facts) = module
        .info()
        .iter()
        .cloned()
        .partition(|(key, _)| key.starts_with("parm"));
    if let Signature::Present(signed) = &module.signature {
        let mut add = |key: &str, value: &str| facts.push((key.to_owned(), value.to_owned()));
        add("sig_id", "PKCS#7");
        add("signer", signed.signer.as_deref().unwrap_or_default());
        add("sig_key", &signed.key);
        add("sig_hashalgo", &signed.hash);
    }
    // `modinfo` joins the two tags of a parameter, the last parameter first.
    let mut joined: Vec<(&str, &str, &str)> = Vec::new();
    for (tag, value) in &parameters {
        let (name, said) = value.split_once(':').unwrap();
        if !joined.iter().any(|parameter| parameter.0 == name) {
            joined.push((name, "", ""));
        }
        let own = joined
            .iter_mut()
            .find(|parameter| parameter.0 == name)
            .unwrap();
        match tag.as_str() {
            "parm" => own.1 = said,
            _ => own.2 = said,
        }
    }
    for (name, meaning, kind) in joined.iter().rev() {
        let value = match (*meaning, *kind) {
            ("", kind) => format!("{name}:{kind}"),
            (meaning, "") => format!("{name}:{meaning}"),
            (meaning, kind) => format!("{name}:{meaning} ({kind})"),
        };
        facts.push(("parm".to_owned(), value));
    }
    facts
}

#[test]
fn every_module_of_a_kernel_is_read_as_modinfo_reads_it() {
    let (Some(tool), Some((directory, release))) = (peer("modinfo"), fetched_modules()) else {
        return;
    };
    let files = modules(&directory);
    assert!(files.len() > 500, "{} modules", files.len());
    let said = modinfo(&tool, &files);
    let mut tags = BTreeSet::new();
    for (path, said) in files.iter().zip(&said) {
        let bytes = std::fs::read(path).unwrap();
        let module = Module::read(&bytes[..]).unwrap();
        assert_eq!(&ours(&module), said, "{}", path.display());
        assert_eq!((module.machine.as_str(), module.class), ("aarch64", 64));
        assert_eq!(module.release(), Some(release.as_str()));
        assert_eq!(
            module.value("name"),
            Some(&*module_name(path.to_str().unwrap()))
        );
        tags.extend(said.iter().map(|(tag, _)| tag.clone()));
    }
    for tag in [
        "alias", "firmware", "version", "softdep", "depends", "sig_key",
    ] {
        assert!(
            tags.contains(tag),
            "no module has the tag `{tag}`: {tags:?}"
        );
    }
}

/// Copies some modules into a root file system, packed with a tool, and has
/// `depmod` make its indexes.
fn root(depmod: &Path, pack: Option<(&Path, &str)>, step: usize) -> Option<tempfile::TempDir> {
    let (directory, release) = fetched_modules()?;
    let world = tempfile::tempdir().unwrap();
    let to = world.path().join("lib/modules").join(&release);
    for path in modules(&directory).iter().step_by(step) {
        let mut target = to.join(path.strip_prefix(&directory).unwrap());
        std::fs::create_dir_all(target.parent().unwrap()).unwrap();
        let mut bytes = std::fs::read(path).unwrap();
        if let Some((tool, suffix)) = pack {
            bytes = pipe(tool, Path::new("/"), &["-c"], &bytes);
            target = target.with_added_extension(suffix);
        }
        std::fs::write(target, bytes).unwrap();
    }
    for name in ["modules.builtin", "modules.order"] {
        std::fs::copy(directory.join(name), to.join(name)).unwrap();
    }
    let base = world.path().to_str().unwrap();
    output(depmod, Path::new("/"), &["-b", base, &release]);
    Some(world)
}

#[test]
fn modules_packed_with_any_compressor_are_read_as_those_that_are_not() {
    let (Some(depmod), Some(modinfo_tool)) = (peer("depmod"), peer("modinfo")) else {
        return;
    };
    let plain = |path: &str| path.split(".ko").next().unwrap().to_owned();
    let mut wanted: Option<BTreeMap<String, Module>> = None;
    for (name, suffix) in [("", ""), ("zstd", "zst"), ("xz", "xz"), ("gzip", "gz")] {
        let tool = match name {
            "" => None,
            name => match peer(name) {
                Some(tool) => Some(tool),
                None => return,
            },
        };
        let pack = tool.as_deref().map(|tool| (tool, suffix));
        let Some(world) = root(&depmod, pack, 23) else {
            return;
        };
        let image = Image::open(world.path(), Limits::default()).unwrap();
        let merged = image.merged().unwrap();
        let (releases, stray) = merged.releases();
        assert!(stray.is_empty() && releases.len() == 1);
        let paths: Vec<&str> = releases[0].modules.iter().map(String::as_str).collect();
        let read = merged.modules(&paths).unwrap();
        assert!(read.len() > 20);
        for file in &read {
            let compression = if name.is_empty() { "none" } else { name };
            assert_eq!(file.compression.name(), compression, "{}", file.path);
        }
        let files: Vec<PathBuf> = read.iter().map(|f| world.path().join(&f.path)).collect();
        // Debian's `modinfo` is built without gzip.
        let said = if name == "gzip" {
            Vec::new()
        } else {
            modinfo(&modinfo_tool, &files)
        };
        for (file, said) in read.iter().zip(said) {
            assert_eq!(ours(file.module.as_ref().unwrap()), said, "{}", file.path);
        }
        let module = |file: &tdg::image::ModuleFile| file.module.clone().unwrap();
        let found = read
            .iter()
            .map(|file| (plain(&file.path), module(file)))
            .collect();
        assert_eq!(
            *wanted.get_or_insert_with(|| BTreeMap::clone(&found)),
            found
        );
    }
}

#[test]
fn what_depmod_writes_is_what_the_modules_say() {
    let Some(depmod) = peer("depmod") else { return };
    let Some(world) = root(&depmod, None, 1) else {
        return;
    };
    let limits = Limits::default();
    let image = Image::open(world.path(), limits.clone()).unwrap();
    let merged = image.merged().unwrap();
    let (releases, _) = merged.releases();
    let release = &releases[0];
    let directory = world.path().join(&release.path);
    let text = |name: &str| std::fs::read(directory.join(name)).unwrap();

    // The text and the binary form, and every dependency of every module.
    let mut dep = index::dependencies(&text("modules.dep"), &limits).unwrap();
    let mut binary = index::binary_dependencies(&text("modules.dep.bin"), &limits).unwrap();
    dep.sort();
    binary.sort();
    assert_eq!(dep, binary);
    let listed: BTreeSet<String> = dep
        .iter()
        .map(|d| format!("{}/{}", release.path, d.path))
        .collect();
    assert_eq!(listed, release.modules.iter().cloned().collect());
    let by_name: BTreeMap<String, &Dependencies> = dep
        .iter()
        .map(|line| (module_name(&line.path), line))
        .collect();
    let paths: Vec<&str> = release.modules.iter().map(String::as_str).collect();
    let mut aliases = BTreeSet::new();
    let mut soft = 0;
    for file in merged.modules(&paths).unwrap() {
        let module = file.module.as_ref().unwrap();
        let name = module_name(&file.path);
        let needs: BTreeSet<String> = by_name[&name]
            .needs
            .iter()
            .map(|p| module_name(p))
            .collect();
        for direct in module.depends() {
            let direct = &direct.replace('-', "_");
            assert!(needs.contains(direct), "{name} needs {direct}: {needs:?}");
        }
        let alias = |pattern: &str| (pattern.to_owned(), name.clone());
        aliases.extend(module.values("alias").map(alias));
        soft += module.values("softdep").count();
    }

    // `depmod` writes `-` as `_` outside of brackets.
    let same = |pattern: &str| pattern.replace('-', "_");
    let wanted: BTreeSet<_> = aliases.iter().map(|(p, m)| (same(p), m.clone())).collect();
    let lines = index::aliases(&text("modules.alias"), &limits).unwrap();
    let found: BTreeSet<_> = lines
        .iter()
        .map(|a| (same(&a.pattern), a.module.clone()))
        .collect();
    assert_eq!(found, wanted);
    let values = trie::values(&text("modules.alias.bin"), &limits).unwrap();
    let binary: BTreeSet<_> = values
        .iter()
        .map(|v| (same(&v.key), v.value.clone()))
        .collect();
    assert_eq!(binary, wanted);

    let lines = index::soft_dependencies(&text("modules.softdep"), &limits).unwrap();
    assert_eq!(lines.len(), soft);
    let names =
        |files: &[String]| -> BTreeSet<String> { files.iter().map(|f| module_name(f)).collect() };
    let builtin = names(&index::files(&text("modules.builtin"), &limits).unwrap());
    let values = trie::values(&text("modules.builtin.bin"), &limits).unwrap();
    assert_eq!(builtin, values.into_iter().map(|v| v.key).collect());
    let order = index::files(&text("modules.order"), &limits).unwrap();
    let order: BTreeSet<String> = order
        .iter()
        .map(|f| format!("{}/{f}", release.path))
        .collect();
    assert_eq!(order, listed);
}

#[test]
fn broken_modules_and_indexes_are_refused_or_told_and_never_more() {
    let Some((directory, _)) = fetched_modules() else {
        return;
    };
    let path = modules(&directory)
        .into_iter()
        .find(|path| path.ends_with("virtio_net.ko"));
    let bytes = std::fs::read(path.unwrap()).unwrap();
    let whole = Module::read(&bytes[..]).unwrap();
    assert!(matches!(whole.signature, Signature::Present(_)));
    // Cut in its signature it is a module with a broken one, cut before that it is none.
    for cut in [1, 27, 28, 39, 40, 41, 300] {
        let module = Module::read(&bytes[..bytes.len() - cut]).unwrap();
        assert!(
            matches!(module.signature, Signature::Broken(_)),
            "{cut}: {:?}",
            module.signature
        );
        assert_eq!(module.info(), whole.info());
    }
    let mut random = Random::new(7);
    for _ in 0..200 {
        let cut = random.below(bytes.len() - 2000);
        assert!(Module::read(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for _ in 0..400 {
        let mut other = bytes.clone();
        for _ in 0..1 + random.below(4) {
            // Headers and the table of sections more often than code.
            let at = match random.below(3) {
                0 => random.below(64),
                1 => bytes.len() - 1 - random.below(6000),
                _ => random.below(bytes.len()),
            };
            other[at] = u8::try_from(random.below(256)).unwrap();
        }
        let _ = Module::read(&Bytes::new(other));
    }
}
