//! A POST is never answered from the store, but under `when-stale` its response may answer later GETs of its target
//! (RFC 9110 §9.3.3).

use bytes::Bytes;
use http_body::Frame;
use truehit::origin::OriginError;

use crate::house::{House, Reply};
use crate::methods::{Adjust, FRESH, fresh, when_stale};
use crate::script::{Answer, Script, ok, status};

async fn post(house: &House<Script>, content: &'static str) -> Reply {
    house.send_with("POST", "/a", &[], content).await
}

#[tokio::test(start_paused = true)]
async fn a_post_that_says_what_a_get_would_get_answers_gets_and_heads() {
    for location in ["/a", "", "http://api.test/a"] {
        let origin = Script::new();
        let house = House::with(origin.clone(), when_stale);
        origin.expects("GET /a", fresh("old")).expects("POST /a", fresh("new").with("content-location", location));
        assert_eq!(house.get("/a").await.text(), "old");
        let posted = post(&house, "write").await;
        let expected = "truehit; fwd=method; fwd-status=200; stored; detail=method";
        assert_eq!((posted.text(), posted.cache_status()), ("new", expected), "RFC 9110 §9.3.3: {location}");
        let got = house.get("/a").await;
        assert_eq!((got.text(), got.cache_status(), got.field("content-location")), ("new", FRESH, location));
        assert_eq!(house.send("HEAD", "/a", &[]).await.cache_status(), FRESH);
        origin.expects("POST /a", ok("again"));
        assert_eq!(post(&house, "write").await.text(), "again", "a POST is never answered from the store");
        origin.expects("GET /a", ok("third"));
        assert_eq!(house.get("/a").await.text(), "third", "and what it invalidated is asked for");
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_is_not_stored_unless_everything_says_that_it_answers_gets() {
    let rows: [(&str, Adjust, Answer); 6] = [
        ("no Content-Location", when_stale, fresh("x")),
        ("another target", when_stale, fresh("x").with("content-location", "/b")),
        ("no explicit freshness", when_stale, ok("x").etag("\"1\"").with("content-location", "/a")),
        ("private", when_stale, fresh("x").with("content-location", "/a").with("cache-control", "private")),
        ("another status", when_stale, fresh("x").with("content-location", "/a").with_status(201)),
        ("each hit is checked", |_| {}, fresh("x").with("content-location", "/a")),
    ];
    for (sentence, adjust, answer) in rows {
        let origin = Script::new();
        let house = House::with(origin.clone(), adjust);
        origin.expects("POST /a", answer).expects("GET /a", ok("got"));
        assert!(!post(&house, "write").await.cache_status().contains("stored"), "{sentence}");
        assert_eq!(house.get("/a").await.text(), "got", "{sentence}");
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn a_post_is_stored_for_its_own_selecting_fields() {
    let origin = Script::new();
    let house = House::with(origin.clone(), when_stale);
    let answer = fresh("de").with("content-location", "/a").with("vary", "accept-language");
    origin.expects("POST /a", answer).expects("GET /a", fresh("en").with("vary", "accept-language"));
    house.send_with("POST", "/a", &[("accept-language", "de")], "write").await;
    assert_eq!(house.get_with("/a", &[("accept-language", "de")]).await.text(), "de");
    assert_eq!(house.get_with("/a", &[("accept-language", "en")]).await.text(), "en");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_post_that_another_write_overtook_is_not_stored() {
    let origin = Script::new();
    let house = House::with(origin.clone(), when_stale);
    let mut gate = origin.holds("POST /a", fresh("first").with("content-location", "/a"));
    let slow = tokio::spawn({
        let house = house.clone();
        async move { post(&house, "write").await }
    });
    gate.reached().await;
    origin.expects("PUT /a", status(204));
    house.send_with("PUT", "/a", &[], "second").await;
    gate.release();
    assert!(!slow.await.unwrap().cache_status().contains("stored"), "which of them the origin took last is not known");
    origin.expects("GET /a", fresh("second"));
    assert_eq!(house.get("/a").await.text(), "second");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_posts_response_that_is_too_large_reaches_its_client_whole() {
    let origin = Script::new();
    let house = House::with(origin.clone(), |policy| {
        when_stale(policy);
        policy.object_max = 4;
    });
    let (answer, body) = fresh("").with("content-location", "/a").streamed();
    origin.expects("POST /a", answer).expects("GET /a", fresh("got"));
    for piece in ["12", "34", "56"] {
        body.send(Ok(Frame::data(Bytes::from_static(piece.as_bytes())))).unwrap();
    }
    drop(body);
    assert_eq!(post(&house, "write").await.text(), "123456");
    assert_eq!(house.get("/a").await.text(), "got");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_posts_response_that_falls_silent_is_given_up() {
    let origin = Script::new();
    let house = House::with(origin.clone(), when_stale);
    let (answer, body) = fresh("").with("content-location", "/a").streamed();
    origin.expects("POST /a", answer).expects("GET /a", fresh("got"));
    body.send(Ok(Frame::data(Bytes::from_static(b"12")))).unwrap();
    let reply = post(&house, "write").await;
    assert_eq!(reply.content.unwrap_err(), OriginError::ResponseTimeout, "no client waits for ever, and no memory");
    assert_eq!(house.get("/a").await.text(), "got");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_post_whose_group_was_invalidated_on_its_way_is_not_stored() {
    let origin = Script::new();
    let house = House::with(origin.clone(), when_stale);
    let answer = fresh("first").with("content-location", "/a").with("cache-groups", "\"g\"");
    let mut gate = origin.holds("POST /a", answer);
    let slow = tokio::spawn({
        let house = house.clone();
        async move { post(&house, "write").await }
    });
    gate.reached().await;
    origin.expects("PUT /b", status(204).with("cache-group-invalidation", "\"g\""));
    house.send_with("PUT", "/b", &[], "second").await;
    gate.release();
    assert!(!slow.await.unwrap().cache_status().contains("stored"), "RFC 9875 §3");
    origin.done();
}
