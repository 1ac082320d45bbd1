//! The origin that every program stands before. A path says how its resource behaves:
//!
//! - `/fresh/BYTES/..` may be served for an hour without asking,
//! - `/checked/BYTES/..` must be checked each time, and answers conditions with 304,
//! - `/private/BYTES/..` must not be stored,
//! - `/variants/BYTES/..` is as fresh, and varies by `X-Variant`.
//!
//! What follows the size, and the query, tell resources apart. It counts what it answers, by method and status;
//! `/_counters` says the counts and is not counted.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;

use crate::client;
use crate::process::{End, Process};
use crate::roles;

/// The largest body that can be asked for.
const LARGEST: usize = 1 << 20;

const LAST_MODIFIED: HeaderValue = HeaderValue::from_static("Mon, 01 Jan 2024 00:00:00 GMT");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
const FOR_AN_HOUR: HeaderValue = HeaderValue::from_static("max-age=3600");
const CHECKED: HeaderValue = HeaderValue::from_static("max-age=0, must-revalidate");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// The origin as the harness sees it: a process, ended when dropped.
pub struct Origin {
    process: Process,
    address: SocketAddr,
}

impl Origin {
    /// Starts one that waits `delay_ms` before each answer.
    pub fn start(folder: &Path, delay_ms: u64) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("the harness knows its own place"));
        command.args([roles::ORIGIN, &delay_ms.to_string()]);
        let mut process = Process::start(command, folder.join("origin.log"), End::Killed);
        let address = process.wait_for(roles_address).expect("the origin serves");
        Self { process, address }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// How many requests it has answered.
    pub fn requests(&self) -> u64 {
        let counters = client::get(self.address, "/_counters");
        let counters: serde_json::Value = serde_json::from_slice(&counters).expect("counters in JSON");
        counters["requests"].as_u64().expect("a count of requests")
    }
}

/// The address that one of this executable's own servers prints.
pub fn roles_address(printed: &str) -> Option<SocketAddr> {
    let (_, rest) = printed.split_once(roles::SERVING)?;
    let (port, _) = rest.split_once('\n')?;
    Some(SocketAddr::from(([127, 0, 0, 1], port.parse().ok()?)))
}

/// The origin as its process sees it.
pub struct Site {
    delay: Duration,
    content: Bytes,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    get_200: AtomicU64,
    get_304: AtomicU64,
    head_200: AtomicU64,
    head_304: AtomicU64,
    other: AtomicU64,
}

impl Site {
    pub fn new(delay: Duration) -> Self {
        // Letters, not zeros: no layer below may find the bytes easy.
        let content = (0u8..=255).cycle().map(|byte| b'a' + byte % 23).take(LARGEST).collect();
        Self { delay, content, counts: Counts::default() }
    }

    pub async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if request.uri().path() == "/_counters" {
            return Response::new(Full::new(Bytes::from(self.counts.as_json())));
        }
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        let response = self.evaluate(request);
        self.counts.add(request.method(), response.status());
        response
    }

    fn evaluate(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let mut segments = request.uri().path().split('/').skip(1);
        let (kind, size) = (segments.next(), segments.next().and_then(|size| size.parse::<usize>().ok()));
        let (Some(kind), Some(size)) = (kind, size.filter(|size| *size <= LARGEST)) else {
            return with_status(StatusCode::NOT_FOUND);
        };
        let mut fields = HeaderMap::with_capacity(8);
        let known = describe(kind, &mut fields);
        if !known || !(request.method() == Method::GET || request.method() == Method::HEAD) {
            return with_status(StatusCode::NOT_FOUND);
        }
        let tag = tag(request);
        let unchanged = request.headers().get(header::IF_NONE_MATCH).is_some_and(|list| lists(list, &tag));
        fields.insert(header::ETAG, tag);
        fields.insert(header::LAST_MODIFIED, LAST_MODIFIED);
        let mut response = if unchanged {
            with_status(StatusCode::NOT_MODIFIED)
        } else {
            fields.insert(header::CONTENT_TYPE, OCTETS);
            Response::new(Full::new(self.content.slice(..size)))
        };
        *response.headers_mut() = fields;
        response
    }
}

/// Adds the fields that say how resources of the kind may be used; `false` if there is no such kind.
fn describe(kind: &str, fields: &mut HeaderMap) -> bool {
    let control = match kind {
        "fresh" | "variants" => FOR_AN_HOUR,
        "checked" => CHECKED,
        "private" => NO_STORE,
        _ => return false,
    };
    if kind == "checked" {
        // nginx stores nothing that is stale from the start. It obeys this field, which says that it was fresh until
        // one second after 1970, if it comes before `Cache-Control`; the others do not know it.
        fields.insert("x-accel-expires", HeaderValue::from_static("@1"));
    }
    fields.insert(header::CACHE_CONTROL, control);
    if kind == "variants" {
        fields.insert(header::VARY, HeaderValue::from_static("X-Variant"));
    }
    true
}

/// A strong entity tag, another for each resource and variant.
fn tag(request: &Request<Incoming>) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    request.uri().path_and_query().map(http::uri::PathAndQuery::as_str).hash(&mut hasher);
    request.headers().get("x-variant").hash(&mut hasher);
    HeaderValue::from_str(&format!("\"v1-{:016x}\"", hasher.finish())).expect("hexadecimal digits")
}

fn lists(list: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(list), Ok(tag)) = (list.to_str(), tag.to_str()) else { return false };
    list.split(',').any(|one| one.trim().trim_start_matches("W/") == tag)
}

fn with_status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

impl Counts {
    fn add(&self, method: &Method, status: StatusCode) {
        let count = match (method == Method::HEAD, status) {
            (false, StatusCode::OK) => &self.get_200,
            (false, StatusCode::NOT_MODIFIED) => &self.get_304,
            (true, StatusCode::OK) => &self.head_200,
            (true, StatusCode::NOT_MODIFIED) => &self.head_304,
            _ => &self.other,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    fn as_json(&self) -> String {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let all = [&self.get_200, &self.get_304, &self.head_200, &self.head_304, &self.other].map(read);
        let [get_200, get_304, head_200, head_304, other] = all;
        serde_json::json!({
            "requests": all.iter().sum::<u64>(),
            "GET": { "200": get_200, "304": get_304 },
            "HEAD": { "200": head_200, "304": head_304 },
            "other": other,
        })
        .to_string()
    }
}
