//! A proxy before a registry that does it harm, in ways that a seed decides.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the proxy does to one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Harm {
    /// The connection ends before the request is passed on.
    Drop,
    /// Half of what is sent is passed on, then both connections end.
    HalfSent,
    /// One byte of what is sent is another.
    BrokenSent,
    /// It is passed on, and the answer is lost.
    NoAnswer,
    /// 429 with `Retry-After`.
    TooMany,
    /// 500, with a page.
    Fault,
    /// 503, after the request has been carried out.
    LateFault,
    /// The answer comes late, in two parts.
    Late,
    /// The connection ends in the middle of the body.
    HalfAnswer,
    /// The answer is shorter, and says so.
    Shorter,
    /// One byte of the body is another.
    BrokenAnswer,
    /// The body is that of an earlier answer.
    Swapped,
    /// `Location` leads to where nothing is.
    WrongLocation,
    /// `Docker-Content-Digest` is another.
    WrongDigest,
    /// The answer comes twice.
    Twice,
}

impl Harm {
    const ALL: [Self; 15] = [
        Self::Drop,
        Self::HalfSent,
        Self::BrokenSent,
        Self::NoAnswer,
        Self::TooMany,
        Self::Fault,
        Self::LateFault,
        Self::Late,
        Self::HalfAnswer,
        Self::Shorter,
        Self::BrokenAnswer,
        Self::Swapped,
        Self::WrongLocation,
        Self::WrongDigest,
        Self::Twice,
    ];
}

/// The proxy.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    registry: u16,
    seed: u64,
    /// Of how many exchanges one is harmed; 0 is none.
    every: u64,
    /// How often the same has been asked.
    asked: Mutex<HashMap<String, u64>>,
    /// What has been done.
    done: Mutex<HashMap<Harm, u32>>,
    /// The last body that was answered.
    last: Mutex<Vec<u8>>,
}

impl Proxy {
    /// Starts it before a registry; it goes on until the test's process ends.
    pub(crate) fn start(registry: u16, seed: u64, every: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let inner = Arc::new(Inner {
            registry,
            seed,
            every,
            asked: Mutex::default(),
            done: Mutex::default(),
            last: Mutex::default(),
        });
        let held = Arc::clone(&inner);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let inner = Arc::clone(&held);
                // The client may go away in the middle of it.
                std::thread::spawn(move || inner.serve(&stream));
            }
        });
        Self { port, inner }
    }

    /// Gives what it has done, and how often.
    pub(crate) fn done(&self) -> HashMap<Harm, u32> {
        self.inner.done.lock().unwrap().clone()
    }
}

/// A message: its first line, its headers, and its body.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) first: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Message {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut all = self.headers.iter();
        let found = all.find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    fn set(&mut self, name: &str, value: &str) {
        for (key, held) in &mut self.headers {
            if key.eq_ignore_ascii_case(name) {
                *held = value.to_owned();
            }
        }
    }

    fn head(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.first);
        for (key, value) in &self.headers {
            text += &format!("{key}: {value}\r\n");
        }
        (text + "\r\n").into_bytes()
    }

    /// Reads a head; `None` at the end.
    fn read(reader: &mut impl BufRead) -> Option<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut lines = lines.into_iter();
        let first = lines.next()?;
        let headers = lines.filter_map(|line| {
            let (key, value) = line.split_once(": ")?;
            Some((key.to_owned(), value.to_owned()))
        });
        Some(Self {
            first,
            headers: headers.collect(),
            body: Vec::new(),
        })
    }

    fn length(&self) -> usize {
        self.header("content-length")
            .map_or(0, |n| n.parse().unwrap())
    }
}

/// An answer: a status and headers, and a body.
type Told = (String, Vec<u8>);

/// A server that reads each request to its end and answers as a closure says: a status line's end
/// with headers, and a body. `None` ends the connection.
pub(crate) struct Teller {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Message>>>,
}

