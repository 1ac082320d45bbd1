//! The origin: 1 KiB under every target, a thread per connection, and one write per answer.

use std::io::{BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::client;

pub struct Origin {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
}

impl Origin {
    /// Listens on loopback until the process ends. `fields` are lines of its answers, each with its end.
    pub fn open(fields: &'static str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port on loopback");
        let (address, requests) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
        let counted = Arc::clone(&requests);
        std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                let counted = Arc::clone(&counted);
                std::thread::spawn(move || serve(stream, fields, &counted));
            }
        });
        Self { address, requests }
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many requests came.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

fn serve(stream: TcpStream, fields: &str, requests: &AtomicU64) {
    stream.set_nodelay(true).unwrap();
    let mut stream = BufReader::new(stream);
    let content = "0123456789abcde\n".repeat(64);
    while let Some(request) = client::head(&mut stream) {
        requests.fetch_add(1, Ordering::SeqCst);
        // What is asked about is always the content that is there: its tag is the only one.
        let (status, content) = match request.contains("\r\nif-none-match: ") {
            true => ("304 Not Modified", ""),
            false if request.starts_with("HEAD ") => ("200 OK", ""),
            false => ("200 OK", &*content),
        };
        let length = if status.starts_with("200") { "Content-Length: 1024\r\n" } else { "" };
        let head = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{fields}{length}\r\n");
        if stream.get_mut().write_all(&[head.as_bytes(), content.as_bytes()].concat()).is_err() {
            return;
        }
    }
}
