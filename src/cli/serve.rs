//! `tdg serve`: the embedded netboot server.

mod loops;

use super::{exit, look};
use crate::probe::exec::watch_signals;
use crate::serve::artifact::Choice;
use crate::serve::dhcp::cards;
use crate::serve::judged::{Always, Judge};
use crate::serve::{Event, OnEvent, Place, Ports, ServeError, Site, more_files, serve};
use loops::Loops;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::Duration;

/// Serve a folder to machines that boot over the network: HTTP with matchbox's routes, TFTP and ProxyDHCP
///
/// The folder of an OCI layout, such as `tdg generate` packages and `tdg pull` fetches, is served as
/// the files of its artifact.
///
/// Where the folder has matchbox's groups/ and profiles/, these decide what a machine gets, and
/// assets/ is what it can fetch. Otherwise it is the kernel and the initramfs of the folder, found
/// by their content; where there are several, by the architecture that asks.
///
/// What `tdg generate` built is served only where, and as long as, its specs hold; an artifact only
/// where the verdict attached to it says so. Names that lead out of the folder
/// or begin with a dot are not served.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  tdg serve _out/assets/spin-only --only http       try it: http://127.0.0.1:8080/boot.ipxe
  tdg serve boot --tftp-port 6969 --cmdline 'console=ttyAMA0'
  sudo tdg serve boot --interface eth1              for the machines of that network
  sudo tdg serve _out/assets/spin-only --boot /srv/loaders --interface eth1
  tdg serve _out/package/spin-only --only http      the files of what was packaged

Routes: / /boot.ipxe /ipxe?mac=… /metadata?mac=… /assets/

Exit codes: 0 ended by Ctrl-C or SIGTERM; 2 usage; 1 what is built is not green;
4 it could not be served.")]
pub struct Args {
    /// The folder: one with files to boot, one of matchbox, the artifacts of a build, or an OCI layout
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// What of a layout, by the name in its index or its digest; not needed where it leads to one thing
    #[arg(long = "ref", value_name = "NAME")]
    reference: Option<String>,
    /// The address to listen at; 0.0.0.0 for all that this machine has, without dhcp
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    listen: IpAddr,
    /// The network card to listen at: by its first IPv4 address, and for what machines broadcast
    #[arg(long, value_name = "CARD", conflicts_with = "listen")]
    interface: Option<String>,
    /// Only these servers, separated by commas [default: http,tftp, and dhcp where machines of a
    /// network are heard]
    #[arg(long, value_name = "SERVERS", value_enum, value_delimiter = ',')]
    only: Vec<Which>,
    /// The port of HTTP; 0 for any
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    http_port: u16,
    /// The port of TFTP; 0 for any
    #[arg(long, value_name = "PORT", default_value_t = crate::format::tftp::PORT)]
    tftp_port: u16,
    /// The port of ProxyDHCP; 0 for any
    #[arg(long, value_name = "PORT", default_value_t = crate::format::dhcp::SERVER_PORT)]
    dhcp_port: u16,
    /// The port of the boot server that ProxyDHCP may send machines to; 0 for any
    #[arg(long, value_name = "PORT", default_value_t = crate::format::dhcp::BOOT_SERVER_PORT)]
    boot_server_port: u16,
    /// What is appended to the kernel's command line, where no groups decide
    #[arg(
        long,
        value_name = "WORDS",
        default_value = "",
        hide_default_value = true
    )]
    cmdline: String,
    /// A second folder, with boot loaders and what belongs to them: they are offered and given as if
    /// they were in the first
    #[arg(long, value_name = "DIR")]
    boot: Option<PathBuf>,
    /// Serve what is there, whatever its verdict is
    #[arg(long)]
    force: bool,
    /// How what happens is written, a line each
    #[arg(long, value_enum, default_value_t = look::Format::Human)]
    format: look::Format,
}

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Which {
    Http,
    Tftp,
    Dhcp,
}

/// Carries the command out and gives the exit code.
pub fn run(args: &Args) -> u8 {
    if args.reference.is_some() && !is_layout(&args.folder) {
        look::complain("--ref says what of an OCI layout is meant, and DIR is none");
        return exit::USAGE;
    }
    let boot = args.boot.as_deref();
    let both = judged(args, &args.folder, args.reference.as_deref()).and_then(|own| {
        let of_boot = boot.map(|boot| judged(args, boot, None));
        Ok((own, of_boot.transpose()?))
    });
    let (own, of_boot) = match both {
        Ok(places) => places,
        Err(code) => return code,
    };
    more_files();
    let site = match Site::open(&own, of_boot.as_ref(), &args.cmdline) {
        Ok(site) => site,
        Err(error) => return refused(&error),
    };
    let cancel = match watch_signals() {
        Ok(cancel) => cancel,
        Err(error) => {
            look::complain(&format!("signals cannot be watched: {error}"));
            return exit::ERROR;
        }
    };
    let (on_event, written) = writer(args.format);
    let served = ports(args).and_then(|ports| serve(&site, &ports, &cancel, &on_event));
    drop(on_event);
    // The last lines, unless nobody takes them.
    let _ = written.recv_timeout(LAST);
    match served {
        Ok(()) => 0,
        Err(error) => refused(&error),
    }
}

