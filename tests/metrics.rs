//! What a scrape shows: the words, the bounds, and what a reload does to them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::StatusCode;
use truehit::metrics::{self, CheckResult, EvictionCause, Metrics, ReloadResult, RouteMetrics};
use truehit::origin::{OriginError, Purpose};
use truehit::rules::outcome::{Excuse, Kind, Outcome, PassReason, SkipReason, Unproven};
use truehit::rules::policy::Strategy;
use truehit::rules::refusal::Refusal;

const MILLI: Duration = Duration::from_millis(1);

fn metrics() -> Arc<Metrics> {
    Metrics::new("1.2.3", "abc")
}

fn route(metrics: &Metrics, name: &str) -> Arc<RouteMetrics> {
    metrics.install_routes([name])[0].clone()
}

/// The lines of the exposition that are samples.
fn samples(metrics: &Metrics) -> Vec<String> {
    let text = metrics.render().unwrap();
    text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
}

#[track_caller]
fn assert_shows(metrics: &Metrics, sample: &str) {
    let all = samples(metrics);
    assert!(all.iter().any(|line| line == sample), "{sample} is not among\n{}", all.join("\n"));
}

/// Every combination of labels that the types allow.
fn drive_everything(metrics: &Metrics, names: &[String]) {
    let routes = metrics.install_routes(names.iter().map(String::as_str));
    let statuses = [100, 200, 304, 404, 500, 999].map(|code| StatusCode::from_u16(code).unwrap());
    for route in routes.iter() {
        for status in statuses {
            for kind in Kind::ALL {
                let words: Vec<&'static str> = match kind {
                    Kind::Excused => Excuse::ALL.iter().map(|word| word.as_str()).collect(),
                    Kind::Pass => PassReason::ALL.iter().map(|word| word.as_str()).collect(),
                    Kind::Refused => Refusal::ALL.iter().map(|word| word.as_str()).collect(),
                    _ => vec!["anything"],
                };
                for word in words {
                    let outcome = Outcome { collapsed: true, ..Outcome::new(*kind, word) };
                    route.request(&outcome, status, MILLI);
                }
            }
        }
        for strategy in Strategy::ALL {
            CheckResult::ALL.iter().for_each(|result| route.check(strategy, *result, MILLI));
            route.strategy(strategy, "configured");
            route.strategy(strategy, "learned");
        }
    }
    let text = || String::from("what the peer said");
    for purpose in Purpose::ALL {
        statuses.iter().for_each(|status| metrics.origin(purpose, Ok(*status), MILLI));
        for error in [
            OriginError::Dns(text()),
            OriginError::ConnectionRefused,
            OriginError::ConnectionTimeout,
            OriginError::ConnectionTerminated(text()),
            OriginError::ConnectionLimit,
            OriginError::TlsProtocol(text()),
            OriginError::TlsCertificate(text()),
            OriginError::ResponseTimeout,
            OriginError::Protocol(text()),
            OriginError::ResponseIncomplete(text()),
            OriginError::RequestIncomplete(text()),
            OriginError::RequestLate,
        ] {
            metrics.origin(purpose, Err(&error), MILLI);
        }
        metrics.origin_body_bytes(purpose, 1);
    }
    Unproven::ALL.iter().for_each(|word| metrics.unproven(*word));
    SkipReason::ALL.iter().for_each(|word| metrics.not_stored(*word));
    EvictionCause::ALL.iter().for_each(|word| metrics.evicted(*word));
    ReloadResult::ALL.iter().for_each(|word| metrics.config_reloaded(*word, UNIX_EPOCH));
    metrics.origin_desynced();
    metrics.interim_dropped();
    metrics.client_body_bytes(1);
    metrics.saved_bytes(1);
    metrics.handler_panicked();
}

#[test]
fn the_worst_traffic_reaches_the_series_ceiling_and_no_further() {
    for count in [1, 3, 20] {
        let metrics = metrics();
        let names: Vec<String> = (0..count).map(|number| format!("route-{number}")).collect();
        drive_everything(&metrics, &names);
        let first = samples(&metrics).len();
        assert!(first <= metrics::series_ceiling(count), "{first} series for {count} routes");
        // The ceiling is tight (the process collector may leave some of its own out), and more traffic adds nothing.
        assert!(first + metrics::PROCESS_SERIES >= metrics::series_ceiling(count), "{first} series for {count} routes");
        drive_everything(&metrics, &names);
        assert_eq!(samples(&metrics).len(), first);
    }
}

