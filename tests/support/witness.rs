//! An origin that writes down every request as it came, byte for byte, and answers each.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The head, with its empty line.
    pub head: String,
    /// The content, without chunk sizes.
    pub content: Vec<u8>,
    /// Whether the request came to its end, and nothing in it could be read in two ways.
    pub whole: bool,
}

impl Heard {
    /// The values of a field, in the order of its lines.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let lines = self.head.split("\r\n").skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(is, _)| is.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// The request line.
    pub fn line(&self) -> &str {
        self.head.split("\r\n").next().unwrap_or_default()
    }
}

/// The origin. Its answers have an entity tag, which it knows again.
pub struct Witness {
    pub address: SocketAddr,
    heard: Arc<Mutex<Vec<Heard>>>,
}

impl Witness {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let heard = Arc::new(Mutex::default());
        let notes = Arc::clone(&heard);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                tokio::spawn(listen(stream, Arc::clone(&notes)));
            }
        });
        Self { address, heard }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it heard since it was last asked.
    pub fn heard(&self) -> Vec<Heard> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

async fn listen(mut stream: TcpStream, notes: Arc<Mutex<Vec<Heard>>>) {
    let mut buffer = Vec::new();
    while let Some(head) = take(&mut stream, &mut buffer, b"\r\n\r\n").await {
        let mut heard = Heard { head: String::from_utf8_lossy(&head).into_owned(), content: Vec::new(), whole: true };
        heard.whole = read_content(&mut stream, &mut buffer, &mut heard).await.is_some();
        let (whole, head_only) = (heard.whole, heard.line().starts_with("HEAD "));
        let known = heard.values("if-none-match").contains(&"\"1\"");
        notes.lock().unwrap().push(heard);
        if !whole {
            return;
        }
        let answer = match (known, head_only) {
            (true, _) => "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n",
            (false, true) => "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 2\r\n\r\n",
            (false, false) => "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 2\r\n\r\nok",
        };
        // Who broke off has no ear for it.
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await;
    }
    if !buffer.is_empty() {
        let head = String::from_utf8_lossy(&buffer).into_owned();
        notes.lock().unwrap().push(Heard { head, content: Vec::new(), whole: false });
    }
}

/// Reads what the head says that follows, as the strictest of recipients would.
async fn read_content(stream: &mut TcpStream, buffer: &mut Vec<u8>, heard: &mut Heard) -> Option<()> {
    let (lengths, codings) = (heard.values("content-length"), heard.values("transfer-encoding"));
    match (&*lengths, &*codings) {
        ([], []) => {}
        ([length], []) => {
            let length: usize = length.parse().ok().filter(|number: &usize| number.to_string() == *length)?;
            heard.content = exactly(stream, buffer, length).await?;
        }
        ([], ["chunked"]) => loop {
            let line = take(stream, buffer, b"\r\n").await?;
            let size = std::str::from_utf8(&line[..line.len() - 2]).ok()?;
            let size =
                usize::from_str_radix(size, 16).ok().filter(|number| format!("{number:x}") == size.to_lowercase())?;
            if size == 0 {
                while take(stream, buffer, b"\r\n").await? != b"\r\n" {}
                break;
            }
            let chunk = exactly(stream, buffer, size + 2).await?;
            heard.content.extend_from_slice(chunk.strip_suffix(b"\r\n")?);
        },
        _ => return None,
    }
    Some(())
}

async fn take(stream: &mut TcpStream, buffer: &mut Vec<u8>, end: &[u8]) -> Option<Vec<u8>> {
    loop {
        if let Some(at) = buffer.windows(end.len()).position(|window| window == end) {
            return Some(buffer.drain(..at + end.len()).collect());
        }
        stream.read_buf(buffer).await.ok().filter(|read| *read > 0)?;
    }
}

async fn exactly(stream: &mut TcpStream, buffer: &mut Vec<u8>, count: usize) -> Option<Vec<u8>> {
    while buffer.len() < count {
        stream.read_buf(buffer).await.ok().filter(|read| *read > 0)?;
    }
    Some(buffer.drain(..count).collect())
}
