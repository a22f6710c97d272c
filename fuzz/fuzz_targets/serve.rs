//! What the netboot server answers to packets of strangers: DHCP, and requests of TFTP with what is
//! said of the blocks that are sent.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tdg::format::dhcp::{Offer, Packet};
use tdg::format::tftp::send::Answered;
use tdg::format::tftp::{self, Sender};
use tdg::serve::dhcp::{Asked, Told, answer};
use tdg::serve::kernels::{Kernels, Loader};

const SIZE: u64 = 10_000;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(asked) = Packet::read(bytes) {
        dhcp(&asked);
    }
    if let Ok(tftp::Packet::Request { options, .. }) = tftp::Packet::read(bytes) {
        transfer(&tftp::Asked::read(&options), bytes);
    }
});

fn dhcp(asked: &Packet) {
    let loader = |arch: &str| Loader {
        name: format!("{arch}.efi"),
        arch: arch.to_owned(),
    };
    let mut kernels = Kernels::default();
    kernels.loaders = ["arm64", "amd64", "bios"].map(loader).to_vec();
    let own = [10, 0, 0, 5].into();
    let told = Told { own, http: Some(8080), tftp: true };
    for at in [Asked::Everybody, Asked::BootServer] {
        let Some((reply, event)) = answer(asked, at, told, || Ok(kernels.clone())) else { continue };
        assert!(!asked.reply && asked.option(60).is_some());
        assert!(!event.human().contains(char::is_control));
        let Some(reply) = reply else { continue };
        let packet = Packet::read(&reply.write()).expect("an answer is a packet");
        assert!(packet.reply && packet.yiaddr.is_unspecified());
        assert_eq!((packet.xid, packet.mac, packet.giaddr), (asked.xid, asked.mac, asked.giaddr));
        assert_eq!(packet.option(54), Some(&[10, 0, 0, 5][..]));
        assert!(Offer { from: own, packet }.boot().is_some());
    }
}

fn transfer(asked: &tftp::Asked, bytes: &[u8]) {
    assert!(asked.blksize.is_none_or(|size| size >= 8) && asked.windowsize != Some(0));
    let (block, window) = (asked.blksize.unwrap_or(512), asked.windowsize.unwrap_or(1));
    let mut sender = Sender::new(SIZE, block.into(), window);
    for number in bytes.chunks_exact(2).take(64) {
        let due: Vec<_> = sender.window().collect();
        assert!(!due.is_empty() && due.len() <= window.into());
        for (_, place) in &due {
            assert!(place.start <= place.end && place.end <= SIZE);
            assert!(place.end - place.start <= block.into());
        }
        let before = sender.arrived();
        let answered = sender.take(u16::from_be_bytes([number[0], number[1]]));
        assert!(sender.arrived() >= before && sender.arrived() <= SIZE);
        if answered == Answered::Done {
            assert_eq!(sender.arrived(), SIZE);
            return;
        }
    }
}
