//! One client connection, from the accepted socket to its end.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, StatusCode, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::activity::{Activity, UnderWay, Verdict, Watched};
use super::closing::{Closing, Closings};
use super::content::Content;
use super::drain::{Busy, Drain, Phase};
use super::interim::{Mailbox, Outlet, Turn};
use super::patience::Patient;
use super::streams::Streams;
use super::tracked::Tracked;
use super::{Handler, Peer};
use crate::config::Limits;
use crate::origin::BoxError;
use crate::socket;

/// Streams that one HTTP/2 client may have open at once: what RFC 9113 §6.5.2 recommends as the least. One that waits for
/// its client's window holds 16 KiB.
const H2_STREAMS: u32 = 100;

/// Streams that a client may reset before their requests were looked at (CVE-2023-44487, rapid reset). At the bound the
/// connection ends with `ENHANCE_YOUR_CALM`.
const H2_PENDING_RESETS: usize = 20;

/// Streams of one connection that may be reset for what their client did wrong (CVE-2025-8671, MadeYouReset). A client that
/// is well does nothing wrong. At the bound the connection ends with `ENHANCE_YOUR_CALM`.
const H2_ERROR_RESETS: usize = 100;

/// How much content a client may send ahead of whoever reads it, in bytes: of one request, and of all on its connection.
/// This is what a connection holds at most of what an origin does not take.
const H2_STREAM_WINDOW: u32 = 256 * 1024;
const H2_CONNECTION_WINDOW: u32 = 512 * 1024;

/// The largest frame that is taken, in bytes: the smallest that may be said (RFC 9113 §6.5.2). With the length of a head
/// it bounds how many CONTINUATION frames a head may have (RUSTSEC-2024-0332); at the bound, `ENHANCE_YOUR_CALM`.
const H2_FRAME: u32 = 16 * 1024;

/// What is encoded ahead of the socket for each stream, in bytes: four of the pieces that `tracked` gives.
const H2_SEND_BUFFER: usize = 64 * 1024;

/// The smallest buffer that hyper allows, in bytes: a smaller `limits.head_bytes` binds HTTP/2 only.
const SMALLEST_BUFFER: usize = 8192;

/// How often an HTTP/2 client with open streams is asked for a sign of life, so that one that vanished does not hold its
/// answers for ever.
const H2_PING_EVERY: Duration = Duration::from_secs(30);

/// How long an idle HTTP/1.1 connection is kept once draining has begun: a request may be on its way already, and closing
/// at once would lose it. It is answered, and told that the connection closes.
const FAREWELL: Duration = Duration::from_millis(500);

/// What a socket holds while it lives: its place among `limits.connections`, and the wait of a drain.
type Held = (OwnedSemaphorePermit, Busy);

/// What all connections of a listener share.
pub(super) struct Context<H> {
    handler: Arc<H>,
    tls: Option<TlsAcceptor>,
    drain: Drain,
    http: auto::Builder<Streams>,
    closings: Arc<Closings>,
    head_timeout: Duration,
    content_timeout: Duration,
    write_timeout: Duration,
    idle_timeout: Duration,
}

