//! `Content`: the content of a client's request, which has to come.
//!
//! Two things are asked of it. No silence may last longer than `limits.content_timeout`. And until the request is
//! answered, the silences together may last no longer than that and a second for each [`RATE`] bytes that came: a byte now
//! and then holds nothing for ever. An exchange in which both sides send for as long as they like has been answered, and
//! only its silences are bounded. The time runs only while somebody waits for the client: an origin that is slow to take
//! content is not the client's fault.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::closing::{Closing, Closings};
use crate::origin::{BoxError, ContentLate};

/// The bytes that buy a second of silence: what Apache's mod_reqtimeout asks for by default (`MinRate=500`).
const RATE: u32 = 500;

/// The content of a request.
pub struct Content<B = hyper::body::Incoming> {
    body: B,
    /// `None` where there is none to wait for.
    wait: Option<Box<Wait>>,
}

/// What a request's content and its answer know of each other.
#[derive(Debug, Default)]
pub(super) struct Progress {
    answered: AtomicBool,
    late: AtomicBool,
}

impl Progress {
    /// The response's head is there. Says whether that was because the content was not.
    pub(super) fn answer(&self) -> bool {
        self.answered.store(true, Ordering::Relaxed);
        self.late.load(Ordering::Relaxed)
    }
}

/// The wait for content.
struct Wait {
    timeout: Duration,
    /// How long silences may still last together.
    credit: Duration,
    /// When the present silence began.
    since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    progress: Arc<Progress>,
    closings: Arc<Closings>,
}

impl<B: Body> Content<B> {
    /// The content `body`, and what is to be told of its answer, if there is any content.
    pub(super) fn new(body: B, timeout: Duration, closings: &Arc<Closings>) -> (Self, Option<Arc<Progress>>) {
        if body.is_end_stream() {
            return (Self { body, wait: None }, None);
        }
        let progress = Arc::<Progress>::default();
        let wait = Wait {
            timeout,
            credit: timeout,
            since: None,
            timer: None,
            progress: Arc::clone(&progress),
            closings: Arc::clone(closings),
        };
        (Self { body, wait: Some(Box::new(wait)) }, Some(progress))
    }
}

impl Wait {
    /// Something came.
    fn came(&mut self, bytes: usize) {
        if let Some(since) = self.since.take() {
            self.credit = self.credit.saturating_sub(since.elapsed());
        }
        let earned = Duration::from_secs(u64::try_from(bytes).unwrap_or(u64::MAX)) / RATE;
        self.credit = self.credit.saturating_add(earned);
    }

    /// Nothing came. Ready when that has lasted for too long.
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let since = *self.since.get_or_insert_with(Instant::now);
            let bound = if self.progress.answered.load(Ordering::Relaxed) {
                self.timeout
            } else {
                self.timeout.min(self.credit)
            };
            let until = since + bound;
            let timer = match &mut self.timer {
                Some(timer) => timer,
                none => none.insert(Box::pin(sleep_until(until))),
            };
            // An answer prolongs it.
            if timer.deadline() != until {
                timer.as_mut().reset(until);
            }
            std::task::ready!(timer.as_mut().poll(cx));
            if self.progress.answered.load(Ordering::Relaxed) && bound < self.timeout {
                continue;
            }
            self.progress.late.store(true, Ordering::Relaxed);
            self.closings.count(Closing::ContentLate);
            return Poll::Ready(());
        }
    }
}

impl<B> Body for Content<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        match Pin::new(&mut this.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                if let Some(wait) = &mut this.wait {
                    let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()).and_then(Frame::data_ref);
                    wait.came(data.map_or(0, Bytes::len));
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
            }
            Poll::Pending => match &mut this.wait {
                Some(wait) => wait.poll_late(cx).map(|()| Some(Err(ContentLate.into()))),
                None => Poll::Pending,
            },
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt, Empty, StreamBody};
    use tokio::sync::mpsc;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);
    const SECOND: Duration = Duration::from_secs(1);

    type Pieces = mpsc::UnboundedSender<Result<Frame<Bytes>, BoxError>>;

    /// Content that the test sends.
    fn content() -> (Pieces, impl Body<Data = Bytes, Error = BoxError> + Unpin, Arc<Progress>, Arc<Closings>) {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let body = StreamBody::new(futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx)));
        let closings = Arc::<Closings>::default();
        let (content, progress) = Content::new(body, TIMEOUT, &closings);
        (sender, content, progress.unwrap(), closings)
    }

    /// Sends so many bytes after each of these pauses, and says after how many pieces it was too late.
    async fn pieces_until_late(bytes: usize, pause: Duration, answered: bool) -> usize {
        let (sender, mut content, progress, closings) = content();
        if answered {
            assert!(!progress.answer());
        }
        tokio::spawn(async move {
            for _ in 0..100 {
                tokio::time::sleep(pause).await;
                if sender.send(Ok(Frame::data(vec![0; bytes].into()))).is_err() {
                    return;
                }
            }
        });
        let mut pieces = 0;
        while let Some(frame) = content.frame().await {
            if let Err(error) = frame {
                assert!(error.downcast_ref::<ContentLate>().is_some());
                assert_eq!(closings.counts()[Closing::ContentLate as usize], 1);
                assert!(progress.answer(), "it is known why");
                return pieces;
            }
            pieces += 1;
        }
        pieces
    }

    #[tokio::test(start_paused = true)]
    async fn content_has_to_come() {
        let most = TIMEOUT - SECOND;
        for (sentence, bytes, pause, answered, expected) in [
            ("a silence that is too long", 1 << 20, TIMEOUT + SECOND, false, 0),
            ("silences that are paid for", 29 * 500, most, false, 100),
            ("a byte now and then does not pay for the second silence", 1, most, false, 1),
            ("one a second buys nothing much", 1, SECOND, false, 30),
            ("a slow line that goes on", 500, SECOND, false, 100),
            ("once it is answered, silences are bounded one by one", 1, most, true, 100),
            ("and still bounded", 1, TIMEOUT + SECOND, true, 0),
        ] {
            assert_eq!(pieces_until_late(bytes, pause, answered).await, expected, "{sentence}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_in_mid_silence_lengthens_it() {
        let (sender, mut content, progress, _) = content();
        tokio::spawn(async move {
            tokio::time::sleep(20 * SECOND).await;
            sender.send(Ok(Frame::data(Bytes::from_static(b"1")))).unwrap();
            tokio::time::sleep(5 * SECOND).await;
            progress.answer();
            sender.closed().await;
        });
        content.frame().await.unwrap().unwrap();
        let began = Instant::now();
        assert!(content.frame().await.unwrap().is_err());
        assert_eq!(began.elapsed(), TIMEOUT, "ten seconds were left until the answer came");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_of_content_is_not_the_clients_fault() {
        let (sender, mut content, _, closings) = content();
        for _ in 0..5 {
            sender.send(Ok(Frame::data(Bytes::from_static(b"1")))).unwrap();
            tokio::time::sleep(TIMEOUT * 2).await;
            content.frame().await.unwrap().unwrap();
        }
        assert_eq!(closings.counts(), [0; Closing::ALL.len()]);
    }

    #[test]
    fn no_content_takes_no_memory() {
        let (content, progress) = Content::new(Empty::<Bytes>::new(), TIMEOUT, &Arc::default());
        assert!(content.wait.is_none() && progress.is_none());
    }
}
