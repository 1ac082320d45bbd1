//! The origin over the network: choose a connection, send, wait for the head, hand the body on.
//!
//! [`Origin::send`] is the whole story: acquire, exchange, and once again on a fresh connection if the pooled one turned
//! out to have been closed while nobody looked. [`super::pool`] keeps connections, [`super::connect`] opens them.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;

use super::body::{NetworkBody, Upload};
use super::connect::Connector;
use super::pool::{Lease, Link, Pool, Want};
use super::tls::OriginSetupError;
use super::{Origin, OriginError, Purpose, RequestBody, failure};
use crate::clock::Clock;
use crate::config::{self, OriginPlace};

/// In the extensions of a response whose body ends where the connection does: nothing tells a whole body from a cut one
/// (RFC 9112 §6.3), so it must not be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseDelimited;

/// What happened on the connections, for metrics. All of them only grow.
#[derive(Debug, Default)]
pub struct OriginCounters {
    /// Connections that were dialled.
    pub dials: AtomicU64,
    /// Requests sent again as their pooled connection had been closed.
    pub retries: AtomicU64,
    /// Times that bytes came which nobody had asked for; each emptied a pool.
    pub desyncs: AtomicU64,
}

/// The origin over TCP, TLS or a Unix socket. Built anew when the configuration changes.
pub struct NetworkOrigin {
    checks: Arc<Pool>,
    others: Arc<Pool>,
    counters: Arc<OriginCounters>,
    clock: Clock,
    scheme: Scheme,
    /// For HTTP/2 requests that name no host.
    authority: Authority,
    response_timeout: Duration,
    progress_timeout: Duration,
}

/// What the answer must fit.
#[derive(Clone, Copy)]
struct Asked {
    purpose: Purpose,
    head: bool,
    upgrade: bool,
}

/// An exchange that brought no response head.
struct Failed {
    error: OriginError,
    /// The request, where it never began to be sent.
    request: Option<Request<RequestBody>>,
    /// The connection to avoid.
    generation: u64,
}

impl NetworkOrigin {
    /// The origin that `config` describes. Reads certificates, opens nothing.
    pub fn new(config: &config::Origin, clock: Clock) -> Result<Self, OriginSetupError> {
        Self::with_counters(config, clock, Arc::default())
    }

    /// The same, going on with the counters of the origin it replaces.
    pub fn with_counters(
        config: &config::Origin,
        clock: Clock,
        counters: Arc<OriginCounters>,
    ) -> Result<Self, OriginSetupError> {
        let connector = Arc::new(Connector::new(config)?);
        let trust = Arc::new(Mutex::default());
        let pool = || Pool::new(config, Arc::clone(&connector), Arc::clone(&trust), Arc::clone(&counters), clock);
        let tls = matches!(config.place, OriginPlace::Tcp { tls: true, .. });
        Ok(Self {
            checks: pool(),
            others: pool(),
            clock,
            scheme: if tls { Scheme::HTTPS } else { Scheme::HTTP },
            authority: authority(&config.place)?,
            response_timeout: config.response_timeout,
            progress_timeout: config.progress_timeout,
            counters,
        })
    }

    /// What happened so far.
    #[must_use]
    pub fn counters(&self) -> &Arc<OriginCounters> {
        &self.counters
    }

    async fn exchange(
        &self,
        pool: &Pool,
        link: Link,
        request: Request<RequestBody>,
        asked: Asked,
    ) -> Result<Response<NetworkBody>, Failed> {
        let (mut parts, body) = request.into_parts();
        let (body, upload) = Upload::watch(body, self.clock);
        match link {
            Link::H1 { mut lease, reused } => {
                parts.version = Version::HTTP_11;
                parts.uri = origin_form(parts.uri);
                nominate_te(&mut parts.headers);
                let sent = lease.sender.try_send_request(Request::from_parts(parts, body));
                match self.head(sent, upload).await {
                    Ok(response) => self.received(response, lease, asked).map_err(Failed::outright),
                    Err(failed) => {
                        let garbage = reused && matches!(failed.error, OriginError::Protocol(_));
                        if garbage {
                            // On a connection that worked before, this is the tail of an earlier answer.
                            pool.desynchronised();
                        }
                        Err(failed)
                    }
                }
            }
            Link::H2 { mut sender, generation, .. } => {
                parts.version = Version::HTTP_2;
                parts.uri = self.absolute_form(parts.uri, &mut parts.headers);
                let sent = sender.try_send_request(Request::from_parts(parts, body));
                match self.head(sent, upload).await {
                    Ok(response) => {
                        let longest = self.longest_silence(asked.purpose);
                        Ok(response.map(|body| NetworkBody::new(body, None, false, longest)))
                    }
                    Err(failed) => {
                        if failed.error == OriginError::ResponseTimeout {
                            pool.forget(generation);
                        }
                        Err(Failed { generation, ..failed })
                    }
                }
            }
        }
    }

