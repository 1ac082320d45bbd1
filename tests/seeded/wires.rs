//! Faults that take real sockets to be seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{StatusCode, header};
use hyper::body::Incoming;
use sha2::{Digest, Sha256};
use tokio::net::TcpStream;
use tokio::time::Instant;
use truehit::faults::Fault;

use super::*;

/// How long a connection must have been silent after an answer without a body (`src/origin/trust.rs`).
const QUARANTINE: Duration = Duration::from_millis(250);

const NOT_MODIFIED: &str = "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n";

/// Answers the requests on one connection: the whole to the first GET, 304 to a condition; and where a request follows
/// a 304 sooner than it may, bytes that look like an answer and belong to none come first.
async fn serve_with_late_bytes(mut connection: Raw<TcpStream>) {
    let mut confirmed: Option<Instant> = None;
    loop {
        let head = connection.head().await;
        if confirmed.is_some_and(|at| at.elapsed() < QUARANTINE) {
            connection.write("HTTP/1.1 200 OK\r\nETag: \"2\"\r\nContent-Length: 5\r\n\r\nstray").await;
            return;
        }
        if head.to_ascii_lowercase().contains("if-none-match") {
            confirmed = Some(Instant::now());
            connection.write(NOT_MODIFIED).await;
        } else {
            connection.write("HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: 4\r\n\r\ntrue").await;
        }
    }
}

#[tokio::test]
async fn a_connection_that_is_used_again_before_it_proved_quiet_is_found_out() {
    holds_unless(Fault::ReuseSuspect, async || {
        let server = RawOrigin::start().await;
        let sidecar = Sidecar::start(&format!("http://{}", server.address), "").await;
        let serving = tokio::spawn(async move {
            loop {
                tokio::spawn(serve_with_late_bytes(server.accept().await));
            }
        });
        let mut client = sidecar.client().await;
        let mut found = Vec::new();
        // Not so often that the origin could have proved itself sound: four quarantines would do that.
        for number in 0..4 {
            let answer = client.get("/").await;
            if answer.text() != "true" {
                found.push(format!("answer {number} is {}", answer.text()));
            }
        }
        serving.abort();
        found
    })
    .await;
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn a_digest_endpoint_whose_redirect_is_followed_is_found_out() {
    holds_unless(Fault::FollowRedirects, async || {
        let version = Arc::new(AtomicUsize::new(0));
        let current = Arc::clone(&version);
        let origin = Origin::start(move |_: Request<Incoming>| {
            std::future::ready(Response::new(full(format!("version {}", current.load(Ordering::SeqCst)))))
        });
        // The digest is no longer kept here, and where it is said to be now it is that of another time.
        let digests = Origin::start(|request: Request<Incoming>| {
            let mut response = Response::new(full(sha256("version 0")));
            if request.uri().path() != "/moved" {
                *response.status_mut() = StatusCode::FOUND;
                response.headers_mut().insert(header::LOCATION, header::HeaderValue::from_static("/moved"));
            }
            std::future::ready(response)
        });
        let (origin, digests) = tokio::join!(origin, digests);
        let more = format!(
            "defaults.check = \"digest-endpoint\"\ndefaults.digest_endpoint = \"{}/digest{{path}}\"",
            digests.url()
        );
        let sidecar = Sidecar::start(&origin.url(), &more).await;
        let mut client = sidecar.client().await;
        assert_eq!(client.get("/").await.text(), "version 0");
        version.store(1, Ordering::SeqCst);
        let answer = client.get("/").await;
        let stale = answer.text() != "version 1";
        stale.then(|| format!("{}: {}", answer.text(), answer.field("cache-status"))).into_iter().collect()
    })
    .await;
}
