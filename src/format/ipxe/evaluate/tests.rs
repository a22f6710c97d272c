use super::*;
use crate::format::ipxe::walk::{Failed, Loaded};

/// A web server in a map.
struct Served(BTreeMap<&'static str, &'static str>);

impl Fetch for Served {
    fn fetch(&mut self, url: &Url) -> Result<Loaded, Failed> {
        match self.0.get(url.as_str()) {
            None => Err(Failed::Refused("404".to_owned())),
            Some(&"down") => Err(Failed::Unreachable("no connection".to_owned())),
            Some(text) if text.starts_with("#!ipxe") => {
                Ok(Loaded::Script(text.as_bytes().to_vec()))
            }
            Some(text) => Ok(Loaded::Other {
                content: "zboot".to_owned(),
                pe_machine: u16::from_str_radix(text, 16).ok(),
                size: Some(7),
            }),
        }
    }
}

fn machine() -> Machine {
    let settings = [
        ("mac", "52:54:00:aa:bb:cc"),
        ("uuid", "36d22ed9-b64f-4fdb-941b-a54a0854f991"),
        ("buildarch", "arm64"),
    ];
    Machine {
        settings: settings
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        ..Machine::default()
    }
}

fn walk(served: &[(&'static str, &'static str)]) -> Walk {
    let mut served = Served(served.iter().copied().collect());
    let start = Start::Url(Url::parse("http://h/boot.ipxe").unwrap());
    evaluate(&start, &machine(), &mut served, &Bounds::default())
}

fn one(script: &'static str) -> Walk {
    walk(&[
        ("http://h/boot.ipxe", script),
        ("http://h/k", "aa64"),
        ("http://h/i", ""),
    ])
}

/// What a script set in `x`.
fn x(script: &'static str) -> Option<String> {
    one(script).settings.get("x").cloned()
}

#[test]
fn matchbox_is_followed_to_its_kernel() {
    let seen = walk(&[
        (
            "http://h/boot.ipxe",
            "#!ipxe\nchain ipxe?uuid=${uuid}&mac=${mac:hexhyp}&domain=${domain}&arch=${buildarch:uristring}\n",
        ),
        (
            "http://h/ipxe?uuid=36d22ed9-b64f-4fdb-941b-a54a0854f991&mac=52-54-00-aa-bb-cc&domain=&arch=arm64",
            "#!ipxe\nkernel /assets/vmlinuz initrd=initramfs.xz talos.platform=metal a=${mac}\n\
             initrd --name initramfs.xz assets/i.xz\nboot\n",
        ),
        ("http://h/assets/vmlinuz", "aa64"),
        ("http://h/assets/i.xz", ""),
    ]);
    let Outcome::Boot(kernel) = &seen.outcome else {
        panic!("{seen:?}")
    };
    assert_eq!(kernel.url, "http://h/assets/vmlinuz");
    assert_eq!(
        kernel.arguments,
        "initrd=initramfs.xz talos.platform=metal a=52:54:00:aa:bb:cc"
    );
    let initrds: Vec<_> = seen.initrds.iter().map(|i| (&*i.name, &*i.url)).collect();
    assert_eq!(initrds, [("initramfs.xz", "http://h/assets/i.xz")]);
    assert_eq!(seen.unset, ["domain"]);
    assert_eq!(seen.scripts.len(), 2);
    assert_eq!(seen.steps.len(), 4);
}

