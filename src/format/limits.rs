//! The bounds that every reader keeps.

use std::time::Instant;

use super::FormatError;

const MIB: u64 = 1 << 20;

/// How much a reader may decode, list and descend before it stops with a
/// [`FormatError::Limit`] that names the field.
///
/// The defaults let every initramfs, kernel and root file system in use
/// through and stop hostile input within half a gigabyte of memory. Decoded
/// segments are kept in memory, so what may be decoded depends on what was
/// handed in: see [`Limits::decoded_cap`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a file that is read into memory. 1 GiB.
    pub max_input: u64,
    /// Bytes that one subject may decode to, whatever its size. 4 GiB.
    pub max_decoded: u64,
    /// Bytes that even the smallest subject may decode to. 256 MiB.
    pub free_decoded: u64,
    /// Above `free_decoded`: how many bytes one byte of the file may become. 6.
    pub max_ratio: u64,
    /// Bytes of temporary files, those of all files together whose sizes do not
    /// explain more. 90 MB.
    pub free_stored: u64,
    /// Bytes of an initramfs whose segments are decoded into memory. Of a larger
    /// one, what is read of it is decoded into temporary files, each segment
    /// once, which takes longer. No bound.
    pub max_in_memory: u64,
    /// Entries of one archive or file system; a million would not fit beside
    /// what they were decoded from. 500 000.
    pub max_entries: u64,
    /// Bytes of all paths, link targets and extended attributes of one listing
    /// together. 64 MiB.
    pub max_listing: u64,
    /// Directories below one another. 128.
    pub max_depth: u32,
    /// Bytes of one path or link target (Linux's `PATH_MAX`). 4096.
    pub max_path: usize,
    /// Segments of one initramfs. 4096.
    pub max_segments: u64,
    /// Bytes of one decoded metadata table of a file system. 128 MiB.
    pub max_metadata: u64,
    /// Bytes of one file that is read as a whole. 256 MiB.
    pub max_file: u64,
    /// When to stop, whatever has been done by then. Never.
    pub deadline: Option<Instant>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_input: 1024 * MIB,
            max_decoded: 4096 * MIB,
            free_decoded: 256 * MIB,
            max_ratio: 6,
            free_stored: 90_000_000,
            max_in_memory: u64::MAX,
            max_entries: 500_000,
            max_listing: 64 * MIB,
            max_depth: 128,
            max_path: 4096,
            max_segments: 4096,
            max_metadata: 128 * MIB,
            max_file: 256 * MIB,
            deadline: None,
        }
    }
}

impl Limits {
    /// Gives the number of bytes that `input` bytes may decode to.
    ///
    /// It is `free_decoded`, or `max_ratio` bytes for each byte of the input
    /// where that is more, and never above `max_decoded`. The reasoning: real
    /// initramfs files decode to 60–200 MiB, which the free amount covers;
    /// larger ones are large on disk as well, because kernels, firmware and
    /// squashfs images hardly compress 6:1; and a bomb is small on disk, so it
    /// is held to the free amount and stays below 512 MiB of memory, the decoder's own included.
    #[must_use]
    pub fn decoded_cap(&self, input: u64) -> u64 {
        self.free_decoded
            .max(input.saturating_mul(self.max_ratio))
            .min(self.max_decoded)
    }

    /// Errors once the deadline has passed.
    pub fn check_deadline(&self, format: &'static str, offset: u64) -> Result<(), FormatError> {
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(FormatError::Limit {
                format,
                offset,
                limit: "deadline",
                value: 0,
                remedy: "give the check a longer time-out",
            }),
            Some(_) | None => Ok(()),
        }
    }
}

/// What one subject may still decode.
///
/// One budget is shared by all the segments of a subject, so a thousand small
/// bombs cost as much as one.
#[derive(Debug, Clone)]
pub struct Budget {
    cap: u64,
    used: u64,
    deadline: Option<Instant>,
}

impl Budget {
    /// Makes the budget of a subject that is `input` bytes long.
    #[must_use]
    pub fn new(limits: &Limits, input: u64) -> Self {
        Self {
            cap: limits.decoded_cap(input),
            used: 0,
            deadline: limits.deadline,
        }
    }

    /// Makes the budget of reading what is there, which only the deadline ends.
    #[must_use]
    pub fn reading(limits: &Limits) -> Self {
        Self {
            cap: u64::MAX,
            used: 0,
            deadline: limits.deadline,
        }
    }

    /// Makes a budget of exactly `cap` bytes.
    #[must_use]
    pub fn of(cap: u64) -> Self {
        Self {
            cap,
            used: 0,
            deadline: None,
        }
    }

    /// Gives the number of bytes that may still be decoded.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.cap - self.used
    }

    /// Books `bytes`, or errors when they exceed what is left. The error names
    /// `offset`, the place in the input where the decoding began.
    pub fn take(
        &mut self,
        format: &'static str,
        offset: u64,
        bytes: u64,
    ) -> Result<(), FormatError> {
        if bytes > self.left() {
            return Err(self.exceeded(format, offset));
        }
        self.used += bytes;
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => Err(FormatError::Limit {
                format,
                offset,
                limit: "deadline",
                value: 0,
                remedy: "give the check a longer time-out",
            }),
            Some(_) | None => Ok(()),
        }
    }

    /// Makes the error for an input that decodes to more than the cap.
    #[must_use]
    pub fn exceeded(&self, format: &'static str, offset: u64) -> FormatError {
        FormatError::Limit {
            format,
            offset,
            limit: "max_decoded",
            value: self.cap,
            remedy: "the input unpacks to far more than a file of its size should (a decompression bomb?)",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_input_gets_the_free_amount_and_a_large_one_its_ratio() {
        let limits = Limits::default();
        assert_eq!(limits.decoded_cap(1), 256 * MIB);
        assert_eq!(limits.decoded_cap(60 * MIB), 360 * MIB);
        assert_eq!(limits.decoded_cap(100 * MIB), 600 * MIB);
        assert_eq!(limits.decoded_cap(u64::MAX), 4096 * MIB);
    }

    #[test]
    fn a_budget_is_shared_and_runs_out() {
        let mut budget = Budget::of(10);
        assert!(budget.take("zstd", 0, 6).is_ok());
        assert!(budget.take("zstd", 7, 5).is_err_and(|e| e.offset() == 7));
        assert_eq!(budget.left(), 4);
    }
}
