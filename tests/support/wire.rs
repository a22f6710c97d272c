//! A wire to a server: it counts what goes over, and breaks or stands still where a test says.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Nothing is waited for longer.
const LONG: Duration = Duration::from_secs(60);

/// What becomes of the wire once as many bytes went over as it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// Every connection ends.
    Ends,
    /// Nothing more goes over.
    Stalls,
}

/// The wire.
pub(crate) struct Wire {
    pub(crate) port: u16,
    inner: Arc<Inner>,
}

struct Inner {
    server: u16,
    most: u64,
    then: Then,
    over: AtomicU64,
}

impl Wire {
    /// Lays it to a server, for so many bytes in both directions together; it lies until the
    /// test's process ends.
    pub(crate) fn lay(server: u16, most: u64, then: Then) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let inner = Arc::new(Inner {
            server,
            most,
            then,
            over: AtomicU64::new(0),
        });
        let held = Arc::clone(&inner);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", held.server)) else {
                    continue;
                };
                for (from, to) in [(&client, &server), (&server, &client)] {
                    let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
                    let inner = Arc::clone(&held);
                    std::thread::spawn(move || inner.carry(from, to));
                }
            }
        });
        Self { port, inner }
    }

    /// Gives how many bytes went over.
    pub(crate) fn over(&self) -> u64 {
        self.inner.over.load(Ordering::SeqCst)
    }

    /// Waits until as many went over as it is for.
    ///
    /// Panics where that takes too long.
    pub(crate) fn wait(&self) {
        let begin = Instant::now();
        while self.over() < self.inner.most {
            assert!(begin.elapsed() < LONG, "only {} went over", self.over());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Inner {
    fn carry(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = [0; 8 << 10];
        loop {
            let read = from.read(&mut buffer).unwrap_or(0);
            if self.over.load(Ordering::SeqCst) >= self.most {
                if self.then == Then::Stalls {
                    std::thread::sleep(LONG);
                }
                break;
            }
            if read == 0 || to.write_all(&buffer[..read]).is_err() {
                break;
            }
            self.over.fetch_add(read as u64, Ordering::SeqCst);
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}
