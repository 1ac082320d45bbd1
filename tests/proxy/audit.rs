//! Checks that are held against the whole representation, and origins that are caught.

use truehit::origin::OriginError;
use truehit::rules::policy::{CheckHow, DigestEndpoint, Policy, Strategy};

use crate::house::House;
use crate::script::{Answer, Script, ok, status};

/// A route on which every check is audited.
fn every_check(policy: &mut Policy) {
    policy.audit.share = 1.0;
}

/// How many audits ended so.
fn audits(house: &House<Script>, result: &str) -> f64 {
    house.metric(&format!("truehit_audits_total{{route=\"default\",result=\"{result}\"}}"))
}

const UNASKED: &[(&str, Option<&str>)] = &[("if-none-match", None)];
const ASKED: &[(&str, Option<&str>)] = &[("if-none-match", Some("\"1\""))];

#[tokio::test(start_paused = true)]
async fn what_a_check_found_unchanged_is_fetched_and_compared() {
    let origin = Script::new();
    origin.expects("GET /a", ok("same").etag("\"1\""));
    for _ in 0..3 {
        origin.expects_with("GET /a", ASKED, status(304).etag("\"1\""));
        origin.expects_with("GET /a", UNASKED, ok("same").etag("\"1\""));
    }
    let house = House::with(origin.clone(), every_check);
    house.get("/a").await;
    for _ in 0..3 {
        let reply = house.get("/a").await;
        assert_eq!((reply.text(), reply.status.as_u16()), ("same", 200));
        assert!(reply.cache_status().ends_with("detail=checked"), "{}", reply.cache_status());
    }
    assert_eq!(audits(&house, "upheld"), 3.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_stays_while_the_bytes_change_is_caught_and_bytes_decide_from_then_on() {
    let origin = Script::new();
    origin
        .expects("GET /a", ok("old").etag("\"1\""))
        .expects_with("GET /a", ASKED, status(304).etag("\"1\""))
        .expects_with("GET /a", UNASKED, ok("new").etag("\"1\""))
        .expects_with("GET /a", ASKED, status(304).etag("\"1\""))
        .expects_with("GET /a", UNASKED, ok("newer").etag("\"1\""));
    let house = House::with(origin.clone(), every_check);
    house.get("/a").await;
    assert_eq!(house.get("/a").await.text(), "new", "whoever waits has the truth already");
    assert_eq!(audits(&house, "mismatch"), 1.0);
    tokio::time::advance(std::time::Duration::from_secs(3600)).await;
    assert_eq!(house.get("/a").await.text(), "newer");
    let series = "truehit_check_strategy_info{route=\"default\",strategy=\"body\",reason=\"distrusted\"}";
    assert_eq!(house.metric(series), 1.0, "and a lie is not forgotten after a while");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_write_that_comes_between_is_no_lie() {
    let origin = Script::new();
    origin
        .expects("GET /a", ok("old").etag("\"1\""))
        .expects_with("GET /a", ASKED, status(304).etag("\"1\""))
        .expects_with("GET /a", UNASKED, ok("new").etag("\"2\""))
        .expects_with("GET /a", ASKED, ok("new").etag("\"2\""))
        .expects_with("GET /a", &[("if-none-match", Some("\"2\""))], status(304).etag("\"2\""))
        .expects_with("GET /a", UNASKED, ok("new").etag("\"2\""));
    let house = House::with(origin.clone(), every_check);
    house.get("/a").await;
    assert_eq!(house.get("/a").await.text(), "new");
    assert_eq!((audits(&house, "raced"), audits(&house, "mismatch")), (1.0, 0.0));
    assert_eq!(house.get("/a").await.text(), "new", "and tags are believed as before");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_route_may_go_on_as_it_was() {
    let origin = Script::new();
    origin.expects("GET /a", ok("old").etag("\"1\""));
    for content in ["new", "newer"] {
        origin
            .expects_with("GET /a", ASKED, status(304).etag("\"1\""))
            .expects_with("GET /a", UNASKED, ok(content).etag("\"1\""))
            .expects_with("GET /a", ASKED, status(304).etag("\"1\""));
    }
    let house = House::with(origin.clone(), |policy| {
        every_check(policy);
        policy.audit.turns_to_body = false;
    });
    for content in ["old", "new", "newer"] {
        assert_eq!(house.get("/a").await.text(), content);
    }
    assert_eq!(audits(&house, "mismatch"), 2.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn an_audit_that_fails_takes_nothing_from_the_check() {
    let origin = Script::new();
    origin
        .expects("GET /a", ok("same").etag("\"1\""))
        .expects_with("GET /a", ASKED, status(304).etag("\"1\""))
        .expects_with("GET /a", UNASKED, status(503))
        .expects_with("GET /a", ASKED, status(304).etag("\"1\""))
        .fails("GET /a", OriginError::ResponseTimeout);
    let house = House::with(origin.clone(), every_check);
    for _ in 0..3 {
        let reply = house.get("/a").await;
        assert_eq!((reply.text(), reply.status.as_u16()), ("same", 200));
    }
    assert_eq!(audits(&house, "unsettled"), 2.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_head_and_a_digest_endpoint_can_lie_too() {
    let answers: [(Strategy, fn() -> Answer); 3] = [
        (Strategy::Head, || status(200).etag("\"1\"").with("content-length", "3")),
        (Strategy::DigestEndpoint, || ok("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")),
        (Strategy::Head, || status(200).with("repr-digest", "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:")),
    ];
    for (check, answer) in answers {
        let origin = Script::new();
        let what = if check == Strategy::Head { "HEAD /a" } else { "GET /digest/a" };
        origin
            .expects("GET /a", ok("abc").etag("\"1\""))
            .expects(what, answer())
            .expects("GET /a", ok("xyz").etag("\"1\""))
            .expects(what, answer())
            .expects("GET /a", ok("xyz").etag("\"1\""));
        let house = House::with(origin.clone(), |policy| {
            every_check(policy);
            policy.check = CheckHow::Only(check);
            policy.digest_endpoint = Some(DigestEndpoint::OnOrigin("/digest{path}".into()));
        });
        assert_eq!(house.get("/a").await.text(), "abc");
        assert_eq!(house.get("/a").await.text(), "xyz");
        assert_eq!(audits(&house, "mismatch"), 1.0, "{check:?}");
        assert!(house.get("/a").await.cache_status().ends_with("detail=checked"), "by its bytes");
        origin.done();
    }
}

/// An origin that is overloaded tells no lie, whatever its 304 said before.
#[tokio::test(start_paused = true)]
async fn an_error_in_place_of_the_whole_accuses_nobody() {
    let other_digest = "sha-256=:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=:";
    let not_modified: [fn(&str) -> Answer; 2] =
        [|_| status(304), |digest| status(304).etag("\"1\"").with("repr-digest", digest)];
    for answer in not_modified {
        for fails in [false, true] {
            let origin = Script::new();
            origin.expects("GET /a", ok("same").etag("\"1\"")).expects_with("GET /a", ASKED, answer(other_digest));
            match fails {
                true => origin.fails("GET /a", OriginError::ResponseTimeout),
                false => origin.expects_with("GET /a", UNASKED, status(503)),
            };
            origin.expects_with("GET /a", ASKED, status(304).etag("\"1\""));
            let house = House::new(origin.clone());
            house.get("/a").await;
            assert_eq!(house.get("/a").await.status, if fails { 504 } else { 503 });
            assert_eq!(house.get("/a").await.text(), "same", "tags are believed as before");
            assert_eq!(audits(&house, "mismatch"), 0.0);
            origin.done();
        }
    }
}
