//! Each fault twice: named by `netboot`, and shown by a real machine beside the same servers at the
//! same time. The machine is QEMU's for ARM64 with UEFI firmware (EDK2), and iPXE is the real one.
//!
//! Firmware says less than `netboot`. It shows the same for a file without a length and for one of no
//! known type (5 and 6 below), and for a program that is for another processor, for a BIOS, or cut
//! short (1 and 11, 12); iPXE the same for a kernel for another processor and for one that is cut short
//! (9 and 10). A kernel without a length, and a web server that refuses HEAD (18), are not shown as faults
//! at all: the machine stays there.

use super::beside::with_machine;
use super::walk::{WEB, dnsmasq};
use crate::firmware::{By, arm64, plain};
use crate::peers::{fetched, installed};
use crate::world::World;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A kernel of Linux for x64 that UEFI starts.
const AMD64: &str = "/usr/lib/debian-installer/images/12/amd64/text/debian-installer/amd64/linux";
/// Longer than any of these machines takes.
const BOUND: Duration = Duration::from_secs(100);
/// A second of the machine's in about a quarter of one, so that servers answer it in time.
const PACE: u32 = 5;
/// For a machine that nobody answers: a minute of its in a few seconds.
const SILENT: u32 = 7;

/// What is wrong, and what shows it.
struct Case {
    name: &'static str,
    by: By,
    pace: u32,
    /// What is named to PXE, to HTTP boot, and to iPXE.
    served: [&'static str; 3],
    /// More of dnsmasq's configuration.
    more: &'static str,
    /// The fault and the stage; nothing where it boots.
    fault: Option<(&'static str, &'static str)>,
    /// What `netboot` says that the screen shows, and the machine shows at last.
    shown: &'static str,
    /// What the machine shows before.
    before: &'static [&'static str],
}

const IPXE: &str = "ipxe-arm64.efi";
const STARTING: &str = "iPXE initialising devices...";

fn pxe(name: &'static str, file: &'static str, fault: &'static str, shown: &'static str) -> Case {
    Case {
        name,
        by: By::Pxe,
        pace: PACE,
        served: [file, "", ""],
        more: "",
        fault: Some((fault, "boot-file")),
        shown,
        before: &["Start PXE over IPv4", "NBP file downloaded successfully."],
    }
}

fn http(name: &'static str, url: &'static str, fault: &'static str, shown: &'static str) -> Case {
    Case {
        by: By::Http,
        served: ["", url, ""],
        before: &["Start HTTP Boot over IPv4"],
        ..pxe(name, "", fault, shown)
    }
}

fn ipxe(name: &'static str, url: &'static str, fault: &'static str, shown: &'static str) -> Case {
    Case {
        served: [IPXE, "", url],
        fault: Some((fault, "kernel")),
        before: &[
            "NBP file downloaded successfully.",
            "iPXE initialising devices...",
            "Next server: 10.77.0.1",
        ],
        ..pxe(name, "", fault, shown)
    }
}

