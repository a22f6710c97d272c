//! Servers of a test's own: real ones, and one that does whatever the test says.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::peers::peer;

/// A server's process, which ends with the test.
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    folder: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    fn start(mut command: Command, port: u16, folder: &Path) -> Self {
        let log = fs::File::create(folder.join("server.log")).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self {
            child,
            port,
            folder: folder.to_owned(),
        };
        let begin = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = fs::read_to_string(folder.join("server.log")).unwrap();
            assert!(
                begin.elapsed() < Duration::from_secs(20),
                "no server: {log}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// Gives what was asked of nginx since the last time: the request, the status and the range.
    pub(crate) fn requests(&self) -> Vec<String> {
        let path = self.folder.join("access.log");
        // A request is written down after it has been answered.
        std::thread::sleep(Duration::from_millis(100));
        let text = fs::read_to_string(&path).unwrap_or_default();
        fs::File::options()
            .write(true)
            .open(&path)
            .unwrap()
            .set_len(0)
            .unwrap();
        text.trim_start_matches('\0')
            .lines()
            .map(str::to_owned)
            .collect()
    }
}

/// Gives a port that nobody listens at.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Starts nginx in a folder; `server` is what its server does beside listening, with `root` set to
/// `files` in that folder. `None` where nginx is missing.
pub(crate) fn nginx(folder: &Path, tls: bool, server: &str) -> Option<Server> {
    let program = peer("nginx")?;
    let port = free_port();
    fs::create_dir_all(folder.join("files")).unwrap();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("{kind}_temp_path {}/tmp;\n", folder.display()))
        .collect();
    let ssl = if tls { "ssl" } else { "" };
    let config = format!(
        "daemon off; master_process off; pid {0}/nginx.pid; error_log stderr;\n\
         events {{}}\n\
         http {{\n{temporary}\
         log_format asked '$request_method $request_uri $status $sent_http_content_range';\n\
         access_log {0}/access.log asked;\n\
         server {{ listen 127.0.0.1:{port} {ssl}; root {0}/files; {server} }}\n}}\n",
        folder.display()
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, config).unwrap();
    let mut command = Command::new(program);
    command.arg("-p").arg(folder).arg("-c").arg(&path);
    Some(Server::start(command, port, folder))
}

/// Starts dnsmasq, which knows what its arguments say and asks nobody. `None` where it is missing.
pub(crate) fn dnsmasq(folder: &Path, arguments: &[String]) -> Option<Server> {
    let program = peer("dnsmasq")?;
    let port = free_port();
    fs::create_dir_all(folder).unwrap();
    let mut command = Command::new(program);
    command.args([
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        "--no-resolv",
        "--no-hosts",
    ]);
    command.args([
        "--bind-interfaces",
        "--listen-address=127.0.0.1",
        "--pid-file=",
    ]);
    command.arg(format!("--port={port}")).args(arguments);
    Some(Server::start(command, port, folder))
}

/// The password that [`registry`] wants of the user `builder`.
pub(crate) const PASSWORD: &str = "its-secret";

/// Starts a registry in a folder, with or without a password. `None` where it is missing.
pub(crate) fn registry(folder: &Path, locked: bool) -> Option<Server> {
    fs::create_dir_all(folder).unwrap();
    let auth = if locked {
        // bcrypt of the password above.
        let hash = "$2y$05$abcdefghijklmnopqrstuuDkW.mksjUpHhLC95POyO95Fk//Cp8q6";
        fs::write(folder.join("htpasswd"), format!("builder:{hash}\n")).unwrap();
        format!(
            "auth:\n  htpasswd: {{ realm: here, path: {}/htpasswd }}\n",
            folder.display()
        )
    } else {
        String::new()
    };
    registry_with(folder, &auth)
}

