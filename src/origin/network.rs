//! The origin over the network: choose a connection, send, wait for the head, hand the body on.
//!
//! [`Origin::send`] is the whole story: acquire, exchange, and once again on a fresh connection if the pooled one turned
//! out to have been closed while nobody looked. [`super::pool`] keeps connections, [`super::connect`] opens them.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderValue, TE, TRANSFER_ENCODING, UPGRADE};
use http::uri::{Authority, Scheme};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version, request};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use tokio::sync::OwnedSemaphorePermit;

use super::body::{NetworkBody, Upload};
use super::connect::Connector;
use super::pool::{Held, Lease, Link, Pool, Shared, Want};
use super::tls::OriginSetupError;
use super::trust::After;
use super::{Origin, OriginError, Outgoing, Purpose, RequestBody, failure, framing};
use crate::clock::Clock;
use crate::config::{self, OriginPlace};
use crate::rules::stream;

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
    /// Whether the request may be sent again.
    repeatable: bool,
}

impl Asked {
    fn by(purpose: Purpose, request: &request::Parts, body: &RequestBody) -> Self {
        Self {
            purpose,
            head: request.method == Method::HEAD,
            upgrade: request.headers.contains_key(UPGRADE),
            repeatable: is_repeatable(&request.method, body),
        }
    }

    /// Whether an answer of this status may have a body (RFC 9112 §6.3).
    fn after(self, status: StatusCode) -> After {
        match status {
            _ if self.head => After::Head,
            StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED => After::Bodyless,
            _ => After::Content,
        }
    }
}

/// A request on its way.
struct Begun<S> {
    sent: S,
    asked: Asked,
    upload: Option<Upload>,
}

/// A request that hyper sends, until the head of its response.
trait Sent: Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + Send {}

impl<S> Sent for S where S: Future<Output = Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> + Send {}

/// An exchange that brought no response head.
struct Failed {
    error: OriginError,
    /// Whether the request may be sent again on another connection: this one turned out to have been closed.
    again: bool,
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

    /// One request and the head of its response, over an HTTP/1.1 connection.
    async fn exchange(
        &self,
        pool: &Pool,
        mut lease: Lease,
        reused: bool,
        purpose: Purpose,
        outgoing: &mut Outgoing<'_>,
    ) -> Result<Response<NetworkBody>, Failed> {
        let Begun { sent, asked, upload } = self.begin(&mut lease, purpose, outgoing);
        match self.head(pin!(sent), upload.as_ref(), reused && asked.repeatable).await {
            Ok(response) => self.received(response, lease, asked).map_err(Failed::outright),
            Err(failed) => {
                if reused && matches!(failed.error, OriginError::Protocol(_)) {
                    // On a connection that worked before, this is the tail of an earlier answer.
                    pool.desynchronised();
                }
                Err(failed)
            }
        }
    }

    /// The same over the shared HTTP/2 connection.
    async fn exchange_shared(
        &self,
        pool: &Pool,
        mut shared: Shared,
        purpose: Purpose,
        outgoing: &mut Outgoing<'_>,
    ) -> Result<Response<NetworkBody>, Failed> {
        let Begun { sent, asked, upload } = self.begin_shared(&mut shared, purpose, outgoing);
        let Shared { generation, reused, permit, .. } = shared;
        match self.head(pin!(sent), upload.as_ref(), reused && asked.repeatable).await {
            Ok(response) => self.received_shared(response, permit, asked).map_err(Failed::outright),
            Err(failed) => {
                if failed.error == OriginError::ResponseTimeout {
                    pool.forget(generation);
                }
                Err(Failed { generation, ..failed })
            }
        }
    }

    /// Makes a request and hands it to its connection. No future: what is only needed until here is not held until the
    /// answer.
    fn begin(&self, lease: &mut Lease, purpose: Purpose, outgoing: &mut Outgoing<'_>) -> Begun<impl Sent + use<>> {
        let (mut parts, body) = outgoing().into_parts();
        let asked = Asked::by(purpose, &parts, &body);
        let (body, upload) = Upload::watch(body, self.clock);
        parts.version = Version::HTTP_11;
        parts.uri = origin_form(parts.uri);
        nominate_te(&mut parts.headers);
        state_chunks(&parts.method, &mut parts.headers, &body);
        lease.upload.clone_from(&upload);
        lease.connection.awaiting.begin();
        Begun { sent: lease.connection.sender.try_send_request(Request::from_parts(parts, body)), asked, upload }
    }

    /// The same for HTTP/2.
    fn begin_shared(
        &self,
        shared: &mut Shared,
        purpose: Purpose,
        outgoing: &mut Outgoing<'_>,
    ) -> Begun<impl Sent + use<>> {
        let (mut parts, body) = outgoing().into_parts();
        let asked = Asked::by(purpose, &parts, &body);
        let (body, upload) = Upload::watch(body, self.clock);
        parts.version = Version::HTTP_2;
        parts.uri = self.absolute_form(parts.uri, &mut parts.headers);
        Begun { sent: shared.sender.try_send_request(Request::from_parts(parts, body)), asked, upload }
    }

