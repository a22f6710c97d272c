//! `docs/schema/remedy.schema.json` is what a `run:` remedy reads, made of its type.

use super::current;
use tdg::generate::{REPORT_VERSION, RemedyReport};

#[test]
fn the_schema_of_a_remedys_report_is_current() {
    let mut schema = schemars::schema_for!(RemedyReport).to_value();
    let version = serde_json::json!({ "const": REPORT_VERSION });
    let described = schema["properties"]["version"].as_object_mut().unwrap();
    described.insert("const".into(), version["const"].clone());
    current("docs/schema/remedy.schema.json", &format!("{schema:#}\n"));
}
