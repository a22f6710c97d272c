use super::*;
use crate::generate::recipe::{BuildValues, Class, RedFirst, Remedy, Setting};
use std::fs;
use std::time::Duration;

fn read(text: &str) -> Result<Recipe, String> {
    let folder = tempfile::tempdir().unwrap();
    for name in [
        "patches/spin-only.series",
        "patches/spin-tailscale.series",
        "specs/a.yaml",
        "scripts/remedy",
    ] {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }
    let path = folder.path().join("tdg.yaml");
    fs::write(&path, text).unwrap();
    load(&path, &[("level".into(), "9".into())]).map_err(|error| match error {
        RecipeError::Wrong {
            diagnostics,
            sources,
        } => diagnostics
            .render(&sources, false)
            .replace(&folder.path().display().to_string(), "DIR"),
        unreadable @ RecipeError::Unreadable { .. } => unreadable.to_string(),
    })
}

const WHOLE: &str = "\
recipe: cozystack-talos-arm64
source: { git: https://github.com/cozystack/cozystack, ref: v1.6.2 }
vars: { level: 1, dir: packages/core }
matrix: { variant: [spin-only, spin-tailscale] }
patches: patches/${{ matrix.variant }}.series
build:
  dir: ${{ vars.dir }}/talos
  steps: [make update, make talos-metal talos-kernel, { sh: 'echo $HOME | cat' }]
  timeout: 60m
  env: { LEVEL: '${{ vars.level }}', N: 3 }
artifacts: { from: _out/assets, files: [kernel-arm64, metal-arm64.raw.xz] }
verify: [specs]
package:
  oci: ghcr.io/urmanac/talos-cozystack-demo/${{ build.variant }}
  tags: [demo-stable, '${{ build.ref }}', '${{ build.date }}-${{ build.commit[:7] }}']
  platform: linux/arm64
  prefix: assets/talos/arm64
  files: { kernel-arm64: boot/vmlinuz }
  annotations: { org.opencontainers.image.licenses: Apache-2.0 }
iterate:
  max-attempts: 8
  budget: 2h
  red-first: build
  remedies:
    - rebase
    - retry: { on: [network], attempts: 4 }
    - run: [scripts/remedy]
";

#[test]
fn a_whole_recipe() {
    let recipe = read(WHOLE).unwrap();
    assert_eq!(recipe.name, "cozystack-talos-arm64");
    assert_eq!(recipe.retry(Class::Network).unwrap().attempts, 4);
    assert_eq!(recipe.retry(Class::Disk), None);
    assert_eq!(recipe.iterate.budget, Some(Duration::from_secs(7200)));
    assert_eq!(recipe.iterate.red_first, RedFirst::Build);
    assert_eq!(recipe.iterate.remedies[0], Remedy::Rebase);
    let names: Vec<&str> = recipe.variants.iter().map(|v| v.name.as_str()).collect();
    assert_eq!(names, ["spin-only", "spin-tailscale"]);
    let variant = &recipe.variants[1];
    assert_eq!(
        variant.series.as_deref(),
        Some("patches/spin-tailscale.series")
    );
    assert_eq!(variant.build.dir, "packages/core/talos");
    assert_eq!(
        variant.build.steps[1].argv,
        ["make", "talos-metal", "talos-kernel"]
    );
    assert_eq!(
        variant.build.steps[2].argv,
        ["sh", "-eu", "-c", "echo $HOME | cat"]
    );
    assert_eq!(variant.build.steps[0].line, 8);
    let package = variant.package.as_ref().unwrap();
    let built = package.fill(&BuildValues {
        variant: "spin-tailscale".into(),
        reference: "v1.6.2".into(),
        commit: "89".repeat(20),
        date: "20261127".into(),
    });
    let built = built.unwrap();
    let repository = "ghcr.io/urmanac/talos-cozystack-demo/spin-tailscale";
    let tags = ["demo-stable", "v1.6.2", "20261127-8989898"];
    assert_eq!(
        built.references(),
        tags.map(|t| format!("{repository}:{t}"))
    );
    assert_eq!(built.place("x"), "assets/talos/arm64/x");
    assert_eq!(built.files["kernel-arm64"], "boot/vmlinuz");
    assert!(!format!("{package:?}").contains(&std::env::var("PATH").unwrap()));
    let env = [
        ("LEVEL".to_owned(), Setting::Value("9".into())),
        ("N".to_owned(), Setting::Value("3".into())),
    ];
    assert_eq!(variant.build.env, env);
}

#[test]
fn the_least_recipe() {
    let text = "recipe: x\nsource: {git: ../up, ref: main}\nbuild: {steps: [make], env: [CI]}\nartifacts: {files: [a]}\nverify: specs/a.yaml\n";
    let recipe = read(text).unwrap();
    assert_eq!(recipe.variants[0].name, "default");
    assert!(recipe.variants[0].row.is_empty());
    assert_eq!(
        recipe.variants[0].build.env,
        [("CI".to_owned(), Setting::Passed)]
    );
    assert_eq!(recipe.iterate, Iterate::default());
    assert_eq!(recipe.retry(Class::Network), None);
}

#[test]
fn every_mistake_is_reported_at_once() {
    let text = "\
recipie: x
source: { git: -u, ref: 'v1..v2', branch: x }
matrix: { variant: [spin-only, 'a b'] }
patches: patches/${{ matrix.varant }}.series
build:
  dir: ../x
  steps: [make a | cat, 'A=1 make', 'make', { bash: x }]
  timeout: soon
  env: ['A=1', '1A']
artifacts: { from: /out, files: ['*.raw', a, a] }
verify: [specs, nowhere]
package: yes
iterate:
  max-attempts: 0
  red-first: never
  remedies: [rebsae, { retry: { on: [dsk], clear: 1 } }, { run: [scripts/none] }, { retry: , run: [a] }]
";
    insta::assert_snapshot!(read(text).unwrap_err());
}

#[test]
fn a_wrong_value_of_a_key_is_told() {
    let least = "recipe: x\nsource: {git: ../up, ref: main}\nartifacts: {files: [a]}\nverify: specs/a.yaml\n";
    for (more, says) in [
        (
            "build: {steps: [{run: make, timeout: soon}]}",
            "`timeout` is a duration",
        ),
        (
            "build: {steps: [{run: make, sh: make}]}",
            "a step has `run` or `sh`, not both",
        ),
        ("build: {steps: [{timeout: 3s}]}", "`sh` is missing"),
        (
            "build: {steps: [make]}\niterate: { parallel: 0 }",
            "`parallel` is a number of 1 or more",
        ),
        (
            "build: {steps: [make]}\niterate: { parallel: many }",
            "`parallel` is a number of 1 or more",
        ),
    ] {
        let said = read(&format!("{least}{more}\n")).unwrap_err();
        assert!(said.contains(says), "{more:?}: {said}");
    }
}

#[test]
fn every_mistake_in_a_package_is_reported_at_once() {
    let text = "\
recipe: x
source: { git: ../up, ref: feature/x }
matrix: { variant: [spin-only, spin-tailscale] }
build: { steps: [make] }
artifacts: { files: [a, b] }
verify: specs
package:
  oci: ghcr.io/Owner/name:v1
  tags: [a/b, '${{ build.ref }}', '${{ build.shrt }}', latest, latest]
  format: image
  prefix: ../up
  annotations: { a: [b] }
  media-types: { layer: gzip, manifest: x/y }
  push: maybe
  fils: {}
";
    insta::assert_snapshot!(read(text).unwrap_err());
    let with = |package: &str| {
        let (before, _) = text.split_once("package:").unwrap();
        read(&format!("{before}package: {package}\n"))
    };
    for (package, says) in [
        ("{ tags: [a] }", "`oci` is missing"),
        ("{ oci: r.example/a, push: true }", "`tags` is missing"),
        ("{ oci: alone }", "names no owner"),
        ("{ format: tar }", "`format` is `flux`, `image` or `files`"),
        ("{ platform: arm64 }", "`arm64` is no platform"),
        ("{ files: { c: x } }", "`c` is no artifact"),
        ("{ files: { a: x, b: x/y } }", "in each other's place"),
        ("{ files: { a: validation } }", "in each other's place"),
        (
            "{ files: { a: checksums.sha256 } }",
            "in each other's place",
        ),
        ("{ files: { a: x//y } }", "is no path of a package"),
        ("{ files: [a] }", "`files` maps artifacts"),
        (
            "{ oci: r.example/a, tags: [latest] }",
            "spin-only and spin-tailscale would both be r.example/a:latest",
        ),
    ] {
        let said = with(package).unwrap_err();
        assert!(said.contains(says), "{package}: {said}");
    }
    for package in [
        "{}",
        "{ oci: r.example/a, tags: ['${{ matrix.variant }}'] }",
    ] {
        with(package).unwrap();
    }
}

#[test]
fn other_documents_are_refused() {
    for (text, says) in [
        ("", "a recipe is a map"),
        ("[a]", "a recipe is a map"),
        ("recipe: [", "not valid YAML"),
        ("recipe: a\nrecipe: b\n", "recipe"),
        ("recipe: a\nmatrix: {}\n", "a matrix without rows"),
        ("recipe: a\nbuild: {steps: []}\n", "builds nothing"),
        (
            "recipe: a\npatches: 'patches/*.patch'\nbuild: {steps: [a]}\n",
            "nothing is applied by a pattern",
        ),
        (
            "recipe: a\nmatrix: {a: [x, x-y], b: [y-z, z]}\nbuild: {steps: [a]}\nartifacts: {files: [a]}\nverify: specs\n",
            "two rows are named `x-y-z`",
        ),
    ] {
        let said = read(text).unwrap_err();
        assert!(said.contains(says), "{text:?}: {said}");
    }
    assert!(
        load(Path::new("/no/tdg.yaml"), &[])
            .unwrap_err()
            .to_string()
            .contains("cannot be read")
    );
}
