//! A client that fills caches and asks for counters: GET over kept connections, one request at a time on each.
//!
//! It needs only that every response says its `Content-Length` or is chunked, as those of all programs here do.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The `Host` of every request, so that all programs have the same keys.
pub const HOST: &str = "peers.test";

/// How many connections fill a cache.
const FILLERS: usize = 16;

/// The longest silence of a server.
const SILENCE: Duration = Duration::from_secs(20);

struct Connection {
    stream: BufReader<TcpStream>,
    line: String,
    content: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, SILENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE))?;
        Ok(Self { stream: BufReader::with_capacity(64 << 10, stream), line: String::new(), content: Vec::new() })
    }

    /// The status; the content is in `self.content`.
    fn get(&mut self, target: &str, fields: &str) -> std::io::Result<u16> {
        let request = format!("GET {target} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n");
        self.stream.get_mut().write_all(request.as_bytes())?;
        let status = self.next_line()?.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let mut length = None;
        loop {
            let line = self.next_line()?;
            if line.is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok();
            }
        }
        self.content.clear();
        match length {
            Some(length) => self.take(length)?,
            None => self.take_chunks()?,
        }
        Ok(status)
    }

    fn next_line(&mut self) -> std::io::Result<&str> {
        self.line.clear();
        if self.stream.read_line(&mut self.line)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(self.line.trim_end())
    }

    fn take(&mut self, length: u64) -> std::io::Result<()> {
        let taken = self.stream.by_ref().take(length).read_to_end(&mut self.content)?;
        if taken as u64 == length { Ok(()) } else { Err(std::io::ErrorKind::UnexpectedEof.into()) }
    }

    fn take_chunks(&mut self) -> std::io::Result<()> {
        loop {
            let length = u64::from_str_radix(self.next_line()?, 16).map_err(std::io::Error::other)?;
            self.take(length)?;
            self.next_line()?;
            if length == 0 {
                return Ok(());
            }
        }
    }
}

/// The content of `target`, which must be there.
pub fn get(address: SocketAddr, target: &str) -> Vec<u8> {
    let mut connection = Connection::open(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    match connection.get(target, "") {
        Ok(200) => connection.content,
        Ok(status) => panic!("{address}{target}: {status}"),
        Err(error) => panic!("{address}{target}: {error}"),
    }
}

/// Whether anything accepts connections there.
pub fn accepts(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_ok()
}

/// Asks for `target(0)` to `target(count - 1)`, each once, roughly in this order.
pub fn get_each(address: SocketAddr, count: u64, target: impl Fn(u64) -> String + Sync) {
    get_each_with(address, count, |number| (target(number), String::new()));
}

/// As [`get_each`], with the lines of further fields.
pub fn get_each_with(address: SocketAddr, count: u64, request: impl Fn(u64) -> (String, String) + Sync) {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..FILLERS {
            scope.spawn(|| {
                let mut connection = None;
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return;
                    }
                    let (target, fields) = request(number);
                    fetch(address, &mut connection, &target, &fields);
                }
            });
        }
    });
}

/// One request, on a new connection if the kept one was closed.
fn fetch(address: SocketAddr, kept: &mut Option<Connection>, target: &str, fields: &str) {
    for attempt in 0..3 {
        let connection = match kept.take() {
            Some(connection) => Ok(connection),
            None => Connection::open(address),
        };
        let answer = connection.and_then(|mut connection| {
            let status = connection.get(target, fields)?;
            Ok((connection, status))
        });
        match answer {
            Ok((connection, 200)) => {
                *kept = Some(connection);
                return;
            }
            Ok((_, status)) => panic!("{address}{target}: {status}"),
            Err(error) if attempt == 2 => panic!("{address}{target}: {error}"),
            Err(_) => {}
        }
    }
}
