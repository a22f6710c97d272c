//! What firmware boots of offers, with what a boot server says where it is asked.

use super::{DhcpError, Turn, ask_boot_server};
use crate::format::dhcp::{Boot, Choice, Machine, Nothing, Offer, choose};
use crate::probe::exec::Cancel;
use std::time::Duration;

/// How long a boot server may take.
const BOOT_SERVER: Duration = Duration::from_secs(3);

/// What firmware makes of offers.
#[derive(Clone, Debug)]
pub struct Picked {
    /// What is booted, and the server that says so.
    pub boot: Result<(Boot, String), Nothing>,
    /// What the boot server says on port 4011, where it was asked.
    pub boot_server: Option<Offer>,
}

/// Picks what firmware boots of offers, and asks the boot server that they lead to.
///
/// # Errors
/// Where the boot server cannot be asked from here.
pub fn pick(
    machine: &Machine,
    turn: &Turn<'_>,
    offers: &[Offer],
    wait: Duration,
    cancel: &Cancel,
) -> Result<Picked, DhcpError> {
    let nothing = |why: Nothing, boot_server| Picked {
        boot: Err(why),
        boot_server,
    };
    let said_by = |number: usize| offers.get(number).map(Offer::sender).unwrap_or_default();
    let (host, item) = match choose(offers, machine.firmware) {
        Choice::Boot(number, boot) => {
            return Ok(Picked {
                boot: Ok((boot, said_by(number))),
                boot_server: None,
            });
        }
        Choice::Nothing(why) => return Ok(nothing(why, None)),
        Choice::Ask { server, item, .. } => (server, item),
    };
    let answer = ask_boot_server(machine, turn, host, item, wait.min(BOOT_SERVER), cancel)?;
    Ok(match answer {
        None => nothing(Nothing::Silent(host), None),
        Some(answer) => match answer.boot() {
            Some(boot) => Picked {
                boot: Ok((boot, answer.sender())),
                boot_server: Some(answer),
            },
            None => nothing(Nothing::Empty(host), Some(answer)),
        },
    })
}
