//! `netboot`: a machine's whole way over the network, to the kernel that it starts.

mod evidence;
mod picture;

use super::dhcp::asking::{Asked, machine, wait, way};
use super::{Context, Kind, ProbeError, SubjectUse};
use crate::format::Limits;
use crate::model::value::Value;
use crate::model::{Address, Picture, Sha256Digest};
use crate::probe::netboot::{Asking, Expected, NetbootError, walk};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

pub use evidence::{Evidence, File, Step};

/// The kind.
pub struct TheKind;

/// Which machine boots, and how it asks. It asks DHCP servers what it would be offered (DISCOVER, and
/// boot servers on port 4011) and takes no address; files are fetched with this machine's own.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Args {
    /// The machine's processor.
    #[schemars(extend("enum" = ["arm64", "amd64", "i386", "arm"]))]
    pub arch: String,
    /// What boots: `pxe`, where nothing is said (UEFI, or a PC's BIOS for `i386`), `http` (UEFI that
    /// boots by HTTP) or `ipxe` (iPXE that is in the machine already). UEFI is EDK2 of 2018 or later:
    /// older ones drop the first ProxyDHCP answer that has option 43.
    #[schemars(extend("enum" = ["pxe", "http", "ipxe"]))]
    pub firmware: Option<String>,
    /// The architecture as option 93 counts them, where it is not the one that follows from `arch` and
    /// `firmware`: ARM64 is 11, and 19 by HTTP.
    pub client_arch: Option<u16>,
    /// The machine's MAC address; left out, `02:74:64:67:00:01`.
    pub mac: Option<String>,
    /// The machine's UUID.
    pub uuid: Option<String>,
    /// The machine's serial number, as scripts of iPXE know it.
    pub serial: Option<String>,
    /// More of its settings, by the names that scripts of iPXE know them by: `hostname`, `asset`.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
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
    /// What the boot file is: `ipxe`, which asks DHCP again and follows scripts, or `other`. Left out,
    /// iPXE is told by what stands in the file; a compressed one (`undionly.kpxe`) does not show it.
    #[schemars(extend("enum" = ["ipxe", "other"]))]
    pub boot_file: Option<String>,
    /// The kernel of the build, which has to be the one that starts: a file, an address inside of an
    /// image, or a digest (`sha256:…`).
    pub kernel: Option<String>,
    /// What of the build is handed to the kernel, in this order, each as `kernel` is.
    pub initrds: Option<Vec<String>>,
}

impl Kind for TheKind {
    const NAME: &'static str = "netboot";
    const SUMMARY: &'static str = "a machine's way over the network, from DHCP to its kernel";
    const SUBJECT: SubjectUse = SubjectUse::None;
    const PURE: bool = false;
    const EXAMPLE: &'static str = "\
- name: an ARM64 node boots the kernel that was built
  netboot:
    arch: arm64
    mac: 52:54:00:12:34:56
    interface: eth0
    kernel: _out/assets/kernel-arm64
    initrds: [_out/assets/initramfs-metal-arm64.xz]
  expect:
    outcome: boot
    fault: null
    arguments: { contain: talos.platform=metal }";
    const DESCRIBES: &'static [&'static str] =
        &["outcome", "fault", "reason", "kernel", "arguments"];
    type Args = Args;
    type Evidence = Evidence;

    fn validate(args: &Args) -> Result<(), ProbeError> {
        let asked = args.asked();
        way(&asked)?;
        wait(&asked)?;
        let named = args.kernel.iter().chain(args.initrds.iter().flatten());
        for text in named {
            built(text)?;
        }
        machine(&asked).map(|_| ())
    }

    fn observe(
        args: Args,
        _subject: Option<&Address>,
        context: &Context<'_>,
    ) -> Result<Evidence, ProbeError> {
        let asked = args.asked();
        let mut settings = args.settings.clone();
        if let Some(serial) = &args.serial {
            settings
                .entry("serial".to_owned())
                .or_insert(serial.clone());
        }
        let expected = |text: &String| expected(text, context);
        let kernel = args.kernel.as_ref().map(expected).transpose()?;
        let initrds = args
            .initrds
            .as_ref()
            .map(|all| all.iter().map(expected).collect());
        let asking = Asking {
            machine: machine(&asked)?,
            arch: &args.arch,
            settings,
            way: way(&asked)?,
            wait: wait(&asked)?,
            boots_ipxe: args.boot_file.as_deref().map(|what| what == "ipxe"),
            kernel,
            initrds: initrds.transpose()?,
            limits: Limits {
                deadline: Some(context.deadline),
                ..Limits::default()
            },
            deadline: context.deadline,
            cancel: context.cancel,
        };
        Ok(Evidence::of(walk(&asking)?))
    }

    fn picture(args: &Value, evidence: &Value) -> Option<Picture> {
        Some(picture::picture(args, evidence))
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

/// A file of the build, as arguments name it.
enum Built {
    Digest(Sha256Digest),
    File(Address),
}

fn built(text: &str) -> Result<Built, ProbeError> {
    if let Some(digits) = text.strip_prefix("sha256:") {
        let digest = Sha256Digest::parse(digits).ok_or_else(|| {
            let said = ProbeError::new(format!("`{}` is no digest", text.escape_debug()));
            said.remedy("write sha256: and 64 hexadecimal digits in small letters")
        });
        return digest.map(Built::Digest);
    }
    let address = Address::parse(text);
    let address = address.map_err(|error| ProbeError::new(error.to_string()))?;
    Ok(Built::File(address))
}

fn expected(text: &str, context: &Context<'_>) -> Result<Expected, ProbeError> {
    let sha256 = match built(text)? {
        Built::Digest(digest) => digest,
        Built::File(address) => context.image(&address)?.digest()?,
    };
    Ok(Expected {
        name: text.to_owned(),
        sha256,
    })
}

impl From<NetbootError> for ProbeError {
    fn from(error: NetbootError) -> Self {
        let said = Self::new(error.to_string());
        match error {
            NetbootError::Dhcp(error) => error.into(),
            NetbootError::Unreachable(_) => {
                let what = "see whether the server runs, and what is between; firmware uses the \
                            address that it is offered, this machine its own";
                said.remedy(what).transient()
            }
            NetbootError::Unknown(_) => said.remedy(
                "describe the machine by more `settings`, or leave `kernel` and `initrds` out where \
                 a boot loader other than iPXE loads them",
            ),
            NetbootError::Limit(_) => said.remedy(
                "give the check more time (`timeout`), or see why the script goes on for so long",
            ),
            NetbootError::Local(_) => {
                said.remedy("see whether the folder for temporary files has space: TMPDIR")
            }
        }
    }
}
