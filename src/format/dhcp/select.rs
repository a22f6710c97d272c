//! What firmware makes of all offers together.
//!
//! Sources: those of `uefi.rs` for PXE; `HttpBootSelectDhcpOffer` of EDK2, which follows UEFI 2.10
//! §24.7.3; `dhcp_discovery_rx`, `have_pxe_menu` and `pxe_menu_parse` of iPXE.

use url::{Host, Url};

use super::choice::{Numbered, first, named_by_nobody, shown};
use super::{Choice, Firmware, Nothing, Offer, Question, uefi};

/// Picks what firmware does after these offers.
#[must_use]
pub fn choose(offers: &[Offer], firmware: Firmware) -> Choice {
    let mut kept: Vec<Numbered<'_>> = offers.iter().enumerate().collect();
    if matches!(firmware, Firmware::Pxe | Firmware::Http) {
        // Source: `DhcpHandleSelect` of EDK2.
        kept.retain(|(_, offer)| offer.packet.address(54).is_some());
    }
    let choice = match firmware {
        _ if kept.iter().all(|(_, offer)| offer.is_proxy()) => Choice::Nothing(Nothing::NoAddress),
        Firmware::Pxe => uefi::choose(&kept),
        Firmware::Http => http(&kept),
        Firmware::Ipxe => ipxe(&kept),
    };
    let dropped = offers.iter().find(|offer| {
        let among = |(_, other): &Numbered<'_>| std::ptr::eq(*other, *offer);
        !kept.iter().any(among)
    });
    match (choice, dropped) {
        (Choice::Nothing(Nothing::NoAddress | Nothing::NoFile), Some(dropped)) => {
            Choice::Nothing(Nothing::NoServerId {
                from: dropped.from,
                alone: kept.is_empty(),
            })
        }
        (choice, _) => choice,
    }
}

/// Picks what firmware does after a boot server answers a question.
#[must_use]
pub fn answered(question: &Question, answer: &Offer, firmware: Firmware) -> Choice {
    match (firmware, answer.boot()) {
        (Firmware::Pxe, _) => uefi::answered(question, answer),
        (Firmware::Http | Firmware::Ipxe, Some(boot)) => Choice::Boot(question.offer, boot),
        (Firmware::Http | Firmware::Ipxe, None) => Choice::Nothing(Nothing::Empty {
            server: question.server,
            menu: question.item.is_some(),
        }),
    }
}

/// What is booted of an offer that names a file.
fn named((number, offer): Numbered<'_>) -> Choice {
    match offer.boot() {
        Some(boot) => Choice::Boot(number, boot),
        None => Choice::Nothing(Nothing::NoFile),
    }
}

/// Option 60 says that it speaks of PXE, and option 43 how boot servers are found.
fn discovers(offer: &Offer) -> bool {
    offer.speaks("PXEClient") && offer.pxe().discovers()
}

fn ipxe(offers: &[Numbered<'_>]) -> Choice {
    let speaks = |offer: &Offer| offer.speaks("PXEClient");
    let proxy = first(offers, |offer| offer.is_proxy() && speaks(offer));
    let own = first(offers, |offer| !offer.is_proxy() && speaks(offer));
    let plain = first(offers, |offer| !offer.is_proxy() && offer.boot().is_some());
    match proxy.or(own) {
        Some(found) if found.1.boot().is_some() || discovers(found.1) => by_menu(found),
        Some(found) => plain.map_or_else(|| ask(found, None), named),
        None => plain.map_or_else(|| named_by_nobody(offers), named),
    }
}

/// The file that is named, or what the first line of a menu leads to.
fn by_menu(found: Numbered<'_>) -> Choice {
    let pxe = found.1.pxe();
    let Some((item, _)) = pxe.menu.first() else {
        return named(found);
    };
    if pxe.skips() && found.1.boot().is_some() {
        return named(found);
    }
    // Without a prompt it waits for a key, too. Source: `pxe_menu_parse`.
    let waits = pxe.prompt.as_ref().is_none_or(|(wait, _)| *wait == 255);
    match item {
        _ if waits => Choice::Nothing(Nothing::Waits(found.1.sender())),
        0 => Choice::Nothing(Nothing::Disk),
        item => ask(found, Some(*item)),
    }
}

fn ask((number, offer): Numbered<'_>, item: Option<u16>) -> Choice {
    let pxe = offer.pxe();
    let listed = item.and_then(|item| {
        let mut servers = pxe.servers.iter().filter(|(kind, _)| *kind == item);
        servers.find_map(|(_, all)| all.first().copied())
    });
    Choice::Ask(vec![Question {
        offer: number,
        server: listed.unwrap_or_else(|| offer.server()),
        item,
        only: Vec::new(),
    }])
}

/// What UEFI HTTP boot makes of a boot file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Uri {
    None,
    Address,
    Name,
}

