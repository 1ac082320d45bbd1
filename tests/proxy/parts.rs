//! Parts that prove less than a strict cache asks of them (`parts = "lenient"`).

use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use truehit::rules::policy::{Policy, Verify};

use crate::house::{House, Reply, settle};
use crate::script::{Answer, Script, ok, status};

type Adjust = fn(&mut Policy);

fn lenient(policy: &mut Policy) {
    (policy.verify, policy.lenient_parts) = (Verify::WhenStale, true);
}

fn exact(policy: &mut Policy) {
    policy.verify = Verify::WhenStale;
}

/// A fresh 206 of this content with this `Content-Range`.
fn part(content: &str, content_range: &str) -> Answer {
    status(206).content(content).with("content-range", content_range).with("cache-control", "max-age=3600")
}

/// A fresh 200 of "0123456789".
fn whole() -> Answer {
    ok("0123456789").with("cache-control", "max-age=3600")
}

/// Status, `Content-Range` and content.
fn seen(reply: &Reply) -> (u16, &str, &str) {
    (reply.status.as_u16(), reply.field("content-range"), reply.text())
}

#[tokio::test(start_paused = true)]
async fn a_suffix_that_contradicts_itself_is_placed_by_its_first_position() {
    let declared = part("01234", "bytes 4-9/10").with("content-length", "5");
    let (streamed, pieces) = part("", "bytes 4-9/10").streamed();
    for piece in ["012", "34"] {
        pieces.send(Ok(Frame::data(Bytes::from_static(piece.as_bytes())))).unwrap();
    }
    drop(pieces);
    for answer in [declared, streamed] {
        let origin = Script::new();
        origin.expects_with("GET /a", &[("range", Some("bytes=-5"))], answer);
        let house = House::with(origin.clone(), lenient);
        let first = house.get_with("/a", &[("range", "bytes=-5")]).await;
        assert_eq!(seen(&first), (206, "bytes 4-9/10", "01234"), "who asked gets what the origin said");
        settle().await;
        for (range, expected) in [
            ("bytes=-5", (206, "bytes 4-8/9", "01234")),
            ("bytes=6-8", (206, "bytes 6-8/9", "234")),
            ("bytes=6-", (206, "bytes 6-8/9", "234")),
            ("bytes=-1", (206, "bytes 8-8/9", "4")),
        ] {
            let reply = house.get_with("/a", &[("range", range)]).await;
            assert_eq!(seen(&reply), expected, "{range}");
            assert_eq!(reply.cache_status(), "truehit; hit; ttl=3600; detail=fresh", "{range}");
            assert_eq!(reply.field("content-length"), expected.2.len().to_string(), "{range}");
        }
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn what_else_contradicts_itself_is_passed_on() {
    for (adjust, range, content, stated) in [
        (exact as Adjust, "bytes=-5", "01234", "bytes 4-9/10"),
        (lenient, "bytes=-5", "0123", "bytes 4-9/10"),
        (lenient, "bytes=-5", "0123456", "bytes 4-9/10"),
        (lenient, "bytes=4-8", "01234", "bytes 4-9/10"),
        (lenient, "bytes=-5", "01234", "bytes 0-9/10"),
    ] {
        let origin = Script::new();
        for _ in 0..2 {
            origin.expects_with("GET /a", &[("range", Some(range))], part(content, stated));
        }
        let house = House::with(origin.clone(), adjust);
        for _ in 0..2 {
            assert_eq!(seen(&house.get_with("/a", &[("range", range)]).await), (206, stated, content));
            settle().await;
        }
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn a_guessed_part_takes_no_other_in_and_is_not_completed() {
    let origin = Script::new();
    origin
        .expects("GET /a", part("56789", "bytes 4-9/10").etag("\"1\""))
        .expects_with("GET /a", &[("range", Some("bytes=0-3"))], part("0123", "bytes 0-3/9").etag("\"1\""))
        .expects_with("GET /a", &[("range", Some("bytes=-5"))], part("56789", "bytes 4-9/10").etag("\"1\""))
        .expects_with("GET /a", &[("range", None), ("if-range", None)], whole());
    let house = House::with(origin.clone(), lenient);
    for range in ["bytes=-5", "bytes=0-3", "bytes=-5"] {
        house.get_with("/a", &[("range", range)]).await;
        settle().await;
    }
    assert_eq!(house.get("/a").await.text(), "0123456789");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn the_rest_of_a_fresh_part_is_asked_for_without_a_validator() {
    let origin = Script::new();
    origin.expects("GET /a", part("01234", "bytes 0-4/10")).expects_with(
        "GET /a",
        &[("range", Some("bytes=5-")), ("if-range", None)],
        whole(),
    );
    let house = House::with(origin.clone(), lenient);
    house.get_with("/a", &[("range", "bytes=-5")]).await;
    settle().await;
    let reply = house.get("/a").await;
    assert_eq!(seen(&reply), (200, "", "0123456789"));
    assert_eq!(reply.cache_status(), "truehit; fwd=partial; fwd-status=200; stored; detail=partial");
    settle().await;
    assert_eq!(house.get("/a").await.cache_status(), "truehit; hit; ttl=3600; detail=fresh", "and it is stored");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_cannot_be_joined_costs_a_route_one_round_trip() {
    let asked = [("range", Some("bytes=5-")), ("if-range", None)];
    for useless in [part("56789", "bytes 5-9/10"), status(416).with("content-range", "bytes */5")] {
        let origin = Script::new();
        origin
            .expects("GET /a", part("01234", "bytes 0-4/10"))
            .expects_with("GET /a", &asked, useless)
            .expects_with("GET /a", &[("range", None)], whole())
            .expects("GET /b", part("01234", "bytes 0-4/10"))
            .expects_with("GET /b", &[("range", None)], whole())
            .expects("GET /c", part("01234", "bytes 0-4/10"))
            .expects_with("GET /c", &asked, whole());
        let house = House::with(origin.clone(), lenient);
        for target in ["/a", "/b", "/c"] {
            if target == "/c" {
                // What was learned is forgotten after `relearn_after`.
                tokio::time::advance(Duration::from_secs(601)).await;
            }
            house.get_with(target, &[("range", "bytes=0-4")]).await;
            settle().await;
            let reply = house.get(target).await;
            assert_eq!(seen(&reply), (200, "", "0123456789"), "{target}");
            settle().await;
        }
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_not_asked_for_by_default_nor_where_the_part_is_stale() {
    let stale = part("01234", "bytes 0-4/10").with("last-modified", "Wed, 31 Dec 2025 23:59:59 GMT");
    let plain = part("01234", "bytes 0-4/10");
    for (adjust, answer, age) in [(exact as Adjust, plain, 0), (lenient, stale, 3600)] {
        let origin = Script::new();
        origin.expects("GET /a", answer).expects_with("GET /a", &[("range", None), ("if-range", None)], whole());
        let house = House::with(origin.clone(), adjust);
        house.get_with("/a", &[("range", "bytes=0-4")]).await;
        settle().await;
        tokio::time::advance(Duration::from_secs(age)).await;
        assert_eq!(house.get("/a").await.text(), "0123456789");
        origin.done();
    }
}
