//! All servers at once: their ports are taken before any of them answers, and given back together.

use super::Site;
use super::dhcp::{Asked, Dhcp, Told};
use super::error::ServeError;
use super::event::{Event, OnEvent};
use super::http::Http;
use super::tftp::Tftp;
use crate::probe::exec::Cancel;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;

/// How often the end is looked for.
const LOOK: Duration = Duration::from_millis(50);
/// How long what is being read may take at the end.
const END: Duration = Duration::from_secs(2);
/// Threads that read files.
const READERS: usize = 32;

/// Where the servers listen; a server without a port is left out. Port 0 is any that is free.
#[derive(Clone, Debug)]
pub struct Ports {
    /// The address of all of them.
    pub address: IpAddr,
    /// HTTP, over TCP.
    pub http: Option<u16>,
    /// TFTP, over UDP.
    pub tftp: Option<u16>,
    /// ProxyDHCP: that of DHCP servers, and that of boot servers.
    pub dhcp: Option<(u16, u16)>,
    /// The network card whose broadcasts ProxyDHCP hears.
    pub card: Option<String>,
}

/// Serves until `cancel` is set.
///
/// # Errors
/// Where a port cannot be had, or the machine has no room; then nothing has been answered.
pub fn serve(
    site: &Arc<Site>,
    ports: &Ports,
    cancel: &Cancel,
    on_event: &OnEvent,
) -> Result<(), ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(READERS)
        .thread_name("serve")
        .enable_all()
        .build();
    let runtime = runtime.map_err(ServeError::local("no threads can be had"))?;
    let files = more_files().saturating_sub(open_files());
    let served = runtime.block_on(all(site, (ports, files), cancel, on_event));
    runtime.shutdown_timeout(END);
    if served.is_ok() {
        on_event(&Event::Closed);
    }
    served
}

/// Files that all servers together have open at most, sockets among them.
const FILES: u64 = 4096;

/// Asks for as many open files as may be needed, before what is served is opened: an artifact has each of
/// its blobs open. Gives how many there may be.
pub fn more_files() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return FILES;
    };
    let wanted = soft.max(hard.min(FILES));
    match setrlimit(Resource::RLIMIT_NOFILE, wanted, hard) {
        Ok(()) => wanted,
        Err(_) => soft,
    }
}

/// Counts the files that are open.
fn open_files() -> u64 {
    std::fs::read_dir("/proc/self/fd").map_or(0, |open| open.count() as u64)
}

/// How often it is looked whether what was judged is green.
const WATCH: Duration = Duration::from_secs(1);

/// Tells when what was judged is not green any more, and when it is so again.
async fn watch(site: Arc<Site>, on_event: OnEvent) {
    let mut green = true;
    loop {
        tokio::time::sleep(WATCH).await;
        let site = Arc::clone(&site);
        let Ok(now) = tokio::task::spawn_blocking(move || site.green()).await else {
            continue;
        };
        if now.is_ok() != green {
            green = now.is_ok();
            let why = now.err().map(|why| why.shown().to_owned());
            on_event(&Event::Verdict { green, why });
        }
    }
}

async fn all(
    site: &Arc<Site>,
    (ports, files): (&Ports, u64),
    cancel: &Cancel,
    on_event: &OnEvent,
) -> Result<(), ServeError> {
    let place = |port: u16| SocketAddr::new(ports.address, port);
    let unknown = || ServeError::local("a port has no address");
    let mut tasks = JoinSet::new();
    let mut listening = Vec::new();
    let http = match ports.http {
        Some(port) => Some(Http::bind(place(port), Arc::clone(site), files).await?),
        None => None,
    };
    let tftp = match ports.tftp {
        Some(port) => Some(Tftp::bind(place(port), Arc::clone(site)).await?),
        None => None,
    };
    let mut proxies = Vec::new();
    if let Some((server, boot_server)) = ports.dhcp {
        let IpAddr::V4(own) = ports.address else {
            return Err(ServeError::Version6);
        };
        let port = http.as_ref().map(Http::at).transpose().map_err(unknown())?;
        let told = Told {
            own,
            http: port.map(|at| at.port()),
            tftp: ports.tftp == Some(crate::format::tftp::PORT),
        };
        for (asked, port) in [(Asked::Everybody, server), (Asked::BootServer, boot_server)] {
            let card = ports.card.as_deref();
            proxies.push(Dhcp::bind(
                (own, port),
                card,
                Arc::clone(site),
                asked,
                told,
            )?);
        }
    }
    if let Some(http) = http {
        listening.push(("http", http.at().map_err(unknown())?));
        tasks.spawn(http.run(Arc::clone(on_event)));
    }
    if let Some(tftp) = tftp {
        listening.push(("tftp", tftp.at().map_err(unknown())?));
        tasks.spawn(tftp.run(Arc::clone(on_event)));
    }
    for (server, proxy) in ["dhcp", "boot-server"].into_iter().zip(proxies) {
        listening.push((server, proxy.at().map_err(unknown())?));
        tasks.spawn(proxy.run(Arc::clone(on_event)));
    }
    for text in site.notes() {
        on_event(&Event::Note { text });
    }
    for (server, at) in listening {
        on_event(&Event::Listening { server, at });
    }
    tasks.spawn(watch(Arc::clone(site), Arc::clone(on_event)));
    while !cancel.is_set() {
        tokio::time::sleep(LOOK).await;
    }
    tasks.shutdown().await;
    Ok(())
}
