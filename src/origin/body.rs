//! Bodies on the hop to the origin: the response as it arrives, and the request as it leaves.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::pool::Held;
use super::trust::After;
use super::{BoxError, OriginError, RequestBody, failure};
use crate::clock::Clock;

/// A response body from the network.
///
/// It owns the use of its connection: read to the end, the connection goes back to its pool; dropped early or broken,
/// the connection is closed, or its stream is reset.
pub struct NetworkBody {
    /// `None` once the body has ended, in whatever way.
    inner: Option<Incoming>,
    held: Option<Held>,
    silence: Option<Silence>,
}

/// The longest silence within a body. The timer exists only from the first time that the body had to be waited for.
struct Silence {
    longest: Duration,
    sleep: Option<Pin<Box<Sleep>>>,
    waiting: bool,
}

impl NetworkBody {
    /// `after` tells an answer that must not have a body from one that happens to be empty.
    pub(super) fn new(inner: Incoming, held: Held, after: After, longest: Option<Duration>) -> Self {
        let silence = longest.map(|longest| Silence { longest, sleep: None, waiting: false });
        let mut body = Self { inner: Some(inner), held: Some(held), silence };
        if body.is_end_stream() {
            body.end(after);
        }
        body
    }

    /// A body that is over, without a connection to give back.
    pub(super) fn ended() -> Self {
        Self { inner: None, held: None, silence: None }
    }

    fn end(&mut self, after: After) {
        self.inner = None;
        match self.held.take() {
            Some(Held::Own(lease)) => lease.release(after),
            Some(Held::Shared(permit)) => drop(permit),
            None => {}
        }
    }

    fn fail(&mut self, error: OriginError) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        *self = Self::ended();
        Poll::Ready(Some(Err(error)))
    }
}

impl Body for NetworkBody {
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        let this = self.get_mut();
        let Some(inner) = &mut this.inner else { return Poll::Ready(None) };
        match Pin::new(inner).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(silence) = &mut this.silence {
                    silence.waiting = false;
                }
                // The end may be known with the last frame, and the reader may not poll again.
                if this.is_end_stream() {
                    this.end(After::Content);
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(None) => {
                this.end(After::Content);
                Poll::Ready(None)
            }
            Poll::Ready(Some(Err(error))) => this.fail(failure::within_body(&error)),
            Poll::Pending => match &mut this.silence {
                Some(silence) => {
                    ready!(silence.poll(cx));
                    this.fail(OriginError::ResponseTimeout)
                }
                None => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Silence {
    /// Ready when it has lasted too long.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let longest = self.longest;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(longest)));
        if !self.waiting {
            self.waiting = true;
            sleep.as_mut().reset(Instant::now() + longest);
        }
        sleep.as_mut().poll(cx)
    }
}

/// When a request's content last moved, so that a long upload is not taken for a slow answer, and how it broke off.
#[derive(Clone)]
pub(super) struct Upload {
    clock: Clock,
    moves: Arc<Moves>,
}

struct Moves {
    last: AtomicU64,
    /// Whether the content is waited for: then the client is slow and not the origin, and `server` has a bound for that.
    awaited: AtomicBool,
    broken: OnceLock<OriginError>,
    /// Whether the origin has answered and wants no more of it.
    unwanted: AtomicBool,
    waker: AtomicWaker,
}

impl Upload {
    /// Watches `body`, if there is anything to watch.
    pub(super) fn watch(body: RequestBody, clock: Clock) -> (RequestBody, Option<Self>) {
        let RequestBody::Stream(inner) = body else { return (body, None) };
        let moves = Moves {
            last: AtomicU64::new(clock.moment().as_nanos()),
            awaited: AtomicBool::new(false),
            broken: OnceLock::new(),
            unwanted: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        };
        let upload = Self { clock, moves: Arc::new(moves) };
        let watched = Watched { inner, upload: upload.clone() };
        (RequestBody::Stream(UnsyncBoxBody::new(watched)), Some(upload))
    }

    /// How long ago that was; no time at all while the client is waited for.
    pub(super) fn silent_for(&self) -> Duration {
        if self.moves.awaited.load(Ordering::Relaxed) {
            return Duration::ZERO;
        }
        let last = self.moves.last.load(Ordering::Relaxed);
        Duration::from_nanos(self.clock.moment().as_nanos().saturating_sub(last))
    }

    /// Ends the content, and with it the connection, wherever it is.
    pub(super) fn stop(&self) {
        self.moves.unwanted.store(true, Ordering::Release);
        self.moves.waker.wake();
    }

    /// How the content broke off, if it did.
    pub(super) fn broken(&self) -> Option<OriginError> {
        self.moves.broken.get().cloned()
    }
}

struct Watched {
    inner: UnsyncBoxBody<Bytes, BoxError>,
    upload: Upload,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Upload { clock, moves } = &this.upload;
        moves.waker.register(cx.waker());
        if moves.unwanted.load(Ordering::Acquire) {
            return Poll::Ready(Some(Err("the origin has answered".into())));
        }
        let polled = Pin::new(&mut this.inner).poll_frame(cx);
        moves.awaited.store(polled.is_pending(), Ordering::Relaxed);
        let frame = ready!(polled);
        moves.last.store(clock.moment().as_nanos(), Ordering::Relaxed);
        if let Some(Err(error)) = &frame {
            moves.broken.get_or_init(|| OriginError::of_content(error));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
