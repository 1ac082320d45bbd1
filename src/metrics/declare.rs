//! The declarations: every metric once, with its name, type, labels and one sentence.
//!
//! A label's values are listed by the enum that owns the words, so the number of series is a fact of the types: see
//! [`series_ceiling`]. No label ever carries a path, host, method, key or anything else that a client chooses. The
//! page `docs/metrics.md` is [`reference()`], and a test fails when it is stale.

use std::fmt::Write as _;

use super::instrument::BUCKETS;
use super::words::{AuditResult, CheckResult, CodeClass, EvictionCause, ReloadResult};
use crate::origin::Purpose;
use crate::rules::outcome::{Excuse, Kind, PassReason, SkipReason, Unproven};
use crate::rules::policy::Strategy;
use crate::rules::refusal::Refusal;
use crate::server::Closing;

/// What kind of metric it is, in Prometheus' terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricType {
    /// Only ever grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by upper bound, with the sum.
    Histogram,
}

impl MetricType {
    /// The word in the text format.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }

    /// How many series one combination of label values makes.
    const fn series(self) -> usize {
        match self {
            Self::Counter | Self::Gauge => 1,
            // One per bucket, and `+Inf`, `_sum` and `_count`.
            Self::Histogram => BUCKETS.len() + 3,
        }
    }
}

/// One label of a metric.
#[derive(Clone, Copy, Debug)]
pub enum Label {
    /// `route`: the configured name.
    Route,
    /// A label whose values are these words and no others.
    Words(&'static str, fn() -> Vec<&'static str>),
    /// A label that says something about the one series that exists, such as a version.
    Info(&'static str),
}

impl Label {
    /// The label's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Route => "route",
            Self::Words(name, _) | Self::Info(name) => name,
        }
    }

    /// The label's words; empty for what is not made of words.
    #[must_use]
    pub fn words(&self) -> Vec<&'static str> {
        match self {
            Self::Words(_, words) => words(),
            Self::Route | Self::Info(_) => Vec::new(),
        }
    }
}

/// One metric as declared.
#[derive(Debug)]
pub struct Declaration {
    /// The name in the exposition, with unit and `_total` where due.
    pub name: &'static str,
    /// Its type.
    pub kind: MetricType,
    /// Its labels, in order.
    pub labels: &'static [Label],
    /// Whether every series exists from the start at zero, so that the first event is seen as an increase. The
    /// others appear when they first count something.
    pub from_start: bool,
    /// What it says, in a sentence.
    pub help: &'static str,
}

impl Declaration {
    /// Whether it has one set of series for each route.
    #[must_use]
    pub fn per_route(&self) -> bool {
        self.labels.iter().any(|label| matches!(label, Label::Route))
    }

    /// The most series it can have, per route where it has routes.
    #[must_use]
    pub fn series_max(&self) -> usize {
        let words = self.labels.iter().map(|label| label.words().len().max(1));
        words.product::<usize>() * self.kind.series()
    }
}

/// How many series the process collector adds.
pub const PROCESS_SERIES: usize = 7;

/// The most series that one process with `routes` routes can export.
#[must_use]
pub fn series_ceiling(routes: usize) -> usize {
    let (per_route, fixed) = series_parts();
    per_route * routes + fixed
}

fn series_parts() -> (usize, usize) {
    let sum = |per_route: bool| {
        ALL.iter().filter(|one| one.per_route() == per_route).map(|one| one.series_max()).sum::<usize>()
    };
    (sum(true), sum(false) + PROCESS_SERIES)
}

macro_rules! declarations {
    ($($id:ident = $kind:ident $name:literal [$($label:expr),*] $start:ident: $help:literal;)+) => {
        $(pub(super) static $id: Declaration = Declaration {
            name: $name,
            kind: MetricType::$kind,
            labels: &[$($label),*],
            from_start: declarations!(@ $start),
            help: $help,
        };)+

        /// Every metric of our own, in the order of the reference page.
        pub static ALL: &[&Declaration] = &[$(&$id),+];
    };
    (@ from_start) => { true };
    (@ when_used) => { false };
}

