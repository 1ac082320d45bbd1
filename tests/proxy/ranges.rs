//! Requests for parts (RFC 9110 §14), and parts that are stored (RFC 9111 §3.3, §3.4).

use truehit::rules::policy::{Policy, Verify};

use crate::house::{House, Reply, settle};
use crate::script::{Answer, Script, ok, status};

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
async fn a_tag_that_another_content_can_have_shared_is_no_condition() {
    let origin = Script::new();
    let young = ok("0123456789").etag("\"6955b900-a\"").with("last-modified", DATE);
    let young = young.with("date", "Thu, 01 Jan 2026 00:00:01 GMT").with("cache-control", "max-age=60");
    origin.expects("GET /f", young);
    let house = House::with(origin.clone(), when_stale);
    house.get("/f").await;
    let reply = house.get_with("/f", &[("range", "bytes=8-"), ("if-range", "\"6955b900-a\"")]).await;
    assert_eq!(part(&reply), (200, "", "0123456789"), "of time and length, within its second");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn several_parts_from_the_origin_are_passed_on_and_not_stored() {
    let origin = Script::new();
    let several =
        || status(206).content("--a\r\n..").with("content-type", "multipart/byteranges; boundary=a").etag("\"1\"");
    for _ in 0..2 {
        origin.expects_with("GET /a", &[("range", Some("bytes=0-0,200-")), ("if-none-match", None)], several());
    }
    let house = House::new(origin.clone());
    for _ in 0..2 {
        let reply = house.get_with("/a", &[("range", "bytes=0-0,200-")]).await;
        assert_eq!((part(&reply), reply.field("etag")), ((206, "", "--a\r\n.."), "\"1\""));
        assert_eq!(reply.cache_status(), "truehit; fwd=uri-miss; fwd-status=206; detail=partial");
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

/// A 206 with this part of "0123456789" under this tag.
fn piece(start: usize, end: usize, tag: &str) -> Answer {
    let range = format!("bytes {start}-{}/10", end - 1);
    status(206).content(&"0123456789"[start..end]).with("content-range", &range).etag(tag)
}

#[tokio::test(start_paused = true)]
async fn a_stored_part_is_checked_before_it_is_served() {
    let origin = Script::new();
    let check = [("if-none-match", Some("\"1\"")), ("range", Some("bytes=5-6")), ("if-range", None)];
    origin
        .expects_with("GET /a", &[("range", Some("bytes=4-8")), ("if-none-match", None)], piece(4, 9, "\"1\""))
        .expects_with("GET /a", &check, status(304).etag("\"1\""))
        .expects_with("GET /a", &check, piece(5, 7, "\"2\""))
        .expects_with("GET /a", &[("if-none-match", None), ("range", Some("bytes=0-1"))], piece(0, 2, "\"2\""));
    let house = House::new(origin.clone());
    let first = house.get_with("/a", &[("range", "bytes=4-8")]).await;
    assert_eq!(part(&first), (206, "bytes 4-8/10", "45678"));
    assert_eq!(first.cache_status(), "truehit; fwd=uri-miss; fwd-status=206; stored; detail=uri-miss");
    let second = house.get_with("/a", &[("range", "bytes=5-6")]).await;
    assert_eq!((part(&second), second.field("content-length")), ((206, "bytes 5-6/10", "56"), "2"));
    assert_eq!(second.cache_status(), "truehit; fwd=stale; fwd-status=304; detail=checked");
    let changed = house.get_with("/a", &[("range", "bytes=5-6")]).await;
    assert_eq!((part(&changed), changed.field("etag")), ((206, "bytes 5-6/10", "56"), "\"2\""));
    assert_eq!(changed.cache_status(), "truehit; fwd=stale; fwd-status=206; stored; detail=changed");
    let other = house.get_with("/a", &[("range", "bytes=0-1")]).await;
    assert_eq!(other.cache_status(), "truehit; fwd=partial; fwd-status=206; stored; detail=partial");
    assert_eq!(house.metric("truehit_cache_hits_total{route=\"default\"}"), 1.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_fresh_part_is_served_unasked_where_rfc_9111_is_the_rule() {
    let origin = Script::new();
    let fresh = status(206).content("45678").with("content-range", "bytes 4-8/10").with("cache-control", "max-age=60");
    origin
        .expects_with("GET /a", &[("range", Some("bytes=4-8"))], fresh.with("content-type", "text/plain"))
        .expects_with("GET /a", &[("range", Some("bytes=-5"))], piece(5, 10, "W/\"1\""))
        .expects_with("GET /a", &[("range", None)], ok("0123456789").with("cache-control", "max-age=60"));
    let house = House::with(origin.clone(), when_stale);
    house.get_with("/a", &[("range", "bytes=4-8")]).await;
    for (range, expected) in
        [("bytes=4-8", (206, "bytes 4-8/10", "45678")), ("bytes=6-8", (206, "bytes 6-8/10", "678"))]
    {
        let reply = house.get_with("/a", &[("range", range)]).await;
        assert_eq!(part(&reply), expected);
        assert_eq!(reply.cache_status(), "truehit; hit; ttl=60; detail=fresh");
        assert_eq!((reply.field("age"), reply.field("content-type")), ("0", "text/plain"));
    }
    let head = house.send("HEAD", "/a", &[("cache-control", "only-if-cached"), ("range", "bytes=4-8")]).await;
    assert_eq!(head.status, 504, "a part answers no HEAD");
    let lacking = house.get_with("/a", &[("range", "bytes=-5")]).await;
    assert_eq!(part(&lacking), (206, "bytes 5-9/10", "56789"), "RFC 9111 §3.3: byte 9 is not stored");
    let whole = house.get("/a").await;
    assert_eq!(
        (whole.status.as_u16(), whole.text()),
        (200, "0123456789"),
        "what is not the whole is never taken for it"
    );
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn two_parts_of_one_representation_are_combined() {
    let origin = Script::new();
    origin
        .expects("GET /a", piece(0, 5, "\"1\"").with("a", "1"))
        .expects_with("GET /a", &[("range", Some("bytes=3-7"))], piece(3, 8, "\"1\"").with("a", "2"))
        .expects_with("GET /a", &[("if-none-match", Some("\"1\""))], status(304).etag("\"1\""))
        .expects_with("GET /a", &[("range", Some("bytes=8-"))], piece(8, 10, "\"1\""))
        .expects_with("GET /a", &[("if-none-match", Some("\"1\"")), ("range", None)], status(304).etag("\"1\""));
    let house = House::new(origin.clone());
    house.get_with("/a", &[("range", "bytes=0-4")]).await;
    house.get_with("/a", &[("range", "bytes=3-7")]).await;
    settle().await;
    let both = house.get_with("/a", &[("range", "bytes=1-6")]).await;
    assert_eq!(part(&both), (206, "bytes 1-6/10", "123456"));
    assert_eq!(both.field("a"), "2", "RFC 9111 §3.4: the fields of the new response");
    house.get_with("/a", &[("range", "bytes=8-")]).await;
    settle().await;
    let whole = house.get("/a").await;
    assert_eq!((whole.status.as_u16(), whole.text(), whole.field("content-length")), (200, "0123456789", "10"));
    assert_eq!(whole.cache_status(), "truehit; fwd=stale; fwd-status=304; detail=checked");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn parts_of_different_representations_are_not() {
    let origin = Script::new();
    let check = [("if-none-match", Some("\"2\"")), ("range", Some("bytes=5-6"))];
    origin
        .expects("GET /a", piece(0, 5, "\"1\""))
        .expects_with("GET /a", &[("range", Some("bytes=5-7"))], piece(5, 8, "\"2\""))
        .expects_with("GET /a", &[("range", Some("bytes=3-6")), ("if-none-match", None)], piece(3, 7, "W/\"2\""))
        .expects_with("GET /a", &check, status(304).etag("\"2\""));
    let house = House::new(origin.clone());
    for range in ["bytes=0-4", "bytes=5-7", "bytes=3-6"] {
        house.get_with("/a", &[("range", range)]).await;
        settle().await;
    }
    assert_eq!(part(&house.get_with("/a", &[("range", "bytes=5-6")]).await), (206, "bytes 5-6/10", "56"));
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn the_whole_is_completed_by_what_a_stored_part_lacks() {
    for (start, end, lacking) in [(0, 5, "bytes=5-"), (5, 10, "bytes=0-4")] {
        for adjust in [|_: &mut Policy| {}, when_stale] {
            let origin = Script::new();
            let stored = piece(start, end, "\"1\"").with("content-type", "text/plain");
            let rest = if start == 0 { piece(5, 10, "\"1\"") } else { piece(0, 5, "\"1\"") };
            origin
                .expects("GET /a", stored)
                .expects_with("GET /a", &[("range", Some(lacking)), ("if-range", Some("\"1\""))], rest)
                .expects_with("GET /a", &[("if-none-match", Some("\"1\""))], status(304).etag("\"1\""));
            let house = House::with(origin.clone(), adjust);
            house.get_with("/a", &[("range", &format!("bytes={start}-{}", end - 1))]).await;
            settle().await;
            let whole = house.get("/a").await;
            assert_eq!((whole.status.as_u16(), whole.field("content-range"), whole.text()), (200, "", "0123456789"));
            assert_eq!((whole.field("content-length"), whole.field("content-type")), ("10", "text/plain"));
            assert_eq!(whole.cache_status(), "truehit; fwd=partial; fwd-status=206; stored; detail=partial");
            settle().await;
            assert_eq!(house.get("/a").await.text(), "0123456789", "and is stored");
            origin.done();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_does_not_complete_the_part_takes_its_place() {
    let lacking = [("range", Some("bytes=5-")), ("if-range", Some("\"1\""))];
    let whole = || ok("abcdefghij").etag("\"2\"");
    // If-Range says that it is another representation: the answer is the whole.
    let origin = Script::new();
    origin.expects("GET /a", piece(0, 5, "\"1\"")).expects_with("GET /a", &lacking, whole()).expects_with(
        "GET /a",
        &[("if-none-match", Some("\"2\""))],
        status(304).etag("\"2\""),
    );
    let house = House::new(origin.clone());
    house.get_with("/a", &[("range", "bytes=0-4")]).await;
    for _ in 0..2 {
        settle().await;
        assert_eq!(house.get("/a").await.text(), "abcdefghij");
    }
    origin.done();
    // The origin ignores If-Range, or has nothing there: the whole is asked for.
    for other in [piece(5, 10, "\"2\""), status(416).with("content-range", "bytes */3"), piece(4, 10, "\"1\"")] {
        let origin = Script::new();
        origin.expects("GET /a", piece(0, 5, "\"1\"")).expects_with("GET /a", &lacking, other).expects_with(
            "GET /a",
            &[("range", None), ("if-range", None)],
            whole(),
        );
        let house = House::new(origin.clone());
        house.get_with("/a", &[("range", "bytes=0-4")]).await;
        settle().await;
        let reply = house.get("/a").await;
        assert_eq!(
            (reply.text(), reply.cache_status()),
            ("abcdefghij", "truehit; fwd=partial; fwd-status=200; stored; detail=partial")
        );
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn a_part_without_a_strong_validator_is_not_completed() {
    let origin = Script::new();
    let fresh = piece(0, 5, "W/\"1\"").with("cache-control", "max-age=60");
    origin.expects("GET /a", fresh).expects_with("GET /a", &[("range", None)], ok("0123456789"));
    let house = House::with(origin.clone(), when_stale);
    house.get_with("/a", &[("range", "bytes=0-4")]).await;
    settle().await;
    assert_eq!(house.get("/a").await.text(), "0123456789", "RFC 9111 §3.4: nothing could be combined with it");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_contradicts_its_own_range_is_passed_on_and_not_stored() {
    let origin = Script::new();
    let odd = || {
        let answer = status(206).content("01234").with("content-range", "bytes 4-9/10");
        answer.with("cache-control", "max-age=60")
    };
    origin.expects("GET /a", odd()).expects("GET /a", odd());
    let house = House::with(origin.clone(), when_stale);
    for _ in 0..2 {
        let reply = house.get_with("/a", &[("range", "bytes=-5")]).await;
        assert_eq!(part(&reply), (206, "bytes 4-9/10", "01234"));
        assert_eq!(reply.cache_status(), "truehit; fwd=uri-miss; fwd-status=206; detail=contradicted");
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_part_that_breaks_off_is_not_stored() {
    let origin = Script::new();
    let (answer, body) = piece(0, 5, "\"1\"").streamed();
    origin.expects("GET /a", answer).expects_with("GET /a", &[("if-none-match", None)], piece(0, 5, "\"1\""));
    let house = House::new(origin.clone());
    body.send(Ok(http_body::Frame::data("012".into()))).unwrap();
    body.send(Err(truehit::origin::OriginError::ResponseIncomplete("gone".into()))).unwrap();
    assert_eq!(house.get_with("/a", &[("range", "bytes=0-4")]).await.status, 502, "nothing of it has gone out yet");
    assert_eq!(house.get_with("/a", &[("range", "bytes=0-4")]).await.text(), "01234");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_part_that_was_sent_on_condition_has_no_head_to_store() {
    let origin = Script::new();
    let bare = || piece(8, 10, "\"1\"");
    origin.expects("GET /a", bare()).expects_with("GET /a", &[("if-none-match", None)], bare());
    let house = House::new(origin.clone());
    for _ in 0..2 {
        let reply = house.get_with("/a", &[("range", "bytes=8-"), ("if-range", "\"1\"")]).await;
        assert_eq!(part(&reply), (206, "bytes 8-9/10", "89"));
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn where_no_tag_is_believed_no_part_is_kept() {
    let origin = Script::new();
    origin
        .expects("GET /b", ok("old").etag("\"1\""))
        .expects("GET /a", piece(0, 5, "\"1\""))
        .expects("GET /b", status(304))
        .expects("GET /b", ok("new").etag("\"1\""))
        .expects("GET /b", status(304))
        .expects_with("GET /a", &[("if-none-match", None), ("range", Some("bytes=0-4"))], piece(0, 5, "\"1\""))
        .expects_with("GET /a", &[("range", None)], ok("0123456789").etag("\"1\""));
    let house = House::new(origin.clone());
    house.get("/b").await;
    house.get_with("/a", &[("range", "bytes=0-4")]).await;
    assert_eq!(house.get("/b").await.text(), "new", "a 304 vouched for what was not so");
    let reply = house.get_with("/a", &[("range", "bytes=0-4")]).await;
    assert_eq!(reply.cache_status(), "truehit; fwd=uri-miss; fwd-status=206; detail=partial");
    assert_eq!(house.get("/a").await.text(), "0123456789", "nor completed");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_write_invalidates_parts_too() {
    let origin = Script::new();
    let fresh = || piece(0, 5, "\"1\"").with("cache-control", "max-age=60");
    origin.expects("GET /a", fresh()).expects("PUT /a", status(204)).expects_with(
        "GET /a",
        &[("if-none-match", Some("\"1\""))],
        status(304).etag("\"1\""),
    );
    let house = House::with(origin.clone(), when_stale);
    let read = async || house.get_with("/a", &[("range", "bytes=0-4")]).await;
    read().await;
    assert_eq!(read().await.cache_status(), "truehit; hit; ttl=60; detail=fresh");
    house.send_content("PUT", "/a", "new").await;
    let checked = read().await;
    assert_eq!(checked.cache_status(), "truehit; fwd=stale; fwd-status=304; detail=checked", "RFC 9111 §4.4");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_range_of_everything_stores_everything() {
    let origin = Script::new();
    origin.expects_with("GET /a", &[("range", Some("bytes=0-"))], piece(0, 10, "\"1\"")).expects_with(
        "GET /a",
        &[("if-none-match", Some("\"1\"")), ("range", None)],
        status(304).etag("\"1\""),
    );
    let house = House::new(origin.clone());
    assert_eq!(part(&house.get_with("/a", &[("range", "bytes=0-")]).await), (206, "bytes 0-9/10", "0123456789"));
    settle().await;
    let whole = house.get("/a").await;
    assert_eq!((whole.status.as_u16(), whole.field("content-range"), whole.text()), (200, "", "0123456789"));
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_herd_for_one_part_shares_an_exchange() {
    let origin = Script::new();
    let mut gate = origin.holds("GET /a", piece(0, 5, "\"1\"").with("cache-control", "max-age=60"));
    let house = House::with(origin.clone(), when_stale);
    let readers: Vec<_> = (0..3)
        .map(|_| {
            let house = house.clone();
            tokio::spawn(async move { house.get_with("/a", &[("range", "bytes=0-4")]).await })
        })
        .collect();
    gate.reached().await;
    settle().await;
    gate.release();
    for reader in readers {
        assert_eq!(part(&reader.await.unwrap()), (206, "bytes 0-4/10", "01234"));
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_part_is_for_its_own_selecting_fields() {
    let origin = Script::new();
    let localised =
        |start, end| piece(start, end, "\"1\"").with("cache-control", "max-age=60").with("vary", "accept-language");
    let everything = || ok("0123456789").with("cache-control", "max-age=60").with("vary", "range");
    origin
        .expects("GET /a", localised(0, 5))
        .expects_with("GET /a", &[("range", Some("bytes=0-4")), ("if-none-match", None)], localised(0, 5))
        .expects("GET /b", everything())
        .expects_with("GET /b", &[("range", Some("bytes=0-4"))], localised(0, 5));
    let house = House::with(origin.clone(), when_stale);
    for (language, expected) in [
        ("de", "truehit; fwd=uri-miss; fwd-status=206; stored; detail=uri-miss"),
        ("en", "truehit; fwd=uri-miss; fwd-status=206; stored; detail=uri-miss"),
        ("de", "truehit; hit; ttl=60; detail=fresh"),
    ] {
        let reply = house.get_with("/a", &[("range", "bytes=0-4"), ("accept-language", language)]).await;
        assert_eq!((reply.text(), reply.cache_status()), ("01234", expected), "RFC 9111 §4.1: {language}");
    }
    house.get("/b").await;
    let reply = house.get_with("/b", &[("range", "bytes=0-4")]).await;
    let expected = "truehit; fwd=vary-miss; fwd-status=206; stored; detail=vary-miss";
    assert_eq!((reply.text(), reply.cache_status()), ("01234", expected), "where Range selects, it selects");
    origin.done();
}