    /// Waits for the head: `response_timeout` from sending the request, or from the last of its content that moved.
    /// `repeatable` says that the request may be sent again, should its connection turn out to have been closed.
    async fn head(
        &self,
        mut sent: Pin<&mut impl Sent>,
        upload: Option<&Upload>,
        repeatable: bool,
    ) -> Result<Response<Incoming>, Failed> {
        let mut left = self.response_timeout;
        loop {
            match tokio::time::timeout(left, sent.as_mut()).await {
                Ok(Ok(response)) => return Ok(response),
                Ok(Err(mut error)) => {
                    // hyper gives a request back if it never began to write it. In the usual race it did: the origin's
                    // FIN crossed the request.
                    let unsent = error.take_message().is_some();
                    let broken = upload.and_then(Upload::broken);
                    let error = broken.unwrap_or_else(|| failure::before_head(&error.into_error(), upload.is_some()));
                    let closed = unsent || matches!(error, OriginError::ConnectionTerminated(_));
                    return Err(Failed { error, again: repeatable && closed, generation: 0 });
                }
                Err(_) => {
                    let silent = upload.map_or(Duration::MAX, Upload::silent_for);
                    left = self.response_timeout.saturating_sub(silent);
                    if left.is_zero() {
                        return Err(Failed::outright(OriginError::ResponseTimeout));
                    }
                }
            }
        }
    }

    /// Sends the request once more, on a connection that is younger than `generation`.
    async fn send_again(
        &self,
        pool: &Arc<Pool>,
        generation: u64,
        purpose: Purpose,
        outgoing: &mut Outgoing<'_>,
    ) -> Result<Response<NetworkBody>, OriginError> {
        self.counters.retries.fetch_add(1, Ordering::Relaxed);
        let exchanged = match pool.acquire(Want::Fresh(generation)).await? {
            Link::Own { lease, reused } => self.exchange(pool, lease, reused, purpose, outgoing).await,
            Link::Shared(shared) => self.exchange_shared(pool, shared, purpose, outgoing).await,
        };
        exchanged.map_err(|failed| failed.error)
    }

    /// Judges an HTTP/1.1 response head. Every error here drops the lease, and so closes the connection.
    fn received(
        &self,
        mut response: Response<Incoming>,
        mut lease: Lease,
        asked: Asked,
    ) -> Result<Response<NetworkBody>, OriginError> {
        lease.connection.awaiting.end();
        lease.declined = response.status().is_client_error() || response.status().is_server_error();
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            if !asked.upgrade {
                return Err(OriginError::Protocol("101 to a request that asked for no upgrade".to_owned()));
            }
            return Ok(response.map(|_| NetworkBody::ended()));
        }
        let after = asked.after(response.status());
        if !framing::is_delimited(response.headers_mut())? && after == After::Content {
            response.extensions_mut().insert(CloseDelimited);
        }
        let longest = self.longest_silence(asked.purpose, response.headers());
        Ok(response.map(|body| NetworkBody::new(body, Held::Own(lease), after, longest)))
    }

    /// Judges an HTTP/2 response head. What comes of a body that must not be resets its stream: nothing else can take it
    /// for its own.
    fn received_shared(
        &self,
        mut response: Response<Incoming>,
        permit: OwnedSemaphorePermit,
        asked: Asked,
    ) -> Result<Response<NetworkBody>, OriginError> {
        // RFC 9113 §8.6: "HTTP/2 does not support the 101 (Switching Protocols) informational status code".
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return Err(OriginError::Protocol("101 over HTTP/2".to_owned()));
        }
        framing::has_length(response.headers_mut())?;
        let after = asked.after(response.status());
        if after != After::Content {
            return Ok(response.map(|_| NetworkBody::ended()));
        }
        let longest = self.longest_silence(asked.purpose, response.headers());
        Ok(response.map(|body| NetworkBody::new(body, Held::Shared(permit), after, longest)))
    }

    /// What passes may be a stream of events, which is silent for as long as nothing happens: it ends with its client.
    fn longest_silence(&self, purpose: Purpose, headers: &HeaderMap) -> Option<Duration> {
        let unbounded = purpose == Purpose::Pass && stream::may_be_silent(headers);
        (!unbounded).then_some(self.progress_timeout)
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
        Self { error, again: false, generation: 0 }
    }
}

impl Origin for NetworkOrigin {
    type Body = NetworkBody;

    async fn send(&self, purpose: Purpose, outgoing: &mut Outgoing<'_>) -> Result<Response<NetworkBody>, OriginError> {
        let pool = if purpose == Purpose::Check { &self.checks } else { &self.others };
        // All but the use of a connection that is at hand is boxed: it is rare, and takes more room.
        let link = match pool.at_hand() {
            Some(link) => link,
            None => Box::pin(pool.acquire(Want::Any)).await?,
        };
        let exchanged = match link {
            Link::Own { lease, reused } => self.exchange(pool, lease, reused, purpose, outgoing).await,
            Link::Shared(shared) => Box::pin(self.exchange_shared(pool, shared, purpose, outgoing)).await,
        };
        match exchanged {
            Ok(response) => Ok(response),
            Err(failed) if failed.again => Box::pin(self.send_again(pool, failed.generation, purpose, outgoing)).await,
            Err(failed) => Err(failed.error),
        }
    }
}

fn is_repeatable(method: &Method, body: &RequestBody) -> bool {
    match body {
        RequestBody::Empty => matches!(*method, Method::GET | Method::HEAD),
        // A query, and so safe: RFC 9110 §9.2.2 lets a proxy repeat it, whatever its method, as it knows that.
        RequestBody::Full(_) => true,
        RequestBody::Stream(_) => false,
    }
}

/// Says that the content of a GET or HEAD comes in chunks, where its length is not known: hyper takes such a request to have
/// none unless it is told otherwise.
fn state_chunks(method: &Method, headers: &mut HeaderMap, body: &RequestBody) {
    let unknown = !body.is_end_stream() && body.size_hint().exact().is_none();
    if unknown && matches!(*method, Method::GET | Method::HEAD) && !headers.contains_key(CONTENT_LENGTH) {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
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

fn authority(place: &OriginPlace) -> Result<Authority, OriginSetupError> {
    let text = place.authority();
    Authority::try_from(text.as_str()).map_err(|_| OriginSetupError::Authority(text))
}
