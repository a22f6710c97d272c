//! Every operator: holding, not holding, over nothing, on what is missing, on the wrong type.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use tdg::model::value::show;
use tdg::model::{Shape, SourceId};
use tdg::spec::matcher::{At, Finding, NoLookup, OPERATORS, Reading, parse};
use tdg::spec::{Diagnostics, Sources, document};

/// Evidence with a field of every shape.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
struct Seen {
    text: String,
    none: Option<String>,
    #[schemars(extend("format" = "image-path"))]
    path: String,
    #[schemars(extend("x-unit" = "bytes"))]
    size: u64,
    #[schemars(extend("x-unit" = "seconds"))]
    time: f64,
    count: i64,
    flag: bool,
    #[schemars(extend("enum" = ["arm64", "amd64"]))]
    arch: String,
    words: Vec<String>,
    empty: Vec<String>,
    entries: Vec<Entry>,
    no_entries: Vec<Entry>,
    labels: BTreeMap<String, String>,
    no_labels: BTreeMap<String, String>,
    inner: Entry,
    no_inner: Option<Entry>,
    any: Value,
    versions: BTreeMap<String, String>,
    json: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(extend("x-key" = "path"))]
struct Entry {
    #[schemars(extend("format" = "image-path"))]
    path: String,
    mode: String,
    target: Option<String>,
}

fn entry(path: &str, mode: &str, target: Option<&str>) -> Entry {
    Entry {
        path: path.into(),
        mode: mode.into(),
        target: target.map(str::to_owned),
    }
}

fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    let own = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
    pairs.iter().map(own).collect()
}

fn seen() -> Value {
    let seen = Seen {
        text: "Linux version 6.1.0\nbuilt today".into(),
        none: None,
        path: "usr/bin/runc".into(),
        size: 8 << 20,
        time: 90.0,
        count: 3,
        flag: true,
        arch: "arm64".into(),
        words: vec!["spin".into(), "drbd".into(), "zfs".into()],
        empty: vec![],
        entries: vec![
            entry("init", "0755", None),
            entry("usr/bin/runc", "0755", None),
            entry("sbin/init", "0777", Some("/init")),
        ],
        no_entries: vec![],
        labels: map(&[("org", "urmanac"), ("version", "v1.2.3")]),
        no_labels: map(&[]),
        inner: entry("init", "0755", None),
        no_inner: None,
        any: json!({"name": "web", "ports": [80, 443], "deep": {"len": 7}, "nothing": null, "on": true, "list": [{"n": 1}]}),
        versions: map(&[
            ("v", "v1.13.6"),
            ("two", "4.35"),
            ("one", "12"),
            ("kernel", "6.1.0-43-arm64"),
            ("rc", "1.14.0-rc.1"),
            ("alpha", "v1.14.0-alpha.0"),
            ("build", "1.2.3+build5"),
            ("word", "latest"),
            ("blank", ""),
        ]),
        json: r#"{"name": "web", "items": [{"n": 1, "ok": true}, {"n": 2, "ok": true}], "one": [{"n": 1}], "none": []}"#.into(),
    };
    serde_json::to_value(seen).unwrap()
}

/// Judges the evidence by an `expect`; the check's `allow-empty` as given.
fn judge(expect: &str, allow_empty: bool) -> Vec<Finding> {
    let mut diagnostics = Diagnostics::default();
    let mut sources = Sources::default();
    let source = sources.add("spec.yaml", expect);
    assert_eq!(source, SourceId(0));
    let node = document::parse(source, expect, &mut diagnostics).unwrap();
    let mut reading = Reading {
        diagnostics: &mut diagnostics,
        allow_empty,
    };
    let matcher = parse(&node, &Shape::of::<Seen>(), &mut reading);
    assert!(
        diagnostics.is_empty(),
        "{}",
        diagnostics.render(&sources, false)
    );
    let mut findings = Vec::new();
    let matcher = matcher.unwrap();
    let (evidence, at) = (seen(), At::root(&NoLookup));
    matcher.judge(&evidence, &at, &mut findings);
    let holds = matcher.holds(&evidence, &at);
    assert_eq!(
        holds,
        findings.is_empty(),
        "{expect}: two ways, two answers"
    );
    findings
}

