//! Reuse under `when-stale` where requests meet: who waits, who does not, and what is kept (RFC 9111 §4, RFC 5861).

use std::time::Duration;

use truehit::rules::policy::{Policy, Verify};

use crate::house::{House, settle};
use crate::script::{Script, ok, status};

fn when_stale(policy: &mut Policy) {
    policy.verify = Verify::WhenStale;
}

async fn seconds(n: u64) {
    tokio::time::advance(Duration::from_secs(n)).await;
}

#[tokio::test(start_paused = true)]
async fn while_one_exchange_validates_nobody_waits_for_it() {
    let origin = Script::new();
    let control = "max-age=1, stale-while-revalidate=60";
    origin.expects("GET /a", ok("old").etag("\"1\"").with("cache-control", control));
    let house = House::with(origin.clone(), when_stale);
    house.get("/a").await;
    seconds(2).await;
    let new = ok("new").etag("\"2\"").with("cache-control", "max-age=60");
    let mut gate = origin.holds("GET /a", new);
    let stale = house.get("/a").await;
    assert_eq!((stale.text(), stale.cache_status()), ("old", "truehit; hit; detail=stale-while-revalidate"));
    gate.reached().await;
    for _ in 0..10 {
        assert_eq!(house.get("/a").await.text(), "old", "one exchange is enough (RFC 5861 §3)");
    }
    gate.release();
    settle().await;
    let fresh = house.get("/a").await;
    assert_eq!(fresh.text(), "new");
    assert!(fresh.cache_status().starts_with("truehit; hit; ttl="), "{}", fresh.cache_status());
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn an_error_does_not_take_the_place_of_what_may_be_served_in_its_stead() {
    let origin = Script::new();
    let control = "max-age=1, stale-if-error=60";
    let error = || status(503).with("cache-control", "max-age=60");
    origin
        .expects("GET /a", ok("one").etag("\"1\"").with("cache-control", control))
        .expects("GET /a", error())
        .expects("GET /a", status(304).etag("\"1\"").with("cache-control", control))
        .expects("GET /a", error());
    let house = House::with(origin.clone(), when_stale);
    house.get("/a").await;
    seconds(2).await;
    let stale = house.get("/a").await;
    assert_eq!((stale.status.as_u16(), stale.text()), (200, "one"));
    assert_eq!(stale.cache_status(), "truehit; fwd=stale; fwd-status=503; detail=stale-if-error");
    assert_eq!(house.get("/a").await.text(), "one", "the origin is asked again");
    seconds(100).await;
    let late = house.get("/a").await;
    assert_eq!(late.status.as_u16(), 503, "past the window the error is the answer (RFC 5861 §4)");
    assert_eq!(house.get("/a").await.status.as_u16(), 503, "and is fresh itself (RFC 9111 §3)");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn fields_that_private_names_reach_only_the_one_that_asked() {
    let origin = Script::new();
    let mut gate =
        origin.holds("GET /a", ok("one").with("cache-control", "max-age=60, private=\"x-user\"").with("x-user", "ann"));
    let house = House::with(origin.clone(), when_stale);
    let asker = {
        let house = house.clone();
        tokio::spawn(async move { house.get("/a").await })
    };
    gate.reached().await;
    let follower = {
        let house = house.clone();
        tokio::spawn(async move { house.get("/a").await })
    };
    settle().await;
    gate.release();
    let (asker, follower) = (asker.await.unwrap(), follower.await.unwrap());
    assert_eq!((asker.text(), asker.field("x-user")), ("one", "ann"));
    assert!(follower.cache_status().contains("; collapsed"), "{}", follower.cache_status());
    assert_eq!((follower.text(), follower.field("x-user")), ("one", ""), "RFC 9111 §5.2.2.7");
    assert_eq!(house.get("/a").await.field("x-user"), "", "and it is not stored");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn fields_that_no_cache_names_leave_only_with_what_was_validated() {
    let origin = Script::new();
    origin
        .expects(
            "GET /a",
            ok("one").etag("\"1\"").with("cache-control", "max-age=1, no-cache=\"x-user\"").with("x-user", "ann"),
        )
        .expects("GET /a", status(304).etag("\"1\""));
    let house = House::with(origin.clone(), when_stale);
    house.get("/a").await;
    assert_eq!(house.get("/a").await.field("x-user"), "", "RFC 9111 §5.2.2.4");
    seconds(2).await;
    assert_eq!(house.get("/a").await.field("x-user"), "ann", "the origin has just said that it is current");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_head_that_describes_another_response_drops_the_stored_one() {
    let origin = Script::new();
    let one = || ok("one").with("cache-control", "max-age=1");
    origin
        .expects("GET /a", one())
        .expects(
            "HEAD /a",
            status(200).with("content-length", "3").with("cache-control", "max-age=60").with("x-a", "2"),
        )
        .expects("GET /b", one())
        .expects("HEAD /b", status(200).with("content-length", "4"))
        .expects("GET /b", ok("four"));
    let house = House::with(origin.clone(), when_stale);
    for target in ["/a", "/b"] {
        house.get(target).await;
        seconds(2).await;
        assert_eq!(house.send("HEAD", target, &[]).await.status.as_u16(), 200);
    }
    let freshened = house.get("/a").await;
    assert_eq!((freshened.text(), freshened.field("x-a")), ("one", "2"), "RFC 9111 §4.3.5");
    let stale_ok = [("cache-control", "max-stale")];
    assert_eq!(
        house.get_with("/b", &stale_ok).await.text(),
        "four",
        "not even a client that accepts stale ones gets it"
    );
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_write_invalidates_what_its_response_names_on_its_own_origin() {
    let origin = Script::new();
    let fresh = || ok("old").with("cache-control", "max-age=60");
    for target in ["/made", "/also", "/far"] {
        origin.expects(&format!("GET {target}"), fresh());
    }
    let written = status(201).with("location", "/made").with("content-location", "http://api.test/also");
    origin
        .expects("POST /things", written)
        .expects("POST /things", status(201).with("location", "http://other.test/far"))
        .expects("POST /things", status(500).with("location", "/far"))
        .expects("GET /made", fresh())
        .expects("GET /also", fresh());
    let house = House::with(origin.clone(), when_stale);
    for target in ["/made", "/also", "/far"] {
        house.get(target).await;
    }
    for _ in 0..3 {
        house.send("POST", "/things", &[]).await;
    }
    for target in ["/made", "/also", "/far"] {
        house.get(target).await;
    }
    origin.done();
}
