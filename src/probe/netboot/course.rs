//! The way itself: what the firmware is told, and what it starts.

use super::console::Console;
use super::fetch::{Body, Fetcher, Missed, Who};
use super::look::{Looked, look};
use super::{Asking, Fault, File, NetbootError, Outcome, Program, Stage, Step, Stopped, Walk};
use crate::format::dhcp::{Boot, Firmware, Machine, Offer};
use crate::format::pe;
use crate::format::tftp::PORT;
use crate::model::address::shown;
use crate::model::value::clip;
use crate::probe::dhcp::{DhcpError, Turn, discover, pick};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};
use url::Url;

/// Why the way goes no further.
pub(super) enum End {
    /// Something would stop the machine.
    Stopped(Stopped),
    /// Nothing is known of what comes.
    Error(NetbootError),
}

impl From<DhcpError> for End {
    fn from(error: DhcpError) -> Self {
        Self::Error(error.into())
    }
}

/// Goes the way of a machine, until a kernel starts or something stops it.
///
/// # Errors
/// Where a server gives no answer, or only a real machine would know how it goes on.
pub fn walk(asking: &Asking<'_>) -> Result<Walk, NetbootError> {
    let begin = Instant::now();
    let mut course = Course {
        asking,
        fetcher: Fetcher {
            limits: &asking.limits,
            deadline: asking.deadline,
            cancel: asking.cancel,
        },
        steps: Vec::new(),
        console: Console::default(),
        found: Found::default(),
        waited: Duration::ZERO,
    };
    let (outcome, stopped) = match course.all() {
        Ok(outcome) => (outcome, None),
        Err(End::Stopped(stopped)) => (Outcome::Stopped, Some(stopped)),
        Err(End::Error(error)) => return Err(error),
    };
    let found = course.found;
    Ok(Walk {
        outcome,
        stopped,
        note: found.note,
        steps: course.steps,
        boot_file: found.boot_file,
        kernel: found.kernel,
        initrds: found.initrds,
        scripts: found.scripts,
        console: course.console.lines(),
        took: begin.elapsed().saturating_sub(course.waited),
    })
}

/// What is known so far.
#[derive(Default)]
pub(super) struct Found {
    pub(super) note: Option<String>,
    pub(super) boot_file: Option<File>,
    pub(super) kernel: Option<File>,
    pub(super) initrds: Vec<File>,
    pub(super) scripts: Vec<String>,
}

/// What a machine was told by DHCP.
pub(super) struct Told {
    pub(super) boot: Boot,
    /// The offer of its address.
    pub(super) address: Option<Offer>,
}

/// Where a file is.
pub(super) enum Place<'p> {
    Url(&'p Url),
    /// By TFTP, with the name as it is.
    Tftp(Ipv4Addr, &'p str),
}

impl Place<'_> {
    /// Shows it, without what may be secret in it.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Url(url) => shown(url.as_str()),
            Self::Tftp(server, file) => format!("tftp://{server}/{}", file.trim_start_matches('/')),
        }
    }
}

/// A way that is being gone.
pub(super) struct Course<'a> {
    pub(super) asking: &'a Asking<'a>,
    fetcher: Fetcher<'a>,
    steps: Vec<Step>,
    pub(super) console: Console,
    pub(super) found: Found,
    /// How long others had their turn with DHCP.
    waited: Duration,
}

