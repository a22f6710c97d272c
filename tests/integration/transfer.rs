//! Pushing into registries and pulling out of them: `tdg push`, `tdg pull` and what is under them.

mod auth;
mod broken;
mod hostile;
mod others;
mod round;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tdg::probe::http::Patience;
use tdg::probe::registry::{Name, Options};

use crate::layouts::{LAYER, Layout, noise};
use crate::world::World;

/// Makes a layout of an index of two images, and an attestation that refers to it.
fn sample(world: &World, name: &str, sizes: &[usize]) -> Layout {
    let layout = Layout::new(&world.path().join(name));
    let layers: Vec<Vec<u8>> = sizes.iter().map(|n| noise(*n as u64, *n)).collect();
    let blobs: Vec<Value> = layers.iter().map(|l| layout.blob(LAYER, l)).collect();
    let ids: Vec<&[u8]> = layers.iter().map(Vec::as_slice).collect();
    let images: Vec<Value> = ["arm64", "amd64"]
        .iter()
        .map(|machine| {
            let mut image = layout.image(machine, &blobs, &ids);
            image["platform"] = json!({ "os": "linux", "architecture": machine });
            image
        })
        .collect();
    let index = json!({
        "schemaVersion": 2, "mediaType": crate::layouts::INDEX, "manifests": images,
    });
    let mut index = layout.document(crate::layouts::INDEX, &index);
    let empty = layout.blob("application/vnd.oci.empty.v1+json", b"{}");
    let statement = layout.blob("application/vnd.in-toto+json", br#"{"_type":"statement"}"#);
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let attestation = json!({
        "schemaVersion": 2, "mediaType": kind, "artifactType": "application/vnd.in-toto+json",
        "config": empty, "layers": [statement], "subject": index,
        "annotations": { "a": "b" },
    });
    let attestation = layout.document(kind, &attestation);
    index["annotations"] = json!({ "org.opencontainers.image.ref.name": "v1" });
    let top = json!({ "schemaVersion": 2, "manifests": [index, attestation] });
    fs::write(layout.path().join("index.json"), top.to_string()).unwrap();
    layout
}

/// Gives every blob of a layout, each of which has to have the digest that it is named after.
fn blobs(layout: &Path) -> BTreeMap<String, u64> {
    let list = fs::read_dir(layout.join("blobs/sha256")).unwrap();
    list.map(|entry| {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let bytes = fs::read(entry.path()).unwrap();
        let digest = tdg::model::Sha256Digest::of(&bytes).to_string();
        assert_eq!(digest, name, "{}", layout.display());
        (name, bytes.len() as u64)
    })
    .collect()
}

/// Gives the digest that a layout leads to under a name.
fn leads_to(layout: &Path, name: &str) -> Option<String> {
    let index = fs::read(layout.join("index.json")).ok()?;
    let index: Value = serde_json::from_slice(&index).unwrap();
    let list = index["manifests"].as_array().unwrap();
    let found = list
        .iter()
        .find(|d| d["annotations"]["org.opencontainers.image.ref.name"] == name);
    found.map(|d| d["digest"].as_str().unwrap().to_owned())
}

fn name(port: u16, rest: &str) -> Name {
    Name::parse(&format!("oci://127.0.0.1:{port}/{rest}")).unwrap()
}

/// Options for a server that answers at once.
fn quick(tries: u32) -> Options {
    Options {
        patience: Patience {
            tries,
            pause: Duration::from_millis(2),
            longest: Duration::from_millis(40),
        },
        ..Options::default()
    }
}
