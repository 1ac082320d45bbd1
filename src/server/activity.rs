//! What a client connection is doing, and until when it may go on doing that.
//!
//! hyper's own timers do not fit: version detection has none, the head timer of HTTP/1 also ends idle connections, costs
//! a sixth of the instructions of a small answer, and HTTP/2 has none. So the socket is wrapped: bytes that come while no
//! request is under way begin a head, which must be complete within `limits.head_timeout`; between requests a connection
//! may be idle for `limits.idle_timeout`. One timer per connection looks at this record when it fires. While a request is
//! under way, what a client may keep waiting is told by `content` (its own content) and `patience` (what it is sent).

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Version;
use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// What the timer is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Look again then.
    Wait(Instant),
    /// No request for too long.
    Idle,
    /// A head that does not come, or not to its end.
    Late,
}

#[derive(Debug)]
pub(super) struct Activity {
    start: Instant,
    head_timeout: Duration,
    idle_timeout: Duration,
    /// Requests whose response body still exists.
    under_way: AtomicUsize,
    /// When the present wait for a request began, in nanoseconds since `start`.
    since: AtomicU64,
    /// What is waited for while nothing is under way: one of the states below.
    waiting: AtomicU8,
    /// HTTP/2: bytes between requests may be pings.
    multiplexed: AtomicBool,
}

/// The next request. The wait began with the last write.
const FOR_A_REQUEST: u8 = 0;
/// Bytes have come, and nobody has waited for more yet: in most cases they are a whole head, and the clock need not be
/// read.
const FOR_A_LOOK: u8 = 1;
/// The rest of a head that has begun, or the first head.
const FOR_A_HEAD: u8 = 2;

impl Activity {
    pub(super) fn new(head_timeout: Duration, idle_timeout: Duration) -> Self {
        Self {
            start: Instant::now(),
            head_timeout,
            idle_timeout,
            under_way: AtomicUsize::new(0),
            since: AtomicU64::new(0),
            waiting: AtomicU8::new(FOR_A_HEAD),
            multiplexed: AtomicBool::new(false),
        }
    }

    pub(super) fn verdict(&self) -> Verdict {
        let now = Instant::now();
        if self.under_way.load(Ordering::Acquire) > 0 {
            return Verdict::Wait(now + self.head_timeout.min(self.idle_timeout));
        }
        let waiting = self.waiting.load(Ordering::Relaxed);
        if waiting == FOR_A_LOOK {
            return Verdict::Wait(now + self.head_timeout);
        }
        let in_head = waiting == FOR_A_HEAD;
        let bound = if in_head { self.head_timeout } else { self.idle_timeout };
        let until = self.start + Duration::from_nanos(self.since.load(Ordering::Relaxed)) + bound;
        if now < until {
            // While idle, a head may begin at any time and have the shorter bound.
            return Verdict::Wait(until.min(now + self.head_timeout));
        }
        if in_head { Verdict::Late } else { Verdict::Idle }
    }

    /// A request head has come.
    pub(super) fn begin(self: &Arc<Self>, version: Version) -> UnderWay {
        self.under_way.fetch_add(1, Ordering::AcqRel);
        self.waiting.store(FOR_A_REQUEST, Ordering::Relaxed);
        if version == Version::HTTP_2 {
            self.multiplexed.store(true, Ordering::Relaxed);
        }
        UnderWay(Arc::clone(self))
    }

    /// Whether HTTP/2 is spoken, as far as is known.
    pub(super) fn is_multiplexed(&self) -> bool {
        self.multiplexed.load(Ordering::Relaxed)
    }

    /// Bytes have come.
    fn came(&self) {
        if self.waiting.load(Ordering::Relaxed) == FOR_A_REQUEST
            && self.under_way.load(Ordering::Acquire) == 0
            && !self.multiplexed.load(Ordering::Relaxed)
        {
            self.waiting.store(FOR_A_LOOK, Ordering::Relaxed);
        }
    }