fn cases() -> Vec<Case> {
    let (failed, size) = (
        "failed to load Boot0001",
        "Could not retrieve NBP file size",
    );
    let could_not = "Could not boot: Error 0x7f048183";
    vec![
        pxe(
            "1. a boot file for another processor",
            "ipxe-amd64.efi",
            "wrong-architecture",
            failed,
        ),
        Case {
            pace: SILENT,
            fault: Some(("nothing-offered", "dhcp")),
            before: &["Start PXE over IPv4"],
            ..pxe(
                "2. nothing for the architecture",
                "",
                "",
                "PXE-E16: No valid offer received",
            )
        },
        Case {
            fault: Some(("loop", "dhcp")),
            before: &[
                STARTING,
                "Filename: ipxe-arm64.efi",
                STARTING,
                "Filename: ipxe-arm64.efi",
            ],
            ..pxe("3. no rule for iPXE", IPXE, "", STARTING)
        },
        Case {
            pace: SILENT,
            fault: Some(("no-vendor-class", "dhcp")),
            more: "dhcp-boot=tag:arm64http,http://10.77.0.1/ipxe-arm64.efi\n",
            ..http(
                "4. HTTP boot without option 60",
                "",
                "",
                "Server response timeout",
            )
        },
        http(
            "5. a boot file without a length",
            "http://10.77.0.1/endless/ipxe-arm64.efi",
            "no-length",
            size,
        ),
        http(
            "6. neither ending nor type",
            "http://10.77.0.1/plain",
            "wrong-type",
            size,
        ),
        http(
            "7. a boot file that is not there",
            "http://10.77.0.1/nowhere.efi",
            "not-found",
            "Client Error: 404 Not Found",
        ),
        ipxe(
            "8. a kernel without a length",
            "http://10.77.0.1/endless.ipxe",
            "no-length",
            "endless/kernel-arm64...",
        ),
        ipxe(
            "9. a kernel for another processor",
            "http://10.77.0.1/amd64.ipxe",
            "wrong-architecture",
            could_not,
        ),
        ipxe(
            "10. a kernel that is cut short",
            "http://10.77.0.1/cut.ipxe",
            "cut-short",
            could_not,
        ),
        // Beyond the table of faults.
        pxe(
            "11. a boot file that is cut short",
            "cut.efi",
            "cut-short",
            failed,
        ),
        Case {
            // 7 is x64, so that ARM64 gets what is for everybody.
            more: "dhcp-match=set:efi-arm64,option:client-arch,7\ndhcp-boot=tag:efi-arm64,ipxe-arm64.efi\n\
                   dhcp-boot=undionly.kpxe\n",
            ..pxe(
                "12. a rule that takes 7 for ARM64",
                "",
                "not-a-program",
                failed,
            )
        },
        http(
            "13. a boot file that is elsewhere",
            "http://10.77.0.1/moved.efi",
            "redirect",
            "Redirection: 302 Found",
        ),
        http(
            "16. HEAD is told less than what comes",
            "http://10.77.0.1/short.efi",
            "wrong-length",
            "Error: Unexpected network error.",
        ),
        http(
            "17. HEAD is told more than what comes",
            "http://10.77.0.1/long.efi",
            "cut-short",
            "Downloading...100%",
        ),
        // The machine stays there.
        http(
            "18. HEAD is refused",
            "http://10.77.0.1/headless.efi",
            "no-head",
            "URI: http://10.77.0.1/headless.efi",
        ),
        Case {
            fault: Some(("not-found", "script")),
            ..ipxe(
                "14. a script that is not there",
                "http://10.77.0.1/nowhere.ipxe",
                "",
                "nowhere.ipxe... Not found",
            )
        },
        Case {
            fault: None,
            before: &[
                "arm64.ipxe... ok",
                "kernel-arm64...",
                " ok",
                "EFI stub: Booting Linux Kernel",
            ],
            ..ipxe(
                "15. nothing is wrong",
                "http://10.77.0.1/arm64.ipxe",
                "",
                "Booting Linux",
            )
        },
    ]
}

/// What the servers have: real programs and kernels. `None` where one is missing, which has been said.
fn bastion() -> Option<World> {
    let arm64 = fetched()?.join("vmlinuz");
    let (ipxe, other) = (installed(IPXE)?, installed("ipxe-amd64.efi")?);
    let ipxe = by_itself(&fs::read(ipxe).unwrap());
    let world = World::new();
    for folder in ["tftp", "files"] {
        world.write(&format!("{folder}/{IPXE}"), &ipxe);
        world.write(&format!("{folder}/plain"), &ipxe);
        world.write(&format!("{folder}/cut.efi"), &ipxe[..ipxe.len() / 2]);
        world.write(
            &format!("{folder}/ipxe-amd64.efi"),
            fs::read(&other).unwrap(),
        );
        world.write(
            &format!("{folder}/undionly.kpxe"),
            b"\xea\x05\0\xc0\x07 a program for a BIOS",
        );
    }
    let kernel = fs::read(&arm64).unwrap();
    world.write("files/kernel-cut", &kernel[..kernel.len() / 100]);
    symlink(arm64, world.path().join("files/kernel-arm64")).unwrap();
    symlink(AMD64, world.path().join("files/kernel-amd64")).unwrap();
    for (name, kernel) in [
        ("arm64", "kernel-arm64"),
        ("amd64", "kernel-amd64"),
        ("cut", "kernel-cut"),
        ("endless", "endless/kernel-arm64"),
    ] {
        world.write(
            &format!("files/{name}.ipxe"),
            format!("#!ipxe\nkernel {kernel} console=ttyAMA0\nboot\n"),
        );
    }
    Some(world)
}

