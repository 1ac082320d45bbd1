//! The real proxy over an origin of the test's choice, without sockets: requests go in as values, replies come out.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use truehit::access_log::AccessLog;
use truehit::clock::Clock;
use truehit::config::{self, Config};
use truehit::metrics::Metrics;
use truehit::origin::{Origin, OriginError};
use truehit::proxy::{Handled, Proxy, Shared};
use truehit::rules::policy::Policy;
use truehit::server::{Drain, InterimSink, Peer};

/// A wall time for tests: 2026-01-01.
pub const NEW_YEAR: Duration = Duration::from_secs(1_767_225_600);

/// The test's side of a request's content.
pub type Pieces = mpsc::UnboundedSender<Result<Frame<Bytes>, OriginError>>;

/// The proxy under test.
pub struct House<O: Origin> {
    /// The proxy.
    pub proxy: Arc<Proxy<O>>,
    /// What it counts.
    pub metrics: Arc<Metrics>,
    /// What it stores, and what is under way in it.
    pub shared: Arc<Shared<O>>,
}

impl<O: Origin> Clone for House<O> {
    fn clone(&self) -> Self {
        let Self { proxy, metrics, shared } = self;
        Self { proxy: Arc::clone(proxy), metrics: Arc::clone(metrics), shared: Arc::clone(shared) }
    }
}

/// A response as a client has it.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its fields.
    pub fields: HeaderMap,
    /// Its content, or how it broke off.
    pub content: Result<Bytes, OriginError>,
}

impl Reply {
    /// The content as text.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(self.content.as_ref().expect("the body broke off")).unwrap()
    }

    /// A field as text; empty if absent.
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    /// `Cache-Status`.
    pub fn cache_status(&self) -> &str {
        self.field("cache-status")
    }
}

/// The configuration of tests: the defaults, with each route's policy adjusted.
pub fn configured(adjust: impl Fn(&mut Policy)) -> Config {
    let overrides = config::Overrides { origin: Some("http://origin.test".to_owned()), ..Default::default() };
    let mut config = config::load(&overrides, std::iter::empty()).expect("the defaults load").config;
    for route in &mut config.routes {
        adjust(&mut route.policy);
    }
    config
}

impl<O: Origin> House<O> {
    /// A proxy to `origin` with the defaults.
    pub fn new(origin: O) -> Self {
        Self::with(origin, |_| {})
    }

    /// A proxy to `origin` with the defaults, but for this.
    pub fn with(origin: O, adjust: impl Fn(&mut Policy)) -> Self {
        Self::of(origin, configured(adjust))
    }

    /// A proxy to `origin` under `config`.
    pub fn of(origin: O, config: Config) -> Self {
        Self::by(Clock::fixed(SystemTime::UNIX_EPOCH + NEW_YEAR), origin, config)
    }

    /// The same by this clock.
    pub fn by(clock: Clock, origin: O, config: Config) -> Self {
        let metrics = Metrics::new("test", "");
        let (access_log, _guard) = AccessLog::to(std::io::sink(), 1, false);
        let shared = Arc::new(Shared::new(&config, Drain::default(), &metrics, clock));
        let access_log = Arc::new(access_log);
        let read = Arc::downgrade(&shared);
        metrics.on_scrape(move |readings| {
            readings.breaker = read.upgrade().map_or(0, |shared| shared.breaker.standing() as u64);
        });
        let proxy = Proxy::new(origin, Arc::new(config), Arc::clone(&shared), &metrics, &access_log, clock).unwrap();
        Self { proxy: Arc::new(proxy), metrics, shared }
    }

    /// Sends a GET and reads all of the reply.
    pub async fn get(&self, target: &str) -> Reply {
        self.send("GET", target, &[]).await
    }

    /// Sends a GET with these fields.
    pub async fn get_with(&self, target: &str, fields: &[(&str, &str)]) -> Reply {
        self.send("GET", target, fields).await
    }

    /// Sends a request without content.
    pub async fn send(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> Reply {
        let request = build(method, target, fields).body(Empty::<Bytes>::new()).unwrap();
        self.finish(self.proxy.clone().handle(request, peer()).await).await
    }

    /// Sends a request with content.
    pub async fn send_content(&self, method: &str, target: &str, content: &'static str) -> Reply {
        let request = build(method, target, &[]).body(Full::new(Bytes::from_static(content.as_bytes()))).unwrap();
        self.finish(self.proxy.clone().handle(request, peer()).await).await
    }

    /// Sends a request with these fields and this content.
    pub async fn send_with(&self, method: &str, target: &str, fields: &[(&str, &str)], content: &str) -> Reply {
        let content = Full::new(Bytes::copy_from_slice(content.as_bytes()));
        let request = build(method, target, fields).body(content).unwrap();
        self.finish(self.proxy.clone().handle(request, peer()).await).await
    }

    /// Sends a request with content that the test sends piece by piece.
    pub fn send_stream(&self, method: &str, target: &str, fields: &[(&str, &str)]) -> (Pieces, JoinHandle<Reply>) {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let pieces = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
        let request = build(method, target, fields).body(StreamBody::new(pieces)).unwrap();
        let house = self.clone();
        (sender, tokio::spawn(async move { house.finish(house.proxy.clone().handle(request, peer()).await).await }))
    }

    /// Sends a GET and gives the response with its body unread. What is stored is looked at in the call; all that waits
    /// begins with the first poll.
    pub fn open(&self, target: &str) -> Handled<O::Body> {
        let request = build("GET", target, &[]).body(Empty::<Bytes>::new()).unwrap();
        self.proxy.clone().handle(request, peer())
    }

    async fn finish(&self, response: http::Response<truehit::body::Body<O::Body>>) -> Reply {
        let (head, body) = response.into_parts();
        let content = body.collect().await.map(http_body_util::Collected::to_bytes);
        Reply { status: head.status, fields: head.headers, content }
    }

    /// Waits until nothing is under way, a virtual second at most, and gives what then still is: requests that wait,
    /// exchanges, keys, and bytes of bodies.
    #[allow(dead_code, reason = "for the tests that leave much behind")]
    pub async fn left_over(&self) -> (usize, usize, usize, u64) {
        let flights = &self.shared.flights;
        let under_way = || (flights.waiting(), flights.running(), flights.keys(), self.shared.fill_memory.used());
        for _ in 0..1_000 {
            if under_way() == (0, 0, 0, 0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        under_way()
    }

    /// The value of a series as the exposition prints it; 0 if it is not there.
    pub fn metric(&self, series: &str) -> f64 {
        let page = self.metrics.render().unwrap();
        let line = page.lines().find(|line| line.strip_prefix(series).is_some_and(|rest| rest.starts_with(' ')));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
    }
}

/// Lets every task run until all of them wait: a paused clock moves only then.
pub async fn settle() {
    tokio::time::sleep(Duration::from_nanos(1)).await;
}

fn build(method: &str, target: &str, fields: &[(&str, &str)]) -> http::request::Builder {
    let mut request = Request::builder().method(method).uri(target).header("host", "api.test");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request
}

fn peer() -> Peer {
    Peer { address: SocketAddr::from(([127, 0, 0, 1], 40_000)), tls: false, interim: InterimSink::default() }
}
