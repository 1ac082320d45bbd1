//! Cache groups (RFC 9875): the answer to an unsafe request invalidates whatever belongs to the groups that it names.

use std::time::Duration;

use truehit::rules::policy::{OnCheckError, Policy, Verify};

use crate::house::{House, settle};
use crate::script::{Answer, Script, ok, status};

const MINUTE: Duration = Duration::from_secs(60);

fn when_stale(policy: &mut Policy) {
    policy.verify = Verify::WhenStale;
}

fn lease(policy: &mut Policy) {
    policy.verify = Verify::Lease(MINUTE);
}

/// A response that is fresh for a minute, and belongs to these groups.
fn member(content: &str, groups: &str) -> Answer {
    ok(content).etag(&format!("\"{content}\"")).with("cache-control", "max-age=60").with("cache-groups", groups)
}

/// The answer to an unsafe request that invalidates these groups.
fn invalidation(code: u16, groups: &str) -> Answer {
    status(code).with("cache-group-invalidation", groups)
}

#[tokio::test(start_paused = true)]
async fn what_belongs_to_a_group_that_is_invalidated_is_validated_and_what_does_not_is_not() {
    for (verify, excuse) in [(when_stale as fn(&mut Policy), "fresh"), (lease, "lease")] {
        let origin = Script::new();
        origin
            .expects("GET /a", member("a", r#""x", "list""#))
            .expects("GET /b", member("b", r#""list""#))
            .expects("GET /c", member("c", r#""x""#))
            .expects("POST /elsewhere", invalidation(201, r#""y", "list""#));
        let house = House::with(origin.clone(), verify);
        for target in ["/a", "/b", "/c"] {
            house.get(target).await;
            assert!(house.get(target).await.cache_status().starts_with("truehit; hit; "), "{excuse}");
        }
        house.send_content("POST", "/elsewhere", "d").await;
        origin.expects_with("GET /a", &[("if-none-match", Some("\"a\""))], status(304).etag("\"a\"")).expects_with(
            "GET /b",
            &[("if-none-match", Some("\"b\""))],
            member("new b", r#""list""#),
        );
        for (target, text) in [("/a", "a"), ("/b", "new b"), ("/c", "c"), ("/a", "a"), ("/b", "new b")] {
            let reply = house.get(target).await;
            assert_eq!(reply.text(), text, "RFC 9875 §3, under {excuse}: {target}");
        }
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_reaches_a_member_that_is_still_on_its_way_in() {
    let origin = Script::new();
    let mut gate = origin.holds("GET /a", member("old", r#""list""#));
    let house = House::with(origin.clone(), lease);
    let reader = tokio::spawn({
        let house = house.clone();
        async move { house.get("/a").await }
    });
    gate.reached().await;
    tokio::time::advance(Duration::from_millis(1)).await;
    origin.expects("POST /elsewhere", invalidation(204, r#""list""#));
    house.send_content("POST", "/elsewhere", "d").await;
    tokio::time::advance(Duration::from_millis(1)).await;
    // This one would ride along under the lease, were it not for the invalidation.
    let follower = tokio::spawn({
        let house = house.clone();
        async move { house.get("/a").await }
    });
    settle().await;
    origin.expects("GET /a", member("new", r#""list""#));
    gate.release();
    assert_eq!(reader.await.unwrap().text(), "old", "it was asked before the write was acknowledged");
    assert_eq!(follower.await.unwrap().text(), "new", "its groups were not known when its exchange began");
    assert_eq!(house.get("/a").await.cache_status(), "truehit; hit; detail=lease");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_fill_whose_head_is_here_is_invalidated_too() {
    let origin = Script::new();
    let (answer, pieces) = member("old", r#""list""#).streamed();
    origin.expects("GET /a", answer).expects("POST /elsewhere", invalidation(204, r#""list""#));
    let house = House::with(origin.clone(), lease);
    let response = house.open("/a").await;
    tokio::time::advance(Duration::from_millis(1)).await;
    house.send_content("POST", "/elsewhere", "d").await;
    pieces.send(Ok(http_body::Frame::data("old".into()))).unwrap();
    drop(pieces);
    drop(response);
    settle().await;
    origin.expects("GET /a", member("new", r#""list""#));
    assert_eq!(house.get("/a").await.text(), "new");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_a_safe_request_invalidates_nothing() {
    let origin = Script::new();
    origin
        .expects("GET /a", member("a", r#""list""#))
        .expects("OPTIONS /b", invalidation(200, r#""list""#))
        .expects("HEAD /b", invalidation(200, r#""list""#))
        .expects("GET /b", member("b", "").with("cache-group-invalidation", r#""list""#));
    let house = House::with(origin.clone(), when_stale);
    house.get("/a").await;
    for method in ["OPTIONS", "HEAD", "GET"] {
        house.send(method, "/b", &[]).await;
        assert!(house.get("/a").await.cache_status().starts_with("truehit; hit; "), "RFC 9875 §3: {method}");
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn groups_of_another_origin_are_other_groups() {
    let origin = Script::new();
    origin
        .expects("GET /a", member("mine", r#""list""#))
        .expects("GET /a", member("theirs", r#""list""#))
        .expects("POST /b", invalidation(204, r#""list""#));
    let house = House::with(origin.clone(), when_stale);
    house.get("/a").await;
    house.get("http://other.test/a").await;
    house.send_content("POST", "http://other.test/b", "c").await;
    let mine = house.get("/a").await;
    assert!(mine.cache_status().starts_with("truehit; hit; "), "RFC 9875 §2.1");
    origin.expects("GET /a", status(304).etag("\"theirs\""));
    let theirs = house.get("http://OTHER.test:80/a").await;
    assert_eq!(
        (theirs.text(), theirs.cache_status()),
        ("theirs", "truehit; fwd=stale; fwd-status=304; detail=checked")
    );
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_write_that_failed_half_way_invalidates_what_it_says() {
    let origin = Script::new();
    origin
        .expects("GET /a", member("old", r#""list""#))
        .expects("PUT /b", status(500))
        .expects("PUT /b", invalidation(500, r#""list""#));
    let house = House::with(origin.clone(), when_stale);
    house.get("/a").await;
    house.send_content("PUT", "/b", "c").await;
    assert!(house.get("/a").await.cache_status().starts_with("truehit; hit; "));
    house.send_content("PUT", "/b", "c").await;
    origin.expects("GET /a", member("new", r#""list""#));
    assert_eq!(house.get("/a").await.text(), "new");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn what_a_group_invalidated_is_not_served_when_the_origin_fails() {
    let origin = Script::new();
    origin.expects("GET /a", member("old", r#""list""#)).expects("GET /a", status(503));
    let house = House::with(origin.clone(), |policy| policy.on_check_error = OnCheckError::ServeStale(MINUTE));
    house.get("/a").await;
    assert_eq!(house.get("/a").await.text(), "old");
    origin.expects("POST /b", invalidation(204, r#""list""#)).expects("GET /a", status(503));
    house.send_content("POST", "/b", "c").await;
    assert_eq!(house.get("/a").await.status, 503);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_304_may_move_a_response_to_another_group() {
    let origin = Script::new();
    origin
        .expects("GET /a", member("a", r#""one""#))
        .expects("POST /b", invalidation(204, r#""one""#))
        .expects("GET /a", status(304).etag("\"a\"").with("cache-groups", r#""two""#));
    let house = House::with(origin.clone(), lease);
    house.get("/a").await;
    house.send_content("POST", "/b", "c").await;
    house.get("/a").await;
    for (group, expected) in [(r#""one""#, "hit"), (r#""two""#, "fwd=stale")] {
        origin.expects("POST /b", invalidation(204, group));
        house.send_content("POST", "/b", "c").await;
        if expected != "hit" {
            origin.expects("GET /a", status(304).etag("\"a\""));
        }
        let status = house.get("/a").await.cache_status().to_owned();
        assert!(status.starts_with(&format!("truehit; {expected};")), "RFC 9111 §3.2: {group}: {status}");
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn what_names_more_groups_than_are_remembered_goes_with_any_of_its_origin() {
    let many = (0..600).map(|n| format!("\"{n}\"")).collect::<Vec<_>>().join(", ");
    let origin = Script::new();
    origin.expects("GET /a", member("a", &many)).expects("POST /b", invalidation(204, r#""other""#));
    let house = House::with(origin.clone(), when_stale);
    house.get("/a").await;
    assert_eq!(house.get("/a").await.cache_status(), "truehit; hit; ttl=60; detail=fresh");
    house.send_content("POST", "/b", "c").await;
    origin.expects("GET /a", status(304).etag("\"a\""));
    assert_eq!(house.get("/a").await.cache_status(), "truehit; fwd=stale; fwd-status=304; detail=checked");
    origin.done();
}
