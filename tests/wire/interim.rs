//! Interim responses: to the client that asked, ahead of its answer, and never into the store (RFC 9110 §15.2, RFC 8297).

use tokio::io::{AsyncRead, AsyncWrite};

use super::secrets::Authority;
use super::sidecar::Scratch;
use super::*;

const PROCESSING: &str = "HTTP/1.1 102 Processing\r\n\r\n";
const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nLink: </b.js>; rel=preload\r\n\r\n";

/// A 200 with this body, which can be asked about.
fn tagged(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nETag: \"1\"\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

async fn start(more: &str) -> (RawOrigin, Sidecar) {
    let origin = RawOrigin::start().await;
    let sidecar = Sidecar::start(&format!("http://{}", origin.address), more).await;
    (origin, sidecar)
}

/// Reads a 102 and the hints.
async fn both<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Raw<S>) {
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 102 Processing\r\nvia: 1.1 truehit-"), "{head}");
    let head = client.head().await;
    let links = "HTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\nlink: </b.js>; rel=preload\r\nvia: 1.1 ";
    assert!(head.starts_with(links), "{head}");
}

/// Reads a 200 with this body.
async fn answered<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Raw<S>, body: &str) {
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && !head.contains("link"), "{head}");
    assert_eq!(client.exactly(body.len()).await, body.as_bytes());
}

#[tokio::test]
async fn they_arrive_before_the_origin_has_its_answer_and_are_not_stored_with_it() {
    let (origin, sidecar) = start("").await;
    let mut client = sidecar.raw().await;
    client.write(get("/")).await;
    let mut fetched = origin.accept().await;
    fetched.answer(PROCESSING).await;
    assert!(client.head().await.starts_with("HTTP/1.1 102 "));
    fetched.write(HINTS).await;
    assert!(client.head().await.starts_with("HTTP/1.1 103 "));
    fetched.write(tagged("content")).await;
    answered(&mut client, "content").await;

    client.write(get("/")).await;
    let checked = origin.accept().await.answer("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n").await;
    assert!(checked.contains("if-none-match: \"1\"\r\n"), "{checked}");
    answered(&mut client, "content").await;
}

#[tokio::test]
async fn those_that_come_along_with_the_answer_go_out_ahead_of_it() {
    let (origin, sidecar) = start("").await;
    for (target, length) in [("/small", 0), ("/large", 5000)] {
        let mut client = sidecar.raw().await;
        client.write(get(target)).await;
        let last = format!("HTTP/1.1 103 Early Hints\r\nX-Last: {}\r\n\r\n", "x".repeat(length));
        origin.accept().await.answer([PROCESSING, HINTS, &last, &tagged("content")].concat()).await;
        both(&mut client).await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 103 Early Hints\r\nx-last: ") && head.len() > length, "{head}");
        answered(&mut client, "content").await;
    }
}

#[tokio::test]
async fn a_check_has_them_too() {
    let (origin, sidecar) = start("").await;
    let mut client = sidecar.raw().await;
    client.write(get("/")).await;
    origin.accept().await.answer(tagged("content")).await;
    answered(&mut client, "content").await;
    client.write(get("/")).await;
    let same = "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n";
    origin.accept().await.answer([PROCESSING, HINTS, same].concat()).await;
    both(&mut client).await;
    answered(&mut client, "content").await;
}

/// They announce the answer to another question than the client's.
#[tokio::test]
async fn a_digest_endpoint_has_none_for_the_client() {
    let (origin, sidecar) = start("defaults.digest_endpoint = \"/digest{path}\"").await;
    let mut client = sidecar.raw().await;
    client.write(get("/")).await;
    origin.accept().await.answer([PROCESSING, HINTS, &ok("content")].concat()).await;
    both(&mut client).await;
    answered(&mut client, "content").await;
    client.write(get("/")).await;
    let digest = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73";
    let asked = origin.accept().await.answer([PROCESSING, HINTS, &ok(digest)].concat()).await;
    assert!(asked.starts_with("GET /digest/ "), "{asked}");
    answered(&mut client, "content").await;
}

