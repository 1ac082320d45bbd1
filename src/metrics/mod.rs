//! Metrics: what truehit counts, as typed methods, and their exposition.
//!
//! [`Metrics`] is the process's; [`RouteMetrics`] is one route's, and belongs beside that route's policy: a request
//! takes both from one configuration snapshot, so a reload in mid-request cannot count it to another route. Each
//! method is an index and an atomic addition. What somebody else already knows (the store's weight, open connections)
//! is not kept here at all: it is asked for when a scrape comes, by the sources given to [`Metrics::on_scrape`].
//!
//! The `prometheus` crate encodes the text format and reads `/proc`; nothing outside this folder sees it.

mod declare;
mod instrument;
mod page;
mod route;
mod totals;
mod words;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use http::StatusCode;
use prometheus::proto;

use self::instrument::{Family, Gauge};
use self::page::Page;
use self::totals::{Read, Totals};
use crate::origin::{OriginError, Purpose};
use crate::rules::outcome::{SkipReason, Unproven};
use crate::server::Closing;

pub use self::declare::{ALL, Declaration, Label, MetricType, PROCESS_SERIES, reference, series_ceiling};
pub use self::route::RouteMetrics;
pub use self::words::{AuditResult, CheckResult, CodeClass, EvictionCause, ReloadResult};

/// The `Content-Type` of the exposition.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What is asked for at scrape time. A source fills in what it knows and leaves the rest alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    /// Stored responses.
    pub store_entries: u64,
    /// What they weigh, in bytes.
    pub store_bytes: u64,
    /// What they may weigh, in bytes.
    pub store_capacity_bytes: u64,
    /// Bytes held by bodies being filled.
    pub fill_bytes: u64,
    /// What those may hold, in bytes.
    pub fill_capacity_bytes: u64,
    /// Requests waiting for an exchange.
    pub waiting_requests: u64,
    /// Shared exchanges running.
    pub running_exchanges: u64,
    /// Open client connections.
    pub connections: u64,
    /// Connections and requests of clients that were ended, in the order of [`Closing::ALL`].
    pub client_closings: [u64; Closing::ALL.len()],
    /// Where the origin's breaker stands.
    pub breaker: u64,
    /// Connections to the origin that were dialled.
    pub origin_connections: u64,
    /// Requests that were sent to the origin again, as their pooled connection had been closed.
    pub origin_retries: u64,
    /// Times that bytes came on an idle connection; [`Metrics::origin_desynced`] counts into the same total.
    pub origin_desyncs: u64,
    /// Whether `/readyz` answers 200.
    pub ready: bool,
    /// Access log lines dropped since the start.
    pub log_lines_dropped: u64,
}

type Source = Box<dyn Fn(&mut Readings) + Send + Sync>;

/// The process's metrics. One exists, behind an `Arc`, shared by everything that counts.
pub struct Metrics {
    totals: Arc<Totals>,
    /// The routes in use, in the order of the configuration; replaced as a whole by a reload.
    routes: ArcSwap<Vec<Arc<RouteMetrics>>>,
    /// Asked in order at each scrape. Only grows while the process is put together.
    sources: Mutex<Vec<Source>>,
    read: Read,
    /// The place of the last answer's label plus one; zero before the first.
    last_origin: AtomicUsize,
    /// Requests that have arrived and whose answer is not over.
    in_flight: AtomicUsize,
    build: [String; 2],
    build_info: Family<Gauge>,
    #[cfg(target_os = "linux")]
    process: prometheus::process_collector::ProcessCollector,
}

impl Metrics {
    /// Metrics without routes yet, for a build of this `version` and source `revision` (empty if unknown).
    #[must_use]
    pub fn new(version: &str, revision: &str) -> Arc<Self> {
        let build_info = Family::<Gauge>::new(&declare::BUILD_INFO);
        build_info.at([]).set(1);
        Arc::new(Self {
            totals: Arc::new(Totals::new()),
            routes: ArcSwap::default(),
            sources: Mutex::default(),
            read: Read::new(),
            last_origin: AtomicUsize::new(0),
            in_flight: AtomicUsize::new(0),
            build: [version.to_owned(), revision.to_owned()],
            build_info,
            #[cfg(target_os = "linux")]
            process: prometheus::process_collector::ProcessCollector::for_self(),
        })
    }

    /// Takes these routes into use, in the order of the configuration, and returns the metrics of each.
    ///
    /// A route that keeps its name keeps its counts; the series of a route that is gone vanish, whatever requests
    /// that still run under the old configuration go on to count.
    pub fn install_routes<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Arc<Vec<Arc<RouteMetrics>>> {
        let old = self.routes.load();
        let mut routes: Vec<Arc<RouteMetrics>> = Vec::new();
        for name in names {
            let known = routes.iter().chain(old.iter()).find(|route| route.name() == name);
            let route = known.cloned().unwrap_or_else(|| Arc::new(RouteMetrics::new(name, self.totals.clone())));
            routes.push(route);
        }
        let routes = Arc::new(routes);
        self.routes.store(routes.clone());
        routes
    }

    /// Asks `source` at every scrape.
    pub fn on_scrape(&self, source: impl Fn(&mut Readings) + Send + Sync + 'static) {
        self.sources().push(Box::new(source));
    }

