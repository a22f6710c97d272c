//! TFTP: a run of datagrams, each with its length before it, as a server would send them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::time::Duration;
use tdg::format::tftp::{Asked, Packet, Receiver, Step};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(packet) = Packet::read(bytes) {
        let written = packet.write();
        let again = Packet::read(&written);
        // What was no UTF-8 has been replaced, and stays so.
        assert!(again.as_ref().is_ok_and(|again| *again == packet), "{packet:?} {again:?}");
    }
    let mut receiver = Receiver::new("f", Asked { timeout: Some(2), ..Asked::edk2() });
    let mut rest = bytes;
    let (mut size, mut blocks, mut now) = (0, 0, Duration::ZERO);
    while let Some((length, left)) = rest.split_first() {
        let length = usize::from(*length).min(left.len());
        let (datagram, left) = left.split_at(length);
        rest = left;
        now += Duration::from_millis(15);
        match receiver.take(datagram, now) {
            Step::Wait => {}
            Step::Send(answer) => assert!(Packet::read(&answer).is_ok()),
            Step::Bytes { bytes, last, .. } => {
                size += bytes.len();
                blocks += 1;
                if last {
                    break;
                }
            }
            Step::Stop { .. } => break,
        }
    }
    assert!(size <= bytes.len() && receiver.blocks() == blocks);
    assert!(Packet::read(&receiver.silence(now)).is_ok());
});