#[tokio::test]
async fn each_of_several_requests_sent_at_once_gets_its_own() {
    let (origin, sidecar) = start("").await;
    let mut client = sidecar.raw().await;
    let targets = ["/0", "/1", "/2", "/3"];
    client.write(targets.map(get).concat()).await;
    for target in targets {
        let hints = format!("HTTP/1.1 103 Early Hints\r\nX-Of: {target}\r\n\r\n");
        let asked = origin.accept().await.answer([PROCESSING, &hints, &tagged(target)].concat()).await;
        assert!(asked.starts_with(&format!("GET {target} ")), "{asked}");
    }
    for target in targets {
        assert!(client.head().await.starts_with("HTTP/1.1 102 "));
        let head = client.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 103 Early Hints\r\nx-of: {target}\r\n")), "{head}");
        answered(&mut client, target).await;
    }
}

/// RFC 9110 §15.2: "a server MUST NOT send a 1xx response to an HTTP/1.0 client". And hyper has no way to send one over
/// HTTP/2.
#[tokio::test]
async fn clients_of_other_versions_see_the_answer_alone() {
    let (origin, sidecar) = start("defaults.verify = \"off\"").await;
    let mut client = sidecar.raw().await;
    client.write("GET /old HTTP/1.0\r\nHost: a\r\n\r\n").await;
    let answer = [PROCESSING, HINTS, &tagged("content")].concat();
    origin.accept().await.answer(&answer).await;
    let all = String::from_utf8(client.closed().await).unwrap();
    assert!(all.starts_with("HTTP/1.0 200 OK\r\n") && all.ends_with("\r\n\r\ncontent"), "{all}");

    let mut client = sidecar.h2_client().await;
    let script = async { origin.accept().await.answer(&answer).await };
    let (_, answer) = tokio::join!(script, client.get("/new"));
    assert_eq!((answer.status.as_u16(), answer.text()), (200, "content"));
}

/// They belong to the request whose fields went out, and it alone.
#[tokio::test]
async fn who_waits_for_the_same_answer_gets_the_answer_alone() {
    let (origin, sidecar) = start("defaults.verify = \"1m\"").await;
    let mut leader = sidecar.raw().await;
    leader.write(get("/")).await;
    let mut connection = origin.accept().await;
    connection.head().await;
    let mut follower = sidecar.raw().await;
    follower.write(get("/")).await;
    sidecar.until_metric("truehit_waiting_requests", 2.0).await;
    connection.write([PROCESSING, HINTS].concat()).await;
    both(&mut leader).await;
    connection.write(tagged("content")).await;
    answered(&mut leader, "content").await;
    answered(&mut follower, "content").await;
}

#[tokio::test]
async fn what_passes_has_them_too() {
    let (origin, sidecar) = start("").await;
    let mut client = sidecar.raw().await;
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\ncontent").await;
    let mut connection = origin.accept().await;
    connection.answer([PROCESSING, HINTS].concat()).await;
    both(&mut client).await;
    assert_eq!(connection.exactly(7).await, b"content");
    connection.write(ok("done")).await;
    answered(&mut client, "done").await;
}

/// RFC 9110 §10.1.1: the 100 to an expectation is this connection's own; the origin's goes no further.
#[tokio::test]
async fn an_expectation_is_met_once_and_between_the_others() {
    let (origin, sidecar) = start("").await;
    let mut client = sidecar.raw().await;
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\nExpect: 100-continue\r\n\r\n").await;
    let mut connection = origin.accept().await;
    assert_eq!(client.head().await, "HTTP/1.1 100 Continue\r\n\r\n");
    connection.answer(["HTTP/1.1 100 Continue\r\n\r\n", PROCESSING, HINTS].concat()).await;
    both(&mut client).await;
    client.write("content").await;
    assert_eq!(connection.exactly(7).await, b"content");
    connection.write(ok("done")).await;
    answered(&mut client, "done").await;
}

#[tokio::test]
async fn a_flood_is_cut_off_and_the_answer_arrives() {
    let (origin, sidecar) = start("").await;
    let long = format!("HTTP/1.1 103 Early Hints\r\nX-Long: {}\r\n\r\n", "x".repeat(6000));
    for (target, one, count, expected) in [("/many", PROCESSING, 10_000, 16), ("/long", &*long, 100, 2)] {
        let mut client = sidecar.raw().await;
        client.write(get(target)).await;
        origin.accept().await.answer(one.repeat(count) + &tagged("content")).await;
        for _ in 0..expected {
            assert!(client.head().await.starts_with("HTTP/1.1 10"), "{target}");
        }
        answered(&mut client, "content").await;
    }
    let dropped = f64::from(10_000 - 16 + 100 - 2);
    assert_eq!(sidecar.metric("truehit_origin_interim_dropped_total").await, dropped);
}

