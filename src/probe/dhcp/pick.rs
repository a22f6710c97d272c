//! What firmware boots of offers, with what a boot server says where it is asked.

use super::{DhcpError, Turn, ask_boot_server};
use crate::format::dhcp::{Boot, Choice, Machine, Nothing, Offer, Question, answered, choose};
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
/// Where the boot server cannot be asked from here, or it is not known who is asked.
pub fn pick(
    machine: &Machine,
    turn: &Turn<'_>,
    offers: &[Offer],
    wait: Duration,
    cancel: &Cancel,
) -> Result<Picked, DhcpError> {
    let said_by = |number: usize| offers.get(number).map(Offer::sender).unwrap_or_default();
    let mut boot_server: Option<Offer> = None;
    let mut choice = choose(offers, machine.firmware);
    loop {
        let questions = match choice {
            Choice::Boot(number, boot) => {
                let from = boot_server.as_ref().map(Offer::sender);
                let from = from.unwrap_or_else(|| said_by(number));
                return Ok(Picked {
                    boot: Ok((boot, from)),
                    boot_server,
                });
            }
            Choice::Nothing(why) => {
                return Ok(Picked {
                    boot: Err(why),
                    boot_server,
                });
            }
            Choice::Unseen(how) => return Err(DhcpError::Discovery(how)),
            // What a boot server says of a menu leads to one more, and no further.
            Choice::Ask(questions) => questions,
        };
        choice = Choice::Nothing(Nothing::NoFile);
        let mut unasked = None;
        for question in questions {
            let Question { server, item, .. } = question;
            let wait = wait.min(BOOT_SERVER);
            let answer = match ask_boot_server(machine, turn, server, item, wait, cancel) {
                Ok(answer) => answer,
                // Another one may be asked from here.
                Err(error @ (DhcpError::NoAddress(_) | DhcpError::Local(_))) => {
                    unasked.get_or_insert(error);
                    continue;
                }
                Err(error) => return Err(error),
            };
            choice = match &answer {
                Some(answer) => answered(&question, answer, machine.firmware),
                None => Choice::Nothing(Nothing::Silent {
                    server,
                    menu: item.is_some(),
                }),
            };
            boot_server = answer.or(boot_server);
            let Choice::Nothing(
                Nothing::Silent { .. } | Nothing::Empty { .. } | Nothing::Multicast { .. },
            ) = &choice
            else {
                unasked = None;
                break;
            };
        }
        if let Some(error) = unasked {
            return Err(error);
        }
    }
}