fn uri(offer: &Offer) -> Uri {
    let url = offer.file().and_then(|file| Url::parse(&file).ok());
    match url.as_ref().and_then(Url::host) {
        Some(Host::Ipv4(_)) => Uri::Address,
        Some(Host::Domain(_) | Host::Ipv6(_)) => Uri::Name,
        None => Uri::None,
    }
}

fn http(offers: &[Numbered<'_>]) -> Choice {
    let speaks = |offer: &Offer| offer.speaks("HTTPClient");
    let resolves = |offer: &Offer| offer.packet.option(6).is_some();
    let of = |proxy: bool, uri_is: Uri| {
        move |offer: &Offer| offer.is_proxy() == proxy && speaks(offer) && uri(offer) == uri_is
    };
    let plain = |offer: &Offer| !offer.is_proxy() && !speaks(offer);
    let address = offers.iter().any(|(_, offer)| plain(offer));
    let names = offers
        .iter()
        .any(|(_, offer)| plain(offer) && resolves(offer));
    let own = |dns: bool| {
        first(offers, move |offer| {
            of(false, Uri::Address)(offer) && resolves(offer) == dns
        })
    };
    let found = own(false)
        .or_else(|| own(true))
        .or_else(|| {
            first(offers, |offer| {
                of(false, Uri::Name)(offer) && resolves(offer)
            })
        })
        .or_else(|| first(offers, of(true, Uri::Address)).filter(|_| address))
        .or_else(|| first(offers, of(true, Uri::Name)).filter(|_| names))
        .or_else(|| first(offers, of(false, Uri::Name)).filter(|_| names));
    if let Some(found) = found {
        return named(found);
    }
    let wrong = first(offers, speaks).or_else(|| first(offers, |offer| offer.file().is_some()));
    let Some((_, offer)) = wrong else {
        return Choice::Nothing(Nothing::NoFile);
    };
    let file = shown(&offer.file().unwrap_or_default());
    Choice::Nothing(match (speaks(offer), uri(offer)) {
        (false, _) => Nothing::NoClass {
            file,
            class: "HTTPClient",
        },
        (true, Uri::None) => Nothing::NoUrl(file),
        (true, Uri::Name) => Nothing::NoNameServer(file),
        (true, Uri::Address) => Nothing::NoOtherAddress,
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::format::dhcp::{Boot, Packet};

    pub(in super::super) fn offer(address: bool, class: &str, file: &str) -> Offer {
        let mut packet = Packet::of([1; 6], 1);
        packet.reply = true;
        if address {
            packet.yiaddr = [10, 0, 0, 7].into();
        }
        packet.file = file.as_bytes().to_vec();
        packet.options.push((54, vec![10, 0, 0, 1]));
        if !class.is_empty() {
            packet.options.push((60, class.as_bytes().to_vec()));
        }
        Offer {
            from: [10, 0, 0, 1].into(),
            packet,
        }
    }

    pub(in super::super) fn with(mut offer: Offer, code: u8, value: &[u8]) -> Offer {
        offer.packet.options.push((code, value.to_vec()));
        offer
    }

    /// The file that is booted, who is asked on port 4011, or why nothing is.
    pub(in super::super) fn told(choice: Choice) -> String {
        match choice {
            Choice::Boot(_, boot) => boot.file,
            Choice::Ask(questions) => {
                let asked = questions.iter().map(|question| match question.item {
                    None => "4011".to_owned(),
                    Some(item) => format!("4011 for {item} at {}", question.server),
                });
                asked.collect::<Vec<_>>().join(", ")
            }
            Choice::Unseen(how) => how.to_owned(),
            Choice::Nothing(why) => why.to_string(),
        }
    }

    pub(in super::super) fn picked(offers: &[Offer], firmware: Firmware) -> String {
        told(choose(offers, firmware))
    }

    #[test]
    fn several_answers_are_put_together_as_firmware_does() {
        let plain = offer(true, "", "plain");
        let proxy = with(offer(false, "PXEClient", "proxy"), 43, &[6, 1, 8, 255]);
        let quiet = offer(false, "PXEClient", "quiet");
        let own = with(offer(true, "PXEClient", "own"), 43, &[6, 1, 8]);
        let both = [plain.clone(), proxy.clone()];
        assert_eq!(picked(&both, Firmware::Pxe), "proxy");
        assert_eq!(picked(&[proxy.clone(), own.clone()], Firmware::Pxe), "own");
        assert_eq!(picked(&[proxy.clone(), own], Firmware::Ipxe), "proxy");
        assert_eq!(
            picked(&[plain.clone(), quiet.clone()], Firmware::Pxe),
            "4011"
        );
        assert_eq!(picked(&[plain.clone(), quiet], Firmware::Ipxe), "quiet");
        assert_eq!(
            picked(&[offer(true, "PXEClient", "x")], Firmware::Pxe),
            "4011"
        );
        assert_eq!(picked(&[plain], Firmware::Pxe), "plain");
        assert!(picked(&[proxy], Firmware::Pxe).contains("no server offers an address"));
        assert!(picked(&[offer(true, "", "")], Firmware::Pxe).contains("no server names"));
        let deaf = [offer(true, "", ""), offer(false, "", "proxy")];
        assert!(picked(&deaf, Firmware::Pxe).contains("without option 60 `PXEClient`"));
    }

    #[test]
    fn a_menu_leads_to_the_server_of_its_first_line() {
        let menu = |line: u8| {
            [
                6, 1, 3, 8, 7, 0, 9, 1, 10, 0, 0, 3, 9, 6, 0, line, 3, b'a', b'b', b'c', 10, 3, 0,
                b'h', b'i',
            ]
        };
        let menu = |line| with(offer(true, "PXEClient", ""), 43, &menu(line));
        for firmware in [Firmware::Pxe, Firmware::Ipxe] {
            assert_eq!(picked(&[menu(9)], firmware), "4011 for 9 at 10.0.0.3");
            assert!(picked(&[menu(0)], firmware).contains("boots from a disk"));
        }
    }

    #[test]
    fn ipxe_shows_a_menu_unless_a_file_is_named_and_waits_for_a_key() {
        let menu = |control: u8, file: &str, prompt: &[u8]| {
            let list = [
                &[
                    6, 1, control, 8, 7, 0, 9, 1, 10, 0, 0, 3, 9, 4, 0, 9, 1, b'a',
                ],
                prompt,
            ];
            picked(
                &[with(offer(true, "PXEClient", file), 43, &list.concat())],
                Firmware::Ipxe,
            )
        };
        assert_eq!(menu(11, "x", &[]), "x");
        assert_eq!(menu(11, "", &[10, 2, 0, b'h']), "4011 for 9 at 10.0.0.3");
        assert!(menu(3, "x", &[10, 2, 255, b'h']).contains("without end"));
        assert!(menu(3, "x", &[]).contains("without end"));
    }

    #[test]
    fn who_is_no_server_by_name_is_dropped_by_uefi() {
        let mut offer = with(offer(true, "PXEClient", "x"), 43, &[6, 1, 8]);
        offer.packet.options.retain(|(code, _)| *code != 54);
        let other = super::tests::offer(true, "", "other");
        assert!(picked(std::slice::from_ref(&offer), Firmware::Pxe).contains("send option 54"));
        assert!(picked(std::slice::from_ref(&offer), Firmware::Http).contains("send option 54"));
        assert_eq!(picked(std::slice::from_ref(&offer), Firmware::Ipxe), "x");
        assert_eq!(picked(&[offer, other], Firmware::Pxe), "other");
    }

    #[test]
    fn http_boot_takes_a_url_from_whoever_speaks_of_it() {
        let url = "http://10.0.0.1/x.efi";
        let picked = |offers: &[Offer]| picked(offers, Firmware::Http);
        assert_eq!(picked(&[offer(true, "HTTPClient", url)]), url);
        assert_eq!(
            picked(&[offer(true, "", ""), offer(false, "HTTPClient", url)]),
            url
        );
        assert!(picked(&[offer(true, "", url)]).contains("without option 60 `HTTPClient`"));
        assert!(
            picked(&[offer(true, "PXEClient", url)]).contains("without option 60 `HTTPClient`")
        );
        assert!(picked(&[offer(true, "HTTPClient", "x.efi")]).contains("is no URL"));
        let name = offer(true, "HTTPClient", "http://boot/x.efi");
        assert!(picked(std::slice::from_ref(&name)).contains("no name server is offered"));
        assert_eq!(
            picked(&[with(name, 6, &[10, 0, 0, 1])]),
            "http://boot/x.efi"
        );
        assert!(picked(&[offer(true, "", "")]).contains("no server names a boot file"));
        let boot = choose(&[offer(true, "HTTPClient", url)], Firmware::Http);
        assert!(matches!(boot, Choice::Boot(0, Boot { server: None, .. })));
    }
}
