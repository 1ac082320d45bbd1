//! A sidecar before an origin that writes down what it hears, and what became of bytes that a client sent.

use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;

use super::*;

/// What became of bytes that a client sent on one connection, before a request that asks to close it.
pub struct Fate {
    /// The statuses that it was answered.
    pub statuses: Vec<u16>,
    /// Whether what came last was answered too: the connection was of use to the end.
    pub lasted: bool,
    /// What the origin heard, but for the last request.
    pub heard: Vec<Heard>,
}

const LAST: &str = "GET /last HTTP/1.1\r\nHost: api.test\r\nConnection: close\r\n\r\n";

/// A sidecar before a witness.
pub struct Stage {
    pub witness: Witness,
    pub sidecar: Sidecar,
}

impl Stage {
    pub async fn new() -> Self {
        let witness = Witness::start().await;
        let sidecar = Sidecar::start(&witness.url(), "").await;
        Self { witness, sidecar }
    }

    pub async fn fate(&self, bytes: impl AsRef<[u8]>) -> Fate {
        let mut client = self.sidecar.raw().await;
        // It may be refused before all of it is read, and reset.
        let _ = client.stream.write_all(&[bytes.as_ref(), LAST.as_bytes()].concat()).await;
        let answers = String::from_utf8_lossy(&client.closed().await).into_owned();
        let heads = answers.match_indices("HTTP/1.").map(|(at, _)| &answers[at + 9..at + 12]);
        let mut statuses: Vec<u16> = heads.map(|status| status.parse().unwrap()).collect();
        let mut heard = self.witness.heard();
        let before = heard.len();
        heard.retain(|heard| !heard.line().starts_with("GET /last "));
        let lasted = before > heard.len();
        if lasted {
            assert_eq!(statuses.pop(), Some(200));
        }
        Fate { statuses, lasted, heard }
    }

    /// The status of a request on an HTTP/2 connection of its own, or of the stream or connection that it cost.
    pub async fn h2(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Result<u16, hyper::Error> {
        let io = TokioIo::new(self.sidecar.stream().await);
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(format!("http://{}{target}", peers::HOST));
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        Ok(soon(sender.send_request(request.body(empty()).unwrap())).await?.status().as_u16())
    }

    /// Refused before anything is made of it.
    pub async fn refuses(&self, row: &str, bytes: impl AsRef<[u8]>, status: u16) {
        let fate = self.fate(bytes).await;
        assert_eq!(fate.statuses, [status], "{row}");
        assert!(!fate.lasted, "{row}: nothing that follows is believed");
        assert!(fate.heard.is_empty(), "{row}: {:?}", fate.heard);
    }

    /// Goes on as exactly one request with this content.
    pub async fn passes(&self, row: &str, bytes: impl AsRef<[u8]>, content: &str) -> Fate {
        let fate = self.fate(bytes).await;
        assert_eq!((&*fate.statuses, fate.heard.len()), (&[200][..], 1), "{row}: {:?}", fate.heard);
        let heard = &fate.heard[0];
        assert!(heard.whole, "{row}: {heard:?}");
        assert_eq!(String::from_utf8_lossy(&heard.content), content, "{row}");
        fate
    }

    /// Breaks off: here, and at the origin if it got there.
    pub async fn breaks_off(&self, row: &str, bytes: impl AsRef<[u8]>) {
        let fate = self.fate(bytes).await;
        assert!(
            fate.statuses.iter().all(|status| *status == 400) && fate.statuses.len() <= 1,
            "{row}: {:?}",
            fate.statuses
        );
        assert!(!fate.lasted, "{row}");
        // What the origin hears late is asked for once more.
        let heard = if fate.heard.is_empty() { self.witness.heard() } else { fate.heard };
        assert!(heard.iter().all(|heard| !heard.whole), "{row}: {heard:?}");
    }
}
