//! Section D: origins that send what they should not, too late, too little, or nothing at all.
//!
//! Where a row is about what is sent, it holds for each purpose: a fetch, a check of what is stored, and what passes.

use std::time::Duration;

use super::*;
use raw::{pass, quarantine};

mod bodies;
mod heads;
mod late;
mod reach;

pub const ROWS: &[Row] = &[
    held(
        1,
        "An answer to HEAD with a body, in one packet",
        "The head is the answer. The body is nobody's: its connection is closed, and with it all that are idle.",
    ),
    held(
        2,
        "Bytes after the end of an answer, late",
        "They are not the answer to another request: after an answer to HEAD, one of 204 or 304, and one with a body, a \
         connection is not used for 250 ms until four in a row stayed silent after answers of that kind, which is believed \
         for ten minutes or to the first stray byte.",
    ),
    held(
        3,
        "HEAD is answered with 405, 501 or 404, without validators, or with others than GET",
        "A full GET is compared with the stored bytes, and the reason is counted.",
    ),
    held(4, "A 204 or 304 with a body", "The body is nobody's; its connection is closed, its stream reset."),
    held(
        5,
        "A body shorter than its `Content-Length`, ended by FIN or RST at any byte",
        "502, or a response that breaks off on HTTP/1.1 and HTTP/2; never stored.",
    ),
    held(
        6,
        "Chunked content without its last chunk, cut at any byte, or with chunks that are none",
        "502, or a response that breaks off on HTTP/1.1 and HTTP/2; never stored.",
    ),
    held(
        7,
        "A body that ends with the connection",
        "Passed on and not stored, as nothing tells it from a part; stored where its digest says that it is whole, broken \
         off where its digest says that it is not.",
    ),
    held(8, "Two lengths, `+4`, obs-fold, a space before the colon", "502, the connection closed, nothing stored."),
    held(
        9,
        "`Content-Length` with `Transfer-Encoding`; other codings than `chunked`",
        "502, the connection closed, nothing stored. An unknown coding alone makes a body that ends with the connection.",
    ),
    held(
        10,
        "Lines that end with LF alone",
        "Read as RFC 9112 section 2.2 allows and sent on with CRLF; 502 where they make the framing ambiguous.",
    ),
    held(
        11,
        "Fifty interim responses; interim responses without end",
        "Sixteen are passed on and the final response follows; after 1 MiB without one, 502 and the connection closed.",
    ),
    held(12, "A 101 that nobody asked for", "502, the connection closed."),
    held(13, "Status 099, status 999", "502; passed on and not stored."),
    held(
        14,
        "A head of 500 KB; a head of 101 fields",
        "502, the connection closed: 32 KiB and 100 fields are what is read.",
    ),
    held(15, "A gzip bomb", "Nothing is ever decompressed: the bytes pass, and are stored, as they came."),
    held(
        16,
        "206 or 416 to a GET of the whole; a `Content-Range` that is not that of the body",
        "Not stored as the whole.",
    ),
    held(
        17,
        "`Repr-Digest` or `Content-Digest` that is not that of the body",
        "Passed on with the field, by which its client can judge; never stored, and counted.",
    ),
    held(
        18,
        "An idle connection that is closed as it is used again",
        "GET and HEAD are sent once more, on a fresh connection; nothing else is sent twice.",
    ),
    held(
        19,
        "Nobody listens, nobody accepts, no head, silence within a body, content that nobody reads",
        "502 where the origin says no and 504 where it says nothing, each by its deadline; stale where that is configured.",
    ),
    held(
        20,
        "An origin that fails every other request",
        "The breaker opens: 503 with `Retry-After` and `Proxy-Status`, or stale by name where that is configured; one \
         request at a time tries.",
    ),
];

/// For tests in which an origin fails more often than a breaker would stand.
const NO_BREAKER: &str = "origin.breaker.failures = 0";

/// A stored answer, on a connection that is not used again.
const STORED: &str = "HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 6\r\nConnection: close\r\n\r\nstored";

