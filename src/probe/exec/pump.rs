//! The threads around a process, and what they report.

use super::capture::{Keeper, Lines, Log, redacted};
use super::tree::Tree;
use super::{Cancel, End, LINGER, Request, Stream};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;
use std::io::{self, Read, Write};
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

/// How often a running command's tree is looked at, to remember members and reap orphans.
const LOOK: Duration = Duration::from_secs(1);
/// How long the wait for a time-out or a cancellation may oversleep.
pub(super) const TICK: Duration = Duration::from_millis(25);
/// How many times [`LINGER`], while bytes still come, the last of an output is read.
const REST_ROUNDS: u32 = 200;

/// What the threads around a process report.
pub(super) enum Event {
    Bytes(Stream, Vec<u8>),
    Closed,
    Exited,
}

/// Starts the threads that read, feed and wait for a process.
pub(super) fn listen(child: &mut Child, input: &[u8]) -> io::Result<Receiver<Event>> {
    // Bounded: a command that writes faster than we read has to wait.
    let (sender, events) = sync_channel(64);
    if let Some(mut stdin) = child.stdin.take() {
        let input = input.to_vec();
        thread("stdin", move || {
            // A command need not read its input: a closed pipe is no fault.
            let _ = stdin.write_all(&input);
        })?;
    }
    if let Some(stdout) = child.stdout.take() {
        read_all(Stream::Stdout, stdout, sender.clone())?;
    }
    if let Some(stderr) = child.stderr.take() {
        read_all(Stream::Stderr, stderr, sender.clone())?;
    }
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap_or(0));
    thread("wait", move || {
        // The zombie stays, and with it the pid, until the whole tree is gone.
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
        while let Err(nix::errno::Errno::EINTR) = waitid(Id::Pid(pid), flags) {}
        let _ = sender.send(Event::Exited);
    })?;
    Ok(events)
}

fn thread(name: &str, body: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new()
        .name(name.into())
        .stack_size(128 * 1024)
        .spawn(body)
        .map(drop)
}

fn read_all(
    stream: Stream,
    mut from: impl Read + Send + 'static,
    to: SyncSender<Event>,
) -> io::Result<()> {
    thread("output", move || {
        let mut buffer = vec![0u8; 32 * 1024];
        loop {
            match from.read(&mut buffer) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
                Ok(n) => {
                    if to.send(Event::Bytes(stream, buffer[..n].to_vec())).is_err() {
                        return;
                    }
                }
            }
        }
        let _ = to.send(Event::Closed);
    })
}

/// Takes in what the threads report.
pub(super) struct Pump<'r> {
    pub(super) request: &'r Request,
    pub(super) log: Option<&'r mut Log>,
    pub(super) log_error: Option<io::Error>,
    pub(super) each_line: &'r mut dyn FnMut(Stream, &str),
    pub(super) each_piece: &'r mut dyn FnMut(Stream, &[u8]),
    pub(super) kept: [Keeper; 2],
    pub(super) lines: [Lines; 2],
    pub(super) open: usize,
    pub(super) taken: u64,
    pub(super) redacted: u64,
}

impl Pump<'_> {
    /// Takes in output until the process ends, its time is up, or it is cancelled.
    pub(super) fn follow(
        &mut self,
        events: &Receiver<Event>,
        tree: &mut Tree,
        begin: Instant,
    ) -> End {
        let global = Cancel::global();
        let mut looked = Instant::now();
        loop {
            if self.request.cancel.is_set() || !self.request.outlives && global.is_set() {
                return End::Cancelled;
            }
            let over = self.request.timeout.map(|t| begin + t);
            if over.is_some_and(|over| Instant::now() >= over) {
                return End::TimedOut;
            }
            if looked.elapsed() >= LOOK {
                tree.observe();
                looked = Instant::now();
            }
            let left = over.map_or(TICK, |o| o.saturating_duration_since(Instant::now()));
            match events.recv_timeout(left.min(TICK)) {
                Ok(Event::Exited) => return End::Exited,
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return End::Exited,
            }
        }
    }

    /// Takes in output until both streams are closed, for a time at most.
    pub(super) fn drain(&mut self, events: &Receiver<Event>, time: Duration) {
        let end = Instant::now() + time;
        while self.open > 0 {
            let left = end.saturating_duration_since(Instant::now());
            match events.recv_timeout(left) {
                Ok(event) => self.take(event),
                Err(RecvTimeoutError::Timeout) => return,
                Err(RecvTimeoutError::Disconnected) => self.open = 0,
            }
            if left.is_zero() {
                return;
            }
        }
    }

    /// Takes in what is still in the pipes once nobody writes any more, however slow its reader.
    ///
    /// A pipe that stays open and silent is held by a process that was never ours to end.
    pub(super) fn drain_rest(&mut self, events: &Receiver<Event>, nobody_writes: bool) {
        let rounds = if nobody_writes { REST_ROUNDS } else { 1 };
        for _ in 0..rounds {
            let before = self.taken;
            self.drain(events, LINGER);
            if self.open == 0 || self.taken == before {
                return;
            }
        }
    }

    fn take(&mut self, event: Event) {
        self.taken += 1;
        match event {
            Event::Bytes(stream, bytes) => {
                self.kept[index(stream)].add(&bytes);
                (self.each_piece)(stream, &bytes);
                self.split(stream, |lines, each| lines.add(&bytes, each));
            }
            Event::Closed => self.open -= 1,
            Event::Exited => {}
        }
    }

    fn split(&mut self, stream: Stream, with: impl FnOnce(&mut Lines, &mut dyn FnMut(&str))) {
        let Self {
            request,
            log,
            log_error,
            each_line,
            lines,
            redacted: count,
            ..
        } = self;
        with(&mut lines[index(stream)], &mut |line| {
            let clean = redacted(line, &request.redact);
            *count += u64::from(clean != line);
            let line = clean;
            each_line(stream, &line);
            if let Some(log) = log
                && let Err(error) = log.line(&line)
            {
                log_error.get_or_insert(error);
            }
        });
    }

    pub(super) fn finish(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.split(stream, Lines::finish);
        }
    }
}

fn index(stream: Stream) -> usize {
    match stream {
        Stream::Stdout => 0,
        Stream::Stderr => 1,
    }
}
