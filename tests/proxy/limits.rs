//! What a request may be, and how many there may be: what is refused here, before the origin hears of it.

use bytes::Bytes;
use http_body::Frame;
use truehit::config::Config;
use truehit::origin::OriginError;

use crate::house::{House, configured, settle};
use crate::script::{Script, ok};

fn limited(adjust: impl FnOnce(&mut Config)) -> Config {
    let mut config = configured(|_| {});
    adjust(&mut config);
    config
}

fn chunk(text: &'static str) -> Result<Frame<Bytes>, OriginError> {
    Ok(Frame::data(Bytes::from_static(text.as_bytes())))
}

#[tokio::test(start_paused = true)]
async fn content_that_declares_too_much_is_refused_at_once() {
    let origin = Script::new();
    let house = House::of(origin.clone(), limited(|config| config.limits.content_bytes = 4));
    let reply = house.send_with("POST", "/a", &[("content-length", "5")], "12345").await;
    assert_eq!((reply.status.as_u16(), reply.field("proxy-status")), (413, "truehit; error=http_request_error"));
    assert_eq!(reply.field("connection"), "close", "the content is still to come");
    assert!(reply.text().contains("limits.content_bytes"), "{}", reply.text());
    assert_eq!(house.metric("truehit_refused_total{reason=\"content-too-long\"}"), 1.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn content_that_grows_too_long_breaks_off_at_the_origin_and_is_refused() {
    let origin = Script::new();
    origin.expects_content("POST /a", &[], "1234", ok("done"));
    let house = House::of(origin.clone(), limited(|config| config.limits.content_bytes = 4));
    let (pieces, reply) = house.send_stream("POST", "/a", &[]);
    for piece in ["12", "34"] {
        pieces.send(chunk(piece)).unwrap();
    }
    drop(pieces);
    assert_eq!(reply.await.unwrap().status, 200, "as much as allowed");
    let (pieces, reply) = house.send_stream("POST", "/a", &[]);
    for piece in ["12", "34", "5"] {
        pieces.send(chunk(piece)).unwrap();
    }
    assert_eq!(reply.await.unwrap().status, 413);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn more_requests_than_may_be_under_way_are_told_to_come_back() {
    let origin = Script::new();
    let gate = origin.holds("GET /a", ok("first"));
    let house = House::of(origin.clone(), limited(|config| config.limits.requests = 1));
    let first = tokio::spawn({
        let house = house.clone();
        async move { house.get("/a").await }
    });
    settle().await;
    assert_eq!(house.metric("truehit_requests_in_flight"), 1.0);
    let second = house.get("/b").await;
    assert_eq!((second.status.as_u16(), second.field("retry-after")), (503, "1"));
    assert!(second.text().contains("limits.requests"), "{}", second.text());
    gate.release();
    assert_eq!(first.await.unwrap().text(), "first");
    assert_eq!(house.metric("truehit_requests_in_flight"), 0.0);
    origin.expects("GET /b", ok("third"));
    assert_eq!(house.get("/b").await.text(), "third");
    origin.done();
}