impl Teller {
    /// Starts it; it goes on until the test's process ends.
    pub(crate) fn start(
        answer: impl Fn(&Message) -> Option<(String, Vec<u8>)> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<Message>>> = Arc::default();
        let (all, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (all, answer) = (Arc::clone(&all), Arc::clone(&answer));
                std::thread::spawn(move || Self::serve(&stream, &all, &*answer));
            }
        });
        Self { port, asked }
    }

    /// Gives what has been asked.
    pub(crate) fn asked(&self) -> Vec<Message> {
        self.asked.lock().unwrap().clone()
    }

    fn serve(
        mut client: &TcpStream,
        all: &Mutex<Vec<Message>>,
        answer: &dyn Fn(&Message) -> Option<Told>,
    ) -> Option<()> {
        let mut reader = BufReader::new(client);
        loop {
            let mut request = Message::read(&mut reader)?;
            request.body = vec![0; request.length()];
            reader.read_exact(&mut request.body).ok()?;
            all.lock().unwrap().push(request.clone());
            let Some((head, body)) = answer(&request) else {
                let _ = client.shutdown(Shutdown::Both);
                return None;
            };
            let length = match head.to_ascii_lowercase().contains("content-length") {
                true => String::new(),
                false => format!("Content-Length: {}\r\n", body.len()),
            };
            client
                .write_all(format!("HTTP/1.1 {head}{length}\r\n").as_bytes())
                .ok()?;
            if !request.first.starts_with("HEAD") {
                client.write_all(&body).ok()?;
            }
        }
    }
}

/// Mixes a number (the end of MurmurHash3).
fn mixed(mut n: u64) -> u64 {
    n ^= n >> 33;
    n = n.wrapping_mul(0xff51_afd7_ed55_8ccd);
    n ^= n >> 33;
    n = n.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    n ^ n >> 33
}

impl Inner {
    fn serve(&self, client: &TcpStream) -> Option<()> {
        let _ = client.set_nodelay(true);
        let mut reader = BufReader::new(client);
        loop {
            let mut request = Message::read(&mut reader)?;
            request.body = vec![0; request.length()];
            reader.read_exact(&mut request.body).ok()?;
            let (harm, random) = self.choose(&request);
            if let Some(harm) = harm {
                *self.done.lock().unwrap().entry(harm).or_default() += 1;
            }
            let goes_on = self.exchange(client, request, harm, random);
            if goes_on.is_none() {
                let _ = client.shutdown(Shutdown::Both);
                return None;
            }
        }
    }

    /// Decides what is done to a request: by what it asks and how often that was asked before, so
    /// that the order in which threads come does not count.
    fn choose(&self, request: &Message) -> (Option<Harm>, u64) {
        let mut words = request.first.split(' ');
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        let key = match path.split_once("/uploads/") {
            Some((before, _)) => format!("{method} {before}"),
            None => format!("{method} {path}"),
        };
        let nth = {
            let mut asked = self.asked.lock().unwrap();
            let nth = asked.entry(key.clone()).or_default();
            *nth += 1;
            *nth
        };
        let text = key
            .bytes()
            .fold(self.seed, |n, byte| mixed(n ^ u64::from(byte)));
        let random = mixed(text ^ nth.wrapping_mul(0x9e37_79b9));
        let harmed = self.every > 0 && random.is_multiple_of(self.every);
        let which = usize::try_from(mixed(random) % 15).unwrap();
        (harmed.then(|| Harm::ALL[which]), mixed(random ^ 77))
    }