const ROUTE: Label = Label::Route;
const OUTCOME: Label = Label::Words("outcome", || Kind::ALL.iter().map(|word| word.as_str()).collect());
const CODE: Label = Label::Words("code", || CodeClass::ALL.iter().map(|word| word.as_str()).collect());
const POLICY: Label = Label::Words("policy", || Excuse::ALL.iter().map(|word| word.as_str()).collect());
const STRATEGY: Label = Label::Words("strategy", || Strategy::ALL.iter().map(|word| word.as_str()).collect());
const RESULT: Label = Label::Words("result", || CheckResult::ALL.iter().map(|word| word.as_str()).collect());
const AUDIT: Label = Label::Words("result", || AuditResult::ALL.iter().map(|word| word.as_str()).collect());
const PURPOSE: Label = Label::Words("purpose", || Purpose::ALL.iter().map(|word| word.as_str()).collect());
const ORIGIN_CODE: Label = Label::Words("code", || {
    CodeClass::ALL.iter().map(|word| word.as_str()).chain(super::words::ORIGIN_ERRORS.iter().copied()).collect()
});
const UNPROVEN: Label = Label::Words("reason", || Unproven::ALL.iter().map(|word| word.as_str()).collect());
const SKIP: Label = Label::Words("reason", || SkipReason::ALL.iter().map(|word| word.as_str()).collect());
const PASS: Label = Label::Words("reason", || PassReason::ALL.iter().map(|word| word.as_str()).collect());
const REFUSAL: Label = Label::Words("reason", || Refusal::ALL.iter().map(|word| word.as_str()).collect());
const CAUSE: Label = Label::Words("cause", || EvictionCause::ALL.iter().map(|word| word.as_str()).collect());
const RELOAD: Label = Label::Words("result", || ReloadResult::ALL.iter().map(|word| word.as_str()).collect());
const CLOSING: Label = Label::Words("reason", || Closing::ALL.iter().map(|word| word.as_str()).collect());

declarations! {
    REQUESTS = Counter "truehit_requests_total" [ROUTE, OUTCOME, CODE] when_used:
        "Requests answered, by how they ended and the class of the status.";
    REQUEST_DURATION = Histogram "truehit_request_duration_seconds" [ROUTE, OUTCOME] when_used:
        "Time from a request's head to its response's head.";
    CACHE_HITS = Counter "truehit_cache_hits_total" [ROUTE] from_start:
        "Requests whose body came from the store. Hits / (hits + misses) is the hit ratio.";
    CACHE_MISSES = Counter "truehit_cache_misses_total" [ROUTE] from_start:
        "Requests whose body was fetched although it might have been stored. What passed or failed is neither.";
    EXCUSED = Counter "truehit_excused_total" [ROUTE, POLICY] from_start:
        "Stored responses served unchecked, by the policy that allowed it. Zero under `every-hit` with `fail`.";
    COLLAPSED = Counter "truehit_collapsed_requests_total" [ROUTE] from_start:
        "Requests that rode on another request's exchange.";
    CHECKS = Counter "truehit_checks_total" [ROUTE, STRATEGY, RESULT] when_used:
        "Checks made, by how the origin was asked and what its answer said.";
    CHECK_DURATION = Histogram "truehit_check_duration_seconds" [ROUTE, STRATEGY] when_used:
        "Time from sending a check to its verdict.";
    CHECK_STRATEGY = Gauge "truehit_check_strategy_info" [ROUTE, Label::Info("strategy"), Label::Info("reason")] when_used:
        "How the route checks now, and why. Always 1; one series per route.";
    AUDITS = Counter "truehit_audits_total" [ROUTE, AUDIT] from_start:
        "Checks that were held against the whole representation, by what that showed. A mismatch is an origin that says \
         `unchanged` where the bytes have changed.";
    CHECKS_UNPROVEN = Counter "truehit_checks_unproven_total" [UNPROVEN] when_used:
        "Checks whose answer proved nothing, by what was wanting.";
    PASSED = Counter "truehit_pass_total" [PASS] when_used:
        "Requests that were forwarded unchanged, by why truehit stood aside.";
    REFUSED = Counter "truehit_refused_total" [REFUSAL] when_used:
        "Requests that truehit answered by itself, by why.";
    NOT_STORED = Counter "truehit_not_stored_total" [SKIP] when_used:
        "Fetched responses that were not stored, by why.";
    ORIGIN_REQUESTS = Counter "truehit_origin_requests_total" [PURPOSE, ORIGIN_CODE] when_used:
        "Requests for the origin, by purpose and the class of the status, or the error's word (RFC 9209). Those \
         with `destination_unavailable` were held back by the breaker.";
    ORIGIN_DURATION = Histogram "truehit_origin_request_duration_seconds" [PURPOSE] when_used:
        "Time from sending a request to the origin to its response's head, or to the error.";
    ORIGIN_BODY_BYTES = Counter "truehit_origin_body_bytes_total" [PURPOSE] from_start:
        "Bytes of response bodies received from the origin.";
    ORIGIN_CONNECTIONS = Counter "truehit_origin_connections_total" [] from_start:
        "Connections to the origin that were dialled.";
    ORIGIN_RETRIES = Counter "truehit_origin_retries_total" [] from_start:
        "Requests sent to the origin again, on a fresh connection, as the pooled one had been closed.";
    ORIGIN_DESYNCS = Counter "truehit_origin_desyncs_total" [] from_start:
        "Bytes that came unasked, and answers that did not fit their question: each cost the connection.";
    BREAKER_STATE = Gauge "truehit_origin_breaker_state" [] from_start:
        "Whether checks and fetches are sent to the origin: 0 closed, they are; 1 half-open, one tries; 2 open, none is.";
    BREAKER_OPENED = Counter "truehit_origin_breaker_opened_total" [] from_start:
        "Times that the breaker opened, as the origin failed too often (`origin.breaker`).";
    ORIGIN_INTERIM_DROPPED = Counter "truehit_origin_interim_dropped_total" [] from_start:
        "Interim responses (1xx) that were not forwarded: over the bound of their request, or after its answer.";
    CLIENT_BODY_BYTES = Counter "truehit_client_body_bytes_total" [] from_start:
        "Bytes of response bodies sent to clients.";
    BYTES_SAVED = Counter "truehit_bytes_saved_total" [] from_start:
        "Bytes of response bodies that were served from the store.";
    STORE_ENTRIES = Gauge "truehit_store_entries" [] from_start:
        "Keys under which something is stored; the variants of a resource share theirs.";
    STORE_BYTES = Gauge "truehit_store_bytes" [] from_start:
        "What the stored responses weigh: bodies, heads, keys and a measured overhead.";
    STORE_CAPACITY = Gauge "truehit_store_capacity_bytes" [] from_start:
        "What they may weigh (`cache.memory`).";
    STORE_EVICTIONS = Counter "truehit_store_evictions_total" [CAUSE] from_start:
        "Stored responses that left the store, by cause.";
    FILL_BYTES = Gauge "truehit_fill_bytes" [] from_start:
        "Bytes held by bodies that are being received to be stored.";
    FILL_CAPACITY = Gauge "truehit_fill_capacity_bytes" [] from_start:
        "What they may hold: three quarters of `cache.fill_memory`.";
    WAITING = Gauge "truehit_waiting_requests" [] from_start:
        "Requests that wait for an exchange with the origin.";
    RUNNING = Gauge "truehit_running_exchanges" [] from_start:
        "Shared exchanges with the origin that are running.";
    IN_FLIGHT = Gauge "truehit_requests_in_flight" [] from_start:
        "Requests that have arrived and whose answer is not over (`limits.requests`).";
    CONNECTIONS = Gauge "truehit_connections" [] from_start:
        "Open client connections.";
    CLIENT_CLOSINGS = Counter "truehit_client_closings_total" [CLOSING] from_start:
        "Connections of clients, requests (`content-late`) and streams (`stream-late`) that truehit ended, by why.";
    HANDLER_PANICS = Counter "truehit_handler_panics_total" [] from_start:
        "Requests and shared exchanges whose handling panicked: a bug in truehit, please report it.";
    READY = Gauge "truehit_ready" [] from_start:
        "1 if /readyz answers 200, else 0.";
    RELOADS = Counter "truehit_config_reloads_total" [RELOAD] from_start:
        "Attempts to reload the configuration or TLS files.";
    RELOAD_TIMESTAMP = Gauge "truehit_config_last_reload_success_timestamp_seconds" [] from_start:
        "When the configuration in use was loaded, in seconds since the epoch.";
    RELOAD_SUCCESSFUL = Gauge "truehit_config_last_reload_successful" [] from_start:
        "1 if the last attempt to load the configuration succeeded, else 0: the old one is in use.";
    LOG_LINES_DROPPED = Counter "truehit_log_lines_dropped_total" [] from_start:
        "Access log lines that were dropped as the queue to standard output was full.";
    BUILD_INFO = Gauge "truehit_build_info" [Label::Info("version"), Label::Info("revision")] from_start:
        "The build. Always 1.";
}

