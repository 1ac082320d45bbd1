//! The access log: one JSON line for each request, on standard output.
//!
//! It says in the words of `Cache-Status` and the metrics how the request ended. A line is bounded in bytes, as its
//! values are cut to length; the queue to the writer's thread is bounded in lines. When standard output does not keep
//! up, lines are dropped and counted: a log must never hold a request. Query values are left out, as tokens travel in
//! them; the names stay.
//!
//! Everything else that truehit has to say (start, reload, errors) goes to standard error: [`crate::text_log`].

mod redact;
mod time;

use std::io::Write;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use serde::Serialize;
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};

use crate::metrics::CheckResult;
use crate::rules::outcome::Outcome;
use crate::rules::policy::Strategy;

/// How many lines may wait for standard output. A line is 300 bytes as a rule and at most some 4 KiB.
pub const QUEUE_LINES: usize = 4096;

/// The longest method that is logged whole, in bytes.
const METHOD_MAX: usize = 32;
/// The longest host that is logged whole, in bytes; DNS allows 253.
const HOST_MAX: usize = 256;
/// The longest path that is logged whole, in bytes.
const PATH_MAX: usize = 1024;
/// The longest redacted query that is logged whole, in bytes.
const QUERY_MAX: usize = 512;

/// What is known about a request once its response has been sent.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// When its head had arrived, by the wall clock.
    pub arrived: SystemTime,
    /// Its method.
    pub method: &'a Method,
    /// The name of the route that took it.
    pub route: &'a str,
    /// Its `Host` or `:authority`, as the client sent it.
    pub host: Option<&'a str>,
    /// Its path, as the client sent it.
    pub path: &'a str,
    /// Its query, as the client sent it; only the names are logged.
    pub query: Option<&'a str>,
    /// The status of the response.
    pub status: StatusCode,
    /// Bytes of content that were sent.
    pub bytes: u64,
    /// From the request's head to the end of the response's content.
    pub elapsed: Duration,
    /// How it ended.
    pub outcome: &'a Outcome,
    /// The check that decided it, if there was one.
    pub check: Option<CheckNote>,
    /// The client's address, if it came over IP.
    pub peer: Option<IpAddr>,
}

/// The check that decided a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckNote {
    /// How the origin was asked.
    pub strategy: Strategy,
    /// What its answer said.
    pub result: CheckResult,
    /// From sending it to its verdict.
    pub elapsed: Duration,
}

/// The access log. Recording never blocks and never fails.
#[derive(Debug)]
pub struct AccessLog {
    writer: NonBlocking,
    on: AtomicBool,
}

impl AccessLog {
    /// A log to standard output; it writes nothing while it is not `on`. Keep the guard until the last request has
    /// ended: dropping it writes out what waits (for at most about a second).
    pub fn stdout(on: bool) -> (Self, WorkerGuard) {
        Self::to(std::io::stdout(), QUEUE_LINES, on)
    }

    /// A log to `writer`, with a queue of this many lines.
    pub fn to(writer: impl Write + Send + 'static, queue_lines: usize, on: bool) -> (Self, WorkerGuard) {
        let builder = NonBlockingBuilder::default().lossy(true).buffered_lines_limit(queue_lines);
        let (writer, guard) = builder.thread_name("access-log").finish(writer);
        (Self { writer, on: AtomicBool::new(on) }, guard)
    }

    /// Whether requests are recorded: the core need not gather an entry when they are not.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Turns recording on or off, as a reload may.
    pub fn set(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// How many lines were dropped as the queue was full.
    #[must_use]
    pub fn dropped_lines(&self) -> u64 {
        u64::try_from(self.writer.error_counter().dropped_lines()).unwrap_or(u64::MAX)
    }

    /// Records one request.
    pub fn record(&self, entry: &Entry<'_>) {
        if !self.is_on() {
            return;
        }
        let mut line = Vec::with_capacity(512);
        // Neither can fail: a line has only strings and numbers, and a lossy writer counts what it cannot take.
        let _ = serde_json::to_writer(&mut line, &Line::of(entry));
        line.push(b'\n');
        let _ = self.writer.clone().write(&line);
    }
}

/// The fields of a line, in order.
#[derive(Serialize)]
struct Line<'a> {
    ts: String,
    method: String,
    route: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<String>,
    status: u16,
    bytes: u64,
    dur_ms: f64,
    outcome: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fwd_status: Option<u16>,
    collapsed: bool,
    stored: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    check: Option<CheckLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<IpAddr>,
}

#[derive(Serialize)]
struct CheckLine {
    strategy: &'static str,
    result: &'static str,
    ms: f64,
}

impl<'a> Line<'a> {
    fn of(entry: &Entry<'a>) -> Self {
        Self {
            ts: time::rfc3339(entry.arrived),
            method: redact::cut(entry.method.as_str(), METHOD_MAX),
            route: entry.route,
            host: entry.host.map(|host| redact::cut(host, HOST_MAX)),
            path: redact::cut(entry.path, PATH_MAX),
            query: entry.query.map(|query| redact::cut(&redact::names_only(query, QUERY_MAX), QUERY_MAX)),
            status: entry.status.as_u16(),
            bytes: entry.bytes,
            dur_ms: millis(entry.elapsed),
            outcome: entry.outcome.kind.as_str(),
            reason: entry.outcome.reason,
            fwd_status: entry.outcome.fwd_status.map(|status| status.as_u16()),
            collapsed: entry.outcome.collapsed,
            stored: entry.outcome.stored,
            check: entry.check.map(|check| CheckLine {
                strategy: check.strategy.as_str(),
                result: check.result.as_str(),
                ms: millis(check.elapsed),
            }),
            peer: entry.peer,
        }
    }
}

/// Milliseconds with the microseconds as decimals, and no more.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