/// Starts a registry in a folder, with an `auth` section of its own. `None` where it is missing.
pub(crate) fn registry_with(folder: &Path, auth: &str) -> Option<Server> {
    let program = peer("docker-registry")?;
    let port = free_port();
    fs::create_dir_all(folder).unwrap();
    let config = format!(
        "version: 0.1\nlog: {{ level: error }}\n\
         storage: {{ filesystem: {{ rootdirectory: {0}/data }} }}\n\
         http: {{ addr: '127.0.0.1:{port}' }}\n{auth}",
        folder.display()
    );
    let path = folder.join("config.yml");
    fs::write(&path, config).unwrap();
    let mut command = Command::new(program);
    command.arg("serve").arg(&path);
    command.env("OTEL_TRACES_EXPORTER", "none");
    Some(Server::start(command, port, folder))
}

/// What a request to a [`Liar`] says.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// How many requests came before.
    pub(crate) number: usize,
    pub(crate) path: String,
    /// The lines of the head, lowercase.
    pub(crate) head: Vec<String>,
    /// The first line, as it came.
    pub(crate) line: String,
    /// What was sent behind the head, where its length was.
    pub(crate) body: Vec<u8>,
}

impl Asked {
    /// Gives the value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let start = format!("{name}: ");
        self.head.iter().find_map(|line| line.strip_prefix(&start))
    }
}

/// A server that answers as a closure says. Each answer ends its connection.
pub(crate) struct Liar {
    pub(crate) port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Liar {
    /// Starts it; it goes on until the test's process ends.
    pub(crate) fn start(
        answer: impl Fn(&Asked, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (all, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (all, answer) = (Arc::clone(&all), Arc::clone(&answer));
                std::thread::spawn(move || one(stream, &all, &*answer));
            }
        });
        Self { port, asked }
    }

    /// Gives an address on it.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Gives what has been asked.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn one(
    mut stream: TcpStream,
    all: &Mutex<Vec<Asked>>,
    answer: &dyn Fn(&Asked, &mut TcpStream) -> std::io::Result<()>,
) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut lines = reader.by_ref().lines();
    let Some(Ok(first)) = lines.next() else {
        return;
    };
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let head: Vec<String> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .map(|line| line.to_lowercase())
        .collect();
    let mut asked = Asked {
        number: 0,
        path,
        head,
        line: first,
        body: Vec::new(),
    };
    let length = asked.header("content-length").map(|n| n.parse().unwrap());
    asked.body = vec![0; length.unwrap_or(0)];
    if reader.read_exact(&mut asked.body).is_err() {
        return;
    }
    let asked = {
        let mut all = all.lock().unwrap();
        asked.number = all.len();
        all.push(asked.clone());
        asked
    };
    // The client may go away in the middle of a lie.
    let _ = answer(&asked, &mut stream);
    let _ = stream.flush();
}

/// Writes an answer with its length.
pub(crate) fn say(
    stream: &mut TcpStream,
    status: &str,
    headers: &str,
    body: &[u8],
) -> std::io::Result<()> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n"
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

/// Answers a request for a part as it should be; `headers` come on top.
pub(crate) fn part(
    asked: &Asked,
    stream: &mut TcpStream,
    bytes: &[u8],
    headers: &str,
) -> std::io::Result<()> {
    let (first, last) = range(asked, bytes.len());
    let headers = format!(
        "Content-Range: bytes {first}-{last}/{}\r\n{headers}",
        bytes.len()
    );
    say(
        stream,
        "206 Partial Content",
        &headers,
        &bytes[first..=last],
    )
}

/// Gives the first and the last byte that are asked for.
pub(crate) fn range(asked: &Asked, size: usize) -> (usize, usize) {
    let range = asked
        .header("range")
        .unwrap()
        .strip_prefix("bytes=")
        .unwrap();
    let (first, last) = range.split_once('-').unwrap();
    let last: usize = last.parse().unwrap_or(usize::MAX);
    (first.parse().unwrap(), last.min(size - 1))
}
