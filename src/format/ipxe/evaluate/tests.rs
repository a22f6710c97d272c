use super::*;
use crate::format::ipxe::walk::{Failed, Loaded};

mod bounds;

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
    // iPXE says that no image is selected, and takes it for a success.
    assert_eq!(end("#!ipxe\nboot || shell\n"), Outcome::Ended);
    assert_eq!(
        end("#!ipxe\nkernel k\nimgfree\nboot || shell\n"),
        Outcome::Ended
    );
    assert!(why("#!ipxe\nimgstat k\n").contains("no such image"));
    assert!(why("#!ipxe\nkernel --timeout soon k\nboot\n").contains("invalid integer value"));
    assert!(why("#!ipxe\nkernel --name -x k\nboot\n").contains("requires an argument"));
    assert!(why("#!ipxe\nexit ${no}\n").contains("invalid integer value"));
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
    // So is what was not a program, or none of this machine.
    let seen = walk(&[
        (
            "http://h/boot.ipxe",
            "#!ipxe\nchain i ||\nchain --autofree j ||\nchain --autofree l ||\nchain -a -r j ||\nboot k\n",
        ),
        ("http://h/i", ""),
        ("http://h/j", ""),
        ("http://h/l", "8664"),
        ("http://h/k", "aa64"),
    ]);
    assert_eq!(
        seen.initrds.iter().map(|i| &*i.name).collect::<Vec<_>>(),
        ["i", "j"]
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

#[test]
fn where_a_script_is_can_be_asked_for() {
    let seen = walk(&[
        (
            "http://h/boot.ipxe",
            "#!ipxe\nset a ${cwuri}\nchain http://n/d/sub?m=1\nset c ${builtin/cwduri}\n",
        ),
        (
            "http://n/d/sub?m=1",
            "#!ipxe\nset b ${cwuri} ${cwduri}\nset d:ipv4 ${no}\n",
        ),
    ]);
    assert_eq!(seen.outcome, Outcome::Ended);
    let set: Vec<_> = seen.settings.values().map(String::as_str).collect();
    // What is set to nothing is not set.
    let wanted = [
        "http://h/boot.ipxe",
        "http://n/d/sub?m=1 http://n/d/",
        "http://h/",
    ];
    assert_eq!(set, wanted);
    assert_eq!(seen.unset, ["no"]);
}

#[test]
fn addresses_are_read_as_ipxe_reads_them() {
    for (script, wanted) in [
        ("kernel //h/k", "http://h//h/k"),
        ("kernel //d/k?a=b", "http://h//d/k?a=b"),
        ("kernel /d/k", "http://h/d/k"),
        ("kernel d/k", "http://h/d/k"),
        ("kernel http://o/d/k", "http://o/d/k"),
    ] {
        let mut asked = Asked(Vec::new());
        let start = Start::Script {
            name: "it".to_owned(),
            bytes: format!("#!ipxe\n{script}\n").into_bytes(),
            base: Url::parse("http://h/boot.ipxe").ok(),
        };
        evaluate(&start, &machine(), &mut asked, &Bounds::default());
        assert_eq!(asked.0, [wanted], "{script}");
    }
    for wrong in ["http:/h/k", "http:h/k", "http:///k", "tftp:k", "http://?k"] {
        let seen = among(&format!("#!ipxe\nkernel {wrong}\nboot\n"));
        let Outcome::Failed(why) = seen.outcome else {
            panic!("{wrong}");
        };
        assert!(why.contains("names no host"), "{why}");
    }
}

#[test]
fn what_is_relative_starts_where_a_redirect_led() {
    struct Moved(Vec<String>);
    impl Fetch for Moved {
        fn fetch(&mut self, url: &Url) -> Result<Loaded, Failed> {
            self.0.push(url.to_string());
            match url.path() {
                "/boot.ipxe" => Ok(Loaded::Script(b"#!ipxe\nkernel k ${cwduri}\n".to_vec())),
                _ => Err(Failed::Refused("404".to_owned())),
            }
        }

        fn led_to(&self) -> Option<Url> {
            Url::parse("https://o/new/boot.ipxe").ok()
        }
    }
    let mut moved = Moved(Vec::new());
    let start = Start::Url(Url::parse("http://h/boot.ipxe").unwrap());
    let seen = evaluate(&start, &machine(), &mut moved, &Bounds::default());
    assert_eq!(moved.0, ["http://h/boot.ipxe", "https://o/new/k"]);
    assert_eq!(seen.steps[0].command, "kernel k https://o/new/");
    assert_eq!(seen.scripts, ["http://h/boot.ipxe"]);
}

/// Has nothing, and keeps what is asked for.
struct Asked(Vec<String>);

impl Fetch for Asked {
    fn fetch(&mut self, url: &Url) -> Result<Loaded, Failed> {
        self.0.push(url.to_string());
        Err(Failed::Refused("404".to_owned()))
    }
}

#[test]
fn only_some_builds_take_a_program_out_of_gzip() {
    struct Gzip;
    impl Fetch for Gzip {
        fn fetch(&mut self, _: &Url) -> Result<Loaded, Failed> {
            Ok(Loaded::Other {
                content: "gzip".to_owned(),
                pe_machine: None,
                size: None,
            })
        }
    }
    for (arch, ends) in [("arm64", "boot"), ("x86_64", "failed")] {
        let mut machine = machine();
        machine
            .settings
            .insert("buildarch".to_owned(), arch.to_owned());
        let start = Start::Script {
            name: "it".to_owned(),
            bytes: b"#!ipxe\nkernel k\nboot\n".to_vec(),
            base: Url::parse("http://h/").ok(),
        };
        let seen = evaluate(&start, &machine, &mut Gzip, &Bounds::default());
        assert_eq!(seen.outcome.name(), ends, "{seen:?}");
    }
}

#[test]
fn what_a_machine_does_not_have_fails() {
    let ends = |script: &str, ends: &str| {
        let seen = among(&format!("#!ipxe\n{script}\nkernel k\nboot\n"));
        assert_eq!(seen.outcome.name(), ends, "{script}: {seen:?}");
        seen
    };
    for right in [
        "dhcp",
        "dhcp net1 net0",
        "ifopen net1 netX",
        "isset ${net1/mac} && dhcp net1 ||",
        "ifopen net1 || dhcp net0",
        "iflinkwait --timeout 5000 net0",
        "console --x 1024 --y 768",
        "console --picture p.png || echo",
        "console --picture k",
    ] {
        let seen = ends(right, "boot");
        assert!(seen.initrds.is_empty(), "{seen:?}");
    }
    for wrong in [
        "dhcp net1",
        "dhcp --timeout soon",
        "ifopen net0 net1",
        "ifstat eth0",
        "ifconfig",
        "console --picture p.png",
        "console k",
    ] {
        ends(wrong, "failed");
    }
    assert_eq!(ends("console -k -p i\nimgstat i", "boot").initrds.len(), 1);
}

/// Carries out a script with a kernel beside it.
fn among(script: &str) -> Walk {
    bounded(script, &Bounds::default())
}

fn bounded(script: &str, bounds: &Bounds) -> Walk {
    let start = Start::Script {
        name: "it".to_owned(),
        bytes: script.as_bytes().to_vec(),
        base: Url::parse("http://h/").ok(),
    };
    let mut served = Served(BTreeMap::from([("http://h/k", "aa64"), ("http://h/i", "")]));
    evaluate(&start, &machine(), &mut served, bounds)
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