/// What holds.
const PASS: &[&str] = &[
    // literals and `equals`
    "count: 3",
    "count: 3.0",
    "flag: true",
    "arch: arm64",
    "text: { equals: \"Linux version 6.1.0\\nbuilt today\" }",
    "path: /usr/bin/runc",
    "path: ./usr//bin/runc",
    "size: 8 MiB",
    "size: 8388608",
    "time: 1m30s",
    "none: null",
    "no-inner: ~",
    "words: [spin, drbd, zfs]",
    "empty: []",
    "entries: [init, usr/bin/runc, { path: sbin/init, mode: \"0777\" }]",
    "inner: init",
    "inner: { path: init, mode: \"0755\", target: null }",
    "labels: { org: urmanac }",
    "labels: { equals: { org: urmanac, version: v1.2.3 } }",
    "any: { name: web, deep: { equals: { len: 7 } } }",
    "any: { ports: [80, 443] }",
    "any: { nothing: null, nowhere: null }",
    "any: { equals: { name: web, ports: [80, 443], deep: { len: 7 }, nothing: null, on: true, list: [{ n: 1 }] } }",
    "any: { deep: { equals: { len: 7 } } }",
    // several at once
    "{ count: 3, arch: arm64 }",
    "count: { ge: 3, le: 3, not: 4 }",
    // `not`
    "count: { not: 4 }",
    "arch: { not: amd64 }",
    "words: { not: { contain: tailscale } }",
    "text: { not: { match: Windows } }",
    "not: { count: 4 }",
    "empty: { not: { contain: x }, allow-empty: true }",
    "none: { not: x, allow-empty: true }",
    // `one-of`
    "arch: { one-of: [arm64, amd64] }",
    "count: { one-of: [1, { ge: 3 }] }",
    "none: { one-of: [x, null] }",
    "none: { equals: null }",
    "none: { not: { present: true } }",
    "entries: { any: { target: { not: null } } }",
    // `contain`
    "text: { contain: version }",
    "text: { contain: [Linux, built] }",
    "words: { contain: drbd }",
    "words: { contain: [zfs, spin] }",
    "words: { contain: { starts-with: sp } }",
    "entries: { contain: /usr/bin/runc }",
    "entries: { contain: [init, { path: sbin/init, target: /init }] }",
    "labels: { contain: org }",
    "path: { contain: bin/ru }",
    "any: { ports: { contain: 443 } }",
    "any: { contain: name }",
    // `contain-only`
    "words: { contain-only: [zfs, drbd, spin] }",
    "words: { contain-only: [{ len: { ge: 3 } }] }",
    "labels: { contain-only: [version, org] }",
    "entries: { contain-only: [sbin/init, init, usr/bin/runc] }",
    // text
    "text: { match: '^Linux' }",
    "text: { match: '(?m)^built' }",
    "path: { glob: usr/*/runc }",
    "path: { glob: /usr/** }",
    "path: { glob: 'usr/{bin,sbin}/run?' }",
    "text: { starts-with: Linux }",
    "path: { starts-with: /usr/bin/ }",
    "path: { ends-with: /runc }",
    "arch: { starts-with: arm }",
    // as sha256sum has it
    "text: { sha256: bfaeb27687ac2c5ba0908f065b44dd56a3364ea1458314e6eb585e128b7d9a27 }",
    "text: { sha256: \"sha256:BFAEB27687AC2C5BA0908F065B44DD56A3364EA1458314E6EB585E128B7D9A27\" }",
    // order
    "count: { gt: 2, ge: 3, lt: 4, le: 3 }",
    "count: { gt: 2.5 }",
    "size: { ge: 8 MiB, lt: 9MB }",
    "time: { le: 1m30s, gt: 89s }",
    "count: { between: [3, 9] }",
    "count: { between: [1, 3] }",
    "size: { between: [8 MiB, 8 MiB] }",
    "any: { deep: { equals: { len: 7 } }, ports: { every: { ge: 80 } } }",
    // versions
    "versions: { v: { semver: '>=1.13, <1.14' } }",
    "versions: { v: { semver: '~1.13' } }",
    "versions: { two: { semver: '>=4.35.0' } }",
    "versions: { one: { semver: '^12' } }",
    "versions: { kernel: { semver: '>=6.1' } }",
    "versions: { rc: { semver: '>=1.14.0-rc.0' } }",
    "versions: { build: { semver: '=1.2.3' } }",
    "labels: { version: { semver: '1.2' } }",
    // `len`
    "words: { len: 3 }",
    "empty: { len: 0 }",
    "text: { len: { gt: 10 } }",
    "labels: { len: 2 }",
    "any: { ports: { len: 2 } }",
    // `every`, `any`, `none`
    "words: { every: { match: '^[a-z]+$' } }",
    "entries: { every: { mode: { starts-with: \"0\" } } }",
    "labels: { every: { len: { ge: 5 } } }",
    "no-entries: { every: { mode: \"0755\" }, allow-empty: true }",
    "words: { any: zfs }",
    "entries: { any: { target: { present: true } } }",
    "words: { none: tailscale }",
    "entries: { none: { mode: { match: '[2367]$' }, target: null } }",
    "empty: { none: x, allow-empty: true }",
    // `unique`
    "words: { unique: true }",
    "entries: { unique: path }",
    "empty: { unique: true, allow-empty: true }",
    // presence
    "none: { present: false }",
    "none: { absent: true }",
    "no-inner: { absent: true }",
    "entries: { any: { target: { absent: false } } }",
    "any: { name: { present: true }, nowhere: { absent: true } }",
    // `json`
    "json: { json: { $.name: web } }",
    "json: { json: { '$.items[0].n': 1, '$.items[1]': { n: 2 } } }",
    "json: { json: { '$.items[*].n': [1, 2] } }",
    "json: { json: { '$.items[*].ok': { every: true } } }",
    "json: { json: { '$.one[*].n': { every: { ge: 1 }, len: 1 } } }",
    "json: { json: { '$.items[?@.n > 1].ok': [true] } }",
    "json: { json: { $.nowhere: null } }",
    "json: { json: { '$..nowhere': { len: 0 } } }",
    "json: { json: { '$.items[-1].n': 2 } }",
];