/// Why a request goes to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    Fetch,
    Check,
    Pass,
}

const PURPOSES: [Purpose; 3] = [Purpose::Fetch, Purpose::Check, Purpose::Pass];

/// What the origin does once it has said what it says.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// It closes the connection.
    Closes,
    /// It resets the connection.
    Resets,
    /// It waits until the other side has closed.
    Waits,
}

/// A sidecar in front of an origin that is answered by hand.
struct Scene {
    origin: RawOrigin,
    sidecar: Sidecar,
}

impl Scene {
    async fn new(more: &str) -> Self {
        let origin = RawOrigin::start().await;
        let sidecar = Sidecar::start(&format!("http://{}", origin.address), more).await;
        Self { origin, sidecar }
    }

    /// Answers the next request on a connection of its own; gives what was asked.
    async fn answers(&self, bytes: impl AsRef<[u8]>, then: Then) -> String {
        use tokio::io::AsyncWriteExt;
        let mut connection = self.origin.accept().await;
        let head = connection.head().await;
        // The other side may have closed in the middle of it.
        let _ = connection.stream.write_all(bytes.as_ref()).await;
        match then {
            Then::Closes => {}
            Then::Resets => connection.stream.set_zero_linger().unwrap(),
            Then::Waits => drop(connection.closed().await),
        }
        head
    }

    /// What a client gets for a request that the origin answers like this.
    async fn plays(&self, client: &mut Client, request: Request<Content>, bytes: &[u8], then: Then) -> Option<Answer> {
        tokio::join!(self.answers(bytes, then), outcome(client, request)).1
    }

    /// The same for each purpose, on a target of its own; what is stored before a check is `STORED`.
    async fn plays_for(&self, purpose: Purpose, target: &str, bytes: &[u8], then: Then) -> Option<Answer> {
        let mut client = self.sidecar.client().await;
        if purpose == Purpose::Check {
            let stored = self.plays(&mut client, get(target), STORED.as_bytes(), Then::Closes).await;
            assert_eq!(stored.unwrap().text(), "stored");
        }
        let method = if purpose == Purpose::Pass { "POST" } else { "GET" };
        self.plays(&mut client, ask(method, target).body(empty()).unwrap(), bytes, then).await
    }

    /// The answer that comes next, if it is asked for again: what is asked then says what is stored.
    async fn asks_again(&self, target: &str) -> String {
        let again = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        let (asked, answer) = tokio::join!(self.answers(again, Then::Closes), self.sidecar.get(target));
        assert_eq!(answer.status, 404);
        asked
    }

    /// Nothing is stored for the target.
    async fn has_stored_nothing(&self, target: &str) {
        let asked = self.asks_again(target).await;
        assert!(!asked.contains("if-none-match"), "{asked}");
    }
}

fn get(target: &str) -> Request<Content> {
    ask("GET", target).body(empty()).unwrap()
}

/// A whole answer, or `None` for one that broke off, before its head or after it.
async fn outcome(client: &mut Client, request: Request<Content>) -> Option<Answer> {
    Answer::of(client.try_send(request).await.ok()?).await.ok()
}

/// Every row of `heads` is refused for every purpose: 502, its connection closed, and nothing stored.
async fn are_refused(heads: &[(&str, Vec<u8>)]) {
    let scene = Scene::new(NO_BREAKER).await;
    for (number, (sentence, head)) in heads.iter().enumerate() {
        for purpose in PURPOSES {
            let target = format!("/{number}/{purpose:?}");
            let answer = scene.plays_for(purpose, &target, head, Then::Waits).await.expect(sentence);
            assert_eq!(answer.status, 502, "{sentence}, {purpose:?}");
            assert_eq!(answer.field("proxy-status"), "truehit; error=http_protocol_error", "{sentence}, {purpose:?}");
            if purpose != Purpose::Check {
                scene.has_stored_nothing(&target).await;
            }
        }
    }
}
