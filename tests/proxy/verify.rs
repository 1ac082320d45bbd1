//! When a stored response is checked: `every-hit`, a lease, `when-stale`, `off`.

use std::time::Duration;

use truehit::rules::policy::Verify;

use crate::house::{House, settle};
use crate::script::{Script, ok, status};

#[tokio::test(start_paused = true)]
async fn a_lease_excuses_reads_for_as_long_as_it_says() {
    let origin = Script::new();
    origin.expects("GET /a", ok("one").etag("\"1\"")).expects("GET /a", ok("two").etag("\"2\""));
    let house = House::with(origin.clone(), |policy| policy.verify = Verify::Lease(Duration::from_millis(250)));
    house.get("/a").await;
    tokio::time::advance(Duration::from_millis(250)).await;
    let leased = house.get("/a").await;
    assert_eq!((leased.text(), leased.cache_status()), ("one", "truehit; hit; detail=lease"));
    assert_eq!(leased.field("age"), "0");
    tokio::time::advance(Duration::from_millis(1)).await;
    assert_eq!(house.get("/a").await.text(), "two");
    assert_eq!(house.metric("truehit_excused_total{route=\"default\",policy=\"lease\"}"), 1.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_write_through_the_proxy_ends_the_lease() {
    let origin = Script::new();
    origin
        .expects("GET /a", ok("one").etag("\"1\""))
        .expects("PUT /a", status(204))
        .expects("GET /a", ok("two").etag("\"2\""));
    let house = House::with(origin.clone(), |policy| policy.verify = Verify::Lease(Duration::from_secs(60)));
    house.get("/a").await;
    house.send_content("PUT", "/a", "two").await;
    assert_eq!(house.get("/a").await.text(), "two");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_fill_that_began_before_a_write_is_not_kept_as_current() {
    let origin = Script::new();
    let mut gate = origin.holds("GET /a", ok("one").etag("\"1\""));
    origin.expects("PUT /a", status(204)).expects("GET /a", ok("two").etag("\"2\""));
    let house = House::with(origin.clone(), |policy| policy.verify = Verify::Lease(Duration::from_secs(60)));
    let reader = tokio::spawn({
        let house = house.clone();
        async move { house.get("/a").await }
    });
    gate.reached().await;
    house.send_content("PUT", "/a", "two").await;
    gate.release();
    assert_eq!(reader.await.unwrap().text(), "one", "it was asked before the write was acknowledged");
    assert_eq!(house.get("/a").await.text(), "two");
    origin.done();
}

/// A reader whose exchange is at the origin while another request is made: under a lease or `when-stale` the second may
/// ride along.
async fn rides(
    house: &House<Script>,
    mut gate: crate::script::Gate,
    second: impl Future<Output = crate::house::Reply> + Send + 'static,
) -> crate::house::Reply {
    let first = tokio::spawn({
        let house = house.clone();
        async move { house.get("/a").await }
    });
    gate.reached().await;
    tokio::time::advance(Duration::from_millis(1)).await;
    let second = tokio::spawn(second);
    settle().await;
    gate.release();
    assert_eq!(first.await.unwrap().text(), "old");
    second.await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn under_a_lease_a_request_rides_on_what_runs_unless_something_forbids_it() {
    let minute = Verify::Lease(Duration::from_secs(60));
    for (verify, cache_control) in [(minute, ""), (Verify::WhenStale, "max-age=60")] {
        let tagged = |content: &str| ok(content).etag("\"1\"").with("cache-control", cache_control);
        // Nothing forbids it: one exchange for both.
        let origin = Script::new();
        let gate = origin.holds("GET /a", tagged("old"));
        let house = House::with(origin.clone(), |policy| policy.verify = verify);
        let second = house.clone();
        assert_eq!(rides(&house, gate, async move { second.get("/a").await }).await.text(), "old");
        origin.done();

        // The request wants it validated.
        let origin = Script::new();
        let gate = origin.holds("GET /a", tagged("old"));
        let house = House::with(origin.clone(), |policy| policy.verify = verify);
        let second = house.clone();
        origin.expects("GET /a", tagged("new"));
        let asks = async move { second.get_with("/a", &[("cache-control", "no-cache")]).await };
        assert_eq!(rides(&house, gate, asks).await.text(), "new");
        origin.done();

        // A write was acknowledged in between (RFC 9111 §4.4).
        let origin = Script::new();
        let gate = origin.holds("GET /a", tagged("old"));
        let house = House::with(origin.clone(), |policy| policy.verify = verify);
        let second = house.clone();
        origin.expects("PUT /a", status(204)).expects("GET /a", tagged("new"));
        let asks = async move {
            second.send_content("PUT", "/a", "new").await;
            second.get("/a").await
        };
        assert_eq!(rides(&house, gate, asks).await.text(), "new");
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_just_missed_an_exchange_takes_what_that_has_brought() {
    let minute = Verify::Lease(Duration::from_secs(60));
    for (verify, detail) in [(minute, "lease"), (Verify::WhenStale, "fresh")] {
        let origin = Script::new();
        let tagged = ok("one").etag("\"1\"").with("cache-control", "max-age=60");
        origin.expects("GET /a", tagged).expects("PUT /a", status(204));
        let house = House::with(origin.clone(), |policy| policy.verify = verify);
        let (cold, other) = (house.open("/a"), house.open("/a"));
        // Both have found nothing stored. One is answered before the other joins an exchange.
        assert!(cold.await.headers()["cache-status"].to_str().unwrap().starts_with("truehit; fwd=uri-miss"));
        let reply = other.await;
        assert!(reply.headers()["cache-status"].to_str().unwrap().ends_with(&format!("; detail={detail}")));
        // Likewise where both have found what is stored to be invalidated.
        house.send_content("PUT", "/a", "new").await;
        origin.expects("GET /a", status(304).etag("\"1\"").with("cache-control", "max-age=60"));
        let (early, other) = (house.open("/a"), house.open("/a"));
        assert!(early.await.headers()["cache-status"].to_str().unwrap().ends_with("; detail=checked"));
        let reply = other.await;
        assert!(reply.headers()["cache-status"].to_str().unwrap().ends_with(&format!("; detail={detail}")));
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn when_stale_shares_no_answer_that_must_be_validated_for_each_request() {
    let origin = Script::new();
    let stale = |content: &str| ok(content).etag("\"1\"").with("cache-control", "max-age=0");
    let gate = origin.holds("GET /a", stale("old"));
    let house = House::with(origin.clone(), |policy| policy.verify = Verify::WhenStale);
    let second = house.clone();
    origin.expects("GET /a", stale("new"));
    assert_eq!(rides(&house, gate, async move { second.get("/a").await }).await.text(), "new");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn when_stale_serves_what_is_fresh_and_validates_what_is_not() {
    let origin = Script::new();
    origin.expects("GET /a", ok("one").etag("W/\"1\"").with("cache-control", "max-age=60")).expects_with(
        "GET /a",
        &[("if-none-match", Some("W/\"1\""))],
        status(304).etag("W/\"1\"").with("cache-control", "max-age=60"),
    );
    let house = House::with(origin.clone(), |policy| policy.verify = Verify::WhenStale);
    house.get("/a").await;
    tokio::time::advance(Duration::from_secs(59)).await;
    let fresh = house.get("/a").await;
    assert_eq!(fresh.cache_status(), "truehit; hit; ttl=1; detail=fresh");
    assert_eq!(fresh.field("age"), "59");
    tokio::time::advance(Duration::from_secs(1)).await;
    let validated = house.get("/a").await;
    assert_eq!(validated.cache_status(), "truehit; fwd=stale; fwd-status=304; detail=checked");
    assert_eq!(house.get("/a").await.cache_status(), "truehit; hit; ttl=60; detail=fresh");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn when_stale_stores_nothing_that_could_never_be_used() {
    let origin = Script::new();
    origin.expects("GET /a", ok("one")).expects("GET /a", ok("two"));
    let house = House::with(origin.clone(), |policy| policy.verify = Verify::WhenStale);
    assert_eq!(house.get("/a").await.cache_status(), "truehit; fwd=uri-miss; fwd-status=200; detail=never-usable");
    assert_eq!(house.get("/a").await.text(), "two");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn off_passes_everything() {
    let origin = Script::new();
    origin.expects("GET /a", ok("one").etag("\"1\"")).expects("GET /a", ok("one").etag("\"1\""));
    let house = House::with(origin.clone(), |policy| policy.verify = Verify::Off);
    for _ in 0..2 {
        let reply = house.get("/a").await;
        assert_eq!(reply.cache_status(), "truehit; fwd=bypass; fwd-status=200; detail=verify-off");
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn only_if_cached_is_never_forwarded() {
    let origin = Script::new();
    let house = House::new(origin.clone());
    let refused = house.get_with("/a", &[("cache-control", "only-if-cached")]).await;
    assert_eq!(refused.status, 504);
    assert_eq!(refused.field("proxy-status"), "truehit; error=proxy_internal_response");
    origin.done();
}