/// What does not hold.
const FAIL: &[&str] = &[
    "count: 4",
    "flag: false",
    "arch: amd64",
    "path: usr/bin/crun",
    "size: 9 MiB",
    "time: 2m",
    "words: [spin, zfs, drbd]",
    "words: [spin, drbd]",
    "words: []",
    "empty: [x]",
    "entries: [init]",
    "entries: [init, usr/bin/runc, { path: sbin/init, mode: \"0755\" }]",
    "inner: { mode: \"0644\" }",
    "no-inner: { mode: \"0644\" }",
    "none: x",
    "labels: { org: someone, nowhere: x }",
    "labels: { equals: { org: urmanac } }",
    "any: { name: db, deep: { len: 8 }, nowhere: { present: true } }",
    "any: { name: { a: 1 } }",
    "any: { on: { ge: 1 } }",
    "any: { equals: { name: web } }",
    "any: null",
    // not
    "count: { not: 3 }",
    "words: { not: { contain: drbd } }",
    "none: { not: x }",
    "none: { not: { match: x } }",
    "none: { not: { one-of: [x, y] } }",
    "no-inner: { not: { mode: \"0777\" } }",
    "empty: { not: { contain: x } }",
    "empty: { not: { every: x } }",
    "empty: { not: { any: x } }",
    "any: { nothing: { not: 1 }, nowhere: { not: 1 } }",
    "not: { no-inner: { mode: x } }",
    "count: { not: { not: 4 } }",
    // one-of
    "arch: { one-of: [amd64] }",
    "count: { one-of: [1, { gt: 3 }] }",
    "none: { one-of: [x, y] }",
    // contain
    "text: { contain: [Linux, Windows] }",
    "words: { contain: [spin, tailscale] }",
    "words: { contain: zsf }",
    "empty: { contain: spin }",
    "entries: { contain: [bin/runc, { path: init, mode: \"0777\" }] }",
    "no-entries: { contain: init }",
    "labels: { contain: nowhere }",
    "any: { on: { contain: x }, ports: { contain: 22 }, nowhere: { contain: x } }",
    // contain-only
    "words: { contain-only: [spin, drbd] }",
    "words: { contain-only: [spin, drbd, zfs, i915] }",
    "empty: { contain-only: [spin] }",
    "entries: { contain-only: [init, usr/bin/runc] }",
    "labels: { contain-only: org }",
    // text
    "text: { match: '^built' }",
    "path: { glob: usr/* }",
    "path: { glob: runc }",
    "text: { starts-with: version }",
    "path: { starts-with: /usr/sbin/ }",
    "text: { ends-with: Linux }",
    "text: { sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 }",
    "none: { match: x, starts-with: x, semver: '1', sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855, json: { $.a: 1 }, len: 0, contain: x }",
    "any: { ports: { match: '80' }, on: { starts-with: t } }",
    // order
    "count: { gt: 3 }",
    "count: { lt: 3 }",
    "count: { le: 2 }",
    "count: { between: [4, 9] }",
    "size: { lt: 8 MiB }",
    "size: { ge: 9 MB }",
    "time: { gt: 90s }",
    "any: { name: { ge: 1 }, nowhere: { lt: 1 } }",
    // versions
    "versions: { v: { semver: '>=1.14' } }",
    "versions: { rc: { semver: '>=1.13' } }",
    "versions: { alpha: { semver: '<2' } }",
    "versions: { kernel: { semver: '<6' } }",
    "versions: { word: { semver: '>=1' }, blank: { semver: '>=0' } }",
    "versions: { word: { not: { semver: '>=1' } } }",
    // len
    "words: { len: 4 }",
    "text: { len: { lt: 5 } }",
    "any: { on: { len: 1 }, nowhere: { len: 0 } }",
    // every, any, none
    "words: { every: { len: 4 } }",
    "entries: { every: { mode: \"0755\" } }",
    "empty: { every: x }",
    "empty: { any: x }",
    "empty: { any: x, allow-empty: true }",
    "empty: { none: x }",
    "no-entries: { every: { mode: x } }",
    "no-labels: { every: x }",
    "words: { any: tailscale }",
    "words: { none: zfs }",
    "entries: { none: { mode: \"0755\" } }",
    "any: { name: { every: x }, nowhere: { none: x } }",
    // unique
    "entries: { unique: mode }",
    "empty: { unique: true }",
    "any: { name: { unique: true } }",
    // presence
    "none: { not: null }",
    "none: { not: { absent: true } }",
    "none: { present: true }",
    "none: { absent: false }",
    "no-inner: { present: true }",
    "any: { name: { absent: true }, nowhere: { present: true } }",
    // json
    "json: { json: { $.name: db } }",
    "json: { json: { $.nowhere: 1 } }",
    "json: { json: { $.nowhere: { not: 1 } } }",
    "json: { json: { '$.items[*].n': [1] } }",
    "json: { json: { '$.none[*]': { every: 1 } } }",
    "json: { json: { '$.one[*].n': 1 } }",
    "text: { json: { $.name: web } }",
    "text: { not: { json: { $.name: web } } }",
    "count: { same-as: nowhere.count }",
];