#[tokio::test]
async fn they_cross_tls() {
    let (authority, scratch) = (Authority::new(), Scratch::new());
    let (certificate, key) = authority.issue("truehit.test").write(&scratch, "listen");
    let more = format!("listen.tls.certificate = {certificate}\nlisten.tls.private_key = {key}");
    let (origin, sidecar) = start(&more).await;
    let stream = authority.connect(sidecar.stream().await, "truehit.test", b"http/1.1").await.unwrap();
    let mut client = Raw::new(stream);
    client.write(get("/0") + &get("/1")).await;
    let mut connection = origin.accept().await;
    connection.answer([PROCESSING, HINTS].concat()).await;
    both(&mut client).await;
    connection.write(tagged("zero")).await;
    answered(&mut client, "zero").await;
    origin.accept().await.answer([PROCESSING, HINTS, &tagged("one")].concat()).await;
    both(&mut client).await;
    answered(&mut client, "one").await;
}

#[tokio::test]
async fn an_upgrade_follows_them_and_the_tunnel_carries_what_it_is_given() {
    let (origin, sidecar) = start("").await;
    let mut client = sidecar.raw().await;
    client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n").await;
    let mut connection = origin.accept().await;
    let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nfirst";
    connection.answer([PROCESSING, HINTS, switch].concat()).await;
    both(&mut client).await;
    assert!(client.head().await.starts_with("HTTP/1.1 101 "));
    assert_eq!(client.exactly(5).await, b"first");
    client.write(PROCESSING).await;
    assert_eq!(connection.exactly(PROCESSING.len()).await, PROCESSING.as_bytes());
    connection.write(HINTS).await;
    assert_eq!(client.exactly(HINTS.len()).await, HINTS.as_bytes(), "byte for byte");
}

#[tokio::test]
async fn a_request_that_is_sent_again_still_has_them() {
    let (origin, sidecar) = start("defaults.verify = \"off\"").await;
    let mut client = sidecar.raw().await;
    client.write(get("/0")).await;
    let mut connection = origin.accept().await;
    connection.answer(ok("zero")).await;
    answered(&mut client, "zero").await;
    quarantine().await;
    client.write(get("/1")).await;
    connection.head().await;
    drop(connection);
    origin.accept().await.answer([PROCESSING, HINTS, &ok("one")].concat()).await;
    both(&mut client).await;
    answered(&mut client, "one").await;
}

/// A request that waited for too long has been answered; what is announced after that follows no answer.
#[tokio::test]
async fn those_that_come_after_the_answer_are_dropped() {
    let (origin, sidecar) = start("limits.wait_max = \"50ms\"").await;
    let mut client = sidecar.raw().await;
    client.write(get("/0")).await;
    let mut late = origin.accept().await;
    late.head().await;
    let head = client.head().await;
    assert!(head.starts_with("HTTP/1.1 504 "), "{head}");
    let length = head.split_once("content-length: ").unwrap().1.split_once("\r\n").unwrap().0.parse().unwrap();
    client.exactly(length).await;
    late.write([PROCESSING, HINTS].concat()).await;
    sidecar.until_metric("truehit_origin_interim_dropped_total", 2.0).await;
    client.write("POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").await;
    origin.accept().await.answer(ok("one")).await;
    answered(&mut client, "one").await;
}

/// A client that takes nothing holds its own request up, and nobody else's.
#[tokio::test]
async fn a_client_that_does_not_read_costs_what_its_bound_says() {
    let (origin, sidecar) = start("").await;
    let mut lazy = sidecar.raw().await;
    let long = format!("HTTP/1.1 103 Early Hints\r\nX-Long: {}\r\n\r\n", "x".repeat(6000));
    lazy.write(get("/0") + &get("/1")).await;
    origin.accept().await.answer(long.repeat(100) + &tagged("zero")).await;
    origin.accept().await.answer(long.repeat(100) + &tagged("one")).await;
    let mut other = sidecar.raw().await;
    other.write(get("/2")).await;
    origin.accept().await.answer([PROCESSING, HINTS, &tagged("two")].concat()).await;
    both(&mut other).await;
    answered(&mut other, "two").await;
    for body in ["zero", "one"] {
        for _ in 0..2 {
            assert!(lazy.head().await.starts_with("HTTP/1.1 103 "));
        }
        answered(&mut lazy, body).await;
    }
}
