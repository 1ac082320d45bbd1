//! Requests for parts (RFC 9110 §14), and parts that are stored (RFC 9111 §3.3, §3.4).

use truehit::rules::policy::{Policy, Verify};

use crate::house::{House, Reply, settle};
use crate::script::{Script, ok, status};

const DATE: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

fn when_stale(policy: &mut Policy) {
    policy.verify = Verify::WhenStale;
}

/// A stored "0123456789" under `"1"`, and the reply to a GET with these fields that the origin confirms it for.
async fn checked(fields: &[(&str, &str)]) -> Reply {
    let origin = Script::new();
    origin.expects("GET /a", ok("0123456789").etag("\"1\"").with("content-type", "text/plain")).expects_with(
        "GET /a",
        &[("if-none-match", Some("\"1\"")), ("range", None), ("if-range", None)],
        status(304).etag("\"1\""),
    );
    let house = House::new(origin.clone());
    house.get("/a").await;
    let reply = house.get_with("/a", fields).await;
    origin.done();
    reply
}

/// Status, `Content-Range` and content.
fn part(reply: &Reply) -> (u16, &str, &str) {
    (reply.status.as_u16(), reply.field("content-range"), reply.text())
}

#[tokio::test(start_paused = true)]
async fn a_part_of_what_is_stored_is_served_after_a_check_of_the_whole() {
    for (range, expected) in [
        ("bytes=0-1", (206, "bytes 0-1/10", "01")),
        ("bytes=6-", (206, "bytes 6-9/10", "6789")),
        ("bytes=-1", (206, "bytes 9-9/10", "9")),
        ("bytes=0-", (206, "bytes 0-9/10", "0123456789")),
        ("bytes=0-1,3-4", (206, "bytes 0-4/10", "01234")),
        ("bytes=10-", (416, "bytes */10", "")),
        ("bytes=4-2", (200, "", "0123456789")),
    ] {
        let reply = checked(&[("range", range)]).await;
        assert_eq!(part(&reply), expected, "{range}");
        assert_eq!(reply.field("content-length"), expected.2.len().to_string(), "{range}");
        assert_eq!(reply.cache_status(), "truehit; fwd=stale; fwd-status=304; detail=checked", "{range}");
        let metadata = if expected.0 == 416 { "" } else { "text/plain" };
        assert_eq!(reply.field("content-type"), metadata, "{range}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_on_condition_is_sent_if_the_client_holds_the_same_representation() {
    for (validator, expected) in [
        ("\"1\"", (206, "bytes 8-9/10", "89")),
        ("\"2\"", (200, "", "0123456789")),
        ("W/\"1\"", (200, "", "0123456789")),
        (DATE, (200, "", "0123456789")),
    ] {
        let reply = checked(&[("range", "bytes=8-"), ("if-range", validator)]).await;
        assert_eq!(part(&reply), expected, "{validator}");
        let known = expected.0 == 206;
        assert_eq!(reply.field("content-type"), if known { "" } else { "text/plain" }, "RFC 9110 §15.3.7");
        assert_eq!(reply.field("etag"), "\"1\"");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_client_has_already_is_not_sent_in_parts_either() {
    let reply = checked(&[("range", "bytes=8-"), ("if-none-match", "\"1\"")]).await;
    assert_eq!(part(&reply), (304, "", ""), "RFC 9110 §13.2.2");
    let reply = checked(&[("range", "bytes=99-"), ("if-none-match", "\"1\"")]).await;
    assert_eq!(part(&reply), (304, "", ""), "before it is known whether there is such a part");
}

#[tokio::test(start_paused = true)]
async fn head_ignores_range() {
    let origin = Script::new();
    origin.expects("GET /a", ok("0123456789").etag("\"1\"")).expects("GET /a", status(304).etag("\"1\""));
    let house = House::new(origin.clone());
    house.get("/a").await;
    let reply = house.send("HEAD", "/a", &[("range", "bytes=0-1")]).await;
    assert_eq!((part(&reply), reply.field("content-length")), ((200, "", ""), "10"), "RFC 9110 §14.2");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn several_parts_are_sent_in_one_content() {
    let long = "0123456789".repeat(20);
    let origin = Script::new();
    origin
        .expects("GET /a", ok(&long).etag("\"1\"").with("content-type", "text/plain"))
        .expects("GET /a", status(304).etag("\"1\""));
    let house = House::new(origin.clone());
    house.get("/a").await;
    let reply = house.get_with("/a", &[("range", "bytes=-2, 0-1")]).await;
    let boundary = reply.field("content-type").strip_prefix("multipart/byteranges; boundary=").unwrap().to_owned();
    let expected = format!(
        "--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 198-199/200\r\n\r\n89\r\n\
         --{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/200\r\n\r\n01\r\n--{boundary}--\r\n"
    );
    assert_eq!(part(&reply), (206, "", &*expected), "RFC 9110 §15.3.7.2: in the order asked for");
    assert_eq!(reply.field("content-length"), expected.len().to_string());
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn what_is_fresh_serves_parts_unasked() {
    let origin = Script::new();
    origin
        .expects("GET /a", ok("0123456789").with("cache-control", "max-age=60").with("a", "1"))
        .expects("GET /empty", ok("").with("cache-control", "max-age=60"));
    let house = House::with(origin.clone(), when_stale);
    house.get("/a").await;
    let reply = house.get_with("/a", &[("range", "bytes=1-3")]).await;
    assert_eq!(part(&reply), (206, "bytes 1-3/10", "123"));
    assert_eq!(reply.cache_status(), "truehit; hit; ttl=60; detail=fresh");
    assert_eq!((reply.field("a"), reply.field("age")), ("1", "0"));
    let tag = reply.field("etag").to_owned();
    let again = house.get_with("/a", &[("range", "bytes=4-"), ("if-range", &tag)]).await;
    assert_eq!(part(&again), (206, "bytes 4-9/10", "456789"), "our own strong tag is one");
    house.get("/empty").await;
    assert_eq!(part(&house.get_with("/empty", &[("range", "bytes=0-")]).await), (416, "bytes */0", ""));
    assert_eq!(part(&house.get_with("/empty", &[("range", "bytes=-5")]).await), (200, "", ""));
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_date_is_a_condition_if_it_was_old_enough_as_the_content_came() {
    let dated = |date: &str| ok("0123456789").with("last-modified", DATE).with("date", date);
    let origin = Script::new();
    let fresh = "max-age=60";
    origin
        .expects("GET /old", dated("Thu, 01 Jan 2026 00:00:02 GMT").with("cache-control", fresh))
        .expects("GET /young", dated("Thu, 01 Jan 2026 00:00:01 GMT").with("cache-control", fresh));
    let house = House::with(origin.clone(), when_stale);
    for (target, expected) in [("/old", (206, "bytes 8-9/10", "89")), ("/young", (200, "", "0123456789"))] {
        house.get(target).await;
        let reply = house.get_with(target, &[("range", "bytes=8-"), ("if-range", DATE)]).await;
        assert_eq!(part(&reply), expected, "RFC 9110 §8.8.2.2: {target}");
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_part_of_what_changed_is_cut_from_it_as_it_comes_in() {
    let origin = Script::new();
    origin
        .expects("GET /a", ok("0123456789").etag("\"1\""))
        .expects_with("GET /a", &[("range", None)], ok("abcdefghij").etag("\"2\"").with("content-length", "10"))
        .expects_with("GET /a", &[("if-none-match", Some("\"2\""))], status(304).etag("\"2\""));
    let house = House::new(origin.clone());
    house.get("/a").await;
    let reply = house.get_with("/a", &[("range", "bytes=2-4")]).await;
    assert_eq!(part(&reply), (206, "bytes 2-4/10", "cde"));
    assert_eq!(reply.cache_status(), "truehit; fwd=stale; fwd-status=200; stored; detail=changed");
    settle().await;
    assert_eq!(house.get("/a").await.text(), "abcdefghij", "and it was recorded whole");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_range_of_what_is_not_stored_goes_to_the_origin_as_it_is() {
    let origin = Script::new();
    let asked = [("range", Some("bytes=0-1")), ("if-range", Some("\"1\""))];
    origin
        .expects_with("GET /a", &asked, status(206).content("01").with("content-range", "bytes 0-1/10"))
        .expects_with("GET /a", &[("range", Some("bytes=99-"))], status(416).with("content-range", "bytes */10"))
        .expects_with("GET /a", &[("range", Some("items=0-1"))], ok("two items"));
    let house = House::new(origin.clone());
    let reply = house.get_with("/a", &[("range", "bytes=0-1"), ("if-range", "\"1\"")]).await;
    assert_eq!(part(&reply), (206, "bytes 0-1/10", "01"));
    assert_eq!(reply.cache_status(), "truehit; fwd=uri-miss; fwd-status=206; detail=partial");
    let reply = house.get_with("/a", &[("range", "bytes=99-")]).await;
    assert_eq!(part(&reply), (416, "bytes */10", ""));
    let reply = house.get_with("/a", &[("range", "items=0-1")]).await;
    assert_eq!(part(&reply), (200, "", "two items"));
    assert_eq!(reply.cache_status(), "truehit; fwd=partial; fwd-status=200; detail=range");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_to_a_range_is_stored_and_cut() {
    let origin = Script::new();
    origin
        .expects_with(
            "GET /a",
            &[("range", Some("bytes=2-4"))],
            ok("0123456789").etag("\"1\"").with("content-length", "10"),
        )
        .expects_with("GET /a", &[("if-none-match", Some("\"1\"")), ("range", None)], status(304).etag("\"1\""));
    let house = House::new(origin.clone());
    let reply = house.get_with("/a", &[("range", "bytes=2-4")]).await;
    assert_eq!(part(&reply), (206, "bytes 2-4/10", "234"));
    settle().await;
    assert_eq!(house.get("/a").await.text(), "0123456789");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn requests_for_different_parts_share_no_exchange() {
    let origin = Script::new();
    let first = origin.holds("GET /a", status(206).content("01").with("content-range", "bytes 0-1/10"));
    origin
        .expects_with(
            "GET /a",
            &[("range", Some("bytes=2-3"))],
            status(206).content("23").with("content-range", "bytes 2-3/10"),
        )
        .expects_with("GET /a", &[("range", None)], ok("0123456789").etag("\"1\""));
    let house = House::new(origin.clone());
    let one = {
        let house = house.clone();
        tokio::spawn(async move { house.get_with("/a", &[("range", "bytes=0-1")]).await })
    };
    settle().await;
    let two = house.get_with("/a", &[("range", "bytes=2-3")]).await;
    let whole = house.get("/a").await;
    first.release();
    assert_eq!((two.text(), whole.text(), one.await.unwrap().text()), ("23", "0123456789", "01"));
    origin.done();
}
