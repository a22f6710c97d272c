//! `tdg serve` as a process of a test's own.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// The program at work; it ends with the test.
pub(crate) struct Serving {
    child: Child,
    lines: Arc<Mutex<Vec<Value>>>,
}

/// An answer over HTTP, as it came.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The lines of the head, lowercase.
    pub(crate) head: Vec<String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let start = format!("{name}: ");
        self.head.iter().find_map(|line| line.strip_prefix(&start))
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Runs a command that is to refuse; one that serves instead is ended, and has no exit code.
pub(crate) fn refusal(command: &mut Command) -> Output {
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.unwrap();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > Duration::from_secs(30) {
            child.kill().unwrap();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child.wait_with_output().unwrap()
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Serving {
    /// Starts it by a command that tells its events as JSON, and waits until it listens.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let lines = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                all.lock()
                    .unwrap()
                    .push(serde_json::from_str(&line).unwrap());
            }
        });
        let mut serving = Self { child, lines };
        let begin = Instant::now();
        while serving.events("listening").is_empty() {
            if let Some(ended) = serving.child.try_wait().unwrap() {
                let mut said = String::new();
                serving
                    .child
                    .stderr
                    .take()
                    .unwrap()
                    .read_to_string(&mut said)
                    .unwrap();
                panic!("{ended}: {said}");
            }
            assert!(
                begin.elapsed() < Duration::from_secs(30),
                "it does not listen"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        // All of them are told at once.
        std::thread::sleep(Duration::from_millis(50));
        serving
    }

    /// Gives what it told of a kind.
    pub(crate) fn events(&self, kind: &str) -> Vec<Value> {
        let lines = self.lines.lock().unwrap();
        lines
            .iter()
            .filter(|line| line["event"] == kind)
            .cloned()
            .collect()
    }

    /// Waits for an event that is as a test wants it.
    pub(crate) fn event(&self, kind: &str, is: impl Fn(&Value) -> bool) -> Value {
        let begin = Instant::now();
        loop {
            if let Some(found) = self.events(kind).into_iter().find(&is) {
                return found;
            }
            let told = self.lines.lock().unwrap().clone();
            assert!(
                begin.elapsed() < Duration::from_secs(30),
                "{kind}: {told:?}"
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Gives the port of a server.
    pub(crate) fn port(&self, server: &str) -> u16 {
        let told = self.event("listening", |event| event["server"] == server);
        let at = told["address"].as_str().unwrap().to_owned();
        at.rsplit_once(':').unwrap().1.parse().unwrap()
    }

    /// Gives its number.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks for something over HTTP, with headers of the test's own.
    pub(crate) fn ask(&self, method: &str, target: &str, headers: &str) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port("http"))).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .expect("no head");
        let head = String::from_utf8_lossy(&bytes[..end]).to_lowercase();
        let mut lines = head.lines().map(str::to_owned);
        let first = lines.next().unwrap();
        Answer {
            status: first.split(' ').nth(1).unwrap().parse().unwrap(),
            head: lines.collect(),
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub(crate) fn get(&self, target: &str) -> Answer {
        self.ask("GET", target, "")
    }

    /// Asks for something until it is answered with a status.
    pub(crate) fn until(&self, target: &str, status: u16) -> Answer {
        let begin = Instant::now();
        loop {
            let answer = self.get(target);
            if answer.status == status {
                return answer;
            }
            let (is, text) = (answer.status, answer.text());
            assert!(begin.elapsed() < Duration::from_secs(30), "{is}: {text}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ends it as Ctrl-C does; gives its exit code and what it said on standard error.
    pub(crate) fn interrupt(mut self) -> (Option<i32>, String) {
        kill(
            Pid::from_raw(self.child.id().try_into().unwrap()),
            Signal::SIGINT,
        )
        .unwrap();
        let ended = self.child.wait().unwrap();
        let mut said = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        self.event("closed", |_| true);
        (ended.code(), said)
    }
}