impl<H: Handler> Context<H> {
    pub(super) fn new(
        handler: Arc<H>,
        tls: Option<TlsAcceptor>,
        drain: Drain,
        limits: &Limits,
        closings: Arc<Closings>,
    ) -> Self {
        let streams = Streams { write_timeout: limits.write_timeout, closings: Arc::clone(&closings) };
        let mut http = auto::Builder::new(streams);
        // Header fields are limited to 100 by hyper's default; setting a number would cost an allocation per head.
        http.http1()
            .timer(TokioTimer::new())
            .half_close(false)
            // The record of `activity` keeps this deadline, and cheaper.
            .header_read_timeout(None)
            // It bounds what waits to be written too: as many bytes, and the piece that goes beyond them.
            .max_buf_size(limits.head_bytes.max(SMALLEST_BUFFER));
        http.http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(H2_STREAMS)
            .max_pending_accept_reset_streams(H2_PENDING_RESETS)
            .max_local_error_reset_streams(H2_ERROR_RESETS)
            .initial_stream_window_size(H2_STREAM_WINDOW)
            .initial_connection_window_size(H2_CONNECTION_WINDOW)
            .max_frame_size(H2_FRAME)
            .max_send_buf_size(H2_SEND_BUFFER)
            .keep_alive_interval(H2_PING_EVERY)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX));
        Self {
            handler,
            tls,
            drain,
            http,
            closings,
            head_timeout: limits.head_timeout,
            content_timeout: limits.content_timeout,
            write_timeout: limits.write_timeout,
            idle_timeout: limits.idle_timeout,
        }
    }

    /// Serves the connection until either side ends it.
    pub(super) fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        address: SocketAddr,
        place: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + Send {
        // Counted here, before the task first runs, so that a drain that begins now knows of it.
        let held = (place, self.drain.busy());
        // A connection that came after draining began sees only the later phases: it was accepted to be served.
        let phases = self.drain.phases();
        async move {
            // A socket that refuses is about to fail.
            let _ = socket::prepare(&stream);
            let stream = Patient::new(stream, self.write_timeout, Arc::clone(&self.closings));
            let Some(tls) = &self.tls else {
                return self.speak(stream, address, held, phases).await;
            };
            if let Ok(Ok(stream)) = self.handshake(tls, stream, &held).await {
                self.speak(stream, address, held, phases).await;
            }
        }
    }

    /// The handshake is part of what must happen within `limits.head_timeout`. No answer is lost if a drain ends it.
    async fn handshake(
        &self,
        tls: &TlsAcceptor,
        stream: Patient<TcpStream>,
        held: &Held,
    ) -> Result<std::io::Result<tokio_rustls::server::TlsStream<Patient<TcpStream>>>, ()> {
        tokio::select! {
            shaken = timeout(self.head_timeout, tls.accept(stream)) => {
                shaken.map_err(|_| self.closings.count(Closing::HeadLate))
            }
            () = held.1.cut() => Err(()),
        }
    }

    async fn speak<S>(self: Arc<Self>, stream: S, address: SocketAddr, held: Held, mut phases: watch::Receiver<Phase>)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Arc::new(Activity::new(self.head_timeout, self.idle_timeout));
        let mailbox = Arc::new(Mailbox::default());
        let stream = Watched { stream, activity: Arc::clone(&activity), held };
        let stream = Outlet::new(stream, Arc::clone(&mailbox));
        let service = service_fn({
            let (activity, context) = (Arc::clone(&activity), Arc::clone(&self));
            move |request: Request<Incoming>| {
                let under_way = activity.begin(request.version());
                let turn = mailbox.open(request.version());
                let peer = Peer { address, tls: context.tls.is_some(), interim: turn.sink() };
                Arc::clone(&context).answer(request, peer, turn, under_way)
            }
        });
        let mut connection = pin!(self.http.serve_connection_with_upgrades(TokioIo::new(stream), service));
        let mut watchdog = pin!(sleep(self.head_timeout.min(self.idle_timeout)));
        let mut leaving = false;
        let mut farewell = false;
        loop {
            tokio::select! {
                // An error here is the client's (it left, or does not speak HTTP), and hyper has answered it if it can.
                ended = &mut connection => {
                    if let Some(why) = ended.err().and_then(|error| reason(&error)) {
                        self.closings.count(why);
                    }
                    return;
                }
                Ok(()) = phases.changed() => match *phases.borrow_and_update() {
                    Phase::Cut => return,
                    // GOAWAY tells the client which requests were taken, so that none is lost.
                    Phase::Serving | Phase::Draining | Phase::Finishing if activity.is_multiplexed() => {
                        connection.as_mut().graceful_shutdown();
                    }
                    Phase::Serving | Phase::Draining | Phase::Finishing if farewell => {}
                    Phase::Serving | Phase::Draining | Phase::Finishing => {
                        farewell = true;
                        watchdog.as_mut().reset(Instant::now() + FAREWELL);
                    }
                },
                () = &mut watchdog => match activity.verdict() {
                    _ if farewell && !leaving => {
                        leaving = true;
                        connection.as_mut().graceful_shutdown();
                        watchdog.as_mut().reset(Instant::now());
                    }
                    Verdict::Wait(until) => watchdog.as_mut().reset(until),
                    Verdict::Late => return self.closings.count(Closing::HeadLate),
                    // It was asked to leave, and HTTP/2 waits for the client to agree.
                    Verdict::Idle if leaving => return,
                    Verdict::Idle => {
                        self.closings.count(Closing::Idle);
                        leaving = true;
                        connection.as_mut().graceful_shutdown();
                        watchdog.as_mut().reset(Instant::now() + self.head_timeout);
                    }
                },
            }
        }
    }

    /// Runs the handler. A panic costs this request and nothing else: it is caught here rather than by a task of its own,
    /// as a task per request would cost a spawn, and would outlive the client that it answers.
    fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
        turn: Turn,
        under_way: UnderWay,
    ) -> impl Future<Output = Result<Response<Tracked<H::Body>>, Infallible>> + Send + 'static {
        let version = request.version();
        let handler = Arc::clone(&self.handler);
        let (head, content) = request.into_parts();
        let (content, progress) = Content::new(content, self.content_timeout, &self.closings);
        let request = Request::from_parts(head, content);
        let handled = catch_unwind(AssertUnwindSafe(|| handler.handle(request, peer)));
        async move {
            let handled = match handled {
                Ok(handled) => AssertUnwindSafe(handled).catch_unwind().await,
                Err(panic) => Err(panic),
            };
            let mut response = handled.unwrap_or_else(|_| self.handler.panicked());
            let switches = response.status() == StatusCode::SWITCHING_PROTOCOLS;
            // RFC 9110 §15.5.9: "If the current connection is not usable (e.g., as it would be in HTTP/1.1 because request
            // delimitation is lost), a new connection will be used."
            let is_late = progress.is_some_and(|progress| progress.answer());
            if version != Version::HTTP_2 && !switches && (is_late || self.drain.has_begun()) {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            // Nothing may follow the response that hyper is about to see.
            turn.end().await;
            Ok(response.map(|body| Tracked::new(body, under_way, version == Version::HTTP_2)))
        }
    }
}

/// Why a connection ended that its client has spoilt.
fn reason(error: &BoxError) -> Option<Closing> {
    let error = error.downcast_ref::<hyper::Error>()?;
    if error.is_parse_too_large() {
        return Some(Closing::HeadTooLong);
    }
    if error.is_parse() {
        return Some(Closing::Malformed);
    }
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<h2::Error>());
    match cause.filter(|cause| !cause.is_remote()).and_then(h2::Error::reason) {
        Some(h2::Reason::ENHANCE_YOUR_CALM) => Some(Closing::Flood),
        Some(h2::Reason::PROTOCOL_ERROR) => Some(Closing::Malformed),
        _ => None,
    }
}
