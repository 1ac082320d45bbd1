//! Methods with content: a QUERY is answered like a GET, a POST by nothing that is stored (but for GraphQL queries, where
//! the operator says so), and an unsafe request invalidates all of it.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body::Frame;
use truehit::origin::OriginError;
use truehit::rules::policy::{Policy, Verify};

use crate::house::{House, Reply, settle};
use crate::script::{Answer, Script, ok, status};

const TEXT: (&str, &str) = ("content-type", "text/plain");
const JSON: (&str, &str) = ("content-type", "application/json");

type Fields = &'static [(&'static str, &'static str)];
type Adjust = fn(&mut Policy);

fn when_stale(policy: &mut Policy) {
    policy.verify = Verify::WhenStale;
}

fn graphql(policy: &mut Policy) {
    policy.graphql = true;
}

/// A 200 that is fresh for a minute.
fn fresh(content: &str) -> Answer {
    ok(content).with("cache-control", "max-age=60")
}

async fn query(house: &House<Script>, content: &'static str) -> Reply {
    house.send_with("QUERY", "/a", &[TEXT], content).await
}

async fn post(house: &House<Script>, content: &'static str) -> Reply {
    house.send_with("POST", "/a", &[JSON], content).await
}

const MISS: &str = "truehit; fwd=uri-miss; fwd-status=200; stored; detail=uri-miss";
const CHECKED: &str = "truehit; fwd=stale; fwd-status=304; detail=checked";
const REPEATED: &str = "truehit; fwd=stale; fwd-status=200; detail=checked";
const PASSED: &str = "truehit; fwd=method; fwd-status=200; detail=method";
const FRESH: &str = "truehit; hit; ttl=60; detail=fresh";

