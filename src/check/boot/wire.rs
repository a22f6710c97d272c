//! The network card that a machine is connected to, which one machine at a time can have.

use crate::check::{Context, ProbeError, local as disk};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// How often it is looked whether a card is free.
const TICK: Duration = Duration::from_millis(20);

/// By name. All attempts of a check share them, whatever else each has of its own.
static WIRES: LazyLock<Mutex<HashMap<String, Arc<Mutex<()>>>>> = LazyLock::new(Mutex::default);

/// Gives what has to be held by who uses a network card.
pub(super) fn wire(name: &str) -> Arc<Mutex<()>> {
    let mut wires = WIRES.lock().unwrap_or_else(PoisonError::into_inner);
    wires.entry(name.to_owned()).or_default().clone()
}

/// Waits until a network card is free, as long as the check has time.
pub(super) fn held<'w>(
    wire: &'w Mutex<()>,
    name: &str,
    context: &Context<'_>,
) -> Result<MutexGuard<'w, ()>, ProbeError> {
    loop {
        match wire.try_lock() {
            Ok(held) => return Ok(held),
            // A panic of another check while it had the card says nothing of the card.
            Err(TryLockError::Poisoned(held)) => return Ok(held.into_inner()),
            Err(TryLockError::WouldBlock) => {}
        }
        let left = context.time_left();
        if left.is_zero() {
            return Err(ProbeError::new(format!(
                "other boots had the network card `{}` for all the time of this check",
                name.escape_debug()
            ))
            .remedy("give the check more time (`timeout`), or each boot a tap device of its own"));
        }
        if context.cancel.wait(left.min(TICK)) {
            return Err(ProbeError::new(
                "interrupted while the network card was not free",
            ));
        }
    }
}

/// Tells whether there is such a network card, a tap device that is up: QEMU would make one that
/// nobody listens to, and nothing comes through one that is down.
pub(super) fn there_is(interface: &str) -> Result<(), ProbeError> {
    let path = Path::new("/proc/self/net/dev");
    let cards = std::fs::read_to_string(path).map_err(|error| disk::unreadable(path, &error))?;
    let mut names = cards.lines().filter_map(|line| line.split_once(':'));
    let shown = interface.escape_debug();
    if !names.any(|(name, _)| name.trim() == interface) {
        return Err(
            ProbeError::new(format!("there is no network card `{shown}`"))
                .remedy("make it: ip tuntap add NAME mode tap, and ip link set NAME up"),
        );
    }
    if is_tap(interface) == Some(false) {
        return Err(
            ProbeError::new(format!("the network card `{shown}` is no tap device"))
                .remedy("make one: ip tuntap add NAME mode tap, and ip link set NAME up"),
        );
    }
    if is_up(interface) == Some(false) {
        return Err(
            ProbeError::new(format!("the network card `{shown}` is down"))
                .remedy(format!("ip link set {shown} up")),
        );
    }
    Ok(())
}

/// Tells whether a card is a tap device (`TUN_TAP_DEV` of Linux' if_tun.h); nothing where that cannot
/// be seen: what is in /sys may be of another network.
fn is_tap(interface: &str) -> Option<bool> {
    let folder = Path::new("/sys/class/net").join(interface);
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    let seen: u32 = read("ifindex")?.trim().parse().ok()?;
    let own = nix::net::if_::if_nametoindex(interface).ok()?;
    if seen != own {
        return None;
    }
    let flags = read("tun_flags").unwrap_or_default();
    let flags = u32::from_str_radix(flags.trim().trim_start_matches("0x"), 16);
    Some(flags.is_ok_and(|flags| flags & 2 != 0))
}

fn is_up(interface: &str) -> Option<bool> {
    let flags = crate::probe::dhcp::flags(interface)?;
    Some(flags.contains(nix::net::if_::InterfaceFlags::IFF_UP))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_tap_device_is_none_for_a_machine() {
        let missing = there_is("nowhere0").unwrap_err().to_string();
        assert!(missing.contains("no network card `nowhere0`"), "{missing}");
        if is_tap("lo").is_some() {
            let lo = there_is("lo").unwrap_err().to_string();
            assert!(lo.contains("is no tap device"), "{lo}");
        }
        assert_eq!(is_up("nowhere0"), None);
    }
}
