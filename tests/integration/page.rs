//! The report as a page: what is on it, that nothing of a stranger is markup, how large it gets, and
//! the walks that are drawn on it. Two parsers of Python's read each page, and have to agree.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tdg::model::{Picture, SkipReason, Trouble};
use tdg::probe::netboot::Fault;
use tdg::report::Reporter;
use tdg::report::html::Html;
use tdg::run::Event;
use tdg::run::event::{Counts, Ending, Evidence, Failure, Outcome, Place, Summary, TrialInfo};

use crate::peers::peer;
use crate::world::World;

/// Reads a page as XML, which allows no mistake, and as HTML, which browsers do; both have to see the
/// same elements with the same attributes, and the same text. Writes each element with its text.
const READ: &str = r#"
import json, sys, xml.etree.ElementTree as tree
from html.parser import HTMLParser
page = sys.stdin.buffer.read().decode()
elements = []
def local(name): return name.rsplit('}')[-1]
def gather(element, inside):
    attributes = {local(k): v for k, v in element.attrib.items()}
    whole = ''.join(element.itertext())
    own = (element.text or '') + ''.join(child.tail or '' for child in element)
    tag = local(element.tag)
    elements.append({'tag': tag, 'attributes': attributes, 'text': whole, 'own': own, 'inside': inside})
    around = tag + ' ' + attributes['class'] if tag == 'svg' else tag
    for child in element: gather(child, inside + [around])
gather(tree.fromstring(page), [])
class Page(HTMLParser):
    def __init__(self):
        super().__init__(); self.open, self.all, self.text = [], [], ''
    def handle_starttag(self, tag, attributes):
        self.all.append((tag, {k: v for k, v in attributes if k != 'xmlns'}))
        self.open.append(tag)
    def handle_endtag(self, tag):
        assert self.open.pop() == tag, tag
    def handle_data(self, text): self.text += text if self.open else ''
html = Page(); html.feed(page); html.close()
assert not html.open, html.open
lower = lambda keys: {k.lower(): v for k, v in keys.items()}
xml = [(e['tag'].lower(), lower(e['attributes'])) for e in elements]
assert xml == html.all, [pair for pair in zip(xml, html.all) if pair[0] != pair[1]][:3]
assert elements[0]['text'] == html.text
json.dump(elements, sys.stdout)
"#;

/// What the two parsers see of a page; `None` without them, which has been said.
pub(crate) struct Page {
    elements: Vec<Value>,
}

