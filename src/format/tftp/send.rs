//! The sending half of a transfer: which blocks are due, and what an answer says of them.
//!
//! An answer to a block that was answered before is no reason to send again where blocks go one by
//! one: each would be doubled from then on (the sorcerer's apprentice, RFC 1123 §4.2.3.1). In a window
//! it says that the block behind it was lost (RFC 7440 §4); it is believed once for each window.

use std::ops::Range;

/// The state of a transfer that sends.
#[derive(Debug)]
pub struct Sender {
    size: u64,
    block: u64,
    window: u64,
    /// Blocks whose arrival was told.
    arrived: u64,
    /// Blocks that were sent, counted from the first.
    sent: u64,
    /// Whether the loss of a block of this window was told already.
    told: bool,
}

/// What an answer comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// Nothing: it is an old one, or none that fits.
    Nothing,
    /// The next window is due.
    Next,
    /// The same window is due again.
    Again,
    /// All of it arrived.
    Done,
}

impl Sender {
    /// Begins one: the bytes of the file, those of a block, and the blocks of a window.
    #[must_use]
    pub fn new(size: u64, block: usize, window: u16) -> Self {
        Self {
            size,
            block: (block as u64).max(1),
            window: u64::from(window.max(1)),
            arrived: 0,
            sent: 0,
            told: false,
        }
    }

    /// Gives the number of blocks: the last one is shorter than the others, and empty where the file
    /// has no rest. Source: RFC 1350 §6.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.size / self.block + 1
    }

    /// Gives the bytes whose arrival was told.
    #[must_use]
    pub fn arrived(&self) -> u64 {
        self.arrived.saturating_mul(self.block).min(self.size)
    }

    /// Gives the window that is due: the number of each block, and its bytes in the file.
    pub fn window(&mut self) -> impl Iterator<Item = (u16, Range<u64>)> + use<> {
        let first = self.arrived + 1;
        let last = (self.arrived + self.window).min(self.blocks());
        self.sent = last;
        let (block, size) = (self.block, self.size);
        (first..=last).map(move |number| {
            let from = (number - 1).saturating_mul(block);
            (low(number), from..(from + block).min(size))
        })
    }

    /// Takes an answer to a block.
    pub fn take(&mut self, number: u16) -> Answered {
        // Numbers begin again behind 65535: an answer is to one of the blocks that are on their way.
        let ahead = u64::from(number.wrapping_sub(low(self.arrived)));
        if ahead > self.sent - self.arrived {
            return Answered::Nothing;
        }
        if ahead == 0 {
            let again = self.window > 1 && !self.told && self.sent > 0;
            self.told |= again;
            return if again {
                Answered::Again
            } else {
                Answered::Nothing
            };
        }
        self.arrived += ahead;
        self.told = false;
        match self.arrived == self.blocks() {
            true => Answered::Done,
            false => Answered::Next,
        }
    }

    /// The time of a window is over: its blocks are sent again, and a loss is believed again.
    pub fn silence(&mut self) {
        self.told = false;
    }
}

/// Gives the number of a block as it is written.
fn low(number: u64) -> u16 {
    (number & 0xffff) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(sender: &mut Sender) -> Vec<(u16, Range<u64>)> {
        sender.window().collect()
    }

    #[test]
    fn blocks_go_one_by_one_and_the_last_is_short() {
        let mut sender = Sender::new(1024, 512, 1);
        assert_eq!(due(&mut sender), [(1, 0..512)]);
        assert_eq!(sender.take(0), Answered::Nothing);
        assert_eq!(sender.take(2), Answered::Nothing);
        assert_eq!(sender.take(1), Answered::Next);
        assert_eq!(sender.take(1), Answered::Nothing);
        assert_eq!(due(&mut sender), [(2, 512..1024)]);
        assert_eq!(sender.take(2), Answered::Next);
        assert_eq!(due(&mut sender), [(3, 1024..1024)]);
        assert_eq!((sender.take(3), sender.arrived()), (Answered::Done, 1024));
        assert_eq!(due(&mut Sender::new(0, 512, 4)), [(1, 0..0)]);
    }

    #[test]
    fn a_loss_in_a_window_is_believed_once() {
        let mut sender = Sender::new(10_000, 1000, 4);
        assert_eq!(due(&mut sender).len(), 4);
        assert_eq!(sender.take(2), Answered::Next);
        assert_eq!(
            due(&mut sender).iter().map(|(n, _)| *n).collect::<Vec<_>>(),
            [3, 4, 5, 6]
        );
        assert_eq!(sender.take(2), Answered::Again);
        assert_eq!(sender.take(2), Answered::Nothing);
        sender.silence();
        assert_eq!(sender.take(2), Answered::Again);
        assert_eq!(sender.take(1), Answered::Nothing);
        assert_eq!(sender.take(6), Answered::Next);
        assert_eq!(sender.arrived(), 6000);
    }

    #[test]
    fn numbers_begin_again() {
        let mut sender = Sender::new(8 * 70_000, 8, 3);
        let mut expected: u16 = 1;
        loop {
            let window = due(&mut sender);
            for (number, _) in &window {
                assert_eq!(*number, expected);
                expected = expected.wrapping_add(1);
            }
            match sender.take(window.last().unwrap().0) {
                Answered::Next => {}
                end => {
                    assert_eq!((end, sender.arrived()), (Answered::Done, 560_000));
                    break;
                }
            }
        }
        assert_eq!(expected, 70_002_u32 as u16);
    }
}