    /// Waits for the head: `response_timeout` from sending the request, or from the last of its content that moved.
    async fn head(
        &self,
        sent: impl Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>>,
        upload: Option<Upload>,
    ) -> Result<Response<Incoming>, Failed> {
        let mut sent = std::pin::pin!(sent);
        let mut left = self.response_timeout;
        loop {
            match tokio::time::timeout(left, sent.as_mut()).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(mut error)) => {
                    let request = error.take_message();
                    let error = failure::before_head(&error.into_error(), upload.is_some());
                    return Err(Failed { error, request, generation: 0 });
                }
                Err(_) => {
                    let silent = upload.as_ref().map_or(Duration::MAX, Upload::silent_for);
                    left = self.response_timeout.saturating_sub(silent);
                    if left.is_zero() {
                        return Err(Failed::outright(OriginError::ResponseTimeout));
                    }
                }
            }
        }
    }

    /// Judges an HTTP/1.1 response head. Every error here drops the lease, and so closes the connection.
    fn received(
        &self,
        mut response: Response<Incoming>,
        lease: Lease,
        asked: Asked,
    ) -> Result<Response<NetworkBody>, OriginError> {
        let status = response.status();
        if status == StatusCode::SWITCHING_PROTOCOLS {
            if !asked.upgrade {
                return Err(OriginError::Protocol("101 to a request that asked for no upgrade".to_owned()));
            }
            return Ok(response.map(|_| NetworkBody::ended()));
        }
        let bodyless = asked.head || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
        if !is_delimited(response.headers())? && !bodyless {
            response.extensions_mut().insert(CloseDelimited);
        }
        let longest = self.longest_silence(asked.purpose);
        Ok(response.map(|body| NetworkBody::new(body, Some(lease), bodyless, longest)))
    }

    /// What passes may be a stream of events, which is silent for as long as nothing happens.
    fn longest_silence(&self, purpose: Purpose) -> Option<Duration> {
        (purpose != Purpose::Pass).then_some(self.progress_timeout)
    }

    /// The target URI of an HTTP/2 request: `:authority` instead of `Host`, the same path bytes.
    fn absolute_form(&self, uri: Uri, headers: &mut HeaderMap) -> Uri {
        let host = headers.remove(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
        let mut parts = uri.into_parts();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(host.unwrap_or_else(|| self.authority.clone()));
        // Scheme, authority and path together are always a URI; `*` is what http itself writes for an empty one.
        Uri::from_parts(parts).unwrap_or_default()
    }
}

impl Failed {
    const fn outright(error: OriginError) -> Self {
        Self { error, request: None, generation: 0 }
    }
}

impl Origin for NetworkOrigin {
    type Body = NetworkBody;