#[test]
fn a_checked_hit_is_a_request_and_a_hit_and_nothing_else() {
    let metrics = metrics();
    let users = route(&metrics, "users");
    users.request(&Outcome::new(Kind::Checked, "strong-tag"), StatusCode::OK, MILLI);

    assert_shows(&metrics, r#"truehit_requests_total{route="users",outcome="checked",code="2xx"} 1"#);
    assert_shows(&metrics, r#"truehit_cache_hits_total{route="users"} 1"#);
    assert_shows(&metrics, r#"truehit_cache_misses_total{route="users"} 0"#);
    assert_shows(&metrics, r#"truehit_excused_total{route="users",policy="lease"} 0"#);
}

#[test]
fn what_is_served_unchecked_names_its_policy() {
    let metrics = metrics();
    let users = route(&metrics, "users");
    users.request(&Outcome::new(Kind::Excused, Excuse::StaleIfError.as_str()), StatusCode::OK, MILLI);

    assert_shows(&metrics, r#"truehit_excused_total{route="users",policy="stale-if-error"} 1"#);
    assert_shows(&metrics, r#"truehit_cache_hits_total{route="users"} 1"#);
}

#[test]
fn passes_and_refusals_are_neither_hit_nor_miss() {
    let metrics = metrics();
    let users = route(&metrics, "users");
    users.request(&Outcome::new(Kind::Pass, PassReason::Method.as_str()), StatusCode::CREATED, MILLI);
    users.request(&Outcome::new(Kind::Refused, Refusal::Loop.as_str()), StatusCode::LOOP_DETECTED, MILLI);

    assert_shows(&metrics, r#"truehit_pass_total{reason="method"} 1"#);
    assert_shows(&metrics, r#"truehit_refused_total{reason="loop"} 1"#);
    assert_shows(&metrics, r#"truehit_cache_hits_total{route="users"} 0"#);
    assert_shows(&metrics, r#"truehit_cache_misses_total{route="users"} 0"#);
}

#[test]
fn a_duration_on_a_bound_counts_below_it() {
    let metrics = metrics();
    let users = route(&metrics, "users");
    users.check(Strategy::Conditional, CheckResult::Same, Duration::from_micros(100));
    users.check(Strategy::Conditional, CheckResult::Same, Duration::from_secs(11));

    let at = |bound: &str| {
        format!(r#"truehit_check_duration_seconds_bucket{{route="users",strategy="conditional",le="{bound}"}}"#)
    };
    assert_shows(&metrics, &format!("{} 1", at("0.0001")));
    assert_shows(&metrics, &format!("{} 1", at("10")));
    assert_shows(&metrics, &format!("{} 2", at("+Inf")));
    assert_shows(&metrics, r#"truehit_check_duration_seconds_sum{route="users",strategy="conditional"} 11.0001"#);
}

#[test]
fn a_reload_keeps_the_counts_of_a_route_that_stays_and_drops_the_series_of_one_that_goes() {
    let metrics = metrics();
    let old = metrics.install_routes(["users", "orders"]);
    let miss = Outcome::new(Kind::Miss, "uri-miss");
    old.iter().for_each(|route| route.request(&miss, StatusCode::OK, MILLI));

    let new = metrics.install_routes(["invoices", "users"]);
    // A request that began under the old configuration ends: it still counts for `users`, and revives nothing.
    old.iter().for_each(|route| route.request(&miss, StatusCode::OK, MILLI));
    new[1].request(&miss, StatusCode::OK, MILLI);

    assert_shows(&metrics, r#"truehit_cache_misses_total{route="users"} 3"#);
    assert_shows(&metrics, r#"truehit_cache_misses_total{route="invoices"} 0"#);
    assert!(!metrics.render().unwrap().contains("orders"));
}

#[test]
fn a_route_says_how_it_checks_now_and_only_now() {
    let metrics = metrics();
    let users = route(&metrics, "users");
    users.strategy(Strategy::Head, "learned");
    users.strategy(Strategy::Body, "head-status");

    let infos: Vec<_> = samples(&metrics).into_iter().filter(|line| line.contains("strategy_info")).collect();
    assert_eq!(infos, [r#"truehit_check_strategy_info{route="users",strategy="body",reason="head-status"} 1"#]);
}

#[test]
fn what_others_know_is_asked_for_at_scrape_time() {
    let metrics = metrics();
    metrics.on_scrape(|readings| readings.store_bytes = 4096);
    metrics.on_scrape(|readings| readings.ready = true);

    assert_shows(&metrics, "truehit_store_bytes 4096");
    assert_shows(&metrics, "truehit_ready 1");
    assert_shows(&metrics, "truehit_waiting_requests 0");
}

#[test]
fn desyncs_seen_on_connections_and_by_the_core_are_one_total() {
    let metrics = metrics();
    metrics.on_scrape(|readings| readings.origin_desyncs = 2);
    metrics.origin_desynced();
    assert_shows(&metrics, "truehit_origin_desyncs_total 3");
    assert_shows(&metrics, "truehit_origin_desyncs_total 3");
}

#[test]
fn a_failed_reload_leaves_the_time_of_the_last_good_one() {
    let metrics = metrics();
    metrics.config_loaded(UNIX_EPOCH + Duration::from_secs(7));
    metrics.config_reloaded(ReloadResult::Error, UNIX_EPOCH + Duration::from_secs(9));

    assert_shows(&metrics, r#"truehit_config_reloads_total{result="error"} 1"#);
    assert_shows(&metrics, "truehit_config_last_reload_success_timestamp_seconds 7");
    assert_shows(&metrics, "truehit_config_last_reload_successful 0");
}

#[test]
fn a_route_name_cannot_break_the_exposition() {
    let metrics = metrics();
    let odd = route(&metrics, "a\"b\nc");
    odd.request(&Outcome::new(Kind::Miss, "uri-miss"), StatusCode::OK, MILLI);
    assert_shows(&metrics, r#"truehit_cache_misses_total{route="a\"b\nc"} 1"#);
}

#[test]
fn the_names_are_a_promise() {
    let metrics = metrics();
    drive_everything(&metrics, &[String::from("users")]);
    let text = metrics.render().unwrap();
    let types: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
    insta::assert_snapshot!(types.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_reference_page_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
    let page = metrics::reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == page, "docs/metrics.md is stale: run `make generate`");
}
