//! The breaker (`origin.breaker`): an origin that fails is left alone for a while, and that is said.

use std::time::Duration;

use truehit::origin::OriginError;
use truehit::rules::policy::OnCheckError;

use crate::house::House;
use crate::script::{Script, ok, status};

const STATE: &str = "truehit_origin_breaker_state";
const OPENED: &str = "truehit_origin_breaker_opened_total";
const SECOND: Duration = Duration::from_secs(1);

/// An origin that has failed as often as it takes.
async fn opened(house: &House<Script>, origin: &Script) {
    for _ in 0..20 {
        assert_eq!(house.metric(STATE), 0.0);
        origin.fails("GET /a", OriginError::ConnectionRefused);
        assert_eq!(house.get("/a").await.status, 502);
    }
    assert_eq!((house.metric(STATE), house.metric(OPENED)), (2.0, 1.0));
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_fails_is_not_asked_and_its_clients_are_told_when_to_come_back() {
    let origin = Script::new();
    let house = House::new(origin.clone());
    opened(&house, &origin).await;
    let asked = origin.count();
    for target in ["/a", "/b"] {
        let refused = house.get(target).await;
        assert_eq!(refused.status, 503);
        assert_eq!(refused.field("proxy-status"), "truehit; error=destination_unavailable");
        assert!(matches!(refused.field("retry-after"), "1" | "2"), "a second, and by chance up to a quarter more");
    }
    assert_eq!(origin.count(), asked, "nothing was sent");
    let held_back = "truehit_origin_requests_total{purpose=\"fetch\",code=\"destination_unavailable\"}";
    assert_eq!(house.metric(held_back), 2.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn one_exchange_tries_and_what_becomes_of_it_is_for_all() {
    let origin = Script::new();
    let house = House::new(origin.clone());
    opened(&house, &origin).await;
    tokio::time::advance(SECOND * 5 / 4).await;
    origin.fails("GET /a", OriginError::ResponseTimeout);
    assert_eq!(house.get("/a").await.status, 504, "the one that tried says what it saw");
    assert_eq!((house.get("/a").await.status.as_u16(), house.metric(OPENED)), (503, 2.0));
    tokio::time::advance(SECOND).await;
    assert_eq!(house.get("/a").await.status, 503, "for twice as long");
    tokio::time::advance(SECOND * 3 / 2).await;
    let gate = origin.holds("GET /a", ok("one"));
    let trying = tokio::spawn({
        let house = house.clone();
        async move { house.get("/a").await }
    });
    let mut gate = gate;
    gate.reached().await;
    assert_eq!(
        (house.get("/b").await.status.as_u16(), house.metric(STATE)),
        (503, 1.0),
        "others wait for what it finds"
    );
    gate.release();
    assert_eq!(trying.await.unwrap().text(), "one");
    origin.expects("GET /b", ok("two"));
    assert_eq!((house.get("/b").await.text(), house.metric(STATE)), ("two", 0.0));
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn what_a_status_says_is_no_failure_and_neither_is_what_we_do_ourselves() {
    let origin = Script::new();
    let house = House::new(origin.clone());
    for _ in 0..100 {
        origin.expects("GET /a", status(500)).fails("GET /b", OriginError::ConnectionLimit);
        assert_eq!(house.get("/a").await.status, 500);
        let busy = house.get("/b").await;
        assert_eq!((busy.status.as_u16(), busy.field("retry-after")), (503, "1"));
    }
    assert_eq!(house.metric(STATE), 0.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn what_passes_neither_opens_it_nor_is_held_back() {
    let origin = Script::new();
    let house = House::new(origin.clone());
    for _ in 0..100 {
        origin.fails("POST /a", OriginError::ResponseTimeout);
        assert_eq!(house.send("POST", "/a", &[]).await.status, 504);
    }
    assert_eq!(house.metric(STATE), 0.0);
    opened(&house, &origin).await;
    origin.expects("POST /a", status(204));
    assert_eq!(house.send("POST", "/a", &[]).await.status, 204);
    assert_eq!(house.metric(STATE), 2.0, "nor does it close it");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_is_served_stale_by_name_where_that_is_configured() {
    let origin = Script::new();
    origin.expects("GET /stored", ok("stored").etag("\"1\""));
    let hour = Duration::from_secs(3600);
    let house = House::with(origin.clone(), |policy| policy.on_check_error = OnCheckError::ServeStale(hour));
    house.get("/stored").await;
    opened(&house, &origin).await;
    let stale = house.get("/stored").await;
    assert_eq!((stale.text(), stale.cache_status()), ("stored", "truehit; fwd=stale; detail=stale-if-error"));
    assert_eq!(house.metric("truehit_excused_total{route=\"default\",policy=\"stale-if-error\"}"), 1.0);
    origin.done();
}
