//! HTTP/2 frame by frame, as no client library would send it: a client that writes what it likes and reads what comes.

use tokio::net::TcpStream;

use super::raw::Raw;

/// What a client begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const ACK: u8 = 1;
pub const END_HEADERS: u8 = 4;

pub const ENHANCE_YOUR_CALM: u32 = 11;

/// A frame as bytes (RFC 9113 §4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// A field line, literal and without indexing (RFC 7541 §6.2.2).
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    for text in [name, value] {
        integer(text.len(), &mut bytes);
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
fn integer(mut value: usize, bytes: &mut Vec<u8>) {
    if value < 127 {
        return bytes.push(u8::try_from(value).unwrap());
    }
    bytes.push(127);
    value -= 127;
    while value >= 128 {
        bytes.push(u8::try_from(value % 128 + 128).unwrap());
        value /= 128;
    }
    bytes.push(u8::try_from(value).unwrap());
}

/// A request's field section.
pub fn section(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "http"), (":authority", "api.test"), (":path", path)];
    pseudo.iter().chain(fields).flat_map(|(name, value)| field(name, value)).collect()
}

/// A request without content.
pub fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, stream, &section("GET", path, &[]))
}

/// A request whose content follows, or never does.
pub fn post(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &section("POST", path, &[]))
}

/// The error code of a stream's or a connection's end.
pub fn rst(stream: u32, code: u32) -> Vec<u8> {
    frame(RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// Room for so many bytes more; stream 0 is the connection.
pub fn window(stream: u32, bytes: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

/// What came.
#[derive(Debug)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    /// The error code of a RST_STREAM or GOAWAY.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// A client's connection.
pub struct Frames(pub Raw<TcpStream>);

impl Frames {
    /// Begins, with the window that each of its streams has at first.
    pub async fn begin(mut connection: Raw<TcpStream>, stream_window: u32) -> Self {
        connection.write(PREFACE).await;
        let initial_window_size = [&4_u16.to_be_bytes()[..], &stream_window.to_be_bytes()].concat();
        connection.write(frame(SETTINGS, 0, 0, &initial_window_size)).await;
        connection.write(window(0, i32::MAX as u32 - 65_535)).await;
        Self(connection)
    }

    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write(bytes).await;
    }

    /// Writes as long as the other side reads; says whether it read everything.
    pub async fn flood(&mut self, bytes: &[u8]) -> bool {
        use tokio::io::AsyncWriteExt;
        super::raw::soon(self.0.stream.write_all(bytes)).await.is_ok()
    }

    /// Whether the other side has said that it gives the connection up, as far as it was heard. Nothing is waited for.
    pub async fn has_goaway(&mut self) -> bool {
        self.0.hear().await;
        let mut rest = self.0.heard();
        while let [a, b, c, kind, ..] = *rest {
            if kind == GOAWAY {
                return true;
            }
            let length = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
            rest = rest.get(9 + length..).unwrap_or_default();
        }
        false
    }

    /// Reads the next frame. Settings are acknowledged.
    pub async fn read(&mut self) -> Frame {
        let head = self.0.exactly(9).await;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        let payload = self.0.exactly(length).await;
        let frame_read = Frame { kind: head[3], flags: head[4], stream, payload };
        if frame_read.kind == SETTINGS && frame_read.flags & ACK == 0 {
            // Whoever has said GOAWAY does not read it any more.
            let _ = self.flood(&frame(SETTINGS, ACK, 0, &[])).await;
        }
        frame_read
    }

    /// Reads until a frame of this kind on this stream.
    pub async fn until(&mut self, kind: u8, stream: u32) -> Frame {
        loop {
            let read = self.read().await;
            if (read.kind, read.stream) == (kind, stream) {
                return read;
            }
            assert_ne!(read.kind, GOAWAY, "{read:?}");
        }
    }

    /// The status of a response.
    pub async fn status(&mut self, stream: u32) -> u16 {
        status_in(&self.until(HEADERS, stream).await.payload)
    }
}

/// The status in a response's field section. Ours begin with it: indexed (RFC 7541, appendix A) or as a literal of three
/// digits.
pub fn status_in(section: &[u8]) -> u16 {
    match section[0] {
        0x88 => 200,
        0x89 => 204,
        0x8c => 400,
        0x8d => 404,
        0x8e => 500,
        // Literal with an indexed name, its value plain or in Huffman's code.
        0x48 | 0x08 if section[1] == 3 => std::str::from_utf8(&section[2..5]).unwrap().parse().unwrap(),
        0x48 | 0x08 => huffman_digits(&section[2..2 + usize::from(section[1] & 0x7f)]),
        other => panic!("a field section that begins with {other:#x}"),
    }
}

/// Three digits in Huffman's code (RFC 7541, appendix B): 0 to 2 have five bits, the others six.
fn huffman_digits(bytes: &[u8]) -> u16 {
    let mut bits = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| u16::from(byte >> bit & 1)));
    let mut digit = || {
        let five = (0..5).fold(0, |code, _| code << 1 | bits.next().unwrap());
        if five < 3 { five } else { (five << 1 | bits.next().unwrap()) - 0x19 + 3 }
    };
    let (hundreds, tens, ones) = (digit(), digit(), digit());
    hundreds * 100 + tens * 10 + ones
}
