//! Each way to offer something by PXE twice: as `dhcp` and `netboot` understand it, and as UEFI firmware
//! (EDK2) does in a machine of QEMU's beside the same servers.

use std::fs;
use std::net::Ipv4Addr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::beside::with_program;
use super::paired::shows;
use super::raw::{Answer, FIRST, SECOND, server};
use crate::firmware::{By, arm64, plain};
use crate::world::World;

/// What becomes of what is offered.
enum End {
    /// This file is fetched from this server.
    Boots(&'static str, Ipv4Addr),
    /// Nothing is: the fault, what the screen shows, and whether the machine takes an address before.
    Stops(&'static str, &'static str, bool),
    /// It is shown, and goes on only where a person says so.
    Waits(&'static str),
    /// Only the machine knows.
    Unseen(&'static str),
}
use End::{Boots, Stops, Unseen, Waits};

struct Case {
    name: &'static str,
    /// Whether dnsmasq gives addresses.
    dnsmasq: bool,
    answers: Vec<Answer>,
    end: End,
}

/// Multicast TFTP, in option 43.
const MULTICAST: [u8; 21] = [
    1, 4, 224, 1, 1, 1, 2, 2, 1, 1, 3, 2, 1, 2, 4, 1, 1, 5, 1, 1, 255,
];
/// Option 43 that wants the file to be taken that is named beside it.
const TAKE: [u8; 4] = [6, 1, 8, 255];

/// A list of boot servers of type 9, in option 43.
fn list(servers: &[Ipv4Addr]) -> Vec<u8> {
    let addresses = servers.iter().flat_map(Ipv4Addr::octets);
    let length = 3 + 4 * u8::try_from(servers.len()).unwrap();
    let head = [8, length, 0, 9, length / 4];
    head.into_iter().chain(addresses).collect()
}

/// Option 43 with a menu of one line: what part 6 says, the type of boot server that the line leads to,
/// and how long the menu waits.
fn menu(control: u8, list: &[u8], item: u8, wait: u8) -> Vec<u8> {
    let menu = [
        9, 6, 0, item, 3, b'a', b'b', b'c', 10, 3, wait, b'h', b'i', 255,
    ];
    [&[6, 1, control], list, &menu].concat()
}

fn cases() -> Vec<Case> {
    let proxy = |from, file: &str| Answer::new(from, 67, file).pxe();
    let one = || proxy(FIRST, "one.efi");
    let says = |from, file: &str| Answer::new(from, 4011, file).pxe();
    let two = || says(FIRST, "two.efi");
    let elsewhere = |mut answer: Answer| {
        answer.packet.siaddr = SECOND;
        answer
    };
    let nameless = |mut answer: Answer| {
        answer.packet.options.retain(|(code, _)| *code != 54);
        answer
    };
    let beside = |name, answers, end| Case {
        name,
        dnsmasq: true,
        answers,
        end,
    };
    let alone = |name, answers, end| Case {
        dnsmasq: false,
        ..beside(name, answers, end)
    };
    let led = |vendor: Vec<u8>| one().with(43, &vendor);
    let (here, there) = (list(&[FIRST]), list(&[SECOND]));
    let gives_up = || Stops("wrong-menu", "PXE-E21: Remote boot cancelled.", true);
    vec![
        beside(
            "option 43 with all that there is",
            vec![led(menu(11, &here, 9, 0)), two()],
            Boots("one.efi", FIRST),
        ),
        beside(
            "two who say where the file is: the first counts",
            vec![
                one().with(43, &TAKE),
                proxy(SECOND, "two.efi").with(43, &TAKE),
            ],
            Boots("one.efi", FIRST),
        ),
        alone(
            "who gives the address says where the file is",
            vec![one().address().with(43, &TAKE)],
            Boots("one.efi", FIRST),
        ),
        beside(
            "option 60 alone leads to port 4011",
            vec![one(), two()],
            Boots("two.efi", FIRST),
        ),
        beside(
            "two with option 60 alone, and the first does not answer",
            vec![proxy(SECOND, "one.efi"), one(), two()],
            Boots("two.efi", FIRST),
        ),
        beside(
            "the server that is listed has the file, where no menu is shown",
            vec![led(menu(11, &there, 9, 0))],
            Boots("one.efi", SECOND),
        ),
        beside(
            "neither a menu nor bit 3",
            vec![led(vec![6, 1, 3, 255]), two()],
            gives_up(),
        ),
        alone(
            "bit 3, and neither a menu nor a file",
            vec![proxy(FIRST, "").address().with(43, &TAKE)],
            gives_up(),
        ),
        beside(
            "a menu that waits without end",
            vec![led(menu(3, &here, 9, 255)), two()],
            Waits("abc"),
        ),
        beside(
            "a menu that leads to a disk",
            vec![led(menu(3, &here, 0, 0))],
            Stops("nothing-started", "PXE-E21: Remote boot cancelled.", true),
        ),
        beside(
            "a menu that leads to a server",
            vec![led(menu(3, &there, 9, 0)), says(SECOND, "two.efi")],
            Boots("two.efi", SECOND),
        ),
        beside(
            "bit 3 without a file: the menu is followed",
            vec![proxy(FIRST, "").with(43, &menu(11, &here, 9, 0)), two()],
            Boots("two.efi", FIRST),
        ),
        beside(
            "a menu that leads to a type that is not listed",
            vec![led(menu(3, &here, 8, 0)), two()],
            Stops("wrong-menu", "PXE-E07: Network device error.", true),
        ),
        beside(
            "a menu that leads nowhere",
            vec![led(menu(3, &[], 9, 0)), two()],
            Stops("wrong-menu", "PXE-E99: Unexpected network error.", true),
        ),
        beside(
            "a menu whose servers are looked for by broadcast",
            vec![led(menu(2, &here, 9, 0)), two()],
            // dnsmasq answers that as a lease that is asked for anew.
            Unseen("PXE-E99: Unexpected network error."),
        ),
        beside(
            "the last of two servers does not answer",
            vec![
                led(menu(3, &list(&[SECOND, FIRST]), 9, 0)),
                says(SECOND, "two.efi"),
            ],
            Stops("no-boot-server", "PXE-E18: Server response timeout.", true),
        ),
        beside(
            "a menu's server has the file, whatever it says of another",
            vec![led(menu(3, &here, 9, 0)), elsewhere(two())],
            Boots("two.efi", FIRST),
        ),
        beside(
            "only listed servers count, and the answer names another",
            vec![led(menu(7, &here, 9, 0)), elsewhere(two())],
            Stops("wrong-menu", "PXE-E53: No boot filename received.", true),
        ),
        beside(
            "port 4011 answers with a menu",
            vec![
                one(),
                two().with(43, &menu(3, &there, 9, 0)),
                says(SECOND, "one.efi"),
            ],
            Boots("one.efi", SECOND),
        ),
        beside(
            "a proxy with multicast TFTP",
            vec![one().with(43, &MULTICAST), two()],
            Stops("dropped-offer", "PXE-E16: No valid offer received.", false),
        ),
        alone(
            "an address with multicast TFTP",
            vec![one().address().with(43, &MULTICAST), two()],
            Stops("dropped-offer", "PXE-E18: Server response timeout.", false),
        ),
        alone(
            "no option 54",
            vec![nameless(one().address().with(43, &TAKE))],
            Stops("dropped-offer", "PXE-E18: Server response timeout.", false),
        ),
    ]
}

/// What both checks say, and what the machine shows.
fn expected(end: &End) -> (String, Vec<String>) {
    let takes = "  Station IP address is ";
    let checks = |kind: &str, dhcp: &str, netboot: &str| {
        let checks: String = [("dhcp", dhcp), ("netboot", netboot)]
            .iter()
            .filter(|(_, expect)| !expect.is_empty())
            .map(|(name, expect)| {
                format!(
                    "  - name: {kind} {name}\n    {name}: {{ arch: arm64, interface: here }}\n    \
                     expect: {expect}\n"
                )
            })
            .collect();
        format!("spec: offers\nchecks:\n{checks}")
    };
    // The same is behind both: time is saved where the transcript says all.
    let dhcp = "{ boot: null, reason: { present: true } }";
    match end {
        Boots(file, server) => {
            let lines = [
                format!("  Server IP address is {server}"),
                format!("  NBP filename is {file}"),
            ];
            let netboot = format!(
                "{{ stage: boot-file, transcript: {{ contain: ['{}', '{}'] }} }}",
                lines[0], lines[1]
            );
            let lines = [takes.to_owned()].into_iter().chain(lines).collect();
            (checks("pass", "", &netboot), lines)
        }
        Stops(fault, shown, address) => {
            let any = if *address { "any" } else { "none" };
            let netboot = format!(
                "{{ fault: {fault}, stage: dhcp, transcript: {{ contain: '  {shown}', {any}: {{ contain: Station }} }} }}"
            );
            let lines = [takes, shown].into_iter().skip(usize::from(!address));
            let dhcp = if *address { "" } else { dhcp };
            (
                checks("pass", dhcp, &netboot),
                lines.map(str::to_owned).collect(),
            )
        }
        Waits(shown) => {
            let netboot =
                "{ fault: wrong-menu, stage: dhcp, transcript: { none: { contain: PXE-E } } }";
            let lines = vec![takes.to_owned(), (*shown).to_owned()];
            (checks("pass", dhcp, netboot), lines)
        }
        Unseen(shown) => {
            let lines = vec![takes.to_owned(), (*shown).to_owned()];
            (checks("error", dhcp, "{ fault: null }"), lines)
        }
    }
}

/// Runs one case. `None` where something is missing, which has been said.
fn pair(case: &Case) -> Option<()> {
    let world = World::new();
    for (name, bytes) in [("one.efi", "one"), ("two.efi", "two two")] {
        world.write(&format!("tftp/{name}"), bytes);
    }
    let program = server(&world, &case.answers);
    let range = "dhcp-range=10.77.0.50,10.77.0.99,10m\n";
    let range = if case.dnsmasq { range } else { "" };
    let conf = format!(
        "{range}enable-tftp\ntftp-root={}/tftp\n",
        world.path().display()
    );
    let machine = arm64(By::Pxe, 5, world.path())?;
    let (spec, lines) = expected(&case.end);
    let console = world.path().join("console");
    let console = || {
        let text = plain(&fs::read(&console).unwrap_or_default());
        // What comes after that is of no matter.
        let (shown, over) = match text.split_once("BdsDxe: failed to load Boot0001") {
            Some((shown, _)) => (shown.to_owned(), true),
            None => (text, false),
        };
        (shown, over)
    };
    let begin = Instant::now();
    let mut seen = String::new();
    let look = || {
        while begin.elapsed() < Duration::from_secs(100) {
            let (shown, over) = console();
            seen = shown;
            if over {
                return;
            }
            if matches!(case.end, Waits(shown) if seen.contains(shown)) {
                // Longer than the others take to the end.
                std::thread::sleep(Duration::from_secs(3));
                let (shown, over) = console();
                assert!(!over, "{}: {shown}", case.name);
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let spec = ("10.77.0.9", spec.as_str());
    let report = with_program(&world, [&conf, ""], &program, spec, &machine, look)?;
    let log = fs::read_to_string(world.path().join("server.log")).unwrap_or_default();
    let told = format!("{}: {seen}\n{log}", case.name);
    assert!(shows(&seen, lines.iter().map(String::as_str)), "{told}");
    let took = seen.contains("Station IP address");
    assert_eq!(took, !matches!(case.end, Stops(_, _, false)), "{told}");
    std::panic::catch_unwind(|| report.as_named()).unwrap_or_else(|_| panic!("{}", case.name));
    Some(())
}

#[test]
fn a_machine_takes_what_is_offered_as_is_said() {
    let cases = Mutex::new(cases());
    let next = || cases.lock().unwrap().pop();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| while next().is_some_and(|case| pair(&case).is_some()) {});
        }
    });
}
