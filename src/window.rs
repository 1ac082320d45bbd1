//! `Window`: the bytes of one range, taken from a body as it goes by.
//!
//! What comes before the range is dropped, and so is the body itself once the range has gone out. Trailers are about
//! the whole and stay behind.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use http_body::{Body, Frame, SizeHint};

use crate::origin::OriginError;
use crate::rules::range::Span;

/// One range of a body.
#[derive(Debug)]
pub(crate) struct Window<B> {
    /// Gone once nothing more of it is wanted.
    body: Option<B>,
    skip: u64,
    rest: u64,
}

impl<B> Window<B> {
    /// The bytes of `body` in `span`.
    pub(crate) const fn new(body: B, span: Span) -> Self {
        Self { body: Some(body), skip: span.start(), rest: span.len() }
    }

    /// What of the next chunk is in the range.
    fn cut(&mut self, mut chunk: Bytes) -> Option<Bytes> {
        let before = self.skip.min(chunk.len() as u64);
        // No more than the chunk's length, so it fits.
        chunk.advance(usize::try_from(before).unwrap_or(chunk.len()));
        self.skip -= before;
        chunk.truncate(usize::try_from(self.rest).unwrap_or(usize::MAX));
        self.rest -= chunk.len() as u64;
        (!chunk.is_empty()).then_some(chunk)
    }
}

impl<B> Body for Window<B>
where
    B: Body<Data = Bytes, Error = OriginError> + Unpin,
{
    type Data = Bytes;
    type Error = OriginError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, OriginError>>> {
        let this = self.get_mut();
        while let Some(body) = &mut this.body {
            match ready!(Pin::new(body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let chunk = frame.into_data().ok().and_then(|chunk| this.cut(chunk));
                    if this.rest == 0 {
                        this.body = None;
                    }
                    if let Some(chunk) = chunk {
                        return Poll::Ready(Some(Ok(Frame::data(chunk))));
                    }
                }
                Some(Err(error)) => {
                    this.body = None;
                    return Poll::Ready(Some(Err(error)));
                }
                // Shorter than its head said.
                None => {
                    this.body = None;
                    let short = OriginError::ResponseIncomplete("the body ended before the range did".to_owned());
                    return Poll::Ready(Some(Err(short)));
                }
            }
        }
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::FutureExt;
    use http::HeaderMap;
    use http_body_util::{BodyExt, StreamBody};
    use proptest::prelude::*;

    use super::*;

    /// A body of `pieces`, and trailers.
    fn body(pieces: &[&[u8]]) -> impl Body<Data = Bytes, Error = OriginError> + Unpin {
        let data = pieces.iter().map(|piece| Frame::data(Bytes::copy_from_slice(piece)));
        let frames: Vec<_> = data.chain([Frame::trailers(HeaderMap::new())]).map(Ok::<_, Infallible>).collect();
        StreamBody::new(futures_util::stream::iter(frames)).map_err(|never| match never {})
    }

    fn read(pieces: &[&[u8]], start: u64, end: u64) -> Result<Vec<u8>, OriginError> {
        let window = Window::new(body(pieces), Span::new(start, end).unwrap());
        let collected = window.collect().now_or_never().unwrap()?;
        assert!(collected.trailers().is_none(), "trailers are about the whole");
        Ok(collected.to_bytes().to_vec())
    }

    #[test]
    fn a_body_that_ends_before_the_range_breaks_off() {
        assert!(matches!(read(&[b"0123"], 2, 5), Err(OriginError::ResponseIncomplete(_))));
        assert!(matches!(read(&[], 2, 5), Err(OriginError::ResponseIncomplete(_))));
    }

    proptest! {
        #[test]
        fn any_range_of_any_body_is_its_slice(
            pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..8), 1..8),
            start in 0usize..40,
            length in 1usize..40,
        ) {
            let whole = pieces.concat();
            let end = (start + length).min(whole.len());
            prop_assume!(start < end);
            let pieces: Vec<_> = pieces.iter().map(|piece| &**piece).collect();
            prop_assert_eq!(read(&pieces, start as u64, end as u64).unwrap(), &whole[start..end]);
        }
    }
}