/// Says why nothing is served; gives the exit code.
fn refused(error: &ServeError) -> u8 {
    look::complain(&error.to_string());
    match error {
        ServeError::NotGreen { .. } => exit::FAILED,
        ServeError::Which { .. } => exit::USAGE,
        ServeError::Folder { .. }
        | ServeError::Layout { .. }
        | ServeError::Privilege { .. }
        | ServeError::Taken { .. }
        | ServeError::NoAddress { .. }
        | ServeError::Interface { .. }
        | ServeError::Version6
        | ServeError::NoAddressToTell(_)
        | ServeError::Local { .. } => exit::ERROR,
    }
}

fn is_layout(folder: &Path) -> bool {
    folder.join("oci-layout").is_file()
}

/// Says who judges a folder; the exit code where it is not to be served.
fn judged<'p>(args: &Args, folder: &'p Path, reference: Option<&str>) -> Result<Place<'p>, u8> {
    if is_layout(folder) {
        let choice = Choice {
            reference: reference.map(str::to_owned),
            force: args.force,
        };
        return Ok(Place::Layout(folder, choice));
    }
    // Whether it is a folder at all is told before what was built there.
    let unjudged = Place::Folder(folder, Always::nothing());
    Site::open(&unjudged, None, "").map_err(|error| refused(&error))?;
    let judge: Arc<dyn Judge> = match args.force {
        true => {
            loops::warn(folder)?;
            Always::nothing()
        }
        false => Arc::new(Loops::begin(folder)?),
    };
    Ok(Place::Folder(folder, judge))
}

/// Decides who listens where.
fn ports(args: &Args) -> Result<Ports, ServeError> {
    let cards = cards().map_err(|source| ServeError::Local {
        what: "the network cards cannot be listed".to_owned(),
        source,
    })?;
    let card = match &args.interface {
        Some(name) => {
            let found = cards.iter().find(|card| card.name == *name);
            let what = "is not there, or has no IPv4 address";
            Some(found.ok_or_else(|| ServeError::Interface {
                name: name.clone(),
                what,
            })?)
        }
        None => cards
            .iter()
            .find(|card| IpAddr::V4(card.address) == args.listen),
    };
    let network = card.filter(|card| !card.loopback);
    let port = |which, port| {
        let usual = args.only.is_empty() && (which != Which::Dhcp || network.is_some());
        (usual || args.only.contains(&which)).then_some(port)
    };
    if args.listen.is_unspecified() && args.interface.is_none() {
        if args.only.contains(&Which::Dhcp) {
            return Err(ServeError::NoAddressToTell(args.listen));
        }
        if args.only.is_empty() {
            look::complain_line(&format!(
                "note: dhcp is left out: it tells machines an address of this server, which {} is \
                 not; --interface CARD, or --listen with one address, has it",
                args.listen
            ));
        }
    }
    let named = args.interface.as_ref().and(card);
    Ok(Ports {
        address: named.map_or(args.listen, |card| IpAddr::V4(card.address)),
        http: port(Which::Http, args.http_port),
        tftp: port(Which::Tftp, args.tftp_port),
        dhcp: port(Which::Dhcp, args.dhcp_port).map(|port| (port, args.boot_server_port)),
        card: network.map(|card| card.name.clone()),
    })
}

/// Lines that wait until they are written; what comes beyond them is left out.
const LINES: usize = 1000;
/// How long the last lines may take.
const LAST: Duration = Duration::from_secs(2);

/// Writes each event as a line. A reader that takes none stops no server: a thread of its own writes;
/// the receiver hears when it has written all.
fn writer(format: look::Format) -> (OnEvent, Receiver<()>) {
    let (lines, waiting) = sync_channel::<(String, bool)>(LINES);
    let (ended, written) = sync_channel(1);
    let shown = move |event: &Event| match format {
        look::Format::Human => event.human(),
        look::Format::Json => event.json(&jiff::Timestamp::now().to_string()).to_string(),
    };
    std::thread::spawn(move || {
        while let Ok((line, last)) = waiting.recv() {
            put!("{line}\n");
            if last {
                break;
            }
        }
        let _ = ended.send(());
    });
    let left_out = AtomicU64::new(0);
    let on_event = move |event: &Event| {
        let count = left_out.swap(0, Ordering::Relaxed);
        if count > 0 {
            let text = format!("{count} events were left out: nobody took them");
            if lines
                .try_send((shown(&Event::Note { text }), false))
                .is_err()
            {
                left_out.fetch_add(count, Ordering::Relaxed);
            }
        }
        let last = *event == Event::Closed;
        if lines.try_send((shown(event), last)).is_err() {
            left_out.fetch_add(1, Ordering::Relaxed);
        }
    };
    (Arc::new(on_event), written)
}
