//! The origin, as one verb: send a request, get a response head and a body that streams.
//!
//! Two implementations exist: [`NetworkOrigin`], which dials, pools and times out, and the scripted origin of the tests.

mod body;
mod connect;
mod failure;
mod framing;
mod network;
pub(crate) mod pem;
mod pool;
mod preface;
mod resolve;
mod tls;
mod trust;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;

pub use body::NetworkBody;
pub use network::{CloseDelimited, NetworkOrigin, OriginCounters};
pub use pem::PemError;
pub use resolve::Names;
pub use tls::OriginSetupError;

/// Why a request goes to the origin: which pool it uses, and the label of its metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Is what is stored still true?
    Check,
    /// The whole representation, to store and serve.
    Fetch,
    /// Forwarded unchanged.
    Pass,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 3] = [Self::Check, Self::Fetch, Self::Pass];

    /// The metric label and log word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Fetch => "fetch",
            Self::Pass => "pass",
        }
    }
}

/// Any error, where only its text matters.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A client's content of which there was more than `limits.content_bytes`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content is longer than limits.content_bytes")]
pub struct ContentTooLong;

/// A client's content that did not come within `limits.content_timeout`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the content did not come within limits.content_timeout")]
pub struct ContentLate;

/// The content of a request on its way to the origin.
#[derive(Default)]
pub enum RequestBody {
    /// No content: such a request can be sent again on a fresh connection.
    #[default]
    Empty,
    /// The content of a query, whole and at hand: such a request is safe, and can be sent again too.
    Full(Bytes),
    /// A client's content, streamed. Its error is a [`ContentLate`] where the client was too slow, and a
    /// [`ContentTooLong`] where there was too much.
    Stream(UnsyncBoxBody<Bytes, BoxError>),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::Stream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::Stream(body) => body.size_hint(),
        }
    }
}

/// What makes a request to the origin, as often as it has to be sent.
///
/// It is called once, and again only where the request that it made had no content or [`RequestBody::Full`], which it
/// has to make again as it was.
pub type Outgoing<'a> = dyn FnMut() -> Request<RequestBody> + Send + 'a;

/// Where requests go.
///
/// The request's URI is in origin form and its path and query reach the origin byte for byte. `Host` is set by the
/// caller. Hop-by-hop fields are gone already, except `Connection: upgrade` with `Upgrade` on a request that asks to
/// change the protocol; a 101 then carries `hyper::upgrade::OnUpgrade` in its extensions. Whoever is to hear of interim
/// responses has been told to `hyper::ext::on_informational`; over HTTP/2 hyper has no way to hear of them.
pub trait Origin: Send + Sync + 'static {
    /// A response body as it arrives.
    type Body: Body<Data = Bytes, Error = OriginError> + Send + Unpin + 'static;

    /// Sends what `outgoing` makes and waits, within the configured deadlines, for the response head.
    fn send(
        &self,
        purpose: Purpose,
        outgoing: &mut Outgoing<'_>,
    ) -> impl Future<Output = Result<Response<Self::Body>, OriginError>> + Send;
}

/// What went wrong between truehit and the origin, named as RFC 9209 §2.3 names it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// The name did not resolve.
    #[error("name resolution failed: {0}")]
    Dns(String),
    /// Nothing listens there.
    #[error("connection refused")]
    ConnectionRefused,
    /// No connection within `origin.connect_timeout`.
    #[error("no connection within the connect timeout")]
    ConnectionTimeout,
    /// The connection broke before a response head came.
    #[error("connection terminated: {0}")]
    ConnectionTerminated(String),
    /// All `origin.connections_max` connections stayed busy for `origin.connect_timeout`, or as many requests waited for
    /// one as may (`origin.queue_max`).
    #[error("all connections to the origin are busy")]
    ConnectionLimit,
    /// The origin failed lately, and is left alone for as long as this (`origin.breaker`). It was not asked.
    #[error("the origin failed lately and is not asked for now")]
    Unavailable(Duration),
    /// The TLS handshake failed.
    #[error("TLS: {0}")]
    TlsProtocol(String),
    /// The origin's certificate was not accepted.
    #[error("TLS certificate: {0}")]
    TlsCertificate(String),
    /// No response head within `origin.response_timeout`, or silence within a body.
    #[error("no response within the deadline")]
    ResponseTimeout,
    /// What came back is not HTTP, or not an answer to what was asked.
    #[error("protocol error: {0}")]
    Protocol(String),
    /// The body ended early.
    #[error("response incomplete: {0}")]
    ResponseIncomplete(String),
    /// Our own request could not be sent as the client's content broke off.
    #[error("request content broke off: {0}")]
    RequestIncomplete(String),
    /// Our own request could not be sent as the client's content did not come.
    #[error("request content did not come in time")]
    RequestLate,
    /// Our own request was broken off as there was too much of the client's content.
    #[error("request content is too long")]
    RequestTooLong,
}

impl OriginError {
    /// What a client's content that ended in `error` makes of its request.
    #[must_use]
    pub fn of_content(error: &BoxError) -> Self {
        if error.is::<ContentLate>() {
            Self::RequestLate
        } else if error.is::<ContentTooLong>() {
            Self::RequestTooLong
        } else {
            Self::RequestIncomplete(error.to_string())
        }
    }

    /// The `error` parameter of `Proxy-Status` (RFC 9209 §2.3), which is also the log word and metric label.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Dns(_) => "dns_error",
            Self::ConnectionRefused => "connection_refused",
            Self::ConnectionTimeout => "connection_timeout",
            Self::ConnectionTerminated(_) => "connection_terminated",
            Self::ConnectionLimit => "connection_limit_reached",
            Self::Unavailable(_) => "destination_unavailable",
            Self::TlsProtocol(_) => "tls_protocol_error",
            Self::TlsCertificate(_) => "tls_certificate_error",
            Self::ResponseTimeout => "http_response_timeout",
            Self::Protocol(_) => "http_protocol_error",
            Self::ResponseIncomplete(_) => "http_response_incomplete",
            Self::RequestIncomplete(_) | Self::RequestLate | Self::RequestTooLong => "http_request_error",
        }
    }

    /// Whether it says that the origin is not well. What we or the client did says nothing about it.
    #[must_use]
    pub const fn is_origins_fault(&self) -> bool {
        match self {
            Self::Dns(_)
            | Self::ConnectionRefused
            | Self::ConnectionTimeout
            | Self::ConnectionTerminated(_)
            | Self::TlsProtocol(_)
            | Self::TlsCertificate(_)
            | Self::ResponseTimeout
            | Self::Protocol(_)
            | Self::ResponseIncomplete(_) => true,
            Self::ConnectionLimit
            | Self::Unavailable(_)
            | Self::RequestIncomplete(_)
            | Self::RequestLate
            | Self::RequestTooLong => false,
        }
    }
}
