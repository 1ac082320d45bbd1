//! How a stored response is checked, and what counts as proof (design: "Two knobs").

use truehit::rules::policy::{CheckHow, DigestEndpoint, Strategy};

use crate::house::House;
use crate::script::{Script, ok, status};

#[tokio::test(start_paused = true)]
async fn a_second_read_is_checked_and_served_from_memory() {
    let origin = Script::new();
    origin.expects_with("GET /a?b=1", &[("if-none-match", None)], ok("one").etag("\"1\"")).expects_with(
        "GET /a?b=1",
        &[("if-none-match", Some("\"1\""))],
        status(304).etag("\"1\""),
    );
    let house = House::new(origin.clone());
    let first = house.get("/a?b=1").await;
    assert_eq!(first.text(), "one");
    assert_eq!(first.cache_status(), "truehit; fwd=uri-miss; fwd-status=200; stored; detail=uri-miss");
    let second = house.get("/a?b=1").await;
    assert_eq!(second.text(), "one");
    assert_eq!(second.cache_status(), "truehit; fwd=stale; fwd-status=304; detail=checked");
    assert_eq!(second.field("etag"), "\"1\"");
    assert_eq!(second.field("age"), "", "a checked response was validated for this request");
    assert_eq!(house.metric("truehit_cache_hits_total{route=\"default\"}"), 1.0);
    assert_eq!(house.metric("truehit_cache_misses_total{route=\"default\"}"), 1.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_change_behind_our_back_is_served_at_once_in_one_round_trip() {
    let origin = Script::new();
    origin
        .expects("GET /a", ok("old").etag("\"1\""))
        .expects_with("GET /a", &[("if-none-match", Some("\"1\""))], ok("new").etag("\"2\""))
        .expects_with("GET /a", &[("if-none-match", Some("\"2\""))], status(304).etag("\"2\""));
    let house = House::new(origin.clone());
    house.get("/a").await;
    let changed = house.get("/a").await;
    assert_eq!(changed.text(), "new");
    assert_eq!(changed.cache_status(), "truehit; fwd=stale; fwd-status=200; stored; detail=changed");
    assert_eq!(house.get("/a").await.text(), "new");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn an_origin_without_any_validator_is_checked_by_its_bytes() {
    let origin = Script::new();
    origin
        .expects("GET /a", ok("same"))
        .expects_with("HEAD /a", &[("want-repr-digest", Some("sha-256=10, sha-512=5"))], status(405))
        .expects("GET /a", ok("same"))
        .expects("GET /a", ok("same"))
        .expects("GET /a", ok("sane"));
    let house = House::new(origin.clone());
    house.get("/a").await;
    let probed = house.get("/a").await;
    assert_eq!(probed.cache_status(), "truehit; fwd=stale; fwd-status=200; detail=checked", "HEAD was tried once");
    let checked = house.get("/a").await;
    assert_eq!((checked.text(), checked.cache_status()), ("same", probed.cache_status()));
    let changed = house.get("/a").await;
    assert_eq!(changed.text(), "sane", "equal length, other bytes");
    assert_eq!(changed.cache_status(), "truehit; fwd=stale; fwd-status=200; stored; detail=changed");
    let series = "truehit_check_strategy_info{route=\"default\",strategy=\"body\",reason=\"no-validator\"}";
    assert_eq!(house.metric(series), 1.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_client_without_the_origins_help_gets_a_strong_tag_and_so_304s() {
    let origin = Script::new();
    for _ in 0..4 {
        origin.expects("GET /a", ok("content"));
    }
    let house = House::with(origin.clone(), |policy| policy.check = CheckHow::Only(Strategy::Body));
    assert_eq!(house.get("/a").await.field("etag"), "", "a miss streams: its digest is not known yet");
    let tag = house.get("/a").await.field("etag").to_owned();
    assert!(tag.starts_with('"') && tag.len() > 40, "{tag}");
    let unchanged = house.get_with("/a", &[("if-none-match", &format!("\"other\", {tag}"))]).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.text()), (304, ""));
    assert_eq!(unchanged.field("etag"), tag);
    assert_eq!(house.get_with("/a", &[("if-none-match", "*")]).await.status, 304);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_digest_is_given_to_those_who_ask() {
    let origin = Script::new();
    origin.expects("GET /a", ok("hello world").etag("\"1\"")).expects("GET /a", status(304).etag("\"1\""));
    let house = House::new(origin.clone());
    house.get("/a").await;
    let reply = house.get_with("/a", &[("want-repr-digest", "sha-256=1")]).await;
    assert_eq!(reply.field("repr-digest"), "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_weak_tag_that_is_no_digest_proves_nothing() {
    let origin = Script::new();
    origin.expects("GET /a", ok("old").etag("W/\"7\"")).expects("HEAD /a", status(200).etag("W/\"7\"")).expects_with(
        "GET /a",
        &[("if-none-match", None)],
        ok("new").etag("W/\"7\""),
    );
    let house = House::new(origin.clone());
    house.get("/a").await;
    assert_eq!(house.get("/a").await.text(), "new");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_weak_tag_that_is_a_digest_of_the_bytes_proves_sameness() {
    // The `etag` package's form, as Express sends it: length in hex, and SHA-1 in base64.
    let tag = "W/\"b-Kq5sNclPz7QV2+lfQIuc6R7oRu0\"";
    let origin = Script::new();
    origin.expects("GET /a", ok("hello world").etag(tag)).expects_with(
        "GET /a",
        &[("if-none-match", Some(tag))],
        status(304).etag(tag),
    );
    let house = House::new(origin.clone());
    house.get("/a").await;
    assert_eq!(house.get("/a").await.cache_status(), "truehit; fwd=stale; fwd-status=304; detail=checked");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_weak_tag_or_a_date_is_believed_where_the_route_trusts_it() {
    let origin = Script::new();
    origin
        .expects("GET /tag", ok("x").etag("W/\"7\""))
        .expects_with("GET /tag", &[("if-none-match", Some("W/\"7\""))], status(304).etag("W/\"7\""))
        .expects("GET /date", ok("x").with("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"))
        .expects_with(
            "GET /date",
            &[("if-modified-since", Some("Thu, 01 Jan 2026 00:00:00 GMT"))],
            status(304).with("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT"),
        );
    let house = House::with(origin.clone(), |policy| {
        policy.trust.weak_etag = true;
        policy.trust.last_modified = true;
    });
    for target in ["/tag", "/date"] {
        house.get(target).await;
        assert_eq!(house.get(target).await.cache_status(), "truehit; fwd=stale; fwd-status=304; detail=checked");
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_tag_of_time_and_length_vouches_for_nothing_within_its_second() {
    let (modified, at_once, later) =
        ("Thu, 01 Jan 2026 00:00:00 GMT", "Thu, 01 Jan 2026 00:00:01 GMT", "Thu, 01 Jan 2026 00:00:02 GMT");
    let file = |content: &str, date: &str| {
        ok(content).etag("\"6955b900-3\"").with("last-modified", modified).with("date", date)
    };
    let origin = Script::new();
    origin
        .expects("GET /f", file("old", at_once))
        .expects("HEAD /f", status(200).etag("\"6955b900-3\"").with("content-length", "3"))
        .expects_with("GET /f", &[("if-none-match", None)], file("new", at_once))
        .expects_with("GET /f", &[("if-none-match", None)], file("new", later))
        .expects_with("GET /f", &[("if-none-match", Some("\"6955b900-3\""))], status(304).etag("\"6955b900-3\""));
    let house = House::new(origin.clone());
    house.get("/f").await;
    assert_eq!(house.get("/f").await.text(), "new", "rewritten within the second, under the same tag");
    assert_eq!(house.get("/f").await.cache_status(), "truehit; fwd=stale; fwd-status=200; detail=checked");
    let vouched = house.get("/f").await;
    assert_eq!(vouched.cache_status(), "truehit; fwd=stale; fwd-status=304; detail=checked", "now the tag is old");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn an_answer_with_an_age_did_not_come_from_the_origin_and_proves_nothing() {
    let origin = Script::new();
    origin
        .expects("GET /a", ok("old").etag("\"1\""))
        .expects("GET /a", status(304).etag("\"1\"").with("age", "3"))
        .expects_with("GET /a", &[("if-none-match", None)], ok("new").etag("\"2\""));
    let house = House::new(origin.clone());
    house.get("/a").await;
    assert_eq!(house.get("/a").await.text(), "new");
    assert_eq!(house.metric("truehit_checks_unproven_total{reason=\"age\"}"), 1.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn the_first_304_that_repeats_no_tag_is_held_against_a_full_get() {
    let origin = Script::new();
    origin
        .expects("GET /a", ok("old").etag("\"1\""))
        .expects("GET /a", status(304))
        .expects_with("GET /a", &[("if-none-match", None)], ok("new").etag("\"1\""))
        .expects_with("GET /a", &[("if-none-match", Some("\"1\""))], status(304))
        .expects_with("GET /a", &[("if-none-match", None)], ok("new").etag("\"1\""));
    let house = House::new(origin.clone());
    house.get("/a").await;
    assert_eq!(house.get("/a").await.text(), "new", "the handler answers 304 to any tag");
    let distrusted = house.get("/a").await;
    assert_eq!(distrusted.cache_status(), "truehit; fwd=stale; fwd-status=200; detail=checked");
    let series = "truehit_check_strategy_info{route=\"default\",strategy=\"body\",reason=\"distrusted\"}";
    assert_eq!(house.metric(series), 1.0, "from now on bytes decide");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_sound_304_without_a_tag_is_believed_after_the_first() {
    let origin = Script::new();
    origin
        .expects("GET /a", ok("same").etag("\"1\""))
        .expects("GET /a", status(304))
        .expects_with("GET /a", &[("if-none-match", None)], ok("same").etag("\"1\""))
        .expects("GET /a", status(304));
    let house = House::new(origin.clone());
    for _ in 0..3 {
        assert_eq!(house.get("/a").await.text(), "same");
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_ignores_conditions_is_asked_by_head_instead() {
    let origin = Script::new();
    let body = || ok("same").etag("\"1\"");
    for _ in 0..4 {
        origin.expects("GET /a", body());
    }
    origin.expects("HEAD /a", status(200).etag("\"1\"").with("content-length", "4"));
    let house = House::new(origin.clone());
    for _ in 0..5 {
        assert_eq!(house.get("/a").await.text(), "same");
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn head_compares_digest_first_then_tag_length_and_date() {
    let origin = Script::new();
    let good = "sha-256=:uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:";
    let bad = "sha-256=:AAAAuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek=:";
    origin
        .expects("GET /a", ok("hello world").etag("\"1\""))
        .expects("HEAD /a", status(200).with("repr-digest", good))
        .expects("HEAD /a", status(200).etag("\"1\"").with("content-length", "11"))
        .expects("HEAD /a", status(200).etag("\"1\"").with("content-length", "12"))
        .expects("GET /a", ok("hello worlds").etag("\"1\""))
        .expects("HEAD /a", status(200).etag("\"1\"").with("repr-digest", bad))
        .expects("GET /a", ok("hello again").etag("\"1\""));
    let house = House::with(origin.clone(), |policy| policy.check = CheckHow::Only(Strategy::Head));
    let contents = ["hello world", "hello world", "hello world", "hello worlds", "hello again"];
    for content in contents {
        assert_eq!(house.get("/a").await.text(), content);
    }
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_head_whose_fields_are_not_gets_is_found_out_and_not_asked_again() {
    let origin = Script::new();
    let body = || ok("same").with("repr-digest", "md5=:aaaa:");
    origin
        .expects("GET /a", body().etag("W/\"full\""))
        .expects("HEAD /a", status(200).etag("W/\"empty\""))
        .expects("GET /a", body().etag("W/\"full\""))
        .expects("GET /a", body().etag("W/\"full\""));
    let house = House::new(origin.clone());
    for _ in 0..3 {
        assert_eq!(house.get("/a").await.text(), "same");
    }
    let series = "truehit_check_strategy_info{route=\"default\",strategy=\"body\",reason=\"weak-tag\"}";
    assert_eq!(house.metric(series), 1.0);
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_digest_endpoint_is_asked_and_compared_with_the_stored_bytes() {
    let origin = Script::new();
    let sha = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9";
    origin
        .expects("GET /a?x=1", ok("hello world"))
        .expects("GET /_sha256/a?x=1", ok(sha))
        .expects("GET /_sha256/a?x=1", ok(&sha.replace('b', "c")))
        .expects("GET /a?x=1", ok("changed"));
    let house = House::with(origin.clone(), |policy| {
        policy.digest_endpoint = Some(DigestEndpoint::OnOrigin("/_sha256{path}{query}".into()));
    });
    assert_eq!(house.get("/a?x=1").await.text(), "hello world");
    assert_eq!(house.get("/a?x=1").await.cache_status(), "truehit; fwd=stale; fwd-status=200; detail=checked");
    assert_eq!(house.get("/a?x=1").await.text(), "changed");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_head_request_is_answered_from_a_checked_get() {
    let origin = Script::new();
    origin.expects("GET /a", ok("content").etag("\"1\"")).expects_with(
        "GET /a",
        &[("if-none-match", Some("\"1\""))],
        status(304).etag("\"1\""),
    );
    let house = House::new(origin.clone());
    house.get("/a").await;
    let head = house.send("HEAD", "/a", &[]).await;
    assert_eq!((head.text(), head.field("content-length")), ("", "7"));
    assert_eq!(head.cache_status(), "truehit; fwd=stale; fwd-status=304; detail=checked");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_clients_no_cache_does_not_go_out_with_a_check() {
    let origin = Script::new();
    origin.expects_with("GET /a", &[("cache-control", Some("no-cache"))], ok("x").etag("\"1\"")).expects_with(
        "GET /a",
        &[("cache-control", None)],
        status(304).etag("\"1\""),
    );
    let house = House::new(origin.clone());
    for _ in 0..2 {
        assert_eq!(house.get_with("/a", &[("cache-control", "no-cache")]).await.text(), "x");
    }
    origin.done();
}
