//! The hop to the origin on real sockets: what reaches the origin, what is reused, what is refused, and when it gives up.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, unreachable_pub)]

#[path = "../support/raw.rs"]
mod raw;

mod deadlines;
mod framing;
mod reuse;
mod targets;
mod transport;
mod upgrade;

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use truehit::clock::Clock;
use truehit::config::{self, OriginPlace, OriginProtocol, OriginTls};
use truehit::origin::{NetworkBody, NetworkOrigin, Origin, OriginError, Purpose, RequestBody};
use truehit::rules::breaker::BreakerSettings;

use raw::{quarantine, soon};

fn place(address: SocketAddr) -> OriginPlace {
    OriginPlace::Tcp { tls: false, host: address.ip().to_string(), port: address.port() }
}

fn settings(place: OriginPlace) -> config::Origin {
    config::Origin {
        place,
        protocol: OriginProtocol::Auto,
        host: None,
        tls: OriginTls::default(),
        connect_timeout: Duration::from_secs(10),
        response_timeout: Duration::from_secs(10),
        progress_timeout: Duration::from_secs(10),
        total_timeout: Duration::from_secs(600),
        idle_timeout: Duration::from_secs(4),
        idle_max: 16,
        age_max: Duration::from_secs(600),
        connections_max: 16,
        queue_max: 16,
        breaker: BreakerSettings { failures: 0, open_for: Duration::from_secs(1), open_max: Duration::from_secs(1) },
    }
}

fn client(settings: &config::Origin) -> NetworkOrigin {
    NetworkOrigin::new(settings, Clock::system()).unwrap()
}

fn to(address: SocketAddr) -> NetworkOrigin {
    client(&settings(place(address)))
}

fn request(method: Method, target: &str) -> Request<RequestBody> {
    Request::builder().method(method).uri(target).header("host", "example.test").body(RequestBody::Empty).unwrap()
}

fn get(target: &str) -> Request<RequestBody> {
    request(Method::GET, target)
}

fn head(target: &str) -> Request<RequestBody> {
    request(Method::HEAD, target)
}

fn post(content: &'static str) -> Request<RequestBody> {
    let content = Full::from(content).map_err(|never| match never {}).boxed_unsync();
    request(Method::POST, "/").map(|_| RequestBody::Stream(content))
}

type Answer = Result<Response<NetworkBody>, OriginError>;

async fn fetch(origin: &NetworkOrigin, request: Request<RequestBody>) -> Answer {
    send(origin, Purpose::Fetch, request).await
}

async fn check(origin: &NetworkOrigin, request: Request<RequestBody>) -> Answer {
    send(origin, Purpose::Check, request).await
}

async fn pass(origin: &NetworkOrigin, request: Request<RequestBody>) -> Answer {
    send(origin, Purpose::Pass, request).await
}

/// Sends a request, made as often as the origin asks for it; a stream can be given once.
async fn send(origin: &NetworkOrigin, purpose: Purpose, request: Request<RequestBody>) -> Answer {
    let (head, mut body) = request.into_parts();
    let mut outgoing = || {
        let again = match &body {
            RequestBody::Full(content) => RequestBody::Full(content.clone()),
            RequestBody::Empty | RequestBody::Stream(_) => RequestBody::Empty,
        };
        Request::from_parts(head.clone(), std::mem::replace(&mut body, again))
    };
    soon(origin.send(purpose, &mut outgoing)).await
}

async fn text(response: Response<NetworkBody>) -> Result<String, OriginError> {
    let body = soon(response.into_body().collect()).await?.to_bytes();
    Ok(String::from_utf8(body.to_vec()).unwrap())
}

fn dials(origin: &NetworkOrigin) -> u64 {
    origin.counters().dials.load(Ordering::Relaxed)
}

fn desyncs(origin: &NetworkOrigin) -> u64 {
    origin.counters().desyncs.load(Ordering::Relaxed)
}
