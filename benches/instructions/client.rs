//! The client: one connection, one request at a time, in as many system calls as it takes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::sidecar::PATIENCE;

pub struct Client(BufReader<TcpStream>);

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("truehit listens there");
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    /// Sends a GET as an HTTP library does, reads all of the answer, and gives its head.
    pub fn get(&mut self, target: &str) -> String {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: api.test\r\nUser-Agent: figures/1.0\r\nAccept: application/json, */*;q=0.5\r\n\
             Accept-Encoding: gzip, deflate, br\r\n\r\n"
        );
        self.0.get_mut().write_all(request.as_bytes()).expect("the connection is kept");
        let head = head(&mut self.0).expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let mut content = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut content).expect("a whole body");
        head
    }
}

/// A message head, in lower case but for its first line, without the empty line; `None` where the connection ends.
pub fn head(from: &mut impl BufRead) -> Option<String> {
    let mut head = String::new();
    loop {
        let start = head.len();
        match from.read_line(&mut head) {
            Ok(0) | Err(_) => return None,
            Ok(_) if &head[start..] == "\r\n" => return Some(head),
            Ok(_) if start > 0 => head[start..].make_ascii_lowercase(),
            Ok(_) => {}
        }
    }
}