#[test]
fn what_holds_passes() {
    for expect in PASS {
        let findings = judge(expect, false);
        assert!(findings.is_empty(), "{expect}: {findings:#?}");
    }
}

#[test]
fn what_does_not_hold_fails_and_says_why() {
    let mut said = String::new();
    for expect in FAIL {
        let findings = judge(expect, false);
        assert!(!findings.is_empty(), "{expect} holds");
        writeln!(said, "expect: {{ {expect} }}").unwrap();
        for finding in findings {
            let m = finding.mismatch;
            let place = if m.path.is_empty() { "(all)" } else { &m.path };
            let vacuous = if finding.vacuous {
                "  [nothing judged]"
            } else {
                ""
            };
            writeln!(said, "  {place}{vacuous}").unwrap();
            writeln!(said, "    expected {}", m.expected).unwrap();
            writeln!(said, "    actual   {}", show(&m.actual, 100)).unwrap();
            if let Some(note) = m.note {
                writeln!(said, "    note     {note}").unwrap();
            }
        }
    }
    insta::assert_snapshot!(said);
}

#[test]
fn a_check_may_allow_emptiness_for_all_of_it() {
    for expect in [
        "empty: { every: x }",
        "empty: { none: x }",
        "empty: { unique: true }",
        "empty: { not: { contain: x } }",
        "no-labels: { every: x }",
        "not: { no-inner: { mode: x } }",
        "{ empty: { every: x }, no-entries: { none: { mode: x } } }",
    ] {
        assert!(!judge(expect, false).is_empty(), "{expect}");
        assert!(judge(expect, true).is_empty(), "{expect}");
    }
    // Never these: they ask for something that is there.
    for expect in [
        "empty: { any: x }",
        "empty: { contain: x }",
        "empty: { every: x, allow-empty: false }",
        "none: { match: x }",
    ] {
        assert!(!judge(expect, true).is_empty(), "{expect}");
    }
}

#[test]
fn every_operator_is_in_the_tables() {
    let used = |table: &[&str]| -> BTreeSet<&str> {
        let names = OPERATORS.iter().map(|o| o.name);
        names
            .filter(|name| table.iter().any(|row| row.contains(&format!("{name}:"))))
            .collect()
    };
    let all: BTreeSet<&str> = OPERATORS.iter().map(|o| o.name).collect();
    assert_eq!(used(FAIL), all);
    let mut pass = used(PASS);
    // It needs a second check to hold: see `runner`.
    pass.insert("same-as");
    assert_eq!(pass, all);
}
