//! What the evidence of each kind rests on: the build loop leaves checks out by it.

use serde_json::{Value, json};
use tdg::check::{KINDS, RestsOn, find};
use tdg::model::Address;
use tdg::run::plan::{Plan, Request, plan};

/// Each kind with arguments that tell the most, whether its evidence rests on its subject alone, and
/// why: what its `observe` looks at.
const WHY: &[(&str, &str, bool, &str)] = &[
    (
        "boot",
        r#"{"arch":"arm64","kernel":"k","then":"wait"}"#,
        false,
        "runs QEMU",
    ),
    (
        "build",
        "{}",
        false,
        "reads the record of the last build, found by the variant's name",
    ),
    (
        "checksums",
        "{}",
        false,
        "lists a folder, and reads what the list names",
    ),
    (
        "cmdline",
        "{}",
        true,
        "reads the subject; the rules of Talos are tdg's own",
    ),
    ("command", r#"{"argv":["true"]}"#, false, "runs a program"),
    ("disk", "{}", true, "reads the subject"),
    (
        "dns",
        r#"{"name":"localhost"}"#,
        false,
        "asks a name server",
    ),
    ("document", r#"{"path":"$"}"#, true, "reads the subject"),
    (
        "elf",
        "{}",
        true,
        "reads the subject; libraries are looked for in it alone",
    ),
    (
        "extension",
        "{}",
        true,
        "reads the subject; what may be in one is tdg's own list",
    ),
    (
        "file",
        r#"{"path":"a"}"#,
        true,
        "reads the subject, or the file that is named",
    ),
    (
        "http",
        r#"{"url":"http://localhost"}"#,
        false,
        "asks a server",
    ),
    ("initramfs", "{}", true, "reads the subject"),
    (
        "ipxe",
        "{}",
        false,
        "reads scripts and files that scripts name, servers' too",
    ),
    ("iso", "{}", true, "reads the subject"),
    ("kernel", "{}", true, "reads the subject"),
    ("matchbox", "{}", true, "reads the subject"),
    (
        "modules",
        "{}",
        true,
        "reads the subject, where no `kernel` is named",
    ),
    (
        "netboot",
        r#"{"arch":"arm64","interface":"eth0"}"#,
        false,
        "asks DHCP, TFTP and web servers",
    ),
    (
        "oci",
        "{}",
        false,
        "asks the registry for tags and referrers",
    ),
    (
        "patches",
        r#"{"series":"s"}"#,
        false,
        "runs git, reads the patches that a series names",
    ),
    (
        "port",
        r#"{"address":"localhost:80"}"#,
        false,
        "connects to a server",
    ),
    (
        "tool",
        r#"{"name":"make"}"#,
        false,
        "looks through PATH, and runs the program",
    ),
    ("tree", "{}", true, "reads the subject"),
    (
        "uki",
        "{}",
        true,
        "reads the subject; signatures are counted, not held to the clock",
    ),
    ("wasm", "{}", true, "reads the subject"),
];

fn rests_on(kind: &str, args: &Value, subject: Option<&str>) -> RestsOn {
    let subject = subject.map(|s| Address::parse(s).unwrap());
    find(kind).unwrap().rests_on(args, subject.as_ref())
}

/// Reads the example of a kind as a plan.
fn example(text: &str) -> Plan {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = text.lines().map(|line| format!("  {line}\n")).collect();
    let spec = folder.path().join("example.yaml");
    std::fs::write(&spec, format!("spec: an example\nchecks:\n{lines}")).unwrap();
    let request = Request {
        paths: vec![spec],
        ..Request::default()
    };
    plan(&request).unwrap()
}

#[test]
fn each_kind_says_what_its_evidence_rests_on() {
    // One that is not named here yet claims nothing, which is safe.
    for kind in KINDS
        .iter()
        .filter(|kind| WHY.iter().all(|w| w.0 != kind.name()))
    {
        for trial in example(kind.example()).trials {
            let found = kind.rests_on(&trial.args, trial.subject.as_ref());
            let name = kind.name();
            assert_eq!(
                found,
                RestsOn::World,
                "{name}: read its `observe`, name it here"
            );
        }
    }
    let subject = "out/a.img!/inner";
    let alone = RestsOn::Only(vec![Address::parse(subject).unwrap()]);
    for (kind, args, on_subject, why) in WHY {
        let args: Value = serde_json::from_str(args).unwrap();
        let found = rests_on(kind, &args, Some(subject));
        assert_eq!(found == alone, *on_subject, "{kind}: {why}: {found:?}");
        if !on_subject {
            assert_eq!(found, RestsOn::World, "{kind}: {why}");
        }
        // Without a subject nobody knows, but for the file that is named.
        if *kind != "file" {
            assert_eq!(rests_on(kind, &args, None), RestsOn::World, "{kind}");
        }
    }
}

#[test]
fn what_arguments_name_is_looked_at_too() {
    let named = RestsOn::Only(vec![Address::parse("notes.txt").unwrap()]);
    assert_eq!(
        rests_on("file", &json!({ "path": "notes.txt" }), None),
        named
    );
    assert_eq!(rests_on("file", &json!({}), None), RestsOn::World);
    let kernel = json!({ "kernel": "vmlinuz" });
    assert_eq!(rests_on("modules", &kernel, Some("a.img")), RestsOn::World);
    // Arguments that are none say nothing.
    assert_eq!(
        rests_on("elf", &json!({ "globe": 1 }), Some("a.img")),
        RestsOn::World
    );
}
