//! What is none of a cache's business goes through unchanged, but for what RFC 9110 asks of an intermediary.

use crate::house::{House, settle};
use crate::script::{Script, ok, status};

#[tokio::test(start_paused = true)]
async fn every_other_method_passes() {
    let origin = Script::new();
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT", "get"] {
        origin.expects(&format!("{method} /a"), ok("done"));
    }
    let house = House::new(origin.clone());
    for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "REPORT", "get"] {
        let reply = house.send_content(method, "/a", "content").await;
        assert_eq!(reply.text(), "done");
        assert_eq!(reply.cache_status(), "truehit; fwd=method; fwd-status=200; detail=method");
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn requests_that_a_stored_response_cannot_answer_pass() {
    for (fields, expected) in [
        (&[("range", "items=0-1")][..], "truehit; fwd=partial; fwd-status=200; detail=range"),
        (&[("if-match", "\"1\"")], "truehit; fwd=bypass; fwd-status=200; detail=precondition"),
        (&[("cache-control", "no-store")], "truehit; fwd=request; fwd-status=200; detail=no-store"),
    ] {
        let origin = Script::new();
        origin.expects_with("GET /a", &[(fields[0].0, Some(fields[0].1))], ok("x"));
        let house = House::new(origin.clone());
        assert_eq!(house.get_with("/a", fields).await.cache_status(), expected);
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn a_get_with_content_is_never_shared_or_stored() {
    let origin = Script::new();
    origin.expects("GET /a", ok("one").etag("\"1\"")).expects("GET /a", ok("two").etag("\"2\""));
    let house = House::new(origin.clone());
    for expected in ["one", "two"] {
        let reply = house.send_content("GET", "/a", "query").await;
        assert_eq!(reply.text(), expected);
        assert_eq!(reply.cache_status(), "truehit; fwd=bypass; fwd-status=200; detail=content");
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_cold_head_passes_with_its_own_conditions() {
    let origin = Script::new();
    origin.expects_with("HEAD /a", &[("if-none-match", Some("\"1\""))], status(304).etag("\"1\""));
    let house = House::new(origin.clone());
    let reply = house.send("HEAD", "/a", &[("if-none-match", "\"1\"")]).await;
    assert_eq!(reply.status, 304);
    assert_eq!(reply.cache_status(), "truehit; fwd=bypass; fwd-status=304; detail=head");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn the_clients_conditions_are_answered_here_and_a_miss_is_recorded_whole() {
    let origin = Script::new();
    origin
        .expects_with("GET /a", &[("if-none-match", None), ("if-modified-since", None)], ok("one").etag("\"1\""))
        .expects_with("GET /a", &[("if-none-match", Some("\"1\""))], status(304).etag("\"1\""));
    let house = House::new(origin.clone());
    let first = house.get_with("/a", &[("if-none-match", "W/\"1\"")]).await;
    assert_eq!((first.status.as_u16(), first.text()), (304, ""));
    settle().await;
    assert_eq!(house.get("/a").await.text(), "one", "the body was recorded all the same");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn hop_by_hop_fields_stay_here_and_forwarding_fields_are_ours() {
    let origin = Script::new();
    origin.expects_with(
        "GET /a",
        &[
            ("connection", None),
            ("keep-alive", None),
            ("x-hop", None),
            ("x-end", Some("kept")),
            ("host", Some("api.test")),
            ("x-forwarded-for", Some("127.0.0.1")),
            ("x-forwarded-host", Some("api.test")),
            ("x-forwarded-proto", Some("http")),
        ],
        ok("x").with("connection", "x-hop").with("x-hop", "1").with("x-end", "kept"),
    );
    let house = House::new(origin.clone());
    let fields = [
        ("connection", "keep-alive, x-hop"),
        ("keep-alive", "timeout=5"),
        ("x-hop", "1"),
        ("x-end", "kept"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-host", "evil.test"),
    ];
    let reply = house.get_with("/a", &fields).await;
    assert_eq!((reply.field("x-hop"), reply.field("x-end"), reply.field("connection")), ("", "kept", ""));
    assert!(reply.field("via").starts_with("1.1 truehit-"), "{}", reply.field("via"));
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_request_that_comes_back_is_a_loop() {
    let origin = Script::new();
    origin.expects("GET /a", ok("x"));
    let house = House::new(origin.clone());
    let via = house.get("/a").await.field("via").to_owned();
    let looped = house.get_with("/a", &[("via", &via)]).await;
    assert_eq!((looped.status.as_u16(), looped.field("proxy-status")), (502, "truehit; error=proxy_loop_detected"));
    origin.done();
}