    async fn send(
        &self,
        purpose: Purpose,
        request: Request<RequestBody>,
    ) -> Result<Response<NetworkBody>, OriginError> {
        let pool = if purpose == Purpose::Check { &self.checks } else { &self.others };
        let asked =
            Asked { purpose, head: request.method() == Method::HEAD, upgrade: request.headers().contains_key(UPGRADE) };
        let link = pool.acquire(Want::Any).await?;
        let repeatable = link.is_reused() && is_repeatable(&request);
        // hyper gives a request back only if it never began to write it. In the usual race it did: the origin's FIN
        // crossed the request, so the copy is needed.
        let copy = repeatable.then(|| copy(&request));
        let failed = match self.exchange(pool, link, request, asked).await {
            Ok(response) => return Ok(response),
            Err(failed) => failed,
        };
        let closed = failed.request.is_some() || matches!(failed.error, OriginError::ConnectionTerminated(_));
        match failed.request.or(copy) {
            Some(request) if repeatable && closed => {
                self.counters.retries.fetch_add(1, Ordering::Relaxed);
                let again = Box::pin(async {
                    let link = pool.acquire(Want::Fresh(failed.generation)).await?;
                    self.exchange(pool, link, request, asked).await.map_err(|failed| failed.error)
                });
                again.await
            }
            _ => Err(failed.error),
        }
    }
}

impl Link {
    const fn is_reused(&self) -> bool {
        match self {
            Self::H1 { reused, .. } | Self::H2 { reused, .. } => *reused,
        }
    }
}

fn is_repeatable(request: &Request<RequestBody>) -> bool {
    match request.body() {
        RequestBody::Empty => matches!(*request.method(), Method::GET | Method::HEAD),
        // A query, and so safe: RFC 9110 §9.2.2 lets a proxy repeat it, whatever its method, as it knows that.
        RequestBody::Full(_) => true,
        RequestBody::Stream(_) => false,
    }
}

fn copy(request: &Request<RequestBody>) -> Request<RequestBody> {
    let mut copy = Request::new(match request.body() {
        RequestBody::Full(content) => RequestBody::Full(content.clone()),
        RequestBody::Empty | RequestBody::Stream(_) => RequestBody::Empty,
    });
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    // Who is to hear of interim responses.
    *copy.extensions_mut() = request.extensions().clone();
    copy
}

/// A sender of `TE` names it in `Connection`, or the next hop may forward what was meant for it (RFC 9110 §10.1.4).
fn nominate_te(headers: &mut HeaderMap) {
    if headers.contains_key(TE) {
        // The one other option that gets here is that of an upgrade.
        let options = if headers.contains_key(CONNECTION) { "upgrade, te" } else { "te" };
        headers.insert(CONNECTION, HeaderValue::from_static(options));
    }
}

/// Drops scheme and authority, which a client may have sent along (RFC 9112 §3.2.1).
fn origin_form(uri: Uri) -> Uri {
    if uri.authority().is_none() {
        return uri;
    }
    uri.into_parts().path_and_query.map_or_else(Uri::default, Uri::from)
}

/// Whether the message says where its body ends. Contradictions are refused: what two readers may split differently
/// must not be read at all (RFC 9112 §6.1, §6.3).
fn is_delimited(headers: &HeaderMap) -> Result<bool, OriginError> {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return Ok(headers.contains_key(CONTENT_LENGTH)) };
    if headers.contains_key(CONTENT_LENGTH) {
        return Err(OriginError::Protocol("both Transfer-Encoding and Content-Length".to_owned()));
    }
    let name = coding.as_bytes().trim_ascii().to_ascii_lowercase();
    let one = codings.next().is_none() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    match &*name {
        b"chunked" if one => Ok(true),
        // Content in a coding that was not asked for: without its label, which goes no further, nobody could decode it.
        b"gzip" | b"x-gzip" | b"deflate" | b"compress" | b"x-compress" => Err(undecodable()),
        // RFC 9112 §6.3: where chunked is not the final coding of a response, "the message body length is determined by
        // reading the connection until it is closed". A name that is not registered labels nothing (`identity`).
        _ if one => Ok(false),
        _ => Err(undecodable()),
    }
}

fn undecodable() -> OriginError {
    OriginError::Protocol("a Transfer-Encoding other than chunked".to_owned())
}

fn authority(place: &OriginPlace) -> Result<Authority, OriginSetupError> {
    let text = match place {
        OriginPlace::Unix(_) => "localhost".to_owned(),
        OriginPlace::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
        OriginPlace::Tcp { host, port, .. } => format!("{host}:{port}"),
    };
    Authority::try_from(text.as_str()).map_err(|_| OriginSetupError::Authority(text))
}
