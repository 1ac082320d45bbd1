//! `Bounded`: a client's content on its way to the origin, up to the length that is allowed.
//!
//! What declares its length is refused before it gets here. The rest is cut off at the bound: the origin sees a request that
//! broke off, never one that looks whole.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::origin::BoxError;

/// Content of which at most so many bytes go on.
pub(super) struct Bounded<C> {
    content: C,
    left: u64,
    length: Length,
}

/// Whether the bound was exceeded, for whoever waits at the other end.
#[derive(Clone, Debug, Default)]
pub(super) struct Length(Arc<AtomicBool>);

impl Length {
    /// Whether there was more content than allowed.
    pub(super) fn is_exceeded(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<C> Bounded<C> {
    /// At most `longest` bytes of `content`.
    pub(super) fn new(content: C, longest: u64) -> (Self, Length) {
        let length = Length::default();
        (Self { content, left: longest, length: length.clone() }, length)
    }
}

impl<C> Body for Bounded<C>
where
    C: Body<Data = Bytes> + Unpin,
    C::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Some(frame) = ready!(Pin::new(&mut this.content).poll_frame(cx)) else { return Poll::Ready(None) };
        let frame = frame.map_err(Into::into)?;
        let bytes = frame.data_ref().map_or(0, Bytes::len) as u64;
        let Some(left) = this.left.checked_sub(bytes) else {
            this.length.0.store(true, Ordering::Relaxed);
            return Poll::Ready(Some(Err("the content is longer than limits.content_bytes".into())));
        };
        this.left = left;
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}