/// Makes an iPXE that does what it does where nobody has built a script into it. This one has a script
/// with room for another.
fn by_itself(program: &[u8]) -> Vec<u8> {
    let (start, end) = (b"# *PLACEHOLDER START*", b"# *PLACEHOLDER END*");
    let from = memchr::memmem::find(program, start).unwrap();
    let to = memchr::memmem::find(program, end).unwrap() + end.len();
    let mut program = program.to_vec();
    program[from..to].fill(b'\n');
    let script = b"autoboot\n";
    program[from..from + script.len()].copy_from_slice(script);
    program
}

fn number(name: &str) -> u32 {
    name.split('.').next().unwrap().parse().unwrap()
}

/// Tells whether a screen shows these in this order.
pub(super) fn shows<'w>(console: &str, words: impl IntoIterator<Item = &'w str>) -> bool {
    let mut rest = console;
    words.into_iter().all(|word| match rest.split_once(word) {
        Some((_, after)) => {
            rest = after;
            true
        }
        None => false,
    })
}

/// Runs one case, and gives how long `netboot` and the machine took. `None` where something is missing.
fn pair(case: &Case) -> Option<(f64, f64)> {
    let world = bastion()?;
    let machine = arm64(case.by, case.pace, world.path())?;
    let [named_pxe, named_http, named_ipxe] = case.served;
    let conf = dnsmasq(&world, named_pxe, named_http, named_ipxe) + case.more;
    let firmware = if case.by == By::Pxe { "pxe" } else { "http" };
    let null = || ("null".to_owned(), "null".to_owned());
    let (fault, stage) = case
        .fault
        .map_or_else(null, |(f, s)| (f.to_owned(), s.to_owned()));
    let spec = format!(
        "spec: paired\nchecks:\n  - name: pass\n    netboot: {{ arch: arm64, firmware: {firmware}, interface: here }}\n    \
         expect: {{ fault: {fault}, stage: {stage}, transcript: {{ any: {{ contain: '{}' }} }} }}\n",
        case.shown
    );
    let file = world.path().join("console");
    let console = || plain(&fs::read(&file).unwrap_or_default());
    let words = || case.before.iter().copied().chain([case.shown]);
    let mut took = None;
    let begin = Instant::now();
    let look = || {
        while begin.elapsed() < BOUND {
            if shows(&console(), words()) {
                took = Some(begin.elapsed().as_secs_f64());
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        // It stays there: what it has is all, and no word comes behind it.
        if case.name.starts_with("8.") {
            std::thread::sleep(Duration::from_secs(10));
            let console = console();
            let (_, after) = console.rsplit_once(case.shown).unwrap_or_default();
            assert!(
                after
                    .trim_matches(|c: char| c.is_numeric() || " %".contains(c))
                    .is_empty(),
                "{after}"
            );
        }
        if case.name.starts_with("18.") {
            std::thread::sleep(Duration::from_secs(5));
            let console = console();
            assert!(console.trim_end().ends_with(case.shown), "{console}");
        }
    };
    let report = with_machine(
        &world,
        [&conf, ""],
        WEB,
        ("10.77.0.9", &spec),
        &machine,
        look,
    )?;
    report.as_named();
    let said = fs::read_to_string(world.path().join("first.machine")).unwrap_or_default();
    let took = took.unwrap_or_else(|| panic!("{}: {}\n{said}", case.name, console()));
    let netboot = report.trial("pass")["duration_s"].as_f64().unwrap();
    Some((netboot, took))
}

#[test]
fn a_machine_shows_what_netboot_names() {
    let cases = Mutex::new(cases());
    let next = || cases.lock().unwrap().pop();
    let rows = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(case) = next() {
                    let Some((netboot, machine)) = pair(&case) else {
                        return;
                    };
                    let row = format!("{netboot:5.2} s  {machine:5.1} s  {}\n", case.name);
                    rows.lock().unwrap().push((number(case.name), row));
                }
            });
        }
    });
    let mut rows = rows.into_inner().unwrap();
    rows.sort();
    let rows: String = rows.into_iter().map(|(_, row)| row).collect();
    let table = format!("netboot  machine\n{rows}");
    std::io::stderr().write_all(table.as_bytes()).unwrap();
}
