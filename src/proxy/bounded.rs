//! `Bounded`: a client's content on its way to the origin, up to the length that is allowed.
//!
//! What declares its length is refused before it gets here. The rest is cut off at the bound: the origin sees a request that
//! broke off, never one that looks whole.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::origin::{BoxError, ContentTooLong};

/// Content of which at most so many bytes go on.
pub(super) struct Bounded<C> {
    content: C,
    left: u64,
}

impl<C> Bounded<C> {
    /// At most `longest` bytes of `content`.
    pub(super) const fn new(content: C, longest: u64) -> Self {
        Self { content, left: longest }
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
            return Poll::Ready(Some(Err(ContentTooLong.into())));
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
