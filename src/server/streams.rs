//! `Streams`: the tasks that answer the requests of HTTP/2, each of which may wait only so long for its client's window.
//!
//! hyper answers each stream in a task of its own, and has that wait for window without a bound. hyper gives it to this
//! executor, which wraps it: when the task is put aside, and the last thing that it did with its body was to take a piece
//! of it ([`Tracked`](super::tracked::Tracked)), then it is the client that it waits for. A task that is dropped resets its
//! stream and lets go of what it holds; the other streams of the connection, which may be other people's, go on.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use super::closing::{Closing, Closings};

/// What happened last to the body of the stream whose task this thread polls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Last {
    Nothing,
    /// It was asked for a piece and had none: its source is waited for.
    Asked,
    /// It gave one.
    Given,
}

thread_local! {
    static LAST: Cell<Last> = const { Cell::new(Last::Nothing) };
}

/// A body is asked for a piece.
pub(super) fn asked() {
    LAST.set(Last::Asked);
}

/// It gives one.
pub(super) fn given() {
    LAST.set(Last::Given);
}

/// The executor of a listener's streams.
#[derive(Clone, Debug)]
pub(super) struct Streams {
    pub(super) write_timeout: Duration,
    pub(super) closings: Arc<Closings>,
}

impl<F> hyper::rt::Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        tokio::spawn(Bounded { task, streams: self.clone(), shut: false, timer: None });
    }
}

pin_project! {
    /// A stream's task.
    struct Bounded<F> {
        #[pin]
        task: F,
        streams: Streams,
        // Whether it waits for its client's window.
        shut: bool,
        // Made when it does so for the first time.
        timer: Option<Pin<Box<Sleep>>>,
    }
}

impl<F: Future> Future for Bounded<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        LAST.set(Last::Nothing);
        if this.task.poll(cx).is_ready() {
            return Poll::Ready(());
        }
        match LAST.get() {
            // It was woken for nothing, or for something else.
            Last::Nothing => {}
            Last::Asked => *this.shut = false,
            Last::Given => {
                *this.shut = true;
                let timer = this.timer.get_or_insert_with(|| Box::pin(sleep(Duration::ZERO)));
                timer.as_mut().reset(Instant::now() + this.streams.write_timeout);
            }
        }
        let Some(timer) = this.timer.as_mut().filter(|_| *this.shut) else { return Poll::Pending };
        ready!(timer.as_mut().poll(cx));
        this.streams.closings.count(Closing::StreamLate);
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use hyper::rt::Executor;
    use tokio::sync::oneshot;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    /// Says when a task that does this with its body, and then waits, was dropped.
    async fn dropped_after(body: impl Fn() + Send + 'static) -> Option<Duration> {
        let closings = Arc::<Closings>::default();
        let streams = Streams { write_timeout: TIMEOUT, closings: Arc::clone(&closings) };
        let (held, gone) = oneshot::channel::<()>();
        let mut begun = false;
        streams.execute(poll_fn(move |_| {
            let _held = &held;
            if !std::mem::replace(&mut begun, true) {
                body();
            }
            Poll::<()>::Pending
        }));
        let began = Instant::now();
        let ended = tokio::time::timeout(TIMEOUT * 10, gone).await.is_ok();
        assert_eq!(closings.counts()[Closing::StreamLate as usize], u64::from(ended));
        ended.then(|| began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_waits_so_long_for_its_client_and_as_long_as_it_takes_for_its_source() {
        assert_eq!(dropped_after(given).await, Some(TIMEOUT), "it has a piece and no window");
        assert_eq!(dropped_after(asked).await, None, "its source has nothing to say");
        assert_eq!(dropped_after(|| {}).await, None, "it has not come to its body");
        let in_turn = || {
            given();
            asked();
        };
        assert_eq!(dropped_after(in_turn).await, None, "what it had has gone on");
    }
}
