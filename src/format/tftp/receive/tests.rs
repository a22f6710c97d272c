use super::*;

/// A network that loses, doubles and reorders, the same way each time.
struct Network {
    random: u64,
    loss: u64,
    held: Option<Vec<u8>>,
}

impl Network {
    fn below(&mut self, bound: u64) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.random >> 33) % bound
    }

    /// Gives what arrives of a packet: nothing, once, twice, or later than the next.
    fn pass(&mut self, packet: Vec<u8>) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        let late = self.held.take();
        match self.below(100) {
            n if n < self.loss => {}
            n if n < self.loss * 2 => out.extend([packet.clone(), packet]),
            n if n < self.loss * 3 => self.held = Some(packet),
            _ => out.push(packet),
        }
        out.extend(late);
        out
    }
}

/// A server as RFC 7440 describes it: it goes on behind the block that is answered, and sends its
/// window again where nothing comes.
struct Server<'f> {
    file: &'f [u8],
    block: usize,
    window: usize,
    /// Blocks that were answered.
    done: usize,
}

impl Server<'_> {
    fn blocks(&self) -> usize {
        self.file.len() / self.block + 1
    }

    fn burst(&self) -> Vec<Vec<u8>> {
        let last = (self.done + self.window).min(self.blocks());
        let packet = |index: usize| {
            let from = index * self.block;
            let bytes = &self.file[from..(from + self.block).min(self.file.len())];
            Packet::Data {
                block: (index + 1) as u16,
                bytes,
            }
            .write()
        };
        (self.done..last).map(packet).collect()
    }

    /// Takes an answer; `true` where it goes on.
    fn take(&mut self, answer: &[u8]) -> bool {
        let Ok(Packet::Ack { block }) = Packet::read(answer) else {
            return false;
        };
        let ahead = usize::from(block.wrapping_sub(self.done as u16));
        // An answer to a block from before is none: the sorcerer's apprentice.
        if ahead == 0 || ahead > self.window {
            return false;
        }
        self.done += ahead;
        true
    }
}

/// Transfers a file; gives the packets that the server sent.
fn transfer(size: usize, block: u16, window: u16, loss: u64) -> usize {
    let file: Vec<u8> = (0..size).map(|n| (n * 31 % 251) as u8).collect();
    let asked = Asked {
        blksize: Some(block),
        windowsize: Some(window),
        tsize: true,
        timeout: None,
    };
    let mut receiver = Receiver::new("f", asked);
    let mut server = Server {
        file: &file,
        block: block.into(),
        window: window.into(),
        done: 0,
    };
    let network = |seed| Network {
        random: seed + loss,
        loss,
        held: None,
    };
    let (mut down, mut up) = (network(42), network(1042));
    let oack = Packet::OptionAck {
        options: vec![
            ("blksize".into(), block.to_string()),
            ("windowsize".into(), window.to_string()),
        ],
    }
    .write();
    let mut now = Duration::ZERO;
    assert_eq!(receiver.take(&oack, now), Step::Send(vec![0, 4, 0, 0]));
    let (mut got, mut sent, mut last) = (Vec::new(), 0, false);
    let mut coming = server.burst();
    for turn in 0.. {
        assert!(turn < 50 * (server.blocks() + 10), "it does not end");
        now += Duration::from_millis(3);
        sent += coming.len();
        let arriving: Vec<Vec<u8>> = std::mem::take(&mut coming)
            .into_iter()
            .flat_map(|p| down.pass(p))
            .collect();
        let mut answers = Vec::new();
        for packet in &arriving {
            match receiver.take(packet, now) {
                Step::Wait => {}
                Step::Send(answer) => answers.push(answer),
                Step::Bytes {
                    bytes,
                    answer,
                    last: end,
                } => {
                    got.extend_from_slice(bytes);
                    last |= end;
                    answers.extend(answer.map(Vec::from));
                }
                Step::Stop { why, .. } => panic!("{why:?}"),
            }
        }
        if last {
            break;
        }
        for answer in answers
            .into_iter()
            .flat_map(|a| up.pass(a))
            .collect::<Vec<_>>()
        {
            if server.take(&answer) {
                coming = server.burst();
            }
        }
        if coming.is_empty() {
            now += Duration::from_millis(100);
            let again = receiver.silence(now);
            if server.take(&again) || turn % 2 == 0 {
                coming = server.burst();
            }
        }
    }
    assert!(got == file, "{} of {size} bytes", got.len());
    assert_eq!(receiver.blocks(), server.blocks() as u64);
    sent
}

