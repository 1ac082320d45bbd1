//! Collapsing without lying: requests share an exchange only if it began after they arrived (catalogue F6-F8).

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;
use truehit::origin::OriginError;

use crate::house::{House, settle};
use crate::script::{Answer, Gate, Script, ok, status};

/// Starts a GET.
fn reader(house: &House<Script>) -> tokio::task::JoinHandle<crate::house::Reply> {
    let house = house.clone();
    tokio::spawn(async move { house.get("/a").await })
}

/// A moment later, starts `count` GETs and lets each run until it waits.
async fn readers(house: &House<Script>, count: usize) -> Vec<tokio::task::JoinHandle<crate::house::Reply>> {
    tokio::time::advance(Duration::from_millis(1)).await;
    let readers = (0..count).map(|_| reader(house)).collect();
    settle().await;
    readers
}

/// A proxy whose first reader waits for an exchange that the origin holds.
async fn held(origin: &Script, answer: Answer) -> (House<Script>, Gate, tokio::task::JoinHandle<crate::house::Reply>) {
    let mut gate = origin.holds("GET /a", answer);
    let house = House::new(origin.clone());
    let leader = reader(&house);
    gate.reached().await;
    (house, gate, leader)
}

#[tokio::test(start_paused = true)]
async fn a_cold_herd_makes_one_fetch() {
    let origin = Script::new();
    let (house, gate, leader) = held(&origin, ok("one").etag("\"1\"")).await;
    // These arrive while the exchange runs: its answer may be older than they are, so they ask together, after it.
    origin.expects("GET /a", status(304).etag("\"1\""));
    let herd = readers(&house, 1000).await;
    gate.release();
    assert_eq!(leader.await.unwrap().text(), "one");
    let mut collapsed = 0;
    for reply in join_all(herd).await {
        let reply = reply.unwrap();
        assert_eq!(reply.text(), "one");
        collapsed += usize::from(reply.cache_status().contains("; collapsed"));
    }
    assert_eq!(collapsed, 999);
    assert_eq!(origin.count(), 2);
    assert_eq!(house.metric("truehit_collapsed_requests_total{route=\"default\"}"), 999.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_read_that_follows_a_write_never_rides_on_an_older_check() {
    let origin = Script::new();
    origin.expects("GET /a", ok("old").etag("\"1\""));
    let house = House::new(origin.clone());
    house.get("/a").await;
    // The origin evaluates this check before the write, and answers after it.
    let mut gate = origin.holds("GET /a", status(304).etag("\"1\""));
    let early = reader(&house);
    gate.reached().await;
    // Now the write is acknowledged, around the proxy; whoever reads from here on must see it.
    origin.expects("GET /a", ok("new").etag("\"2\""));
    let late = readers(&house, 3).await;
    gate.release();
    assert_eq!(early.await.unwrap().text(), "old");
    for reply in join_all(late).await {
        assert_eq!(reply.unwrap().text(), "new");
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn followers_survive_a_leader_that_leaves() {
    let origin = Script::new();
    let (house, gate, leader) = held(&origin, ok("one").etag("\"1\"")).await;
    origin.expects("GET /a", status(304).etag("\"1\""));
    let followers = readers(&house, 2).await;
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    gate.release();
    for reply in join_all(followers).await {
        assert_eq!(reply.unwrap().text(), "one");
    }
    assert_eq!(house.metric("truehit_requests_total{route=\"default\",outcome=\"refused\",code=\"4xx\"}"), 1.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_shared_goes_to_the_one_that_asked_and_holds_nobody_up() {
    let origin = Script::new();
    let private = |content: &str| ok(content).with("cache-control", "private");
    let (house, gate, leader) = held(&origin, private("first")).await;
    let followers = readers(&house, 2).await;
    origin.expects("GET /a", private("second")).expects("GET /a", private("third"));
    gate.release();
    assert_eq!(leader.await.unwrap().text(), "first");
    let mut seen = Vec::new();
    for reply in join_all(followers).await {
        seen.push(reply.unwrap().text().to_owned());
    }
    seen.sort();
    assert_eq!(seen, ["second", "third"], "one body each");
    // It is remembered, so later requests are not queued behind each other.
    let mut gates = [origin.holds("GET /a", private("x")), origin.holds("GET /a", private("y"))];
    let both = readers(&house, 2).await;
    for gate in &mut gates {
        assert!(gate.reached().now_or_never().is_some(), "both are at the origin at once");
    }
    gates.into_iter().for_each(Gate::release);
    join_all(both).await;
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_cold_batch_is_split_by_the_vary_that_comes_back() {
    let origin = Script::new();
    origin.expects("GET /warm", ok("x").etag("\"w\""));
    let mut warm = origin.holds("GET /a", ok("busy").with("cache-control", "no-store"));
    let house = House::new(origin.clone());
    house.get("/warm").await;
    let ask = |language: &'static str| {
        let house = house.clone();
        tokio::spawn(async move { house.get_with("/a", &[("x-tenant", language)]).await })
    };
    let first = ask("one");
    warm.reached().await;
    // Two tenants queue in one batch, since nothing says yet that the field selects.
    let (one, two) = (ask("one"), ask("two"));
    settle().await;
    origin.expects_with("GET /a", &[("x-tenant", Some("one"))], ok("for one").etag("\"1\"").with("vary", "X-Tenant"));
    origin.expects_with("GET /a", &[("x-tenant", Some("two"))], ok("for two").etag("\"2\"").with("vary", "X-Tenant"));
    warm.release();
    first.await.unwrap();
    assert_eq!(one.await.unwrap().text(), "for one");
    assert_eq!(two.await.unwrap().text(), "for two");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_failed_exchange_fails_its_batch_and_no_other() {
    let origin = Script::new();
    let (house, gate, leader) = held(&origin, ok("one").etag("\"1\"")).await;
    origin.fails("GET /a", OriginError::ConnectionRefused);
    let batch = readers(&house, 3).await;
    gate.release();
    assert_eq!(leader.await.unwrap().status, 200);
    for reply in join_all(batch).await {
        let reply = reply.unwrap();
        assert_eq!(reply.status, 502);
        assert_eq!(reply.field("proxy-status"), "truehit; error=connection_refused");
    }
    origin.expects("GET /a", status(304).etag("\"1\""));
    assert_eq!(house.get("/a").await.text(), "one");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_reader_joins_a_body_on_its_way_in_once_a_check_confirms_it() {
    let origin = Script::new();
    let (answer, pieces) = ok("").etag("\"1\"").streamed();
    origin.expects("GET /a", answer);
    let house = House::new(origin.clone());
    let first = reader(&house);
    settle().await;
    pieces.send(Ok(http_body::Frame::data("one ".into()))).unwrap();
    origin.expects_with("GET /a", &[("if-none-match", Some("\"1\""))], status(304).etag("\"1\""));
    let second = reader(&house);
    settle().await;
    pieces.send(Ok(http_body::Frame::data("two".into()))).unwrap();
    drop(pieces);
    assert_eq!(first.await.unwrap().text(), "one two");
    let second = second.await.unwrap();
    assert_eq!(
        (second.text(), second.cache_status()),
        ("one two", "truehit; fwd=stale; fwd-status=304; detail=checked")
    );
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_was_queued_before_vary_was_known_is_split_when_a_check_confirms_one_variant() {
    let origin = Script::new();
    let variant = |content: &str, tag: &str| ok(content).etag(tag).with("vary", "x-tenant");
    let mut first = origin.holds("GET /a", variant("for a", "\"a\""));
    origin
        .expects_with("GET /a", &[("x-tenant", Some("a")), ("if-none-match", Some("\"a\""))], status(304).etag("\"a\""))
        .expects_with(
            "GET /a",
            &[("x-tenant", Some("b")), ("if-none-match", Some("\"a\""))],
            variant("for b", "\"b\""),
        );
    let house = House::new(origin.clone());
    let read = |tenant: &'static str| {
        let house = house.clone();
        tokio::spawn(async move { house.get_with("/a", &[("x-tenant", tenant)]).await })
    };
    let leader = read("a");
    first.reached().await;
    tokio::time::advance(Duration::from_millis(1)).await;
    let same = read("a");
    settle().await;
    let other = read("b");
    settle().await;
    first.release();
    assert_eq!(leader.await.unwrap().text(), "for a");
    assert_eq!(same.await.unwrap().text(), "for a");
    assert_eq!(other.await.unwrap().text(), "for b", "the check spoke of the other tenant's variant");
    origin.done();
}

/// An origin with a bug of ours in it: its first exchange panics.
struct Panics {
    script: Script,
    again: std::sync::atomic::AtomicBool,
}

impl truehit::origin::Origin for Panics {
    type Body = crate::script::ScriptBody;

    async fn send(
        &self,
        purpose: truehit::origin::Purpose,
        outgoing: &mut truehit::origin::Outgoing<'_>,
    ) -> Result<http::Response<Self::Body>, OriginError> {
        if !self.again.swap(true, std::sync::atomic::Ordering::Relaxed) {
            settle().await;
            panic!("an exchange that panics");
        }
        self.script.send(purpose, outgoing).await
    }
}

/// Catalogue F8.
#[tokio::test(start_paused = true)]
async fn followers_survive_a_leader_that_panics() {
    let origin = Script::new();
    for _ in 0..10 {
        origin.expects("GET /a", ok("content").etag("\"1\""));
    }
    let house = House::new(Panics { script: origin.clone(), again: false.into() });
    let readers: Vec<_> = (0..10)
        .map(|_| {
            let house = house.clone();
            tokio::spawn(async move { house.get("/a").await })
        })
        .collect();
    for reader in readers {
        assert_eq!(reader.await.unwrap().text(), "content");
    }
}