impl Course<'_> {
    fn all(&mut self) -> Result<Outcome, End> {
        let machine = &self.asking.machine;
        if machine.firmware == Firmware::Ipxe {
            return self.ipxe(None);
        }
        let told = self.told(machine)?;
        let (file, url) = self.boot_file(machine, &told.boot)?;
        if let Some(disk) = url.as_ref().and_then(|(_, image)| image.disk()) {
            self.found.note = Some(format!(
                "UEFI makes a disk of the {disk}, and starts what is on it"
            ));
            self.found.boot_file = Some(file);
            return self.no_kernel(Outcome::Disk);
        }
        let found = file.program;
        self.found.boot_file = Some(file.clone());
        self.starts(&file)?;
        match (self.asking.boots_ipxe, found) {
            (Some(true), _) | (None, Some(Program::Ipxe)) => {
                let at = match &url {
                    Some((url, _)) => Some(url.clone()),
                    None => Url::parse(&file.url).ok(),
                };
                self.ipxe(Some((told, at)))
            }
            (_, Some(Program::Kernel | Program::Uki)) => {
                self.found.kernel = Some(file);
                self.as_built()?;
                Ok(Outcome::Boot)
            }
            (_, found) => {
                let name = found.map_or("other", Program::name);
                self.found.note = Some(format!(
                    "a program starts ({name}), and what it loads is not followed"
                ));
                self.no_kernel(Outcome::Program)
            }
        }
    }

    /// Asks DHCP what to boot.
    pub(super) fn told(&mut self, machine: &Machine) -> Result<Told, End> {
        let who = machine.firmware;
        let mac: Vec<String> = machine
            .mac
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        self.console.asks(who, &mac.join(":"));
        let asking = self.asking;
        let wait = |begin: Instant| {
            asking
                .wait
                .min(asking.deadline.saturating_duration_since(begin))
        };
        let turn = Turn::take(&asking.way, false, asking.deadline, asking.cancel)?;
        self.waited += turn.waited;
        let begin = Instant::now();
        let offers = discover(machine, &turn, wait(begin), asking.cancel)?;
        for offer in &offers {
            let role = if offer.is_proxy() {
                "proxy-dhcp"
            } else {
                "dhcp"
            };
            self.answered(machine, offer, role, "DISCOVER", begin);
        }
        let address = offers.iter().find(|offer| !offer.is_proxy()).cloned();
        let begin = Instant::now();
        let picked = pick(machine, &turn, &offers, wait(begin), asking.cancel)?;
        drop(turn);
        if Console::takes(who, picked.boot.as_ref().err()) {
            self.console.address(who, address.as_ref());
        }
        if let Some(answer) = &picked.boot_server {
            let asked = "REQUEST on port 4011";
            self.answered(machine, answer, "boot-server", asked, begin);
        }
        match picked.boot {
            Ok((boot, _)) => {
                self.console.file(who, &boot);
                Ok(Told { boot, address })
            }
            Err(why) => {
                self.console.nothing(who, &why);
                Err(End::Stopped(Stopped {
                    fault: Fault::of(&why),
                    stage: Stage::Dhcp,
                    reason: why.to_string(),
                }))
            }
        }
    }

    fn answered(
        &mut self,
        machine: &Machine,
        offer: &Offer,
        role: &str,
        asked: &str,
        begin: Instant,
    ) {
        let file = match offer.file() {
            Some(file) => format!(
                "boot file `{}`",
                clip(&file.escape_debug().to_string(), 200)
            ),
            None => "no boot file".to_owned(),
        };
        let address = match offer.is_proxy() {
            true => "no address".to_owned(),
            false => format!("address {}", offer.packet.yiaddr),
        };
        self.steps.push(Step {
            protocol: "dhcp".to_owned(),
            role: role.to_owned(),
            from: offer.sender(),
            what: format!("{asked} of {}", machine.class()),
            came: format!("{address}, {file}"),
            size: None,
            took: begin.elapsed(),
        });
    }

    /// Fetches a file and looks at it; both are written down.
    pub(super) fn fetch(&mut self, place: &Place<'_>, who: Who) -> Result<(Body, Looked), Missed> {
        let begin = Instant::now();
        let got = match place {
            Place::Url(url) => self.fetcher.get(url, who),
            Place::Tftp(server, file) => {
                self.fetcher
                    .tftp(SocketAddr::new((*server).into(), PORT), file, who)
            }
        };
        let bios = self.asking.machine.arch == 0;
        let got = got.and_then(|body| match look(&body.source, bios) {
            Ok(looked) => Ok((body, looked)),
            Err(error) => Err(Missed::Local(error.to_string())),
        });
        let (protocol, from) = match place {
            Place::Url(url) => (url.scheme(), url.host_str().unwrap_or_default().to_owned()),
            Place::Tftp(server, _) => ("tftp", server.to_string()),
        };
        self.steps.push(Step {
            protocol: protocol.to_owned(),
            role: protocol.to_owned(),
            from,
            what: place.shown(),
            came: match &got {
                Ok((_, looked)) => described(looked),
                Err(Missed::Fault(_, why) | Missed::Unreachable(why) | Missed::Local(why)) => {
                    why.clone()
                }
            },
            size: got.as_ref().ok().map(|(body, _)| body.size),
            took: begin.elapsed(),
        });
        got
    }

    /// Writes down what stops the machine.
    pub(super) fn stop(
        &mut self,
        fault: Fault,
        stage: Stage,
        who: Firmware,
        reason: String,
    ) -> End {
        self.console.stops(fault, stage, who);
        End::Stopped(Stopped {
            fault,
            stage,
            reason,
        })
    }

    /// Ends where no kernel is seen; one that was to be compared is then not known.
    pub(super) fn no_kernel(&self, outcome: Outcome) -> Result<Outcome, End> {
        if self.asking.kernel.is_none() && self.asking.initrds.is_none() {
            return Ok(outcome);
        }
        let why = self.found.note.clone().unwrap_or_default();
        Err(End::Error(NetbootError::Unknown(format!(
            "{why}, so that the kernel cannot be held against that of the build"
        ))))
    }

    /// Stops where what is served is not what was built.
    pub(super) fn as_built(&mut self) -> Result<(), End> {
        let who = self.asking.machine.firmware;
        let differs = |served: &File, built: &super::Expected| {
            (served.sha256 != built.sha256).then(|| {
                let url = &served.url;
                format!(
                    "{url} is not `{}`: its digest is {}",
                    built.name, served.sha256
                )
            })
        };
        let kernel = self.found.kernel.as_ref().zip(self.asking.kernel.as_ref());
        if let Some(why) = kernel.and_then(|(served, built)| differs(served, built)) {
            return Err(self.stop(Fault::OtherFile, Stage::Kernel, who, why));
        }
        let Some(built) = &self.asking.initrds else {
            return Ok(());
        };
        let served = &self.found.initrds;
        let why = match served.len() == built.len() {
            true => served
                .iter()
                .zip(built)
                .find_map(|(served, built)| differs(served, built)),
            false => Some(format!(
                "{} files are handed to the kernel, and {} were built",
                served.len(),
                built.len()
            )),
        };
        match why {
            Some(why) => Err(self.stop(Fault::OtherFile, Stage::Initrd, who, why)),
            None => Ok(()),
        }
    }
}

/// Writes a file down.
pub(super) fn made(url: String, name: &str, body: &Body, looked: &Looked) -> File {
    File {
        url,
        name: name.to_owned(),
        arguments: String::new(),
        content: looked.content.to_owned(),
        program: looked.program,
        arch: looked
            .pe_machine
            .map(|machine| pe::arch(machine).to_owned()),
        size: body.size,
        sha256: body.sha256,
        cut: looked.cut.clone(),
    }
}

fn described(looked: &Looked) -> String {
    let mut text = looked.content.to_owned();
    if let Some(program) = looked
        .program
        .map(Program::name)
        .filter(|name| *name != "other")
    {
        text = format!("{program}, {text}");
    }
    if let Some(machine) = looked.pe_machine {
        text = format!("{text} for {}", pe::arch(machine));
    }
    text
}