#[test]
fn files_of_every_length_come_whole() {
    for size in [0, 1, 511, 512, 513, 1024, 5000] {
        for window in [1, 2, 4, 64] {
            transfer(size, 512, window, 0);
        }
    }
    assert_eq!(
        transfer(5000, 512, 4, 0),
        10,
        "nothing is sent twice where nothing is lost"
    );
}

#[test]
fn block_numbers_begin_again() {
    transfer(8 * 200_000 + 3, 8, 1, 0);
    transfer(8 * 140_000, 8, 7, 1);
}

#[test]
fn what_is_lost_doubled_or_late_comes_all_the_same() {
    for window in [1, 2, 4, 16] {
        for loss in [1, 5, 15] {
            let sent = transfer(400_000, 512, window, loss);
            assert!(
                sent < 8 * 782,
                "{sent} packets for 782, window {window}, {loss} % lost"
            );
        }
    }
}

fn data(block: u16) -> Vec<u8> {
    Packet::Data {
        block,
        bytes: &[1; 512],
    }
    .write()
}

#[test]
fn a_block_that_comes_again_is_not_answered_at_once() {
    let mut receiver = Receiver::new("f", Asked::default());
    let at = Duration::from_millis;
    assert!(matches!(
        receiver.take(&data(1), at(1)),
        Step::Bytes {
            answer: Some([0, 4, 0, 1]),
            last: false,
            ..
        }
    ));
    assert_eq!(receiver.take(&data(1), at(2)), Step::Wait);
    assert_eq!(
        receiver.take(&data(1), at(60)),
        Step::Send(vec![0, 4, 0, 1])
    );
    assert!(matches!(
        receiver.take(&data(2), at(61)),
        Step::Bytes { .. }
    ));
    assert_eq!(
        receiver.take(&data(1), at(200)),
        Step::Wait,
        "an old one is on its way for long"
    );
    assert_eq!(receiver.take(&data(9), at(300)), Step::Wait);
    assert_eq!(receiver.duplicates(), 4);
    assert_eq!(receiver.silence(at(400)), [0, 4, 0, 2]);
}

#[test]
fn a_gap_in_a_window_is_told_once() {
    let asked = Asked {
        windowsize: Some(4),
        ..Asked::default()
    };
    let mut receiver = Receiver::new("f", asked);
    let at = Duration::from_millis;
    assert_eq!(
        receiver.take(b"\0\x06windowsize\x004\0", at(0)),
        Step::Send(vec![0, 4, 0, 0])
    );
    assert!(matches!(
        receiver.take(&data(1), at(1)),
        Step::Bytes { answer: None, .. }
    ));
    assert_eq!(receiver.take(&data(3), at(1)), Step::Send(vec![0, 4, 0, 1]));
    assert_eq!(receiver.take(&data(4), at(1)), Step::Wait);
}

#[test]
fn some_servers_begin_again_at_one() {
    let mut receiver = Receiver::new("f", Asked::default());
    for block in 1..=65535 {
        assert!(matches!(
            receiver.take(&data(block), Duration::ZERO),
            Step::Bytes { .. }
        ));
    }
    assert!(matches!(
        receiver.take(&data(1), Duration::ZERO),
        Step::Bytes {
            answer: Some([0, 4, 0, 1]),
            ..
        }
    ));
    assert!(matches!(
        receiver.take(&data(2), Duration::ZERO),
        Step::Bytes { .. }
    ));
    assert_eq!(receiver.blocks(), 65537);
}

#[test]
fn what_does_not_fit_ends_it() {
    let stop = |asked: Asked, packet: &[u8]| match Receiver::new("f", asked)
        .take(packet, Duration::ZERO)
    {
        Step::Stop { why, answer } => (why, answer.map(|answer| answer[3])),
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        stop(Asked::default(), b"\0\x06tsize\x009\0"),
        (Stopped::Wrong(_), Some(8))
    ));
    assert!(matches!(
        stop(Asked::edk2(), b"\0\x06blksize\x009000\0"),
        (Stopped::Wrong(_), Some(8))
    ));
    assert!(matches!(
        stop(Asked::default(), &[0; 3]),
        (Stopped::Wrong(_), Some(4))
    ));
    assert!(matches!(
        stop(Asked::default(), b"\0\x04\0\0"),
        (Stopped::Wrong(_), Some(4))
    ));
    let mut large = data(1);
    large.push(0);
    assert!(matches!(
        stop(Asked::default(), &large),
        (Stopped::Wrong(_), Some(4))
    ));
    let (why, answer) = stop(Asked::default(), b"\0\x05\0\x01File not found\0");
    assert_eq!(
        (why.shown().as_str(), answer),
        (
            "the server says: File not found (error 1, file not found)",
            None
        )
    );
}
