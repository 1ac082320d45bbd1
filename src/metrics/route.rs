//! `RouteMetrics`: what is counted for one route.
//!
//! It is held beside the route's policy. [`RouteMetrics::request`] counts all that one request's outcome says, so the
//! core reports an outcome once and its parts cannot disagree.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use http::StatusCode;
use prometheus::proto;

use super::declare::{self, Declaration};
use super::instrument::{Counter, Family, Gauge, Histogram, Instrument};
use super::page::Page;
use super::totals::Totals;
use super::words::{AuditResult, CheckResult, CodeClass};
use crate::rules::outcome::{Excuse, Kind, Outcome, PassReason};
use crate::rules::policy::Strategy;
use crate::rules::refusal::Refusal;

/// One route's counters, laid out at construction: 40 for requests, 16 for checks, 4 for audits, 12 histograms.
#[derive(Debug)]
pub struct RouteMetrics {
    name: Box<str>,
    totals: Arc<Totals>,
    requests: Family<Counter>,
    request_duration: Family<Histogram>,
    hits: Family<Counter>,
    misses: Family<Counter>,
    excused: Family<Counter>,
    collapsed: Family<Counter>,
    checks: Family<Counter>,
    check_duration: Family<Histogram>,
    audits: Family<Counter>,
    /// How the route checks now, and why.
    strategy: ArcSwapOption<(Strategy, &'static str)>,
}

impl RouteMetrics {
    pub(super) fn new(name: &str, totals: Arc<Totals>) -> Self {
        Self {
            name: name.into(),
            totals,
            requests: Family::new(&declare::REQUESTS),
            request_duration: Family::new(&declare::REQUEST_DURATION),
            hits: Family::new(&declare::CACHE_HITS),
            misses: Family::new(&declare::CACHE_MISSES),
            excused: Family::new(&declare::EXCUSED),
            collapsed: Family::new(&declare::COLLAPSED),
            checks: Family::new(&declare::CHECKS),
            check_duration: Family::new(&declare::CHECK_DURATION),
            audits: Family::new(&declare::AUDITS),
            strategy: ArcSwapOption::empty(),
        }
    }

    /// The route's configured name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A request was answered with `status`, `elapsed` after its head had arrived. Call it once per request.
    ///
    /// It counts the outcome's parts too: hit or miss, the excuse, the reason to pass or refuse, collapsing.
    pub fn request(&self, outcome: &Outcome, status: StatusCode, elapsed: Duration) {
        self.requests.at([outcome.kind as usize, CodeClass::from(status) as usize]).add(1);
        self.request_duration.at([outcome.kind as usize]).observe(elapsed);
        match outcome.is_hit() {
            Some(true) => self.hits.at([]).add(1),
            Some(false) => self.misses.at([]).add(1),
            None => {}
        }
        if outcome.collapsed {
            self.collapsed.at([]).add(1);
        }
        match outcome.kind {
            Kind::Excused => count_word(&self.excused, outcome.reason, Excuse::ALL, Excuse::as_str),
            Kind::Pass => count_word(&self.totals.passed, outcome.reason, PassReason::ALL, PassReason::as_str),
            Kind::Refused => count_word(&self.totals.refused, outcome.reason, Refusal::ALL, Refusal::as_str),
            Kind::Checked | Kind::Changed | Kind::Miss | Kind::VaryMiss | Kind::Partial | Kind::Failed => {}
        }
    }

    /// A check was made and judged, `elapsed` after it was sent. One per exchange, however many requests it served.
    pub fn check(&self, strategy: Strategy, result: CheckResult, elapsed: Duration) {
        self.checks.at([strategy as usize, result as usize]).add(1);
        self.check_duration.at([strategy as usize]).observe(elapsed);
    }

    /// A check was audited.
    pub fn audit(&self, result: AuditResult) {
        self.audits.at([result as usize]).add(1);
    }

    /// The route checks this way from now on, for this reason.
    pub fn strategy(&self, strategy: Strategy, reason: &'static str) {
        let same = self.strategy.load().as_ref().is_some_and(|now| **now == (strategy, reason));
        if !same {
            self.strategy.store(Some(Arc::new((strategy, reason))));
        }
    }

    /// Writes the families of all `routes`, each family once. Two routes of one name share one `RouteMetrics`.
    pub(super) fn write(routes: &[Arc<Self>], page: &mut Page) {
        let mut once: Vec<&Arc<Self>> = Vec::with_capacity(routes.len());
        for route in routes {
            if !once.iter().any(|seen| seen.name == route.name) {
                once.push(route);
            }
        }
        let counters: [fn(&Self) -> &Family<Counter>; 7] = [
            |r| &r.requests,
            |r| &r.hits,
            |r| &r.misses,
            |r| &r.excused,
            |r| &r.collapsed,
            |r| &r.checks,
            |r| &r.audits,
        ];
        for family in counters {
            write_all(&once, family, page);
        }
        let histograms: [fn(&Self) -> &Family<Histogram>; 2] = [|r| &r.request_duration, |r| &r.check_duration];
        for family in histograms {
            write_all(&once, family, page);
        }
        write_strategies(&once, page);
    }
}

fn count_word<T: Copy>(family: &Family<Counter>, word: &str, all: &[T], as_str: fn(T) -> &'static str) {
    let place = all.iter().position(|one| as_str(*one) == word);
    // A word of another enum counts nowhere rather than wrongly; the request itself is counted.
    debug_assert!(place.is_some(), "{word} is no reason of {}", family.declaration().name);
    if let Some(place) = place {
        family.at([place]).add(1);
    }
}

fn write_all<M: Instrument>(routes: &[&Arc<RouteMetrics>], family: fn(&RouteMetrics) -> &Family<M>, page: &mut Page) {
    let mut metrics = Vec::new();
    let mut declaration: Option<&Declaration> = None;
    for route in routes {
        family(route).write(&[route.name()], &mut metrics);
        declaration = Some(family(route).declaration());
    }
    if let Some(declaration) = declaration {
        page.add(declaration, metrics);
    }
}

fn write_strategies(routes: &[&Arc<RouteMetrics>], page: &mut Page) {
    let mut metrics: Vec<proto::Metric> = Vec::new();
    for route in routes {
        if let Some(now) = route.strategy.load().as_ref() {
            let info = Family::<Gauge>::new(&declare::CHECK_STRATEGY);
            info.at([]).set(1);
            info.write(&[route.name(), now.0.as_str(), now.1], &mut metrics);
        }
    }
    page.add(&declare::CHECK_STRATEGY, metrics);
}
