//! DHCP packets, and what they say about booting.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::dhcp::{Choice, Firmware, Offer, Packet, Pxe, answered, choose};

fuzz_target!(|bytes: &[u8]| {
    let _ = Pxe::read(bytes);
    let Ok(packet) = Packet::read(bytes) else { return };
    assert!(packet.options.iter().map(|(_, value)| value.len()).sum::<usize>() <= 2 * bytes.len());
    let _ = (packet.architectures(), packet.text(60), packet.address(54));
    if let Some(value) = packet.option(43) {
        let _ = Pxe::read(value);
    }
    let mut plain = packet.clone();
    // That says where options lie; they all lie in one place once they are written again.
    plain.options.retain(|(code, _)| *code != 52);
    plain.sname.truncate(63);
    plain.file.truncate(127);
    assert_eq!(Packet::read(&plain.write()).as_ref(), Ok(&plain));
    let offers = [Offer { from: [10, 0, 0, 1].into(), packet: plain }, Offer { from: [10, 0, 0, 2].into(), packet }];
    for firmware in [Firmware::Pxe, Firmware::Http, Firmware::Ipxe] {
        match choose(&offers, firmware) {
            Choice::Boot(offer, boot) => assert!(offer < offers.len() && !boot.file.is_empty()),
            Choice::Ask(questions) => {
                for question in &questions {
                    assert!(question.offer < offers.len());
                    // What a boot server says of a menu leads to one more, and no further.
                    for answer in &offers {
                        let next = answered(question, answer, firmware);
                        let ends = !matches!(next, Choice::Ask(_) | Choice::Unseen(_));
                        assert!(ends || question.item.is_none());
                    }
                }
            }
            Choice::Unseen(how) => assert!(!how.is_empty()),
            Choice::Nothing(why) => assert!(!why.to_string().is_empty()),
        }
    }
});
