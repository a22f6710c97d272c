//! What UEFI firmware makes of offers by PXE, and of what boot servers answer it.
//!
//! Sources: EDK2's `PxeBcCacheDhcp4Offer`, `PxeBcSelectDhcp4Offer` and `PxeBcRetryBinlOffer` of
//! `PxeBcDhcp4.c`, `PxeBcSelectBootPrompt`, `PxeBcSelectBootMenu`, `PxeBcExtractDiscoverInfo` and
//! `PxeBcDhcp4BootInfo` of `PxeBcBoot.c`, and `EfiPxeBcDiscover`; each branch here is also seen in a
//! machine of QEMU's. They are so since April 2017: EDK2 before that drops the first ProxyDHCP offer that
//! has option 43 with boot server discovery, and takes no other. The PXE of a BIOS is taken to do the
//! same, as PXE 2.1 describes it.

use std::net::Ipv4Addr;

use super::choice::{Numbered, first, named_by_nobody};
use super::{Boot, Choice, Nothing, Offer, Pxe, Question};

/// What an offer is to this firmware.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// It says nothing of PXE.
    Plain,
    /// Option 43 says how boot servers are found.
    Discovery,
    /// Option 60 alone says that it speaks of PXE: port 4011 is asked, and a file that is named beside
    /// it does not count.
    BootServer,
    /// It speaks of multicast TFTP, and is dropped.
    Multicast,
}

impl Kind {
    fn of(offer: &Offer) -> Self {
        let said = vendor(offer);
        match offer.speaks("PXEClient") {
            false => Self::Plain,
            true if said.discovers() => Self::Discovery,
            true if said.multicasts() => Self::Multicast,
            true => Self::BootServer,
        }
    }
}

/// Option 43, which says nothing where option 60 does not name PXE.
fn vendor(offer: &Offer) -> Pxe {
    match offer.speaks("PXEClient") {
        true => offer.pxe(),
        false => Pxe::default(),
    }
}

