//! What is attached to an image in a layout: how it was judged, and by whom.

use serde_json::{Value, json};

use crate::layouts::{INDEX, Layout, with};
use crate::world::World;

const STATEMENT: &str = "application/vnd.in-toto+json";
const ENVELOPE: &str = "application/vnd.dsse.envelope.v1+json";
const TEST_RESULT: &str = "https://in-toto.io/attestation/test-result/v0.1";

fn statement(of: &Value, result: &Value) -> Value {
    let digest = of["digest"].as_str().unwrap().trim_start_matches("sha256:");
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{ "name": "it", "digest": { "sha256": digest } }],
        "predicateType": TEST_RESULT,
        "predicate": result,
    })
}

/// Attaches a document to an image.
fn attach(layout: &Layout, subject: &Value, media_type: &str, document: &[u8]) -> Value {
    let config = layout.blob("application/vnd.oci.empty.v1+json", b"{}");
    let layer = layout.blob(media_type, document);
    layout.manifest(&json!({
        "schemaVersion": 2, "artifactType": media_type, "config": config, "layers": [layer], "subject": subject,
    }))
}

#[test]
fn what_is_attached_is_read_and_held_against_the_image() {
    let world = World::new();
    let layout = Layout::new(&world.path().join("layout"));
    let (image, other) = (
        layout.image("arm64", &[], &[]),
        layout.image("amd64", &[], &[]),
    );
    let result = json!({ "result": "WARNED", "configuration": [], "passedTests": ["a", "b"], "warnedTests": ["c"] });
    let plain = statement(&image, &result).to_string();
    let good = attach(&layout, &image, STATEMENT, plain.as_bytes());
    // Said of another image, and attached to this one.
    let moved = statement(&other, &json!({ "result": "PASSED" })).to_string();
    let moved = attach(&layout, &image, STATEMENT, moved.as_bytes());
    let payload = "eyJfdHlwZSI6ICJodHRwczovL2luLXRvdG8uaW8vU3RhdGVtZW50L3YxIiwgInN1YmplY3QiOiBbeyJkaWdlc3QiOiB7ImEiOiAiYiJ9fV0sICJwcmVkaWNhdGVUeXBlIjogImh0dHBzOi8vc2xzYS5kZXYvcHJvdmVuYW5jZS92MSJ9";
    let envelope =
        json!({ "payloadType": STATEMENT, "payload": payload, "signatures": [{ "sig": "AA==" }] });
    let signed = attach(&layout, &image, ENVELOPE, envelope.to_string().as_bytes());
    let broken = attach(&layout, &other, STATEMENT, b"{}");
    let named = |image: &Value, name: &str| {
        with(
            image.clone(),
            "annotations",
            json!({ "org.opencontainers.image.ref.name": name }),
        )
    };
    layout.index(&[
        named(&image, "arm"),
        named(&other, "amd"),
        good.clone(),
        moved,
        signed,
        broken,
    ]);
    let digest = good["digest"].as_str().unwrap();
    let report = world.run(&format!(
        "
spec: attached
subject: layout
checks:
  - name: pass the verdicts are attached
    oci: arm
    expect:
      type: image
      referrers:
        len: 3
        any:
          digest: '{digest}'
          artifact-type: {STATEMENT}
          statements:
            len: 1
            every: {{ predicate: '{TEST_RESULT}', about-image: true, subjects: 1, result: WARNED, passed: [a, b], warned: {{ len: 1 }}, failed: {{ len: 0 }}, signatures: 0 }}
  - name: fail one is about another image
    oci: arm
    expect: {{ referrers: {{ every: {{ statements: {{ every: {{ about-image: true }} }} }} }} }}
  - name: pass an envelope is opened
    oci: arm
    expect: {{ referrers: {{ any: {{ statements: {{ any: {{ predicate: {{ starts-with: 'https://slsa.dev/' }}, signatures: 1, result: null }} }} }} }} }}
  - name: pass what cannot be read is told
    oci: amd
    expect: {{ referrers: {{ len: 1, every: {{ statements: {{ len: 0 }} }} }}, problems: {{ any: {{ contain: 'without `_type`' }} }} }}
  - name: fail what cannot be read says nothing
    oci: amd
    expect: {{ referrers: {{ any: {{ statements: {{ any: {{ result: PASSED }} }} }} }} }}
"
    ));
    report.as_named();
}

#[test]
fn what_buildkit_attests_in_an_index_is_found() {
    let world = World::new();
    let layout = Layout::new(&world.path().join("layout"));
    let image = layout.image("arm64", &[], &[]);
    let said = statement(&image, &json!({ "result": "PASSED" })).to_string();
    let layer = layout.blob(STATEMENT, said.as_bytes());
    let attests = layout.image("unknown", &[layer], &[said.as_bytes()]);
    let about = json!({ "vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"] });
    let platform = with(
        image,
        "platform",
        json!({ "os": "linux", "architecture": "arm64" }),
    );
    let index = layout.document(
        INDEX,
        &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [platform, with(attests, "annotations", about)] }),
    );
    layout.index(&[with(
        index,
        "annotations",
        json!({ "org.opencontainers.image.ref.name": "it" }),
    )]);
    let report = world.run(
        "
spec: attested
subject: layout
checks:
  - name: pass an image of the index
    oci: { ref: it, platform: linux/arm64 }
    expect: { referrers: { len: 1, every: { statements: { every: { result: PASSED, about-image: true } } } } }
  - name: pass nothing is attached to the index itself
    oci: it
    expect: { type: index, referrers: { len: 0 } }
",
    );
    report.as_named();
}
