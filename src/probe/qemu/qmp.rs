//! QEMU's control socket: JSON, one message a line (QEMU Machine Protocol, docs/interop/qmp-spec).

use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// A longer message than this is none of QEMU's.
const LONGEST: usize = 1 << 20;
/// How long one look for messages takes, at most.
const TICK: Duration = Duration::from_millis(20);

/// A connection to a running QEMU.
#[derive(Debug)]
pub struct Qmp {
    stream: UnixStream,
    held: Vec<u8>,
    closed: bool,
    events: Vec<Value>,
}

impl Qmp {
    /// Connects, and takes the greeting; gives QEMU's version too.
    ///
    /// # Errors
    /// Where nobody listens, or what answers is not QEMU.
    pub fn connect(path: &Path) -> io::Result<(Self, String)> {
        let stream = UnixStream::connect(path)?;
        stream.set_read_timeout(Some(TICK))?;
        stream.set_write_timeout(Some(Duration::from_secs(2)))?;
        let mut qmp = Self {
            stream,
            held: Vec::new(),
            closed: false,
            events: Vec::new(),
        };
        let greeting = qmp.message(Duration::from_secs(10))?;
        let version = |part: &str| greeting["QMP"]["version"]["qemu"][part].as_u64();
        let (Some(major), Some(minor), Some(micro)) =
            (version("major"), version("minor"), version("micro"))
        else {
            return Err(io::Error::other("it does not greet as QEMU does"));
        };
        qmp.ask("qmp_capabilities", &json!({}))?;
        Ok((qmp, format!("{major}.{minor}.{micro}")))
    }

    /// Gives a command, and waits for what it returns.
    ///
    /// # Errors
    /// Where QEMU says no, or nothing, or is gone.
    pub fn ask(&mut self, command: &str, arguments: &Value) -> io::Result<Value> {
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        self.stream.write_all(line.as_bytes())?;
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let message = self.message(end.saturating_duration_since(Instant::now()))?;
            if let Some(value) = message.get("return") {
                return Ok(value.clone());
            }
            if let Some(error) = message.get("error") {
                let why = error["desc"].as_str().unwrap_or("it does not say why");
                return Err(io::Error::other(format!("`{command}`: {why}")));
            }
            self.events.push(message);
        }
    }

    /// Gives the events that have come, waiting a moment for some; `None` once QEMU is gone.
    pub fn events(&mut self) -> Option<Vec<Value>> {
        if self.events.is_empty() {
            match self.message(TICK) {
                Ok(message) => self.events.push(message),
                Err(_) if self.closed => return None,
                Err(_) => {}
            }
        }
        Some(std::mem::take(&mut self.events))
    }

    fn message(&mut self, time: Duration) -> io::Result<Value> {
        let end = Instant::now() + time;
        loop {
            if let Some(at) = self.held.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.held.drain(..=at).collect();
                return serde_json::from_slice(&line).map_err(io::Error::other);
            }
            if self.closed {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if self.held.len() > LONGEST {
                self.closed = true;
                return Err(io::Error::other("a message that does not end"));
            }
            let mut buffer = [0; 4096];
            match self.stream.read(&mut buffer) {
                Ok(0) => self.closed = true,
                Ok(n) => self
                    .held
                    .extend_from_slice(buffer.get(..n).unwrap_or_default()),
                Err(error) => match error.kind() {
                    io::ErrorKind::Interrupted => {}
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                        if Instant::now() >= end {
                            return Err(error);
                        }
                    }
                    _ => {
                        self.closed = true;
                        return Err(error);
                    }
                },
            }
        }
    }
}