    /// A request has arrived.
    pub fn request_began(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// A request's answer is over.
    pub fn request_ended(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many requests have arrived and are not over.
    #[must_use]
    pub fn requests_in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// A request to the origin got its response head, or failed, after `elapsed`.
    pub fn origin(&self, purpose: Purpose, answer: Result<StatusCode, &OriginError>, elapsed: Duration) {
        let code = match answer {
            Ok(status) => CodeClass::from(status) as usize,
            Err(error) => CodeClass::ALL.len() + words::origin_error_place(error),
        };
        self.totals.origin_requests.at([purpose as usize, code]).add(1);
        self.totals.origin_duration.at([purpose as usize]).observe(elapsed);
        self.last_origin.store(code + 1, Ordering::Relaxed);
    }

    /// A request was not sent to the origin, as this error says: the breaker held it back.
    pub fn held_back(&self, purpose: Purpose, why: &OriginError) {
        let code = CodeClass::ALL.len() + words::origin_error_place(why);
        self.totals.origin_requests.at([purpose as usize, code]).add(1);
    }

    /// The origin's breaker opened.
    pub fn breaker_opened(&self) {
        self.totals.breaker_opened.at([]).add(1);
    }

    /// How the origin answered last: the class of the status or the error's word. `None` before the first.
    #[must_use]
    pub fn last_origin_answer(&self) -> Option<&'static str> {
        let code = self.last_origin.load(Ordering::Relaxed).checked_sub(1)?;
        let class = CodeClass::ALL.get(code).map(|class| class.as_str());
        class.or_else(|| words::ORIGIN_ERRORS.get(code - CodeClass::ALL.len()).copied())
    }

    /// Bytes of a response body came from the origin.
    pub fn origin_body_bytes(&self, purpose: Purpose, bytes: u64) {
        self.totals.origin_body_bytes.at([purpose as usize]).add(bytes);
    }

    /// An answer of the origin did not fit its question.
    pub fn origin_desynced(&self) {
        self.totals.origin_desyncs.at([]).add(1);
    }

    /// An interim response of the origin was not forwarded.
    pub fn interim_dropped(&self) {
        self.totals.origin_interim_dropped.at([]).add(1);
    }

    /// Bytes of a response body went to a client.
    pub fn client_body_bytes(&self, bytes: u64) {
        self.totals.client_body_bytes.at([]).add(bytes);
    }

    /// Bytes of a response body were served from the store (they count as client bytes as well).
    pub fn saved_bytes(&self, bytes: u64) {
        self.totals.bytes_saved.at([]).add(bytes);
    }

    /// A check's answer proved nothing. The check itself is counted by [`RouteMetrics::check`].
    pub fn unproven(&self, reason: Unproven) {
        self.totals.unproven.at([reason as usize]).add(1);
    }

    /// A fetched response was not stored.
    pub fn not_stored(&self, reason: SkipReason) {
        self.totals.not_stored.at([reason as usize]).add(1);
    }

    /// A stored response left the store.
    pub fn evicted(&self, cause: EvictionCause) {
        self.totals.evictions.at([cause as usize]).add(1);
    }

    /// A request's handling panicked.
    pub fn handler_panicked(&self) {
        self.totals.handler_panics.at([]).add(1);
    }

    /// The configuration was loaded at the start of the process.
    pub fn config_loaded(&self, at: SystemTime) {
        let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        self.totals.reload_timestamp.at([]).set(seconds);
        self.totals.reload_successful.at([]).set(1);
    }

    /// An attempt to reload the configuration or TLS files ended at `at`.
    pub fn config_reloaded(&self, result: ReloadResult, at: SystemTime) {
        self.totals.reloads.at([result as usize]).add(1);
        match result {
            ReloadResult::Success => self.config_loaded(at),
            ReloadResult::Error => self.totals.reload_successful.at([]).set(0),
        }
    }

    /// The exposition in the Prometheus text format. It asks the sources and allocates; it is not for the hot path.
    ///
    /// # Errors
    ///
    /// If the encoder refuses a family, which would be a bug here; its words say which.
    pub fn render(&self) -> Result<String, prometheus::Error> {
        prometheus::TextEncoder::new().encode_to_string(&self.collect())
    }

    fn collect(&self) -> Vec<proto::MetricFamily> {
        let mut readings = Readings::default();
        for source in self.sources().iter() {
            source(&mut readings);
        }
        self.read.take(&readings);
        self.totals.take_desyncs(readings.origin_desyncs);
        self.totals.in_flight.at([]).set(u64::try_from(self.requests_in_flight()).unwrap_or(u64::MAX));

        let mut page = Page::default();
        let routes = self.routes.load();
        RouteMetrics::write(&routes, &mut page);
        self.totals.write(&mut page);
        self.read.write(&mut page);
        let [version, revision] = &self.build;
        page.family(&self.build_info, &[version, revision]);
        #[cfg(target_os = "linux")]
        page.extend(prometheus::core::Collector::collect(&self.process));
        page.into_families()
    }

    fn sources(&self) -> MutexGuard<'_, Vec<Source>> {
        // A source that panicked left the list as it was.
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