/// The metrics' reference page, `docs/metrics.md`.
#[must_use]
pub fn reference() -> String {
    let (per_route, fixed) = series_parts();
    let bounds: Vec<String> = BUCKETS.iter().map(|(_, bound)| format!("`{bound}`")).collect();
    let mut page = format!(
        "# Metrics\n\n\
         <!-- Made by `make generate` from src/metrics/declare.rs; do not edit. -->\n\n\
         truehit exports these at `/metrics` on the admin listener, in the Prometheus text format.\n\n\
         Label values are fixed words, the same as in `Cache-Status` and the access log; `route` is the configured \
         name. No label carries a path, host, method or key, so clients cannot make series: a process with *n* \
         routes exports at most **{per_route} × n + {fixed}**. Series marked *from the start* exist at zero before \
         anything happened; the others appear when they first count.\n\n\
         The buckets of every histogram, in seconds: {}.\n\n\
         `process_*` (CPU, memory, file descriptors, threads, start time) come along on Linux.\n\n\
         | metric | type | labels | from the start | meaning |\n| --- | --- | --- | --- | --- |\n",
        bounds.join(", ")
    );
    for one in ALL {
        let labels: Vec<String> = one.labels.iter().map(|label| format!("`{}`", label.name())).collect();
        let start = if one.from_start { "yes" } else { "" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            page,
            "| `{}` | {} | {} | {start} | {} |",
            one.name,
            one.kind.as_str(),
            labels.join(", "),
            one.help
        );
    }
    page.push_str("\n## Label values\n\n| metric | label | values |\n| --- | --- | --- |\n");
    for one in ALL {
        for label in one.labels.iter().filter(|label| matches!(label, Label::Words(..))) {
            let words: Vec<String> = label.words().iter().map(|word| format!("`{word}`")).collect();
            let _ = writeln!(page, "| `{}` | `{}` | {} |", one.name, label.name(), words.join(", "));
        }
    }
    page
}
