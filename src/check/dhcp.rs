//! `dhcp`: what servers offer a machine to boot.

pub(super) mod asking;
mod leased;
mod offered;

use super::{Context, Kind, ProbeError, SubjectUse};
use crate::format::dhcp::{Boot, Firmware, Machine, Offer};
use crate::model::Address;
use crate::probe::dhcp::{DhcpError, Turn, discover, pick};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};

use asking::{Asked, machine, wait, way};
pub use leased::Leased;
use leased::leased;
use offered::offered;
pub use offered::{Discovery, Offered};

/// The kind.
pub struct TheKind;

/// Which machine asks, and by which way. It asks what it would be offered (DISCOVER), and boot servers
/// on port 4011 where firmware would. It takes no address, unless `lease` says so.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// The machine's processor.
    #[schemars(extend("enum" = ["arm64", "amd64", "i386", "arm"]))]
    pub arch: String,
    /// Who asks: `pxe`, where nothing is said (UEFI, or a PC's BIOS for `i386`), `http` (UEFI that
    /// boots by HTTP) or `ipxe`. UEFI is EDK2 of 2018 or later: older ones drop the first ProxyDHCP
    /// answer that has option 43.
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
    /// 0.7 s more. Where checks ask at once, each waits for all of them.
    #[schemars(extend("x-unit" = "seconds"))]
    pub wait: Option<f64>,
    /// `true` takes the first address that is offered (REQUEST), looks at the answer, and gives the
    /// address back at once (RELEASE).
    #[serde(default)]
    pub lease: bool,
}

/// What the servers offer. Where nobody answers, nothing is known, and that is an error.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Evidence {
    /// What the firmware would boot, all offers put together: of the answers to DISCOVER, and of what
    /// boot servers are asked on port 4011. What a server answers to REQUEST is seen in `lease`.
    pub boot: Option<Picked>,
    /// Why it would boot nothing.
    pub reason: Option<String>,
    /// What stops firmware, or leads it wrong, in what it would boot.
    pub problems: Vec<String>,
    /// The offers, each by itself, in the order in which they came.
    pub offers: Vec<Offered>,
    /// What the boot server answers on port 4011, where firmware asks it.
    pub boot_server: Option<Offered>,
    /// What came of taking an address; nothing where `lease` is not `true`, or none is offered.
    pub lease: Option<Leased>,
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
        let asked = args.asked();
        way(&asked)?;
        wait(&asked)?;
        machine(&asked).map(|_| ())
    }

    fn observe(
        args: Args,
        _subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let asked = args.asked();
        let machine = machine(&asked)?;
        let wait = wait(&asked)?;
        // The error that nobody answered says more than that the time was over.
        let most = context
            .time_left()
            .saturating_sub(Duration::from_millis(200));
        let way = way(&asked)?;
        let wait = wait.min(most);
        let takes = args.lease && context.wants("lease");
        let turn = Turn::take(&way, takes, Instant::now() + most, context.cancel)?;
        let offers = discover(&machine, &turn, wait, context.cancel)?;
        let lease = match takes {
            true => leased(&machine, &turn, &offers, wait, context)?,
            false => None,
        };
        let wants = |fields: [&str; 4]| fields.iter().any(|field| context.wants(field));
        if !wants(["boot", "reason", "problems", "boot-server"]) {
            let seen = Evidence::of(None, Vec::new(), &offers, &machine);
            return Ok(Evidence { lease, ..seen });
        }
        let asked = Asking {
            machine: &machine,
            turn: &turn,
            wait,
            context,
        };
        let picked = asked.what_is_booted(&offers)?;
        let mut problems = problems(&picked, &machine);
        if machine.firmware == Firmware::Ipxe && context.wants("problems") {
            problems.extend(asked.loops(&picked)?);
        }
        let seen = Evidence::of(Some(picked), problems, &offers, &machine);
        Ok(Evidence { lease, ..seen })
    }
}

impl Args {
    fn asked(&self) -> Asked<'_> {
        Asked {
            arch: &self.arch,
            firmware: self.firmware.as_deref(),
            client_arch: self.client_arch,
            mac: self.mac.as_deref(),
            uuid: self.uuid.as_deref(),
            interface: self.interface.as_deref(),
            server: self.server.as_deref(),
            relay: self.relay.as_deref(),
            wait: self.wait,
        }
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
    turn: &'a Turn<'a>,
    wait: Duration,
    context: &'a Context<'a>,
}

impl Asking<'_> {
    fn what_is_booted(&self, offers: &[Offer]) -> Result<Chosen, DhcpError> {
        let wait = self.wait.min(self.context.time_left());
        let picked = pick(self.machine, self.turn, offers, wait, self.context.cancel)?;
        Ok(Chosen {
            boot: picked.boot.map_err(|why| why.to_string()),
            boot_server: picked.boot_server,
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
        let offers = match discover(before.machine, self.turn, wait, self.context.cancel) {
            Err(DhcpError::NoOffer(_)) => return Ok(None),
            offers => offers?,
        };
        let first = match before.what_is_booted(&offers) {
            // What only the firmware before it would be told says nothing of iPXE.
            Err(DhcpError::Discovery(_) | DhcpError::NoAddress(_)) => return Ok(None),
            first => first?.boot,
        };
        let same = first.is_ok_and(|(first, _)| first == *boot);
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
            lease: None,
        }
    }
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
            DhcpError::Late { .. } => said.remedy("give the check a longer `timeout`").transient(),
            DhcpError::NoTurn => {
                said.remedy("give the check a longer `timeout`, or run with fewer `--jobs`")
            }
            DhcpError::Discovery(_) => said.remedy(
                "let part 6 of option 43 be 3, and list the boot servers in part 8: then firmware \
                 asks them alone, and so is it asked here",
            ),
            DhcpError::Down(name) => said.remedy(format!("ip link set {name} up")),
            DhcpError::NoLink(_) => said
                .remedy("see whether a cable is in it, and whether its other end is up")
                .transient(),
            DhcpError::Interrupted | DhcpError::Local(_) => said,
        }
    }
}
