//! Targets that a response answers for without being stored for them: `No-Vary-Search`.

use std::time::Duration;

use truehit::rules::policy::{Credentials, OnCheckError, Policy, Verify};

use crate::house::House;
use crate::script::{Answer, Script, ok, status};

fn twins(policy: &mut Policy) {
    policy.no_vary_search = true;
}

fn fresh_twins(policy: &mut Policy) {
    twins(policy);
    policy.verify = Verify::WhenStale;
}

/// Content for any `utm`, fresh for a minute.
fn any_utm(content: &str) -> Answer {
    ok(content).with("no-vary-search", "params=(\"utm\")").with("cache-control", "max-age=60")
}

const FRESH: &str = "truehit; hit; ttl=60; detail=fresh";

#[tokio::test(start_paused = true)]
async fn a_fresh_response_answers_for_the_queries_that_it_names() {
    let origin = Script::new();
    origin.expects("GET /a?utm=1", any_utm("one")).expects("GET /a?x=1", any_utm("two"));
    let house = House::with(origin.clone(), fresh_twins);
    house.get("/a?utm=1").await;
    for target in ["/a?utm=2", "/a", "/a?", "/a?u%74m"] {
        let twin = house.get(target).await;
        assert_eq!((twin.text(), twin.cache_status()), ("one", FRESH), "{target}");
    }
    assert_eq!(house.get("/a?x=1").await.text(), "two");
    assert_eq!(house.get("/a?utm=2&x=1").await.text(), "two");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_without_a_query_answers_too() {
    let origin = Script::new();
    origin.expects("GET /a", any_utm("one"));
    let house = House::with(origin.clone(), fresh_twins);
    house.get("/a").await;
    assert_eq!(house.get("/a?utm=2").await.cache_status(), FRESH);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn not_unless_the_route_says_so() {
    let origin = Script::new();
    origin.expects("GET /a?utm=1", any_utm("one")).expects("GET /a?utm=2", any_utm("two"));
    let house = House::with(origin.clone(), |policy| policy.verify = Verify::WhenStale);
    house.get("/a?utm=1").await;
    assert_eq!(house.get("/a?utm=2").await.text(), "two");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn not_for_another_user_or_another_selecting_field() {
    let origin = Script::new();
    let varied = |content| any_utm(content).with("vary", "accept");
    origin.expects("GET /a?utm=1", varied("one")).expects("GET /a?utm=2", varied("two"));
    origin.expects("GET /a?utm=2", varied("three"));
    let house = House::with(origin.clone(), |policy| {
        fresh_twins(policy);
        policy.cookies = Credentials::Key;
    });
    house.get_with("/a?utm=1", &[("accept", "x")]).await;
    assert_eq!(house.get_with("/a?utm=2", &[("accept", "x")]).await.text(), "one");
    assert_eq!(house.get_with("/a?utm=2", &[("accept", "y")]).await.text(), "two");
    assert_eq!(house.get_with("/a?utm=2", &[("accept", "x"), ("cookie", "c")]).await.text(), "three");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn of_several_the_newest_that_the_request_selects_answers() {
    let origin = Script::new();
    let varied = |content| any_utm(content).with("vary", "accept");
    for (n, content) in [(1, "for x"), (2, "for y")] {
        origin.expects(&format!("GET /a?utm={n}"), varied(content));
    }
    let house = House::with(origin.clone(), fresh_twins);
    house.get_with("/a?utm=1", &[("accept", "x")]).await;
    house.get_with("/a?utm=2", &[("accept", "y")]).await;
    for (accept, expected) in [("x", "for x"), ("y", "for y")] {
        assert_eq!(house.get_with("/a?utm=3", &[("accept", accept)]).await.text(), expected);
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_check_has_the_requests_own_target_and_its_304_must_repeat_the_tag() {
    let origin = Script::new();
    let tagged = |content, tag| any_utm(content).etag(tag);
    origin
        .expects("GET /a?utm=1", tagged("one", "\"1\""))
        .expects_with("GET /a?utm=2", &[("if-none-match", Some("\"1\""))], status(304).etag("\"1\""))
        .expects_with("GET /a?utm=3", &[("if-none-match", Some("\"1\""))], status(304))
        .expects_with("GET /a?utm=3", &[("if-none-match", None)], tagged("three", "\"3\""))
        .expects_with("GET /a?utm=3", &[("if-none-match", Some("\"3\""))], status(304).etag("\"3\""))
        .expects_with("GET /a?utm=1", &[("if-none-match", Some("\"1\""))], status(304).etag("\"1\""));
    let house = House::with(origin.clone(), twins);
    house.get("/a?utm=1").await;
    let twin = house.get("/a?utm=2").await;
    assert_eq!((twin.text(), twin.cache_status()), ("one", "truehit; fwd=stale; fwd-status=304; detail=checked"));
    assert_eq!(house.get("/a?utm=3").await.text(), "three", "a bare 304 does not say of which representation");
    assert_eq!(house.get("/a?utm=3").await.text(), "three", "it has its own copy now");
    assert_eq!(house.get("/a?utm=1").await.text(), "one", "and the other's is untouched");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_twin_that_is_found_stale_is_refreshed_for_all() {
    let origin = Script::new();
    origin
        .expects("GET /a?utm=1", any_utm("one").etag("\"1\""))
        .expects("GET /a?utm=2", status(304).etag("\"1\"").with("cache-control", "max-age=60"));
    let house = House::with(origin.clone(), fresh_twins);
    house.get("/a?utm=1").await;
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(house.get("/a?utm=2").await.text(), "one");
    for target in ["/a?utm=1", "/a?utm=3"] {
        assert_eq!(house.get(target).await.cache_status(), FRESH, "{target}");
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_write_to_any_of_them_reaches_them_all() {
    for written in ["/a?utm=2", "/a?utm=1", "/a"] {
        let origin = Script::new();
        origin
            .expects("GET /a?utm=1", any_utm("old"))
            .expects(&format!("PUT {written}"), status(204))
            .expects("GET /a?utm=3", any_utm("new"));
        let house = House::with(origin.clone(), fresh_twins);
        house.get("/a?utm=1").await;
        assert_eq!(house.get("/a?utm=3").await.text(), "old");
        house.send("PUT", written, &[]).await;
        assert_eq!(house.get("/a?utm=3").await.text(), "new", "{written} (RFC 9111 §4.4)");
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_back_instead_is_stored_for_the_own_target() {
    let origin = Script::new();
    origin
        .expects("PUT /a?utm=1", status(204))
        .expects("GET /a?utm=1", any_utm("one").etag("\"1\""))
        .expects("GET /a?utm=2", ok("two").with("cache-control", "max-age=60"));
    let house = House::with(origin.clone(), fresh_twins);
    // One target was written to and the other was not: their epochs differ.
    house.send("PUT", "/a?utm=1", &[]).await;
    house.get("/a?utm=1").await;
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(house.get("/a?utm=2").await.text(), "two");
    assert_eq!(house.get("/a?utm=2").await.cache_status(), FRESH);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_response_that_no_longer_says_so_answers_for_itself_alone() {
    let origin = Script::new();
    origin
        .expects("GET /a?utm=1", any_utm("old"))
        .expects("GET /a?utm=1", ok("new").with("cache-control", "max-age=60"))
        .expects("GET /a?utm=2", ok("another").with("cache-control", "max-age=60"));
    let house = House::with(origin.clone(), fresh_twins);
    house.get("/a?utm=1").await;
    tokio::time::advance(Duration::from_secs(60)).await;
    assert_eq!(house.get("/a?utm=1").await.text(), "new");
    assert_eq!(house.get("/a?utm=2").await.text(), "another");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_twin_excuses_a_failed_check_as_an_own_copy_would() {
    let origin = Script::new();
    origin.expects("GET /a?utm=1", any_utm("one").etag("\"1\""));
    origin.fails("GET /a?utm=2", truehit::origin::OriginError::Protocol("down".to_owned()));
    let house = House::with(origin.clone(), |policy| {
        twins(policy);
        policy.on_check_error = OnCheckError::ServeStale(Duration::from_secs(60));
    });
    house.get("/a?utm=1").await;
    let excused = house.get("/a?utm=2").await;
    assert_eq!(excused.text(), "one");
    assert!(excused.cache_status().ends_with("detail=stale-if-error"), "{}", excused.cache_status());
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_response_that_a_write_overtook_answers_for_no_twin() {
    let origin = Script::new();
    let mut gate = origin.holds("GET /a?utm=1", any_utm("old"));
    origin.expects("PUT /a?utm=2", status(204)).expects("GET /a?utm=3", any_utm("new"));
    let house = House::with(origin.clone(), fresh_twins);
    let reader = house.clone();
    let slow = tokio::spawn(async move { reader.get("/a?utm=1").await });
    gate.reached().await;
    house.send("PUT", "/a?utm=2", &[]).await;
    gate.release();
    assert_eq!(slow.await.unwrap().text(), "old");
    assert_eq!(house.get("/a?utm=3").await.text(), "new");
    origin.done();
}
