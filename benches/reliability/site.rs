//! The origin, as its own process sees it: versioned registers, and resources of any size.
//!
//! - `/k/KEY` is a register; `PUT /k/KEY/VERSION` writes it. Its tag says the version, and so does every line of it,
//! - `/fresh/BYTES/..` may be served for an hour without asking; `/grouped/BYTES/..` too, and belongs to a group,
//! - `/checked/BYTES/..` must be checked each time,
//! - `/big/BYTES/..` is as much, made as it is sent; `/long/BYTES/..` does not say beforehand how much it is,
//! - `/lying/N/KEY` changes every [`CHANGES_AFTER`] requests; one change in `N` keeps the tag of what was before,
//! - `/mine` is what the request's `Authorization` or cookie says,
//! - `/_counters` says what was counted, and is not counted.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

/// How many registers there are.
pub const KEYS: usize = 64;

/// How long the contents of registers are, in bytes: a register's is the one at its number modulo how many these are.
const SIZES: [usize; 8] = [200, 1_000, 4_000, 20_000, 500, 64, 9_000, 40_000];

/// The largest resource that is not made as it is sent.
const LARGEST: usize = 1 << 20;

/// The pieces in which a large one is.
const PIECE: usize = 64 << 10;

/// After how many requests a resource changes that may lie.
pub const CHANGES_AFTER: u64 = 100;

/// The group of `/grouped`.
const GROUP: HeaderValue = HeaderValue::from_static("\"all\"");

/// How long the content of a register is.
pub const fn size_of(key: usize) -> usize {
    SIZES[key % SIZES.len()]
}

/// The content of a version: one line over and over, cut at its length, so that one that is torn, cut or foreign shows.
pub fn content(key: usize, version: u64) -> Vec<u8> {
    let size = size_of(key);
    let line = format!("key {key:05} version {version:012} size {size:06}\n");
    line.bytes().cycle().take(size).collect()
}

/// The version that a content says, if all of it is the content of that version of the key.
pub fn version_in(key: usize, bytes: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(bytes.get(..31)?).ok()?;
    let version = line.get(18..30)?.parse().ok()?;
    (bytes == content(key, version)).then_some(version)
}

/// The tag of a version.
pub fn tag(key: usize, version: u64) -> String {
    format!("\"{key}-{version}\"")
}

pub struct Site {
    delay: Duration,
    versions: Vec<AtomicU64>,
    letters: Bytes,
    /// Requests for what may lie, by key.
    asked: Vec<AtomicU64>,
    requests: AtomicU64,
    /// Requests for content, as distinct from those that ask by a condition.
    unconditional: AtomicU64,
    running: AtomicU64,
    most_running: AtomicU64,
}

impl Site {
    /// All registers at `version`; each answer takes `delay`.
    pub fn new(delay: Duration, version: u64) -> Self {
        Self {
            delay,
            versions: (0..KEYS).map(|_| AtomicU64::new(version)).collect(),
            asked: (0..KEYS).map(|_| AtomicU64::new(0)).collect(),
            letters: (0u8..=255).cycle().map(|byte| b'a' + byte % 23).take(LARGEST).collect(),
            requests: AtomicU64::new(0),
            unconditional: AtomicU64::new(0),
            running: AtomicU64::new(0),
            most_running: AtomicU64::new(0),
        }
    }

    pub async fn answer(&self, request: Request<Incoming>) -> Result<Response<Content>, Infallible> {
        let path = request.uri().path();
        match path {
            "/_counters" => return Ok(Response::new(Content::whole(self.counters().into()))),
            "/_reset" => {
                [&self.requests, &self.unconditional, &self.most_running]
                    .iter()
                    .for_each(|count| count.store(0, Ordering::SeqCst));
                return Ok(Response::new(Content::default()));
            }
            _ => {}
        }
        if request.method() == Method::PUT {
            return Ok(with_status(if self.write(path).is_some() {
                StatusCode::NO_CONTENT
            } else {
                StatusCode::NOT_FOUND
            }));
        }
        self.requests.fetch_add(1, Ordering::SeqCst);
        if !request.headers().contains_key(header::IF_NONE_MATCH) {
            self.unconditional.fetch_add(1, Ordering::SeqCst);
        }
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most_running.fetch_max(running, Ordering::SeqCst);
        let _running = Running(&self.running);
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        Ok(self.evaluate(&request).unwrap_or_else(|| with_status(StatusCode::NOT_FOUND)))
    }

    fn counters(&self) -> String {
        let read = |count: &AtomicU64| count.load(Ordering::SeqCst);
        let mut text = String::new();
        for (name, count) in
            [("requests", &self.requests), ("unconditional", &self.unconditional), ("most_running", &self.most_running)]
        {
            let _ = writeln!(text, "{name} {}", read(count));
        }
        text
    }

