//! A DHCP server that answers what a test says, byte by byte: with addresses or without, and on port 4011.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use tdg::format::dhcp::Packet;
use tdg::probe::dhcp::open;

use crate::world::World;

/// Where the server that a test starts finds what it answers.
const ANSWERS: &str = "TDG_TEST_DHCP_ANSWERS";
pub(super) const FIRST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
pub(super) const SECOND: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);

/// One answer.
#[derive(Clone)]
pub(super) struct Answer {
    from: Ipv4Addr,
    port: u16,
    pub(super) packet: Packet,
}

impl Answer {
    pub(super) fn new(from: Ipv4Addr, port: u16, file: &str) -> Self {
        let mut packet = Packet::of([0; 6], 0);
        packet.reply = true;
        packet.broadcast = port == 67;
        packet.siaddr = from;
        packet.file = file.as_bytes().to_vec();
        let message = if port == 67 { 2 } else { 5 };
        packet.options = vec![(53, vec![message]), (54, from.octets().to_vec())];
        Self { from, port, packet }
    }

    pub(super) fn with(mut self, code: u8, value: &[u8]) -> Self {
        self.packet.options.push((code, value.to_vec()));
        self
    }

    pub(super) fn pxe(self) -> Self {
        self.with(60, b"PXEClient")
    }

    pub(super) fn address(mut self) -> Self {
        self.packet.yiaddr = [10, 77, 0, 60].into();
        self.with(1, &[255, 255, 255, 0]).with(51, &[0, 0, 2, 0])
    }

    fn line(&self) -> String {
        let bytes = self.packet.write();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{} {} {hex}\n", self.from, self.port)
    }

    fn read(line: &str) -> Self {
        let mut parts = line.split(' ');
        let mut next = || parts.next().unwrap();
        let (from, port) = (next().parse().unwrap(), next().parse().unwrap());
        let hex = next().as_bytes();
        let bytes: Vec<u8> = hex
            .chunks(2)
            .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
            .collect();
        Self {
            from,
            port,
            packet: Packet::read(&bytes).unwrap(),
        }
    }

    /// What goes back to who asks.
    fn to(&self, asked: &Packet) -> Option<Vec<u8>> {
        let mut packet = self.packet.clone();
        let message = asked.option(53).and_then(|value| value.first().copied());
        let taken = asked.address(54) == Some(self.from) && !packet.yiaddr.is_unspecified();
        match (self.port, message) {
            (4011, Some(3)) | (67, Some(1)) => {}
            (67, Some(3)) if taken => packet.options[0].1 = vec![5],
            _ => return None,
        }
        (packet.xid, packet.mac) = (asked.xid, asked.mac);
        Some(packet.write())
    }
}

/// Gives the program that answers this, for a shell.
pub(super) fn server(world: &World, answers: &[Answer]) -> String {
    let lines: String = answers.iter().map(Answer::line).collect();
    format!(
        "#!/bin/sh\n{ANSWERS}='{}' exec '{}' --exact netboot::raw::a_server_of_its_own --nocapture \
         >'{}/server.log' 2>&1\n",
        world.write("answers", lines).display(),
        std::env::current_exe().unwrap().display(),
        world.path().display()
    )
}

/// The server, which a test starts in a network of its own.
#[test]
fn a_server_of_its_own() {
    let Some(file) = std::env::var_os(ANSWERS) else {
        return;
    };
    let answers: Vec<Answer> = fs::read_to_string(&file)
        .unwrap()
        .lines()
        .map(Answer::read)
        .collect();
    let at = |from, port| open(SocketAddrV4::new(from, port), Some("there")).unwrap();
    let everybody = at(Ipv4Addr::UNSPECIFIED, 67);
    let own = [FIRST, SECOND].map(|from| (from, at(from, 67), at(from, 4011)));
    let folder = Path::new(&file).parent().unwrap();
    fs::write(folder.join("web.pid"), std::process::id().to_string()).unwrap();
    let begin = Instant::now();
    // Answers what comes to an ear, as these servers, by their own mouths.
    let serve = |port: u16, ear: &UdpSocket, here: Option<Ipv4Addr>| {
        let mut buffer = [0; 2000];
        while begin.elapsed() < Duration::from_secs(150) {
            let Ok((length, from)) = ear.recv_from(&mut buffer) else {
                continue;
            };
            let Ok(asked) = Packet::read(&buffer[..length]) else {
                continue;
            };
            let ours = |answer: &&Answer| {
                answer.port == port && here.is_none_or(|here| here == answer.from)
            };
            for answer in answers.iter().filter(ours) {
                let Some(bytes) = answer.to(&asked) else {
                    continue;
                };
                let mouth = own.iter().find(|(own, _, _)| *own == answer.from);
                match port {
                    4011 => ear.send_to(&bytes, from),
                    _ => mouth.unwrap().1.send_to(&bytes, (Ipv4Addr::BROADCAST, 68)),
                }
                .unwrap();
            }
        }
    };
    std::thread::scope(|scope| {
        for (from, _, ear) in &own {
            let serve = &serve;
            scope.spawn(move || serve(4011, ear, Some(*from)));
        }
        serve(67, &everybody, None);
    });
}
