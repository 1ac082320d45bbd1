//! What a check that could not be made means (`on_check_error`).

use std::time::Duration;

use truehit::origin::OriginError;
use truehit::rules::policy::{OnCheckError, Verify};

use crate::house::House;
use crate::script::{Script, ok, status};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_check_that_fails_is_an_error_and_never_silently_stale() {
    for (error, code, word) in [
        (OriginError::ConnectionRefused, 502, "connection_refused"),
        (OriginError::ResponseTimeout, 504, "http_response_timeout"),
        (OriginError::ConnectionTimeout, 504, "connection_timeout"),
        (OriginError::ConnectionLimit, 503, "connection_limit_reached"),
    ] {
        let origin = Script::new();
        origin.expects("GET /a", ok("one").etag("\"1\"")).fails("GET /a", error);
        let house = House::new(origin.clone());
        house.get("/a").await;
        let failed = house.get("/a").await;
        assert_eq!(failed.status, code);
        assert_eq!(failed.field("proxy-status"), format!("truehit; error={word}"));
        assert_eq!(failed.field("content-type"), "application/problem+json");
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn an_origins_own_error_is_passed_on() {
    let origin = Script::new();
    origin.expects("GET /a", ok("one").etag("\"1\"")).expects("GET /a", status(500).content("broken"));
    let house = House::new(origin.clone());
    house.get("/a").await;
    let failed = house.get("/a").await;
    assert_eq!((failed.status.as_u16(), failed.text()), (500, "broken"));
    assert_eq!(failed.cache_status(), "truehit; fwd=stale; fwd-status=500; detail=status");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn each_confirmation_moves_the_end_of_what_an_error_excuses() {
    let origin = Script::new();
    origin.expects("GET /a", ok("stored").etag("\"1\""));
    let house = House::with(origin.clone(), |policy| policy.on_check_error = OnCheckError::ServeStale(MINUTE));
    house.get("/a").await;
    for _ in 0..30 {
        tokio::time::advance(Duration::from_secs(5)).await;
        origin.expects("GET /a", status(304).etag("\"1\""));
        house.get("/a").await;
    }
    tokio::time::advance(MINUTE * 9 / 10).await;
    origin.fails("GET /a", OriginError::ConnectionRefused);
    assert_eq!(house.get("/a").await.text(), "stored", "a tenth of the minute is given up at most");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn serve_stale_serves_within_its_bound_and_says_so() {
    let origin = Script::new();
    origin
        .expects("GET /a", ok("one").etag("\"1\""))
        .fails("GET /a", OriginError::ConnectionRefused)
        .expects("GET /a", status(503))
        .fails("GET /a", OriginError::ConnectionRefused);
    let house = House::with(origin.clone(), |policy| policy.on_check_error = OnCheckError::ServeStale(MINUTE));
    house.get("/a").await;
    tokio::time::advance(MINUTE).await;
    let stale = house.get("/a").await;
    assert_eq!((stale.text(), stale.field("age")), ("one", "60"));
    assert_eq!(stale.cache_status(), "truehit; fwd=stale; detail=stale-if-error");
    let stale = house.get("/a").await;
    assert_eq!(stale.cache_status(), "truehit; fwd=stale; fwd-status=503; detail=stale-if-error");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(house.get("/a").await.status, 502, "confirmed too long ago");
    assert_eq!(house.metric("truehit_excused_total{route=\"default\",policy=\"stale-if-error\"}"), 2.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn serve_stale_does_not_reach_what_forbids_it() {
    for forbids in ["must-revalidate", "proxy-revalidate", "no-cache", "s-maxage=1"] {
        let origin = Script::new();
        origin
            .expects("GET /a", ok("one").etag("\"1\"").with("cache-control", forbids))
            .fails("GET /a", OriginError::ConnectionRefused);
        let house = House::with(origin.clone(), |policy| {
            policy.on_check_error = OnCheckError::ServeStale(MINUTE);
            policy.verify = Verify::EveryHit;
        });
        house.get("/a").await;
        assert_eq!(house.get("/a").await.status, 502, "{forbids}");
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_origin_no_longer_has_is_dropped() {
    let origin = Script::new();
    origin.expects("GET /a", ok("one").etag("\"1\"")).expects("GET /a", status(404)).expects_with(
        "GET /a",
        &[("if-none-match", None)],
        status(404),
    );
    let house = House::new(origin.clone());
    house.get("/a").await;
    assert_eq!(house.get("/a").await.status, 404);
    assert_eq!(house.get("/a").await.status, 404);
    origin.done();
}
