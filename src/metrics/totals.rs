//! The counters that have no route, and the gauges that are read at scrape time.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Readings;
use super::declare;
use super::instrument::{Counter, Family, Gauge, Histogram};
use super::page::Page;

/// The counters without a route, which routes share.
#[derive(Debug)]
pub(super) struct Totals {
    pub(super) unproven: Family<Counter>,
    pub(super) passed: Family<Counter>,
    pub(super) refused: Family<Counter>,
    pub(super) not_stored: Family<Counter>,
    pub(super) origin_requests: Family<Counter>,
    pub(super) origin_duration: Family<Histogram>,
    pub(super) origin_body_bytes: Family<Counter>,
    pub(super) origin_desyncs: Family<Counter>,
    pub(super) origin_interim_dropped: Family<Counter>,
    pub(super) breaker_opened: Family<Counter>,
    pub(super) client_body_bytes: Family<Counter>,
    pub(super) bytes_saved: Family<Counter>,
    pub(super) evictions: Family<Counter>,
    pub(super) in_flight: Family<Gauge>,
    pub(super) handler_panics: Family<Counter>,
    pub(super) reloads: Family<Counter>,
    pub(super) reload_timestamp: Family<Gauge>,
    pub(super) reload_successful: Family<Gauge>,
    /// What the connections had counted of `origin_desyncs` at the last scrape.
    desyncs_seen: AtomicU64,
}

impl Totals {
    pub(super) fn new() -> Self {
        Self {
            unproven: Family::new(&declare::CHECKS_UNPROVEN),
            passed: Family::new(&declare::PASSED),
            refused: Family::new(&declare::REFUSED),
            not_stored: Family::new(&declare::NOT_STORED),
            origin_requests: Family::new(&declare::ORIGIN_REQUESTS),
            origin_duration: Family::new(&declare::ORIGIN_DURATION),
            origin_body_bytes: Family::new(&declare::ORIGIN_BODY_BYTES),
            origin_desyncs: Family::new(&declare::ORIGIN_DESYNCS),
            origin_interim_dropped: Family::new(&declare::ORIGIN_INTERIM_DROPPED),
            breaker_opened: Family::new(&declare::BREAKER_OPENED),
            client_body_bytes: Family::new(&declare::CLIENT_BODY_BYTES),
            bytes_saved: Family::new(&declare::BYTES_SAVED),
            evictions: Family::new(&declare::STORE_EVICTIONS),
            in_flight: Family::new(&declare::IN_FLIGHT),
            handler_panics: Family::new(&declare::HANDLER_PANICS),
            reloads: Family::new(&declare::RELOADS),
            reload_timestamp: Family::new(&declare::RELOAD_TIMESTAMP),
            reload_successful: Family::new(&declare::RELOAD_SUCCESSFUL),
            desyncs_seen: AtomicU64::new(0),
        }
    }

    /// Adds what the connections have counted since the last scrape: two counters make this total.
    pub(super) fn take_desyncs(&self, count: u64) {
        let seen = self.desyncs_seen.fetch_max(count, Ordering::Relaxed);
        self.origin_desyncs.at([]).add(count.saturating_sub(seen));
    }

    pub(super) fn write(&self, page: &mut Page) {
        let counters = [
            &self.unproven,
            &self.passed,
            &self.refused,
            &self.not_stored,
            &self.origin_requests,
            &self.origin_body_bytes,
            &self.origin_desyncs,
            &self.origin_interim_dropped,
            &self.breaker_opened,
            &self.client_body_bytes,
            &self.bytes_saved,
            &self.evictions,
            &self.handler_panics,
            &self.reloads,
        ];
        counters.into_iter().for_each(|counter| page.family(counter, &[]));
        page.family(&self.origin_duration, &[]);
        page.family(&self.in_flight, &[]);
        page.family(&self.reload_timestamp, &[]);
        page.family(&self.reload_successful, &[]);
    }
}

/// The cells that [`Readings`] are copied to.
pub(super) struct Read {
    store_entries: Family<Gauge>,
    store_bytes: Family<Gauge>,
    store_capacity: Family<Gauge>,
    fill_bytes: Family<Gauge>,
    fill_capacity: Family<Gauge>,
    waiting: Family<Gauge>,
    running: Family<Gauge>,
    connections: Family<Gauge>,
    breaker: Family<Gauge>,
    ready: Family<Gauge>,
    client_closings: Family<Counter>,
    origin_connections: Family<Counter>,
    origin_retries: Family<Counter>,
    log_lines_dropped: Family<Counter>,
}

impl Read {
    pub(super) fn new() -> Self {
        Self {
            store_entries: Family::new(&declare::STORE_ENTRIES),
            store_bytes: Family::new(&declare::STORE_BYTES),
            store_capacity: Family::new(&declare::STORE_CAPACITY),
            fill_bytes: Family::new(&declare::FILL_BYTES),
            fill_capacity: Family::new(&declare::FILL_CAPACITY),
            waiting: Family::new(&declare::WAITING),
            running: Family::new(&declare::RUNNING),
            connections: Family::new(&declare::CONNECTIONS),
            breaker: Family::new(&declare::BREAKER_STATE),
            ready: Family::new(&declare::READY),
            client_closings: Family::new(&declare::CLIENT_CLOSINGS),
            origin_connections: Family::new(&declare::ORIGIN_CONNECTIONS),
            origin_retries: Family::new(&declare::ORIGIN_RETRIES),
            log_lines_dropped: Family::new(&declare::LOG_LINES_DROPPED),
        }
    }

    pub(super) fn take(&self, readings: &Readings) {
        self.store_entries.at([]).set(readings.store_entries);
        self.store_bytes.at([]).set(readings.store_bytes);
        self.store_capacity.at([]).set(readings.store_capacity_bytes);
        self.fill_bytes.at([]).set(readings.fill_bytes);
        self.fill_capacity.at([]).set(readings.fill_capacity_bytes);
        self.waiting.at([]).set(readings.waiting_requests);
        self.running.at([]).set(readings.running_exchanges);
        self.connections.at([]).set(readings.connections);
        self.breaker.at([]).set(readings.breaker);
        self.ready.at([]).set(u64::from(readings.ready));
        for (why, count) in readings.client_closings.iter().enumerate() {
            self.client_closings.at([why]).raise_to(*count);
        }
        self.origin_connections.at([]).raise_to(readings.origin_connections);
        self.origin_retries.at([]).raise_to(readings.origin_retries);
        self.log_lines_dropped.at([]).raise_to(readings.log_lines_dropped);
    }

    pub(super) fn write(&self, page: &mut Page) {
        let gauges = [
            &self.store_entries,
            &self.store_bytes,
            &self.store_capacity,
            &self.fill_bytes,
            &self.fill_capacity,
            &self.waiting,
            &self.running,
            &self.connections,
            &self.breaker,
            &self.ready,
        ];
        gauges.into_iter().for_each(|gauge| page.family(gauge, &[]));
        page.family(&self.client_closings, &[]);
        page.family(&self.origin_connections, &[]);
        page.family(&self.origin_retries, &[]);
        page.family(&self.log_lines_dropped, &[]);
    }
}