    fn exchange(
        &self,
        mut client: &TcpStream,
        mut request: Message,
        harm: Option<Harm>,
        random: u64,
    ) -> Option<()> {
        let at = |length: usize| usize::try_from(random).unwrap_or(7) % length.max(1);
        let plain = |status: &str, headers: &str, body: &str| {
            format!(
                "HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}",
                body.len()
            )
        };
        match harm {
            Some(Harm::Drop) => return None,
            Some(Harm::TooMany) => {
                let wait = random % 2;
                let text = plain(
                    "429 Too Many Requests",
                    &format!("Retry-After: {wait}\r\n"),
                    "",
                );
                return client.write_all(text.as_bytes()).ok();
            }
            Some(Harm::Fault) => {
                let text = plain("500 Internal Server Error", "", "<html>sorry</html>");
                let is_head = request.first.starts_with("HEAD");
                let text = if is_head {
                    text.replace("<html>sorry</html>", "")
                } else {
                    text
                };
                return client.write_all(text.as_bytes()).ok();
            }
            Some(Harm::BrokenSent) if !request.body.is_empty() => {
                let at = at(request.body.len());
                request.body[at] ^= 1 << (random % 7);
            }
            _ => {}
        }
        let mut registry = TcpStream::connect(("127.0.0.1", self.registry)).ok()?;
        request
            .headers
            .retain(|(key, _)| !key.eq_ignore_ascii_case("connection"));
        request.headers.push(("Connection".into(), "close".into()));
        registry.write_all(&request.head()).ok()?;
        if harm == Some(Harm::HalfSent) {
            let _ = registry.write_all(&request.body[..request.body.len() / 2]);
            let _ = registry.shutdown(Shutdown::Both);
            return None;
        }
        let _ = registry.write_all(&request.body);
        let mut reader = BufReader::new(registry);
        let mut answer = Message::read(&mut reader)?;
        reader.read_to_end(&mut answer.body).ok()?;
        answer
            .headers
            .retain(|(key, _)| !key.eq_ignore_ascii_case("connection"));
        self.answer(client, answer, harm, random)
    }

    fn answer(
        &self,
        mut client: &TcpStream,
        mut answer: Message,
        harm: Option<Harm>,
        random: u64,
    ) -> Option<()> {
        let length = answer.body.len();
        let before = match length {
            0 => Vec::new(),
            _ => std::mem::replace(&mut *self.last.lock().unwrap(), answer.body.clone()),
        };
        match harm {
            Some(Harm::NoAnswer) => return None,
            Some(Harm::LateFault) => {
                let text = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
                return client.write_all(text.as_bytes()).ok();
            }
            Some(Harm::Late) => {
                std::thread::sleep(Duration::from_millis(1 + random % 20));
                client.write_all(&answer.head()).ok()?;
                client.write_all(&answer.body[..length / 3]).ok()?;
                std::thread::sleep(Duration::from_millis(random % 5));
                return client.write_all(&answer.body[length / 3..]).ok();
            }
            Some(Harm::HalfAnswer) => {
                client.write_all(&answer.head()).ok()?;
                client.write_all(&answer.body[..length / 2]).ok()?;
                return None;
            }
            Some(Harm::Shorter) if length > 0 => {
                answer.body.truncate(length / 2);
                let length = answer.body.len().to_string();
                answer.set("content-length", &length);
            }
            Some(Harm::BrokenAnswer) if length > 0 => {
                let at = usize::try_from(random).unwrap_or(7) % length;
                answer.body[at] ^= 1 << (random % 7);
            }
            Some(Harm::Swapped) if length > 0 && !before.is_empty() => {
                answer.set("content-length", &before.len().to_string());
                answer.body = before;
            }
            Some(Harm::WrongLocation) => {
                let place = match random % 3 {
                    0 => "http://127.0.0.1:1/nothing",
                    1 => "/v2/none/blobs/uploads/0?_state=x",
                    _ => "http://",
                };
                answer.set("location", place);
            }
            Some(Harm::WrongDigest) => {
                let digest = format!("sha256:{:064x}", random);
                answer.set("docker-content-digest", &digest);
            }
            _ => {}
        }
        let mut bytes = answer.head();
        bytes.extend_from_slice(&answer.body);
        if harm == Some(Harm::Twice) {
            let again = bytes.clone();
            bytes.extend(again);
        }
        client.write_all(&bytes).ok()
    }
}