impl Page {
    pub(crate) fn read(page: &str) -> Option<Self> {
        let control = |c: char| c.is_control() && c != '\n' && c != '\t';
        assert!(
            !page.contains(control),
            "a control character is on the page"
        );
        let python = peer("python3")?;
        let mut child = Command::new(python)
            .args(["-c", READ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let text = page.to_owned();
        let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
        let output = child.wait_with_output().unwrap();
        let _ = writer.join().unwrap();
        assert!(
            output.status.success(),
            "a parser refuses the page:\n{page}"
        );
        let elements: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
        let page = Self { elements };
        page.holds_to_its_rules();
        Some(page)
    }

    /// Nothing runs, nothing is fetched, links lead somewhere, and parts have names.
    fn holds_to_its_rules(&self) {
        const TAGS: &str = "html head meta title style body header h1 h2 h3 p ul li b i code pre span div dl dt dd nav \
                            main section article figure figcaption details summary footer a svg line rect path text circle";
        let known: BTreeSet<&str> = TAGS.split_whitespace().collect();
        let mut ids = BTreeSet::new();
        let mut targets = Vec::new();
        for element in &self.elements {
            let tag = element["tag"].as_str().unwrap();
            assert!(known.contains(tag), "<{tag}> is on the page");
            for (name, value) in element["attributes"].as_object().unwrap() {
                let value = value.as_str().unwrap();
                assert!(!name.starts_with("on") && name != "src", "{name}={value}");
                match name.as_str() {
                    "id" => assert!(ids.insert(value.to_owned()), "{value} is there twice"),
                    "href" => assert!(value.starts_with('#') || value.starts_with("./"), "{value}"),
                    _ => {}
                }
                if matches!(name.as_str(), "aria-labelledby" | "aria-describedby") {
                    targets.push(value.to_owned());
                } else if name == "href" && value.starts_with('#') {
                    targets.push(value[1..].to_owned());
                }
            }
        }
        for target in targets {
            assert!(ids.contains(&target), "nothing has the id {target}");
        }
        for once in ["h1", "main", "header", "footer", "title"] {
            let count = self.all(once).filter(|e| !inside(e, "text")).count();
            assert_eq!(count, 1, "{once}");
        }
        let named =
            |e: &&Value| e["attributes"]["role"] == "img" && e["attributes"]["aria-label"] != "";
        assert_eq!(
            self.all("svg").count(),
            self.all("svg").filter(named).count()
        );
    }

    pub(crate) fn all<'p>(&'p self, tag: &'p str) -> impl Iterator<Item = &'p Value> {
        self.elements.iter().filter(move |e| e["tag"] == tag)
    }

    pub(crate) fn text(&self) -> &str {
        let body = self.all("body").next();
        body.and_then(|e| e["text"].as_str()).unwrap_or_default()
    }

    /// The text of the one element with this class that says this.
    fn of(&self, class: &str, says: &str) -> &str {
        let has = |e: &&Value| {
            let classes = e["attributes"]["class"].as_str().unwrap_or_default();
            classes.split(' ').any(|c| c == class) && e["text"].as_str().unwrap().contains(says)
        };
        let found: Vec<&Value> = self.elements.iter().filter(has).collect();
        assert_eq!(found.len(), 1, "{class} that says {says}: {found:?}");
        found[0]["text"].as_str().unwrap()
    }
}

fn inside(element: &Value, tag: &str) -> bool {
    element["inside"]
        .as_array()
        .unwrap()
        .iter()
        .any(|t| t == tag)
}

fn place() -> Place {
    Place {
        file: "specs/it.yaml".to_owned(),
        line: 3,
        column: 5,
        text: "expect: { fault: null }".to_owned(),
    }
}

fn outcome(name: &str, ending: Ending) -> Outcome {
    Outcome {
        trial: Arc::new(TrialInfo {
            name: name.to_owned(),
            spec: "A walk".to_owned(),
            check: name.to_owned(),
            kind: "netboot",
            subject: None,
            tags: Vec::new(),
            matrix: Vec::new(),
            place: place(),
        }),
        ending,
        duration: Duration::from_millis(3),
        tries: 1,
        evidence: None,
        picture: None,
        notes: Vec::new(),
    }
}

fn fail() -> Ending {
    Ending::Fail(vec![Failure {
        path: "fault".to_owned(),
        expected: "nothing".to_owned(),
        actual: json!("it"),
        note: None,
        place: place(),
    }])
}

fn page_in(outcomes: Vec<Outcome>, folder: Option<(&Path, &Path)>) -> String {
    let mut counts = Counts::default();
    outcomes.iter().for_each(|o| counts.add(&o.ending));
    let summary = Summary {
        counts,
        duration: Duration::from_secs(2),
        interrupted: false,
        outcomes,
    };
    let mut out = Vec::new();
    let mut html = Html::new(&mut out);
    if let Some((folder, root)) = folder {
        html = html.in_folder(folder, root);
    }
    html.event(&Event::Finished(&summary)).unwrap();
    drop(html);
    String::from_utf8(out).unwrap()
}

fn page(outcomes: Vec<Outcome>) -> String {
    page_in(outcomes, None)
}

/// A walk as `netboot` sees it.
fn walk(steps: &[Value], end: &Value) -> Picture {
    let mut evidence = end.clone();
    evidence["steps"] = steps.into();
    let args = json!({ "arch": "arm64", "mac": "52:54:00:12:34:56" });
    let kind = tdg::check::KINDS
        .iter()
        .find(|k| k.name() == "netboot")
        .unwrap();
    kind.picture(&args, &evidence).unwrap()
}

fn step(role: &str, from: &str, what: &str, came: &str, size: Option<u64>) -> Value {
    let protocol = match role {
        "proxy-dhcp" | "boot-server" => "dhcp",
        role => role,
    };
    json!({ "protocol": protocol, "role": role, "from": from, "what": what, "came": came, "size": size, "took": 0.012 })
}

fn steps() -> Vec<Value> {
    vec![
        step(
            "dhcp",
            "10.77.0.1",
            "DISCOVER of PXEClient:Arch:00011:UNDI:003000",
            "address 10.77.0.63, no boot file",
            None,
        ),
        step(
            "proxy-dhcp",
            "10.77.0.2",
            "DISCOVER of PXEClient:Arch:00011:UNDI:003000",
            "no address, no boot file",
            None,
        ),
        step(
            "boot-server",
            "10.77.0.2",
            "REQUEST on port 4011 of PXEClient:Arch:00011:UNDI:003000",
            "no address, boot file `ipxe-arm64.efi`",
            None,
        ),
        step(
            "tftp",
            "10.77.0.2",
            "tftp://10.77.0.2/ipxe-arm64.efi",
            "ipxe, pe for arm64",
            Some(1_048_576),
        ),
        step(
            "tftp",
            "10.77.0.2",
            "tftp://10.77.0.2/autoexec.ipxe",
            "tftp://10.77.0.2/autoexec.ipxe: not found",
            None,
        ),
        step(
            "http",
            "10.77.0.1",
            "http://10.77.0.1/boot.ipxe",
            "script",
            Some(212),
        ),
        step(
            "http",
            "10.77.0.1",
            "http://10.77.0.1/assets/kernel-arm64",
            "kernel, zboot for amd64",
            Some(18_874_368),
        ),
    ]
}

fn boots() -> Value {
    json!({ "outcome": "boot", "fault": null, "stage": null, "reason": null,
        "kernel": { "url": "http://10.77.0.1/assets/kernel-arm64" },
        "arguments": "initrd=initramfs console=ttyAMA0 talos.platform=metal ip=10.77.0.63" })
}

fn stops(fault: &str, stage: &str, reason: &str) -> Value {
    json!({ "outcome": "stopped", "fault": fault, "stage": stage, "reason": reason, "kernel": null })
}

#[test]
fn a_page_says_of_each_verdict_what_the_report_for_people_says() {
    let world = World::new();
    world.write("a.txt", "some text");
    world.write(
        "specs/it.yaml",
        r#"spec: One of each
tags: [all]
matrix: { v: [x] }
checks:
  - { name: it passes, file: a.txt, expect: { size: { lt: 1 KiB } } }
  - name: it fails
    tree:
    in: .
    expect: { entries: { contain: a.text } }
  - { name: it is no kernel, kernel: , in: a.txt, expect: { arch: arm64 } }
  - { name: it is not there, kernel: , in: b.txt, expect: { arch: arm64 } }
  - { name: it is skipped, if: "matrix.v == 'y'", file: a.txt, expect: { present: true } }
  - { name: it is lenient, file: a.txt, quarantine: { issue: '#1', until: 2999-01-01 }, expect: { present: true } }
  - { name: 'it says <&"> 漢', command: { sh: 'printf "one\ntwo\n"; exit 3' }, expect: { exit-code: 0, stdout: "one\n" } }
"#,
    );
    let ran = world.tdg(&["run", "--jobs", "1", "--format", "html", "--report", "out"]);
    assert_eq!((ran.code, ran.stderr.as_str()), (1, ""));
    let in_folder = fs::read_to_string(world.path().join("out/tdg.html")).unwrap();
    assert_eq!(in_folder, ran.stdout);
    let Some(page) = Page::read(&ran.stdout) else {
        return;
    };
    let h1 = page.all("h1").next().unwrap();
    assert_eq!(h1["text"], "2 failed");
    let counts: Vec<&str> = page
        .all("li")
        .take(4)
        .map(|e| e["text"].as_str().unwrap())
        .collect();
    assert_eq!(
        counts,
        ["✔ 2 passed", "✘ 2 failed", "! 2 errors", "– 1 skipped"]
    );
    // In the order of the file.
    let headings: Vec<&str> = page
        .all("h3")
        .map(|e| e["text"].as_str().unwrap())
        .collect();
    let wanted = [
        "✘ fail it fails",
        "! error it is no kernel",
        "! error it is not there",
        "– skip it is skipped",
        "✘ fail it says <&\"> 漢",
    ];
    assert_eq!(headings, wanted);
    let failed = page.of("trial", "it fails");
    for said in [
        "it::it-fails[v=x]",
        "tree",
        "entries",
        "expected",
        "a.text",
        "specs/it.yaml:9:",
        "The evidence",
        "\"a.txt\"",
    ] {
        assert!(failed.contains(said), "{said}: {failed}");
    }
    assert!(page.of("trial", "it is not there").contains("no such file"));
    assert!(
        page.of("trial", "it is skipped")
            .contains("its condition is false: matrix.v == 'y'")
    );
    assert!(page.of("seen", "two").contains("one\ntwo"));
    assert!(page.of("note", "passes again").contains("#1"));
    let links = page.all("a").map(|e| e["text"].as_str().unwrap());
    assert_eq!(links.count(), 4);
    // What passed is folded.
    let passed = page
        .all("code")
        .find(|e| e["text"] == "it-passes[v=x]")
        .unwrap();
    assert!(inside(passed, "details"));
}

#[test]
fn nothing_of_a_stranger_is_markup() {
    let world = World::new();
    let name = "</code><script>alert(1)<!--]]>&amp;'\"\u{202e}\u{200f}\u{1b}[2J\r\n\u{8}.txt";
    world.write(
        &format!("tree/{}", name.replace('/', "∕")),
        "x\0\u{ffff}<b>",
    );
    let spec = json!({
        "spec": name,
        "tags": [name],
        "matrix": { "v": [name] },
        "checks": [
            { "name": format!("tree {name}"), "tree": null, "in": "tree", "expect": { "entries": { "len": 7 } } },
            { "name": format!("file {name}"), "file": "there", "expect": { "text": "" } },
            { "name": format!("error {name}"), "kernel": null, "in": format!("nowhere/{name}"), "expect": { "arch": "arm64" } },
            { "name": format!("command {name}"), "command": ["printf", "%s\n", name, "<i>", name], "expect": { "stdout": "" } },
            { "name": format!("skip {name}"), "requires": { "files": [name] }, "file": "x", "expect": { "present": true } },
            { "name": format!("pass {name}"), "command": ["true"], "expect": { "exit-code": 0 } },
        ],
    });
    world.write("specs/it.yaml", spec.to_string());
    let ran = world.tdg(&["run", "--format", "html"]);
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let Some(read) = Page::read(&ran.stdout) else {
        return;
    };
    assert!(
        read.text()
            .contains("<script>alert(1)<!--]]>&amp;'\"\\u{202e}\\u{200f}\\u{1b}[2J")
    );
    let hidden = ['\u{202e}', '\u{200f}', '\u{ffff}'];
    assert!(!ran.stdout.contains(hidden));

    // The same in a walk, and in the names of files.
    let hostile = step("http", name, name, name, None);
    let mut one = outcome(name, fail());
    one.picture = Some(walk(&[hostile], &stops(name, name, name)));
    let mut files = outcome("it::files", Ending::Pass);
    files.picture = Some(Picture::Files(vec![name.to_owned()]));
    files.notes = vec![name.to_owned()];
    let mut error = outcome(
        "it::error",
        Ending::Error(Trouble {
            message: name.to_owned(),
            remedy: Some(name.to_owned()),
            transient: false,
        }),
    );
    error.evidence = Some(Evidence {
        value: json!({ name: name }),
        truncated: true,
    });
    let skip = outcome(
        "it::skip",
        Ending::Skip(SkipReason::NotRun(name.to_owned())),
    );
    Page::read(&page(vec![one, files, error, skip]));
}

#[test]
fn each_fault_is_drawn_where_it_stops_the_machine() {
    let one = |fault: &Fault| {
        let mut one = outcome(&format!("it::{}", fault.name()), fail());
        one.picture = Some(walk(
            &steps(),
            &stops(fault.name(), "boot-file", "because of that"),
        ));
        one
    };
    let outcomes = Fault::ALL.iter().map(one).collect();
    let Some(page) = Page::read(&page(outcomes)) else {
        return;
    };
    for fault in Fault::ALL {
        let says = |e: &&Value| e["text"] == format!("{} (boot-file)", fault.name());
        let drawn: Vec<&Value> = page.all("text").filter(says).collect();
        assert_eq!(drawn.len(), 2, "{}: wide and narrow", fault.name());
        for text in drawn {
            assert_eq!(text["attributes"]["class"], "name stopped");
        }
    }
    let crosses = page
        .all("path")
        .filter(|e| e["attributes"]["class"] == "sign cross");
    assert_eq!(crosses.count(), 2 * Fault::ALL.len());
    assert!(
        page.text()
            .contains("The walk of arm64, PXE, 52:54:00:12:34:56: stopped by loop at boot-file")
    );
}

/// The drawings of a page, without the page.
fn drawings(page: &str) -> String {
    let parts = page.split("<svg ").skip(1);
    let parts = parts.filter_map(|part| part.split_once("</svg>"));
    parts
        .map(|(svg, _)| format!("<svg {svg}</svg>\n"))
        .collect()
}

#[test]
fn a_walk_that_stops_is_drawn() {
    let mut one = outcome("it::walk", fail());
    let reason = "http://10.77.0.1/assets/kernel-arm64 is for amd64, and the machine is arm64";
    one.picture = Some(walk(
        &steps(),
        &stops("wrong-architecture", "kernel", reason),
    ));
    insta::assert_snapshot!(drawings(&page(vec![one])));
}

#[test]
fn a_walk_that_arrives_is_drawn_too() {
    let mut one = outcome("it::walk", Ending::Pass);
    one.picture = Some(walk(&steps()[3..4], &boots()));
    insta::assert_snapshot!(drawings(&page(vec![one])));
}

/// Where a text stands: left and right, above and below, by the width that a wide font has.
fn extent(text: &Value, font: f64) -> [f64; 4] {
    let number =
        |name: &str| -> f64 { text["attributes"][name].as_str().unwrap().parse().unwrap() };
    let (x, y) = (number("x"), number("y"));
    let columns = unicode_width::UnicodeWidthStr::width(text["own"].as_str().unwrap());
    let width = columns as f64 * font * 0.62;
    let left = match text["attributes"]["text-anchor"] == "middle" {
        true => x - width / 2.0,
        false => x,
    };
    [left, left + width, y - font * 0.75, y + font * 0.25]
}

#[test]
fn texts_of_a_walk_stay_apart_and_on_the_picture() {
    let long = format!(
        "http://a.host.with.a.long.name.example:8080/{}",
        "folder-漢字/".repeat(40)
    );
    let role = |n: usize| ["http", "tftp", "dhcp"][n % 3];
    let mut steps: Vec<Value> = (0..40)
        .map(|n| {
            step(
                role(n),
                &format!("{n}.{long}"),
                &long,
                &long,
                Some(u64::MAX),
            )
        })
        .collect();
    steps.push(step("tftp", "::1", "", "", None));
    let mut one = outcome("it::long", fail());
    one.picture = Some(walk(&steps, &stops("not-found", "script", &long)));
    let page = page(vec![one]);
    // What does not fit is told whole.
    assert!(page.contains("<title>0.http://a.host") && page.contains("⋮ 11 more"));
    let Some(page) = Page::read(&page) else {
        return;
    };
    for (drawing, width, font) in [("svg wide", 960.0, 13.0), ("svg narrow", 344.0, 12.0)] {
        let texts: Vec<&Value> = page.all("text").filter(|e| inside(e, drawing)).collect();
        assert!(texts.len() > 60, "{}", texts.len());
        let extents: Vec<[f64; 4]> = texts.iter().map(|text| extent(text, font)).collect();
        for (index, [left, right, top, bottom]) in extents.iter().enumerate() {
            assert!(
                *left >= 0.0 && *right <= width,
                "{drawing}: {}",
                texts[index]
            );
            for (other, [l, r, t, b]) in extents.iter().enumerate().skip(index + 1) {
                let apart = right <= l || r <= left || bottom <= t || b <= top;
                assert!(apart, "{drawing}: {} and {}", texts[index], texts[other]);
            }
        }
        for rect in page.all("rect").filter(|e| inside(e, drawing)) {
            let number =
                |name: &str| -> f64 { rect["attributes"][name].as_str().unwrap().parse().unwrap() };
            let (left, right) = (number("x"), number("x") + number("width"));
            assert!(left >= 0.0 && right <= width, "{drawing}: {rect}");
        }
    }
}

#[test]
fn a_large_run_makes_a_page_that_a_browser_opens() {
    let name = |n: usize| format!("image/initramfs::spin-is-installed-{n}[variant=spin-tailscale]");
    let passed = (0..10_000)
        .map(|n| outcome(&name(n), Ending::Pass))
        .collect();
    let all = page(passed);
    assert!(all.len() < 2 << 20, "{}", all.len());
    assert!(all.contains("All 10000 passed") && all.contains("spin-is-installed-9999"));
    if let Some(page) = Page::read(&all) {
        assert_eq!(page.all("li").count(), 10_000 + 4);
    }
    // Everything fails, with much to tell: the page ends where its bounds are, and counts the rest.
    let failed = (0..30_000).map(|n| {
        let mut one = outcome(&name(n), fail());
        one.evidence = Some(Evidence {
            value: json!("x".repeat(8000)),
            truncated: false,
        });
        one
    });
    let all = page(failed.collect());
    assert!(all.len() < 8 << 20, "{}", all.len());
    assert!(all.contains("30000 failed") && all.contains("There is no room on this page for more"));
    let passed = (0..30_000)
        .map(|n| outcome(&name(n), Ending::Pass))
        .collect();
    let all = page(passed);
    assert!(all.len() < 4 << 20 && all.contains("more, which this page has no room for"));
}

#[test]
fn files_beside_the_page_are_linked_to_and_others_are_named() {
    let world = World::new();
    world.write("out/boot 1/screen#.png", "a picture");
    world.write("elsewhere/console.log", "a log");
    std::os::unix::fs::symlink("../elsewhere", world.path().join("out/away")).unwrap();
    let files = [
        "out/boot 1/screen#.png",
        "elsewhere/console.log",
        "out/away/console.log",
        "out/gone.png",
    ];
    let mut one = outcome("it::boot", fail());
    one.picture = Some(Picture::Files(files.map(str::to_owned).to_vec()));
    let page = page_in(vec![one], Some((&world.path().join("out"), world.path())));
    let Some(page) = Page::read(&page) else {
        return;
    };
    let links: Vec<&Value> = page.all("a").collect();
    assert_eq!(links.len(), 1);
    assert_eq!(links[0]["attributes"]["href"], "./boot%201/screen%23.png");
    files
        .iter()
        .for_each(|file| assert!(page.text().contains(file)));
}