#[test]
fn the_flow_of_control_is_ipxes() {
    assert_eq!(
        x("#!ipxe\nisset ${no} && set x 1 || set x 2\nexit\n").as_deref(),
        Some("2")
    );
    assert_eq!(
        x("#!ipxe\niseq ${buildarch} arm64 && set x 1 ||\nexit\n").as_deref(),
        Some("1")
    );
    // `||` behind a command that succeeded lets the one behind `&&` go on.
    assert_eq!(
        x("#!ipxe\necho a || set x 1 && set x 2\n").as_deref(),
        Some("2")
    );
    assert_eq!(
        x("#!ipxe\ngoto ${buildarch} || goto b\n:b\nset x b\nexit\n:arm64 set x a\nexit")
            .as_deref(),
        Some("a")
    );
    assert_eq!(
        x("#!ipxe\nset x a  b \\\n  c # d\n").as_deref(),
        Some("a b c")
    );
    assert_eq!(
        x("#!ipxe\nset n:int8 0\n:l inc n ; iseq ${n} 5 || goto l\nset x ${n}\n").as_deref(),
        Some("5")
    );
    assert_eq!(x("#!ipxe\ninc x 3\ninc x\n").as_deref(), Some("4"));
    assert_eq!(
        x("#!ipxe\ncpuid --ext 29 && set x 64 || set x 32\n").as_deref(),
        Some("32")
    );
    let menu = "#!ipxe\nmenu T\nitem --gap -- g\nitem a A\nitem --key b b B\nchoose --default b --timeout 5 t && goto ${t}\n:a\nset x a\nexit\n:b\nset x b\n";
    assert_eq!(x(menu).as_deref(), Some("b"));
    assert_eq!(
        x("#!ipxe\nmenu\nitem a\nitem -d b\nitem c\nchoose x\n").as_deref(),
        Some("b")
    );
    assert_eq!(one("#!ipxe\nchoose x\n").outcome.name(), "failed");
}

