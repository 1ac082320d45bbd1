//! By what a stored response is found: selecting fields that mean the same, and what a route makes of its key.

use http::HeaderName;
use truehit::config::{self, Overrides};
use truehit::rules::key_rule::{Glob, Keep, KeyRule, QueryRule};
use truehit::rules::policy::{Policy, Verify};

use crate::house::House;
use crate::script::{Script, ok, status};

/// A route that serves what is fresh.
fn when_stale(policy: &mut Policy) {
    policy.verify = Verify::WhenStale;
}

#[tokio::test(start_paused = true)]
async fn selecting_fields_match_by_what_they_mean() {
    for (name, first, then) in [
        ("accept-language", "en, de", "de;q=1.0,EN"),
        ("accept-encoding", "gzip, br;q=0.5", "br;q=0.500,gzip"),
        ("x-a", "1,2", "1,  2"),
    ] {
        let origin = Script::new();
        origin.expects("GET /a", ok("x").with("vary", name).with("cache-control", "max-age=60"));
        let house = House::with(origin.clone(), when_stale);
        house.get_with("/a", &[(name, first)]).await;
        let again = house.get_with("/a", &[(name, then)]).await;
        assert_eq!(again.cache_status(), "truehit; hit; ttl=60; detail=fresh", "{name}");
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_has_the_selecting_fields_as_they_were_sent() {
    let origin = Script::new();
    origin.expects("GET /a", ok("x").etag("\"1\"").with("vary", "accept-language")).expects_with(
        "GET /a",
        &[("accept-language", Some("de, en"))],
        status(304).etag("\"1\""),
    );
    let house = House::new(origin.clone());
    house.get_with("/a", &[("accept-language", "en, de")]).await;
    house.get_with("/a", &[("accept-language", "de, en")]).await;
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn where_a_route_says_so_the_preferred_language_selects() {
    let german = || {
        let hallo = ok("Hallo").with("vary", "accept-language").with("content-language", "de");
        hallo.with("cache-control", "max-age=60")
    };
    for (says_so, expected) in [
        (true, "truehit; hit; ttl=60; detail=fresh"),
        (false, "truehit; fwd=vary-miss; fwd-status=200; stored; detail=vary-miss"),
    ] {
        let origin = Script::new();
        origin.expects("GET /a", german());
        if !says_so {
            origin.expects("GET /a", german());
        }
        let house = House::with(origin.clone(), |policy| {
            when_stale(policy);
            policy.select_language = says_so;
        });
        house.get_with("/a", &[("accept-language", "en, de")]).await;
        let preferring = house.get_with("/a", &[("accept-language", "fr;q=0.5, de;q=1.0")]).await;
        assert_eq!((preferring.text(), preferring.cache_status()), ("Hallo", expected));
        origin.done();
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_origin_that_varies_no_more_has_sent_before_is_not_asked_about_again() {
    let origin = Script::new();
    origin
        .expects("GET /a", ok("old").with("vary", "accept").with("cache-control", "max-age=60"))
        .expects("GET /a", ok("new").with("cache-control", "max-age=60"));
    let house = House::with(origin.clone(), when_stale);
    house.get("/a").await;
    tokio::time::advance(std::time::Duration::from_secs(60)).await;
    assert_eq!(house.get("/a").await.text(), "new");
    assert_eq!(house.get("/a").await.cache_status(), "truehit; hit; ttl=60; detail=fresh", "RFC 9111 §4.3.3");
    origin.done();
}

/// A route whose keys are without `utm_*`.
fn without_tracking(policy: &mut Policy) {
    let keep = Keep::Without(Box::new([Glob::parse("utm_*").unwrap()]));
    policy.key = KeyRule { query: QueryRule { keep, sorted: false }, ..KeyRule::default() }.into();
}

#[tokio::test(start_paused = true)]
async fn a_dropped_parameter_makes_no_other_entry_and_still_goes_to_the_origin() {
    let origin = Script::new();
    origin
        .expects("GET /a?utm_source=x&id=1", ok("one").etag("\"1\""))
        .expects("GET /a?id=1&utm_source=y", status(304).etag("\"1\""))
        .expects("GET /a?id=2", ok("two").etag("\"2\""));
    let house = House::with(origin.clone(), without_tracking);
    house.get("/a?utm_source=x&id=1").await;
    assert_eq!(house.get("/a?id=1&utm_source=y").await.text(), "one");
    assert_eq!(house.get("/a?id=2").await.text(), "two");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_write_reaches_what_is_stored_under_the_key_of_its_target() {
    let origin = Script::new();
    let fresh = |text| ok(text).with("cache-control", "max-age=60");
    origin
        .expects("GET /a?utm_source=x", fresh("old"))
        .expects("PUT /a?utm_source=y", status(204))
        .expects("GET /a?utm_source=z", fresh("new"));
    let house = House::with(origin.clone(), |policy| {
        when_stale(policy);
        without_tracking(policy);
    });
    house.get("/a?utm_source=x").await;
    assert_eq!(house.get("/a").await.text(), "old");
    house.send("PUT", "/a?utm_source=y", &[]).await;
    assert_eq!(house.get("/a?utm_source=z").await.text(), "new", "RFC 9111 §4.4");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_write_goes_by_the_rules_of_the_route_that_reads() {
    let origin = Script::new();
    let fresh = |text| ok(text).with("cache-control", "max-age=60");
    origin
        .expects("GET /a?utm_source=x", fresh("old"))
        .expects("POST /a?utm_source=x", status(201))
        .expects("GET /a", fresh("new"));
    let routes = r#"[
        { name = "reads", methods = ["GET"], verify = "when-stale", key_query_drop = ["utm_*"] },
        { name = "writes", key_query_allow = ["nothing"] },
    ]"#;
    let overrides = Overrides { origin: Some("http://origin.test".to_owned()), ..Overrides::default() };
    let variables = [("TRUEHIT_ROUTE".to_owned(), routes.replace('\n', " "))];
    let config = config::load(&overrides, variables.into_iter()).unwrap().config;
    let house = House::of(origin.clone(), config);
    house.get("/a?utm_source=x").await;
    house.send("POST", "/a?utm_source=x", &[]).await;
    assert_eq!(house.get("/a").await.text(), "new");
    origin.done();
}

#[tokio::test(start_paused = true)]
async fn a_field_in_the_key_keeps_tenants_apart_and_a_write_reaches_them_all() {
    let origin = Script::new();
    let fresh = |text| ok(text).with("cache-control", "max-age=60");
    for tenant in ["1", "2"] {
        origin.expects_with("GET /a", &[("x-tenant", Some(tenant))], fresh(tenant));
    }
    origin.expects("PUT /a", status(204)).expects("GET /a", fresh("new 1")).expects("GET /a", fresh("new 2"));
    let house = House::with(origin.clone(), |policy| {
        when_stale(policy);
        policy.key = KeyRule { headers: Box::new([HeaderName::from_static("x-tenant")]), ..KeyRule::default() }.into();
    });
    let read = async |tenant| house.get_with("/a", &[("x-tenant", tenant)]).await;
    for tenant in ["1", "2", "1", "2"] {
        assert_eq!(read(tenant).await.text(), tenant);
    }
    house.send("PUT", "/a", &[]).await;
    for (tenant, expected) in [("1", "new 1"), ("2", "new 2")] {
        assert_eq!(read(tenant).await.text(), expected);
    }
    origin.done();
}