    /// There are no more for now.
    fn waits(&self) {
        if self.waiting.load(Ordering::Relaxed) == FOR_A_LOOK {
            self.touch();
            self.waiting.store(FOR_A_HEAD, Ordering::Relaxed);
        }
    }

    /// Bytes of an answer went out. The last of them go when its body is gone already: a slow reader is not idle. What
    /// goes out on HTTP/2 between requests answers frames that ask for nothing, such as pings.
    fn went(&self) {
        if !self.is_multiplexed() || self.under_way.load(Ordering::Acquire) > 0 {
            self.touch();
        }
    }

    fn touch(&self) {
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.since.store(nanos, Ordering::Relaxed);
    }
}

/// A request under way: from its head to the end of its response's body.
pub(super) struct UnderWay(Arc<Activity>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        if self.0.is_multiplexed() {
            self.0.touch();
        }
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

pin_project! {
    /// A client's socket that keeps the record, and `held` for as long as it lives, in a tunnel too.
    pub(super) struct Watched<S, G> {
        #[pin]
        pub(super) stream: S,
        pub(super) activity: Arc<Activity>,
        pub(super) held: G,
    }
}

impl<S: AsyncRead, G> AsyncRead for Watched<S, G> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        let before = buf.filled().len();
        let polled = this.stream.poll_read(cx, buf);
        if polled.is_pending() {
            this.activity.waits();
        } else if buf.filled().len() > before {
            this.activity.came();
        }
        polled
    }
}

impl<S: AsyncWrite, G> AsyncWrite for Watched<S, G> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.project();
        let polled = this.stream.poll_write(cx, buf);
        if polled.is_ready() {
            this.activity.went();
        }
        polled
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.project().stream.poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        let polled = this.stream.poll_write_vectored(cx, bufs);
        if polled.is_ready() {
            this.activity.went();
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: Duration = Duration::from_secs(10);
    const IDLE: Duration = Duration::from_secs(60);

    fn connection() -> Arc<Activity> {
        Arc::new(Activity::new(HEAD, IDLE))
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_head_must_come_within_the_head_timeout() {
        let connection = connection();
        tokio::time::advance(HEAD - Duration::from_secs(1)).await;
        connection.came();
        assert!(matches!(connection.verdict(), Verdict::Wait(_)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(connection.verdict(), Verdict::Late);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_under_way_has_no_bound() {
        let connection = connection();
        let _under_way = connection.begin(Version::HTTP_11);
        tokio::time::advance(IDLE * 10).await;
        assert!(matches!(connection.verdict(), Verdict::Wait(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn between_requests_a_connection_may_be_idle_for_the_idle_timeout() {
        let connection = connection();
        drop(connection.begin(Version::HTTP_11));
        tokio::time::advance(IDLE - Duration::from_secs(1)).await;
        assert!(matches!(connection.verdict(), Verdict::Wait(_)));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(connection.verdict(), Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn a_later_head_that_begins_must_end_within_the_head_timeout() {
        let connection = connection();
        drop(connection.begin(Version::HTTP_11));
        tokio::time::advance(Duration::from_secs(5)).await;
        connection.came();
        connection.waits();
        tokio::time::advance(HEAD).await;
        assert_eq!(connection.verdict(), Verdict::Late);
    }

    #[tokio::test(start_paused = true)]
    async fn pings_on_an_idle_http2_connection_are_no_head_and_no_request() {
        let connection = connection();
        drop(connection.begin(Version::HTTP_2));
        for _ in 0..6 {
            connection.came();
            connection.waits();
            connection.went();
            assert!(matches!(connection.verdict(), Verdict::Wait(_)));
            tokio::time::advance(HEAD).await;
        }
        assert_eq!(connection.verdict(), Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn an_http2_connection_is_idle_from_the_end_of_its_last_request() {
        let connection = connection();
        let under_way = connection.begin(Version::HTTP_2);
        tokio::time::advance(IDLE * 2).await;
        drop(under_way);
        assert!(matches!(connection.verdict(), Verdict::Wait(_)));
        tokio::time::advance(IDLE).await;
        assert_eq!(connection.verdict(), Verdict::Idle);
    }
}