#[test]
fn every_end_has_its_name() {
    let end = |script| one(script).outcome;
    assert_eq!(end("#!ipxe\necho\n"), Outcome::Ended);
    assert_eq!(end("#!ipxe\nexit\nshell\n"), Outcome::Exit);
    assert_eq!(end("#!ipxe\nfalse || shell\n"), Outcome::Shell);
    assert_eq!(end("#!ipxe\nreboot\n"), Outcome::Reboot);
    assert_eq!(end("#!ipxe\npoweroff\n"), Outcome::PowerOff);
    assert_eq!(
        end("#!ipxe\nsanboot --no-describe iscsi:10.0.0.1::::iqn\n"),
        Outcome::SanBoot("iscsi:10.0.0.1::::iqn".into())
    );
    let why = |script| match one(script).outcome {
        Outcome::Failed(why) | Outcome::Unknown(why) | Outcome::Loop(why) | Outcome::Limit(why) => {
            why
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(
        why("#!ipxe\n\nchian x\n"),
        "line 3 of http://h/boot.ipxe: chian: command not found"
    );
    assert!(why("#!ipxe\nchain http://${next-server}/x\n").contains("names no host"));
    assert!(why("#!ipxe\nchain nowhere\n").contains("404"));
    assert!(why("#!ipxe\nkernel i\n").contains("exec format error"));
    assert!(why("#!ipxe\nboot\n").contains("no image selected"));
    assert!(why("#!ipxe\nkernel k\nimgfree\nboot\n").contains("no image selected"));
    assert!(why("#!ipxe\nkernel --nmae k\n").contains("unrecognised option"));
    assert!(why("#!ipxe\nexit 3\n").contains("exit status 3"));
    assert!(why("#!ipxe\necho \\").contains("ends with a backslash"));
    assert!(why("#!ipxe\nprompt x\n").contains("waits for a person"));
    assert!(why("#!ipxe\nchain nfs://h/x\n").contains("`nfs:` is not fetched here"));
    assert!(why("#!ipxe\n:a\ngoto a\n").contains("nothing has changed"));
    assert!(
        why("#!ipxe\nset x:hexraw 247b783a737472696e677d\necho ${x:string}\n").contains("endless")
    );
    assert!(why("#!ipxe\n:a inc x\ngoto a\n").contains("10000 commands"));
    assert!(why("#!ipxe\nset x a\n:a set x ${x}${x}\ngoto a\n").contains("endless"));
    // The same script again, and again with something else each time.
    assert!(why("#!ipxe\nchain boot.ipxe\n").contains("leads to itself"));
    assert!(why("#!ipxe\nchain --replace boot.ipxe\n").contains("leads to itself"));
    assert!(why("#!ipxe\ninc x\nchain boot.ipxe\n").contains("inside of one another"));
}

#[test]
fn images_are_named_replaced_and_freed() {
    let seen = one(
        "#!ipxe\ninitrd i a\ninitrd --name=n i\nkernel -n v k old\nimgargs v new words\nboot\n",
    );
    let Outcome::Boot(kernel) = &seen.outcome else {
        panic!("{seen:?}")
    };
    assert_eq!((&*kernel.name, &*kernel.arguments), ("v", "new words"));
    let initrds: Vec<_> = seen
        .initrds
        .iter()
        .map(|i| (&*i.name, &*i.arguments))
        .collect();
    assert_eq!(initrds, [("i", "a"), ("n", "")]);
    let seen = one("#!ipxe\ninitrd i\nimgfree i\nboot k\n");
    assert!(matches!(seen.outcome, Outcome::Boot(_)) && seen.initrds.is_empty());
    // A script that has ended is an image again, and goes to the kernel unless it is freed.
    let seen = walk(&[
        (
            "http://h/boot.ipxe",
            "#!ipxe\nchain sub\nchain --autofree sub2\nboot k\n",
        ),
        ("http://h/sub", "#!ipxe\nset x 1\nexit\n"),
        ("http://h/sub2", "#!ipxe\n"),
        ("http://h/k", "aa64"),
    ]);
    assert_eq!(
        seen.initrds.iter().map(|i| &*i.name).collect::<Vec<_>>(),
        ["sub"]
    );
    // A kernel of another machine is loaded, and does not start.
    let seen = walk(&[
        ("http://h/boot.ipxe", "#!ipxe\nkernel k\nboot || exit\n"),
        ("http://h/k", "8664"),
    ]);
    assert_eq!(seen.outcome, Outcome::Exit);
    assert!(
        seen.steps[1]
            .failed
            .as_ref()
            .unwrap()
            .contains("for amd64, the machine is arm64")
    );
}

#[test]
fn what_gives_no_answer_is_told_from_what_is_not_there() {
    let seen = walk(&[
        ("http://h/boot.ipxe", "#!ipxe\nchain a || chain b\n"),
        ("http://h/a", "down"),
    ]);
    assert!(seen.unreachable && matches!(seen.outcome, Outcome::Failed(_)));
    assert!(!one("#!ipxe\nchain b\n").unreachable);
    // What is secret in an address does not stand in the transcript.
    let seen = one("#!ipxe\nchain http://me:secret@h/z\n");
    assert!(!format!("{seen:?}").contains("secret"), "{seen:?}");
}

/// Gives the same script for every address, until a time.
struct Large(String, std::time::Instant);

impl Fetch for Large {
    fn fetch(&mut self, _: &Url) -> Result<Loaded, Failed> {
        Ok(Loaded::Script(self.0.clone().into_bytes()))
    }

    fn over(&self) -> bool {
        std::time::Instant::now() >= self.1
    }
}

fn among_large(script: String, time: u64) -> Outcome {
    let start = Start::Script {
        name: "it".to_owned(),
        bytes: script.into_bytes(),
        base: Url::parse("http://h/").ok(),
    };
    let end = std::time::Instant::now() + std::time::Duration::from_secs(time);
    let mut served = Large(format!("#!ipxe\n{}", "# nothing\n".repeat(10_000)), end);
    evaluate(&start, &machine(), &mut served, &Bounds::default()).outcome
}

#[test]
fn a_loop_among_large_images_costs_no_more_than_another() {
    let mut script = "#!ipxe\nset x:int32 0\n".to_owned();
    for number in 0..99 {
        script.push_str(&format!("imgfetch --name i{number} it\n"));
    }
    script.push_str(":top\ninc x\niseq ${x} 1000 || goto top\nexit\n");
    assert_eq!(among_large(script, 60), Outcome::Exit);
}

#[test]
fn a_walk_ends_when_its_time_does() {
    let counts = "#!ipxe\nset x:int32 0\n:top\ninc x\ngoto top\n";
    let Outcome::Limit(why) = among_large(counts.to_owned(), 0) else {
        panic!("it goes on");
    };
    assert!(why.contains("no time is left"), "{why}");
}

#[test]
fn a_bios_starts_no_kernel_of_another_machine() {
    let mut served = Served(BTreeMap::from([("http://h/k", "aa64")]));
    let start = Start::Script {
        name: "it".to_owned(),
        bytes: b"#!ipxe\nkernel http://h/k\nboot\n".to_vec(),
        base: None,
    };
    let machine = Machine {
        platform: super::super::Platform::Bios,
        ..Machine::default()
    };
    let walk = evaluate(&start, &machine, &mut served, &Bounds::default());
    assert!(matches!(walk.outcome, Outcome::Failed(_)), "{walk:?}");
    assert!(walk.not_started.is_some());
}
