//! `dhcp`: what servers offer a machine to boot.

mod offered;

use super::{Context, Kind, ProbeError, SubjectUse};
use crate::format::dhcp::{Boot, Choice, Firmware, Machine, Offer, SERVER_PORT, choose};
use crate::model::Address;
use crate::probe::dhcp::{DhcpError, Way, ask_boot_server, discover};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::SocketAddrV4;
use std::time::Duration;

pub use offered::{Discovery, Offered};
use offered::{offered, server};

/// The kind.
pub struct TheKind;

/// How long a boot server may take.
const BOOT_SERVER: Duration = Duration::from_secs(3);

/// Which machine asks, and by which way. It asks what it would be offered (DISCOVER), and boot servers
/// on port 4011 where firmware would. It takes no address: REQUEST is never sent to a DHCP server.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// The machine's processor.
    #[schemars(extend("enum" = ["arm64", "amd64", "i386", "arm"]))]
    pub arch: String,
    /// Who asks: `pxe`, where nothing is said (UEFI, or a PC's BIOS for `i386`), `http` (UEFI that
    /// boots by HTTP) or `ipxe`.
    #[schemars(extend("enum" = ["pxe", "http", "ipxe"]))]
    pub firmware: Option<String>,
    /// The architecture as option 93 counts them, where it is not the one that follows from `arch` and
    /// `firmware`: ARM64 is 11, and 19 by HTTP.
    pub client_arch: Option<u16>,
    /// The machine's MAC address; left out, `02:74:64:67:00:01`.
    pub mac: Option<String>,
    /// The machine's UUID.
    pub uuid: Option<String>,
    /// The network card to ask from, by broadcast. It takes the right to use port 68.
    pub interface: Option<String>,
    /// The server to ask, `10.0.0.1` or `10.0.0.1:67`, as a relay would.
    pub server: Option<String>,
    /// The address of this machine that the relay has, `10.0.0.9` or `10.0.0.9:67`.
    pub relay: Option<String>,
    /// How long an address is waited for, in seconds; left out, 6. Once one is offered, others have
    /// 0.7 s more.
    #[schemars(extend("x-unit" = "seconds"))]
    pub wait: Option<f64>,
}

/// What the servers offer. Where nobody answers, nothing is known, and that is an error.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// What the firmware would boot, all offers put together. Only DISCOVER is sent, and what boot
    /// servers are asked on port 4011; no address is taken (REQUEST), so that what a server would
    /// answer to that is not seen.
    pub boot: Option<Picked>,
    /// Why it would boot nothing.
    pub reason: Option<String>,
    /// What stops firmware, or leads it wrong, in what it would boot.
    pub problems: Vec<String>,
    /// The offers, each by itself, in the order in which they came.
    pub offers: Vec<Offered>,
    /// What the boot server answers on port 4011, where firmware asks it.
    pub boot_server: Option<Offered>,
}

/// What is booted.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[schemars(extend("x-key" = "file"))]
pub struct Picked {
    /// The file, or its URL.
    pub file: String,
    /// The server that has the file: `siaddr`, or else the DHCP server; of a URL, nothing.
    pub server: Option<String>,
    /// The server that says so, by DHCP or on port 4011.
    pub from: String,
}

impl Kind for TheKind {
    const NAME: &'static str = "dhcp";
    const SUMMARY: &'static str = "what DHCP servers offer a machine to boot";
    const SUBJECT: SubjectUse = SubjectUse::None;
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: ARM64 firmware is offered its own boot file
  dhcp: { arch: arm64, interface: eth0 }
  expect:
    boot: { file: ipxe-arm64.efi, server: 10.0.0.1 }";
    const DESCRIBES: &'static [&'static str] = &["boot"];
    type Args = Args;
    type Evidence = Evidence;

    fn validate(args: &Args) -> Result<(), ProbeError> {
        way(args)?;
        wait(args)?;
        machine(args).map(|_| ())
    }

    fn observe(
        args: Args,
        _subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let machine = machine(&args)?;
        let wait = wait(&args)?;
        // The error that nobody answered says more than that the time was over.
        let most = context
            .time_left()
            .saturating_sub(Duration::from_millis(200));
        let way = way(&args)?;
        let wait = wait.min(most);
        let offers = discover(&machine, &way, wait, context.cancel)?;
        let wants = |fields: [&str; 4]| fields.iter().any(|field| context.wants(field));
        if !wants(["boot", "reason", "problems", "boot-server"]) {
            return Ok(Evidence::of(None, Vec::new(), &offers, &machine));
        }
        let asked = Asking {
            machine: &machine,
            way: &way,
            wait,
            context,
        };
        let picked = asked.what_is_booted(&offers)?;
        let mut problems = problems(&picked, &machine);
        if machine.firmware == Firmware::Ipxe && context.wants("problems") {
            problems.extend(asked.loops(&picked)?);
        }
        Ok(Evidence::of(Some(picked), problems, &offers, &machine))
    }
}

