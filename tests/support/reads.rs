//! Reads of one stored response of 1 KiB through the whole proxy in process: the request goes in as a value, the body is
//! read to its end. The origin is in memory, confirms at once whatever it is asked about, and yields once, as a network
//! would.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Empty};
use tokio::runtime::{Builder, Runtime};
use truehit::origin::{Origin, OriginError, Outgoing, Purpose};
use truehit::rules::policy::Verify;
use truehit::server::{InterimSink, Peer};

use crate::house::House;

/// How long the content is.
pub const LENGTH: usize = 1024;

/// Reads until what is learned of an origin has been learned.
const SETTLED_AFTER: usize = 100;

/// What a browser sends that has nothing stored.
const REQUEST: &[(&str, &str)] = &[
    ("host", "api.test"),
    ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "en-GB,en;q=0.9,de;q=0.8"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
];

/// A proxy, with the response stored.
pub struct Reads {
    house: House<Confirming>,
    runtime: Runtime,
    status: &'static str,
}

impl Reads {
    /// Reads that are checked as `verify` says. Each must say what `status` is in `Cache-Status`.
    pub fn new(verify: Verify, status: &'static str) -> Self {
        let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let guard = runtime.enter();
        let house = House::with(Confirming::default(), |policy| policy.verify = verify);
        drop(guard);
        let reads = Self { house, runtime, status: "truehit;" };
        (0..SETTLED_AFTER).for_each(|_| reads.read(Self::request()));
        Self { status, ..reads }
    }

    /// A request, ready to be sent.
    pub fn request() -> (Request<Empty<Bytes>>, Peer) {
        let mut request = Request::new(Empty::new());
        *request.uri_mut() = http::Uri::from_static("/products/17?view=full");
        let field = |&(name, value): &(_, _)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        *request.headers_mut() = REQUEST.iter().map(field).collect();
        let address = SocketAddr::from(([127, 0, 0, 1], 40_000));
        (request, Peer { address, tls: false, interim: InterimSink::default() })
    }

    /// Sends it, and reads all of the response; ends when all that it began has ended.
    pub fn read(&self, (request, peer): (Request<Empty<Bytes>>, Peer)) {
        let proxy = Arc::clone(&self.house.proxy);
        self.runtime.block_on(async {
            let response = proxy.handle(request, peer).await;
            assert!(response.headers()["cache-status"].to_str().unwrap().starts_with(self.status), "{response:?}");
            let (mut body, mut length) = (response.into_body(), 0);
            while let Some(frame) = body.frame().await {
                length += frame.unwrap().into_data().unwrap().len();
            }
            assert_eq!(length, LENGTH);
            while self.house.shared.flights.running() > 0 {
                tokio::task::yield_now().await;
            }
        });
    }
}

/// The origin.
#[derive(Clone)]
pub struct Confirming {
    fields: HeaderMap,
    content: Bytes,
}

impl Default for Confirming {
    fn default() -> Self {
        let fields = [
            (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600")),
            (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
            (header::DATE, HeaderValue::from_static("Thu, 01 Jan 2026 00:00:00 GMT")),
            (header::ETAG, HeaderValue::from_static("\"1\"")),
        ];
        Self { fields: fields.into_iter().collect(), content: Bytes::from(vec![b'1'; LENGTH]) }
    }
}

impl Origin for Confirming {
    type Body = Content;

    async fn send(&self, _purpose: Purpose, outgoing: &mut Outgoing<'_>) -> Result<Response<Content>, OriginError> {
        let request = outgoing();
        tokio::task::yield_now().await;
        let confirms = request.headers().contains_key(header::IF_NONE_MATCH);
        let (status, content) =
            if confirms { (StatusCode::NOT_MODIFIED, None) } else { (StatusCode::OK, Some(self.content.clone())) };
        let mut response = Response::new(Content(content));
        (*response.status_mut(), *response.headers_mut()) = (status, self.fields.clone());
        Ok(response)
    }
}

/// Its content, in one piece.
#[derive(Debug)]
pub struct Content(Option<Bytes>);

impl Body for Content {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
