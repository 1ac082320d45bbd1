//! A client: one connection, HTTP/1.1 by hand, so that every way in which an answer can go wrong has a name.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

/// The `Host` of every request: one that the admin listener takes too.
pub const HOST: &str = "localhost";

/// The longest that anything may take before it counts as lost.
const PATIENCE: Duration = Duration::from_secs(30);

/// How much is read at a time.
const READ: usize = 64 << 10;

/// Why there is no whole answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nobody listens.
    Refused,
    /// The connection ended before the head of the answer.
    Lost,
    /// It ended within the content: seen to be cut, so nobody is deceived.
    Cut,
    /// Nothing came for [`PATIENCE`].
    Late,
    /// What came is no answer of HTTP/1.1.
    Garbled,
    /// Another status than was asked for.
    Status(u16),
}

/// A whole answer.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    /// Its head, as it came.
    pub head: String,
    pub content: Vec<u8>,
}

impl Reply {
    /// The first field of a name, which is in lower case; empty if there is none.
    pub fn field(&self, name: &str) -> &str {
        field(&self.head, name).unwrap_or_default()
    }

    /// Whether the content came from the store.
    pub fn is_hit(&self) -> bool {
        let said = self.field("cache-status");
        said.contains("; hit") || said.contains("detail=checked")
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (own, value) = line.split_once(':')?;
        own.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

pub struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Result<Self, Failure> {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await.map_err(|_| Failure::Late)?;
        let stream = stream.map_err(|_| Failure::Refused)?;
        stream.set_nodelay(true).map_err(|_| Failure::Refused)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// The same with room for a few KB of what comes.
    pub async fn narrow(address: SocketAddr) -> Result<Self, Failure> {
        let socket = TcpSocket::new_v4().map_err(|_| Failure::Refused)?;
        socket.set_recv_buffer_size(4 << 10).map_err(|_| Failure::Refused)?;
        let stream = timeout(PATIENCE, socket.connect(address)).await.map_err(|_| Failure::Late)?;
        Ok(Self { stream: stream.map_err(|_| Failure::Refused)?, buffer: Vec::new() })
    }

    /// Sends a request without content. `fields` are whole lines.
    pub async fn send(&mut self, method: &str, target: &str, fields: &str) -> Result<(), Failure> {
        self.write(format!("{method} {target} HTTP/1.1\r\nHost: {HOST}\r\n{fields}\r\n").as_bytes()).await
    }

    /// Sends bytes as they are.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        timeout(PATIENCE, self.stream.write_all(bytes)).await.map_err(|_| Failure::Late)?.map_err(|_| Failure::Lost)
    }

    pub async fn get(&mut self, target: &str) -> Result<Reply, Failure> {
        self.ask("GET", target, "").await
    }

    /// Sends a request without content and reads its answer.
    pub async fn ask(&mut self, method: &str, target: &str, fields: &str) -> Result<Reply, Failure> {
        self.send(method, target, fields).await?;
        self.reply(method == "HEAD").await
    }

    /// Reads an answer. Interim ones are skipped.
    pub async fn reply(&mut self, to_head: bool) -> Result<Reply, Failure> {
        loop {
            let head = self.head().await?;
            let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or(Failure::Garbled)?;
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let length = field(&head, "content-length").and_then(|length| length.parse::<usize>().ok());
            let content = match length {
                _ if to_head || status == 204 || status == 304 => Vec::new(),
                Some(length) => self.exactly(length).await?,
                None if field(&head, "transfer-encoding").is_some() => self.chunks().await?,
                // What ends with the connection cannot be told from what was cut: nothing here sends it.
                None => return Err(Failure::Garbled),
            };
            return Ok(Reply { status, head, content });
        }
    }

    /// Reads until the end of a head.
    pub async fn head(&mut self) -> Result<String, Failure> {
        let mut searched = 0;
        loop {
            if let Some(at) = find(&self.buffer[searched..], b"\r\n\r\n") {
                let head: Vec<u8> = self.buffer.drain(..searched + at + 4).collect();
                return String::from_utf8(head).map_err(|_| Failure::Garbled);
            }
            searched = self.buffer.len().saturating_sub(3);
            self.more(Failure::Lost).await?;
        }
    }

    /// How much of what comes next has been read already.
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    /// Reads something, and drops it.
    pub async fn sip(&mut self, bytes: usize) -> Result<usize, Failure> {
        let mut sip = vec![0; bytes];
        match self.stream.read(&mut sip).await {
            Ok(0) | Err(_) => Err(Failure::Cut),
            Ok(read) => Ok(read),
        }
    }

    async fn more(&mut self, at_end: Failure) -> Result<(), Failure> {
        self.buffer.reserve(READ);
        match timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await {
            Err(_) => Err(Failure::Late),
            Ok(Ok(0) | Err(_)) => Err(at_end),
            Ok(Ok(_)) => Ok(()),
        }
    }

    async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Failure> {
        while self.buffer.len() < length {
            self.more(Failure::Cut).await?;
        }
        Ok(self.buffer.drain(..length).collect())
    }

    async fn chunks(&mut self) -> Result<Vec<u8>, Failure> {
        let mut content = Vec::new();
        loop {
            let end = loop {
                match find(&self.buffer, b"\r\n") {
                    Some(at) => break at,
                    None => self.more(Failure::Cut).await?,
                }
            };
            let line: Vec<u8> = self.buffer.drain(..end + 2).collect();
            let size = std::str::from_utf8(&line).ok().and_then(|line| usize::from_str_radix(line.trim(), 16).ok());
            let size = size.ok_or(Failure::Garbled)?;
            let chunk = self.exactly(size + 2).await?;
            content.extend_from_slice(&chunk[..size]);
            if size == 0 {
                return Ok(content);
            }
        }
    }
}

fn find(within: &[u8], what: &[u8]) -> Option<usize> {
    within.windows(what.len()).position(|window| window == what)
}

/// A connection that is opened again when it was lost.
pub struct Kept {
    address: SocketAddr,
    client: Option<Client>,
}

impl Kept {
    pub const fn to(address: SocketAddr) -> Self {
        Self { address, client: None }
    }

    /// Goes elsewhere from now on.
    pub fn turn_to(&mut self, address: SocketAddr) {
        if self.address != address {
            (self.address, self.client) = (address, None);
        }
    }

    /// One request and its answer. After a failure, and where the answer says so, the connection is not used again.
    pub async fn ask(&mut self, method: &str, target: &str, fields: &str) -> Result<Reply, Failure> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => Client::connect(self.address).await?,
        };
        let reply = client.ask(method, target, fields).await?;
        if !reply.field("connection").eq_ignore_ascii_case("close") {
            self.client = Some(client);
        }
        Ok(reply)
    }

    pub async fn get(&mut self, target: &str) -> Result<Reply, Failure> {
        self.ask("GET", target, "").await
    }

    /// Ends the connection, if there is one.
    pub fn hang_up(&mut self) {
        self.client = None;
    }
}