/// What firmware makes of the offers.
struct Chosen {
    /// What is booted, and the server that says so.
    boot: Result<(Boot, String), String>,
    boot_server: Option<Offer>,
}

/// Who asks whom, and for how long.
struct Asking<'a> {
    machine: &'a Machine,
    way: &'a Way,
    wait: Duration,
    context: &'a Context<'a>,
}

impl Asking<'_> {
    fn what_is_booted(&self, offers: &[Offer]) -> Result<Chosen, DhcpError> {
        let nothing = |why: String, boot_server| Chosen {
            boot: Err(why),
            boot_server,
        };
        let said_by = |number: usize| offers.get(number).map(server).unwrap_or_default();
        let (host, item) = match choose(offers, self.machine.firmware) {
            Choice::Boot(number, boot) => {
                let boot = Ok((boot, said_by(number)));
                return Ok(Chosen {
                    boot,
                    boot_server: None,
                });
            }
            Choice::Nothing(why) => return Ok(nothing(why, None)),
            Choice::Ask { server, item, .. } => (server, item),
        };
        let wait = self.wait.min(BOOT_SERVER).min(self.context.time_left());
        let cancel = self.context.cancel;
        let answer = ask_boot_server(self.machine, self.way, host, item, wait, cancel)?;
        Ok(match answer {
            None => {
                let why = format!("the boot server {host} does not answer on port 4011");
                nothing(why, None)
            }
            Some(answer) => match answer.boot() {
                Some(boot) => Chosen {
                    boot: Ok((boot, server(&answer))),
                    boot_server: Some(answer),
                },
                None => {
                    let why = format!("the boot server {host} names no boot file");
                    nothing(why, Some(answer))
                }
            },
        })
    }

    /// Tells where iPXE is offered what the firmware before it is: it loads itself, again and again.
    fn loops(&self, picked: &Chosen) -> Result<Option<String>, DhcpError> {
        let Ok((boot, _)) = &picked.boot else {
            return Ok(None);
        };
        let before = Machine {
            firmware: Firmware::Pxe,
            ..self.machine.clone()
        };
        let before = Asking {
            machine: &before,
            ..*self
        };
        let wait = self.wait.min(self.context.time_left());
        let offers = match discover(before.machine, self.way, wait, self.context.cancel) {
            Err(DhcpError::NoOffer(_)) => return Ok(None),
            offers => offers?,
        };
        let same = before
            .what_is_booted(&offers)?
            .boot
            .is_ok_and(|(first, _)| first == *boot);
        let file = shown(&boot.file);
        Ok(same.then(|| {
            format!(
                "iPXE is offered `{file}`, as the firmware that loads it is: it loads it again \
                 without end"
            )
        }))
    }
}

/// Lists what is wrong with what is booted, as far as its name tells.
fn problems(picked: &Chosen, machine: &Machine) -> Vec<String> {
    let Ok((boot, _)) = &picked.boot else {
        return Vec::new();
    };
    let (file, name) = (shown(&boot.file), boot.file.to_ascii_lowercase());
    let mut problems = Vec::new();
    let bios = [".kpxe", ".kkpxe", ".kkkpxe", ".pxe", ".0"]
        .iter()
        .any(|end| name.ends_with(end));
    if bios && machine.arch != 0 {
        let arch = machine.arch;
        problems.push(format!(
            "`{file}` is named like a program for a PC's BIOS, and the machine is of \
             architecture {arch}"
        ));
    }
    if name.ends_with(".efi") && machine.arch == 0 {
        problems.push(format!(
            "`{file}` is named like a program for UEFI, and the machine is a PC with a BIOS"
        ));
    }
    if machine.firmware == Firmware::Pxe && name.contains("://") {
        problems.push(format!(
            "`{file}` is a URL, and firmware that boots by PXE asks a TFTP server for a file \
             of that name"
        ));
    }
    problems
}

fn shown(file: &str) -> String {
    crate::model::value::clip(&file.escape_debug().to_string(), 200)
}

