//! The kind `oci` on what is in a registry, and the spec for published images of `docs/specs`.

use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use serde_json::{Value, json};

use crate::generate::project;
use crate::peers::{output, peer};
use crate::servers::{PASSWORD, Server, registry};
use crate::world::{Report, World, ran};

/// A registry with the two variants that `docs/specs/published-image.yaml` asks for.
struct Published {
    world: World,
    server: Server,
    auth: PathBuf,
}

impl Published {
    fn new(locked: bool) -> Option<Self> {
        let world = World::new();
        let server = registry(&world.path().join("registry"), locked)?;
        project(
            world.path(),
            "\techo $(VARIANT) > out/one\n\techo 2 > out/sub/two\n\techo t > out/tool\n",
        );
        let host = format!("127.0.0.1:{}", server.port);
        let recipe = format!(
            "recipe: same\nsource: {{ git: ./upstream, ref: v1 }}\n\
             matrix: {{ variant: [spin-only, spin-tailscale] }}\n\
             build: {{ steps: [make], env: {{ VARIANT: '${{{{ matrix.variant }}}}' }} }}\n\
             artifacts: {{ from: out, files: [one, sub/two, tool] }}\nverify: [specs/a.yaml]\n\
             package: {{ oci: '{host}/demo/${{{{ build.variant }}}}', tags: [demo-stable, v1], \
             platform: linux/arm64, format: image, prefix: assets/talos/arm64 }}\n"
        );
        world.write("tdg.yaml", recipe);
        world.write("specs/a.yaml", "spec: a\nmatrix: { variant: [spin-only, spin-tailscale] }\nvars: { assets: x }\nchecks:\n  - name: one\n    file: '${{ vars.assets }}/one'\n    expect: { present: true }\n");
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("builder:{PASSWORD}"));
        let auth = json!({ "auths": { host: { "auth": pair } } });
        let auth = world.write("auth.json", auth.to_string());
        let published = Self {
            world,
            server,
            auth,
        };
        let said = published.tdg(&["generate", "--push"]);
        assert_eq!(said.code, 0, "{said:?}");
        Some(published)
    }

    fn repository(&self) -> String {
        format!("127.0.0.1:{}/demo", self.server.port)
    }

    fn tdg(&self, arguments: &[&str]) -> crate::world::Ran {
        let mut command = self.world.command(arguments);
        ran(command
            .env("REGISTRY_AUTH_FILE", &self.auth)
            .env("HOME", self.world.path()))
    }

    /// Runs the spec of the documentation; gives the checks that are red.
    fn red(&self) -> Vec<String> {
        let spec = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/specs/published-image.yaml");
        let repository = format!("repository={}", self.repository());
        let spec = spec.display().to_string();
        let report =
            Report::of(self.tdg(&["run", &spec, "--format", "json", "--var", &repository]));
        let red = report
            .trials()
            .iter()
            .filter(|t| !["pass", "skip"].contains(&t["verdict"].as_str().unwrap()));
        let mut names: Vec<String> = red
            .map(|t| t["check"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(report.trials().len(), 18, "{:#}", report.json);
        names.dedup();
        names.sort();
        names.dedup();
        names
    }

    /// Runs checks on one of the images.
    fn run(&self, checks: &str) -> Report {
        let spec = format!(
            "spec: it\nsubject: oci://{}/spin-only:demo-stable\nchecks:\n{checks}",
            self.repository()
        );
        self.world.write("it.yaml", spec);
        Report::of(self.tdg(&["run", "it.yaml", "--format", "json"]))
    }

    fn copy(&self, from: &str, to: &str) {
        let skopeo = peer("skopeo").unwrap();
        let to = format!("docker://{}/{to}", self.repository());
        let copy = [
            "copy",
            "-q",
            "--insecure-policy",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
        ];
        output(
            &skopeo,
            self.world.path(),
            &[&copy[..], &[from, &to]].concat(),
        );
    }
}

#[test]
fn the_spec_of_the_documentation_holds_and_each_fault_turns_its_own_check_red() {
    let (Some(published), Some(_)) = (Published::new(false), peer("skopeo")) else {
        return;
    };
    assert_eq!(published.red(), Vec::<String>::new());
    // A tag of a trial that nobody took away.
    let from = format!("docker://{}/spin-only:v1", published.repository());
    published.copy(&from, "spin-only:test-1");
    assert_eq!(published.red(), ["it has its tags, and none of a trial"]);
    // One variant in the place of the other.
    published.copy(&from, "spin-tailscale:demo-stable");
    let red = published.red();
    assert!(
        red.contains(&"the variants are not one".to_owned()),
        "{red:?}"
    );
    // skopeo does not bring what is attached.
    assert!(
        red.contains(&"its verdicts are attached, and none of them failed".to_owned()),
        "{red:?}"
    );
    // Made for another machine, by hand, without a word of where it is from.
    let world = World::new();
    let layout = crate::layouts::Layout::new(&world.path().join("layout"));
    let tar = crate::layouts::archive(&[(
        "assets/talos/arm64/validation/build-report.txt",
        b"commit: \n",
    )]);
    let layer = layout.blob(crate::layouts::LAYER, &tar);
    let image = layout.image("amd64", &[layer], &[&tar]);
    layout.index(&[crate::layouts::with(
        image,
        "annotations",
        json!({ "org.opencontainers.image.ref.name": "it" }),
    )]);
    let from = format!("oci:{}:it", layout.path().display());
    published.copy(&from, "spin-tailscale:demo-stable");
    assert_eq!(
        published.red(),
        [
            "it has its tags, and none of a trial",
            "it is there, for this machine",
            "its checksums verify",
            "its files are in their places",
            "its labels and annotations say where it is from",
            "its report names the commit",
            "its verdicts are attached, and none of them failed",
        ]
    );
}

#[test]
fn who_may_pull_is_asked_as_nobody() {
    let Some(published) = Published::new(true) else {
        return;
    };
    assert_eq!(published.red(), ["everybody may pull it"]);
    let report = published.run("  - name: pass it is there for those who log in\n    oci:\n    expect: { present: true, anonymous: false, tags: { len: 2 } }\n");
    report.as_named();
    // Who has no login cannot tell whether it is there: that is no answer.
    fs::write(&published.auth, "{}").unwrap();
    let report = published
        .run("  - name: error nobody may look\n    oci:\n    expect: { present: false }\n");
    report.as_named();
}

#[test]
fn what_is_not_there_is_seen_and_what_cannot_be_asked_is_an_error() {
    let Some(published) = Published::new(false) else {
        return;
    };
    let repository = published.repository();
    let report = published.run(&format!(
        "  - name: pass a tag that is there
    oci:
    expect: {{ present: true, tags: {{ contain-only: [demo-stable, v1] }} }}
  - name: pass a tag that is not there
    oci:
    in: oci://{repository}/spin-only:v9
    expect: {{ present: false, tags: {{ contain: v1, none: {{ equals: v9 }} }}, config: null, digest: null }}
  - name: fail nothing holds of what is not there
    oci:
    in: oci://{repository}/spin-only:v9
    expect: {{ problems: {{ len: 0 }} }}
  - name: pass a repository that is not there
    oci:
    in: oci://{repository}/nothing:v1
    expect: {{ present: false, tags: {{ len: 0 }} }}
  - name: error a registry that is not there
    oci:
    in: oci://127.0.0.1:1/nothing:v1
    expect: {{ present: false }}
  - name: error a platform that is not there
    oci:
    in: oci://{repository}/spin-only:v1?platform=linux/s390x
    expect: {{ present: false }}
  - name: pass two tags of one image
    id: one
    oci:
    expect: {{ digest: {{ starts-with: 'sha256:' }}, anonymous: true }}
  - name: pass the other tag is the same
    oci:
    in: oci://{repository}/spin-only:v1
    expect: {{ digest: {{ same-as: one.digest }} }}
  - name: pass the other variant is another
    oci:
    in: oci://{repository}/spin-tailscale:v1
    expect: {{ digest: {{ not: {{ same-as: one.digest }} }} }}
  - name: fail the other variant is the same
    oci:
    in: oci://{repository}/spin-tailscale:v1
    expect: {{ digest: {{ same-as: one.digest }} }}
  - name: pass in a layout there are no tags to ask for
    oci: v1
    in: _out/package/spin-only
    expect: {{ tags: null, anonymous: null, referrers: {{ len: 1 }} }}
"
    ));
    report.as_named();
    let _: &Value = &report.json;
}

#[test]
fn checksums_inside_of_an_archive_are_held_against_what_is_there() {
    let world = World::new();
    let digest = |text: &str| tdg::model::Sha256Digest::of(text.as_bytes()).to_string();
    let good = format!("{}  b/one\n{} *two\n", digest("1"), digest("2"));
    let wrong = format!("{}  b/one\n{}  three\n", digest("2"), digest("3"));
    let out = format!("{}  ../c\n", digest("c"));
    let files: [(&str, &[u8]); 7] = [
        ("a/b/one", b"1"),
        ("a/two", b"2"),
        ("a/good", good.as_bytes()),
        ("a/wrong", wrong.as_bytes()),
        ("a/out", out.as_bytes()),
        ("a/words", b"no digests\n"),
        ("c", b"c"),
    ];
    world.write("it.tar", crate::layouts::archive(&files));
    let report = world.run(
        "
spec: checksums
checks:
  - name: pass every file has its digest
    checksums:
    in: it.tar!/a/good
    expect: { ok: true, count: 2, files: { contain: b/one }, unlisted: { contain-only: [wrong, out, words] } }
  - name: pass another digest and a file that is missing
    checksums:
    in: it.tar!/a/wrong
    expect: { ok: false, files: { any: { path: b/one, state: mismatch }, contain: three }, unlisted: { contain: two } }
  - name: fail it is not all right
    checksums:
    in: it.tar!/a/wrong
    expect: { ok: true }
  - name: error a name that leads out
    checksums:
    in: it.tar!/a/out
    expect: { ok: true }
  - name: error no list
    checksums:
    in: it.tar!/a/words
    expect: { ok: true }
  - name: error no such file
    checksums:
    in: it.tar!/a/none
    expect: { ok: true }
",
    );
    report.as_named();
}