/// Picks what firmware does after these offers.
pub(super) fn choose(offers: &[Numbered<'_>]) -> Choice {
    let is = |proxy: bool, kind: Kind| {
        first(offers, |offer| {
            offer.is_proxy() == proxy && Kind::of(offer) == kind
        })
    };
    // What has an address speaks of PXE itself, or leaves that to another server.
    let plain = is(false, Kind::Plain);
    let beside = |kind: Kind| plain.and_then(|_| is(true, kind));
    if let Some((number, offer)) = is(false, Kind::Discovery).or_else(|| beside(Kind::Discovery)) {
        return by_menu(number, offer);
    }
    if let Some(own) = is(false, Kind::BootServer) {
        return Choice::Ask(vec![boot_server(own)]);
    }
    let proxies = offers.iter().copied().filter(|(_, offer)| {
        plain.is_some() && offer.is_proxy() && Kind::of(offer) == Kind::BootServer
    });
    let proxies: Vec<Question> = proxies.map(boot_server).collect();
    if !proxies.is_empty() {
        return Choice::Ask(proxies);
    }
    let file = |offer: &Offer| {
        !offer.is_proxy() && Kind::of(offer) == Kind::Plain && offer.boot().is_some()
    };
    if let Some((number, offer)) = first(offers, file) {
        return named(number, offer, None);
    }
    match first(offers, |offer| Kind::of(offer) == Kind::Multicast) {
        Some((_, offer)) => Choice::Nothing(Nothing::Multicast {
            from: offer.sender(),
            alone: plain.is_none(),
            asked: false,
        }),
        None => named_by_nobody(offers),
    }
}

fn boot_server((offer, answer): Numbered<'_>) -> Question {
    Question {
        offer,
        server: answer.server(),
        item: None,
        only: Vec::new(),
    }
}

/// What firmware makes of what a boot server answers.
pub(super) fn answered(question: &Question, answer: &Offer) -> Choice {
    let empty = Nothing::Empty {
        server: question.server,
        menu: question.item.is_some(),
    };
    let multicast = Choice::Nothing(Nothing::Multicast {
        from: question.server.to_string(),
        alone: false,
        asked: true,
    });
    if question.item.is_some() {
        let siaddr = answer.packet.siaddr;
        if !(question.only.is_empty() || question.only.contains(&siaddr)) {
            return Choice::Nothing(Nothing::Stranger {
                server: question.server,
                siaddr,
            });
        }
        return match answer.boot() {
            _ if Kind::of(answer) == Kind::Multicast => multicast,
            Some(_) => named(question.offer, answer, Some(question.server)),
            None => Choice::Nothing(empty),
        };
    }
    match Kind::of(answer) {
        Kind::Multicast => multicast,
        Kind::Discovery if answer.is_proxy() || answer.boot().is_some() => {
            by_menu(question.offer, answer)
        }
        Kind::Plain | Kind::BootServer if answer.boot().is_some() => {
            named(question.offer, answer, None)
        }
        Kind::Plain | Kind::BootServer | Kind::Discovery => Choice::Nothing(empty),
    }
}

/// What is booted of an answer that names a file. The server that has it is the first one that option
/// 43 lists, where no menu is to be shown; else the one that a menu led to; else as the answer says.
fn named(number: usize, answer: &Offer, asked: Option<Ipv4Addr>) -> Choice {
    let Some(Boot { server, file }) = answer.boot() else {
        return Choice::Nothing(Nothing::NoFile);
    };
    let said = vendor(answer);
    let listed = said.servers.first().filter(|_| said.skips());
    let listed = listed.and_then(|(_, all)| all.first().copied());
    let server = server.map(|own| match listed.or(asked) {
        Some(other) => other.to_string(),
        None => own,
    });
    Choice::Boot(number, Boot { server, file })
}

/// The file that is named, or what the first line of a menu leads to.
fn by_menu(number: usize, offer: &Offer) -> Choice {
    let (said, from) = (vendor(offer), offer.sender());
    if said.skips() && offer.boot().is_some() {
        return named(number, offer, None);
    }
    let Some((item, _)) = said.menu.first() else {
        return match said.has(9) {
            true => named(number, offer, None),
            false => Choice::Nothing(Nothing::NoMenu(from)),
        };
    };
    if said.prompt.as_ref().is_some_and(|(wait, _)| *wait == 255) {
        return Choice::Nothing(Nothing::Waits(from));
    }
    if *item == 0 {
        return Choice::Nothing(Nothing::Disk);
    }
    let control = said.discovery_control.unwrap_or(0);
    let (broadcast, multicast) = (control & 1 == 0, control & 2 == 0);
    let listed = said.servers.iter().find(|(kind, _)| kind == item);
    let servers = listed.map_or(&[][..], |(_, all)| all);
    let no_way = Choice::Nothing(Nothing::NoWay { from: from.clone() });
    match (servers.last(), said.group) {
        (None, _) if said.has(8) => Choice::Nothing(Nothing::NotListed { item: *item, from }),
        (_, Some(_)) if multicast => Choice::Unseen("multicast"),
        (_, None) if multicast => no_way,
        _ if broadcast => Choice::Unseen("broadcast"),
        // All of them are asked, one after the other, and what the last one says counts.
        (Some(server), _) => Choice::Ask(vec![Question {
            offer: number,
            server: *server,
            item: Some(*item),
            only: match control & 4 {
                0 => Vec::new(),
                _ => servers.to_vec(),
            },
        }]),
        (None, _) => no_way,
    }
}

#[cfg(test)]
mod tests {
    use super::super::select::tests::{offer, picked, told, with};
    use super::super::{Firmware, answered};
    use super::*;

    const ALL: [u8; 20] = [1, 4, 224, 1, 1, 1, 2, 2, 1, 1, 3, 2, 1, 2, 4, 1, 1, 5, 1, 1];

    /// A menu with one line, of type 9: what part 6 says, a part 8, and how long the menu waits.
    fn menu(control: u8, list: &[u8], wait: u8) -> Vec<u8> {
        let menu = [9, 4, 0, 9, 1, b'a', 10, 2, wait, b'h', 255];
        [&[6, 1, control], list, &menu].concat()
    }

    /// What becomes of a file that is named beside this option 43.
    fn said(vendor: &[u8]) -> String {
        let both = [
            offer(true, "", ""),
            with(offer(false, "PXEClient", "x"), 43, vendor),
        ];
        picked(&both, Firmware::Pxe)
    }

    #[test]
    fn a_file_counts_where_no_menu_is_to_be_shown() {
        assert_eq!(said(&[6, 1, 8, 255]), "x");
        assert_eq!(said(&[6, 1, 3, 9, 0, 255]), "x");
        for vendor in [&[6, 1, 3, 255][..], &[7, 4, 224, 1, 1, 1], &[10, 1, 255]] {
            assert!(said(vendor).contains("PXE-E21"), "{vendor:?}");
        }
        let own = with(offer(true, "PXEClient", ""), 43, &[6, 1, 8]);
        assert!(picked(&[own], Firmware::Pxe).contains("PXE-E21"));
        let listed = with(
            offer(true, "PXEClient", "x"),
            43,
            &[6, 1, 8, 8, 7, 0, 1, 1, 10, 0, 0, 3],
        );
        let Choice::Boot(0, boot) = super::super::choose(&[listed], Firmware::Pxe) else {
            panic!()
        };
        assert_eq!(boot.server.unwrap(), "10.0.0.3");
    }

    #[test]
    fn a_menu_leads_somewhere_or_is_named() {
        let list = [8, 11, 0, 9, 2, 10, 0, 0, 3, 10, 0, 0, 4];
        let other = [8, 7, 0, 8, 1, 10, 0, 0, 3];
        assert_eq!(said(&menu(3, &list, 0)), "4011 for 9 at 10.0.0.4");
        assert!(said(&menu(1, &list, 0)).contains("PXE-E99"));
        assert_eq!(said(&menu(2, &list, 0)), "broadcast");
        let group = [&[7, 4, 224, 1, 1, 1][..], &list].concat();
        assert_eq!(said(&menu(0, &group, 0)), "multicast");
        assert!(said(&menu(3, &other, 0)).contains("of type 9"));
        assert!(said(&menu(3, &[8, 3, 0, 9, 0], 0)).contains("of type 9"));
        assert!(said(&menu(3, &[], 0)).contains("no way to ask"));
        assert!(said(&menu(3, &list, 255)).contains("without end"));
    }

    #[test]
    fn multicast_tftp_is_dropped() {
        assert!(said(&ALL).contains("multicast TFTP"));
        assert_eq!(said(&ALL[..15]), "4011");
        assert_eq!(said(&[&ALL[..], &[6, 1, 8]].concat()), "x");
        let own = with(offer(true, "PXEClient", "x"), 43, &ALL);
        assert!(picked(&[own], Firmware::Pxe).contains("multicast TFTP"));
    }

    #[test]
    fn all_who_speak_of_port_4011_alone_are_asked() {
        let proxy = offer(false, "PXEClient", "");
        let both = [offer(true, "", "plain"), proxy.clone(), proxy];
        assert_eq!(picked(&both, Firmware::Pxe), "4011, 4011");
    }

    #[test]
    fn what_a_boot_server_answers_is_weighed() {
        let mut question = Question {
            offer: 0,
            server: [10, 0, 0, 9].into(),
            item: None,
            only: Vec::new(),
        };
        let list = [8, 7, 0, 9, 1, 10, 0, 0, 3];
        let says = |question: &Question, class: &str, file: &str, vendor: &[u8]| {
            let answer = with(offer(false, class, file), 43, vendor);
            match answered(question, &answer, Firmware::Pxe) {
                Choice::Boot(_, boot) => format!("{} at {}", boot.file, boot.server.unwrap()),
                other => told(other),
            }
        };
        let class = "PXEClient";
        assert_eq!(says(&question, "", "x", &[6, 1, 0]), "x at 10.0.0.1");
        assert_eq!(says(&question, class, "x", &[]), "x at 10.0.0.1");
        assert_eq!(
            says(&question, class, "x", &menu(11, &list, 0)),
            "x at 10.0.0.3"
        );
        assert_eq!(
            says(&question, class, "", &menu(3, &list, 0)),
            "4011 for 9 at 10.0.0.3"
        );
        assert!(says(&question, class, "x", &[6, 1, 3]).contains("PXE-E21"));
        assert!(says(&question, class, "x", &ALL).contains("multicast TFTP"));
        assert!(says(&question, class, "", &[]).contains("names no boot file"));
        question.item = Some(9);
        assert_eq!(says(&question, "", "x", &[]), "x at 10.0.0.9");
        assert_eq!(says(&question, class, "x", &[6, 1, 3]), "x at 10.0.0.9");
        assert!(says(&question, class, "x", &ALL).contains("multicast TFTP"));
        assert!(says(&question, class, "", &[]).contains("names no boot file"));
        question.only = vec![Ipv4Addr::UNSPECIFIED];
        assert_eq!(says(&question, class, "x", &[]), "x at 10.0.0.9");
        question.only = vec![question.server];
        assert!(says(&question, class, "x", &[]).contains("PXE-E53"));
    }
}