#[tokio::test(start_paused = true)]
async fn a_query_is_fetched_and_then_checked_with_its_content() {
    let origin = Script::new();
    origin
        .expects_content(
            "QUERY /a",
            &[("if-none-match", None), ("content-type", Some("text/plain"))],
            "x",
            ok("1").etag("\"1\""),
        )
        .expects_content("QUERY /a", &[("if-none-match", Some("\"1\""))], "x", status(304).etag("\"1\""))
        .expects_content("QUERY /a", &[("if-none-match", Some("\"1\""))], "x", ok("2").etag("\"2\""));
    let house = House::new(origin.clone());
    let first = query(&house, "x").await;
    assert_eq!((first.text(), first.cache_status()), ("1", MISS));
    let second = query(&house, "x").await;
    assert_eq!((second.text(), second.cache_status()), ("1", CHECKED));
    assert_eq!(query(&house, "x").await.text(), "2");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_query_without_a_validator_is_asked_again_and_compared() {
    let origin = Script::new();
    for answer in ["1", "1", "2"] {
        origin.expects_content("QUERY /a", &[], "x", ok(answer));
    }
    let house = House::new(origin.clone());
    for (expected, word) in [("1", MISS), ("1", REPEATED)] {
        let reply = query(&house, "x").await;
        assert_eq!((reply.text(), reply.cache_status()), (expected, word));
    }
    assert_eq!(query(&house, "x").await.text(), "2");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_fresh_query_is_served_unasked_and_a_stale_one_validated() {
    let origin = Script::new();
    origin.expects_content("QUERY /a", &[], "x", fresh("1").etag("\"1\"")).expects_content(
        "QUERY /a",
        &[("if-none-match", Some("\"1\""))],
        "x",
        status(304).etag("\"1\""),
    );
    let house = House::with(origin.clone(), when_stale);
    assert_eq!(query(&house, "x").await.cache_status(), MISS);
    let hit = query(&house, "x").await;
    assert_eq!((hit.text(), hit.cache_status(), hit.field("age")), ("1", FRESH, "0"));
    let unmodified = house.send_with("QUERY", "/a", &[TEXT, ("if-none-match", "\"1\"")], "x").await;
    assert_eq!((unmodified.status.as_u16(), unmodified.text()), (304, ""), "the client's own condition");
    tokio::time::advance(Duration::from_secs(61)).await;
    assert_eq!(query(&house, "x").await.cache_status(), CHECKED);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn queries_are_kept_apart_by_content_and_type_and_from_gets() {
    for adjust in [when_stale as Adjust, |_| {}] {
        let origin = Script::new();
        let house = House::with(origin.clone(), adjust);
        let requests: [(&str, Fields, &str); 7] = [
            ("QUERY", &[TEXT], "x"),
            ("QUERY", &[TEXT], "y"),
            ("QUERY", &[JSON], "x"),
            ("QUERY", &[TEXT, ("content-encoding", "gzip")], "x"),
            ("QUERY", &[TEXT, ("content-language", "de")], "x"),
            ("QUERY", &[TEXT], ""),
            ("GET", &[TEXT], ""),
        ];
        for (number, (method, fields, content)) in requests.iter().enumerate() {
            origin.expects_content(&format!("{method} /a"), &[], content, fresh(&number.to_string()));
            let reply = house.send_with(method, "/a", fields, content).await;
            assert_eq!(
                (reply.text(), reply.cache_status()),
                (&*number.to_string(), MISS),
                "{method} {fields:?} {content}"
            );
        }
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn equal_queries_share_an_exchange_and_different_ones_do_not() {
    // Under when-stale any exchange that runs will do; under every-hit who came later asks together, after it.
    for (adjust, checks) in [(when_stale as Adjust, 0), (|_| {}, 1)] {
        let origin = Script::new();
        let mut gate = origin.holds("QUERY /a", fresh("one").etag("\"1\""));
        let house = House::with(origin.clone(), adjust);
        let leader = asker(&house);
        gate.reached().await;
        origin.expects_content("QUERY /a", &[], "y", fresh("other"));
        assert_eq!(query(&house, "y").await.text(), "other", "it waits for nobody");
        tokio::time::advance(Duration::from_millis(1)).await;
        let herd: Vec<_> = (0..20).map(|_| asker(&house)).collect();
        settle().await;
        for _ in 0..checks {
            origin.expects_content("QUERY /a", &[("if-none-match", Some("\"1\""))], "x", status(304).etag("\"1\""));
        }
        gate.release();
        assert_eq!(leader.await.unwrap().text(), "one");
        for reply in join_all(herd).await {
            assert_eq!(reply.unwrap().text(), "one");
        }
        origin.done();
    }
}

/// Starts a query.
fn asker(house: &House<Script>) -> tokio::task::JoinHandle<Reply> {
    let house = house.clone();
    tokio::spawn(async move { query(&house, "x").await })
}

#[tokio::test(start_paused = true)]
async fn content_that_is_too_long_passes_whole() {
    let origin = Script::new();
    for _ in 0..2 {
        origin.expects_content("QUERY /a", &[], "12345", fresh("x"));
    }
    origin.expects_content("QUERY /a", &[], "1234", fresh("y"));
    let house = House::with(origin.clone(), |policy| {
        when_stale(policy);
        policy.content_max = 4;
    });
    for _ in 0..2 {
        let reply = query(&house, "12345").await;
        let expected = "truehit; fwd=bypass; fwd-status=200; detail=content-too-long";
        assert_eq!((reply.text(), reply.cache_status()), ("x", expected));
    }
    for expected in [MISS, FRESH] {
        assert_eq!(query(&house, "1234").await.cache_status(), expected);
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn content_that_grows_too_long_passes_with_what_was_read() {
    let origin = Script::new();
    origin.expects_content("QUERY /a", &[], "123456", fresh("x"));
    let house = House::with(origin.clone(), |policy| policy.content_max = 4);
    let (sender, reply) = house.send_stream("QUERY", "/a", &[TEXT]);
    for piece in ["12", "34", "56"] {
        sender.send(Ok(Frame::data(Bytes::from_static(piece.as_bytes())))).unwrap();
        settle().await;
    }
    drop(sender);
    assert_eq!(reply.await.unwrap().cache_status(), "truehit; fwd=bypass; fwd-status=200; detail=content-too-long");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn content_that_is_late_passes_as_it_comes_and_holds_nobody_up() {
    let origin = Script::new();
    let house = House::new(origin.clone());
    let (sender, reply) = house.send_stream("QUERY", "/a", &[TEXT]);
    sender.send(Ok(Frame::data(Bytes::from_static(b"slo")))).unwrap();
    settle().await;
    assert_eq!((origin.count(), house.shared.flights.waiting()), (0, 0), "nothing is held for it");
    tokio::time::advance(Duration::from_secs(11)).await;
    settle().await;
    origin.expects_content("QUERY /a", &[], "slow", fresh("x"));
    sender.send(Ok(Frame::data(Bytes::from_static(b"w")))).unwrap();
    drop(sender);
    assert_eq!(reply.await.unwrap().cache_status(), "truehit; fwd=bypass; fwd-status=200; detail=content-late");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn content_that_breaks_off_is_the_clients_fault() {
    let origin = Script::new();
    let house = House::new(origin.clone());
    let (sender, reply) = house.send_stream("QUERY", "/a", &[TEXT]);
    sender.send(Err(OriginError::RequestIncomplete("gone".to_owned()))).unwrap();
    let reply = reply.await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.field("proxy-status")), (400, "truehit; error=http_request_error"));
    assert_eq!(origin.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_query_without_a_type_is_the_origins_to_fail() {
    let origin = Script::new();
    origin.expects_content("QUERY /a", &[], "x", status(400));
    let house = House::new(origin.clone());
    let reply = house.send_with("QUERY", "/a", &[], "x").await;
    assert_eq!(reply.cache_status(), "truehit; fwd=bypass; fwd-status=400; detail=content-type");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn an_unsafe_request_invalidates_queries_and_gets_alike_and_a_query_neither() {
    let origin = Script::new();
    let house = House::with(origin.clone(), when_stale);
    let get = || house.get("/a");
    origin.expects("GET /a", fresh("got").etag("\"g\"")).expects("QUERY /a", fresh("asked").etag("\"q\""));
    get().await;
    query(&house, "x").await;
    assert_eq!(
        (get().await.cache_status(), query(&house, "x").await.cache_status()),
        (FRESH, FRESH),
        "a query is safe"
    );
    // A query that passes is safe too.
    origin.expects("QUERY /a", ok("passed"));
    house.send_with("QUERY", "/a", &[TEXT, ("cache-control", "no-store")], "x").await;
    assert_eq!((get().await.cache_status(), query(&house, "x").await.cache_status()), (FRESH, FRESH));
    origin.expects("POST /a", ok("written"));
    assert_eq!(post(&house, "write").await.cache_status(), PASSED);
    origin.expects("GET /a", status(304).etag("\"g\"")).expects("QUERY /a", status(304).etag("\"q\""));
    assert_eq!((get().await.cache_status(), query(&house, "x").await.cache_status()), (CHECKED, CHECKED));
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn what_the_rules_keep_from_the_store_is_kept_from_it_for_queries_too() {
    for (name, value) in [("cache-control", "no-store"), ("cache-control", "private"), ("vary", "*")] {
        let origin = Script::new();
        let house = House::with(origin.clone(), when_stale);
        for _ in 0..2 {
            origin.expects("QUERY /a", fresh("x").with(name, value));
            assert!(!query(&house, "x").await.cache_status().contains("stored"), "{name}: {value}");
        }
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn a_graphql_query_is_a_post_like_any_other_unless_the_operator_says_so() {
    let origin = Script::new();
    let house = House::with(origin.clone(), when_stale);
    for _ in 0..2 {
        origin.expects("POST /a", fresh("x"));
        assert_eq!(post(&house, r#"{"query":"{a}"}"#).await.cache_status(), PASSED);
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_graphql_query_is_stored_while_fresh_and_then_fetched_again() {
    let origin = Script::new();
    let house = House::with(origin.clone(), |policy| {
        when_stale(policy);
        graphql(policy);
    });
    let ask = r#"{"query":"query Q { a }"}"#;
    origin.expects_content("POST /a", &[], ask, fresh("1").etag("\"1\""));
    for expected in [MISS, FRESH] {
        let reply = post(&house, ask).await;
        assert_eq!((reply.text(), reply.cache_status()), ("1", expected));
    }
    tokio::time::advance(Duration::from_secs(61)).await;
    origin.expects_content("POST /a", &[("if-none-match", None)], ask, ok("2"));
    assert_eq!(post(&house, ask).await.text(), "2", "no condition goes out with a POST (RFC 9110 §13.1.2)");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_graphql_query_needs_explicit_freshness_under_when_stale() {
    let origin = Script::new();
    let house = House::with(origin.clone(), |policy| {
        when_stale(policy);
        graphql(policy);
    });
    for _ in 0..2 {
        origin.expects("POST /a", ok("x").etag("\"1\""));
        assert!(!post(&house, r#"{"query":"{a}"}"#).await.cache_status().contains("stored"), "RFC 9110 §9.3.3");
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_graphql_query_is_repeated_and_compared_under_every_hit() {
    let origin = Script::new();
    let house = House::with(origin.clone(), graphql);
    let ask = r#"{"query":"{a}"}"#;
    for answer in ["1", "1", "2"] {
        origin.expects_content("POST /a", &[("if-none-match", None)], ask, ok(answer).etag("\"t\""));
    }
    for (expected, word) in [("1", MISS), ("1", REPEATED)] {
        let reply = post(&house, ask).await;
        assert_eq!((reply.text(), reply.cache_status()), (expected, word));
    }
    assert_eq!(post(&house, ask).await.text(), "2");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_mutation_passes_each_time_and_invalidates_what_was_asked() {
    let origin = Script::new();
    let house = House::with(origin.clone(), |policy| {
        when_stale(policy);
        graphql(policy);
    });
    let (ask, write) = (r#"{"query":"{a}"}"#, r#"{"query":"mutation { a }"}"#);
    origin.expects_content("POST /a", &[], ask, fresh("old"));
    assert_eq!(post(&house, ask).await.text(), "old");
    assert_eq!(post(&house, ask).await.cache_status(), FRESH);
    for _ in 0..2 {
        origin.expects_content("POST /a", &[], write, fresh("written"));
        let reply = post(&house, write).await;
        assert_eq!((reply.text(), reply.cache_status()), ("written", PASSED));
    }
    origin.expects_content("POST /a", &[], ask, fresh("new"));
    assert_eq!(post(&house, ask).await.text(), "new");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_graphql_query_that_passes_invalidates_nothing() {
    let origin = Script::new();
    let house = House::with(origin.clone(), |policy| {
        when_stale(policy);
        graphql(policy);
    });
    let ask = r#"{"query":"{a}"}"#;
    origin.expects("POST /a", fresh("1")).expects("POST /a", fresh("2"));
    post(&house, ask).await;
    let passed = house.send_with("POST", "/a", &[JSON, ("cache-control", "no-store")], ask).await;
    assert_eq!((passed.text(), passed.cache_status()), ("2", "truehit; fwd=request; fwd-status=200; detail=no-store"));
    assert_eq!(post(&house, ask).await.cache_status(), FRESH);
    origin.done();
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