    /// `PUT /k/KEY/VERSION`. A version is never taken back.
    fn write(&self, path: &str) -> Option<()> {
        let (key, version) = path.strip_prefix("/k/")?.split_once('/')?;
        self.versions.get(key.parse::<usize>().ok()?)?.fetch_max(version.parse().ok()?, Ordering::SeqCst);
        Some(())
    }

    fn evaluate(&self, request: &Request<Incoming>) -> Option<Response<Content>> {
        let (kind, rest) = request.uri().path().strip_prefix('/')?.split_once('/').unwrap_or(("mine", ""));
        let mut fields = HeaderMap::with_capacity(8);
        let size = || rest.split('/').next()?.parse::<usize>().ok();
        let (tag, content) = match kind {
            "k" => {
                let key = rest.parse::<usize>().ok()?;
                let version = self.versions.get(key)?.load(Ordering::SeqCst);
                (tag(key, version), Content::whole(content(key, version).into()))
            }
            "lying" => {
                let (one_in, key) = rest.split_once('/')?;
                let (one_in, key) = (one_in.parse::<u64>().ok()?, key.parse::<usize>().ok()?);
                let version = self.asked.get(key)?.fetch_add(1, Ordering::SeqCst) / CHANGES_AFTER;
                // The lies of all keys are spread over the time that one of them takes to come round.
                let place = version + key as u64 * (one_in / KEYS as u64).max(1);
                let lies = version > 0 && one_in > 0 && place.is_multiple_of(one_in);
                (tag(key, version - u64::from(lies)), Content::whole(content(key, version).into()))
            }
            "mine" => {
                let who = whose(request.headers());
                (format!("\"{:x}\"", hash(&who)), Content::whole(format!("this is for {who} alone\n").into()))
            }
            "big" | "long" => {
                let content = Content { piece: self.letters.slice(..PIECE), rest: size()? as u64, told: kind == "big" };
                (format!("\"{:x}\"", hash(&request.uri())), content)
            }
            "fresh" | "grouped" | "checked" => {
                let control = if kind == "checked" { "max-age=0" } else { "max-age=3600" };
                fields.insert(header::CACHE_CONTROL, HeaderValue::from_static(control));
                if kind == "grouped" {
                    fields.insert("cache-groups", GROUP);
                }
                let size = size().filter(|size| *size <= LARGEST)?;
                (format!("\"{:x}\"", hash(&request.uri())), Content::whole(self.letters.slice(..size)))
            }
            _ => return None,
        };
        if request.method() == Method::POST {
            let mut done = with_status(StatusCode::NO_CONTENT);
            done.headers_mut().insert("cache-group-invalidation", GROUP);
            return Some(done);
        }
        let unchanged = request.headers().get(header::IF_NONE_MATCH).is_some_and(|list| lists(list, &tag));
        fields.insert(header::ETAG, HeaderValue::from_str(&tag).ok()?);
        let mut response = if unchanged { with_status(StatusCode::NOT_MODIFIED) } else { Response::new(content) };
        *response.headers_mut() = fields;
        Some(response)
    }
}

/// Who asks.
fn whose(fields: &HeaderMap) -> String {
    let says = |name| fields.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or("nobody");
    format!("{}/{}", says(header::AUTHORIZATION), says(header::COOKIE))
}

fn hash(what: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

fn lists(list: &HeaderValue, tag: &str) -> bool {
    list.to_str().is_ok_and(|list| list.split(',').any(|one| one.trim().trim_start_matches("W/") == tag))
}

fn with_status(status: StatusCode) -> Response<Content> {
    let mut response = Response::new(Content::default());
    *response.status_mut() = status;
    response
}

/// Counts an answer while it is being made.
struct Running<'a>(&'a AtomicU64);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Content of a length: a piece of it, over and over.
#[derive(Default)]
pub struct Content {
    piece: Bytes,
    rest: u64,
    /// Whether the length is told beforehand.
    told: bool,
}

impl Content {
    const fn whole(piece: Bytes) -> Self {
        let rest = piece.len() as u64;
        Self { piece, rest, told: true }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest == 0 {
            return Poll::Ready(None);
        }
        let length = usize::try_from(self.rest).map_or(self.piece.len(), |rest| rest.min(self.piece.len()));
        self.rest -= length as u64;
        Poll::Ready(Some(Ok(Frame::data(self.piece.slice(..length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest == 0
    }

    fn size_hint(&self) -> SizeHint {
        if self.told { SizeHint::with_exact(self.rest) } else { SizeHint::default() }
    }
}