impl Evidence {
    fn of(
        picked: Option<Chosen>,
        problems: Vec<String>,
        offers: &[Offer],
        machine: &Machine,
    ) -> Self {
        let (boot, boot_server) = match picked {
            Some(picked) => (Some(picked.boot), picked.boot_server),
            None => (None, None),
        };
        let (boot, reason) = match boot {
            Some(Ok((boot, from))) => (
                Some(Picked {
                    from,
                    file: boot.file,
                    server: boot.server,
                }),
                None,
            ),
            Some(Err(why)) => (None, Some(why)),
            None => (None, None),
        };
        Self {
            boot,
            reason,
            problems,
            offers: offers.iter().map(|offer| offered(offer, machine)).collect(),
            boot_server: boot_server.map(|answer| offered(&answer, machine)),
        }
    }
}

fn wait(args: &Args) -> Result<Duration, ProbeError> {
    let wait = args.wait.unwrap_or(6.0);
    let wait = Duration::try_from_secs_f64(wait)
        .ok()
        .filter(|wait| !wait.is_zero());
    wait.ok_or_else(|| ProbeError::new("`wait` is a time that is not zero"))
}

fn way(args: &Args) -> Result<Way, ProbeError> {
    let address = |name: &str, text: &str| {
        let whole = match text.contains(':') {
            true => text.to_owned(),
            false => format!("{text}:{SERVER_PORT}"),
        };
        whole.parse::<SocketAddrV4>().map_err(|_| {
            let what = format!("`{name}`: `{}` is no IPv4 address", text.escape_debug());
            ProbeError::new(what).remedy("write 10.0.0.1, or 10.0.0.1:67")
        })
    };
    match (&args.interface, &args.server, &args.relay) {
        (Some(name), None, None) => Ok(Way::Interface(name.clone())),
        (None, Some(server), Some(relay)) => Ok(Way::Relay {
            server: address("server", server)?,
            relay: address("relay", relay)?,
        }),
        _ => {
            let what = "either `interface`, or `server` and `relay`, say whom it asks";
            Err(ProbeError::new(what).remedy(
                "name the network card, or a server and the address of this machine that it \
                 answers to",
            ))
        }
    }
}

fn machine(args: &Args) -> Result<Machine, ProbeError> {
    let firmware = match args.firmware.as_deref() {
        Some("http") => Firmware::Http,
        Some("ipxe") => Firmware::Ipxe,
        _ => Firmware::Pxe,
    };
    let arch = match (args.client_arch, args.arch.as_str(), firmware) {
        (Some(arch), _, _) => arch,
        (None, "arm64", Firmware::Http) => 19,
        (None, "arm64", _) => 11,
        (None, "amd64", Firmware::Http) => 16,
        (None, "amd64", _) => 7,
        (None, "arm", Firmware::Http) => 18,
        (None, "arm", _) => 10,
        (None, _, Firmware::Http) => 15,
        (None, _, _) => 0,
    };
    let mac = args.mac.as_deref().unwrap_or("02:74:64:67:00:01");
    let mac = unhex(&mac.replace([':', '-'], "")).ok_or_else(|| {
        let what = format!("`{}` is no MAC address", mac.escape_debug());
        ProbeError::new(what).remedy("write it as 52:54:00:12:34:56")
    })?;
    let uuid = args.uuid.as_deref().map(|uuid| {
        unhex(&uuid.replace('-', ""))
            .ok_or_else(|| ProbeError::new(format!("`{}` is no UUID", uuid.escape_debug())))
    });
    Ok(Machine {
        mac,
        uuid: uuid.transpose()?,
        arch,
        firmware,
    })
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.len() == N * 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let bytes = (0..N).map(|at| u8::from_str_radix(text.get(at * 2..at * 2 + 2)?, 16).ok());
    let bytes: Option<Vec<u8>> = bytes.collect();
    bytes.filter(|_| digits)?.try_into().ok()
}

impl From<DhcpError> for ProbeError {
    fn from(error: DhcpError) -> Self {
        let said = Self::new(error.to_string());
        match error {
            DhcpError::NoOffer(_) => said
                .remedy(
                    "see whether a server runs on this network, and whether it knows this \
                     machine; a longer `wait` may help where it looks for free addresses first",
                )
                .transient(),
            DhcpError::Privilege(_) => said.remedy(
                "run as root, or give the program the right: \
                 setcap cap_net_bind_service,cap_net_raw+ep $(command -v tdg)",
            ),
            DhcpError::InUse(_) => said.remedy(
                "stop what uses the port (another DHCP client or relay), or ask from another \
                 network namespace",
            ),
            DhcpError::NoAddress(_) => {
                said.remedy("give the network card an address, or ask with `server` and `relay`")
            }
            DhcpError::Interrupted | DhcpError::Local(_) => said,
        }
    }
}
